"""What a user meets who takes every step."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.kernel.finding import Position
from mainstay.kernel.quantity import Target
from mainstay.slo.journeys import JourneyReading, reading_of
from mainstay.slo.spec import Journey, Step
from mainstay.slo.standing import ExhaustionReading, Standing

HERE = Position("a.yaml")
UNKNOWN = ExhaustionReading("unknown", None, None, None, None, None, "", "")


def standing(name: str, sli: float | None, target: float = 0.99, consumption: float | None = None) -> Standing:
    promise = Target.percent(target * 100)
    return Standing(name, "web", "healthy" if sli is not None else "no_data", float(promise.ratio), "30d rolling",
                    "Occurrences", 0, 0, sli, consumption, None, None, {}, UNKNOWN, "", False, (), None, "", "", None,
                    False, None, (), ())


def reading(combine: str, slis: list[float | None], weights: tuple[float, ...] = (), target: float | None = None,
            consumption: tuple[float, ...] = ()) -> JourneyReading:
    names = [f"s{index}" for index in range(len(slis))]
    steps = tuple(Step(name, name, None, HERE) for name in names)
    spent = consumption or (None,) * len(slis)
    standings = {name: standing(name, sli, consumption=one) for name, sli, one in zip(names, slis, spent, strict=True)}
    promised = None if target is None else Target.percent(target)
    return reading_of(Journey("j", HERE, steps, combine, weights, promised), standings)


def test_shares_of_serial_steps_multiply() -> None:
    # 0.999 × 0.995 × 0.99 = 0.98406 to five digits.
    assert reading("serial", [0.999, 0.995, 0.99]).sli == pytest.approx(0.98406495, abs=1e-12)


def test_promises_of_serial_steps_multiply_too() -> None:
    assert reading("serial", [1, 1]).promised == pytest.approx(0.9801)


def test_a_weighted_journey_is_the_weighted_mean() -> None:
    assert reading("weighted", [1.0, 0.9], (3, 1)).sli == pytest.approx(0.975)


def test_a_composite_burns_at_the_weighted_sum() -> None:
    one = reading("composite", [0.999, 0.99], (0.5, 0.5), consumption=(10.0, 100.0))
    assert one.sli == pytest.approx(1 - (0.5 * 0.001 + 0.5 * 0.01))
    assert one.consumption_percent == pytest.approx(55)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_a_serial_journey_lies_between_its_worst_and_its_weakest_step(slis: list[float]) -> None:
    one = reading("serial", list(slis))
    assert one.sli is not None
    assert one.at_worst is not None
    assert one.at_worst <= one.sli + 1e-12
    assert one.sli <= min(slis) + 1e-12
    assert one.sli == pytest.approx(math.prod(slis))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_the_order_of_the_steps_changes_nothing(slis: list[float]) -> None:
    assert reading("serial", list(slis)).sli == pytest.approx(reading("serial", list(reversed(slis))).sli)


def test_a_step_without_data_is_taken_at_its_promise_and_said() -> None:
    one = reading("serial", [0.9, None])
    assert one.sli == pytest.approx(0.9 * 0.99)
    assert one.warnings == ("s1: nothing was measured, its promise stands in for it",)


def test_a_journey_of_which_nothing_was_measured_has_no_share() -> None:
    assert reading("serial", [None, None]).sli is None


def test_a_step_nobody_measures_and_promises_leaves_the_journey_unknown() -> None:
    journey = Journey("j", HERE, (Step("a", "a", None, HERE), Step("b", "gone", None, HERE)))
    one = reading_of(journey, {"a": standing("a", 0.9)})
    assert (one.sli, one.promised) == (None, None)


def test_a_step_may_state_its_target_outright() -> None:
    journey = Journey("j", HERE, (Step("a", "a", None, HERE), Step("b", "", Target.percent("99.5"), HERE)))
    one = reading_of(journey, {"a": standing("a", 0.9)})
    assert one.promised == pytest.approx(0.99 * 0.995)


def test_a_target_above_what_the_steps_promise_is_warned_of() -> None:
    one = reading("serial", [0.99, 0.99], target=99.0)
    assert one.warnings == ("the steps promise 98.01 % together, less than the journey's target of 99 %",)


def test_a_target_the_steps_can_keep_is_not_warned_of() -> None:
    assert reading("serial", [0.99, 0.99], target=98.0).warnings == ()
