"""The durable store: journal and ledger on SQLite or PostgreSQL, opened by URL.

The journal's writer works on many batches at once: it reads what they depend on (known keys, fences of claims), decides
batch by batch in memory which stand and what they change, and writes all of it in a few bulk statements. A refused
batch has left no trace by then, so its neighbours need no savepoints, and no statement is paid per batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from heapq import merge
from itertools import islice, starmap
from types import TracebackType
from typing import Any, NamedTuple

from mainstay.adapters.promise import Promise
from mainstay.adapters.record import already_recorded, check_names, data_of, micros_of, moment_of, text_of, utc_of
from mainstay.adapters.store_database import Connection, Database, Row, open_database
from mainstay.adapters.store_ledger import SqlLedger
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.journal import (
    AlreadyRecorded,
    Batch,
    Claim,
    Data,
    Fact,
    FactQuery,
    Message,
    NewFact,
    NewMessage,
    NewTimer,
    Retry,
    StaleClaim,
    Timer,
)
from mainstay.kernel.ports import Clock

PAGE = 2_000
"""Facts read at a time; between pages no transaction is open, so a slow reader holds nothing up."""

_MANY = 5_000
"""Keys in one statement at most."""


class Store:
    """A journal and a ledger in one database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._holders = {"journal", "ledger"}
        self._database = database
        self.journal = SqlJournal(database, clock, lambda: self._let_go("journal"))
        self.ledger = SqlLedger(database, lambda: self._let_go("ledger"))

    def _let_go(self, holder: str) -> None:
        self._holders.discard(holder)
        if not self._holders:
            self._database.close()

    def close(self) -> None:
        """Write what waits, then let go of the database."""
        self.journal.close()
        self.ledger.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


def open_store(url: str, clock: Clock) -> Store:
    """The store of that URL: `sqlite:////path/mainstay.db`, created when absent, or `postgresql://user@host/database`.

    Raises:
        InvalidInput: not a URL of a store.
        MissingExtra: PostgreSQL's driver is not installed.
        StoreUnavailable: it cannot be opened, or was written by a newer Mainstay.
    """
    return Store(open_database(url), clock)


# -- what a batch becomes -----------------------------------------------------------------------------------------


class _AtRest(NamedTuple):
    """A fact as it will read back: its moment in UTC and in microseconds, its data shared with nobody and as text."""

    new: NewFact
    at: datetime
    micros: int
    data: Data
    text: str


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A batch checked and put into the form it has at rest, by its own caller's thread."""

    batch: Batch
    facts: tuple[_AtRest, ...]
    timers: tuple[dict[str, Any], ...]
    messages: tuple[dict[str, Any], ...]


def _prepared(batch: Batch) -> _Prepared:
    check_names(batch)
    return _Prepared(batch, tuple(map(_form_at_rest, batch.facts)), tuple(map(_timer_row, batch.set_timers)),
                     tuple(map(_message_row, batch.messages)))


def _form_at_rest(new: NewFact) -> _AtRest:
    text = text_of(new.data)
    return _AtRest(new, utc_of(new.at), micros_of(new.at), data_of(text), text)


def _timer_row(timer: NewTimer) -> dict[str, Any]:
    due = micros_of(timer.due)
    return {"key": timer.key, "due": due, "kind": timer.kind, "subject": timer.subject, "data": text_of(timer.data),
            "ready": due}


def _message_row(message: NewMessage) -> dict[str, Any]:
    not_before = micros_of(message.not_before)
    return {"key": message.key, "channel": message.channel, "data": text_of(message.data), "not_before": not_before,
            "ready": not_before}


def _recorded(seq: int, kind: str, subject: str, at: int, data: str, key: str, actor: str,
              recorded_at: int) -> Fact:
    return Fact(seq, kind, subject, moment_of(at), data_of(data), key, actor, moment_of(recorded_at))


_Answer = tuple[Fact, ...] | StaleClaim | AlreadyRecorded
"""The recorded facts of a batch, or why the whole of it was refused."""


