"""OpenSLO v1, field by field. The forms are those of the specification (github.com/OpenSLO/OpenSLO, README)."""

# ruff: noqa: DTZ001  (a calendar's startTime is a wall clock)
from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from catalogs import codes, declared, the, warnings
from mainstay.kernel.finding import errors_of
from mainstay.kernel.method import Occurrences, RatioTimeslices, Timeslices
from mainstay.kernel.objective import (
    DataSource,
    Indicator,
    Objective,
    PrometheusDetails,
    Service,
    resolved,
)
from mainstay.kernel.ports import Condition, EventQuery, FileSet, GaugeQuery, PromQuery
from mainstay.kernel.quantity import CalendarWindow, Period, RequestWindow, RollingWindow, Target
from mainstay.slo.spec import Journey

GOOD_TOTAL = """ratioMetric:
        counter: true
        good: {metricSource: {type: Prometheus, spec: {query: 'http_total{code!~"5.."}'}}}
        total: {metricSource: {type: Prometheus, spec: {query: http_total}}}"""


def slo(*, indicator: str = GOOD_TOTAL, objectives: str = "[{target: 0.999}]", window: str = "30d, isRolling: true",
        more: str = "", meta: str = "") -> str:
    return f"""apiVersion: openslo/v1
kind: SLO
metadata: {{name: shop{meta}}}
spec:
  service: web
  indicator:
    metadata: {{name: answers}}
    spec:
      {indicator}
  timeWindow: [{{duration: {window}}}]
  budgetingMethod: Occurrences
  objectives: {objectives}
{more}"""


def objective(**parts: str) -> Objective:
    return the(Objective, slo(**parts))


def test_a_service_has_its_name_title_description_and_owner() -> None:
    one = the(Service, "apiVersion: openslo/v1\nkind: Service\nmetadata: {name: web, displayName: Web, labels: "
                       "{team: [a, b]}, annotations: {mainstay/owner: team-web}}\nspec: {description: the front}\n")
    assert (one.name, one.title, one.description, one.owner) == ("web", "Web", "the front", "team-web")


def test_a_prometheus_is_reached_as_its_details_say() -> None:
    one = the(DataSource, """apiVersion: openslo/v1
kind: DataSource
metadata: {name: prom}
spec:
  type: Prometheus
  connectionDetails: {url: "https://prom:9090", username: u, password_env: PW, headers: {X-Scope-OrgID: 7},
                      verify: false, timeout: 5s, retries: 0, ca_file: ca.pem}
""")
    assert one.type == "prometheus"
    assert one.details == PrometheusDetails("https://prom:9090", "u", "PW", headers={"X-Scope-OrgID": "7"},
                                            ca_file="ca.pem", verify=False, timeout=timedelta(seconds=5), retries=0)


@pytest.mark.parametrize("kind", ["Thanos", "mimir", "VictoriaMetrics"])
def test_what_speaks_the_prometheus_api_is_asked_like_one(kind: str) -> None:
    assert the(DataSource, f"apiVersion: openslo/v1\nkind: DataSource\nmetadata: {{name: p}}\nspec: {{type: {kind}, "
                           "connectionDetails: {url: 'http://p'}}\n").type == "prometheus"


def test_files_of_events_are_found_beside_the_file_that_names_them() -> None:
    one = the(DataSource, """apiVersion: openslo/v1
kind: DataSource
metadata: {name: logs}
spec:
  type: events
  connectionDetails: {paths: ["logs/*.gz", /var/log/a], format: json, fields: {duration: ms}, unique_by: id,
                      where: {method: GET}, timezone: Europe/Berlin}
""")
    assert isinstance(one.details, FileSet)
    assert one.details.paths[0].endswith("/logs/*.gz")
    assert one.details.paths[0].startswith("/")
    assert one.details.paths[1] == "/var/log/a"
    assert one.details.where == (Condition("method", "==", ("GET",)),)


