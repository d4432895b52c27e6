"""The journal: append-only facts, one table of timers, one outbox. State is a fold over facts.

What a store promises (`tests/contracts/test_journal.py` holds every store to it):

* `commit` returns only when the whole batch is durable, or raises and nothing of it is.
* A fact whose `key` is already recorded is not recorded again; the recorded one is returned instead.
* `seq` grows with commit order and is never reused; a reader that asks `after=n` never misses a later fact.
* A batch that is `fresh` is refused whole (`AlreadyRecorded`) when one of its keys is already recorded: who decided on
  what another has meanwhile changed must look again.
* A timer or message is taken by one worker at a time, with a fence. Work done under a lost fence is refused whole
  (`StaleClaim`), so a worker that was stopped and resumed cannot act for the one that took over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import Conflict

Data = Mapping[str, Any]
"""What a fact, timer or message carries: JSON values only."""


class StaleClaim(Conflict):
    """The timer or message was meanwhile taken by another worker; nothing was committed."""

    code = "stale-claim"


class AlreadyRecorded(Conflict):
    """A fact of a fresh batch carries a key that is already recorded; nothing was committed."""

    code = "already-recorded"


@dataclass(frozen=True, slots=True)
class NewFact:
    """Something that happened, before it is recorded.

    Args:
        kind: what happened, `word.past-participle`: `slo.zone-entered`, `incident.opened`.
        subject: what it happened to: an objective's name, an incident's id.
        at: when it happened, aware UTC; may lie before the time it is recorded.
        key: recorded once per key; empty means every append is a fact of its own.
        actor: who caused it: a person's name, `system`, a token's name.
    """

    kind: str
    subject: str
    at: datetime
    data: Data = field(default_factory=dict)
    key: str = ""
    actor: str = "system"


@dataclass(frozen=True, slots=True)
class Fact:
    """A recorded fact: `seq` orders facts by commit, `recorded_at` is the store's clock."""

    seq: int
    kind: str
    subject: str
    at: datetime
    data: Data
    key: str
    actor: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class NewTimer:
    """Something to do at `due`; one timer per key, setting it again moves it and drops a running claim."""

    key: str
    due: datetime
    kind: str
    subject: str
    data: Data = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Timer:
    """A timer taken by this worker under a fence."""

    key: str
    due: datetime
    kind: str
    subject: str
    data: Data
    fence: int


@dataclass(frozen=True, slots=True)
class NewMessage:
    """Something to send; one per key for ever, so that a repeat is not sent twice."""

    key: str
    channel: str
    data: Data
    not_before: datetime


@dataclass(frozen=True, slots=True)
class Message:
    """A message taken by this worker under a fence; `attempts` counts the takes, this one included."""

    key: str
    channel: str
    data: Data
    not_before: datetime
    attempts: int
    fence: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A taken timer or message that this batch settles; refused when the fence is no longer ours."""

    key: str
    fence: int


@dataclass(frozen=True, slots=True)
class Retry:
    """A taken message that was not delivered: put back until `not_before`."""

    key: str
    fence: int
    not_before: datetime


@dataclass(frozen=True, slots=True)
class Batch:
    """What is committed together or not at all.

    Args:
        fresh: refused when a key of its facts is already recorded, instead of giving the recorded fact.
    """

    facts: Sequence[NewFact] = ()
    set_timers: Sequence[NewTimer] = ()
    clear_timers: Sequence[str] = ()
    messages: Sequence[NewMessage] = ()
    timers_done: Sequence[Claim] = ()
    messages_done: Sequence[Claim] = ()
    messages_retry: Sequence[Retry] = ()
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class FactQuery:
    """Which facts to read, in the order of `seq`. A kind ending in `.` means every kind of that word."""

    kinds: Sequence[str] = ()
    subject: str | None = None
    after: int = 0
    since: datetime | None = None
    until: datetime | None = None
    limit: int | None = None
    newest_first: bool = False


Answer_co = TypeVar("Answer_co", covariant=True)


class Pending(Protocol[Answer_co]):
    """An answer that is under way."""

    def result(self, timeout: float | None = None) -> Answer_co:
        """The answer, or what was raised instead of it, once it is there; TimeoutError after so many seconds."""
        ...

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What was raised instead of an answer, or None, once either is there; TimeoutError as above."""
        ...


class Journal(Protocol):
    """The port. Stores: memory (tests), SQLite, PostgreSQL."""

    def commit(self, batch: Batch) -> tuple[Fact, ...]:
        """Make the batch durable; the recorded facts in the batch's order (earlier ones for known keys).

        Raises:
            StaleClaim: a claim is no longer ours.
            AlreadyRecorded: the batch is fresh and a key is not.
        """
        ...

    def submit(self, batch: Batch) -> Pending[tuple[Fact, ...]]:
        """The same without waiting, so that many callers share one fsync."""
        ...

    def facts(self, query: FactQuery) -> Iterator[Fact]:
        """Recorded facts that fit the query."""
        ...

    def head(self) -> int:
        """The greatest `seq` recorded, 0 for an empty journal."""
        ...

    def take_timers(self, now: datetime, worker: str, *, limit: int = 100,
                    lease: timedelta = timedelta(seconds=30)) -> list[Timer]:
        """Timers that are due and free (or whose lease ran out), taken for this worker."""
        ...

    def take_messages(self, now: datetime, worker: str, *, channel: str | None = None, limit: int = 100,
                      lease: timedelta = timedelta(seconds=30)) -> list[Message]:
        """Messages that may be sent and are free (or whose lease ran out), taken for this worker."""
        ...

    def next_due(self) -> datetime | None:
        """When the earliest timer is due, or None."""
        ...

    def close(self) -> None:
        """Let go of the store; what was committed stays."""
        ...
