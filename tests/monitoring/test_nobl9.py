"""Nobl9 in and out: counts, thresholds, slices, composites and alert policies over a Prometheus."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from mainstay.kernel.finding import Position, errors_of
from mainstay.kernel.method import RatioTimeslices, Timeslices
from mainstay.kernel.objective import Indicator, Objective
from mainstay.kernel.ports import EventQuery, GaugeQuery, PromQuery
from mainstay.kernel.quantity import CalendarWindow, Period, RollingWindow, Target
from mainstay.monitoring.exchange.form import Bundle
from mainstay.monitoring.spec import Alerting
from mainstay.stats.budget import TIERS, Tier
from monitoring.taken import again, bundle_of, codes, given, in_catalog, lost, take, trees, unplaced

AGENT = """---
apiVersion: n9/v1alpha
kind: Agent
metadata: {name: prom, project: default}
spec: {prometheus: {url: 'http://prometheus:9090'}}
"""
COUNTS = """value: 1
      countMetrics:
        incremental: true
        good: {prometheus: {promql: 'sum(http_total{code!~"5.."})'}}
        total: {prometheus: {promql: sum(http_total)}}"""


def slo(*, metric: str = COUNTS, window: str = "unit: Day, count: 30, isRolling: true", method: str = "Occurrences",
        more: str = "", target: str = "0.999") -> str:
    return f"""apiVersion: n9/v1alpha
kind: SLO
metadata: {{name: shop, displayName: Shop, project: default, labels: {{team: [a, b]}}}}
spec:
  description: the shop answers
  indicator: {{metricSource: {{name: prom, project: default, kind: Agent}}}}
  budgetingMethod: {method}
  objectives:
    - displayName: Good answers
      name: ok
      target: {target}
      primary: true
      {metric}
  service: web
  timeWindows: [{{{window}}}]
{more}"""


def one(text: str) -> tuple[Objective, Indicator]:
    (objective,) = bundle_of("nobl9", text).objectives
    assert isinstance(objective.indicator, Indicator)
    return objective, objective.indicator


def test_counts_become_good_and_total_counters() -> None:
    taken = take("nobl9", slo() + AGENT)
    (objective,) = taken.bundle.objectives
    indicator = objective.indicator
    assert isinstance(indicator, Indicator)
    assert taken.losses == ()
    assert (objective.name, objective.service, objective.title) == ("shop", "web", "Shop")
    assert (objective.target, objective.window) == (Target.percent("99.9"), RollingWindow(timedelta(days=30)))
    assert (indicator.name, indicator.description, indicator.source) == ("ok", "Good answers", "prom")
    assert (indicator.good, indicator.total) == (PromQuery('http_total{code!~"5.."}', True),
                                                 PromQuery("http_total", True))


def test_counts_that_do_not_grow_are_expressions() -> None:
    assert one(slo(metric=COUNTS.replace("true", "false")))[1].total == PromQuery("sum(http_total)", False)


@pytest.mark.parametrize(("op", "operator"), [("lt", "<"), ("lte", "<="), ("gt", ">"), ("gte", ">=")])
def test_a_raw_metric_is_a_threshold(op: str, operator: str) -> None:
    raw = f"value: 200\n      rawMetric: {{query: {{prometheus: {{promql: p99}}}}}}\n      op: {op}"
    assert one(slo(metric=raw))[1].total == GaugeQuery("p99", operator, 200.0)


def test_slices_are_minutes_and_calendars_have_zones() -> None:
    objective, _ = one(slo(method="Timeslices", metric="timeSliceTarget: 0.9\n      " + COUNTS,
                           window="unit: Month, count: 1, isRolling: false, calendar: {startTime: '2022-12-01 "
                                  "00:00:00', timeZone: Asia/Tokyo}"))
    assert objective.method == Timeslices(timedelta(minutes=1), Target.percent(90))
    assert objective.window == CalendarWindow(
        Period.MONTH, "Asia/Tokyo", 1, datetime(2022, 12, 1))  # noqa: DTZ001  (a wall clock)


def test_what_is_written_is_what_was_read() -> None:
    text = slo() + AGENT
    written = given("nobl9", bundle_of("nobl9", text))
    assert written.losses == ()
    assert sorted(trees(written), key=str) == sorted(trees(text), key=str)


def test_a_query_of_another_source_is_kept_whole_and_named() -> None:
    taken = take("nobl9", slo(metric="value: 1\n      countMetrics: {incremental: false, good: {datadog: {query: "
                                     "'sum:ok'}}, total: {datadog: {query: 'sum:all'}}}") + AGENT)
    (objective,) = taken.bundle.objectives
    assert isinstance(objective.indicator, Indicator)
    assert objective.indicator.total == PromQuery('{"datadog": {"query": "sum:all"}}')
    assert lost(taken) == ["spec.objectives[0].countMetrics.good.datadog",
                           "spec.objectives[0].countMetrics.total.datadog"]


def test_what_nobl9_alone_has_is_lost_by_path_and_place() -> None:
    taken = take("nobl9", slo(more="  attachments: [{url: 'http://docs'}]\n  alertPolicies: [fast]\n").replace(
        "project: default, labels", "project: shop, annotations: {a: b}, labels") + """---
