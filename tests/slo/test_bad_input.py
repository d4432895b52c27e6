"""Whatever stands in a file: findings, never an exception, and soon."""

from __future__ import annotations

import copy
import time
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalogs import declared
from mainstay.kernel.finding import errors_of

FIVE_MISTAKES = """apiVersion: openslo/v1
kind: SLO
metadata: {name: checkout}
spec:
  service: web
  budgetingMethod: Occurences
  timeWindow: [{duration: fortnight}]
  indicatorRef: answers
  objectives:
    - displayName: answers
      targetPercent: 120
      valeu: 5
---
apiVersion: openslo/v1
kind: SLI
metadata: {name: answers}
spec:
  ratioMetric:
    counter: maybe
    bad: {metricSource: {spec: {query: errors_total}}}
    total: {metricSource: {spec: {query: requests_total}}}
"""


def test_a_file_with_five_mistakes_has_five_findings_each_at_its_place() -> None:
    _, findings = declared(FIVE_MISTAKES)
    assert [(one.code, one.where.line, one.where.column) for one in errors_of(findings)] == [
        ("unknown-value", 6, 20), ("invalid-value", 7, 27), ("invalid-value", 11, 22), ("unknown-field", 12, 7),
        ("wrong-type", 19, 14)]


def test_each_of_the_five_shows_its_line_and_says_what_to_write() -> None:
    lines = FIVE_MISTAKES.splitlines()
    for finding in errors_of(declared(FIVE_MISTAKES)[1]):
        assert finding.source == lines[finding.where.line - 1]
        assert finding.mend or finding.code == "wrong-type"


