"""Frozen cases B1–B12 on the engine: repeats, late ones, groups, inhibition, silence, flapping, storms."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from incident.plans import T0, People, ack, at, desk_of, fires, paged, plan_of, play, restart, stops
from mainstay.adapters.clock import FakeClock
from mainstay.adapters.memory import MemoryJournal
from mainstay.incident.act import Plan
from mainstay.incident.engine import MakeSilence, Resolve, SetSeverity, Sweep
from mainstay.incident.intake import AlertEvent
from mainstay.incident.operations.desk import Desk
from mainstay.incident.operations.simulate import Outcome
from mainstay.incident.severity import Severity
from mainstay.incident.spec import Inhibition, Routing
from mainstay.kernel.finding import Position
from mainstay.kernel.journal import Batch, Fact, NewFact
from mainstay.kernel.matcher import parse_matcher
from mainstay.kernel.quantity import Span
from overtaking import Between

_POLICY = """
apiVersion: mainstay/v1
kind: EscalationPolicy
metadata: {name: web}
spec: {steps: [{page: [rotation:first], wait: 5m}]}
---
apiVersion: mainstay/v1
kind: Routing
metadata: {name: all}
spec:
"""
_PEOPLE = People({"first": ["ana"]})


def routed(folder: Path, spec: str) -> Plan:
    return plan_of(folder, _POLICY + "".join(f"  {line}\n" for line in spec.strip().splitlines()))


def kinds(outcome: Outcome, *wanted: str) -> list[str]:
    """`+2m alert.closed A-1`, a line a fact of these kinds."""
    return [f"+{(change.at - T0) / timedelta(minutes=1):g}m {change.kind} {change.subject}"
            for change in outcome.changes if change.kind in wanted]


@pytest.fixture
def plain(tmp_path: Path) -> Plan:
    return routed(tmp_path, "route: {policy: web}")


def test_a_thousand_concurrent_triggers_of_one_key_at_two_desks_are_one_alert_one_incident_one_page(plain: Plan):
    clock = FakeClock(T0)
    journal = MemoryJournal(clock)
    desks = [Desk(journal, clock, plain, _PEOPLE) for _ in range(2)]

    def send(desk: Desk) -> None:
        for _ in range(100):
            desk.do(AlertEvent(T0, True, "disk", "db"))

    threads = [threading.Thread(target=send, args=(desks[number % 2],)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for desk in desks:
        desk.do(Sweep())
    state = desks[0].caught_up()
    alert, = state.alerts.values()
    assert alert.count == 1_000
    assert [one.id for one in state.incidents.values()] == ["INC-1"]
    assert len(journal.take_messages(T0, "test")) == 1


def test_the_same_key_in_two_services_is_two_alerts(plain: Plan):
    outcome = play(plain, _PEOPLE, fires("0", service="a"), fires("0", service="b"), until="1m")
    assert kinds(outcome, "alert.opened") == ["+0m alert.opened A-1", "+0m alert.opened A-2"]
    assert [page.incident for page in outcome.pages] == ["INC-1", "INC-2"]


def test_a_group_stays_open_while_one_of_its_alerts_fires(tmp_path: Path):
    plan = routed(tmp_path, "route: {policy: web, group_by: [team]}")
    labels = {"team": "web"}
    outcome = play(plan, _PEOPLE, fires("0", key="a", labels=labels), fires("1m", key="b", labels=labels), ack("2m"),
                   stops("3m", key="a"), fires("3m", key="b", labels=labels), ack("2m", key="a"), stops("9m", key="b"))
    assert kinds(outcome, "alert.closed", "incident.resolved", "incident.cleared") == [
        "+3m alert.closed A-1", "+3m incident.cleared INC-1", "+9m alert.closed A-2", "+9m incident.resolved INC-1"]


def test_what_a_sender_says_three_times_changes_nothing_and_is_counted(plain: Plan):
    outcome = play(plain, _PEOPLE, *(fires("0") for _ in range(3)), stops("1m"), stops("1m"), stops("1m"))
    assert kinds(outcome, "alert.opened", "alert.closed") == ["+0m alert.opened A-1", "+1m alert.closed A-1"]
    assert len(outcome.pages) == 1
    assert next(change.data["count"] for change in outcome.changes if change.kind == "alert.closed") == 3


def test_an_event_older_than_what_is_known_changes_nothing(plain: Plan):
    desk, clock = desk_of(plain, _PEOPLE)
    clock.set(at("10m"))
    assert desk.do(AlertEvent(at("5m"), True, "disk")).outcome == "opened"
    assert desk.do(AlertEvent(at("4m"), False, "disk")).outcome == "late", "a resolve sent before the trigger"
    assert desk.do(AlertEvent(at("6m"), False, "disk")).outcome == "closed"
    assert desk.do(AlertEvent(at("5m30s"), True, "disk")).outcome == "late", "a trigger sent before the resolve"


def test_what_fires_and_resolves_while_its_group_gathers_pages_nobody_and_is_recorded_with_its_length(tmp_path: Path):
    plan = routed(tmp_path, "route: {policy: web, wait: 30s}")
    outcome = play(plan, _PEOPLE, fires("0"), stops("20s"))
    assert outcome.pages == ()
    closed, = (change for change in outcome.changes if change.kind == "alert.closed")
    assert closed.data["seconds"] == 20


def test_a_group_that_gathers_is_told_of_once_with_all_that_came_meanwhile(tmp_path: Path):
    plan = routed(tmp_path, "route: {policy: web, group_by: [team], wait: 30s}")
    outcome = play(plan, _PEOPLE, *(fires(f"{second}s", key=f"k{second}", labels={"team": "web"})
                                    for second in (1, 10, 20)), until="1m")
    assert paged(outcome) == ["+0.516667m S1 ana: opened"]
    opened, = (change for change in outcome.changes if change.kind == "incident.opened")
    assert opened.data["alerts"] == ["A-1", "A-2", "A-3"]


def test_after_a_quick_one_the_next_of_the_group_gathers_anew_and_is_not_lost(tmp_path: Path):
    plan = routed(tmp_path, "route: {policy: web, group_by: [team], wait: 30s}")
    labels = {"team": "web"}
    outcome = play(plan, _PEOPLE, fires("0", key="a", labels=labels), stops("10s", key="a"),
                   fires("20s", key="b", labels=labels), until="5m")
    assert paged(outcome) == ["+0.833333m S1 ana: opened"]


def test_an_alert_that_should_page_does_not_join_an_incident_that_pages_nobody(tmp_path: Path):
    plan = routed(tmp_path, """
