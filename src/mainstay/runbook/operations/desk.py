"""Runs over a journal: folded once a process, caught up when asked, and added to one fact after the other.

The n-th fact of a run can be written once. So of two who decided on the same state one is refused, looks again and
decides anew, and whoever was paused while another took the run over can add nothing to it.
"""

from __future__ import annotations

import os.path
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime
from typing import TypeVar

from mainstay.kernel.actuation import Ask
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import Conflict, InvalidInput, MainstayError, NotFound
from mainstay.kernel.finding import did_you_mean
from mainstay.kernel.journal import AlreadyRecorded, Batch, Fact, FactQuery, Journal
from mainstay.kernel.ports import World
from mainstay.runbook.approval import check_approval, check_rejection
from mainstay.runbook.chain import START, Entry, linked
from mainstay.runbook.lifecycle import State
from mainstay.runbook.plan import Plan, made
from mainstay.runbook.run import KINDS, PLANNED, Run, apply, begun
from mainstay.runbook.spec import Given, Runbook

Answer = TypeVar("Answer")

_TRIES = 50
"""How often a decision is made anew when others were quicker."""


class Overtaken(Conflict):
    """Somebody else added to the run meanwhile; nothing was added."""

    code = "overtaken"


@dataclass(frozen=True, slots=True)
class Order:
    """A run that is wanted.

    Args:
        runbook: its name.
        inputs: by name, as text or with their types.
        labels: what the alert says about what is broken.
        incident: its id, where the run belongs to one.
        via: who asks where it is no person: `rule restart-when-stuck`.
        key: one run is made for it, however often it is asked for; empty makes a run each time.
        by: who asks; the world's actor where empty.
        by_hand: people do every step and say so, which is timed.
        approvals: people who must agree at the least, where the runbook asks for fewer.
    """

    runbook: str
    inputs: Mapping[str, Given] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    incident: str = ""
    reason: str = ""
    via: str = ""
    key: str = ""
    by: str = ""
    by_hand: bool = False
    approvals: int = 0


class Runs:
    """Every run in a journal. Every method may be called from any thread."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lock = threading.RLock()
        self._runs: dict[str, Run] = {}
        self._keys: dict[str, str] = {}
        self._unreadable: dict[str, str] = {}
        self._seq = 0

    def caught_up(self) -> Mapping[str, Run]:
        """Every run by its id, with all that was recorded up to now; to be read, not changed."""
        with self._lock:
            head = self._journal.head()
            if head > self._seq:
                for fact in self._journal.facts(FactQuery(kinds=("runbook.",), after=self._seq)):
                    self._fold(fact)
                    self._seq = fact.seq
                self._seq = max(self._seq, head)
            return self._runs

    def _fold(self, fact: Fact) -> None:
        if fact.kind not in KINDS or fact.subject in self._unreadable:
            return
        try:
            if fact.kind == PLANNED:
                self._runs[fact.subject] = begun(fact)
                if key := str(fact.data.get("key", "")):
                    self._keys[key] = fact.subject
            else:
                apply(self._runs[fact.subject], fact)
        except (MainstayError, LookupError, TypeError, ValueError, AttributeError) as error:
            # A row was edited, or a newer version wrote it: this run is left alone, and no other suffers from it.
            self._unreadable[fact.subject] = f"fact {fact.seq} ({fact.kind}) does not follow: {error}"
            self._runs.pop(fact.subject, None)

    def run(self, name: str) -> Run:
        """The run of that id as it is now.

        Raises:
            NotFound: there is none.
        """
        found = self.caught_up().get(name)
        if found is None and name in self._unreadable:
            raise Conflict(f"{name} cannot be read: {self._unreadable[name]}", f"mainstay runbook audit verify {name}")
        if found is None:
            raise NotFound(f'no run is named "{name}"{did_you_mean(name, self._runs)}', "mainstay runbook status")
        return found

    def by_key(self, key: str) -> Run | None:
        """The run that was ordered under that key."""
        runs = self.caught_up()
        return runs.get(self._keys[key]) if key in self._keys else None

    def append(self, name: str, entries: Sequence[Entry], seen: int) -> Run:
        """Add to a run that has so many facts; durable when this returns. The run as it is then.

        Raises:
            Overtaken: it has more of them by now.
        """
        with self._lock:
            run = self.run(name)
            if run.seen != seen:
                raise Overtaken(f"somebody else went on with {name}", "look at it again")
            try:
                self._journal.commit(Batch(linked(name, entries, run.seen, run.seal), fresh=True))
            except AlreadyRecorded:
                raise Overtaken(f"somebody else went on with {name}", "look at it again") from None
            return self.run(name)

    def decide(self, name: str, decision: Callable[[Run], Sequence[Entry]]) -> Run:
        """Add what is decided on the run as it is, looking again when others were quicker.

        Raises:
            whatever the decision raises; Conflict when others never ceased to be quicker.
        """
        for _ in range(_TRIES):
            # Under the lock, so that no other thread folds a fact in between looking and deciding.
            with self._lock:
                run = self.run(name)
                entries = decision(run)
                if not entries:
                    return run
                try:
                    return self.append(name, entries, run.seen)
                except Overtaken:
                    continue
        raise Conflict(f"others kept changing {name}", "try again")

    def look(self, name: str, question: Callable[[Run], Answer]) -> tuple[int, Answer]:
        """What is answered on the run as it is now, and how many facts it has then.

        Raises:
            NotFound: there is no such run.
        """
        with self._lock:
            run = self.run(name)
            return run.seen, question(run)

    def begin(self, book: Runbook, plan: Plan, order: Order, now: datetime) -> Run:
        """A run of that plan, durable when this returns; the one that was begun under its key, where one was."""
        for _ in range(_TRIES):
            # By one look: had we looked for the key, and then anew for the next number, a run that another server
            # began under that key in between would have given us the number after it, and the work would be done twice.
            with self._lock:
                runs = self.caught_up()
                if order.key in self._keys:
                    return self.run(self._keys[order.key])
                name = f"RB-{len(runs) + len(self._unreadable) + 1}"
            entry = Entry(PLANNED, now, {
                "plan": plan.data(), "hash": plan.hash, "incident": order.incident, "reason": order.reason,
                "via": order.via, "key": order.key, "manual_minutes": book.manual_minutes, "service": book.service,
                "title": book.title or book.name, "severity": book.severity,
                "home": os.path.abspath(os.path.dirname(book.origin.file) or ".")}, order.by)
            try:
                self._journal.commit(Batch(linked(name, [entry], 0, START), fresh=True))
            except AlreadyRecorded:
                continue
            return self.run(name)
        raise Conflict("others kept starting runs", "try again")


_opened: weakref.WeakKeyDictionary[Journal, Runs] = weakref.WeakKeyDictionary()
_opening = threading.Lock()


def runs_of(world: World) -> Runs:
    """The runs in the world's journal."""
    with _opening:
        found = _opened.get(world.journal)
        if found is None:
            found = _opened[world.journal] = Runs(world.journal)
        return found


