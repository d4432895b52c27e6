"""The database below journal and ledger: opened, brought to the newest schema, and written to by one thread.

SQLite and PostgreSQL speak the same SQL here but for what `Dialect` says. Everything that writes is a job of the one
writer thread: it takes all jobs that wait, runs them in one transaction, and answers each when the commit is durable.
So a hundred callers share one fsync, and nobody is told "recorded" before the disk has it.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, MainstayError, MissingExtra, StoreUnavailable

Payload = TypeVar("Payload")
Answer = TypeVar("Answer")
Handler = Callable[[sa.Connection, Sequence[Payload]], Sequence[Answer | MainstayError]]
"""Does several jobs of one sort at once, inside the writer's transaction: one answer, or one refusal, a job.
A refused job must have changed nothing."""

GROUP = 1_000
"""Jobs in one transaction at most, so that the first of a storm is not answered after the last."""

QUEUE = 20_000
"""Jobs that may wait; who comes later is held up, so that a storm cannot fill the memory."""

PATIENCE = 15.0
"""Seconds to wait for another process's write before giving up."""

ABANDONED = 5.0
"""Seconds after which PostgreSQL takes the write lock back from a process that was stopped while it held it."""

_WRITE_LOCK = 0x6D61696E73746179
"""PostgreSQL's number of our advisory lock: "mainstay" in ASCII."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where the two databases differ.

    Args:
        begin: statements that open a write transaction which reads and extends `seq`: nobody else is in one.
        begin_unordered: the same for one that only takes timers or messages.
        lock_rows: ends a SELECT whose rows must stay as read until the commit.
        skip_locked: the same, but leaves out rows that another transaction holds.
        next_fence: statements whose last gives a number greater than every fence given before.
        mark: a parameter in the driver's own SQL.
        words: the types of the schema.
    """

    begin: tuple[str, ...]
    begin_unordered: tuple[str, ...]
    lock_rows: str
    skip_locked: str
    next_fence: tuple[str, ...]
    mark: str
    words: dict[str, str]


_SQLITE = Dialect(
    # IMMEDIATE takes the one write lock at once; a deferred transaction would fail when it upgrades after a read.
    begin=("BEGIN IMMEDIATE",), begin_unordered=("BEGIN IMMEDIATE",), lock_rows="", skip_locked="",
    next_fence=("UPDATE fences SET last = last + 1", "SELECT last FROM fences"), mark="?",
    words={"name": "TEXT", "serial": "INTEGER", "bytes": "BLOB", "real": "REAL", "clustered": "WITHOUT ROWID",
           "fences": "CREATE TABLE fences (last INTEGER NOT NULL); INSERT INTO fences VALUES (0)"})

_POSTGRES = Dialect(
    # A sequence would give `seq` before the commit: 8 could become visible before 7, and a reader that has seen 8
    # and asks `after=8` would never get 7. So whoever writes facts first takes this lock, kept until the commit, and
    # continues from the greatest seq there is: order of seq is order of commit, without gaps. A counter row would
    # order writers just as well, but leaves a dead row a commit and gives the same waiting. The lock comes before
    # any row lock, and those who only take timers (no seq) wait for nobody, so there is no circle to wait in.
    begin=(f"SELECT pg_advisory_xact_lock({_WRITE_LOCK})",), begin_unordered=(),
    lock_rows=" FOR UPDATE", skip_locked=" FOR UPDATE SKIP LOCKED",
    next_fence=("SELECT nextval('fences')",), mark="%s",
    words={"name": 'TEXT COLLATE "C"', "serial": "BIGINT", "bytes": "BYTEA", "real": "DOUBLE PRECISION",
           "clustered": "", "fences": "CREATE SEQUENCE fences"})