class _Plan:
    """What a run of batches changes, decided one after the other.

    Args:
        seq: the greatest recorded so far.
        known: the recorded facts whose keys occur in the batches, by key.
        timer_fences, message_fences: of the items the batches claim, as the database has them now.
    """

    def __init__(self, seq: int, now: datetime, known: dict[str, Fact], timer_fences: dict[str, int],
                 message_fences: dict[str, int]) -> None:
        self._seq, self._known = seq, known
        self._now, self._now_micros = now, micros_of(now)
        self._timer_fences, self._message_fences = timer_fences, message_fences
        self.facts: list[tuple[Any, ...]] = []
        self.timers: dict[str, dict[str, Any] | None] = {}
        self.messages: dict[str, dict[str, Any]] = {}
        self.sent: list[dict[str, Any]] = []
        self.put_back: list[dict[str, Any]] = []

    def add(self, prepared: _Prepared) -> _Answer:
        """Take the whole batch in, or refuse the whole batch."""
        batch = prepared.batch
        if batch.fresh and (taken := next((new.key for new in batch.facts if new.key in self._known), "")):
            return already_recorded(taken)
        if not _held(batch.timers_done, self._timer_fences) or \
                not _held([*batch.messages_done, *batch.messages_retry], self._message_fences):
            return StaleClaim("a timer or message of this work was meanwhile set anew, cleared or taken by another",
                              "drop this work; whoever holds it now does it")
        for key in [*(claim.key for claim in batch.timers_done), *batch.clear_timers]:
            self._move_timer(key, None)
        for row in prepared.timers:
            self._move_timer(row["key"], row)
        for claim in batch.messages_done:
            self.sent.append({"key": claim.key})
        for retry in batch.messages_retry:
            self.put_back.append({"key": retry.key, "not_before": micros_of(retry.not_before)})
        for key in _settled_messages(batch):
            del self._message_fences[key]
        for row in prepared.messages:
            self.messages.setdefault(row["key"], row)
        return tuple(map(self._record, prepared.facts))

    def _move_timer(self, key: str, row: dict[str, Any] | None) -> None:
        self.timers[key] = row
        self._timer_fences.pop(key, None)  # whoever claims it later in this run comes too late

    def _record(self, form: _AtRest) -> Fact:
        new = form.new
        if new.key and (earlier := self._known.get(new.key)) is not None:
            return earlier
        self._seq += 1
        fact = Fact(self._seq, new.kind, new.subject, form.at, form.data, new.key, new.actor, self._now)
        self.facts.append((self._seq, new.kind, new.subject, form.micros, form.text, new.key, new.actor,
                           self._now_micros, new.kind.partition(".")[0]))
        if new.key:
            self._known[new.key] = fact
        return fact


def _settled_messages(batch: Batch) -> list[str]:
    return [*(claim.key for claim in batch.messages_done), *(retry.key for retry in batch.messages_retry)]


def _held(claims: Sequence[Claim | Retry], fences: Mapping[str, int]) -> bool:
    return not claims or (len({claim.key for claim in claims}) == len(claims) and all(
        claim.fence > 0 and fences.get(claim.key) == claim.fence for claim in claims))


# -- the SQL ------------------------------------------------------------------------------------------------------


_FACT = "seq, kind, subject, at, data, key, actor, recorded_at"
_FACT_COLUMNS = (*_FACT.split(", "), "word")
_HEAD = "SELECT coalesce(max(seq), 0) FROM facts"
_KNOWN = f"SELECT {_FACT} FROM facts WHERE key <> '' AND key "
_DROP_TIMER = "DELETE FROM timers WHERE key = :key"
_SET_TIMER = (
    "INSERT INTO timers (key, due, kind, subject, data, ready, fence, worker)"
    " VALUES (:key, :due, :kind, :subject, :data, :ready, 0, '')"
    " ON CONFLICT (key) DO UPDATE SET due = excluded.due, kind = excluded.kind, subject = excluded.subject,"
    " data = excluded.data, ready = excluded.ready, fence = 0, worker = ''")
_ADD_MESSAGE = (
    "INSERT INTO messages (key, channel, data, not_before, ready, attempts, fence, worker)"
    " VALUES (:key, :channel, :data, :not_before, :ready, 0, 0, '') ON CONFLICT (key) DO NOTHING")
_SENT = "UPDATE messages SET ready = NULL, fence = 0 WHERE key = :key"
_PUT_BACK = ("UPDATE messages SET not_before = :not_before, ready = :not_before, fence = 0, worker = ''"
             " WHERE key = :key")
# The longest ready come first, not the longest due: a timer whose workers all died went to the back of the line with
# its last lease, so one that kills its worker cannot hold up all others.
_DUE_TIMERS = "SELECT key, due, kind, subject, data FROM timers WHERE ready <= :now"
_DUE_MESSAGES = "SELECT key, channel, data, not_before, attempts FROM messages WHERE ready <= :now"
_HOLD_TIMERS = "UPDATE timers SET ready = :until, fence = :fence, worker = :worker WHERE key "
_HOLD_MESSAGES = ("UPDATE messages SET ready = :until, fence = :fence, worker = :worker, attempts = attempts + 1"
                  " WHERE key ")
_NEXT_DUE = "SELECT min(ready) FROM timers"


