"""The ports: what the outside must offer. Synchronous and batch-first; concurrency hides below the port."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime, timedelta
from typing import Protocol

from mainstay.kernel.actuation import Acting, NoActuator
from mainstay.kernel.alert_history import AlertHistory, AlertPlace, no_alert_history
from mainstay.kernel.catalog import Catalog
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.faults import Injector, NoFaults, Relays, no_relays
from mainstay.kernel.finding import Finding
from mainstay.kernel.journal import Journal
from mainstay.kernel.people import Nobody, Notifier, Responders
from mainstay.kernel.probing import NoProber, Prober
from mainstay.kernel.quantity import SLOT, Span, State
from mainstay.kernel.series import FloatArray, Series
from mainstay.kernel.workload import Workload


class Clock(Protocol):
    """Time, so that a year can be simulated in seconds."""

    def now(self) -> datetime:
        """The wall clock, aware UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump; only differences mean anything."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return after that many seconds of this clock."""
        ...


# -- numbers in ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Condition:
    """A field of an event compared with values: `status >= 500`, `method in (GET, HEAD)`, `path =~ ^/api`.

    Args:
        operator: one of `==`, `!=`, `<`, `<=`, `>`, `>=`, `in`, `not in`, `=~`, `!~`, `present`, `absent`.
        values: one value, several for `in` and `not in`, none for `present` and `absent`.
    """

    field: str
    operator: str
    values: tuple[str | float, ...] = ()


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Events for which every condition holds."""

    where: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class PromQuery:
    """A PromQL query that counts events.

    Args:
        text: a counter's selector when `counter`, else an expression whose value at t is the count in (t - w, t];
            `$window` in it stands for the slot's length.
    """

    text: str
    counter: bool = False


@dataclass(frozen=True, slots=True)
class GaugeQuery:
    """A PromQL expression whose value at each sample is compared: a sample is good when `value operator threshold`.

    Args:
        operator: one of `<`, `<=`, `>`, `>=`, `==`, `!=`.
        share: the value itself is already a ratio of good (`good`) or bad (`bad`) events, 0..1; then no comparison.
    """

    text: str
    operator: str = ""
    threshold: float = 0.0
    share: str = ""


@dataclass(frozen=True, slots=True)
class CountRequest:
    """Bad and total per slot of one indicator over a span.

    Args:
        bad, good: exactly one of the two is given, or neither when `total` is a GaugeQuery.
        step: seconds in a slot.
    """

    total: EventQuery | PromQuery | GaugeQuery
    span: Span
    bad: EventQuery | PromQuery | None = None
    good: EventQuery | PromQuery | None = None
    step: int = 300


@dataclass(frozen=True, slots=True)
class Reading:
    """What a source answered: the series, what it warned of, and the queries as they were asked."""

    series: Series
    warnings: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Spender:
    """A group of events (by endpoint, status, label) and what it lost in each slot it lost something in."""

    labels: Mapping[str, str]
    bad: float
    by_slot: Mapping[int, float] = field(default_factory=dict)


class Source(Protocol):
    """Numbers in. Sources: files through DuckDB, any Prometheus HTTP API, memory (tests)."""

    def count(self, requests: Sequence[CountRequest]) -> list[Reading]:
        """One reading a request, in order.

        Raises:
            SourceUnavailable: the source is down, slow, refuses or answers nonsense.
            InvalidInput: a query is not one this source understands.
        """
        ...

    def probe(self) -> str:
        """What answers, in a few words: `prometheus 2.42.0`, `3 files`.

        Raises:
            SourceUnavailable, InvalidInput: nothing does.
        """
        ...

    def breakdown(self, request: CountRequest, by: Sequence[str], limit: int = 50) -> list[Spender]:
        """Who the bad events belong to, the greatest first; what is beyond the limit is summed under `(other)`."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class DaySums:
    """A ledger's sums per UTC day. Arrays of one length: epoch day number × 86,400, Σbad, Σtotal, known slots."""

    days: FloatArray
    bad: FloatArray
    total: FloatArray
    known: FloatArray


