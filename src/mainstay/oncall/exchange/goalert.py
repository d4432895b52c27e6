"""GoAlert: what its GraphQL API answers to a query of `rotations`, `schedules` and `userOverrides`.

A rotation's `activeUserIndex` says who is on call at the moment of the export; its turns go on whatever a schedule's
rules leave of them. Every target of a schedule whose rules hold is on call at the same time; here one person is, by
layers, in the order of the targets. GoAlert counts turns of hours on the wall clock, we as they pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.quantity import Span, zone_named
from mainstay.kernel.wallclock import WeeklyHours, hours_in, instant_of, local_of, parse_clock
from mainstay.oncall.exchange.taken import (
    NOWHERE,
    Asked,
    Taken,
    fixed,
    get,
    moment,
    objects,
    shift,
    whole,
    with_overrides,
)
from mainstay.oncall.roster import Roster, Shift
from mainstay.oncall.spec import Override, Rotation, Schedule, Turn

_TURNS = {"hourly": "hour", "daily": "day", "weekly": "week", "monthly": "month"}


def _nodes(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = document.get(key)
    return objects(found.get("nodes") if isinstance(found, dict) else found, key)


def _data(document: object) -> Mapping[str, Any]:
    if not isinstance(document, dict):
        return {}
    data = document.get("data", document)
    return data if isinstance(data, dict) else {}


def recognised(document: object) -> bool:
    """Whether it looks like GoAlert's."""
    data = _data(document)
    nodes = [one for key in ("schedules", "rotations") if isinstance(data.get(key), (dict, list))
             for one in (data[key].get("nodes") or [] if isinstance(data[key], dict) else data[key])]
    return any(isinstance(one, dict) and ({"timeZone", "targets"} <= set(one) or "shiftLength" in one) for one in nodes)


def take(document: object, asked: Asked) -> Taken:
    """The schedules of the export, and the rotations that no schedule uses.

    Raises:
        InvalidInput: it is not what GoAlert answers.
    """
    data, taken = _data(document), Taken()
    users = {str(get(one, "id", "a user")): str(one.get("name") or one["id"]) for one in _nodes(data, "users")}
    rotations = {str(get(one, "id", "a rotation")): one for one in _nodes(data, "rotations")}
    used: set[str] = set()
    reading = _Reading(taken, users, rotations, asked, used)
    overrides = _nodes(data, "userOverrides")
    for schedule in _nodes(data, "schedules"):
        reading.schedule(schedule, [one for one in overrides if _target(one) in ("", str(schedule.get("id")))])
    for name, rotation in rotations.items():
        if name not in used:
            taken.rotations.append(reading.rotation(rotation, ()))
    if not taken.rotations:
        raise InvalidInput("the export holds no rotation and no schedule with targets",
                           "docs/guides/oncall.md shows the query that exports them")
    return taken


def _target(override: Mapping[str, Any]) -> str:
    target = override.get("target")
    return str(target.get("id", "")) if isinstance(target, dict) else str(override.get("scheduleID") or "")


