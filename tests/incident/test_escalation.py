"""Frozen cases C1–C9 and B3–B4: who is paged when, through restarts and acknowledgements."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from incident.plans import People, ack, fires, fix, paged, plan_of, play, restart, stops
from mainstay.incident.act import Plan
from mainstay.kernel.people import Contact, Reach

_TWO_STEPS = """
apiVersion: mainstay/v1
kind: EscalationPolicy
metadata: {name: web}
spec:
  steps:
    - {page: [rotation:first], wait: 5m}
    - {page: [rotation:second], wait: 10m}
  loops: 1
"""
_PEOPLE = People({"first": ["ana"], "second": ["ben"]})


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return plan_of(tmp_path, _TWO_STEPS)


def test_steps_are_gone_through_twice_and_then_nothing_is_left_to_try(plan: Plan):
    outcome = play(plan, _PEOPLE, fires("0"))
    assert paged(outcome) == ["+0m S1 ana: opened", "+5m S2 ben: not acknowledged", "+15m S1 ana: not acknowledged",
                              "+20m S2 ben: not acknowledged"]
    assert [change.at.minute for change in outcome.changes if change.kind == "incident.exhausted"] == [30]
    assert [page.loop for page in outcome.pages] == [0, 0, 1, 1]


def test_an_acknowledgement_a_millisecond_before_the_next_step_stops_it(plan: Plan):
    assert paged(play(plan, _PEOPLE, fires("0"), ack("4m59s"))) == ["+0m S1 ana: opened"]


def test_an_engine_that_was_down_takes_the_missed_step_once_and_counts_from_there(plan: Plan):
    outcome = play(plan, _PEOPLE, fires("0"), restart("2m", "7m"))
    assert paged(outcome)[:3] == ["+0m S1 ana: opened", "+9m S2 ben: not acknowledged",
                                  "+19m S1 ana: not acknowledged"]
    late = [change.data["late_seconds"] for change in outcome.changes if change.kind == "incident.stepped"]
    assert late[:3] == [0, 240, 0]


def test_an_engine_that_was_down_for_long_does_not_catch_up_in_a_burst(plan: Plan):
    outcome = play(plan, _PEOPLE, fires("0"), restart("2m", "38m"), until="41m")
    assert paged(outcome) == ["+0m S1 ana: opened", "+40m S2 ben: not acknowledged"]


def test_an_acknowledgement_that_lapses_pages_from_the_first_step_in_a_new_loop(tmp_path: Path):
    plan = plan_of(tmp_path, _TWO_STEPS + "  ack_timeout: 30m\n")
    outcome = play(plan, _PEOPLE, fires("0"), ack("1m"), until="32m")
    assert paged(outcome) == ["+0m S1 ana: opened", "+31m S1 ana: acknowledgement lapsed"]
    assert outcome.pages[-1].loop == 1
    assert paged(play(plan, _PEOPLE, fires("0"), ack("1m"), fix("20m"))) == ["+0m S1 ana: opened"]


def test_without_a_reopen_window_a_second_trigger_is_a_second_incident(plan: Plan):
    outcome = play(plan, _PEOPLE, fires("0"), stops("1m"), fires("2m"), ack("3m"))
    assert [page.incident for page in outcome.pages] == ["INC-1", "INC-2"]


@pytest.mark.parametrize(("second", "incidents"), [("11m59s", ["INC-1", "INC-1"]), ("12m", ["INC-1", "INC-2"])])
def test_within_the_reopen_window_and_not_at_its_end_the_incident_is_reopened(
        tmp_path: Path, second: str, incidents: list[str]):
    plan = plan_of(tmp_path, _TWO_STEPS + """---
