"""Who a swap concerns hears of it: a letter by each quiet way, tried again while its channel is down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from mainstay.adapters.clock import FakeClock
from mainstay.adapters.store import open_store
from mainstay.doors.house.letters import Letters
from mainstay.kernel.catalog import load
from mainstay.kernel.channels import TOGETHER
from mainstay.kernel.errors import Conflict, NotDelivered
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.people import Notice
from mainstay.kernel.ports import World
from mainstay.oncall.grammar import GRAMMAR
from mainstay.oncall.operations.changing import OverrideRequest, SwapRequest, override, swap
from mainstay.oncall.operations.duty import Duty
from mainstay.reactions import react
from oncall.rotations import utc
from overtaking import Between

_CATALOG = """
apiVersion: mainstay/v1
kind: Rotation
metadata: {name: web}
spec: {timezone: UTC, start: "2026-03-02T09:00", turn: 1w, members: [ana, ben]}
---
apiVersion: mainstay/v1
kind: Person
metadata: {name: ana}
spec: {contacts: {email: ana@example.com}}
---
apiVersion: mainstay/v1
kind: Person
metadata: {name: ben}
spec:
  contacts: {slack: U1, email: ben@example.com}
  notify: [{channel: slack}, {channel: email, urgency: low}]
"""


class Postbox:
    """A channel in memory, refusing while it is told to."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        self.refuses: NotDelivered | None = None
        self.meanwhile: Callable[[], object] | None = None

    def send(self, notice: Notice) -> None:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        if self.refuses is not None:
            raise self.refuses
        self.notices.append(notice)


class House:
    """A world with two people, a channel each way, and the letters of its server."""

    def __init__(self, folder: Path) -> None:
        (folder / "rota.yaml").write_text(_CATALOG)
        catalog, findings = load([folder], GRAMMAR)
        assert not findings
        self.clock = FakeClock(utc("2026-03-02T10:00Z"))
        store = open_store(f"sqlite:///{folder}/s.db", self.clock)
        self.email, self.slack = Postbox(), Postbox()
        self.world = World(self.clock, catalog, store.journal, store.ledger, None, None,  # type: ignore[arg-type]
                           responders=Duty(catalog, store.journal), actor="ana",
                           channels=lambda: {"email": self.email, "slack": self.slack})
        self.letters = Letters(lambda: self.world)

    def acts(self, who: str, request: SwapRequest) -> None:
        swap(replace(self.world, actor=who), request)

    def goes_on(self) -> None:
        react(self.world)
        self.letters.round()


_ASKED = SwapRequest("web", "", "ben", "2026-03-04T09:00", "2026-03-05T09:00")


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_who_is_asked_hears_of_it_once_by_their_quiet_way_and_how_to_answer(house: House):
    house.acts("ana", _ASKED)
    house.goes_on()
    house.goes_on()
    [told] = house.email.notices
    assert house.slack.notices == [], "Slack is what pages them"
    assert (told.target, told.subject) == ("ben@example.com", "W-1: ana asks you to take a shift")
    assert told.body.splitlines() == [
        "ana asks ben to take web from Wed 4 Mar 09:00 UTC to Thu 5 Mar 09:00 UTC.",
        "mainstay oncall swap --accept W-1 takes it, mainstay oncall swap --decline W-1 does not."]
    [fact] = house.world.journal.facts(FactQuery(kinds=("swap.told",)))
    assert (fact.subject, dict(fact.data)) == ("W-1", {"to": "ben", "channel": "email"})


@pytest.mark.parametrize(("answer", "says"), [
    (SwapRequest(accept="W-1"), "W-1: ben takes your shift"),
    (SwapRequest(decline="W-1"), "W-1: ben declined to take your shift")])
def test_who_asked_hears_the_answer(house: House, answer: SwapRequest, says: str):
    house.acts("ana", _ASKED)
    house.goes_on()
    house.acts("ben", answer)
    house.goes_on()
    assert [(one.target, one.subject) for one in house.email.notices][1:] == [("ana@example.com", says)]


def test_a_withdrawal_is_told_to_who_was_asked(house: House):
    house.acts("ana", _ASKED)
    house.goes_on()
    house.acts("ana", SwapRequest(withdraw="W-1"))
    house.goes_on()
    assert house.email.notices[-1].subject == "W-1: ana withdrew a swap with you"
    assert house.email.notices[-1].target == "ben@example.com"


def test_a_letter_that_takes_as_long_as_any_may_is_not_taken_over_by_a_second_server(house: House):
    second = Letters(lambda: house.world)

    def meanwhile() -> None:
        house.clock.advance(TOGETHER)
        second.round()

    house.email.meanwhile = meanwhile
    house.acts("ana", _ASKED)
    house.goes_on()
    house.goes_on()
    assert len(house.email.notices) == 1


def test_while_the_channel_is_down_it_is_tried_again_and_the_next_person_is_told_all_the_same(house: House):
    house.email.refuses = NotDelivered("the server is away")
    house.acts("ana", _ASKED)
    house.goes_on()
    house.email.refuses = None
    house.goes_on()
    assert house.email.notices == [], "not before its pause is over"
    house.clock.sleep(3)
    house.goes_on()
    assert len(house.email.notices) == 1


def test_what_was_answered_before_the_channel_came_back_asks_nobody_any_more(house: House):
    house.email.refuses = NotDelivered("the server is away")
    house.acts("ana", _ASKED)
    house.goes_on()
    house.acts("ben", SwapRequest(decline="W-1"))
    house.email.refuses = None
    house.clock.sleep(60)
    house.goes_on()
    assert [one.subject for one in house.email.notices] == ["W-1: ben declined to take your shift"]


def test_an_address_that_is_refused_for_good_is_not_tried_again(house: House):
    house.email.refuses = NotDelivered("no such mailbox", for_good=True)
    house.acts("ana", _ASKED)
    house.goes_on()
    house.email.refuses = None
    house.clock.sleep(timedelta(hours=1).total_seconds())
    house.goes_on()
    assert house.email.notices == []


def test_a_swap_that_is_accepted_as_somebody_makes_an_override_is_accepted(house: House):
    house.acts("ana", _ASKED)
    between = Between(house.world.journal)
    between.before_commit = lambda: override(house.world, OverrideRequest(
        "web", who="ben", since="2026-03-06T09:00", until="2026-03-06T10:00"))
    assert swap(replace(house.world, actor="ben", journal=between), SwapRequest(accept="W-1")).swap is not None
    assert [one.override.via for one in house.world.responders.changes.overrides.values()] == [  # type: ignore[attr-defined]
        "override", "swap"]


def test_of_two_answers_to_a_swap_at_the_same_moment_one_holds(house: House):
    house.acts("ana", _ASKED)
    between = Between(house.world.journal)
    between.before_commit = lambda: house.acts("ben", SwapRequest(decline="W-1"))
    with pytest.raises(Conflict, match="W-1 is declined"):
        swap(replace(house.world, actor="ben", journal=between), SwapRequest(accept="W-1"))
