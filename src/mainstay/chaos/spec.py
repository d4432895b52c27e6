"""`mainstay/v1 Experiment`: what is broken, what must hold meanwhile, how far it may go, and when it stops."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from datetime import timedelta

from mainstay.chaos.hypothesis import Hypothesis, Probe, Standing
from mainstay.chaos.kinds import Kind, kind_named
from mainstay.chaos.probe_forms import read_hypothesis, read_probe, share
from mainstay.chaos.workloads import GRAMMAR as WORKLOADS
from mainstay.kernel.catalog import Catalog, Form, Grammar, Reference, Resource
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, MainstayError
from mainstay.kernel.faults import Setting
from mainstay.kernel.finding import Finding, Position, Severity, did_you_mean
from mainstay.kernel.metadata import read_metadata
from mainstay.kernel.objective import Objective
from mainstay.kernel.quantity import zone_named
from mainstay.kernel.reader import Reader
from mainstay.kernel.wallclock import EVERY_DAY, WeeklyHours, parse_clock, parse_day
from mainstay.kernel.workload import Workload, workload_named


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a phase.

    Args:
        kind: its name in the table of kinds, never an alias.
        workload: whose; empty is the experiment's target.
        settings: every parameter of the kind, in its unit.
        share: the blast radius, 0..1.
        felt_by: a probe of the user's that holds without the fault and misses with it: one more proof, in and out.
    """

    kind: str
    where: Position
    workload: str = ""
    dependency: str = ""
    settings: Mapping[str, Setting] = field(default_factory=dict)
    share: float = 1.0
    felt_by: Probe | None = None


@dataclass(frozen=True, slots=True)
class Phase:
    """Faults that are there together.

    Args:
        pause: seconds of watching before they are put in.
        seconds: how long they stay.
    """

    name: str
    faults: tuple[Fault, ...]
    seconds: float = 60.0
    pause: float = 0.0


@dataclass(frozen=True, slots=True)
class AbortWhen:
    """What stops a run beside its own hypothesis.

    Args:
        burn_rate: an objective of the service burns faster than this; None does not look.
        spent: share of an objective's budget that is spent, 0..; None does not look.
        incident: an incident opens on the service, or is reopened.
    """

    burn_rate: float | None = None
    spent: float | None = None
    incident: bool = True


@dataclass(frozen=True, slots=True)
class Hours:
    """When it may run, in a zone; without any it may run at every hour."""

    zone: str = "UTC"
    weekly: tuple[WeeklyHours, ...] = ()


@dataclass(frozen=True, slots=True)
class Spend:
    """What of the error budget it may cost.

    Args:
        keep: share of the whole budget that must be left when every hit request failed.
        impact: share of the hit requests that are expected to fail.
        required: whether it is refused where nothing was measured, so that nothing can be predicted.
    """

    keep: float = 0.0
    impact: float = 1.0
    required: bool = False