route:
  policy: web
  group_by: [team]
  routes:
    - {match: ['env="test"'], page: false}
""")
    outcome = play(plan, _PEOPLE, fires("0", key="a", labels={"team": "web", "env": "test"}),
                   fires("1m", key="b", labels={"team": "web", "env": "live"}), until="2m")
    assert paged(outcome) == ["+1m S1 ana: opened"]


def test_an_alert_that_should_page_does_not_reopen_an_incident_that_pages_nobody(tmp_path: Path):
    plan = routed(tmp_path, """
route:
  policy: web
  reopen: 10m
  routes:
    - {match: ['severity="info"'], page: false}
""")
    outcome = play(plan, _PEOPLE, fires("0", severity="info"), stops("1m"), fires("2m", severity="critical"),
                   until="3m")
    assert paged(outcome) == ["+2m S1 ana: opened"]


def test_an_alert_of_which_nobody_is_told_pages_once_its_sender_says_that_it_is_worse(tmp_path: Path):
    # A sender with keys of its own, such as PagerDuty's, says another severity of the same alert.
    for told in ("page: false", 'page: false, policy: ""'):
        plan = routed(tmp_path, f"""
route:
  policy: web
  routes:
    - {{match: ['severity="info"'], {told}}}
""")
        outcome = play(plan, _PEOPLE, fires("0", severity="info"), fires("1m", severity="critical"), stops("4m"),
                       until="9m")
        assert paged(outcome) == ["+1m S1 ana: opened"]
        assert kinds(outcome, "alert.closed") == ["+1m alert.closed A-1", "+4m alert.closed A-2"]


# -- inhibition ---------------------------------------------------------------------------------------------------

_RULE = Inhibition((parse_matcher('level="page"'),), (parse_matcher('kind="db"'),), ("site",))
_LABELS = [{name: value for name, value in (("level", level), ("kind", kind), ("site", site)) if value}
           for level in ("", "page") for kind in ("", "db") for site in ("", "a", "b")]


def _is_inhibited(labels: dict[str, str], others: Sequence[dict[str, str]]) -> bool:
    """As Alertmanager's documentation of inhibit_rules says it, over all alerts that fire, itself among them."""
    def source(one: dict[str, str]) -> bool:
        return one.get("level") == "page"

    def target(one: dict[str, str]) -> bool:
        return one.get("kind") == "db"

    return target(labels) and any(
        source(other) and other.get("site", "") == labels.get("site", "") and not (source(labels) and target(other))
        for other in others)


