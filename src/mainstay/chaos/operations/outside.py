"""Experiments that are named and not declared, and a breaker seen from outside: what `scripts/test_resilience.py` asks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

from mainstay.chaos.breaker_seen import BreakerSeen, Reached, Seen, judge
from mainstay.chaos.hypothesis import Between, Exactly, Hypothesis, Listed, Probe
from mainstay.chaos.matrix import Answer
from mainstay.chaos.operations.driving import Driven, Driver, driven
from mainstay.chaos.operations.engine import execute
from mainstay.chaos.operations.planning import Options, Plan, prepare
from mainstay.chaos.presets import BREAKS_TARGET, RESTARTS_TARGET, Preset, preset
from mainstay.chaos.spec import Experiment, Fault, Phase
from mainstay.chaos.state import Run
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, MainstayError
from mainstay.kernel.faults import Ability, Guarded, Injection, Injector, Leftover, Means, Order, Undo
from mainstay.kernel.ports import World
from mainstay.kernel.probing import HttpAsk, TcpAsk
from mainstay.kernel.quantity import Setting
from mainstay.kernel.workload import Workload, workload_named

_PATIENCE = 2.0
_EVERY = 0.25
_SETTLE = 3.0
_LOOKS = 0.05
_NEVER = 1_000_000
_RESTARTING = 40
"""Misses in a row, ten seconds of them, while a process is started once more under another clock."""



@dataclass(frozen=True, slots=True)
class Named:
    """An experiment by name.

    Args:
        share: the blast radius; None is all of it.
    """

    name: str
    target: str
    seconds: float
    dependency: str = ""
    share: float | None = None
    seed: int = 0


def experiment_by_name(world: World, named: Named) -> Experiment:
    """The experiment of the catalog of that name, or a fault of that name put into the target.

    Raises:
        NotFound: there is neither; InvalidInput: the fault needs a dependency and which one is not clear.
    """
    declared = world.catalog.find(Experiment, named.name)
    if declared is not None:
        return declared.lasting(named.seconds)
    chosen = preset(named.name)
    target = workload_named(world.catalog, named.target)
    dependency = _dependency(target, chosen, named.dependency)
    share = 1.0 if named.share is None else named.share
    fault = Fault(chosen.kind.name, target.origin, target.name, dependency, chosen.settings, share)
    probes, misses, title = _steady(world, target, chosen)
    return Experiment(f"{chosen.kind.name} on {target.name}", target.origin, target.name,
                      Hypothesis(title, probes, _EVERY, misses), (Phase("", (fault,), named.seconds),),
                      service=target.service, stabilise=30.0)


def _dependency(target: Workload, chosen: Preset, asked: str) -> str:
    if chosen.kind.hits != "dependency":
        return ""
    if asked:
        return target.dependency(asked).name
    if len(target.dependencies) != 1:
        names = ", ".join(one.name for one in target.dependencies)
        raise InvalidInput(f"{chosen.kind.name} is about a dependency, and {target.name} has "
                           f"{len(target.dependencies)}", f"write --dependency and one of {names}" if names else
                           f"add dependencies to the Workload {target.name}")
    return target.dependencies[0].name


def _steady(world: World, target: Workload, chosen: Preset) -> tuple[tuple[Probe, ...], int, str]:
    """What must hold: whoever calls the target is well, and the target itself, before, during and after.

    Where the fault stops the target, it need only come back; while it is away nobody can promise its answers.
    """
    stops = chosen.kind.name in BREAKS_TARGET
    callers = [one for one in world.catalog.of(Workload) if target.name in {each.name for each in one.dependencies}]
    probes = [probe for one in callers if (probe := _own(one)) is not None]
    own = _own(target)
    if own is not None and not stops:
        probes.append(own)
    if probes:
        misses = _RESTARTING if chosen.kind.name in RESTARTS_TARGET else 2
        return tuple(probes), misses, "whoever calls it is well" if stops else "it and whoever calls it are well"
    if own is not None:
        return (own,), _NEVER, "it comes back"
    alive = Probe(f"{target.name} takes connections", TcpAsk(workload=target, seconds=_PATIENCE), Exactly(True))
    return (alive,), _NEVER if stops else 2, "it comes back" if stops else "it takes connections"


def _own(target: Workload) -> Probe | None:
    if not target.health.startswith("/") or not target.address.said:
        return None
    return Probe(f"{target.name} is well", HttpAsk(target.health, workload=target, seconds=_PATIENCE),
                 Between(200, 399, "status"), workload=target.name)


def plan_by_name(world: World, named: Named) -> Plan:
    """What it would do; nothing is touched."""
    return prepare(world, experiment_by_name(world, named), Options(named.seed)).plan


def run_by_name(world: World, named: Named) -> Run:
    """Run it."""
    return execute(world, experiment_by_name(world, named), Options(named.seed))


# -- a breaker, from outside ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BreakerTest:
    """Whose breaker, towards which dependency.

    Args:
        seconds: how long the dependency fails.
        rate: requests a second of each that the service declares.
    """

    service: str
    dependency: str
    seconds: float = 10.0
    rate: float = 20.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class BreakerResult:
    """What was seen; the field names are stable JSON.

    Args:
        seen: of all requests that need the dependency, together: their calls cannot be told apart on the way to it.
        affected, unaffected: the names of the requests that need it, and of those that go on as before.
    """

    service: str
    dependency: str
    run: str
    status: str
    reasons: tuple[str, ...]
    seen: BreakerSeen | None = None
    affected: tuple[str, ...] = ()
    unaffected: tuple[str, ...] = ()

    @property
    def works(self) -> bool:
        """Whether calls stop, callers are told, and calls come back."""
        return self.seen is not None and self.seen.verdict == "works"


class _Tapped:
    """The host's injector, which lets the test look at the injection that the engine put in."""

    def __init__(self, real: Injector) -> None:
        self._real = real
        self.injection: Injection | None = None

    def abilities(self) -> tuple[Ability, ...]:
        return self._real.abilities()

    def means(self, order: Order) -> Means:
        return self._real.means(order)

    @contextmanager
    def guard(self, run: str, *, manual: bool = False) -> Iterator[Guarded]:
        with self._real.guard(run, manual=manual) as guarded:
            yield _TappedGuard(guarded, self._keep)

    def recover(self, *, dry: bool = False) -> tuple[Leftover, ...]:
        return self._real.recover(dry=dry)

    def _keep(self, injection: Injection) -> None:
        self.injection = injection