@dataclass(frozen=True, slots=True)
class _Take:
    """A worker asking for work. `channel` None means every channel."""

    now: int
    until: int
    worker: str
    limit: int
    channel: str | None = None


class SqlJournal:
    """The journal on SQLite or PostgreSQL. Every method may be called from any thread."""

    def __init__(self, database: Database, clock: Clock, let_go: Callable[[], None]) -> None:
        self._database = database
        self._clock = clock
        self._let_go = let_go
        dialect = database.dialect
        among = dialect.among("keys")
        self._known = _KNOWN + among
        self._fences_of = {table: f"SELECT key, fence FROM {table} WHERE key {among}{dialect.lock_rows}"
                           for table in ("timers", "messages")}
        self._hold_timers, self._hold_messages = _HOLD_TIMERS + among, _HOLD_MESSAGES + among
        in_order = f" ORDER BY ready, key LIMIT :limit{dialect.skip_locked}"
        self._due_timers = _DUE_TIMERS + in_order
        self._due_messages = _DUE_MESSAGES + in_order
        self._due_in_channel = _DUE_MESSAGES + " AND channel = :channel" + in_order

    def commit(self, batch: Batch) -> tuple[Fact, ...]:
        """Make the batch durable; the recorded facts in its order, earlier ones for known keys.

        Raises:
            StaleClaim: a claim is no longer ours; nothing was committed.
            AlreadyRecorded: the batch is fresh and one of its keys is not; nothing was committed.
            InvalidInput: something in the batch cannot be stored.
            StoreUnavailable: the database failed; nothing was committed, or the connection was lost and only the
                server knows. Repeating is safe for facts and messages that carry a key.
        """
        return self._database.write(self._commit, _prepared(batch))

    def submit(self, batch: Batch) -> Promise[tuple[Fact, ...]]:
        """The same without waiting, so that many callers share one fsync."""
        return self._database.submit(self._commit, _prepared(batch))

    def _commit(self, connection: Connection, run: Sequence[_Prepared]) -> list[_Answer]:
        batches = [prepared.batch for prepared in run]
        known = {fact.key: fact for fact in starmap(_recorded, _in_parts(
            connection, self._known, {fact.key for batch in batches for fact in batch.facts if fact.key}))}
        timer_fences = self._fences(connection, "timers", {claim.key for b in batches for claim in b.timers_done})
        message_fences = self._fences(connection, "messages", {key for b in batches for key in _settled_messages(b)})
        plan = _Plan(connection.value(_HEAD), self._clock.now(), known, timer_fences, message_fences)
        answers = [plan.add(prepared) for prepared in run]
        if plan.facts:
            connection.insert("facts", _FACT_COLUMNS, plan.facts)
        for statement, rows in (
                (_DROP_TIMER, [{"key": key} for key, row in plan.timers.items() if row is None]),
                (_SET_TIMER, [row for row in plan.timers.values() if row is not None]),
                (_ADD_MESSAGE, list(plan.messages.values())),
                (_SENT, plan.sent),
                (_PUT_BACK, plan.put_back)):
            if rows:
                connection.run_each(statement, rows)
        return answers

    def _fences(self, connection: Connection, table: str, keys: set[str]) -> dict[str, int]:
        return dict(_in_parts(connection, self._fences_of[table], keys))

    # -- reading ---------------------------------------------------------------------------------------------------

    def facts(self, query: FactQuery) -> Iterator[Fact]:
        """The facts that fit, of those recorded when this was called, read a page at a time."""
        head = self.head()
        if query.subject is not None or not query.kinds:
            return islice(self._pages(query, head), query.limit)
        # A stream a kind, each in the order of an index, merged: neither database finds that way for several kinds.
        words = tuple(kind for kind in query.kinds if kind.endswith("."))
        kinds = {kind for kind in query.kinds if not any(kind != word and kind.startswith(word) for word in words)}
        streams = [self._pages(replace(query, kinds=[kind]), head) for kind in kinds]
        return islice(merge(*streams, key=lambda fact: fact.seq, reverse=query.newest_first), query.limit)

    def _pages(self, query: FactQuery, head: int) -> Iterator[Fact]:
        low, high = query.after, head
        size = PAGE if query.limit is None else min(PAGE, query.limit)
        while low < high:
            statement, values = _select(query, low, high, size)
            with self._database.reading() as connection:
                rows = connection.rows(statement, values)
            for row in rows:
                yield _recorded(*row)
            if len(rows) < size:
                return
            last = rows[-1][0]
            low, high = (low, last - 1) if query.newest_first else (last, high)

    def head(self) -> int:
        """The greatest `seq` recorded, 0 for an empty journal."""
        with self._database.reading() as connection:
            return int(connection.value(_HEAD))

    # -- work ------------------------------------------------------------------------------------------------------

    def take_timers(self, now: datetime, worker: str, *, limit: int = 100,
                    lease: timedelta = timedelta(seconds=30)) -> list[Timer]:
        """Timers that are due and free, or whose lease ran out; earliest due first."""
        take = _Take(micros_of(now), micros_of(now + lease), worker, limit)
        return self._database.write(self._take_timers, take, ordered=False)

    def _take_timers(self, connection: Connection, takes: Sequence[_Take]) -> list[list[Timer]]:
        answers = []
        for take in takes:
            rows = connection.rows(self._due_timers, {"now": take.now, "limit": take.limit})
            fence = self._hold(connection, self._hold_timers, take, [key for key, *_ in rows])
            timers = [Timer(key, moment_of(due), kind, subject, data_of(data), fence)
                      for key, due, kind, subject, data in rows]
            answers.append(sorted(timers, key=lambda timer: (timer.due, timer.key)))
        return answers

    def take_messages(self, now: datetime, worker: str, *, channel: str | None = None, limit: int = 100,
                      lease: timedelta = timedelta(seconds=30)) -> list[Message]:
        """Messages that may be sent and are free, or whose lease ran out; those that may go first come first."""
        take = _Take(micros_of(now), micros_of(now + lease), worker, limit, channel)
        return self._database.write(self._take_messages, take, ordered=False)

    def _take_messages(self, connection: Connection, takes: Sequence[_Take]) -> list[list[Message]]:
        answers = []
        for take in takes:
            values: dict[str, Any] = {"now": take.now, "limit": take.limit}
            if take.channel is None:
                rows = connection.rows(self._due_messages, values)
            else:
                rows = connection.rows(self._due_in_channel, {**values, "channel": take.channel})
            fence = self._hold(connection, self._hold_messages, take, [key for key, *_ in rows])
            messages = [Message(key, channel, data_of(data), moment_of(not_before), attempts + 1, fence)
                        for key, channel, data, not_before, attempts in rows]
            answers.append(sorted(messages, key=lambda message: (message.not_before, message.key)))
        return answers

    def _hold(self, connection: Connection, statement: str, take: _Take, keys: Sequence[str]) -> int:
        if not keys:
            return 0
        # One number for all that is taken at once: fences must grow per key, and nobody takes a key twice at once.
        *steps, give = connection.dialect.next_fence
        for step in steps:
            connection.run(step)
        fence = int(connection.value(give))
        for start in range(0, len(keys), _MANY):
            connection.run(statement, {"until": take.until, "fence": fence, "worker": take.worker,
                                       "keys": connection.dialect.each(keys[start:start + _MANY])})
        return fence

    def next_due(self) -> datetime | None:
        """When `take_timers` can next give one: the earliest due, for a taken timer the end of its lease."""
        with self._database.reading() as connection:
            ready = connection.value(_NEXT_DUE)
        return None if ready is None else moment_of(ready)

    def close(self) -> None:
        """Let go of the store; what was committed stays."""
        self._let_go()