@pytest.mark.parametrize("first", range(len(_LABELS)))
def test_inhibition_is_as_alertmanager_documents_it_for_every_pair_of_label_sets(plain: Plan, first: int):
    plan = Plan(Routing("all", Position("x"), plain.routing.route, (_RULE,)), plain.policies)
    for second in range(len(_LABELS)):
        one, other = _LABELS[first], _LABELS[second]
        desk, _ = desk_of(plan, _PEOPLE)
        desk.do(AlertEvent(T0, True, "first", labels=one))
        outcome = desk.do(AlertEvent(T0, True, "second", labels=other)).outcome
        assert (outcome == "muted") == _is_inhibited(other, (one, other)), (one, other)


def test_what_was_inhibited_pages_when_its_source_is_over_and_it_still_fires(plain: Plan):
    plan = Plan(Routing("all", Position("x"), plain.routing.route, (_RULE,)), plain.policies)
    source, target = {"level": "page", "site": "a"}, {"kind": "db", "site": "a"}
    outcome = play(plan, _PEOPLE, fires("0", key="rack", labels=source), ack("1m", key="rack"),
                   fires("2m", key="db", labels=target), stops("8m", key="rack"), until="9m")
    assert paged(outcome) == ["+0m S1 ana: opened", "+8m S1 ana: opened"]
    assert outcome.pages[-1].incident == "INC-2"


def test_a_restart_with_an_inhibiting_and_an_inhibited_alert_pages_nobody(plain: Plan):
    # alertmanager#4064: after a restart the inhibited one pages once.
    plan = Plan(Routing("all", Position("x"), plain.routing.route, (_RULE,)), plain.policies)
    source, target = {"level": "page", "site": "a"}, {"kind": "db", "site": "a"}
    outcome = play(plan, _PEOPLE, fires("0", key="rack", labels=source), ack("1m", key="rack"),
                   fires("2m", key="db", labels=target), restart("3m", "1m"),
                   fires("5m", key="db", labels=target), fires("5m", key="rack", labels=source), until="2h")
    assert paged(outcome) == ["+0m S1 ana: opened"]


_GATHERED = """
route: {policy: web, wait: 1m}
inhibit: [{source: [level=page], target: [kind=db], equal: [site]}]
"""


def test_what_is_inhibited_while_it_gathers_is_not_told_of(tmp_path: Path):
    # This is what Alertmanager's group_wait is for: the inhibiting alert may be the later one.
    plan = routed(tmp_path, _GATHERED)
    source, target = {"level": "page", "site": "a"}, {"kind": "db", "site": "a"}
    outcome = play(plan, _PEOPLE, fires("0", key="db", labels=target), fires("30s", key="rack", labels=source),
                   stops("10m", key="rack"), until="12m")
    assert paged(outcome) == ["+1.5m S1 ana: opened", "+11m S1 ana: opened"]
    assert kinds(outcome, "alert.muted", "alert.heard") == ["+1m alert.muted A-1", "+10m alert.heard A-1"]


def test_what_is_silenced_while_it_gathers_is_not_told_of_until_the_silence_is_over(tmp_path: Path):
    desk, clock = desk_of(routed(tmp_path, _GATHERED), _PEOPLE)
    desk.do(AlertEvent(T0, True, "disk", "db"))
    desk.do(MakeSilence((parse_matcher('service="db"'),), Span(T0, at("1h")), "ana", "known"))
    clock.set(at("1m"))
    desk.ring("test")
    assert list(desk.state.open_incidents()) == []
    for moment in ("1h", "1h1m"):
        clock.set(at(moment))
        desk.ring("test")
    assert [one.id for one in desk.state.open_incidents()] == ["INC-1"]