class _TappedGuard:
    def __init__(self, real: Guarded, keep: Callable[[Injection], None]) -> None:
        self._real, self._keep = real, keep

    def inject(self, order: Order) -> Injection:
        injection = self._real.inject(order)
        self._keep(injection)
        return injection

    def promise(self, what: str, undos: Sequence[Undo], seconds: float) -> Callable[[], None]:
        return self._real.promise(what, undos, seconds)

    def clear(self) -> tuple[str, ...]:
        return self._real.clear()


class _Counter(AbstractContextManager["_Counter"]):
    """Reads, many times a second, how many calls came by on their way to the dependency."""

    def __init__(self, world: World, tapped: _Tapped) -> None:
        self._world, self._tapped = world, tapped
        self._stop = threading.Event()
        self.read: list[tuple[datetime, float]] = []
        self._thread = threading.Thread(target=self._go, name="mainstay-breaker-counter", daemon=True)

    def __enter__(self) -> _Counter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)

    def _go(self) -> None:
        while not self._stop.wait(_LOOKS):
            injection = self._tapped.injection
            try:
                counted: Mapping[str, float] = injection.victims() if injection is not None else {}
            except MainstayError:
                continue  # it was just taken out; what was counted before stays
            if (calls := counted.get("requests_hit", counted.get("connections_hit"))) is not None:
                self.read.append((self._world.clock.now(), calls))


def breaker_from_outside(world: World, test: BreakerTest) -> BreakerResult:
    """Let a dependency answer with errors, count what still reaches it, and see what callers of the service get.

    Raises:
        InvalidInput: the service declares nothing that callers ask, or no calls can be counted on this host.
    """
    service = workload_named(world.catalog, test.service)
    dependency = service.dependency(test.dependency)
    watched = driven(service, _PATIENCE)
    if not service.requests or not watched:
        raise InvalidInput(f"{service.name} declares nothing that callers ask of it",
                           f"write address: and requests: in the Workload {service.name}")
    experiment = _failing(service, dependency.name, test.seconds)
    tapped = _Tapped(world.injector())
    with Driver(world, watched, test.rate, seed=test.seed) as driver:
        driver.wait(max(3.0, 30 / test.rate))
        with _Counter(world, tapped) as counter:
            run = execute(replace(world, injector=lambda: tapped), experiment, Options(test.seed))
        driver.wait(_SETTLE + max(2.0, 30 / test.rate))
    return _seen(run, (service, dependency.name), (watched, driver), counter.read, test)


def _failing(service: Workload, dependency: str, seconds: float) -> Experiment:
    settings: dict[str, Setting] = preset("dependency-error").settings
    alive = Probe("takes connections", TcpAsk(workload=service, seconds=_PATIENCE), Listed((True, False, None)))
    fault = Fault("dependency-error", service.origin, service.name, dependency, settings)
    return Experiment(f"breaker of {service.name} for {dependency}", service.origin, service.name,
                      Hypothesis("whatever becomes of the requests", (alive,), _EVERY),
                      (Phase("", (fault,), seconds),), service=service.service, stabilise=15.0)


def _seen(run: Run, names: tuple[Workload, str], driving: tuple[Sequence[Driven], Driver],
          read: Sequence[tuple[datetime, float]], test: BreakerTest) -> BreakerResult:
    service, dependency = names
    (watched, driver), fault = driving, run.faults[0] if run.faults else None
    if fault is None or fault.applied is None or fault.removed is None or fault.problem:
        return BreakerResult(service.name, dependency, run.id, str(run.status), run.reasons)
    # It is there from a little before it was proven; a quick breaker opens in between. Calls of the proof count too.
    since, gone = fault.intended, fault.removed
    until = min(fault.applied + timedelta(seconds=test.seconds), gone)
    start = max((calls for at, calls in read if at <= since), default=0.0)
    reached = [Reached((at - since).total_seconds(), calls - start) for at, calls in read if at > since]
    touched = [index for index in range(len(watched))
               if any(answer.failed or answer.marked for answer in driver.answers(index, since, until))]
    before, during, after = (
        [answer for index in touched for answer in driver.answers(index, begin, end)]
        for begin, end in ((None, fault.intended), (since, until), (gone, None)))
    found = judge(Seen(reached, before, _from(during), _from(after)), (until - since).total_seconds(), _PATIENCE)
    return BreakerResult(service.name, dependency, run.id, str(run.status), run.reasons, found if touched else None,
                         tuple(watched[index].name for index in touched),
                         tuple(one.name for index, one in enumerate(watched) if index not in touched))


def _from(answers: Sequence[Answer]) -> list[Answer]:
    """The same with times that count from the first."""
    first = min((one.at for one in answers), default=0.0)
    return [one._replace(at=one.at - first) for one in answers]
