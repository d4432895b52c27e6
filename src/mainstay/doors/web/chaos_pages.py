"""What the pages of experiments need, ready to be drawn: texts are formatted, nothing is computed."""

from __future__ import annotations

from datetime import datetime

from mainstay.doors.web.incident_pages import Ticking
from mainstay.doors.web.slo_pages import Choice
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.quantity import State
from mainstay.kernel.view import Chart, Table, Timeline, Tone


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a run ended, or that it goes on: sign, word, tone."""

    sign: str
    word: str
    tone: Tone


@dataclass(frozen=True, slots=True)
class ExperimentRow:
    """An experiment of the catalog with its last run.

    Args:
        verdict: None when it never ran.
        why: the first reason of the last run.
        past: the runs before, newest first.
        start: where it can be begun.
    """

    name: str
    title: str
    target: str
    faults: str
    radius: str
    lasts: str
    verdict: Verdict | None
    run: str
    link: str
    at: datetime | None
    why: str
    past: tuple[tuple[Verdict, str], ...] = ()
    start: str = ""


@dataclass(frozen=True, slots=True)
class GoingOn:
    """A run that goes on."""

    run: str
    link: str
    experiment: str
    target: str
    stage: str
    age: Ticking | None
    faults: str


@dataclass(frozen=True, slots=True)
class MatrixBox:
    """The degradation matrix in a sentence."""

    text: str
    tone: Tone
    at: datetime


@dataclass(frozen=True, slots=True)
class ExperimentsPage:
    """Every experiment, what goes on first.

    Args:
        halted: who stopped everything, and why; empty when nobody did.
        lost: runs whose process is gone.
        matrix: None when none was measured.
        monkeys: when each chaos monkey would begin what next.
        empty: what would fill the page.
    """

    verdict: str
    tone: Tone
    halted: str
    going_on: tuple[GoingOn, ...]
    lost: tuple[str, ...]
    rows: tuple[ExperimentRow, ...]
    matrix: MatrixBox | None
    monkeys: Table | None
    days: Table | None
    empty: str = ""


@dataclass(frozen=True, slots=True)
class StartPage:
    """What a run would do, before somebody begins it.

    Args:
        refusals: why it would not be begun, as the command says it; empty when it would.
        radius, lasts: the greatest blast radius, and how long it takes at most.
        budget: what the error budgets can bear, in a sentence.
        out: who takes the faults out when the run is killed.
        tables: faults, what must hold, what it may cost.
        goes_on: a run of it that has not ended, and its page.
    """

    name: str
    title: str
    target: str
    refusals: tuple[str, ...]
    radius: str
    lasts: str
    budget: str
    out: str
    hours: str
    tables: tuple[Table, ...]
    notes: tuple[str, ...]
    goes_on: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class RunPage:
    """One run, live while it goes on.

    Args:
        state: how loud the box is: violated, at_risk, healthy, no_data.
        sentence: what the verdict means.
        goes_on: whether it can still be aborted.
        stages: the way it takes, with the one where it is; `Choice.link` is empty.
        pictures: a chart for each probe, with the faults as bands.
    """

    id: str
    experiment: str
    target: str
    title: str
    verdict: Verdict
    state: State
    sentence: str
    reasons: tuple[str, ...]
    goes_on: bool
    lost: bool
    by: str
    started: datetime | None
    ended: datetime | None
    age: Ticking | None
    lasted: str
    reaction: str
    radius: str
    stages: tuple[Choice, ...]
    pictures: tuple[Chart, ...]
    faults: Table
    figures: Table
    timeline: Timeline
    notes: tuple[str, ...]
    by_hand: tuple[str, ...]
    again: str
    again_link: str = ""


@dataclass(frozen=True, slots=True)
class ModeCell:
    """One cell of the matrix.

    Args:
        promise: `as promised`, `not as promised`, `promise undecided`, or empty.
        figures: errors and p99 with their intervals, for those who look closer; why nothing is known, where it is not.
    """

    state: State
    sign: str
    word: str
    promise: str
    figures: str
    why: str
    anchor: str


@dataclass(frozen=True, slots=True)
class ModeRow:
    """A workload's request in one row: a cell for each case, None where it does not need the dependency."""

    workload: str
    probe: str
    cells: tuple[ModeCell | None, ...]


@dataclass(frozen=True, slots=True)
class ModeGrid:
    """A dependency: its modes as columns, whoever needs it as rows."""

    dependency: str
    columns: tuple[str, ...]
    rows: tuple[ModeRow, ...]


@dataclass(frozen=True, slots=True)
class FailureMode:
    """An entry of the catalogue.

    Args:
        meaning: what this trouble is like.
        seen: what was measured of whom.
        helps: mitigations.
        experiments: those that rehearse it, with the verdict of their last run and a link.
        runbooks: name and link.
        run: the run that it was measured in.
    """

    anchor: str
    title: str
    state: State
    meaning: str
    seen: tuple[tuple[State, str], ...]
    helps: tuple[str, ...]
    experiments: tuple[tuple[str, str, Verdict | None], ...]
    runbooks: tuple[tuple[str, str], ...]
    run: str
    run_link: str


@dataclass(frozen=True, slots=True)
class MatrixPage:
    """The degradation matrix and the catalogue of failure modes.

    Args:
        counts: cells in each state, `Choice.link` filters.
        empty: what would fill the page; empty when it is filled.
    """

    verdict: str
    tone: Tone
    at: datetime | None
    how: str
    stopped: str
    counts: tuple[tuple[State, int], ...]
    grids: tuple[ModeGrid, ...]
    pairs: Table | None
    modes: tuple[FailureMode, ...]
    advice: Table | None
    empty: str = ""
