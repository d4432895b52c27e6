"""The list of incidents, the page of one, and the public status page, filled from what the operations found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from mainstay.doors.web.incident_pages import (
    FoundPart,
    FoundRow,
    IncidentPage,
    IncidentRow,
    IncidentsPage,
    RolePlace,
    StatusDocument,
    Ticking,
)
from mainstay.doors.web.pages import Page, PageQuery
from mainstay.doors.web.slo_pages import Choice
from mainstay.incident import diagnosis
from mainstay.incident.engine import ROLES
from mainstay.incident.lifecycle import STATUSES, Phase, Status
from mainstay.incident.ongoing import Alert, Incident
from mainstay.incident.operations.acting import ACK, NOTE, RESOLVE, ROLE, STATUS, UPDATE
from mainstay.incident.operations.desk import desk_of
from mainstay.incident.operations.diagnose import DIAGNOSE, declared
from mainstay.incident.operations.looking import find, gathering, read
from mainstay.incident.operations.statuspage import made
from mainstay.incident.severity import Severity
from mainstay.incident.statuspage import document, unpublished
from mainstay.incident.timeline import timeline
from mainstay.incident.view import holder, severity_cell
from mainstay.kernel.errors import NotFound
from mainstay.kernel.journal import Fact, FactQuery
from mainstay.kernel.operation import Operation
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import Span, format_duration
from mainstay.kernel.view import Cell, Entry, Table, Timeline, Tone, table
from mainstay.kernel.wording import many
from mainstay.oncall.spec import Person

_DOES: Mapping[str, str] = {
    "commander": "decides, and keeps the others free to work", "operations": "changes the system, alone in doing so",
    "communications": "tells stakeholders", "scribe": "writes down what happens"}
_STATES: Mapping[Severity, str] = {Severity.SEV1: "violated", Severity.SEV2: "violated", Severity.SEV3: "at_risk",
                                   Severity.SEV4: "no_data"}
_MOST = 200
"""Rows of the list, and lines of a timeline, beyond which the command line has the rest."""

_LAST = timedelta(days=30)
_MUCH = 0.05
"""Of a window's budget, spent by one incident."""


def link_to(name: str) -> str:
    """The address of an incident's page."""
    return f"incident/show?name={quote(name)}"


def incident_pages() -> tuple[Page, ...]:
    """The hand-made pages of the word."""
    acts: Mapping[str, Operation[Any, Any]] = {
        "ack": ACK, "note": NOTE, "update": UPDATE, "role": ROLE, "status": STATUS, "resolve": RESOLVE,
        "diagnose": DIAGNOSE}
    return (Page("/incident", "Incidents", "incidents.html", incidents_page, word="incident"),
            Page("/incident/show", "Incident", "incident.html", incident_page, word="incident", listed=False,
                 forms=acts),
            Page("/status", "Status", "status.html", status_page, listed=False))


def status_page(world: World, query: PageQuery) -> StatusDocument:
    """What the public may see; `incident statuspage -o DIR` writes the same as files."""
    page = made(world, query.get("title", "Status"))
    return StatusDocument(Markup(document(page, "/static/status.css", "/static/mark.svg")))  # noqa: S704  (escaped there)



def _up(since: datetime, now: datetime) -> Ticking:
    passed = now - since
    return Ticking(format_duration(passed), passed / timedelta(seconds=1), "up")


def _down(due: datetime, now: datetime) -> Ticking:
    left = (due - now) / timedelta(seconds=1)
    minutes, seconds = divmod(abs(int(left)), 60)
    text = f"in {minutes:02}:{seconds:02}" if left >= 0 else f"overdue by {minutes:02}:{seconds:02}"
    return Ticking(text, left, "down")


# -- the list -----------------------------------------------------------------------------------------------------


def incidents_page(world: World, query: PageQuery) -> IncidentsPage:
    """Incidents of the state that is asked for, the worst first."""
    state, now = desk_of(world).caught_up(), world.clock.now()
    open_ones = list(state.open_incidents())
    over = [one for one in state.incidents.values() if one.resolved is not None and one.resolved > now - _LAST]
    wanted = query.get("state", "open")
    shown = {"open": open_ones, "resolved": over, "all": [*open_ones, *over]}.get(wanted, open_ones)
    counts = (("open", "open", len(open_ones)), ("resolved", "resolved, last 30 d", len(over)),
              ("all", "all", len(open_ones) + len(over)))
    choices = tuple(Choice(f"{text} {count:,}", f"incident?state={key}", key == wanted) for key, text, count in counts)
    ordered = sorted(shown, key=lambda one: (one.status is Status.RESOLVED, one.severity.rank, -one.number))
    nobodys = [one for one in open_ones if holder(one, now).tone == "bad"]
    soon = gathering(state).told(now)
    verdict = f"No incident is open{' yet' if soon else ''}." if not open_ones else \
        f"{many(len(open_ones), 'incident')} open" + (
            f", {len(nobodys)} of them nobody's." if nobodys else ", in somebody's hands.")
    verdict += f" {soon}" if soon else ""
    tone: Tone = "bad" if nobodys else "warn" if open_ones or soon else "good"
    return IncidentsPage(verdict, tone, choices, tuple(_row(one, now) for one in ordered[:_MOST]),
                         "Nothing here. Alerts open incidents, or: mainstay incident open 'what is broken'",
                         f"The worst {_MOST} of {len(ordered):,}; the command line has all of them: mainstay incident "
                         f"list{'' if wanted == 'open' else ' --last 30d'}" if len(ordered) > _MOST else "")


