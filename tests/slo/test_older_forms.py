"""Forms that teams already have; what had to be assumed is a warning."""

from __future__ import annotations

from datetime import timedelta

import pytest

from catalogs import codes, declared, the, warnings
from mainstay.kernel.finding import Severity, errors_of
from mainstay.kernel.objective import Indicator, Objective, Service
from mainstay.kernel.ports import Condition, EventQuery, GaugeQuery, PromQuery
from mainstay.kernel.quantity import Period, RollingWindow, Target
from mainstay.slo.policy import Freeze, Notify, OpenIncident
from mainstay.slo.policy import Review as ReviewAction
from mainstay.slo.spec import ErrorBudgetPolicy
from seeds import fenced


def slo_v1(sli: str, objective: str = "99.9") -> str:
    return f"""apiVersion: slo/v1
kind: ServiceLevelObjective
metadata: {{name: search-speed, service: search, owner: team-find}}
spec:
  description: most searches are fast
  objective: {objective}
  window: 28d
  sli: {{{sli}}}
  alerting:
    - {{type: burn_rate, severity: page, burn_rate: 14.4, window: 1h}}
"""


def indicator_of(text: str) -> Indicator:
    one = the(Objective, text).indicator
    assert isinstance(one, Indicator)
    return one


def test_an_slo_v1_latency_counts_timed_events_above_the_threshold() -> None:
    one = the(Objective, slo_v1("type: latency, threshold: 300ms"))
    assert (one.service, one.owner, one.target) == ("search", "team-find", Target.percent("99.9"))
    assert one.window == RollingWindow(timedelta(days=28))
    assert isinstance(one.indicator, Indicator)
    assert one.indicator.bad == EventQuery((Condition("duration", "present"), Condition("duration", ">", (0.3,))))


def test_a_percentile_beside_an_objective_is_warned_of() -> None:
    assert "percentile-and-objective" in warnings(slo_v1("type: latency, threshold: 300ms, percentile: 95"))


def test_an_slo_v1_may_name_a_histogram_or_counters() -> None:
    assert indicator_of(slo_v1("type: latency, threshold: 1s, histogram: h")).total == PromQuery("h_count", True)
    assert indicator_of(slo_v1("type: availability, bad: b, total: t")).bad == PromQuery("b", True)


@pytest.mark.parametrize(("sli", "code"), [
    ("type: latency", "missing-field"), ("threshold: 1s", "missing-field"),
    ("type: latncy, threshold: 1s", "unknown-value"),
    ("type: latency, threshold: quick", "invalid-value"),
    ("type: latency, threshold: 1s, histogram: 'h['", "invalid-value"),
    ("type: latency, threshold: 1s, percentile: 200", "out-of-range"),
    ("type: availability, goood: x", "unknown-field"),
])
def test_a_wrong_slo_v1_indicator_is_one_finding(sli: str, code: str) -> None:
    assert codes(slo_v1(sli)) == [code]


def entry(more: str) -> str:
    return f"slos:\n  - {{name: up, window: 30d, {more}}}\n"


RATIO = "target: 99.9, sli: {query: \"%s\", unit: percent, target_type: availability}"


def test_a_list_entry_whose_query_divides_rates_is_counted_apart() -> None:
    one = indicator_of(entry(RATIO % "sum(rate(ok[5m])) / sum(rate(all[5m])) * 100"))
    assert (one.good, one.total) == (PromQuery("ok", True), PromQuery("all", True))


@pytest.mark.parametrize(("query", "share"), [("a / b * 100", "a / b"), ("avg(up)", "(avg(up)) / 100")])
def test_another_ratio_becomes_a_share_and_is_warned_of(query: str, share: str) -> None:
    assert indicator_of(entry(RATIO % query)).total == GaugeQuery(share, share="good")
    assert "ratio-query" in warnings(entry(RATIO % query))


def test_a_list_entry_with_good_and_total_needs_no_query() -> None:
    one = indicator_of(entry("target: 99.9, sli: {good: g, total: t, target_type: availability}"))
    assert (one.good, one.total) == (PromQuery("g", True), PromQuery("t", True))


def test_the_calculator_s_config_is_one_hint_that_names_its_reader() -> None:
    catalog, findings = declared("""slos:
  - {name: checkout availability, slo: 99.95, window: 30, current_availability: 99.97, weight: 0.6}
  - {name: checkout latency, slo: 99.5, latency: {threshold: 300ms, total: 1000000, slow: 2000}}
""")
    assert not catalog.of(Objective)
    assert [(one.code, one.severity, one.where.line) for one in findings] == [("left-alone", Severity.HINT, 1)]
    assert "scripts/calculate_slo_budget.py --config" in findings[0].mend


def test_a_list_that_is_only_in_part_the_calculator_s_is_checked_whole() -> None:
    assert "unknown-field" in codes("""slos:
  - {name: a, slo: 99.95, window: 30d}
  - {name: b, window: 30d, target: 99.9, sli: {target_type: availability, good: g, total: t}}
""")


@pytest.mark.parametrize(("kind", "operator"), [("latency", "<="), ("throughput", ">=")])
def test_a_threshold_is_no_share_so_95_percent_is_assumed_and_said(kind: str, operator: str) -> None:
    # For latency lower is better; 500 milliseconds are not an objective in percent.
    text = entry(f"target: 500, sli: {{query: q, unit: milliseconds, target_type: {kind}}}")
    one = the(Objective, text)
    assert one.target == Target.percent(95)
    assert isinstance(one.indicator, Indicator)
    assert one.indicator.total == GaugeQuery("q", operator, 500.0)
    assert "no-objective" in warnings(text)


