"""The exact traps of alert intake: repeats, groups, inhibition, restarts, senders that fall silent."""

from __future__ import annotations

import itertools
import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from incident.plans import T0, People, at, desk_of, fires, paged, plan_of, play, stops
from mainstay.adapters.clock import FakeClock
from mainstay.adapters.memory import MemoryJournal
from mainstay.incident.act import Plan
from mainstay.incident.alertmanager import read_webhook
from mainstay.incident.engine import Acknowledge, AcknowledgeAlert, Beat, MakeSilence, Sweep
from mainstay.incident.intake import OVERTAKEN, RARELY, UNHEARD, AlertEvent
from mainstay.incident.ongoing import Key
from mainstay.incident.operations.desk import Desk
from mainstay.incident.received import Sender
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.matcher import Matcher
from mainstay.kernel.quantity import Span

WEB = """\
apiVersion: mainstay/v1
kind: EscalationPolicy
metadata: {name: web}
spec: {steps: [{page: [person:ana], wait: 30m}]}
---
apiVersion: mainstay/v1
kind: Routing
metadata: {name: all}
spec: {route: {policy: web%s}%s}
---
apiVersion: mainstay/v1
kind: Heartbeat
metadata: {name: backup, service: db}
spec: {every: 1h, grace: 5m, severity: high}
"""
PEOPLE = People({})


def _plan(folder: Path, route: str = "", more: str = "") -> Plan:
    return plan_of(folder, WEB % (route, more))


def _hook(*alerts: tuple[str, str], **more: object) -> list[AlertEvent]:
    """A webhook's events: (instance, status) each."""
    body = {"version": "4", **more, "alerts": [
        {"status": status, "labels": {"alertname": "Down", "instance": instance, "severity": "page"},
         "startsAt": "2026-03-02T08:59:00Z", "endsAt": "2026-03-02T09:00:30Z" if status == "resolved"
         else "0001-01-01T00:00:00Z"} for instance, status in alerts]}
    return list(read_webhook(json.dumps(body).encode(), Sender("am"), T0 + timedelta(minutes=1)).events)


def test_one_alert_of_a_group_resolves_and_the_group_stays_with_those_that_were_cut_off(tmp_path):
    desk, clock = desk_of(_plan(tmp_path, ", group_by: [alertname]"), PEOPLE)
    desk.do_all(_hook(("a", "firing"), ("b", "firing"), ("c", "firing")))
    clock.set(at("1m"))
    desk.do_all(_hook(("a", "firing"), ("b", "resolved"), truncatedAlerts=1, notification_reason="x"))
    assert sorted(one.labels["instance"] for one in desk.state.alerts.values()) == ["a", "c"]
    assert (desk.state.incidents["INC-1"].status, desk.state.incidents["INC-1"].firing) == ("open", 2)
    desk.do_all(_hook(("a", "resolved"), ("c", "resolved")))
    assert desk.state.incidents["INC-1"].status == "resolved"


def test_the_same_payload_three_times_changes_nothing_and_is_counted(tmp_path):
    desk, _ = desk_of(_plan(tmp_path), PEOPLE)
    outcomes = [desk.do_all(_hook(("a", "firing")))[0] for _ in range(3)]
    assert [one.outcome for one in outcomes] == ["opened", "repeated", "repeated"]  # type: ignore[union-attr]
    assert desk.state.repeats["A-1"][0] == 2
    desk.do(Sweep())
    assert desk.state.alerts["A-1"].count == 3


def test_what_opens_and_closes_while_its_group_gathers_pages_nobody_but_is_on_record(tmp_path):
    plan = _plan(tmp_path, ", group_by: [service], wait: 30s")
    outcome = play(plan, PEOPLE, fires("0"), stops("20s"), until="1h")
    assert paged(outcome) == []
    [closed] = [change for change in outcome.changes if change.kind == "alert.closed"]
    assert closed.data["seconds"] == 20


def test_the_same_key_in_two_services_is_two_alerts_and_a_sender_acknowledges_its_own(tmp_path):
    desk, _ = desk_of(_plan(tmp_path), PEOPLE)
    for service in ("web", "db"):
        desk.do(AlertEvent(T0, True, "disk", service))
    assert len(desk.state.alerts) == 2
    desk.do(AcknowledgeAlert(Key("db", "disk"), "pd"))
    assert [one.phase for one in desk.state.incidents.values()] == ["triggered", "acknowledged"]
    assert desk.do(AcknowledgeAlert(Key("db", "disk"), "pd")).outcome == "unknown", "already, and that is no mistake"
    assert desk.do(AcknowledgeAlert(Key("db", "none"), "pd")).outcome == "unknown"