apiVersion: n9/v1alpha
kind: AlertMethod
metadata: {name: slack, project: default}
spec: {slack: {url: x}}
""")
    assert lost(taken) == ["AlertMethod slack", "metadata.project", "metadata.annotations",
                           "spec.indicator.metricSource.name", "spec.attachments", "spec.alertPolicies"]
    assert all(one.where is not None for one in taken.losses)


def policy(conditions: str, severity: str = "High") -> str:
    return f"""---
apiVersion: n9/v1alpha
kind: AlertPolicy
metadata: {{name: fast, project: default}}
spec:
  severity: {severity}
  conditions: {conditions}
  alertMethods: []
"""


def alerting(conditions: str, severity: str = "High") -> Alerting:
    (found,) = bundle_of("nobl9", slo(more="  alertPolicies: [fast]\n") + policy(conditions, severity)).alertings
    assert found.objectives == ("shop",)
    return found


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(("condition", "spends"), [
    # All four say the same over 30 days: 14.4 times, 2 % in an hour (SRE Workbook, ch. 5), 50 hours to spend it all.
    ("{measurement: averageBurnRate, value: 14.4, alertingWindow: 1h, op: gte}", "0.02"),
    ("{measurement: averageBurnRate, value: 14.4, alertingWindow: 1h}, "
     "{measurement: averageBurnRate, value: 14.4, alertingWindow: 5m}", "0.02"),
    ("{measurement: budgetDrop, value: 0.02, alertingWindow: 1h, op: gte}", "0.02"),
    ("{measurement: timeToBurnEntireBudget, value: 50h, alertingWindow: 1h, op: lt}", "0.02"),
])
def test_every_measure_of_burning_is_a_tier(condition: str, spends: str) -> None:
    assert alerting(f"[{condition}]").tiers == (Tier("page", HOUR, Decimal(spends), timedelta()),)


def test_a_spent_share_is_a_budget_alert_and_low_is_a_ticket() -> None:
    found = alerting("[{measurement: burnedBudget, value: 0.8, op: gte}]", "Low")
    assert (found.tiers, found.budget_spent) == ((), (Decimal("0.8"),))
    assert alerting("[{measurement: budgetDrop, value: 0.1, alertingWindow: 1d}]", "Low").tiers == (
        Tier("ticket", timedelta(days=1), Decimal("0.1"), timedelta()),)


def test_a_condition_that_is_no_tier_is_named() -> None:
    taken = take("nobl9", slo(more="  alertPolicies: [fast]\n") + policy(
        "[{measurement: timeToBurnBudget, value: 480h, alertingWindow: 48h, op: lt}, "
        "{measurement: burnedBudget, value: 1.0, lastsFor: 0m, op: lt}]") + AGENT)
    assert lost(taken) == ["spec.conditions[1]", "spec.conditions[0].measurement"]


def test_no_data_is_told_after_the_time_that_is_said() -> None:
    more = "  anomalyConfig: {noData: {alertMethods: [], alertAfter: 1h, treatZeroAsNoData: false}}\n"
    (found,) = bundle_of("nobl9", slo(more=more)).alertings
    assert (found.name, found.absent_for, found.tiers) == ("shop", HOUR, ())


def test_alerting_is_written_as_policies_and_read_again_as_itself() -> None:
    tiers = tuple(tier._replace(hold=timedelta()) for tier in TIERS)
    made = Alerting("oncall", Position(""), objectives=("shop",), tiers=tiers, budget_spent=(Decimal("0.75"),),
                    absent_for=HOUR)
    bundle = replace(bundle_of("nobl9", slo() + AGENT), alertings=(made,))
    written = given("nobl9", bundle)
    assert written.losses == ()
    found = unplaced(again("nobl9", bundle))
    assert [replace(one, name="oncall") for one in found.alertings] == list(unplaced(bundle).alertings)
    assert unplaced(replace(found, alertings=())) == unplaced(replace(bundle, alertings=()))


COMPOSITE = """---
apiVersion: n9/v1alpha
kind: SLO
metadata: {name: buying, project: default}
spec:
  description: a purchase
  budgetingMethod: Occurrences
  objectives:
    - displayName: buying
      name: main
      target: 0.95
      composite:
        maxDelay: 45m0s
        aggregation: Reliability
        components:
          objectives:
            - {project: default, slo: shop, objective: ok, weight: 4, whenDelayed: CountAsBad}
            - {project: other, slo: elsewhere, objective: ok, weight: 1, whenDelayed: Ignore}
  service: web
  timeWindows: [{unit: Hour, count: 1, isRolling: true}]
