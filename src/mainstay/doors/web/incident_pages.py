"""What the pages of incidents need, ready to be drawn: texts are formatted, nothing is computed."""

from __future__ import annotations

from datetime import datetime

from mainstay.doors.web.slo_pages import Choice
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.view import Table, Timeline, Tone


@dataclass(frozen=True, slots=True)
class Ticking:
    """A time that goes on while one looks: seconds left until something, or passed since.

    Args:
        text: how it reads at this moment, for whoever has no script.
        seconds: left (negative when over), or passed.
        counts: `down` to a moment, or `up` from one.
    """

    text: str
    seconds: float
    counts: str


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """An incident on the list.

    Args:
        holder: who has it; `nobody yet` is shouted.
    """

    id: str
    link: str
    title: str
    service: str
    severity: str
    severity_tone: Tone
    status: str
    age: Ticking | str
    holder: str
    holder_tone: Tone
    update: Ticking | None = None


@dataclass(frozen=True, slots=True)
class IncidentsPage:
    """Incidents, those that are open first, the worst first.

    Args:
        more: what the list leaves out and which command has it; empty when it is whole.
    """

    verdict: str
    tone: Tone
    choices: tuple[Choice, ...]
    rows: tuple[IncidentRow, ...]
    empty: str
    more: str = ""


@dataclass(frozen=True, slots=True)
class RolePlace:
    """A role and who has it; empty is shouted while the incident is open."""

    role: str
    who: str
    does: str


@dataclass(frozen=True, slots=True)
class FoundRow:
    """One line of what was found out."""

    text: str
    tone: Tone
    link: str


@dataclass(frozen=True, slots=True)
class FoundPart:
    """One part of what was found out when the incident opened."""

    part: str
    text: str
    tone: Tone
    rows: tuple[FoundRow, ...]


@dataclass(frozen=True, slots=True)
class IncidentPage:
    """One incident, in the order in which it is asked for at three in the morning.

    Args:
        state: how loud the box is: violated, at_risk, healthy.
        verdict: one sentence: how bad, how far, who has it.
        can: statuses that may follow, for buttons; `resolved` is a button of its own.
        lengths: what stands in the box: label, value, note, tone.
    """

    id: str
    title: str
    services: str
    severity: str
    severity_tone: Tone
    state: str
    status: str
    verdict: str
    opened: datetime
    resolved: datetime | None
    age: Ticking | None
    lasted: str
    holder: str
    holder_tone: Tone
    update: Ticking | None
    update_at: datetime | None
    told: str
    spent: tuple[FoundRow, ...]
    roles: tuple[RolePlace, ...]
    can: tuple[str, ...]
    acknowledge: str
    severities: tuple[str, ...]
    people: tuple[str, ...]
    found: tuple[FoundPart, ...]
    alerts: Table
    timeline: Timeline
    merged_into: str
    post_mortem: str
    dashboards: tuple[str, ...]
    unpublished: bool

    @property
    def open(self) -> bool:
        """Whether it is still worked on."""
        return self.resolved is None


@dataclass(frozen=True, slots=True)
class StatusDocument:
    """The public page, which is a document of its own."""

    document: str
