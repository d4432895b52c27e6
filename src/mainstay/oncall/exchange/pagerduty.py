"""PagerDuty: what `GET /schedules/{id}` answers (one schedule, a list, or an object of them).

Layers are listed with the one on top first, which is the reverse of how they are sent; where the export has the final
schedule, the order that agrees with it is taken. A layer's turns are counted from `rotation_virtual_start` by the
calendar, also those that its restrictions leave empty. With `since` and `until` in the request the answer carries the
final schedule's entries: ours are held against them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.quantity import Span, zone_named
from mainstay.kernel.wallclock import EVERY_DAY, WeeklyHours, local_of, parse_clock
from mainstay.oncall.exchange.taken import (
    NOWHERE,
    Asked,
    Taken,
    compared,
    get,
    moment,
    objects,
    shift,
    whole,
    with_overrides,
)
from mainstay.oncall.roster import Roster, Shift, layered
from mainstay.oncall.spec import Override, Rotation, Schedule, Turn

_MINUTE, _HOUR, _DAY, _WEEK = 60, 3600, 86_400, 604_800
_DAY_MINUTES = 24 * 60


def recognised(document: object) -> bool:
    """Whether it looks like PagerDuty's."""
    return any("schedule_layers" in one for one in _schedules(document))


def _schedules(document: object) -> list[Mapping[str, Any]]:
    if isinstance(document, dict):
        if isinstance(document.get("schedule"), dict):
            return [document["schedule"]]
        if isinstance(document.get("schedules"), list):
            return [one for one in document["schedules"] if isinstance(one, dict)]
        return [document] if "schedule_layers" in document else []
    if isinstance(document, list):
        return [found for one in document for found in _schedules(one)]
    return []


def take(document: object, asked: Asked) -> Taken:
    """The schedules of the export.

    Raises:
        InvalidInput: it is not what PagerDuty exports.
    """
    taken = Taken()
    for schedule in _schedules(document):
        _schedule(taken, schedule, asked)
    if not taken.rotations:
        raise InvalidInput("the export holds no schedule with layers",
                           "export each schedule with GET /schedules/ID?since=…&until=…")
    return taken


def _schedule(taken: Taken, schedule: Mapping[str, Any], asked: Asked) -> None:
    title = str(schedule.get("name") or schedule.get("summary") or get(schedule, "id", "a schedule"))
    zone = str(zone_named(str(get(schedule, "time_zone", title))))
    name = taken.rotation_name(title)
    layers = []
    for number, layer in enumerate(objects(get(schedule, "schedule_layers", title), "schedule_layers"), 1):
        rotation = _layer(taken, layer, zone, f"{name}-{layer.get('name') or f'layer {number}'}")
        if rotation is not None:
            layers.append(rotation)
            taken.rotations.append(rotation)
    final = _entries(taken, schedule.get("final_schedule"))
    overrides = _overrides(taken, schedule)
    if not layers:
        taken.notes.append(f"{title}: no layer has anybody in it; nothing was taken")
        return
    layers = _ordered(taken, layers, (overrides, final), asked, title)
    if overrides:
        top = layers[0]
        layers[0] = with_overrides(top, overrides)
        taken.rotations[taken.rotations.index(top)] = layers[0]
    taken.schedules.append(Schedule(name, NOWHERE, tuple(one.name for one in layers), title))
    if final:
        taken.truth[name] = final


def _layer(taken: Taken, layer: Mapping[str, Any], zone: str, wanted: str) -> Rotation | None:
    users = [_user(taken, one) for one in objects(layer.get("users"), "users")]
    if not users:
        return None
    clock = zone_named(zone)
    virtual = moment(get(layer, "rotation_virtual_start", wanted), "rotation_virtual_start", zone)
    start = moment(layer.get("start") or layer["rotation_virtual_start"], "start", zone)
    end = layer.get("end")
    turn = _turn(whole(get(layer, "rotation_turn_length_seconds", wanted), "rotation_turn_length_seconds"))
    rotation = Rotation(
        taken.rotation_name(wanted), NOWHERE, zone, local_of(virtual, clock), turn, tuple(users),
        tuple(hours for one in objects(layer.get("restrictions"), "restrictions") for hours in _restriction(one)),
        title=str(layer.get("name") or ""), counts_empty=True,
        until=local_of(moment(end, "end", zone), clock) if end else None)
    if virtual < start:  # the turns are counted from before anybody was on call
        rotation = replace(rotation, overrides=(Override(Span(virtual, start), None, note="before the layer began"),))
    return rotation


