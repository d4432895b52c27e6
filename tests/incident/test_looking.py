"""What `mainstay incident list`, `show` and `role` say: late answers, severities that are none, people nobody knows."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from incident.plans import T0, People, at
from mainstay.adapters.clock import FakeClock
from mainstay.adapters.memory import MemoryJournal
from mainstay.app import grammar
from mainstay.incident.intake import AlertEvent
from mainstay.incident.operations.acting import AckRequest, OpenRequest, RoleRequest, open_one, role
from mainstay.incident.operations.acting import ack as acknowledge
from mainstay.incident.operations.alerts import AlertsRequest, alerts, alerts_view
from mainstay.incident.operations.desk import desk_of
from mainstay.incident.operations.looking import ListRequest, ShowRequest, list_incidents, show
from mainstay.incident.view import holder
from mainstay.kernel.catalog import load
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.people import Contact, Reach
from mainstay.kernel.ports import World
from mainstay.kernel.view import Table

_POLICY = """
apiVersion: mainstay/v1
kind: EscalationPolicy
metadata: {name: web}
spec: {steps: [{page: [person:ana], wait: 1h}]}
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "policy.yaml").write_text(_POLICY)
    catalog, _ = load([tmp_path], grammar())
    clock, nothing = FakeClock(T0), None
    made: Any = World
    people = People({}, {"ana": (Reach(timedelta(0), Contact("email", "ana@example.com")),), "zed": ()})
    found: World = made(clock, catalog, MemoryJournal(clock), nothing, nothing, nothing, people, actor="ana")
    return found


@pytest.mark.parametrize(("severity", "after", "says"), [
    ("SEV1", "30s", "nobody yet"), ("SEV1", "2m", "nobody yet, 2 m late"), ("SEV2", "15m", "nobody yet"),
    ("SEV2", "20m", "nobody yet, 5 m late"), ("SEV3", "59m", "nobody yet")])
def test_how_much_later_than_its_severity_asks_nobody_has_it_is_said(
        world: World, severity: str, after: str, says: str):
    open_one(world, OpenRequest("down", severity))
    world.clock.sleep((at(after) - T0).total_seconds())
    found = list_incidents(world, ListRequest())
    assert holder(found.shown[0], found.at).text == says
    assert found.incidents[0].answer_due is not None
    acknowledge(world, AckRequest("INC-1"))
    assert show(world, ShowRequest("INC-1")).incident.answer_due is None


def test_a_severity_that_is_none_is_refused_and_not_guessed(world: World):
    with pytest.raises(InvalidInput, match='"sev9" is no severity'):
        list_incidents(world, ListRequest(severity="sev9"))


def test_a_role_for_somebody_whom_nothing_says_how_to_reach_is_given_and_said_to_be_odd(world: World):
    open_one(world, OpenRequest("down"))
    assert role(world, RoleRequest("INC-1", "commander", "ana")).note == ""
    odd = role(world, RoleRequest("INC-1", "scribe", "zed"))
    assert odd.incident.roles == {"commander": "ana", "scribe": "zed"}
    assert odd.note.startswith('Nothing says how to reach "zed"')
    assert role(world, RoleRequest("INC-1", "scribe")).note == ""


def test_an_incident_under_a_policy_that_nobody_declared_is_refused_and_those_that_are_are_named(world: World):
    with pytest.raises(InvalidInput, match='no escalation policy is named "weB"') as refused:
        open_one(world, OpenRequest("down", policy="weB"))
    assert refused.value.way_out == "known: web"
    assert list_incidents(world, ListRequest()).incidents == ()


def test_what_no_alert_fits_is_not_said_to_be_that_none_fires(world: World):
    desk_of(world).do(AlertEvent(T0, True, "disk"))
    blocks = alerts_view(alerts(world, AlertsRequest(match=("service=none",)))).blocks
    assert [block.empty for block in blocks if isinstance(block, Table)] == ["None of them fits."]
