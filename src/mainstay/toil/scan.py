"""A long work log added up without making an object of every line that people could mean two ways.

The quick way takes only lines that `entry.read_entry` would take just so; every other line is given to it, so that both
say the same of any line. A test holds them to it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import length_hint
from typing import Annotated, Literal

import msgspec

from mainstay.toil.entry import LONGEST, NO_CATEGORY, NO_ONE, Read, Rejected, Sorting, parse_day, read_json_lines
from mainstay.toil.tally import EVERYTHING, Adding, Cell, Hours, Part, Stretch, Tally


class _Line(msgspec.Struct, forbid_unknown_fields=True, gc=False, kw_only=True):
    """A line as most logs write it, in an order close to theirs: the decoder looks for the next field first.

    What a cell tells apart stands together, so that one slice of a line says where it goes.
    """

    date: str | None = None
    timestamp: str | None = None
    duration_hours: Annotated[float, msgspec.Meta(gt=0, le=LONGEST)] | None = None
    duration_minutes: Annotated[float, msgspec.Meta(gt=0, le=LONGEST * 60)] | None = None
    engineer: str = ""
    team: str = ""
    type: Literal["toil", "engineering", "incident", "meeting", "oncall"]
    category: str = ""
    description: str = ""
    automatable: bool = False
    automated: bool = False
    interrupt: bool = False
    estimated: bool = False
    key: str = ""


_FIELDS = _Line.__struct_fields__
_DATE, _STAMP, _HOURS, _MINUTES = (_FIELDS.index(name) for name in (
    "date", "timestamp", "duration_hours", "duration_minutes"))
_CELL = slice(_MINUTES + 1, _FIELDS.index("key"))
assert set(_FIELDS[_CELL]) == set(Cell._fields)
_MOST_SAME = 50_000


class _Odd(Exception):
    """A line that the quick way leaves to `read_entry`."""


class _Days(dict[str | None, tuple[int, int]]):
    """A day and its week's Monday as ordinals, worked out once for each way in which a day is written."""

    def __missing__(self, said: str | None) -> tuple[int, int]:
        if not said:
            raise _Odd
        try:
            day = parse_day(said.strip())
        except Rejected:
            raise _Odd from None
        found = self[said] = day.toordinal(), day.toordinal() - day.weekday()
        return found


class _Slots(dict[tuple[object, ...], tuple[Hours, defaultdict[int, Hours], set[int]]]):
    """Where each kind of line goes; plain tuples, which Python takes apart faster than those with names."""

    def __init__(self, adding: Adding) -> None:
        super().__init__()
        self._adding = adding

    def __missing__(self, raw: tuple[object, ...]) -> tuple[Hours, defaultdict[int, Hours], set[int]]:
        said = dict(zip(_FIELDS[_CELL], raw, strict=True))
        cell = Cell._make(said[name] for name in Cell._fields)
        slot = self._adding.slot(cell._replace(
            category=cell.category.strip() or NO_CATEGORY, engineer=cell.engineer.strip() or NO_ONE,
            team=cell.team.strip(), description=cell.description.strip()))
        found = self[raw] = slot.hours, slot.by_week, slot.days
        return found


class _Quick:
    """Adds plain lines."""

    def __init__(self, adding: Adding) -> None:
        self.adding = adding
        self.days = _Days()
        self._same: dict[float, float] = {}
        self._slots = _Slots(adding)
        self._object: Callable[[str], _Line] = msgspec.json.Decoder(_Line).decode

    def add(self, lines: Sequence[str]) -> list[int]:
        """Add the plain ones of the lines; the places of the others, empty ones among them."""
        left: Iterator[str] | Iterator[_Line]
        objects: Iterator[_Line]
        try:
            # One after the other would need a seventh more time: the processor likes to do one thing many times over.
            left = objects = iter(list(map(self._object, lines)))
        except (msgspec.MsgspecError, RecursionError):
            left = each = iter(lines)
            objects = map(self._object, each)  # no generator: it would be over after the first line that raises
        odd: list[int] = []
        while True:
            try:
                self._add(objects)
            except (_Odd, msgspec.MsgspecError, RecursionError):
                odd.append(len(lines) - length_hint(left) - 1)
            else:
                return odd

    def _add(self, lines: Iterable[_Line]) -> None:
        """Add lines until one is not plain: that one is taken, and raises."""
        adding, days, slots = self.adding, self.days, self._slots
        first, last = adding.first, adding.last
        # Names of the module cost a look-up each, which a million lines feel.
        at_date, at_stamp, at_hours, at_minutes, of_cell = _DATE, _STAMP, _HOURS, _MINUTES, _CELL
        before: object = adding  # no line says this of its day
        # People log in steps of minutes: one object for each number of hours takes less memory than one for each line,
        # and is summed faster.
        same = self._same
        if len(same) > _MOST_SAME:
            same.clear()
        ordinal = week = 0
        inside = False
        for line in map(msgspec.structs.astuple, lines):
            hours = line[at_hours]
            if hours is None or line[at_minutes] is not None:
                hours = _of_minutes(hours, line[at_minutes])
            said = line[at_date] or line[at_stamp]
            if said != before:  # a log is mostly written day by day
                ordinal, week = days[said]
                inside = first <= ordinal <= last
                before = said
            if not inside:
                adding.outside += 1
                continue
            hours = same.setdefault(hours, hours)
            own, by_week, logged = slots[line[of_cell]]
            own.append(hours)
            by_week[week].append(hours)
            logged.add(ordinal)


def _of_minutes(hours: float | None, minutes: float | None) -> float:
    """Minutes as hours, where only they are given."""
    if hours is not None or minutes is None or not minutes / 60 > 0:  # the least numbers of all are nothing in hours
        raise _Odd
    return minutes / 60


def scan(pieces: Iterable[str], source: str, stretch: Stretch, part: Part = EVERYTHING) -> tuple[Tally, Read]:
    """The log's work of the stretch, and how many lines could be read.

    Args:
        pieces: the log's text, cut anywhere.
    """
    adding, sorting = Adding(stretch, part), Sorting(source)
    quick, plain, before = _Quick(adding), 0, 0
    for lines in _lines(pieces):
        odd = quick.add(lines)
        plain += len(lines) - len(odd)
        for place in odd:
            _read_slowly(lines[place], before + place + 1, sorting)
        before += len(lines)
    for ordinal, _ in quick.days.values():
        adding.saw(ordinal)
    for one in sorting.entries:
        adding.add(one)
    read = sorting.result()
    return adding.tally(), Read(read.lines + plain, read.parsed + plain, read.rejected, read.samples, source)


def _lines(pieces: Iterable[str]) -> Iterator[list[str]]:
    """The text's lines, many at a time."""
    begun: list[str] = []
    for piece in pieces:
        lines = piece.split("\n")
        if len(lines) > 1:
            lines[0] = "".join((*begun, lines[0]))
            begun = [lines.pop()]
            yield lines
        else:
            begun.append(piece)
    yield ["".join(begun)]


def _read_slowly(line: str, number: int, sorting: Sorting) -> None:
    """Take or reject a line as `read_entry` reads it; an empty one is no line."""
    slow = read_json_lines([line], sorting.source)
    if slow.entries:
        sorting.take(slow.entries[0])
    for one in slow.result().samples:
        sorting.reject(number, one.why, one.text)
