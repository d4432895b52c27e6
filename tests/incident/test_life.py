"""An incident's life: frozen cases C2, C6, D1, D2, monitoring, reopening, merging, splitting."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from incident.plans import T0, People, at, desk_of, paged, plan_of, play
from mainstay.adapters.clock import FakeClock
from mainstay.adapters.memory import MemoryJournal
from mainstay.incident.act import Plan
from mainstay.incident.engine import (
    Acknowledge,
    GiveRole,
    Merge,
    Note,
    Open,
    PostUpdate,
    Resolve,
    SetSeverity,
    SetStatus,
    Split,
)
from mainstay.incident.intake import AlertEvent, Opening
from mainstay.incident.lifecycle import IllegalStep, Status
from mainstay.incident.ongoing import Incident
from mainstay.incident.operations.desk import Desk
from mainstay.incident.severity import Severity
from mainstay.incident.simulation import Event
from mainstay.incident.spec import Addressee
from mainstay.incident.timeline import line
from mainstay.kernel.journal import FactQuery, Message
from mainstay.kernel.people import Contact, Reach

_PLAN = """
apiVersion: mainstay/v1
kind: EscalationPolicy
metadata: {name: web}
spec:
  steps:
    - {page: [rotation:first], wait: 5m}
    - {page: [rotation:second], wait: 10m}
