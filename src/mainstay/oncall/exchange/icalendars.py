"""iCalendar files of any tool: events expanded, the person of each found, the rotation behind them looked for.

RFC 5545 gives every recurrence the exact length of the first event, so that a week from nine to nine overlaps the next
one, or leaves a gap, when clocks change. That is what the calendar says and ours is held against it. Only where clocks
change during the first event itself, of whole days on the wall, that accident of when it was made is not repeated.
"""

from __future__ import annotations

import re
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Any, NamedTuple

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, MissingExtra
from mainstay.kernel.quantity import Span, zone_named
from mainstay.kernel.wallclock import instant_of, local_of
from mainstay.kernel.wording import many
from mainstay.oncall.exchange.fitting import Fit, fit
from mainstay.oncall.exchange.recurring import walls
from mainstay.oncall.exchange.taken import Asked, Taken, fixed, shift
from mainstay.oncall.roster import Shift

_PAST = timedelta(days=400)
"""How far back events are read: enough to see who takes turns."""
_ON_CALL = re.compile(r"^on[- ]?call(?: shift)?\s*[-:–]\s*(?P<who>.+?)(?:\s+[-–]\s+.*)?$", re.IGNORECASE)
_IS_ON_CALL = re.compile(r"^(?P<who>.+?)\s+(?:is\s+)?on[- ]?call\b", re.IGNORECASE)
_UNESCAPED = re.compile(r"\\([\\;,])")
"""The library leaves properties of its writer's own as they were written."""
_ONE_DAY = timedelta(days=1)
_LEVEL = re.compile(r"^\s*\[L(\d+)\]\s*")


def recognised(text: str) -> bool:
    """Whether it looks like an iCalendar file."""
    return "BEGIN:VCALENDAR" in text[:4096].upper()


@dataclass(frozen=True, slots=True)
class _Event:
    """A shift of a pager; `zone` is said by our own calendars only, of the rotation behind it."""

    pager: str
    level: int
    shift: Shift
    zone: str = ""


def take(text: str, asked: Asked, name: str) -> Taken:
    """The pagers of the calendar: one a category, and a further one where several people are on call at once.

    Args:
        name: what the pager is called when the calendar does not say.
    Raises:
        InvalidInput: it is not a calendar, or holds no event.
        MissingExtra: the extra `ical` is not installed.
    """
    taken = Taken()
    span = Span(asked.now - _PAST, asked.span.end)
    by_pager: dict[str, list[_Event]] = defaultdict(list)
    zones: list[str] = []
    for calendar in _calendars(text, taken):
        title = str(calendar.get("X-WR-CALNAME") or "").removeprefix("On call: ").strip() or name
        zones += _zones(calendar)
        for event in _events(calendar, span, taken, (title, _own_zone(calendar) or asked.zone)):
            by_pager[event.pager].append(event)
    if not by_pager:
        said = f" ({taken.notes[0]})" if taken.notes else ""
        raise InvalidInput(f"the calendar holds no event of the last year or the next that can be read{said}",
                           "export shifts as events, or look whether the file is whole")
    zone = max(dict.fromkeys(zones), key=zones.count) if zones else asked.zone
    for pager, events in sorted(by_pager.items()):
        stated = [event.zone for event in events if event.zone]
        _pager(taken, pager, max(dict.fromkeys(stated), key=stated.count) if stated else zone, events)
    return taken


def _calendars(text: str, taken: Taken) -> list[Any]:
    try:
        from icalendar import Calendar  # noqa: PLC0415  (a lazy start: only an import of calendars needs it)
    except ImportError:
        raise MissingExtra("reading calendars", "ical") from None
    try:
        with warnings.catch_warnings(record=True) as guesses:
            warnings.simplefilter("always")
            found = list(Calendar.from_ical(text, multiple=True))
        # What the library guesses, such as a zone behind a vendor's name, the user must hear of.
        taken.notes += dict.fromkeys(str(one.message) for one in guesses)
        return found
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"the calendar cannot be read: {error}", "export it again, whole") from None


def _zones(calendar: Any) -> Iterator[str]:
    """The IANA zones that the calendar's times are in."""
    for event in calendar.walk("VEVENT"):
        try:
            start = _value(event, "DTSTART")
        except InvalidInput:
            continue
        key = getattr(getattr(start, "tzinfo", None), "key", "")
        if key and key != "UTC":
            yield key
    if named := _own_zone(calendar):
        yield named


def _own_zone(calendar: Any) -> str:
    """The zone that the calendar says it is of; empty where it says none that is known."""
    try:
        return str(zone_named(str(calendar.get("X-WR-TIMEZONE") or "-")))
    except InvalidInput:
        return ""  # a name of Windows or of a phone: the events' own zones are used


