"""`mainstay chaos list`, `status`, `report` and `doctor`: nothing is touched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mainstay.chaos.kinds import KINDS
from mainstay.chaos.lifecycle import Status
from mainstay.chaos.operations.finding import lost, run_named, runs_of
from mainstay.chaos.spec import Experiment
from mainstay.chaos.state import HALTED, LIFTED, Run, halted
from mainstay.chaos.view import by_hand, figures, picture, run_blocks, share_words, status_cell, timeline
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.faults import Ability
from mainstay.kernel.finding import did_you_mean
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import format_duration
from mainstay.kernel.view import Block, Cell, Next, Text, View, table
from mainstay.kernel.wording import many

# -- list ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ListRequest:
    """What to list."""

    kinds: bool = arg("the kinds of faults and their parameters instead", False)


@dataclass(frozen=True, slots=True)
class Listed:
    """One experiment, with how its last run ended.

    Args:
        seconds: how long it takes at most.
        last: the id of its last run; empty when it never ran.
    """

    name: str
    target: str
    title: str
    faults: tuple[str, ...]
    share: float
    seconds: float
    last: str = ""
    status: Status | None = None


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a kind; `default` is None where it has to be given."""

    name: str
    unit: str
    help: str
    default: float | str | None


@dataclass(frozen=True, slots=True)
class ListedKind:
    """One kind of fault."""

    name: str
    title: str
    group: str
    hits: str
    parameters: tuple[Parameter, ...]
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """Experiments, or kinds of faults."""

    experiments: tuple[Listed, ...] = ()
    kinds: tuple[ListedKind, ...] = ()


def list_(world: World, request: ListRequest) -> Listing:
    """List the experiments of the catalog with their last runs, or the kinds of faults."""
    if request.kinds:
        return Listing(kinds=tuple(ListedKind(
            kind.name, kind.title, kind.group, kind.hits,
            tuple(Parameter(one.name, one.unit, one.help, one.default) for one in kind.parameters), kind.aliases)
            for kind in KINDS))
    latest = {run.experiment: run for run in runs_of(world).values()}
    return Listing(tuple(_listed(one, latest.get(one.name)) for one in world.catalog.of(Experiment)))


def _listed(one: Experiment, last: Run | None) -> Listed:
    faults = tuple(dict.fromkeys(fault.kind for phase in one.phases for fault in phase.faults))
    return Listed(one.name, one.target, one.title or one.hypothesis.title, faults, one.share, one.seconds,
                  last.id if last is not None else "", last.status if last is not None else None)


def list_view(found: Listing) -> View:
    """A row each."""
    if found.kinds:
        rows = [(kind.name, kind.title, kind.group, ", ".join(
            one.name + ("" if one.default is None else f"={one.default:g}" if isinstance(one.default, float)
                        else f"={one.default}") for one in kind.parameters)) for kind in found.kinds]
        return View("Faults", (table("Kinds of faults", ("kind", "what happens", "group", "settings"), rows),
                               Next(("mainstay chaos doctor",))))
    experiments = [(one.name, one.target, ", ".join(one.faults), share_words(one.share), format_duration(one.seconds),
                    Cell("–", tone="quiet") if one.status is None else status_cell(one.status), one.last)
                   for one in found.experiments]
    return View("Experiments", (
        table("Experiments", ("experiment", "target", "faults", "share>", "at most>", "last", "run"), experiments,
              empty="none is declared; docs/guides/chaos.md shows how one is written"),
        Next(("mainstay chaos plan NAME", "mainstay chaos list --kinds"))))


LIST = Operation("chaos", "list", ListRequest, list_, list_view, numbers=False,
                 catalog=lambda request: "unused" if request.kinds else "checked",
                 examples=("mainstay chaos list -c shop", "mainstay chaos list --kinds --json"))


# -- status --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StatusRequest:
    """Which run."""

    run: str = arg("a run, an experiment, or last; all runs when left out", "", positional=True)
    limit: int = arg("the last so many runs", 20)


@dataclass(frozen=True, slots=True)
class Standing:
    """How runs stand.

    Args:
        halted: who stopped all experiments, and why; empty when nobody did.
        lost: runs whose process is gone although they have not ended.
    """

    runs: tuple[Run, ...]
    lost: tuple[str, ...]
    halted: str = ""


def status(world: World, request: StatusRequest) -> Standing:
    """Say how runs stand: which go on, how the others ended, and whether all are stopped."""
    if request.limit < 1:
        raise InvalidInput(f"--limit {request.limit} is no number of runs", "write 1 or more")
    runs = [run_named(world, request.run)] if request.run else list(runs_of(world).values())[-request.limit:]
    switch = halted(world.journal.facts(FactQuery(kinds=(HALTED, LIFTED))))
    words = "" if switch is None else f"{switch.actor} at {switch.at:%-d %b %H:%M} UTC" + (
        f": {switch.data['why']}" if switch.data.get("why") else "")
    return Standing(tuple(replace(run, samples=()) for run in runs),
                    tuple(run.id for run in runs if lost(world, run)), words)


