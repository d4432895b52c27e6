"""Watching a run: probes that are asked again and again, and what may stop it from outside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field
from typing import TypeVar

from mainstay.chaos.hypothesis import Probe
from mainstay.chaos.operations.asking import Answer, ask, time_of
from mainstay.chaos.operations.hands import Hands, Task
from mainstay.chaos.price import concerns
from mainstay.chaos.spec import AbortWhen
from mainstay.chaos.state import ALL, ASKED, HALTED
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import MainstayError
from mainstay.kernel.journal import Fact, FactQuery
from mainstay.kernel.ports import ServiceStanding, World

T = TypeVar("T")


@dataclass(slots=True)
class Asking:
    """One probe, and its question under way.

    Args:
        misses: answers in a row that were not tolerated, of questions begun since they are counted.
        held: answers in a row that were.
        once: whether any was, of questions begun since all were asked at once.
        stage: in which the question was begun.
    """

    probe: Probe
    index: int
    due: float = 0.0
    begun: float = 0.0
    task: Task[Answer] | None = None
    missing: bool = False
    misses: int = 0
    held: int = 0
    once: bool = False
    stage: str = ""
    last: Answer | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer, or that there was none in time; with when, and in which stage, it was asked for."""

    asking: Asking
    answer: Answer
    begun: float
    stage: str


class Watch:
    """Asks every probe each so many seconds; one that hangs is not asked again before it has come back."""

    def __init__(self, world: World, hands: Hands, probes: Sequence[Probe], every: float) -> None:
        self._world, self._hands, self._every = world, hands, every
        self._since = self._asked = world.clock.monotonic()
        self.askings = [Asking(probe, index) for index, probe in enumerate(probes)]

    def now(self) -> float:
        """The clock that never jumps."""
        return self._world.clock.monotonic()

    def ask_now(self) -> None:
        """Every probe is due."""
        self._asked = self.now()
        for one in self.askings:
            one.due, one.once = 0.0, False

    def never_held(self) -> Asking | None:
        """A probe that misses, and has not held once since all were asked at once."""
        return next((one for one in self.askings if one.misses and not one.once), None)

    def count_anew(self) -> None:
        """What is asked from now on counts, as in a row; what was asked before does not."""
        self._since = self.now()
        for one in self.askings:
            one.due, one.held, one.misses = 0.0, 0, 0

    def look(self, stage: str) -> Iterator[Seen]:
        """Begin what is due; what came back since the last look."""
        now = self.now()
        for one in self.askings:
            if one.task is None and now >= one.due:
                one.begun, one.due, one.missing, one.stage = now, now + self._every, False, stage
                probe = one.probe
                one.task = self._hands.begin(lambda probe=probe: ask(self._world, probe))  # type: ignore[misc]
            if one.task is None:
                continue
            if one.task.done:
                task, one.task = one.task, None
                if not one.missing:
                    yield self._seen(one, _answer(task))
            elif not one.missing and now > one.begun + time_of(one.probe):
                one.missing = True
                yield self._seen(one, Answer(False, "", now - one.begun, "it did not answer at all"))

    def next(self) -> float:
        """When there is something to do again."""
        return min((one.begun + time_of(one.probe) if one.task is not None and not one.missing else
                    one.due if one.task is None else self.now() + self._every for one in self.askings),
                   default=self.now() + self._every)

    def _seen(self, one: Asking, answer: Answer) -> Seen:
        if one.begun >= self._since:
            one.misses, one.held = (0, one.held + 1) if answer.ok else (one.misses + 1, 0)
            one.last = answer
            one.once |= answer.ok and one.begun >= self._asked
        return Seen(one, answer, one.begun, one.stage)


