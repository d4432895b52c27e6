"""OpenSLO v1 and v2alpha, out: what is read of them is written again, and what they cannot say is named."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from mainstay.app import grammar
from mainstay.kernel.catalog import load
from mainstay.kernel.finding import Position, errors_of
from mainstay.kernel.objective import Indicator, IndicatorType, Objective, ObjectiveWindow, Service
from mainstay.kernel.ports import PromQuery
from mainstay.kernel.quantity import CalendarWindow, Period, RequestWindow, RollingWindow, Target
from mainstay.monitoring.exchange.form import Bundle, Composition
from mainstay.monitoring.spec import Alerting
from mainstay.stats.budget import TIERS
from monitoring.taken import again, bundle_of, given, lost, trees, unplaced

CANONICAL = """apiVersion: openslo/v1
kind: DataSource
metadata: {name: prom}
spec: {type: Prometheus, connectionDetails: {url: 'http://prometheus:9090'}}
---
apiVersion: openslo/v1
kind: Service
metadata: {name: web, displayName: Web}
spec: {description: the front}
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: shop, displayName: Shop, labels: {team: a}}
spec:
  service: web
  description: the shop answers
  indicator:
    metadata: {name: answers}
    spec:
      ratioMetric:
        counter: true
        good: {metricSource: {metricSourceRef: prom, type: Prometheus, spec: {query: 'http_total{code!~"5.."}'}}}
        total: {metricSource: {metricSourceRef: prom, type: Prometheus, spec: {query: http_total}}}
  timeWindow: [{duration: 1M, isRolling: false, calendar: {startTime: '2024-01-01 00:00:00', timeZone: Asia/Tokyo}}]
  budgetingMethod: Timeslices
  objectives: [{targetPercent: 99.9, timeSliceTarget: 0.95, timeSliceWindow: 1m}]
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: speed}
spec:
  service: web
  indicator:
    metadata: {name: speed}
    spec: {thresholdMetric: {metricSource: {metricSourceRef: prom, type: Prometheus, spec: {query: p99}}}}
  timeWindow: [{duration: 28d, isRolling: true}]
  budgetingMethod: RatioTimeslices
  objectives: [{targetPercent: 95, op: lte, value: 0.5, timeSliceWindow: 5m}]
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: raw}
spec:
  service: web
  indicator:
    metadata: {name: raw}
    spec: {ratioMetric: {rawType: failure, raw: {metricSource: {metricSourceRef: prom, type: Prometheus,
           spec: {query: failed_share}}}}}
  timeWindow: [{duration: 28d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{targetPercent: 99}]
"""


def named(some: list[object]) -> dict[str, object]:
    out = {}
    for one in some:
        assert isinstance(one, dict)
        out[f"{one['kind']}/{one['metadata']['name']}"] = one
    return out


def test_what_was_read_is_written_again_field_by_field() -> None:
    bundle = bundle_of("openslo", CANONICAL)
    written = given("openslo", bundle)
    assert written.losses == ()
    assert named(trees(written)) == named(trees(CANONICAL))


@pytest.mark.parametrize("format", ["openslo", "openslo-v2alpha"])
def test_a_bundle_written_and_read_again_is_the_same(format: str) -> None:
    bundle = bundle_of("openslo", CANONICAL.replace("1M", "1w").replace(", displayName: Shop", "").replace(
        ", displayName: Web", ""))
    assert unplaced(again(format, bundle)) == unplaced(bundle)


def counted(name: str = "shop", **more: object) -> Objective:
    where = Position("x.yaml", 3)
    made = Objective(name, where, "web", Indicator(name, where, IndicatorType.CUSTOM, "", PromQuery("all", True),
                                                   good=PromQuery("ok", True)),
                     (ObjectiveWindow(RollingWindow(timedelta(days=30)), Target.percent("99.9")),))
    return replace(made, **more)  # type: ignore[arg-type]


def test_alerting_is_written_as_policies_and_read_again_as_itself() -> None:
    alerting = Alerting("oncall", Position(""), objectives=("shop",), tiers=TIERS, budget_spent=(), absent_for=None)
    bundle = Bundle((counted(),), (Service("web", Position("")),), (), (alerting,))
    written = given("openslo", bundle)
    policies = {key: one for key, one in named(trees(written)).items() if key.startswith("AlertPolicy/")}
    assert sorted(policies) == ["AlertPolicy/oncall-page-1h", "AlertPolicy/oncall-page-6h",
                                "AlertPolicy/oncall-ticket-1d", "AlertPolicy/oncall-ticket-3d"]
    # The workbook's factors over 30 days: 14.4, 6, 3 and 1.
    thresholds = [one["spec"]["conditions"][0]["spec"]["condition"]["threshold"]  # type: ignore[index]
                  for one in policies.values()]
    assert thresholds == [14.4, 6, 3, 1]
    assert lost(written) == ["alerting oncall: the short windows"]
    assert unplaced(again("openslo", bundle)).alertings == unplaced(bundle).alertings


def test_the_same_tier_of_another_window_is_a_policy_of_its_own() -> None:
    week = counted("week", windows=(ObjectiveWindow(RollingWindow(timedelta(days=7)), Target.percent("99")),))
    alerting = Alerting("oncall", Position(""), tiers=TIERS[:1], budget_spent=(), absent_for=None)
    found = named(trees(given("openslo", Bundle((counted(), week), alertings=(alerting,)))))
    assert {"AlertPolicy/oncall-page-1h", "AlertPolicy/oncall-page-1h-of-7d"} <= set(found)


def test_what_openslo_cannot_say_is_named() -> None:
    window = ObjectiveWindow(RollingWindow(timedelta(days=7)), Target.percent("99.9"))
    bundle = Bundle((counted(windows=(*counted().windows, window)),
                     counted("a.b", service="", exclusions=("bots",)),
                     counted("events", windows=(ObjectiveWindow(RequestWindow(1000), Target.percent(99)),))),
                    alertings=(Alerting("all", Position(""), group_by=("cluster",), labels={"a": "b"}),))
    assert lost(given("openslo", bundle)) == [
        "shop: window 7d rolling", "alerting all: the short windows", "alerting all: budget_spent",
        "alerting all: group_by", "alerting all: labels", "a.b: exclusions", "a.b: no service", "a.b: its name",
        "events: window last 1,000 events"]


def test_a_natural_month_gets_the_start_that_openslo_asks_for() -> None:
    month = ObjectiveWindow(CalendarWindow(Period.MONTH, "UTC"), Target.percent(99))
    (slo,) = trees(given("openslo", Bundle((counted(windows=(month,)),))))
    assert slo["spec"]["timeWindow"] == [  # type: ignore[index]
        {"duration": "1M", "isRolling": False, "calendar": {"timeZone": "UTC", "startTime": "2024-01-01 00:00:00"}}]


def test_a_composite_is_one_document_again() -> None:
    parts = (counted("buy-cart", title="cart", weight=2.0), counted("buy-pay", title="pay"))
    whole = Composition("buy", Position(""), "composite", (("buy-cart", 2.0), ("buy-pay", 1.0)))
    bundle = Bundle(parts, compositions=(whole,))
    (slo,) = trees(given("openslo", bundle))
    assert [one["displayName"] for one in slo["spec"]["objectives"]] == ["cart", "pay"]  # type: ignore[index]
    assert unplaced(again("openslo", bundle)) == unplaced(bundle)


def test_a_journey_that_openslo_cannot_compose_is_named() -> None:
    whole = Composition("buy", Position(""), "serial", (("shop", 1.0),))
    assert lost(given("openslo", Bundle((counted(),), compositions=(whole,)))) == ["journey buy"]


def test_v2alpha_has_neither_months_nor_titles() -> None:
    written = given("openslo-v2alpha", bundle_of("openslo", CANONICAL))
    assert sorted(lost(written)) == ["shop: displayName Shop", "shop: duration 1M", "web: displayName Web"]
    found = named(trees(written))["SLO/shop"]
    assert found["spec"]["serviceRef"] == "web"  # type: ignore[index]
    assert found["spec"]["timeWindow"][0]["duration"] == "30d"  # type: ignore[index]


def test_targets_are_written_exactly() -> None:
    one = counted(windows=(ObjectiveWindow(RollingWindow(timedelta(days=30)), Target(Decimal("0.99995"))),))
    (_, text), = given("openslo", Bundle((one,))).files
    assert "targetPercent: 99.995\n" in text


def test_the_catalog_reads_what_is_written_as_it_reads_any_openslo(tmp_path: Path) -> None:
    alerting = Alerting("oncall", Position(""), objectives=("shop",), tiers=TIERS, budget_spent=(), absent_for=None)
    parts = (counted("buy-cart", title="cart", weight=2.0), counted("buy-pay", title="pay"))
    whole = Composition("buy", Position(""), "composite", (("buy-cart", 2.0), ("buy-pay", 1.0)))
    for name, text in given("openslo", Bundle((counted(), *parts), (), (), (alerting,), (whole,))).files:
        (tmp_path / name).write_text(text, encoding="utf-8")
    catalog, findings = load([tmp_path], grammar())
    assert errors_of(findings) == ()
    assert sorted(one.name for one in catalog.of(Objective)) == ["buy-cart", "buy-pay", "shop"]
    assert len(catalog.get(Objective, "shop").alert_policies) == 4
    assert not [one for one in findings if one.code == "unknown-reference"]
