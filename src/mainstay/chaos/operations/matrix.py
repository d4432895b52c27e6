"""`chaos matrix`: every dependency in every kind of trouble, for real, and what becomes of whoever needs it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from mainstay.chaos.catalogue import (
    MEASURED,
    Measurement,
    Row,
    as_data,
    from_data,
    row,
    said,
    worse,
)
from mainstay.chaos.hypothesis import Hypothesis, Listed, Probe
from mainstay.chaos.kinds import kind_named
from mainstay.chaos.lifecycle import Status
from mainstay.chaos.matrix import (
    FAULT_OF,
    UNKNOWN,
    Answer,
    Asked,
    Case,
    Cell,
    Seen,
    Standards,
    cases,
    contract_of,
    interactions,
    judge,
    reach,
    some_of,
)
from mainstay.chaos.matrix_view import matrix_view
from mainstay.chaos.operations.driving import Driven, Driver, driven
from mainstay.chaos.operations.engine import execute
from mainstay.chaos.operations.planning import Options, prepare
from mainstay.chaos.spec import Experiment, Fault, Phase
from mainstay.chaos.state import Run
from mainstay.chaos.thresholds import Advice, breaker_threshold, places, time_out
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, MainstayError, NotFound
from mainstay.kernel.faults import Setting
from mainstay.kernel.finding import did_you_mean
from mainstay.kernel.journal import Batch, FactQuery, NewFact
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.probing import TcpAsk
from mainstay.kernel.quantity import format_duration, parse_duration
from mainstay.kernel.wording import many
from mainstay.kernel.workload import MODES, Workload, workload_named

_EVERY = 0.2
_ANY = Listed((True, False, None))


@dataclass(frozen=True)
class MatrixRequest:
    """Which troubles, for how long, and how they are watched."""

    workload: tuple[str, ...] = arg("only of this workload's dependencies", (), value="NAME")
    dependency: tuple[str, ...] = arg("only this dependency", (), value="NAME")
    modes: tuple[str, ...] = arg("only this kind of trouble", MODES, value="MODE")
    pairs: bool = arg("two dependencies in trouble at once, too", False)
    most: int = arg("with --pairs: at most so many of them, drawn by the seed", 12)
    within: str = arg("begin no case that would not be over so long after the start", "", value="DURATION")
    duration: str = arg("how long each trouble lasts", "5s", value="DURATION")
    baseline: str = arg("how long healthy requests are watched before the first trouble", "10s", value="DURATION")
    settle: str = arg("how long a system may take until it is well again", "3s", value="DURATION")
    rate: float = arg("requests a second, of each that the workloads declare", 10.0)
    patience: str = arg("how long a caller waits", "2s", value="DURATION")
    slow: str = arg("how much longer a slow dependency takes", "1s", value="DURATION")
    errors: float = arg("share of a failing dependency's answers that are errors, 0 to 1", 1.0)
    seed: int = arg("of every draw, also of which pairs", 0)
    dry_run: bool = arg("only say what would be done", False)
    last: bool = arg("show the last one that was measured", False)


@dataclass(frozen=True, slots=True)
class PlannedCase:
    """A case that would be measured; `refusals` say why it would not be."""

    case: str
    faults: tuple[str, ...]
    refusals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Matrix:
    """The matrix, or what measuring it would take; the field names are stable JSON.

    Args:
        measured: None for a dry run.
        planned: of a dry run.
        seconds: how long measuring takes, about.
        pairs: of all pairs of troubles that there are; 0 when none was asked for.
    """

    measured: Measurement | None
    planned: tuple[PlannedCase, ...] = ()
    requests: tuple[str, ...] = ()
    seconds: float = 0.0
    pairs: int = 0


@dataclass(frozen=True, slots=True)
class _Asked:
    """The request, read.

    Args:
        within: seconds from the start after which no case may go on; None is as long as it takes.
    """

    duration: float
    settle: float
    patience: float
    baseline: float
    settings: Mapping[str, Mapping[str, str | float]]
    standards: Standards
    within: float | None = None


def matrix(world: World, request: MatrixRequest) -> Matrix:
    """Put every dependency into every kind of trouble, and say what becomes of whoever needs it."""
    if request.last:
        return Matrix(latest(world))
    asked = _read(request)
    workloads = world.catalog.of(Workload)
    wanted = tuple(workload_named(world.catalog, name) for name in request.workload) or tuple(
        one for one in workloads if one.dependencies and one.experiments)
    if not wanted:
        raise InvalidInput("no workload that is open to experiments declares a dependency",
                           "write dependencies: and experiments: true in a Workload")
    every = tuple(case for case in cases(wanted, request.modes or MODES, pairs=request.pairs)
                  if not request.dependency or {one.dependency for one in case} <= _known(request.dependency, wanted))
    todo, pairs = some_of(every, request.most, request.seed), sum(len(case) > 1 for case in every)
    if request.pairs and not pairs:
        raise InvalidInput("there are no two dependencies that could be in trouble at once",
                           "name another --dependency, or leave --pairs out")
    watched = tuple(_watched(world, todo, asked))
    if not watched:
        raise InvalidInput("no workload that needs the dependencies can be asked anything",
                           "write address: and requests: (or health:) in the Workloads that callers use")
    experiments = [(case, experiment_of(world, case, wanted, asked)) for case in todo]
    whole = asked.baseline + len(todo) * _each(request, asked)
    if asked.within is not None:
        whole = min(whole, asked.within)
    if request.dry_run:
        return Matrix(None, tuple(_planned(world, case, experiment) for case, experiment in experiments),
                      tuple(f"{one.workload.name} {one.name}" for one in watched), whole, pairs)
    world.progress(f"{len(todo)} cases, about {format_duration(whole)}; {request.rate:g} requests a second of each of "
                   f"{len(watched)}")
    found = _measure(world, request, asked, experiments, watched)
    if pairs:
        found = replace(found, pairs=pairs, seed=request.seed)
    world.journal.commit(Batch([NewFact(MEASURED, "matrix", found.at, as_data(found), actor=world.actor)]))
    return Matrix(found, seconds=whole, pairs=pairs)


def latest(world: World) -> Measurement:
    """The matrix that was measured last.

    Raises:
        NotFound: none was.
    """
    fact = next(iter(world.journal.facts(FactQuery(kinds=(MEASURED,), newest_first=True, limit=1))), None)
    if fact is None:
        raise NotFound("no degradation matrix was measured yet", "measure it with mainstay chaos matrix")
    return from_data(fact.at, fact.data)


def _read(request: MatrixRequest) -> _Asked:
    seconds = {name: parse_duration(text).total_seconds() for name, text in (
        ("duration", request.duration), ("settle", request.settle), ("patience", request.patience),
        ("slow", request.slow), ("baseline", request.baseline))}
    if not 0 < request.rate <= 200:
        raise InvalidInput(f"--rate {request.rate:g} is no low rate", "write 0.1 to 200 requests a second")
    if not 0 < request.errors <= 1:
        raise InvalidInput(f"--errors {request.errors:g} is no share", "write 0.2, or 1 for every answer")
    if request.most < 1:
        raise InvalidInput(f"--most {request.most} is no number of pairs", "write 1 or more")
    within = parse_duration(request.within).total_seconds() if request.within else None
    if within is not None and within < seconds["baseline"] + seconds["duration"]:
        raise InvalidInput(f"--within {request.within} is too short for one case after the baseline",
                           "write a longer time, or a shorter --baseline")
    for mode in request.modes:
        if mode not in MODES:
            raise InvalidInput(f'there is no mode "{mode}"{did_you_mean(mode, MODES)}',
                               "write some of " + ", ".join(MODES))
    if seconds["duration"] * request.rate < Standards().least:
        raise InvalidInput(f"{request.duration} at {request.rate:g} a second are too few requests to prove anything",
                           f"write --duration {Standards().least / request.rate:g}s or more, or a higher --rate")
    settings: dict[str, dict[str, str | float]] = {mode: {} for mode in MODES}
    settings["slow"] = {"latency": seconds["slow"]}
    settings["errors"] = {"rate": request.errors}
    return _Asked(seconds["duration"], seconds["settle"], seconds["patience"], seconds["baseline"], settings,
                  Standards(patience=seconds["patience"], fast=min(0.5, seconds["patience"] / 2)), within)


def _known(names: Sequence[str], wanted: Sequence[Workload]) -> set[str]:
    """The dependencies of these names.

    Raises:
        NotFound: no workload that is asked about declares one of them.
    """
    known = sorted({each.name for one in wanted for each in one.dependencies})
    for name in names:
        if name not in known:
            raise NotFound(f'no workload declares a dependency "{name}"{did_you_mean(name, known)}',
                           "known: " + ", ".join(known))
    return set(names)


def _watched(world: World, todo: Sequence[Case], asked: _Asked) -> Iterator[Driven]:
    """Requests of every workload that needs, itself or through others, one of the dependencies, and of these: what
    they take while all is well is what time-outs come from."""
    troubled = {one.dependency for case in todo for one in case}
    needs = reach(world.catalog.of(Workload))
    for one in world.catalog.of(Workload):
        if needs[one.name] & troubled or one.name in troubled:
            yield from driven(one, asked.patience)


def experiment_of(world: World, case: Case, wanted: Sequence[Workload], asked: _Asked) -> Experiment:
    """The case as an experiment: the engine checks hours, budgets, incidents and locks, proves the faults and records.

    The hypothesis lets everything pass but a caller whose port nobody opens any more: what becomes of the requests is
    what is to be found out, and no reason to stop.
    """
    faults: list[Fault] = []
    for trouble in case:
        kind = kind_named(FAULT_OF[trouble.mode])
        settings: dict[str, Setting] = kind.settings(asked.settings[trouble.mode])
        callers = [one for one in wanted if any(each.name == trouble.dependency for each in one.dependencies)]
        faults += [Fault(kind.name, one.origin, one.name, trouble.dependency, settings) for one in callers]
    target = workload_named(world.catalog, faults[0].workload)
    alive = Probe("takes connections", TcpAsk(workload=target, seconds=asked.patience), _ANY)
    return Experiment(f"matrix: {said(case)}", target.origin, target.name,
                      Hypothesis("whatever becomes of the requests", (alive,), _EVERY),
                      (Phase("", tuple(faults), asked.duration),), service=target.service, stabilise=asked.settle + 10)


def _planned(world: World, case: Case, experiment: Experiment) -> PlannedCase:
    plan = prepare(world, experiment, Options()).plan
    return PlannedCase(said(case), tuple(f"{one.kind} between {one.workload} and {one.dependency}"
                                         + (f" ({one.mechanism})" if one.mechanism else "") for one in plan.faults),
                       plan.refusals)


# -- measuring --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Ran:
    """A case that was put in: when its faults were proven to be there, until when, and from when it was well again."""

    case: Case
    run: Run
    since: datetime | None = None
    until: datetime | None = None
    well: datetime | None = None
    over: datetime | None = None


def _each(request: MatrixRequest, asked: _Asked) -> float:
    """Seconds that a case takes, about, with two for putting in, proving and taking out."""
    return asked.duration + asked.settle + _after(request, asked) + 2.0


def _after(request: MatrixRequest, asked: _Asked) -> float:
    """Seconds of requests afterwards: as many as prove something."""
    return max(2.0, 1.5 * asked.standards.least / request.rate)


def _measure(world: World, request: MatrixRequest, asked: _Asked, experiments: Sequence[tuple[Case, Experiment]],
             watched: Sequence[Driven]) -> Measurement:
    ran: list[_Ran] = []
    stopped, began, each = "", world.clock.monotonic(), _each(request, asked)
    with Driver(world, watched, request.rate, seed=request.seed) as driver:
        driver.wait(asked.baseline)
        for number, (case, experiment) in enumerate(experiments, 1):
            world.progress(f"{number} of {len(experiments)}: {said(case)}")
            if asked.within is not None and ran and world.clock.monotonic() - began + each > asked.within:
                stopped = (f"the time of {request.within} was up: {said(case)} and what follows, "
                           f"{many(len(experiments) - number + 1, 'case')}, were not measured")
                break
            try:
                run = execute(world, experiment, Options(seed=request.seed + number))
            except MainstayError as error:
                if not ran:
                    raise
                stopped = f"{said(case)} and what follows were not measured: {error.message}"
                break
            ran.append(_timed(world, case, run, driver, (asked, _after(request, asked))))
            if run.status == Status.ABORTED:
                stopped = f"stopped during {said(case)}: " + "; ".join(run.reasons)
                break
    cells = [(cell, one.run.id) for one in ran for cell in _cells(world, (one, ran), watched, driver, asked)]
    rows = tuple(row(cell, run) for cell, run in cells)
    return Measurement(world.clock.now(), asked.duration, request.rate, asked.patience, rows,
                       worse(interactions([cell for cell, _ in cells])),
                       tuple(_advice(world, watched, [_healthy(driver, index, ran) for index in range(len(watched))],
                                     request.rate)), stopped)


def _timed(world: World, case: Case, run: Run, driver: Driver, waits: tuple[_Asked, float]) -> _Ran:
    """Wait until the system is well again and was watched for a while; from when to when all that was."""
    asked, after = waits
    proven = [one.applied for one in run.faults if one.applied is not None]
    removed = [one.removed for one in run.faults if one.removed is not None]
    if run.status == Status.INVALID or len(proven) < len(run.faults) or not proven:
        return _Ran(case, run)
    since = max(proven)
    over = max(removed) if len(removed) == len(run.faults) else world.clock.now()
    until = min(since + timedelta(seconds=asked.duration), *removed, over)
    well = over + timedelta(seconds=asked.settle)
    driver.wait(max(0.0, (well - world.clock.now()).total_seconds()) + after)
    return _Ran(case, run, since, until, well, world.clock.now())


def _healthy(driver: Driver, index: int, ran: Sequence[_Ran], without: _Ran | None = None) -> list[Answer]:
    """Answers from before the first fault, and from the pauses in which all was well again.

    Args:
        without: the pause after this case is left out: whether a system recovered is not measured by itself.
    """
    first = min((fault.intended for one in ran for fault in one.run.faults), default=None)
    out = driver.answers(index, None, first)
    for one in ran:
        if one.well is not None and one is not without:
            out += driver.answers(index, one.well, one.over)
    return out


def _cells(world: World, which: tuple[_Ran, Sequence[_Ran]], watched: Sequence[Driven], driver: Driver,
           asked: _Asked) -> Iterator[Cell]:
    one, ran = which
    troubled = {trouble.dependency for trouble in one.case}
    needs = reach(world.catalog.of(Workload))
    for index, each in enumerate(watched):
        name = each.workload.name
        if not needs[name] & troubled:
            continue
        direct = any(need.name in troubled for need in each.workload.dependencies)
        if one.since is None or one.until is None:
            yield Cell(name, each.name, one.case, direct, UNKNOWN, "; ".join(one.run.reasons) or "the fault was not "
                       "proven to be there", 0)
            continue
        yield judge(Asked(name, each.name, one.case, direct, contract_of(each.workload, one.case), asked.standards),
                    Seen(_healthy(driver, index, ran, one), driver.answers(index, one.since, one.until),
                         driver.answers(index, one.well, one.over)))


def _advice(world: World, watched: Sequence[Driven], healthy: Sequence[list[Answer]], rate: float) -> Iterator[Advice]:
    """Time-outs, thresholds and places for every call whose callee was measured itself."""
    measured: dict[str, list[Answer]] = {}
    for one, answers in zip(watched, healthy, strict=True):
        measured.setdefault(one.workload.name, []).extend(answers)
    for caller in world.catalog.of(Workload):
        for need in caller.dependencies:
            answers = measured.get(need.name, [])
            for found in (time_out(caller.name, need.name, answers), breaker_threshold(caller.name, need.name, answers),
                          places(caller.name, need.name, answers, rate)):
                if found is not None:
                    yield found


def broken(found: Matrix) -> tuple[Row, ...]:
    """Rows whose promise was broken."""
    return () if found.measured is None else found.measured.broken


MATRIX = Operation(
    "chaos", "matrix", MatrixRequest, matrix, matrix_view, scope="approve", doors=("cli",),
    exit_code=lambda found: 1 if broken(found) else 0,
    exit_codes=((0, "measured; no promise is broken"), (1, "a promise of a workload is broken"),
                (2, "the input cannot be used, or something forbids it")),
    examples=("mainstay chaos matrix --dry-run", "mainstay chaos matrix --workload api --modes down --modes slow",
              "mainstay chaos matrix --pairs --most 6 --within 10m --seed 7", "mainstay chaos matrix --last --json"))