# One script a version; a released one is never edited, a new one is added behind it. Plain steps forward: two dialects
# and a handful of tables need no alembic yet, and a step can be read here whole.
#
# `ready` is when a timer or message may be taken: when it is due or, while it is taken, when the lease ends; NULL once
# a message is sent. One column, so that one index finds what is due whatever happened before.
# `word` is the kind up to its first dot, so that the facts of a word lie in the order of seq in one index.
# The ledger keeps sums and slots apart: a report over many months reads sums only and must not page through slots.
STEPS = ("""
CREATE TABLE facts (
    seq {serial} PRIMARY KEY, word {name} NOT NULL, kind {name} NOT NULL, subject {name} NOT NULL, at BIGINT NOT NULL,
    data TEXT NOT NULL, key {name} NOT NULL, actor {name} NOT NULL, recorded_at BIGINT NOT NULL);
CREATE UNIQUE INDEX facts_by_key ON facts (key) WHERE key <> '';
CREATE INDEX facts_by_subject ON facts (subject, seq);
CREATE INDEX facts_by_word ON facts (word, seq);
CREATE TABLE timers (
    key {name} PRIMARY KEY, due BIGINT NOT NULL, kind {name} NOT NULL, subject {name} NOT NULL, data TEXT NOT NULL,
    ready BIGINT NOT NULL, fence BIGINT NOT NULL, worker {name} NOT NULL);
CREATE INDEX timers_by_ready ON timers (ready, key);
CREATE TABLE messages (
    key {name} PRIMARY KEY, channel {name} NOT NULL, data TEXT NOT NULL, not_before BIGINT NOT NULL, ready BIGINT,
    attempts BIGINT NOT NULL, fence BIGINT NOT NULL, worker {name} NOT NULL);
CREATE INDEX messages_by_ready ON messages (channel, ready, key) WHERE ready IS NOT NULL;
{fences};
CREATE TABLE ledger_series (series {serial} PRIMARY KEY, key {name} NOT NULL UNIQUE);
CREATE TABLE ledger_days (
    series {serial} NOT NULL, day BIGINT NOT NULL, bad {real} NOT NULL, total {real} NOT NULL, known BIGINT NOT NULL,
    revision BIGINT NOT NULL, recorded_at BIGINT NOT NULL, PRIMARY KEY (series, day)) {clustered};
CREATE TABLE ledger_slots (
    series {serial} NOT NULL, day BIGINT NOT NULL, slots {bytes} NOT NULL, PRIMARY KEY (series, day))
""",)


@dataclass(frozen=True, slots=True)
class _Job:
    handler: Callable[[sa.Connection, Sequence[Any]], Sequence[Any]]
    payload: Any
    ordered: bool
    future: Future[Any]


class Database:
    """An opened store: reads on any thread, writes on its own.

    Args:
        where: how messages name the database; holds no password.
    """

    def __init__(self, engine: sa.Engine, dialect: Dialect, where: str) -> None:
        self.dialect = dialect
        self._engine = engine
        self._where = where
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closing = False
        # A daemon: a program that ends without `close` must not hang. What it lost, nobody was told to be recorded.
        self._thread = threading.Thread(target=self._write_groups, name="mainstay-writer", daemon=True)
        self._thread.start()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection to read with. Raises StoreUnavailable, also for what goes wrong inside the block."""
        try:
            with self._engine.connect() as connection:
                yield connection
        except exc.SQLAlchemyError as error:
            raise unavailable(error, self._where) from error

    def submit(self, handler: Handler[Payload, Answer], payload: Payload, *, ordered: bool = True) -> Future[Answer]:
        """Have the writer do a job; the future is done when it is durable, or raises and nothing of it is.

        Args:
            ordered: whether no other process may do an ordered job meanwhile.
        Raises:
            StoreUnavailable: the store was closed.
        """
        future: Future[Answer] = Future()
        with self._changed:
            while len(self._jobs) >= QUEUE and not self._closing:
                self._changed.wait()
            if self._closing:
                raise StoreUnavailable(f"{self._where} was closed", "open it again")
            self._jobs.append(_Job(handler, payload, ordered, future))
            self._changed.notify_all()
        return future

    def write(self, handler: Handler[Payload, Answer], payload: Payload, *, ordered: bool = True) -> Answer:
        """The same as `submit`, waiting for the answer."""
        assert threading.current_thread() is not self._thread, "a future's callback would wait for itself"
        return self.submit(handler, payload, ordered=ordered).result()

    def close(self) -> None:
        """Do the jobs that wait, then let go of the database."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        self._engine.dispose()

    # -- on the writer thread --------------------------------------------------------------------------------------

    def _write_groups(self) -> None:
        while True:
            with self._changed:
                while not self._jobs and not self._closing:
                    self._changed.wait()
                if not self._jobs:
                    return
                group = [self._jobs.popleft() for _ in range(min(GROUP, len(self._jobs)))]
                self._changed.notify_all()
            if wanted := [job for job in group if job.future.set_running_or_notify_cancel()]:
                self._settle(wanted)

    def _settle(self, group: Sequence[_Job]) -> None:
        try:
            answers = self._transact(group)
        except (exc.OperationalError, exc.InterfaceError) as error:
            # The database itself is in trouble; to try each job alone would only wait out the same trouble n times.
            for job in group:
                job.future.set_exception(unavailable(error, self._where))
        except Exception as error:  # whatever it is, it belongs to the caller, and the writer must live on
            if len(group) > 1:
                # One job spoils the transaction for its neighbours: give every job one of its own.
                for job in group:
                    self._settle([job])
                return
            foreign = isinstance(error, exc.SQLAlchemyError)
            group[0].future.set_exception(unavailable(error, self._where) if foreign else error)
        else:
            for job, answer in zip(group, answers, strict=True):
                if isinstance(answer, MainstayError):
                    job.future.set_exception(answer)
                else:
                    job.future.set_result(answer)

    def _transact(self, group: Sequence[_Job]) -> list[Any]:
        answers: list[Any] = []
        with self._engine.connect() as connection:
            ordered = any(job.ordered for job in group)
            for statement in self.dialect.begin if ordered else self.dialect.begin_unordered:
                connection.exec_driver_sql(statement)
            for handler, jobs in groupby(group, key=attrgetter("handler")):
                answers += handler(connection, [job.payload for job in jobs])
            connection.commit()
        return answers