def status_view(found: Standing) -> View:
    """The kill switch, then a row a run."""
    return View("Runs", tuple(_status_blocks(found)))


def _status_blocks(found: Standing) -> Iterator[Block]:
    if found.halted:
        yield Text(f"All experiments are stopped, by {found.halted}. mainstay chaos abort --lift ends that.", "bad")
    rows = [(run.id, run.experiment, run.target, status_cell(run.status) if run.id not in found.lost
             else Cell("its process is gone", tone="bad"), str(run.stage),
             f"{run.asked:%-d %b %H:%M:%S}" if run.asked else "", "; ".join(run.reasons[:1])) for run in found.runs]
    yield table("Runs", ("run", "experiment", "target", "status", "stage", "at", "why"), rows,
                empty="nothing ran yet; mainstay chaos run NAME")
    yield Next(("mainstay chaos recover",) if found.lost else ("mainstay chaos report last",))


STATUS = Operation("chaos", "status", StatusRequest, status, status_view, catalog="any",
                   numbers=False, exit_codes=((0, "answered"), (2, "there is no such run")),
                   examples=("mainstay chaos status", "mainstay chaos status EXP-3 --json"))


# -- report --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ReportRequest:
    """Which run."""

    run: str = arg("a run, an experiment, or last", "last", positional=True)


@dataclass(frozen=True, slots=True)
class Reported:
    """A run with the figures of its hypothesis: by probe and stage, answers, misses, median and slowest.

    Args:
        declared: whether the catalog has its experiment, so that it can be run again by its name.
    """

    run: Run
    figures: dict[str, dict[str, dict[str, float | int | None]]]
    rollback: tuple[str, ...] = ()
    declared: bool = False


def report(world: World, request: ReportRequest) -> Reported:
    """Show what a run did and proved: every figure, both proofs of each fault, the picture."""
    run = run_named(world, request.run)
    declared = world.catalog.find(Experiment, run.experiment)
    return Reported(run, figures(run), declared.rollback if declared is not None else (), declared is not None)


def report_view(found: Reported) -> View:
    """The verdict, the figures, the picture, what happened."""
    return View(f"Run {found.run.id}", (*run_blocks(found.run), picture(found.run), timeline(found.run),
                                        *by_hand(found.run, found.rollback),
                                        Next((f"mainstay chaos run {found.run.experiment}" if found.declared else
                                              "mainstay chaos status",))))


REPORT = Operation("chaos", "report", ReportRequest, report, report_view, catalog="any",
                   numbers=False, exit_codes=((0, "answered"), (2, "there is no such run")),
                   examples=("mainstay chaos report", "mainstay chaos report EXP-3 --json"))


# -- doctor --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DoctorRequest:
    """What to look at."""

    kind: str = arg("one kind of fault", "", positional=True)


@dataclass(frozen=True, slots=True)
class Examined:
    """What this host can do."""

    abilities: tuple[Ability, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """Kinds that nothing here can do."""
        able = {one.kind for one in self.abilities if one.state != "unavailable"}
        return tuple(dict.fromkeys(one.kind for one in self.abilities if one.kind not in able))


def doctor(world: World, request: DoctorRequest) -> Examined:
    """Say which faults are real, emulated or unavailable on this host, and what would help."""
    known = [kind.name for kind in KINDS]
    if request.kind and request.kind not in known:
        raise InvalidInput(f'there is no fault "{request.kind}"{did_you_mean(request.kind, known)}',
                           "mainstay chaos list --kinds")
    found = world.injector().abilities()
    return Examined(tuple(one for one in found if request.kind in ("", one.kind)))


_TONES = {"real": "good", "emulated": "plain", "unavailable": "warn"}


def doctor_view(found: Examined) -> View:
    """A row for each kind and mechanism."""
    able = len({one.kind for one in found.abilities}) - len(found.missing)
    rows = [(one.kind, one.mechanism, Cell(one.state, tone=_TONES[one.state]),  # type: ignore[arg-type]
             str(one.healing), one.why, one.enable) for one in found.abilities]
    return View("Doctor", (
        Text(f"{many(able, 'kind')} of faults can be put in here, {len(found.missing)} cannot.", "strong"),
        table("On this host", ("fault", "by", "is", "healed by", "why", "what would help"), rows,
              empty="nothing can be put in here"), Next(("mainstay chaos list --kinds",))))


DOCTOR = Operation("chaos", "doctor", DoctorRequest, doctor, doctor_view, catalog="unused", doors=("cli",),
                   numbers=False, exit_codes=((0, "answered"), (2, "there is no such fault")),
                   examples=("mainstay chaos doctor", "mainstay chaos doctor network-latency --json"))