OPENSLO = """
- {apiVersion: openslo/v1, kind: Service, metadata: {name: web, labels: {a: [b]}}, spec: {description: front}}
- apiVersion: openslo/v1
  kind: DataSource
  metadata: {name: prom}
  spec: {type: Prometheus, connectionDetails: {url: "http://p", timeout: 5s, retries: 1, headers: {a: b}}}
- apiVersion: openslo/v1
  kind: DataSource
  metadata: {name: logs}
  spec: {type: events, connectionDetails: {paths: [a], fields: {duration: ms}, timezone: UTC, where: {m: ">=1"}}}
- apiVersion: openslo/v1
  kind: SLI
  metadata: {name: answers}
  spec:
    ratioMetric:
      counter: true
      good: {metricSource: {metricSourceRef: prom, spec: {query: g}}}
      total: {metricSource: {metricSourceRef: prom, spec: {query: t}}}
- apiVersion: openslo/v1
  kind: SLO
  metadata:
    name: shop
    annotations: {mainstay/sla: "99", mainstay/depends-on: "db=99.99", mainstay/review-every: month}
  spec:
    service: web
    timeWindow: [{duration: 1M, isRolling: false, calendar: {startTime: "2020-01-31 00:00:00", timeZone: Asia/Tokyo}}]
    budgetingMethod: Timeslices
    objectives:
      - {target: 0.999, indicatorRef: answers, timeSliceTarget: 0.9, timeSliceWindow: 1m, compositeWeight: 1}
      - target: 0.99
        op: lt
        value: 5
        timeSliceTarget: 0.9
        timeSliceWindow: 1m
        indicator: {metadata: {name: t}, spec: {thresholdMetric: {metricSource: {spec: {query: t}}}}}
- apiVersion: openslo/v1
  kind: AlertPolicy
  metadata: {name: A}
  spec:
    alertWhenBreaching: true
    conditions:
      - kind: AlertCondition
        metadata: {name: fast}
        spec: {severity: page, condition: {kind: burnrate, op: gt, threshold: 2, lookbackWindow: 1h, alertAfter: 5m}}
    notificationTargets: [{targetRef: mail}]
"""
NATIVE = """
- apiVersion: mainstay/v1
  kind: Indicator
  metadata: {name: fresh}
  spec: {type: freshness, threshold: 10m, slice: 1m, where: {job: [a, 1]}, exclude: [{status: 429}]}
- apiVersion: mainstay/v1
  kind: Objective
  metadata: {name: fast, service: web, owner: me}
  spec:
    indicator: {type: latency, threshold: 300ms, histogram: "http_seconds{job=\\"a\\"}"}
    target: 99.9
    sla: 99
    window: month
    timezone: Europe/Berlin
    windows: [{window: 1h, target: 90, alert: page}]
    method: timeslices
    slice: 1m
    slice_target: 95
    idle: good
    dependencies: [{service: db, promise: 99.99, impact: all}]
    review: {every: quarter, last: 2026-01-01, participants: [a], agenda: [b]}
- apiVersion: mainstay/v1
  kind: Objective
  metadata: {name: busy}
  spec: {indicator: {type: throughput, minimum: 10/s}, target: 99, window: 1000 requests}
- apiVersion: mainstay/v1
  kind: Objective
  metadata: {name: gauge}
  spec: {indicator: {gauge: g, at_most: 5}, target: 99}
- apiVersion: mainstay/v1
  kind: Journey
  metadata: {name: buy}
  spec: {combine: weighted, target: 99, steps: [{objective: fast, weight: 1}, {name: pay, target: 99.9}]}
- apiVersion: mainstay/v1
  kind: Maintenance
  metadata: {name: move}
  spec: {start: 2026-01-01T00:00:00Z, duration: 1h, every: 7d, until: 2026-06-01, reason: move, services: [web]}
- apiVersion: mainstay/v1
  kind: ErrorBudgetPolicy
  metadata: {name: p}
  spec: {zones: [{name: a, spent: 50%, actions: [{type: notify, target: me}]}, {left: 0%, actions: [{type: freeze}]}]}
"""
OLDER = """
- apiVersion: slo/v1
  kind: ServiceLevelObjective
  metadata: {name: api-fast, service: api}
  spec: {objective: 99.9, window: 30d, sli: {type: latency, threshold: 300ms, percentile: 95},
         alerting: [{type: burn_rate, severity: page, burn_rate: 14.4, window: 1h}]}
- apiVersion: policy/v1
  kind: ErrorBudgetPolicy
  metadata: {name: q}
  spec: {service: api, thresholds: [{remaining: 25%, actions: [{type: incident, priority: P1}]}]}
"""
SLOS = """
- slos:
  - name: up
    target: 99.9
    window: 30d
    sli: {name: up, query: "a / b * 100", unit: percent, target_type: availability}
  - {name: quick, target: 500, window: 30d, sli: {query: q, unit: milliseconds, target_type: latency}}
- slo_document:
    metadata: {service: pay, owner: t, version: "1", last_updated: 2026-01-01, review_frequency: Quarterly}
    objectives:
    - {name: Latency (p95), sli: {metric: m, histogram: h, exclusions: [x]}, target: "< 300ms", window: 30 days rolling}
    - {name: Availability, sli: {definition: status_code < 500}, target: 99.95%, window: 30 days rolling}
    error_budget_policy: {consumption_50: {action: go on}, consumption_100: {action: Full freeze, notification: all}}
    measurement: {source: prom, queries: {availability: "sum(rate(a[5m])) / sum(rate(b[5m]))"}}
    dependencies: [{service: db, slo_dependency: 99.99%, impact: all}]
    review_schedule: {q: {participants: [a], agenda: [b]}}
"""
DOCUMENTS: list[Any] = [one for text in (OPENSLO, NATIVE, OLDER, SLOS) for one in yaml.safe_load(text)]


def written(*documents: object) -> str:
    return yaml.dump_all(documents, Dumper=yaml.CSafeDumper, allow_unicode=True)


def test_the_documents_that_are_mutated_below_are_right() -> None:
    assert not [one.render() for one in errors_of(declared(written(*DOCUMENTS))[1])]


def _keys(value: object) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {key for item in value.values() for key in _keys(item)}
    return {key for item in value for key in _keys(item)} if isinstance(value, list) else set()


