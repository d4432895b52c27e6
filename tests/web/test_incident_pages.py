"""The pages of incidents as they arrive: what a long list leaves out is said, times are in the viewer's zone."""

from __future__ import annotations

from typing import Any

import pytest

from incident.plans import T0, at
from mainstay.adapters.clock import FakeClock
from mainstay.adapters.memory import MemoryJournal
from mainstay.doors.web.incident_content import incident_page, incidents_page
from mainstay.doors.web.pages import PageQuery
from mainstay.incident.engine import Open
from mainstay.incident.intake import AlertEvent, Opening
from mainstay.incident.operations.desk import desk_of
from mainstay.incident.severity import Severity
from mainstay.kernel.catalog import Catalog
from mainstay.kernel.ports import World


@pytest.fixture
def world() -> World:
    clock, nothing = FakeClock(T0), None
    made: Any = World
    found: World = made(clock, Catalog(), MemoryJournal(clock), nothing, nothing, nothing, spent=lambda *_: ())
    return found


def test_a_list_that_is_cut_says_so_and_names_the_command_that_has_the_rest(world: World):
    for number in range(201):
        desk_of(world).do(Open(Opening(f"number {number}", Severity.SEV2, ("shop",), page=False)))
    page = incidents_page(world, PageQuery({}, ""))
    assert len(page.rows) == 200
    assert page.more == "The worst 200 of 201; the command line has all of them: mainstay incident list"


def test_a_list_that_is_whole_says_nothing_of_more(world: World):
    desk_of(world).do(Open(Opening("one", Severity.SEV2, ("shop",), page=False)))
    assert incidents_page(world, PageQuery({}, "")).more == ""


def test_since_when_an_alert_fires_is_shown_in_the_viewers_zone(world: World):
    desk_of(world).do(AlertEvent(T0, True, "disk", "shop", "page", {"service": "shop"}, "the disk is full"))
    row = incident_page(world, PageQuery({"name": "INC-1"}, "")).alerts.rows[0]
    assert row[4].at == at("0")
