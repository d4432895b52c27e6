"""A restart from a checkpoint knows exactly what a fold of every fact knows."""

from __future__ import annotations

import random
import threading
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

import pytest

from incident.plans import People, at, plan_of
from mainstay.adapters.clock import FakeClock
from mainstay.adapters.memory import MemoryJournal
from mainstay.incident import checkpoint
from mainstay.incident.engine import Acknowledge, MakeSilence, Note, Resolve
from mainstay.incident.intake import AlertEvent
from mainstay.incident.layers import Table
from mainstay.incident.operations import desk as desk_module
from mainstay.incident.operations.desk import Desk
from mainstay.incident.state import COUNTED, State
from mainstay.kernel.errors import StoreUnavailable
from mainstay.kernel.journal import Batch, Fact, FactQuery, NewFact
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
    for name in sorted(_TABLES - {*COUNTED, "members"}):
        assert dict(getattr(one, name).rows()) == dict(getattr(other, name).rows()), name
    for incident, _ in one.incidents.rows():
        assert {alert.id for alert in one.alerts_of(incident)} == {alert.id for alert in other.alerts_of(incident)}
    assert one.counts == other.counts


def test_every_table_of_the_state_is_written_down_or_follows_from_the_others():
    assert {*checkpoint.TABLES, *checkpoint.DERIVED, *COUNTED} == _TABLES


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


def _live_on(desk: Desk, clock: FakeClock, draw: random.Random) -> None:
    """One thing that happens: an alert fires, again or anew, or is over; somebody acts; a silence; a timer."""
    clock.set(clock.now() + timedelta(seconds=draw.randrange(90)))
    key, service = f"k{draw.randrange(12)}", f"s{draw.randrange(3)}"
    what = draw.randrange(10)
    if what < 4:
        severity = draw.choice(("page", "ticket"))
        desk.do(AlertEvent(clock.now(), True, key, service, severity, {"service": service}, "slow"))
    elif what < 8:
        desk.do(AlertEvent(clock.now(), False, key, service))
    elif what == 8 and (open_ones := list(desk.state.open_incidents())):
        one = draw.choice(open_ones)
        desk.do(draw.choice((Acknowledge(one.id, "ana"), Resolve(one.id, "ana"), Note(one.id, "seen", "ana"))))
    else:
        now = clock.now()
        desk.do(MakeSilence((Matcher("service", "=", service),), Span(now, now + timedelta(minutes=3)), "ana", "quiet"))
    while desk.ring("test"):
        pass


def _without_checkpoints(journal: MemoryJournal, clock: FakeClock, until: int | None = None) -> MemoryJournal:
    """The facts up to that one, in a journal of their own; what stood for checkpoints is there as something else."""
    out = MemoryJournal(clock)
    for fact in journal.facts(FactQuery()):
        if until is None or fact.seq <= until:
            kind = fact.kind.replace("engine.", "other.")
            out.commit(Batch([NewFact(kind, fact.subject, fact.at, fact.data, fact.key, fact.actor)]))
    return out


@pytest.mark.parametrize("seed", range(12))
def test_a_chain_of_checkpoints_written_at_any_moments_is_read_as_the_fold_of_all_facts(tmp_path, seed):
    draw, clock = random.Random(seed), FakeClock(at("0"))
    journal, plan = MemoryJournal(clock), plan_of(tmp_path, PLAN)
    desk, chains = Desk(journal, clock, plan, People({})), 0
    for _ in range(25):
        for _ in range(draw.randrange(1, 15)):
            _live_on(desk, clock, draw)
        chains += desk.write_down(least=1)
        if draw.random() < 0.3:
            desk = Desk(journal, clock, plan, People({}))  # the next ones follow what another process wrote
        restarted = Desk(journal, clock, plan, People({})).state
        _same(restarted, Desk(_without_checkpoints(journal, clock), clock, plan, People({})).state)
        assert [one.id for one in restarted.alerts.newest()] == [one.id for one in desk.state.alerts.newest()]
    assert chains > 20


