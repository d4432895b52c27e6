"""Incidents as tables, an incident as a page: what is broken and since when, who has it, what happened."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from mainstay.incident.lifecycle import Phase, Status
from mainstay.incident.ongoing import Incident
from mainstay.incident.severity import DEMANDS, Severity
from mainstay.incident.timeline import Line
from mainstay.kernel.quantity import format_duration
from mainstay.kernel.view import Cell, Entry, Table, Timeline, Tone, table

_TONES: dict[Severity, Tone] = {Severity.SEV1: "bad", Severity.SEV2: "bad", Severity.SEV3: "warn",
                                Severity.SEV4: "quiet"}


def severity_cell(severity: Severity) -> Cell:
    """The severity, louder the worse it is."""
    return Cell(str(severity), tone=_TONES[severity])


_LATE = timedelta(minutes=1)
"""How much later than asked an answer is called late, in whole ones of it: SEV1 asks for one at once."""


def answer_due(one: Incident) -> datetime:
    """Until when somebody should have it, by its severity."""
    return one.opened + DEMANDS[one.severity].respond


def holder(one: Incident, now: datetime) -> Cell:
    """Who has it; that nobody has is shouted while somebody should, and for how long beyond its severity's time."""
    if one.acknowledged_by:
        return Cell(one.acknowledged_by)
    match one.phase:
        case Phase.TRIGGERED | Phase.EXHAUSTED:
            late = now - answer_due(one)
            said = "nobody yet" if one.phase is Phase.TRIGGERED else "nobody answered"
            return Cell(f"{said}, {format_duration(late - late % _LATE)} late" if late >= _LATE else said, tone="bad")
        case _:
            return Cell("–", tone="quiet")


def worst_first(found: Sequence[Incident]) -> list[Incident]:
    """Those that are open before those that are over, the worst and then the newest first."""
    return sorted(found, key=lambda one: (one.status is Status.RESOLVED, one.severity.rank, -one.number))


def incidents_table(found: Sequence[Incident], now: datetime, title: str = "") -> Table:
    """A row an incident, the worst and then the newest first."""
    ordered = worst_first(found)
    return table(title, ("incident", "severity", "status", "what", "service", "for>", "who has it"), [
        (Cell(one.id, link=f"incident/show?name={one.id}"), severity_cell(one.severity), str(one.status), one.title,
         one.service or "–", format_duration((one.resolved or now) - one.opened), holder(one, now)) for one in ordered],
        empty="Alerts open incidents, or: mainstay incident open 'what is broken'")


def timeline_of(lines: Sequence[Line], title: str = "Timeline") -> Timeline:
    """The lines, for people."""
    return Timeline(tuple(Entry(line.at, line.text, line.tone) for line in lines), title)
