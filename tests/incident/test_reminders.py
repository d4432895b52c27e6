"""A page that comes again says that it does and since when; what is no page says so too."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from incident.plans import People, at, plan_of
from incident.rooms import Receiver, house, policy, reach
from mainstay.adapters.clock import FakeClock
from mainstay.adapters.memory import MemoryJournal
from mainstay.adapters.slack_blocks import page_blocks
from mainstay.incident.engine import Acknowledge, GiveRole, Merge, Open
from mainstay.incident.intake import AlertEvent, Opening
from mainstay.incident.operations.desk import Desk
from mainstay.incident.severity import Severity
from mainstay.incident.timeline import line
from mainstay.kernel.journal import FactQuery


def test_a_later_way_of_the_same_person_says_that_it_reminds_and_of_which_moment():
    chat, mail = Receiver(), Receiver()
    here = house({"chat": chat, "mail": mail}, {"ana": (reach("chat", "UANA", "1m"), reach("mail", "ana@x", "4m"))},
                 steps=policy("rotation:first", wait="30m"))
    here.fires()
    here.run(minutes=5)
    [page], [again] = chat.got, mail.got
    assert page.subject == "SEV1 INC-1: checkout answers 500"
    assert "reminder" not in page.body
    assert again.subject == "Reminder: SEV1 INC-1: checkout answers 500"
    assert "This is a reminder: you were first paged about it at 2026-03-02 09:01 UTC." in again.body
    assert "since 2026-03-02 09:00 UTC" in again.body
    assert "a reminder, first paged" in str(page_blocks(again, buttons=True))
    assert "a reminder, first paged" not in str(page_blocks(page, buttons=True))


def test_the_next_step_of_an_escalation_is_a_page_and_no_reminder():
    chat = Receiver()
    here = house({"chat": chat}, {"ana": (reach("chat", "UANA"),), "ben": (reach("chat", "UBEN"),)},
                 steps=policy("rotation:first", "rotation:second"))
    here.fires()
    here.run(minutes=6)
    assert [notice.subject.startswith("Reminder") for notice in chat.got] == [False, False]


def test_one_that_stakeholders_wait_for_says_that_it_is_no_page_and_since_when_the_incident_is_open():
    chat = Receiver()
    here = house({"chat": chat}, {"ana": (reach("chat", "UANA"),)}, steps=policy("rotation:first"))
    here.fires()
    here.desk.do(Acknowledge("INC-1", "ana"))
    here.desk.do(GiveRole("INC-1", "communications", "ana", "ana"))
    here.run(minutes=16)
    [reminder] = [notice for notice in chat.got if notice.data["what"] == "reminder"]
    assert reminder.subject == "Reminder: SEV1 INC-1: stakeholders wait for an update on INC-1"
    assert "This is a reminder and no page: INC-1 opened at 2026-03-02 09:00 UTC." in reminder.body
    assert [line(fact).text.partition(" arrived")[0] for fact in here.facts("page.sent")] == [
        "the reminder to ana"]


def test_the_review_of_an_incident_that_broke_again_and_was_merged_then_is_not_asked_for(tmp_path: Path):
    clock = FakeClock(at("0"))
    journal = MemoryJournal(clock)
    desk = Desk(journal, clock, plan_of(tmp_path, "apiVersion: mainstay/v1\nkind: Routing\nmetadata: {name: all}\n"
                                                  "spec: {route: {reopen: 1h}}\n"), People({}))

    def says(*, firing: bool) -> None:
        desk.do(AlertEvent(clock.now(), firing, "k", severity="page"))
        clock.set(clock.now() + timedelta(minutes=5))

    desk.do(Open(Opening("the same", Severity.SEV1, page=False)))
    says(firing=True)
    desk.do(GiveRole("INC-2", "commander", "ana", "ana"))
    says(firing=False)
    assert desk.state.reviews.get("INC-2") is not None
    says(firing=True)
    desk.do(Merge("INC-2", "INC-1", "ana"))
    clock.set(clock.now() + timedelta(days=3))
    desk.ring("test")
    assert not list(journal.facts(FactQuery(kinds=("postmortem.overdue",))))
    assert not [one for one in journal.take_messages(clock.now(), "test") if one.data["reason"] == "post-mortem due"]