def test_a_chain_that_is_much_longer_than_what_goes_on_begins_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "ROWS", 10)
    desk, clock, journal = _lived(tmp_path)
    for number in range(400):
        desk.do(AlertEvent(clock.now(), number % 2 == 0, f"k{number // 2}", "s1", "page", {"service": "s1"}))
        desk.write_down(least=1)
    lengths = [fact.data["rows"] for fact in journal.facts(FactQuery(kinds=("engine.checkpoint",)))]
    there = sum(len(getattr(desk.state, name)) for name in checkpoint.TABLES)
    assert max(lengths) < 2 * there
    assert any(after < before for before, after in pairwise(lengths))
    _same(Desk(journal, clock, desk.plan, People({})).state, desk.state)


def test_a_process_that_dies_anywhere_within_a_checkpoint_leaves_one_that_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "ROWS", 3)
    monkeypatch.setattr(desk_module, "_PARTS", 1)
    desk, clock, journal = _lived(tmp_path)
    desk.write_down(least=1)
    desk.do(AlertEvent(clock.now(), True, "between", "s1", "page", {"service": "s1"}))
    desk.do(AlertEvent(clock.now(), False, "k1", "s1"))
    begun = journal.head()
    desk.write_down(least=1)
    assert journal.head() - begun > 3
    for head in range(begun, journal.head() + 1):
        cut = MemoryJournal(clock)
        cut.commit(Batch([NewFact(fact.kind, fact.subject, fact.at, fact.data, fact.key, fact.actor)
                          for fact in journal.facts(FactQuery()) if fact.seq <= head]))
        after = Desk(cut, clock, desk.plan, People({}))
        _same(after.state, desk.state)
        after.write_down(least=1)
        _same(Desk(cut, clock, desk.plan, People({})).state, desk.state)


def test_a_checkpoint_that_could_not_be_written_is_followed_by_a_whole_one(tmp_path):
    desk, clock, journal = _lived(tmp_path)
    desk.write_down(least=1)
    desk.do(AlertEvent(clock.now(), True, "between", "s1", "page", {"service": "s1"}))
    working, journal.commit = journal.commit, _refuses  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        desk.write_down(least=1)
    journal.commit = working  # type: ignore[method-assign]
    desk.do(AlertEvent(clock.now(), True, "after", "s1", "page", {"service": "s1"}))
    assert desk.write_down(least=1)
    _same(Desk(journal, clock, desk.plan, People({})).state, desk.state)


def _refuses(batch: Batch) -> NoReturn:
    raise StoreUnavailable(f"{len(batch.facts)} facts were not recorded", "try again")


def test_alerts_are_taken_in_while_a_checkpoint_is_written(tmp_path):
    """The lock is held for a list of what changed, not for writing it: a commit in the middle of one gets through."""
    desk, clock, journal = _lived(tmp_path)
    working, taken = journal.commit, []

    def commit(batch: Batch) -> tuple[Fact, ...]:
        if any(new.kind == "engine.part" for new in batch.facts) and not taken:
            other = threading.Thread(target=lambda: taken.append(
                desk.do(AlertEvent(clock.now(), True, "meanwhile", "s1", "page", {"service": "s1"})).outcome))
            other.start()
            other.join(timeout=60)
        return working(batch)

    journal.commit = commit  # type: ignore[method-assign]
    assert desk.write_down(least=1)
    assert taken == ["joined"]
    _same(Desk(journal, clock, desk.plan, People({})).state, desk.state)


def test_a_checkpoint_of_another_shape_is_passed_over(tmp_path):
    desk, clock, journal = _lived(tmp_path)
    journal.commit(Batch([NewFact("engine.checkpoint", "incident", clock.now(), {
        "form": "another", "through": journal.head(), "parts": [], "counts": {}})]))
    _same(Desk(journal, clock, desk.plan, People({})).state, desk.state)


def test_another_catalog_leaves_what_goes_on_as_it_is_and_inhibits_by_its_own_rules(tmp_path):
    desk, _, _ = _lived(tmp_path)
    before = len(desk.state.incidents)
    desk.under(plan_of(tmp_path, PLAN.replace("severity=page", "severity=nothing")), People({}))
    assert len(desk.state.incidents) == before
    assert not desk.state.inhibited({"severity": "ticket", "service": "s1"})
    desk.under(plan_of(tmp_path, PLAN), People({}))
    assert desk.state.inhibited({"severity": "ticket", "service": "s1"})
