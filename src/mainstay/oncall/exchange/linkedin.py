"""LinkedIn oncall: what `GET /api/v0/teams/TEAM` and `GET /api/v0/events?team=TEAM` answer, in one file or apart.

The events are the truth: the schedulers fill them in by who was on call longest ago, so that a template alone does not
say who comes next. The rotation behind the events of a role is looked for; without one they are taken as they are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.quantity import zone_named
from mainstay.kernel.wallclock import WeeklyHours, local_of
from mainstay.oncall.exchange.fitting import fit
from mainstay.oncall.exchange.taken import NOWHERE, Asked, Taken, fixed, get, moment, objects, shift, whole
from mainstay.oncall.roster import Shift
from mainstay.oncall.spec import Rotation, Turn

_WEEK, _DAY_MINUTES = timedelta(days=7), 24 * 60


def recognised(document: object) -> bool:
    """Whether it looks like LinkedIn oncall's."""
    if isinstance(document, dict):
        return "rosters" in document or "scheduling_timezone" in document or recognised(document.get("events"))
    return isinstance(document, list) and bool(document) and isinstance(document[0], dict) \
        and {"role", "user", "start", "end"} <= set(document[0])


def take(document: object, asked: Asked) -> Taken:
    """The roles of each team of the export.

    Raises:
        InvalidInput: it is not what LinkedIn oncall answers.
    """
    team: Mapping[str, Any] = document if isinstance(document, dict) else {"events": document}
    taken = Taken()
    zone = str(zone_named(str(team.get("scheduling_timezone") or asked.zone)))
    templates = list(_templates(team))
    by_role: dict[tuple[str, str], list[Shift]] = defaultdict(list)
    for event in objects(team.get("events"), "events"):
        who = taken.person(str(get(event, "user", "an event")), str(event.get("full_name") or ""))
        key = str(event.get("team") or team.get("name") or "team"), str(get(event, "role", "an event"))
        by_role[key].append(shift(moment(event.get("start"), "start"), moment(event.get("end"), "end"), who))
    for (name, role), events in sorted(by_role.items()):
        template = next((one for one in templates if one.get("role") == role), None)
        _role(taken, f"{name}-{role}", zone, (events, template))
    for template in templates:
        if not any(role == template.get("role") for _, role in by_role):
            _unfilled(taken, template, team, zone, asked)
    if not taken.rotations:
        raise InvalidInput("the export holds no events and no schedules",
                           "export GET /api/v0/teams/TEAM with its events under \"events\"")
    return taken


def _templates(team: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    rosters = team.get("rosters") or {}
    for name, roster in rosters.items() if isinstance(rosters, dict) else ():
        users = [str(one.get("name") if isinstance(one, dict) else one) for one in roster.get("users") or ()
                 if not isinstance(one, dict) or one.get("in_rotation", True)]
        for one in objects(roster.get("schedules"), "schedules"):
            yield {**one, "roster": name, "users": users}


def _role(taken: Taken, title: str, zone: str, known: tuple[list[Shift], Mapping[str, Any] | None]) -> None:
    events, template = sorted(known[0], key=lambda one: one.start), known[1]
    name = taken.rotation_name(title)
    overlapping = any(before.end > after.start for before, after in pairwise(events))
    if overlapping:
        taken.notes.append(f"{title}: events overlap; where they do, the one that begins later holds")
        events = [replace(one, end=min(one.end, after.start)) for one, after in pairwise(events)] + events[-1:]
        events = [one for one in events if one.start < one.end]
    hours = _hours(template) if template is not None else ()
    found = fit(name, zone, events, hours=hours) or (fit(name, zone, events) if hours else None)
    if found is None:
        taken.notes.append(f"{title}: its {len(events)} events follow no order of turns and were taken as they are")
        taken.rotations.append(fixed(name, zone, events))
    else:
        if found.exceptions:
            taken.notes.append(f"{title}: {found.exceptions} stretches out of turn became overrides")
        taken.notes.append(f"{title}: behind the last event, {events[-1].end:%Y-%m-%d}, the turns go on in their "
                           "order; LinkedIn oncall would fill them in by who was on call longest ago")
        taken.rotations.append(found.rotation)
    taken.truth[name] = events


def _unfilled(taken: Taken, template: Mapping[str, Any], team: Mapping[str, Any], zone: str, asked: Asked) -> None:
    """A template that filled in no event yet: its turns, from the next Sunday on, in the order of its roster."""
    scheduler = template.get("scheduler")
    order = scheduler.get("data") if isinstance(scheduler, dict) else None
    users = [taken.person(str(one)) for one in order or template["users"]]
    title = f"{team.get('name') or 'team'}-{template.get('role')}"
    if not users:
        taken.notes.append(f"{title}: its roster is empty; nothing was taken")
        return
    events = objects(template.get("events"), "events")
    if not events:
        return
    today = local_of(asked.now, zone_named(zone)).replace(hour=0, minute=0, second=0, microsecond=0)
    sunday = today + timedelta(days=(6 - today.weekday()) % 7)
    first = min(int(one["start"]) for one in events)
    last = max(int(one["start"]) + whole(one.get("duration"), "duration") for one in events)
    weeks = max(-(-timedelta(seconds=last - first) // _WEEK), 1)
    taken.rotations.append(Rotation(
        taken.rotation_name(title), NOWHERE, zone, sunday + timedelta(seconds=first), Turn(weeks, "week"), tuple(users),
        tuple(_hours(template))))
    taken.notes.append(f"{title}: no event of it was filled in yet; its turns begin on {sunday:%Y-%m-%d} with "
                       f"{users[0]}")


def _hours(template: Mapping[str, Any]) -> Sequence[WeeklyHours]:
    """The hours of a template, seconds since Sunday midnight; none where it covers whole weeks."""
    found: list[WeeklyHours] = []
    total = 0
    for event in objects(template.get("events"), "events"):
        start, left = int(event.get("start") or 0) // 60, whole(event.get("duration"), "duration") // 60
        total += left
        while left > 0:
            day, minute = divmod(start, _DAY_MINUTES)
            length = min(left, _DAY_MINUTES - minute)
            found.append(WeeklyHours(frozenset(((day - 1) % 7,)), minute, (minute + length) % _DAY_MINUTES))
            start, left = start + length, left - length
    return () if total >= 7 * _DAY_MINUTES else found
