"""Exports of ticket systems: ServiceNow, Jira and GitHub as CSV; where the toil of tickets sits. Pure.

A ticket says when it was opened, by whom it was worked on and how often it changed hands, but seldom how long anybody
worked. Where it does (Jira's time spent, ServiceNow's time worked) that is taken; else each touch counts as a few
minutes, which is said and marked as estimated.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.toil.entry import LONGEST, NO_CATEGORY, NO_ONE, TOIL, Entry, Read, Rejected, Sorting
from mainstay.toil.share import WORKING_DAY

System = Literal["servicenow", "jira", "github"]
SYSTEMS: tuple[System, ...] = ("servicenow", "jira", "github")
DateOrder = Literal["auto", "day-first", "month-first"]
DATE_ORDERS: tuple[DateOrder, ...] = ("auto", "day-first", "month-first")
MINUTES_A_TOUCH = 10.0
"""An assumption, and shown as one: reading a ticket, doing one thing and writing it down."""
MOST_WORKED = 1_000.0
"""Hours on one ticket: half a year of somebody's days. What says more is a slip, or milliseconds taken for seconds."""
_NOTHING = frozenset({"", "?", "null", "none", "(empty)"})
_MARKS: dict[System, frozenset[str]] = {
    "servicenow": frozenset({"number", "assignment_group"}), "jira": frozenset({"issue key", "issue type"}),
    "github": frozenset({"number", "title", "created_at"})}
"""The headings by which an export is known, lower case."""


