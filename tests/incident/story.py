"""The incident behind `examples/blameless-postmortem.md`: played through the engine once, recorded as a file of facts.

`python -m incident.story` (in tests) records it anew; a test fails when the file no longer is what the engine gives.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from incident.plans import People
from mainstay.adapters.clock import FakeClock
from mainstay.adapters.memory import MemoryJournal, MemoryLedger
from mainstay.app import grammar
from mainstay.incident.engine import Acknowledge, GiveRole, Note, PostUpdate, Resolve, SetSeverity, SetStatus
from mainstay.incident.intake import AlertEvent
from mainstay.incident.lifecycle import Status
from mainstay.incident.operations.desk import desk_of
from mainstay.incident.severity import Severity
from mainstay.kernel.catalog import Catalog, load
from mainstay.kernel.errors import SourceUnavailable
from mainstay.kernel.finding import errors_of
from mainstay.kernel.journal import Batch, Fact, FactQuery, NewFact
from mainstay.kernel.objective import Objective, ledger_key, resolved
from mainstay.kernel.ports import Source, World
from mainstay.kernel.series import slots
from mainstay.slo.operations.spending import spent_between

EXAMPLE = Path(__file__).parents[2] / "examples" / "blameless-postmortem"
RECORDED = EXAMPLE / "journal.jsonl"
DAY = datetime(2026, 3, 10, tzinfo=UTC)
PEOPLE = People({})


def at(clock: str) -> datetime:
    """`14:23:10` of that day."""
    hours, minutes, seconds = (int(part) for part in (*clock.split(":"), "0")[:3])
    return DAY + timedelta(hours=hours, minutes=minutes, seconds=seconds)


def catalog() -> Catalog:
    found, findings = load([EXAMPLE / "catalog.yaml"], grammar())
    assert not errors_of(findings), [one.render() for one in findings]
    return found


def _no_source(name: str) -> Source:
    raise SourceUnavailable(f"{name} does not answer")


def world(facts: Iterable[Fact] = (), now: datetime | None = None, *, measured: bool = True) -> World:
    """A world that knows these facts, and what the ledger counted: 400 requests in each five minutes, 30 days long."""
    clock = FakeClock(now or at("18:00"))
    journal, ledger, declared = MemoryJournal(clock), MemoryLedger(), catalog()
    for fact in facts:
        journal.commit(Batch([NewFact(fact.kind, fact.subject, fact.at, fact.data, fact.key, fact.actor)]))
    objective = declared.get(Objective, "checkout-availability")
    if measured:
        start = at("18:00") - timedelta(days=30)
        count = 30 * 288
        bad = [0.0] * count
        for slot, lost in zip(range(count - 44, count - 36), (18, 41, 38, 40, 36, 33, 12, 3), strict=True):
            bad[slot] = lost  # 14:20 to 15:00
        ledger.write({ledger_key(resolved(objective, declared), objective.method):
                      slots(start, bad, [400.0] * count)}, clock.now())
    return World(clock, declared, journal, ledger, _no_source, lambda _: None, PEOPLE,  # type: ignore[arg-type,return-value]
                 spent=spent_between, actor="ana")


def record() -> list[Fact]:
    """Play the incident; the facts that it left."""
    there = world(now=at("14:00"), measured=False)
    clock: Any = there.clock
    desk = desk_of(there)

    def then(moment: str, happening: Any) -> None:
        while (due := there.journal.next_due()) is not None and due <= at(moment):
            clock.set(due)
            desk.ring("story")
        clock.set(at(moment))
        desk.do(happening)

    def said(moment: str, kind: str, subject: str, **data: str) -> None:
        clock.set(at(moment))
        there.journal.commit(Batch([NewFact(kind, subject, at(moment), data, actor="pipeline")]))

    said("12:31", "flag.recorded", "cheaper-shipping", service="checkout", text="on for everybody")
    said("14:19:40", "deployment.recorded", "v2.4.1", service="checkout", text="cart totals per item")
    then("14:23:10", AlertEvent(at("14:22:30"), True, "checkout-errors", "checkout", "critical",
                                {"alertname": "HighErrorRate"}, "checkout answers 500 to 9 % of requests"))
    then("14:24:02", Acknowledge("INC-1", "ana"))
    then("14:24:30", GiveRole("INC-1", "commander", "ana", "ana"))
    then("14:25:05", GiveRole("INC-1", "operations", "ben", "ana"))
    then("14:25:30", GiveRole("INC-1", "communications", "chloe", "ana"))
    then("14:27:00", Note("INC-1", "errors are time-outs of the database pool", "ben"))
    then("14:29:15", AlertEvent(at("14:29:00"), True, "pool-full", "checkout", "page", {"alertname": "PoolFull"},
                                "the connection pool of checkout is full"))
    then("14:31:40", SetStatus("INC-1", Status.IDENTIFIED, "ana"))
    then("14:32:00", Note("INC-1", "v2.4.1 asks once for each item of a cart; a campaign trebled the traffic", "ben"))
    then("14:36:00", PostUpdate("INC-1", "Some orders fail. We go back to the version of this morning.", "chloe"))
    then("14:40:20", Note("INC-1", "going back to v2.4.0 began", "ben"))
    then("14:46:00", SetStatus("INC-1", Status.MONITORING, "ana"))
    then("14:50:30", AlertEvent(at("14:50:00"), False, "pool-full", "checkout"))
    then("14:52:00", PostUpdate("INC-1", "Orders go through again. We keep watching.", "chloe"))
    then("14:58:00", SetSeverity("INC-1", Severity.SEV2, "ana", "errors are below 0.1 %"))
    then("15:08:00", Resolve("INC-1", "ana"))
    return list(there.journal.facts(FactQuery()))


def lines(facts: Iterable[Fact]) -> str:
    """The facts as a file, one a line."""
    return "".join(json.dumps({"kind": fact.kind, "subject": fact.subject, "at": fact.at.isoformat(), "key": fact.key,
                               "actor": fact.actor, "data": fact.data}, ensure_ascii=False) + "\n" for fact in facts)


def recorded() -> list[Fact]:
    """The facts of the file, numbered in their order."""
    out = []
    for number, line in enumerate(RECORDED.read_text(encoding="utf-8").splitlines(), 1):
        held = json.loads(line)
        moment = datetime.fromisoformat(held["at"])
        out.append(Fact(number, held["kind"], held["subject"], moment, held["data"], held["key"], held["actor"],
                        moment))
    return out


def edited(facts: list[Fact], number: int, text: str) -> list[Fact]:
    """The facts, the note of that number saying something else."""
    return [replace(fact, data={**fact.data, "text": text}) if fact.seq == number else fact for fact in facts]


if __name__ == "__main__":
    RECORDED.write_text(lines(record()), encoding="utf-8")
