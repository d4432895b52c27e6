"""`monitoring design`: what it takes, what it refuses, and the YAML it gives."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from mainstay.doors.as_json import encode
from mainstay.kernel.catalog import load
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import errors_of
from mainstay.kernel.quantity import Target, parse_duration
from mainstay.monitoring.design import plan_of
from mainstay.monitoring.design_view import Designed, design_view
from mainstay.monitoring.grammar import GRAMMAR
from mainstay.monitoring.operations.design import DESIGN, DesignRequest, wish_of
from mainstay.monitoring.policies import policy_of
from mainstay.monitoring.spec import Alerting
from mainstay.stats.budget import burn_alerts
from slo.worlds import busy_month, room

WORLD = room(busy_month()).world


def designed(**given: object) -> Designed:
    return DESIGN.run(WORLD, DesignRequest(**{"target": "99.9", "traffic": "100/h", **given}))


@pytest.mark.parametrize(("text", "per_hour"), [
    ("100/h", 100), ("5/s", 18_000), ("2400/d", 100), ("3k/min", 180_000), ("1.5M / h", 1_500_000)])
def test_traffic_is_a_number_and_a_unit(text: str, per_hour: float) -> None:
    assert wish_of(DesignRequest("99.9", text)).traffic * 3600 == pytest.approx(per_hour)


@pytest.mark.parametrize("given", [
    {"traffic": "100"}, {"traffic": "0/h"}, {"traffic": "x/h"}, {"traffic": "9e9M/s"}, {"window": "5m"},
    {"window": "4000d"}, {"detect": "40d"}, {"false_pages": 0.0}, {"false_pages": -1.0}, {"target": "101"},
    {"name": "Big Name"}, {"interval": "often"}])
def test_what_cannot_be_used_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        designed(**given)


def test_a_design_says_what_it_does_in_stable_json() -> None:
    told = json.loads(encode(designed()))
    assert told["possible"] is True
    assert [tier["tier"] for tier in told["tiers"]] == ["page-1h", "page-6h", "ticket-1d", "ticket-3d"]
    assert told["gate"] == "beta-binomial"
    assert told["false_pages_a_month"] <= 0.1
    assert told["full_outage_detected_seconds"] <= 900
    first = told["tiers"][0]
    assert (first["factor"], first["threshold"], first["failures_to_trip"]) == (14.4, 0.0144, 4)
    assert first["double_burn"] is None, "twice the allowed rate never passes 14.4 times"
    assert told["tiers"][3]["double_burn"]["spent"] > 0.1
    assert DESIGN.exit_code(designed()) == 0


def test_an_impossible_wish_ends_with_one_and_says_what_would_do() -> None:
    found = designed(traffic="6/h")
    assert DESIGN.exit_code(found) == 1
    assert not found.tiers
    assert found.attempts
    assert any(way.flag.startswith("--traffic") for way in found.ways)


def test_the_way_out_given_as_the_next_command_works() -> None:
    view = design_view(designed(traffic="6/h"))
    command = view.blocks[-1].commands[0].split()
    flags = {flag.removeprefix("--").replace("-", "_"): value
             for flag, value in zip(command[3::2], command[4::2], strict=True)}
    assert designed(**{**flags, "false_pages": float(flags["false_pages"])}).possible


def test_the_yaml_is_an_alerting_that_says_the_same(tmp_path) -> None:
    for given in ({}, {"traffic": "20k/h", "detect": "2m"}, {"target": "50", "traffic": "1k/h", "window": "7d"},
                  {"target": "99.9999", "traffic": "1M/h", "window": "365d"}):
        found = designed(**given)
        (tmp_path / "alerting.yaml").write_text(found.yaml)
        catalog, findings = load([tmp_path / "alerting.yaml"], GRAMMAR)
        assert errors_of(findings) == ()
        (alerting,) = catalog.of(Alerting)
        target, window = Target.percent(given.get("target", "99.9")), timedelta(seconds=found.window_seconds)
        policy = policy_of(alerting, alerting.tiers or (), target, window)
        assert [(rule.tier, float(rule.threshold), rule.hold.total_seconds(), rule.severity) for rule in policy.rules] \
            == [(tier.tier, tier.threshold, tier.hold_seconds, tier.severity)
                for tier in sorted(found.tiers, key=lambda one: parse_duration(one.long))]
        gate = alerting.low_traffic
        assert (gate.gate if gate else None, float(gate.confidence) if gate else None) \
            == (found.gate, found.gate_confidence)


def test_the_yaml_becomes_rules_without_a_fault() -> None:
    for traffic in ("100/h", "50k/h"):
        plan = plan_of(wish_of(DesignRequest("99.9", traffic)))
        assert plan is not None
        for alert in burn_alerts(Target.percent("99.9"), timedelta(days=30), [rung.tier for rung in plan.rungs]):
            assert alert.faults == ()
