"""Who drives runs of runbooks in `mainstay serve`: it follows the journal, and goes on wherever nobody else does.

It only does what the facts say is to be done, so it may be killed at any moment, and a second server, or a command on
the same store, shares the work: a run is in the hands of whoever holds its lock.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace

from mainstay.doors.house.engine import Worker
from mainstay.doors.sse import Feed
from mainstay.kernel.errors import MainstayError
from mainstay.kernel.locks import Locked
from mainstay.kernel.ports import World
from mainstay.runbook.chain import Entry
from mainstay.runbook.lifecycle import ACTIVE, State
from mainstay.runbook.operations.desk import Overtaken, Runs, runs_of
from mainstay.runbook.operations.driving import PATIENCE, Driver, keep_targets
from mainstay.runbook.operations.running import new_worker
from mainstay.runbook.progress import due_escalations
from mainstay.runbook.run import Run
from mainstay.runbook.spec import Runbook

log = logging.getLogger("mainstay.crew")
EVERY = 0.3
"""Seconds between two looks at the journal."""

AT_ONCE = 8
"""Runs that are driven at the same time; the others wait their turn."""

HANDS_OFF = 2.0
"""Seconds for which a run is left alone that another holds."""

ENDING = 20.0
"""Seconds that a step under way has when the server stops. A step that needs longer is ended with the server, and is
then unknown, as after a crash."""


class Crew(Worker):
    """Drives runs, also those that were under way while nothing ran.

    `world` is asked anew each round, for the catalog may have changed.
    """

    def __init__(self, world: Callable[[], World], feed: Feed) -> None:
        super().__init__("mainstay-crew", self._round)
        self._world, self._feed = world, feed
        self._seen = 0
        self._driving: dict[str, threading.Thread] = {}
        self._left_alone: dict[str, float] = {}
        self._kept: dict[str, float] = {}

    def end(self) -> None:
        """Begin no step any more, and wait for those under way for a while."""
        super().end()
        for thread in tuple(self._driving.values()):
            thread.join(timeout=ENDING)

    # -- rounds ------------------------------------------------------------------------------------------------

    def _round(self) -> float:
        world = replace(self._world(), actor="system", tell=None)
        runs = runs_of(world)
        head = world.journal.head()
        if head > self._seen:
            changed = sorted(one.id for one in runs.caught_up().values() if one.changed > self._seen)
            self._seen = head
            for topic in ("runbook", *changed) if changed else ():
                self._feed.publish(topic)
        self._driving = {name: thread for name, thread in self._driving.items() if thread.is_alive()}
        now, time = world.clock.now(), world.clock.monotonic()
        for run in list(runs.caught_up().values()):
            if run.over:
                continue
            self._escalate(world, runs, run)
            if run.state is State.WAITING and not run.cancelled_by:
                self._keep(world, run, time)
            elif run.state in ACTIVE or (run.expires is not None and now >= run.expires):
                self._drive(world, run, time)
        return EVERY

    def _drive(self, world: World, run: Run, time: float) -> None:
        if run.id in self._driving or len(self._driving) >= AT_ONCE or self._left_alone.get(run.id, 0.0) > time:
            return
        # A daemon: a step that does not end must not keep the process from ending; it ends with it.
        thread = threading.Thread(target=self._through, args=(world, run.id), name=f"mainstay-{run.id}", daemon=True)
        self._driving[run.id] = thread
        thread.start()

    def _through(self, world: World, name: str) -> None:
        try:
            driven = Driver(world, name, new_worker(), resting=lambda: self.ending).drive()
            if driven.held_by:
                self._left_alone[name] = world.clock.monotonic() + HANDS_OFF
        except MainstayError as error:
            log.error("%s could not be driven: %s", name, error.message)
            self._left_alone[name] = world.clock.monotonic() + HANDS_OFF
        except Exception:
            log.exception("%s could not be driven", name)
            self._left_alone[name] = world.clock.monotonic() + HANDS_OFF
        finally:
            self.wake()

    def _keep(self, world: World, run: Run, time: float) -> None:
        if time - self._kept.get(run.id, float("-inf")) < PATIENCE.total_seconds() / 3:
            return
        self._kept[run.id] = time
        try:
            keep_targets(world, run)
        except Locked as held:
            log.warning("%s waits for a person and has lost its targets: %s", run.id, held.message)

    def _escalate(self, world: World, runs: Runs, run: Run) -> None:
        book = world.catalog.find(Runbook, run.runbook)
        rules = tuple((one.after, one.to) for one in book.escalation) if book is not None else ()
        now = world.clock.now()
        for to in due_escalations(run, rules, now):
            entry = Entry("runbook.escalated", now, {"to": to, "title": str(run.data.get("title", "")),
                                                     "why": f"{run.id} still goes on"})
            try:
                runs.append(run.id, [entry], run.seen)
            except Overtaken:
                return  # the next round looks again
