"""Remediations as they are written: what they come to, and what is said about mistakes."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path

import pytest

from mainstay.kernel.actuation import Command, Kubernetes, Metric, Systemd
from mainstay.kernel.catalog import Catalog, load
from mainstay.kernel.finding import Finding, errors_of
from mainstay.kernel.matcher import Matcher
from mainstay.runbook.grammar import GRAMMAR
from mainstay.runbook.remedy import (
    ActCheck,
    BudgetCheck,
    Called,
    HostCheck,
    Limits,
    OnAlert,
    OnBudget,
    OnSchedule,
    Remediation,
    Throttle,
)
from mainstay.runbook.scaling import KEEP, doubled, halved
from mainstay.runbook.spec import Runbook
from mainstay.slo.grammar import GRAMMAR as SLO

MINUTE = timedelta(minutes=1)
RUNBOOK = """
---
apiVersion: mainstay/v1
kind: Runbook
metadata: {name: restart-service}
spec:
  inputs: [{name: service, type: name}]
  targets: ["${inputs.service}"]
  steps: [{name: restart, command: [systemctl, restart, "${inputs.service}"]}]
---
apiVersion: mainstay/v1
kind: Objective
metadata: {name: web, service: shop}
spec:
  indicator: {type: availability, source: logs}
  target: 99
  window: 30d
---
apiVersion: openslo/v1
kind: DataSource
metadata: {name: logs}
spec: {type: events, connectionDetails: {paths: ["x.jsonl"], format: json}}
"""


def _declared(text: str) -> tuple[Catalog, list[Finding]]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "rules.yaml")
        file.write_text(text)
        return load([file], GRAMMAR + SLO)


def _rule(spec: str, *, name: str = "restart") -> Remediation:
    catalog, findings = _declared(_document(spec, name) + RUNBOOK)
    assert not errors_of(findings), "\n".join(one.render() for one in findings)
    return catalog.get(Remediation, name)


def _document(spec: str, name: str = "restart") -> str:
    lines = "\n".join("  " + line for line in spec.strip().splitlines())
    return f"apiVersion: mainstay/v1\nkind: Remediation\nmetadata: {{name: {name}, service: shop}}\nspec:\n{lines}\n"


LEAST = """\
when: {alert: [alertname="Down"]}
target: ${labels.service}
runbook: restart-service
inputs: {service: "${labels.service}"}
"""


def test_a_rule_that_says_the_least_observes_and_has_limits() -> None:
    rule = _rule(LEAST)
    assert rule.mode == "observe"
    assert rule.when == OnAlert((Matcher("alertname", "=", "Down"),))
    assert (rule.limits, rule.locked, rule.verify.over) == (Limits(), "leave", True)
    assert rule.ends


def test_a_rule_that_says_everything_is_read_as_it_is_written() -> None:
    rule = _rule(LEAST + """\
mode: act
throttle: {accumulate_within: 10m, count: 3, group_by: [cluster]}
if:
  hours: {zone: Europe/Berlin, days: [mon, fri], from: "09:00", to: "17:00", outside: true}
  checks:
    - query: {promql: 'cpu{job="${labels.service}"}', is: "> 0.8"}
    - budget: {objective: web, left: 10%}
    - memory: "> 80%"
limits: {attempts: 2, within: 2h, concurrent: 4, share: 25%, fleet: [a, b, c, d, d], stop_after: 5, cool_down: 0,
         flaps: 2, flap_within: 1d, run: 10m, wait: 1h}