# -- inhibition ---------------------------------------------------------------------------------------------------

INHIBIT = ", inhibit: [{source: [s=1], target: [t=1], equal: [e]}]"


@pytest.mark.parametrize(("source", "target", "muted"), [
    # Origin: the truth table of Alertmanager's own inhibition tests (inhibit_test.go), told by labels.
    ({"s": "1", "e": "1"}, {"t": "1", "e": "1"}, True),
    ({"s": "1", "e": "1"}, {"t": "1", "e": "2"}, False),
    ({"s": "1"}, {"t": "1"}, True),
    ({"s": "1", "e": ""}, {"t": "1"}, True),
    ({"s": "1", "e": "1"}, {"t": "1"}, False),
    ({"s": "0", "e": "1"}, {"t": "1", "e": "1"}, False),
    ({"s": "1", "e": "1"}, {"t": "0", "e": "1"}, False),
    ({"s": "1", "t": "1", "e": "1"}, {"s": "1", "t": "1", "e": "1", "n": "2"}, False),
    ({"s": "1", "e": "1"}, {"s": "1", "t": "1", "e": "1"}, True),
])
def test_inhibition_is_alertmanagers(source: dict[str, str], target: dict[str, str], muted: bool, tmp_path):
    desk, _ = desk_of(_plan(tmp_path, "", INHIBIT), PEOPLE)
    desk.do(AlertEvent(T0, True, "source", labels=source))
    assert (desk.do(AlertEvent(T0, True, "target", labels=target)).outcome == "muted") is muted


def test_an_alert_never_inhibits_itself(tmp_path):
    desk, _ = desk_of(_plan(tmp_path, "", INHIBIT), PEOPLE)
    assert desk.do(AlertEvent(T0, True, "both", labels={"s": "1", "t": "1", "e": "1"})).outcome == "opened"
    assert desk.do(AlertEvent(T0, True, "both", labels={"s": "1", "t": "1", "e": "1"})).outcome == "repeated"


def test_when_the_source_is_over_a_target_that_still_fires_pages_at_once(tmp_path):
    plan = _plan(tmp_path, "", INHIBIT)
    outcome = play(plan, PEOPLE, fires("0", "source", labels={"s": "1"}), fires("1m", "target", labels={"t": "1"}),
                   stops("5m", "source"), until="6m")
    assert paged(outcome) == ["+0m S1 ana: opened", "+5m S1 ana: opened"]


def test_a_restart_pages_nothing_that_is_inhibited_and_keeps_a_silence(tmp_path):
    plan = _plan(tmp_path, "", INHIBIT)
    clock = FakeClock(T0)
    journal = MemoryJournal(clock)
    desk = Desk(journal, clock, plan, PEOPLE)
    desk.do(AlertEvent(T0, True, "source", labels={"s": "1"}))
    desk.do(AlertEvent(T0, True, "target", labels={"t": "1"}))
    desk.do(Acknowledge("INC-1", "ana"))
    desk.do(MakeSilence((Matcher("x", "=", "1"),), Span(T0, at("1h")), "ana", "planned"))
    clock.set(at("10m"))
    again = Desk(journal, clock, plan, PEOPLE)
    again.ring("test")
    for key, labels in (("source", {"s": "1"}), ("target", {"t": "1"})):
        again.do(AlertEvent(T0, True, key, labels=labels))
    assert again.do(AlertEvent(clock.now(), True, "new", labels={"x": "1"})).outcome == "muted"
    pages = list(journal.facts(FactQuery(kinds=("incident.paged",))))
    assert [fact.data["reason"] for fact in pages] == ["opened"]


# -- senders that fall silent -------------------------------------------------------------------------------------


