"""Alerts that gather: no incident is open, and still something is wrong; the list and the page say so."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from incident.plans import People, at
from mainstay.adapters.clock import FakeClock
from mainstay.adapters.memory import MemoryJournal
from mainstay.doors.as_json import encode
from mainstay.doors.web.incident_content import incidents_page
from mainstay.doors.web.pages import PageQuery
from mainstay.incident.forms import FORMS
from mainstay.incident.intake import AlertEvent
from mainstay.incident.operations.desk import Desk, desk_of
from mainstay.incident.operations.looking import LIST, ListRequest, list_incidents, list_view
from mainstay.kernel.catalog import Grammar, load
from mainstay.kernel.ports import World
from mainstay.kernel.view import Text

PLAN = """\
apiVersion: mainstay/v1
kind: EscalationPolicy
metadata: {name: web}
spec: {steps: [{page: [person:ana], wait: 5m}]}
---
apiVersion: mainstay/v1
kind: Routing
metadata: {name: all}
spec:
  route:
    policy: web
    group_by: [service]
    wait: 30s
    routes:
      - {match: [service=info], policy: "", page: false}
      - {match: [service=urgent], wait: 0s}
  inhibit: [{source: [severity=page], target: [severity=ticket], equal: [service]}]
"""


class Place:
    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock(at("0"))
        (folder / "plan.yaml").write_text(PLAN)
        catalog, findings = load([folder], Grammar(FORMS))
        assert not findings, [finding.render() for finding in findings]
        nothing: Any = None
        self.world = World(self.clock, catalog, MemoryJournal(self.clock), nothing, nothing, nothing,
                           responders=People({}))

    @property
    def desk(self) -> Desk:
        return desk_of(self.world)

    def says(self, key: str, service: str = "web", *, firing: bool = True, severity: str = "page") -> str:
        event = AlertEvent(self.clock.now(), firing, key, service, severity, {"service": service}, f"{key} is slow")
        return self.desk.do(event).outcome

    def passes(self, **by: float) -> None:
        self.clock.advance(timedelta(**by))
        self.desk.ring("test")

    def head(self, **asked: str) -> str:
        text = list_view(list_incidents(self.world, ListRequest(**asked))).blocks[0]
        assert isinstance(text, Text)
        return text.text


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_the_list_says_what_gathers_and_when_it_opens_and_then_that_it_is_open(place):
    assert place.head() == "No incident is open."
    assert place.says("disk") == "gathering"
    place.passes(seconds=6)
    place.says("cpu")
    place.says("disk", "db")
    assert place.head() == "No incident is open yet. 3 alerts gather in 2 groups; the first incident opens in 24 s."
    assert place.head(service="db") == "No incident is open yet. 1 alert gathers; the incident opens in 30 s."
    place.passes(seconds=24)
    assert place.head() == "1 incident open. 1 alert gathers; the incident opens in 6 s."
    place.passes(seconds=6)
    assert place.head() == "2 incidents open."


def test_the_page_says_the_same_and_is_not_green(place):
    assert incidents_page(place.world, PageQuery({}, "")).tone == "good"
    place.says("disk")
    page = incidents_page(place.world, PageQuery({}, ""))
    assert (page.verdict, page.tone) == (
        "No incident is open yet. 1 alert gathers; the incident opens in 30 s.", "warn")


def test_the_json_has_it_in_numbers(place):
    place.says("disk")
    found = list_incidents(place.world, ListRequest())
    assert b'"gathering": {\n    "alerts": 1,\n    "groups": 1,\n    "next": "2026-03-02T09:00:30Z"' in \
        encode(LIST.as_json(found))


def test_one_that_nobody_opens_asks_whether_the_server_runs(place):
    place.says("disk")
    place.clock.advance(timedelta(minutes=3))
    assert "was due 2 m 30 s ago: is mainstay serve running?" in place.head()


def test_alerts_that_are_told_to_nobody_do_not_gather_and_are_not_kept_as_if_they_did(place):
    for number in range(50):
        assert place.says(f"k{number}", "info") == "recorded"
    assert place.head() == "No incident is open."
    assert len(place.desk.state.groups) == 0
    assert len(place.desk.state.alerts) == 50


def test_what_is_told_of_at_once_does_not_gather(place):
    assert place.says("disk", "urgent") == "opened"
    assert place.says("cpu", "urgent") == "joined"
    assert place.head() == "1 incident open."


def test_one_that_is_over_before_it_was_told_of_gathers_no_longer_and_leaves_nothing(place):
    place.says("disk")
    place.says("disk", firing=False)
    assert place.head() == "No incident is open."
    assert len(place.desk.state.groups) == 0
    assert place.world.journal.next_due() is None


def test_one_that_was_muted_gathers_from_when_it_is_heard(place):
    place.says("disk", "urgent")
    assert place.says("cpu", "urgent", severity="ticket") == "muted"
    place.says("disk")
    place.says("low", severity="ticket")
    assert place.desk.state.muted.get("A-4")
    place.passes(seconds=10)
    place.says("disk", firing=False)
    assert place.head() == "1 incident open. 1 alert gathers; the incident opens in 30 s."


def test_a_restart_knows_when_it_opens(place):
    place.says("disk")
    place.desk.write_down(least=1)
    place.says("cpu")
    again = Desk(place.world.journal, place.clock, place.desk.plan, People({}))
    assert dict(again.state.groups.rows()) == dict(place.desk.state.groups.rows())
    assert [group.due for group in again.state.groups.values()] == [at("30s")]
