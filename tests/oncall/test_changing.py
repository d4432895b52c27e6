"""Overrides and swaps through their operations, on journals that others write to as well."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from mainstay.adapters.clock import FakeClock
from mainstay.adapters.store import open_store
from mainstay.kernel.catalog import load
from mainstay.kernel.errors import Conflict, InvalidInput, MainstayError, NotFound
from mainstay.kernel.ports import World
from mainstay.oncall.grammar import GRAMMAR
from mainstay.oncall.operations.asking import GapsRequest, ShiftsRequest, WhoRequest, gaps, shifts, who
from mainstay.oncall.operations.changing import (
    HandoffRequest,
    OverrideRequest,
    SwapRequest,
    handoff,
    override,
    swap,
)
from oncall.rotations import utc

_CATALOG = """
apiVersion: mainstay/v1
kind: Rotation
metadata: {name: web}
spec: {timezone: America/New_York, start: "2026-03-02T09:00", turn: 1w, members: [ana, ben]}
---
apiVersion: mainstay/v1
kind: Schedule
metadata: {name: day}
spec: {layers: [web]}
---
apiVersion: mainstay/v1
kind: Person
metadata: {name: ana}
spec:
  timezone: America/New_York
  contacts: {email: ana@example.com}
  time_off: [{from: "2026-03-05T00:00", to: "2026-03-06T00:00", reason: a wedding}]
---
apiVersion: mainstay/v1
kind: Person
metadata: {name: ben}
spec: {contacts: {slack: U1}}
---
apiVersion: mainstay/v1
kind: Person
metadata: {name: dora}
spec: {contacts: {email: dora@example.com}}
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "rota.yaml").write_text(_CATALOG)
    catalog, findings = load([tmp_path], GRAMMAR)
    assert not findings
    clock = FakeClock(utc("2026-03-02T15:00Z"))
    store = open_store(f"sqlite:///{tmp_path}/s.db", clock)

    def nothing(_: object) -> object:
        raise AssertionError("not asked")

    return World(clock, catalog, store.journal, store.ledger, nothing, nothing, actor="lead")  # type: ignore[arg-type]


def _ask(**more: str) -> OverrideRequest:
    return replace(OverrideRequest("web", "dora", "2026-03-03T10:00", "2026-03-03T14:00"), **more)


def test_an_override_counts_by_the_wall_clock_of_the_rotation(world: World):
    found = override(world, _ask())
    assert found.id == "O-1"
    held = [one for one in found.shifts if one.who == "dora"]
    assert [(one.start, one.end, one.via) for one in held] == [
        (utc("2026-03-03T15:00Z"), utc("2026-03-03T19:00Z"), "override")]


def test_the_same_override_twice_is_refused_until_the_first_is_taken_back(world: World):
    override(world, _ask())
    with pytest.raises(Conflict, match="O-1"):
        override(world, _ask(note="again"))
    override(world, OverrideRequest(remove="O-1"))
    assert override(world, _ask()).id == "O-2"
    with pytest.raises(NotFound):
        override(world, OverrideRequest(remove="O-1"))


def test_of_identical_requests_at_one_moment_exactly_one_is_recorded(world: World):
    def attempt(_: int) -> str:
        try:
            return override(world, _ask()).id
        except MainstayError as error:
            return type(error).__name__

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(attempt, range(8)))
    assert sorted(outcomes) == ["Conflict"] * 7 + ["O-1"]


@pytest.mark.parametrize(("wrong", "says"), [
    ({"until": "2026-03-03T09:00"}, "ends before it begins"), ({"since": "tomorrow"}, "not a time"),
    ({"replaces": "zoe"}, "takes no turns"), ({"rotation": "wbe"}, 'did you mean "web"'),
    ({"who": "dorra"}, 'did you mean "dora"'), ({"who": ""}, "needs a rotation"),
    ({"replaces": "nobody"}, "replaces nobody"), ({"rotation": "day"}, '"day" is a schedule')])