def test_a_source_of_another_kind_is_kept_and_warned_of() -> None:
    # `connectionDetails` is free in OpenSLO; its Go SDK's example has a list there.
    text = ("apiVersion: openslo/v1\nkind: DataSource\nmetadata: {name: dd}\nspec: {type: Datadog, connectionDetails: "
            "[{site: eu}]}\n")
    assert the(DataSource, text).details is None
    assert warnings(text) == ["source-not-asked"]


@pytest.mark.parametrize(("details", "code"), [
    ("{}", "missing-field"), ("{url: 'ftp://x'}", "invalid-value"), ("{url: 'http://x', token: abc}", "secret-in-file"),
    ("{url: 'http://x', retries: 99}", "out-of-range"), ("{url: 'http://x', timeout: soon}", "invalid-value"),
    ("{uri: 'http://x'}", "missing-field"), ("[a]", "wrong-type"),
])
def test_wrong_details_are_findings(details: str, code: str) -> None:
    found = codes(f"apiVersion: openslo/v1\nkind: DataSource\nmetadata: {{name: p}}\nspec: {{type: Prometheus, "
                  f"connectionDetails: {details}}}\n")
    assert code in found


def test_details_may_be_a_list_of_one_entry_each() -> None:
    # So writes the example of OpenSLO's Go SDK.
    one = the(DataSource, "apiVersion: openslo/v1\nkind: DataSource\nmetadata: {name: p}\nspec: {type: Prometheus, "
                          "connectionDetails: [{url: 'http://p'}, {timeout: 5s}]}\n")
    assert one.details == PrometheusDetails("http://p", timeout=timedelta(seconds=5))
    assert codes("apiVersion: openslo/v1\nkind: DataSource\nmetadata: {name: p}\nspec: {type: Prometheus, "
                 "connectionDetails: [{url: 'http://p'}, {url: 'http://q'}]}\n") == ["duplicate-key"]


def test_the_fields_of_a_source_that_cannot_be_asked_are_kept_whole() -> None:
    source = "{metricSource: {type: AppDynamics, spec: {applicationName: shop, metricPath: 'End User|Slow'}}}"
    text = slo(indicator=f"ratioMetric: {{bad: {source}, total: {source}}}")
    indicator = the(Objective, text).indicator
    assert isinstance(indicator, Indicator)
    assert indicator.total == PromQuery('{"applicationName": "shop", "metricPath": "End User|Slow"}')
    assert warnings(text).count("source-not-asked") == 2


@pytest.mark.parametrize("extra", ["op: gt", "value: 1"])
def test_what_a_ratio_is_compared_with_does_nothing_and_is_said(extra: str) -> None:
    # OpenSLO's own examples write `op: gt` beside a ratio metric, which its SDK forbids.
    text = slo(objectives=f"[{{target: 0.999, {extra}}}]")
    assert codes(text) == []
    assert "not-compared" in warnings(text)


def test_an_objective_without_a_window_has_thirty_days_and_says_so() -> None:
    text = slo().replace("  timeWindow: [{duration: 30d, isRolling: true}]\n", "")
    assert the(Objective, text).window == RollingWindow(timedelta(days=30))
    assert "no-window" in warnings(text)


@pytest.mark.parametrize("rest", ["", ", isRolling: true", ", calendar: {timeZone: UTC}"])
def test_one_m_is_a_minute_and_a_month_is_a_large_m(rest: str) -> None:
    # OpenSLO's timeslices example means a month.
    _, findings = declared(slo(window=f"1m{rest}"))
    (found,) = errors_of(findings)
    assert found.mend == "m is minutes: write 1M for months"


def test_a_ratio_of_counters_counts_good_and_total() -> None:
    indicator = objective().indicator
    assert isinstance(indicator, Indicator)
    assert indicator.name == "answers"
    assert (indicator.good, indicator.bad, indicator.total) == (
        PromQuery('http_total{code!~"5.."}', counter=True), None, PromQuery("http_total", counter=True))


def test_without_counter_a_query_is_an_expression() -> None:
    indicator = objective(indicator=GOOD_TOTAL.replace("counter: true", "counter: false")).indicator
    assert isinstance(indicator, Indicator)
    assert indicator.total == PromQuery("http_total", counter=False)