def _events(calendar: Any, span: Span, taken: Taken, named: tuple[str, str]) -> Iterator[_Event]:
    """The shifts of the span. Events that cannot be read are noted and left out."""
    title, zone = named
    moved: set[tuple[str, datetime]] = set()
    events = calendar.walk("VEVENT")
    for event in events:
        if event.get("RECURRENCE-ID") is not None:
            with suppress(InvalidInput):  # said where the event itself is read
                at = _instant(_value(event, "RECURRENCE-ID"), zone)
                if at is not None:
                    moved.add((str(event.get("UID")), at))
    for event in events:
        try:
            yield from _occurrences(event, span, (title, zone), taken, moved)
        except InvalidInput as error:
            taken.notes.append(f"an event was left out ({event.get('SUMMARY') or 'without a summary'}): "
                               f"{error.message}")


def _occurrences(event: Any, span: Span, named: tuple[str, str], taken: Taken,
                 moved: set[tuple[str, datetime]]) -> Iterator[_Event]:
    if str(event.get("STATUS") or "").upper() == "CANCELLED":
        return
    first, length = _times(event, named[1])
    title, level = _who(event)
    person = taken.person(title, title)
    pager = str(_categories(event) or named[0])
    clock: tzinfo = first.tzinfo or UTC
    recurs = event.get("RRULE") is not None and event.get("RECURRENCE-ID") is None
    starts = {instant_of(first.replace(tzinfo=None), clock)}
    if recurs and (days := _days_by_the_wall(event, first, length)):
        taken.notes.append(f"{title}: clocks change during the first event; the others last {many(days, 'day')} by the "
                           "clock on the wall all the same, not as long as that one to the minute")
        length = length._replace(days=days)
    if recurs:
        rules = event["RRULE"] if isinstance(event["RRULE"], list) else [event["RRULE"]]
        window = Span(span.start - length.first - timedelta(days=1), span.end)
        # The first event is one of them even where the rule does not meet it (RFC 5545, 3.8.5.3).
        for rule in rules:
            starts |= {instant_of(wall, clock)
                       for wall in walls(rule.to_ical().decode(), first.replace(tzinfo=None), clock, window)}
    starts |= set(_dates(event, "RDATE", named[1]))
    gone = set(_dates(event, "EXDATE", named[1]))
    if event.get("RECURRENCE-ID") is None:
        gone |= {at for uid, at in moved if uid == str(event.get("UID"))}
    for start in sorted(starts - gone):
        if length.end(start, clock) > span.start and start < span.end:
            yield _Event(pager, level, shift(start, length.end(start, clock), person), _zone_of(event))


def _zone_of(event: Any) -> str:
    try:
        return str(zone_named(_UNESCAPED.sub(r"\1", str(event.get("X-MAINSTAY-ZONE") or "-"))))
    except InvalidInput:
        return ""


class _Length(NamedTuple):
    """How long the occurrences of an event are: as long as the first one, or a number of days by the calendar."""

    first: timedelta
    days: int = 0

    def end(self, start: datetime, clock: tzinfo) -> datetime:
        if not self.days:
            return start + self.first
        return instant_of(local_of(start, clock) + timedelta(days=self.days), clock)


def _times(event: Any, zone: str) -> tuple[datetime, _Length]:
    """The first start, with its zone, and the length.

    Dates, and a DURATION in whole days, are days of the calendar, which clocks make longer or shorter; a DTEND with a
    time says an exact length (RFC 5545, 3.8.5.3).
    """
    start, end, duration = _value(event, "DTSTART"), _value(event, "DTEND"), _value(event, "DURATION")
    if not isinstance(start, date):
        raise InvalidInput("it has no DTSTART that can be read")
    first = _aware(start, zone)
    if isinstance(end, date):
        # A day is as long as the clocks make it: the end of an event in whole days is a midnight.
        exact = _aware(end, zone).astimezone(UTC) - first.astimezone(UTC)
        days = 0 if isinstance(start, datetime) or isinstance(end, datetime) else (end - start).days
    else:
        exact = duration if isinstance(duration, timedelta) else _ONE_DAY * (not isinstance(start, datetime))
        days = exact.days if exact % _ONE_DAY == timedelta(0) else 0
    if exact <= timedelta(0):
        raise InvalidInput("it has no length")
    return first, _Length(exact, days)


def _days_by_the_wall(event: Any, first: datetime, length: _Length) -> int:
    """The days from the first begin to its end on the wall, where these are whole and a change of clocks made it longer
    or shorter than so many times 24 hours; else 0."""
    end = _value(event, "DTEND")
    if length.days or not isinstance(end, datetime) or end.tzinfo is None or first.tzinfo is None:
        return 0
    wall = end.astimezone(first.tzinfo).replace(tzinfo=None) - first.replace(tzinfo=None)
    return wall.days if wall != length.first and wall % _ONE_DAY == timedelta(0) else 0


def _value(event: Any, key: str) -> object:
    """A property's value; None when there is none.

    Raises:
        InvalidInput: it cannot be read.
    """
    try:
        return getattr(event.get(key), "dt", None)
    except ValueError as error:  # the library keeps what it cannot read, and says so when it is looked at
        raise InvalidInput(f"its {key} cannot be read: {error}") from None


