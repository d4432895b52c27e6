"""A desk decides on what it knows while another one records something: what neither saw must not be lost."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from incident.plans import T0, People, plan_of
from incident.test_two_desks import happening
from incident.test_two_desks import plan as days
from mainstay.adapters.clock import FakeClock
from mainstay.adapters.memory import MemoryJournal
from mainstay.incident.act import Plan
from mainstay.incident.engine import AcknowledgeAlert, MakeSilence, Sweep
from mainstay.incident.intake import AlertEvent
from mainstay.incident.layers import Table
from mainstay.incident.lifecycle import Phase, Status
from mainstay.incident.ongoing import Group, Key
from mainstay.incident.operations.desk import Desk
from mainstay.incident.routing import route_of
from mainstay.incident.state import COUNTED, State
from mainstay.kernel.errors import Conflict, InvalidInput, NotFound
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.matcher import parse_matcher
from mainstay.kernel.quantity import Span
from overtaking import Between

_CATALOG = """
apiVersion: mainstay/v1
kind: EscalationPolicy
metadata: {name: web}
spec: {steps: [{page: [person:ana], wait: 8h}]}
---
apiVersion: mainstay/v1
kind: Routing
metadata: {name: all}
spec:
  route:
    policy: web
    group_by: [service]
    wait: 30s
    routes: [{match: [level=now], wait: 0s}]
  storm: {pages: 2, within: 5m}
"""


class House:
    """Two desks on one journal; what the first decides is overtaken where that is asked for."""

    def __init__(self, plan: Plan) -> None:
        self.clock = FakeClock(T0)
        self.journal = MemoryJournal(self.clock)
        self.between = Between(self.journal)
        self.slow = Desk(self.between, self.clock, plan, People({}))
        self.quick = Desk(self.journal, self.clock, plan, People({}))

    def overtaken(self, decide: Callable[[], object], by: Callable[[], object]) -> None:
        """The slow desk decides on what it knows, and the quick one is through with its own before that stands."""
        self.slow.caught_up()
        self.between.before_commit = by
        decide()
        assert self.between.before_commit is None, "it decided nothing"

    def later(self, **time: float) -> None:
        """Timers ring when they are due, at either desk; both sweep every minute."""
        end = self.clock.now() + timedelta(**time)
        while self.clock.now() < end:
            self.clock.set(min(self.clock.now() + timedelta(seconds=10), end))
            while self.quick.ring("test"):
                pass
            if self.clock.now().second == 0:
                for desk in (self.slow, self.quick):
                    desk.do(Sweep(T0))

    def at(self, **time: float) -> None:
        self.clock.set(T0 + timedelta(**time))

    def paged(self, to: str) -> list[str]:
        """Incidents of which that person heard, by a page of their own or told together with others."""
        told = [fact.data["incidents"] for fact in self.journal.facts(FactQuery(kinds=("pager.told",)))
                if fact.subject == to]
        return sorted({fact.subject for fact in self.journal.facts(FactQuery(kinds=("incident.paged",)))
                       if fact.data["to"] == to} | {name for names in told for name in names})


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(plan_of(tmp_path, _CATALOG))


def fires(house: House, key: str, service: str = "web", severity: str = "critical") -> AlertEvent:
    return AlertEvent(house.clock.now(), True, key, service, severity)


def stops(house: House, key: str, service: str = "web") -> AlertEvent:
    return AlertEvent(house.clock.now(), False, key, service)


def gathering(house: House) -> None:
    """An alert whose wait is over just now."""
    house.slow.do(fires(house, "a"))
    house.at(seconds=30)
    house.quick.caught_up()


def incidents_of(house: House) -> dict[str, str]:
    """Sender's key → the incident of the alert that fires under it."""
    return {one.key.key: one.incident for one in house.quick.caught_up().alerts.values()}


Decide = Callable[[House], object]
ROUNDS: list[tuple[str, Decide, Decide]] = [
    ("the group opens while an alert joins it", lambda house: house.slow.ring("slow"),
     lambda house: house.quick.do(fires(house, "b"))),
    ("an alert joins the group while that opens", lambda house: house.slow.do(fires(house, "b")),
     lambda house: house.quick.ring("quick")),
    ("somebody takes an alert that gathers while another joins",
     lambda house: house.slow.do(AcknowledgeAlert(Key("web", "a"), "ana")),
     lambda house: house.quick.do(fires(house, "b"))),
]


