"""C10: what a channel asks for is respected, a refusal goes the next way at once, and nobody waits for another."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import timedelta

import pytest

from incident.plans import T0
from incident.rooms import Receiver, house, policy, reach
from mainstay.adapters.clock import SystemClock
from mainstay.incident.engine import Acknowledge
from mainstay.incident.operations.delivery import Delivery
from mainstay.incident.operations.outbox import Outbox
from mainstay.kernel.errors import NotDelivered, SourceUnavailable
from mainstay.kernel.journal import Batch, NewMessage
from mainstay.kernel.people import Notice

FOR_GOOD = NotDelivered("no such address", for_good=True)


def test_a_channel_that_asks_for_seven_seconds_is_left_alone_for_them_and_others_are_not():
    chat, mail = Receiver(refusals=[NotDelivered("429", retry_after=7)]), Receiver()
    here = house({"chat": chat, "mail": mail}, {"ana": (reach("chat", "UANA"), reach("mail", "ana@x"))},
                 steps=policy("rotation:first"))
    chat.clock = mail.clock = here.clock
    here.fires()
    here.run(seconds=30)
    assert [(moment - T0).total_seconds() for moment in chat.at] == [0, 7]
    assert [(moment - T0).total_seconds() for moment in mail.at] == [0]
    assert len({notice.key for notice in chat.got}) == 1


def test_tries_grow_rarer_until_they_end_and_then_the_next_contact_is_tried():
    chat, mail = Receiver(refusals=[SourceUnavailable("down") for _ in range(12)]), Receiver()
    here = house({"chat": chat, "mail": mail}, {"ana": (reach("chat", "UANA"), reach("mail", "ana@x", "600m"))},
                 steps=policy("rotation:first", wait="600m"))
    chat.clock = here.clock
    here.fires()
    here.run(minutes=40)
    gaps = [(late - early).total_seconds() for early, late in zip(chat.at, chat.at[1:], strict=False)]
    assert gaps == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert [notice.target for notice in mail.got] == ["ana@x"]
    assert [fact.data["attempts"] for fact in here.facts("page.failed")] == [12]


def test_a_refusal_for_good_goes_to_the_next_contact_at_once():
    chat, mail = Receiver(refusals=[FOR_GOOD]), Receiver()
    here = house({"chat": chat, "mail": mail}, {"ana": (reach("chat", "UANA"), reach("mail", "ana@x", "5m"))},
                 steps=policy("rotation:first", wait="60m"))
    mail.clock = here.clock
    here.fires()
    here.run(seconds=1)
    assert [(moment - T0).total_seconds() for moment in mail.at] == [0]
    assert mail.got[0].key.endswith(":mail")


def test_a_contact_that_has_the_page_already_is_not_told_twice():
    chat, mail = Receiver(refusals=[FOR_GOOD]), Receiver()
    here = house({"chat": chat, "mail": mail}, {"ana": (reach("chat", "UANA"), reach("mail", "ana@x"))},
                 steps=policy("rotation:first", wait="60m"))
    here.fires()
    here.run(seconds=5)
    assert len(mail.got) == 1
    assert here.facts("incident.unreached") == []


def test_when_nobody_of_a_step_can_be_reached_the_next_step_does_not_wait_for_its_time():
    chat = Receiver(refusals=[FOR_GOOD])
    here = house({"chat": chat}, {"ana": (reach("chat", "UANA"),), "ben": (reach("chat", "UBEN"),)},
                 steps=policy("rotation:first", "rotation:second", wait="30m"))
    chat.clock = here.clock
    here.fires()
    here.run(seconds=2)
    assert [notice.target for notice in chat.got] == ["UBEN"]
    assert (chat.at[-1] - T0) <= timedelta(seconds=1)
    [said] = here.facts("incident.unreached")
    assert said.data["why"] == "ana cannot be reached: no such address"


def test_dead_channels_do_not_burn_all_loops_at_once():
    chat = Receiver(refusals=[FOR_GOOD] * 50)
    here = house({"chat": chat}, {"ana": (reach("chat", "UANA"),), "ben": (reach("chat", "UBEN"),)},
                 steps=policy("rotation:first", "rotation:second", wait="30m", loops=3))
    here.fires()
    here.run(minutes=5)
    assert len(here.facts("incident.paged")) == 2, "the second loop comes at its time"


def test_a_page_that_was_being_sent_when_somebody_answered_is_followed_by_the_answer():
    slack = Receiver(receipt={"channel": "D1", "ts": "1.0"})
    here = house({"slack": slack}, {"ana": (reach("slack", "UANA"),)}, steps=policy("rotation:first"))
    incident = here.fires()
    taken = here.outbox.take("slack", "test", 1)
    # The sender asked whether it is still wanted; then somebody answers, and only then the page arrives.
    slack.send = lambda notice, send=slack.send: (here.desk.do(Acknowledge(incident, "ben")), send(notice))[1]  # type: ignore[method-assign]
    here.outbox.settle(*taken[0])
    del slack.send
    here.run(seconds=1)
    assert [notice.data["what"] for notice in slack.got] == ["page", "answer"]
    assert slack.got[1].data["receipts"] == [{"channel": "D1", "ts": "1.0"}]


# -- real threads -------------------------------------------------------------------------------------------------

_PATIENCE = 60.0
"""Seconds after which what is waited for will not come any more, on a busy machine too."""


class Slow:
    """A channel that takes as long as a test wants for some addresses."""

    def __init__(self, slow: set[str]) -> None:
        self._slow, self._lock = slow, threading.Lock()
        self.reached, self.goes_on = threading.Event(), threading.Event()
        self.told: set[str] = set()
        self.keys: Counter[str] = Counter()

    def send(self, notice: Notice) -> None:
        if notice.target in self._slow:
            self.reached.set()
            assert self.goes_on.wait(_PATIENCE)
        with self._lock:
            self.told.add(notice.target)
            self.keys[notice.key] += 1


@pytest.mark.parametrize("stuck", [1, 40])
def test_a_slow_provider_delays_neither_other_channels_nor_other_people(stuck: int):
    hook, mail = Slow({"https://slow"}), Slow(set())
    made = house({"hook": hook, "mail": mail}, {}, steps=policy("rotation:first"))
    clock = SystemClock()
    outbox = Outbox(made.journal, clock, made.desk, made.people, {"hook": hook, "mail": mail})
    now = clock.now()

    def message(key: str, channel: str, address: str) -> NewMessage:
        return NewMessage(key, channel, {
            "what": "page", "incident": "INC-9", "to": key, "address": address, "title": "t", "severity": "SEV1",
            "service": "", "urgency": "high", "opened": now.isoformat(), "reason": "opened"}, now)

    made.journal.commit(Batch(messages=[message(f"slow{number}", "hook", "https://slow") for number in range(stuck)]))
    delivery = Delivery(lambda: outbox, outbox.channels, "test", poll=0.05)
    delivery.start()
    try:
        assert hook.reached.wait(_PATIENCE)
        made.journal.commit(Batch(messages=[message("ana", "hook", "https://ana"), message("ben", "mail", "ben@x")]))
        delivery.wake(("hook", "mail"))
        until = time.monotonic() + _PATIENCE / 2
        while time.monotonic() < until and not ("https://ana" in hook.told and "ben@x" in mail.told):
            time.sleep(0.01)
        # The slow provider has not answered yet, and does not before this says so.
        assert (hook.told, mail.told) == ({"https://ana"}, {"ben@x"})
    finally:
        hook.goes_on.set()
        delivery.end(patience=_PATIENCE)
    assert max(hook.keys.values()) == 1
    tries = {fact.data["to"]: fact.data["attempts"] for fact in made.facts("page.sent")}
    assert (tries["ana"], tries["ben"]) == (1, 1), "neither was put back for later"


def test_a_page_to_a_channel_itself_is_recorded_as_such_when_decided_and_when_sent():
    here = house({"chat": Receiver()}, {"ana": (reach("chat", "UANA"),)},
                 steps=policy("rotation:first", "channel:chat:#ops"))
    here.fires()
    here.run(minutes=6)
    facts = here.facts("incident.paged", "page.sent")
    assert [(fact.kind, fact.data["to"], fact.data.get("is")) for fact in facts] == [
        ("incident.paged", "ana", None), ("page.sent", "ana", None),
        ("incident.paged", "#ops", "channel"), ("page.sent", "#ops", "channel")]
