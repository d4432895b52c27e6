"""How much of the work is toil, where it sits, and how sure that is. Standard library only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from math import fsum
from typing import Literal

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.quantity import State
from mainstay.toil.automation import COST
from mainstay.toil.entry import TOIL, TYPES
from mainstay.toil.tally import Amount, Cell, Tally

LINE = 0.5
"""At most half of an engineer's time is toil: Google SRE Book, ch. 5 "Eliminating Toil"."""
NEAR = 0.8
"""Of the line: from here on it is at risk. Of 50 % that is 40 %, above which seed 002 asks to act."""
WORKING_DAY = 8.0
FULLY_LOGGED = 0.8
"""Of working days: above it a log counts as kept well enough to say the share without a warning."""

Dimension = Literal["type", "team", "engineer", "category", "week"]
DIMENSIONS: tuple[Dimension, ...] = ("type", "team", "engineer", "category", "week")


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of the work: a team, a person, a category, a week.

    Args:
        share: toil as a share of its hours; None without hours.
        interrupts: how many of its entries of toil broke into other work.
    """

    name: str
    hours: float
    toil_hours: float
    share: float | None
    state: State
    entries: int
    interrupts: int
    cost: float


@dataclass(frozen=True, slots=True)
class Coverage:
    """How completely work was logged.

    Args:
        working_days: Mondays to Fridays of everybody who logs, from each one's first entry to the end, without the
            policy's holidays.
        low, high: the share of toil if nothing, or all, of what was not logged was toil; a day not logged counts as one
            working day. None where all days are logged.
    """

    engineers: int
    logged_days: int
    working_days: int
    ratio: float | None
    low: float | None
    high: float | None

    @property
    def patchy(self) -> bool:
        """Whether too few days are logged to trust the share."""
        return self.ratio is None or self.ratio < FULLY_LOGGED


@dataclass(frozen=True, slots=True)
class Rules:
    """What a team holds its work against.

    Args:
        holidays: days on which nobody is expected to work; who does all the same has logged a day more.
    """

    line: float = LINE
    hourly_cost: float = COST
    working_day: float = WORKING_DAY
    holidays: frozenset[date] = frozenset()


def state_of(share: float | None, line: float) -> State:
    """The state of a share of toil: violated from the line on, at risk from NEAR of it."""
    if share is None:
        return "no_data"
    return "violated" if share >= line else "at_risk" if share >= NEAR * line else "healthy"


def share_of(toil: float, hours: float) -> float | None:
    """Toil as a share of all hours; None without hours, never 0."""
    return toil / hours if hours > 0 else None


def slices(cells: Iterable[tuple[Cell, Amount]], by: Callable[[Cell], str], rules: Rules) -> list[Slice]:
    """The work by a name that each cell has, the most toil first."""
    parts: dict[str, list[tuple[bool, bool, Amount]]] = {}
    for cell, amount in cells:
        parts.setdefault(by(cell), []).append((cell.type == TOIL, cell.interrupt, amount))
    out = [_slice(name, those, rules) for name, those in parts.items()]
    return sorted(out, key=lambda one: (-one.toil_hours, -one.hours, one.name))


def _slice(name: str, parts: Sequence[tuple[bool, bool, Amount]], rules: Rules) -> Slice:
    """Parts as (whether toil, whether an interrupt, how much) added up, in an order that changes nothing."""
    hours = fsum(amount.hours for _, _, amount in parts)
    toil = fsum(amount.hours for is_toil, _, amount in parts if is_toil)
    share = share_of(toil, hours)
    return Slice(name, hours, toil, share, state_of(share, rules.line), sum(amount.entries for _, _, amount in parts),
                 sum(amount.entries for is_toil, broke, amount in parts if is_toil and broke), toil * rules.hourly_cost)


def by_dimension(tally: Tally, dimension: Dimension, rules: Rules) -> list[Slice]:
    """The work by team, person, category or type, the most toil first; by week, the oldest first."""
    match dimension:
        case "week":
            return _by_week(tally, rules)
        case "type":
            found = slices(tally.cells.items(), lambda cell: cell.type, rules)
            return sorted(found, key=lambda one: TYPES.index(one.name))
        case "team":
            return slices(tally.cells.items(), lambda cell: cell.team or "no team", rules)
        case "engineer":
            return slices(tally.cells.items(), lambda cell: cell.engineer, rules)
        case "category":
            return slices(tally.toil(), lambda cell: cell.category, rules)


def _by_week(tally: Tally, rules: Rules) -> list[Slice]:
    parts: dict[int, list[tuple[bool, bool, Amount]]] = {}
    for key, amount in tally.weeks.items():
        parts.setdefault(key.week, []).append((key.type == TOIL, key.interrupt, amount))
    return [_slice(date.fromordinal(week).isoformat(), those, rules) for week, those in sorted(parts.items())]


def coverage_of(tally: Tally, rules: Rules) -> Coverage:
    """How completely the stretch is logged, and how far that leaves the share open."""
    covered = tally.covered()
    free = {day.toordinal() for day in rules.holidays if day.weekday() < 5 and day <= covered.last}
    working = sum(_weekdays(date.fromordinal(min(days)), covered.last) - sum(day >= min(days) for day in free)
                  for days in tally.logged.values())
    logged = sum(1 for days in tally.logged.values() for day in days
                 if (day - 1) % 7 < 5 and day not in free)  # ordinal 1 is a Monday
    toil, hours = fsum(amount.hours for _, amount in tally.toil()), tally.hours
    missing = max(working - logged, 0) * rules.working_day
    low = high = None
    if missing and hours:
        low, high = toil / (hours + missing), (toil + missing) / (hours + missing)
    return Coverage(len(tally.logged), logged, working, min(logged / working, 1.0) if working else None, low, high)


def _weekdays(first: date, last: date) -> int:
    """Mondays to Fridays from first to last, both included."""
    days = (last - first).days + 1
    weeks, rest = divmod(days, 7)
    return weeks * 5 + sum(1 for ahead in range(rest) if (first + timedelta(days=ahead)).weekday() < 5)


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of a stretch. The keys from `total_toil_hours` on are those of seed 002.

    Args:
        interrupts, interrupt_hours: toil that broke into other work.
        other_interrupts, other_interrupt_hours: what broke into other work besides, such as pages and incidents.
        estimated_hours: hours of toil that were worked out and not measured.
        automation_opportunity: percent of toil that could be automated and is not; None without toil.
        estimated_savings: what that costs.
        by_category: hours of toil.
        top_automation_targets: the three categories with the most toil that could be automated.
    """

    first: date
    last: date
    entries: int
    total_hours: float
    toil_share: float | None
    state: State
    line: float
    cost: float
    interrupts: int
    interrupt_hours: float
    other_interrupts: int
    other_interrupt_hours: float
    estimated_hours: float
    coverage: Coverage
    total_toil_hours: float
    automatable_hours: float
    automation_opportunity: float | None
    estimated_savings: float
    by_category: dict[str, float]
    top_automation_targets: tuple[tuple[str, float], ...]