@dataclass(slots=True)
class Ticket:
    """A ticket as its export's rows say it, the last row where there are several.

    Args:
        touches: how many rows (audit events) it has; hand-overs and comments where the export has no events.
        hand_overs: how often it was given to another group or person.
        worked: hours that were logged on it; None where the export has none.
        kept: whether the promised time was kept; None where the export does not say.
    """

    number: str
    opened: datetime
    resolved: datetime | None
    category: str
    group: str
    engineer: str
    description: str
    priority: str
    touches: int
    hand_overs: int
    reopened: int
    worked: float | None
    kept: bool | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where the work of tickets sits: a category or a group."""

    name: str
    tickets: int
    touches: int
    hand_overs: int
    hours: float


@dataclass(frozen=True, slots=True)
class Resolution:
    """Hours from opened to resolved, of all tickets or of one priority; only `resolved` of them say both. p90 is
    nearest-rank."""

    priority: str
    tickets: int
    resolved: int
    mean_hours: float
    median_hours: float
    p90_hours: float


@dataclass(frozen=True, slots=True)
class TicketReading:
    """What an export holds.

    Args:
        kept, missed: tickets whose promised time was and was not kept.
        handed_over: tickets given on at least once; `hand_overs` counts every time.
        estimated: tickets whose hours were worked out from touches.
    """

    system: System
    tickets: int
    rows: int
    first: datetime | None
    last: datetime | None
    kept: int
    missed: int
    handed_over: int
    hand_overs: int
    reopened: int
    hours: float
    estimated: int
    minutes_a_touch: float
    resolution: Resolution | None
    by_priority: tuple[Resolution, ...]
    by_category: tuple[Place, ...]
    by_group: tuple[Place, ...]


@dataclass(slots=True)
class Export:
    """A read export: its tickets in the order they came, and how many rows could be read."""

    system: System
    tickets: list[Ticket] = field(default_factory=list)
    read: Read = Read(0, 0, 0)  # frozen


def system_of(headings: Sequence[str]) -> System | None:
    """The system that exports with such headings; None where it is none of the known ones."""
    known = {heading.strip().lower().lstrip("\ufeff") for heading in headings}
    return next((system for system in SYSTEMS if _MARKS[system] <= known), None)


def read_export(text: str, source: str, order: DateOrder = "auto") -> Export:
    """The tickets of a CSV export.

    Raises:
        InvalidInput: none of the known systems, or dates that could mean two days.
    """
    rows = csv.reader(text.splitlines(keepends=True), strict=False)
    headings = next(rows, [])
    system = system_of(headings)
    if system is None:
        raise InvalidInput(f"{source} is no ticket export that is known: its first line is {','.join(headings)[:100]}",
                           "export CSV from ServiceNow (number, assignment_group …), Jira (Issue key, Issue Type …) or "
                           "GitHub (number, title, created_at …); a work log is JSON lines or CSV with duration_hours")
    names = [heading.strip().lower().lstrip("\ufeff") for heading in headings]
    sorting = Sorting(source)
    events: dict[str, list[Mapping[str, str]]] = {}
    kept: list[tuple[int, dict[str, str]]] = []
    for cells in rows:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(names):
            sorting.reject(rows.line_num, f"{len(cells)} cells under {len(names)} headings", ",".join(cells))
            continue
        kept.append((rows.line_num, {name: "" if value.strip().lower() in _NOTHING else value.strip()
                                     for name, value in zip(names, cells, strict=True)}))
    dates = _Dates(order, (row.get(_OPENED[system], "") for _, row in kept), source)
    for number, row in kept:
        try:
            _check(system, row, dates)
        except Rejected as error:
            sorting.reject(number, str(error), ",".join(row.values()))
            continue
        sorting.lines += 1
        events.setdefault(row[_NUMBER[system]], []).append(row)
    return Export(system, [_MADE[system](those, dates) for those in events.values()], sorting.result())


_NUMBER: dict[System, str] = {"servicenow": "number", "jira": "issue key", "github": "number"}
_OPENED: dict[System, str] = {"servicenow": "opened_at", "jira": "created", "github": "created_at"}
_RESOLVED: dict[System, str] = {"servicenow": "resolved_at", "jira": "resolved", "github": "closed_at"}
_WORKED: dict[System, tuple[str, ...]] = {
    "servicenow": ("time_worked",), "jira": ("time spent", "σ time spent"), "github": ()}
"""Where an export says how long was worked; of several the first that says anything."""


def _check(system: System, row: Mapping[str, str], dates: _Dates) -> None:
    """Raises Rejected where a row has no number, no day it was opened, ends before it begins, or an absurd time."""
    if not row.get(_NUMBER[system]):
        raise Rejected("the ticket has no number")
    opened = dates.moment(row.get(_OPENED[system], ""))
    if opened is None:
        raise Rejected("the ticket does not say when it was opened")
    resolved = _maybe(row.get(_RESOLVED[system], ""), dates)
    if resolved is not None and resolved < opened:
        raise Rejected(f"the ticket was resolved at {row[_RESOLVED[system]]}, before it was opened")
    _worked(system, row)


# -- dates -------------------------------------------------------------------------------------------------------


class _Dates:
    """How an export writes its dates: ISO 8601, or day-first or month-first, found out from all of them together."""

    _CLOCK = r"(?:[ T,]+(\d{1,2}):(\d{2})(?::(\d{2}))?(?: ?([AaPp][Mm]))?)?"
    _PARTS = re.compile(r"(\d{1,2})[./-](\d{1,2})[./-](\d{4})" + _CLOCK)
    _NAMED = re.compile(r"(\d{1,2})[/ -]([A-Za-z]{3})[/ -](\d{2,4})" + _CLOCK)
    _MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

    def __init__(self, order: DateOrder, texts: Iterable[str], source: str) -> None:
        self._day_first = order == "day-first"
        if order == "auto":
            found = [match for text in texts if (match := self._PARTS.match(text))]
            day_first = any(int(one[1]) > 12 for one in found)
            month_first = any(int(one[2]) > 12 for one in found)
            if day_first == month_first and found:
                raise InvalidInput(
                    f"{source} mixes dates that are day-first with dates that are month-first" if day_first else
                    f"the dates of {source}, such as {found[0][0]}, could be day-first or month-first",
                    "say --dates day-first or --dates month-first; lines that then do not fit are rejected and shown")
            self._day_first = day_first

    def moment(self, text: str) -> datetime | None:
        """The instant, UTC where no zone is written; None for no text.

        Raises:
            Rejected: no such date.
        """
        if not text:
            return None
        try:
            if parts := self._PARTS.fullmatch(text):
                one, two = int(parts[1]), int(parts[2])
                day, month = (one, two) if self._day_first else (two, one)
                return datetime(int(parts[3]), month, day, *_clock(parts, 4), tzinfo=UTC)
            if parts := self._NAMED.fullmatch(text):
                year = int(parts[3]) if len(parts[3]) == 4 else 2000 + int(parts[3])
                return datetime(year, self._MONTHS.index(parts[2].lower()) + 1, int(parts[1]), *_clock(parts, 4),
                                tzinfo=UTC)
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise Rejected(f'"{text}" is not a date here') from None
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _clock(parts: re.Match[str], at: int) -> tuple[int, int, int]:
    hour = int(parts[at] or 0)
    if parts[at + 3]:
        hour = hour % 12 + (12 if parts[at + 3].lower() == "pm" else 0)
    return hour, int(parts[at + 1] or 0), int(parts[at + 2] or 0)


# -- what each system calls things --------------------------------------------------------------------------------


def _whole(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _servicenow(rows: Sequence[Mapping[str, str]], dates: _Dates) -> Ticket:
    """Rows are a ticket's audit events, or one row is a ticket with its counts."""
    last = rows[-1]
    topic = " / ".join(filter(None, (last.get("category", ""), last.get("subcategory", ""))))
    engineer = next((row["assigned_to"] for row in reversed(rows) if row.get("assigned_to")), "")
    touches = len(rows) if len(rows) > 1 else max(_whole(last.get("sys_mod_count", "")), 1)
    return Ticket(
        last["number"], _opened(rows[0], "opened_at", dates), _maybe(last.get("resolved_at", ""), dates),
        last.get("category") or NO_CATEGORY, last.get("assignment_group", ""),
        engineer or last.get("resolved_by") or NO_ONE,
        last.get("short_description") or topic, last.get("priority", "").partition(" ")[0], touches,
        _whole(last.get("reassignment_count", "")), _whole(last.get("reopen_count", "")),
        _worked("servicenow", last),
        None if not last.get("made_sla") else last["made_sla"].lower() == "true")


