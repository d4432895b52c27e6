"""What is checked across the catalog, once every document is right by itself."""

from __future__ import annotations

import pytest

from catalogs import codes, declared, warnings

PROM = """apiVersion: openslo/v1
kind: DataSource
metadata: {name: prom}
spec: {type: Prometheus, connectionDetails: {url: "http://p"}}
---
"""
LOGS = """apiVersion: openslo/v1
kind: DataSource
metadata: {name: logs}
spec: {type: events, connectionDetails: {paths: a}}
---
"""


def objective(more: str = "", indicator: str = "type: availability, source: logs", name: str = "web-up",
              target: str = "99.99") -> str:
    return (f"apiVersion: mainstay/v1\nkind: Objective\nmetadata: {{name: {name}}}\n"
            f"spec: {{indicator: {{{indicator}}}, target: {target}{more}}}\n")


def test_a_promise_of_100_percent_is_refused() -> None:
    assert codes(LOGS + objective(target="100")) == ["no-budget"]


def test_a_promise_above_the_dependencies_is_warned_of_with_the_arithmetic() -> None:
    # 0.9999 × 0.9995 = 0.99940005
    text = LOGS + objective(", dependencies: [{service: auth, promise: 99.99}, {service: db, promise: 99.95}]")
    (finding,) = declared(text)[1]
    assert (finding.code, finding.severity) == ("above-dependencies", "warning")
    assert "99.99 % × 99.95 % = 99.94 %" in finding.message
    assert "promise at most 99.94 %" in finding.mend


def test_what_is_recommended_is_never_above_the_ceiling() -> None:
    # 0.9999 × 0.99999 = 0.9998900010 rounds to 99.9890 either way; 0.99995² = 0.9999000025 must not become 99.9001.
    text = LOGS + objective(", dependencies: [{service: a, promise: 99.9876}, {service: b, promise: 99.9877}]")
    (finding,) = declared(text)[1]
    # 0.999876 × 0.999877 = 0.999753015..., so 99.9753 and not 99.9754.
    assert "promise at most 99.9753 %" in finding.mend


def test_a_promise_within_the_dependencies_is_fine() -> None:
    assert declared(LOGS + objective(", dependencies: [{service: db, promise: 99.999}]"))[1] == []


def test_a_dependency_promises_the_strictest_objective_of_its_service() -> None:
    other = objective(", service: db", name="db-up", target="99.9") + "---\n"
    assert warnings(LOGS + other + objective(", dependencies: [{service: db}]")) == ["above-dependencies"]


def test_an_unknown_policy_is_found_with_the_one_that_was_meant() -> None:
    (finding,) = declared(LOGS + objective(", policy: remaning"))[1]
    assert finding.code == "unknown-reference"
    assert 'did you mean "remaining"?' in finding.message


def test_an_unknown_policy_and_a_wrong_source_are_found_beside_a_mistake_elsewhere() -> None:
    text = LOGS + objective(", polcy: x", name="slip") + "---\n" + objective(", policy: remaning") + "---\n" \
        + objective(indicator="type: availability, source: logs, good: g, total: t", name="asked")
    assert codes(text) == ["unknown-field", "unknown-reference", "wrong-source"]


def test_a_policy_whose_own_document_is_mistaken_is_not_unknown_as_well() -> None:
    policy = "apiVersion: mainstay/v1\nkind: ErrorBudgetPolicy\nmetadata: {name: strict}\nspec: {zoens: []}\n---\n"
    assert "unknown-reference" not in codes(LOGS + policy + objective(", policy: strict"))


@pytest.mark.parametrize("preset", ["reference", "template", "remaining"])
def test_a_preset_is_a_policy(preset: str) -> None:
    assert declared(LOGS + objective(f", policy: {preset}"))[1] == []


@pytest.mark.parametrize("indicator", ["type: availability, source: prom", "good: a, total: b, source: logs"])
def test_a_source_that_does_not_speak_the_indicator_s_language_is_found(indicator: str) -> None:
    assert codes(PROM + LOGS + objective(indicator=indicator)) == ["wrong-source"]


def test_without_any_source_there_is_a_warning() -> None:
    assert warnings(objective(indicator="type: availability")) == ["no-source"]


def test_the_only_source_that_fits_is_taken() -> None:
    assert declared(PROM + LOGS + objective(indicator="type: availability"))[1] == []


def test_of_two_sources_that_fit_none_is_guessed() -> None:
    text = LOGS + LOGS.replace("name: logs", "name: more") + objective(indicator="type: availability")
    assert warnings(text) == ["no-source"]


def test_a_source_that_is_not_declared_is_a_dangling_reference() -> None:
    assert codes(objective(indicator="type: availability, source: prm")) == ["unknown-reference"]
