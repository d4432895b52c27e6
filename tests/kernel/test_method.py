"""OpenSLO's budgeting methods, with the corrected answers of its own examples.

The specification's `examples/budgeting-method` counts a fortnight with 24,000 requests a day, 1 % background errors, a
95 % target, one-minute slices and an attack that fails 99 % of its requests. Its figure for Occurrences (16,632)
forgets that the background spends too and that the attack's own requests enlarge the total; 14,298 attack requests
exhaust the budget.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.method import Idle, Method, Occurrences, RatioTimeslices, Timeslices, counted, step_of
from mainstay.kernel.quantity import Target
from mainstay.kernel.series import Series, slots
from mainstay.stats.budget import Tally, allowed_time, consumption

START = datetime(2026, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
T95 = Target.percent(95)
FORTNIGHT = 20_160


def spent(series: Series, method: Method) -> float:
    events = counted(series, method)
    return consumption(Tally(events.bad_sum, events.total_sum), T95)


def attacked(attack_minutes: int) -> Series:
    """A fortnight in minutes, 100 requests each, of which 1 % fail and 99 % while the attack lasts."""
    lost = np.where(np.arange(FORTNIGHT) < attack_minutes, 99.0, 1.0)
    return slots(START, lost, np.full(FORTNIGHT, 100.0), step=60)


def test_openslo_timeslices_exhaust_after_16_h_48_m_of_attack() -> None:
    method = Timeslices(MINUTE, Target.percent(90))
    attack = 16 * 60 + 48
    assert spent(attacked(attack), method) == pytest.approx(1.0)
    assert spent(attacked(attack - 1), method) < 1 < spent(attacked(attack + 1), method)


def test_openslo_ratio_timeslices_exhaust_after_13_h_43_m_of_attack() -> None:
    method = RatioTimeslices(MINUTE)
    attack = 13 * 60 + 43
    assert spent(attacked(attack - 1), method) < 1 <= spent(attacked(attack), method)


def test_openslo_occurrences_exhaust_after_14_298_attack_requests_and_not_16_632() -> None:
    def after(attack: int) -> float:
        return spent(slots(START, [3360 + 0.99 * attack], [336_000 + attack]), Occurrences())

    assert after(14_297) < 1 <= after(14_298)


def test_openslo_low_traffic_week_at_99_95_has_5_m_2_4_s_of_bad_minutes() -> None:
    assert allowed_time(Target.percent("99.95"), timedelta(weeks=1)) == timedelta(minutes=5, seconds=2.4)


@pytest.mark.parametrize(("lost", "bad"), [(5, 0), (6, 1)])
def test_a_slice_is_bad_only_below_its_target(lost: int, bad: int) -> None:
    events = counted(slots(START, [lost], [100], step=60), Timeslices(MINUTE, T95))
    assert (events.bad_sum, events.total_sum) == (bad, 1)


@given(st.integers(1, 10_000), st.sampled_from(["71", "93", "99", "99.9", "99.95"]))
def test_a_slice_that_fails_exactly_as_much_as_it_may_is_good(hundreds: int, text: str) -> None:
    target = Target.percent(text)
    total = hundreds * 10_000
    lost = int(target.budget * total)
    assert counted(slots(START, [lost], [total], step=60), Timeslices(MINUTE, target)).bad_sum == 0
    assert counted(slots(START, [lost + 1], [total], step=60), Timeslices(MINUTE, target)).bad_sum == 1


def test_slices_shorter_than_a_slot_are_counted_in_it() -> None:
    series = slots(START, [0, 9, 0, 9, 0, 0], [10, 10, 10, 10, 10, 10], step=60)
    events = counted(series.cut(series.start, series.start + 600), Timeslices(MINUTE, T95))
    assert (events.step, events.bad.tolist(), events.total.tolist()) == (300, [2, 0], [5, 1])


def test_slices_longer_than_a_slot_are_counted_in_the_slot_where_they_start() -> None:
    series = slots(START, [5, 5, 0, 0], [10, 10, 10, 10])
    events = counted(series, RatioTimeslices(timedelta(minutes=10)))
    assert (events.bad.tolist(), events.total.tolist()) == ([0.5, 0, 0, 0], [1, 0, 1, 0])


def test_a_slice_that_is_not_over_is_not_counted_yet() -> None:
    events = counted(slots(START, [0, 0, 9], [10, 10, 10]), Timeslices(timedelta(minutes=10), T95))
    assert (events.bad_sum, events.total_sum) == (0, 1)


@pytest.mark.parametrize(("idle", "bad", "total"), [("left out", 0, 1), ("good", 0, 2), ("bad", 1, 2)])
def test_a_slice_without_traffic_counts_as_declared(idle: Idle, bad: int, total: int) -> None:
    series = slots(START, [0, 0, 0], [10, 0, None], step=60)
    for method in (Timeslices(MINUTE, T95, idle), RatioTimeslices(MINUTE, idle)):
        events = counted(series, method)
        assert (events.bad_sum, events.total_sum) == (bad, total)


def test_a_slice_nobody_measured_stays_a_gap_whatever_is_declared() -> None:
    events = counted(slots(START, [0, 0], [None, None]), Timeslices(timedelta(minutes=5), T95, "bad"))
    assert not events.known.any()
    assert events.total_sum == 0


@pytest.mark.parametrize(("length", "step"), [("10", 10), ("60", 60), ("300", 300), ("600", 300), ("3600", 300)])
def test_a_source_is_asked_for_slots_no_longer_than_a_slice(length: str, step: int) -> None:
    assert step_of(RatioTimeslices(timedelta(seconds=int(length)))) == step
    assert step_of(Occurrences()) == 300


@pytest.mark.parametrize("length", [timedelta(seconds=7), timedelta(minutes=7), timedelta(milliseconds=500)])
def test_a_slice_that_does_not_fit_the_slots_is_refused(length: timedelta) -> None:
    with pytest.raises(InvalidInput, match="do not fit"):
        step_of(Timeslices(length, T95))


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=60))
def test_bad_never_exceeds_total_in_any_method(pairs: list[tuple[int, int]]) -> None:
    series = slots(START, [min(pair) for pair in pairs], [max(pair) for pair in pairs], step=60)
    for method in (Occurrences(), Timeslices(MINUTE, T95), RatioTimeslices(MINUTE),
                   Timeslices(timedelta(minutes=10), T95, "bad"), RatioTimeslices(timedelta(minutes=10), "good")):
        events = counted(series, method)
        assert (events.bad <= events.total + 1e-9).all()
        assert (events.bad >= 0).all()