def test_a_step_that_was_put_off_while_every_alert_was_inhibited_is_said_once_and_follows_when_one_is_heard(
        tmp_path: Path):
    plan = routed(tmp_path, "route: {policy: web}\ninhibit: [{source: [level=page], target: [kind=db], equal: []}]")
    plan = Plan(plan.routing, {"web": replace(plan.policies["web"], loops=1)})
    outcome = play(plan, _PEOPLE, fires("0", key="db", labels={"kind": "db"}),
                   fires("1m", key="rack", labels={"level": "page"}), ack("1m", key="rack"),
                   stops("27m", key="rack"), until="28m")
    assert kinds(outcome, "incident.hushed") == ["+5m incident.hushed INC-1"]
    assert paged(outcome) == ["+0m S1 ana: opened", "+1m S1 ana: opened", "+27m S1 ana: not acknowledged"]


# -- silence ------------------------------------------------------------------------------------------------------


def test_a_silence_survives_the_end_of_the_process_and_what_it_muted_pages_when_it_is_over(plain: Plan):
    desk, clock = desk_of(plain, _PEOPLE)
    journal = desk._journal
    desk.do(MakeSilence((parse_matcher('service="db"'),), Span(T0, at("1h")), "ana", "disk is being swapped"))
    desk = Desk(journal, clock, plain, _PEOPLE)
    assert desk.do(AlertEvent(T0, True, "disk", "db")).outcome == "muted"
    assert list(desk.state.incidents.values()) == []
    clock.set(at("1h"))
    desk = Desk(journal, clock, plain, _PEOPLE)
    desk.ring("test")
    assert [one.id for one in desk.state.open_incidents()] == ["INC-1"]


def test_an_incident_whose_alerts_are_all_silenced_goes_no_further_up(plain: Plan):
    two_steps = Plan(plain.routing, {"web": plain.policies["web"]})
    desk, clock = desk_of(two_steps, _PEOPLE)
    desk.do(AlertEvent(T0, True, "disk", "db"))
    desk.do(MakeSilence((parse_matcher('service="db"'),), Span(T0, at("1h")), "ana", "known"))
    clock.set(at("5m"))
    desk.ring("test")
    assert [one.phase for one in desk.state.incidents.values()] == ["triggered"], "hushed, not exhausted"
    clock.set(at("1h5m"))
    desk.ring("test")
    desk.ring("test")
    assert [one.phase for one in desk.state.incidents.values()] == ["exhausted"]


# -- flapping and storms ------------------------------------------------------------------------------------------


def test_an_alert_that_flaps_is_one_incident_until_it_is_quiet(tmp_path: Path):
    plan = routed(tmp_path, "route: {policy: web}\nflapping: {opens: 3, within: 30m, quiet: 10m}")
    toggles = itertools.chain.from_iterable((fires(f"{2 * n}m"), stops(f"{2 * n + 1}m")) for n in range(1, 9))
    outcome = play(plan, _PEOPLE, *toggles)
    assert kinds(outcome, "alert.opened") == [f"+{2 * n}m alert.opened A-{n}" for n in (1, 2, 3, 4)]
    assert kinds(outcome, "alert.closed")[-1] == "+27m alert.closed A-4", "ten minutes after the last time it stopped"


def test_a_storm_pages_a_person_a_few_times_and_then_tells_the_rest_together(tmp_path: Path):
    plan = routed(tmp_path, "route: {policy: web}\nstorm: {pages: 3, within: 5m}")
    events = [fires("0" if not n else f"{n}s", key=f"k{n}", severity="critical" if n == 9 else "page")
              for n in range(20)]
    outcome = play(plan, _PEOPLE, *events, until="5m")
    together = outcome.pages[-1]
    assert len(outcome.pages) == 4
    assert together.reason == "told together with 16 others"
    assert together.incident == "INC-10", "the worst of them"


