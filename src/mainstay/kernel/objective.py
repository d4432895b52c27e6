"""What is promised, as every word knows it: services, sources, indicators and objectives, as frozen types.

The word `slo` reads them from files and measures them; others name them (an alert, an incident, an experiment is about
an objective), which is why they stand on the ground that all words share.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, field, replace
from datetime import date, timedelta
from enum import StrEnum

from mainstay.kernel.catalog import Catalog
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.finding import Position
from mainstay.kernel.method import Method, Occurrences
from mainstay.kernel.ports import EventQuery, FileSet, GaugeQuery, PromQuery
from mainstay.kernel.quantity import Period, Target, Window


class IndicatorType(StrEnum):
    """What an indicator says of a service (Google SRE Book, ch. 4; SRE Workbook, ch. 2)."""

    AVAILABILITY = "availability"
    LATENCY = "latency"
    ERROR_RATE = "error_rate"
    THROUGHPUT = "throughput"
    CORRECTNESS = "correctness"
    FRESHNESS = "freshness"
    COVERAGE = "coverage"
    DURABILITY = "durability"
    CUSTOM = "custom"


@dataclass(frozen=True, slots=True)
class Service:
    """Something users depend on."""

    name: str
    origin: Position
    title: str = ""
    description: str = ""
    owner: str = ""


SOURCE_TIMEOUT = timedelta(seconds=30)
SOURCE_RETRIES = 2


@dataclass(frozen=True, slots=True)
class PrometheusDetails:
    """How to reach a Prometheus HTTP API. Secrets are named by file or environment variable, never written out."""

    url: str
    username: str = ""
    password_env: str = ""
    password_file: str = ""
    token_env: str = ""
    token_file: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    verify: bool = True
    timeout: timedelta = SOURCE_TIMEOUT
    retries: int = SOURCE_RETRIES


Details = PrometheusDetails | FileSet


@dataclass(frozen=True, slots=True)
class DataSource:
    """Where numbers come from.

    Args:
        type: `prometheus` (any Prometheus HTTP API), `events` (log, span and table files), or a name Mainstay
            cannot ask, whose `details` are None.
    """

    name: str
    origin: Position
    type: str
    details: Details | None
    description: str = ""


@dataclass(frozen=True, slots=True)
class PerSecond:
    """Throughput: a slice of time is good when at least `minimum` events a second arrived in it."""

    minimum: float
    slice: timedelta


@dataclass(frozen=True, slots=True)
class FreshWithin:
    """Freshness: a slice of time is good when an update arrived at most `age` before its end."""

    age: timedelta
    slice: timedelta


@dataclass(frozen=True, slots=True)
class Indicator:
    """What is counted: bad (or good) and total of one source.

    Args:
        source: the DataSource's name; empty when the form did not say, which leaves the objective without data.
        bad, good: one of the two, or neither when `total` is a GaugeQuery or `derived` is given.
        derived: the counts are slices of time judged by what arrived in them.
        percentile: for people: which share of requests the threshold is about, as the form wrote it.
    """

    name: str
    origin: Position
    type: IndicatorType
    source: str
    total: EventQuery | PromQuery | GaugeQuery
    bad: EventQuery | PromQuery | None = None
    good: EventQuery | PromQuery | None = None
    derived: PerSecond | FreshWithin | None = None
    threshold: timedelta | None = None
    description: str = ""
    exclusions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ObjectiveWindow:
    """A window of an objective, with the target that holds in it and whom a miss concerns.

    Args:
        alert: `page`, `ticket` or `report`.
    """

    window: Window
    target: Target
    alert: str = "report"


@dataclass(frozen=True, slots=True)
class Dependency:
    """A service this one cannot do without, and what that service promises."""

    service: str
    promise: Target | None
    impact: str
    where: Position


@dataclass(frozen=True, slots=True)
class Review:
    """How often an objective is looked at again, and when it last was."""

    every: Period
    last: date | None = None
    participants: tuple[str, ...] = ()
    agenda: tuple[str, ...] = ()


_EVERY_EVENT = Occurrences()


@dataclass(frozen=True, slots=True)
class Objective:
    """A promise: this indicator, at least this target, over these windows.

    Args:
        indicator: itself, or the name of one declared elsewhere.
        windows: the first is the one that budgets, gates and policies speak of.
        sla: what is promised by contract, looser than the target.
        policy: the name of an ErrorBudgetPolicy, or of a preset; empty for the default.
        weight: its impact within a composite.
        comparison: operator and value for an indicator that is a bare threshold metric declared elsewhere.
        alert_policies: names of the OpenSLO AlertPolicies that it says it is alerted by.
    """

    name: str
    origin: Position
    service: str
    indicator: Indicator | str
    windows: tuple[ObjectiveWindow, ...]
    method: Method = _EVERY_EVENT
    title: str = ""
    description: str = ""
    rationale: str = ""
    owner: str = ""
    sla: Target | None = None
    dependencies: tuple[Dependency, ...] = ()
    policy: str = ""
    review: Review | None = None
    exclusions: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    weight: float = 1.0
    comparison: tuple[str, float] | None = None
    alert_policies: tuple[str, ...] = ()

    @property
    def target(self) -> Target:
        """The target of the main window."""
        return self.windows[0].target

    @property
    def window(self) -> Window:
        """The main window."""
        return self.windows[0].window


@dataclass(frozen=True, slots=True)
class AlertDeclaration:
    """An OpenSLO AlertPolicy, AlertCondition or AlertNotificationTarget, kept whole for the word monitoring."""

    name: str
    origin: Position
    kind: str
    spec: Mapping[str, object]


def ledger_key(indicator: Indicator, method: Method) -> str:
    """Under which the ledger keeps what this indicator counted.

    It names what is counted and how, not what the objective is called: renaming an objective or changing its target,
    labels or windows keeps its history; counting something else starts a new one.
    """
    counted = {"source": indicator.source, "total": _described(indicator.total), "bad": _described(indicator.bad),
               "good": _described(indicator.good), "derived": _described(indicator.derived),
               "method": _described(method)}
    text = json.dumps(counted, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _described(part: object) -> object:
    return None if part is None else [type(part).__name__, asdict(part)]  # type: ignore[call-overload]


def resolved(objective: Objective, catalog: Catalog) -> Indicator:
    """The objective's indicator, fetched by name where it is declared elsewhere, compared and with a source.

    An indicator that names no source counts at the only source of the catalog that fits its query, if there is one.
    """
    indicator = objective.indicator
    if isinstance(indicator, str):
        indicator = catalog.get(Indicator, indicator)
    if isinstance(indicator.total, GaugeQuery) and objective.comparison is not None:
        operator, threshold = objective.comparison
        indicator = replace(indicator, total=replace(indicator.total, operator=operator, threshold=threshold))
    if not indicator.source:
        wanted = "events" if isinstance(indicator.total, EventQuery) else "prometheus"
        fitting = [source.name for source in catalog.of(DataSource) if source.type == wanted]
        if len(fitting) == 1:
            indicator = replace(indicator, source=fitting[0])
    return indicator
