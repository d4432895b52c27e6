"""Budget policies as files say them."""

from __future__ import annotations

import pytest

from catalogs import codes, the
from mainstay.slo.policy import Freeze, Notify, OpenIncident, Policy, Review, zone_of
from mainstay.slo.spec import ErrorBudgetPolicy


def native(zones: str) -> str:
    return f"apiVersion: mainstay/v1\nkind: ErrorBudgetPolicy\nmetadata: {{name: p}}\nspec: {{zones: [{zones}]}}\n"


def seed(thresholds: str) -> str:
    return ("apiVersion: policy/v1\nkind: ErrorBudgetPolicy\nmetadata: {name: p}\nspec: {service: web, thresholds: "
            f"[{thresholds}]}}\n")


def policy(text: str) -> Policy:
    return the(ErrorBudgetPolicy, text).policy


def test_zones_are_put_in_order_and_begin_at_nothing_spent() -> None:
    one = policy(native("{name: b, spent: 90%}, {name: a, spent: 50%}"))
    assert [(zone.name, zone.edge) for zone in one.zones] == [("healthy", 0), ("a", 0.5), ("b", 0.9)]


def test_what_is_left_and_what_is_spent_are_two_words_for_one_edge() -> None:
    assert [zone.edge for zone in policy(native("{left: 25%}")).zones] == [0, 0.75]
    assert [zone.edge for zone in policy(seed("{remaining: 25%}")).zones] == [0, 0.75]


@pytest.mark.parametrize(("spent", "name"), [(0, "healthy"), (0.7499, "healthy"), (0.75, "tight"), (1.0, "out"),
                                             (7.0, "out"), (float("inf"), "out")])
def test_an_edge_belongs_to_the_worse_zone(spent: float, name: str) -> None:
    one = policy(seed("{name: tight, remaining: 25%}, {name: out, remaining: 0%}"))
    assert zone_of(one, spent).name == name


def test_a_zone_begins_beyond_the_budget_too() -> None:
    assert policy(native("{spent: 200%}")).zones[-1].edge == 2


def test_every_kind_of_action_is_read() -> None:
    zone = policy(seed("{remaining: 0%, actions: [{type: notification, target: me, message: hello}, {type: review, "
                       "description: look}, {type: freeze, scope: features}, {type: incident, priority: P2, "
                       "description: gone}]}")).zones[-1]
    assert zone.actions == (Notify("me", "hello"), Review("look"), Freeze("features"), OpenIncident("P2", "gone"))
    assert zone.meaning == "me is told; review: look; features are frozen; a P2 incident is opened"


def test_an_action_that_says_little_has_sensible_words() -> None:
    zone = policy(native("{spent: 1, actions: [{type: notify, target: me}, {type: freeze}, {type: incident}, "
                         "{type: review}]}")).zones[-1]
    assert zone.actions == (Notify("me", "the error budget entered a new zone"), Freeze("all-changes"),
                            OpenIncident("P1", "error budget spent"), Review("recent changes and incidents"))


def test_the_service_is_kept() -> None:
    assert the(ErrorBudgetPolicy, seed("{remaining: 5%}")).service == "web"


@pytest.mark.parametrize(("zones", "code"), [
    ("{name: a}", "one-of"), ("{spent: 1%, left: 99%}", "one-of"), ("{spent: lots}", "invalid-value"),
    ("{left: 150%}", "invalid-value"), ("{spent: -1%}", "invalid-value"), ("{spent: nan}", "invalid-value"),
    ("{spent: 2000%}", "invalid-value"), ("{spent: 5%}, {left: 95%}", "duplicate-name"),
    ("{name: a, spent: 5%}, {name: a, spent: 6%}", "duplicate-name"),
    ("{spent: 5%, actions: [{type: shout}]}", "unknown-value"),
    ("{spent: 5%, actions: [{type: notify}]}", "missing-field"),
    ("{spent: 5%, actions: [{}]}", "missing-field"), ("{spent: 5%, action: x}", "unknown-field"), ("5", "wrong-type"),
])
def test_a_wrong_zone_is_one_finding(zones: str, code: str) -> None:
    assert codes(native(zones)) == [code]
