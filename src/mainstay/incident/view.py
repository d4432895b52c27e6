"""Incidents as tables, an incident as a page: what is broken and since when, who has it, what happened."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mainstay.incident.lifecycle import Phase, Status
from mainstay.incident.severity import Severity
from mainstay.incident.state import Incident
from mainstay.incident.timeline import Line
from mainstay.kernel.quantity import format_duration
from mainstay.kernel.view import Cell, Entry, Table, Timeline, Tone, table

_TONES: dict[Severity, Tone] = {Severity.SEV1: "bad", Severity.SEV2: "bad", Severity.SEV3: "warn",
                                Severity.SEV4: "quiet"}


def severity_cell(severity: Severity) -> Cell:
    """The severity, louder the worse it is."""
    return Cell(str(severity), tone=_TONES[severity])


def holder(one: Incident) -> Cell:
    """Who has it; that nobody has is shouted while somebody should."""
    if one.acknowledged_by:
        return Cell(one.acknowledged_by)
    match one.phase:
        case Phase.TRIGGERED:
            return Cell("nobody yet", tone="bad")
        case Phase.EXHAUSTED:
            return Cell("nobody answered", tone="bad")
        case _:
            return Cell("–", tone="quiet")


def incidents_table(found: Sequence[Incident], now: datetime, title: str = "") -> Table:
    """A row an incident, the worst and then the newest first."""
    ordered = sorted(found, key=lambda one: (one.status is Status.RESOLVED, one.severity.rank, -one.number))
    return table(title, ("incident", "severity", "status", "what", "service", "for>", "who has it"), [
        (Cell(one.id, link=f"incident/show?name={one.id}"), severity_cell(one.severity), str(one.status), one.title,
         one.service or "–", format_duration((one.resolved or now) - one.opened), holder(one)) for one in ordered],
        empty="Alerts open incidents, or: mainstay incident open 'what is broken'")


def timeline_of(lines: Sequence[Line], title: str = "Timeline") -> Timeline:
    """The lines, for people."""
    return Timeline(tuple(Entry(line.at, line.text, line.tone) for line in lines), title)
