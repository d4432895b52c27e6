"""What was recorded, played again: under the same catalog it gives the same pages, whatever happened."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from incident.plans import T0, People, ack, at, fires, paged, plan_of, play, played, stops
from mainstay.adapters.clock import FakeClock
from mainstay.adapters.memory import MemoryJournal
from mainstay.app import grammar
from mainstay.incident.act import Plan
from mainstay.incident.engine import Acknowledge, EndSilence, MakeSilence, Merge, Resolve, SetSeverity
from mainstay.incident.intake import AlertEvent
from mainstay.incident.operations.desk import Desk
from mainstay.incident.operations.simulate import Simulated, SimulateRequest, simulate
from mainstay.incident.replay import recorded
from mainstay.incident.severity import Severity
from mainstay.kernel.catalog import load
from mainstay.kernel.finding import errors_of
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.matcher import parse_matcher
from mainstay.kernel.quantity import Span
from mainstay.slo.operations.exclusion import work_within
from memory_world import memory_world

_CATALOG = """
apiVersion: mainstay/v1
kind: EscalationPolicy
metadata: {name: web}
spec: {steps: [{page: [person:ana], wait: 5m}, {page: [person:ben], wait: 5m}], loops: 1, ack_timeout: 20m}
---
apiVersion: mainstay/v1
kind: Routing
metadata: {name: all}
spec:
  route: {policy: web, group_by: [service], %s}
  inhibit: [{source: [level=page], target: [level=ticket], equal: []}]
  flapping: {opens: 2, within: 30m, quiet: 3m}
  storm: {pages: 1000, within: 5m}
