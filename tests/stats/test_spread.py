"""How evenly something is shared, and whether a series drifts: closed forms and published values."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.stats.drift import drift
from mainstay.stats.spread import gini, jackknife

_AMOUNTS = st.lists(st.floats(0, 1e6, allow_subnormal=False), min_size=1, max_size=12)


@pytest.mark.parametrize(("amounts", "index"), [
    ([5, 5, 5, 5], 0.0), ([0, 0, 0, 1], 0.75), ([1, 2, 3, 4, 5], 4 / 15), ([1, 3], 0.25), ([7], 0.0)])
def test_gini_has_its_closed_forms(amounts, index):
    assert gini(amounts) == pytest.approx(index)


def test_nobody_having_anything_is_no_figure():
    assert gini([0, 0]) is None
    assert gini([]) is None


@given(_AMOUNTS)
def test_gini_is_half_the_mean_difference_over_the_mean(amounts):
    total = sum(amounts)
    if total <= 1e-6:
        return
    count = len(amounts)
    slow = sum(abs(one - other) for one, other in itertools.product(amounts, amounts)) / (2 * count * total)
    assert gini(amounts) == pytest.approx(slow, abs=1e-9)


def test_the_jackknife_of_a_mean_is_the_standard_error():
    # Efron & Tibshirani, ch. 11: for the mean the jackknife is s / √n exactly.
    rows = [[float(value)] for value in (2, 4, 4, 4, 5, 5, 7, 9)]
    found = jackknife(rows, lambda sums: sums[0])
    assert found is not None
    assert found.value == 40
    assert found.low is not None
    spread = sum((row[0] - 5) ** 2 for row in rows)
    assert found.value - found.low == pytest.approx(1.959963984540054 * (7 / 8 * spread) ** 0.5)


def test_an_interval_stays_within_what_can_be_and_needs_three_rows():
    rows = [[3.0, 0.0], [0.0, 3.0], [1.0, 1.0]]
    found = jackknife(rows, gini, (0.0, 1.0))
    assert found is not None
    assert found.low == 0.0
    assert found.high is not None
    assert found.high <= 1.0
    two = jackknife(rows[:2], gini)
    assert two is not None
    assert two.low is None


@pytest.mark.parametrize(("values", "said"), [
    ([1, 2, 3, 4, 5], "insufficient data"), ([1, 2, 3, 4, 5, 6], "rising"), ([6, 5, 4, 3, 2, 1], "falling"),
    ([3, 3, 3, 3, 3, 3, 3], "steady"), ([1, 9, 2, 8, 3, 7, 4, 6], "steady")])
def test_a_series_drifts_when_chance_would_rarely_have_it(values, said):
    assert drift(values) == said