def test_of_two_desks_that_each_close_one_of_the_last_two_alerts_the_second_resolves_the_incident(tmp_path: Path):
    plan = routed(tmp_path, "route: {policy: web, group_by: [team]}")
    clock = FakeClock(T0)
    journal = MemoryJournal(clock)
    one, other = Desk(journal, clock, plan, _PEOPLE), Desk(journal, clock, plan, _PEOPLE)
    for key in ("a", "b"):
        one.do(AlertEvent(T0, True, key, labels={"team": "web"}))
    other.caught_up()
    # The other decides on what it knew before the first one's commit, as it would when both work at the same moment.
    catch_up, other.catch_up = other.catch_up, lambda: None  # type: ignore[method-assign]
    one.do(AlertEvent(T0, False, "a"))

    def late() -> None:
        other.catch_up = catch_up  # type: ignore[method-assign]
        catch_up()

    commit = journal.commit
    tried = []

    def watched(batch):  # type: ignore[no-untyped-def]
        tried.append(batch)
        other.catch_up = late  # type: ignore[method-assign]
        return commit(batch)

    journal.commit = watched  # type: ignore[method-assign]
    other.do(AlertEvent(T0, False, "b"))
    assert len(tried) == 2, "the first try was refused"
    assert [incident.status for incident in one.caught_up().incidents.values()] == ["resolved"]


def test_what_was_counted_of_an_alert_that_is_closed_at_another_desk_stops_no_sweep(tmp_path: Path):
    clock = FakeClock(T0)
    journal = MemoryJournal(clock)
    here, there = (Desk(journal, clock, routed(tmp_path, "route: {policy: web}"), _PEOPLE) for _ in range(2))
    for key in ("a", "b"):
        here.do(AlertEvent(T0, True, key))
        here.do(AlertEvent(at("1m"), True, key))
    there.do(Resolve("a", "ana"))
    clock.set(at("2h"))
    here.do(Sweep(T0))
    assert list(here.state.repeats.keys()) == [], "that of the other is recorded"
    assert here.state.alerts["A-2"].count == 2


def test_until_when_a_sender_says_its_alert_is_known_though_others_recorded_something_meanwhile(tmp_path: Path):
    clock = FakeClock(T0)
    journal = MemoryJournal(clock)
    here, there = (Desk(journal, clock, routed(tmp_path, "route: {policy: web}"), _PEOPLE) for _ in range(2))
    here.do(AlertEvent(T0, True, "a", until=at("4m")))
    commit = journal.commit

    def crossed(batch: Batch) -> tuple[Fact, ...]:
        journal.commit = commit  # type: ignore[method-assign]
        there.do(AlertEvent(T0, False, "other"))
        there.do(AlertEvent(at("1m"), True, "other"))
        return commit(batch)

    journal.commit = crossed  # type: ignore[method-assign]
    here.do_all([AlertEvent(at("3m"), True, "a", until=at("7m")), AlertEvent(at("3m"), False, "a", "nothing"),
                 SetSeverity("INC-1", Severity.SEV1, "ana")])
    clock.set(at("10m"))
    here.do(Sweep(T0))
    assert here.state.alerts.get("A-1") is not None, "it was said again at three minutes, for four more"


@pytest.mark.parametrize("kind", ["page.sent", "incident.noted"])
def test_a_desk_knows_what_it_decided_whatever_others_recorded_in_between(tmp_path: Path, kind: str):
    clock = FakeClock(T0)
    journal = MemoryJournal(clock)
    view = Between(journal)
    here = Desk(view, clock, routed(tmp_path, "route: {policy: web}"), _PEOPLE)
    here.do(AlertEvent(T0, True, "a"))
    view.before_commit = lambda: journal.commit(Batch([NewFact(kind, "INC-1", T0, {"text": "seen"}, "of another")]))
    here.do(AlertEvent(T0, True, "b"))
    here.do(Resolve("b", "ana"))
    there = Desk(journal, clock, here.plan, _PEOPLE)
    for state in (here.state, there.state):
        assert [(one.id, one.status, one.firing) for one in state.incidents.values()] == [
            ("INC-1", "open", 1), ("INC-2", "resolved", 0)]
    assert here.state.incidents["INC-1"].version == there.state.incidents["INC-1"].version
