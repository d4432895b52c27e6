"""The slok operator's resources: templates, alerts, and compositions as journeys."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from mainstay.kernel.finding import errors_of
from mainstay.kernel.objective import Indicator
from mainstay.kernel.ports import PromQuery
from mainstay.kernel.quantity import RollingWindow, Target
from mainstay.stats.budget import Tier
from monitoring.taken import bundle_of, codes, in_catalog, lost, take

QUERY = "query: {totalQuery: 'http_total{job=\"a\"}', errorQuery: 'http_total{job=\"a\",status=~\"5..\"}'}"


def slo(name: str = "base", sli: str = QUERY, *, more: str = "", target: str = "99.9", window: str = "30d") -> str:
    return f"""---
apiVersion: observability.slok.io/v1alpha1
kind: ServiceLevelObjective
metadata: {{name: {name}}}
spec:
  displayName: Base
  objective:
    name: availability
    target: {target}
    window: {window}
    sli:
      {sli}
{more}"""


def counted(sli: str) -> Indicator:
    (objective,) = bundle_of("slok", slo(sli=sli)).objectives
    assert isinstance(objective.indicator, Indicator)
    return objective.indicator


def test_queries_are_counters() -> None:
    taken = take("slok", slo())
    (objective,) = taken.bundle.objectives
    assert taken.losses == ()
    assert (objective.name, objective.title, objective.target) == ("base", "Base", Target.percent("99.9"))
    assert objective.window == RollingWindow(timedelta(days=30))
    assert counted(QUERY).bad == PromQuery('http_total{job="a",status=~"5.."}', True)


@pytest.mark.parametrize(("template", "part", "total"), [
    ("{name: http-availability, labels: {job: a}}", 'http_requests_total{job="a",status=~"5.."}',
     'http_requests_total{job="a"}'),
    ("{name: kubernetes-apiserver, params: {errorCodes: '[45]..'}}", 'apiserver_request_total{code=~"[45].."}',
     "apiserver_request_total"),
    ("{name: http-latency, labels: {job: a}, params: {threshold: '0.5'}}",
     'http_request_duration_seconds_bucket{job="a",le="0.5"}', 'http_request_duration_seconds_count{job="a"}'),
])
def test_templates_are_worked_out(template: str, part: str, total: str) -> None:
    indicator = counted(f"template: {template}")
    assert (indicator.good or indicator.bad, indicator.total) == (PromQuery(part, True), PromQuery(total, True))


def test_alerts_are_tiers_by_what_they_consume() -> None:
    more = """    alerting:
      burnRateAlerts:
        enabled: true
        alerts: [{name: fast, consumePercent: 2, consumeWindow: 1h, longWindow: 1h, shortWindow: 5m,
                  severity: critical},
                 {name: slow, consumePercent: 10, consumeWindow: 3d, longWindow: 6h, shortWindow: 1h, severity: info}]
      budgetErrorAlerts: {enabled: true, alerts: [{name: low, percent: 10, severity: warning}]}
"""
    taken = take("slok", slo(more=more))
    (alerting,) = taken.bundle.alertings
    assert alerting.tiers is not None
    assert alerting.tiers[0] == Tier("page", timedelta(hours=1), Decimal("0.02"), timedelta())
    assert round(alerting.tiers[1].spends, 9) == round(Decimal("0.1") / 12, 9)
    assert alerting.budget_spent == (Decimal("0.9"),)
    path = "spec.objective.alerting.burnRateAlerts.alerts"
    assert {f"{path}[1].shortWindow", f"{path}[1].severity", f"{path}[0].name"} <= set(lost(taken))


def test_the_operators_own_burns_are_those_that_can_be_meant() -> None:
    (alerting,) = bundle_of("slok", slo(more="    alerting: {burnRateAlerts: {enabled: true}}\n")).alertings
    assert [(tier.severity, tier.long) for tier in alerting.tiers or ()] == [
        ("page", timedelta(hours=1)), ("ticket", timedelta(hours=6)), ("ticket", timedelta(days=3))]
    (silent,) = bundle_of("slok", slo(more="    alerting: {burnRateAlerts: {enabled: false}}\n")).alertings
    assert silent.tiers == ()


def composition(kind: str, params: str = "") -> str:
    return f"""---
apiVersion: observability.slok.io/v1alpha1
kind: SLOComposition
metadata: {{name: checkout}}
spec:
  target: 99.9
  window: 30d
  objectives: [{{name: b, ref: {{name: base}}}}, {{name: p, ref: {{name: pay}}}}]
  composition: {{type: {kind}{params}}}
"""


def test_and_min_is_a_serial_journey_and_says_how_it_differs() -> None:
    taken = take("slok", slo() + slo("pay") + composition("AND_MIN"))
    (journey,) = taken.bundle.compositions
    assert (journey.combine, journey.parts, journey.target) == ("serial", (("base", 1.0), ("pay", 1.0)),
                                                                Target.percent("99.9"))
    assert "spec.composition.type" in lost(taken)
    assert not errors_of(in_catalog(taken.bundle)[1])


ROUTES = ", params: {routes: [{name: plain, weight: 0.9, chain: [b]}, {name: paid, weight: 0.1, chain: [b, p]}]}"


def test_routes_are_journeys_whose_weights_are_lost() -> None:
    taken = take("slok", slo() + slo("pay") + composition("WEIGHTED_ROUTES", ROUTES))
    assert [(one.name, one.parts) for one in taken.bundle.compositions] == [
        ("checkout-plain", (("base", 1.0),)), ("checkout-paid", (("base", 1.0), ("pay", 1.0)))]
    assert lost(taken).count("spec.composition.params.routes[0].weight") == 1


def test_a_composition_of_what_is_not_there_is_named() -> None:
    assert "SLOComposition checkout" in lost(take("slok", slo() + composition("AND_MIN")))


@pytest.mark.parametrize(("text", "code"), [
    (slo(target="199"), "invalid-value"), (slo(window="month"), "invalid-value"), (slo(sli="{}"), "one-of"),
    (slo(sli="template: {name: http}"), "unknown-value"), (slo(sli="query: {totalQuery: x}"), "missing-field"),
    (slo(sli="template: {name: http-latency, params: {threshold: fast}}"), "invalid-value"),
    (slo().replace("kind: Service", "kind: Servce"), "unknown-kind"), (composition("OR"), "unknown-value"),
    (composition("WEIGHTED_ROUTES"), "missing-field"),
    (composition("WEIGHTED_ROUTES", ROUTES.replace("[b, p]", "[b, q]")), "unknown-reference"),
])
def test_a_mistake_is_found(text: str, code: str) -> None:
    assert code in codes("slok", text)


def test_weights_that_do_not_make_one_are_said() -> None:
    findings = take("slok", slo() + slo("pay") + composition("WEIGHTED_ROUTES", ROUTES.replace("0.1", "0.2"))).findings
    assert [one.code for one in findings] == ["weights-not-one"]
