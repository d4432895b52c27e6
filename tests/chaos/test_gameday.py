"""Game days: who may decide what and when, and the document that is left."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mainstay.chaos.gameday import GameDay, GameDayState, PlannedStep, may_decide, state_of, summary
from mainstay.kernel.errors import Conflict, InvalidInput, NotAllowed
from mainstay.kernel.finding import Position
from mainstay.kernel.journal import Fact

HERE = Position("day.yaml", 1, 1)
START = datetime(2026, 11, 25, 9, tzinfo=UTC)
DAY = GameDay("november", HERE, {"commander": ("ana",), "network": ("ben", "cem")},
              (PlannedStep("cache-down", HERE, "commander", "slower, no errors"),
               PlannedStep("auth-slow", HERE, "network")),
              "The cache and the login")


def after(*happened: tuple[str, Mapping[str, Any]]) -> GameDayState:
    return state_of(DAY, [
        Fact(seq, f"gameday.{kind}", "november", START + timedelta(minutes=seq), data, "", "ana", START)
        for seq, (kind, data) in enumerate(happened, 1)])


BEGUN: tuple[str, Mapping[str, Any]] = ("begun", {"by": "ana"})
WENT: tuple[str, Mapping[str, Any]] = ("decided", {"step": 1, "go": True, "by": "ana"})
RAN: tuple[str, Mapping[str, Any]] = ("ran", {"step": 1, "run": "run-1", "status": "failed"})


def test_steps_come_in_order_and_each_is_decided_by_its_role() -> None:
    state = after(BEGUN)
    assert may_decide(DAY, state, 1, "ana").experiment == "cache-down"
    with pytest.raises(NotAllowed, match="does not hold the role commander"):
        may_decide(DAY, state, 1, "ben")
    with pytest.raises(Conflict, match="step 1 comes next"):
        may_decide(DAY, state, 2, "ben")
    with pytest.raises(InvalidInput, match="no step 3"):
        may_decide(DAY, state, 3, "ana")


def test_after_a_run_or_a_no_go_the_next_step_comes() -> None:
    assert may_decide(DAY, after(BEGUN, WENT, RAN), 2, "cem").number == 2
    skipped = after(BEGUN, ("decided", {"step": 1, "go": False, "by": "ana", "why": "an incident is open"}))
    assert skipped.steps[0].state == "no-go"
    assert may_decide(DAY, skipped, 2, "ben").number == 2


def test_a_step_that_was_to_go_and_did_not_run_is_still_the_next() -> None:
    assert may_decide(DAY, after(BEGUN, WENT), 1, "ana").number == 1


def test_nothing_is_decided_before_it_began_or_after_it_closed() -> None:
    for state in (after(), after(BEGUN, ("closed", {}))):
        with pytest.raises(Conflict, match="november is"):
            may_decide(DAY, state, 1, "ana")


def test_beginning_again_starts_from_nothing() -> None:
    state = after(BEGUN, WENT, RAN, ("closed", {}), BEGUN)
    assert [one.state for one in state.steps] == ["waiting", "waiting"]
    assert state.closed is None


def test_facts_of_other_days_and_of_steps_that_are_no_more_change_nothing() -> None:
    state = after(BEGUN, ("decided", {"step": 9, "go": True, "by": "ana"}))
    assert [one.state for one in state.steps] == ["waiting", "waiting"]
    assert state_of(GameDay("other", HERE, {}, ()), []).begun is None


def test_the_summary_says_what_was_expected_what_happened_and_what_is_to_mend() -> None:
    text = summary(DAY, after(BEGUN, ("noted", {"by": "ben", "text": "checkout went blank", "step": 1}), WENT, RAN,
                              ("noted", {"by": "cem", "text": "coffee", "step": 0}), ("closed", {})))
    for part in ("# Game day: The cache and the login", "slower, no errors", "run: run-1, failed",
                 "09:02 ben: checkout", "1 broke", "1 open", "- [ ] cache-down: failed in run-1", "## Notes",
                 "cem: coffee"):
        assert part in text, part
