"""What alerts did, from a Prometheus' own series: `ALERTS` says when one was on, `ALERTS_FOR_STATE` since when it held.

A rule writes one sample an evaluation while its condition holds, under `alertstate="pending"` until `for` is over and
`"firing"` from then on. A stretch ends where samples stop for longer than two and a half of their usual distances, or
where `ALERTS_FOR_STATE` names another beginning; one that names the same goes on over a gap, as Prometheus itself has
it after a restart. Raw samples are read, so nothing shorter than an evaluation is lost between two steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np

from mainstay.adapters.prometheus_api import Answer, PrometheusApi, PrometheusSettings, Refused, TooMuchAsked
from mainstay.kernel.alert_history import Activation, AlertRule, AlertsRead
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, SourceUnavailable
from mainstay.kernel.ports import Clock
from mainstay.kernel.quantity import Span

DAY = 86_400
GAP = 2.5
"""Usual distances between two samples beyond which a stretch is over: one evaluation may be missed."""
USUAL = 60.0
"""Seconds between evaluations where no series has two samples: Prometheus' default."""

_Key = frozenset[tuple[str, str]]


class _Rule(msgspec.Struct, rename="camel"):
    type: str = ""
    name: str = ""
    query: str = ""
    duration: float = 0.0
    keep_firing_for: float = 0.0
    labels: dict[str, str] = {}


class _Group(msgspec.Struct):
    rules: list[_Rule] = []


class _Groups(msgspec.Struct):
    groups: list[_Group] = []


class _Rules(msgspec.Struct):
    data: _Groups = msgspec.field(default_factory=_Groups)


@dataclass(frozen=True, slots=True)
class _Samples:
    """The samples of one alert: instants at which it was pending or firing, and the beginnings it named."""

    pending: np.ndarray[tuple[int], np.dtype[np.float64]]
    firing: np.ndarray[tuple[int], np.dtype[np.float64]]
    began: Mapping[float, float]


class PrometheusAlerts:
    """A history of alerts over a Prometheus API; see `mainstay.kernel.alert_history.AlertHistory`."""

    def __init__(self, settings: PrometheusSettings, clock: Clock) -> None:
        self._settings, self._clock = settings, clock

    def read(self, span: Span) -> AlertsRead:
        """Every activation that touches the span, by when it began."""
        with closing(PrometheusApi(self._settings, self._clock)) as api:
            return _Reader(api, self._settings.at_once).read(span)