def _aware(value: date, zone: str) -> datetime:
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=zone_named(zone))
    return datetime(value.year, value.month, value.day, tzinfo=zone_named(zone))


def _instant(value: object, zone: str) -> datetime | None:
    return _aware(value, zone).astimezone(UTC) if isinstance(value, date) else None


def _dates(event: Any, key: str, zone: str) -> Iterator[datetime]:
    written = event.get(key)
    for one in written if isinstance(written, list) else [written]:
        for value in getattr(one, "dts", ()):
            found = _instant(_begin(getattr(value, "dt", None)), zone)
            if found is not None:
                yield found


def _begin(value: Any) -> object:
    """The begin of a period, or the moment itself."""
    return value[0] if isinstance(value, tuple) else value


def _categories(event: Any) -> str:
    written = event.get("CATEGORIES")
    names: list[object] = list(getattr(written, "cats", None) or [])
    return str(names[0]) if len(names) == 1 and event.get("X-MAINSTAY-WHO") is not None else ""


def _who(event: Any) -> tuple[str, int]:
    """Whose event it is, and the level it is on: a higher one covers a lower one."""
    summary = str(event.get("SUMMARY") or "").strip()
    level = _LEVEL.match(summary)
    bare = _LEVEL.sub("", summary)
    said = _UNESCAPED.sub(r"\1", str(event.get("X-MAINSTAY-WHO") or ""))
    if not said:
        attendees = event.get("ATTENDEE")
        one = attendees if attendees is not None and not isinstance(attendees, list) else None
        params: Mapping[str, Any] = getattr(one, "params", {})
        said = str(params.get("CN") or str(one or "").lower().removeprefix("mailto:"))
    if not said:
        found = _ON_CALL.match(bare) or _IS_ON_CALL.match(bare)
        said = found["who"] if found else bare
    if not said.strip():
        raise InvalidInput("nothing says whose it is")
    return said.strip(), int(level[1]) if level else 0


def _pager(taken: Taken, title: str, zone: str, events: list[_Event]) -> None:
    """One rotation, and a further one for each person who is on call at the same time."""
    lanes: list[list[Shift]] = []
    ordered = sorted(events, key=lambda one: (one.shift.start, -one.level, one.shift.end, str(one.shift.who)))
    for event in ordered:
        lane = next((held for held in lanes if _follows(held[-1], event.shift)), None)
        if lane is None:
            lanes.append([event.shift])
        else:
            lane[-1] = replace(lane[-1], end=min(lane[-1].end, event.shift.start))
            lane.append(event.shift)
    if len(lanes) > 1:
        taken.notes.append(f"{title}: up to {len(lanes)} people are on call at once; each became a rotation of its own")
    for number, lane in enumerate(lanes, 1):
        name = taken.rotation_name(title if number == 1 else f"{title}-{number}")
        held = _joined(lane)
        found = _fitted(name, zone, lane)
        if found is None:
            taken.notes.append(f"{name}: {len(lane)} events follow no order of turns and were taken as they are")
            taken.rotations.append(fixed(name, zone, held))
        else:
            end = max(one.end for one in lane)
            taken.notes.append(f"{name}: {len(found.rotation.members)} members who take turns of {found.rotation.turn} "
                               f"were found; {many(found.exceptions, 'time')} out of turn became overrides; the turns "
                               f"go on behind {end:%Y-%m-%d}")
            taken.rotations.append(found.rotation)
        taken.truth[name] = held


_LIKELY = ("America/New_York", "America/Los_Angeles", "Europe/London", "Europe/Berlin", "Australia/Sydney")
"""Zones whose changes of clocks are tried on hand-offs that move by an hour in UTC."""


def _fitted(name: str, zone: str, lane: list[Shift]) -> Fit | None:
    """The rotation behind the shifts; by another zone than UTC where that alone makes sense of them."""
    found = fit(name, zone, lane)
    if zone != "UTC" or (found is not None and not found.exceptions):
        return found
    tries = [found, *(fit(name, likely, lane) for likely in _LIKELY)]
    known = [one for one in tries if one is not None]
    return min(known, key=lambda one: (one.exceptions, len(one.rotation.members)), default=None)


def _follows(before: Shift, after: Shift) -> bool:
    """Whether one hands over to the other: an hour of overlap is a change of clocks."""
    return after.start >= before.end or (after.who != before.who and before.end - after.start <= timedelta(hours=1)
                                         < before.length)


def _joined(lane: list[Shift]) -> list[Shift]:
    """The shifts with neighbours of one person together."""
    found = lane[:1]
    for before, after in pairwise(lane):
        if before.end == after.start and before.who == after.who:
            found[-1] = replace(found[-1], end=after.end)
        else:
            found.append(after)
    return found