@dataclass(frozen=True, slots=True)
class Widen:
    """The blast radius grows from share to share while a sequential test says that the system is healthy.

    Args:
        shares: ascending, 0..1; each replaces the share of every fault.
        healthy, unhealthy: share of missed probes that is fine, and that is not; the test tells them apart.
        risk: the chance of either mistake, at most.
        longest: seconds after which a step that the test could not decide ends the run.
    """

    shares: tuple[float, ...]
    healthy: float = 0.01
    unhealthy: float = 0.1
    risk: float = 0.05
    longest: float = 300.0


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment as declared.

    Args:
        service: whose budget it spends and whose incidents stop it; empty is the target's.
        stabilise: seconds within which the steady state must be back after the last fault is out.
        rollback: what people do by hand when a fault cannot be taken out, in order.
        manual: whether faults are accepted that nobody takes out when the run is killed.
        target_at: where the target is written; None where it was not read from a file.
    """

    name: str
    origin: Position
    target: str
    hypothesis: Hypothesis
    phases: tuple[Phase, ...]
    title: str = ""
    description: str = ""
    owner: str = ""
    service: str = ""
    stabilise: float = 30.0
    abort_when: AbortWhen = AbortWhen()
    hours: Hours = Hours()
    spend: Spend = Spend()
    widen: Widen | None = None
    rollback: tuple[str, ...] = ()
    manual: bool = False
    target_at: Position | None = field(default=None, compare=False)

    @property
    def seconds(self) -> float:
        """How long it may take from the first probe to the last, at most, apart from putting in and taking out."""
        steps = len(self.widen.shares) - 1 if self.widen is not None else 0
        longest = self.widen.longest if self.widen is not None else 0.0
        return sum(one.pause + one.seconds + steps * longest for one in self.phases) + self.stabilise

    @property
    def faulty_seconds(self) -> float:
        """How long faults are there, at most."""
        steps = len(self.widen.shares) - 1 if self.widen is not None else 0
        longest = self.widen.longest if self.widen is not None else 0.0
        return sum(one.seconds + steps * longest for one in self.phases if one.faults)

    @property
    def share(self) -> float:
        """The greatest blast radius that it reaches."""
        if self.widen is not None:
            return self.widen.shares[-1]
        return max((fault.share for phase in self.phases for fault in phase.faults), default=0.0)

    def lasting(self, seconds: float) -> Experiment:
        """The same with phases that keep their proportions and last this long together.

        Raises:
            InvalidInput: not above zero.
        """
        if seconds <= 0:
            raise InvalidInput("the duration is not above zero", "write how long the faults stay, such as 30s")
        whole = sum(one.seconds for one in self.phases)
        return replace(self, phases=tuple(replace(one, seconds=seconds * one.seconds / whole) for one in self.phases))


_DURATION, _STABILISE = 60.0, 30.0


def read_experiment(reader: Reader) -> Iterator[Experiment]:
    """mainstay/v1 Experiment."""
    meta = read_metadata(reader)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is None:
        return
    before = len(spec.findings)
    steady = spec.child("hypothesis", required=True)
    hypothesis = read_hypothesis(steady) if steady is not None else Hypothesis()
    stabilise = spec.duration("stabilise")
    whole = spec.duration("duration")
    found = Experiment(
        meta.name, meta.origin, spec.text("target", required=True, default=""), hypothesis,
        tuple(_phases(spec, whole)), meta.title, spec.text("description", default=""), meta.owner, meta.service,
        stabilise.total_seconds() if stabilise is not None else _STABILISE, _abort_when(spec), _hours(spec),
        _spend(spec), _widen(spec), spec.texts("rollback"), spec.flag("manual"), spec.where_of("target"))
    spec.done()
    if meta.name and len(spec.findings) == before:
        yield found


def _phases(spec: Reader, whole: timedelta | None) -> Iterator[Phase]:
    """The phases, or the one phase whose faults stand beside them."""
    if spec.has("faults") == spec.has("phases"):
        spec.report("one-of", f"{spec.path} needs faults or phases, and only one of the two",
                    "write faults: for one phase, phases: for several in a row")
    faults = tuple(_fault(one) for one in spec.children("faults"))
    if faults:
        yield Phase("", faults, _DURATION if whole is None else whole.total_seconds())
    children = spec.children("phases")
    if children and whole is not None:
        spec.report("one-of", f"{spec.path}.duration says how long one phase lasts, and there are phases",
                    "write duration: in each phase", "duration")
    for index, one in enumerate(children, 1):
        length, pause = one.duration("duration"), one.duration("pause")
        yield Phase(one.text("name", default=f"phase {index}"),
                    tuple(_fault(each) for each in one.children("faults", required=True)),
                    length.total_seconds() if length is not None else _DURATION,
                    pause.total_seconds() if pause is not None else 0.0)
        one.done()


def _fault(one: Reader) -> Fault:
    kind = one.parsed("kind", _kind, required=True)
    settings = one.child("settings")
    read = _settings(one, settings, kind) if kind is not None else {}
    amount = one.parsed("share", share)
    felt_by = one.child("felt_by")
    fault = Fault(kind.name if kind is not None else "", one.where_of("kind"), one.text("workload", default=""),
                  one.text("dependency", default=""), read, 1.0 if amount is None else amount,
                  read_probe(felt_by) if felt_by is not None else None)
    one.done()
    if kind is not None and (kind.hits == "dependency") != bool(fault.dependency) and kind.hits != "address":
        one.report("missing-field" if kind.hits == "dependency" else "unknown-field",
                   f"{one.path}: {kind.name} " + ("needs the dependency that is meant" if kind.hits == "dependency"
                                                  else "is not about a dependency"),
                   "write dependency: NAME" if kind.hits == "dependency" else "leave dependency out", "dependency")
    if fault.share == 0:
        one.report("out-of-range", f"{one.path}.share is 0, which hits nobody", "write a share such as 10%", "share")
    return fault


def _kind(text: str) -> Kind:
    try:
        return kind_named(text)
    except MainstayError as error:
        raise InvalidInput(error.message, error.way_out) from None


def _settings(fault: Reader, child: Reader | None, kind: Kind) -> dict[str, Setting]:
    """Each parameter on its own, so that each mistake is found, and at its place."""
    at = child if child is not None else fault
    found: dict[str, Setting] = {}
    for one in kind.parameters:
        given = child.text(one.name) if child is not None else None
        try:
            found |= replace(kind, parameters=(one,)).settings({} if given is None else {one.name: given})
        except MainstayError as error:
            at.report("invalid-value" if given is not None else "missing-field", error.message, error.way_out,
                      one.name)
    if child is not None:
        child.done()
    return found


def _abort_when(spec: Reader) -> AbortWhen:
    child = spec.child("abort_when")
    if child is None:
        return AbortWhen()
    found = AbortWhen(child.number("burn_rate", minimum=0), child.parsed("spent", share),
                      child.flag("incident", default=True))
    child.done()
    return found


def _hours(spec: Reader) -> Hours:
    child = spec.child("hours")
    if child is None:
        return Hours()
    zone = child.parsed("zone", lambda text: str(zone_named(text))) or "UTC"
    days = frozenset(day for name in child.texts("days") if (day := _day(child, name)) is not None) or EVERY_DAY
    start, end = child.parsed("from", parse_clock), child.parsed("to", parse_clock)
    child.done()
    return Hours(zone, (WeeklyHours(days, start or 0, 24 * 60 if end is None else end),))


def _day(child: Reader, name: str) -> int | None:
    try:
        return parse_day(name)
    except InvalidInput as error:
        child.report("invalid-value", error.message, error.way_out, "days")
        return None


def _spend(spec: Reader) -> Spend:
    child = spec.child("budget")
    if child is None:
        return Spend()
    keep, impact = child.parsed("keep", share), child.parsed("impact", share)
    child.done()
    return Spend(keep or 0.0, 1.0 if impact is None else impact, True)


def _widen(spec: Reader) -> Widen | None:
    child = spec.child("widen")
    if child is None:
        return None
    shares = []
    for text in child.texts("shares", required=True):
        try:
            shares.append(share(text))
        except InvalidInput as error:
            child.report("invalid-value", error.message, error.way_out, "shares")
    healthy, unhealthy = child.parsed("healthy", share), child.parsed("unhealthy", share)
    longest = child.duration("longest")
    usual = Widen(())
    found = Widen(tuple(shares), usual.healthy if healthy is None else healthy,
                  usual.unhealthy if unhealthy is None else unhealthy,
                  longest=usual.longest if longest is None else longest.total_seconds())
    child.done()
    if list(found.shares) != sorted(set(found.shares)) or not all(found.shares):
        child.report("out-of-order", f"{child.path}.shares do not grow", "write shares: [1%, 5%, 10%]", "shares")
    if not 0 < found.healthy < found.unhealthy < 1:
        child.report("out-of-order", f"{child.path}.healthy is not below unhealthy",
                     "write healthy: 1% and unhealthy: 10%", "healthy")
    return found


# -- together -----------------------------------------------------------------------------------------------------


def probes_of(one: Experiment) -> Iterator[Probe]:
    """Every probe of the experiment, those of its faults too."""
    yield from one.hypothesis.probes
    yield from (fault.felt_by for phase in one.phases for fault in phase.faults if fault.felt_by is not None)


def links(resource: Resource) -> Iterator[Reference]:
    """Workloads and objectives that an experiment names."""
    if not isinstance(resource, Experiment):
        return
    for phase in resource.phases:
        for fault in phase.faults:
            if fault.workload:
                yield Reference(Workload, fault.workload, fault.where)
    for probe in probes_of(resource):
        if probe.workload:
            yield Reference(Workload, probe.workload, probe.where or resource.origin)
        if isinstance(probe.ask, Standing):
            yield Reference(Objective, probe.ask.objective, probe.where or resource.origin)


def check(catalog: Catalog) -> Iterator[Finding]:
    """Targets that exist and may be broken, and dependencies that they declare."""
    for one in catalog.of(Experiment):
        try:
            target = workload_named(catalog, one.target)
        except MainstayError as error:
            if one.target not in catalog.doubtful:
                yield Finding("unknown-reference", one.target_at or one.origin, f"{one.name}: {error.message}",
                              error.way_out)
            continue
        if not target.experiments:
            yield Finding("not-open-to-experiments", one.target_at or one.origin,
                          f"{one.name} would be refused: {target.name} is not open to experiments",
                          f"write experiments: true in the Workload {target.name}", severity=Severity.WARNING)
        for phase in one.phases:
            for fault in phase.faults:
                workload = catalog.find(Workload, fault.workload) if fault.workload else target
                known = [each.name for each in workload.dependencies] if workload is not None else []
                if workload is not None and fault.dependency and fault.dependency not in known:
                    yield Finding("unknown-reference", fault.where, f"{workload.name} declares no dependency "
                                  f'"{fault.dependency}"{did_you_mean(fault.dependency, known)}',
                                  "known: " + ", ".join(known) if known
                                  else f"add dependencies to the Workload {workload.name}")


GRAMMAR = Grammar((Form("mainstay/v1 Experiment", read_experiment, "mainstay/v1", "Experiment"),), (links,),
                  (check,)) + WORKLOADS
"""All that the word reads."""
