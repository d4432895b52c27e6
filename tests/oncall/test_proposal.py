"""A proposed rota: as fair as can be, nobody on call while away, the same every time, and pasted it is what it says."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.adapters.clock import FakeClock
from mainstay.adapters.store import open_store
from mainstay.kernel.catalog import load
from mainstay.kernel.finding import Position, errors_of
from mainstay.kernel.journal import Batch, NewFact
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import Span
from mainstay.kernel.wallclock import EVERY_DAY, WeeklyHours
from mainstay.oncall.burden import Calendars
from mainstay.oncall.exchange.writing import rotation_yaml
from mainstay.oncall.grammar import GRAMMAR
from mainstay.oncall.operations.measuring import HealthRequest, health
from mainstay.oncall.operations.proposing import ProposeRequest, propose_rota
from mainstay.oncall.proposal import Past, Plan, as_overrides, as_rotation, propose, slots_of, spaced
from mainstay.oncall.roster import Roster
from mainstay.oncall.spec import Absence, Holidays, Person, Rotation
from oncall.rotations import NEW_YORK, rotation, utc

_NONE = Calendars({}, {})


def _plan(one: Rotation, start: str, weeks: int, calendars: Calendars = _NONE, **more: Any) -> Plan:
    roster = Roster(one)
    slots = slots_of(roster, Span(utc(start), utc(start) + timedelta(weeks=weeks)))
    return propose(roster, slots, calendars, more.get("past", {}), more.get("busy", {}))


def _off(name: str, *spans: tuple[str, str], zone: str = "UTC") -> Person:
    return Person(name, Position(""), zone=zone, time_off=tuple(
        Absence(Span(utc(start), utc(end)), "a trip") for start, end in spans))


def test_nobody_is_on_call_while_away_and_the_reason_says_who_was():
    people = {"A": _off("A", ("2026-03-03T00:00Z", "2026-03-17T00:00Z"))}
    found = _plan(rotation("UTC", "2026-03-02T09:00", "1w", "ABC"), "2026-03-02T09:00Z", 6, Calendars(people, {}))
    assert all(one.who != "A" for one in found.given[:3])
    assert "A is away (a trip)" in found.given[0].why
    assert sorted(one.turns for one in found.totals) == [2, 2, 2]
    assert found.most == found.least_most == 2


def test_a_turn_that_nobody_can_have_stays_empty_and_says_why():
    people = {name: _off(name, ("2026-03-01T00:00Z", "2026-03-10T00:00Z")) for name in "AB"}
    found = _plan(rotation("UTC", "2026-03-02T09:00", "1w", "AB"), "2026-03-02T09:00Z", 3, Calendars(people, {}))
    assert found.given[0].who is None
    assert found.given[0].why.startswith("nobody can: A is away")


def test_weekends_nights_and_holidays_are_shared_by_each_persons_own_clock():
    people = {"A": _off("A", zone=NEW_YORK), "B": _off("B", zone="Asia/Tokyo"), "C": _off("C", zone=NEW_YORK),
              "D": _off("D", zone="Asia/Tokyo")}
    one = rotation(NEW_YORK, "2026-03-02T09:00", "12h", "ABCD")
    found = _plan(one, "2026-03-02T14:00Z", 4, Calendars(people, {}))
    assert max(one.turns for one in found.totals) - min(one.turns for one in found.totals) <= 1
    assert max(one.weekends for one in found.totals) - min(one.weekends for one in found.totals) <= 1
    # The night of New York is Tokyo's day. Given out blindly half of the 56 turns were somebody's night; what remains
    # pays for even weekends, which begin and end elsewhere at other times.
    assert sum(one.nights for one in found.totals) <= 8


def test_a_holiday_is_worth_more_than_a_day():
    days = tuple(utc(f"2026-12-{day}T00:00Z").date() for day in (24, 25, 26, 31))
    people = {name: Person(name, Position(""), calendars=("x",)) for name in "ABCD"}
    found = _plan(rotation("UTC", "2026-12-07T00:00", "1d", "ABCD"), "2026-12-07T00:00Z", 4,
                  Calendars(people, {"x": Holidays("x", Position(""), days)}))
    assert [one.holidays for one in found.totals] == [1, 1, 1, 1]
    assert sorted(one.turns for one in found.totals) == [7, 7, 7, 7]


def test_whoever_carried_more_has_less_to_carry():
    past = {"A": Past(timedelta(weeks=3)), "B": Past(timedelta(weeks=1)), "C": Past(timedelta(weeks=1))}
    found = _plan(rotation("UTC", "2026-03-02T09:00", "1w", "ABC"), "2026-03-02T09:00Z", 7, past=past)
    assert {one.who: one.turns for one in found.totals} == {"A": 1, "B": 3, "C": 3}


def test_another_pager_is_avoided_where_somebody_else_is_free():
    busy = {"A": [Span(utc("2026-03-02T00:00Z"), utc("2026-03-10T00:00Z"))]}
    found = _plan(rotation("UTC", "2026-03-02T09:00", "1w", "AB"), "2026-03-02T09:00Z", 4, busy=busy)
    assert found.given[0].who == "B"
    assert "A has another pager" in found.given[0].why


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(1, 3)), max_size=4))
def test_the_greatest_number_of_turns_is_within_one_of_the_best_of_all_rotas(absences: list[tuple[int, int, int]]):
    first = utc("2026-03-02T09:00Z")
    people = {name: Person(name, Position(""), time_off=tuple(
        Absence(Span(first + timedelta(weeks=week), first + timedelta(weeks=week + length)))
        for who, week, length in absences if who == place)) for place, name in enumerate("ABC")}
    found = _plan(rotation("UTC", "2026-03-02T09:00", "1w", "ABC"), "2026-03-02T09:00Z", 6, Calendars(people, {}))
    choices = [[name for name in "ABC" if not any(
        one.start < absence.span.end and absence.span.start < one.end for absence in people[name].time_off)] or [None]
        for one in found.given]
    best = min(max(Counter(who for who in rota if who).values(), default=0) for rota in itertools.product(*choices))
    assert found.least_most == best
    assert found.most == best, "without a past, the classes never cost anybody a further turn"
    assert all(one.who in able for one, able in zip(found.given, choices, strict=True))


def test_turns_of_one_person_lie_apart_and_the_sums_stay():
    classes = [(0, 0, 0)] * 9
    held = [0, 0, 0, 1, 1, 1, 2, 2, 2]
    found = spaced(held, classes)
    assert Counter(found) == Counter(held)
    assert all(before != after for before, after in itertools.pairwise(found))


def test_thirty_people_and_a_year_of_days_take_less_than_thirty_seconds_and_the_answer_is_the_same_again():
    names = [f"p{number:02}" for number in range(30)]
    first = utc("2026-01-05T09:00Z")
    zones = ("Europe/Berlin", NEW_YORK, "Asia/Tokyo")
    people = {name: Person(name, Position(""), zone=zones[place % 3], time_off=tuple(
        Absence(Span(first + timedelta(days=days), first + timedelta(days=days + 14)))
        for days in (place * 7, place * 7 + 120, place * 7 + 240))) for place, name in enumerate(names)}
    one = rotation("UTC", "2026-01-05T09:00", "1d", names)
    begun = time.thread_time()  # what others do meanwhile takes none of it
    found = _plan(one, "2026-01-05T09:00Z", 52, Calendars(people, {}))
    assert time.thread_time() - begun < 30
    assert found.most <= found.least_most + 1
    weekends = [total.weekends for total in found.totals]
    assert max(weekends) - min(weekends) <= 1
    assert all(before.who != after.who for before, after in itertools.pairwise(found.given))
    assert _plan(one, "2026-01-05T09:00Z", 52, Calendars(people, {})) == found


def test_what_is_pasted_is_what_was_proposed(tmp_path: Path):
    people = {"A": _off("A", ("2026-03-03T00:00Z", "2026-03-17T00:00Z"))}
    one = rotation(NEW_YORK, "2026-03-02T09:00", "1w", "ABC", restrictions=(WeeklyHours(EVERY_DAY, 540, 1260),))
    roster = Roster(one)
    slots = slots_of(roster, Span(utc("2026-03-02T14:00Z"), utc("2026-04-20T13:00Z")))
    plan = propose(roster, slots, Calendars(people, {}), {}, {})
    pasted = Roster(one, as_overrides(plan, slots))
    (tmp_path / "r.yaml").write_text(rotation_yaml(as_rotation(one, plan)))
    catalog, findings = load([tmp_path], GRAMMAR)
    assert not errors_of(findings)
    whole = Roster(catalog.get(Rotation, "web"))
    for given_, slot in zip(plan.given, slots, strict=True):
        for piece in slot.pieces:
            assert pasted.who(piece.start).who == whole.who(piece.start).who == given_.who
        gap = slot.pieces[0].end + timedelta(minutes=1)
        assert pasted.who(gap).who is None, "a gap stays a gap"


# -- through the operations ------------------------------------------------------------------------------------------

_CATALOG = """
apiVersion: mainstay/v1
kind: Rotation
metadata: {name: web}
spec: {timezone: UTC, start: "2026-01-05T09:00", turn: 1w, members: [ana, ben, {who: chloe, from: "2026-03-02"}]}
---
apiVersion: mainstay/v1
kind: Person
metadata: {name: ana}
spec: {timezone: America/New_York}
---
apiVersion: mainstay/v1
kind: Person
metadata: {name: ben}
spec: {}
---
apiVersion: mainstay/v1
kind: Person
metadata: {name: chloe}
spec: {}
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "rota.yaml").write_text(_CATALOG)
    catalog, findings = load([tmp_path], GRAMMAR)
    assert not errors_of(findings)
    clock = FakeClock(utc("2026-03-04T12:00Z"))
    store = open_store(f"sqlite:///{tmp_path}/s.db", clock)

    def nothing(_: object) -> Any:
        raise AssertionError("not asked")

    def paged(number: int, at: str, who: str) -> list[NewFact]:
        incident = f"INC-{number}"
        return [NewFact("incident.opened", incident, utc(at), {"severity": "SEV1"}),
                NewFact("incident.paged", incident, utc(at), {
                    "to": who, "channel": "email", "loop": 0, "step": 0, "reason": "opened"})]

    for number, (at, who) in enumerate((
            ("2026-02-10T08:00Z", "ana"), ("2026-02-10T08:30Z", "ana"), ("2026-02-10T09:30Z", "ana"),
            ("2026-02-11T15:00Z", "ana"))):
        store.journal.commit(Batch(paged(number, at, who)))
    return World(clock, catalog, store.journal, store.ledger, nothing, nothing, actor="lead")