def _answer(task: Task[Answer]) -> Answer:
    error = task.error
    if isinstance(error, MainstayError):
        return Answer(False, "", 0.0, error.message)
    return task.result()


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a run stops.

    Args:
        what: `breach`, `asked`, `halted`, `signal`, `incident`, `burn`, `spent`, `lock`, `unproven`, `radius`,
            `undecided`, `trouble`.
        at: on the clock that never jumps.
    """

    what: str
    text: str
    at: float


@dataclass(slots=True)
class Outside:
    """What may stop a run beside its hypothesis: people, the kill switch, incidents, the error budget."""

    world: World
    hands: Hands
    run: str
    services: tuple[str, ...]
    when: AbortWhen
    after: int = 0
    _facts: Task[list[Fact]] | None = None
    _standing: Task[tuple[ServiceStanding, ...]] | None = None
    _facts_due: float = 0.0
    _standing_due: float = 0.0
    problems: list[str] = field(default_factory=list)

    def look(self) -> Stop | None:
        """A reason to stop, when there is one."""
        now = self.world.clock.monotonic()
        if self._facts is None and now >= self._facts_due:
            self._facts_due = now + self.hands.follow
            self._facts = self.hands.begin(self._read)
        if self._standing is None and now >= self._standing_due and \
                (self.when.burn_rate is not None or self.when.spent is not None):
            self._standing_due = now + _STANDING_EVERY
            self._standing = self.hands.begin(lambda: self.world.standing(self.world, self.services))
        return self._of_facts(now) or self._of_standing(now)

    def next(self) -> float:
        """When there is something to do again."""
        waiting = self.when.burn_rate is not None or self.when.spent is not None
        return min(self._facts_due, self._standing_due if waiting else self._facts_due)

    def _read(self) -> list[Fact]:
        kinds = (ASKED, HALTED, "incident.opened", "incident.reopened")
        return list(self.world.journal.facts(FactQuery(kinds=kinds, after=self.after)))

    def _of_facts(self, now: float) -> Stop | None:
        if self._facts is None or not self._facts.done:
            return None
        task, self._facts = self._facts, None
        if (facts := self._given(task)) is None:
            return None
        found = None
        for fact in facts:
            self.after = max(self.after, fact.seq)
            found = found or self._stop_of(fact, now)
        return found

    def _stop_of(self, fact: Fact, now: float) -> Stop | None:
        match fact.kind:
            case "chaos.abort-asked" if fact.subject == self.run:
                return Stop("asked", f"{fact.actor} stopped it" + _why(fact), now)
            case "chaos.halted" if fact.subject == ALL:
                return Stop("halted", f"{fact.actor} stopped all experiments" + _why(fact), now)
            case "incident.opened" if self.when.incident and concerns(fact, self.services):
                return Stop("incident", f"{fact.subject} opened: {fact.data.get('title', '')}".rstrip(": "), now)
            case "incident.reopened" if self.when.incident and self._was_ours(fact):
                return Stop("incident", f"{fact.subject} was opened again", now)
        return None

    def _was_ours(self, fact: Fact) -> bool:
        query = FactQuery(kinds=("incident.opened",), subject=fact.subject)
        return any(concerns(one, self.services) for one in self.world.journal.facts(query))

    def _of_standing(self, now: float) -> Stop | None:
        if self._standing is None or not self._standing.done:
            return None
        task, self._standing = self._standing, None
        for one in self._given(task) or ():
            if self.when.burn_rate is not None and one.burn is not None and one.burn > self.when.burn_rate:
                return Stop("burn", f"{one.objective} burns {one.burn:.1f}×, and {self.when.burn_rate:g}× is the most",
                            now)
            if self.when.spent is not None and one.spent is not None and one.spent > self.when.spent:
                return Stop("spent", f"{one.spent:.0%} of the budget of {one.objective} is spent, and "
                            f"{self.when.spent:.0%} is the most", now)
        return None

    def _given(self, task: Task[T]) -> T | None:
        """What it gave; a store or source that cannot be read now is noted once, and asked again."""
        if isinstance(task.error, MainstayError):
            if task.error.message not in self.problems:
                self.problems.append(task.error.message)
            return None
        return task.result()


def _why(fact: Fact) -> str:
    return f": {fact.data['why']}" if fact.data.get("why") else ""


_STANDING_EVERY = 10.0
"""Seconds between two looks at the budget: the ledger gets a new slot every five minutes at most."""