_HEADS = sorted({(one.get("apiVersion"), one.get("kind")) for one in DOCUMENTS}, key=str)
_KEYS = st.sampled_from(sorted(_keys(DOCUMENTS))) | st.text("ab.$- é", max_size=3)
_HOSTILE = st.sampled_from([
    "", " ", "~", "nan", "inf", "-inf", "sNaN", "1e999", "1e-999999", "-1", "0", "9" * 400, "9" * 5000, "99999999999d",
    "0.0000001ms", "9999999999M", "1M", "5m", "0%", "150%", "< 300ms", "< x", "=~(", ">=", "!", "10/s", "nan/s",
    "inf/s",
    "1/0", "a{b=\"}\"}", "sum(rate(a[5m]))/sum(rate(b[5m]))", "0001-01-01T00:00:00+14:00", "9999-12-31", "2026-01-01",
    "\"", "{", "\\", "../..", "é" * 300, "mainstay/sla", "on", "-", "000 requests", "1" + "0" * 14 + "M requests"])
_SCALARS = (st.none() | st.booleans() | st.integers() | st.floats() | _HOSTILE | _KEYS
            | st.text("abc09.-:{}[]%<>=~!\"'é ", max_size=12))
_INNER = _SCALARS | st.lists(_SCALARS, max_size=3) | st.dictionaries(_KEYS, _SCALARS, max_size=4)
_VALUES = _SCALARS | st.lists(_INNER, max_size=3) | st.dictionaries(_KEYS, _INNER, max_size=5)
_SLOW = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


def gives_findings_and_soon(text: str) -> None:
    before = time.process_time()  # others may use this machine, too
    _, findings = declared(text)
    for finding in findings:
        assert finding.where.line >= 1
        assert finding.message
        finding.render()
    assert time.process_time() - before < 5


@_SLOW
@given(st.lists(_VALUES, max_size=3))
def test_any_structure_gives_findings(values: list[object]) -> None:
    gives_findings_and_soon(written(*values))


@_SLOW
@given(st.sampled_from(_HEADS), st.dictionaries(_KEYS, _VALUES, max_size=4),
       st.dictionaries(_KEYS, _VALUES, max_size=8))
def test_any_structure_under_a_head_of_ours_gives_findings(head: tuple[str | None, str | None],
                                                           meta: dict[str, object], spec: dict[str, object]) -> None:
    api, kind = head
    body: dict[str, object] = {"metadata": {"name": "x", **meta}, "spec": spec}
    gives_findings_and_soon(written({"apiVersion": api, "kind": kind, **body} if api else
                                    {"slos": [spec], "slo_document": {**body, **spec}}))


def _places(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every node below the root."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in items for place in ((*path, key), *_places(item, (*path, key)))]


def mutated(document: object, path: tuple[Any, ...], how: str, value: object) -> object:
    """The document with one node deleted, renamed, said twice or given another value."""
    out = copy.deepcopy(document)
    parent: Any = out
    for step in path[:-1]:
        parent = parent[step]
    if how == "delete":
        del parent[path[-1]]
    elif how == "rename" and isinstance(parent, dict):
        parent[f"{path[-1]}x"] = parent.pop(path[-1])
    elif how == "wrap":
        parent[path[-1]] = [parent[path[-1]]]
    else:
        parent[path[-1]] = value
    return out


@settings(_SLOW, max_examples=150)
@given(st.data())
def test_a_document_with_a_node_deleted_renamed_or_retyped_gives_findings(data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(DOCUMENTS) - 1))
    document = DOCUMENTS[index]
    for _ in range(data.draw(st.integers(1, 3))):
        if places := _places(document):
            document = mutated(document, data.draw(st.sampled_from(places)),
                               data.draw(st.sampled_from(["delete", "rename", "wrap", "retype"])), data.draw(_VALUES))
    gives_findings_and_soon(written(*DOCUMENTS[:index], document, *DOCUMENTS[index + 1:]))


def test_every_node_given_each_hostile_value_gives_findings() -> None:
    for document in DOCUMENTS:
        for path in _places(document):
            for value in ("nan", -1, [None], {"a": None}):
                declared(written(mutated(document, path, "retype", value)))
