"""What automating is worth: the seed's formulas kept, its defects not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.kernel.errors import InvalidInput
from mainstay.toil.automation import COST, Task, return_of, rhythm, should_automate
from mainstay.toil.candidates import Asked, candidates, grouped
from mainstay.toil.tally import stretch_of, tally
from toil.ledgers import TODAY, weeks_of, work

NUMBERS = st.floats(0, 1e4, allow_nan=False)


def test_k9_fifty_half_hours_a_month():
    """Field note K9."""
    value = should_automate(Task(50, 0.5, 40)).value
    assert (value.monthly_hours, value.annual_hours, value.payback_months, value.three_year_net) == (25, 300, 1.6, 860)


def test_seed_defect_12_hours_a_month_are_by_days_and_not_by_lines():
    """60 entries of 0.5 h in 30 days: the seed divided by (60 lines / 30) and said 15 h, payback 2.67."""
    entries = [work(day, 0.5) for day in range(30) for _ in range(2)]
    found = tally(entries, stretch_of(30, TODAY))
    (one,) = candidates(found, grouped(found, {}), Asked())
    assert one.value.monthly_hours == pytest.approx(30)
    assert one.value.payback_months == pytest.approx(1.3333, abs=1e-4)


@pytest.mark.parametrize(("task", "decision"), [
    (Task(50, 0.5, 40), "AUTOMATE_NOW"),                              # payback 1.6
    (Task(10, 1, 30), "AUTOMATE_SOON"),                               # payback 3: no longer "less than 3"
    (Task(11, 0.1, 40, error_prone=True), "AUTOMATE_NOW"),            # often, and goes wrong
    (Task(10, 0.1, 40, error_prone=True), "DONT_AUTOMATE"),           # not more than 10 times
    (Task(1, 0.1, 40, blocks_other_work=True), "AUTOMATE_SOON"),
    (Task(2, 1, 23.9), "AUTOMATE_SOON"),                              # payback 11.95
    (Task(2, 1, 24), "CONSIDER"),                                     # payback 12
    (Task(2, 1, 35.9), "CONSIDER"),                                   # payback 17.95
    (Task(2, 1, 36), "DONT_AUTOMATE"),                                # payback 18: just twice in three years
    (Task(0, 1, 40), "DONT_AUTOMATE"),
    (Task(10, 1, 0), "AUTOMATE_NOW"),
])
def test_the_bands_of_the_seed(task, decision):
    assert should_automate(task).decision == decision


def test_seed_defect_13_consider_can_be_reached():
    """The seed asked for a yearly return above 2 with a payback of a year or more: 12/payback is then at most 1."""
    decided = should_automate(Task(2, 1, 30))
    assert decided.value.payback_months == 15
    assert decided.value.yearly_return == pytest.approx(0.8)
    assert decided.decision == "CONSIDER"


@given(NUMBERS, NUMBERS, NUMBERS, st.booleans(), st.booleans())
def test_every_task_gets_one_decision_with_a_reason(frequency, hours, effort, error_prone, blocks):
    decided = should_automate(Task(frequency, hours, effort, "medium", error_prone, blocks))
    assert decided.reason
    assert decided.recommendation


@given(NUMBERS, NUMBERS, st.floats(0, 5))
def test_the_range_holds_the_value(monthly, effort, upkeep):
    value = return_of(monthly, effort, monthly_range=(monthly * 0.9, monthly * 1.1), upkeep=upkeep)
    assert value.net_low <= value.three_year_net + 1e-6
    assert value.three_year_net <= value.net_high + 1e-6


def test_a_surer_estimate_has_a_narrower_range():
    wide, narrow = return_of(25, 40, complexity="complex"), return_of(25, 40, complexity="simple")
    assert wide.net_low < narrow.net_low < 860 < narrow.net_high < wide.net_high


def test_what_its_upkeep_eats_never_pays_back():
    value = return_of(2, 40, upkeep=2)
    assert value.payback_months is None
    assert value.three_year_net == -40


def test_the_range_is_wider_where_the_weeks_differ_more():
    steady, bursty = rhythm(12, 4, [3, 3, 3, 3], 28), rhythm(12, 4, [0, 12, 0, 0], 28)
    assert steady.low == pytest.approx(steady.monthly)
    assert bursty.low < bursty.monthly < bursty.high
    assert bursty.low >= 0


def test_where_there_are_few_weeks_the_count_says_how_sure_it_is():
    few, many = rhythm(4, 4, [4], 7), rhythm(100, 100, [100], 7)
    assert few.high / few.monthly == pytest.approx(1 + 1.645 / 2)
    assert many.high / many.monthly == pytest.approx(1.1645)


def test_a_log_that_has_just_begun_is_not_thinned_by_the_days_before_it():
    entries = [work(day, 1.0) for day in range(10)]
    found = tally(entries, stretch_of(90, TODAY))
    (one,) = candidates(found, grouped(found, {}), Asked())
    assert one.value.monthly_hours == pytest.approx(30)


def test_what_is_automated_or_cannot_be_is_no_candidate():
    entries = [work(1), work(2, automated=True, description="done"), work(3, automatable=False, description="never"),
               work(4, type="engineering", description="feature")]
    found = tally(entries, stretch_of(30, TODAY))
    assert [one.task for one in candidates(found, grouped(found, {}), Asked())] == ["Deploy by hand"]
    assert {one.task for one in candidates(found, grouped(found, {}), Asked(every=True))} == {"Deploy by hand", "never"}


def test_estimates_of_the_policy_are_used():
    found = tally(weeks_of([0.5] * 4), stretch_of(60, TODAY))
    (one,) = candidates(found, grouped(found, {}), Asked(efforts={"Deploy by hand": 10}))
    assert one.value.effort == 10


@pytest.mark.parametrize("task", [Task(-1, 1, 1), Task(1, float("nan"), 1), Task(1, 1, float("inf"))])
def test_numbers_that_cannot_be_are_refused(task):
    with pytest.raises(InvalidInput):
        should_automate(task)


def test_the_dashboard_asks_what_the_report_asks_for_an_hour():
    """It once began at 80 where the report and the ledger count 150."""
    dashboard = json.loads((Path(__file__).parents[2] / "examples" / "toil-tracking-dashboard.json").read_text())
    (cost,) = (one["query"] for one in dashboard["templating"]["list"] if one["name"] == "hourly_cost")
    assert float(cost) == COST