# -- what others call ----------------------------------------------------------------------------------------------


def plan_for(world: World, order: Order) -> tuple[Runbook, Plan]:
    """The runbook and what a run of it would do; nothing is recorded.

    Raises:
        NotFound: no runbook has that name.
        InvalidInput: an input or label is missing or not what it must be.
    """
    book = world.catalog.get(Runbook, order.runbook)
    return book, made(book, order.inputs, order.labels, by_hand=order.by_hand, approvals=order.approvals)


def begin(world: World, order: Order) -> Run:
    """A run, planned and recorded: it awaits its approval, or is ready for whoever drives runs (`mainstay serve`).

    Raises:
        NotFound, InvalidInput: as in `plan_for`; nothing was recorded.
    """
    book, plan = plan_for(world, order)
    return runs_of(world).begin(book, plan, replace(order, by=order.by or world.actor), world.clock.now())


def approve(world: World, name: str, seen: str = "") -> Run:
    """The world's actor agrees to the run's plan; the run as it is then.

    Args:
        seen: the hash of the plan they saw, or its beginning.
    Raises:
        NotFound, NotAllowed, Conflict: they cannot; nothing was recorded.
    """
    now = world.clock.now()

    def agree(run: Run) -> list[Entry]:
        check_approval(run, world.actor, seen, now)
        return [Entry("runbook.approved", now, {"hash": run.hash}, world.actor)]

    return runs_of(world).decide(name, agree)


def reject(world: World, name: str, why: str = "") -> Run:
    """The world's actor does not want it done; the run as it is then."""
    now = world.clock.now()

    def refuse(run: Run) -> list[Entry]:
        check_rejection(run, world.actor, now)
        return [Entry("runbook.rejected", now, {"why": f"rejected by {world.actor}" + (f": {why}" if why else ""),
                                                "hash": run.hash}, world.actor)]

    return runs_of(world).decide(name, refuse)


def answer(world: World, name: str, choice: str) -> Run:
    """The world's actor decides what the run waits for; the run as it is then.

    Raises:
        Conflict: it waits for nothing. InvalidInput: that is no choice.
    """
    now = world.clock.now()

    def decide(run: Run) -> list[Entry]:
        asked = run.question
        if asked is None or run.over:
            raise Conflict(f"{run.id} waits for no answer: it is {run.state}", f"mainstay runbook status {run.id}")
        if choice not in asked.choices:
            raise InvalidInput(f'"{choice}" is no answer{did_you_mean(choice, asked.choices)}',
                               "answer one of: " + ", ".join(asked.choices))
        act = run.plan.step(asked.step).act
        stops = choice in act.stops if asked.about == "step" and isinstance(act, Ask) else choice == "stop"
        return [Entry("runbook.answered", now, {"step": asked.step, "about": asked.about, "choice": choice,
                                                "stops": stops}, world.actor)]

    return runs_of(world).decide(name, decide)


def take_back(world: World, name: str) -> Run:
    """What the run did is taken back: one that goes on is cancelled, one that succeeded is undone.

    Raises:
        Conflict: nothing is left to take back.
    """
    now = world.clock.now()

    def begin_undo(run: Run) -> list[Entry]:
        if run.state is State.SUCCEEDED and not run.reversible:
            raise Conflict(f"{run.id} did nothing that can be taken back", f"mainstay runbook status {run.id}")
        if run.state is State.SUCCEEDED:
            return [Entry("runbook.undo-begun", now, {"why": f"taken back by {world.actor}", "ending": "undone"},
                          world.actor)]
        if run.over:
            raise Conflict(f"nothing of {run.id} is left to take back: it is {run.state}",
                           f"mainstay runbook status {run.id}")
        return [] if run.cancelled_by or run.state is State.UNDOING else \
            [Entry("runbook.cancel-asked", now, {}, world.actor)]

    return runs_of(world).decide(name, begin_undo)


def cancel(world: World, name: str) -> Run:
    """The run stops as soon as it can, and what it did is taken back; the run as it is now."""
    now = world.clock.now()

    def stop(run: Run) -> list[Entry]:
        if run.over:
            raise Conflict(f"{run.id} is over: it is {run.state}", f"mainstay runbook status {run.id}")
        return [] if run.cancelled_by or run.state is State.UNDOING else \
            [Entry("runbook.cancel-asked", now, {}, world.actor)]

    return runs_of(world).decide(name, stop)
