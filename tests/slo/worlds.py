"""A small world for tests: objectives as objects, exact histories in memory, a clock that is moved by hand.

Nothing stands in for our own code: the journal, the ledger and the source are the in-memory ones that keep the same
contracts as the durable ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from mainstay.adapters.clock import FakeClock
from mainstay.adapters.memory import MemoryJournal, MemoryLedger, MemorySource
from mainstay.kernel.catalog import Catalog, Resource
from mainstay.kernel.errors import InvalidInput, MainstayError, NotFound
from mainstay.kernel.finding import Position
from mainstay.kernel.journal import Fact, FactQuery
from mainstay.kernel.method import Method, Occurrences
from mainstay.kernel.objective import DataSource, Indicator, IndicatorType, Objective, ObjectiveWindow
from mainstay.kernel.ports import CountRequest, PromQuery, Reading, Source, Spender, Survey, Surveyed, World
from mainstay.kernel.quantity import Target, Window, parse_window
from mainstay.kernel.series import Series
from mainstay.slo.spec import Maintenance

SLOT = 300
DAY = 86_400
NOW = datetime(2026, 3, 20, 12, 0, tzinfo=UTC)
HERE = Position("slos.yaml", 1, 1)
DAYS = timedelta(days=1)
HOURS = timedelta(hours=1)
MINUTES = timedelta(minutes=1)


class Events:
    """Counts per slot of a few named queries, that a test writes down and may correct afterwards."""

    def __init__(self, start: datetime, end: datetime, step: int = SLOT) -> None:
        self.start, self.step = int(start.timestamp()) // step * step, step
        self.count = (int(end.timestamp()) - self.start) // step
        self.counts: dict[str, np.ndarray] = {}
        self.known = np.ones(self.count, dtype=np.bool_)

    def at(self, moment: datetime) -> int:
        return (int(moment.timestamp()) - self.start) // self.step

    def steady(self, query: str, each: float) -> Events:
        self.counts[query] = np.full(self.count, float(each))
        return self

    def put(self, query: str, values: Sequence[float]) -> Events:
        self.counts[query] = np.asarray(values, dtype=float).copy()
        return self

    def add(self, query: str, moment: datetime, count: float, *, slots: int = 1) -> Events:
        self.counts.setdefault(query, np.zeros(self.count))[self.at(moment): self.at(moment) + slots] += count
        return self

    def forget(self, start: datetime, end: datetime) -> Events:
        """Nobody measured this stretch."""
        self.known[max(0, self.at(start)): max(0, self.at(end))] = False
        return self

    def between(self, query: str, start: datetime, end: datetime) -> float:
        """The truth: what the query counted in slots that start in [start, end), added up one by one."""
        starts = self.start + self.step * np.arange(self.count)
        inside = (starts >= start.timestamp()) & (starts < end.timestamp()) & self.known
        return float(self.counts[query][inside].sum())

    def series(self) -> dict[str, Series]:
        return {query: Series(self.start, self.step, np.zeros(self.count), np.where(self.known, counts, 0.0),
                              self.known.copy()) for query, counts in self.counts.items()}


@dataclass
class Watched:
    """A source in memory that remembers what it was asked, and may be down or refuse some questions."""

    events: Events
    down: MainstayError | None = None
    refuses: frozenset[str] = frozenset()
    spenders: dict[str, list[Spender]] = field(default_factory=dict)
    asked: list[CountRequest] = field(default_factory=list)

    def _memory(self) -> MemorySource:
        if self.down is not None:
            raise self.down
        return MemorySource(self.events.series(), self.spenders)

    def count(self, requests: Sequence[CountRequest]) -> list[Reading]:
        source = self._memory()
        self.asked += requests
        for request in requests:
            if request.total.text in self.refuses:  # type: ignore[union-attr]
                raise InvalidInput("this source does not understand the question", "write another")
        return source.count(requests)

    def probe(self) -> str:
        return self._memory().probe()

    def breakdown(self, request: CountRequest, by: Sequence[str], limit: int = 50) -> list[Spender]:
        return self._memory().breakdown(request, by, limit)


@dataclass
class Room:
    """A world and the things in it that a test moves."""

    clock: FakeClock
    journal: MemoryJournal
    ledger: MemoryLedger
    source: Watched
    world: World

    def facts(self, *kinds: str) -> list[Fact]:
        return list(self.journal.facts(FactQuery(kinds=kinds)))

    def declares(self, *resources: Resource) -> None:
        """Another catalog, the same record: what a team does when it edits its files."""
        self.world = replace(self.world, catalog=catalog(resources))


def catalog(resources: Iterable[Resource]) -> Catalog:
    by_type: dict[type, dict[str, Resource]] = {DataSource: {"counts": DataSource("counts", HERE, "prometheus", None)}}
    for one in resources:
        by_type.setdefault(type(one), {})[one.name] = one
    return Catalog(by_type)


def room(events: Events, *resources: Resource, now: datetime = NOW) -> Room:
    clock = FakeClock(now)
    journal, ledger, watched = MemoryJournal(clock), MemoryLedger(), Watched(events)

    def source(name: str) -> Source:
        if name != "counts":
            raise NotFound(f'no source is named "{name}"')
        return watched

    def survey(asked: Survey) -> Surveyed:
        raise AssertionError(f"no test of this room reads files: {asked}")

    world = World(clock=clock, catalog=catalog(resources), journal=journal, ledger=ledger, source=source, survey=survey)
    return Room(clock, journal, ledger, watched, world)


def indicator(name: str = "", *, total: str = "requests", bad: str = "errors") -> Indicator:
    return Indicator(name, HERE, IndicatorType.AVAILABILITY, "counts", PromQuery(total), bad=PromQuery(bad))


def objective(name: str = "web", *, target: object = 99, windows: Sequence[tuple[str, object]] = (),
              window: str = "30d", zone: str = "UTC", method: Method | None = None, measures: Indicator | None = None,
              service: str = "shop", **more: object) -> Objective:
    """An objective on `errors` of `requests`; `windows` adds more windows with targets of their own."""
    listed = [(window, target), *windows]
    return Objective(
        name, HERE, service, measures or indicator(name),
        tuple(ObjectiveWindow(_window(text, zone), Target.percent(str(wanted))) for text, wanted in listed),
        method or Occurrences(), **more)  # type: ignore[arg-type]


def _window(text: str, zone: str) -> Window:
    return parse_window(text, zone=zone)


def maintenance(name: str, start: datetime, length: timedelta, *, every: timedelta | None = None,
                objectives: tuple[str, ...] = (), services: tuple[str, ...] = ()) -> Maintenance:
    return Maintenance(name, HERE, start, length, "new disks", every, None, services, objectives)


def busy_month(days: int = 40, *, each: float = 100, now: datetime = NOW) -> Events:
    """Steady traffic without a failure, up to the last whole slot before now."""
    return Events(now - days * DAYS, now).steady("requests", each).steady("errors", 0)
