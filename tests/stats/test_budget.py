"""The arithmetic of budgets against closed forms, the SRE Workbook's tables, and the corrected seed documents.

"Seed" numbers are those of the four documents Mainstay started from; where a document is wrong the test is named after
what is right.
"""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.quantity import Target
from mainstay.stats import budget
from mainstay.stats.budget import NoBudget, Tally

T999 = Target.percent("99.9")
MONTH = timedelta(days=30)


def alert(tier: int, target: str = "99.9", days: int = 30) -> budget.BurnAlert:
    return budget.burn_alerts(Target.percent(target), timedelta(days=days))[tier]


# -- spent and left


def test_performance_above_the_target_still_spends_budget() -> None:
    assert budget.consumption(Tally(5, 10_000), T999) == 0.5


def test_consumption_beyond_the_budget_is_not_clamped() -> None:
    spent = budget.burn_rate(Decimal("0.002"), T999)
    assert spent == 2.0
    assert budget.remaining(spent) == -1.0


def test_three_times_the_budget_is_exactly_three_hundred_percent() -> None:
    assert budget.burn_rate(1 - Decimal("0.9985"), Target.percent("99.95")) == 3.0


def test_the_seed_composite_of_two_slis_has_spent_0_46() -> None:
    availability = budget.burn_rate(1 - Decimal("0.9995"), Target.percent("99.9"))
    latency = budget.burn_rate(1 - Decimal("0.998"), Target.percent("99.5"))
    assert budget.weighted([(availability, 0.6), (latency, 0.4)]) == pytest.approx(0.46, abs=1e-12)


def test_a_composite_shows_overspending_instead_of_capping_it() -> None:
    assert budget.weighted([(2.0, 1), (4.0, 1)]) == 3.0


def test_weights_need_not_add_up_to_one() -> None:
    assert budget.weighted([(0.5, 6), (0.4, 4)]) == pytest.approx(0.46)


@pytest.mark.parametrize("weights", [[], [(1.0, 0.0)], [(1.0, -1.0), (1.0, 3.0)]])
def test_weights_that_weigh_nothing_or_less_are_refused(weights: list[tuple[float, float]]) -> None:
    with pytest.raises(InvalidInput, match="weights"):
        budget.weighted(weights)


def test_three_failures_in_9999_requests_spend_30_percent() -> None:
    # The semicomplete.com access log, as SOURCES.md beside the shared data has it.
    assert budget.consumption(Tally(3, 9_999), T999) == pytest.approx(0.30003, abs=1e-5)


def test_a_45_minute_outage_is_104_percent_of_a_month_at_99_9() -> None:
    assert budget.consumption(Tally(45, 30 * 1440), T999) == pytest.approx(1.0417, abs=1e-4)


@pytest.mark.parametrize(("target", "least", "most"), [("99.9", 0.052, 0.104), ("99.95", 0.104, 0.208)])
def test_45_minutes_at_5_to_10_percent_errors_spend_15_percent_only_of_99_95(target: str, least: float,
                                                                            most: float) -> None:
    spent = [budget.consumption(Tally(45 * share, 43_200), Target.percent(target)) for share in (0.05, 0.10)]
    assert spent == pytest.approx([least, most], abs=5e-4)


def test_seed_burn_rate_of_15_percent_in_half_the_window_is_0_3() -> None:
    assert budget.burn_of(0.15, 360, 720) == pytest.approx(0.3)


@pytest.mark.parametrize(("spent", "elapsed", "window"), [
    (-0.1, 1, 2), (math.nan, 1, 2), (0.1, -1, 2), (0.1, 3, 2), (0.1, 0, 0), (0.1, 1, math.inf)])
def test_a_burn_rate_of_impossible_numbers_is_refused(spent: float, elapsed: float, window: float) -> None:
    with pytest.raises(InvalidInput):
        budget.burn_of(spent, elapsed, window)


@given(st.integers(1, 10**9).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))),
       st.sampled_from(["50", "90", "99", "99.9", "99.95", "99.999"]))
def test_consumption_above_one_is_the_same_as_an_sli_below_the_target(counts: tuple[int, int], text: str) -> None:
    bad, total = counts
    target = Target.percent(text)
    spent = budget.burn_rate(Decimal(bad) / Decimal(total), target)
    if abs(spent - 1) > 1e-12:
        assert (spent > 1) == (Decimal(total - bad) / Decimal(total) < target.ratio)


