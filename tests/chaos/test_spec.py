"""Experiments as they are written: every mistake at its line, and nothing that would be refused only when it runs."""

from __future__ import annotations

import pytest

from chaos.played import SLOW, WORKLOADS, catalog_of, codes, declared
from mainstay.chaos.hypothesis import Between
from mainstay.chaos.spec import Experiment
from mainstay.kernel.probing import HttpAsk, ProcessAsk

WHOLE = """
apiVersion: mainstay/v1
kind: Experiment
metadata: {name: whole, displayName: The api without auth, owner: team-api}
spec:
  target: api
  hypothesis:
    title: customers are served
    every: 500ms
    misses: 2
    probes:
      - {name: health, type: health}
      - {name: page, type: http, url: /products, tolerance: [200, 299], timeout: 2s, faster_than: 800ms}
      - {name: port, type: tcp}
      - {name: script, type: process, command: ["true"]}
      - {name: pass, type: process, command: [cat, VERSION], tolerance: {type: regex, pattern: v2, target: stdout}}
  phases:
    - name: slow
      duration: 10s
      faults: [{kind: slow-dependency, dependency: auth, settings: {latency: 200ms, jitter: 10ms}, share: 25%}]
    - name: gone
      duration: 20s
      pause: 5s
      faults: [{kind: dependency-failure, dependency: auth}]
  stabilise: 15s
  abort_when: {burn_rate: 14.4, spent: 80%}
  hours: {zone: Europe/Berlin, days: [mon, tue, wed, thu], from: "09:00", to: "16:00"}
  budget: {keep: 25%, impact: 50%}
  rollback: [restart auth]
"""


def test_a_whole_experiment_is_read():
    (one,) = catalog_of(WHOLE).of(Experiment)
    assert [probe.name for probe in one.hypothesis.probes] == ["health", "page", "port", "script", "pass"]
    assert isinstance(one.hypothesis.probes[0].ask, HttpAsk)
    assert one.hypothesis.probes[0].tolerance == Between(200, 399, "status")
    assert one.hypothesis.probes[1].ask == HttpAsk("/products", seconds=2.0)
    assert one.hypothesis.probes[1].faster == 0.8
    assert one.hypothesis.probes[3].ask == ProcessAsk(("true",))
    assert [fault.kind for phase in one.phases for fault in phase.faults] == ["dependency-slow", "dependency-failure"]
    assert one.phases[0].faults[0].settings == {"latency": 0.2, "jitter": 0.01}
    assert (one.share, one.seconds, one.faulty_seconds) == (1.0, 50.0, 30.0)
    assert (one.abort_when.burn_rate, one.spend.keep, one.spend.required, one.rollback) == (
        14.4, 0.25, True, ("restart auth",))


@pytest.mark.parametrize(("was", "now", "code"), [
    ("kind: slow-dependency", "kind: slow-dependancy", "invalid-value"),
    ("latency: 200ms", "latency: soon", "invalid-value"), ("latency: 200ms", "latncy: 200ms", "unknown-field"),
    ("share: 25%", "share: 250%", "invalid-value"), ("share: 25%", "share: 0", "out-of-range"),
    ("dependency: auth, settings", "dependency: aut, settings", "unknown-reference"),
    ("{kind: dependency-failure, dependency: auth}", "{kind: dependency-failure}", "missing-field"),
    ("{kind: dependency-failure, dependency: auth}", "{kind: process-pause, dependency: auth}", "unknown-field"),
    ("target: api", "target: ape", "unknown-reference"), ("tolerance: [200, 299]", "tolerance: []", "invalid-value"),
    ("name: page", "name: health", "duplicate-name"), ("type: tcp", "type: udp", "unknown-value"),
    ("  stabilise: 15s", "  stabilise: 15s\n  duration: 3s", "one-of"),
    ("days: [mon,", "days: [moon,", "invalid-value"),
    ("spent: 80%", "spend: 80%", "unknown-field"), ("zone: Europe/Berlin", "zone: Europe/Bern", "invalid-value"),
    ("command: [cat, VERSION], tolerance: {type: regex", "command: [cat, VERSION], tolerance: {type: regexp",
     "invalid-value"),
])
def test_a_mistake_is_a_finding_at_its_line(was: str, now: str, code: str):
    assert was in WHOLE
    wrong = WHOLE.replace(was, now, 1)
    found = [finding for finding in declared(WORKLOADS, wrong)[1] if finding.severity == "error"]
    assert code in [finding.code for finding in found]
    assert all(finding.where.line > 1 for finding in found)


def test_a_latency_that_was_forgotten_is_missed_where_it_belongs():
    assert codes(WORKLOADS, SLOW.replace("settings: {latency: 200ms}", "settings: {jitter: 1ms}")) == ["missing-field"]
    assert codes(WORKLOADS, SLOW.replace(", settings: {latency: 200ms}", "")) == ["missing-field"]


def test_shares_that_do_not_grow_are_refused():
    widened = SLOW + "  widen: {shares: [10%, 5%]}\n"
    assert codes(WORKLOADS, widened) == ["out-of-order"]


def test_a_workload_that_is_not_open_to_experiments_is_warned_of_and_refused():
    shut = WORKLOADS.replace("health: /healthz, experiments: true, dependencies", "health: /healthz, dependencies")
    assert [finding.code for finding in declared(shut, SLOW)[1]] == ["not-open-to-experiments"]


def test_an_objective_that_is_a_probe_must_exist():
    text = SLOW.replace("{name: api answers, type: health}", "{name: budget, type: objective, objective: answers}")
    (finding,) = [one for one in declared(WORKLOADS, text)[1] if one.severity == "error"]
    assert (finding.code, 'no objective is named "answers"' in finding.message) == ("unknown-reference", True)
