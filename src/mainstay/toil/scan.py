"""A long work log added up without making an object of every line that people could mean two ways.

The quick way takes only lines that `entry.read_entry` would take just so; every other line is given to it, so that both
say the same of any line. A test holds them to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from mainstay.toil.entry import LONGEST, NO_CATEGORY, NO_ONE, Read, Rejected, Sorting, parse_day, read_json_lines
from mainstay.toil.tally import EVERYTHING, Adding, Cell, Part, Slot, Stretch, Tally


class _Line(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A line as most logs write it; first what a cell tells apart, in the order of a cell."""

    type: Literal["toil", "engineering", "incident", "meeting", "oncall"]
    category: str = ""
    engineer: str = ""
    team: str = ""
    description: str = ""
    automatable: bool = False
    automated: bool = False
    interrupt: bool = False
    estimated: bool = False
    date: str | None = None
    timestamp: str | None = None
    duration_hours: float | None = None
    duration_minutes: float | None = None
    key: str = ""


_CELL = len(Cell._fields)
_DATE, _STAMP, _HOURS, _MINUTES = range(_CELL, _CELL + 4)


class _Quick:
    """What a scan keeps: where each kind of line goes, and the day and week of each date, both worked out once."""

    def __init__(self, adding: Adding) -> None:
        self.adding = adding
        self.slots: dict[tuple[object, ...], Slot] = {}
        self.days: dict[str | None, tuple[int, int]] = {}

    def slot(self, raw: tuple[object, ...]) -> Slot:
        """Where such a line goes, its names trimmed and filled in."""
        cell = Cell._make(raw)
        found = self.slots[raw] = self.adding.slot(cell._replace(
            category=cell.category.strip() or NO_CATEGORY, engineer=cell.engineer.strip() or NO_ONE,
            team=cell.team.strip(), description=cell.description.strip()))
        return found

    def day(self, said: str | None) -> tuple[int, int] | None:
        """A day and its week's Monday as ordinals; None where it is not plain."""
        try:
            day = parse_day(said.strip()) if said else None
        except Rejected:
            return None
        if day is None:
            return None
        found = self.days[said] = day.toordinal(), day.toordinal() - day.weekday()
        return found


def scan(pieces: Iterable[str], source: str, stretch: Stretch, part: Part = EVERYTHING) -> tuple[Tally, Read]:
    """The log's work of the stretch, and how many lines could be read.

    Args:
        pieces: the log's text, cut anywhere.
    """
    quick, sorting, decoder = _Quick(Adding(stretch, part)), Sorting(source), msgspec.json.Decoder(_Line)
    decoded, number = 0, 1
    for chunk in _whole_lines(pieces):
        count = chunk.count("\n")
        try:
            taken = decoder.decode_lines(chunk)
        except (msgspec.MsgspecError, RecursionError):
            taken = None
        done = 0
        # Two objects on one line are not two lines: only as many as there are lines can have been one a line.
        if taken is not None and len(taken) == count + (not chunk.endswith("\n")):
            done = _add(taken, quick)
        decoded += done
        if taken is None or done < len(taken):
            # Something in it is no plain line: what was added of it is kept, and the rest is read line by line.
            filled = [(at, line) for at, line in enumerate(chunk.split("\n"), number) if line.strip()]
            decoded += _one_by_one(filled[done:], decoder, quick, sorting)
        number += count
    for ordinal, _ in quick.days.values():
        quick.adding.saw(ordinal)
    for one in sorting.entries:
        quick.adding.add(one)
    read = sorting.result()
    return quick.adding.tally(), Read(read.lines + decoded, read.parsed + decoded, read.rejected, read.samples, source)


def _whole_lines(pieces: Iterable[str]) -> Iterator[str]:
    """The same text, cut behind ends of lines only."""
    rest: list[str] = []
    for piece in pieces:
        end = piece.rfind("\n") + 1
        if not end:
            rest.append(piece)
            continue
        yield "".join((*rest, piece[:end])) if rest else piece[:end]
        rest = [piece[end:]] if end < len(piece) else []
    if last := "".join(rest):
        yield last


def _one_by_one(lines: Sequence[tuple[int, str]], decoder: msgspec.json.Decoder[_Line], quick: _Quick,
                sorting: Sorting) -> int:
    """Add each line, the odd ones as `read_entry` reads them; how many went the quick way."""
    decoded = 0
    for number, line in lines:
        try:
            plain = _add([decoder.decode(line)], quick) == 1
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


def _add(lines: Sequence[_Line], quick: _Quick) -> int:
    """Add lines up until one is not plain; how many were."""
    days, slots, astuple = quick.days, quick.slots, msgspec.structs.astuple
    first, last, outside = quick.adding.first, quick.adding.last, 0
    # Names of the module cost a look-up each, which a million lines feel.
    at_date, at_stamp, at_hours, at_minutes, width, longest = _DATE, _STAMP, _HOURS, _MINUTES, _CELL, LONGEST
    place = 0
    for place, one in enumerate(lines):  # noqa: B007  (the place where it stopped)
        line = astuple(one)
        hours = line[at_hours]
        if hours is None or line[at_minutes] is not None:
            if hours is not None or line[at_minutes] is None:
                break
            hours = line[at_minutes] / 60
        if not 0 < hours <= longest:
            break
        said = line[at_date] or line[at_stamp]
        day = days.get(said)
        if day is None and (day := quick.day(said)) is None:
            break
        ordinal, week = day
        if ordinal < first or ordinal > last:
            outside += 1
            continue
        raw = line[:width]
        own, of_type, of_task, logged = slots.get(raw) or quick.slot(raw)
        own.append(hours)
        of_type[week].append(hours)
        if of_task is not None:
            of_task[week].append(hours)
        logged.add(ordinal)
    else:
        place = len(lines)
    quick.adding.outside += outside
    return place