@given(st.lists(st.none() | st.integers(1, 10**6).flatmap(
    lambda total: st.builds(Tally, st.integers(0, total), st.just(total)))))
def test_the_sum_of_tallies_is_none_only_when_none_counted_anything(parts: list[Tally | None]) -> None:
    whole = budget.sum_of(parts)
    counted = [part for part in parts if part]
    assert whole == (Tally(sum(p.bad for p in counted), sum(p.total for p in counted)) if counted else None)


# -- exhaustion on a straight line


def test_readme_example_0_35_at_360_of_720_hours_is_not_exhausted_before_the_window_ends() -> None:
    line = budget.straight_line(0.35, 360, 720)
    assert line.verdict == "not_before_end"
    assert line.left is None
    assert (line.burn, line.spent_at_end) == (pytest.approx(0.7), pytest.approx(0.7))


def test_seed_003_a_full_budget_burning_at_1x_lasts_the_whole_window_and_not_an_hour() -> None:
    assert budget.straight_line(1 / 720, 1, 720).verdict == "not_before_end"


def test_a_line_that_ends_exactly_with_the_window_does_not_end_before_it() -> None:
    assert budget.straight_line(0.5, 360, 720).verdict == "not_before_end"


def test_burning_at_twice_the_speed_leaves_half_of_the_window() -> None:
    line = budget.straight_line(0.5, 180, 720)
    assert (line.verdict, line.left) == ("exhausts", pytest.approx(180))


def test_a_spent_budget_is_exhausted_whatever_the_clock_says() -> None:
    assert budget.straight_line(1.0, 720, 720).verdict == "exhausted"
    assert budget.straight_line(1.5, 10, 720).left == 0


def test_spending_in_no_time_exhausts_at_once_and_spending_nothing_never_does() -> None:
    assert budget.straight_line(0.1, 0, 720).left == 0
    assert budget.straight_line(0, 0, 720).verdict == "not_before_end"


@given(st.floats(0.001, 0.999), st.floats(0.01, 0.999))
def test_the_straight_line_reaches_the_whole_budget_after_what_it_says_is_left(spent: float, part: float) -> None:
    line = budget.straight_line(spent, part * 720, 720)
    if line.left is not None:
        assert spent + line.burn * line.left / 720 == pytest.approx(1)
        assert part * 720 + line.left <= 720


def test_half_spent_at_half_time_and_burning_at_6x_since_an_hour_lasts_two_and_a_half_days() -> None:
    line = budget.line_at(6, 0.5, 360, 720)
    assert (line.verdict, line.left, line.spent_at_end) == ("exhausts", 60, 3.5)


def test_a_quarter_spent_at_half_time_survives_the_rest_at_1_5x_to_the_last_event() -> None:
    assert budget.line_at(1.5, 0.25, 360, 720).verdict == "not_before_end"


def test_a_month_ten_days_old_at_burn_1_5_has_spent_half_its_budget() -> None:
    assert budget.spent_of_period(1.5, 10, 30) == 0.5


# -- alerts


@pytest.mark.parametrize(("tier", "factor", "threshold", "short", "exhausts"), [
    (0, "14.4", "0.0144", timedelta(minutes=5), timedelta(hours=50)),
    (1, "6", "0.006", timedelta(minutes=30), timedelta(days=5)),
    (2, "3", "0.003", timedelta(hours=2), timedelta(days=10)),
    (3, "1", "0.001", timedelta(hours=6), timedelta(days=30)),
])
def test_the_workbook_table_for_99_9_over_30_days(tier: int, factor: str, threshold: str, short: timedelta,
                                                  exhausts: timedelta) -> None:
    row = alert(tier)
    assert (row.factor, row.threshold, row.short) == (Decimal(factor), Decimal(threshold), short)
    assert row.exhausts_in == pytest.approx(exhausts, abs=timedelta(milliseconds=1))
    assert row.faults == ()


def test_14_4x_for_an_hour_spends_2_percent_and_not_5() -> None:
    assert alert(0).factor * Decimal(1) / Decimal(720) == Decimal("0.02")


def test_6x_for_six_hours_spends_5_percent_and_pages() -> None:
    row = alert(1)
    assert row.factor * 6 / Decimal(720) == Decimal("0.05")
    assert row.tier.severity == "page"


def test_3x_for_a_day_spends_10_percent_and_not_5() -> None:
    assert alert(2).factor * 24 / Decimal(720) == Decimal("0.1")