# -- opening ------------------------------------------------------------------------------------------------------


def open_database(url: str) -> Database:
    """The database of that URL, created where it is a file that does not exist, its schema the newest.

    Raises:
        InvalidInput: not a URL of a store.
        MissingExtra: PostgreSQL's driver is not installed.
        StoreUnavailable: it cannot be opened, or was written by a newer Mainstay.
    """
    try:
        parsed = sa.make_url(url)
    except exc.ArgumentError:
        raise _not_a_store(url) from None
    match parsed.get_backend_name():
        case "sqlite" if parsed.database not in (None, "", ":memory:"):
            path = Path(parsed.database or "")
            where = f"the store {path}"
            _create_file(path, where)
            engine, dialect = _sqlite_engine(path), _SQLITE
        case "postgresql" | "postgres":
            if find_spec("psycopg") is None:
                raise MissingExtra("a store on PostgreSQL", "postgres")
            where = f"the store {parsed.database or 'postgres'} on PostgreSQL"
            engine, dialect = _postgres_engine(parsed), _POSTGRES
        case _:
            raise _not_a_store(url)
    try:
        _bring_up_to_date(engine, dialect, where)
    except exc.SQLAlchemyError as error:
        engine.dispose()
        raise unavailable(error, where) from error
    except StoreUnavailable:
        engine.dispose()
        raise
    return Database(engine, dialect, where)


def _not_a_store(url: str) -> InvalidInput:
    scheme = url.partition(":")[0]  # never the whole URL: it may hold a password
    return InvalidInput(f'"{scheme}:…" is not the URL of a store',
                        "write sqlite:////path/mainstay.db or postgresql://user@host/database")


def _create_file(path: Path, where: str) -> None:
    # The journal holds who was paged and why: readable by its owner only. -wal and -shm take the file's own mode.
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Never on a file that exists: closing any descriptor of it drops the locks this process holds on it (POSIX).
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreUnavailable(f"{where} cannot be created: {error.strerror}",
                               "choose a folder that you may write to") from error


