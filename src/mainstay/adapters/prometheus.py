"""Numbers from any Prometheus HTTP API: Prometheus, VictoriaMetrics, Thanos, Mimir.

The value of a slot that ends at t is what was counted in (t - step, t]. What that costs in exactness, measured with the
histories of `tests/servers/history.py` on Prometheus 2.42 and VictoriaMetrics (30 days, slots of 5 minutes):

* `sum(increase(X[5m]))`, one value a slot, is exact only when a scrape falls on every slot's end. Otherwise what
  happens between the last scrape of one slot and the first of the next belongs to no slot, and the rest is stretched to
  make up for it: right on average, wrong for the few failures a budget is made of. With scrapes every 60 s, 17 s after
  the slot's end, it saw 0 of 4,320 failures that all fell into that minute; every 15 s it saw 12,126 of 14,400.
* `sum(increase(X[5m1ms:1m]))` is what we ask Prometheus, Thanos and Mimir. Each minute stands for the last scrape
  before it and the first minute is the slot's start, so slots meet without a seam: it saw all 4,320 and all 14,400. The
  millisecond takes in the slot's start also where ranges are open on the left, as in Prometheus 3 (by construction, not
  measured); the stretch it adds, 1/300,000, is divided out again. It costs 10 % more time than the plain form.
* VictoriaMetrics' `increase` already reaches back to the last scrape before the slot, so it is asked the plain form.
* Restarts cost what was counted since the last scrape before them, a series that ends within a slot what it counted
  since the last whole minute; a counter that regains its old value within a minute is not seen to have restarted.
* A counter whose first sample is above zero was counting before anybody looked: that first value is lost (Prometheus
  makes a guess at it by stretching; VictoriaMetrics counts it when it is small). Declare label values at start.
* The first slot after a scrape gap is whole only if a scrape falls on its start. Scrapes that come less often than
  every five minutes leave slots without an increase, and these are gaps.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from types import TracebackType
from typing import assert_never

import numpy as np

from mainstay.adapters.clock import SystemClock
from mainstay.adapters.prometheus_api import (
    Line,
    PrometheusApi,
    PrometheusSettings,
    Refused,
    Tls,
    TooMuchAsked,
    settings_of,
)
from mainstay.adapters.secrets import Secret
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, SourceUnavailable
from mainstay.kernel.objective import PrometheusDetails
from mainstay.kernel.ports import Clock, CountRequest, EventQuery, GaugeQuery, PromQuery, Reading, Spender
from mainstay.kernel.quantity import Span
from mainstay.kernel.series import BoolArray, FloatArray, Series, floor_slot

__all__ = ["PrometheusSettings", "PrometheusSource", "Secret", "Tls", "declared_source", "selector"]

RELATIVE = 1e-9
"""How far bad may exceed total, relatively, before it is more than rounding in the server."""

LEAST = 1e-6
"""Events; less than this is what rounding leaves of total - good, and nobody's loss."""

DAY = 86_400
OTHER = "(other)"

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_STRING = r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|`[^`]*`"
_SELECTOR = rf"(?=\S)(?:[a-zA-Z_:][a-zA-Z0-9_:]*)?\s*(?:\{{(?:[^{{}}\"'`]|{_STRING})*\}})?"
_GAUGE = re.compile(rf"\s*({_SELECTOR})\s*")
_COUNTER = re.compile(rf"\s*(?:sum\s*\(\s*({_SELECTOR})\s*\)|({_SELECTOR}))\s*")
_WINDOW = re.compile(r"\$\{window\}|\$window\b|\{\{\s*\.?window\s*\}\}")
_COMPARE: Mapping[str, Callable[[FloatArray, float], BoolArray]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne}


def selector(metric: str, labels: Mapping[str, str]) -> str:
    """`metric{label="value"}` that matches exactly these values, whatever characters they hold.

    Raises:
        InvalidInput: the metric's or a label's name is none; values may be anything.
    """
    if not _METRIC.fullmatch(metric):
        raise InvalidInput(f'"{metric}" is not a name of a metric', "use letters, digits, _ and :")
    _label_names(tuple(labels))
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for value in labels.values())
    return metric + "{" + ",".join(f'{name}="{value}"' for name, value in zip(labels, quoted, strict=True)) + "}"