def test_5_percent_in_an_hour_would_be_36x_and_10_percent_in_six_hours_12x() -> None:
    tiers = (budget.Tier("page", timedelta(hours=1), Decimal("0.05"), timedelta(0)),
             budget.Tier("page", timedelta(hours=6), Decimal("0.10"), timedelta(0)))
    assert [row.factor for row in budget.burn_alerts(T999, MONTH, tiers)] == [36, 12]


@pytest.mark.parametrize(("days", "factors"), [
    (28, (13.44, 5.6, 2.8, 0.933)), (90, (43.2, 18, 9, 3)), (14, (6.72, 2.8, 1.4, 0.467)),
    (7, (3.36, 1.4, 0.7, 0.233)),
])
def test_factors_are_rescaled_to_other_windows(days: int, factors: tuple[float, ...]) -> None:
    rows = budget.burn_alerts(T999, timedelta(days=days))
    assert [float(row.factor) for row in rows] == pytest.approx(factors, abs=5e-4)


def test_a_tier_that_trips_while_the_budget_is_kept_says_so() -> None:
    assert [bool(row.faults) for row in budget.burn_alerts(T999, timedelta(days=7))] == [False, False, True, True]


@pytest.mark.parametrize(("tier", "dead", "alive"), [(0, "93.05", "93.06"), (1, "83.3", "83.4"), (2, "66.6", "66.7")])
def test_a_tier_that_could_never_trip_says_so(tier: int, dead: str, alive: str) -> None:
    assert "never trip" in " ".join(alert(tier, dead).faults)
    assert alert(tier, alive).faults == ()


def test_a_long_window_as_long_as_the_objective_is_of_no_use() -> None:
    assert "not shorter" in " ".join(alert(2, days=1).faults)


def test_an_alert_trips_only_when_both_windows_burn() -> None:
    row = alert(0)
    assert row.trips(14.5, 14.5)
    assert not row.trips(14.5, 14.4)
    assert not row.trips(14.4, 14.5)
    assert not row.trips(None, 100.0)
    assert not row.trips(100.0, None)


def test_thresholds_print_without_float_dust() -> None:
    assert str(alert(0, "99.95").threshold.normalize()) == "0.0072"


@pytest.mark.parametrize(("tier", "share", "seconds"), [
    (0, 1.0, 51.84), (1, 1.0, 129.6), (0, 0.1, 518.4), (1, 0.1, 1296)])
def test_detection_times_of_the_field_notes(tier: int, share: float, seconds: float) -> None:
    found = budget.detection_time(alert(tier), share)
    assert found is not None
    assert found.total_seconds() == pytest.approx(seconds)


def test_errors_at_or_below_the_threshold_are_never_detected() -> None:
    assert budget.detection_time(alert(0), 0.0144) is None
    assert budget.reset_time(alert(0), 0.01) is None


def test_a_full_outage_resets_the_first_tier_after_4_9_minutes() -> None:
    found = budget.reset_time(alert(0), 1.0)
    assert found is not None
    assert found.total_seconds() / 60 == pytest.approx(4.93, abs=0.01)


# -- little traffic


@pytest.mark.parametrize(("target", "count"), [("99.9", 70), ("99.99", 695)])
def test_requests_an_hour_so_that_one_failure_does_not_page(target: str, count: int) -> None:
    row = alert(0, target)
    assert budget.requests_so_one_failure_does_not_page(row) == count
    assert Decimal(1) / count <= row.threshold < Decimal(1) / (count - 1)


def test_requests_so_that_one_failure_costs_at_most_a_tenth_of_the_budget() -> None:
    assert budget.requests_so_one_failure_costs_at_most(T999, Decimal("0.1")) == 10_000


@pytest.mark.parametrize(("requests", "chance"), [(100, 0.00464), (50, 35 / 720)])
def test_chance_of_a_false_page_at_little_traffic(requests: int, chance: float) -> None:
    # 100 an hour: 0.464 % of hours, 3.3 pages a month; 50 an hour: 35 a month (field notes).
    assert budget.chance_of_false_page(requests, 0.001, alert(0)) == pytest.approx(chance, rel=0.01)


