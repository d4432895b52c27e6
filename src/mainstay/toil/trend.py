"""Where toil is heading: shares by period, direction, changes of level; and whether it grows with the services.

Standard library only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Literal

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.stats.changepoints import changes
from mainstay.stats.straight_line import Fit, fit
from mainstay.toil.entry import TOIL, Entry
from mainstay.toil.share import share_of
from mainstay.toil.tally import Tally

Direction = Literal["improving", "degrading", "stable", "insufficient_data"]
RECENT = 5
"""Periods that are compared with the same number before them (seed 002)."""
TOLERANCE = 0.1
"""A mean that differs by less is the same (seed 002)."""
MOST_PERIODS = 208
"""Four years of weeks: the permutation test grows with the square."""


def direction(values: Sequence[float], *, lower_is_better: bool = True) -> Direction:
    """How the last five values compare with the five before.

    Five or fewer values say nothing. Toil, like time to recovery and errors, gets better by falling: the seed called
    every rise an improvement.
    """
    if len(values) <= RECENT:
        return "insufficient_data"
    recent, older = values[-RECENT:], values[-2 * RECENT:-RECENT]
    now, before = sum(recent) / len(recent), sum(older) / len(older)
    if abs(now - before) <= TOLERANCE * abs(before):
        return "stable"
    return "improving" if (now < before) == lower_is_better else "degrading"


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of the trend.

    Args:
        share: toil as a share of all hours; None where nothing was logged, which is a gap and not zero.
    """

    start: date
    hours: float
    toil_hours: float
    share: float | None


@dataclass(frozen=True, slots=True)
class LevelChange:
    """Where the share of toil changed for good.

    Args:
        p: how often chance alone looks as changed.
    """

    start: date
    before: float
    after: float
    p: float


@dataclass(frozen=True, slots=True)
class Trend:
    """The periods, oldest first, what they do, and where they changed."""

    days: int
    periods: tuple[Period, ...]
    direction: Direction
    changes: tuple[LevelChange, ...]


def trend_of(periods: Sequence[Period], days: int, seed: int = 1) -> Trend:
    """The direction and changes of level of periods of so many days."""
    known = [one for one in periods if one.share is not None][-MOST_PERIODS:]
    shares = [one.share for one in known if one.share is not None]
    found = tuple(LevelChange(known[one.at].start, one.before, one.after, one.p) for one in changes(shares, seed=seed))
    return Trend(days, tuple(periods), direction(shares), found)


def weekly(tally: Tally) -> list[Period]:
    """The weeks of a tally that lie whole in its stretch, gaps included."""
    sums: dict[int, list[float]] = {}
    for key, amount in tally.weeks.items():
        mine = sums.setdefault(key.week, [0.0, 0.0])
        mine[0] += amount.hours
        mine[1] += amount.hours if key.type == TOIL else 0.0
    covered = tally.covered()
    first, last = covered.first.toordinal(), covered.last.toordinal()
    start = first + (8 - covered.first.isoweekday()) % 7
    return [_period(week, *sums.get(week, (0.0, 0.0))) for week in range(start, last - 5, 7)]


def _period(start: int, hours: float, toil: float) -> Period:
    return Period(date.fromordinal(start), hours, toil, share_of(toil, hours))


def in_periods(entries: Sequence[Entry], days: int) -> list[Period]:
    """The work in periods of so many days that end with the last entry's day; the first is left out when not whole.

    Raises:
        InvalidInput: days is not from 1 to a year.
    """
    if not 1 <= days <= 366:
        raise InvalidInput(f"a period of {days} days cannot be looked at", "write a number of days from 1 to 366")
    if not entries:
        return []
    last, first = max(one.day for one in entries), min(one.day for one in entries)
    count = ((last - first).days + 1) // days
    sums = [[0.0, 0.0] for _ in range(count)]
    for one in entries:
        back = (last - one.day).days // days
        if back < count:
            mine = sums[count - 1 - back]
            mine[0] += one.hours
            mine[1] += one.hours if one.type == TOIL else 0.0
    start = last - timedelta(days=days * count - 1)
    return [_period((start + timedelta(days=days * index)).toordinal(), hours, toil)
            for index, (hours, toil) in enumerate(sums)]


# -- does it grow with the services? -------------------------------------------------------------------------------

Growth = Literal["linear", "slower", "faster", "none", "unclear"]


@dataclass(frozen=True, slots=True)
class Scaling:
    """How weekly hours of toil go with the number of services.

    Args:
        per_service: hours a week that one more service brings, with its 95 % interval.
        elasticity: by how many percent toil grows when services grow by one percent, with its 95 % interval; 1 is
            linear. None where a week has no toil, which has no logarithm.
        growth: `none` when the interval of per_service holds 0 and that of the elasticity excludes 1; `unclear` when it
            cannot be told.
        forecast: hours a week at that number of services, with the interval one week falls into; None when not asked.
    """

    weeks: int
    services_least: float
    services_most: float
    per_service: float
    per_service_low: float
    per_service_high: float
    elasticity: float | None
    elasticity_low: float | None
    elasticity_high: float | None
    growth: Growth
    at: float | None = None
    forecast: tuple[float, float, float] | None = None


def scaling_of(periods: Sequence[Period], services: Mapping[date, float], at: float | None = None) -> Scaling | None:
    """Whether toil grows with the services, tested on the weeks; None with fewer than three weeks or one number only.

    Args:
        services: how many services there were, by the day from which it held.
        at: a number of services to look ahead to.
    """
    pairs = [(count, one.toil_hours) for one in periods
             if one.share is not None and (count := held_at(services, one.start)) is not None]
    xs, ys = [x for x, _ in pairs], [y for _, y in pairs]
    line = fit(xs, ys)
    if line is None:
        return None
    curve = fit([math.log(x) for x in xs], [math.log(y) for y in ys]) if min(ys) > 0 and min(xs) > 0 else None
    forecast = None
    if at is not None:
        value, low, high = line.at(at)
        forecast = (max(value, 0.0), max(low, 0.0), max(high, 0.0))
    return Scaling(
        len(pairs), min(xs), max(xs), line.slope, line.slope_low, line.slope_high,
        curve.slope if curve is not None else None, curve.slope_low if curve is not None else None,
        curve.slope_high if curve is not None else None, _growth(line, curve), at, forecast)


def _growth(line: Fit, curve: Fit | None) -> Growth:
    if curve is None:
        return "unclear"
    least, most = curve.slope_low, curve.slope_high
    if line.slope_high < 0:
        return "none"
    if line.slope_low <= 0:
        return "none" if most < 1 or least > 1 else "unclear"
    if most < 1:
        return "slower"
    if least > 1:
        return "faster"
    return "linear" if least > 0 else "unclear"


def held_at(services: Mapping[date, float], day: date) -> float | None:
    """The number that held on a day: the last one said before or on it; None before the first."""
    said = [known for known in services if known <= day]
    return services[max(said)] if said else None
