"""The chaos monkey: when it begins what, and what holds it back."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from mainstay.chaos.monkey import (
    Candidate,
    ChaosMonkey,
    Circumstances,
    Strike,
    choose,
    draw,
    look_of,
    simulate,
)
from mainstay.chaos.practice_forms import WORKING_HOURS
from mainstay.chaos.spec import Hours
from mainstay.kernel.finding import Position
from mainstay.kernel.quantity import Span

HERE = Position("monkey.yaml", 1, 1)
MONDAY = datetime(2026, 11, 23, 10, tzinfo=UTC)


def monkey(**changes: object) -> ChaosMonkey:
    given: dict[str, object] = {"between": timedelta(0), "hours": Hours(), "keep": 0.5, "candidates": (
        Candidate("cache-down", 1.0, HERE),)} | changes
    return ChaosMonkey("weekdays", HERE, **given)  # type: ignore[arg-type]


def outcome(one: ChaosMonkey, look: datetime = MONDAY, history: tuple[Strike, ...] = (), **things: object) -> str:
    return choose(one, look, history, Circumstances(**things))[0].outcome  # type: ignore[arg-type]


def test_what_is_drawn_is_begun() -> None:
    assert outcome(monkey()) == "strikes"


def test_the_same_seed_draws_the_same_and_another_draws_another() -> None:
    one, other = monkey(seed=1), monkey(seed=2)
    assert draw(one, MONDAY, "cache-down") == draw(one, MONDAY, "cache-down")
    assert draw(one, MONDAY, "cache-down") != draw(other, MONDAY, "cache-down")
    assert draw(one, MONDAY, "cache-down") != draw(one, MONDAY, "auth-slow")
    # Worked out once; a change would make every simulation of the past untrue.
    assert draw(monkey(), MONDAY, "cache-down") == pytest.approx(0.94929, abs=5e-6)


def test_over_many_looks_an_experiment_is_drawn_as_often_as_it_says() -> None:
    one = monkey(candidates=(Candidate("cache-down", 0.1, HERE),))
    looks = [MONDAY + timedelta(hours=hour) for hour in range(5000)]
    drawn = sum(outcome(one, look) == "strikes" for look in looks)
    # Binomial: 500 with a spread of 21; four of them is once in 16,000 seeds.
    assert 415 < drawn < 585


def test_of_several_drawn_at_one_look_only_one_is_begun() -> None:
    one = monkey(candidates=tuple(Candidate(name, 1.0, HERE) for name in ("a", "b", "c")))
    found = [each.outcome for each in choose(one, MONDAY, ())]
    assert sorted(found) == ["drawn", "drawn", "strikes"]


@pytest.mark.parametrize(("look", "expected"), [
    (datetime(2026, 11, 23, 7, 59, tzinfo=UTC), "outside its hours"),
    (datetime(2026, 11, 23, 8, 0, tzinfo=UTC), "strikes"),
    (datetime(2026, 11, 23, 13, 59, tzinfo=UTC), "strikes"),
    (datetime(2026, 11, 23, 14, 0, tzinfo=UTC), "outside its hours"),
    (datetime(2026, 11, 28, 10, 0, tzinfo=UTC), "outside its hours"),
    # In summer Berlin is two hours ahead: the same wall clock is an hour earlier in UTC.
    (datetime(2026, 7, 6, 7, 0, tzinfo=UTC), "strikes")])
def test_it_keeps_to_the_working_hours_of_its_zone(look: datetime, expected: str) -> None:
    assert outcome(monkey(hours=Hours("Europe/Berlin", (WORKING_HOURS,))), look) == expected


def test_it_rests_on_holidays_of_its_zone() -> None:
    one = monkey(holidays=(date(2026, 11, 24),), hours=Hours("Asia/Tokyo", ()))
    assert outcome(one, datetime(2026, 11, 23, 15, 30, tzinfo=UTC)) == "holiday"
    assert outcome(one, datetime(2026, 11, 24, 15, 30, tzinfo=UTC)) == "strikes"


@pytest.mark.parametrize(("left", "expected"), [(0.8, "strikes"), (0.49, "budget low"), (None, "budget unknown")])
def test_it_never_begins_while_the_budget_is_low_or_unknown(left: float | None, expected: str) -> None:
    assert outcome(monkey(), left={"cache-down": left}) == expected


def test_it_never_begins_during_an_incident() -> None:
    assert outcome(monkey(), incidents={"cache-down": "INC-7"}) == "incident open"


def test_what_is_excepted_is_left_alone_also_by_the_name_of_its_service() -> None:
    one = monkey(excepted=("orders",))
    assert outcome(one, targets={"cache-down": frozenset({"orders"})}) == "excepted"
    assert outcome(monkey(excepted=("cache-down",))) == "excepted"
    assert outcome(one) == "strikes"


def test_two_never_begin_closer_together_than_it_says() -> None:
    one = monkey(between=timedelta(days=1))
    history = (Strike(MONDAY - timedelta(hours=23), "auth-slow"),)
    assert outcome(one, history=history) == "too soon"
    assert outcome(one, MONDAY + timedelta(hours=1), history) == "strikes"


def test_one_experiment_rests_longer_than_the_others() -> None:
    one = monkey(candidates=(Candidate("cache-down", 1.0, HERE, timedelta(days=7)),))
    assert outcome(one, history=(Strike(MONDAY - timedelta(days=6), "cache-down"),)) == "too soon"
    assert outcome(one, history=(Strike(MONDAY - timedelta(days=6), "auth-slow"),)) == "strikes"


def test_moments_within_one_look_are_the_same_look() -> None:
    one = monkey(every=timedelta(hours=1))
    assert look_of(one, MONDAY + timedelta(minutes=59)) == MONDAY
    assert look_of(one, MONDAY + timedelta(minutes=60)) == MONDAY + timedelta(hours=1)


def test_a_simulated_month_keeps_every_bound() -> None:
    one = monkey(candidates=tuple(Candidate(name, 0.3, HERE) for name in ("a", "b")), between=timedelta(days=2),
                 hours=Hours("UTC", (WORKING_HOURS,)))
    found = [each for each in simulate(one, Span(MONDAY, MONDAY + timedelta(days=30)), ()) if each.outcome == "strikes"]
    assert 8 <= len(found) <= 12
    assert all(each.at.weekday() < 5 and 9 <= each.at.hour < 15 for each in found)
    assert all(later.at - sooner.at >= timedelta(days=2) for sooner, later in pairwise(found))


def test_what_is_simulated_is_what_happens() -> None:
    one = monkey(candidates=tuple(Candidate(name, 0.2, HERE) for name in ("a", "b")))
    ahead = [each for each in simulate(one, Span(MONDAY, MONDAY + timedelta(days=5)), ()) if each.outcome == "strikes"]
    history: list[Strike] = []
    for hour in range(5 * 24):
        look = MONDAY + timedelta(hours=hour)
        history += [Strike(look, each.experiment) for each in choose(one, look, history) if each.outcome == "strikes"]
    assert [(each.at, each.experiment) for each in ahead] == history
