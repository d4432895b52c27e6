"""The database below journal and ledger: opened, brought to the newest schema, and written to by one thread.

SQLite and PostgreSQL speak the same SQL here but for what `Dialect` says; their drivers are spoken to directly
(decision 0027). Everything that writes is a job of the one writer thread: it takes all jobs that wait, runs them in
one transaction, and answers each when the commit is durable. So a hundred callers share one fsync, and nobody is told
"recorded" before the disk has it.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from itertools import chain, groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

from mainstay.adapters.promise import Promise
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, MainstayError, MissingExtra, StoreUnavailable

Payload = TypeVar("Payload")
Answer = TypeVar("Answer")
Row = tuple[Any, ...]
Values = Mapping[str, Any]
Handler = Callable[["Connection", Sequence[Payload]], Sequence[Answer | MainstayError]]
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

READERS = 15
"""Threads that may read at once, so that a server's rush cannot use up what PostgreSQL has."""

_ROWS = 64
"""Rows in one statement at most; a power of two."""

_WRITE_LOCK = 0x6D61696E73746179
"""PostgreSQL's number of our advisory lock: "mainstay" in ASCII."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where the two databases and their drivers differ.

    Args:
        begin: statements that open a write transaction which reads and extends `seq`: nobody else is in one.
        begin_unordered: the same for one that only takes timers or messages.
        lock_rows: ends a SELECT whose rows must stay as read until the commit.
        skip_locked: the same, but leaves out rows that another transaction holds.
        next_fence: statements whose last gives a number greater than every fence given before.
        words: the types of the schema.
        tables: a query for the names of the tables.
        among: what follows a column that must be one of the values of a parameter, given by `each`.
        each: values as a parameter for `among`.
        named: a statement with `:name` parameters as the driver wants it.
        insert: the quickest way into a table of these columns for many rows.
        faults: what the driver raises; the second are those that say that the database itself is in trouble.
    """

    begin: tuple[str, ...]
    begin_unordered: tuple[str, ...]
    lock_rows: str
    skip_locked: str
    next_fence: tuple[str, ...]
    words: dict[str, str]
    tables: str
    among: Callable[[str], str]
    each: Callable[[Sequence[Any]], Any]
    named: Callable[[str], str]
    insert: Callable[[Any, str, Sequence[str], Sequence[Row]], None]
    faults: tuple[type[Exception], tuple[type[Exception], ...]]


def _insert_many(connection: sqlite3.Connection, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
    # The driver lets go of the interpreter for every statement that it runs, and while others are busy gets it back
    # late: a row each would wait for them once a row. Halves of a few sizes, so that there are few statements to keep.
    done, many = 0, _ROWS
    while done < len(rows):
        while many > len(rows) - done:
            many //= 2
        connection.execute(_inserting(table, tuple(columns), many), [*chain.from_iterable(rows[done:done + many])])
        done += many


@cache
def _inserting(table: str, columns: tuple[str, ...], rows: int) -> str:
    row = f"({', '.join('?' * len(columns))})"
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * rows)}"


