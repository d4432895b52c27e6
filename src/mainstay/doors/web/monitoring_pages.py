"""What the page of alerts needs, ready to be drawn: texts are formatted, nothing is computed."""

from __future__ import annotations

from datetime import datetime

from mainstay.doors.web.lanes import Lanes
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.view import Table, Tone


@dataclass(frozen=True, slots=True)
class AlertMark:
    """An alert's state as sign, word and colour."""

    sign: str
    word: str
    tone: Tone


@dataclass(frozen=True, slots=True)
class StateChoice:
    """How many alerts are in a state, and where to see only them."""

    mark: AlertMark
    count: int
    link: str
    current: bool


@dataclass(frozen=True, slots=True)
class AlertRow:
    """One tier of one objective.

    Args:
        since: when it came into its state; None when it never was in another.
        lasted: for how long, as text.
        near: the slower of both burns as a share of the factor: at 1 it trips; None without data.
        spent: share of the budget spent, as text.
        held: what is left of `for`: `fires in 12 m`; the whole of `for` else.
        note: staleness, another opinion, a fault.
    """

    objective: str
    service: str
    link: str
    severity: str
    windows: str
    mark: AlertMark
    since: datetime | None
    lasted: str
    long_burn: str
    short_burn: str
    factor: str
    near: float | None
    spent: str
    held: str
    note: str


@dataclass(frozen=True, slots=True)
class MonitoringPage:
    """Every alert, what fires first; when they fired; what is of no use.

    Args:
        more: how many alerts the page leaves out, and what lists them; empty when none.
        history: None when nothing fired in the stretch.
        rows: of the history, for "show the rows".
        faults: tiers that can never trip, or trip while the promise is kept.
        audit: the audit of the last days in one sentence; empty when there is none.
    """

    verdict: str
    tone: Tone
    counts: tuple[StateChoice, ...]
    alerts: tuple[AlertRow, ...]
    more: str
    empty: str
    history: Lanes | None
    history_title: str
    rows: Table
    faults: Table
    audit: str
    measured_at: datetime | None
    stale: str
