"""Shares and what changed of them. Reference: Newcombe's two papers of 1998 print these intervals."""

from __future__ import annotations

import pytest

from mainstay.stats.shares import newcombe, wilson


@pytest.mark.parametrize(("hits", "total", "low", "high"), [
    (81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)])
def test_a_share_has_the_score_interval_that_newcombe_prints(hits: int, total: int, low: float, high: float) -> None:
    found = wilson(hits, total)
    assert (found.value, found.low, found.high) == (hits / total, pytest.approx(low, abs=6e-5),
                                                    pytest.approx(high, abs=6e-5))


@pytest.mark.parametrize(("after", "before", "low", "high"), [
    ((56, 70), (48, 80), 0.0524, 0.3339), ((9, 10), (3, 10), 0.1705, 0.8090), ((6, 7), (2, 7), 0.0582, 0.8062),
    ((5, 56), (0, 29), -0.0381, 0.1926), ((0, 10), (0, 20), -0.1611, 0.2775), ((10, 10), (0, 10), 0.6075, 1.0)])
def test_a_change_has_the_interval_of_newcombes_tenth_method(after: tuple[int, int], before: tuple[int, int],
                                                             low: float, high: float) -> None:
    found = newcombe(after, before)
    assert (found.low, found.high) == (pytest.approx(low, abs=6e-5), pytest.approx(high, abs=6e-5))


@pytest.mark.parametrize(("hits", "total"), [(0, 0), (3, 2), (-1, 5)])
def test_what_is_no_share_is_refused(hits: int, total: int) -> None:
    with pytest.raises(ValueError, match="is no share"):
        wilson(hits, total)


def test_a_share_of_none_or_all_touches_its_end() -> None:
    assert wilson(0, 50).low == 0
    assert wilson(50, 50).high == 1