def summary(tally: Tally, rules: Rules) -> Summary:
    """The figures of all the work in the tally."""
    parts = sorted(tally.toil())
    toil = fsum(amount.hours for _, amount in parts)
    interrupts = [amount for cell, amount in parts if cell.interrupt]
    besides = [amount for cell, amount in tally.cells.items() if cell.interrupt and cell.type != TOIL]
    left = [(cell, amount) for cell, amount in parts if cell.automatable and not cell.automated]
    automatable = fsum(amount.hours for _, amount in left)
    hours, stretch = tally.hours, tally.stretch
    share = share_of(toil, hours)
    return Summary(
        stretch.first, stretch.last, tally.entries, hours, share, state_of(share, rules.line), rules.line,
        toil * rules.hourly_cost, sum(amount.entries for amount in interrupts),
        fsum(amount.hours for amount in interrupts), sum(amount.entries for amount in besides),
        fsum(amount.hours for amount in besides), fsum(amount.hours for cell, amount in parts if cell.estimated),
        coverage_of(tally, rules), toil, automatable, automatable / toil * 100 if toil else None,
        automatable * rules.hourly_cost, dict(_by_category(parts)), tuple(_by_category(left)[:3]))


def _by_category(parts: Sequence[tuple[Cell, Amount]]) -> list[tuple[str, float]]:
    """Hours by category, the most first."""
    found: dict[str, list[float]] = {}
    for cell, amount in parts:
        found.setdefault(cell.category, []).append(amount.hours)
    return sorted(((name, fsum(hours)) for name, hours in found.items()), key=lambda item: (-item[1], item[0]))
