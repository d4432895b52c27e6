"""What opening, closing and sharing a durable store is like, and what is said when it goes wrong."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from mainstay.adapters.clock import SystemClock
from mainstay.adapters.promise import Promise
from mainstay.adapters.store import Store, open_store
from mainstay.adapters.store_database import Connection
from mainstay.kernel.errors import InvalidInput, MissingExtra, StoreUnavailable
from mainstay.kernel.journal import Batch, Claim, StaleClaim

from .samples import PRODUCER, SECOND, T0, fact, subjects, timer

_PATIENCE = 120
"""Seconds after which what is waited for will not come any more, on a busy machine too."""


@contextmanager
def held_open(store: Store) -> Iterator[Promise[None]]:
    """The store's process is in the middle of a write for as long as the block runs."""
    begun, go_on = threading.Event(), threading.Event()

    def dawdle(connection: Connection, _: Sequence[None]) -> list[None]:
        connection.run("DELETE FROM timers WHERE key = 'nothing'")
        begun.set()
        assert go_on.wait(_PATIENCE)
        connection.run("DELETE FROM timers WHERE key = 'nothing'")
        return [None]

    write = store._database.submit(dawdle, None)
    assert begun.wait(_PATIENCE)
    try:
        yield write
    finally:
        go_on.set()
        write.exception()


def test_processes_that_open_a_new_store_at_once_all_succeed(store_url: str) -> None:
    producers = [subprocess.Popen([sys.executable, "-c", PRODUCER, store_url, name, "3"]) for name in "abcd"]
    assert [producer.wait() for producer in producers] == [0] * 4
    with open_store(store_url, SystemClock()) as store:
        assert store.journal.head() == 4 * 3 + 3


def test_what_was_submitted_before_closing_is_recorded(store_url: str) -> None:
    store = open_store(store_url, SystemClock())
    futures = [store.journal.submit(Batch(facts=[fact(str(i))])) for i in range(50)]
    store.close()
    assert [future.result()[0].seq for future in futures] == list(range(1, 51))
    with pytest.raises(StoreUnavailable, match="closed"):
        store.journal.commit(Batch(facts=[fact()]))


def test_closing_twice_is_nothing(store_url: str) -> None:
    store = open_store(store_url, SystemClock())
    store.close()
    store.close()
    store.journal.close()


def test_a_producer_that_outruns_the_disk_is_held_up_and_loses_nothing(
        store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mainstay.adapters.store_database.QUEUE", 10)
    with open_store(store_url, SystemClock()) as store:
        futures = [store.journal.submit(Batch(facts=[fact()])) for _ in range(300)]
        assert sorted(future.result()[0].seq for future in futures) == list(range(1, 301))


def test_a_job_that_breaks_the_transaction_does_not_break_its_neighbours(store_url: str) -> None:
    def broken(connection: Connection, _: Sequence[None]) -> list[None]:
        connection.run("INSERT INTO timers (key) VALUES (NULL)")
        return [None]

    with open_store(store_url, SystemClock()) as store:
        with held_open(store):  # so that the next three wait, and become one group
            before = store.journal.submit(Batch(facts=[fact("before")]))
            bad = store._database.submit(broken, None)
            after = store.journal.submit(Batch(facts=[fact("after")]))
        assert isinstance(bad.exception(), StoreUnavailable)
        assert [future.result()[0].subject for future in (before, after)] == ["before", "after"]
        assert subjects(store.journal) == ["before", "after"]


def test_a_store_of_a_newer_schema_is_refused_with_the_way_out(store_url: str, tmp_path: Path) -> None:
    with open_store(store_url, SystemClock()) as store:
        store.journal.commit(Batch(facts=[fact()]))
        store._database.write(lambda connection, _: [connection.run(
            "UPDATE mainstay_schema SET version = 99")], None)
    with pytest.raises(StoreUnavailable, match="99") as refused:
        open_store(store_url, SystemClock())
    assert "upgrade" in refused.value.way_out


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://u:secret@h/d", "nonsense", ""])
def test_what_is_not_the_url_of_a_store_is_refused_and_no_password_is_shown(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        open_store(url, SystemClock())
    assert "secret" not in str(refused.value)
    assert "sqlite:////" in refused.value.way_out


def test_a_new_store_on_disk_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "mainstay.db"
    with open_store(f"sqlite:///{path}", SystemClock()) as store:
        store.journal.commit(Batch(facts=[fact()]))
        assert {oct(file.stat().st_mode & 0o777) for file in path.parent.iterdir()} == {"0o600"}
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_file_that_is_not_a_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, " * 100)
    with pytest.raises(StoreUnavailable, match="not a SQLite database"):
        open_store(f"sqlite:///{path}", SystemClock())
    assert path.read_text() == "not a database, " * 100


def test_the_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "grafana.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE dashboard (id INTEGER)")
    before = path.read_bytes()
    with pytest.raises(StoreUnavailable, match="another program") as refused:
        open_store(f"sqlite:///{path}", SystemClock())
    assert refused.value.way_out == "name another file"
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="cannot be created") as refused:
        open_store(f"sqlite:///{tmp_path}/file/store.db", SystemClock())
    assert refused.value.way_out


