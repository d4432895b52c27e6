"""What people hear of an incident that they know of: a route's `interval` and `repeat`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from incident.plans import T0, People, ack, at, desk_of, fires, fix, paged, plan_of, play, stops
from mainstay.incident.act import Plan
from mainstay.incident.engine import Acknowledge, MakeSilence, Split
from mainstay.incident.intake import AlertEvent
from mainstay.incident.outbox import unwanted
from mainstay.kernel.matcher import Matcher
from mainstay.kernel.people import Contact, Reach
from mainstay.kernel.quantity import Span

_PLAN = """
apiVersion: mainstay/v1
kind: EscalationPolicy
metadata: {name: web}
spec: {steps: [{page: [person:ana], wait: 5m}, {page: [person:ben], wait: 5m}]}
---
apiVersion: mainstay/v1
kind: Routing
metadata: {name: all}
spec: {route: {policy: web, group_by: [service], %s}}
"""


def _plan(folder: Path, route: str) -> Plan:
    return plan_of(folder, _PLAN % route)


def test_alerts_that_join_are_told_together_to_whoever_has_it_once_an_interval(tmp_path: Path):
    plan = _plan(tmp_path, "interval: 10m")
    outcome = play(plan, People({}), fires("0"), ack("1m", by="ben"), fires("2m", "b"), fires("4m", "c"),
                   fires("4m", "c"), fires("20m", "d"), until="2h")
    assert paged(outcome) == ["+0m S1 ana: opened", "+12m S1 ben: 2 more alerts since 09:02 UTC",
                              "+30m S1 ben: 1 more alert since 09:20 UTC"]


def test_what_joins_one_that_was_reopened_is_told_and_what_reopened_it_is_not(tmp_path: Path):
    plan = _plan(tmp_path, "interval: 10m, reopen: 30m")
    outcome = play(plan, People({}), fires("0"), stops("1m"), fires("2m"), ack("3m", by="ben"), fires("4m", "b"),
                   until="2h")
    assert paged(outcome) == ["+0m S1 ana: opened", "+2m S1 ana: reopened",
                              "+14m S1 ben: 1 more alert since 09:04 UTC"]


def test_what_is_told_again_within_the_time_of_a_later_way_does_not_put_that_way_off(tmp_path: Path):
    plan = _plan(tmp_path, "interval: 2m")
    ways = (Reach(timedelta(0), Contact("terminal", "ben")), Reach(timedelta(minutes=4), Contact("email", "b@x.org")))
    outcome = play(plan, People({}, {"ben": ways}), fires("0"), ack("1m", by="ben"), fires("2m", "b"), fires("5m", "c"),
                   until="2h")
    assert [f"{(page.at - T0) / timedelta(minutes=1):g} {page.channel}" for page in outcome.pages] == [
        "0 terminal", "4 terminal", "7 terminal", "8 email", "11 email"]


def test_without_an_interval_what_joins_pages_nobody(tmp_path: Path):
    outcome = play(_plan(tmp_path, "wait: 0s"), People({}), fires("0"), ack("1m"), fires("2m", "b"), until="2h")
    assert paged(outcome) == ["+0m S1 ana: opened"]


def test_while_it_escalates_what_joins_makes_no_page_of_its_own(tmp_path: Path):
    outcome = play(_plan(tmp_path, "interval: 2m"), People({}), fires("0"), fires("1m", "b"), ack("4m"), until="2h")
    assert paged(outcome) == ["+0m S1 ana: opened"]
    assert [change.data["alerts"] for change in outcome.changes if change.kind == "incident.grown"] == [1]


def test_what_joined_is_not_told_once_it_is_over(tmp_path: Path):
    outcome = play(_plan(tmp_path, "interval: 10m, repeat: 1h"), People({}), fires("0"), ack("1m"), fires("2m", "b"),
                   fix("5m"), until="1d")
    assert paged(outcome) == ["+0m S1 ana: opened"]


def test_what_goes_on_is_told_again_and_again_to_whoever_has_it(tmp_path: Path):
    outcome = play(_plan(tmp_path, "repeat: 1h"), People({}), fires("0"), ack("1m"), stops("2h30m"), until="1d")
    assert paged(outcome) == ["+0m S1 ana: opened", "+60m S1 ana: it goes on, since 1 h",
                              "+120m S1 ana: it goes on, since 2 h"]


def test_what_nobody_answered_is_paged_from_the_first_step_again(tmp_path: Path):
    outcome = play(_plan(tmp_path, "repeat: 1h"), People({}), fires("0"), stops("1h7m"), until="1d")
    assert paged(outcome) == ["+0m S1 ana: opened", "+5m S2 ben: not acknowledged",
                              "+60m S1 ana: it goes on, and nobody answered", "+65m S2 ben: not acknowledged"]
    assert [page.loop for page in outcome.pages] == [0, 0, 1, 1]


def test_an_escalation_that_still_runs_is_not_begun_anew(tmp_path: Path):
    outcome = play(_plan(tmp_path, "repeat: 7m"), People({}), fires("0"), stops("9m"), until="1d")
    assert paged(outcome) == ["+0m S1 ana: opened", "+5m S2 ben: not acknowledged"]


def test_the_route_holds_as_it_was_when_the_incident_opened_and_a_reopened_one_repeats_anew(tmp_path: Path):
    plan = _plan(tmp_path, "repeat: 1h, reopen: 10m")
    outcome = play(plan, People({}), fires("0"), ack("1m"), stops("30m"), fires("35m"), ack("36m"), stops("1h40m"),
                   until="1d")
    assert paged(outcome) == ["+0m S1 ana: opened", "+35m S1 ana: reopened", "+95m S1 ana: it goes on, since 1 h 35 m"]


def test_what_is_silenced_is_not_told_again_while_the_silence_holds(tmp_path: Path):
    desk, clock = desk_of(_plan(tmp_path, "repeat: 1h"), People({}))
    desk.do(AlertEvent(T0, True, "disk", "web"))
    desk.do(Acknowledge("INC-1", "ana"))
    desk.do(MakeSilence((Matcher("service", "=", "web"),), Span(T0, T0 + timedelta(minutes=90)), "ana", "known"))
    told = []
    for hours in (1, 2):
        clock.set(at(f"{hours}h"))
        desk.ring("w")
        told.append(desk.state.incidents["INC-1"].version)
    assert told[0] < told[1], "at the first hour it was silent, at the second it was told"


def test_what_is_new_to_whoever_has_it_is_sent_although_they_have_it_and_by_all_their_ways(tmp_path: Path):
    people = People({}, {"ana": (Reach(timedelta(0), Contact("slack", "U1")),
                                 Reach(timedelta(minutes=3), Contact("email", "ana@example.com")))})
    outcome = play(_plan(tmp_path, "repeat: 1h"), people, fires("0"), ack("1m"), ack("1h5m"), stops("1h30m"))
    assert [(page.channel, page.reason) for page in outcome.pages] == [
        ("slack", "opened"), ("slack", "it goes on, since 1 h"), ("email", "it goes on, since 1 h")]
    desk, clock = desk_of(_plan(tmp_path, "repeat: 1h"), people)
    desk.do(AlertEvent(T0, True, "disk", "web"))
    desk.do(Acknowledge("INC-1", "ana"))
    clock.set(at("1h"))
    desk.ring("w")
    first, news = [one for one in desk._journal.take_messages(clock.now(), "w") if one.data["what"] == "page"]
    assert (unwanted(first, desk.state), unwanted(news, desk.state)) == ("ana has INC-1", "")


def test_what_is_split_off_goes_on_being_told_as_the_incident_that_it_was_split_from(tmp_path: Path):
    desk, _ = desk_of(_plan(tmp_path, "interval: 10m, repeat: 1h"), People({}))
    for key in ("disk", "load"):
        desk.do(AlertEvent(T0, True, key, "web"))
    name = desk.do(Split("INC-1", ("A-2",), "", "ana")).incident
    assert (desk.state.incidents[name].interval, desk.state.incidents[name].repeat) == (600.0, 3600.0)


_STORM = """
apiVersion: mainstay/v1
kind: EscalationPolicy
metadata: {name: web}
spec: {steps: [{page: [person:ana], wait: 30m}]}
---
apiVersion: mainstay/v1
kind: Routing
metadata: {name: all}
spec: {route: {policy: web}, storm: {pages: 2, within: 5m}}
"""


def test_in_a_storm_whoever_has_an_incident_hears_of_it_late_and_not_never_that_it_got_worse(tmp_path: Path):
    plan = plan_of(tmp_path, _STORM)
    outcome = play(plan, People({}), fires("0", severity="warning"), fires("1s", "b", severity="warning"), ack("1m"),
                   ack("1m", key="b"), fires("2m", severity="critical"), until="20m")
    assert paged(outcome)[2:] == ["+5m S1 ana: told late"]
    assert outcome.pages[-1].incident == "INC-1"


def test_what_is_told_together_is_still_wanted_when_the_worst_of_it_was_taken_meanwhile(tmp_path: Path):
    desk, clock = desk_of(plan_of(tmp_path, _STORM), People({}))
    for key in ("a", "b", "c", "d"):
        desk.do(AlertEvent(T0, True, key, severity="critical" if key == "c" else "warning"))
    clock.set(at("5m"))
    desk.ring("test")
    told = next(one for one in desk._journal.take_messages(clock.now(), "w") if "incidents" in one.data)
    desk.do(Acknowledge("INC-3", "ben"))
    assert (told.data["incident"], unwanted(told, desk.state)) == ("INC-3", "")
    desk.do(Acknowledge("INC-4", "ben"))
    assert unwanted(told, desk.state) == "ben has INC-3"