def test_health_counts_from_the_journal_and_every_number_opens_to_its_pages(world: World):
    found = health(world, HealthRequest("60d"))
    ana = next(one for one in found.people if one.who == "ana")
    # 08:00, 08:30 and 09:30 UTC are night in New York; 15:00 UTC is ten in the morning there.
    assert (ana.pages, ana.nights, ana.sleep, ana.after_hours, ana.interruptions) == (4, 3, 1, 3, 4)
    assert ana.burden == min(4 * 5 + 3 * 10 + 4 * 15, 100)
    assert ("night", "ana") in {(one.kind, one.who) for one in found.warnings}
    assert sum(one.who == "ana" for one in found.pages) == ana.pages
    assert sum(one.night is not None for one in found.pages) == ana.nights
    assert sum(found.weekly) == 4
    alone = health(world, HealthRequest("60d", person="ana"))
    assert alone.rows
    assert {one.who for one in alone.pages} == {one.who for one in alone.people} == {"ana"}


def test_pages_of_another_pager_make_a_rotation_no_less_even(world: World, tmp_path: Path):
    # Ana stands in at another pager, in a week in which ben has that of web, and is paged there.
    (tmp_path / "db.yaml").write_text("""
apiVersion: mainstay/v1
kind: Rotation
metadata: {name: db}
spec:
  {timezone: UTC, start: "2026-01-05T09:00", turn: 1w, members: [ben, chloe],
   overrides: [{from: "2026-02-25", to: "2026-02-26", who: ana}]}
""")
    both = replace(world, catalog=load([tmp_path], GRAMMAR)[0])

    def paged(incident: str, at: str) -> None:
        world.journal.commit(Batch([NewFact("incident.opened", incident, utc(at), {"severity": "SEV2"}), NewFact(
            "incident.paged", incident, utc(at), {"to": "ana", "channel": "email", "loop": 0, "step": 0})]))

    paged("INC-8", "2026-02-18T15:00Z")
    before = health(world, HealthRequest("28d"))
    paged("INC-9", "2026-02-25T15:00Z")
    after = health(both, HealthRequest("28d"))
    assert sum(one.pages for one in after.people) == 6
    shared = [{one.what: one for one in found.fairness if one.rotation == "web"}["pages"] for found in (before, after)]
    assert shared[1] == shared[0]
    assert shared[0].most == 1.0


def test_who_joined_lately_does_not_make_up_for_the_time_before(world: World):
    found = propose_rota(world, ProposeRequest("web", 12))
    turns = {one.who: one.turns for one in found.totals}
    assert sum(turns.values()) == 12
    # Ana was woken and had one week more; chloe has an even part for the time before she joined, not nothing.
    assert turns == {"ana": 3, "ben": 4, "chloe": 5}
    assert found.text.startswith("  overrides:\n")


def test_a_span_nobody_can_plan_is_refused(world: World):
    for weeks in (0, 105):
        with pytest.raises(Exception, match="cannot be planned"):
            propose_rota(world, ProposeRequest("web", weeks))