class Ledger(Protocol):
    """Bad and total per 5-minute slot of every indicator. Stores: memory (tests), SQLite, PostgreSQL."""

    def write(self, entries: Mapping[str, Series], recorded_at: datetime) -> dict[str, int]:
        """Replace the known slots of each key by the given ones, durably; how many slots changed value, by key."""
        ...

    def read(self, keys: Sequence[str], span: Span) -> dict[str, Series]:
        """The slots of each key over the span (widened to whole slots); gaps where nothing was written."""
        ...

    def day_sums(self, keys: Sequence[str], span: Span) -> dict[str, DaySums]:
        """Sums of whole UTC days that the span touches, without reading their slots."""
        ...

    def extent(self, keys: Sequence[str]) -> dict[str, Span]:
        """From the first to behind the last known slot, for the keys that have any."""
        ...

    def close(self) -> None:
        """Let go of the store."""
        ...


# -- files named on the spot ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FileSet:
    """Files of events: logs, spans, tables; several of one shape count as one.

    Args:
        paths: files, globs or `-` for standard input; gzip is recognised by content.
        format: `auto`, or one of `adapters.events.FORMATS`.
        fields: where the format does not say: our field (`time`, `status`, `duration`, …) to the file's own.
        unique_by: rows equal in all these fields count once.
        where: only events for which every condition holds are counted at all.
        zone: the zone of times that carry none.
    """

    paths: tuple[str, ...]
    format: str = "auto"
    fields: Mapping[str, str] = field(default_factory=dict)
    unique_by: tuple[str, ...] = ()
    where: tuple[Condition, ...] = ()
    zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Survey:
    """What to find out about files of events.

    Args:
        bad: an event is bad when every condition holds.
        latency: an event slower than this many seconds is slow; None leaves latencies out when the files have none.
        spenders_by: the fields whose values name who spent the budget.
        step: seconds in a slot of the series.
    """

    files: FileSet
    bad: tuple[Condition, ...] = (Condition("status", ">=", (500.0,)),)
    latency: float | None = None
    spenders_by: tuple[str, ...] = ("method", "path", "status")
    top: int = 10
    step: int = SLOT


@dataclass(frozen=True, slots=True)
class Latency:
    """Durations in seconds; percentiles are nearest-rank and exact: the ceil(p·n)-th smallest."""

    good: float | None
    total: float
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Surveyed:
    """What the files hold. `lines` counts lines (or rows, or records); parsed + rejected = lines, always.

    Args:
        rejected_samples: up to twenty rejected lines as (line number within the whole input, why, text cut at 200).
        repeated: parsed rows that `unique_by` took away.
        left_out: parsed rows that `where` left out.
        series: bad and total per slot of the survey's step.
        by_day: (UTC day as YYYY-MM-DD, total, bad), ascending, days without events left out.
        spenders: (values of `spenders_by`, bad), the greatest first.
    """

    format: str
    lines: int
    parsed: int
    rejected: int
    rejected_samples: tuple[tuple[int, str, str], ...]
    repeated: int
    left_out: int
    first: datetime | None
    last: datetime | None
    total: float
    bad: float
    by_day: tuple[tuple[str, float, float], ...]
    spenders: tuple[tuple[tuple[str, ...], float], ...]
    latency: Latency | None
    series: Series


# -- texts named on the spot ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TextFile:
    """A whole text: a rule file, a metric page.

    Args:
        name: as people call it: a path, an address, `standard input`.
        named: whether it was named itself, and not found in a folder that was.
        writable: whether `Texts.write` can replace it: a plain file.
    """

    name: str
    text: str
    named: bool = True
    writable: bool = False


class Texts(Protocol):
    """Whole texts in and out: files, folders, standard input, web addresses."""

    def read(self, path: str, endings: Sequence[str]) -> list[TextFile]:
        """The text behind a path or address; of a folder, every file below it with one of the endings, sorted.

        Raises:
            InvalidInput: nothing is there, or it is no text.
            SourceUnavailable: the address does not answer.
        """
        ...

    def pieces(self, path: str) -> Iterator[str]:
        """The text of one file or standard input, a piece at a time, so that memory does not grow with it.

        Raises:
            InvalidInput: nothing is there, or it is no text; also later, at the piece where it stops being one.
        """
        ...

    def write(self, path: str, text: str) -> None:
        """Put the text in the file's place, whole or not at all; a file that is not there is made, rights stay.

        Raises:
            InvalidInput: it cannot be written.
        """
        ...


