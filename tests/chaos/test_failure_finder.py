"""The minimal failure finder, on toy systems whose causes are known."""

from __future__ import annotations

import math

import pytest

from mainstay.chaos.finder import Belief, Suspect, find, ladder
from mainstay.stats.dice import Dice

SYSTEMS = 20


class Toy:
    """A system that breaks when every fault of its cause is at least as strong as it takes; sometimes it lies."""

    def __init__(self, seed: int, *, flaky: float = 0.0) -> None:
        dice = Dice(seed)
        count = 3 + dice.below(10)
        self.suspects = tuple(Suspect(f"fault-{one}", ladder(0.001, 1.0, 4 + dice.below(60))) for one in range(count))
        guilty = set()
        while len(guilty) < 1 + dice.below(min(4, count)):
            guilty.add(dice.below(count))
        self.cause = {self.suspects[one].name: dice.one_of(self.suspects[one].ladder) for one in sorted(guilty)}
        self._noise, self._flaky = Dice(seed + 1_000_003), flaky

    def breaks(self, strengths: dict[str, float]) -> bool:
        true = all(strengths.get(name, 0) >= least for name, least in self.cause.items())
        return true != (self._noise.share() < self._flaky)


@pytest.mark.parametrize("flaky", [0.0, 0.1])
def test_at_least_19_of_20_systems_are_reduced_to_exactly_their_cause(flaky: float) -> None:
    exact = 0
    for seed in range(SYSTEMS):
        toy = Toy(seed, flaky=flaky)
        found = find(toy.suspects, toy.breaks)
        exact += found.strengths == toy.cause and found.checked
    assert exact >= 19


def test_a_strength_is_found_in_at_most_twice_the_logarithm_of_its_steps() -> None:
    for seed in range(SYSTEMS):
        toy = Toy(seed)
        found = find(toy.suspects, toy.breaks)
        for one in toy.suspects:
            if one.name in found.steps:
                assert found.steps[one.name] <= max(1, math.ceil(math.log2(len(one.ladder))))


def test_a_single_cause_among_many_is_found_in_about_the_logarithm_of_them() -> None:
    suspects = [Suspect(f"fault-{one}") for one in range(64)]
    found = find(suspects, lambda strengths: "fault-41" in strengths)
    assert found.strengths == {"fault-41": 1.0}
    assert found.questions <= 2 * math.log2(64) + 2


def test_what_does_not_break_with_everything_is_said_not_to() -> None:
    found = find([Suspect("cache", ladder(0.01, 1))], lambda _: False)
    assert (found.strengths, found.checked) == ({}, False)


def test_no_question_is_put_twice_and_tries_are_counted() -> None:
    asked: list[tuple[tuple[str, float], ...]] = []

    def breaks(strengths: dict[str, float]) -> bool:
        asked.append(tuple(sorted(strengths.items())))
        return strengths.get("redis", 0) >= 0.18 and "worker" in strengths

    found = find([Suspect("redis", ladder(0.01, 1.0, 32)), Suspect("worker"), Suspect("disk"), Suspect("dns")], breaks,
                 Belief(most=25))
    assert found.tries == len(asked)
    assert found.questions == len(set(asked))
    assert set(found.strengths) == {"redis", "worker"}
    assert found.strengths["redis"] >= 0.18


def test_confidence_falls_with_the_questions_asked() -> None:
    found = find([Suspect("a", ladder(0.01, 1, 8)), Suspect("b")], lambda strengths: "a" in strengths,
                 Belief(error=0.001))
    assert found.confidence == pytest.approx(1 - found.questions * 0.001)


def test_a_system_that_answers_by_coin_is_said_to_leave_questions_unsure() -> None:
    dice = Dice(5)
    found = find([Suspect("a"), Suspect("b")], lambda _: dice.share() < 0.5, Belief(error=1e-9, most=6))
    assert found.unsure > 0


def test_two_causes_give_one_of_them_and_say_whether_it_is_smallest() -> None:
    found = find([Suspect(name) for name in "abcdef"], lambda on: {"a", "b"} <= on.keys() or {"d"} <= on.keys())
    assert found.strengths in ({"d": 1.0}, {"a": 1.0, "b": 1.0})
    assert found.checked


def test_a_ladder_ends_at_what_was_seen_and_climbs_by_a_factor() -> None:
    steps = ladder(0.01, 0.64, 7)
    assert steps == (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64)
    assert ladder(0.5, 0.5) == (0.5,)
    with pytest.raises(ValueError, match="no ladder"):
        ladder(0, 1)
