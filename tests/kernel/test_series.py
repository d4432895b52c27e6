"""Counts per slot: sums are kept whatever is cut, merged or made coarser, and a gap is never a zero."""

# ruff: noqa: DTZ001  (wall clocks have no zone)
from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.kernel.quantity import SLOT, Span
from mainstay.kernel.series import Series, floor_slot, gap, merged, slots

T0 = 1_767_225_600  # 2026-01-01T00:00:00Z
_COUNTS = st.lists(st.none() | st.integers(0, 1000), max_size=30)
_OFFSETS = st.integers(-40, 40)


def made(totals: list[int | None], offset: int = 0) -> Series:
    start = datetime.fromtimestamp(T0 + offset * SLOT, UTC)
    return slots(start, [0 if total is None else total // 2 for total in totals], totals)


def by_slot(series: Series) -> dict[int, tuple[float, float]]:
    return {series.start + index * series.step: (float(series.bad[index]), float(series.total[index]))
            for index in range(len(series)) if series.known[index]}


def test_a_measured_nothing_is_a_zero_and_an_unmeasured_slot_a_gap() -> None:
    series = made([0, None, 5])
    assert series.known.tolist() == [True, False, True]
    assert by_slot(series) == {T0: (0, 0), T0 + 2 * SLOT: (2, 5)}


@given(_COUNTS, _OFFSETS, _OFFSETS, st.integers(0, 60))
def test_a_cut_keeps_what_lies_inside_and_nothing_else(totals: list[int | None], offset: int, first: int,
                                                       length: int) -> None:
    series = made(totals, offset)
    start, end = T0 + first * SLOT, T0 + (first + length) * SLOT
    cut = series.cut(start, end)
    assert (cut.start, cut.end) == (start, end)
    assert by_slot(cut) == {at: counts for at, counts in by_slot(series).items() if start <= at < end}


@given(_COUNTS, _OFFSETS)
def test_cutting_does_not_change_the_series_that_is_cut(totals: list[int | None], offset: int) -> None:
    series = made(totals, offset)
    before = by_slot(series)
    series.cut(T0 - 50 * SLOT, T0 + 50 * SLOT).total[:] = 7
    assert by_slot(series) == before


@given(_COUNTS, _OFFSETS, st.integers(1, 12))
def test_longer_slots_hold_the_same_counts(totals: list[int | None], offset: int, factor: int) -> None:
    series = made(totals, offset)
    coarse = series.coarser(SLOT * factor)
    assert (coarse.bad_sum, coarse.total_sum) == (series.bad_sum, series.total_sum)
    assert coarse.start % coarse.step == 0


@given(_COUNTS, _OFFSETS, st.integers(1, 12))
def test_a_longer_slot_is_known_exactly_when_one_in_it_is(totals: list[int | None], offset: int, factor: int) -> None:
    series = made(totals, offset)
    step = SLOT * factor
    assert set(by_slot(series.coarser(step))) == {at // step * step for at in by_slot(series)}


@given(_COUNTS, st.integers(-5, 35), st.integers(0, 10), st.integers(0, SLOT - 1), st.integers(0, SLOT - 1))
def test_every_slot_a_maintenance_touches_becomes_a_gap(totals: list[int | None], first: int, length: int,
                                                        early: int, late: int) -> None:
    series = made(totals)
    start, end = T0 + first * SLOT + early, T0 + (first + length + 1) * SLOT + late
    left = series.without([Span(datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC))])
    assert by_slot(left) == {at: counts for at, counts in by_slot(series).items() if at >= end or at + SLOT <= start}


def test_a_slot_that_became_a_gap_holds_no_counts() -> None:
    left = made([5, 5]).without([Span(datetime.fromtimestamp(T0, UTC), datetime.fromtimestamp(T0 + 1, UTC))])
    assert left.total.tolist() == [0, 5]


def test_an_exclusion_before_the_series_takes_nothing_away() -> None:
    start = datetime.fromtimestamp(T0, UTC)
    assert made([5]).without([Span(start - timedelta(days=1), start)]).total_sum == 5


@given(_COUNTS, _OFFSETS, _COUNTS, _OFFSETS)
def test_a_merge_keeps_the_newer_where_both_are_known(old: list[int | None], at: int, new: list[int | None],
                                                      then: int) -> None:
    base, newer = made(old, at), made(new, then)
    assert by_slot(merged(base, newer)) == by_slot(base) | by_slot(newer)


@given(_COUNTS, _OFFSETS)
def test_merging_the_same_twice_changes_nothing(totals: list[int | None], offset: int) -> None:
    series = made(totals, offset)
    assert by_slot(merged(series, series)) == by_slot(series)


def test_a_gap_of_the_newer_does_not_erase_what_was_known() -> None:
    assert by_slot(merged(made([4]), made([None]))) == {T0: (2, 4)}


def test_a_series_of_gaps_sums_to_nothing_known() -> None:
    series = gap(T0, 3)
    assert (series.total_sum, bool(np.any(series.known)), series.end) == (0, False, T0 + 3 * SLOT)


def test_the_span_is_half_open() -> None:
    span = made([1, 1]).span
    assert span.holds(datetime.fromtimestamp(T0, UTC))
    assert not span.holds(datetime.fromtimestamp(T0 + 2 * SLOT, UTC))


@given(st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC)))
def test_the_slot_of_a_moment_holds_it(moment: datetime) -> None:
    at = floor_slot(moment)
    assert at % SLOT == 0
    assert at <= moment.timestamp() < at + SLOT


def test_a_series_that_is_not_aligned_is_our_mistake() -> None:
    with pytest.raises(AssertionError, match="aligned"):
        gap(T0 + 1, 1)