@pytest.mark.parametrize(("decide", "by"), [row[1:] for row in ROUNDS], ids=[row[0] for row in ROUNDS])
def test_an_alert_that_joins_a_group_as_it_opens_is_part_of_its_incident_within_a_minute(
        house: House, decide: Decide, by: Decide):
    gathering(house)
    house.overtaken(lambda: decide(house), lambda: by(house))
    house.later(minutes=1)
    assert incidents_of(house) == {"a": "INC-1", "b": "INC-1"}
    house.quick.do(stops(house, "a"))
    house.quick.do(stops(house, "b"))
    assert house.quick.state.incidents["INC-1"].status is Status.RESOLVED


def test_an_alert_that_is_over_as_its_group_opens_leaves_no_incident_behind(house: House):
    gathering(house)
    house.overtaken(lambda: house.slow.do(stops(house, "a")), lambda: house.quick.ring("quick"))
    house.later(minutes=1)
    assert house.quick.caught_up().incidents["INC-1"].status is Status.RESOLVED


def storm(house: House) -> None:
    """Ana was paged twice within five minutes, and a third incident is held back for her; that is told just now."""
    for service in ("one", "two", "three"):
        house.slow.do(at_once(house, service))
    assert house.slow.state.pagers["ana"].holds
    house.at(minutes=5)
    house.quick.caught_up()


def at_once(house: House, service: str) -> AlertEvent:
    return AlertEvent(house.clock.now(), True, "now", service, "critical", {"level": "now"})


HOLDS: list[tuple[str, Decide, Decide]] = [
    ("told while another is held", lambda house: house.slow.ring("slow", 1),
     lambda house: house.quick.do(at_once(house, "four"))),
    ("held while the others are told", lambda house: house.slow.do(at_once(house, "four")),
     lambda house: house.quick.ring("quick", 1)),
]


@pytest.mark.parametrize(("decide", "by"), [row[1:] for row in HOLDS], ids=[row[0] for row in HOLDS])
def test_what_the_storm_guard_holds_back_as_it_tells_of_others_is_told_too(
        house: House, decide: Decide, by: Decide):
    storm(house)
    house.overtaken(lambda: decide(house), lambda: by(house))
    house.later(minutes=6)
    assert house.paged("ana") == ["INC-1", "INC-2", "INC-3", "INC-4"]
    assert not house.quick.state.pagers["ana"].holds
    house.later(minutes=30)
    house.quick.do(at_once(house, "five"))
    assert "INC-5" in house.paged("ana"), "and pages go out as before"


def test_a_step_that_follows_as_alerts_are_heard_again_is_not_the_last(tmp_path: Path):
    two_steps = "[{page: [person:ana], wait: 5m}, {page: [person:ben], wait: 5m}]"
    house = House(plan_of(tmp_path, _CATALOG.replace("[{page: [person:ana], wait: 8h}]", two_steps)))
    house.slow.do(at_once(house, "web"))
    house.slow.do(MakeSilence((parse_matcher("service=web"),), Span(T0, T0 + timedelta(minutes=8)), "ana", "known"))
    house.at(minutes=5)
    house.slow.ring("slow")
    assert house.slow.state.incidents["INC-1"].hushed
    house.at(minutes=8)
    house.quick.caught_up()
    # Both find that the silence is over; the quick one pages the second step before the other's word stands.
    house.overtaken(lambda: house.slow.do(Sweep(T0)), lambda: (house.quick.ring("quick"), house.quick.ring("quick")))
    assert house.paged("ben") == ["INC-1"]
    house.later(minutes=30)
    assert house.quick.state.incidents["INC-1"].phase is Phase.EXHAUSTED


def test_a_group_whose_only_alert_is_over_as_another_joins_it_is_told_of_all_the_same(house: House):
    gathering(house)
    house.overtaken(lambda: house.slow.do(stops(house, "a")), lambda: house.quick.do(fires(house, "b")))
    house.later(minutes=2)
    assert incidents_of(house) == {"b": "INC-1"}


def test_what_is_overlooked_and_inhibited_by_then_is_not_told_of(tmp_path: Path):
    inhibit = "  inhibit: [{source: [level=now], target: [alertname=b], equal: []}]\n"
    house = House(plan_of(tmp_path, _CATALOG + inhibit))
    gathering(house)
    house.overtaken(lambda: house.slow.ring("slow"), lambda: house.quick.do(
        AlertEvent(house.clock.now(), True, "b", "web", "critical", {"alertname": "b"})))
    house.slow.do(at_once(house, "other"))
    house.later(minutes=2)
    assert incidents_of(house) == {"a": "INC-1", "b": "", "now": "INC-2"}
    house.quick.do(AlertEvent(house.clock.now(), False, "now", "other"))
    assert incidents_of(house) == {"a": "INC-1", "b": "INC-1"}