def test_a_heartbeat_that_stops_is_an_alert_and_the_next_beat_ends_it(tmp_path):
    desk, clock = desk_of(_plan(tmp_path), PEOPLE)
    clock.set(at("3h"))
    desk.ring("test")
    assert len(desk.state.alerts) == 0, "who was never heard of is not missed"
    for hours in (3, 4, 5):
        clock.set(at(f"{hours}h"))
        desk.do(Beat("backup"))
    clock.set(at("6h4m59s"))
    desk.ring("test")
    assert len(desk.state.alerts) == 0
    clock.set(at("6h5m"))
    desk.ring("test")
    [alert] = desk.state.alerts.values()
    assert (alert.key, alert.severity, alert.summary) == (
        Key("db", "heartbeat:backup"), "SEV2", "backup was not heard of for 1 h 5 m")
    clock.set(at("7h"))
    assert desk.do(Beat("backup")).outcome == "closed"
    assert desk.state.incidents["INC-1"].status == "resolved"


def sweeps(desk: Desk, clock: FakeClock, until: datetime, since: datetime = T0) -> None:
    """Once a minute, as a server does."""
    while clock.now() < until:
        clock.set(min(clock.now() + timedelta(minutes=1), until))
        desk.do(Sweep(since))


def test_an_alert_that_its_sender_no_longer_says_is_closed_and_comes_back_when_it_is_said_again(tmp_path):
    desk, clock = desk_of(_plan(tmp_path), PEOPLE)
    said = AlertEvent(T0, True, "k", until=at("4m"))
    desk.do(said)
    clock.set(at("3m"))
    desk.do(AlertEvent(T0, True, "k", until=at("7m")))
    sweeps(desk, clock, at("7m") + UNHEARD - timedelta(seconds=1))
    assert len(desk.state.alerts) == 1
    sweeps(desk, clock, at("7m") + UNHEARD)
    assert len(desk.state.alerts) == 0
    assert desk.state.incidents["INC-1"].status == "resolved"
    clock.set(at("20m"))
    assert desk.do(AlertEvent(T0, True, "k", until=at("24m"))).outcome == "opened", "still the same alert of the sender"


def test_a_server_that_was_down_gives_senders_time_to_be_heard_again(tmp_path):
    desk, clock = desk_of(_plan(tmp_path), PEOPLE)
    desk.do(AlertEvent(T0, True, "k", until=at("4m")))
    desk.do(AlertEvent(T0, True, "once"))
    clock.set(at("2h"))
    desk.do(Sweep(clock.now()))
    assert len(desk.state.alerts) == 2
    desk.do(Sweep())
    assert len(desk.state.alerts) == 2, "a command that sweeps hears nobody"
    sweeps(desk, clock, at("2h") + UNHEARD, since=at("2h"))
    assert [one.key.key for one in desk.state.alerts.values()] == ["once"], "who says it once is believed for good"


def test_an_alert_that_is_said_to_one_of_two_servers_alone_is_not_closed_by_the_other(tmp_path):
    plan, clock = _plan(tmp_path), FakeClock(T0)
    journal = MemoryJournal(clock)
    hears, deaf = Desk(journal, clock, plan, PEOPLE), Desk(journal, clock, plan, PEOPLE)
    for _ in range(180):
        hears.do(AlertEvent(T0, True, "k", until=clock.now() + timedelta(minutes=4)))
        clock.advance(timedelta(minutes=1))
        deaf.do(Sweep(T0))
        hears.do(Sweep(T0))
    assert list(deaf.caught_up().alerts.keys()) == ["A-1"]
    asked = [fact.kind for fact in journal.facts(FactQuery()) if fact.kind == "alert.doubted"]
    assert 1 <= len(asked) <= 6, "now and then: not every few minutes for each of thousands of alerts"
    last = clock.now() + timedelta(minutes=3)
    while clock.now() < last + UNHEARD:
        clock.advance(timedelta(minutes=1))
        deaf.do(Sweep(T0))
        hears.do(Sweep(T0))
    assert not deaf.caught_up().alerts, "nobody says it any more"


def test_what_died_with_the_server_that_heard_it_is_closed_in_the_end(tmp_path):
    plan, clock = _plan(tmp_path), FakeClock(T0)
    journal = MemoryJournal(clock)
    hears, deaf = Desk(journal, clock, plan, PEOPLE), Desk(journal, clock, plan, PEOPLE)
    for _ in range(10):
        hears.do(AlertEvent(T0, True, "k", until=clock.now() + timedelta(minutes=4)))
        clock.advance(timedelta(minutes=1))
        deaf.do(Sweep(T0))
        hears.do(Sweep(T0))
    sweeps(deaf, clock, clock.now() + RARELY + UNHEARD)
    assert not deaf.state.alerts


