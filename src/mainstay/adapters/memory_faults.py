"""A system in memory that can really be broken: for rehearsals on a virtual clock and for tests.

Nothing here pretends: a fault changes the system, probes and proofs look at the system and never at the fault, and
what the system answers follows from what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, MainstayError
from mainstay.kernel.faults import (
    Ability,
    Guarded,
    Healing,
    Injection,
    Leftover,
    Means,
    Measured,
    Order,
    Setting,
    Undo,
)
from mainstay.kernel.ports import Clock
from mainstay.kernel.probing import Ask, CallAsk, Heard, HttpAsk, ProcessAsk, QueryAsk, TcpAsk

_ANSWER = 0.005
"""Seconds in which the system answers when nothing is wrong."""


@dataclass(frozen=True, slots=True)
class Broken:
    """Something that is wrong with the system, since when, and for what share of its requests."""

    kind: str
    workload: str
    dependency: str
    settings: Mapping[str, Setting]
    share: float
    since: float


@dataclass(slots=True)
class MemorySystem:
    """Workloads by name, and what is wrong with them.

    Args:
        unbearable: seconds after which a workload fails that has this kind of fault; kinds left out it bears for ever.
        limp: seconds for which it goes on failing after the fault is gone.
    """

    clock: Clock
    unbearable: Mapping[str, float] = field(default_factory=dict)
    limp: float = 0.0
    wrong: dict[tuple[str, str, str], Broken] = field(default_factory=dict)
    failed_until: float = float("-inf")

    def break_(self, order: Order, *, share: float | None = None,
               settings: Mapping[str, Setting] | None = None) -> None:
        """From now on that is wrong, in whole or in part."""
        place = (order.kind, order.workload.name, order.dependency)
        self.wrong[place] = Broken(*place, order.settings if settings is None else settings,
                                   order.share if share is None else share, self.clock.monotonic())

    def mend(self, kind: str, workload: str, dependency: str) -> None:
        """That is not wrong any more; that it was not is fine."""
        if self.failing():
            self.failed_until = self.clock.monotonic() + self.limp
        self.wrong.pop((kind, workload, dependency), None)

    def failing(self) -> bool:
        """Whether it fails its requests now."""
        now = self.clock.monotonic()
        return now < self.failed_until or any(
            now - one.since >= self.unbearable[one.kind] for one in self.wrong.values() if one.kind in self.unbearable)

    def delay(self, workload: str) -> float:
        """Seconds that an answer of the workload takes now."""
        return _ANSWER + sum(float(one.settings.get("latency", 0.0)) for one in self.wrong.values()
                             if one.workload == workload and one.share >= 1)

    def measured(self, order: Order) -> Measured:
        """What somebody sees who looks for that fault at the system."""
        one = self.wrong.get((order.kind, order.workload.name, order.dependency))
        what = f"{order.kind} on {order.workload.name}"
        if "latency" in order.settings:
            asked = float(order.settings["latency"])
            seen = 0.0 if one is None else float(one.settings.get("latency", 0.0))
            return Measured(what, seen > asked / 2, seen, asked, "s")
        return Measured(what, one is not None)

    def hit(self, order: Order, requests: int = 1000) -> dict[str, float]:
        """Of so many requests, how many meet the fault."""
        one = self.wrong.get((order.kind, order.workload.name, order.dependency))
        return {"requests": float(requests), "requests_hit": 0.0 if one is None else round(requests * one.share)}


class MemoryProber:
    """Asks the system in memory: every HTTP question is for a workload's health, every other is for its own kind."""

    def __init__(self, system: MemorySystem) -> None:
        self._system = system

    def ask(self, question: Ask) -> Heard:
        """What the system answers."""
        match question:
            case HttpAsk(workload=workload):
                seconds = self._system.delay(workload.name if workload is not None else "")
                if seconds > question.seconds:
                    return Heard(None, f"no answer within {question.seconds:g} s", question.seconds)
                status = 503 if self._system.failing() else 200
                return Heard({"status": status, "headers": {}, "body": "", "seconds": seconds}, "", seconds)
            case TcpAsk():
                return Heard(not self._system.failing(), "", _ANSWER)
            case ProcessAsk():
                return Heard({"status": int(self._system.failing()), "stdout": "", "stderr": ""}, "", _ANSWER)
            case QueryAsk() | CallAsk():
                return Heard(None, "a system in memory answers no queries and no calls")


    def lacks(self, question: Ask) -> tuple[str, str]:
        """Queries and calls."""
        return ("", "") if not isinstance(question, QueryAsk | CallAsk) else ("a system in memory answers none", "")

    def give_up(self) -> None:
        """Nothing runs."""


