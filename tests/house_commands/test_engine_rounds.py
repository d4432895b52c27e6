"""The rounds of the engine in `mainstay serve`, on a clock of the tests' own and without threads."""

from __future__ import annotations

from datetime import timedelta

import pytest

from catalogs import PAGED, faultless
from incident.plans import T0
from incident.rooms import Receiver
from mainstay.adapters.clock import FakeClock
from mainstay.app import grammar
from mainstay.doors.house.engine import Engine
from mainstay.incident.engine import Happening, MakeSilence, Note, Sweep
from mainstay.incident.intake import AlertEvent, Taken
from mainstay.incident.operations.desk import Desk
from mainstay.kernel.errors import Conflict
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.matcher import Matcher
from mainstay.kernel.quantity import Span
from memory_world import memory_world


class House:
    """An engine whose rounds a test makes; every ten seconds one, as long as it is not stopped."""

    def __init__(self) -> None:
        self.clock = FakeClock(T0)
        self.world = memory_world(self.clock, faultless(PAGED, grammar()),
                                  channels=lambda: {"terminal": Receiver(), "email": Receiver()})
        self.engine = Engine(lambda: self.world)
        self.engine._since = self.engine._swept = T0

    def goes_on(self, **time: float) -> None:
        end = self.clock.now() + timedelta(**time)
        while self.clock.now() < end:
            self.clock.advance(timedelta(seconds=10))
            self.engine._ring()

    def is_stopped(self, **time: float) -> None:
        self.clock.advance(timedelta(**time))
        self.engine._ring()

    @property
    def firing(self) -> int:
        return len(self.engine.desk().state.alerts)


def said(house: House) -> AlertEvent:
    """By a sender that says it every minute."""
    now = house.clock.now()
    return AlertEvent(now, True, "k", "web", "page", until=now + timedelta(minutes=1))


def test_a_server_that_stood_still_lets_senders_speak_before_it_closes_their_alerts() -> None:
    house = House()
    house.engine.desk().do(said(house))
    house.goes_on(minutes=5)
    assert house.engine.desk().state.alerts["A-1"].doubted is not None
    house.is_stopped(minutes=10)
    assert house.firing == 1, "nobody could be heard meanwhile"
    house.goes_on(minutes=1)
    house.engine.desk().do(said(house))
    house.goes_on(minutes=4)
    assert house.firing == 1
    house.goes_on(minutes=5)
    assert house.firing == 0, "and by now they could"


def test_a_sweep_that_cannot_be_done_keeps_no_timer_from_ringing(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House()
    house.engine.desk().do(AlertEvent(T0, True, "k", "web", "page"))
    do = Desk.do

    def refused(desk: Desk, happening: Happening) -> Taken:
        if isinstance(happening, Sweep):
            raise Conflict("others kept deciding on the same thing at the same time")
        return do(desk, happening)

    monkeypatch.setattr(Desk, "do", refused)
    house.clock.advance(timedelta(minutes=5))
    with pytest.raises(Conflict):
        house.engine._ring()
    [exhausted] = house.world.journal.facts(FactQuery(kinds=("incident.exhausted",)))
    assert exhausted.subject == "INC-1"


def _woken(engine: Engine) -> set[str]:
    """Who is to look at once whether there is something to do; asked, they are as if they had."""
    found = {one.channel for one in engine._delivery._channels if one.woken.is_set()}
    if engine._ringer._woken.is_set():
        found.add("ringer")
    engine._ringer._woken.clear()
    for one in engine._delivery._channels:
        one.woken.clear()
    return found


def test_only_those_who_have_something_to_do_are_woken() -> None:
    house = House()
    desk = house.engine.desk()
    desk.do(AlertEvent(T0, True, "k", "web", "page"))
    assert _woken(house.engine) == {"terminal"}, "its first step rings in a while, and goes out now"
    desk.do(AlertEvent(T0, True, "k", "web", "page"))
    assert _woken(house.engine) == set(), "it was only said again"
    desk.do(Note("INC-1", "seen", "ana"))
    assert _woken(house.engine) == set()
    desk.do(MakeSilence((Matcher("service", "=", "db"),), Span(T0, T0 + timedelta(milliseconds=300)), "ana", "short"))
    assert _woken(house.engine) == {"ringer"}, "it would come too late otherwise"
