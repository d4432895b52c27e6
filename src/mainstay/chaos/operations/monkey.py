"""`chaos monkey`: experiments at times that nobody planned; what it would do, and doing it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from mainstay.chaos.monkey import (
    STRIKES,
    ChaosMonkey,
    Choice,
    Circumstances,
    Strike,
    choose,
    look_of,
    simulate,
    touched_by,
)
from mainstay.chaos.operations.engine import execute
from mainstay.chaos.operations.finding import runs_of, services_of
from mainstay.chaos.operations.planning import Options
from mainstay.chaos.operations.starting import start_apart
from mainstay.chaos.practice_view import monkey_view
from mainstay.chaos.price import open_incidents
from mainstay.chaos.spec import Experiment
from mainstay.chaos.state import Run
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import Conflict, InvalidInput, MainstayError
from mainstay.kernel.journal import AlreadyRecorded, Batch, Fact, FactQuery, NewFact
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import Span, parse_duration
from mainstay.kernel.workload import Workload

STRUCK, REFUSED, SPARED = "monkey.struck", "monkey.refused", "monkey.spared"
"""It began an experiment; it wanted to, and the engine refused; it would have begun one, and does nothing for real."""

LATE = timedelta(minutes=1)
"""A server that looks later than this was down or asleep at the look: what it would begin now, nobody declared."""

_SHOWN = 10

_LONGEST = timedelta(days=366)


@dataclass(frozen=True)
class MonkeyRequest:
    """Which monkey, and whether it only says what it would do."""

    name: str = arg("a chaos monkey of the catalog; the only one when left out", "", positional=True)
    go: bool = arg("do it: begin what this look draws; without it nothing is touched", False)
    simulate: str = arg("say everything it would do in the time ahead, if things stay as they are", "",
                        value="DURATION")
    everything: bool = arg("show what was not drawn, too", False)


@dataclass(frozen=True, slots=True)
class Past:
    """Something of its history; the field names are stable JSON.

    Args:
        what: `begun`, `refused`, or `spared`: it would have been begun, were the monkey not on a dry run.
        seed: that the number was drawn from; drawn: that number, 0..1.
        run, status: what became of it; empty when it was not begun.
        why: why it was refused.
    """

    at: datetime
    experiment: str
    what: str
    by: str
    drawn: float | None = None
    seed: int | None = None
    run: str = ""
    status: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """What came of a look, or of all looks of a time to come; the field names are stable JSON.

    Args:
        at: the look.
        until: of a simulation: its end.
        expected: of a simulation: how many experiments begin a week on average.
        run: the run that was begun; empty when none was.
        status: how it ended.
        problem: why an experiment that was drawn was not begun by the engine.
        dry_run: whether `mainstay serve` only writes down what it would begin.
        past: what it began, was refused and spared, the last of it.
    """

    monkey: str
    at: datetime
    went: bool
    choices: tuple[Choice, ...]
    history: tuple[Strike, ...]
    until: datetime | None = None
    expected: float | None = None
    run: str = ""
    status: str = ""
    problem: str = ""
    dry_run: bool = True
    past: tuple[Past, ...] = ()


def monkey(world: World, request: MonkeyRequest) -> Look:
    """Say what the chaos monkey draws now, or in the days to come; with --go, begin it."""
    one = _named(world, request.name)
    past = history(world, one)
    if request.simulate:
        if request.go:
            raise InvalidInput("--simulate and --go exclude each other", "leave one of them out")
        length = parse_duration(request.simulate)
        if length > _LONGEST:
            raise InvalidInput(f"{request.simulate} is too long", "write a year or less")
        now = world.clock.now()
        found = tuple(ahead(world, one, length))
        struck = sum(choice.outcome == STRIKES for choice in found)
        return Look(one.name, now, False, found, past, now + length, struck / (length / timedelta(days=7)),
                    dry_run=one.dry_run)
    look = look_of(one, world.clock.now())
    choices = choose(one, look, past, circumstances(world, one))
    shown = choices if request.everything else tuple(
        choice for choice in choices if choice.outcome != "not drawn") or choices
    drawn = next((choice for choice in choices if choice.outcome == STRIKES), None)
    if not request.go or drawn is None:
        return Look(one.name, look, False, shown, past, dry_run=one.dry_run, past=told(world, one))
    return _go(world, one, drawn, Look(one.name, look, True, shown, past, dry_run=one.dry_run))


def _named(world: World, name: str) -> ChaosMonkey:
    declared = world.catalog.of(ChaosMonkey)
    if name:
        return world.catalog.get(ChaosMonkey, name)
    if len(declared) != 1:
        raise InvalidInput(f"the catalog declares {len(declared)} chaos monkeys",
                           "name one of " + ", ".join(one.name for one in declared) if declared else
                           "declare one; docs/guides/chaos.md shows how")
    return declared[0]


def history(world: World, one: ChaosMonkey, *, spared: bool = False) -> tuple[Strike, ...]:
    """What it began, in order; with what it spared, so that a dry run keeps the same distances."""
    facts = world.journal.facts(FactQuery(kinds=(STRUCK, SPARED) if spared else (STRUCK,), subject=one.name))
    return tuple(Strike(fact.at, str(fact.data["experiment"])) for fact in facts)


def told(world: World, one: ChaosMonkey) -> tuple[Past, ...]:
    """Its history, the last of it: what it began with how that ended, what was refused, what it spared."""
    facts = list(world.journal.facts(FactQuery(kinds=("monkey.",), subject=one.name)))[-_SHOWN:]
    begun = {run.reference: run for run in runs_of(world).values() if run.reference} if facts else {}
    refused = {fact.data.get("look") for fact in facts if fact.kind == REFUSED} - {None}
    return tuple(_past(fact, begun) for fact in facts
                 if fact.kind != STRUCK or fact.data["look"] not in refused)


def _past(fact: Fact, begun: Mapping[str, Run]) -> Past:
    what = {STRUCK: "begun", SPARED: "spared"}.get(fact.kind, "refused")
    run = begun.get(fact.key)
    return Past(fact.at, str(fact.data["experiment"]), what, fact.actor, fact.data.get("drawn"), fact.data.get("seed"),
                run.id if run is not None else "", str(run.status) if run is not None else "",
                str(fact.data.get("why", "")))


def ahead(world: World, one: ChaosMonkey, length: timedelta) -> Iterator[Choice]:
    """Everything that it would do in the time ahead if budgets and incidents stay as they are."""
    now = world.clock.now()
    yield from simulate(one, Span(now, now + length), history(world, one), circumstances(world, one))


def circumstances(world: World, one: ChaosMonkey) -> Circumstances:
    """Budgets, open incidents and targets of everything on its list."""
    workloads = {each.name: each.service for each in world.catalog.of(Workload)}
    incidents = list(world.journal.facts(FactQuery(kinds=("incident.",))))
    left: dict[str, float | None] = {}
    open_ones: dict[str, str] = {}
    targets = {}
    for candidate in one.candidates:
        experiment = world.catalog.get(Experiment, candidate.experiment)
        services = services_of(world, experiment)
        standings = world.standing(world, services)
        if standings:
            known = [1 - standing.spent for standing in standings if standing.spent is not None]
            left[experiment.name] = min(known) if len(known) == len(standings) else None
        if found := open_incidents(incidents, services):
            open_ones[experiment.name] = found[0]
        targets[experiment.name] = touched_by(experiment, workloads)
    return Circumstances(left, open_ones, targets)


# -- going --------------------------------------------------------------------------------------------------------


def _go(world: World, one: ChaosMonkey, drawn: Choice, look: Look) -> Look:
    """Begin what was drawn. The look is taken first: two that are told to go at once begin it once."""
    experiment = world.catalog.get(Experiment, drawn.experiment)
    if not _taken(world, one, drawn, STRUCK):
        raise Conflict(f"{one.name} went at {drawn.at:%H:%M} UTC already", "it looks again at its next hour")
    try:
        run = execute(world, experiment, _options(one, drawn))
    except MainstayError as error:
        _refused(world, one, drawn, error)
        return replace(look, problem=error.message)
    return replace(look, run=run.id, status=str(run.status))


def look_around(world: World, one: ChaosMonkey) -> str:
    """A look of `mainstay serve`: what is drawn is begun in a process of its own, or written down where the monkey is
    on a dry run; what happened, in a sentence, empty when nothing was drawn.

    A look happens once, however many servers look; one that is over for longer than `LATE` does not happen any more.
    """
    now = world.clock.now()
    look = look_of(one, now)
    if now - look > LATE:
        return ""
    past = history(world, one, spared=one.dry_run)
    drawn = next((each for each in choose(one, look, past, circumstances(world, one)) if each.outcome == STRIKES), None)
    if drawn is None or not _taken(world, one, drawn, SPARED if one.dry_run else STRUCK):
        return ""
    if one.dry_run:
        return f"{one.name} would have begun {drawn.experiment}"
    experiment = world.catalog.get(Experiment, drawn.experiment)
    try:
        started = start_apart(world, experiment, _options(one, drawn))
    except MainstayError as error:
        _refused(world, one, drawn, error)
        return f"{one.name} drew {drawn.experiment}, and it was not begun: {error.message}"
    return f"{one.name} began {drawn.experiment}: {started.run}"


def _taken(world: World, one: ChaosMonkey, drawn: Choice, kind: str) -> bool:
    """Whether the look is ours: it is recorded, and was not before."""
    taken = NewFact(kind, one.name, world.clock.now(), {
        "experiment": drawn.experiment, "look": drawn.at.isoformat(), "drawn": drawn.drawn, "seed": one.seed},
        key=_key(one, drawn), actor=world.actor)
    try:
        world.journal.commit(Batch([taken], fresh=True))
    except AlreadyRecorded:
        return False
    return True


def _refused(world: World, one: ChaosMonkey, drawn: Choice, error: MainstayError) -> None:
    world.journal.commit(Batch([NewFact(REFUSED, one.name, world.clock.now(), {
        "experiment": drawn.experiment, "look": drawn.at.isoformat(), "drawn": drawn.drawn, "seed": one.seed,
        "why": error.message}, actor=world.actor)]))


def _options(one: ChaosMonkey, drawn: Choice) -> Options:
    return Options(seed=int(drawn.drawn * 2**31), reference=_key(one, drawn))


def _key(one: ChaosMonkey, drawn: Choice) -> str:
    return f"monkey:{one.name}:{drawn.at.isoformat()}"


def strikes(choices: Sequence[Choice]) -> int:
    """How many experiments begin."""
    return sum(one.outcome == STRIKES for one in choices)


MONKEY = Operation(
    "chaos", "monkey", MonkeyRequest, monkey, monkey_view, scope="approve", doors=("cli",),
    exit_code=lambda found: 1 if found.problem or found.status not in ("", "passed") else 0,
    exit_codes=((0, "said, or begun and passed; also when nothing was drawn"),
                (1, "what was begun did not pass, or the engine refused it"), (2, "the input cannot be used")),
    examples=("mainstay chaos monkey", "mainstay chaos monkey weekdays --simulate 30d",
              "mainstay chaos monkey weekdays --go --json"))
