"""OpenSLO's alert kinds: what is right is kept whole, what is wrong is found with its line."""

from __future__ import annotations

import pytest

from catalogs import codes, declared, the, warnings
from mainstay.kernel.finding import Position
from mainstay.kernel.objective import AlertDeclaration, Objective

BURN = "{kind: burnrate, op: gt, threshold: 2, lookbackWindow: 1h, alertAfter: 5m}"


def condition(burn: str = BURN) -> str:
    return f"{{severity: page, condition: {burn}}}"


def document(kind: str, spec: str, name: str = "OnCall") -> str:
    return f"---\napiVersion: openslo/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n"


def policy(conditions: str = "[{conditionRef: Fast}]", targets: str = "[{targetRef: Mail}]") -> str:
    return document("AlertPolicy", f"{{alertWhenBreaching: true, conditions: {conditions}, "
                                   f"notificationTargets: {targets}}}")


def slo(policies: str, name: str = "shop") -> str:
    ratio = "{metricSource: {type: Prometheus, spec: {query: x}}}"
    return document("SLO", "{service: web, indicator: {spec: {ratioMetric: {counter: true, good: "
                    f"{ratio}, total: {ratio}}}}}}}, timeWindow: [{{duration: 30d, isRolling: true}}], "
                    f"objectives: [{{target: 0.99}}], alertPolicies: {policies}}}", name)


@pytest.mark.parametrize(("kind", "spec"), [
    ("AlertCondition", condition()), ("AlertNotificationTarget", "{target: slack, description: the channel}")])
def test_alert_kinds_are_kept_whole(kind: str, spec: str) -> None:
    one = the(AlertDeclaration, document(kind, spec))
    assert (one.name, one.kind) == (f"{kind}/OnCall", kind)
    assert "condition" in one.spec or one.spec["target"] == "slack"


def test_a_policy_takes_its_condition_and_its_targets_inline() -> None:
    text = policy(f"[{{kind: AlertCondition, metadata: {{name: Fast}}, spec: {condition()}}}]",
                  "[{kind: AlertNotificationTarget, metadata: {name: Mail}, spec: {target: email}}]")
    conditions = the(AlertDeclaration, text).spec["conditions"]
    assert isinstance(conditions, list)
    assert conditions[0]["spec"]["condition"]["threshold"] == 2
    assert warnings(text) == []


def test_what_a_policy_refers_to_is_looked_for() -> None:
    assert warnings(policy()) == ["unknown-reference", "unknown-reference"]
    assert warnings(policy() + document("AlertCondition", condition(), "Fast")
                    + document("AlertNotificationTarget", "{target: email}", "Mail")) == []


@pytest.mark.parametrize(("text", "code"), [
    (policy("[]"), "out-of-range"), (policy("[{conditionRef: a}, {conditionRef: b}]"), "out-of-range"),
    (policy(targets="[]"), "missing-field"), (policy("[{conditonRef: a}]"), "unknown-field"),
    (policy("[{kind: SLO, metadata: {name: a}, spec: {}}]"), "unknown-value"),
    (policy(f"[{{conditionRef: a, spec: {condition()}}}]"), "one-of"),
    (document("AlertNotificationTarget", "{}"), "missing-field"),
    (document("AlertCondition", "{condition: " + BURN + "}"), "missing-field"),
    (document("AlertCondition", condition(BURN.replace("1h", "hour"))), "invalid-value"),
    (document("AlertCondition", condition(BURN.replace("gt", "over"))), "unknown-value"),
    (document("AlertCondition", condition(BURN.replace("threshold: 2", "threshold: two"))), "wrong-type"),
    (document("AlertCondition", condition(BURN.replace("burnrate", "drop"))), "unknown-value"),
])
def test_a_mistake_in_an_alert_kind_is_found(text: str, code: str) -> None:
    assert code in codes(text)


def test_an_alert_that_fires_while_nothing_burns_is_said() -> None:
    # OpenSLO's own examples write op: lte for "exceeds 2".
    text = document("AlertCondition", condition(BURN.replace("gt", "lte")))
    (found,) = declared(text)[1]
    assert (found.code, found.severity) == ("alert-below", "warning")
    assert "lte" in found.source[found.where.column - 1:][:3]


def test_alert_after_may_be_nothing() -> None:
    assert codes(document("AlertCondition", condition(BURN.replace("5m", "0m")))) == []


def test_an_objective_names_the_policies_it_refers_to_and_those_it_holds() -> None:
    inline = (f"{{kind: AlertPolicy, metadata: {{name: page}}, spec: {{alertWhenBreaching: true, conditions: [{{kind: "
              f"AlertCondition, metadata: {{name: fast}}, spec: {condition()}}}], notificationTargets: [{{kind: "
              "AlertNotificationTarget, metadata: {name: mail}, spec: {target: email}}]}}")
    text = slo(f"[{{alertPolicyRef: OnCall}}, {inline}]") + slo(f"[{inline}]", "other") + policy()
    catalog, _ = declared(text)
    assert codes(text) == []
    assert catalog.get(Objective, "shop").alert_policies == ("OnCall", "shop/page")
    assert catalog.get(Objective, "other").alert_policies == ("other/page",)
    assert catalog.get(AlertDeclaration, "AlertPolicy/shop/page").kind == "AlertPolicy"


def test_a_policy_that_is_declared_nowhere_is_named() -> None:
    (found,) = (one for one in declared(slo("[{alertPolicyRef: nobody}]"))[1] if one.code == "unknown-reference")
    assert found.message == 'no AlertPolicy is named "nobody"'
    assert isinstance(found.where, Position)
