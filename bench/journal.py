"""Durable facts a second: the journal with group commit, without, and what the database itself can take at most.

The limit beside it is sqlite3's own `executemany` of the same rows into the same tables in one transaction: one fsync
for all of them, no keys looked up, nobody answered. Run: python bench/journal.py [facts]
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from mainstay.adapters.clock import SystemClock
from mainstay.adapters.store import Store, open_store
from mainstay.kernel.journal import Batch, Fact, FactQuery, NewFact

GOAL = 10_000
CALLERS = 64
IN_FLIGHT = 2_000
CLOCK = SystemClock()


def batch(key: str) -> Batch:
    return Batch(facts=[NewFact("incident.alert-received", key[-2:], CLOCK.now(),
                                {"service": "checkout", "severity": "high", "labels": {"pod": key}}, key)])


def rate(count: int, work: Callable[[], object]) -> float:
    before = time.perf_counter()
    work()
    return count / (time.perf_counter() - before)


def submitted(store: Store, many: int) -> None:
    """One thread that hands in fact after fact, at most `IN_FLIGHT` of them not yet answered."""
    flying: deque[Future[tuple[Fact, ...]]] = deque()
    for i in range(many):
        flying.append(store.journal.submit(batch(f"s{i}")))
        if len(flying) == IN_FLIGHT:
            flying.popleft().result()
    for future in flying:
        future.result()


def one_after_the_other(store: Store, many: int) -> None:
    for i in range(many):
        store.journal.commit(batch(f"o{i}"))


def many_callers(store: Store, many: int) -> list[float]:
    """Each caller waits for its own answer, as the handler of a request does; the waits in seconds, ascending."""
    waits: list[float] = []

    def call(caller: int) -> None:
        for i in range(many // CALLERS):
            before = time.perf_counter()
            store.journal.commit(batch(f"c{caller}/{i}"))
            waits.append(time.perf_counter() - before)

    threads = [threading.Thread(target=call, args=(caller,)) for caller in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(waits)


def raw_limit(folder: Path, many: int) -> float:
    with open_store(f"sqlite:///{folder}/raw.db", CLOCK):
        pass  # the same tables and indexes
    connection = sqlite3.connect(folder / "raw.db", isolation_level=None)
    connection.execute("PRAGMA synchronous=FULL")
    data = '{"service":"checkout","severity":"high","labels":{"pod":"s12345"}}'

    def insert() -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT INTO facts (seq, word, kind, subject, at, data, key, actor, recorded_at) "
            "VALUES (?,?,?,?,?,?,?,?,?)",
            [(i, "incident", "incident.alert-received", str(i)[-2:], i, data, f"s{i}", "system", i)
             for i in range(1, many + 1)])
        connection.execute("COMMIT")

    found = rate(many, insert)
    connection.close()
    return found


def measure(name: str, url: str, many: int) -> float:
    with open_store(url, CLOCK) as store:
        few = max(100, many // 50)
        alone = rate(few, lambda: one_after_the_other(store, few))
        grouped = rate(many, lambda: submitted(store, many))
        before = time.perf_counter()
        waits = many_callers(store, many // 2)
        called = len(waits) / (time.perf_counter() - before)
        head = store.journal.head()
        read = rate(head, lambda: sum(1 for _ in store.journal.facts(FactQuery())))
    print(f"{name:<11} one commit a fact        {alone:>9,.0f} facts/s")
    print(f"{name:<11} group commit, submitted  {grouped:>9,.0f} facts/s   {grouped / alone:.0f}× of one a commit")
    print(f"{name:<11} group commit, {CALLERS} wait   {called:>9,.0f} facts/s   "
          f"p50 {waits[len(waits) // 2] * 1e3:.1f} ms, p99 {waits[len(waits) * 99 // 100] * 1e3:.1f} ms")
    print(f"{name:<11} read back                {read:>9,.0f} facts/s")
    return grouped


def main() -> None:
    many = int(sys.argv[1]) if len(sys.argv) > 1 else 30_000
    with tempfile.TemporaryDirectory() as name:
        grouped = measure("SQLite", f"sqlite:///{name}/journal.db", many)
        limit = raw_limit(Path(name), many)
    print(f"{'sqlite3':<11} executemany, one commit  {limit:>9,.0f} rows/s    journal/limit = {grouped / limit:.2f}")
    print(f"goal {GOAL:,} durable facts/s on SQLite: {'reached' if grouped >= GOAL else 'MISSED'}")
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        print("PostgreSQL  absent")
        return
    from servers.postgres import Postgres  # noqa: PLC0415 - needs pytest, which SQLite's figures do not
    server = Postgres(programs[-1])
    try:
        measure("PostgreSQL", server.fresh_url(), many)
    finally:
        server.remove()


if __name__ == "__main__":
    main()
