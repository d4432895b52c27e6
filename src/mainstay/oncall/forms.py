"""What can be read: `mainstay/v1` Rotation, Schedule, Person and Holidays."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta, tzinfo

from mainstay.kernel.catalog import Form
from mainstay.kernel.channels import CHANNELS
from mainstay.kernel.document import Node
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import Position
from mainstay.kernel.metadata import parse_date, read_metadata
from mainstay.kernel.people import Contact, Reach
from mainstay.kernel.quantity import Span, parse_moment, zone_named
from mainstay.kernel.reader import Reader
from mainstay.kernel.wallclock import (
    EVERY_DAY,
    WeeklyHours,
    instant_of,
    parse_clock,
    parse_day,
    parse_wall_time,
)
from mainstay.oncall.spec import ALWAYS, Absence, Holidays, Override, Person, Rotation, Schedule, Stay, Turn, Unit

_TURN = re.compile(r"(\d{1,4})\s*(mo|[mhdwM])")
_UNITS: dict[str, Unit] = {"m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "M": "month"}
NOBODY = "nobody"
"""Stands among the members for a turn that nobody has, and as an override's `who` for taking somebody away."""
URGENCIES = ("high", "low")


def parse_turn(text: str) -> Turn:
    """`12h`, `1d`, `1w`, `2w`, `1mo` as a turn.

    Raises:
        InvalidInput: not a turn.
    """
    found = _TURN.fullmatch(text.strip())
    if found is None or int(found[1]) == 0:
        raise InvalidInput(f'"{text}" is not a turn', "write 12h, 1d, 1w, 2w or 1mo")
    turn = Turn(int(found[1]), _UNITS[found[2]])
    if turn.unit == "minute" and turn.every < 5:
        raise InvalidInput(f'turns of "{text}" are too short to hand anything over', "write 5m or more")
    return turn


def read_rotation(reader: Reader) -> Iterator[Rotation]:
    """mainstay/v1 Rotation."""
    meta = read_metadata(reader)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is None:
        return
    zone = spec.parsed("timezone", zone_named, required=True)
    start = spec.parsed("start", parse_wall_time, required=True)
    turn = spec.parsed("turn", parse_turn, required=True)
    members, stays, places = _members(spec, zone)
    until = spec.parsed("until", parse_wall_time)
    empty_turns = spec.text("empty_turns", one_of=("skip", "count"), default="skip")
    if start is not None and until is not None and until <= start:
        spec.report("out-of-range", f"{spec.path}.until is not after {spec.path}.start", "write a later time", "until")
    restrictions = tuple(filter(None, map(_restriction, spec.children("restrictions"))))
    overrides = _overrides(spec, zone, members, places)
    spec.done()
    if zone is None or start is None or turn is None or not members or not meta.name:
        return
    yield Rotation(meta.name, meta.origin, str(zone), start, turn,
                   tuple(None if name == NOBODY else name for name in members), restrictions, overrides, meta.title,
                   meta.labels, stays, until, empty_turns == "count", places)


def _members(spec: Reader, zone: tzinfo | None) -> tuple[tuple[str, ...], tuple[Stay, ...], dict[str, Position]]:
    """The names in their order, from when until when each takes part (no stays where nobody comes or goes), and where
    each name is written first."""
    names: list[str] = []
    stays: list[Stay] = []
    places: dict[str, Position] = {}
    for index, entry in enumerate(spec.texts_or_children("members", required=True)):
        if isinstance(entry, str):
            names.append(entry)
            stays.append(ALWAYS)
            places.setdefault(entry, spec.where_of("members", index))
            continue
        who = entry.text("who", required=True)
        stay = Stay(entry.parsed("from", lambda text: _moment(text, zone)),
                    entry.parsed("until", lambda text: _moment(text, zone)))
        entry.done()
        if stay.start is not None and stay.end is not None and stay.start >= stay.end:
            entry.report("out-of-range", f"{entry.path} leaves before joining", "write an `until` after `from`",
                         "until")
        elif who is not None:
            names.append(who)
            stays.append(stay)
            places.setdefault(who, entry.where_of("who"))
    if spec.has("members") and not names:
        spec.report("missing-field", f"{spec.path}.members is empty: nobody would ever be on call",
                    "write at least one name", "members")
    return tuple(names), tuple(stays) if any(stay != ALWAYS for stay in stays) else (), places


