"""kill -9 at many moments: what was acknowledged is there whole, nothing is there by halves, and life goes on.

SIGKILL leaves the kernel's page cache alone, so it shows that the order of writes and answers is right, not that the
disk obeys fsync; that commits do fsync is asked of SQLite and PostgreSQL themselves below.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

import psycopg
import pytest

from mainstay.adapters.clock import SystemClock
from mainstay.adapters.store import Store, open_store
from mainstay.kernel.journal import Batch, Claim, FactQuery, NewFact
from servers.postgres import Postgres

PARTS = 3
FAR = datetime(2100, 1, 1, tzinfo=UTC)
KILLS_SQLITE = 60
KILLS_POSTGRES = 40


@dataclass
class Writer:
    """The writer program, forking for each run."""

    process: subprocess.Popen[str]
    acknowledged: set[str] = field(default_factory=set)
    turns: set[str] = field(default_factory=set)

    @property
    def _lines(self) -> IO[str]:
        assert self.process.stdout is not None
        return self.process.stdout

    def start(self, url: str, run: str) -> int:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{url} {run}\n")
        self.process.stdin.flush()
        return int(self._lines.readline().split()[1])

    def hear(self, acks: int) -> None:
        """Return after that many further acknowledgements, or when the store is gone."""
        while acks > 0 and (word := self._next()) not in ("dead", "gone"):
            acks -= word in ("ack", "turn")

    def hear_the_end(self) -> None:
        while self._next() != "dead":
            pass

    def _next(self) -> str:
        word, _, name = self._lines.readline().strip().partition(" ")
        assert word, "the writer itself has died"
        {"ack": self.acknowledged, "turn": self.turns}.get(word, set()).add(name)
        return word


@pytest.fixture
def writer() -> Iterator[Writer]:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # no threads before a fork
    with subprocess.Popen([sys.executable, str(Path(__file__).parent / "writer.py")], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True, env=environment) as process:
        yield Writer(process)
        assert process.stdin is not None
        process.stdin.close()


def check(store: Store, writer: Writer, after: int) -> int:
    """Everything acknowledged is there, everything there is whole, and a later batch is taken. Returns the head."""
    journal = store.journal
    marker, = journal.commit(Batch(facts=[NewFact("crash.checked", "check", FAR)]))
    facts = list(journal.facts(FactQuery(after=after)))
    assert [fact.seq for fact in facts] == list(range(after + 1, marker.seq + 1))
    parts = Counter(fact.subject for fact in facts if fact.kind == "crash.part")
    assert set(parts.values()) <= {PARTS}
    assert writer.acknowledged <= parts.keys()
    turns = [fact.key.removeprefix("chain/") for fact in facts if fact.kind == "crash.turn"]
    assert writer.turns <= set(turns)
    timers = journal.take_timers(FAR, "check", limit=1_000_000, lease=timedelta(microseconds=1))
    messages = journal.take_messages(FAR, "check", limit=1_000_000, lease=timedelta(microseconds=1))
    assert Counter(timer.key for timer in timers) == Counter([*parts, *(["chain"] if turns else [])])
    assert Counter(message.key for message in messages) == Counter(parts.keys())
    journal.commit(Batch(timers_done=[Claim(timer.key, timer.fence) for timer in timers],
                         messages_done=[Claim(message.key, message.fence) for message in messages]))
    writer.acknowledged.clear()
    writer.turns.clear()
    return marker.seq


def kill(writer: Writer, pid: int, chance: random.Random, run: int) -> None:
    """At once, right after the n-th acknowledgement, or some moment after it."""
    writer.hear(chance.randrange(1, 25) if run % 4 else 0)
    if run % 2 == 0:
        time.sleep(chance.uniform(0, 0.03))
    os.kill(pid, signal.SIGKILL)
    writer.hear_the_end()


def test_sqlite_keeps_what_it_acknowledged_through_sixty_kills(writer: Writer, tmp_path: Path) -> None:
    chance, acknowledged, head, store = random.Random(2), 0, 0, 0
    for run in range(KILLS_SQLITE):
        if run % 8 == 0:  # a new file, killed while it is being created
            store, head = store + 1, 0
        url = f"sqlite:///{tmp_path}/{store}.db"
        kill(writer, writer.start(url, str(run)), chance, run)
        acknowledged += len(writer.acknowledged) + len(writer.turns)
        with open_store(url, SystemClock()) as reopened:
            head = check(reopened, writer, head)
    assert acknowledged > 5 * KILLS_SQLITE  # else it was killed before it had anything to lose


@pytest.mark.server("postgresql")
def test_postgres_keeps_what_it_acknowledged_through_forty_kills_of_its_client(
        writer: Writer, postgres: Postgres) -> None:
    chance, acknowledged, head, url = random.Random(3), 0, 0, ""
    for run in range(KILLS_POSTGRES):
        if run % 8 == 0:
            url, head = postgres.fresh_url(), 0
        kill(writer, writer.start(url, str(run)), chance, run)
        acknowledged += len(writer.acknowledged) + len(writer.turns)
        _wait_for_orphans(postgres)
        with open_store(url, SystemClock()) as reopened:
            head = check(reopened, writer, head)
    assert acknowledged > 5 * KILLS_POSTGRES


@pytest.mark.server("postgresql")
def test_postgres_keeps_what_it_acknowledged_when_the_server_itself_falls(writer: Writer, postgres: Postgres) -> None:
    url, head = postgres.fresh_url(), 0
    for run in range(2):
        writer.start(url, str(run))
        writer.hear(200)
        postgres.stop("immediate")
        writer.hear_the_end()  # by itself: every commit is refused now
        assert len(writer.acknowledged) + len(writer.turns) >= 200
        postgres.start()
        with open_store(url, SystemClock()) as reopened:
            head = check(reopened, writer, head)


def _wait_for_orphans(postgres: Postgres) -> None:
    # The server works off what a dead client had sent it; a commit may still land after the client's death.
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        while connection.execute("SELECT count(*) FROM pg_stat_activity"
                                 " WHERE application_name = 'mainstay'").fetchone() != (0,):
            time.sleep(0.005)


def test_sqlite_is_told_to_sync_every_commit(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/store.db", SystemClock()) as store:
        modes = store._database.write(lambda connection, _: [[connection.value(
            f"PRAGMA {name}") for name in ("journal_mode", "synchronous")]], None)
    assert modes == ["wal", 2]  # 2 is FULL


@pytest.mark.server("postgresql")
def test_postgres_is_told_to_sync_every_commit(postgres: Postgres) -> None:
    with open_store(postgres.fresh_url(), SystemClock()) as store:
        modes = store._database.write(lambda connection, _: [[connection.value(
            f"SHOW {name}") for name in ("fsync", "synchronous_commit")]], None)
    assert modes == ["on", "on"]