@dataclass(frozen=True, slots=True)
class _Reader:
    """One conversation."""

    api: PrometheusApi
    at_once: int

    def read(self, span: Span) -> AlertsRead:
        start, end = int(span.start.timestamp()), int(span.end.timestamp())
        rows = self._samples(start, end)
        usual = _usual(rows.values())
        found = [one for key, samples in rows.items() for one in _activations(dict(key), samples, usual, (start, end))]
        rules = self._rules()
        said = f"{self.api.where}: {len(rows):,} series of ALERTS"
        return AlertsRead(said, tuple(sorted(found, key=lambda one: (one.began, sorted(one.labels.items())))),
                          self._held(span, bool(rules)), rules)

    def _samples(self, start: int, end: int) -> dict[_Key, _Samples]:
        days = [(low, min(low + DAY, end)) for low in range(start, end, DAY)]
        instants: dict[_Key, dict[str, list[float]]] = {}
        began: dict[_Key, dict[float, float]] = {}
        with ThreadPoolExecutor(self.at_once, "alerts") as pool:
            for answer in pool.map(lambda day: self._piece("ALERTS", *day), days):
                for line in (line for part in answer for line in part.data.result):
                    key, state = _key(line.metric), line.metric.get("alertstate", "")
                    if state in ("pending", "firing"):
                        instants.setdefault(key, {}).setdefault(state, []).extend(at for at, _ in line.values)
            for answer in pool.map(lambda day: self._piece("ALERTS_FOR_STATE", *day), days):
                for line in (line for part in answer for line in part.data.result):
                    began.setdefault(_key(line.metric), {}).update(line.values)
        return {key: _Samples(np.array(states.get("pending", ())), np.array(states.get("firing", ())),
                              began.get(key, {})) for key, states in instants.items()}

    def _piece(self, metric: str, start: int, end: int) -> list[Answer]:
        """The raw samples of [start, end), in halves where the server finds that too much."""
        try:
            return [self.api.query_raw(metric, start, end)]
        except TooMuchAsked:
            if end - start < 120:
                raise
            middle = (start + end) // 2
            return [*self._piece(metric, start, middle), *self._piece(metric, middle, end)]

    def _rules(self) -> tuple[AlertRule, ...] | None:
        """The alerting rules in force; None where the server has no such page, as a plain store has not."""
        try:
            text = self.api.text("rules")
        except (Refused, InvalidInput):
            return None
        try:
            found = msgspec.json.decode(text, type=_Rules)
        except msgspec.DecodeError as error:
            raise SourceUnavailable(f"the rules of {self.api.where} cannot be read: {error}",
                                    "is this a Prometheus API?") from error
        return tuple(AlertRule(rule.name, rule.labels, timedelta(seconds=rule.duration),
                               timedelta(seconds=rule.keep_firing_for), rule.query)
                     for group in found.data.groups for rule in group.rules if rule.type == "alerting")

    def _held(self, span: Span, evaluates: bool) -> Span | None:
        """The part of the span the server remembers, by its alerts and what it scraped; all of it where it has rules
        and nothing ever fired.
        """
        start, end = int(span.start.timestamp()), int(span.end.timestamp())
        step = max(60, min(3600, (end - start) // 100))
        answer = self.api.query_range('count({__name__=~"ALERTS|up"})', start, end, step)
        times = [at for line in answer.data.result for at, _ in line.values]
        if times:
            return Span(datetime.fromtimestamp(max(start, int(min(times)) - step), UTC), span.end)
        return span if evaluates else None


def _key(labels: Mapping[str, str]) -> _Key:
    return frozenset((name, value) for name, value in labels.items() if name not in ("__name__", "alertstate"))


# -- from samples to stretches ----------------------------------------------------------------------------------------


def _usual(rows: Iterable[_Samples]) -> float:
    """The usual distance between two samples, over all alerts: for those that have only one."""
    distances = [float(np.median(np.diff(samples))) for row in rows for samples in (row.firing, row.pending)
                 if len(samples) > 1]
    return float(np.median(distances)) if distances else USUAL


def _activations(labels: Mapping[str, str], samples: _Samples, usual: float, span: tuple[int, int],
                 ) -> Iterable[Activation]:
    instants = np.concatenate((samples.pending, samples.firing))
    order = np.argsort(instants, kind="stable")
    instants = instants[order]
    fires = (np.arange(len(order)) >= len(samples.pending))[order]
    steps = np.diff(instants)
    step = float(np.median(steps[steps > 0])) if np.any(steps > 0) else usual
    step = min(step, usual * GAP)
    names = np.array([samples.began.get(float(at), np.nan) for at in instants])
    # The same alert may be on twice at one instant (pending of one evaluation, firing of the next): not a new stretch.
    renamed = np.abs(np.diff(names)) > 1e-3
    same = np.abs(np.diff(names)) <= 1e-3
    cuts = np.flatnonzero(renamed | ((steps > step * GAP) & ~same)) + 1
    for part in np.split(np.arange(len(instants)), cuts):
        if len(part):
            yield _activation(labels, instants[part], fires[part], names[part], (step, *span))


def _activation(labels: Mapping[str, str], instants: np.ndarray[tuple[int], np.dtype[np.float64]],
                fires: np.ndarray[tuple[int], np.dtype[np.bool_]],
                names: np.ndarray[tuple[int], np.dtype[np.float64]], bounds: tuple[float, int, int]) -> Activation:
    step, start, end = bounds
    first, last = float(instants[0]), float(instants[-1])
    named = names[~np.isnan(names)]
    began = float(named[0]) if len(named) and named[0] <= first else first
    fired = float(instants[fires][0]) if fires.any() else None
    if fired is not None and fired <= start + step and fired == first:
        # It was on before anybody looked; since when it held is all that is known.
        fired = min(began, first)
    on = last + step * GAP >= end
    return Activation(dict(labels), _moment(began), None if fired is None else _moment(fired),
                      None if on else _moment(last + step), _moment(last))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