class NoTexts:
    """A world without files: whoever asks it is told so."""

    def read(self, path: str, endings: Sequence[str]) -> list[TextFile]:  # noqa: ARG002  (the port's signature)
        """Refuses.

        Raises:
            InvalidInput: always.
        """
        raise InvalidInput(f"{path} cannot be read here", "use the command line, which reads files")

    def pieces(self, path: str) -> Iterator[str]:
        """Refuses.

        Raises:
            InvalidInput: always.
        """
        raise InvalidInput(f"{path} cannot be read here", "use the command line, which reads files")

    def write(self, path: str, text: str) -> None:  # noqa: ARG002  (the port's signature)
        """Refuses.

        Raises:
            InvalidInput: always.
        """
        raise InvalidInput(f"{path} cannot be written here", "use the command line, which writes files")


# -- what another word knows -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PlannedWork:
    """One time that declared work is done; without services and objectives it concerns everything."""

    name: str
    reason: str
    span: Span
    services: tuple[str, ...] = ()
    objectives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Spending:
    """What an objective lost in a stretch of time; the field names are stable JSON.

    Args:
        target: 0..1.
        bad, total: events that were bad, and all of them, in the stretch.
        allowed: bad events that the objective's whole window allows, as counted when the stretch ended.
        share: of the window's budget that the stretch spent, 0..; None where nothing was measured, or the target leaves
            no budget and something was lost.
        until: the end of the last measured slot of the stretch; None when nothing was measured.
        unit: `events`, or `slices` where time is what counts.
    """

    objective: str
    service: str
    target: float
    window: str
    bad: float
    total: float
    allowed: float
    share: float | None
    until: datetime | None
    unit: str = "events"


@dataclass(frozen=True, slots=True)
class ServiceStanding:
    """How an objective of a service stands, from the ledger.

    Args:
        state: healthy, at_risk, violated, no_data.
        spent: share of the window's budget, above 1 when overspent; None without data.
        burn: how many times faster than allowed it was spent in the last hour; None without data.
    """

    objective: str
    service: str
    state: State
    window: str
    spent: float | None
    burn: float | None
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Probed:
    """What a URL answered.

    Args:
        status: HTTP's; None when nothing answered, and `problem` says why.
    """

    url: str
    status: int | None
    seconds: float
    problem: str = ""

    @property
    def healthy(self) -> bool:
        """Whether it answered with success."""
        return self.status is not None and self.status < 400


# -- commands apart ----------------------------------------------------------------------------------------------


class Begun(Protocol):
    """A command of Mainstay in a process and a session of its own: it outlives whoever began it."""

    @property
    def process(self) -> str:
        """Which process, of all that write into one store: `host:number`."""
        ...

    def code(self) -> int | None:
        """Its exit code; None while it goes on."""
        ...

    def said(self) -> str:
        """What it said on standard error so far."""
        ...

    def end(self) -> None:
        """Tell it to stop, in good order."""
        ...


# -- the world ----------------------------------------------------------------------------------------------------


_NOBODY = Nobody()


def no_other_catalog(place: str) -> Catalog:
    """What `World.catalog_at` is where nobody said how other catalogs are read."""
    raise InvalidInput(f"no catalog can be read from {place} here", "run the command line beside the catalog's files")


def _with_catalog(world: World, catalog: Catalog) -> World:
    return replace(world, catalog=catalog)


def _nothing_planned(world: World, span: Span) -> tuple[PlannedWork, ...]:  # noqa: ARG001
    return ()


def _nothing_spent(world: World, services: Sequence[str], span: Span,  # noqa: ARG001
                   offline: bool) -> tuple[Spending, ...]:  # noqa: ARG001
    return ()


