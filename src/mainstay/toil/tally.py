"""Work added up: how many hours of what, by whom, in which week. Standard library only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import field
from datetime import date, timedelta
from itertools import chain
from math import fsum
from typing import NamedTuple, TypeVar

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import NoData
from mainstay.toil.entry import TOIL, Entry, check_days
from mainstay.toil.tasks import UNSAID


class Cell(NamedTuple):
    """What is added up apart from the rest."""

    type: str
    category: str
    engineer: str
    team: str
    description: str
    automatable: bool
    automated: bool
    interrupt: bool
    estimated: bool


class Amount(NamedTuple):
    """How much a cell holds."""

    entries: int
    hours: float


class WeekOfType(NamedTuple):
    """A week's work of one type; `week` is the ordinal of its Monday."""

    week: int
    type: str
    interrupt: bool


class WeekOfTask(NamedTuple):
    """A week's toil under one wording."""

    week: int
    wording: str
    automatable: bool
    automated: bool


@dataclass(frozen=True, slots=True)
class Stretch:
    """The days that are looked at, both included."""

    first: date
    last: date

    @property
    def days(self) -> int:
        """How many they are."""
        return (self.last - self.first).days + 1


@dataclass(frozen=True, slots=True)
class Part:
    """The part of the work that is asked about; empty for all of it."""

    team: str = ""
    engineer: str = ""

    def holds(self, team: str, engineer: str) -> bool:
        """Whether work of that team and person belongs to it."""
        return (not self.team or team == self.team) and (not self.engineer or engineer == self.engineer)


EVERYTHING = Part()


@dataclass(slots=True)
class Tally:
    """Work of a stretch, added up: by all that tells it apart, and by week.

    Args:
        logged: the ordinals of the days on which each engineer has an entry: how completely work is logged.
        outside: entries of other days, which are not in it.
        began: the first day that any entry has, also outside the stretch; None without entries.
        ended: the last such day.
    """

    stretch: Stretch
    cells: dict[Cell, Amount] = field(default_factory=dict)
    weeks: dict[WeekOfType, Amount] = field(default_factory=dict)
    tasks: dict[WeekOfTask, float] = field(default_factory=dict)
    logged: dict[str, set[int]] = field(default_factory=dict)
    outside: int = 0
    began: date | None = None
    ended: date | None = None

    @property
    def hours(self) -> float:
        """Of all work."""
        return fsum(amount.hours for amount in self.cells.values())

    @property
    def entries(self) -> int:
        """Within the stretch."""
        return sum(amount.entries for amount in self.cells.values())

    def toil(self) -> Iterator[tuple[Cell, Amount]]:
        """The cells of toil."""
        return ((cell, amount) for cell, amount in self.cells.items() if cell.type == TOIL)

    def covered(self) -> Stretch:
        """The days that the log can speak of: none before it began."""
        first = max(self.stretch.first, self.began) if self.began is not None else self.stretch.first
        return Stretch(min(first, self.stretch.last), self.stretch.last)


def wording_of(category: str, description: str) -> str:
    """What a task is called: its description, else its category."""
    return description or f"{category}, {UNSAID}"


Hours = list[float]


class _Kind(NamedTuple):
    """What the weeks are told apart by; `wording` is None where it is no toil, whose tasks nobody asks about."""

    type: str
    interrupt: bool
    wording: str | None
    automatable: bool
    automated: bool


_Name = TypeVar("_Name")
_Parts = defaultdict[_Name, defaultdict[int, list[Hours]]]


class Slot(NamedTuple):
    """Where the hours of a cell go: its own, those of its kind by week, its person's days."""

    hours: Hours
    by_week: defaultdict[int, Hours]
    days: set[int]


