"""OpenSLO's alert policies become tiers."""

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
from mainstay.monitoring.rulefile import number
from mainstay.monitoring.rules import plan
from mainstay.monitoring.spec import alerting_of

SLO = """
apiVersion: openslo/v1
kind: DataSource
metadata: {name: prom}
spec: {type: Prometheus, connectionDetails: {url: "http://127.0.0.1:9"}}
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: checkout}
spec:
  service: shop
  budgetingMethod: Occurrences
  timeWindow: [{duration: 30d, isRolling: true}]
  indicator:
    metadata: {name: checkout}
    spec:
      ratioMetric:
        counter: true
        bad: {metricSource: {metricSourceRef: prom, spec: {query: 'http_total{code=~"5.."}'}}}
        total: {metricSource: {metricSourceRef: prom, spec: {query: 'http_total'}}}
  objectives: [{target: 0.999}]
  alertPolicies: %s
---
apiVersion: openslo/v1
kind: AlertPolicy
metadata: {name: burn}
spec:
  alertWhenNoData: true
  alertWhenBreaching: true
  conditions: [{conditionRef: fast}]
  notificationTargets: [{targetRef: pager}]
---
apiVersion: openslo/v1
kind: AlertCondition
metadata: {name: fast}
spec: {severity: page, condition: {kind: burnrate, op: %s, threshold: 14.4, lookbackWindow: 1h, alertAfter: 5m}}
---
apiVersion: openslo/v1
kind: AlertNotificationTarget
metadata: {name: pager}
spec: {target: slack}
"""
INLINE = """
    - alertPolicyRef: burn
    - kind: AlertPolicy
      metadata: {name: slow}
      spec:
        conditions:
          - kind: AlertCondition
            metadata: {name: slow}
            spec: {severity: ticket, condition: {kind: burnrate, op: gte, threshold: 2, lookbackWindow: 1d}}
        notificationTargets: [{targetRef: pager}]
"""


def loaded(policies: str, op: str = "gt") -> tuple[Catalog, list[Finding]]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "a.yaml")
        file.write_text(SLO % (policies, op))
        return load([file], grammar())


def test_conditions_named_and_written_in_place_become_tiers():
    catalog, findings = loaded(INLINE)
    assert [one.render() for one in findings] == []
    objective = catalog.get(Objective, "checkout")
    alerting = alerting_of(objective, catalog)
    assert alerting.tiers is not None
    fast, slow = alerting.tiers
    assert (fast.severity, fast.long, fast.spends, fast.hold) == ("page", timedelta(hours=1), Decimal("0.02"),
                                                                   timedelta(minutes=5))
    assert (slow.severity, slow.long, slow.hold) == ("ticket", timedelta(days=1), timedelta(0))
    assert alerting.absent_for is not None
    burns = plan(objective, alerting, catalog).burns
    assert [number(burn.factor) for burn in burns] == ["14.4", "2"]


@pytest.mark.parametrize(("policies", "op", "says"), [
    ("[{alertPolicyRef: burn}]", "lte", "op: lte would alert while the budget burns slowly"),
    ("[{alertPolicyRef: bern}]", "gt", 'no AlertPolicy is named "bern"'),
])
def test_what_cannot_be_taken_over_is_a_warning(policies, op, says):
    _, findings = loaded(policies, op)
    assert errors_of(findings) == ()
    assert [says in one.message for one in findings if one.code == "alert-policy"] == [True]


def test_no_policy_leaves_the_tiers_to_be_chosen():
    catalog, _ = loaded("[]")
    assert alerting_of(catalog.get(Objective, "checkout"), catalog).tiers is None