def _in_parts(connection: Connection, statement: str, keys: set[str]) -> Iterator[Row]:
    ordered = sorted(keys)  # the same order in every process, so that row locks make no circle
    for start in range(0, len(ordered), _MANY):
        yield from connection.rows(statement, {"keys": connection.dialect.each(ordered[start:start + _MANY])})


def _select(query: FactQuery, low: int, high: int, size: int) -> tuple[str, dict[str, Any]]:
    where = ["seq > :low", "seq <= :high"]
    values: dict[str, Any] = {"low": low, "high": high, "size": size}
    if query.subject is not None:
        where.append("subject = :subject")
        values["subject"] = query.subject
    if query.since is not None:
        where.append("at >= :since")
        values["since"] = micros_of(query.since)
    if query.until is not None:
        where.append("at < :until")
        values["until"] = micros_of(query.until)
    kinds = []
    for index, kind in enumerate(query.kinds):
        # Names compare by bytes (SQLite BINARY, PostgreSQL "C"), where "/" follows "." at once.
        fits = f"kind >= :kind{index} AND kind < :end{index}" if kind.endswith(".") else f"kind = :kind{index}"
        if query.subject is None:  # else the subject's index leads
            fits += f" AND word = :word{index}"
        kinds.append(fits)
        values |= {f"kind{index}": kind, f"end{index}": kind[:-1] + "/", f"word{index}": kind.partition(".")[0]}
    if kinds:
        where.append(f"({' OR '.join(kinds)})")
    order = "DESC" if query.newest_first else "ASC"
    return f"SELECT {_FACT} FROM facts WHERE {' AND '.join(where)} ORDER BY seq {order} LIMIT :size", values
