"""How fast remediation decides: purely, and through facts on a durable store.

    python bench/remediation.py [hosts]

A fleet of hosts, a third of which break one after the other: each is triggered, run, healed and verified. Purely, that
is folding and deciding in memory, in processor time; through facts, every event is one commit on SQLite with its fsync,
as a server makes it, and for comparison as many bare commits in the same run. What is above these is ours.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mainstay.adapters.clock import FakeClock
from mainstay.adapters.store import open_store
from mainstay.kernel.finding import Position
from mainstay.kernel.journal import Batch, NewFact
from mainstay.kernel.matcher import parse_matcher
from mainstay.runbook.operations.remedy_desk import RemedyDesk
from mainstay.runbook.remedy import Limits, OnAlert, Remediation, Verification
from mainstay.runbook.remedy_decision import Cleared, Desk, Event, Ran, Tick, Triggered, decide
from mainstay.runbook.remedy_search import Scope, search
from mainstay.runbook.remedy_state import Remedies

T0 = datetime(2026, 3, 2, 10, tzinfo=UTC)
RULE = Remediation(
    "restart", Position("bench"), OnAlert((parse_matcher("alertname=Down"),)), "${labels.host}", "restart", mode="act",
    inputs={"host": "${labels.host}"}, verify=Verification(hold=timedelta(seconds=30)),
    limits=Limits(concurrent=10_000, share=0.9, fleet=1_000_000, flaps=1_000))
BOUND = 4.0
"""How many times a bare durable commit one event may take."""


def story(hosts: int) -> list[tuple[datetime, Event]]:
    """What happens to the hosts, in its order."""
    out: list[tuple[datetime, Event]] = []
    for number in range(hosts // 3):
        at, host = T0 + timedelta(seconds=number), f"host-{number}"
        key = f"A-{number + 1}"
        out += [(at, Triggered("restart", key, {"alertname": "Down", "host": host}, number + 1)),
                (at + timedelta(seconds=20), Ran(f"REM-{number + 1}.1", "succeeded")),
                (at + timedelta(seconds=25), Cleared(key)),
                (at + timedelta(seconds=60), Tick())]
    return sorted(out, key=lambda one: one[0])


def purely(events: list[tuple[datetime, Event]]) -> tuple[float, int]:
    """Seconds of the processor, and how many facts came of it."""
    state, facts = Remedies(), 0
    rules = {RULE.name: RULE}
    began = time.process_time()
    for at, event in events:
        desk = Desk(rules, state, at)
        decide(desk, event)
        decide(desk, Tick())
        facts += len(desk.facts)
    return time.process_time() - began, facts


def through_facts(events: list[tuple[datetime, Event]], folder: str) -> tuple[float, int]:
    """The same, with every event durable before the next."""
    clock = FakeClock(T0)
    store = open_store(f"sqlite:///{folder}/facts.db", clock)
    desk, rules, count = RemedyDesk(store.journal, clock), {RULE.name: RULE}, 0
    began = time.perf_counter()
    for at, event in events:
        clock.set(at)
        count += len(desk.do(rules, [event, Tick()]))
    seconds = time.perf_counter() - began
    store.journal.close()
    return seconds, count


def bare(commits: int, each: int, folder: str) -> float:
    """As many commits of as many facts, with nothing decided."""
    store = open_store(f"sqlite:///{folder}/bare.db", FakeClock(T0))
    began = time.perf_counter()
    for number in range(commits):
        store.journal.commit(Batch([NewFact("remedy.started", f"REM-{number}", T0, {"rule": "restart", "target": "x"},
                                            f"bare:{number}:{one}") for one in range(each)], fresh=True))
    seconds = time.perf_counter() - began
    store.journal.close()
    return seconds


def main() -> None:
    hosts = int(sys.argv[1]) if len(sys.argv) > 1 else 3_000
    events = story(hosts)
    print(f"{hosts:,} hosts, {len(events):,} events; load {os.getloadavg()[0]:.1f}")
    seconds, facts = purely(events)
    print(f"purely          {len(events) / seconds:10,.0f} events/s  {facts / seconds:10,.0f} decisions/s")
    with tempfile.TemporaryDirectory(prefix="mainstay-bench-", dir=Path.cwd()) as folder:
        durable, facts = through_facts(events, folder)
        reference = bare(len(events), max(facts // len(events), 1), folder)
    print(f"through facts   {len(events) / durable:10,.0f} events/s  {facts / durable:10,.0f} decisions/s")
    print(f"bare commits    {len(events) / reference:10,.0f} commits/s, of which an event takes "
          f"{durable / reference:.2f} ×")
    began = time.process_time()
    proof = search(Scope((RULE,), 2, 5))
    searched = time.process_time() - began
    print(f"search          {proof.states / searched:10,.0f} states/s  {proof.steps / searched:10,.0f} decisions/s "
          f"({proof.states:,} states of 2 targets, every order of 5 events)")
    if durable > BOUND * reference:
        raise SystemExit(f"an event costs more than {BOUND:g} × a bare commit")


if __name__ == "__main__":
    main()
