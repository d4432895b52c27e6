"""Ratios, durations and windows, exact and with their units. Standard library only.

Ratios are 0..1 inside and percent only where people read them. A target is kept as a decimal so that 99.9 %
leaves 0.001 and never 0.0009999999999999432.

The types here are named tuples, not dataclasses: the calculator script stands on this room alone, and importing
`dataclasses` would cost it more than all the rest together (17 of 46 ms).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Literal, NamedTuple, assert_never

from mainstay.kernel.errors import InvalidInput

Setting = float | str
"""A number in the unit of what it sets, or a word."""

SLOT = 300
"""Seconds in one slot of the ledger: five minutes, the shortest burn-rate window in use (SRE Workbook, ch. 5)."""


_LEAST_PERCENT = Decimal("1e-9")
_MOST_DIGITS = 26
"""Of a target in percent: what the 28 digits of decimal arithmetic keep exact when it becomes a ratio."""


class Target(NamedTuple):
    """What is promised: the share of good events, as an exact decimal, 0 < ratio <= 1."""

    ratio: Decimal

    @classmethod
    def percent(cls, text: str | float | int | Decimal) -> Target:
        """`99.9` or `"99.9%"` as a target.

        Raises:
            InvalidInput: not a number, or not above 0 and at most 100.
        """
        raw = str(text).strip()
        try:
            value = Decimal(raw.removesuffix("%").strip())
        except InvalidOperation:
            raise InvalidInput(f'target "{raw}" is not a number', "write a percentage such as 99.9") from None
        if not value.is_finite() or not _LEAST_PERCENT <= value <= 100 or len(value.as_tuple().digits) > _MOST_DIGITS:
            raise InvalidInput(f"target {raw} is outside what can be promised",
                               "write a percentage above 0 and at most 100, such as 99.9")
        return cls(value.scaleb(-2).normalize())

    @property
    def budget(self) -> Decimal:
        """The share of events that may fail, exact: 1 - ratio."""
        return 1 - self.ratio

    def __str__(self) -> str:
        return f"{plain(self.ratio * 100)} %"


def plain(value: Decimal) -> str:
    """A decimal without exponent or trailing zeros: `0.001`, `100`."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


# OpenSLO's shorthand: `m` is minutes and `M` months; `w`, `Q`, `Y` as one reads them.
_FIXED_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_CALENDAR_UNITS = {"M": "month", "Q": "quarter", "Y": "year"}
_DURATION_PART = r"(\d+(?:\.\d+)?)(ms|[smhdwMQY])"


_LONGEST = timedelta(days=36525)


def parse_duration(text: str) -> timedelta:
    """`300ms`, `5m`, `1h30m`, `30d` as a length of time.

    Raises:
        InvalidInput: not a duration, zero, longer than a hundred years, or in calendar units (months have no fixed
            length).
    """
    raw = text.strip()
    seconds, rest = 0.0, raw
    while rest:
        part = re.match(_DURATION_PART, rest)
        if part is None or part[2] in _CALENDAR_UNITS:
            raise InvalidInput(f'"{raw}" is not a duration', "write a number and a unit, such as 300ms, 5m, 1h or 30d")
        seconds += float(part[1]) * _FIXED_SECONDS[part[2]]
        rest = rest[part.end():]
    if seconds > _LONGEST.total_seconds():
        raise InvalidInput(f'"{raw}" is longer than a hundred years', "write a duration such as 5m or 30d")
    length = timedelta(seconds=seconds)
    if not length:
        raise InvalidInput(f'"{raw}" is not a duration above zero', "write a number and a unit, such as 5m or 30d")
    return length


def parse_moment(text: str) -> datetime:
    """RFC 3339 with a zone, or a date for its midnight UTC, as an aware UTC instant.

    Raises:
        InvalidInput: neither of the two; a time without a zone means something else in every zone; a year so far off
            that windows around it would leave the calendar.
    """
    raw = text.strip()
    try:
        day = date.fromisoformat(raw)
        moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
    except ValueError:
        try:
            moment = datetime.fromisoformat(raw)
        except ValueError:
            raise InvalidInput(f'"{raw}" is not a time', "write 2026-03-02T09:00:00Z or 2026-03-02") from None
    if moment.tzinfo is None:
        raise InvalidInput(f'"{raw}" has no time zone', f"write {raw}Z for UTC, or +01:00 behind it")
    if not 1970 < moment.year < 3000:
        raise InvalidInput(f'"{raw}" is too far away', "write a year from 1971 to 2999")
    return moment.astimezone(UTC)


