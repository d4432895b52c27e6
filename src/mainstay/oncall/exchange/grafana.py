"""Grafana OnCall: what its public API answers for `schedules`, `on_call_shifts` and `users`, in one file.

Read from the documentation of the HTTP API alone. A higher `level` covers a lower one; people at the same level are
on call together there, one of them is here. `rolling_users` take turns each time the rule recurs, whatever `by_day`
leaves of it. With the answer of `schedules/ID/final_shifts` in the file ours are held against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.quantity import Span, zone_named
from mainstay.kernel.wallclock import EVERY_DAY, WeeklyHours, instant_of, local_of, parse_wall_time
from mainstay.oncall.exchange.recurring import walls
from mainstay.oncall.exchange.taken import NOWHERE, Asked, Taken, fixed, get, moment, objects, shift, whole
from mainstay.oncall.roster import Shift
from mainstay.oncall.spec import Rotation, Schedule, Turn

_UNITS = {"hourly": (timedelta(hours=1), "hour"), "daily": (timedelta(days=1), "day"),
          "weekly": (timedelta(days=7), "week")}
_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_DAY_MINUTES = 24 * 60
_OVERRIDE_LEVEL = 99
"""Overrides lie over every layer; the levels of the API end at 9."""


def _list(document: object, key: str) -> list[Mapping[str, Any]]:
    """A list of the export, as it is or as a page of the API."""
    found = document.get(key) if isinstance(document, dict) else None
    return objects(found.get("results") if isinstance(found, dict) else found, key)


def recognised(document: object) -> bool:
    """Whether it looks like Grafana OnCall's."""
    return isinstance(document, dict) and "on_call_shifts" in document


def take(document: object, asked: Asked) -> Taken:
    """The schedules of the export.

    Raises:
        InvalidInput: it is not what Grafana OnCall answers.
    """
    taken = Taken()
    users = {str(get(one, "id", "a user")): one for one in _list(document, "users")}
    shifts = {str(get(one, "id", "a shift")): one for one in _list(document, "on_call_shifts")}
    finals = _list(document, "final_shifts")
    for schedule in _list(document, "schedules"):
        reading = _Reading(taken, users, schedule, asked)
        listed = [shifts[str(one)] for one in schedule.get("shifts") or () if str(one) in shifts]
        reading.schedule(listed, [one for one in finals if one.get("schedule") in (None, schedule.get("id"))])
    if not taken.rotations:
        raise InvalidInput("the export holds no schedule with shifts",
                           "export schedules, on_call_shifts and users of the HTTP API into one file")
    return taken