def _copy(connection: Any, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


_SQLITE = Dialect(
    # IMMEDIATE takes the one write lock at once; a deferred transaction would fail when it upgrades after a read.
    begin=("BEGIN IMMEDIATE",), begin_unordered=("BEGIN IMMEDIATE",), lock_rows="", skip_locked="",
    next_fence=("UPDATE fences SET last = last + 1", "SELECT last FROM fences"),
    words={"name": "TEXT", "serial": "INTEGER", "bytes": "BLOB", "real": "REAL", "clustered": "WITHOUT ROWID",
           "fences": "CREATE TABLE fences (last INTEGER NOT NULL); INSERT INTO fences VALUES (0)"},
    tables="SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'",
    among=lambda name: f"IN (SELECT value FROM json_each(:{name}))", each=json.dumps, named=str, insert=_insert_many,
    faults=(sqlite3.Error, (sqlite3.OperationalError, sqlite3.InterfaceError)))


@cache
def _postgres() -> Dialect:
    import psycopg  # noqa: PLC0415  (a lazy start: an extra, absent unless the store is on PostgreSQL)

    return Dialect(
        # A sequence would give `seq` before the commit: 8 could become visible before 7, and a reader that has seen 8
        # and asks `after=8` would never get 7. So whoever writes facts first takes this lock, kept until the commit,
        # and continues from the greatest seq there is: order of seq is order of commit, without gaps. A counter row
        # would order writers just as well, but leaves a dead row a commit and gives the same waiting. The lock comes
        # before any row lock, and those who only take timers (no seq) wait for nobody: there is no circle to wait in.
        begin=("BEGIN", f"SELECT pg_advisory_xact_lock({_WRITE_LOCK})"), begin_unordered=("BEGIN",),
        lock_rows=" FOR UPDATE", skip_locked=" FOR UPDATE SKIP LOCKED",
        next_fence=("SELECT nextval('fences')",),
        words={"name": 'TEXT COLLATE "C"', "serial": "BIGINT", "bytes": "BYTEA", "real": "DOUBLE PRECISION",
               "clustered": "", "fences": "CREATE SEQUENCE fences"},
        tables="SELECT tablename FROM pg_tables WHERE schemaname = current_schema()",
        among=lambda name: f"= ANY(:{name})", each=list, named=percent_named, insert=_copy,
        faults=(psycopg.Error, (psycopg.OperationalError, psycopg.InterfaceError)))


@cache
def percent_named(statement: str, names: tuple[str, ...] = ()) -> str:
    """A statement with parameters written `:name` as psycopg wants it.

    Args:
        names: the parameters; without them, every `:word` is one, but for a cast `::word`.
    """
    word = "|".join(map(re.escape, names)) or "[a-z][a-z_0-9]*"
    return re.sub(rf"(?<![:\w]):({word})\b", r"%(\1)s", statement.replace("%", "%%"))


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
    handler: Callable[[Connection, Sequence[Any]], Sequence[Any]]
    payload: Any
    ordered: bool
    promise: Promise[Any]


class Connection:
    """A connection of either driver, lent to one thread at a time. Parameters are written `:name`."""

    def __init__(self, driver: Any, dialect: Dialect) -> None:
        self.driver = driver  # `Any`: both drivers have the methods below, and share no type that says so
        self.dialect = dialect

    def rows(self, statement: str, values: Values | None = None) -> list[Row]:
        """What a query finds."""
        found: list[Row] = self._execute(statement, values).fetchall()
        return found

    def value(self, statement: str, values: Values | None = None) -> Any:
        """The one value of the one row that a query finds."""
        (value,), = self.rows(statement, values)
        return value

    def run(self, statement: str, values: Values | None = None) -> None:
        """Run a statement that finds nothing."""
        self._execute(statement, values)

    def run_each(self, statement: str, rows: Sequence[Values]) -> None:
        """Run a statement with each of these values."""
        self.driver.cursor().executemany(self.dialect.named(statement), rows)

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Add rows to a table, the quickest way that a driver has."""
        self.dialect.insert(self.driver, table, columns, rows)

    def _execute(self, statement: str, values: Values | None) -> Any:
        if values is None:
            return self.driver.execute(statement)
        return self.driver.execute(self.dialect.named(statement), values)


class _Connections:
    """Connections that rest while nobody needs them. Both drivers begin no transaction unless told to.

    Args:
        connect: opens another.
        lives: whether one that rested can still be used.
    """

    def __init__(self, dialect: Dialect, connect: Callable[[], Any], lives: Callable[[Any], bool]) -> None:
        self.dialect = dialect
        self._connect, self._lives = connect, lives
        self._resting: deque[Any] = deque()

    @contextmanager
    def lent(self) -> Iterator[Connection]:
        """A connection for the block; closed, and with it what it had begun, when the block fails."""
        driver = self._rested() or self._connect()
        try:
            yield Connection(driver, self.dialect)
        except BaseException:
            driver.close()
            raise
        self._resting.append(driver)

    def _rested(self) -> Any:
        with suppress(IndexError):  # none rests, or another thread was quicker
            while True:
                driver = self._resting.pop()
                if self._lives(driver):
                    return driver
                driver.close()
        return None

    def close(self) -> None:
        """Close those that rest."""
        while self._resting:
            self._resting.pop().close()


class Database:
    """An opened store: reads on any thread, writes on its own.

    Args:
        where: how messages name the database; holds no password.
    """

    def __init__(self, connections: _Connections, where: str) -> None:
        self.dialect = connections.dialect
        self._connections = connections
        self._where = where
        self._readers = threading.BoundedSemaphore(READERS)
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closing = False
        # A daemon: a program that ends without `close` must not hang. What it lost, nobody was told to be recorded.
        self._thread = threading.Thread(target=self._write_groups, name="mainstay-writer", daemon=True)
        self._thread.start()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to read with. Raises StoreUnavailable, also for what goes wrong inside the block."""
        if not self._readers.acquire(timeout=PATIENCE):
            raise StoreUnavailable(f"{self._where} is being read by too many at once", "try again")
        try:
            with self._connections.lent() as connection:
                yield connection
        except self.dialect.faults[0] as error:
            raise unavailable(error, self._where) from error
        finally:
            self._readers.release()

    def submit(self, handler: Handler[Payload, Answer], payload: Payload, *, ordered: bool = True) -> Promise[Answer]:
        """Have the writer do a job; the promise is kept when it is durable, or fails and nothing of it is.

        Args:
            ordered: whether no other process may do an ordered job meanwhile.
        Raises:
            StoreUnavailable: the store was closed.
        """
        promise: Promise[Answer] = Promise()
        with self._changed:
            while len(self._jobs) >= QUEUE and not self._closing:
                self._changed.wait()
            if self._closing:
                raise StoreUnavailable(f"{self._where} was closed", "open it again")
            self._jobs.append(_Job(handler, payload, ordered, promise))
            self._changed.notify_all()
        return promise

    def write(self, handler: Handler[Payload, Answer], payload: Payload, *, ordered: bool = True) -> Answer:
        """The same as `submit`, waiting for the answer."""
        assert threading.current_thread() is not self._thread, "it would wait for itself"
        return self.submit(handler, payload, ordered=ordered).result()

    def close(self) -> None:
        """Do the jobs that wait, then let go of the database."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        self._connections.close()

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
            self._settle(group)

    def _settle(self, group: Sequence[_Job]) -> None:
        try:
            answers = self._transact(group)
        except self.dialect.faults[1] as error:
            # The database itself is in trouble; to try each job alone would only wait out the same trouble n times.
            for job in group:
                job.promise.fail(unavailable(error, self._where))
        except Exception as error:  # whatever it is, it belongs to the caller, and the writer must live on
            if len(group) > 1:
                # One job spoils the transaction for its neighbours: give every job one of its own.
                for job in group:
                    self._settle([job])
                return
            foreign = isinstance(error, self.dialect.faults[0])
            group[0].promise.fail(unavailable(error, self._where) if foreign else error)
        else:
            for job, answer in zip(group, answers, strict=True):
                if isinstance(answer, MainstayError):
                    job.promise.fail(answer)
                else:
                    job.promise.keep(answer)

    def _transact(self, group: Sequence[_Job]) -> list[Any]:
        answers: list[Any] = []
        with self._connections.lent() as connection:
            ordered = any(job.ordered for job in group)
            for statement in self.dialect.begin if ordered else self.dialect.begin_unordered:
                connection.run(statement)
            for handler, jobs in groupby(group, key=attrgetter("handler")):
                answers += handler(connection, [job.payload for job in jobs])
            connection.run("COMMIT")
        return answers


# -- opening ------------------------------------------------------------------------------------------------------


def open_database(url: str) -> Database:
    """The database of that URL, created where it is a file that does not exist, its schema the newest.

    Raises:
        InvalidInput: not a URL of a store.
        MissingExtra: PostgreSQL's driver is not installed.
        StoreUnavailable: it cannot be opened, or was written by a newer Mainstay.
    """
    scheme, _, rest = url.partition("://")
    match scheme:
        case "sqlite" if rest.startswith("/") and rest not in ("/", "/:memory:"):
            path = Path(rest[1:])
            where = f"the store {path}"
            _create_file(path, where)
            connections = _Connections(_SQLITE, lambda: _open_file(path), lambda _: True)
        case "postgresql" | "postgres":
            if find_spec("psycopg") is None:
                raise MissingExtra("a store on PostgreSQL", "postgres")
            where = f"the store {_name_in(url)} on PostgreSQL"
            connections = _Connections(_postgres(), lambda: _log_in(url), _answers)
        case _:
            raise _not_a_store(url)
    try:
        _bring_up_to_date(connections, where)
    except connections.dialect.faults[0] as error:
        connections.close()
        raise unavailable(error, where) from error
    except StoreUnavailable:
        connections.close()
        raise
    return Database(connections, where)


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


def _open_file(path: Path) -> sqlite3.Connection:
    # `isolation_level=None`: Python's driver begins no transactions of its own, we say BEGIN IMMEDIATE.
    connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous=FULL")  # fsync at every commit; NORMAL loses the last ones with power
    return connection


def _name_in(url: str) -> str:
    import psycopg  # noqa: PLC0415  (a lazy start, like below)

    try:
        return str(psycopg.conninfo.conninfo_to_dict(url).get("dbname", "postgres"))
    except psycopg.ProgrammingError:
        raise _not_a_store(url) from None


def _log_in(url: str) -> Any:
    import psycopg  # noqa: PLC0415  (a lazy start)

    connection = psycopg.connect(url, autocommit=True, connect_timeout=int(PATIENCE), application_name="mainstay")
    connection.execute("SET synchronous_commit = on")
    connection.execute(f"SET lock_timeout = {PATIENCE * 1000:.0f}")  # both in milliseconds
    connection.execute(f"SET idle_in_transaction_session_timeout = {ABANDONED * 1000:.0f}")
    # A statement is planned for the values it is asked with: a plan made while a table was empty reads all of it later.
    connection.execute("SET plan_cache_mode = force_custom_plan")
    return connection


def _answers(connection: Any) -> bool:
    # After a restart of the server the first statement finds a new connection instead of an error.
    try:
        connection.execute("SELECT 1")
    except _postgres().faults[0]:
        return False
    return True


def _prepare_file(connection: Connection, where: str) -> None:
    tables = _tables(connection)
    if tables and _SCHEMA not in tables:
        raise StoreUnavailable(f"{where} belongs to another program (it has a table {min(tables)})",
                               "name another file")
    give_up = time.monotonic() + PATIENCE
    while (mode := _write_ahead(connection)) == "busy" and time.monotonic() < give_up:
        time.sleep(0.02)
    if mode != "wal":
        raise StoreUnavailable(f"{where} cannot keep a write-ahead log (journal mode: {mode})",
                               "put it on a local disk, not on a network share, and end what holds it open")


def _write_ahead(connection: Connection) -> str:
    # Of several processes that open a new file at once one sets the mode; SQLite tells the others "busy" without
    # waiting as it does for a transaction.
    try:
        return str(connection.value("PRAGMA journal_mode=WAL"))
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname.startswith("SQLITE_BUSY"):
            return "busy"
        raise


_SCHEMA = "mainstay_schema"


def _tables(connection: Connection) -> set[str]:
    return {name for name, in connection.rows(connection.dialect.tables)}


def _bring_up_to_date(connections: _Connections, where: str) -> None:
    with connections.lent() as connection:
        if connections.dialect is _SQLITE:
            _prepare_file(connection, where)
        version = _version(connection)
        if version < len(STEPS):
            for statement in connections.dialect.begin:
                connection.run(statement)
            version = _version(connection)  # another process may have been first
            _take_steps(connection, version)
            connection.run("COMMIT")
    if version > len(STEPS):
        raise StoreUnavailable(f"{where} has schema {version}; this Mainstay knows schemas up to {len(STEPS)}",
                               "upgrade Mainstay to the version that wrote it, or name another store")


def _version(connection: Connection) -> int:
    return int(connection.value(f"SELECT version FROM {_SCHEMA}")) if _SCHEMA in _tables(connection) else 0


def _take_steps(connection: Connection, version: int) -> None:
    if version >= len(STEPS):
        return
    if version == 0:
        connection.run(f"CREATE TABLE {_SCHEMA} (version INTEGER NOT NULL)")
        connection.run(f"INSERT INTO {_SCHEMA} VALUES (0)")
    for step in STEPS[version:]:
        for statement in step.format_map(connection.dialect.words).split(";"):
            connection.run(statement)
    connection.run(f"UPDATE {_SCHEMA} SET version = {len(STEPS)}")


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
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    if isinstance(error, sqlite3.Error):
        name = getattr(error, "sqlite_errorname", "")
        for prefix, (what, way_out) in _SQLITE_WAYS_OUT.items():
            if name.startswith(prefix):
                return StoreUnavailable(f"{where}: {what} ({reason})", way_out)
        return StoreUnavailable(f"{where} cannot be used: {reason}", "check the file and its folder")
    state = getattr(error, "sqlstate", None) or ""
    for prefix, (what, way_out) in _POSTGRES_WAYS_OUT.items():
        if state.startswith(prefix):
            return StoreUnavailable(f"{where}: {what} ({reason})", way_out)
    # Before the login succeeded the server gives no code, only its words.
    if "does not exist" in reason:
        return StoreUnavailable(f"{where}: there is no such database or user ({reason})", "create it: createdb NAME")
    if "authentication failed" in reason or "pg_hba.conf" in reason or "no password" in reason:
        return StoreUnavailable(f"{where} refused the login ({reason})",
                                "check user and password in the store's URL, and pg_hba.conf")
    # A connection lost during COMMIT leaves open whether the server did it; only the server knows. Hence the keys.
    return StoreUnavailable(f"{where} does not answer: {reason}",
                            "check that the server runs, then repeat: what carries a key is recorded once")