def _label_names(names: Sequence[str]) -> str:
    for name in names:
        if not _LABEL.fullmatch(name):
            raise InvalidInput(f'"{name}" is not a name of a label', "use letters, digits and _")
    return ", ".join(names)


@dataclass(frozen=True, slots=True)
class _Slots:
    """The slots of a request, and how many of them are over by now; the others are not known yet."""

    start: int
    step: int
    count: int
    over: int

    @classmethod
    def of(cls, span: Span, step: int, now: datetime) -> _Slots:
        start = floor_slot(span.start, step)
        count = max(0, math.ceil((span.end.timestamp() - start) / step))
        return cls(start, step, count, max(0, min(count, int((now.timestamp() - start) // step))))


@dataclass(frozen=True, slots=True)
class _Question:
    """One expression at the ends of slots, or, when `raw`, every sample of a selector; equal ones are asked once."""

    text: str
    slots: _Slots
    raw: bool = False
    scale: float = 1.0

    def pieces(self, points: int) -> list[tuple[int, int]]:
        """The slots in stretches [from, to) of at most so many; raw samples day by day."""
        length = max(1, DAY // self.slots.step) if self.raw else points
        return [(low, min(low + length, self.slots.over)) for low in range(0, self.slots.over, length)]


@dataclass(frozen=True, slots=True)
class _Points:
    """A series of an answer: labels, the index of the slot of each point, and the values."""

    labels: Mapping[str, str]
    slot: np.ndarray[tuple[int], np.dtype[np.int64]]
    value: FloatArray


@dataclass(frozen=True, slots=True)
class _Answered:
    """All that came back for a question."""

    points: list[_Points]
    warnings: list[str]

    def column(self, slots: _Slots) -> tuple[FloatArray, BoolArray]:
        """The one series that a sum gives, as value and presence per slot."""
        value, present = np.zeros(slots.count), np.zeros(slots.count, dtype=np.bool_)
        for points in self.points:
            value[points.slot] = points.value
            present[points.slot] = True
        return value, present


_SYSTEM = SystemClock()


def declared_source(details: PrometheusDetails, clock: Clock) -> PrometheusSource:
    """The source that a catalog declares so.

    Raises:
        InvalidInput: its address or its files cannot be used.
    """
    return PrometheusSource(settings_of(details), clock)


class PrometheusSource:
    """Bad and total per slot from a Prometheus API; see `mainstay.kernel.ports.Source`.

    Args:
        clock: says which slots are over; those that are not are not known yet.
    """

    def __init__(self, settings: PrometheusSettings, clock: Clock = _SYSTEM) -> None:
        self._api = PrometheusApi(settings, clock)
        self._settings = settings
        self._clock = clock
        self._reaches_back: bool | None = None

    def __enter__(self) -> PrometheusSource:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._api.close()

    def probe(self) -> str:
        """The engine that answers and its version, such as `prometheus 2.42.0`.

        Raises:
            SourceUnavailable: nothing that speaks this API answers.
        """
        try:
            build, headers = self._api.build()
        except Refused:  # Prometheus before 2.14 has no such page, and some proxies let only queries through
            self._api.query_range("vector(1)", 0, 0, 60)
            return "prometheus-compatible (it does not say which)"
        version = build.data.version
        if "X-Server-Hostname" in headers:  # VictoriaMetrics says this with every answer, and a borrowed version
            return "victoriametrics"
        if "mimir" in build.data.application.lower():
            return f"mimir {version}"
        return f"thanos {version}" if self._lists_stores() else f"prometheus {version}".strip()

    def _lists_stores(self) -> bool:
        """Whether the server has Thanos' page of its stores, which no other has."""
        try:
            return '"success"' in self._api.text("stores")
        except (Refused, InvalidInput):
            return False  # the answer to the question: it has no such page

    def count(self, requests: Sequence[CountRequest]) -> list[Reading]:
        """One reading a request, in order; slots that are not over yet are gaps.

        Raises:
            SourceUnavailable: the server is down, slow, refuses or answers nonsense.
            InvalidInput: a query is not one this source or the server understands.
        """
        plans = [(request, self._questions(request)) for request in requests]
        answered = self._ask_all([question for _, questions in plans for question in questions])
        return [_reading(request, questions, [answered[question] for question in questions])
                for request, questions in plans]

    def breakdown(self, request: CountRequest, by: Sequence[str], limit: int = 50) -> list[Spender]:
        """Who the bad events belong to, the greatest first; what is beyond the limit is summed under `(other)`.

        A label that a series does not have reads as an empty value.

        Raises:
            SourceUnavailable, InvalidInput: as `count`, and InvalidInput when `by` names no label.
        """
        if not by:
            raise InvalidInput("a breakdown needs at least one label", "name a label such as code or path")
        question = self._bad_question(request, _label_names(by))
        a_day = min(self._settings.max_points, max(1, DAY // request.step))  # many groups, so few slots at a time
        answered = self._ask_all([question], a_day)[question]
        groups: dict[tuple[str, ...], dict[int, float]] = {}
        for points in answered.points:
            lost = points.value
            if isinstance(request.total, GaugeQuery):
                lost = np.nan_to_num(_gauge_bad(request.total, points.value), nan=0.0)
            slots = groups.setdefault(tuple(points.labels.get(name, "") for name in by), {})
            for index in np.flatnonzero(np.isfinite(lost) & (lost > 0)):
                at = question.slots.start + int(points.slot[index]) * request.step
                slots[at] = slots.get(at, 0.0) + float(lost[index])
        return _spenders(groups, by, limit)

    # -- what is asked ----------------------------------------------------------------------------------------------

    def _questions(self, request: CountRequest) -> tuple[_Question, ...]:
        """The total's question and, unless it is a gauge, that of bad or good."""
        slots = _Slots.of(request.span, request.step, self._clock.now())
        match request.total:
            case GaugeQuery():
                return (_gauge_question(request, slots),)
            case PromQuery():
                if (request.bad is None) == (request.good is None):
                    raise InvalidInput("an indicator needs either bad or good events beside its total",
                                       "give one of the two queries")
                other = request.bad if request.bad is not None else request.good
                return self._counting(request.total, slots), self._counting(_prom(other), slots)
            case EventQuery():
                raise _not_a_query()
            case unknown:
                assert_never(unknown)

    def _counting(self, query: PromQuery, slots: _Slots, by: str = "", tail: str = "") -> _Question:
        summed = f"sum by ({by}) (" if by else "sum("
        if not query.counter:
            return _Question(f"{summed}{_bracketed(query.text, slots.step)}){tail}", slots)
        text, step = _counter(query.text), _length(slots.step)
        if self._engine_reaches_back():
            return _Question(f"{summed}increase({text}[{step}])){tail}", slots)
        fine = _length(math.gcd(slots.step, 60))
        return _Question(f"{summed}increase({text}[{step}1ms:{fine}])){tail}", slots,
                         scale=slots.step / (slots.step + 0.001))

    def _engine_reaches_back(self) -> bool:
        """Whether `increase` starts from the last sample before its window: VictoriaMetrics'; see the module's text."""
        if self._reaches_back is None:
            try:
                self._reaches_back = "X-Server-Hostname" in self._api.build()[1]
            except Refused:  # as in `probe`; if more is wrong, the queries will say so
                self._reaches_back = False
        return self._reaches_back

    def _bad_question(self, request: CountRequest, by: str) -> _Question:
        slots = _Slots.of(request.span, request.step, self._clock.now())
        if isinstance(request.total, GaugeQuery):
            return _gauge_question(request, slots)
        if request.bad is not None:
            return self._counting(_prom(request.bad), slots, by, " > 0")
        total, good = (self._counting(_prom(query), slots, by) for query in (request.total, request.good))
        alike = "" if good.scale == total.scale else f" * {good.scale / total.scale:.12g}"
        return _Question(f"{total.text} - ({good.text}{alike} or 0 * {total.text}) > {LEAST}", slots, scale=total.scale)

    # -- asking -----------------------------------------------------------------------------------------------------

    def _ask_all(self, questions: Sequence[_Question], points: int | None = None) -> dict[_Question, _Answered]:
        """Every distinct question's answer; the pieces of all of them share the threads."""
        pieces = [(question, low, high) for question in dict.fromkeys(questions)
                  for low, high in question.pieces(points or self._settings.max_points)]
        answered = {question: _Answered([], []) for question in questions}
        if not pieces:
            return answered
        pool = ThreadPoolExecutor(min(self._settings.at_once, len(pieces)), "prometheus")
        try:
            for (question, _, _), answer in zip(pieces, pool.map(lambda piece: self._ask(*piece), pieces), strict=True):
                answered[question].points.extend(answer.points)
                answered[question].warnings.extend(answer.warnings)
        finally:
            pool.shutdown(cancel_futures=True)
        return answered

    def _ask(self, question: _Question, low: int, high: int) -> _Answered:
        """The question over slots [low, high), in halves when the server finds it too much at once."""
        slots = question.slots
        start, end = slots.start + low * slots.step, slots.start + high * slots.step
        try:
            answer = (self._api.query_raw(question.text, start, end) if question.raw
                      else self._api.query_range(question.text, start + slots.step, end, slots.step))
        except TooMuchAsked:
            if high - low < 2:
                raise
            middle = (low + high) // 2
            first, second = self._ask(question, low, middle), self._ask(question, middle, high)
            return _Answered(first.points + second.points, first.warnings + second.warnings)
        points = [self._points(question, line, low, high) for line in answer.data.result if line.values]
        return _Answered(points, [*answer.warnings, *answer.infos])

    def _points(self, question: _Question, line: Line, low: int, high: int) -> _Points:
        slots = question.slots
        table = np.array(line.values)
        if question.raw:
            slot = np.floor((table[:, 0] - slots.start) / slots.step)
            inside = (slot >= low) & (slot < high)
            return _Points(line.metric, slot[inside].astype(np.int64), table[inside, 1])
        place = (table[:, 0] - slots.start) / slots.step - 1
        slot = np.rint(place)
        if np.any((slot < low) | (slot >= high) | (abs(place - slot) * slots.step > 0.5)):
            raise SourceUnavailable(f"{self._api.where} answered for times that were not asked for: {question.text}",
                                    "look for a cache or proxy on the way that changes queries")
        return _Points(line.metric, slot.astype(np.int64), _unstretched(table[:, 1], question.scale))


# -- texts of queries -------------------------------------------------------------------------------------------------


def _prom(query: EventQuery | PromQuery | GaugeQuery | None) -> PromQuery:
    if isinstance(query, PromQuery):
        return query
    raise _not_a_query()


def _not_a_query() -> InvalidInput:
    return InvalidInput("a Prometheus counts by queries, not by conditions on events",
                        "write PromQL for this indicator, or name a source of events")


def _counter(text: str) -> str:
    """The selector of a counter, also out of `sum(…)`, as OpenSLO's examples write it.

    Anything else must be refused here: a server would take the increase of a rate, or of a sum of counters in which
    one restarts, without a word, and both are wrong.
    """
    if found := _COUNTER.fullmatch(text):
        return (found[1] or found[2]).strip()
    raise InvalidInput(f"a counter is asked for by its selector alone, and this is more: {text}",
                       'write metric{label="value"}, or the whole expression with $window in place of its range and '
                       "say that it is no counter")


def _length(seconds: int) -> str:
    return f"{seconds // 60}m" if seconds % 60 == 0 else f"{seconds}s"


def _bracketed(text: str, step: int) -> str:
    """The expression in brackets with the slot's length filled in; a comment at its end must not swallow ours."""
    filled = _WINDOW.sub(_length(step), text.strip())
    return f"({filled}\n)" if "#" in filled else f"({filled})"


def _gauge_question(request: CountRequest, slots: _Slots) -> _Question:
    query = request.total
    assert isinstance(query, GaugeQuery), "the caller has looked"
    if request.bad is not None or request.good is not None:
        raise InvalidInput("a gauge is compared or is a share; it needs no bad or good events beside it",
                           "leave out the other query")
    if query.share not in ("", "good", "bad") or (not query.share and query.operator not in _COMPARE):
        raise InvalidInput(f'a gauge cannot be read as "{query.share or query.operator}"',
                           f"compare it with one of {' '.join(_COMPARE)}, or call it a share: good or bad")
    bare = _GAUGE.fullmatch(query.text)
    if bare and not query.share:
        return _Question(bare[1].strip(), slots, raw=True)
    return _Question(_bracketed(query.text, slots.step), slots)


def _unstretched(value: FloatArray, scale: float) -> FloatArray:
    """The counts without the stretch of the extra millisecond; what was a whole number is one again.

    Prometheus does not stretch below zero, so the slot in which a counter starts would come out 1/300,000 too small.
    """
    if scale == 1.0:
        return value
    counts = value * scale
    whole = np.rint(counts)
    return np.where(abs(counts - whole) <= 1.2 * (1 - scale) * whole, whole, counts)


# -- from answers to series -------------------------------------------------------------------------------------------


def _reading(request: CountRequest, questions: Sequence[_Question], answers: Sequence[_Answered]) -> Reading:
    slots = questions[0].slots
    warnings = [warning for answer in answers for warning in answer.warnings]
    if isinstance(request.total, GaugeQuery):
        series, found = _gauge_series(request.total, questions[0], answers[0])
    else:
        series, found = _counted(questions, answers, good=request.good is not None)
    if slots.over and not answers[0].points:
        found.append(f"nothing in this span matches {questions[0].text}")
    return Reading(series, tuple(dict.fromkeys(warnings + found)), tuple(question.text for question in questions))


def _counted(questions: Sequence[_Question], answers: Sequence[_Answered], *, good: bool) -> tuple[Series, list[str]]:
    slots = questions[0].slots
    warnings: list[str] = []
    total, has_total = answers[0].column(slots)
    other, has_other = answers[1].column(slots)
    name = "good" if good else "bad"
    known = has_total
    for what, value, there, question in (("total", total, has_total, questions[0]),
                                         (name, other, has_other, questions[1])):
        nonsense = there & ~(np.isfinite(value) & (value >= 0))
        if nonsense.any():
            extent = "every slot" if nonsense.sum() == there.sum() else f"{nonsense.sum():,} of {there.sum():,} slots"
            warnings.append(f"{what} is NaN, infinite or below zero in {extent}, unknown there: {question.text}")
            known = known & ~nonsense
    total, other = np.where(known, total, 0.0), np.where(known, other, 0.0)  # an absent series of bad or good reads 0
    over = other > total * (1 + RELATIVE)
    if over.any():
        warnings.append(f"{name} exceeds total in {over.sum():,} of {known.sum():,} slots, by up to "
                        f"{(other - total).max():g}, and was cut to total: do both count the same events?")
    other = np.minimum(other, total)
    bad = total - other if good else other
    return Series(slots.start, slots.step, bad, total, known), warnings


def _gauge_bad(query: GaugeQuery, value: FloatArray) -> FloatArray:
    """How bad each sample is, 0..1; NaN where it says nothing."""
    if query.share:
        share = np.clip(value, 0.0, 1.0)
        bad = share if query.share == "bad" else 1.0 - share
    else:
        bad = np.where(_COMPARE[query.operator](value, query.threshold), 0.0, 1.0)
    says = np.isfinite(value) if query.share else ~np.isnan(value)
    return np.where(says, bad, np.nan)


def _gauge_series(query: GaugeQuery, question: _Question, answer: _Answered) -> tuple[Series, list[str]]:
    slots = question.slots
    bad, total = np.zeros(slots.count), np.zeros(slots.count)
    silent = outside = samples = 0
    for points in answer.points:
        lost = _gauge_bad(query, points.value)
        says = ~np.isnan(lost)
        np.add.at(bad, points.slot[says], lost[says])
        np.add.at(total, points.slot[says], 1.0)
        silent += int((~says).sum())
        samples += len(says)
        if query.share:
            outside += int(((points.value < -RELATIVE) | (points.value > 1 + RELATIVE))[says].sum())
    warnings = []
    if silent:
        extent = "every sample" if silent == samples else f"{silent:,} of {samples:,} samples"
        warnings.append(f"{extent} of {question.text} is NaN or infinite and counts as unknown")
    if outside:
        warnings.append(f"{outside:,} of {samples:,} values of {question.text} lie outside 0..1 and were cut: "
                        "a share is a ratio, not a percentage")
    return Series(slots.start, slots.step, bad, total, total > 0), warnings


def _spenders(groups: Mapping[tuple[str, ...], Mapping[int, float]], by: Sequence[str], limit: int) -> list[Spender]:
    found = [Spender(dict(zip(by, values, strict=True)), sum(lost.values()), lost)
             for values, lost in groups.items() if lost]
    found.sort(key=lambda spender: (-spender.bad, tuple(spender.labels.values())))
    if len(found) <= limit:
        return found
    rest: dict[int, float] = {}
    for spender in found[limit:]:
        for at, lost in spender.by_slot.items():
            rest[at] = rest.get(at, 0.0) + lost
    return [*found[:limit], Spender(dict.fromkeys(by, OTHER), sum(rest.values()), rest)]
