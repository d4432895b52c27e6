"""Rotations, schedules and people as the YAML of a catalog, to be kept in git and edited by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from datetime import datetime

from mainstay.kernel.quantity import zone_named
from mainstay.kernel.wallclock import DAYS, EVERY_DAY, WeeklyHours, instant_of, local_of
from mainstay.oncall.forms import NOBODY
from mainstay.oncall.spec import ALWAYS, Override, Person, Rotation, Schedule, Stay

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./+-]*( [A-Za-z0-9_./+-]+)*")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off"}


def as_yaml(rotations: Iterable[Rotation], schedules: Iterable[Schedule] = (), people: Iterable[Person] = ()) -> str:
    """Documents of a catalog that say the same."""
    documents = [*map(rotation_yaml, rotations), *map(_schedule, schedules), *map(_person, people)]
    return "---\n".join(documents)


def quoted(text: str) -> str:
    """A text as YAML has it: bare where that is safe."""
    return text if _PLAIN.fullmatch(text) and text.lower() not in _WORDS else json.dumps(text, ensure_ascii=False)


def rotation_yaml(one: Rotation) -> str:
    """A rotation as its document."""
    lines = [*_head("Rotation", one.name, one.title), "spec:", f"  timezone: {quoted(one.zone)}",
             f"  start: {_wall(one.start)}", f"  turn: {one.turn}"]
    if one.until is not None:
        lines.append(f"  until: {_wall(one.until)}")
    if one.counts_empty:
        lines.append("  empty_turns: count")
    stays = one.stays or (ALWAYS,) * len(one.members)
    if one.stays:
        lines.append("  members:")
        lines += [f"    - {_member(who, stay, one.zone)}" for who, stay in zip(one.members, stays, strict=True)]
    else:
        lines.append("  members: [" + ", ".join(_name(who) for who in one.members) + "]")
    if one.restrictions:
        lines.append("  restrictions:")
        lines += [f"    - {_hours(hours)}" for hours in one.restrictions]
    if one.overrides:
        lines.append("  overrides:")
        lines += [f"    - {override_yaml(override, one.zone)}" for override in one.overrides]
    return "\n".join(lines) + "\n"


def _head(kind: str, name: str, title: str) -> Iterator[str]:
    yield from ("apiVersion: mainstay/v1", f"kind: {kind}")
    yield f"metadata: {{name: {quoted(name)}" + (f", displayName: {quoted(title)}}}" if title else "}")


def _name(who: str | None) -> str:
    return NOBODY if who is None else quoted(who)


def _member(who: str | None, stay: Stay, zone: str) -> str:
    if stay == ALWAYS:
        return _name(who)
    dates = [f"{key}: {wall(at, zone)}" for key, at in (("from", stay.start), ("until", stay.end)) if at is not None]
    return "{" + ", ".join([f"who: {_name(who)}", *dates]) + "}"


def _hours(one: WeeklyHours) -> str:
    days = "" if one.days == EVERY_DAY else "days: [" + ", ".join(DAYS[day] for day in sorted(one.days)) + "], "
    end = one.end or 24 * 60
    return f'{{{days}from: "{one.start // 60:02}:{one.start % 60:02}", to: "{end // 60:02}:{end % 60:02}"}}'


def override_yaml(one: Override, zone: str) -> str:
    """An override as a line of its rotation."""
    parts = [f"from: {wall(one.span.start, zone)}", f"to: {wall(one.span.end, zone)}", f"who: {_name(one.who)}"]
    if one.replaces is not None:
        parts.append(f"replaces: {quoted(one.replaces)}")
    if one.note:
        parts.append(f"note: {quoted(one.note)}")
    return "{" + ", ".join(parts) + "}"


def wall(at: datetime, zone: str) -> str:
    """An instant by the zone's wall clock, or in UTC where the wall would say two things."""
    clock = zone_named(zone)
    local = local_of(at, clock)
    return _wall(local) if instant_of(local, clock) == at else f'"{at.isoformat().replace("+00:00", "Z")}"'


def _wall(local: datetime) -> str:
    return f'"{local.isoformat(timespec="auto" if local.second or local.microsecond else "minutes")}"'


def _schedule(one: Schedule) -> str:
    return "\n".join([*_head("Schedule", one.name, one.title),
                      "spec: {layers: [" + ", ".join(map(quoted, one.layers)) + "]}"]) + "\n"


def _person(one: Person) -> str:
    return "\n".join([*_head("Person", one.name, one.title), f"spec: {{timezone: {quoted(one.zone)}}}"]) + "\n"
