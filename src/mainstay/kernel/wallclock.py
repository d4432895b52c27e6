"""Wall-clock times of a zone as instants, and hours of the week; the rules that every calendar of Mainstay follows.

    a wall time that a change of clocks skips      the first instant after the gap
    a wall time that comes twice                   its first occurrence
    stretches                                      half-open: the start belongs to them, the end does not

Peers disagree about the skipped hour (three of them give three instants for 02:30 in New York on 2026-03-08); this rule
keeps hand-offs in order and never makes a shift of negative length.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.quantity import Span

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""The days of the week, Monday first (ISO 8601)."""

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


def instant_of(local: datetime, zone: tzinfo) -> datetime:
    """The instant of a wall-clock time (naive) in the zone, aware UTC."""
    instant = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == local:
        return instant
    # The wall time does not exist. With the offset before the gap it lies behind the change, with the one after it
    # before the change; in between is the change itself, found to the second.
    late = instant
    early = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    before = early.astimezone(zone).utcoffset()
    while late - early > _SECOND:
        middle = early + ((late - early) / 2 // _SECOND) * _SECOND
        if middle.astimezone(zone).utcoffset() == before:
            early = middle
        else:
            late = middle
    return late


def local_of(instant: datetime, zone: tzinfo) -> datetime:
    """What a clock on the wall of the zone shows at that instant, naive."""
    return instant.astimezone(zone).replace(tzinfo=None)


DAYTIME = (9, 17)
"""Hours of the wall clock between which nobody is disturbed by work that can wait: the seeds' "after hours" is before
nine or from five on."""


def daytime_from(instant: datetime, zone: tzinfo) -> datetime:
    """The first instant from that one on that lies in daytime by the wall clock of the zone: itself, or a morning.

    Days of the week are not told apart: what can wait for a morning is still answered within a day.
    """
    local = local_of(instant, zone)
    if DAYTIME[0] <= local.hour < DAYTIME[1]:
        return instant
    morning = local.replace(hour=DAYTIME[0], minute=0, second=0, microsecond=0)
    return instant_of(morning if local.hour < DAYTIME[0] else morning + _DAY, zone)


@dataclass(frozen=True, slots=True)
class WeeklyHours:
    """Hours of certain days of the week.

    Args:
        days: 0 is Monday; the day on which the hours begin.
        start, end: minutes since midnight; an end at or before the start lies on the next day, so 0 to 0 is a whole
            day.
    """

    days: frozenset[int]
    start: int
    end: int

    def __str__(self) -> str:
        days = " ".join(name for index, name in enumerate(DAYS) if index in self.days)
        return f"{days} {self.start // 60:02}:{self.start % 60:02}–{self.end // 60:02}:{self.end % 60:02}"


EVERY_DAY = frozenset(range(7))


def hours_in(hours: Iterable[WeeklyHours], zone: tzinfo, span: Span) -> list[Span]:
    """The stretches of the span in which any of the hours hold, in order, none touching another."""
    weekly = tuple(hours)
    # Hours that cross midnight may have begun the day before, and a zone may be a day away from UTC.
    day = (local_of(span.start, zone) - _DAY).replace(hour=0, minute=0, second=0, microsecond=0)
    last = local_of(span.end, zone)
    found: list[Span] = []
    while day <= last:
        for one in weekly:
            if day.weekday() in one.days:
                length = (one.end - one.start - 1) % (24 * 60) + 1
                begun = day + timedelta(minutes=one.start)
                found.append(Span(instant_of(begun, zone), instant_of(begun + timedelta(minutes=length), zone)))
        day += _DAY
    return list(_joined(found, span))


def _joined(stretches: list[Span], within: Span) -> Iterator[Span]:
    start = end = within.start
    for stretch in sorted(stretches):
        first, last = max(stretch.start, within.start), min(stretch.end, within.end)
        if first >= last:
            continue
        if first > end:
            if start < end:
                yield Span(start, end)
            start, end = first, last
        elif start == end:
            start, end = first, last
        else:
            end = max(end, last)
    if start < end:
        yield Span(start, end)


_CLOCK = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)")


def parse_clock(text: str) -> int:
    """`09:00` as minutes since midnight; `24:00` is the end of the day.

    Raises:
        InvalidInput: not a time of day.
    """
    found = _CLOCK.fullmatch(text.strip())
    minutes = int(found[1]) * 60 + int(found[2]) if found else -1
    if not 0 <= minutes <= 24 * 60:
        raise InvalidInput(f'"{text}" is not a time of day', "write 09:00, or 24:00 for the end of a day")
    return minutes


def parse_day(text: str) -> int:
    """`mon` or `Monday` as 0.

    Raises:
        InvalidInput: not a day of the week.
    """
    word = text.strip().lower()
    if len(word) >= 3:
        for index, name in enumerate(DAYS):
            if word == name or word == _FULL[index]:
                return index
    raise InvalidInput(f'"{text}" is not a day of the week', "write one of: " + ", ".join(DAYS))


_FULL = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def parse_wall_time(text: str) -> datetime:
    """`2026-03-02T09:00` as a wall-clock time, naive; a date alone is its midnight.

    Raises:
        InvalidInput: not a time, or one that says a zone: a wall time stands in the zone of what it belongs to.
    """
    raw = text.strip()
    try:
        wall = datetime.fromisoformat(raw)
    except ValueError:
        raise InvalidInput(f'"{raw}" is not a wall-clock time', 'write "2026-03-02T09:00"') from None
    if wall.tzinfo is not None:
        raise InvalidInput(f'"{raw}" says a zone of its own', "write the time as the clock on the wall shows it, "
                           f'such as "{wall.replace(tzinfo=None).isoformat(timespec="minutes")}"')
    if not 1970 < wall.year < 3000:
        raise InvalidInput(f'"{raw}" is too far away', "write a year from 1971 to 2999")
    return wall