@given(st.integers(1, 60), st.floats(0.001, 0.999))
def test_the_chance_of_a_false_page_is_the_binomial_tail(requests: int, share: float) -> None:
    row = alert(0, "95")
    tail = math.fsum(math.comb(requests, k) * share**k * (1 - share) ** (requests - k)
                     for k in range(requests + 1) if Decimal(k) / requests > row.threshold)
    assert budget.chance_of_false_page(requests, share, row) == pytest.approx(tail, rel=1e-9, abs=1e-12)


def test_the_chance_of_a_false_page_holds_for_very_many_requests() -> None:
    assert budget.chance_of_false_page(10**7, 0.0144, alert(0)) == pytest.approx(0.5, abs=0.01)
    assert budget.chance_of_false_page(10**7, 0.001, alert(0)) == pytest.approx(0, abs=1e-12)
    assert budget.chance_of_false_page(10, 0.0, alert(0)) == 0
    assert budget.chance_of_false_page(10, 1.0, alert(0)) == 1


# -- downtime


@pytest.mark.parametrize(("target", "minutes"), [
    ("99", 432), ("99.5", 216), ("99.9", 43.2), ("99.95", 21.6), ("99.99", 4.32), ("99.999", 0.432)])
def test_downtime_in_30_days(target: str, minutes: float) -> None:
    assert budget.allowed_time(Target.percent(target), MONTH) == timedelta(minutes=minutes)


def test_a_week_at_99_9_is_10_08_minutes_and_not_a_fifty_second_of_a_year() -> None:
    week = budget.acceptable_downtime(T999)[1]
    assert week.window == "1 week"
    assert week.least == week.most == timedelta(minutes=10.08)


def test_a_calendar_month_at_99_9_is_40_32_to_44_64_minutes() -> None:
    month = budget.acceptable_downtime(T999)[3]
    assert "month" in month.window
    assert (month.least, month.most) == (timedelta(minutes=40.32), timedelta(minutes=44.64))


# -- several promises


def test_four_steps_of_99_9_are_a_journey_of_99_6() -> None:
    assert budget.in_series([T999.ratio] * 4) == Decimal("0.999") ** 4
    assert round(budget.in_series([T999.ratio] * 4), 4) == Decimal("0.9960")


def test_two_redundant_parts_of_99_percent_are_99_99() -> None:
    assert budget.in_parallel([Decimal("0.99")] * 2) == Decimal("0.9999")


def test_the_seed_dependencies_bound_the_service_below_its_own_99_95() -> None:
    ceiling = budget.dependency_ceiling([Target.percent("99.99"), Target.percent("99.95")])
    assert ceiling == Decimal("0.99940005")
    assert ceiling < Target.percent("99.95").ratio


def test_99_95_before_an_sla_of_99_9_is_a_third_of_a_nine_and_half_the_budget() -> None:
    buffer = budget.sla_buffer(Target.percent("99.95"), T999)
    assert (buffer.share, buffer.sla_breaks_at) == (0.5, 2.0)
    assert buffer.nines == pytest.approx(math.log10(2))


def test_an_objective_laxer_than_the_sla_is_refused() -> None:
    with pytest.raises(InvalidInput, match="laxer"):
        budget.sla_buffer(T999, Target.percent("99.95"))


# -- 100 %


def test_100_percent_burns_nothing_or_infinitely_and_never_divides_by_zero() -> None:
    perfect = Target.percent(100)
    assert budget.burn_rate(0.0, perfect) == 0
    assert budget.burn_rate(1e-9, perfect) == math.inf
    assert budget.allowed_time(perfect, MONTH) == timedelta(0)
    assert budget.sla_buffer(perfect, T999).sla_breaks_at == math.inf


def test_questions_that_need_a_budget_say_that_100_percent_has_none() -> None:
    perfect = Target.percent(100)
    with pytest.raises(NoBudget, match="no error budget"):
        budget.burn_alerts(perfect, MONTH)
    with pytest.raises(NoBudget):
        budget.requests_so_one_failure_costs_at_most(perfect, Decimal("0.1"))
    with pytest.raises(NoBudget):
        budget.sla_buffer(perfect, perfect)


@pytest.mark.parametrize("text", ["abc", "-1", "101", "nan", "inf", ""])
def test_a_measured_percentage_outside_0_to_100_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidInput, match="availability"):
        budget.share_of_percent(text, "availability")


def test_a_measured_percentage_is_exact_and_may_be_zero() -> None:
    assert budget.share_of_percent("99.85%", "x") == Decimal("0.9985")
    assert budget.share_of_percent(0, "x") == 0
