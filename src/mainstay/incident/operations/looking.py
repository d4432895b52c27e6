"""`mainstay incident list | show`: what goes on, and one incident whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from mainstay.incident.engine import ROLES
from mainstay.incident.lifecycle import Phase, Status
from mainstay.incident.ongoing import Alert, Incident
from mainstay.incident.operations.desk import desk_of
from mainstay.incident.severity import DEMANDS, Severity, severity_named
from mainstay.incident.state import State
from mainstay.incident.statuspage import unpublished
from mainstay.incident.timeline import Line, timeline
from mainstay.incident.view import answer_due, holder, incidents_table, severity_cell, timeline_of, worst_first
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import NotFound
from mainstay.kernel.finding import did_you_mean
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import format_duration, parse_duration
from mainstay.kernel.view import Cell, Next, Pairs, Text, View, table
from mainstay.kernel.wording import many


@dataclass(frozen=True, slots=True)
class Reading:
    """An incident as it is read; the field names are its stable JSON.

    Args:
        phase: what the pager does: triggered, acknowledged, exhausted, quiet, done.
        answer_due: until when somebody should have it; null once somebody has, and where nobody is paged.
        update_due: when stakeholders must hear of it next; null when they need not.
        policy: the escalation policy it was opened under, and that policy's version.
        public: whether the status page says anything of it: an update was posted.
    """

    id: str
    title: str
    service: str
    services: tuple[str, ...]
    severity: Severity
    status: Status
    phase: str
    opened: datetime
    resolved: datetime | None
    seconds: float
    acknowledged_by: str
    roles: Mapping[str, str]
    firing: int
    answer_due: datetime | None
    update_due: datetime | None
    merged_into: str
    policy: str
    public: bool


def read(one: Incident, now: datetime) -> Reading:
    """The incident as it is read."""
    cadence = DEMANDS[one.severity].update
    due = None if cadence is None or one.status is Status.RESOLVED else (one.reminded or one.opened) + cadence
    policy = f"{one.policy['name']}@{one.policy['version']}" if one.policy else ""
    answer = answer_due(one) if one.phase in (Phase.TRIGGERED, Phase.EXHAUSTED) else None
    return Reading(one.id, one.title, one.service, one.services, one.severity, one.status, str(one.phase), one.opened,
                   one.resolved, ((one.resolved or now) - one.opened) / timedelta(seconds=1), one.acknowledged_by,
                   one.roles, one.firing, answer, due, one.merged_into, policy, one.updated is not None)


# -- list ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ListRequest:
    """Which incidents."""

    service: str = arg("only incidents of this service", "")
    severity: str = arg("only this severity or worse", "")
    last: str = arg("also those resolved within this time, such as 7d", "")


@dataclass(frozen=True, slots=True)
class Gathering:
    """Alerts that fire and are no incident yet: their group waits for others. The field names are their stable JSON.

    Args:
        groups: how many incidents they become, if none of them joins or is over before.
        next: when the first of these opens; null where nothing gathers. It lies in the past when nothing runs that
            could have opened it.
    """

    alerts: int = 0
    groups: int = 0
    next: datetime | None = None

    def told(self, now: datetime) -> str:
        """In a sentence; empty where nothing gathers."""
        if not self.alerts:
            return ""
        head = f"{many(self.alerts, 'alert')} gather{'s' if self.alerts == 1 else ''}"
        if self.groups > 1:
            head += f" in {self.groups:,} groups"
        if self.next is None:
            return head + "."
        if self.next < now - _LATE:
            return f"{head}; the incident was due {format_duration(now - self.next)} ago: is mainstay serve running?"
        return f"{head}; {'the first incident' if self.groups > 1 else 'the incident'} opens " + (
            f"in {format_duration(self.next - now)}." if self.next > now else "now.")


_LATE = timedelta(seconds=10)
"""After which nobody seems to ring timers."""


def gathering(state: State, fits: Callable[[Alert], bool] = lambda _: True) -> Gathering:
    """What gathers of the alerts that fit."""
    alerts, groups, moments = 0, 0, []
    for group in state.groups.values():
        found = sum(fits(one) for name in group.names if (one := state.alerts.get(name)) is not None)
        if found:
            alerts, groups = alerts + found, groups + 1
            moments += [group.due] if group.due is not None else []
    return Gathering(alerts, groups, min(moments, default=None))


@dataclass(frozen=True, slots=True)
class Listed:
    """The incidents, and what is about to become one."""

    at: datetime
    incidents: tuple[Reading, ...]
    gathering: Gathering
    shown: tuple[Incident, ...]


def list_incidents(world: World, request: ListRequest) -> Listed:
    """List incidents that are open, and if asked those that were."""
    state, now = desk_of(world).caught_up(), world.clock.now()
    within = parse_duration(request.last) if request.last else timedelta(0)
    least = severity_named(request.severity) if request.severity else Severity.SEV4
    chosen = [one for one in state.incidents.values()
              if (one.resolved is None or one.resolved > now - within)
              and not least.worse_than(one.severity)
              and (not request.service or request.service in one.services)]

    def fits(one: Alert) -> bool:
        return not least.worse_than(one.severity) and request.service in ("", one.key.service)

    return Listed(now, tuple(read(one, now) for one in chosen), gathering(state, fits), tuple(chosen))


def list_view(found: Listed) -> View:
    """A row an incident."""
    open_ones = [one for one in found.shown if one.resolved is None]
    soon = found.gathering.told(found.at)
    head = Text(" ".join(filter(None, (f"{many(len(open_ones), 'incident')} open.", soon))), "bad") if open_ones else \
        Text(f"No incident is open yet. {soon}", "warn") if soon else Text("No incident is open.", "good")
    return View("Incidents", (head, incidents_table(found.shown, found.at),
                              Next((f"mainstay incident show {worst_first(open_ones)[0].id}",) if open_ones
                                   else ("mainstay incident list --last 30d",))))


LIST = Operation(
    "incident", "list", ListRequest, list_incidents, list_view,
    as_json=lambda found: {"generated_at": found.at, "incidents": found.incidents, "gathering": found.gathering},
    numbers=False, exit_codes=((0, "listed"), (2, "a flag is wrong")),
    examples=("mainstay incident list", "mainstay incident list --last 30d --severity SEV2 --json"))


# -- show ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ShowRequest:
    """Which incident."""

    name: str = arg("the incident, such as INC-12", positional=True)


@dataclass(frozen=True, slots=True)
class Shown:
    """One incident whole."""

    incident: Reading
    alerts: tuple[Alert, ...]
    timeline: tuple[Line, ...]
    shown: Incident
    at: datetime


def find(world: World, name: str) -> Incident:
    """The incident of that name.

    Raises:
        NotFound: there is none.
    """
    state = desk_of(world).caught_up()
    found = state.incidents.get(name)
    if found is None:
        known = [one.id for one in state.open_incidents()]
        raise NotFound(f'no incident is named "{name}"{did_you_mean(name, known)}',
                       "open: " + (", ".join(known) or "none") + "; mainstay incident list --last 30d shows older ones")
    return found


def show(world: World, request: ShowRequest) -> Shown:
    """Show one incident: what is broken, who has it, what happened."""
    one = find(world, request.name)
    state = desk_of(world).state
    facts = world.journal.facts(FactQuery(kinds=("incident.", "page."), subject=one.id))
    now = world.clock.now()
    return Shown(read(one, now), tuple(state.alerts_of(one.id)), tuple(timeline(facts)), one, now)


def show_view(found: Shown) -> View:
    """One incident, in the order in which it is asked for at three in the morning."""
    one, seen = found.shown, found.incident
    since = f"{one.opened:%-d %b %H:%M} UTC, {format_duration(seen.seconds)}" + (" long" if one.resolved else " ago")
    facts = [("since", (Cell(since),)), ("status", (Cell(str(one.status), tone="strong"), holder(one, found.at)))]
    if seen.update_due is not None:
        facts.append(("next update", (Cell(f"{seen.update_due:%H:%M} UTC"),)))
    if unpublished(one):
        facts.append(("status page", (Cell("says nothing of it yet", tone="warn"),)))
    facts += [(role, (Cell(one.roles.get(role) or "nobody", tone="plain" if one.roles.get(role) else "warn"),))
              for role in ROLES] if one.resolved is None else \
        [(role, (Cell(who),)) for role, who in one.roles.items()]
    alerts = table("Alerts that fire", ("alert", "severity", "what", "service", "times>"), [
        (alert.id, severity_cell(alert.severity), alert.summary, alert.key.service or "–", f"{alert.count:,}")
        for alert in found.alerts], empty="none fires any more")
    update = (f"mainstay incident update {one.id} 'what users should know'",) if unpublished(one) else ()
    commands = (f"mainstay incident ack {one.id}", f"mainstay incident note {one.id} 'what was seen'", *update,
                f"mainstay incident resolve {one.id}") if one.resolved is None else \
        (f"mainstay incident postmortem {one.id}",)
    return View(f"{one.id} · {one.title}", (
        Pairs((("severity", (severity_cell(one.severity), Cell(one.title, tone="strong"))), *facts)), alerts,
        timeline_of(found.timeline), Next(commands)))


SHOW = Operation(
    "incident", "show", ShowRequest, show, show_view,
    as_json=lambda found: {"incident": found.incident, "alerts": found.alerts, "timeline": found.timeline},
    exit_codes=((0, "shown"), (2, "there is no such incident")),
    examples=("mainstay incident show INC-12", "mainstay incident show INC-12 --json"))
