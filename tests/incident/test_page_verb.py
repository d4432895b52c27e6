"""A test page from the command line: sent, acknowledged from another terminal, counted, and woken nobody else."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from pathlib import Path

from command import mainstay
from incident.rooms import Receiver, house, policy, reach
from mainstay.incident.engine import Acknowledge, TryPage
from mainstay.kernel.errors import NotDelivered

_CATALOG = """
apiVersion: mainstay/v1
kind: Person
metadata: {name: ana}
spec: {contacts: {terminal: ana}}
"""


def test_a_new_user_has_an_acknowledged_test_page_in_less_than_a_minute(tmp_path: Path):
    begun = time.monotonic()
    (tmp_path / "people.yaml").write_text(_CATALOG)
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(
        mainstay(tmp_path, "incident", "page", "ana", "--wait", "60s", "--json")))
    waiting.start()
    while time.monotonic() < begun + 60:
        shown = mainstay(tmp_path, "incident", "show", "INC-1", "--json")
        if shown.code == 0 and any(line["kind"] == "sent" for line in shown.json["timeline"]):
            break
    assert mainstay(tmp_path, "incident", "ack", "INC-1", "--by", "ana").code == 0
    waiting.join()
    [answer] = answers
    assert answer.code == 0
    assert answer.json["acknowledged_by"] == "ana"
    assert answer.json["ways"] == [{"channel": "terminal", "arrived": True, "says": ""}]
    assert "mainstay incident ack INC-1" in answer.err
    assert time.monotonic() - begun < 60


def test_it_goes_by_every_way_at_once_day_or_night_and_to_nobody_else():
    chat, mail = Receiver(), Receiver(refusals=[NotDelivered("gone", for_good=True)])
    here = house({"chat": chat, "mail": mail}, {"ana": (
        reach("chat", "UANA"), reach("mail", "ana@x", "10m"), reach("chat", "UANA", "20m", urgency="low"))},
        steps=policy("rotation:second"))
    here.clock.set(here.clock.now().replace(hour=2))
    incident = here.desk.do(TryPage("ana", "sam")).incident
    here.run(minutes=14)
    assert [notice.target for notice in chat.got] == ["UANA"]
    assert [fact.data["channel"] for fact in here.facts("page.failed")] == ["mail"]
    assert here.facts("incident.paged") == [], "it does not count as a page"
    here.run(minutes=2)
    [over] = here.facts("incident.resolved")
    assert (over.subject, over.data["how"]) == (incident, "nobody acknowledged the test page")


def test_acknowledging_ends_it():
    here = house({"chat": Receiver()}, {"ana": (reach("chat", "UANA"),)}, steps=policy("rotation:first"))
    incident = here.desk.do(TryPage("ana", "sam")).incident
    here.clock.advance(timedelta(seconds=12))
    here.desk.do(Acknowledge(incident, "ana"))
    [over] = here.facts("incident.resolved")
    assert over.data["seconds"] == 12
    assert here.journal.next_due() is None