def test_a_wrong_override_says_what_is_wrong_and_records_nothing(world: World, wrong: dict[str, str], says: str):
    with pytest.raises(MainstayError, match=says):
        override(world, _ask(**wrong))
    assert world.journal.head() == 0


def test_a_swap_changes_nothing_until_it_is_accepted_and_then_both_ways(world: World):
    asked = swap(world, SwapRequest("web", "ana", "ben", "2026-03-04T09:00", "2026-03-05T09:00",
                                    "2026-03-10T09:00", "2026-03-11T09:00"))
    assert asked.swap is not None
    assert asked.swap.state == "requested"
    day = ShiftsRequest("web", "2026-03-04T14:00Z", "2026-03-05T14:00Z")
    assert [one.who for one in shifts(world, day).shifts] == ["ana"]
    swap(world, SwapRequest(accept="W-1"))
    assert [(one.who, one.via) for one in shifts(world, day).shifts] == [("ben", "swap")]
    back = ShiftsRequest("web", "2026-03-10T13:00Z", "2026-03-11T13:00Z")
    assert [(one.who, one.via) for one in shifts(world, back).shifts] == [("ana", "swap")]
    with pytest.raises(Conflict, match="is accepted"):
        swap(world, SwapRequest(decline="W-1"))
    swap(world, SwapRequest(withdraw="W-1"))
    assert [one.who for one in shifts(world, day).shifts] == ["ana"]


def test_nobody_can_swap_away_what_they_do_not_hold(world: World):
    with pytest.raises(InvalidInput, match="ben is not on call"):
        swap(world, SwapRequest("web", "ben", "ana", "2026-03-04T09:00", "2026-03-05T09:00"))


def test_who_is_on_call_says_until_when_and_who_is_next(world: World):
    found, = who(world, WhoRequest()).on_call
    assert (found.who, found.until, found.then) == ("ana", utc("2026-03-09T13:00Z"), "ben")


def test_gaps_finds_the_person_who_is_away_before_they_are_paged(world: World):
    found = gaps(world, GapsRequest(ahead="7d")).problems
    assert [(one.kind, one.who, one.start, one.end) for one in found] == [
        ("away", "ana", utc("2026-03-05T05:00Z"), utc("2026-03-06T05:00Z"))]


def test_notes_of_a_hand_off_are_there_for_the_next_person_the_newest_first(world: World):
    handoff(world, HandoffRequest("web", "the queue is slow"))
    found = handoff(world, HandoffRequest("web", "it is fast again"))
    assert [note.text for note in found.notes] == ["it is fast again", "the queue is slow"]
    assert (found.who, found.then, found.at) == ("ana", "ben", utc("2026-03-09T13:00Z"))


def test_whoever_is_asked_finds_the_swap_until_it_is_answered_or_over(world: World):
    def waiting() -> list[str]:
        return [one.id for one in swap(world, SwapRequest()).waiting]

    swap(world, SwapRequest("web", "ana", "ben", "2026-03-05T09:00", "2026-03-06T09:00"))
    swap(world, SwapRequest("web", "ana", "ben", "2026-03-04T09:00", "2026-03-05T09:00"))
    assert waiting() == ["W-2", "W-1"]
    assert who(world, WhoRequest()).swaps == 2
    assert swap(world, SwapRequest("web")).swap is None
    swap(world, SwapRequest(decline="W-2"))
    assert waiting() == ["W-1"]
    world.clock.sleep(timedelta(days=10).total_seconds())
    assert waiting() == []
    with pytest.raises(NotFound, match="wbe"):
        swap(world, SwapRequest("wbe"))


def test_what_was_made_by_command_can_be_listed_while_it_is_not_over(world: World):
    override(world, _ask())
    assert [one.id for one in override(world, OverrideRequest()).overrides] == ["O-1"]
    assert world.journal.head() == 1
    override(world, OverrideRequest(remove="O-1"))
    assert override(world, OverrideRequest("web")).overrides == ()