verify: {over: false, checks: [{http: {url: "http://127.0.0.1:1/healthz"}}], within: 3m, for: 90s, every: 2s}
locked: wait
severity: SEV1
saves: 20m
""")
    assert rule.throttle == Throttle("accumulate_within", 10 * MINUTE, 3, ("cluster",))
    hours = rule.condition.hours
    assert hours is not None
    assert (hours.zone, hours.outside, sorted(hours.weekly[0].days), hours.weekly[0].start) == (
        "Europe/Berlin", True, [0, 4], 540)
    assert rule.condition.checks == (
        ActCheck(Metric("", 'cpu{job="${labels.service}"}', ">", 0.8)), BudgetCheck("web", 0.1),
        HostCheck("memory", ">", 0.8))
    assert rule.limits == Limits(2, timedelta(hours=2), 4, 0.25, 4, 5, timedelta(0), 2, timedelta(days=1), 10 * MINUTE,
                                 60 * MINUTE)
    assert rule.limits.reach == 1
    assert (rule.verify.over, rule.verify.within, rule.verify.hold, rule.verify.every) == (
        False, 3 * MINUTE, timedelta(seconds=90), timedelta(seconds=2))
    assert (rule.locked, rule.severity, rule.saved) == ("wait", "SEV1", 20 * MINUTE)


@pytest.mark.parametrize(("when", "read"), [
    ("{budget: {objective: web, zones: [exhausted, frozen]}}", OnBudget("web", ("exhausted", "frozen"))),
    ("{every: 15m}", OnSchedule(15 * MINUTE)),
    ('{at: {time: "03:30", days: [sat, sun], zone: UTC}}', OnSchedule(None, 210, frozenset({5, 6}))),
    ("{called: true}", Called())])
def test_other_triggers(when: str, read: object) -> None:
    assert _rule(f"when: {when}\ntarget: db\nrunbook: restart-service\ninputs: {{service: db}}").when == read


@pytest.mark.parametrize(("spec", "code"), [
    ("target: x\nrunbook: restart-service", "missing-field"),
    ("when: {}\ntarget: x\nrunbook: restart-service", "one-of"),
    ("when: {every: 1m, called: true}\ntarget: x\nrunbook: restart-service", "one-of"),
    ("when: {alert: ['severity=~\".*\"']}\ntarget: x\nrunbook: restart-service", "fits-everything"),
    ("when: {called: false}\ntarget: x\nrunbook: restart-service", "invalid-value"),
    ("when: {every: 400d}\ntarget: x\nrunbook: restart-service", "out-of-range"),
    (LEAST + "mode: yolo", "unknown-value"),
    (LEAST + "limits: {share: 20%}", "missing-field"),
    (LEAST + "limits: {attempts: 0}", "out-of-range"),
    (LEAST + "limits: {within: 30d}", "out-of-range"),
    (LEAST + "throttle: {once_within: 5m, count: 3}", "invalid-value"),
    (LEAST + "throttle: {}", "one-of"),
    (LEAST + "verify: {checks: [{memory: '> 80%', budget: {objective: web, left: 3}}]}", "two-checks"),
    (LEAST + "verify: {checks: [{query: {promql: 'up{job=${labels.job}}', is: '> 0'}}]}", "variable-in-query"),
    (LEAST + "verify: {checks: [{}]}", "no-act"),
    (LEAST.replace("${labels.service}\n", "${inputs.service}\n", 1), "misplaced-variable"),
    (LEAST.replace("restart-service", "restart-servcie"), "unknown-reference"),
    (LEAST.replace("{service:", "{srevice:"), "undeclared-input"),
    (LEAST.replace('inputs: {service: "${labels.service}"}', ""), "missing-input"),
    (LEAST + "verfy: {}", "unknown-field"),
])
def test_a_mistake_is_found_where_it_stands(spec: str, code: str) -> None:
    _, findings = _declared(_document(spec) + RUNBOOK)
    assert code in [one.code for one in errors_of(findings)], [one.code for one in findings]


def test_a_rule_that_never_knows_whether_it_helped_is_warned_of() -> None:
    _, findings = _declared(_document(
        "when: {called: true}\ntarget: db\nrunbook: restart-service\ninputs: {service: db}") + RUNBOOK)
    assert [one.code for one in findings if one.severity != "error"] == ["unverified"]


# -- presets -------------------------------------------------------------------------------------------------------


def test_the_auto_healer_restarts_a_unit_when_memory_is_beyond_its_bound() -> None:
    catalog, findings = _declared(_document("preset: auto-healer\nwith: {unit: checkout.service, memory: '> 85%'}",
                                            "heal"))
    assert not findings
    rule, book = catalog.get(Remediation, "heal"), catalog.get(Runbook, "heal-restart")
    assert (rule.mode, rule.when, rule.held, rule.target) == ("observe", OnSchedule(MINUTE), True, "checkout.service")
    assert rule.condition.checks == (HostCheck("memory", ">", 0.85),)
    assert [step.act for step in book.steps] == [Systemd("checkout.service", "restart")]


def test_what_a_preset_says_can_be_written_over() -> None:
    catalog, findings = _declared(_document(
        "preset: auto-healer\nwith: {command: [make, restart], cpu: '> 90%', of: ''}\nmode: act\n"
        "when: {every: 10s}\nlimits: {attempts: 1}", "heal"))
    assert not findings
    rule = catalog.get(Remediation, "heal")
    assert (rule.mode, rule.when, rule.limits.attempts) == ("act", OnSchedule(timedelta(seconds=10)), 1)
    assert rule.condition.checks == (HostCheck("cpu", ">", 0.9),)
    assert catalog.get(Runbook, "heal-restart").steps[0].act == Command(("make", "restart"))


def test_the_auto_scaler_doubles_above_and_halves_below_half_of_the_bound_as_the_seed_does() -> None:
    catalog, findings = _declared(_document(
        "preset: auto-scaler\nwith: {deployment: checkout, namespace: shop, promql: 'cpu', above: 80}", "scale"))
    assert not findings
    up, down = catalog.get(Remediation, "scale-up"), catalog.get(Remediation, "scale-down")
    assert up.condition.checks == (ActCheck(Metric("", "cpu", ">", 80)),)
    assert down.condition.checks == (ActCheck(Metric("", "cpu", "<", 40)),)
    assert catalog.get(Runbook, "scale-up").step("scale").act == Kubernetes(
        "scale", "deployment/checkout", "shop", "${steps.decide.output}")


def test_defect_10_replicas_have_a_ceiling_and_a_floor() -> None:
    assert [doubled(one, 50) for one in ("2", "25", "26", "50", "60")] == [4, 50, 50, KEEP, KEEP]
    assert [halved(one, 2) for one in (50, 5, 3, 2, 1)] == [25, 2, 2, KEEP, KEEP]
    with pytest.raises(ValueError, match="-1"):
        doubled(-1, 50)


def test_the_auto_remediator_is_a_rule_for_each_alert() -> None:
    catalog, findings = _declared(_document(
        "preset: auto-remediator\nwith: {alerts: {ServiceDown: restart-service, HighLoad: restart-service}}\n"
        "inputs: {service: '${labels.service}'}", "shop") + RUNBOOK)
    assert not findings
    rules = {one.name: one for one in catalog.of(Remediation)}
    assert sorted(rules) == ["shop-high-load", "shop-service-down"]
    assert rules["shop-high-load"].when == OnAlert((Matcher("alertname", "=", "HighLoad"),))
    assert rules["shop-high-load"].target == "${labels.service}"


@pytest.mark.parametrize(("given", "code"), [
    ("preset: auto-healer", "one-of"), ("preset: auto-scaler\nwith: {promql: x}", "one-of"),
    ("preset: auto-scaler\nwith: {deployment: x, promql: x, least: 9, most: 3}", "out-of-range"),
    ("preset: auto-remediator", "missing-field"), ("preset: auto-healr", "unknown-value"),
    ("preset: auto-healer\nwith: {unit: x, memry: '> 1%'}", "unknown-field")])
def test_a_preset_says_what_it_needs(given: str, code: str) -> None:
    _, findings = _declared(_document(given))
    assert code in [one.code for one in errors_of(findings)]
