"""One line of a work log: what it may say, and why a line is rejected. Standard library only; no I/O, no clock."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput

TYPES = ("toil", "engineering", "incident", "meeting", "oncall")
"""The kinds of work. Toil is manual, repetitive, automatable, tactical, without enduring value, and grows with the
service (Google SRE Book, ch. 5); time on call and in incidents is counted apart from it."""
TOIL = "toil"

NO_CATEGORY, NO_ONE = "uncategorised", "unknown"
LONGEST = 24.0
"""Hours of one line; nobody works longer in one go: a longer line is a slip of the pen, or minutes taken for hours."""
MOST_SAMPLES = 20


class Rejected(Exception):
    """A line that cannot be counted; the text says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A piece of work.

    Args:
        day: the day it was done, UTC.
        hours: above 0, at most LONGEST.
        type: one of TYPES.
        automated: it is automated by now, so it is no candidate any more.
        interrupt: it broke into other work.
        estimated: the hours were not measured but worked out, such as from how often a ticket was touched.
    """

    day: date
    hours: float
    type: str
    category: str = NO_CATEGORY
    engineer: str = NO_ONE
    team: str = ""
    description: str = ""
    automatable: bool = False
    automated: bool = False
    interrupt: bool = False
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class RejectedLine:
    """A line that was not counted: its number in the input, why, and its text, cut at 120 characters."""

    line: int
    why: str
    text: str


@dataclass(frozen=True, slots=True)
class Read:
    """What an input held: parsed + rejected = lines, always; empty lines are no lines.

    Args:
        samples: the first rejected lines, MOST_SAMPLES at most.
    """

    lines: int
    parsed: int
    rejected: int
    samples: tuple[RejectedLine, ...] = ()
    source: str = ""


KNOWN = frozenset({
    "date", "timestamp", "duration_hours", "duration_minutes", "type", "work_type", "category", "engineer", "team",
    "description", "automatable", "automated", "automated_yet", "interrupt", "estimated", "key"})
"""The fields of a line; `key` counts a line once, however often it is imported."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST, _LATEST = date(2000, 1, 1), date(2100, 1, 1)
_OTHER_DATE = re.compile(r"\d{1,2}[./-]\d{1,2}[./-]\d{2,4}")
_YES, _NO = frozenset({"true", "yes", "1", "y"}), frozenset({"false", "no", "0", "n", ""})


def read_entry(fields: Mapping[str, Any]) -> Entry:
    """A log line's fields as an entry.

    Raises:
        Rejected: a field is missing, unreadable or absurd.
    """
    unknown = sorted(str(name) for name in fields if name not in KNOWN)
    if unknown:
        raise Rejected(f'unknown field "{unknown[0]}"')
    return Entry(
        day=_day(fields), hours=_hours(fields), type=_type(fields), category=_text(fields, "category") or NO_CATEGORY,
        engineer=_text(fields, "engineer") or NO_ONE, team=_text(fields, "team"),
        description=_text(fields, "description"), automatable=_flag(fields, "automatable"),
        automated=_flag(fields, "automated") or _flag(fields, "automated_yet"), interrupt=_flag(fields, "interrupt"),
        estimated=_flag(fields, "estimated"))


def _text(fields: Mapping[str, Any], name: str) -> str:
    raw = fields.get(name)
    if raw is None:
        return ""
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise Rejected(f"{name} is not text")
    return str(raw).strip()


def _flag(fields: Mapping[str, Any], name: str) -> bool:
    raw = fields.get(name)
    if raw is None or isinstance(raw, bool):
        return bool(raw)
    word = str(raw).strip().lower()
    if word not in _YES and word not in _NO:
        raise Rejected(f'{name} "{raw}" is neither true nor false')
    return word in _YES


def _type(fields: Mapping[str, Any]) -> str:
    kind = (_text(fields, "type") or _text(fields, "work_type")).lower()
    if not kind:
        raise Rejected("type is missing")
    if kind not in TYPES:
        raise Rejected(f'type "{kind}" is none of {", ".join(TYPES)}')
    return kind


def _hours(fields: Mapping[str, Any]) -> float:
    given = [name for name in ("duration_hours", "duration_minutes") if fields.get(name) not in (None, "")]
    if not given:
        raise Rejected("duration_hours or duration_minutes is missing")
    if len(given) > 1:
        raise Rejected("duration_hours and duration_minutes are both given")
    raw = fields[given[0]]
    try:
        if isinstance(raw, bool):
            raise ValueError
        number = _number(raw)
    except (TypeError, ValueError):
        raise Rejected(f'{given[0]} "{raw}" is not a number') from None
    hours = number if given[0] == "duration_hours" else number / 60
    return checked_hours(hours, given[0], f"{number:g}")


