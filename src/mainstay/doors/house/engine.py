"""The engine in `mainstay serve`: it takes alerts in, rings timers, sends pages, each in threads of their own.

    inbox      takes what senders offer, in one commit for all that waits
    ringer     rings timers when they are due, follows what other processes recorded, sweeps once a minute
    checkpoint writes down where things stand, so that a restart need not fold all that ever happened
    delivery   sends pages: a thread a channel and a lane an address, so that a slow one delays nobody else's
    tidier     looks for unreachable circles of objects, which stops everything else, while nothing comes in

All of them only do what the journal says is to be done, so any of them may be killed at any moment, and a second server
on the same store shares the work.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from mainstay.doors.house.tidying import Tidying
from mainstay.incident.engine import Sweep
from mainstay.incident.operations.delivery import Delivery
from mainstay.incident.operations.desk import Desk, desk_of
from mainstay.incident.operations.inbox import Inbox
from mainstay.incident.operations.outbox import Outbox
from mainstay.kernel.catalog import Catalog
from mainstay.kernel.errors import MainstayError
from mainstay.kernel.journal import Batch
from mainstay.kernel.people import Notifier
from mainstay.kernel.ports import World

log = logging.getLogger("mainstay.engine")
LONGEST_SLEEP = 0.5
"""Seconds after which timers and messages of other processes are looked for."""

SWEEP_EVERY = timedelta(minutes=1)
WRITE_DOWN_EVERY = 0.5
"""Seconds after which it is looked whether enough was recorded for a checkpoint. In a storm that is what a restart has
to fold beside those that a checkpoint waits for."""

AFTER_TROUBLE = 2.0
"""Seconds to wait when the store did not answer."""

_AT_ONCE = 500
"""Timers that are rung in one commit."""

_FEW = 1_000
"""Facts for which a checkpoint is not worth writing when the server stops."""


def engine_metrics(engine: Engine) -> str:
    """How alerts come in, in Prometheus' exposition format; answered from memory."""
    lines = ["# HELP mainstay_intake_events_total Events that senders sent, by what became of them.",
             "# TYPE mainstay_intake_events_total counter",
             *(f'mainstay_intake_events_total{{outcome="{outcome}"}} {count}'
               for outcome, count in sorted(engine.inbox.outcomes.items())),
             "# HELP mainstay_intake_waiting Events that wait to be recorded.",
             "# TYPE mainstay_intake_waiting gauge", f"mainstay_intake_waiting {engine.inbox.waiting}",
             "# HELP mainstay_alerts_firing Alerts that fire.", "# TYPE mainstay_alerts_firing gauge",
             f"mainstay_alerts_firing {len(engine.desk().state.alerts)}"]
    return "\n".join(lines) + "\n"


class Worker(threading.Thread):
    """Does its round again and again until it is told to stop; trouble is said and the next round tries again."""

    def __init__(self, name: str, round_: Callable[[], float]) -> None:
        super().__init__(name=name, daemon=True)
        self._do = round_
        self._woken = threading.Event()
        self.ending = False
        self.problem = ""

    def run(self) -> None:
        """Until it is asked to end."""
        while not self.ending:
            # Cleared before the round: what happens while it goes on is the next round's work.
            self._woken.clear()
            try:
                pause = self._do()
                self.problem = ""
            except MainstayError as error:
                self.problem, pause = f"{self.name}: {error.message}", AFTER_TROUBLE
                log.error("%s: %s", self.name, error.message)
            except Exception:
                self.problem, pause = f"{self.name} failed; the log says why", AFTER_TROUBLE
                log.exception("%s failed", self.name)
            self._woken.wait(pause)

    def wake(self) -> None:
        """Do not wait for the next round. From any thread."""
        self._woken.set()

    def ask_to_end(self) -> None:
        """Have it stop after the round under way."""
        self.ending = True
        self._woken.set()

    def end(self) -> None:
        """Stop after the round under way, and wait for that."""
        self.ask_to_end()
        if self.is_alive():
            self.join(timeout=15)


