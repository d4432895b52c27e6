"""The band of exhaustion: closed forms where the future is certain, coverage where it is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from mainstay.kernel.quantity import SLOT, CalendarWindow, Period, RequestWindow, RollingWindow, Target
from mainstay.kernel.series import Series, gap, slots
from mainstay.slo.exhaustion import LONG_RUN, RECENT, Band, Exhausted, NotWithin, Scenario, Unforeseeable, outlook

NOW = datetime(2026, 3, 11, tzinfo=UTC)
MONTH = RollingWindow(timedelta(days=30))
CALENDAR = CalendarWindow(Period.MONTH)
T999 = Target.percent("99.9")
DAY = 288
HOUR = timedelta(hours=1)


def history(bad_per_slot: np.ndarray, total: float = 1000.0) -> Series:
    start = NOW - timedelta(seconds=SLOT * len(bad_per_slot))
    return slots(start, bad_per_slot, np.full(len(bad_per_slot), total))


def burning(*phases: tuple[int, float]) -> Series:
    """Days at a constant burn rate each, the last one ending now; at 99.9 % and 1,000 events a slot burn 1 loses 1."""
    return history(np.concatenate([np.full(days * DAY, burn) for days, burn in phases]))


def band(found: object) -> Band:
    assert isinstance(found, Band), found
    return found


# -- closed forms


@pytest.mark.parametrize(("burn", "hours"), [(14.4, 50), (6, 120), (3, 240)])
def test_a_clean_rolling_window_is_spent_after_its_length_over_the_burn(burn: float, hours: float) -> None:
    # Window / factor: 50 h at 14.4x, 5 d at 6x, 10 d at 3x (SRE Workbook); one day of it is already over.
    found = band(outlook(burning((89, 0), (1, burn)), T999, MONTH, NOW, scenario=RECENT))
    for moment in (found.p10, found.p50, found.p90):
        assert isinstance(moment, timedelta)
        assert moment == pytest.approx(timedelta(hours=hours - 24), abs=HOUR)
    assert found.chance == 1


def test_old_errors_age_out_of_a_rolling_window() -> None:
    # 20 bad days at 1.2x leave while clean ones enter: a straight line would end after 7.5 days, the window never does.
    found = band(outlook(burning((20, 1.2), (10, 0)), T999, MONTH, NOW, scenario=RECENT))
    assert found.p10 == NotWithin(timedelta(days=30))
    assert found.chance == 0


def test_errors_that_leave_late_still_add_to_those_that_enter() -> None:
    # 10 days at 2.4x (0.8 of the budget) leave after 10 days; burning at 0.9x since adds 0.03 a day: spent after 6.7 d.
    found = band(outlook(burning((60, 0), (20, 0), (5, 4.8), (1, 0.9)), T999, MONTH, NOW, scenario=RECENT))
    assert isinstance(found.p50, timedelta)
    assert found.p50 == pytest.approx(timedelta(days=(1 - 0.8 - 0.03) / 0.03), abs=HOUR)


def test_a_burn_below_one_never_spends_a_window() -> None:
    found = band(outlook(burning((90, 0.9)), T999, MONTH, NOW))
    assert str(found).startswith("not within 30 d")


def test_the_scenarios_differ_when_the_last_day_does() -> None:
    series = burning((89, 0.1), (1, 10))
    assert isinstance(band(outlook(series, T999, MONTH, NOW, scenario=RECENT)).p90, timedelta)
    assert isinstance(band(outlook(series, T999, MONTH, NOW, scenario=LONG_RUN)).p90, NotWithin)


def test_a_calendar_period_compares_with_the_time_that_is_left_of_it() -> None:
    # Ten days of March at 1.5x spent 0.484 of the month; the rest takes (1 - 0.484) x 31 d / 1.5 = 10.67 d of 21.
    series = burning((10, 1.5))
    found = band(outlook(series, T999, CALENDAR, NOW))
    assert isinstance(found.p50, timedelta)
    assert found.p50 == pytest.approx(timedelta(days=31 / 1.5 - 10), abs=HOUR)
    assert found.horizon == timedelta(days=21)


def test_a_calendar_period_forgets_what_was_before_it() -> None:
    found = band(outlook(burning((20, 50), (9, 0.5), (1, 0.5)), T999, CALENDAR, NOW, scenario=RECENT))
    assert found.p10 == NotWithin(timedelta(days=21))


def test_0_7x_at_half_of_a_period_is_not_exhausted_before_it_ends() -> None:
    assert band(outlook(burning((10, 0.7)), T999, CALENDAR, NOW)).chance == 0


@pytest.mark.parametrize("window", [MONTH, CALENDAR])
def test_a_spent_budget_is_exhausted_now(window: RollingWindow | CalendarWindow) -> None:
    assert outlook(burning((10, 40)), T999, window, NOW) == Exhausted()


def test_with_100_percent_the_first_failure_spends_it() -> None:
    perfect = Target.percent(100)
    assert outlook(burning((10, 1)), perfect, MONTH, NOW) == Exhausted()
    assert band(outlook(burning((10, 0)), perfect, MONTH, NOW)).chance == 0


def test_nothing_measured_is_said_and_not_guessed() -> None:
    empty = gap(int(NOW.timestamp()) - 86_400, DAY)
    assert isinstance(outlook(empty, T999, MONTH, NOW), Unforeseeable)
    assert isinstance(outlook(history(np.zeros(DAY), 0), T999, MONTH, NOW), Unforeseeable)
    assert isinstance(outlook(burning((1, 0)), T999, RequestWindow(1000), NOW), Unforeseeable)


def test_unmeasured_days_are_not_taken_for_clean_ones() -> None:
    series = burning((10, 3))
    holed = series.without([])
    holed.known[-4 * DAY: -DAY] = False
    holed.bad[~holed.known] = holed.total[~holed.known] = 0
    found = band(outlook(holed, T999, CalendarWindow(Period.QUARTER), NOW))
    assert isinstance(found.p90, timedelta)


def test_the_same_seed_gives_the_same_band() -> None:
    random = np.random.default_rng(7)
    series = history(random.poisson(0.9, 40 * DAY).astype(float))
    assert outlook(series, T999, MONTH, NOW, seed=3) == outlook(series, T999, MONTH, NOW, seed=3)


def test_a_night_without_traffic_is_no_obstacle() -> None:
    traffic = np.tile(np.concatenate([np.zeros(144), np.full(144, 2000.0)]), 40)
    series = slots(NOW - timedelta(days=40), traffic * 0.0005, traffic)
    assert band(outlook(series, T999, MONTH, NOW)).chance == 0


# -- days instead of slots


def test_days_tell_the_same_as_slots_to_within_a_day() -> None:
    series = burning((60, 0.0), (5, 3))
    for window in (MONTH, CALENDAR):
        fine = band(outlook(series, T999, window, NOW)).p50
        coarse = band(outlook(series.coarser(86_400), T999, window, NOW)).p50
        assert isinstance(fine, timedelta) == isinstance(coarse, timedelta)
    lately = Scenario("as in the last five days", timedelta(days=5), timedelta(days=1))
    fine, coarse = (band(outlook(one, T999, MONTH, NOW, scenario=lately)).p50
                    for one in (series, series.coarser(86_400)))
    assert isinstance(fine, timedelta)
    assert fine == pytest.approx(coarse, abs=timedelta(days=1))


@pytest.mark.parametrize("window", [MONTH, CALENDAR])
def test_an_outage_of_today_counts_although_the_day_is_not_over(window: RollingWindow | CalendarWindow) -> None:
    noon = NOW + timedelta(hours=12)
    lost = np.concatenate([np.zeros(60 * DAY), np.full(DAY // 2, 900.0)])
    series = slots(NOW - timedelta(days=60), lost, np.full(len(lost), 1000.0))
    assert outlook(series, T999, window, noon) == Exhausted()
    assert outlook(series.coarser(86_400), T999, window, noon) == Exhausted()


def test_a_day_that_is_not_over_is_not_taken_for_a_quiet_one() -> None:
    noon = NOW + timedelta(hours=12)
    series = slots(NOW - timedelta(days=10), np.full(DAY * 10 + DAY // 2, 1.5), np.full(DAY * 10 + DAY // 2, 1000.0))
    found = band(outlook(series.coarser(86_400), T999, CALENDAR, noon))
    assert isinstance(found.p50, timedelta)
    assert found.p50 == pytest.approx(timedelta(days=31 / 1.5 - 10.5), abs=timedelta(hours=3))


# -- coverage


def covered(found: Band, truth: timedelta | None) -> bool:
    """Whether the truth lies between p10 and p90, `not within` being later than everything."""
    endless = timedelta.max
    low, high = (endless if isinstance(edge, NotWithin) else edge for edge in (found.p10, found.p90))
    return low <= (truth or endless) <= high


def first_crossing(bad: np.ndarray, allowed: float) -> timedelta | None:
    spent = np.flatnonzero(np.cumsum(bad) >= allowed)
    return None if not len(spent) else timedelta(seconds=int(spent[0] + 1) * SLOT)


@pytest.mark.parametrize("burst", [1, 20])
def test_eight_of_ten_bands_hold_the_truth_on_poisson_histories(burst: int) -> None:
    """Ten days of March at 1.6x, failing in bursts of 1 or 20; the truth is one more draw of the same process.

    Of 200 honest 80 % bands 68.6 % to 91.4 % hold the truth with four standard deviations of room.
    """
    random = np.random.default_rng(20260311)
    rest, total = 21 * DAY, 20.0
    hits = 0
    for trial in range(200):
        past = np.minimum(burst * random.poisson(1.6 * total / 1000 / burst, 10 * DAY), total)
        future = np.minimum(burst * random.poisson(1.6 * total / 1000 / burst, rest), total)
        found = outlook(history(past.astype(float), total), T999, CALENDAR, NOW, seed=trial)
        truth = first_crossing(future, total * 31 * DAY / 1000 - past.sum())
        hits += isinstance(found, Band) and covered(found, truth)
    assert 0.686 <= hits / 200 <= 0.914


def test_eight_of_ten_bands_hold_the_truth_in_a_rolling_window_after_a_change() -> None:
    """Sixty clean days, then five at 3x that go on; `recent` is those five days, in blocks of an hour."""
    random = np.random.default_rng(42)
    lately = Scenario("as in the last five days", timedelta(days=5), timedelta(hours=1))
    total, hits = 20.0, 0
    for trial in range(200):
        past = random.poisson(3 * total / 1000, 5 * DAY)
        future = random.poisson(3 * total / 1000, 30 * DAY)
        series = history(np.concatenate([np.zeros(60 * DAY), past]).astype(float), total)
        found = outlook(series, T999, MONTH, NOW, scenario=lately, seed=trial)
        hits += isinstance(found, Band) and covered(found, first_crossing(future, total * 30 * DAY / 1000 - past.sum()))
    assert 0.686 <= hits / 200 <= 0.914