def _number(raw: Any) -> float:
    """As float() reads it; a whole number of hundreds of digits, which JSON may hold, is infinite."""
    try:
        return float(raw)
    except OverflowError:
        return math.inf if raw > 0 else -math.inf


def checked_hours(hours: float, name: str, shown: str) -> float:
    """The hours, if somebody can have worked them in one go.

    Raises:
        Rejected: not above zero, or beyond LONGEST.
    """
    if math.isnan(hours) or hours <= 0:
        raise Rejected(f"{name} {shown} is not above zero")
    if hours > LONGEST:
        raise Rejected(f"{name} {shown} is more than {LONGEST:g} h in one line")
    return hours


def _day(fields: Mapping[str, Any]) -> date:
    raw = fields.get("date") if fields.get("date") not in (None, "") else fields.get("timestamp")
    if raw in (None, ""):
        raise Rejected("date or timestamp is missing")
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        # Seconds since 1970, as time.time() gives them.
        seconds = _number(raw)
        if math.isnan(seconds) or not 0 < seconds < 4_102_444_800:
            raise Rejected(f"timestamp {seconds:g} is not a time in seconds since 1970")
        return (_EPOCH + timedelta(seconds=seconds)).date()
    return parse_day(str(raw).strip())


def parse_day(text: str) -> date:
    """The UTC day of an ISO 8601 date or time; a time without a zone counts as UTC.

    Raises:
        Rejected: another form of date, which could mean two days, or a day outside 2000 to 2099.
    """
    try:
        day = date.fromisoformat(text) if len(text) == 10 else _utc_day(text)
    except ValueError:
        if _OTHER_DATE.match(text):
            raise Rejected(f'date "{text}" could mean two days; write 2026-03-02') from None
        raise Rejected(f'date "{text}" is not a date; write 2026-03-02') from None
    if not _EARLIEST <= day < _LATEST:
        raise Rejected(f"date {text} is not between 2000 and 2099")
    return day


def _utc_day(text: str) -> date:
    moment = datetime.fromisoformat(text)
    return moment.date() if moment.tzinfo is None else moment.astimezone(UTC).date()


class Sorting:
    """Gathers entries and rejected lines while an input is read, so that parsed + rejected = lines by construction."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.entries: list[Entry] = []
        self.lines = 0
        self.rejected = 0
        self._samples: list[RejectedLine] = []

    def take(self, entry: Entry) -> None:
        """A line that could be read."""
        self.lines += 1
        self.entries.append(entry)

    def reject(self, line: int, why: str, text: str) -> None:
        """A line that could not."""
        self.lines += 1
        self.rejected += 1
        if len(self._samples) < MOST_SAMPLES:
            self._samples.append(RejectedLine(line, why, text if len(text) <= 120 else text[:119] + "…"))

    def result(self) -> Read:
        """The counts."""
        return Read(self.lines, self.lines - self.rejected, self.rejected, tuple(self._samples), self.source)


def read_json_lines(lines: Iterable[str], source: str) -> Sorting:
    """A log of one JSON object a line."""
    import json  # noqa: PLC0415  (a lazy start: the return on automation is worked out without)

    sorting = Sorting(source)
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text:
            continue
        try:
            fields = json.loads(text)
            if not isinstance(fields, dict):
                raise Rejected("the line is not a JSON object")
            sorting.take(read_entry(fields))
        except Rejected as error:
            sorting.reject(number, str(error), text)
        except (ValueError, RecursionError):
            sorting.reject(number, "the line is not JSON", text)
    return sorting


def within(entries: Iterable[Entry], days: int, today: date) -> list[Entry]:
    """The entries of the last so many days, today included; what is dated later is left out.

    Raises:
        InvalidInput: days is not from 1 to ten years.
    """
    check_days(days)
    first = today - timedelta(days=days - 1)
    return [entry for entry in entries if first <= entry.day <= today]


def check_days(days: int) -> None:
    """Raises InvalidInput where days is not from 1 to ten years."""
    if not 1 <= days <= 3660:
        raise InvalidInput(f"{days} days cannot be looked at", "write a number of days from 1 to 3660")
