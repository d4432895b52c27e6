"""Every act of a run is a fact in a chain, and an edited row shows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from mainstay.adapters.clock import FakeClock
from mainstay.adapters.memory import MemoryActuator
from mainstay.adapters.store import open_store
from mainstay.kernel.errors import Conflict
from mainstay.kernel.journal import Fact, FactQuery
from mainstay.kernel.ports import World
from mainstay.runbook.chain import broken
from mainstay.runbook.operations.auditing import Audited, AuditRequest, audit
from mainstay.runbook.operations.desk import approve, runs_of
from runbook.books import T0, as_, drive, fails, ordered, run, steps, world

SPEC = "  approval: {needed: 1}\n" + steps("a", "b")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A store in which a run was asked for, approved, failed and was taken back."""
    path, clock = tmp_path / "m.db", FakeClock(T0)
    store = open_store(f"sqlite:///{path}", clock)
    made = world(SPEC, MemoryActuator(fails("do b")), journal=store.journal, clock=clock)
    one = ordered(made)
    approve(as_(made, "ben"), one.id)
    assert drive(made, one.id).state == "failed"
    store.close()
    return path


def verified(path: Path, **more: str) -> Audited:
    clock = FakeClock(T0)
    store = open_store(f"sqlite:///{path}", clock)
    try:
        made: World = world(SPEC, journal=store.journal, clock=clock)
        return audit(made, AuditRequest("verify", **more))
    finally:
        store.close()


def changed(path: Path, sql: str, *values: object) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(sql, values)
    connection.close()


def test_what_was_not_touched_holds(file: Path):
    found = verified(file)
    assert (found.broken, found.runs) == ((), 1)
    assert found.checked > 10


def edits(fact: Fact) -> Iterator[Fact]:
    """The fact, edited in every way that there is."""
    yield replace(fact, at=fact.at + timedelta(microseconds=1))
    yield replace(fact, actor="mallory")
    yield replace(fact, kind="runbook.probed")
    yield replace(fact, key="runbook:RB-1:99")
    yield replace(fact, data={**fact.data, "added": 1})
    for name, value in fact.data.items():
        yield replace(fact, data={**fact.data, name: _other(value)})
        yield replace(fact, data={key: item for key, item in fact.data.items() if key != name})


def test_any_edit_of_any_fact_is_found_in_its_place(file: Path):
    store = open_store(f"sqlite:///{file}", FakeClock(T0))
    facts = list(store.journal.facts(FactQuery(kinds=("runbook.",))))
    store.close()
    tried = 0
    for place, fact in enumerate(facts):
        for edited in edits(fact):
            found = broken("RB-1", [*facts[:place], edited, *facts[place + 1:]])
            assert found, edited
            assert found[0].seq == fact.seq
            tried += 1
    assert tried > 150


@pytest.mark.parametrize("column", ["at", "actor", "kind", "data"])
def test_a_row_that_was_edited_in_the_database_is_found(file: Path, column: str):
    value = {"at": "at + 1", "actor": "'mallory'", "kind": "'runbook.probed'",
             "data": "replace(data, 'succeeded', 'failed')"}[column]
    changed(file, f"UPDATE facts SET {column} = {value} "
                  "WHERE seq = (SELECT min(seq) FROM facts WHERE kind = 'runbook.step-ended')")
    assert len(verified(file).broken) == 1


def _other(value: object) -> object:
    return not value if isinstance(value, bool) else value + 1 if isinstance(value, int | float) else f"{value}x"


@pytest.mark.parametrize("place", [0, 1, 5])
def test_a_row_that_was_taken_away_is_missed(file: Path, place: int):
    changed(file, "DELETE FROM facts WHERE key = ?", f"runbook:RB-1:{place}")
    assert "is missing" in verified(file).broken[0].why


def test_a_row_at_the_end_that_was_taken_away_is_missed_by_who_noted_the_last_seal(file: Path):
    seal = verified(file).seals["RB-1"]
    assert verified(file, name="RB-1", expect=seal[:8]).broken == ()
    changed(file, "DELETE FROM facts WHERE seq = (SELECT max(seq) FROM facts WHERE kind LIKE 'runbook.%')")
    assert verified(file, name="RB-1", expect=seal[:8]).broken


def test_a_run_that_was_taken_away_whole_is_missed():
    made = world(steps("a"))
    for _ in range(3):
        run(made)
    assert audit(made, AuditRequest("verify")).broken == ()
    made.journal._facts[:] = [fact for fact in made.journal._facts if fact.subject != "RB-2"]  # type: ignore[attr-defined]
    assert [one.why for one in audit(made, AuditRequest("verify")).broken] == ["the whole run is missing"]


def test_the_audit_tells_who_did_what(file: Path):
    clock = FakeClock(T0)
    store = open_store(f"sqlite:///{file}", clock)
    found = audit(world(SPEC, journal=store.journal, clock=clock), AuditRequest("show", "RB-1"))
    store.close()
    told = [(one.kind, one.actor) for one in found.facts]
    assert told[:2] == [("runbook.planned", "ana"), ("runbook.approved", "ben")]
    assert [one.kind for one in found.facts][-1] == "runbook.ended"


def test_a_run_whose_rows_were_edited_is_left_alone_and_no_other_suffers(file: Path):
    changed(file, "UPDATE facts SET kind = 'runbook.answered' WHERE key = 'runbook:RB-1:3'")
    clock = FakeClock(T0)
    store = open_store(f"sqlite:///{file}", clock)
    made = world(steps("a"), journal=store.journal, clock=clock)
    with pytest.raises(Conflict, match="cannot be read"):
        runs_of(made).run("RB-1")
    assert run(made).id == "RB-2"
    assert runs_of(made).run("RB-2").state == "succeeded"
    store.close()