class _Reading:
    """The export while it is read."""

    def __init__(self, taken: Taken, users: Mapping[str, str], rotations: Mapping[str, Mapping[str, Any]], asked: Asked,
                 used: set[str]) -> None:
        self.taken, self.users, self.rotations, self.asked, self.used = taken, users, rotations, asked, used

    def _user(self, identity: object) -> str:
        title = self.users.get(str(identity), str(identity))
        return self.taken.person(title, title, account=str(identity))

    def rotation(self, one: Mapping[str, Any], hours: Sequence[WeeklyHours], wanted: str = "") -> Rotation:
        """A rotation whose turns fall so that the active person is on call now."""
        title = str(get(one, "name", "a rotation"))
        zone = str(zone_named(str(get(one, "timeZone", title))))
        unit = _TURNS.get(str(get(one, "type", title)))
        if unit is None:
            raise InvalidInput(f'{title} is of type "{one["type"]}"', "hourly, daily, weekly and monthly are known")
        listed = one.get("userIDs") or [get(user, "id", "a user") for user in objects(one.get("users"), "users")]
        for user in objects(one.get("users"), "users"):
            if user.get("name"):
                self.users = {**self.users, str(user.get("id")): str(user["name"])}
        members = [self._user(user) for user in listed]
        if not members:
            self.taken.notes.append(f"{title}: nobody takes turns in it; nobody is on call")
        start = local_of(moment(get(one, "start", title), "start", zone), zone_named(zone))
        found = Rotation(self.taken.rotation_name(wanted or title), NOWHERE, zone, start,
                         Turn(whole(one.get("shiftLength", 1), "shiftLength"), unit),  # type: ignore[arg-type]
                         tuple(members) or (None,), tuple(hours), title=title, counts_empty=True)
        roster = Roster(replace(found, restrictions=()))
        index = roster.turn_at(self.asked.now) if self.asked.now >= roster.turn_start(0) else 0
        active = int(one.get("activeUserIndex") or 0)
        shift_by = (active - index) % len(found.members)
        found = replace(found, members=found.members[shift_by:] + found.members[:shift_by])
        if unit == "hour":
            self._wall_hours(found, title)
        return found

    def _wall_hours(self, rotation: Rotation, title: str) -> None:
        """Where GoAlert's wall-clock hours hand over at other instants than hours that pass."""
        zone, span = zone_named(rotation.zone), self.asked.span
        roster, step = Roster(rotation), timedelta(hours=rotation.turn.every)
        index, theirs = roster.turn_at(max(span.start, roster.turn_start(0))), []
        while (at := instant_of(rotation.start + index * step, zone)) < span.end:
            if at != roster.turn_start(index):
                theirs.append(at)
            index += 1
        if theirs:
            self.taken.notes.append(
                f"{title}: GoAlert counts hours on the wall clock, so that from {theirs[0]:%Y-%m-%d %H:%M} UTC it "
                f"hands over at other instants ({len(theirs)} within a year); we count hours as they pass")

    def schedule(self, one: Mapping[str, Any], overrides: Sequence[Mapping[str, Any]]) -> None:
        """A schedule as layers, one a target."""
        title = str(get(one, "name", "a schedule"))
        name = self.taken.rotation_name(title)
        zone = str(zone_named(str(get(one, "timeZone", title))))
        layers = []
        for target in objects(one.get("targets"), "targets"):
            found = self._layer(target, name, zone)
            if found is not None:
                layers.append(found)
                self.taken.rotations.append(found)
        if not layers:
            self.taken.notes.append(f"{title}: it has no targets with rules; nobody is on call")
            return
        self._say_overlaps(title, layers)
        changed = self._with_changes(layers, one, overrides, title)
        for before, after in zip(layers, changed, strict=True):
            self.taken.rotations[self.taken.rotations.index(before)] = after
        self.taken.schedules.append(Schedule(name, NOWHERE, tuple(found.name for found in changed), title))
        truth = self._truth(one, title)
        if truth:
            self.taken.truth[name] = truth

    def _layer(self, entry: Mapping[str, Any], schedule: str, zone: str) -> Rotation | None:
        target = get(entry, "target", "a target")
        hours = tuple(map(_rule, objects(entry.get("rules"), "rules")))
        if not hours:
            return None
        if len(hours) == 1 and hours[0] == WeeklyHours(frozenset(range(7)), 0, 0):
            hours = ()
        identity, kind = str(get(target, "id", "a target")), str(get(target, "type", "a target"))
        if kind == "user":
            who = self._user(identity) if identity in self.users else self.taken.person(
                str(target.get("name") or identity), str(target.get("name") or ""), account=identity)
            start = local_of(self.asked.now, zone_named(zone)).replace(hour=0, minute=0, second=0, microsecond=0)
            return Rotation(self.taken.rotation_name(f"{schedule}-{who}"), NOWHERE, zone, start - timedelta(days=7),
                            Turn(1, "week"), (who,), hours)
        declared = self.rotations.get(identity)
        if declared is None:
            raise InvalidInput(f"the schedule {schedule} names the rotation {identity}, which the export does not hold",
                               "export rotations as well")
        self.used.add(identity)
        wanted = f"{schedule}-{declared.get('name')}"
        if str(declared.get("timeZone")) == zone or not hours:
            return self.rotation(declared, hours, wanted)
        turns = self.rotation(declared, (), wanted)
        self.taken.notes.append(f"{wanted}: its turns follow {turns.zone}, its rules {zone}; a rotation has one zone, "
                                "so that its shifts of the next year were taken as they are")
        spans = hours_in(hours, zone_named(zone), self.asked.span)
        return fixed(turns.name, zone, (held for span in spans for held in Roster(turns).shifts(span)), turns.title)

    def _say_overlaps(self, title: str, layers: Sequence[Rotation]) -> None:
        week = Span(self.asked.now, self.asked.now + timedelta(days=14))
        held = sorted((found.start, found.end) for layer in layers for found in Roster(layer).shifts(week)
                      if found.who is not None)
        if any(before[1] > after[0] for before, after in pairwise(held)):
            self.taken.notes.append(f"{title}: several targets are on call at once; here the first one listed is, "
                                    "page the others by steps of an escalation policy")

    def _with_changes(self, layers: Sequence[Rotation], one: Mapping[str, Any], overrides: Sequence[Mapping[str, Any]],
                      title: str) -> list[Rotation]:
        """The layers with temporary schedules and overrides on top."""
        changed = list(layers)
        for temporary in objects(one.get("temporarySchedules"), "temporarySchedules"):
            span = _span(temporary)
            changed = [with_overrides(layer, [Override(span, None, note="temporary schedule")]) for layer in changed]
            changed[0] = with_overrides(changed[0], [
                Override(_span(held), self._user(held.get("userID") or get(held["user"], "id", "a user")),
                         note="temporary schedule") for held in objects(temporary.get("shifts"), "shifts")])
        for override in overrides:
            changed = self._overridden(changed, override, title)
        return changed

    def _overridden(self, layers: list[Rotation], override: Mapping[str, Any], title: str) -> list[Rotation]:
        span = _span(override)
        gone, come = override.get("removeUserID"), override.get("addUserID")
        if gone:
            who, removed = (self._user(come) if come else None), self._user(gone)
            return [with_overrides(layer, [Override(span, who, removed)]) if removed in layer.members or any(
                made.who == removed for made in layer.overrides) else layer for layer in layers]
        if come:
            who = self._user(come)
            self.taken.notes.append(f"{title}: from {span.start:%Y-%m-%d %H:%M} UTC {who} is on call beside the others "
                                    "in GoAlert; here instead of them")
            return [with_overrides(layers[0], [Override(span, who)]), *layers[1:]]
        return layers

    def _truth(self, one: Mapping[str, Any], title: str) -> list[Shift]:
        """The schedule's own shifts; of those that overlap, the first that was listed holds."""
        listed = objects(one.get("shifts"), "shifts")
        found: list[Shift] = []
        for held in listed:
            user = held.get("userID") or get(held.get("user") or {}, "id", "a shift's user")
            start, end = _span(held)
            found.append(shift(start, end, self._user(user)))
        found.sort(key=lambda held: held.start)
        if any(before.end > after.start for before, after in pairwise(found)):
            self.taken.notes.append(f"{title}: its shifts overlap, so ours are not held against them")
            return []
        return found


def _span(one: Mapping[str, Any]) -> Span:
    start: datetime = moment(get(one, "start", "a stretch"), "start")
    end: datetime = moment(get(one, "end", "a stretch"), "end")
    if start >= end:
        raise InvalidInput(f"a stretch from {start} ends before it begins", "export it again")
    return Span(start, end)


def _rule(one: Mapping[str, Any]) -> WeeklyHours:
    """A rule's hours; its weekdays begin with Sunday, and equal times mean the whole day."""
    days = get(one, "weekdayFilter", "a rule")
    if not isinstance(days, list) or len(days) != 7:
        raise InvalidInput("a rule's weekdayFilter must have seven entries", "export it again")
    start, end = parse_clock(str(get(one, "start", "a rule"))[:5]), parse_clock(str(get(one, "end", "a rule"))[:5])
    return WeeklyHours(frozenset((index - 1) % 7 for index, holds in enumerate(days) if holds), start, end)

