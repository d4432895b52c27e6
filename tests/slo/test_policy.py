"""Zones and their edges, what is due between them, and the four states."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.slo.policy import (
    PRESETS,
    REFERENCE,
    REMAINING,
    TEMPLATE,
    Freeze,
    Notify,
    OpenIncident,
    Policy,
    Review,
    Zone,
    frozen_in,
    transition,
    zone_of,
)
from mainstay.stats.budget import status_of


@pytest.mark.parametrize(("policy", "spent", "name"), [
    (REFERENCE, 0.0, "healthy"), (REFERENCE, 0.2499, "healthy"), (REFERENCE, 0.25, "concerning"),
    (REFERENCE, 0.4999, "concerning"), (REFERENCE, 0.50, "critical"), (REFERENCE, 0.75, "critical"),
    (REFERENCE, 0.7501, "exhausted"), (REFERENCE, 1.5, "exhausted"), (REFERENCE, math.inf, "exhausted"),
    (TEMPLATE, 0.4999, "healthy"), (TEMPLATE, 0.5, "half spent"), (TEMPLATE, 0.75, "tight"),
    (TEMPLATE, 0.9, "nearly spent"), (TEMPLATE, 0.9999, "nearly spent"), (TEMPLATE, 1.0, "spent"),
    (REMAINING, 0.2499, "healthy"), (REMAINING, 0.25, "75 % left"), (REMAINING, 0.5, "50 % left"),
    (REMAINING, 0.75, "25 % left"), (REMAINING, 0.9999, "25 % left"), (REMAINING, 1.0, "nothing left"),
    (REMAINING, 3.0, "nothing left"),
])
def test_each_edge_belongs_to_the_zone_the_preset_says(policy: Policy, spent: float, name: str) -> None:
    assert zone_of(policy, spent).name == name


def test_rounding_does_not_move_a_budget_across_an_edge() -> None:
    assert zone_of(REFERENCE, 0.75 + 1e-12).name == "critical"
    assert zone_of(REMAINING, 0.75 - 1e-12).name == "25 % left"


def test_the_remaining_preset_has_the_actions_of_the_guide() -> None:
    actions = {zone.name: zone.actions for zone in REMAINING.zones}
    assert [type(action) for action in actions["75 % left"]] == [Notify]
    assert [type(action) for action in actions["50 % left"]] == [Review, Notify]
    assert Freeze("non-critical-features") in actions["25 % left"]
    assert Freeze("all-changes") in actions["nothing left"]
    assert any(isinstance(action, OpenIncident) and action.priority == "P1" for action in actions["nothing left"])


def test_entering_a_worse_zone_makes_its_actions_due() -> None:
    passed = transition(REMAINING, REMAINING.zones[1], REMAINING.zones[2])
    assert [zone.name for zone in passed.entered] == ["50 % left"]
    assert passed.due == REMAINING.zones[2].actions


def test_a_fall_through_several_zones_owes_the_actions_of_each() -> None:
    passed = transition(REMAINING, REMAINING.zones[0], REMAINING.zones[4])
    assert [zone.name for zone in passed.entered] == ["75 % left", "50 % left", "25 % left", "nothing left"]
    assert {type(action) for action in passed.due} == {Notify, Review, Freeze, OpenIncident}


def test_a_budget_judged_for_the_first_time_comes_from_the_mildest_zone() -> None:
    assert transition(REMAINING, None, REMAINING.zones[0]).due == ()
    assert transition(REMAINING, None, REMAINING.zones[1]).due == REMAINING.zones[1].actions


def test_staying_in_a_zone_owes_nothing() -> None:
    passed = transition(REFERENCE, REFERENCE.zones[3], REFERENCE.zones[3])
    assert (passed.entered, passed.left, passed.due, passed.lifted) == ((), (), (), ())


def test_recovery_lifts_what_only_the_zones_left_had_frozen() -> None:
    one = transition(REMAINING, REMAINING.zones[4], REMAINING.zones[3])
    assert (one.due, one.lifted) == ((), ("all-changes",))
    assert [zone.name for zone in one.left] == ["nothing left"]
    assert transition(REMAINING, REMAINING.zones[4], REMAINING.zones[0]).lifted == (
        "non-critical-features", "all-changes")


def test_a_worse_zone_keeps_the_freezes_of_the_milder_ones() -> None:
    assert frozen_in(REMAINING, REMAINING.zones[2]) == ()
    assert frozen_in(REMAINING, REMAINING.zones[4]) == ("non-critical-features", "all-changes")


@given(st.sampled_from(sorted(PRESETS)), st.lists(st.floats(0, 2), min_size=1, max_size=12))
def test_what_is_frozen_depends_on_where_a_budget_is_and_not_on_how_it_came_there(name: str,
                                                                                 path: list[float]) -> None:
    policy, frozen, zone = PRESETS[name], set[str](), None
    for spent in path:
        after = zone_of(policy, spent)
        passed = transition(policy, zone, after)
        frozen |= {action.scope for action in passed.due if isinstance(action, Freeze)}
        frozen -= set(passed.lifted)
        zone = after
    assert zone is not None
    assert frozen == set(frozen_in(policy, zone))


@given(st.sampled_from(sorted(PRESETS)), st.floats(0, 5), st.floats(0, 5))
def test_more_spent_is_never_a_milder_zone(name: str, one: float, other: float) -> None:
    policy = PRESETS[name]
    low, high = sorted((one, other))
    assert policy.zones.index(zone_of(policy, low)) <= policy.zones.index(zone_of(policy, high))


@pytest.mark.parametrize("zones", [(), (Zone("late", 0.5),), (Zone("a", 0), Zone("b", 0.5), Zone("c", 0.25))])
def test_zones_that_do_not_rise_from_zero_are_our_own_mistake(zones: tuple[Zone, ...]) -> None:
    with pytest.raises(AssertionError):
        Policy("broken", zones)


@pytest.mark.parametrize(("spent", "fast_burn", "state"), [
    (None, True, "no_data"), (0.0, False, "healthy"), (0.75, False, "healthy"), (0.7501, False, "at_risk"),
    (0.1, True, "at_risk"), (1.0, False, "at_risk"), (1.0001, False, "violated"), (math.inf, False, "violated"),
])
def test_the_four_states(spent: float | None, fast_burn: bool, state: str) -> None:
    assert status_of(spent, fast_burn=fast_burn) == state
