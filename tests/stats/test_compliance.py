"""Windows from slots: against brute force over the slots, and conservation laws."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.kernel.quantity import SLOT, CalendarWindow, Period, RequestWindow, RollingWindow, Span, Target
from mainstay.kernel.series import Series, gap, merged, slots
from mainstay.stats.budget import Tally, sum_of
from mainstay.stats.compliance import (
    BURN_WINDOWS,
    Running,
    budget_curve,
    burn_curve,
    burn_down,
    burn_rates,
    coverage,
    moments,
    span_of,
    split_days,
    worst_slots,
)

START = datetime(2026, 3, 1, tzinfo=UTC)
T999 = Target.percent("99.9")


def minutes(count: int) -> timedelta:
    return timedelta(minutes=count)


def brute(series: Series, span: Span) -> Tally | None:
    """Every slot whose start lies in the span, one by one."""
    bad = total = 0.0
    for slot in range(len(series)):
        if span.holds(datetime.fromtimestamp(series.start + slot * series.step, UTC)):
            bad += series.bad[slot]
            total += series.total[slot]
    return Tally(bad, total) if total else None


totals = st.lists(st.none() | st.integers(0, 1000), min_size=1, max_size=120)


@st.composite
def histories(draw: st.DrawFn) -> Series:
    counted = draw(totals)
    lost = [draw(st.integers(0, count)) if count else 0 for count in counted]
    return slots(START + SLOT * timedelta(seconds=1) * draw(st.integers(0, 300)), lost, counted)


@st.composite
def spans(draw: st.DrawFn) -> Span:
    first = START + timedelta(seconds=draw(st.integers(-3 * SLOT, 400 * SLOT)))
    return Span(first, first + timedelta(seconds=draw(st.integers(0, 400 * SLOT))))


@given(histories(), spans())
def test_a_tally_is_the_sum_of_the_slots_that_start_in_the_span(series: Series, span: Span) -> None:
    assert Running.of(series).tally(span) == brute(series, span)


@given(histories(), spans(), st.integers(0, 400))
def test_two_neighbouring_windows_add_up_to_the_whole(series: Series, span: Span, cut: int) -> None:
    middle = min(span.end, span.start + timedelta(seconds=cut * 97))
    running = Running.of(series)
    parts = [running.tally(Span(span.start, middle)), running.tally(Span(middle, span.end))]
    assert sum_of(parts) == running.tally(span)


@given(histories(), spans())
def test_day_sums_with_edges_are_the_same_as_the_slots(series: Series, span: Span) -> None:
    running, split = Running.of(series), split_days(span)
    days = []
    if split.days:
        assert split.days.start.hour == split.days.end.hour == 0
        count = split.days.length.days
        days = [running.tally(Span(split.days.start + timedelta(days=n), split.days.start + timedelta(days=n + 1)))
                for n in range(count)]
    edges = [running.tally(edge) for edge in (split.head, split.tail) if edge]
    assert sum_of([*days, *edges]) == running.tally(span)


@given(histories(), st.randoms(use_true_random=False), spans())
def test_the_order_in_which_pieces_and_corrections_arrive_does_not_matter(series: Series, random: object,
                                                                          span: Span) -> None:
    pieces = [series.cut(at, min(at + 7 * SLOT, series.end)) for at in range(series.start, series.end, 7 * SLOT)]
    random.shuffle(pieces)  # type: ignore[attr-defined]
    whole = gap(series.start, 0)
    for piece in pieces:
        wrong = Series(piece.start, piece.step, piece.bad * 0, piece.total + piece.known, piece.known)
        whole = merged(merged(whole, wrong), piece)
    assert Running.of(whole).tally(span) == Running.of(series).tally(span)


def test_a_slot_at_the_end_of_the_window_is_outside_and_one_at_its_start_inside() -> None:
    running = Running.of(slots(START, [1, 1], [10, 10]))
    assert running.tally(Span(START, START + minutes(5))) == Tally(1, 10)
    assert running.tally(Span(START + minutes(5), START + minutes(10))) == Tally(1, 10)


def test_compliance_is_not_a_mean_of_ratios() -> None:
    # Scenario C of the field notes: two hours of 100-fold traffic that all fails, within 30 days.
    month = 30 * 288
    lost, total = np.zeros(month), np.full(month, 100.0)
    lost[1000:1024], total[1000:1024] = 10_000, 10_000
    tally = Running.of(slots(START, lost, total)).tally(Span(START, START + timedelta(days=30)))
    assert tally is not None
    assert tally.bad_share == pytest.approx(0.218, abs=5e-4)


def test_an_idle_gap_leaves_the_month_as_it_was() -> None:
    # Scenario B: one gap of ten minutes; a mean of ratios makes the whole month NaN.
    running = Running.of(slots(START, [1] * 100, [*[1000] * 50, None, 0, *[1000] * 48]))
    tally = running.tally(Span(START, START + timedelta(days=1)))
    assert tally is not None
    assert tally.bad_share == pytest.approx(99 / 98_000)


@pytest.mark.parametrize("total", [[None, None], [0, 0]])
def test_no_traffic_and_no_measurement_are_no_data_and_never_100_percent(total: list[int | None]) -> None:
    running = Running.of(slots(START, [0, 0], total))
    now = START + minutes(10)
    assert running.tally(Span(START, now)) is None
    assert set(burn_rates(running, T999, now).values()) == {None}


def test_coverage_tells_a_gap_from_a_zero() -> None:
    series = slots(START, [0, 0, 0, 0], [None, 0, 5, None])
    assert coverage(series, Span(START, START + minutes(20))) == 0.5
    assert coverage(series, Span(START, START + minutes(40))) == 0.25
    assert coverage(series, Span(START, START)) == 0


# -- windows


def test_a_rolling_window_ends_with_the_last_whole_slot() -> None:
    running = Running.of(gap(int(START.timestamp()), 1))
    span = span_of(RollingWindow(timedelta(hours=1)), running, START + timedelta(hours=2, minutes=7))
    assert span == Span(START + timedelta(hours=1, minutes=5), START + timedelta(hours=2, minutes=5))


def test_a_calendar_month_in_berlin_starts_at_its_own_midnight() -> None:
    now = datetime(2026, 4, 15, 12, tzinfo=UTC)
    running = Running.of(gap(int(START.timestamp()), 1))
    span = span_of(CalendarWindow(Period.MONTH, "Europe/Berlin"), running, now)
    assert span == Span(datetime(2026, 4, 1, tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC), now)


@given(histories(), st.integers(1, 5000))
def test_the_last_n_events_are_the_shortest_stretch_of_slots_that_holds_them(series: Series, count: int) -> None:
    running = Running.of(series)
    end = series.span.end
    span = span_of(RequestWindow(count), running, end)
    whole = series.total.sum()
    held = brute(series, span)
    if whole < count:
        assert span.start == series.span.start
    else:
        assert held is not None
        assert held.total >= count
        shorter = brute(series, Span(span.start + minutes(5), end))
        assert (shorter.total if shorter else 0) < count


# -- burn


@given(histories())
def test_burn_rates_are_those_of_brute_force(series: Series) -> None:
    now = series.span.end
    rates = burn_rates(Running.of(series), T999, now)
    for name, length in BURN_WINDOWS.items():
        tally = brute(series, Span(now - length, now))
        assert rates[name] == (None if tally is None else pytest.approx(tally.bad_share / 0.001))


@given(histories(), st.integers(1, 40))
def test_a_budget_curve_is_the_window_at_each_of_its_moments(series: Series, length: int) -> None:
    at = moments(series.span)
    curve = budget_curve(Running.of(series), T999, length * minutes(5), at)
    for moment, left in curve.points():
        tally = brute(series, Span(moment - length * minutes(5), moment))
        assert left == (None if tally is None else pytest.approx(1 - tally.bad_share / 0.001))


def test_no_curve_holds_nan_or_hides_overspending() -> None:
    running = Running.of(slots(START, [0, 10, 0, 0], [None, 10, 0, None]))
    curve = budget_curve(running, T999, minutes(5), moments(Span(START, START + minutes(20))))
    assert [left for _, left in curve.points()] == [None, None, pytest.approx(-999), None, None]
    assert np.isfinite(curve.value).all()


def test_a_target_of_100_percent_burns_infinitely_from_its_first_failure() -> None:
    running = Running.of(slots(START, [0, 1], [10, 10]))
    curve = burn_curve(running, Target.percent(100), minutes(5), moments(Span(START, START + minutes(10))))
    assert [burn for _, burn in curve.points()] == [None, 0, np.inf]


def test_a_calendar_budget_burns_down_against_the_whole_period() -> None:
    running = Running.of(slots(START, [1, 0, 1, 0], [1000, 1000, 1000, 1000]))
    period = Span(START, START + minutes(40))
    curve = burn_down(running, T999, period, 8000, moments(Span(START, START + minutes(20))))
    assert [left for _, left in curve.points()] == [None, *map(pytest.approx, (0.875, 0.875, 0.75, 0.75))]


def test_worst_slots_come_worst_first_and_earlier_first_among_equals() -> None:
    found = worst_slots(slots(START, [1, 5, 0, 5], [10, 10, 10, 50]), 3)
    assert [(slot.start, slot.tally.bad) for slot in found] == [
        (START + minutes(5), 5), (START + minutes(15), 5), (START, 1)]