class Standings(Protocol):
    """How every objective of these services stands, the worst first."""

    def __call__(self, world: World, services: Sequence[str], *, fresh: bool = False) -> tuple[ServiceStanding, ...]:
        """From the ledger alone; `fresh` asks the sources for what it lacks.

        Raises:
            SourceUnavailable: it is to be fresh, and a source does not answer.
        """
        ...


def _no_standing(world: World, services: Sequence[str], *, fresh: bool = False,  # noqa: ARG001
                 ) -> tuple[ServiceStanding, ...]:
    return ()


def _no_probe(url: str, time_out: timedelta) -> Probed:
    raise AssertionError(f"this world was made without a way to ask {url} within {time_out}")


def _no_command(words: Sequence[str]) -> Begun:
    raise InvalidInput(f"mainstay {' '.join(words)} cannot be begun from here", "run it at a terminal")


def _no_usage(measure: str, workload: Workload | None) -> float:
    raise AssertionError(f"this world was made without a look at its host; asked for {measure} of {workload}")


@dataclass(frozen=True, slots=True)
class World:
    """All that an operation is handed: what is declared, what is recorded, who asks, and the time.

    Args:
        source: gives the source of that name; NotFound when the catalog declares none.
        survey: reads files of events that were named on the spot (`slo try`).
        responders: who is there to be paged.
        channels: everything that can be sent to, by the channel's name.
        spent: what every objective of these services lost over a span, from the ledger alone where the last argument
            says so, else after asking the sources for what it lacks; it is the word slo that knows.
        planned: the work that the catalog plans within a span; it is the word slo that knows.
        standing: how every objective of these services stands, the worst first; it is the word slo that knows.
        probe: asks a URL for its health, within a time in all.
        alerts: opens a history of alerts.
        catalog_at: the catalog of another folder, or of this one at a git revision, free of mistakes.
        under: this world under another catalog, whose sources, channels and probes are the ones asked then.
        findings: what is worth saying about the catalog's files; errors among them only for an operation that asked.
        progress: called with a sentence during long work; doors decide whether to show it.
        texts: whole files, such as rules and metric pages.
        injector: every way to put faults into this host, opened when the first one asks.
        relays: runs proxies between programs, with toxiproxy's API, until this process is told to stop.
        prober: asks running systems over HTTP and TCP, by a program, a query or a function.
        actuator: does acts on the system, such as the steps of runbooks; opened when the first one asks.
        usage: how much of this host's `memory` or `cpu` is in use, 0..1, by all or by a workload's process.
        command: begins a command of Mainstay, given as its words, on the same catalog and store and apart from this
            process.
        tell: called with lines during long work that stay, such as a command's output; None where nobody waits for the
            end, as over HTTP.
        scopes: what the actor may do (`read`, `write`, `approve`), for operations that show some people more than
            others; nothing unless a door says so.
    """

    clock: Clock
    catalog: Catalog
    journal: Journal
    ledger: Ledger
    source: Callable[[str], Source]
    survey: Callable[[Survey], Surveyed]
    responders: Responders = _NOBODY
    channels: Callable[[], Mapping[str, Notifier]] = dict
    spent: Callable[[World, Sequence[str], Span, bool], tuple[Spending, ...]] = _nothing_spent
    planned: Callable[[World, Span], tuple[PlannedWork, ...]] = _nothing_planned
    standing: Standings = _no_standing
    probe: Callable[[str, timedelta], Probed] = _no_probe
    findings: tuple[Finding, ...] = ()
    alerts: Callable[[AlertPlace], AlertHistory] = no_alert_history
    actor: str = "system"
    progress: Callable[[str], None] = lambda _: None
    catalog_at: Callable[[str], Catalog] = no_other_catalog
    under: Callable[[World, Catalog], World] = _with_catalog
    texts: Texts = field(default_factory=NoTexts)
    scopes: frozenset[str] = frozenset()
    injector: Callable[[], Injector] = NoFaults
    relays: Relays = no_relays
    prober: Callable[[], Prober] = NoProber
    actuator: Acting = NoActuator
    usage: Callable[[str, Workload | None], float] = _no_usage
    command: Callable[[Sequence[str]], Begun] = _no_command
    tell: Callable[[str], None] | None = None

