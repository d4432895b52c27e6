"""Quantiles and their bounds. Reference: the ranks that tables of order statistics print for the median."""

from __future__ import annotations

import math

import pytest

from mainstay.stats.dice import Dice
from mainstay.stats.order import needed_for_upper, quantile, quantile_interval, ratio_interval


def test_a_quantile_is_one_of_the_values() -> None:
    values = [float(one) for one in range(1, 101)]
    assert [quantile(values, share) for share in (0.5, 0.99, 1.0, 0.001)] == [50, 99, 100, 1]


@pytest.mark.parametrize(("count", "low", "high"), [(10, 2, 9), (20, 6, 15), (50, 18, 33), (100, 40, 61)])
def test_the_median_lies_between_the_ranks_that_tables_print(count: int, low: int, high: int) -> None:
    found = quantile_interval([float(one) for one in range(1, count + 1)], 0.5)
    assert (found.low, found.high) == (low, high)


def test_too_few_values_leave_a_bound_open_instead_of_making_one_up() -> None:
    found = quantile_interval([1.0, 2.0, 3.0], 0.99)
    assert found.high == math.inf
    assert quantile_interval([1.0, 2.0, 3.0], 0.01).low == 0.0


def test_so_many_values_bound_a_quantile_and_not_one_less() -> None:
    needed = needed_for_upper(0.999)
    assert needed == 2995
    assert math.isfinite(quantile_interval([0.1] * needed, 0.999, 0.9).high)
    assert not math.isfinite(quantile_interval([0.1] * (needed - 1), 0.999, 0.9).high)


def test_the_interval_holds_the_true_quantile_as_often_as_it_says() -> None:
    dice, held = Dice(7), 0
    for _ in range(400):
        values = sorted(-math.log(1 - dice.share()) for _ in range(60))
        found = quantile_interval(values, 0.9)
        held += found.low <= math.log(10) <= found.high
    # At least 95 % is promised; 400 draws lie below 370 once in more than a thousand times.
    assert held >= 370


def test_a_quantile_that_doubled_is_seen_to_have_grown() -> None:
    before = sorted(0.1 + one / 10_000 for one in range(500))
    found = ratio_interval([2 * one for one in before], before, 0.9)
    assert found.value == pytest.approx(2)
    assert 1.8 < found.low < 2 < found.high < 2.2


def test_answers_that_never_came_count_as_the_slowest() -> None:
    values = [0.1] * 80 + [math.inf] * 20
    assert quantile(values, 0.99) == math.inf
    assert quantile(values, 0.5) == 0.1
