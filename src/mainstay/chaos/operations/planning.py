"""What a run would do, what it may cost, and everything that forbids it; nothing is touched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field, replace
from datetime import timedelta

from mainstay.chaos.hypothesis import Asked, Probe, Standing, said
from mainstay.chaos.kinds import kind_named
from mainstay.chaos.operations.asking import bound
from mainstay.chaos.price import Damage, Price, closed_until, open_incidents, price
from mainstay.chaos.spec import Experiment, Fault, probes_of
from mainstay.chaos.state import HALTED, LIFTED, halted
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import MainstayError
from mainstay.kernel.faults import Healing, Order
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.locks import held
from mainstay.kernel.ports import World
from mainstay.kernel.probing import Ask, CallAsk
from mainstay.kernel.quantity import Span
from mainstay.kernel.workload import Workload, workload_named


@dataclass(frozen=True, slots=True)
class Options:
    """How this run is to be made.

    Args:
        seed: of every draw.
        seconds: how long all phases together last; None is as declared.
        manual: accept faults that nobody takes out when the run is killed.
        calls: probes may call functions of Python modules.
        reference: what asked for it; kept with the run.
    """

    seed: int = 0
    seconds: float | None = None
    manual: bool = False
    calls: bool = False
    reference: str = ""


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """A fault as it would be put in; the field names are stable JSON, as of all here."""

    kind: str
    workload: str
    dependency: str
    settings: dict[str, float | str]
    share: float
    mechanism: str = ""
    healing: str = ""
    does: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """A phase at one blast radius.

    Args:
        widens: whether a sequential test decides when it is over; it lasts `seconds` at most.
        orders: what the injector is asked for; beside them the faults that they are of.
    """

    phase: str
    share: float
    pause: float
    seconds: float
    widens: bool
    orders: tuple[Order, ...]
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do.

    Args:
        refusals: why it would not be started, a sentence each; empty when it would.
        notes: what is worth knowing before.
    """

    experiment: str
    target: str
    service: str
    title: str
    probes: tuple[dict[str, str], ...]
    faults: tuple[PlannedFault, ...]
    seconds: float
    prices: tuple[Price, ...]
    refusals: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that a run needs, worked out before anything is touched."""

    plan: Plan
    experiment: Experiment
    target: Workload
    services: tuple[str, ...]
    steps: tuple[Step, ...]
    probes: tuple[Probe, ...]
    felt_by: dict[str, Probe] = field(default_factory=dict)


def prepare(world: World, experiment: Experiment, options: Options) -> Prepared:
    """What a run would do, and what forbids it.

    Raises:
        NotFound, InvalidInput: it names what is not there, or a probe that cannot be asked.
    """
    if options.seconds is not None:
        experiment = experiment.lasting(options.seconds)
    target = workload_named(world.catalog, experiment.target)
    probes = tuple(bound(probe, world.catalog, target) for probe in experiment.hypothesis.probes)
    steps = tuple(_steps(world, experiment, target, options.seed))
    services = tuple(dict.fromkeys((experiment.service or target.service,
                                    *(order.workload.service for step in steps for order in step.orders))))
    faults = tuple(_planned(world, order) for step in steps for order in step.orders)
    prices = tuple(_prices(world, experiment, services))
    refusals = [*_forbidden(world, experiment, steps, services), *_unreal(faults, experiment.manual or options.manual),
                *_too_dear(prices, required=experiment.spend.required)]
    if not options.calls and any(isinstance(question, CallAsk)
                                 for probe in probes_of(experiment) for question in questions(probe)):
        refusals.append("a probe calls a Python function, which only mainstay chaos run --allow-python lets it")
    refusals += [f"{probe.name} cannot be asked here: {why}" + (f"; {mend}" if mend else "")
                 for probe, why, mend in unaskable(world, experiment)]
    plan = Plan(experiment.name, target.name, services[0], experiment.hypothesis.title or experiment.title,
                tuple({"name": probe.name, "tolerance": said_of(probe)} for probe in probes), faults,
                experiment.seconds, prices, tuple(refusals), tuple(_notes(prices, required=experiment.spend.required)))
    felt_by = {f"{number}.{place}": bound(fault.felt_by, world.catalog, order.workload)
               for number, step in enumerate(steps, 1)
               for place, (fault, order) in enumerate(zip(step.faults, step.orders, strict=True), 1)
               if fault.felt_by is not None}
    return Prepared(plan, experiment, target, services, steps, probes, felt_by)


def questions(probe: Probe) -> Iterator[Ask]:
    """What has to be asked for one answer: its own question, and that of the probe that decides on it."""
    if not isinstance(probe.ask, Standing):
        yield probe.ask
    if isinstance(probe.tolerance, Asked):
        yield probe.tolerance.ask


def unaskable(world: World, experiment: Experiment) -> Iterator[tuple[Probe, str, str]]:
    """Probes for which a program, a source or a module is missing here; what is missing, and what would mend it."""
    prober = world.prober()
    for probe in probes_of(experiment):
        for question in questions(probe):
            why, mend = prober.lacks(question)
            if why:
                yield probe, why, mend


def said_of(probe: Probe) -> str:
    """What a probe tolerates, in words."""
    faster = "" if probe.faster is None else f" within {probe.faster:g} s"
    kind = f"{probe.ask.objective} " if isinstance(probe.ask, Standing) else ""
    return kind + said(probe.tolerance) + faster


def _steps(world: World, experiment: Experiment, target: Workload, seed: int) -> Iterator[Step]:
    widen = experiment.widen
    for phase in experiment.phases:
        shares: Sequence[float | None] = (None,) if widen is None else widen.shares
        for index, share in enumerate(shares):
            last = index == len(shares) - 1
            seconds = phase.seconds if last or widen is None else widen.longest
            orders = tuple(replace(order, share=order.share if share is None else share, seconds=seconds + _SLACK,
                                   seed=seed + place)
                           for place, order in enumerate(_order(world, fault, target) for fault in phase.faults))
            yield Step(phase.name, share if share is not None else max((one.share for one in orders), default=0.0),
                       phase.pause if index == 0 else 0.0, seconds, not last, orders, phase.faults)


def step_words(step: Step, steps: Sequence[Step]) -> str:
    """`slow at 5 %: `, which step is meant where there are several; empty where there is one."""
    parts = [step.phase] if len({one.phase for one in steps}) > 1 else []
    if sum(one.phase == step.phase for one in steps) > 1:
        parts.append(f"at {step.share * 100:.3g} %")
    return " ".join(parts) + ": " if parts else ""


_SLACK = 90.0
"""Seconds that a fault may live longer than its phase: putting in, proving and taking out others takes a while."""


def _order(world: World, fault: Fault, target: Workload) -> Order:
    workload = workload_named(world.catalog, fault.workload) if fault.workload else target
    if fault.dependency:
        workload.dependency(fault.dependency)
    replicas = tuple(workload_named(world.catalog, name) for name in workload.replicas)
    return Order(fault.kind, workload, fault.dependency, fault.settings, fault.share, replicas=replicas,
                 upstream=world.catalog.find(Workload, fault.dependency) if fault.dependency else None)


def _planned(world: World, order: Order) -> PlannedFault:
    planned = PlannedFault(order.kind, order.workload.name, order.dependency, dict(order.settings), order.share)
    try:
        means = world.injector().means(order)
    except MainstayError as error:
        return replace(planned, problem=error.message + (f"; {error.way_out}" if error.way_out else ""))
    return replace(planned, mechanism=means.mechanism, healing=str(means.healing), does=means.does)


_RECENT = timedelta(hours=1)


def _prices(world: World, experiment: Experiment, services: Sequence[str]) -> Iterator[Price]:
    now = world.clock.now()
    spent = {one.objective: one for one in world.spent(world, services, Span(now - _RECENT, now), True)}
    damage = Damage(experiment.share, experiment.faulty_seconds, experiment.spend.impact)
    for standing in world.standing(world, services):
        yield price(standing, spent.get(standing.objective), damage, experiment.spend, _RECENT)


def _forbidden(world: World, experiment: Experiment, steps: Sequence[Step], services: Sequence[str]) -> Iterator[str]:
    now = world.clock.now()
    switch = halted(world.journal.facts(FactQuery(kinds=(HALTED, LIFTED))))
    if switch is not None:
        yield (f"{switch.actor} has stopped all experiments at {switch.at:%-d %b %H:%M} UTC"
               + (f": {switch.data.get('why')}" if switch.data.get("why") else "") + "; mainstay chaos abort --lift")
    if closed := closed_until(experiment.hours, now, timedelta(seconds=experiment.seconds)):
        yield closed
    for workload in touched(steps):
        if not workload.experiments:
            yield f"{workload.name} is not open to experiments; write experiments: true in its Workload"
        lock = held(world.journal, workload.name, now)
        if lock is not None:
            yield f"{lock.holder} acts on {workload.name} until {lock.until:%H:%M:%S} UTC at the latest"
    if experiment.abort_when.incident:
        for name in open_incidents(world.journal.facts(FactQuery(kinds=("incident.",))), services):
            yield f"{name} is open on {', '.join(services)}; an experiment would get in the way of those who mend it"


def touched(steps: Sequence[Step]) -> tuple[Workload, ...]:
    """Every workload that a fault is put into, its replicas too, each once."""
    found = [one for step in steps for order in step.orders for one in (order.workload, *order.replicas)]
    return tuple({one.name: one for one in found}.values())


def obstacle(world: World, experiment: Experiment, fault: Fault) -> str:
    """Why one fault of the experiment cannot be put in here as it is; empty when it can. Nothing is touched."""
    order = _order(world, fault, workload_named(world.catalog, experiment.target))
    return next(_unreal((_planned(world, order),), experiment.manual), "")


def _unreal(faults: Sequence[PlannedFault], manual: bool) -> Iterator[str]:
    for one in faults:
        if one.problem:
            yield f"{one.kind} on {one.workload} cannot be put in here: {one.problem}"
        elif one.healing == Healing.MANUAL and not manual:
            yield (f"{one.kind} on {one.workload} would stay when this process is killed; "
                   "accept that with manual: true, or --manual")
        elif kind_named(one.kind).hits == "host" and one.share < 1:
            yield f"{one.kind} hits the whole host; a share of {one.share:.0%} cannot be kept"


def _too_dear(prices: Sequence[Price], *, required: bool) -> Iterator[str]:
    for one in prices:
        if one.affordable is False:
            yield "the error budget cannot pay for it: " + one.sentence
    if required and not any(one.affordable is not None for one in prices):
        yield "it is to be paid from an error budget, and nothing was measured of any; mainstay slo report measures"


def _notes(prices: Sequence[Price], *, required: bool) -> Iterator[str]:
    if not required and not any(one.affordable is not None for one in prices):
        yield "no error budget was measured; what it costs is not known"