"""
_SILENT = (parse_matcher('service="db"'),)


def plan(folder: Path, route: str = "wait: 30s, interval: 2m, repeat: 1h, reopen: 4m") -> Plan:
    return replace(plan_of(folder, _CATALOG % route), rehearsal=True)


class Day:
    """A journal in which something happens, as a server would have written it."""

    def __init__(self, here: Plan) -> None:
        self.clock = FakeClock(T0)
        self.journal = MemoryJournal(self.clock)
        self.desk = Desk(self.journal, self.clock, here, People({}))

    def goes_on(self, to: datetime) -> None:
        while (due := self.journal.next_due()) is not None and due <= to:
            self.clock.set(max(due, self.clock.now()))
            self.desk.ring("test")
        self.clock.set(to)

    def pages(self) -> list[str]:
        return [f"{fact.at:%H:%M:%S} {fact.data['to']} {fact.data['loop']}.{fact.data['step']} {fact.data['reason']}"
                for fact in self.journal.facts(FactQuery(kinds=("incident.paged",)))]


def again(day: Day, here: Plan) -> list[str]:
    """The pages of the day, played again under the plan."""
    events = recorded(day.journal.facts(FactQuery()), T0).events
    return [f"{page.at:%H:%M:%S} {page.to} {page.loop}.{page.step - 1} {page.reason}"
            for page in played(here, People({}), events, day.clock.now()).pages]


def _something(chance: random.Random, day: Day) -> None:
    """One thing that could happen next, where it makes sense."""
    state, now = day.desk.caught_up(), day.clock.now()
    running = [one.id for one in state.open_incidents() if one.phase != "acknowledged"]
    opened = [one.id for one in state.open_incidents()]
    silences = [one.id for one in state.silences.values()]
    what = chance.random()
    key, service = chance.choice("abcd"), chance.choice(["web", "db"])
    labels = {"level": "page" if key == "a" else "ticket" if key == "b" else "other"}
    if what < 0.6:
        # The sender's clock is a little behind.
        day.desk.do(AlertEvent(now - timedelta(milliseconds=chance.randrange(900)), chance.random() < 0.6, key, service,
                               chance.choice(["critical", "error", "warning"]), labels))
    elif what < 0.75 and running:
        day.desk.do(Acknowledge(chance.choice(running), "ben"))
    elif what < 0.85 and opened:
        day.desk.do(Resolve(chance.choice(opened), "ana"))
    elif what < 0.9 and opened:
        day.desk.do(SetSeverity(chance.choice(opened), chance.choice(list(Severity)[:3]), "ana"))
    elif what < 0.94 and len(opened) > 1:
        one, other = chance.sample(opened, 2)
        day.desk.do(Merge(one, other, "ana"))
    elif silences and chance.random() < 0.5:
        day.desk.do(EndSilence(chance.choice(silences), "ana"))
    else:
        day.desk.do(MakeSilence(_SILENT, Span(now, now + timedelta(minutes=7)), "ana", "known"))


@pytest.mark.parametrize("seed", range(40))
def test_a_day_played_again_under_its_own_catalog_pages_the_same_people_at_the_same_moments(tmp_path: Path, seed: int):
    chance = random.Random(seed)
    here = plan(tmp_path)
    day = Day(here)
    for _ in range(30):
        day.goes_on(day.clock.now() + timedelta(seconds=chance.choice([2, 11, 47, 160, 405])))
        _something(chance, day)
    day.goes_on(day.clock.now() + timedelta(hours=3))
    assert again(day, here) == day.pages()


def _played(tmp_path: Path, *happenings: tuple[str, Any]) -> Day:
    day = Day(plan(tmp_path))
    for moment, what in happenings:
        day.goes_on(at(moment))
        day.desk.do(what)
    return day


def _alert(moment: str, key: str, firing: bool = True) -> tuple[str, AlertEvent]:
    return moment, AlertEvent(at(moment), firing, key, "web", "critical")


def test_who_acknowledged_before_the_edited_route_has_gathered_has_it_there_too(tmp_path: Path):
    day = _played(tmp_path, _alert("1m", "a"), ("2m", Acknowledge("INC-1", "ben")))
    day.goes_on(at("10m"))
    assert again(day, plan(tmp_path, "wait: 5m")) == ["09:02:00 ana 0.0 opened"], "taken back before it is sent"


def test_an_acknowledgement_counts_for_each_incident_that_the_edited_route_makes_of_the_one(tmp_path: Path):
    day = _played(tmp_path, _alert("1m", "a"), _alert("1m", "b"), _alert("2m", "a", False),
                  ("3m", Acknowledge("INC-1", "ben")))
    day.goes_on(at("20m"))
    (tmp_path / "plan.yaml").write_text((_CATALOG % "wait: 0s").replace("group_by: [service], ", ""))
    apart = replace(plan_of(tmp_path, (tmp_path / "plan.yaml").read_text()), rehearsal=True)
    assert again(day, apart) == ["09:01:00 ana 0.0 opened", "09:01:00 ana 0.0 opened"]


def _simulated(folder: Path, text: str, make: Callable[[MemoryJournal, FakeClock], object],
               **asked: str) -> Simulated:
    (folder / "all.yaml").write_text(text)
    catalog, findings = load([folder / "all.yaml"], grammar())
    assert not errors_of(findings), [one.render() for one in findings]
    clock = FakeClock(T0)
    journal = MemoryJournal(clock)
    make(journal, clock)
    world = memory_world(clock, catalog, journal, responders=People({}), planned=work_within)
    return simulate(world, SimulateRequest(**asked))


def test_pages_of_what_had_begun_before_are_not_counted_as_taken_away(tmp_path: Path):
    here = plan(tmp_path)

    def begins_early(journal: MemoryJournal, clock: FakeClock) -> None:
        desk = Desk(journal, clock, here, People({}))
        desk.do(AlertEvent(T0, True, "old", "db", "critical"))
        for moment in ("1m", "4m", "9m"):
            clock.set(at(moment))
            desk.ring("test")
        desk.do(AlertEvent(at("9m"), True, "new", "web", "critical"))
        clock.set(at("9m30s"))
        desk.ring("test")

    found = _simulated(tmp_path, _CATALOG % "wait: 30s", begins_early, replay="5m", until="1m")
    assert [(one.who, one.before, one.after, one.added, one.removed) for one in found.people] == [("ana", 1, 1, 0, 0)]


def test_a_silence_from_before_still_holds_in_what_is_played(tmp_path: Path):
    here = plan(tmp_path, "wait: 0s")

    def silent(journal: MemoryJournal, clock: FakeClock) -> None:
        desk = Desk(journal, clock, here, People({}))
        desk.do(MakeSilence(_SILENT, Span(T0, at("1h")), "ana", "known"))
        clock.set(at("30m"))
        desk.do(AlertEvent(at("30m"), True, "a", "db", "critical"))
        desk.do(AlertEvent(at("30m"), True, "b", "web", "critical"))

    found = _simulated(tmp_path, _CATALOG % "wait: 0s", silent, replay="5m")
    assert [(one.who, one.before, one.after) for one in found.people] == [("ana", 1, 1)]


def test_pages_that_are_still_to_come_are_not_counted_as_added(tmp_path: Path):
    here = plan(tmp_path, "wait: 0s")

    def goes_on(journal: MemoryJournal, clock: FakeClock) -> None:
        Desk(journal, clock, here, People({})).do(AlertEvent(T0, True, "new", "web", "critical"))

    found = _simulated(tmp_path, _CATALOG % "wait: 0s", goes_on, replay="5m")
    assert [(one.who, one.before, one.after, one.added) for one in found.people] == [("ana", 1, 1, 0)]


_WORK = """
---
apiVersion: openslo/v1
kind: Service
metadata: {name: web}
spec: {description: the shop}
---
apiVersion: mainstay/v1
kind: Maintenance
metadata: {name: move}
spec: {start: "2026-03-02T09:10:00Z", duration: 1h, reason: the database is moved, services: [web]}
"""


def test_planned_work_of_the_catalog_is_silent_in_a_simulation_too(tmp_path: Path):
    events = tmp_path / "events.jsonl"
    events.write_text("".join(
        f'{{"at": "2026-03-02T{moment}Z", "type": "alert", "status": "{status}", "key": "{key}", "service": "web", '
        '"severity": "critical"}\n' for moment, status, key in (
            ("09:20:00", "firing", "short"), ("09:30:00", "resolved", "short"), ("09:40:00", "firing", "long"))))
    found = _simulated(tmp_path, _CATALOG % "wait: 0s" + _WORK, lambda *_: None, events=str(events), until="31m")
    assert [(f"{page.at:%H:%M}", page.to) for page in found.pages] == [("10:10", "ana")]


def test_who_acknowledges_what_gathers_in_a_simulation_has_it(tmp_path: Path):
    outcome = play(plan(tmp_path, "wait: 5m"), People({}), fires("0"), ack("1m"), stops("20m"), until="1h")
    assert paged(outcome) == ["+1m S1 ana: opened"], "which the acknowledgement takes back before it is sent"
    assert outcome.unanswered == ()
