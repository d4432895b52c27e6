"""Wald's test: its bounds, the answers it needs, and that it errs as seldom as it says."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from mainstay.stats.sequential import RatioTest


def test_the_bounds_are_walds():
    test = RatioTest(0.01, 0.1, 0.05, 0.1)
    assert test.lower == pytest.approx(log(0.1 / 0.95))
    assert test.upper == pytest.approx(log(0.9 / 0.05))


@pytest.mark.parametrize(("small", "great", "least"), [(0.01, 0.1, 31), (0.01, 0.05, 72), (0.05, 0.2, 18)])
def test_how_many_answers_without_a_failure_it_takes(small: float, great: float, least: int):
    test = RatioTest(small, great)
    assert test.least == least
    assert test.answer(0, least - 1) == "undecided"
    assert test.answer(0, least) == "small"


def test_failures_move_it_towards_great_and_successes_towards_small():
    test = RatioTest(0.01, 0.1)
    assert test.answer(2, 2) == "great"
    assert test.ratio(1, 10) > test.ratio(0, 10) > test.ratio(0, 11)


@pytest.mark.parametrize(("true", "wrong"), [(0.01, "great"), (0.1, "small")])
def test_it_errs_as_seldom_as_it_says_although_it_looks_after_every_answer(true: float, wrong: str):
    test, dice, errors, runs = RatioTest(0.01, 0.1, 0.05, 0.05), np.random.default_rng(7), 0, 2000
    for _ in range(runs):
        bad = total = 0
        while (answer := test.answer(bad, total)) == "undecided":
            total += 1
            bad += bool(dice.random() < true)
        errors += answer == wrong
    # Wald's bound holds up to what the last step overshoots; three standard errors beside that.
    assert errors / runs <= 0.05 + 3 * (0.05 * 0.95 / runs) ** 0.5