class Adding:
    """Gathers work until it is summed: at the end and exactly rounded, so that the order of lines changes no figure."""

    def __init__(self, stretch: Stretch, part: Part = EVERYTHING) -> None:
        self.stretch, self.part = stretch, part
        self.first, self.last = stretch.first.toordinal(), stretch.last.toordinal()
        self.outside = 0
        self._cells: dict[Cell, Slot] = {}
        self._kinds: dict[_Kind, defaultdict[int, Hours]] = {}
        self._days: defaultdict[str, set[int]] = defaultdict(set)
        self._unasked = Slot([], defaultdict(list), set())
        self._lowest, self._highest = date.max.toordinal(), 0

    def saw(self, ordinal: int) -> None:
        """Some entry has this day, inside the stretch or not."""
        self._lowest, self._highest = min(self._lowest, ordinal), max(self._highest, ordinal)

    def slot(self, cell: Cell) -> Slot:
        """Where the hours of such a cell go; out of sight where it is not asked about."""
        if not self.part.holds(cell.team, cell.engineer):
            return self._unasked
        slot = self._cells.get(cell)
        if slot is None:
            kind = _Kind(cell.type, cell.interrupt, None, automatable=False, automated=False)
            if cell.type == TOIL:
                kind = _Kind(cell.type, cell.interrupt, wording_of(cell.category, cell.description), cell.automatable,
                             cell.automated)
            slot = self._cells[cell] = Slot([], self._kinds.setdefault(kind, defaultdict(list)),
                                            self._days[cell.engineer])
        return slot

    def add(self, one: Entry) -> None:
        """Add an entry."""
        ordinal = one.day.toordinal()
        self.saw(ordinal)
        if not self.first <= ordinal <= self.last:
            self.outside += 1
            return
        slot = self.slot(Cell(one.type, one.category, one.engineer, one.team, one.description, one.automatable,
                              one.automated, one.interrupt, one.estimated))
        slot.hours.append(one.hours)
        slot.by_week[ordinal - one.day.weekday()].append(one.hours)
        slot.days.add(ordinal)

    def tally(self) -> Tally:
        """What it all comes to."""
        seen = self._highest > 0
        # By what is asked for first, then by week: sums further on add up in this order.
        types: _Parts[tuple[str, bool]] = defaultdict(lambda: defaultdict(list))
        tasks: _Parts[tuple[str, bool, bool]] = defaultdict(lambda: defaultdict(list))
        for kind, by_week in self._kinds.items():
            for week, hours in by_week.items():
                types[kind.type, kind.interrupt][week].append(hours)
                if kind.wording is not None:
                    tasks[kind.wording, kind.automatable, kind.automated][week].append(hours)
        return Tally(
            self.stretch, {cell: Amount(len(slot.hours), fsum(slot.hours)) for cell, slot in self._cells.items()},
            {WeekOfType(week, *of_type): Amount(sum(map(len, parts)), fsum(chain.from_iterable(parts)))
             for of_type, weeks in types.items() for week, parts in weeks.items()},
            {WeekOfTask(week, *task): fsum(chain.from_iterable(parts))
             for task, weeks in tasks.items() for week, parts in weeks.items()},
            {who: days for who, days in self._days.items() if days}, self.outside,
            date.fromordinal(self._lowest) if seen else None, date.fromordinal(self._highest) if seen else None)


def stretch_of(days: int, today: date) -> Stretch:
    """The last so many days, today included."""
    check_days(days)
    return Stretch(today - timedelta(days=days - 1), today)


def tally(entries: Iterable[Entry], stretch: Stretch, part: Part = EVERYTHING) -> Tally:
    """The entries added up."""
    adding = Adding(stretch, part)
    for one in entries:
        adding.add(one)
    return adding.tally()


HOW_TO_LOG = "mainstay toil log 30m 'Deploy by hand', or mainstay toil import FILE"


def demand_work(found: Tally) -> None:
    """Raises NoData where the stretch has no work, saying where the log has some."""
    if found.cells:
        return
    if found.began is None or found.ended is None:
        raise NoData("no work is logged", HOW_TO_LOG)
    if found.ended < found.stretch.first:
        raise NoData(f"no work is logged from {found.stretch.first} to {found.stretch.last}; the log ends on "
                     f"{found.ended}", f"look from there: --as-of {found.ended + timedelta(days=1)}, or further back: "
                     "--days 365")
    began = f"no work is logged from {found.stretch.first} to {found.stretch.last}; the log begins on {found.began}"
    if found.began > found.stretch.last:
        raise NoData(began, f"look at a later time, from {found.began} to {found.ended}")
    raise NoData(began, "look further back: --days 365")
