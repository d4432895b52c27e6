"""Changes of level: against MongoDB's published Q-hat sequence, and what must hold of any series."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.stats.changepoints import LEAST, changes, divergence
from mainstay.stats.dice import Dice
from shared_data import shared


def test_the_divergence_is_that_of_mongodb():
    """mongodb/signal-processing-algorithms, tests/data: the series and its expected Q-hat, whose factor m·n/(m+n) that
    library rounds down to a whole number; undone here."""
    series = json.loads(shared("perf/mongodb_robust_series.json").read_text())
    expected = json.loads(shared("perf/mongodb_expected_result_robust_series.json").read_text())
    count = len(series)
    rounded = [value * (at * (count - at) // count) / (at * (count - at) / count) if at else 0.0
               for at, value in enumerate(divergence(series))]
    # The last two splits leave fewer than two values behind or are not looked at there.
    assert rounded[:-2] == pytest.approx(expected[:-2], rel=1e-9, abs=1e-6)


def test_a_step_is_found_where_it_is():
    (found,) = changes([0.2, 0.22, 0.19, 0.21, 0.2, 0.2, 0.41, 0.4, 0.39, 0.42, 0.4, 0.4])
    assert found.at == 6
    assert (found.before, found.after) == (pytest.approx(0.2033, abs=1e-3), pytest.approx(0.4033, abs=1e-3))
    assert found.p <= 0.05


def test_two_steps_are_both_found():
    assert [one.at for one in changes([1.0, 1.1, 0.9, 1.0] * 3 + [5.0, 5.1, 4.9, 5.0] * 3 + [2.0, 2.1, 1.9, 2.0] * 3)] \
        == [12, 24]


def test_noise_is_seldom_called_a_change():
    dice = Dice(5)
    wrong = sum(bool(changes([dice.share() for _ in range(24)], seed=run)) for run in range(60))
    assert wrong <= 60 * 0.05 + 5  # a 5 % test: 3 expected; 8 or fewer in 99 % of such runs


@pytest.mark.parametrize("values", [[], [1.0], [1.0] * 7, [1.0] * 30])
def test_too_few_or_equal_values_have_no_change(values):
    assert changes(values) == ()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=8, max_size=24), st.integers(0, 9))
def test_changes_are_in_order_far_enough_apart_and_the_same_every_time(values, seed):
    found = changes(values, permutations=19, seed=seed)
    edges = [0, *(one.at for one in found), len(values)]
    assert all(after - before >= LEAST for before, after in pairwise(edges))
    assert found == changes(values, permutations=19, seed=seed)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-100, 100), min_size=6, max_size=20), st.floats(0.5, 10), st.floats(-50, 50))
def test_the_divergence_does_not_care_for_the_origin_and_scales_with_the_unit(values, unit, origin):
    moved = divergence([value * unit + origin for value in values])
    assert moved == pytest.approx([value * unit for value in divergence(values)], rel=1e-6, abs=1e-6)


def test_dice_give_the_published_numbers():
    """SplitMix64 with the seed 1234567: its first outputs as published with the reference code (Vigna)."""
    dice = Dice(1234567)
    assert [dice.word() for _ in range(3)] == [6457827717110365317, 3203168211198807973, 9817491932198370423]
