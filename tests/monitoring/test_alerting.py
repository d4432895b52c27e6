"""`kind: Alerting`: what is read, and every mistake with its place."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from mainstay.app import grammar
from mainstay.kernel.catalog import Catalog, load
from mainstay.kernel.finding import Finding, errors_of
from mainstay.kernel.objective import Objective
from mainstay.monitoring.spec import Alerting, LowTraffic, alerting_of
from mainstay.stats.budget import Tier

OBJECTIVE = """
apiVersion: mainstay/v1
kind: Objective
metadata: {name: %s, service: shop}
spec:
  indicator: {type: availability, source: prom, total: 'http_total{job="a"}', bad: 'http_total{job="a",code=~"5.."}'}
  target: %s
---
apiVersion: openslo/v1
kind: DataSource
metadata: {name: prom}
spec: {type: Prometheus, connectionDetails: {url: "http://127.0.0.1:9"}}
"""


def declared(spec: str, target: str = "99.9", more: str = "") -> tuple[Catalog, list[Finding]]:
    alerting = f"---\napiVersion: mainstay/v1\nkind: Alerting\nmetadata: {{name: all}}\nspec: {spec}\n"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "a.yaml")
        file.write_text(OBJECTIVE % ("checkout", target) + alerting + more)
        return load([file], grammar())


def errors(spec: str, **more: str) -> list[str]:
    return [finding.code for finding in errors_of(declared(spec, **more)[1])]


def warned(spec: str, **more: str) -> dict[str, str]:
    return {finding.code: finding.message for finding in declared(spec, **more)[1] if finding.severity == "warning"}


def test_everything_that_can_be_said_is_read():
    catalog, findings = declared("""
      objectives: [checkout]
      group_by: [cluster]
      interval: 15s
      scrape: 15s
      retention: 40d
      runbook: "https://runbooks/$slo"
      labels: {team: pay}
      annotations: {dashboard: "https://grafana/${service}/{{ $labels.cluster }}"}
      absent_for: never
      budget_spent: [50%, 100%]
      low_traffic: {gate: beta-binomial, confidence: 99%}
      tiers: [{severity: ticket, long: 1d, spends: 10%}, {severity: page, long: 1h, spends: 2%, for: 1m}]
    """)
    assert not errors_of(findings)
    (said,) = catalog.of(Alerting)
    hour, minute = timedelta(hours=1), timedelta(minutes=1)
    assert said == Alerting(
        "all", said.origin, ("checkout",), (), ("cluster",),
        (Tier("page", hour, Decimal("0.02"), minute), Tier("ticket", 24 * hour, Decimal("0.1"), hour)),
        (Decimal("0.5"), Decimal(1)), None, minute / 4, minute / 4, timedelta(days=40),
        LowTraffic("beta-binomial", Decimal("0.99")), "https://runbooks/$slo", {"team": "pay"},
        {"dashboard": "https://grafana/${service}/{{ $labels.cluster }}"})


def test_who_names_the_objective_speaks_before_who_names_its_service():
    other = "---\napiVersion: mainstay/v1\nkind: Alerting\nmetadata: {name: one}\nspec: {objectives: [checkout]}\n"
    catalog, findings = declared("{services: [shop]}", more=other)
    assert not errors_of(findings)
    assert alerting_of(catalog.get(Objective, "checkout"), catalog).name == "one"


@pytest.mark.parametrize(("spec", "code"), [
    ("{objectives: [chekout]}", "unknown-reference"),
    ("{services: [shopp]}", "unknown-reference"),
    ("{intervall: 30s}", "unknown-field"),
    ("{interval: 7s}", "invalid-value"),
    ("{interval: 40s}", "invalid-value"),
    ("{scrape: 10m}", "invalid-value"),
    ("{group_by: [slo]}", "invalid-name"),
    ("{group_by: [a-b]}", "invalid-name"),
    ("{labels: {severity: page}}", "invalid-name"),
    ("{labels: {a-b: page}}", "invalid-name"),
    ("{annotations: {a-b: x}}", "invalid-name"),
    ('{runbook: "https://x/$objective"}', "unknown-variable"),
    ('{annotations: {x: "$team"}}', "unknown-variable"),
    ('{annotations: {x: "{{ $lables.cluster }}"}}', "unknown-variable"),
    ("{budget_spent: [0%]}", "invalid-value"),
    ("{budget_spent: [120%]}", "invalid-value"),
    ("{absent_for: soon}", "invalid-value"),
    ("{low_traffic: {gate: bayes}}", "unknown-value"),
    ("{low_traffic: {confidence: 40%}}", "invalid-value"),
    ("{tiers: [{severity: page, long: 1h}]}", "missing-field"),
    ("{tiers: [{severity: fax, long: 1h, spends: 2%}]}", "unknown-value"),
    ("{tiers: [{severity: page, long: 7m, spends: 2%}]}", "invalid-value"),
    ("{tiers: [{severity: page, long: 1h, spends: 2%}, {severity: page, long: 60m, spends: 3%}]}", "duplicate-name"),
    ("[1, 2]", "wrong-type"),
    ("{", "not-yaml"),
])
def test_a_mistake_is_a_finding_with_its_place(spec, code):
    _, findings = declared(spec)
    found = errors_of(findings)
    assert code in [finding.code for finding in found]
    assert all(finding.where.line > 1 and finding.render() for finding in found)


def test_two_that_speak_of_the_same_are_told():
    other = "---\napiVersion: mainstay/v1\nkind: Alerting\nmetadata: {name: two}\nspec: %s\n"
    assert errors("{objectives: [checkout]}", more=other % "{objectives: [checkout]}") == ["alerting-twice"]
    assert errors("{services: [shop]}", more=other % "{services: [shop]}") == ["alerting-twice"]
    assert errors("{interval: 30s}", more=other % "{interval: 30s}") == ["alerting-twice"]
    assert errors("{services: [shop]}", more=other % "{objectives: [checkout]}") == []


def test_check_warns_of_alerts_that_cannot_work_with_the_arithmetic():
    tiers = "{tiers: [{severity: page, long: 1h, spends: 2%}]}"
    assert "14.4 × 10 % = 144 % of all events would have to fail" in warned(tiers, target="90")["alert-never-trips"]
    slow = "{tiers: [{severity: ticket, long: 3d, spends: 5%}]}"
    assert "0.5 = 5 % × 30d / 3d is below 1" in warned(slow)["alert-while-kept"]
    assert "its oldest 15d would be missing" in warned("{retention: 15d}")["retention-too-short"]
    assert "alert-never-trips" not in warned("{interval: 30s}", target="90"), "chosen tiers always can trip"
    assert "window-not-longer" in warned("{tiers: [{severity: page, long: 30d, spends: 50%}]}")
    assert "scrape-too-rare" in warned("{scrape: 2m}")
