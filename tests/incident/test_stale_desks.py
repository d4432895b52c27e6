"""A desk decides on what it knows while another one records something: what neither saw must not be lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from incident.plans import T0, People, plan_of
from mainstay.adapters.clock import FakeClock
from mainstay.adapters.memory import MemoryJournal
from mainstay.incident.act import Plan
from mainstay.incident.engine import AcknowledgeAlert, Sweep
from mainstay.incident.intake import AlertEvent
from mainstay.incident.lifecycle import Status
from mainstay.incident.ongoing import Key
from mainstay.incident.operations.desk import Desk
from mainstay.kernel.journal import FactQuery
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
