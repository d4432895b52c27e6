"""OpenSLO v1, v1alpha and v2alpha as a bundle: what each field becomes, what is lost, what is a mistake."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from mainstay.kernel.finding import errors_of
from mainstay.kernel.method import RatioTimeslices, Timeslices
from mainstay.kernel.objective import Indicator, Objective
from mainstay.kernel.ports import GaugeQuery, PromQuery
from mainstay.kernel.quantity import CalendarWindow, Period, RollingWindow, Target
from mainstay.stats.budget import Tier
from monitoring.taken import bundle_of, codes, in_catalog, lost, take

RATIO = """ratioMetric:
        counter: true
        good: {metricSource: {metricSourceRef: prom, type: Prometheus, spec: {query: 'sum(http_total{code!~"5.."})'}}}
        total: {metricSource: {metricSourceRef: prom, type: Prometheus, spec: {query: http_total}}}"""
SOURCE = """---
apiVersion: openslo/v1
kind: DataSource
metadata: {name: prom}
spec: {type: Prometheus, connectionDetails: {url: 'http://prometheus:9090'}}
"""


def slo(*, indicator: str = RATIO, objectives: str = "[{target: 0.999}]", window: str = "duration: 30d",
        method: str = "Occurrences", more: str = "") -> str:
    return f"""apiVersion: openslo/v1
kind: SLO
metadata: {{name: shop, displayName: Shop, labels: {{team: [a, b]}}}}
spec:
  service: web
  description: the shop answers
  indicator:
    metadata: {{name: answers}}
    spec:
      {indicator}
  timeWindow: [{{{window}}}]
  budgetingMethod: {method}
  objectives: {objectives}
{more}"""


def one(text: str) -> tuple[Objective, Indicator]:
    (objective,) = bundle_of("openslo", text).objectives
    assert isinstance(objective.indicator, Indicator)
    return objective, objective.indicator


def test_an_objective_is_read_with_its_indicator_inline() -> None:
    objective, indicator = one(slo() + SOURCE)
    assert (objective.name, objective.service, objective.title) == ("shop", "web", "Shop")
    assert (objective.target, objective.window) == (Target.percent("99.9"), RollingWindow(timedelta(days=30)))
    assert objective.labels == {"team": "a,b"}
    assert (indicator.name, indicator.source) == ("answers", "prom")
    assert indicator.good == PromQuery('http_total{code!~"5.."}', True)
    assert indicator.total == PromQuery("http_total", True)


def test_an_indicator_is_fetched_by_its_name_from_another_document() -> None:
    inline = slo()
    start, stop = inline.index("  indicator:"), inline.index("  timeWindow")
    referring = inline[:start] + "  indicatorRef: answers\n" + inline[stop:]
    sli = f"---\napiVersion: openslo/v1\nkind: SLI\nmetadata: {{name: answers}}\nspec:\n      {RATIO}\n"
    assert one(referring + sli)[1].good == PromQuery('http_total{code!~"5.."}', True)
    assert codes("openslo", referring) == ["unknown-reference"]


def test_an_indicator_that_nobody_refers_to_is_lost_by_name() -> None:
    taken = take("openslo", f"apiVersion: openslo/v1\nkind: SLI\nmetadata: {{name: x}}\nspec:\n      {RATIO}\n")
    assert lost(taken) == ["SLI x"]


@pytest.mark.parametrize(("op", "operator"), [("lt", "<"), ("lte", "<="), ("gt", ">"), ("gte", ">=")])
def test_a_threshold_is_compared_as_its_objective_says(op: str, operator: str) -> None:
    objective, indicator = one(slo(indicator="thresholdMetric: {metricSource: {spec: {query: p99}}}",
                                   objectives=f"[{{target: 0.99, op: {op}, value: 0.5}}]"))
    assert indicator.total == GaugeQuery("p99", operator, 0.5)
    assert objective.comparison == (operator, 0.5)


@pytest.mark.parametrize(("kind", "share"), [("success", "good"), ("failure", "bad")])
def test_a_raw_ratio_is_a_share(kind: str, share: str) -> None:
    raw = f"ratioMetric: {{rawType: {kind}, raw: {{metricSource: {{spec: {{query: r}}}}}}}}"
    assert one(slo(indicator=raw))[1].total == GaugeQuery("r", share=share)


def test_a_calendar_window_keeps_its_zone_and_start() -> None:
    window = "duration: 1M, isRolling: false, calendar: {startTime: '2022-01-01 12:00:00', timeZone: Europe/Berlin}"
    assert one(slo(window=window))[0].window == CalendarWindow(
        Period.MONTH, "Europe/Berlin", 1, datetime(2022, 1, 1, 12))  # noqa: DTZ001  (a wall clock)


def test_the_budgeting_methods_are_read() -> None:
    sliced = "[{target: 0.99, timeSliceTarget: 0.95, timeSliceWindow: 5}]"
    assert one(slo(method="Timeslices", objectives=sliced))[0].method == Timeslices(
        timedelta(minutes=5), Target.percent(95))
    assert one(slo(method="RatioTimeslices", objectives="[{target: 0.99, timeSliceWindow: 1m}]"))[0].method == \
        RatioTimeslices(timedelta(minutes=1))


def test_a_composite_is_a_journey_by_its_weights() -> None:
    part = ("{{displayName: {0}, target: 0.99, compositeWeight: {1}, indicator: {{metadata: {{name: {0}}}, spec: "
            "{{thresholdMetric: {{metricSource: {{spec: {{query: {0}}}}}}}}}}}, op: lt, value: 1}}")
    text = slo(objectives=f"[{part.format('fast', 2)}, {part.format('slow', 1)}]")
    start, stop = text.index("  indicator:\n"), text.index("  timeWindow")
    bundle = bundle_of("openslo", text[:start] + text[stop:])
    (whole,) = bundle.compositions
    assert (whole.combine, whole.parts) == ("composite", (("shop-fast", 2.0), ("shop-slow", 1.0)))
    catalog, findings = in_catalog(bundle)
    assert not errors_of(findings), findings
    assert [type(one).__name__ for some in catalog.resources.values() for one in some.values()].count("Journey") == 1


CONDITION = """---
apiVersion: openslo/v1
kind: AlertCondition
metadata: {name: fast}
spec: {severity: page, condition: {kind: burnrate, op: gt, threshold: 14.4, lookbackWindow: 1h, alertAfter: 2m}}
"""
POLICY = """---
apiVersion: openslo/v1
kind: AlertPolicy
metadata: {name: oncall}
spec: {alertWhenNoData: true, alertWhenBreaching: true, conditions: [{conditionRef: fast}],
       notificationTargets: [{targetRef: page}]}