class Engine:
    """All the threads. `world` is asked anew each round, for the catalog may have changed."""

    def __init__(self, world: Callable[[], World]) -> None:
        self._world = world
        self._opened: tuple[Catalog, Mapping[str, Notifier]] | None = None
        self._opening = threading.Lock()
        self._worker = f"serve-{os.getpid()}"
        self._since: datetime | None = None
        self._swept: datetime | None = None
        self.inbox = Inbox(self.desk)
        self._ringer = Worker("mainstay-ringer", self._ring)
        self._writer = Worker("mainstay-checkpoint", self._write_down)
        self._tidying: Tidying | None = None
        self._tidier = Worker("mainstay-tidier", self._tidy)
        self._delivery = Delivery(self._outbox, tuple(self._channels(world())), self._worker, poll=LONGEST_SLEEP)

    def desk(self) -> Desk:
        """The desk under the catalog in force."""
        desk = desk_of(self._world())
        desk.committed = self._committed
        return desk

    @property
    def problems(self) -> tuple[str, ...]:
        """What does not work at the moment."""
        return tuple(filter(None, (*(one.problem for one in self._workers), *self._delivery.problems)))

    @property
    def _workers(self) -> tuple[Worker, ...]:
        return self._ringer, self._writer, self._tidier

    def start(self) -> None:
        """Begin: what was due while nothing ran is done at once."""
        self._since = self._swept = self._world().clock.now()
        self.inbox.start()
        self._tidying = Tidying(lambda: sum(self.inbox.outcomes.values()))
        for worker in self._workers:
            worker.start()
        self._delivery.start()

    def end(self) -> None:
        """Take in what waits, finish the round under way, write down where things stand."""
        self.inbox.end()
        if self._ringer.is_alive():
            for worker in self._workers:
                worker.ask_to_end()
            for worker in self._workers:
                worker.end()
            self._delivery.end()
        if self._tidying is not None:
            self._tidying.end()
        if self._since is not None:
            try:
                self.desk().do(Sweep())
                self.desk().write_down(_FEW)
            except MainstayError as error:
                log.error("what was only counted is lost: %s", error.message)

    def _committed(self, batch: Batch) -> None:
        """Wake those who have something to do. In a storm most of what comes in pages nobody now: to wake everybody for
        each of its commits would take a tenth of all the work."""
        looks = self._world().clock.now() + timedelta(seconds=LONGEST_SLEEP)
        if any(timer.due < looks for timer in batch.set_timers):
            self._ringer.wake()
        if batch.messages:
            self._delivery.wake({message.channel for message in batch.messages})

    # -- the rounds ------------------------------------------------------------------------------------------------

    def _ring(self) -> float:
        world, desk = self._world(), self.desk()
        now = world.clock.now()
        due = world.journal.next_due()
        rang = desk.ring(self._worker, _AT_ONCE) if due is not None and due <= now else 0
        if not rang:
            desk.catch_up()
        # After the timers: whatever stands in its way, nobody's page waits for it.
        if self._swept is None or now - self._swept >= SWEEP_EVERY:
            self._sweep(desk, now)
        if rang:
            return 0.0
        due = world.journal.next_due()
        wait = (due - world.clock.now()).total_seconds() if due is not None else LONGEST_SLEEP
        return min(max(wait, 0.0), LONGEST_SLEEP)

    def _sweep(self, desk: Desk, now: datetime) -> None:
        if self._swept is not None and now - self._swept > 2 * SWEEP_EVERY:
            # This process stood still, or its store did not answer: meanwhile nobody could be heard here.
            self._since = now
        desk.do(Sweep(self._since))
        self._swept = now

    def _write_down(self) -> float:
        self.desk().write_down()
        return WRITE_DOWN_EVERY

    def _tidy(self) -> float:
        assert self._tidying is not None, "begun by `start`"
        return self._tidying.look()

    def _channels(self, world: World) -> Mapping[str, Notifier]:
        """What can be sent to under the catalog in force; opened anew when that changes."""
        with self._opening:
            if self._opened is None or self._opened[0] is not world.catalog:
                self._opened = world.catalog, world.channels()
            return self._opened[1]

    def _outbox(self) -> Outbox:
        world = self._world()
        return Outbox(world.journal, world.clock, desk_of(world), world.responders, self._channels(world))
