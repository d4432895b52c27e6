"""What automating a task is worth, and whether to: return, payback, decision. Standard library only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Literal

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.stats.straight_line import mean_interval

EFFORT = 40.0
"""Hours that automating a task takes, where nobody said (seed 001)."""
MONTHS = 36
"""Three years: how far the value is looked at (seed 000)."""
DAYS_A_MONTH = 30.0
"""Of the seed's formulas, so that 30 h in 30 days are 30 h a month."""
COST = 150.0
"""Of an hour of an engineer, where no policy says (seed 002)."""

Complexity = Literal["simple", "medium", "complex"]
COMPLEXITIES: tuple[Complexity, ...] = ("simple", "medium", "complex")
OFF_BY: dict[Complexity, tuple[float, float]] = {"simple": (0.8, 1.25), "medium": (0.67, 1.5), "complex": (0.5, 2.0)}
"""Estimates are off by such factors: the cone of uncertainty at detailed design, at requirements, at a first definition
(McConnell, Software Estimation, 2006, ch. 4)."""

Decision = Literal["AUTOMATE_NOW", "AUTOMATE_SOON", "CONSIDER", "DONT_AUTOMATE"]
RECOMMENDED: dict[Decision, str] = {
    "AUTOMATE_NOW": "schedule it in the current sprint",
    "AUTOMATE_SOON": "put it in the backlog, first in the next quarter",
    "CONSIDER": "look at it when the quarter is planned",
    "DONT_AUTOMATE": "spend the time on another task",
}


@dataclass(frozen=True, slots=True)
class Return:
    """What automating gives back, in hours unless said otherwise.

    Args:
        monthly_low, monthly_high: hours a month as sure as they are known; equal where they were simply said.
        effort: hours to automate.
        payback_months: None when nothing is saved, so that it never pays back.
        three_year_net: saved in three years less the effort and the upkeep.
        net_low, net_high: what it may be, as sure as the frequency and the effort are.
        yearly_return: hours saved in a year for an hour of effort; None when the effort is 0.
    """

    monthly_hours: float
    monthly_low: float
    monthly_high: float
    annual_hours: float
    effort: float
    payback_months: float | None
    three_year_net: float
    net_low: float
    net_high: float
    yearly_return: float | None


def return_of(monthly: float, effort: float, *, monthly_range: tuple[float, float] | None = None, upkeep: float = 0.0,
              complexity: Complexity = "medium") -> Return:
    """What automating a task gives back.

    Args:
        monthly: hours a month that it takes by hand.
        monthly_range: what they may be; the range of the value comes from it and from how far estimates are off.
        upkeep: hours a month that the automation itself asks for.
    Raises:
        InvalidInput: a negative or infinite number.
    """
    for name, value in (("hours a month", monthly), ("effort", effort), ("upkeep", upkeep)):
        if not math.isfinite(value) or value < 0:
            raise InvalidInput(f"{name} {value:g} cannot be used", "write a number that is not negative")
    saved = monthly - upkeep
    payback = effort / saved if saved > 0 else None
    low, high = monthly_range if monthly_range is not None else (monthly, monthly)
    least, most = OFF_BY[complexity]
    return Return(monthly, low, high, monthly * 12, effort, payback, MONTHS * saved - effort,
                  MONTHS * (low - upkeep) - most * effort, MONTHS * (high - upkeep) - least * effort,
                  12 * saved / effort if effort > 0 else None)


@dataclass(frozen=True, slots=True)
class Task:
    """A task to be decided about.

    Args:
        frequency: times a month.
        hours: each time.
    """

    frequency: float
    hours: float
    effort: float
    complexity: Complexity = "medium"
    error_prone: bool = False
    blocks_other_work: bool = False


@dataclass(frozen=True, slots=True)
class Decided:
    """Whether to automate, why, and what follows."""

    decision: Decision
    reason: str
    recommendation: str
    value: Return


def should_automate(task: Task) -> Decided:
    """Whether to automate a task: the bands of seed 001.

    There the last band asks for a yearly return above 2 with a payback of a year or more, which cannot be: a payback
    of a year is a yearly return of 1. It speaks of a good return that takes longer, so here it is the return over the
    three years that the value is looked at: above 2 means a payback under 18 months.
    """
    for name, number in (("frequency", task.frequency), ("duration", task.hours), ("effort", task.effort)):
        if not math.isfinite(number) or number < 0:
            raise InvalidInput(f"{name} {number:g} cannot be used", "write a number that is not negative")
    value = return_of(task.frequency * task.hours, task.effort, complexity=task.complexity)
    decision, reason = _judged(task, value.payback_months)
    return Decided(decision, reason, RECOMMENDED[decision], value)


def _judged(task: Task, payback: float | None) -> tuple[Decision, str]:
    months = math.inf if payback is None else payback
    if months < 3:
        return "AUTOMATE_NOW", "it pays back in less than 3 months"
    if task.frequency > 10 and task.error_prone:
        return "AUTOMATE_NOW", "it is done more than 10 times a month and goes wrong"
    if task.blocks_other_work:
        return "AUTOMATE_SOON", "it blocks other work"
    if months < 12:
        return "AUTOMATE_SOON", "it pays back within a year"
    if MONTHS / months > 2:
        return "CONSIDER", "it pays back more than twice within three years, though not within one"
    if payback is None:
        return "DONT_AUTOMATE", "it takes no time"
    return "DONT_AUTOMATE", f"it pays back only after {months:.0f} months"


# -- how often a task comes, from a log --------------------------------------------------------------------------


LEAST_WEEKS = 4
"""Whole weeks from which on their spread says something."""
NINETY_PERCENT = 1.645
"""Standard deviations on each side of a mean that hold 90 % of a normal distribution."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How much time a task takes a month, as a log shows it.

    Args:
        low, high: 90 % interval of the mean, from how much the weeks differ; where there are too few of them, from how
            far a count of so many occurrences may be off.
    """

    monthly: float
    low: float
    high: float


def rhythm(hours: float, occurrences: int, by_week: Sequence[float], days: int) -> Rhythm:
    """Hours a month of a task that took so many hours in so many days.

    The days are those that the log covers, never its lines: a log of 60 half hours in 30 days is 30 h a month, however
    many lines there are.

    Args:
        occurrences: how often it came in them, above 0.
        by_week: its hours in every whole week of the stretch, weeks without any included.
    """
    monthly = hours / days * DAYS_A_MONTH
    spread = mean_interval(by_week) if len(by_week) >= LEAST_WEEKS else None
    if spread is not None:
        half = DAYS_A_MONTH / 7 * (spread[2] - spread[1]) / 2
    else:
        # Things that come by chance and independently: a count of n has the standard deviation of its root (Poisson).
        half = monthly * NINETY_PERCENT / math.sqrt(occurrences)
    return Rhythm(monthly, max(monthly - half, 0.0), monthly + half)


def week_of(day: date) -> date:
    """The Monday of the day's week (ISO 8601)."""
    return day - timedelta(days=day.weekday())


def weeks_between(first: date, last: date) -> list[date]:
    """The Mondays of the weeks that lie whole between two days, both included."""
    monday = week_of(first) if first.weekday() == 0 else week_of(first) + timedelta(days=7)
    out = []
    while monday + timedelta(days=6) <= last:
        out.append(monday)
        monday += timedelta(days=7)
    return out