def _jira(rows: Sequence[Mapping[str, str]], dates: _Dates) -> Ticket:
    last = rows[-1]
    return Ticket(
        last["issue key"], _opened(rows[0], "created", dates), _maybe(last.get("resolved", ""), dates),
        last.get("component/s") or last.get("components") or last.get("issue type") or NO_CATEGORY,
        last.get("project key", "") or last["issue key"].partition("-")[0], last.get("assignee") or NO_ONE,
        last.get("summary", ""), last.get("priority", ""), max(len(rows), 1), 0, 0, _worked("jira", last), None)


def _github(rows: Sequence[Mapping[str, str]], dates: _Dates) -> Ticket:
    last = rows[-1]
    return Ticket(
        last["number"], _opened(rows[0], "created_at", dates), _maybe(last.get("closed_at", ""), dates),
        (last.get("labels", "").split(",")[0].strip()) or NO_CATEGORY, last.get("repository", ""),
        last.get("assignee") or last.get("assignees", "").split(",")[0].strip() or NO_ONE, last.get("title", ""), "",
        _whole(last.get("comments", "")) + 1, 0, 0, None, None)


_MADE: dict[System, Callable[[Sequence[Mapping[str, str]], _Dates], Ticket]] = {
    "servicenow": _servicenow, "jira": _jira, "github": _github}


def _opened(row: Mapping[str, str], name: str, dates: _Dates) -> datetime:
    opened = dates.moment(row[name])
    assert opened is not None, "checked before"
    return opened


def _maybe(text: str, dates: _Dates) -> datetime | None:
    """When it was resolved; an unreadable date is none, for the ticket itself can be counted."""
    try:
        return dates.moment(text)
    except Rejected:
        return None


_CLOCK_LENGTH = re.compile(r"(?:(\d{4}-\d{2}-\d{2}) )?(\d+):(\d{2}):(\d{2})")
_WORDED_LENGTH = re.compile(r"(?:(\d+)\s*h)?\s*(?:(\d+)\s*m)?\s*(?:(\d+)\s*s)?")


def _worked(system: System, row: Mapping[str, str]) -> float | None:
    """Hours that were logged on a ticket; None where nothing, or no time at all, is written.

    Seconds, `H:MM:SS`, `2h 30m`, or what ServiceNow keeps: a moment so long after the beginning of 1970.

    Raises:
        Rejected: it is no length, or an absurd one.
    """
    text = next((row[name] for name in _WORKED[system] if row.get(name)), "")
    if not text:
        return None
    seconds = _seconds(text)
    if seconds is None:
        raise Rejected(f'the time "{text}" worked on the ticket is no length')
    if not 0 <= seconds <= MOST_WORKED * 3_600:
        raise Rejected(f'the time "{text}" worked on the ticket is not between 0 and {MOST_WORKED:,.0f} h')
    return seconds / 3_600 or None