"""


def test_a_burn_rate_condition_is_a_tier_of_whoever_refers_to_it() -> None:
    bundle = bundle_of("openslo", slo(more="  alertPolicies: [{alertPolicyRef: oncall}]\n") + POLICY + CONDITION)
    (alerting,) = bundle.alertings
    assert (alerting.name, alerting.objectives) == ("oncall", ("shop",))
    # 14.4 in one of 720 hours spends 2 % (SRE Workbook, ch. 5).
    assert alerting.tiers == (Tier("page", timedelta(hours=1), Decimal("0.02"), timedelta(minutes=2)),)
    assert alerting.absent_for == timedelta(minutes=15)


def test_what_alerting_cannot_say_is_lost_by_path() -> None:
    policy = POLICY.replace("alertWhenNoData: true", "alertWhenResolved: true").replace(
        "[{targetRef: page}]", "[{kind: AlertNotificationTarget, metadata: {name: m}, spec: {target: email}}]")
    taken = take("openslo", slo(more="  alertPolicies: [{alertPolicyRef: oncall}]\n") + policy
                 + CONDITION.replace("severity: page", "severity: warning").replace("op: gt", "op: gte"))
    assert lost(taken) == ["spec.alertWhenResolved", "spec.severity", "spec.condition.op",
                           "spec.notificationTargets[0]"]
    assert all(loss.where is not None and loss.where.line > 1 for loss in taken.losses)


def test_a_condition_below_the_threshold_is_no_tier() -> None:
    taken = take("openslo", CONDITION.replace("gt", "lte"))
    assert [finding.code for finding in taken.findings] == ["alert-below"]
    assert "spec.condition.op" in lost(taken)


def test_one_policy_over_two_windows_spends_differently() -> None:
    text = slo(more="  alertPolicies: [{alertPolicyRef: oncall}]\n")
    other = text.replace("name: shop,", "name: week,").replace("30d", "7d")
    alertings = bundle_of("openslo", text + "\n---\n" + other + POLICY + CONDITION).alertings
    assert [one.name for one in alertings] == ["oncall", "oncall-2"]
    spends = [tier.spends for one in alertings for tier in one.tiers or ()]
    assert [round(share, 6) for share in spends] == [Decimal("0.02"), Decimal("0.085714")]


@pytest.mark.parametrize(("text", "code", "line"), [
    (slo(objectives="[{target: 99.9}]"), "invalid-value", 16),
    (slo(objectives="[{target: 0.9, targetPercent: 90}]"), "one-of", 16),
    (slo(objectives="[]"), "missing-field", 16), (slo(window="duration: 1m"), "invalid-value", 14),
    (slo(window="duration: 30d}, {duration: 7d"), "out-of-range", 14),
    (slo(method="Slices"), "unknown-value", 15), (slo(objectives="[{target: 0.9, weight: 1}]"), "unknown-field", 16),
    (slo(indicator="ratioMetric: {good: {metricSource: {spec: {query: x}}}}"), "one-of", 10),
    (slo(indicator="thresholdMetric: {metricSource: {spec: {query: x}}}"), "missing-field", 13),
    (slo().replace("kind: SLO", "kind: SLOs"), "unknown-kind", 2),
])
def test_a_mistake_has_its_line_and_its_caret(text: str, code: str, line: int) -> None:
    found = errors_of(take("openslo", text).findings)
    assert [one.code for one in found] == [code]
    if code not in ("one-of", "missing-field"):
        assert found[0].where.line == line
    assert "^" in found[0].render()


def test_a_month_written_as_minutes_is_mended_so() -> None:
    (found,) = errors_of(take("openslo", slo(window="duration: 1m, isRolling: false")).findings)
    assert found.mend == "m is minutes: write 1M for months"


V2 = """apiVersion: openslo.com/v2alpha
kind: SLO
metadata: {name: shop, labels: {team: a}}
spec:
  serviceRef: web
  sli:
    metadata: {name: answers}
    spec:
      ratioMetric:
        counter: true
        good: {dataSourceRef: prom, spec: {query: 'http_total{code!~"5.."}'}}
        total: {dataSourceRef: prom, spec: {query: http_total}}
  timeWindow: [{duration: 4w, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{targetPercent: 99.9}]
"""


def test_v2alpha_says_the_same_in_other_words() -> None:
    (objective,) = bundle_of("openslo-v2alpha", V2).objectives
    assert isinstance(objective.indicator, Indicator)
    assert (objective.service, objective.indicator.source) == ("web", "prom")
    assert objective.indicator.total == PromQuery("http_total", True)
    assert codes("openslo-v2alpha", V2.replace("dataSourceRef: prom", "metricSourceRef: prom", 1)) == ["unknown-field"]


def test_v2alpha_may_hold_a_data_source_inline() -> None:
    inline = V2.replace("dataSourceRef: prom", "dataSourceSpec: {type: Prometheus, connectionDetails: "
                        "{url: 'http://p', accessToken: s}}", 1)
    taken = take("openslo-v2alpha", inline)
    assert [one.name for one in taken.bundle.sources] == ["prometheus-inline"]
    assert any("accessToken" in what for what in lost(taken))


V1ALPHA = """apiVersion: openslo/v1alpha
kind: SLO
metadata: {name: shop, displayName: Shop}
spec:
  service: web
  budgetingMethod: Timeslices
  objectives:
    - displayName: Good
      target: 0.98
      timeSliceTarget: 0.9
      ratioMetrics:
        incremental: true
        good: {source: datadog, queryType: query, query: 'sum:ok'}
        total: {source: datadog, queryType: query, query: 'sum:all'}
  timeWindows: [{unit: Month, count: 1, isRolling: false, calendar: {startTime: 2021-05-01 00:00:00, timeZone: UTC}}]
"""


def test_v1alpha_has_its_ratio_within_the_objective() -> None:
    taken = take("openslo-v1alpha", V1ALPHA)
    (objective,) = taken.bundle.objectives
    assert objective.window == CalendarWindow(Period.MONTH, "UTC", 1, datetime(2021, 5, 1))  # noqa: DTZ001
    assert objective.method == Timeslices(timedelta(minutes=1), Target.percent(90))
    assert [one.type for one in taken.bundle.sources] == ["datadog"]
    assert lost(taken) == ["spec.objectives[0].timeSliceTarget"]


def test_v1alpha_compares_a_threshold() -> None:
    text = V1ALPHA.replace("Timeslices", "Occurrences")
    start, stop = text.index("    - displayName"), text.index("  timeWindows")
    text = (text[:start] + "    - {displayName: Good, target: 0.9, op: gt, value: 2000}\n  indicator: "
            "{thresholdMetric: {source: prometheus, queryType: promql, query: latency}}\n" + text[stop:])
    (objective,) = bundle_of("openslo-v1alpha", text).objectives
    assert isinstance(objective.indicator, Indicator)
    assert objective.indicator.total == GaugeQuery("latency", ">", 2000)
    assert codes("openslo-v1alpha", text.replace("op: gt", "op: over")) == ["unknown-value"]
    assert codes("openslo-v1alpha", text.replace("unit: Month", "unit: Fortnight")) == ["unknown-value"]
