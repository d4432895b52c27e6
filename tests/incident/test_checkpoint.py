"""A restart from a checkpoint knows exactly what a fold of every fact knows."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from incident.plans import People, at, plan_of
from mainstay.adapters.clock import FakeClock
from mainstay.adapters.memory import MemoryJournal
from mainstay.incident import checkpoint
from mainstay.incident.engine import Acknowledge, MakeSilence
from mainstay.incident.intake import AlertEvent
from mainstay.incident.layers import Table
from mainstay.incident.operations.desk import Desk
from mainstay.incident.state import State
from mainstay.kernel.journal import Batch, NewFact
from mainstay.kernel.matcher import Matcher
from mainstay.kernel.quantity import Span

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
  route: {policy: web, group_by: [service]}
  inhibit: [{source: [severity=page], target: [severity=ticket], equal: [service]}]
"""
_TABLES = {name for name, value in vars(State()).items() if isinstance(value, Table)}


def _lived(folder: Path) -> tuple[Desk, FakeClock, MemoryJournal]:
    clock = FakeClock(at("0"))
    journal = MemoryJournal(clock)
    desk = Desk(journal, clock, plan_of(folder, PLAN), People({}))
    for number in range(40):
        service, severity = f"s{number % 4}", "page" if number % 3 else "ticket"
        desk.do(AlertEvent(clock.now(), True, f"k{number}", service, severity, {"service": service}, "slow",
                           annotations={"runbook_url": "https://wiki/slow"}, until=clock.now() + timedelta(minutes=4)))
        clock.set(clock.now() + timedelta(seconds=7))
        if number % 5 == 0:
            desk.do(AlertEvent(clock.now(), False, f"k{number}", service))
    desk.do(Acknowledge("INC-2", "ana"))
    desk.do(MakeSilence((Matcher("service", "=", "s9"),), Span(at("0"), at("2h")), "ana", "quiet"))
    return desk, clock, journal


def _same(one: State, other: State) -> None:
    for name in sorted(_TABLES - {*checkpoint.COUNTED, "members"}):
        assert dict(getattr(one, name).rows()) == dict(getattr(other, name).rows()), name
    for incident, _ in one.incidents.rows():
        assert {alert.id for alert in one.alerts_of(incident)} == {alert.id for alert in other.alerts_of(incident)}
    assert one.counts == other.counts


def test_every_table_of_the_state_is_written_down_or_follows_from_the_others():
    assert {*checkpoint.TABLES, *checkpoint.DERIVED, *checkpoint.COUNTED} == _TABLES


def test_a_restart_from_a_checkpoint_knows_what_a_fold_knows(tmp_path):
    desk, clock, journal = _lived(tmp_path)
    folded = Desk(journal, clock, desk.plan, People({})).state
    assert desk.write_down(least=1)
    _same(Desk(journal, clock, desk.plan, People({})).state, folded)
    desk.do(AlertEvent(clock.now(), True, "after", "s1", "page", {"service": "s1"}))
    _same(Desk(journal, clock, desk.plan, People({})).state, desk.state)


def test_a_checkpoint_is_not_written_for_a_few_facts_and_not_twice_for_the_same(tmp_path):
    desk, _, journal = _lived(tmp_path)
    assert not desk.write_down()
    assert desk.write_down(least=1)
    head = journal.head()
    assert not desk.write_down(least=1)
    assert journal.head() == head


def test_a_checkpoint_of_another_shape_is_passed_over(tmp_path):
    desk, clock, journal = _lived(tmp_path)
    journal.commit(Batch([NewFact("engine.checkpoint", "incident", clock.now(), {
        "form": "another", "through": journal.head(), "parts": 0, "counts": {}})]))
    _same(Desk(journal, clock, desk.plan, People({})).state, desk.state)


def test_another_catalog_leaves_what_goes_on_as_it_is_and_inhibits_by_its_own_rules(tmp_path):
    desk, _, _ = _lived(tmp_path)
    before = len(desk.state.incidents)
    desk.under(plan_of(tmp_path, PLAN.replace("severity=page", "severity=nothing")), People({}))
    assert len(desk.state.incidents) == before
    assert not desk.state.inhibited({"severity": "ticket", "service": "s1"})
    desk.under(plan_of(tmp_path, PLAN), People({}))
    assert desk.state.inhibited({"severity": "ticket", "service": "s1"})
