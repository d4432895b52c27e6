"""The share of toil, its states, how sure it is, where it is heading."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.toil.share import Rules, by_dimension, coverage_of, state_of, summary
from mainstay.toil.tally import Stretch, stretch_of, tally
from mainstay.toil.trend import direction, in_periods, scaling_of, trend_of, weekly
from mainstay.toil.wording import interrupts_words
from toil.ledgers import DAY, TODAY, weeks_of, work

RULES = Rules()


@pytest.mark.parametrize(("share", "state"), [
    (None, "no_data"), (0.0, "healthy"), (0.399, "healthy"), (0.4, "at_risk"), (0.499, "at_risk"), (0.5, "violated"),
    (1.0, "violated")])
def test_the_states_against_the_line(share, state):
    assert state_of(share, 0.5) == state


def test_the_figures_of_a_month_by_hand():
    entries = [work(1, 2.0, interrupt=True), work(2, 1.0, category="tickets", automatable=False, team="orders"),
               work(3, 5.0, type="engineering", engineer="ben"), work(3, 1.0, automated=True)]
    found = summary(tally(entries, stretch_of(30, TODAY)), RULES)
    assert (found.total_hours, found.total_toil_hours, found.automatable_hours) == (9, 4, 2)
    assert found.toil_share == pytest.approx(4 / 9)
    assert (found.interrupts, found.interrupt_hours) == (1, 2)
    assert (found.cost, found.estimated_savings, found.automation_opportunity) == (600, 300, 50)
    assert found.by_category == {"deployment": 3, "tickets": 1}
    assert found.top_automation_targets == (("deployment", 2),)


def test_what_breaks_into_work_and_is_no_toil_is_counted_beside_it():
    """Pages and incidents are booked as interrupts of their own types; a report of toil alone would not show one."""
    entries = [work(1, 2.0, interrupt=True), work(1, 0.25, type="oncall", interrupt=True),
               work(2, 1.5, type="incident", interrupt=True), work(3, 5.0, type="engineering")]
    found = summary(tally(entries, stretch_of(30, TODAY)), RULES)
    assert (found.interrupts, found.interrupt_hours) == (1, 2)
    assert (found.other_interrupts, found.other_interrupt_hours) == (2, 1.75)
    assert interrupts_words(found) == "1, 2.0 h; besides toil 2, 1.8 h"


def test_nothing_logged_is_no_data_and_not_zero():
    found = summary(tally([], stretch_of(30, TODAY)), RULES)
    assert (found.toil_share, found.state, found.automation_opportunity) == (None, "no_data", None)


@given(st.lists(st.tuples(st.integers(0, 40), st.floats(0.1, 8), st.sampled_from(["toil", "engineering", "meeting"]),
                          st.sampled_from(["ana", "ben", "cy"]), st.sampled_from(["a", "b"])), max_size=40))
def test_every_dimension_sums_to_the_whole(rows):
    found = tally([work(ago, hours, kind, engineer=who, team=who[0], category=category)
                   for ago, hours, kind, who, category in rows], stretch_of(30, TODAY))
    whole = summary(found, RULES)
    for dimension in ("type", "team", "engineer", "week"):
        parts = by_dimension(found, dimension, RULES)
        assert sum(one.hours for one in parts) == pytest.approx(whole.total_hours)
        assert sum(one.toil_hours for one in parts) == pytest.approx(whole.total_toil_hours)
    assert sum(whole.by_category.values()) == pytest.approx(whole.total_toil_hours)


def test_a_log_with_holes_says_how_far_the_share_is_open():
    """Ana logs Monday alone of a week: 4 h toil, 4 h else. Four days of 8 h are unknown: 4/40 to 36/40."""
    monday = date(2026, 11, 16)
    entries = [work((TODAY - monday).days, 4.0), work((TODAY - monday).days, 4.0, type="engineering")]
    found = coverage_of(tally(entries, Stretch(monday, monday + 6 * DAY)), RULES)
    assert (found.logged_days, found.working_days, found.ratio) == (1, 5, 0.2)
    assert (found.low, found.high) == (pytest.approx(0.1), pytest.approx(0.9))
    assert found.patchy


def test_a_holiday_is_no_day_that_should_have_been_logged():
    monday = date(2026, 11, 16)
    entries = [work(day=monday + ahead * DAY) for ahead in (0, 2, 3, 4)]
    stretch = Stretch(monday, monday + 6 * DAY)
    assert coverage_of(tally(entries, stretch), RULES).working_days == 5
    found = coverage_of(tally(entries, stretch), replace(RULES, holidays=frozenset({monday + DAY, monday + 3 * DAY})))
    assert (found.working_days, found.logged_days, found.ratio, found.low) == (3, 3, 1.0, None)


def test_whole_weeks_leave_nothing_open_and_weekends_are_no_working_days():
    monday = date(2026, 11, 16)
    entries = [work((TODAY - monday).days - ahead, 8.0) for ahead in range(7)]
    found = coverage_of(tally(entries, Stretch(monday, monday + 6 * DAY)), RULES)
    assert (found.logged_days, found.working_days, found.low) == (5, 5, None)
    assert not found.patchy


# -- trend


@pytest.mark.parametrize(("values", "lower", "said"), [
    ([60, 55, 50, 45, 40], True, "insufficient_data"),
    ([60, 60, 60, 60, 60, 30, 30, 30, 30, 30], True, "improving"),      # K10: MTTR 60 -> 30
    ([30, 30, 30, 30, 30, 60, 60, 60, 60, 60], True, "degrading"),
    ([99.9, 99.9, 99.9, 99.9, 99.9, 85, 85, 85, 85, 85], False, "degrading"),
    ([10, 10, 10, 10, 10, 10.5, 10.5, 10.5, 10.5, 10.5], True, "stable"),
    ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0], True, "stable"),
    ([], True, "insufficient_data"),
])
def test_k10_toil_that_falls_improves(values, lower, said):
    """Field note K10 and seed defect 14: five or fewer points say nothing; the seed called every rise improving."""
    assert direction(values, lower_is_better=lower) == said


def test_seed_defect_14_toil_that_rises_is_no_improvement():
    assert direction([20, 20, 20, 20, 20, 45, 45, 45, 45, 45]) == "degrading"


def test_seed_defect_15_weeks_without_work_are_gaps_and_not_zero():
    entries = [one for one in weeks_of([0.4] * 4) if one.day.isocalendar()[1] != 46]
    periods = weekly(tally(entries, stretch_of(60, TODAY)))
    assert [one.share for one in periods] == [pytest.approx(0.4)] * 2 + [None] + [pytest.approx(0.4)] \
        or None in [one.share for one in periods]
    assert trend_of(periods, 7).direction == "insufficient_data"


def test_a_change_of_level_is_dated():
    found = trend_of(weekly(tally(weeks_of([0.2] * 8 + [0.5] * 8), stretch_of(140, TODAY))), 7)
    (change,) = found.changes
    assert (change.before, change.after) == (pytest.approx(0.2), pytest.approx(0.5))
    assert change.start == TODAY - timedelta(days=TODAY.weekday()) - 8 * 7 * DAY


def test_the_week_under_way_and_a_part_of_a_week_are_left_out():
    entries = [work(0, 1.0), *weeks_of([0.5] * 2)]
    assert len(weekly(tally(entries, stretch_of(60, TODAY)))) == 2


def test_periods_of_days_end_with_the_log():
    entries = [work(ago, 1.0) for ago in range(15)]
    assert [one.hours for one in in_periods(entries, 7)] == [7, 7]


# -- growth with the services


def _weeks(hours_of):
    counts = [20 + 2 * index for index in range(20)]
    monday = date(2026, 6, 1)
    entries, services = [], {}
    for index, count in enumerate(counts):
        services[monday + 7 * index * DAY] = count
        hours = hours_of(count) * (1 + 0.03 * (-1) ** index)
        entries += [work((TODAY - monday).days - 7 * index - day, hours / 5) for day in range(5)]
    return weekly(tally(entries, Stretch(monday, monday + (7 * 20 - 1) * DAY))), services


@pytest.mark.parametrize(("hours_of", "growth"), [
    (lambda n: 0.5 * n, "linear"), (lambda n: n ** 0.5 * 3, "slower"), (lambda n: n ** 2 / 60, "faster"),
    (lambda n: 20.0, "none")])
def test_whether_toil_grows_with_the_services_is_tested(hours_of, growth):
    periods, services = _weeks(hours_of)
    found = scaling_of(periods, services, at=100)
    assert found is not None
    assert found.growth == growth
    if growth == "linear":
        assert found.per_service_low < 0.5 < found.per_service_high
        assert found.forecast is not None
        assert found.forecast[1] < 50 < found.forecast[2]


def test_one_number_of_services_says_nothing():
    periods, _ = _weeks(lambda n: n)
    assert scaling_of(periods, {date(2026, 1, 1): 20}) is None
    assert scaling_of(periods, {}) is None