def test_a_full_disk_is_said_and_nothing_of_the_batch_is_recorded(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/small.db", SystemClock()) as store:
        store.journal.commit(Batch(facts=[fact("before")]))
        store._database.write(lambda connection, _: [connection.value(
            "PRAGMA max_page_count = 40")], None)
        with pytest.raises(StoreUnavailable, match="full") as refused:
            store.journal.commit(Batch(facts=[fact("big", text="x" * 10_000) for _ in range(100)]))
        assert "free space" in refused.value.way_out
        assert subjects(store.journal) == ["before"]
        store.journal.commit(Batch(facts=[fact("after")]))


def test_a_write_that_another_process_holds_up_for_too_long_is_refused(
        store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mainstay.adapters.store_database.PATIENCE", 1.0)  # the server's and SQLite's, in seconds
    with open_store(store_url, SystemClock()) as holder, open_store(store_url, SystemClock()) as waiter:
        with held_open(holder), pytest.raises(StoreUnavailable, match="writing to it for too long") as refused:
            waiter.journal.commit(Batch(facts=[fact()]))
        assert refused.value.way_out
        waiter.journal.commit(Batch(facts=[fact()]))


@pytest.mark.server("postgresql")
def test_a_process_stopped_in_the_middle_of_a_write_holds_nobody_up_for_long(
        request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    url = request.getfixturevalue("postgres").fresh_url()
    # The store that is stopped alone: on a busy machine another might be held up for half a second by itself.
    with monkeypatch.context() as soon:
        soon.setattr("mainstay.adapters.store_database.ABANDONED", 0.5)
        stopped = open_store(url, SystemClock())
    with stopped, open_store(url, SystemClock()) as other:
        with held_open(stopped) as half_done:
            other.journal.commit(Batch(facts=[fact("other")]))
        with pytest.raises(StoreUnavailable):
            half_done.result()
        stopped.journal.commit(Batch(facts=[fact("resumed")]))
        assert subjects(other.journal) == ["other", "resumed"]


def test_postgres_without_its_driver_names_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)  # as Python itself marks a module that cannot be imported
    with pytest.raises(MissingExtra) as missing:
        open_store("postgresql://ana:secret@db.internal/mainstay", SystemClock())
    assert missing.value.way_out == 'pip install "mainstay[postgres]"'


def test_a_server_that_is_down_is_said_without_the_password() -> None:
    with pytest.raises(StoreUnavailable) as refused:
        open_store("postgresql://ana:secret@127.0.0.1:1/mainstay", SystemClock())
    assert "secret" not in f"{refused.value.message}{refused.value.way_out}"
    assert "server" in refused.value.way_out


@pytest.mark.server("postgresql")
def test_a_database_that_does_not_exist_is_said(request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue("postgres")
    with pytest.raises(StoreUnavailable, match="no such database") as refused:
        open_store(server.url("nowhere"), SystemClock())
    assert "createdb" in refused.value.way_out


@pytest.mark.server("postgresql")
def test_a_restarted_server_is_found_again_by_the_next_write(request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue("postgres")
    with open_store(server.fresh_url(), SystemClock()) as store:
        store.journal.commit(Batch(facts=[fact("before")]))
        server.stop("fast")
        with pytest.raises(StoreUnavailable) as refused:
            store.journal.commit(Batch(facts=[fact("lost")]))
        assert "repeat" in refused.value.way_out
        server.start()
        store.journal.commit(Batch(facts=[fact("after")]))
        assert subjects(store.journal) == ["before", "after"]


@pytest.mark.server("postgresql")
def test_takers_wait_for_no_other_taker(request: pytest.FixtureRequest) -> None:
    """One transaction holds a taken row open; another worker gets the next timer at once."""
    server = request.getfixturevalue("postgres")
    url = server.fresh_url()
    with open_store(url, SystemClock()) as one, open_store(url, SystemClock()) as two:
        one.journal.commit(Batch(set_timers=[timer("a"), timer("b", T0 + SECOND)]))
        held, release = threading.Event(), threading.Event()

        def hold(connection: Connection, _: Sequence[None]) -> list[None]:
            connection.run("SELECT key FROM timers WHERE key = 'a' FOR UPDATE")
            held.set()
            assert release.wait(_PATIENCE)
            return [None]

        waiting = one._database.submit(hold, None, ordered=False)
        assert held.wait(_PATIENCE)
        try:
            assert [t.key for t in two.journal.take_timers(T0 + SECOND, "two")] == ["b"]
        finally:
            release.set()
            waiting.result()


@pytest.mark.server("postgresql")
def test_a_claim_waits_for_whoever_is_just_taking_the_timer_over(request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("postgres").fresh_url()
    with open_store(url, SystemClock()) as slow, open_store(url, SystemClock()) as quick:
        slow.journal.commit(Batch(set_timers=[timer()]))
        lost, = slow.journal.take_timers(T0, "slow", lease=SECOND)
        held, release = threading.Event(), threading.Event()

        def take_over(connection: Connection, _: Sequence[None]) -> list[None]:
            connection.run("UPDATE timers SET fence = nextval('fences') WHERE key = 't'")
            held.set()
            assert release.wait(_PATIENCE)
            return [None]

        taking = quick._database.submit(take_over, None, ordered=False)
        assert held.wait(_PATIENCE)
        late = slow.journal.submit(Batch(facts=[fact("late")], timers_done=[Claim("t", lost.fence)]))
        with pytest.raises(TimeoutError):
            late.result(timeout=0.2)
        release.set()
        taking.result()
        assert isinstance(late.exception(), StaleClaim)
        assert slow.journal.head() == 0
