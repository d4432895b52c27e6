"""Stores and sources that live in memory: for tests and simulations, with the same promises as the durable ones."""

from __future__ import annotations

import heapq
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Generic, TypeVar

import numpy as np

from mainstay.adapters.promise import Promise
from mainstay.adapters.record import all_at_rest, already_recorded, check_names, micros_of, utc_of
from mainstay.kernel.actuation import Act, Ending, Outcome, Prepared, Watch
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, MainstayError
from mainstay.kernel.journal import (
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
from mainstay.kernel.ports import Clock, CountRequest, DaySums, EventQuery, GaugeQuery, PromQuery, Reading, Spender
from mainstay.kernel.quantity import SLOT, Span
from mainstay.kernel.series import Series, floor_slot, gap, merged

_DAY = 86_400
Item = TypeVar("Item", NewTimer, NewMessage)


# -- journal ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Place(Generic[Item]):
    """An item that waits; `ready` is when it may be taken: when it is due or, while taken, when the lease ends."""

    item: Item
    ready: datetime
    fence: int = 0
    attempts: int = 0


class _Shelf(Generic[Item]):
    """Timers or messages: found by key, taken in the order they become ready, each channel a queue of its own."""

    def __init__(self) -> None:
        self.places: dict[str, _Place[Item]] = {}
        # Entries are never searched for: one whose `ready` is no longer its place's is skipped when it comes up.
        self._queues: dict[str, list[tuple[datetime, str]]] = {}

    def put(self, key: str, place: _Place[Item], channel: str = "") -> None:
        self.places[key] = place
        heapq.heappush(self._queues.setdefault(channel, []), (place.ready, key))

    def held(self, claims: Sequence[Claim | Retry]) -> bool:
        """Whether every claim is on the fence its item was last taken under, none claimed twice."""
        keys = {claim.key for claim in claims}
        return len(keys) == len(claims) and all(
            claim.fence > 0 and (place := self.places.get(claim.key)) is not None and place.fence == claim.fence
            for claim in claims)

    def next_ready(self, channel: str = "") -> datetime | None:
        queue = self._queues.get(channel, [])
        while queue:
            ready, key = queue[0]
            place = self.places.get(key)
            if place is not None and place.ready == ready:
                return ready
            heapq.heappop(queue)
        return None

    def take(self, now: datetime, until: datetime, limit: int, *, channel: str | None, fence: int,
             ) -> list[tuple[str, _Place[Item]]]:
        """The first `limit` items that are ready, now ready again only when the lease ends."""
        assert until > now, "a lease lasts"
        channels = list(self._queues) if channel is None else [channel]
        taken: list[tuple[str, _Place[Item]]] = []
        while len(taken) < limit:
            fronts = [(ready, name) for name in channels if (ready := self.next_ready(name)) is not None]
            if not fronts or min(fronts)[0] > now:
                break
            _, name = min(fronts)
            _, key = heapq.heappop(self._queues[name])
            place = self.places[key]
            place.ready, place.fence, place.attempts = until, fence, place.attempts + 1
            taken.append((key, place))
        for key, _ in taken:
            place = self.places[key]
            self.put(key, place, place.item.channel if isinstance(place.item, NewMessage) else "")
        return taken


class MemoryJournal:
    """A journal that ends with the process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._facts: list[Fact] = []
        self._by_subject: dict[str, list[Fact]] = {}
        self._by_key: dict[str, Fact] = {}
        self._timers: _Shelf[NewTimer] = _Shelf()
        self._messages: _Shelf[NewMessage] = _Shelf()
        self._sent: set[str] = set()
        self._fence = 0

    def commit(self, batch: Batch) -> tuple[Fact, ...]:
        """Record the whole batch, or raise StaleClaim or AlreadyRecorded and record nothing of it."""
        check_names(batch)
        at_rest = iter(all_at_rest([*(fact.data for fact in batch.facts), *(timer.data for timer in batch.set_timers),
                                    *(message.data for message in batch.messages)]))
        kept = [(fact, utc_of(fact.at), next(at_rest)) for fact in batch.facts]
        timers = [NewTimer(timer.key, timer.due, timer.kind, timer.subject, next(at_rest))
                  for timer in batch.set_timers]
        messages = [NewMessage(message.key, message.channel, next(at_rest), message.not_before)
                    for message in batch.messages]
        with self._lock:
            claimed: list[Claim | Retry] = [*batch.messages_done, *batch.messages_retry]
            if not ((not batch.timers_done or self._timers.held(batch.timers_done))
                    and (not claimed or self._messages.held(claimed))):
                raise StaleClaim("a timer or message of this work was meanwhile set anew, cleared or taken by another",
                                 "drop this work; whoever holds it now does it")
            if batch.fresh and (taken := next((new.key for new in batch.facts if new.key in self._by_key), "")):
                raise already_recorded(taken)
            self._settle(batch)
            for timer in timers:
                self._timers.put(timer.key, _Place(timer, timer.due))
            for message in messages:
                if message.key not in self._sent and message.key not in self._messages.places:
                    self._messages.put(message.key, _Place(message, message.not_before), message.channel)
            now = self._clock.now()
            return tuple([self._record(*one, now) for one in kept])

    def _settle(self, batch: Batch) -> None:
        for key in [*(claim.key for claim in batch.timers_done), *batch.clear_timers]:
            self._timers.places.pop(key, None)
        for claim in batch.messages_done:
            del self._messages.places[claim.key]
            self._sent.add(claim.key)
        for retry in batch.messages_retry:
            place = self._messages.places[retry.key]
            item = replace(place.item, not_before=retry.not_before)
            self._messages.put(retry.key, _Place(item, retry.not_before, 0, place.attempts), item.channel)

    def _record(self, new: NewFact, at: datetime, data: Data, now: datetime) -> Fact:
        if new.key and (known := self._by_key.get(new.key)) is not None:
            return known
        fact = Fact(len(self._facts) + 1, new.kind, new.subject, at, data, new.key, new.actor, now)
        self._facts.append(fact)
        self._by_subject.setdefault(fact.subject, []).append(fact)
        if fact.key:
            self._by_key[fact.key] = fact
        return fact

    def submit(self, batch: Batch) -> Promise[tuple[Fact, ...]]:
        """The same as `commit`, its outcome in a promise that is already kept."""
        promise: Promise[tuple[Fact, ...]] = Promise()
        try:
            promise.keep(self.commit(batch))
        except MainstayError as refused:
            promise.fail(refused)
        return promise

    def facts(self, query: FactQuery) -> Iterator[Fact]:
        """The facts that fit, of those recorded when this was called."""
        # Both lists only ever grow, so what lies below `count` may be read without a copy while others append.
        with self._lock:
            kept = self._facts if query.subject is None else self._by_subject.get(query.subject, [])
            count = len(kept)
        first = bisect_right(kept, query.after, hi=count, key=lambda fact: fact.seq)
        places = range(count - 1, first - 1, -1) if query.newest_first else range(first, count)
        whole = frozenset(kind for kind in query.kinds if not kind.endswith("."))
        words = tuple(kind for kind in query.kinds if kind.endswith("."))
        found = (fact for place in places if _fits(fact := kept[place], query, whole, words))
        return found if query.limit is None else islice(found, query.limit)

    def head(self) -> int:
        """The greatest `seq` recorded, 0 for an empty journal."""
        with self._lock:
            return len(self._facts)

    def take_timers(self, now: datetime, worker: str, *, limit: int = 100,  # noqa: ARG002
                    lease: timedelta = timedelta(seconds=30)) -> list[Timer]:
        """Timers that are due and free, or whose lease ran out; earliest due first."""
        with self._lock:
            self._fence += 1
            taken = self._timers.take(now, now + lease, limit, channel="", fence=self._fence)
        timers = [Timer(key, place.item.due, place.item.kind, place.item.subject, place.item.data, place.fence)
                  for key, place in taken]
        return sorted(timers, key=lambda timer: (timer.due, timer.key))

    def take_messages(self, now: datetime, worker: str, *, channel: str | None = None,  # noqa: ARG002
                      limit: int = 100, lease: timedelta = timedelta(seconds=30)) -> list[Message]:
        """Messages that may be sent and are free, or whose lease ran out; those that may go first come first."""
        with self._lock:
            self._fence += 1
            taken = self._messages.take(now, now + lease, limit, channel=channel, fence=self._fence)
            messages = [Message(key, place.item.channel, place.item.data, place.item.not_before, place.attempts,
                                place.fence) for key, place in taken]
        return sorted(messages, key=lambda message: (message.not_before, message.key))

    def next_due(self) -> datetime | None:
        """When `take_timers` can next give one: the earliest due, for a taken timer the end of its lease."""
        with self._lock:
            return self._timers.next_ready()

    def close(self) -> None:
        """Nothing to let go of."""


def _fits(fact: Fact, query: FactQuery, whole: frozenset[str], words: tuple[str, ...]) -> bool:
    if query.kinds and fact.kind not in whole and not fact.kind.startswith(words):
        return False
    if query.since is not None and fact.at < query.since:
        return False
    return query.until is None or fact.at < query.until


# -- ledger -------------------------------------------------------------------------------------------------------


class MemoryLedger:
    """A ledger that ends with the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._series: dict[str, Series] = {}

    def write(self, entries: Mapping[str, Series], recorded_at: datetime) -> dict[str, int]:  # noqa: ARG002
        """Replace the known slots of each key by the given ones; how many changed value, by key."""
        with self._lock:
            return {key: self._write(key, series) for key, series in entries.items()}

    def _write(self, key: str, newer: Series) -> int:
        assert newer.step == SLOT, "the ledger keeps five-minute slots"
        known = self._series.get(key, gap(newer.start, 0))
        before = known.cut(newer.start, newer.end)
        differs = ~before.known | (before.bad != newer.bad) | (before.total != newer.total)
        self._series[key] = merged(known, newer)
        return int(np.count_nonzero(newer.known & differs))

    def read(self, keys: Sequence[str], span: Span) -> dict[str, Series]:
        """The slots of each key over the span, gaps where nothing was written."""
        start, end = floor_slot(span.start), -(-micros_of(span.end) // (SLOT * 1_000_000)) * SLOT
        with self._lock:
            return {key: self._series.get(key, gap(start, 0)).cut(start, end) for key in keys}

    def day_sums(self, keys: Sequence[str], span: Span) -> dict[str, DaySums]:
        """Sums of the UTC days that the span touches and that have known slots."""
        start, end = floor_slot(span.start, _DAY), -(-micros_of(span.end) // (_DAY * 1_000_000)) * _DAY
        with self._lock:
            return {key: _day_sums(self._series.get(key, gap(start, 0)).cut(start, end)) for key in keys}

    def extent(self, keys: Sequence[str]) -> dict[str, Span]:
        """From the first to behind the last known slot, for the keys that have any."""
        with self._lock:
            kept = {key: self._series[key] for key in keys if key in self._series}
        found: dict[str, Span] = {}
        for key, series in kept.items():
            slots = np.flatnonzero(series.known)
            if len(slots):
                first, last = series.start + int(slots[0]) * SLOT, series.start + (int(slots[-1]) + 1) * SLOT
                found[key] = Span(datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC))
        return found

    def close(self) -> None:
        """Nothing to let go of."""


def _day_sums(series: Series) -> DaySums:
    shape = (-1, _DAY // SLOT)
    known = series.known.reshape(shape).sum(1)
    days = np.arange(series.start, series.end, _DAY, dtype=np.float64)
    held = known > 0
    return DaySums(days[held], series.bad.reshape(shape).sum(1)[held], series.total.reshape(shape).sum(1)[held],
                   known[held].astype(np.float64))


# -- numbers in ---------------------------------------------------------------------------------------------------


class MemorySource:
    """A source of ready-made numbers.

    Args:
        counts: by `query_text`, the events each query matches per slot, in the series' `total`. For a gauge query,
            and for a total asked without bad or good, the series itself is the answer.
        spenders: by the text of the bad query (of the total where none is asked), who the events belong to.
    """

    def __init__(self, counts: Mapping[str, Series], spenders: Mapping[str, Sequence[Spender]] | None = None) -> None:
        self._counts = counts
        self._spenders = spenders or {}

    def count(self, requests: Sequence[CountRequest]) -> list[Reading]:
        """One reading a request, cut to its span; InvalidInput for a query no series was given for."""
        return [self._reading(request) for request in requests]

    def _reading(self, request: CountRequest) -> Reading:
        part = request.bad or request.good
        total = self._series(request.total, request)
        asked = tuple(query_text(query) for query in (request.total, part) if query is not None)
        if part is None:
            return Reading(total, (), asked)
        matched = self._series(part, request)
        known = total.known & matched.known
        bad = matched.total if request.bad is not None else total.total - matched.total
        series = Series(total.start, total.step, np.where(known, bad, 0.0), np.where(known, total.total, 0.0), known)
        return Reading(series, (), asked)

    def _series(self, query: EventQuery | PromQuery | GaugeQuery, request: CountRequest) -> Series:
        text = query_text(query)
        if text not in self._counts:
            known = ", ".join(sorted(self._counts)) or "none"
            raise InvalidInput(f'no series was given for the query "{text}"', f"ask one of: {known}")
        start = floor_slot(request.span.start, request.step)
        end = -(-micros_of(request.span.end) // (request.step * 1_000_000)) * request.step
        return self._counts[text].coarser(request.step).cut(start, end)

    def probe(self) -> str:
        """It is always there."""
        return "memory"

    def breakdown(self, request: CountRequest, by: Sequence[str], limit: int = 50) -> list[Spender]:
        """The given spenders grouped by those labels within the span, the greatest first, the rest as `(other)`."""
        start, end = request.span.start.timestamp(), request.span.end.timestamp()
        groups: dict[tuple[str, ...], list[Spender]] = {}
        for spender in self._spenders.get(query_text(request.bad or request.total), ()):
            slots = {slot: bad for slot, bad in spender.by_slot.items() if start <= slot < end}
            if slots or not spender.by_slot:
                bad = sum(slots.values()) if slots else spender.bad
                names = tuple(spender.labels.get(name, "") for name in by)
                groups.setdefault(names, []).append(Spender({}, bad, slots))
        ranked = sorted((_summed(by, names, spenders) for names, spenders in groups.items()),
                        key=lambda spender: (-spender.bad, tuple(spender.labels.values())))
        if len(ranked) <= limit:
            return ranked
        return [*ranked[:limit], _summed(by, ("(other)",) * len(by), ranked[limit:])]


def _summed(by: Sequence[str], names: Sequence[str], spenders: Sequence[Spender]) -> Spender:
    slots: dict[int, float] = {}
    for spender in spenders:
        for slot, bad in spender.by_slot.items():
            slots[slot] = slots.get(slot, 0.0) + bad
    return Spender(dict(zip(by, names, strict=True)), sum(spender.bad for spender in spenders), slots)


def query_text(query: EventQuery | PromQuery | GaugeQuery) -> str:
    """The query as one line: PromQL as written; conditions as `status >= 500 and path =~ ^/api`, none as ``."""
    if not isinstance(query, EventQuery):
        return query.text
    return " and ".join(" ".join([condition.field, condition.operator,
                                  ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in condition.values)])
                        .strip() for condition in query.where)


# -- acts ---------------------------------------------------------------------------------------------------------


class MemoryActuator:
    """Does nothing but remember what was asked for; a test says what becomes of each.

    Args:
        answers: by the act as JSON values, what becomes of it; an act that nobody answers succeeds with no output.
        secrets: by the name of their environment variable.
    """

    def __init__(self, answers: Callable[[Act], Outcome | None] = lambda _: None,
                 secrets: Mapping[str, str] | None = None,
                 prepared: Callable[[Act], Prepared] = lambda _: Prepared()) -> None:
        self.done: list[Act] = []
        self._answers, self._secrets, self._prepared = answers, secrets or {}, prepared

    def secret(self, env: str, file: str) -> str:
        """The secret of that variable.

        Raises:
            InvalidInput: there is none.
        """
        if env not in self._secrets:
            raise InvalidInput(f"the environment variable {env or file} holds no secret", f"set {env}")
        return self._secrets[env]

    def prepare(self, act: Act) -> Prepared:
        """As the test says."""
        return self._prepared(act)

    def carry_out(self, act: Act, watch: Watch) -> Outcome:
        """As the test says; its output is shown."""
        self.done.append(act)
        outcome = self._answers(act) or Outcome(Ending.SUCCEEDED)
        if outcome.output:
            watch.output(outcome.output)
        return outcome
