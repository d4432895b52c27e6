"""Slices of time judged by what arrived in them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.kernel.objective import FreshWithin, PerSecond
from mainstay.kernel.series import slots
from mainstay.slo.derived import judged, look_back, slice_seconds

T0 = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
_COUNTS = st.lists(st.none() | st.integers(0, 9), min_size=1, max_size=40)


def verdicts(counts: list[int | None], derived: PerSecond | FreshWithin) -> list[bool | None]:
    """Per slice: whether it was bad, None where nobody measured."""
    series = judged(slots(T0, [0] * len(counts), counts, 60), derived)
    return [bool(series.bad[index]) if series.known[index] else None for index in range(len(series))]


def test_a_slice_with_the_least_throughput_is_good_and_one_below_is_bad() -> None:
    assert verdicts([60, 59, 61, 0], PerSecond(1.0, MINUTE)) == [False, True, False, True]


def test_a_slice_nobody_measured_is_neither() -> None:
    assert verdicts([None, 60], PerSecond(1.0, MINUTE)) == [None, False]
    assert verdicts([None, 1], FreshWithin(MINUTE, MINUTE)) == [None, False]


def test_an_update_stays_fresh_for_its_age() -> None:
    assert verdicts([1, 0, 0, 0, 1], FreshWithin(3 * MINUTE, MINUTE)) == [False, False, False, True, False]


def test_an_update_in_the_slice_itself_is_always_fresh() -> None:
    assert verdicts([1], FreshWithin(timedelta(seconds=5), MINUTE)) == [False]


@given(_COUNTS, st.integers(1, 10))
def test_a_slice_is_fresh_exactly_when_one_of_the_last_slices_saw_an_update(counts: list[int | None], age: int) -> None:
    expected = [None if count is None else not any(counts[max(0, index - age + 1): index + 1])
                for index, count in enumerate(counts)]
    assert verdicts(counts, FreshWithin(age * MINUTE, MINUTE)) == expected


@given(_COUNTS)
def test_every_measured_slice_is_one_event(counts: list[int | None]) -> None:
    series = judged(slots(T0, [0] * len(counts), counts, 60), PerSecond(0.05, MINUTE))
    assert series.total_sum == sum(count is not None for count in counts)
    assert series.bad_sum <= series.total_sum


@pytest.mark.parametrize(("derived", "before"), [
    (FreshWithin(10 * MINUTE, MINUTE), 10 * MINUTE), (PerSecond(1, MINUTE), timedelta(0)), (None, timedelta(0))])
def test_freshness_looks_back_by_its_age(derived: PerSecond | FreshWithin | None, before: timedelta) -> None:
    assert look_back(derived) == before


def test_a_slice_s_length_is_in_seconds() -> None:
    assert slice_seconds(PerSecond(1, 5 * MINUTE)) == 300