def _restriction(reader: Reader) -> WeeklyHours | None:
    days = _days(reader)
    start, end = reader.parsed("from", parse_clock), reader.parsed("to", parse_clock)
    reader.done()
    if days is None:
        return None
    return WeeklyHours(days, start if start is not None else 0, end if end is not None else 24 * 60)


def _days(reader: Reader) -> frozenset[int] | None:
    written = reader.texts("days")
    if reader.has("days") and not written:
        reader.report("missing-field", f"{reader.field('days')} is empty: nothing would be covered",
                      "name a day, or leave it out for every day", "days")
        return None
    try:
        return frozenset(map(parse_day, written)) or EVERY_DAY
    except InvalidInput as error:
        reader.report("invalid-value", f"{reader.field('days')}: {error.message}", error.way_out, "days")
        return None


def _overrides(spec: Reader, zone: tzinfo | None, members: tuple[str, ...],
               places: dict[str, Position]) -> tuple[Override, ...]:
    """In their order; somebody whom an earlier one put on call can be replaced by a later one.

    Where the names of those who stand in are written is added to the places.
    """
    found: list[Override] = []
    known = members
    for child in spec.children("overrides"):
        one = _override(child, zone, known)
        if one is not None:
            found.append(one)
            if one.who is not None:
                places.setdefault(one.who, child.where_of("who"))
            known += (one.who,) if one.who is not None and one.who not in known else ()
    return tuple(found)


def _override(reader: Reader, zone: tzinfo | None, members: tuple[str, ...]) -> Override | None:
    span = _span(reader, zone)
    who = reader.text("who", required=True)
    replaces = reader.text("replaces")
    note = reader.text("note", default="")
    reader.done()
    if replaces == NOBODY:
        reader.report("invalid-value", f"{reader.path} replaces {NOBODY}, who is never on call",
                      "leave `replaces` out: the override covers the time, gaps included", "replaces")
        return None
    if replaces is not None and members and replaces not in members:
        reader.report("unknown-reference", f'{reader.field("replaces")} names "{replaces}", who takes no turns here',
                      "write one of: " + ", ".join(members), "replaces")
        return None
    if span is None or who is None:
        return None
    return Override(span, None if who == NOBODY else who, replaces, "override", note)


def _span(reader: Reader, zone: tzinfo | None) -> Span | None:
    """`from` and `to` by the zone's wall clock, or with a zone of their own."""
    start = reader.parsed("from", lambda text: _moment(text, zone), required=True)
    end = reader.parsed("to", lambda text: _moment(text, zone), required=True)
    if start is None or end is None:
        return None
    if start == end:
        reader.report("out-of-range", f"{reader.path} covers no time",
                      "write a `to` after `from`; a time that clocks skip is the first instant after the gap", "to")
        return None
    if start > end:
        reader.report("out-of-range", f"{reader.path} ends before it begins", "write a `to` after `from`", "to")
        return None
    return Span(start, end)


def _moment(text: str, zone: tzinfo | None) -> datetime:
    """A time by the zone's wall clock, or with a zone of its own, as an instant."""
    try:
        wall = parse_wall_time(text)
    except InvalidInput:
        return parse_moment(text)  # it says a zone, or is wrong in a way that this says better
    return instant_of(wall, zone) if zone is not None else parse_moment(f"{text.strip()}Z")


def read_schedule(reader: Reader) -> Iterator[Schedule]:
    """mainstay/v1 Schedule: rotations in layers."""
    meta = read_metadata(reader)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is None:
        return
    layers = spec.texts("layers", required=True)
    if spec.has("layers") and not layers:
        spec.report("missing-field", f"{spec.path}.layers is empty", "name at least one rotation", "layers")
    spec.done()
    if layers and meta.name:
        places = {name: spec.where_of("layers", index) for index, name in enumerate(layers)}
        yield Schedule(meta.name, meta.origin, layers, meta.title, places)


