"""`mainstay/v1`: indicators by what they mean, objectives, journeys, maintenance."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from catalogs import codes, the
from mainstay.kernel.method import RatioTimeslices, Timeslices
from mainstay.kernel.objective import FreshWithin, Indicator, IndicatorType, Objective, PerSecond
from mainstay.kernel.ports import Condition, EventQuery, GaugeQuery, PromQuery
from mainstay.kernel.quantity import CalendarWindow, Period, RequestWindow, RollingWindow, Target
from mainstay.slo.spec import Journey, Maintenance

FAILED = Condition("status", ">=", (500.0,))
MINUTE = timedelta(minutes=1)


def kind(name: str, spec: str) -> str:
    return f"apiVersion: mainstay/v1\nkind: {name}\nmetadata: {{name: x, service: web, owner: me}}\nspec: {{{spec}}}\n"


def indicator(spec: str) -> Indicator:
    return the(Indicator, kind("Indicator", spec))


def objective(more: str = "", kept: str = "indicator: {type: availability}, target: 99.9") -> str:
    return kind("Objective", kept + (", " + more if more else ""))


@pytest.mark.parametrize("name", ["availability", "error_rate"])
def test_of_events_a_failed_one_is_bad_unless_told_otherwise(name: str) -> None:
    one = indicator(f"type: {name}")
    assert (one.total, one.bad, one.good) == (EventQuery(), EventQuery((FAILED,)), None)


def test_latency_of_events_is_bad_above_the_threshold_and_counts_timed_ones() -> None:
    one = indicator("type: latency, threshold: 300ms, where: {method: GET}")
    timed = (Condition("method", "==", ("GET",)), Condition("duration", "present"))
    assert one.total == EventQuery(timed)
    assert one.bad == EventQuery((*timed, Condition("duration", ">", (0.3,))))


def test_latency_of_a_histogram_is_good_within_the_bound() -> None:
    one = indicator("type: latency, threshold: 300ms, histogram: h")
    assert one.good == PromQuery('h_bucket{le="0.3"}', True)
    assert one.total == PromQuery("h_count", True)


def test_throughput_judges_slices_by_a_rate() -> None:
    assert indicator("type: throughput, minimum: 600/m, slice: 5m").derived == PerSecond(10, timedelta(minutes=5))


@pytest.mark.parametrize(("rate", "per_second"), [("10", 10), ("10/s", 10), ("60/min", 1), ("3600/h", 1)])
def test_a_rate_is_read_in_its_unit(rate: str, per_second: float) -> None:
    assert indicator(f"type: throughput, minimum: {rate}").derived == PerSecond(per_second, MINUTE)


def test_freshness_judges_slices_by_the_age_of_the_last_update() -> None:
    assert indicator("type: freshness, threshold: 10m").derived == FreshWithin(timedelta(minutes=10), MINUTE)


@pytest.mark.parametrize("name", ["coverage", "durability", "correctness", "custom"])
def test_other_types_say_what_is_good(name: str) -> None:
    one = indicator(f"type: {name}, good: {{checksum: ok}}, where: {{job: copy}}")
    job = Condition("job", "==", ("copy",))
    assert one.type is IndicatorType(name)
    assert one.good == EventQuery((job, Condition("checksum", "==", ("ok",))))
    assert one.total == EventQuery((job,))


def test_good_and_total_may_be_promql() -> None:
    one = indicator("good: 'ok_total', total: 'sum(all_total)'")
    assert (one.good, one.total) == (PromQuery("ok_total", True), PromQuery("all_total", True))


@pytest.mark.parametrize(("bound", "query"), [("at_most: 5", GaugeQuery("g", "<=", 5)),
                                              ("at_least: 0", GaugeQuery("g", ">=", 0))])
def test_a_gauge_is_good_within_its_bound(bound: str, query: GaugeQuery) -> None:
    assert indicator(f"gauge: g, {bound}").total == query


def test_what_is_left_out_is_said_in_words() -> None:
    assert indicator("type: availability, exclude: [{status: 429}]").exclusions == ("status != 429",)


@pytest.mark.parametrize(("spec", "code"), [
    ("", "missing-field"), ("type: availabilty", "unknown-value"), ("type: coverage", "missing-field"),
    ("type: latency, histogram: h", "missing-field"),
    ("type: latency, histogram: 'h[', threshold: 1s", "invalid-value"),
    ("type: latency, threshold: fast", "invalid-value"), ("type: throughput", "missing-field"),
    ("type: throughput, minimum: 0/s", "invalid-value"), ("type: throughput, minimum: nan/s", "invalid-value"),
    ("type: throughput, minimum: inf", "invalid-value"), ("type: throughput, minimum: 1/day", "invalid-value"),
    ("type: throughput, minimum: 1, slice: 1ms", "invalid-value"), ("type: freshness", "missing-field"),
    ("type: freshness, threshold: 1m, slice: 7m", "invalid-value"), ("gauge: g", "one-of"),
    ("gauge: g, at_most: 1, at_least: 2", "one-of"), ("gauge: g, at_most: x", "wrong-type"),
    ("good: {a: b}, bad: {a: c}", "one-of"), ("good: {a: b}, total: x", "invalid-value"),
    ("god: {a: b}", "unknown-field"),
    ("type: availability, good: [a]", "wrong-type"),
])
def test_a_wrong_indicator_is_one_finding(spec: str, code: str) -> None:
    assert codes(kind("Indicator", spec)) == [code]


def test_an_objective_has_all_that_a_team_says_of_it() -> None:
    one = the(Objective, objective(
        "description: d, rationale: r, policy: reference, sla: 99.5, exclusions: [probes], dependencies: [{service: db,"
        " promise: 99.99, impact: all}], review: {every: month, last: 2026-01-01, participants: [a], agenda: [b]}"))
    assert (one.service, one.owner, one.description, one.rationale) == ("web", "me", "d", "r")
    assert (one.policy, one.sla, one.exclusions) == ("reference", Target.percent("99.5"), ("probes",))
    assert [(each.service, each.promise, each.impact) for each in one.dependencies] == [
        ("db", Target.percent("99.99"), "all")]
    assert one.review is not None
    assert (one.review.every, one.review.participants, one.review.agenda) == (Period.MONTH, ("a",), ("b",))


def test_thirty_days_are_the_window_unless_told_otherwise() -> None:
    assert the(Objective, objective()).window == RollingWindow(timedelta(days=30))


def test_further_windows_have_targets_of_their_own() -> None:
    one = the(Objective, objective("window: month, timezone: Europe/Berlin, windows: [{window: 1h, target: 95, alert: "
                                   "page}, {window: 1000 requests, target: 90}]"))
    assert one.window == CalendarWindow(Period.MONTH, "Europe/Berlin")
    assert [(each.window, str(each.target), each.alert) for each in one.windows[1:]] == [
        (RollingWindow(timedelta(hours=1)), "95 %", "page"), (RequestWindow(1000), "90 %", "report")]


@pytest.mark.parametrize(("spec", "method"), [
    ("method: timeslices, slice: 1m, slice_target: 95, idle: bad", Timeslices(MINUTE, Target.percent(95), "bad")),
    ("method: ratio_timeslices, slice: 1m", RatioTimeslices(MINUTE)),
])
def test_the_method_is_read_with_its_slice_and_what_an_idle_one_means(spec: str, method: object) -> None:
    assert the(Objective, objective(spec)).method == method


@pytest.mark.parametrize(("more", "code"), [
    ("sla: 99.95", "sla-above-target"), ("window: fortnight", "invalid-value"), ("timezone: Mars", "invalid-value"),
    ("method: slices", "unknown-value"), ("method: ratio_timeslices", "missing-field"),
    ("method: ratio_timeslices, slice: 7m", "invalid-value"), ("windows: [{window: 1h}]", "missing-field"),
    ("windows: [{window: 1h, target: 9, alert: x}]", "unknown-value"),
    ("dependencies: [{promise: 9}]", "missing-field"),
    ("review: {every: never}", "invalid-value"), ("indicatorRef: y", "one-of"), ("tagret: 9", "unknown-field"),
    ("policy: unheard", "unknown-reference"),
])
def test_a_wrong_objective_is_one_finding(more: str, code: str) -> None:
    assert codes(objective(more)) == [code]


def test_mistakes_of_the_target_do_not_hide_the_others() -> None:
    assert codes(kind("Objective", "indicator: {type: x}, target: 0, sla: 200, window: y")) == [
        "unknown-value", "invalid-value", "invalid-value", "invalid-value"]


STEPS = objective() + "---\n" + kind("Journey", "%s").replace("name: x", "name: j")


def test_a_journey_s_steps_name_an_objective_or_state_a_target() -> None:
    one = the(Journey, STEPS % "target: 99, steps: [{objective: x}, {name: pay, target: 99.5}]")
    assert (one.combine, one.target, one.weights) == ("serial", Target.percent(99), (1.0, 1.0))
    assert [(step.name, step.objective, step.target) for step in one.steps] == [
        ("x", "x", None), ("pay", "", Target.percent("99.5"))]


def test_a_weighted_journey_has_a_weight_for_each_step() -> None:
    one = the(Journey, STEPS % "combine: weighted, steps: [{objective: x, weight: 3}, {target: 99}]")
    assert (one.combine, one.weights) == ("weighted", (3.0, 1.0))


@pytest.mark.parametrize(("spec", "code"), [
    ("steps: []", "missing-field"), ("", "missing-field"), ("steps: [{name: a}]", "one-of"),
    ("steps: [{objective: x, target: 9}]", "one-of"), ("steps: [{objective: y}]", "unknown-reference"),
    ("combine: parallel, steps: [{objective: x}]", "unknown-value"), ("steps: [{target: 200}]", "invalid-value"),
    ("combine: weighted, steps: [{objective: x, weight: 0}]", "invalid-value"),
])
def test_a_wrong_journey_is_one_finding(spec: str, code: str) -> None:
    assert codes(STEPS % spec) == [code]


def test_maintenance_is_once_or_every_so_often() -> None:
    one = the(Maintenance, kind("Maintenance", "start: 2026-01-01T00:00:00+01:00, duration: 1h, every: 7d, until: "
                                               "2026-06-01, reason: move, services: web, objectives: []"))
    assert (one.start, one.length) == (datetime(2025, 12, 31, 23, tzinfo=UTC), timedelta(hours=1))
    assert (one.every, one.until) == (timedelta(days=7), datetime(2026, 6, 1, tzinfo=UTC))
    assert (one.services, one.objectives, one.reason) == (("web",), (), "move")


@pytest.mark.parametrize(("spec", "code"), [
    ("duration: 1h, reason: a", "missing-field"), ("start: 2026-01-01, reason: a", "missing-field"),
    ("start: 2026-01-01, duration: 1h", "missing-field"), ("start: 2026-01-01T00:00, duration: 1h, reason: a",
                                                           "invalid-value"),
    ("start: 2026-01-01, duration: 1h, reason: a, every: 1h", "out-of-range"),
    ("start: 2026-01-01, duration: 1s, reason: a, every: 2s", "out-of-range"),
    ("start: 2026-01-01, duration: 1h, reason: a, objectives: [y]", "unknown-reference"),
])
def test_wrong_maintenance_is_one_finding(spec: str, code: str) -> None:
    assert codes(kind("Maintenance", spec)) == [code]
