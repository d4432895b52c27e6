"""A long work log added up without making an object of every line that people could mean two ways.

The quick way takes only lines that `entry.read_entry` would take just so; every other line is given to it, so that both
say the same of any line. A test holds them to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from math import fsum

import msgspec

from mainstay.toil.entry import LONGEST, NO_CATEGORY, NO_ONE, TYPES, Read, Rejected, Sorting, parse_day, read_json_lines
from mainstay.toil.tally import Amount, Cell, Stretch, Tally, tally

_CHUNK = 2_000
"""Lines that are decoded at once; those beside a bad line are decoded one by one."""


class _Line(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A line as most logs write it."""

    type: str
    date: str | None = None
    timestamp: str | None = None
    duration_hours: float | None = None
    duration_minutes: float | None = None
    category: str = ""
    engineer: str = ""
    team: str = ""
    description: str = ""
    automatable: bool = False
    automated: bool = False
    interrupt: bool = False
    estimated: bool = False
    key: str = ""


class _Sums:
    """What a scan gathers."""

    def __init__(self, stretch: Stretch) -> None:
        self.first, self.last = stretch.first.toordinal(), stretch.last.toordinal()
        self.days: dict[str, tuple[int, int]] = {}
        self.hours: dict[tuple[object, ...], list[float]] = {}
        self.logged: set[tuple[str, int]] = set()
        self.outside = 0


def scan(text: str, source: str, stretch: Stretch) -> tuple[Tally, Read]:
    """The log's work of the stretch, and how many lines could be read."""
    sums, sorting = _Sums(stretch), Sorting(source)
    decoder = msgspec.json.Decoder(_Line)
    decoded = 0
    for start, lines in _chunks(text):
        try:
            taken = decoder.decode_lines("\n".join(lines))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            taken = None
        if taken is not None and len(taken) != sum(1 for line in lines if line and not line.isspace()):
            taken = None  # two objects on one line are not two lines
        done = 0 if taken is None else _add(taken, sums)
        decoded += done
        if taken is None or done < len(taken):
            # Something in it is no plain line: what was added of it is kept, and the rest is read line by line.
            filled = [(number, line) for number, line in enumerate(lines, start) if line.strip()]
            decoded += _one_by_one(filled[done:], decoder, sums, sorting)
    return _tally(sums, stretch, sorting), _with(sorting.result(), decoded)


def _chunks(text: str) -> Iterator[tuple[int, list[str]]]:
    lines = text.split("\n")
    for start in range(0, len(lines), _CHUNK):
        yield start + 1, lines[start:start + _CHUNK]


def _one_by_one(lines: Sequence[tuple[int, str]], decoder: msgspec.json.Decoder[_Line], sums: _Sums,
                sorting: Sorting) -> int:
    """Add each line, the odd ones as `read_entry` reads them; how many went the quick way."""
    decoded = 0
    for number, line in lines:
        try:
            plain = _add([decoder.decode(line)], sums) == 1
        except (msgspec.MsgspecError, RecursionError):
            plain = False
        if plain:
            decoded += 1
            continue
        slow = read_json_lines([line], sorting.source)
        if slow.entries:
            sorting.take(slow.entries[0])
        else:
            for one in slow.result().samples:
                sorting.reject(number, one.why, one.text)
    return decoded


def _add(lines: Sequence[_Line], sums: _Sums) -> int:
    """Add lines up until one is not plain; how many were."""
    days, hours_of, logged, types = sums.days, sums.hours, sums.logged, frozenset(TYPES)
    first, last = sums.first, sums.last
    for place, one in enumerate(lines):
        said, hours = one.date or one.timestamp, one.duration_hours
        if hours is None:
            hours = -1.0 if one.duration_minutes is None else one.duration_minutes / 60
        elif one.duration_minutes is not None:
            return place
        if not said or not 0 < hours <= LONGEST or one.type not in types:
            return place
        day = days.get(said)
        if day is None:
            try:
                found = parse_day(said.strip())
            except Rejected:
                return place
            day = days[said] = found.toordinal(), found.toordinal() - found.weekday()
        ordinal, week = day
        if not first <= ordinal <= last:
            sums.outside += 1
            continue
        who = one.engineer
        key = (week, one.type, one.category, who, one.team, one.description, one.automatable, one.automated,
               one.interrupt, one.estimated)
        known = hours_of.get(key)
        if known is None:
            hours_of[key] = [hours]
        else:
            known.append(hours)
        logged.add((who, ordinal))
    return len(lines)


def _tally(sums: _Sums, stretch: Stretch, sorting: Sorting) -> Tally:
    """All of it as a tally; names are trimmed and filled in here, once a cell and not once a line."""
    cells: dict[Cell, list[float]] = {}
    for key, hours in sums.hours.items():
        raw = Cell._make(key)
        cell = raw._replace(category=raw.category.strip() or NO_CATEGORY, engineer=raw.engineer.strip() or NO_ONE,
                            team=raw.team.strip(), description=raw.description.strip())
        cells.setdefault(cell, []).extend(hours)
    slow = tally(sorting.entries, stretch)
    out = Tally(stretch, {}, {(who.strip() or NO_ONE, day) for who, day in sums.logged} | slow.logged,
                sums.outside + slow.outside)
    for cell, amount in slow.cells.items():
        cells.setdefault(cell, []).append(amount.hours)
    counts = {cell: amount.entries - 1 for cell, amount in slow.cells.items()}
    out.cells = {cell: Amount(len(hours) + counts.get(cell, 0), fsum(hours)) for cell, hours in cells.items()}
    seen = [day for day, _ in sums.days.values()] + [one.day.toordinal() for one in sorting.entries]
    if seen:
        out.began, out.ended = date.fromordinal(min(seen)), date.fromordinal(max(seen))
    return out


def _with(read: Read, decoded: int) -> Read:
    return Read(read.lines + decoded, read.parsed + decoded, read.rejected, read.samples, read.source)