# -- many at once -------------------------------------------------------------------------------------------------


def test_one_mistake_among_many_is_refused_alone_and_the_others_are_taken(tmp_path):
    desk, _ = desk_of(_plan(tmp_path), PEOPLE)
    outcomes = desk.do_all([*(AlertEvent(T0, True, f"k{number}") for number in range(50)), Acknowledge("INC-99", "ana"),
                            *(AlertEvent(T0, True, f"m{number}") for number in range(50))])
    refused = [number for number, one in enumerate(outcomes) if getattr(one, "code", "") == "not-found"]
    assert refused == [50]
    assert len(desk.state.alerts) == 100
    assert list(itertools.islice((one.key.key for one in desk.state.alerts.newest()), 2)) == ["m49", "m48"]


def test_labels_longer_than_a_timers_key_still_group_and_are_told_apart(tmp_path):
    desk, clock = desk_of(_plan(tmp_path, ", group_by: [path], wait: 30s"), PEOPLE)
    for number in range(4):
        desk.do(AlertEvent(T0, True, f"k{number}", labels={"path": "/x" * 1_000 + str(number % 2)}))
    clock.set(at("30s"))
    desk.ring("test")
    assert [one.firing for one in desk.state.incidents.values()] == [2, 2]


def test_what_is_only_said_again_is_recorded_when_it_doubles_once_an_hour_and_at_the_end(tmp_path: Path):
    """Two senders, every minute, for six hours: a fact each time would be 720 of them."""
    desk, clock = desk_of(plan_of(tmp_path, ""), People({}))
    for _ in range(360):
        for _ in range(2):
            desk.do(AlertEvent(clock.now(), True, "k", until=clock.now() + timedelta(minutes=4)))
        clock.set(clock.now() + timedelta(minutes=1))
        desk.do(Sweep(T0))
    recorded = [fact.data["count"] for fact in desk._journal.facts(FactQuery(kinds=("alert.changed",)))]
    assert len(recorded) <= 12
    assert recorded[:3] == [1, 2, 4]
    assert set(recorded[7:]) == {120}
    [alert] = desk.state.alerts.values()
    assert alert.count < 720
    desk.do(Sweep())
    [alert] = desk.state.alerts.values()
    assert alert.count == 720


# -- order --------------------------------------------------------------------------------------------------------


def test_news_that_an_alert_fires_is_late_when_the_news_that_it_is_over_was_quicker(tmp_path):
    desk, clock = desk_of(_plan(tmp_path), PEOPLE)
    clock.set(at("10m"))
    assert desk.do(AlertEvent(at("6m"), False, "disk")).outcome == "unknown"
    assert desk.do(AlertEvent(at("5m"), True, "disk")).outcome == "late"
    assert desk.do(AlertEvent(at("7m"), True, "disk")).outcome == "opened", "it fires anew"
    assert not [fact for fact in desk._journal.facts(FactQuery()) if fact.kind == "alert.closed"]


def test_that_checks_are_well_all_day_is_not_kept(tmp_path):
    desk, clock = desk_of(_plan(tmp_path), PEOPLE)
    for minute in range(60):
        clock.set(at(f"{minute}m") if minute else T0)
        desk.do_all([AlertEvent(clock.now(), False, f"check-{minute}-{number}") for number in range(10)])
        desk.do(Sweep())
    assert len(desk.state.passed) <= 10 * (OVERTAKEN / timedelta(minutes=1) + 1)
    assert desk._journal.head() == 0


def test_what_a_sender_acknowledges_while_its_group_gathers_is_an_incident_that_somebody_has(tmp_path):
    desk, clock = desk_of(_plan(tmp_path, ", group_by: [service], wait: 30s"), PEOPLE)
    desk.do(AlertEvent(T0, True, "disk", "db"))
    desk.do(AlertEvent(T0, True, "load", "db"))
    assert desk.do(AcknowledgeAlert(Key("db", "disk"), "ana")).incident == "INC-1"
    one = desk.state.incidents["INC-1"]
    assert (one.phase, one.acknowledged_by, one.firing) == ("acknowledged", "ana", 2)
    clock.set(at("1h"))
    desk.ring("w")
    assert len(desk.state.incidents) == 1, "the group does not become another one when its wait is over"