def _seconds(text: str) -> float | None:
    """The seconds of a length as it is written; None where it is none."""
    try:
        if parts := _CLOCK_LENGTH.fullmatch(text):
            days = (date.fromisoformat(parts[1]) - date(1970, 1, 1)).days if parts[1] else 0
            return float(days * 86_400 + int(parts[2]) * 3_600 + int(parts[3]) * 60 + int(parts[4]))
        if parts := _WORDED_LENGTH.fullmatch(text):
            return float(int(parts[1] or 0) * 3_600 + int(parts[2] or 0) * 60 + int(parts[3] or 0))
        return float(text)
    except ValueError:
        return None


# -- as work, and as a reading ------------------------------------------------------------------------------------


def hours_of(ticket: Ticket, minutes_a_touch: float) -> float:
    """The work on a ticket: as logged on it, else its touches."""
    return ticket.worked if ticket.worked is not None else ticket.touches * minutes_a_touch / 60


def entries_of(export: Export, minutes_a_touch: float, *, automatable: bool) -> Iterator[tuple[Ticket, Entry]]:
    """Each ticket as an entry of toil, on the day it was opened.

    What is longer than one entry may be is several equal ones, on the working days from then on: nobody did it in one.
    None is later than the last moment that the export knows of.
    """
    last = max((moment.date() for one in export.tickets for moment in (one.opened, one.resolved) if moment is not None),
               default=date.max)
    for one in export.tickets:
        hours = hours_of(one, minutes_a_touch)
        parts = 1 if hours <= LONGEST else math.ceil(hours / WORKING_DAY)
        day = one.opened.date()
        for _ in range(parts):
            yield one, Entry(day, hours / parts, TOIL, one.category, one.engineer, one.group, one.description,
                             automatable, interrupt=True, estimated=one.worked is None)
            day = min(day + timedelta(days=3 if day.weekday() == 4 else 2 if day.weekday() == 5 else 1), last)


def reading_of(export: Export, minutes_a_touch: float) -> TicketReading:
    """Where the work of the tickets sits, how long they took, which promises were missed."""
    tickets = export.tickets
    said = [one.kept for one in tickets if one.kept is not None]
    opened = [one.opened for one in tickets]
    priorities = sorted({one.priority for one in tickets if one.priority})
    return TicketReading(
        export.system, len(tickets), export.read.lines, min(opened, default=None), max(opened, default=None),
        sum(said), len(said) - sum(said), sum(one.hand_overs > 0 for one in tickets),
        sum(one.hand_overs for one in tickets), sum(one.reopened > 0 for one in tickets),
        math.fsum(hours_of(one, minutes_a_touch) for one in tickets), sum(one.worked is None for one in tickets),
        minutes_a_touch, _resolution("", tickets),
        tuple(found for priority in priorities
              if (found := _resolution(priority, [one for one in tickets if one.priority == priority])) is not None),
        _places(tickets, lambda one: one.category, minutes_a_touch),
        _places(tickets, lambda one: one.group or "no group", minutes_a_touch))


def _resolution(priority: str, tickets: Sequence[Ticket]) -> Resolution | None:
    took = sorted((one.resolved - one.opened).total_seconds() / 3600 for one in tickets if one.resolved is not None)
    if not took:
        return None
    middle = len(took) // 2
    median = took[middle] if len(took) % 2 else (took[middle - 1] + took[middle]) / 2
    return Resolution(priority, len(tickets), len(took), math.fsum(took) / len(took), median,
                      took[math.ceil(0.9 * len(took)) - 1])


def _places(tickets: Sequence[Ticket], name: Callable[[Ticket], str], minutes: float) -> tuple[Place, ...]:
    by_name: dict[str, list[Ticket]] = {}
    for one in tickets:
        by_name.setdefault(name(one), []).append(one)
    found = [Place(place, len(those), sum(one.touches for one in those), sum(one.hand_overs for one in those),
                   math.fsum(hours_of(one, minutes) for one in those)) for place, those in by_name.items()]
    return tuple(sorted(found, key=lambda one: (-one.hours, -one.tickets, one.name)))