def test_bad_and_total_may_be_conditions_on_events() -> None:
    indicator = objective(indicator="ratioMetric: {bad: {metricSource: {spec: {where: {status: '>=500'}}}}, "
                                    "total: {metricSource: {spec: {}}}}").indicator
    assert isinstance(indicator, Indicator)
    assert indicator.bad == EventQuery((Condition("status", ">=", (500.0,)),))
    assert indicator.total == EventQuery()


@pytest.mark.parametrize(("raw_type", "share"), [("success", "good"), ("failure", "bad")])
def test_a_raw_ratio_is_a_share_already(raw_type: str, share: str) -> None:
    raw = "{metricSource: {spec: {query: r}}}"
    indicator = objective(indicator=f"ratioMetric: {{raw: {raw}, rawType: {raw_type}}}").indicator
    assert isinstance(indicator, Indicator)
    assert indicator.total == GaugeQuery("r", share=share)


@pytest.mark.parametrize(("op", "operator"), [("lte", "<="), ("gte", ">="), ("lt", "<"), ("gt", ">")])
def test_a_threshold_metric_compares_as_its_objective_says(op: str, operator: str) -> None:
    indicator = objective(indicator="thresholdMetric: {metricSource: {spec: {query: temp}}}",
                          objectives=f"[{{target: 0.99, op: {op}, value: 5}}]").indicator
    assert isinstance(indicator, Indicator)
    assert indicator.total == GaugeQuery("temp", operator, 5.0)


SLI = """apiVersion: openslo/v1
kind: SLI
metadata: {name: temp}
spec: {thresholdMetric: {metricSource: {spec: {query: temp}}}}
---
"""
BY_NAME = """apiVersion: openslo/v1
kind: SLO
metadata: {name: cool}
spec: {indicatorRef: temp, timeWindow: [{duration: 1d}], objectives: [%s]}
"""


def test_a_threshold_metric_declared_elsewhere_compares_too() -> None:
    catalog, findings = declared(SLI + BY_NAME % "{target: 0.99, op: lt, value: 5}")
    assert not errors_of(findings)
    assert resolved(catalog.get(Objective, "cool"), catalog).total == GaugeQuery("temp", "<", 5.0)


def test_a_threshold_metric_declared_elsewhere_needs_op_and_value_too() -> None:
    assert codes(SLI + BY_NAME % "{target: 0.99}") == ["missing-field"]


@pytest.mark.parametrize("written",
                         ["target: 0.999", "targetPercent: 99.9", 'targetPercent: "99.90"', 'target: "0.9990"'])
def test_a_target_is_a_ratio_or_a_percentage(written: str) -> None:
    assert objective(objectives=f"[{{{written}}}]").target == Target(Decimal("0.999"))


@pytest.mark.parametrize(("written", "code"), [
    ("{}", "one-of"), ("{target: 0.9, targetPercent: 90}", "one-of"), ("{target: 99.9}", "invalid-value"),
    ("{target: 0}", "invalid-value"), ("{target: .nan}", "invalid-value"), ("{target: sNaN}", "invalid-value"),
    ("{target: abc}", "invalid-value"), ("{target: [1]}", "wrong-type"), ("{targetPercent: 120}", "invalid-value"),
    ("{target: 0.9, op: lte}", "missing-field"), ("{target: 0.9, op: less, value: 1}", "unknown-value"),
    ("{target: 0.9, weight: 1}", "unknown-field"), ("{target: 0.9, compositeWeight: -1}", "out-of-range"),
])
def test_a_wrong_objective_is_one_finding(written: str, code: str) -> None:
    indicator = "thresholdMetric: {metricSource: {spec: {query: temp}}}" if "op" in written else GOOD_TOTAL
    assert codes(slo(indicator=indicator, objectives=f"[{written}]")) == [code]


