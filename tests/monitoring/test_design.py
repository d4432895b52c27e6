"""Designs hold what they promise, over the whole grid, and where there is none the reason is true."""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np
import pytest

from mainstay.kernel.quantity import Target
from mainstay.kernel.series import Series
from mainstay.monitoring.design import FEWEST_INSIDE, Impossible, Plan, Wish, design, plan_of
from mainstay.monitoring.evaluation import Firings, History, firings, together
from mainstay.stats.budget import NoBudget

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
TARGETS = ("50", "70", "80", "90", "95", "99", "99.5", "99.9", "99.95", "99.99", "99.999", "99.9999")
WINDOWS = (7, 14, 28, 30, 90, 365)
TRAFFIC = (1, 10, 100, 1_000, 10_000, 1_000_000)


def wish(target: str = "99.9", days: float = 30, per_hour: float = 100, detect: timedelta = 15 * MINUTE,
         false: float = 0.1) -> Wish:
    return Wish(Target.percent(target), timedelta(days=days), per_hour / 3600, detect, false)


GRID = [wish(target, days, per_hour) for target in TARGETS for days in WINDOWS for per_hour in TRAFFIC]


def test_no_tier_of_any_plan_is_silent_for_ever_or_cries_while_the_promise_is_kept() -> None:
    plans = [plan for one in GRID if (plan := plan_of(one)) is not None]
    assert len(plans) > 0.6 * len(GRID)
    for plan in plans:
        for rung in plan.rungs:
            assert rung.rule.threshold < 1, "more than every event would have to fail"
            assert rung.factor >= 1, "it would trip while the budget is kept"
            assert rung.tier.long < plan.wish.window
            assert rung.full is not None, "a full outage trips every tier"
            assert rung.rule.short is not None
            assert plan.wish.traffic * rung.rule.short.total_seconds() >= FEWEST_INSIDE


def test_every_plan_is_in_time_and_within_the_bound_on_false_pages() -> None:
    for one in GRID:
        plan = plan_of(one)
        if plan is not None:
            assert plan.quickest <= one.detect
            assert plan.false_pages <= one.false_pages
            assert plan.false_pages == pytest.approx(sum(rung.alarms.a_month for rung in plan.rungs if rung.alarms))
            factors = [rung.factor for rung in plan.rungs]
            assert factors == sorted(factors, reverse=True), "each tier is slower and finer than the last"
            assert any(rung.tier.severity == "page" for rung in plan.rungs)


def test_a_share_of_the_budget_goes_when_a_tier_trips() -> None:
    for one in GRID[::7]:
        for rung in (plan_of(one) or Plan(one, (), None, 0.0, ())).rungs:
            assert float(rung.factor) * (rung.tier.long / one.window) == pytest.approx(float(rung.tier.spends))


def test_where_there_is_no_plan_no_window_alone_is_quick_enough() -> None:
    impossible = [one for one in GRID if plan_of(one) is None]
    assert impossible
    for one in impossible[::30]:
        found = design(one)
        assert isinstance(found, Impossible)
        assert found.attempts
        for attempt in found.attempts:
            assert attempt.inside < FEWEST_INSIDE or attempt.after is None or attempt.after > one.detect


def test_each_way_out_of_the_impossible_is_one() -> None:
    found = design(wish(per_hour=6))
    assert isinstance(found, Impossible)
    assert {kind for kind, _ in found.ways} >= {"traffic", "detect"}
    for _, other in found.ways:
        assert isinstance(design(other), Plan)


# -- simulated --------------------------------------------------------------------------------------------------


def pages(plan: Plan, series: Series) -> Firings:
    history = History(series, plan.wish.interval)
    return together([firings(history, rung.rule) for rung in plan.rungs if rung.tier.severity == "page"])


def by_chance(plan: Plan, months: int, step: int = 60) -> float:
    random = np.random.default_rng(11)
    slots = int(months * 30 * DAY.total_seconds() / step)
    total = random.poisson(plan.wish.traffic * step, slots)
    bad = random.binomial(total, float(plan.wish.target.budget))
    return len(pages(plan, Series(0, step, bad.astype(float), total.astype(float), np.ones(slots, np.bool_)))) / months


@pytest.mark.parametrize(("target", "days", "per_hour"), [
    ("99.9", 30, 100), ("99.9", 30, 400), ("99.5", 30, 100), ("99", 7, 120), ("95", 28, 150), ("99.99", 90, 800),
    ("90", 30, 300), ("50", 30, 1_000)])
def test_simulated_false_pages_stay_within_the_bound(target: str, days: int, per_hour: float) -> None:
    plan = plan_of(wish(target, days, per_hour))
    assert plan is not None
    months = 120
    # At the bound itself 12 pages would be expected; four standard deviations above what the plan says are allowed.
    expected = plan.false_pages * months
    assert by_chance(plan, months) * months <= expected + 4 * math.sqrt(expected) + 1


def outages(plan: Plan, count: int) -> list[float]:
    """Seconds from the start of each full outage to the page; infinite where none came. A day apart from each other."""
    random = np.random.default_rng(12)
    apart, lasts, step = int(DAY.total_seconds()), int(HOUR.total_seconds()), 30
    slots = apart * count // step
    total = random.poisson(plan.wish.traffic * step, slots).astype(float)
    bad = random.binomial(total.astype(np.int64), float(plan.wish.target.budget) / 10).astype(float)
    began = [apart * index + apart // 2 + int(random.integers(0, 20)) * step for index in range(count)]
    for at in began:
        bad[at // step:(at + lasts) // step] = total[at // step:(at + lasts) // step]
    fired = pages(plan, Series(0, step, bad, total, np.ones(slots, np.bool_))).began
    return [float(min((at for at in fired if start <= at < start + lasts), default=math.inf) - start)
            for start in began]


@pytest.mark.parametrize(("target", "per_hour"), [("99.9", 100), ("99.9", 10_000), ("99", 120), ("90", 300)])
def test_simulated_outages_page_in_time_95_of_100(target: str, per_hour: float) -> None:
    plan = plan_of(wish(target, per_hour=per_hour))
    assert plan is not None
    waited = outages(plan, 300)
    assert sum(one <= plan.quickest.total_seconds() for one in waited) / len(waited) >= 0.93
    assert sum(one <= 900 for one in waited) / len(waited) >= 0.95


def test_with_little_traffic_a_gate_stands_and_with_much_none() -> None:
    """Field goal: 100 requests an hour at 99.9 % page falsely at most 0.1 times a month (plain alerts: 6.9 times) and
    a full outage within 15 minutes; at 10,000 an hour the decisions are those of plain alerts.
    """
    few, many = plan_of(wish(per_hour=100)), plan_of(wish(per_hour=10_000))
    assert few is not None
    assert many is not None
    assert few.low_traffic is not None
    assert few.false_pages <= 0.1
    assert few.quickest <= 15 * MINUTE
    assert many.low_traffic is None
    assert [(rung.tier.long, float(rung.factor)) for rung in many.rungs] == [
        (HOUR, 14.4), (6 * HOUR, 6), (DAY, 3), (3 * DAY, 1)], "the tiers of the workbook"


def test_a_perfect_target_has_no_alert() -> None:
    with pytest.raises(NoBudget):
        design(wish("100"))
