"""Shifts as a calendar that any program can subscribe to (RFC 5545), as CSV, and whole: never cut where one looks.

Every shift is one event with explicit UTC instants. There is no RRULE: recurrence rules leave it to each reader what a
wall time is that a change of clocks skips or repeats, and readers disagree.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import UTC, datetime, timedelta

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.quantity import Span
from mainstay.oncall.roster import Shift

_PAD = timedelta(days=62)
"""How far beyond the span shifts are followed to where they really begin and end."""
_LONG = timedelta(days=31)
"""A longer shift is cut at the months, so that its events begin at the same instants whenever it is exported."""
_OCTETS = 75
"""Of one line, without its end (RFC 5545, 3.1)."""


@dataclass(frozen=True, slots=True)
class Feed:
    """A calendar of shifts.

    Args:
        name: what is subscribed to: a rotation, a schedule, or a person.
        made: when it was made.
        shifts: of each pager by its name; gaps are left out.
        zone: whose wall clock the turns follow, for readers that show one; instants are UTC all the same.
        zones: rotation → whose wall clock its turns follow, for `oncall import` alone.
    """

    name: str
    made: datetime
    shifts: Sequence[tuple[str, Shift]]
    zone: str = "UTC"
    zones: Mapping[str, str] = field(default_factory=dict)


def whole_shifts(ask: Callable[[Span], Sequence[Shift]], span: Span) -> list[Shift]:
    """The shifts that touch the span, each with the begin and end it really has, gaps included.

    Args:
        ask: gives the shifts of any span.
    """
    found: list[Shift] = []
    for shift in ask(Span(span.start - _PAD, span.end + _PAD)):
        pieces = list(_by_month(shift)) if shift.length > _LONG else [shift]
        found += [one for one in pieces if one.start < span.end and one.end > span.start]
    return found


def _by_month(shift: Shift) -> Iterator[Shift]:
    at = shift.start
    while at < shift.end:
        following = datetime(at.year + at.month // 12, at.month % 12 + 1, 1, tzinfo=UTC)
        end = min(following, shift.end)
        yield replace(shift, start=at, end=end)
        at = end


def uid(pager: str, start: datetime) -> str:
    """The event's identity: of its pager and its beginning, so that a swap changes an event and makes no second one."""
    digest = hashlib.sha256(f"{pager}\0{start.isoformat()}".encode()).hexdigest()[:24]
    return f"{digest}@oncall.mainstay"


def as_ical(feed: Feed) -> str:
    """The feed as an iCalendar object; lines end in CRLF and are folded."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Mainstay//oncall//EN", "CALSCALE:GREGORIAN",
             f"X-WR-CALNAME:{_text(f'On call: {feed.name}')}", f"X-WR-TIMEZONE:{feed.zone}",
             "REFRESH-INTERVAL;VALUE=DURATION:PT1H", "X-PUBLISHED-TTL:PT1H"]
    for pager, shift in feed.shifts:
        if shift.who is None:
            continue
        via = "" if shift.via == "rotation" else f" ({shift.via})"
        lines += ["BEGIN:VEVENT", f"UID:{uid(pager, shift.start)}", f"DTSTAMP:{_instant(feed.made)}",
                  f"DTSTART:{_instant(shift.start)}", f"DTEND:{_instant(shift.end)}",
                  f"SUMMARY:{_text(f'{shift.who} on call: {pager}{via}')}", f"CATEGORIES:{_text(pager)}",
                  f"X-MAINSTAY-WHO:{_text(shift.who)}", f"X-MAINSTAY-VIA:{_text(shift.via)}",
                  f"X-MAINSTAY-ROTATION:{_text(shift.rotation)}",
                  *([f"X-MAINSTAY-ZONE:{_text(feed.zones[shift.rotation])}"] if shift.rotation in feed.zones else []),
                  "TRANSP:TRANSPARENT", "END:VEVENT"]
    lines.append("END:VCALENDAR")
    return "".join(f"{folded}\r\n" for line in lines for folded in _folded(line))


def _instant(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _text(text: str) -> str:
    """A value of type TEXT (RFC 5545, 3.3.11)."""
    escaped = text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")
    return escaped.replace("\r\n", "\\n").replace("\n", "\\n")


def _folded(line: str) -> Iterator[str]:
    """The line in pieces of at most 75 octets, none cutting a character in two."""
    piece, size, first = "", 0, True
    for character in line:
        width = len(character.encode())
        if size + width > _OCTETS - (0 if first else 1):
            yield piece if first else f" {piece}"
            piece, size, first = "", 0, False
        piece, size = piece + character, size + width
    yield piece if first else f" {piece}"


def as_csv(feed: Feed) -> str:
    """The feed as CSV: `start,end,who,pager,rotation,via`, instants in UTC, `who` empty where nobody is on call."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("start", "end", "who", "pager", "rotation", "via"))
    for pager, shift in feed.shifts:
        # A spreadsheet would run a name that begins like a formula.
        who = shift.who or ""
        writer.writerow((_zulu(shift.start), _zulu(shift.end), f"'{who}" if who[:1] in "=+-@" and who else who, pager,
                         shift.rotation, shift.via))
    return out.getvalue()


def _zulu(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def of_person(shifts: Iterable[tuple[str, Shift]], person: str) -> list[tuple[str, Shift]]:
    """Only that person's shifts."""
    return [(pager, shift) for pager, shift in shifts if shift.who == person]
