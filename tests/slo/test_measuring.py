"""From sources into the ledger: what is asked, what is kept, what is corrected, what is left out of account."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.kernel.errors import InvalidInput, SourceUnavailable
from mainstay.kernel.method import RatioTimeslices, Timeslices
from mainstay.kernel.objective import FreshWithin, Indicator, IndicatorType, PerSecond
from mainstay.kernel.ports import GaugeQuery, PromQuery
from mainstay.kernel.quantity import Span, Target
from mainstay.slo.operations.measuring import history, measure
from mainstay.slo.operations.standings import ReportRequest, choose, judge, report
from mainstay.slo.operations.upkeep import RecomputeRequest, recompute
from mainstay.slo.spec import Maintenance
from mainstay.slo.standing import Standing
from slo.worlds import (
    DAYS,
    HERE,
    HOURS,
    MINUTES,
    NOW,
    SLOT,
    Events,
    Room,
    busy_month,
    indicator,
    maintenance,
    objective,
    room,
)

DOWN = SourceUnavailable("the source does not answer", "start it")


def only(here: Room, **how: bool) -> Standing:
    return report(here.world, ReportRequest(**how)).objectives[0]


# -- what is asked ------------------------------------------------------------------------------------------------


def test_the_first_run_asks_for_the_whole_window() -> None:
    here = room(busy_month(), objective(window="30d"))

    only(here)

    assert [one.span for one in here.source.asked] == [Span(NOW - 30 * DAYS, NOW)]


def test_the_second_run_asks_only_for_the_tail() -> None:
    here = room(busy_month(now=NOW + DAYS), objective(window="30d"))
    only(here)
    here.source.asked.clear()
    here.clock.advance(10 * MINUTES)

    only(here)

    assert [one.span for one in here.source.asked] == [Span(NOW - 15 * MINUTES, NOW + 10 * MINUTES)]


def test_a_service_younger_than_its_window_is_not_searched_again_for_what_is_not_there() -> None:
    events = busy_month().forget(NOW - 40 * DAYS, NOW - 5 * DAYS)
    here = room(events, objective(window="30d"))
    only(here)
    here.source.asked.clear()

    only(here)

    assert [one.span.start for one in here.source.asked] == [NOW - 15 * MINUTES]


def test_a_longer_window_fills_what_lies_before_the_shorter_one() -> None:
    here = room(busy_month(), objective(window="7d"))
    only(here)
    here.source.asked.clear()
    here.declares(objective(window="30d"))

    found = only(here)

    assert here.source.asked[0].span == Span(NOW - 30 * DAYS, NOW - 7 * DAYS)
    assert found.total == 100 * 30 * 288


def test_a_pause_of_the_server_is_filled_from_where_it_stopped() -> None:
    here = room(busy_month(now=NOW + DAYS), objective(window="30d"))
    only(here)
    here.clock.advance(6 * HOURS)

    assert only(here).total == 100 * 30 * 288


def test_objectives_that_share_an_indicator_are_asked_for_once_and_share_the_ledger() -> None:
    shared = indicator("same")
    here = room(busy_month(), objective("strict", target=99.9, window="7d", measures=shared),
                objective("loose", target=99, window="30d", measures=shared))

    strict, loose = sorted(report(here.world, ReportRequest()).objectives, key=lambda one: -one.target)

    assert [one.span for one in here.source.asked] == [Span(NOW - 30 * DAYS, NOW)]
    assert (strict.total, loose.total) == (100 * 7 * 288, 100 * 30 * 288)


# -- late corrections ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("minutes", [5, 10, 15])
def test_a_sample_up_to_fifteen_minutes_late_is_taken_up_by_the_next_run(minutes: int) -> None:
    here = room(busy_month(), objective())
    only(here)
    here.source.events.add("errors", NOW - minutes * MINUTES, 7)

    assert only(here).budget.spent == 7


def test_a_later_correction_waits_for_recompute() -> None:
    here = room(busy_month(), objective())
    only(here)
    here.source.events.add("errors", NOW - 3 * DAYS, 9)

    assert only(here).budget.spent == 0
    dry = recompute(here.world, RecomputeRequest(dry_run=True)).objectives[0]
    assert (dry.changed, dry.bad_before, dry.bad_after) == (1, 0, 9)
    assert only(here).budget.spent == 0
    assert not here.facts("slo.corrected")

    kept = recompute(here.world, RecomputeRequest())

    assert kept.kept
    assert only(here).budget.spent == 9
    fact, = here.facts("slo.corrected")
    assert (fact.subject, fact.data["slots"], fact.data["bad_before"], fact.data["bad_after"]) == ("web", 1, 0, 9)


def test_a_second_recompute_finds_nothing_to_correct() -> None:
    here = room(busy_month(), objective())
    only(here)
    here.source.events.add("errors", NOW - 3 * DAYS, 9)
    recompute(here.world, RecomputeRequest())

    again = recompute(here.world, RecomputeRequest()).objectives[0]

    assert again.changed == 0
    assert len(here.facts("slo.corrected")) == 1


def test_a_correction_of_the_ledger_is_not_a_cause_of_loss() -> None:
    from mainstay.slo.operations.questions import AttributeRequest, attribute

    here = room(busy_month(now=NOW + DAYS), objective())
    only(here)
    here.source.events.add("errors", NOW - 3 * DAYS, 9)
    recompute(here.world, RecomputeRequest())
    here.clock.advance(2 * HOURS)

    assert {part.kind for part in attribute(here.world, AttributeRequest("web")).by_cause} <= {"rest"}


# -- a source that does not answer --------------------------------------------------------------------------------


def test_a_source_that_is_down_ends_the_run() -> None:
    here = room(busy_month(), objective())
    here.source.down = DOWN

    with pytest.raises(SourceUnavailable, match="does not answer"):
        only(here)


def test_with_stale_ok_the_old_figures_are_shown_and_marked() -> None:
    events = busy_month(now=NOW + DAYS).add("errors", NOW - 2 * DAYS, 50)
    here = room(events, objective())
    fresh = only(here)
    here.source.down = DOWN
    here.clock.advance(2 * HOURS)

    found = only(here, stale_ok=True)

    assert found.stale
    assert found.measured_until == NOW
    assert found.budget.spent == fresh.budget.spent == 50
    assert "the source does not answer" in found.warnings
    assert found.burn_rates["1h"] is None, "an hour that nobody measured is no data, not a clean hour"


def test_a_source_that_never_answered_is_no_data_and_no_full_budget() -> None:
    here = room(busy_month(), objective())
    here.source.down = DOWN

    found = only(here, stale_ok=True)

    assert (found.status, found.sli, found.consumption_percent, found.budget) == ("no_data", None, None, None)


def test_a_question_the_source_refuses_does_not_blind_the_others() -> None:
    events = busy_month().steady("nonsense", 0)
    here = room(events, objective("good"), objective("odd", measures=indicator("odd", total="nonsense")))
    here.source.refuses = frozenset({"nonsense"})

    good, odd = sorted(report(here.world, ReportRequest(stale_ok=True)).objectives, key=lambda one: one.name)

    assert (good.status, odd.status) == ("healthy", "no_data")
    assert not any("understand" in text for text in good.warnings)
    assert any("understand" in text for text in odd.warnings)
    with pytest.raises(InvalidInput):
        report(here.world, ReportRequest())


def test_a_source_that_stopped_giving_samples_is_stale() -> None:
    here = room(busy_month(now=NOW + DAYS).forget(NOW, NOW + DAYS), objective())
    here.clock.advance(30 * MINUTES)

    assert only(here).stale


# -- what a history belongs to ------------------------------------------------------------------------------------


def test_a_renamed_objective_with_another_target_keeps_its_history() -> None:
    here = room(busy_month().add("errors", NOW - 20 * DAYS, 30), objective("old", target=99))
    only(here)
    here.source.asked.clear()
    here.declares(objective("new", target=99.9, title="Another name"))

    assert only(here, offline=True).budget.spent == 30
    only(here)
    assert all(one.span.start >= NOW - 15 * MINUTES for one in here.source.asked)


def test_another_query_starts_a_history_of_its_own() -> None:
    here = room(busy_month().steady("timeouts", 1), objective())
    only(here)
    here.declares(objective(measures=indicator(bad="timeouts")))

    assert only(here, offline=True).status == "no_data"
    assert only(here).budget.spent == 30 * 288


def test_without_a_source_an_objective_says_so() -> None:
    here = room(busy_month(), objective(measures=replace(indicator(), source="")),)
    here.world = replace(here.world, catalog=replace(here.world.catalog, resources={
        kind: held for kind, held in here.world.catalog.resources.items() if kind.__name__ == "Objective"}))

    assert "no source says where this is counted" in only(here).warnings


# -- the ledger equals the source -----------------------------------------------------------------------------------

_HOURS = 60


@settings(max_examples=40, deadline=None)
@given(counts=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), st.booleans()), min_size=_HOURS * 12,
                       max_size=_HOURS * 12),
       looks=st.lists(st.integers(1, _HOURS), min_size=1, max_size=6),
       corrections=st.lists(st.tuples(st.integers(0, _HOURS * 12 - 1), st.integers(0, 30)), max_size=5))
def test_in_whatever_order_it_was_written_the_ledger_equals_the_source(
        counts: list[tuple[int, int, bool]], looks: list[int], corrections: list[tuple[int, int]]) -> None:
    start = NOW - _HOURS * HOURS
    events = Events(start, NOW)
    events.put("errors", [min(bad, total) for bad, total, _ in counts])
    events.put("requests", [total for _, total, _ in counts])
    events.known = np.array([known for *_, known in counts])
    here = room(events, objective(window="2d"), now=start)
    for hour in sorted(looks):
        here.clock.set(start + hour * HOURS)
        measure(here.world, choose(here.world, ()), here.clock.now())
    here.clock.set(NOW)
    for slot, more in corrections:
        events.counts["requests"][slot] += more
        events.counts["errors"][slot] += min(more, 3)
    recompute(here.world, RecomputeRequest())

    found = judge(here.world, choose(here.world, ()), refresh=False)[0]

    window = Span(NOW - 2 * DAYS, NOW)
    series = history(here.world, found.measured, window)
    assert series.total_sum == events.between("requests", window.start, window.end)
    assert series.bad_sum == events.between("errors", window.start, window.end)
    assert found.standing.total == events.between("requests", window.start, window.end)
    np.testing.assert_array_equal(series.known, events.known[-2 * 288:])


def test_reading_again_changes_nothing() -> None:
    events = busy_month().add("errors", NOW - 11 * DAYS, 17)
    here = room(events, objective(window="30d", windows=(("7d", 99), ("month", 99))))
    first = only(here)

    assert [replace(only(here), warnings=()), replace(only(here, offline=True), warnings=())] == \
        [replace(first, warnings=())] * 2


# -- planned work -------------------------------------------------------------------------------------------------


def test_planned_work_is_left_out_of_every_window_and_of_day_sums() -> None:
    at = NOW - 10 * DAYS
    recent = NOW - 5 * HOURS
    events = busy_month().add("errors", at, 100, slots=12).add("errors", recent, 100, slots=12)
    here = room(events, objective(window="30d", windows=(("7d", 99), ("1d", 99), ("month", 99))),
                maintenance("disks", at, HOURS), maintenance("network", recent, HOURS))

    found = only(here)

    assert [one.consumption_percent for one in found.windows] == [0, 0, 0, 0]
    assert found.total == 100 * (30 * 288 - 24)
    assert found.windows[1].total == 100 * (7 * 288 - 12)
    assert found.windows[2].total == 100 * (288 - 12)


def test_planned_work_at_the_edge_of_a_window_is_left_out_of_its_first_day_too() -> None:
    at = NOW - 30 * DAYS - 30 * MINUTES
    here = room(busy_month().add("errors", at, 50, slots=12), objective(), maintenance("disks", at, HOURS))

    assert only(here).total == 100 * (30 * 288 - 6)
    assert only(here).budget.spent == 0


def test_planned_work_concerns_only_whom_it_names() -> None:
    at = NOW - 2 * DAYS
    here = room(busy_month().add("errors", at, 10), objective("a", service="a"), objective("b", service="b"),
                maintenance("of a", at, HOURS, services=("a",)))

    a, b = sorted(report(here.world, ReportRequest()).objectives, key=lambda one: one.name)

    assert (a.budget.spent, b.budget.spent) == (0, 10)


def test_planned_work_is_recorded_once_an_occurrence_and_objective_with_what_was_left_out() -> None:
    first = NOW - 9 * DAYS
    events = busy_month().add("errors", first, 40, slots=6)
    here = room(events, objective("a"), objective("b"), maintenance("disks", first, 30 * MINUTES, every=7 * DAYS))

    report(here.world, ReportRequest())
    report(here.world, ReportRequest())

    facts = here.facts("slo.maintenance-excluded")
    assert sorted((one.subject, one.at) for one in facts) == [
        (name, at) for name in "ab" for at in (first, first + 7 * DAYS)]
    told = next(one for one in facts if one.subject == "a" and one.at == first)
    assert told.data == {"maintenance": "disks", "reason": "new disks", "service": "shop", "bad": 240, "total": 600,
                         "slots": 6, "until": (first + 30 * MINUTES).isoformat()}


def test_planned_work_that_is_not_over_is_not_recorded_yet() -> None:
    here = room(busy_month(now=NOW + DAYS), objective(), maintenance("disks", NOW - 30 * MINUTES, HOURS))
    only(here)
    assert not here.facts("slo.maintenance-excluded")
    here.clock.advance(45 * MINUTES)

    only(here)

    assert len(here.facts("slo.maintenance-excluded")) == 1


def test_an_offline_report_records_nothing() -> None:
    here = room(busy_month(), objective(), maintenance("disks", NOW - DAYS, HOURS))

    only(here, offline=True)

    assert not here.facts()


@settings(max_examples=30, deadline=None)
@given(begins=st.integers(0, 29 * 288 * 5), length=st.integers(1, 3000), every=st.sampled_from([None, 3, 7]),
       minutes=st.integers(0, 1439))
def test_wherever_planned_work_lies_the_rest_is_counted_exactly(begins: int, length: int, every: int | None,
                                                                minutes: int) -> None:
    now = NOW - timedelta(minutes=minutes)
    start = now - 30 * DAYS + timedelta(minutes=begins)
    events = Events(NOW - 40 * DAYS, NOW)
    random = np.random.default_rng(begins)
    events.put("requests", random.integers(0, 50, events.count)).put("errors", np.zeros(events.count))
    work = maintenance("work", start, timedelta(minutes=length), every=every * DAYS if every else None)
    here = room(events, objective(window="30d", windows=(("7d", 99),)), work, now=now)

    found = only(here)

    end = datetime.fromtimestamp(int(now.timestamp()) // SLOT * SLOT, UTC)
    for window, days in zip(found.windows, (30, 7), strict=True):
        assert window.total == _outside(events, work, end - days * DAYS, end)


def _outside(events: Events, work: Maintenance, start: datetime, end: datetime) -> float:
    """The truth, slot by slot: what was counted in slots that no occurrence touches."""
    total = 0.0
    for index in range(events.at(start), events.at(end)):
        slot = datetime.fromtimestamp(events.start + index * SLOT, UTC)
        begun = work.start
        touched = False
        while begun < slot + timedelta(seconds=SLOT):
            touched |= begun + work.length > slot
            if work.every is None:
                break
            begun += work.every
        total += 0 if touched else events.counts["requests"][index]
    return total


# -- other kinds of indicators ------------------------------------------------------------------------------------


def _per_minute(now: datetime = NOW, days: int = 8) -> Events:
    return Events(now - days * DAYS, now, step=60)


def test_throughput_counts_minutes_with_too_little_traffic() -> None:
    events = _per_minute().steady("orders", 120)
    events.counts["orders"][events.at(NOW - 2 * DAYS): events.at(NOW - 2 * DAYS) + 7] = 30
    rate = Indicator("orders", HERE, IndicatorType.THROUGHPUT, "counts", PromQuery("orders"),
                     derived=PerSecond(1.0, timedelta(minutes=1)))
    here = room(events, objective(window="7d", measures=rate))

    found = only(here)

    assert (found.budget.spent, found.total) == (7, 7 * 1440)


def test_freshness_counts_minutes_whose_last_update_is_too_old() -> None:
    events = _per_minute().steady("updates", 0)
    every_ten = np.arange(events.count) % 10 == 0
    events.counts["updates"][every_ten] = 1
    silent = events.at(NOW - DAYS)
    events.counts["updates"][silent: silent + 60] = 0
    fresh = Indicator("feed", HERE, IndicatorType.FRESHNESS, "counts", PromQuery("updates"),
                      derived=FreshWithin(timedelta(minutes=15), timedelta(minutes=1)))
    here = room(events, objective(window="7d", measures=fresh))

    found = only(here)

    first = next(i for i in range(silent + 60, silent + 80) if every_ten[i])
    last = max(i for i in range(silent) if every_ten[i])
    assert found.total == 7 * 1440
    assert found.budget.spent == first - (last + 15)


def test_freshness_at_the_edge_of_a_later_run_remembers_the_update_before_it() -> None:
    events = Events(NOW - 8 * DAYS, NOW + DAYS, step=60).steady("updates", 0)
    events.counts["updates"][np.arange(events.count) % 10 == 0] = 1
    fresh = Indicator("feed", HERE, IndicatorType.FRESHNESS, "counts", PromQuery("updates"),
                      derived=FreshWithin(timedelta(minutes=15), timedelta(minutes=1)))
    here = room(events, objective(window="1d", measures=fresh))
    for _ in range(20):
        here.clock.advance(5 * MINUTES)
        assert only(here).budget.spent == 0


def test_timeslices_judge_each_slice_against_its_own_target() -> None:
    events = busy_month().add("errors", NOW - DAYS, 2, slots=3).add("errors", NOW - 2 * DAYS, 1, slots=5)
    here = room(events, objective(window="7d", method=Timeslices(timedelta(minutes=5), Target.percent(99))))

    found = only(here)

    assert (found.budget.spent, found.total, found.budget.unit) == (3, 7 * 288, "slices")


def test_long_timeslices_grow_as_time_goes_on() -> None:
    events = busy_month(now=NOW + DAYS).add("errors", NOW + 70 * MINUTES, 8)
    here = room(events, objective(window="7d", method=Timeslices(HOURS, Target.percent(99))))
    only(here)
    for _ in range(36):
        here.clock.advance(5 * MINUTES)
        found = only(here)

    assert (found.budget.spent, found.total) == (0, 7 * 24)
    events.add("errors", NOW + 75 * MINUTES, 8)
    recompute(here.world, RecomputeRequest())
    assert only(here).budget.spent == 1


def test_ratio_timeslices_weigh_every_slice_alike() -> None:
    events = busy_month().add("errors", NOW - DAYS, 50)
    here = room(events, objective(window="7d", method=RatioTimeslices(timedelta(minutes=5))))

    found = only(here)

    assert (found.budget.spent, found.total) == (0.5, 7 * 288)


def test_a_gauge_counts_its_samples() -> None:
    query = "queue_length"
    here = room(busy_month(), objective(window="7d", measures=Indicator(
        "queue", HERE, IndicatorType.CUSTOM, "counts", GaugeQuery(query, "<=", 10))))
    gauge = Events(NOW - 8 * DAYS, NOW, step=60).steady(query, 1)
    judged = gauge.series()[query]
    late = gauge.at(NOW - DAYS)
    judged.bad[late: late + 20] = 1
    here.source.events = gauge
    gauge.series = lambda: {query: judged}  # type: ignore[method-assign]

    found = only(here)

    assert (found.budget.spent, found.total) == (20, 7 * 1440)