def test_several_objectives_of_one_indicator_are_objectives_of_their_own() -> None:
    catalog, findings = declared(slo(objectives="[{displayName: Fast!, target: 0.9}, {target: 0.99}]"))
    assert not errors_of(findings)
    assert [(one.name, str(one.target)) for one in catalog.of(Objective)] == [("shop-fast", "90 %"), ("shop-2", "99 %")]
    assert not catalog.of(Journey)


def test_objectives_that_would_share_a_name_are_told_apart() -> None:
    catalog, findings = declared(slo(objectives="[{displayName: '2', target: 0.9}, {target: 0.99}]"))
    assert not errors_of(findings)
    assert len(catalog.of(Objective)) == 2


COMPOSITE = """apiVersion: openslo/v1
kind: SLO
metadata: {name: whole}
spec:
  service: web
  timeWindow: [{duration: 30d}]
  objectives:
    - {displayName: api, target: 0.99, compositeWeight: 2, indicatorRef: a}
    - displayName: db
      target: 0.9
      indicator:
        metadata: {name: own}
        spec: {ratioMetric: {raw: {metricSource: {spec: {query: r}}}, rawType: failure}}
---
apiVersion: openslo/v1
kind: SLI
metadata: {name: a}
spec: {ratioMetric: {good: {metricSource: {spec: {query: g}}}, total: {metricSource: {spec: {query: t}}}}}
"""


def test_objectives_with_indicators_of_their_own_make_a_composite() -> None:
    journey = the(Journey, COMPOSITE)
    assert journey.combine == "composite"
    assert [step.objective for step in journey.steps] == ["whole-api", "whole-db"]
    assert journey.weights == (2.0, 1.0)


def test_a_part_of_a_composite_without_an_indicator_is_found() -> None:
    assert codes(COMPOSITE.replace(", indicatorRef: a", "")) == ["missing-field"]


@pytest.mark.parametrize(("written", "window"), [
    ("30d, isRolling: true", RollingWindow(timedelta(days=30))), ("4w", RollingWindow(timedelta(days=28))),
    ("1M", CalendarWindow(Period.MONTH)), ("1d, isRolling: false", CalendarWindow(Period.DAY)),
    ("1Q, isRolling: false, calendar: {startTime: 2020-01-21 12:30:00, timeZone: America/New_York}",
     CalendarWindow(Period.QUARTER, "America/New_York", 1, datetime(2020, 1, 21, 12, 30))),
    ("1w, calendar: {timeZone: Asia/Kolkata}", CalendarWindow(Period.WEEK, "Asia/Kolkata")),
    ("10k requests", RequestWindow(10_000)),
])
def test_a_time_window_rolls_or_follows_the_calendar(written: str, window: object) -> None:
    assert objective(window=written).window == window


@pytest.mark.parametrize(("written", "code"), [
    ("1M, isRolling: true", "invalid-value"), ("30d, isRolling: true, calendar: {}", "one-of"),
    ("5h, isRolling: false", "invalid-value"), ("30x", "invalid-value"), ("[1d]", "wrong-type"),
    ("1M, calendar: {timeZone: Mars}", "invalid-value"), ("1M, calendar: {startTime: soon}", "invalid-value"),
    ("10k requests, isRolling: false", "invalid-value"), ("1d, isRolling: sometimes", "wrong-type"),
])
def test_a_wrong_time_window_is_one_finding(written: str, code: str) -> None:
    assert codes(slo(window=written)) == [code]


def test_no_time_window_is_a_finding() -> None:
    assert codes(slo().replace("[{duration: 30d, isRolling: true}]", "[]")) == ["missing-field"]


@pytest.mark.parametrize(("name", "fields", "method"), [
    ("Occurrences", "", Occurrences()),
    ("Timeslices", ", timeSliceTarget: 0.95, timeSliceWindow: 1m",
     Timeslices(timedelta(minutes=1), Target.percent(95))),
    ("Timeslices", ", timeSliceTarget: 0.95, timeSliceWindow: 5", Timeslices(timedelta(minutes=5), Target.percent(95))),
    ("RatioTimeslices", ", timeSliceWindow: 1m", RatioTimeslices(timedelta(minutes=1))),
])
def test_the_budgeting_method_is_read(name: str, fields: str, method: object) -> None:
    text = slo(objectives=f"[{{target: 0.99{fields}}}]").replace("Occurrences", name)
    assert the(Objective, text).method == method