def _row(one: Incident, now: datetime) -> IncidentRow:
    seen, who = read(one, now), holder(one, now)
    age: Ticking | str = _up(one.opened, now) if one.resolved is None else format_duration(one.resolved - one.opened)
    due = _down(seen.update_due, now) if seen.update_due is not None else None
    return IncidentRow(one.id, link_to(one.id), one.title, ", ".join(one.services) or "–", str(one.severity),
                       severity_cell(one.severity).tone, str(one.status), age, who.text, who.tone, due)


# -- one incident -------------------------------------------------------------------------------------------------


def incident_page(world: World, query: PageQuery) -> IncidentPage:
    """One incident."""
    if not query.get("name"):
        raise NotFound("no incident was named", "choose one on the list of incidents")
    one = find(world, query.get("name"))
    now = world.clock.now()
    facts = list(world.journal.facts(FactQuery(kinds=("incident.",), subject=one.id)))
    seen, who = read(one, now), holder(one, now)
    severity = severity_cell(one.severity)
    over = one.resolved is not None
    return IncidentPage(
        id=one.id, title=one.title, services=", ".join(one.services), severity=str(one.severity),
        severity_tone=severity.tone, state="healthy" if over else _STATES[one.severity], status=str(one.status),
        verdict=_verdict(one), opened=one.opened, resolved=one.resolved, age=None if over else _up(one.opened, now),
        lasted=format_duration((one.resolved or now) - one.opened), holder=who.text, holder_tone=who.tone,
        update=None if seen.update_due is None else _down(seen.update_due, now), update_at=seen.update_due,
        told=_told(facts), spent=_spent(world, one, now),
        roles=tuple(RolePlace(role, one.roles.get(role, ""), _DOES[role]) for role in ROLES),
        can=tuple(str(to) for to in Status if to in STATUSES[one.status] and to not in (Status.OPEN, Status.RESOLVED)),
        acknowledge="" if over else "Acknowledge again" if one.phase is Phase.ACKNOWLEDGED else "Acknowledge",
        severities=tuple(str(severity) for severity in Severity if severity is not one.severity),
        people=tuple(person.name for person in world.catalog.of(Person)), found=_found(facts),
        alerts=_alerts(desk_of(world).state.alerts_of(one.id)), timeline=_timeline(facts),
        merged_into=one.merged_into,
        post_mortem=f"incident/postmortem?name={quote(one.id)}" if over else "",
        dashboards=tuple(url for known in declared(world, one.services) for url in known.dashboards),
        unpublished=unpublished(one))


def _verdict(one: Incident) -> str:
    if one.merged_into:
        return f"Merged into {one.merged_into}."
    if one.status is Status.RESOLVED:
        return "Resolved."
    match one.phase:
        case Phase.ACKNOWLEDGED:
            return f"{str(one.status).capitalize()}; {one.acknowledged_by} has it."
        case Phase.EXHAUSTED:
            return f"{str(one.status).capitalize()}; everybody was paged and nobody answered."
        case Phase.TRIGGERED:
            return f"{str(one.status).capitalize()}; nobody has acknowledged it yet."
        case _:
            return f"{str(one.status).capitalize()}; nobody was paged."


def _told(facts: Sequence[Fact]) -> str:
    updates = [fact for fact in facts if fact.kind == "incident.update-posted"]
    return str(updates[-1].data["text"]) if updates else ""


def _spent(world: World, one: Incident, now: datetime) -> tuple[FoundRow, ...]:
    spendings = world.spent(world, one.services, Span(one.opened, one.resolved or now), True) if one.services else ()
    rows = []
    for each in spendings:
        text = "no data yet" if each.share is None else f"{each.share * 100:.2f} % of its {each.window} budget"
        tone: Tone = "quiet" if not each.share else "bad" if each.share >= _MUCH else "warn"
        rows.append(FoundRow(f"{each.objective}: {text}", tone, f"slo/show?name={quote(each.objective)}"))
    return tuple(rows)


def _found(facts: Sequence[Fact]) -> tuple[FoundPart, ...]:
    """What was found out last, each part once, what changed shortly before first."""
    latest = {found.part: found for fact in facts if fact.kind == "incident.diagnosed"
              for found in (diagnosis.read(fact),)}
    order = ("changes", *(part for part in diagnosis.PARTS if part != "changes"))
    return tuple(FoundPart(part, latest[part].text, latest[part].tone,
                           tuple(FoundRow(row.text, row.tone, row.link) for row in latest[part].rows))
                 for part in order if part in latest)


def _alerts(alerts: Sequence[Alert]) -> Table:
    ordered = sorted(alerts, key=lambda alert: (alert.severity.rank, alert.opened))
    rest = [(f"and {len(ordered) - _MOST:,} more", "", "", "", "", "")] if len(ordered) > _MOST else []
    return table("Alerts that fire", ("alert", "severity", "what", "service", "since", "times>"), [
        *((Cell(alert.id, link=alert.url), severity_cell(alert.severity), alert.summary, alert.key.service or "–",
           Cell(f"{alert.opened:%-d %b %H:%M} UTC", at=alert.opened), f"{alert.count:,}")
          for alert in ordered[:_MOST]), *rest],
        empty="None fires.")


def _timeline(facts: Sequence[Fact]) -> Timeline:
    lines = timeline(facts)
    shown = [Entry(line.at, line.text, line.tone) for line in reversed(lines[-_MOST:])]
    title = "Timeline, newest first" if len(lines) <= _MOST else f"Timeline, the newest {_MOST} of {len(lines):,}"
    return Timeline(tuple(shown), title)