class MemoryInjection:
    """A fault in the system in memory."""

    def __init__(self, system: MemorySystem, order: Order, means: Means) -> None:
        self._system, self.order, self._means = system, order, means
        self._last: dict[str, float] = {}

    @property
    def means(self) -> Means:
        """How."""
        return self._means

    def proof(self) -> Measured:
        """What is to be seen of it."""
        return self._system.measured(self.order)

    def victims(self) -> Mapping[str, float]:
        """Who was hit, as counted while it was there."""
        now = self._system.hit(self.order)
        if now["requests_hit"] or not self._last:
            self._last = now
        return self._last

    def remove(self) -> None:
        """Mend it."""
        self.victims()
        self._system.mend(self.order.kind, self.order.workload.name, self.order.dependency)


class _MemoryGuard:
    """A run's faults, and what is to be undone of them."""

    def __init__(self, injector: MemoryInjector, run: str) -> None:
        self._injector, self._run = injector, run

    def inject(self, order: Order) -> Injection:
        """Put it in; what takes it out again was noted before."""
        self._injector.means(order)
        self._injector.undos.append((self._run, Undo("mend", {
            "kind": order.kind, "workload": order.workload.name, "dependency": order.dependency})))
        return self._injector.put_in(order)

    def promise(self, what: str, undos: Sequence[Undo], seconds: float) -> Callable[[], None]:  # noqa: ARG002
        """What others put in cannot be undone in memory; who looks sees what was promised and not yet kept."""
        promised = self._injector.promised
        promised[what] = tuple(undos)

        def kept() -> None:
            promised.pop(what, None)

        return kept

    def clear(self) -> tuple[str, ...]:
        """Take everything of the run out."""
        return tuple(one.problem for one in self._injector.heal(lambda run: run == self._run) if one.problem)


class MemoryInjector:
    """Faults for a system in memory."""

    def __init__(self, system: MemorySystem, healing: Healing = Healing.KERNEL, unable: Sequence[str] = ()) -> None:
        self.system, self._healing, self._unable = system, healing, unable
        self.undos: list[tuple[str, Undo]] = []
        self.running: set[str] = set()
        self.promised: dict[str, tuple[Undo, ...]] = {}

    def abilities(self) -> tuple[Ability, ...]:
        """Everything is emulated."""
        return (Ability("*", "memory", "emulated", self._healing, "a system in memory stands for the real one"),)

    def means(self, order: Order) -> Means:
        """By changing the system in memory.

        Raises:
            InvalidInput: of the kinds that it cannot do.
        """
        if order.kind in self._unable:
            raise InvalidInput(f"no mechanism can do {order.kind} here", "mainstay chaos doctor says why")
        return Means("memory", self._healing, (f"{order.workload.name} suffers from {order.kind}",))

    def put_in(self, order: Order) -> Injection:
        """Break the system as ordered."""
        self.system.break_(order)
        return MemoryInjection(self.system, order, self.means(order))

    @contextmanager
    def guard(self, run: str, *, manual: bool = False) -> Iterator[Guarded]:  # noqa: ARG002  (nothing here is manual)
        """Faults for that run; all are out when the block is left.

        Raises:
            MainstayError: not all of them are.
        """
        self.running.add(run)
        guarded = _MemoryGuard(self, run)
        try:
            yield guarded
        finally:
            problems = guarded.clear()
            self.running.discard(run)
        if problems:
            raise MainstayError("; ".join(problems))

    def recover(self, *, dry: bool = False) -> tuple[Leftover, ...]:
        """Mend what runs left behind that are gone."""
        if dry:
            return tuple(Leftover(run, undo, False) for run, undo in self.undos if run not in self.running)
        return self.heal(lambda run: run not in self.running)

    def heal(self, which: Callable[[str], bool]) -> tuple[Leftover, ...]:
        """Carry out the undos of those runs."""
        healed = []
        for run, undo in [one for one in self.undos if which(one[0])]:
            self.system.mend(str(undo.data["kind"]), str(undo.data["workload"]), str(undo.data["dependency"]))
            self.undos.remove((run, undo))
            healed.append(Leftover(run, undo, True))
        return tuple(healed)