"""


def test_a_composite_is_a_weighted_journey_of_what_is_there() -> None:
    taken = take("nobl9", slo() + AGENT + COMPOSITE)
    (whole,) = taken.bundle.compositions
    assert (whole.name, whole.combine, whole.parts, whole.target) == (
        "buying", "weighted", (("shop", 4.0),), Target.percent(95))
    path = "spec.objectives[0].composite"
    assert set(lost(taken)) == {f"{path}.maxDelay", path, f"{path}.components.objectives[0].whenDelayed",
                                f"{path}.components.objectives[1].whenDelayed", f"{path}.components.objectives[1]"}
    assert not errors_of(in_catalog(taken.bundle)[1])


@pytest.mark.parametrize(("text", "code"), [
    (slo(target="99.9"), "invalid-value"), (slo(method="Slices"), "unknown-value"),
    (slo(window="unit: Fortnight, count: 1, isRolling: true"), "unknown-value"),
    (slo(window="unit: Month, count: 1, isRolling: true"), "invalid-value"),
    (slo(window="unit: Day, count: 1, isRolling: true, calendar: {timeZone: UTC}"), "one-of"),
    (slo(method="Timeslices"), "missing-field"), (slo(metric="value: 1"), "one-of"),
    (slo(metric=COUNTS.replace("total:", "totals:")), "unknown-field"),
    (slo(metric="value: 1\n      rawMetric: {query: {prometheus: {promql: x}}}"), "missing-field"),
    (slo(metric="value: 1\n      rawMetric: {query: {prometheus: {promql: x}}}\n      op: eq"), "unknown-value"),
    (slo(metric="value: 1\n      rawMetric: {query: {prometheus: {query: x}}}\n      op: lt"), "missing-field"),
    (policy("[{measurement: speed, value: 1}]"), "unknown-value"), (policy("[{}]", "Urgent"), "unknown-value"),
    (policy("[{measurement: budgetDrop, value: lots}]"), "invalid-value"),
    (policy("[{measurement: budgetDrop, value: 0.1, alertingWindow: hour}]"), "invalid-value"),
    (policy("[{measurement: averageBurnRate, value: 0, alertingWindow: 1h}]"), "invalid-value"),
    (policy("[{measurement: timeToBurnEntireBudget, value: 0h, alertingWindow: 1h}]"), "invalid-value"),
])
def test_a_mistake_is_found_with_its_caret(text: str, code: str) -> None:
    assert code in codes("nobl9", text)
    assert all("^" in one.render() for one in errors_of(take("nobl9", text).findings))


def test_what_nobl9_cannot_say_is_named_and_not_bent() -> None:
    objective = bundle_of("nobl9", slo() + AGENT).objectives[0]
    indicator = objective.indicator
    assert isinstance(indicator, Indicator)
    bundle = Bundle((
        replace(objective, name="events", indicator=replace(indicator, total=EventQuery(), good=EventQuery())),
        replace(objective, name="share", indicator=replace(indicator, total=GaugeQuery("r", share="good"), good=None)),
        replace(objective, name="slices", method=RatioTimeslices(timedelta(minutes=1)), owner="team"),
        replace(objective, name="failing", indicator=replace(indicator, bad=PromQuery("err", True), good=None))))
    written = given("nobl9", bundle)
    assert lost(written) == ["events: the whole objective", "share: the whole objective", "slices: RatioTimeslices",
                             "slices: owner", "failing: bad"]
    assert [one["metadata"]["name"] for one in trees(written)] == ["slices", "failing"]  # type: ignore[index]