def format_duration(length: timedelta | float) -> str:
    """A length of time as people say it, its two largest units: `43 m 12 s`, `3 d 11 h`, `250 ms`."""
    seconds = length.total_seconds() if isinstance(length, timedelta) else float(length)
    if seconds < 0:
        return "-" + format_duration(-seconds)
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    whole = round(seconds) if seconds >= 10 else seconds
    if whole < 10:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    units = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
    for index, (name, size) in enumerate(units):
        if whole >= size:
            count, rest = divmod(whole, size)
            text = f"{count:.0f} {name}"
            if index + 1 < len(units) and rest >= units[index + 1][1]:
                text += f" {rest // units[index + 1][1]:.0f} {units[index + 1][0]}"
            return text
    raise AssertionError("every whole second fits a unit")


def format_share(ratio: float, target: Target | None = None, *, digits: int | None = None) -> str:
    """A ratio as a percentage with as many digits as the target needs: one more than the target itself has."""
    if digits is None:
        promised = plain(target.ratio * 100) if target is not None else ""
        digits = max(2, len(promised.partition(".")[2]) + 1)
    return f"{ratio * 100:.{digits}f} %"


class Period(StrEnum):
    """Calendar periods a budget may be aligned to."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


class RollingWindow(NamedTuple):
    """The last `length` up to now."""

    length: timedelta

    def __str__(self) -> str:
        return f"{short_duration(self.length)} rolling"


class CalendarWindow(NamedTuple):
    """The calendar period that holds now, `periods` of them together, starting at the zone's wall clock.

    Args:
        anchor: a wall-clock time at which one period starts, without zone; None means the natural start: midnight
            of the day, of Monday (ISO 8601), of the first of the month, of January, April, July or October.
    """

    period: Period
    zone: str = "UTC"
    periods: int = 1
    anchor: datetime | None = None

    def __str__(self) -> str:
        many = f"{self.periods} {self.period}s" if self.periods > 1 else f"{self.period}"
        return f"calendar {many} ({self.zone})"


class RequestWindow(NamedTuple):
    """The last so many events, however long they took to arrive."""

    events: int

    def __str__(self) -> str:
        return f"last {self.events:,} events"


Window = RollingWindow | CalendarWindow | RequestWindow


class Span(NamedTuple):
    """A stretch of time, half-open: `start` belongs to it, `end` does not. Both aware UTC."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        """How long the stretch is."""
        return self.end - self.start

    def holds(self, moment: datetime) -> bool:
        """Whether the moment lies inside."""
        return self.start <= moment < self.end


def short_duration(length: timedelta) -> str:
    """A length as people write it in a file: `30d`, `90m`, `300ms`."""
    seconds = length.total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds * 1000:.3f}".rstrip("0").rstrip(".") + "ms"


def zone_named(name: str) -> tzinfo:
    """The IANA time zone of that name; `str` of it is the name.

    Raises:
        InvalidInput: no such zone.
    """
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415  (a lazy start: most runs need no zone but UTC)

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInput(f'"{name}" is not a time zone', "write an IANA name such as UTC or Europe/Berlin") from None


# Natural starts: every Monday is whole weeks from this one, every January whole years from this one.
_ORIGIN = {Period.DAY: datetime(1969, 12, 29), Period.WEEK: datetime(1969, 12, 29),  # noqa: DTZ001  (wall clock)
           Period.MONTH: datetime(1970, 1, 1), Period.QUARTER: datetime(1970, 1, 1),  # noqa: DTZ001
           Period.YEAR: datetime(1970, 1, 1)}  # noqa: DTZ001
_MONTHS = {Period.MONTH: 1, Period.QUARTER: 3, Period.YEAR: 12}


def _shifted(anchor: datetime, period: Period, periods: int) -> datetime:
    """The anchor moved by whole periods on the wall clock; the 31st becomes the last day of a shorter month."""
    if period in (Period.DAY, Period.WEEK):
        return anchor + timedelta(days=periods * (7 if period is Period.WEEK else 1))
    years, month = divmod(anchor.month - 1 + periods * _MONTHS[period], 12)
    year = anchor.year + years
    return anchor.replace(year=year, month=month + 1, day=min(anchor.day, _days_in(year, month + 1)))


def _days_in(year: int, month: int) -> int:
    following = date(year + month // 12, month % 12 + 1, 1)
    return (following - timedelta(days=1)).day


def calendar_span(window: CalendarWindow, now: datetime) -> Span:
    """The whole period that holds `now`. Its ends are wall-clock times of the zone, so a month with a DST change is
    an hour longer or shorter; a wall time that DST skips or repeats counts with the offset before the change.
    """
    zone = zone_named(window.zone)
    anchor = window.anchor or _ORIGIN[window.period]
    local = now.astimezone(zone).replace(tzinfo=None)
    if window.period in (Period.DAY, Period.WEEK):
        near = (local - anchor).days // (window.periods * (7 if window.period is Period.WEEK else 1))
    else:
        months = (local.year - anchor.year) * 12 + local.month - anchor.month
        near = months // (window.periods * _MONTHS[window.period])

    def start_of(index: int) -> datetime:
        return _shifted(anchor, window.period, index * window.periods).replace(tzinfo=zone).astimezone(UTC)

    # The estimate is at most one period off: the day of the month or a DST change may lie on the other side.
    index = next(i for i in (near + 1, near, near - 1) if start_of(i) <= now)
    return Span(start_of(index), start_of(index + 1))


_WINDOW = r"(\d{1,9})(ms|[smhdwMQY])"
_REQUESTS = r"(\d{1,15})([kKM]?)\s*(?:requests|events)"
_MOST_PERIODS = {"d": 3660, "w": 520, "M": 120, "Q": 40, "Y": 10}
"""Ten years: a longer window is a slip of the pen, and one of thousands of years leaves the calendar."""
_CALENDAR_WORDS = {str(period): period for period in Period}


def parse_window(text: str, *, rolling: bool = True, zone: str = "UTC") -> Window:
    """`30d`, `month`, `quarter`, `1M`, `1000000 requests` as a window.

    Args:
        rolling: whether days and weeks slide, or start with the calendar's.
        zone: the zone of a calendar window.
    Raises:
        InvalidInput: an unknown window, with the forms that are known.
    """
    raw = text.strip()
    known = InvalidInput(f'window "{raw}" is unknown',
                         "write 30d or 4w (rolling), week, month or quarter (calendar), or 1000000 requests")
    if raw in _CALENDAR_WORDS:
        return CalendarWindow(_CALENDAR_WORDS[raw], zone)
    if requests := re.fullmatch(_REQUESTS, raw):
        factor = {"": 1, "k": 1_000, "K": 1_000, "M": 1_000_000}[requests[2]]
        if count := int(requests[1]) * factor:
            return RequestWindow(count)
        raise known
    part = re.fullmatch(_WINDOW, raw)
    if part is None or int(part[1]) == 0:
        raise known
    count, unit = int(part[1]), part[2]
    if count > _MOST_PERIODS.get(unit, count):
        raise InvalidInput(f'window "{raw}" is longer than ten years', "write 30d, 90d, month or quarter")
    if unit in _CALENDAR_UNITS:
        return CalendarWindow(Period(_CALENDAR_UNITS[unit]), zone, count)
    if not rolling:
        if unit in "dw":
            return CalendarWindow(Period.DAY if unit == "d" else Period.WEEK, zone, count)
        raise InvalidInput(f'a calendar window cannot be "{raw}" long', "write 1d, 1w, 1M, 1Q or 1Y")
    length = parse_duration(raw)
    if length.total_seconds() < SLOT or length.total_seconds() % SLOT:
        raise InvalidInput(f'window "{raw}" is not a whole number of five-minute slots', "write 5m, 1h, 7d, 30d …")
    return RollingWindow(length)


def window_length(window: RollingWindow | CalendarWindow, now: datetime) -> timedelta:
    """How long the window is; for a calendar window, the whole period that holds `now`."""
    match window:
        case RollingWindow(length):
            return length
        case CalendarWindow():
            return calendar_span(window, now).length
        case other:
            assert_never(other)


State = Literal["healthy", "at_risk", "violated", "no_data"]
"""The four states, the same in every face."""