@pytest.mark.parametrize(("name", "fields", "code"), [
    ("Timeslices", "", ["missing-field", "missing-field"]), ("RatioTimeslices", "", ["missing-field"]),
    ("Timeslices", ", timeSliceTarget: 2, timeSliceWindow: 1m", ["invalid-value"]),
    ("RatioTimeslices", ", timeSliceWindow: 7m", ["invalid-value"]), ("Minutes", "", ["unknown-value"]),
])
def test_a_wrong_budgeting_method_is_found(name: str, fields: str, code: list[str]) -> None:
    assert codes(slo(objectives=f"[{{target: 0.99{fields}}}]").replace("Occurrences", name)) == code


@pytest.mark.parametrize(("indicator", "code"), [
    ("{}", "one-of"), ("ratioMetric: {}", "one-of"), ("ratioMetric: 5", "wrong-type"),
    ("ratioMetric: {good: {metricSource: {spec: {query: g}}}}", "one-of"),
    ("ratioMetric: {raw: {metricSource: {spec: {query: g}}}}", "missing-field"),
    ("ratioMetric: {raw: {metricSource: {spec: {query: g}}}, rawType: maybe}", "unknown-value"),
    ("ratioMetric: {total: {metricSource: {}}}", "missing-field"),
    ("ratioMetric: {total: {metricSource: {spec: {sql: x}}}}", "missing-field"),
    ("thresholdMetric: {metricSource: {spec: {where: {a: b}}}}", "invalid-value"),
    ("thresholdMetric: {metricSource: {spec: {query: g}}}\n      ratioMetric: {}", "one-of"),
])
def test_a_wrong_indicator_is_one_finding(indicator: str, code: str) -> None:
    assert codes(slo(indicator=indicator)) == [code]


def test_an_indicator_and_a_reference_to_one_are_too_many() -> None:
    assert codes(slo().replace("  service: web", "  indicatorRef: x\n  service: web")) == ["one-of"]


def test_annotations_say_what_openslo_has_no_field_for() -> None:
    one = objective(meta=", annotations: {mainstay/owner: me, mainstay/rationale: why, mainstay/sla: '99.5', "
                         "mainstay/depends-on: 'auth=99.99, db', mainstay/policy: remaining, "
                         "mainstay/review-every: Quarterly, mainstay/review-last: '2026-01-01'}")
    assert (one.owner, one.rationale, one.sla, one.policy) == ("me", "why", Target.percent("99.5"), "remaining")
    assert [(each.service, each.promise) for each in one.dependencies] == [
        ("auth", Target.percent("99.99")), ("db", None)]
    assert one.review is not None
    assert (one.review.every, str(one.review.last)) == (Period.QUARTER, "2026-01-01")


def test_every_wrong_annotation_is_found_once_at_its_line() -> None:
    text = slo(objectives="[{target: 0.9}, {target: 0.99}]").replace("metadata: {name: shop}", """metadata:
  name: shop
  annotations:
    mainstay/sla: "120"
    mainstay/ownr: me
    mainstay/depends-on: "=99.9"
    mainstay/review-every: sometimes
    mainstay/review-last: yesterday""")
    found = errors_of(declared(text)[1])
    assert [(one.where.line, one.code) for one in found] == [
        (6, "invalid-value"), (7, "unknown-field"), (8, "invalid-value"), (9, "invalid-value"), (10, "invalid-value")]


def test_an_sla_above_the_target_is_found() -> None:
    assert codes(slo(meta=", annotations: {mainstay/sla: '99.95'}")) == ["sla-above-target"]


def test_without_a_name_the_rest_is_still_checked() -> None:
    assert codes(slo(objectives="[{target: 5}]", window="x").replace("{name: shop}", "{name: Shop!}")) == [
        "invalid-name", "invalid-value", "invalid-value"]