apiVersion: mainstay/v1
kind: Routing
metadata: {name: all}
spec: {route: {policy: web, reopen: 10m}}
""")
    outcome = play(plan, _PEOPLE, fires("0"), stops("2m"), fires(second), ack("13m"))
    assert [page.incident for page in outcome.pages] == incidents
    assert any(change.kind == "incident.reopened" for change in outcome.changes) == (incidents[0] == incidents[1])


def test_after_an_acknowledgement_only_a_worse_severity_pages_again_and_once(plan: Plan):
    outcome = play(plan, _PEOPLE, fires("0", severity="warning"), ack("1m"), fires("2m", severity="warning"),
                   fires("3m", severity="critical"), fires("4m", severity="critical"))
    assert paged(outcome) == ["+0m S1 ana: opened", "+3m S1 ana: severity raised"]


def test_a_step_that_finds_nobody_pages_the_fallback_and_says_so(tmp_path: Path):
    plan = plan_of(tmp_path, _TWO_STEPS + "  fallback: [person:zoe]\n")
    outcome = play(plan, People({"first": [], "second": ["ben"]}), fires("0"), until="1m")
    assert paged(outcome) == ["+0m S1 zoe: opened"]
    assert "nobody is on call in rotation:first" in next(
        change.data["why"] for change in outcome.changes if change.kind == "incident.unreached")


def test_nobody_on_call_and_no_fallback_pages_all_who_take_turns(plan: Plan):
    people = People({"first": [], "second": ["ben"]}, members={"first": ["ana", "cem"], "second": ["ben"]})
    assert paged(play(plan, people, fires("0"), until="1m")) == ["+0m S1 ana: opened", "+0m S1 cem: opened"]


def test_a_storm_of_one_key_is_one_alert_one_incident_one_page(plan: Plan):
    outcome = play(plan, _PEOPLE, *(fires("0") for _ in range(1_000)), stops("1m"))
    assert paged(outcome) == ["+0m S1 ana: opened"]
    closed, = (change for change in outcome.changes if change.kind == "alert.closed")
    assert closed.data["count"] == 1_000


_TAKE_TURNS = """
apiVersion: mainstay/v1
kind: EscalationPolicy
metadata: {name: web}
spec: {steps: [{page: [person:ana, person:ben, person:cleo], wait: 5m, round_robin: true}], loops: 1}
---
apiVersion: mainstay/v1
kind: EscalationPolicy
metadata: {name: db}
spec: {steps: [{page: [person:dora], wait: 5m}]}
---
apiVersion: mainstay/v1
kind: Routing
metadata: {name: all}
spec: {route: {policy: web, routes: [{match: ["service=db"], policy: db}]}}
"""


def test_a_step_that_takes_turns_goes_round_by_its_own_incidents_whatever_else_is_opened_between(tmp_path: Path):
    events = [fires(f"{minute}m", f"{service}-{minute}", service=service)
              for minute in (1, 2, 3, 4) for service in ("web", "db")]
    outcome = play(plan_of(tmp_path, _TAKE_TURNS), People({}), *events, until="1m")
    assert [page.to for page in outcome.pages if page.to != "dora"] == ["ana", "ben", "cleo", "ana"]


def test_a_step_that_takes_turns_tries_the_next_one_in_the_next_loop(tmp_path: Path):
    outcome = play(plan_of(tmp_path, _TAKE_TURNS), People({}), fires("0"), ack("6m"))
    assert paged(outcome) == ["+0m S1 ana: opened", "+5m S1 ben: not acknowledged"]


def test_a_later_way_of_a_page_belongs_to_the_step_that_began_it(plan: Plan):
    ways = (Reach(timedelta(0), Contact("terminal", "ana")), Reach(timedelta(minutes=7), Contact("email", "a@x.org")))
    outcome = play(plan, People({"first": ["ana"], "second": ["ben"]}, {"ana": ways}), fires("0"), until="8m")
    assert [(page.to, page.channel, page.step, page.loop, page.reason) for page in outcome.pages] == [
        ("ana", "terminal", 1, 0, "opened"), ("ben", "terminal", 2, 0, "not acknowledged"),
        ("ana", "email", 1, 0, "opened")]


def test_what_got_worse_after_nobody_answered_is_a_page_of_the_first_step(plan: Plan):
    outcome = play(plan, _PEOPLE, fires("0", severity="warning"), fires("45m", severity="critical"), until="1h")
    assert paged(outcome)[-1] == "+45m S1 ana: severity raised"
