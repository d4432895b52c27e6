"""Work added up: how many hours of what, by whom, in which week. Standard library only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from math import fsum
from typing import NamedTuple

from mainstay.kernel.errors import InvalidInput, NoData
from mainstay.toil.entry import TOIL, Entry, check_days


class Cell(NamedTuple):
    """What is added up apart from the rest; `week` is the ordinal of its Monday."""

    week: int
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


@dataclass(frozen=True, slots=True)
class Stretch:
    """The days that are looked at, both included."""

    first: date
    last: date

    @property
    def days(self) -> int:
        """How many they are."""
        return (self.last - self.first).days + 1


@dataclass(slots=True)
class Tally:
    """Work of a stretch, added up.

    Args:
        logged: every (engineer, ordinal of a day) that has an entry: how completely work is logged.
        outside: entries of other days, which are not in it.
        began: the first day that any entry has, also outside the stretch; None without entries.
        ended: the last such day.
    """

    stretch: Stretch
    cells: dict[Cell, Amount] = field(default_factory=dict)
    logged: set[tuple[str, int]] = field(default_factory=set)
    outside: int = 0
    began: date | None = None
    ended: date | None = None

    @property
    def hours(self) -> float:
        """Of all work."""
        return sum(amount.hours for amount in self.cells.values())

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

    def of(self, wanted: Callable[[Cell], bool]) -> Tally:
        """The part for which it holds."""
        kept = {cell: amount for cell, amount in self.cells.items() if wanted(cell)}
        people = {cell.engineer for cell in kept}
        return Tally(self.stretch, kept, {one for one in self.logged if one[0] in people}, self.outside, self.began,
                     self.ended)


def stretch_of(days: int, today: date) -> Stretch:
    """The last so many days, today included."""
    check_days(days)
    return Stretch(today - timedelta(days=days - 1), today)


def tally(entries: Iterable[Entry], stretch: Stretch) -> Tally:
    """The entries added up."""
    out = Tally(stretch)
    sums: dict[Cell, list[float]] = {}
    for one in entries:
        if out.began is None or one.day < out.began:
            out.began = one.day
        if out.ended is None or one.day > out.ended:
            out.ended = one.day
        if not stretch.first <= one.day <= stretch.last:
            out.outside += 1
            continue
        ordinal = one.day.toordinal()
        cell = Cell(ordinal - one.day.weekday(), one.type, one.category, one.engineer, one.team, one.description,
                    one.automatable, one.automated, one.interrupt, one.estimated)
        out.logged.add((one.engineer, ordinal))
        sums.setdefault(cell, []).append(one.hours)
    # Summed at the end and exactly rounded, so that the order of lines changes no figure.
    out.cells = {cell: Amount(len(hours), fsum(hours)) for cell, hours in sums.items()}
    return out


def demand_work(found: Tally) -> None:
    """Raises NoData where the stretch has no work, saying where the log has some."""
    if found.cells:
        return
    if found.began is None or found.ended is None:
        raise NoData("no work is logged", "mainstay toil log 30m 'Deploy by hand', or mainstay toil import FILE")
    if found.ended < found.stretch.first:
        raise NoData(f"no work is logged from {found.stretch.first} to {found.stretch.last}; the log ends on "
                     f"{found.ended}", f"look from there: --as-of {found.ended + timedelta(days=1)}, or further back: "
                     "--days 365")
    raise NoData(f"no work is logged from {found.stretch.first} to {found.stretch.last}; the log begins on "
                 f"{found.began}", "look further back: --days 365")


def check_line(line: float) -> None:
    """Raises InvalidInput where a share is not above 0 and at most 1."""
    if not 0 < line <= 1:
        raise InvalidInput(f"the line {line:.0%} cannot be held", "write a percentage above 0 and at most 100")