# -- anything at any moment ---------------------------------------------------------------------------------------


class Random:
    """Two desks of the other tests' catalog, either of which may overtake the other, or begin anew."""

    def __init__(self, plan: Plan, seed: int) -> None:
        self.plan, self.chance, self.clock = plan, random.Random(seed), FakeClock(T0)
        self.journal = MemoryJournal(self.clock)
        self.views = [Between(self.journal), Between(self.journal)]
        self.desks = [self._desk(0), self._desk(1)]

    def _desk(self, number: int) -> Desk:
        return Desk(self.views[number], self.clock, self.plan, People({}))

    def act(self, number: int) -> None:
        what, desk = self.chance.random(), self.desks[number]
        with contextlib.suppress(NotFound, Conflict, InvalidInput):
            if what < 0.35 and (due := self.journal.next_due()) is not None:
                self.clock.set(max(due, self.clock.now()))
                desk.ring(str(number))
            elif what < 0.45:
                desk.do(Sweep(T0))
            else:
                desk.do(happening(self.chance, desk.state, self.clock.now()))

    def go_on(self) -> None:
        self.clock.advance(timedelta(seconds=self.chance.choice([1, 5, 11, 47, 160])))
        number = self.chance.randrange(2)
        if self.chance.random() < 0.7:
            self.desks[number].caught_up()
            self.views[number].before_commit = lambda: self.act(1 - number)
        self.act(number)
        for view in self.views:
            view.before_commit, view.commits = None, 0
        if self.chance.random() < 0.04:
            self.desks[number].write_down(self.chance.choice([1, 10_000]))
            self.desks[number] = self._desk(number)

    def settle(self) -> None:
        for _ in range(3):
            self.clock.advance(timedelta(seconds=61))
            while (due := self.journal.next_due()) is not None and due <= self.clock.now():
                self.desks[self.chance.randrange(2)].ring("test")
            for desk in self.desks:
                desk.do(Sweep(T0))

    def rings(self) -> set[str]:
        """Every timer that is set."""
        ever = self.clock.now() + timedelta(days=365)
        return {timer.key for timer in self.journal.take_timers(ever, "test", limit=9_999)}


def known_of(state: State) -> dict[str, object]:
    """All that is known by facts, in no order; of incidents only those of their alerts that fire."""
    tables = {name: dict(table.rows()) for name, table in vars(state).items()
              if isinstance(table, Table) and name not in (*COUNTED, "members", "by_key")}
    return {**tables, "counts": state.counts,
            "members": {one.id: {alert.id for alert in state.alerts_of(one.id)} for one in state.incidents.values()}}


@pytest.mark.parametrize("seed", range(60))
def test_whichever_desk_overtakes_the_other_both_know_the_same_and_nobody_is_left_out(tmp_path: Path, seed: int):
    here = Random(days(tmp_path), seed)
    for _ in range(80):
        here.go_on()
    here.settle()
    folded = State(here.plan.routing.inhibitions)
    for fact in here.journal.facts(FactQuery()):
        folded.apply(fact)
    for desk in here.desks:
        assert known_of(desk.caught_up()) == known_of(folded)
    rings, now = here.rings(), here.clock.now()
    for alert in folded.alerts.values():
        route, one = route_of(here.plan.routing.route, alert.labels), folded.incidents.get(alert.incident)
        group = folded.groups.get(alert.group) or Group()
        if alert.muted:
            assert folded.silenced(alert.labels, now) or folded.inhibited(alert.labels)
        elif alert.id in group.names:
            assert f"gather:{alert.group}" in rings
        elif route.page or route.policy:
            assert one is not None
            assert one.status is not Status.RESOLVED
    for one in folded.open_incidents():
        assert one.firing == len(folded.alerts_of(one.id))
        assert one.phase is not Phase.TRIGGERED or f"escalate:{one.id}" in rings
        assert one.phase is not Phase.ACKNOWLEDGED or not one.policy or f"lapse:{one.id}" in rings
        assert not one.grown or f"grow:{one.id}" in rings
    for person, pager in folded.pagers.rows():
        assert not pager.holds or f"told:{person}" in rings
        assert pager.holds or not folded.held_for(person)