---
apiVersion: mainstay/v1
kind: Routing
metadata: {name: all}
spec: {route: {policy: web, group_by: [team], reopen: 10m}}
"""
_PEOPLE = People({"first": ["ana"], "second": ["ben"]})
_TEAM = {"team": "web"}


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return plan_of(tmp_path, _PLAN)


def opened(desk: Desk, severity: Severity = Severity.SEV2, title: str = "checkout is down") -> str:
    return desk.do(Open(Opening(title, severity, ("web",), policy="web", by="ana"))).incident


def facts(desk: Desk, incident: str, *kinds: str) -> list[datetime]:
    return [fact.at for fact in desk._journal.facts(FactQuery(kinds=kinds, subject=incident))]


def reminders(desk: Desk, now: datetime) -> list[Message]:
    return [one for one in desk._journal.take_messages(now, "test") if one.data["what"] == "reminder"]


def ring_until(desk: Desk, clock: FakeClock, moment: datetime) -> None:
    while (due := desk._journal.next_due()) is not None and due <= moment:
        clock.set(due)
        desk.ring("test")
    clock.set(moment)


def incident(desk: Desk, name: str) -> Incident:
    return desk.caught_up().incidents[name]


# -- escalation ---------------------------------------------------------------------------------------------------


def test_an_acknowledgement_a_millisecond_before_the_step_stops_it(plan: Plan):
    desk, clock = desk_of(plan, _PEOPLE)
    name = opened(desk)
    clock.set(at("5m") - timedelta(milliseconds=1))
    desk.do(Acknowledge(name, "ana"))
    ring_until(desk, clock, at("1h"))
    assert facts(desk, name, "incident.paged") == [T0]


def test_of_an_acknowledgement_and_a_step_at_the_same_moment_exactly_one_happens(plan: Plan):
    for first in ("ack", "ring"):
        desk, clock = desk_of(plan, _PEOPLE)
        other = Desk(desk._journal, clock, plan, _PEOPLE)
        name = opened(desk)
        clock.set(at("5m"))
        for what in (("ack", "ring") if first == "ack" else ("ring", "ack")):
            if what == "ack":
                desk.do(Acknowledge(name, "ana"))
            else:
                other.ring("other")
        assert len(facts(desk, name, "incident.paged")) == (1 if first == "ack" else 2)
        acknowledged = next(fact.seq for fact in desk._journal.facts(FactQuery(kinds=("incident.acknowledged",))))
        assert all(fact.seq < acknowledged for fact in desk._journal.facts(FactQuery(kinds=("incident.paged",))))


class Handoff(People):
    """Ana until five minutes past nine, then ben."""

    def on_call(self, name: str, at: datetime) -> tuple[str, ...]:
        return ("ana",) if at < T0 + timedelta(minutes=5) else ("ben",)


def test_who_is_on_call_is_asked_when_a_step_fires_not_when_the_incident_opens(plan: Plan):
    policy = plan.policies["web"]
    one_step = replace(policy, steps=(policy.steps[0],), loops=1)
    outcome = play(Plan(plan.routing, {"web": one_step}), Handoff({}),
                   Event(at("4m"), AlertEvent(at("4m"), True, "disk")), until="11m")
    assert paged(outcome) == ["+4m S1 ana: opened", "+9m S1 ben: not acknowledged"]


def test_an_edited_policy_is_for_the_next_incident_and_not_for_the_running_one(plan: Plan):
    desk, clock = desk_of(plan, _PEOPLE)
    running = opened(desk)
    policy = plan.policies["web"]
    edited = replace(policy, steps=tuple(replace(step, addressees=(Addressee("person", "zoe"),))
                                         for step in policy.steps))
    desk.under(Plan(plan.routing, {"web": edited}), _PEOPLE)
    later = opened(desk)
    ring_until(desk, clock, at("5m"))
    pages = [(fact.subject, fact.data["to"]) for fact in desk._journal.facts(FactQuery(kinds=("incident.paged",)))]
    assert pages == [(running, "ana"), (later, "zoe"), (running, "ben"), (later, "zoe")]


def test_a_worse_severity_reaches_whoever_has_it_although_their_first_rule_waits(plan: Plan):
    slow = People({"first": ["ana"], "second": ["ben"]}, {"ana": (Reach(timedelta(minutes=2), Contact("sms", "1")),)})
    desk, clock = desk_of(plan, slow)
    name = opened(desk, Severity.SEV3)
    desk.do(Acknowledge(name, "ana"))
    desk.do(SetSeverity(name, Severity.SEV1, "ben"))
    ring_until(desk, clock, at("3m"))
    assert facts(desk, name, "incident.paged") == [at("2m")]
    desk.do(SetSeverity(name, Severity.SEV2, "ben"))
    desk.do(SetSeverity(name, Severity.SEV1, "ben"))
    desk.do(Acknowledge(name, "ana"))
    ring_until(desk, clock, at("1h"))
    assert facts(desk, name, "incident.paged") == [at("2m")], "acknowledging once more stopped it"


# -- statuses and updates -----------------------------------------------------------------------------------------


def test_what_is_resolved_cannot_become_identified(plan: Plan):
    desk, _ = desk_of(plan, _PEOPLE)
    name = opened(desk)
    desk.do(Resolve(name, "ana"))
    with pytest.raises(IllegalStep) as refused:
        desk.do(SetStatus(name, Status.IDENTIFIED, "ana"))
    assert refused.value.http_status == 409


def test_a_worse_severity_times_the_next_update_anew(plan: Plan):
    desk, clock = desk_of(plan, _PEOPLE)
    name = opened(desk)
    desk.do(Acknowledge(name, "ana"))
    clock.set(at("20m"))
    desk.do(SetSeverity(name, Severity.SEV1, "ana"))
    assert incident(desk, name).reminded == at("20m")
    ring_until(desk, clock, at("34m"))
    assert facts(desk, name, "incident.update-missed") == []
    ring_until(desk, clock, at("35m"))
    assert facts(desk, name, "incident.update-missed") == [at("35m")]


def test_an_update_that_is_missed_is_reminded_of_once_a_period_and_an_update_ends_it(plan: Plan):
    desk, clock = desk_of(plan, _PEOPLE)
    name = opened(desk)
    desk.do(Acknowledge(name, "ana"))
    desk.do(GiveRole(name, "communications", "chloe", "ana"))
    ring_until(desk, clock, at("1h29m"))
    assert facts(desk, name, "incident.update-missed") == [at("30m"), at("1h")]
    assert {one.data["to"] for one in reminders(desk, clock.now())} == {"chloe"}
    desk.do(PostUpdate(name, "a fix is on its way", "chloe"))
    ring_until(desk, clock, at("1h58m"))
    assert facts(desk, name, "incident.update-missed") == [at("30m"), at("1h")]
    assert incident(desk, name).reminded == at("1h29m")


def test_monitoring_lasts_twice_as_long_as_the_incident_did_and_then_the_commander_is_asked_to_close(plan: Plan):
    desk, clock = desk_of(plan, _PEOPLE)
    name = opened(desk, Severity.SEV4)
    desk.do(Acknowledge(name, "ana"))
    desk.do(GiveRole(name, "commander", "ben", "ana"))
    clock.set(at("30m"))
    desk.do(SetStatus(name, Status.MONITORING, "ana"))
    ring_until(desk, clock, at("89m"))
    assert facts(desk, name, "incident.close-asked") == []
    ring_until(desk, clock, at("90m"))
    assert facts(desk, name, "incident.close-asked") == [at("90m")]
    assert [(one.data["to"], one.data["reason"]) for one in reminders(desk, clock.now())] == [
        ("ben", "monitored long enough")]
    ring_until(desk, clock, at("1d"))
    assert len(facts(desk, name, "incident.close-asked")) == 1


@pytest.mark.parametrize("ends", [
    lambda name: SetStatus(name, Status.INVESTIGATING, "ana"), lambda name: Resolve(name, "ana")])
def test_an_incident_that_is_no_longer_monitored_is_not_asked_about(plan: Plan, ends):
    desk, clock = desk_of(plan, _PEOPLE)
    name = opened(desk, Severity.SEV4)
    desk.do(Acknowledge(name, "ana"))
    clock.set(at("10m"))
    desk.do(SetStatus(name, Status.MONITORING, "ana"))
    desk.do(ends(name))
    ring_until(desk, clock, at("1d"))
    assert facts(desk, name, "incident.close-asked") == []


def test_a_new_alert_while_it_is_monitored_begins_the_watch_anew(plan: Plan):
    desk, clock = desk_of(plan, _PEOPLE)
    name = desk.do(AlertEvent(T0, True, "a", labels=_TEAM)).incident
    desk.do(Acknowledge(name, "ana"))
    clock.set(at("10m"))
    desk.do(SetStatus(name, Status.MONITORING, "ana"))
    clock.set(at("20m"))
    desk.do(AlertEvent(at("20m"), True, "b", labels=_TEAM))
    ring_until(desk, clock, at("59m"))
    assert facts(desk, name, "incident.close-asked") == []
    ring_until(desk, clock, at("1h"))
    asked, = desk._journal.facts(FactQuery(kinds=("incident.close-asked",)))
    assert (asked.at, asked.data["firing"]) == (at("1h"), 2), "twice the twenty minutes; and two alerts fire"


# -- reopening, merging, splitting --------------------------------------------------------------------------------


def test_an_incident_that_is_reopened_is_nobodys_until_it_is_acknowledged_again(plan: Plan):
    desk, clock = desk_of(plan, _PEOPLE)
    name = desk.do(AlertEvent(T0, True, "a", labels=_TEAM)).incident
    desk.do(Acknowledge(name, "ana"))
    desk.do(AlertEvent(T0, False, "a"))
    clock.set(at("5m"))
    assert desk.do(AlertEvent(at("5m"), True, "a", labels=_TEAM)).outcome == "reopened"
    one = incident(desk, name)
    assert (one.status, one.phase, one.acknowledged_by, one.resolved) == ("open", "triggered", "", None)


def test_an_alert_that_opened_before_the_incident_was_resolved_does_not_reopen_it_without_a_window(tmp_path: Path):
    plan = plan_of(tmp_path, _PLAN.replace(", reopen: 10m", ""))
    desk, clock = desk_of(plan, _PEOPLE)
    desk.do(AlertEvent(T0, True, "a", labels=_TEAM))
    clock.set(at("5m"))
    desk.do(Resolve("INC-1", "ana"))
    assert desk.do(AlertEvent(at("4m"), True, "b", labels=_TEAM)).incident == "INC-2"


def test_an_incident_that_pages_nobody_stays_quiet_when_it_is_reopened(tmp_path: Path):
    plan = plan_of(tmp_path, _PLAN.replace("policy: web,", "policy: web, page: false,"))
    desk, _ = desk_of(plan, _PEOPLE)
    name = desk.do(AlertEvent(T0, True, "a", labels=_TEAM)).incident
    desk.do(AlertEvent(T0, False, "a"))
    assert desk.do(AlertEvent(T0, True, "a", labels=_TEAM)).outcome == "reopened"
    assert incident(desk, name).phase == "quiet"


def test_merging_moves_alerts_raises_the_severity_and_later_alerts_follow_through_a_chain(plan: Plan):
    desk, _ = desk_of(plan, _PEOPLE)
    first = desk.do(AlertEvent(T0, True, "a", "db", severity="critical", labels=_TEAM)).incident
    second, third = opened(desk, Severity.SEV3), opened(desk, Severity.SEV3)
    desk.do(Merge(first, second, "ana"))
    desk.do(Merge(second, third, "ana"))
    assert incident(desk, third).severity is Severity.SEV1
    assert [one.key.key for one in desk.state.alerts_of(third)] == ["a"]
    assert desk.do(AlertEvent(T0, True, "b", labels=_TEAM)).incident == third
    with pytest.raises(IllegalStep):
        desk.do(Merge(first, third, "ana"))
    assert incident(desk, third).services == ("web", "db"), "the services of all three"
    desk.do(AlertEvent(T0, False, "a", "db"))
    assert incident(desk, third).status is Status.OPEN
    desk.do(AlertEvent(T0, False, "b"))
    assert incident(desk, third).status is Status.RESOLVED


def test_splitting_takes_alerts_into_an_incident_of_their_own_which_is_paged(plan: Plan):
    desk, _ = desk_of(plan, _PEOPLE)
    for key in ("a", "b"):
        desk.do(AlertEvent(T0, True, key, "db", labels=_TEAM))
    new = desk.do(Split("INC-1", ("A-2",), "the other disk", "ana")).incident
    assert [incident(desk, name).firing for name in ("INC-1", new)] == [1, 1]
    assert facts(desk, new, "incident.paged") == [T0]
    desk.do(AlertEvent(T0, False, "b", "db"))
    assert [incident(desk, name).status for name in ("INC-1", new)] == ["open", "resolved"]


def test_what_was_split_off_and_merged_again_is_resolved_with_its_incident(plan: Plan):
    desk, _ = desk_of(plan, _PEOPLE)
    for key in ("a", "b"):
        desk.do(AlertEvent(T0, True, key, "db", labels=_TEAM))
    apart = desk.do(Split("INC-1", ("A-2",), "the other disk", "ana")).incident
    desk.do(Merge(apart, "INC-1", "ana"))
    assert [one.id for one in desk.state.alerts_of("INC-1")] == ["A-1", "A-2"]
    desk.do(Resolve("INC-1", "ana"))
    assert not len(desk.state.alerts)
    assert incident(desk, "INC-1").status is Status.RESOLVED


def test_a_note_is_taken_after_the_end_too(plan: Plan):
    desk, _ = desk_of(plan, _PEOPLE)
    name = opened(desk)
    desk.do(Resolve(name, "ana"))
    desk.do(Note(name, "it was the cache", "ben"))
    assert len(facts(desk, name, "incident.noted")) == 1


# -- names --------------------------------------------------------------------------------------------------------


def test_ten_thousand_incidents_in_one_second_at_two_desks_have_names_of_their_own_in_order(plan: Plan):
    clock = FakeClock(T0)
    journal = MemoryJournal(clock)
    desks = [Desk(journal, clock, plan, _PEOPLE) for _ in range(2)]
    names = []
    for batch in range(20):
        clock.set(T0 + timedelta(milliseconds=50 * batch))
        taken = desks[batch % 2].do_all([Open(Opening(f"number {n}", Severity.SEV3, policy="web", by="ana"))
                                         for n in range(500)])
        names += [one.incident for one in taken]  # type: ignore[union-attr]
    assert names == [f"INC-{number}" for number in range(1, 10_001)]
    assert clock.now() - T0 < timedelta(seconds=1)


def test_who_takes_an_incident_over_from_somebody_says_so_and_who_takes_it_twice_does_not(plan: Plan):
    desk, _ = desk_of(plan, _PEOPLE)
    name = opened(desk)
    for by in ("ana", "ana", "ben"):
        desk.do(Acknowledge(name, by))
    said = [line(fact).text for fact in desk._journal.facts(FactQuery(kinds=("incident.acknowledged",)))]
    assert said == ["acknowledged by ana", "acknowledged by ana", "acknowledged by ben, who takes it over from ana"]