@pytest.mark.parametrize(("more", "code"), [
    ("target: 99.9, sli: {target_type: availability}", ["missing-field"]),
    ("target: 999, sli: {query: a / b, target_type: availability}", ["invalid-value"]),
    ("target: 99, sli: {query: q, target_type: speed}", ["unknown-value"]), ("target: 99.9", ["missing-field"]),
    ("target: x, objective: 95, sli: {query: q, target_type: latency}", ["wrong-type"]),
])
def test_a_wrong_list_entry_is_found(more: str, code: list[str]) -> None:
    assert codes(entry(more)) == code


DOCUMENT = """slo_document:
  metadata: {service: pay, owner: team-pay, version: "3", last_updated: "2026-01-15", review_frequency: Quarterly}
  objectives:
    - name: Availability of payments
      sli: {metric: answers, definition: "status_code < 500", exclusions: [declined cards]}
      target: "99.95%"
      window: 30 days rolling
      rationale: money
    - name: Speed (p95)
      sli: {metric: time to answer, definition: from request to response}
      target: "< 300ms"
      window: 30 days rolling
    - name: Correctness
      sli: {metric: settled, definition: settled or not}
      target: "99.99%"
      window: 30 days rolling
  error_budget_policy:
    current_budget: 21.6 minutes
    consumption_50: {action: go on, cadence: as usual}
    consumption_90: {action: Feature freeze, notification: heads, requirements: a plan}
    consumption_100: {action: "Full freeze, all hands", notification: everybody}
  measurement:
    data_source: Prometheus
    queries:
      correctness: sum(rate(settled[30d])) / sum(rate(tried[30d]))
    dashboard: https://example.org
    alerting: pager
  dependencies: [{service: auth, slo_dependency: 99.99%, impact: direct}]
  review_schedule: {quarterly_review: {participants: [sre], agenda: [look]}}
"""


def test_the_slo_document_declares_its_service_and_objectives() -> None:
    catalog, findings = declared(DOCUMENT)
    assert not errors_of(findings)
    assert [(one.name, one.owner) for one in catalog.of(Service)] == [("pay", "team-pay")]
    assert [(one.name, str(one.target)) for one in catalog.of(Objective)] == [
        ("pay-availability-of-payments", "99.95 %"), ("pay-speed-p95", "95 %"), ("pay-correctness", "99.99 %")]


def test_the_slo_document_s_words_become_what_is_counted() -> None:
    catalog, _ = declared(DOCUMENT)
    up, fast, right = (one.indicator for one in catalog.of(Objective))
    assert isinstance(up, Indicator)
    assert up.bad == EventQuery((Condition("status", ">=", (500.0,)),))
    assert isinstance(fast, Indicator)
    assert fast.threshold == timedelta(milliseconds=300)
    assert isinstance(right, Indicator)
    assert (right.good, right.total) == (PromQuery("settled", True), PromQuery("tried", True))


def test_the_slo_document_s_review_and_dependencies_are_every_objective_s() -> None:
    catalog, _ = declared(DOCUMENT)
    for one in catalog.of(Objective):
        assert one.review is not None
        assert (one.review.every, one.review.participants) == (Period.QUARTER, ("sre",))
        assert [each.service for each in one.dependencies] == ["auth"]
        assert one.policy == "pay-policy"


def test_the_slo_document_s_policy_has_actions_that_can_run() -> None:
    zones = the(ErrorBudgetPolicy, DOCUMENT).policy.zones
    assert [(zone.name, zone.edge) for zone in zones] == [
        ("healthy", 0), ("50 % spent", 0.5), ("90 % spent", 0.9), ("100 % spent", 1.0)]
    assert zones[2].actions[0] == Freeze("feature")
    assert isinstance(zones[2].actions[1], Notify)
    assert zones[2].actions[2] == ReviewAction("a plan")
    assert zones[3].actions[0] == Freeze("all-changes")
    assert isinstance(zones[3].actions[-1], OpenIncident)


def test_an_objective_in_words_only_has_no_data_and_is_warned_of() -> None:
    text = DOCUMENT.replace("      correctness: sum(rate(settled[30d])) / sum(rate(tried[30d]))\n", "      other: x\n")
    assert "words-only" in warnings(text)


@pytest.mark.parametrize(("right", "wrong", "code"), [
    ("Speed (p95)", "Speed", "missing-field"), ('"< 300ms"', '"< fast"', "invalid-value"),
    ('"99.95%"', '"120%"', "invalid-value"),
    ("Quarterly", "Sometimes", "invalid-value"), ("consumption_50", "consumption_half", "unknown-field"),
    ("window: 30 days rolling\n      rationale", "window: a while\n      rationale", "invalid-value"),
    ("slo_dependency: 99.99%", "slo_dependency: 0", "invalid-value"),
])
def test_a_wrong_slo_document_is_one_finding(right: str, wrong: str, code: str) -> None:
    assert codes(DOCUMENT.replace(right, wrong)) == [code]


@pytest.mark.parametrize(("start", "objectives"), [
    ("apiVersion: slo/v1", 1), ("slos:", 2), ("slo_document:", 3), ("apiVersion: policy/v1", 0),
])
def test_the_documents_mainstay_started_from_load(start: str, objectives: int) -> None:
    catalog, findings = declared(fenced(start))
    assert not errors_of(findings)
    assert len(catalog.of(Objective)) == objectives
    assert len(catalog.of(ErrorBudgetPolicy)) == (1 if start in ("slo_document:", "apiVersion: policy/v1") else 0)
