"""What the verbs answer, as frozen types: their fields are the stable JSON, and the views draw them. Pure."""

from __future__ import annotations

from datetime import date, datetime

from mainstay.kernel.dataclass import dataclass
from mainstay.toil.automated import Automated
from mainstay.toil.automation import Decided, Return
from mainstay.toil.candidates import Candidate
from mainstay.toil.entry import Read
from mainstay.toil.share import Slice, Summary
from mainstay.toil.tickets import TicketReading
from mainstay.toil.trend import Scaling, Trend


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the work was read from.

    Args:
        entries: within the days looked at; `outside` lie before or after them.
        unreadable: facts of the ledger that are no work this version knows.
    """

    source: str
    first: date
    last: date
    entries: int
    outside: int
    log: Read | None
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """The work by one dimension: `team`, `category`, `week` …"""

    by: str
    rows: tuple[Slice, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """How much of the work is toil and where it sits. `summary` is that of all the work that was asked for.

    Args:
        saved: what programs did in these days, the most first; only where everybody's work was asked for.
    """

    origin: Origin
    about: str
    summary: Summary
    groups: tuple[Group, ...]
    trend: Trend
    candidates: tuple[Candidate, ...]
    saved: tuple[Automated, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidates:
    """The tasks worth automating most, first.

    Args:
        days: that the log covers; all that is said of a month or of years is stretched from them.
        effort: hours taken for a task whose effort nobody estimated.
        tasks: every task of toil with its wordings, where they were asked for.
    """

    origin: Origin
    days: int
    effort: float
    hourly_cost: float
    candidates: tuple[Candidate, ...]
    tasks: tuple[Wordings, ...]


@dataclass(frozen=True, slots=True)
class Wordings:
    """A task and how people write it; `corrected` when somebody put a wording where it is."""

    task: str
    wordings: tuple[str, ...]
    hours: float
    corrected: bool


@dataclass(frozen=True, slots=True)
class Grouped:
    """A correction that was recorded, and the task as it is now."""

    task: str
    wordings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Worth:
    """What automating one task gives back, and whether to.

    Args:
        measured: whether frequency and duration were read from the ledger.
    """

    task: str
    frequency: float
    duration_hours: float
    measured: bool
    value: Return
    net_value: float
    hourly_cost: float
    decided: Decided


@dataclass(frozen=True, slots=True)
class TrendAnswer:
    """The share of toil over time, and whether toil grows with the services; None where no count of them is known."""

    origin: Origin
    about: str
    line: float
    trend: Trend
    scaling: Scaling | None
    services_known: bool


@dataclass(frozen=True, slots=True)
class Logged:
    """Work that is now in the ledger; `new` is False when its key was there already."""

    seq: int
    day: date
    hours: float
    type: str
    category: str
    engineer: str
    team: str
    description: str
    new: bool


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the ledger.

    Args:
        number: what `toil withdraw` takes.
        via: how it came in: `by hand`, `timer`, `import`, `page`, `incident`, `runbook`.
    """

    number: int
    day: date
    hours: float
    type: str
    category: str
    engineer: str
    team: str
    description: str
    via: str


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of the ledger, the newest first.

    Args:
        matching: how many there are; `rows` holds the first so many of them.
        hours: of all that match.
    """

    first: date
    last: date
    matching: int
    hours: float
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A row that no longer counts; it stays in the journal, with why. `new` is False when it was withdrawn before."""

    number: int
    why: str
    new: bool


@dataclass(frozen=True, slots=True)
class Timed:
    """A timer that runs."""

    engineer: str
    description: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import held and what of it is new.

    Args:
        kind: `work log` or the ticket system.
        known: entries that were in the ledger already.
        kept: False for a dry run.
    """

    kind: str
    read: Read
    new: int
    known: int
    hours: float
    kept: bool
    first: date | None
    last: date | None
    tickets: TicketReading | None


@dataclass(frozen=True, slots=True)
class Metrics:
    """Hours of work in the Prometheus text format."""

    text: str


@dataclass(frozen=True, slots=True)
class Digest:
    """A week in one page.

    Args:
        format: of `text`: `markdown` or `html`.
    """

    week: str
    format: str
    text: str