def read_person(reader: Reader) -> Iterator[Person]:
    """mainstay/v1 Person."""
    meta = read_metadata(reader)
    spec = reader.child("spec", required=True)
    reader.done()
    if meta.name == NOBODY and (metadata := reader.child("metadata")) is not None:
        metadata.report("invalid-name", f'a person cannot be named "{NOBODY}", which stands for a turn that nobody has',
                        "write another name", "name")
        return
    if spec is None:
        return
    zone = spec.parsed("timezone", zone_named)
    team = spec.text("team", default="")
    contacts = tuple(Contact(channel, _written(node)) for channel, node in _contacts(spec))
    rules = tuple(filter(None, (_reach(child, contacts) for child in spec.children("notify"))))
    absences = tuple(filter(None, (_absence(child, zone) for child in spec.children("time_off"))))
    written = spec.texts("holidays")
    places = {text: spec.where_of("holidays", index) for index, text in enumerate(written) if not text[:1].isdigit()}
    holidays = _dates(spec, "holidays", tuple(text for text in written if text[:1].isdigit()))
    spec.done()
    if meta.name:
        yield Person(meta.name, meta.origin, meta.title, str(zone) if zone is not None else "UTC", contacts, rules,
                     absences, holidays, team, tuple(places), places)


def _dates(reader: Reader, key: str, written: tuple[str, ...]) -> tuple[date, ...]:
    found = []
    for text in written:
        try:
            found.append(parse_date(text))
        except InvalidInput as error:
            reader.report("invalid-value", f"{reader.field(key)}: {error.message}", error.way_out, key)
    return tuple(found)


def read_holidays(reader: Reader) -> Iterator[Holidays]:
    """mainstay/v1 Holidays."""
    meta = read_metadata(reader)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is None:
        return
    days = _dates(spec, "days", spec.texts("days", required=True))
    spec.done()
    if days and meta.name:
        yield Holidays(meta.name, meta.origin, days, meta.title)


def _contacts(spec: Reader) -> Iterator[tuple[str, Node]]:
    child = spec.child("contacts")
    if child is None:
        return
    for channel, node in child.entries():
        if channel not in CHANNELS:
            child.report("unknown-value", f"{child.field(channel)} is not a channel",
                         "write one of: " + ", ".join(CHANNELS), channel)
        elif isinstance(node.value, (dict, list)) or node.value is None:
            child.report("wrong-type", f"{child.field(channel)} must be an address", "", channel)
        else:
            yield channel, node


def _written(node: Node) -> str:
    return node.written or str(node.value)


def _reach(reader: Reader, contacts: tuple[Contact, ...]) -> Reach | None:
    after = reader.duration("after")
    known = {contact.channel: contact for contact in contacts}
    channel = reader.text("channel", required=True, one_of=tuple(known) or CHANNELS)
    urgency = reader.text("urgency", one_of=URGENCIES, default="high")
    reader.done()
    if channel is not None and not known:
        reader.report("missing-field", f"{reader.field('channel')} is {channel}, and no contact is declared",
                      f"add contacts: {{{channel}: …}} to the person", "channel")
    if channel not in known:
        return None
    return Reach(after or _AT_ONCE, known[channel], "low" if urgency == "low" else "high")


def _absence(reader: Reader, zone: tzinfo | None) -> Absence | None:
    span = _span(reader, zone)
    reason = reader.text("reason", default="")
    reader.done()
    return Absence(span, reason) if span is not None else None


_AT_ONCE = timedelta()

FORMS = (
    Form("mainstay/v1 Rotation", read_rotation, "mainstay/v1", "Rotation"),
    Form("mainstay/v1 Schedule", read_schedule, "mainstay/v1", "Schedule"),
    Form("mainstay/v1 Person", read_person, "mainstay/v1", "Person"),
    Form("mainstay/v1 Holidays", read_holidays, "mainstay/v1", "Holidays"),
)