def _turn(seconds: int) -> Turn:
    for size, unit in ((_WEEK, "week"), (_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute")):
        if seconds % size == 0:
            return Turn(seconds // size, unit)  # type: ignore[arg-type]  # the units are those of a Turn
    raise InvalidInput(f"turns of {seconds} s are not whole minutes", "change the layer before exporting it")


def _restriction(one: Mapping[str, Any]) -> Iterator[WeeklyHours]:
    """A restriction as hours of days; one that lasts several days is one stretch a day, each meeting the next."""
    start = parse_clock(str(get(one, "start_time_of_day", "a restriction"))[:5])
    left = whole(get(one, "duration_seconds", "a restriction"), "duration_seconds") // _MINUTE
    if one.get("type") == "daily_restriction":
        yield WeeklyHours(EVERY_DAY, start, (start + min(left, _DAY_MINUTES)) % _DAY_MINUTES)
        return
    day = whole(get(one, "start_day_of_week", "a weekly restriction"), "start_day_of_week") - 1
    left = min(left, 7 * _DAY_MINUTES)
    while left > 0:
        length = min(left, _DAY_MINUTES - start)
        yield WeeklyHours(frozenset((day % 7,)), start, (start + length) % _DAY_MINUTES)
        day, start, left = day + 1, 0, left - length


def _user(taken: Taken, entry: Mapping[str, Any]) -> str:
    user = entry.get("user") if isinstance(entry.get("user"), dict) else entry
    assert isinstance(user, dict)
    title = str(user.get("summary") or user.get("name") or "")
    named = str(user.get("email") or title or get(user, "id", "a user"))
    return taken.person(named, title, account=str(user.get("id") or ""))


def _entries(taken: Taken, subschedule: object) -> list[Shift]:
    """Rendered entries, in order; nothing where the export has none."""
    if not isinstance(subschedule, dict):
        return []
    found = [shift(moment(get(one, "start", "an entry"), "start"), moment(get(one, "end", "an entry"), "end"),
                   _user(taken, one))
             for one in objects(subschedule.get("rendered_schedule_entries"), "rendered_schedule_entries")]
    return sorted(found, key=lambda one: one.start)


def _overrides(taken: Taken, schedule: Mapping[str, Any]) -> list[Override]:
    """Those listed as overrides, else those rendered; a later one wins."""
    listed = objects(schedule.get("overrides"), "overrides")
    if listed:
        return [Override(Span(moment(get(one, "start", "an override"), "start"),
                              moment(get(one, "end", "an override"), "end")), _user(taken, one)) for one in listed]
    return [Override(Span(one.start, one.end), one.who)
            for one in _entries(taken, schedule.get("overrides_subschedule"))]


def _ordered(taken: Taken, layers: list[Rotation], known: tuple[Sequence[Override], Sequence[Shift]], asked: Asked,
             title: str) -> list[Rotation]:
    """The layers with the topmost first: as listed, unless the final schedule says that it is the other way round."""
    overrides, final = known
    held = [one for one in final if one.end > asked.span.start and one.start < asked.span.end]
    if len(layers) < 2 or not held:
        return layers
    span = Span(max(held[0].start, asked.span.start), min(held[-1].end, asked.span.end))

    def apart(order: list[Rotation]) -> timedelta:
        rosters = [Roster(with_overrides(order[0], overrides)), *map(Roster, order[1:])]
        return sum((end - start for start, end, _, _ in compared(final, layered(rosters, span), span)), timedelta())

    if apart(layers[::-1]) < apart(layers):
        taken.notes.append(f"{title}: the layers are listed bottom first; the final schedule says so")
        return layers[::-1]
    return layers