class _Reading:
    """One schedule while it is read."""

    def __init__(self, taken: Taken, users: Mapping[str, Mapping[str, Any]], one: Mapping[str, Any],
                 asked: Asked) -> None:
        self.taken, self.users, self.asked = taken, users, asked
        self.title = str(get(one, "name", "a schedule"))
        self.name = taken.rotation_name(self.title)
        self.zone = str(zone_named(str(one.get("time_zone") or "UTC")))
        if one.get("type") == "ical":
            taken.notes.append(f"{self.title}: its shifts are in the calendar {one.get('ical_url_primary')}; "
                               "import that file with --from ical")

    def _user(self, identity: object) -> str:
        user = self.users.get(str(identity), {})
        named = str(user.get("username") or user.get("email") or identity)
        return self.taken.person(named, str(user.get("name") or ""), str(user.get("timezone") or "UTC"),
                                 account=str(identity))

    def schedule(self, shifts: list[Mapping[str, Any]], finals: list[Mapping[str, Any]]) -> None:
        """Each shift a layer, the highest level first; single events of a level together."""
        ordered = sorted(shifts, key=lambda one: -_level(one))
        levels = [_level(one) for one in ordered if one.get("type") not in ("single_event", "override")]
        if len(levels) != len(set(levels)):
            self.taken.notes.append(f"{self.title}: several rotations of one level are on call together there; here the"
                                    " first one listed is, page the others by steps of an escalation policy")
        singles: dict[int, list[Shift]] = {}
        layers: list[tuple[int, Rotation]] = []
        for one in ordered:
            if one.get("type") in ("single_event", "override"):
                singles.setdefault(_level(one), []).extend(self._single(one))
            else:
                layers.append((_level(one), self._rotation(one)))
                self.taken.rotations.append(layers[-1][1])
        for level, held in singles.items():
            made = fixed(self.taken.rotation_name(f"{self.name}-single-{level}"), self.zone, held)
            layers.append((level + 0, made))
            self.taken.rotations.append(made)
        if not layers:
            return
        # Of one level, single events are meant to cover what recurs.
        layers.sort(key=lambda entry: (-entry[0], entry[1].members != (None,)))
        self.taken.schedules.append(Schedule(self.name, NOWHERE, tuple(one.name for _, one in layers), self.title))
        truth = sorted((shift(moment(get(one, "shift_start", "a final shift"), "shift_start"),
                              moment(get(one, "shift_end", "a final shift"), "shift_end"),
                              self._user(one.get("user_pk") or one.get("user_username"))) for one in finals),
                       key=lambda one: one.start)
        if any(before.end > after.start for before, after in pairwise(truth)):
            self.taken.notes.append(f"{self.title}: its final shifts overlap, so ours are not held against them")
        elif truth:
            self.taken.truth[self.name] = truth

    def _start(self, one: Mapping[str, Any]) -> tuple[datetime, str]:
        """The first event's start on the wall, and the zone of that wall."""
        zone = str(zone_named(str(one.get("time_zone") or self.zone)))
        return parse_wall_time(str(get(one, "start", "a shift")).removesuffix("Z")), zone

    def _single(self, one: Mapping[str, Any]) -> list[Shift]:
        wall, zone = self._start(one)
        clock = zone_named(zone)
        end = wall + timedelta(seconds=whole(one.get("duration"), "duration"))
        users = self._together(one.get("users") or [user for group in one.get("rolling_users") or () for user in group],
                               str(one.get("name")))
        return [shift(instant_of(wall, clock), instant_of(end, clock), users)] if users else []

    def _together(self, users: object, title: str) -> str | None:
        """The one of several people of an event who is on call here."""
        listed = users if isinstance(users, list) else []
        if len(listed) > 1:
            self.taken.notes.append(f"{title}: {len(listed)} people are on call together there; here "
                                    f"{self._user(listed[0])} is")
        return self._user(listed[0]) if listed else None

    def _rotation(self, one: Mapping[str, Any]) -> Rotation:
        """A recurring shift as turns; one that no turns can say, as it is."""
        wall, zone = self._start(one)
        title = str(get(one, "name", "a shift"))
        name = self.taken.rotation_name(f"{self.name}-{title}")
        members = self._members(one, title)
        duration = timedelta(seconds=whole(one.get("duration"), "duration"))
        unit = _UNITS.get(str(one.get("frequency")))
        interval = int(one.get("interval") or 1)
        plain = not (one.get("by_month") or one.get("by_monthday")) and (
            not one.get("by_day") or one.get("frequency") == "weekly")
        until = _until(one, zone)
        if unit is None or not plain:
            return self._expanded(one, (name, title, zone), members)
        if duration == unit[0] * interval and not one.get("by_day"):
            return Rotation(name, NOWHERE, zone, wall, Turn(interval, unit[1]), members, title=title,  # type: ignore[arg-type]
                            until=until, counts_empty=True)
        if duration > timedelta(days=1) or unit[1] == "hour" or (duration > unit[0]):
            return self._expanded(one, (name, title, zone), members)
        first, days = _week_start(one, wall)
        minute = wall.hour * 60 + wall.minute
        hours = WeeklyHours(days, minute, (minute + duration // timedelta(minutes=1)) % _DAY_MINUTES)
        spread = tuple(who for member in members for who in (member, *([None] * (interval - 1))))
        found = Rotation(name, NOWHERE, zone, first, Turn(1, unit[1]), spread,  # type: ignore[arg-type]
                         () if duration == timedelta(days=1) and days == EVERY_DAY else (hours,), title=title,
                         until=until, counts_empty=True)
        return replace(found, start=wall, members=spread) if unit[1] == "day" else found

    def _members(self, one: Mapping[str, Any], title: str) -> tuple[str | None, ...]:
        if one.get("type") == "recurrent_event":
            return (self._together(one.get("users"), title),)
        groups = [group for group in one.get("rolling_users") or () if group]
        begin = int(one.get("start_rotation_from_user_index") or 0) % max(len(groups), 1)
        return tuple(self._together(group, title) for group in groups[begin:] + groups[:begin]) or (None,)

    def _expanded(self, one: Mapping[str, Any], named: tuple[str, str, str],
                  members: tuple[str | None, ...]) -> Rotation:
        """The events of the next year, one by one: what months and days of the month recur by is no turn."""
        name, title, zone = named
        wall, clock = self._start(one)[0], zone_named(zone)
        rule = [f"FREQ={str(get(one, 'frequency', title)).upper()}", f"INTERVAL={int(one.get('interval') or 1)}",
                f"WKST={one.get('week_start') or 'SU'}"]
        rule += [f"{key}={','.join(map(str, one[field]))}" for key, field in (
            ("BYDAY", "by_day"), ("BYMONTH", "by_month"), ("BYMONTHDAY", "by_monthday")) if one.get(field)]
        length = timedelta(seconds=whole(one.get("duration"), "duration"))
        begin = min(instant_of(wall, clock), self.asked.span.end)
        held = []
        for number, at in enumerate(walls(";".join(rule), wall, clock, Span(begin, self.asked.span.end))):
            until = _until(one, zone)
            if until is None or at < until:
                held.append(shift(instant_of(at, clock), instant_of(at + length, clock),
                                  members[number % len(members)]))
        self.taken.notes.append(f"{title}: it recurs by days of the month, months or odd lengths, which turns cannot "
                                f"say; its {len(held)} events up to {self.asked.span.end:%Y-%m-%d} were taken as "
                                "they are")
        return fixed(name, zone, [one_ for one_ in held if one_.end > self.asked.span.start], title)


def _level(one: Mapping[str, Any]) -> int:
    return _OVERRIDE_LEVEL if one.get("type") == "override" else int(one.get("level") or 0)


def _until(one: Mapping[str, Any], zone: str) -> datetime | None:
    until = one.get("until")
    return local_of(moment(until, "until", zone), zone_named(zone)) if until else None


def _week_start(one: Mapping[str, Any], wall: datetime) -> tuple[datetime, frozenset[int]]:
    """The start of the first turn, and the days of the week on which the shift begins."""
    if one.get("frequency") != "weekly":
        return wall, EVERY_DAY
    written = [str(day) for day in one.get("by_day") or [_DAYS[wall.weekday()]]]
    unknown = [day for day in written if day not in _DAYS]
    if unknown:
        raise InvalidInput(f'by_day holds "{unknown[0]}", which is not a day', "days are " + ", ".join(_DAYS))
    begins = str(one.get("week_start") or "SU")
    back = (wall.weekday() - _DAYS.index(begins if begins in _DAYS else "SU")) % 7
    return wall - timedelta(days=back), frozenset(map(_DAYS.index, written))