def _sqlite_engine(path: Path) -> sa.Engine:
    # `isolation_level=None`: Python's driver begins no transactions of its own, we say BEGIN IMMEDIATE.
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)),
                              connect_args={"isolation_level": None, "timeout": PATIENCE})

    def set_up(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA synchronous=FULL")  # fsync at every commit; NORMAL loses the last ones with power

    sa.event.listen(engine, "connect", set_up)
    return engine


def _postgres_engine(url: sa.URL) -> sa.Engine:
    # `pre_ping`: after a restart of the server the first statement finds a new connection instead of an error.
    engine = sa.create_engine(url.set(drivername="postgresql+psycopg"), pool_pre_ping=True,
                              connect_args={"connect_timeout": int(PATIENCE), "application_name": "mainstay"})

    def set_up(connection: Any, _: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit = on")
            cursor.execute(f"SET lock_timeout = {PATIENCE * 1000:.0f}")  # both in milliseconds
            cursor.execute(f"SET idle_in_transaction_session_timeout = {ABANDONED * 1000:.0f}")
        connection.commit()

    sa.event.listen(engine, "connect", set_up)
    return engine


def _prepare_file(connection: sa.Connection, where: str) -> None:
    tables = sa.inspect(connection).get_table_names()
    if tables and "mainstay_schema" not in tables:
        raise StoreUnavailable(f"{where} belongs to another program (it has a table {tables[0]})", "name another file")
    give_up = time.monotonic() + PATIENCE
    while (mode := _write_ahead(connection)) == "busy" and time.monotonic() < give_up:
        time.sleep(0.02)
    if mode != "wal":
        raise StoreUnavailable(f"{where} cannot keep a write-ahead log (journal mode: {mode})",
                               "put it on a local disk, not on a network share, and end what holds it open")


def _write_ahead(connection: sa.Connection) -> str:
    # Of several processes that open a new file at once one sets the mode; SQLite tells the others "busy" without
    # waiting as it does for a transaction.
    try:
        return str(connection.exec_driver_sql("PRAGMA journal_mode=WAL").scalar_one())
    except exc.OperationalError as error:
        if getattr(error.orig, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
            return "busy"
        raise


def _bring_up_to_date(engine: sa.Engine, dialect: Dialect, where: str) -> None:
    with engine.connect() as connection:
        if dialect is _SQLITE:
            _prepare_file(connection, where)
        version = _version(connection)
        if version < len(STEPS):
            connection.rollback()
            for statement in dialect.begin:
                connection.exec_driver_sql(statement)
            version = _version(connection)  # another process may have been first
            _take_steps(connection, dialect, version)
            connection.commit()
    if version > len(STEPS):
        raise StoreUnavailable(f"{where} has schema {version}; this Mainstay knows schemas up to {len(STEPS)}",
                               "upgrade Mainstay to the version that wrote it, or name another store")


def _version(connection: sa.Connection) -> int:
    if not sa.inspect(connection).has_table("mainstay_schema"):
        return 0
    return int(connection.exec_driver_sql("SELECT version FROM mainstay_schema").scalar_one())


def _take_steps(connection: sa.Connection, dialect: Dialect, version: int) -> None:
    if version >= len(STEPS):
        return
    if version == 0:
        connection.exec_driver_sql("CREATE TABLE mainstay_schema (version INTEGER NOT NULL)")
        connection.exec_driver_sql("INSERT INTO mainstay_schema VALUES (0)")
    for step in STEPS[version:]:
        for statement in step.format_map(dialect.words).split(";"):
            connection.exec_driver_sql(statement)
    connection.execute(sa.text("UPDATE mainstay_schema SET version = :version"), {"version": len(STEPS)})


# -- errors -------------------------------------------------------------------------------------------------------

_SQLITE_WAYS_OUT = {
    "SQLITE_FULL": ("the disk is full", "free space on the disk that holds it; nothing half-written was kept"),
    "SQLITE_BUSY": ("another process has been writing to it for too long",
                    "look for a stopped process that holds it open, or move to PostgreSQL"),
    "SQLITE_LOCKED": ("another connection holds it", "try again"),
    "SQLITE_READONLY": ("it may only be read", "give this user the right to write the file and its folder"),
    "SQLITE_CANTOPEN": ("it cannot be opened", "check that the folder exists and that this user may write to it"),
    "SQLITE_NOTADB": ("the file is not a SQLite database", "name another file, or restore it from a backup"),
    "SQLITE_CORRUPT": ("the file is damaged", "restore it from a backup, or salvage it with `sqlite3 FILE .recover`"),
    "SQLITE_IOERR": ("the disk reported an error", "check the disk and the kernel's log"),
}

# By SQLSTATE, or its class of two characters (PostgreSQL, appendix A).
_POSTGRES_WAYS_OUT = {
    "53100": ("the server's disk is full", "free space on the server"),
    "53": ("the server is out of a resource", "give it more connections or memory, or try again"),
    "55P03": ("another process has been writing to it for too long", "look for a stuck session in pg_stat_activity"),
    "42501": ("this user may not do that", "grant the user CREATE on the schema and rights on its tables"),
    "57P": ("the server is shutting down or starting", "try again in a moment"),
    "25P03": ("this process was stopped in the middle of a write, and the server took its lock back", "try again"),
}


def unavailable(error: BaseException, where: str) -> StoreUnavailable:
    """The foreign error as ours: what happened to the store, and what to do about it."""
    original = getattr(error, "orig", None) or error
    reason = (str(original).strip() or type(original).__name__).splitlines()[0]
    if isinstance(original, sqlite3.Error):
        name = getattr(original, "sqlite_errorname", "")
        for prefix, (what, way_out) in _SQLITE_WAYS_OUT.items():
            if name.startswith(prefix):
                return StoreUnavailable(f"{where}: {what} ({reason})", way_out)
        return StoreUnavailable(f"{where} cannot be used: {reason}", "check the file and its folder")
    state = getattr(original, "sqlstate", None) or ""
    for prefix, (what, way_out) in _POSTGRES_WAYS_OUT.items():
        if state.startswith(prefix):
            return StoreUnavailable(f"{where}: {what} ({reason})", way_out)
    if isinstance(error, exc.TimeoutError):
        return StoreUnavailable(f"{where} is being read by too many at once", "try again")
    # Before the login succeeded the server gives no code, only its words.
    if "does not exist" in reason:
        return StoreUnavailable(f"{where}: there is no such database or user ({reason})", "create it: createdb NAME")
    if "authentication failed" in reason or "pg_hba.conf" in reason or "no password" in reason:
        return StoreUnavailable(f"{where} refused the login ({reason})",
                                "check user and password in the store's URL, and pg_hba.conf")
    # A connection lost during COMMIT leaves open whether the server did it; only the server knows. Hence the keys.
    return StoreUnavailable(f"{where} does not answer: {reason}",
                            "check that the server runs, then repeat: what carries a key is recorded once")
