"""Two desks on one journal, as two servers are, or a server and a command: whoever takes what, the same follows."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from incident.plans import T0, People, plan_of
from mainstay.adapters.clock import FakeClock
from mainstay.adapters.memory import MemoryJournal
from mainstay.incident.act import Plan
from mainstay.incident.engine import (
    Acknowledge,
    Beat,
    EndSilence,
    Happening,
    MakeSilence,
    Merge,
    Note,
    Resolve,
    SetSeverity,
    SetStatus,
    Split,
    Sweep,
)
from mainstay.incident.intake import AlertEvent
from mainstay.incident.layers import Table
from mainstay.incident.lifecycle import Status
from mainstay.incident.operations.desk import Desk
from mainstay.incident.severity import Severity
from mainstay.incident.state import COUNTED, State
from mainstay.kernel.errors import Conflict, InvalidInput, NotFound
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.matcher import parse_matcher
from mainstay.kernel.quantity import Span

_CATALOG = """
apiVersion: mainstay/v1
kind: EscalationPolicy
metadata: {name: web}
spec: {steps: [{page: [person:ana], wait: 5m}, {page: [person:ben], wait: 5m}], loops: 1, ack_timeout: 20m}
---
apiVersion: mainstay/v1
kind: Heartbeat
metadata: {name: nightly}
spec: {every: 10m, grace: 2m, service: db, severity: critical}
---
apiVersion: mainstay/v1
kind: Routing
metadata: {name: all}
spec:
  route:
    policy: web
    group_by: [service]
    wait: 30s
    interval: 2m
    repeat: 1h
    reopen: 4m
    routes: [{match: [level=other], page: false}]
  inhibit: [{source: [level=page], target: [level=ticket], equal: []}]
  flapping: {opens: 2, within: 30m, quiet: 3m}
  storm: {pages: 6, within: 5m}
"""
_QUIET = (parse_matcher('service="db"'),)


def plan(folder: Path) -> Plan:
    return plan_of(folder, _CATALOG)


@dataclass
class House:
    """A journal, its clock, and desks on it."""

    plan: Plan
    count: int
    clock: FakeClock = field(default_factory=lambda: FakeClock(T0))

    def __post_init__(self) -> None:
        self.journal = MemoryJournal(self.clock)
        self.desks = [Desk(self.journal, self.clock, self.plan, People({})) for _ in range(self.count)]

    def take(self, number: int, happening: Happening) -> str:
        """What the desk of that number says to it."""
        try:
            taken = self.desks[number % self.count].do(happening)
        except (NotFound, Conflict, InvalidInput) as refused:
            return refused.code
        return f"{taken.outcome} {taken.alert} {taken.incident}"

    def goes_on(self, to: datetime, whose: Callable[[], int]) -> None:
        """Timers ring at any desk; every desk sweeps once a minute, as every server does."""
        while True:
            minute = (self.clock.now() - T0) // timedelta(minutes=1) + 1
            sweep, due = T0 + timedelta(minutes=minute), self.journal.next_due()
            if due is not None and due <= min(sweep, to):
                self.clock.set(max(due, self.clock.now()))
                self.desks[whose() % self.count].ring("test")
            elif sweep <= to:
                self.clock.set(sweep)
                for desk in self.desks:
                    desk.do(Sweep(T0))
            else:
                break
        self.clock.set(to)

    def facts(self) -> list[tuple[object, ...]]:
        """What was decided, without how often something was said again, which each desk counts for itself."""
        return [(fact.kind, fact.subject, fact.at, fact.actor,
                 {name: value for name, value in fact.data.items() if name != "count"})
                for fact in self.journal.facts(FactQuery()) if fact.kind != "alert.changed"]


def content(state: State) -> dict[str, object]:
    """All that is known by facts."""
    tables = {name: table.rows() for name, table in vars(state).items()
              if isinstance(table, Table) and name not in COUNTED}
    return {**tables, "counts": dict(state.counts)}


def happening(chance: random.Random, state: State, now: datetime) -> Happening:
    """One thing that could happen next."""
    everyone = [one.id for one in state.incidents.values()][-6:] or ["INC-1"]
    silences = [one.id for one in state.silences.values()]
    key, service = chance.choice("abcd"), chance.choice(["web", "db"])
    level = {"level": "page" if key == "a" else "ticket" if key == "b" else "other" if key == "d" else "any"}
    what, incident = chance.random(), chance.choice(everyone)
    if what < 0.72:
        return AlertEvent(now, chance.random() < 0.7, key, service, chance.choice(["critical", "error", "warning"]),
                          level)
    if what < 0.9:
        return chance.choice([
            Acknowledge(incident, "ben"), Resolve(incident, "ana"), Note(incident, "seen", "ana"),
            SetSeverity(incident, chance.choice(list(Severity)[:3]), "ana"),
            SetStatus(incident, chance.choice([Status.IDENTIFIED, Status.MONITORING]), "ana"),
            Merge(incident, chance.choice(everyone), "ana"),
            Split(incident, tuple(one.id for one in state.alerts_of(incident)[:1]), "apart", "ana")])
    if silences and chance.random() < 0.5:
        return EndSilence(chance.choice(silences), "ana")
    return Beat("nightly") if chance.random() < 0.5 else MakeSilence(_QUIET, Span(now, now + timedelta(minutes=7)),
                                                                      "ana", "known")


@pytest.mark.parametrize("seed", range(60))
def test_whichever_of_two_desks_takes_what_the_same_follows_as_at_one(tmp_path: Path, seed: int):
    chance, whose = random.Random(seed), random.Random(seed + 1_000)
    here = plan(tmp_path)
    one, two = House(here, 1), House(here, 2)
    for _ in range(60):
        moment = one.clock.now() + timedelta(seconds=chance.choice([1, 11, 47, 160, 405]))
        one.goes_on(moment, lambda: 0)
        two.goes_on(moment, lambda: whose.randrange(2))
        next_one = happening(chance, one.desks[0].state, moment)
        said, other = one.take(0, next_one), two.take(whose.randrange(2), next_one)
        assert said == other, next_one
    assert two.facts() == one.facts()
    for desk in two.desks:
        assert content(desk.caught_up()) == content(two.desks[0].state)
