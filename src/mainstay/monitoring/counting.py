"""What an objective counts, as PromQL: bad and total of the last five minutes, for every kind of indicator. Pure.

`increase` looks at the samples inside its range only. Over five minutes they span five minutes less a scrape; the rest
is guessed by stretching, and a failure between the last scrape of one range and the first of the next is never seen.
So a counter is taken as its value now less its value five minutes ago: neighbours meet at the same sample and every
failure counts once, whenever scrapes and evaluations fall. A counter that was not there five minutes ago is taken from
its first sample on; one that started again within the range is left to `increase`.
"""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.method import Idle, Method, Occurrences, RatioTimeslices, Timeslices
from mainstay.kernel.objective import FreshWithin, Indicator, PerSecond
from mainstay.kernel.ports import EventQuery, GaugeQuery, PromQuery
from mainstay.kernel.quantity import SLOT, plain, short_duration
from mainstay.monitoring.chain import slots
from mainstay.monitoring.rulefile import prometheus_duration

_WINDOW = re.compile(r"\$\{window\}|\$window\b|\{\{\s*\.?window\s*\}\}")
_SUM = re.compile(r"sum\s*\(\s*(?P<inside>[^()]*)\)", re.DOTALL)
_NAMED = re.compile(r"[a-zA-Z_:]")
_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}


class NotCountable(Exception):
    """No rule can count this; the text says why. Caught where the plan of rules is made, which lists it."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Bad and total of the last five minutes, one value per group each; total is there whenever there is data."""

    bad: str
    total: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the counters get into Prometheus, and by which labels they are told apart."""

    scrape: timedelta
    group_by: tuple[str, ...] = ()

    @property
    def sum(self) -> str:
        """`sum`, or `sum by (cluster)`."""
        return f"sum by ({', '.join(self.group_by)}) " if self.group_by else "sum"


def counts(indicator: Indicator, method: Method, sampling: Sampling) -> Counts:
    """Bad and total of the last five minutes.

    Raises:
        NotCountable: the indicator is counted from files of events.
    """
    derived = indicator.derived
    if isinstance(derived, PerSecond):
        seconds = int(derived.slice.total_seconds())
        arrived = _total(indicator, seconds, sampling)
        least = plain(Decimal(repr(derived.minimum)) * seconds)
        return _placed(Counts(f"{arrived} < bool {least}", f"{arrived} >= bool 0"), seconds)
    if isinstance(derived, FreshWithin):
        seconds = int(derived.slice.total_seconds())
        arrived = _total(indicator, int(derived.age.total_seconds()), sampling)
        return _placed(Counts(f"{arrived} == bool 0", f"{arrived} >= bool 0"), seconds)
    match method:
        case Occurrences():
            return _events(indicator, SLOT, sampling)
        case Timeslices(length, target, idle):
            seconds = int(length.total_seconds())
            events = _events(indicator, seconds, sampling)
            judged = f"{_group(events.bad)} > bool {plain(target.budget)} * {_group(events.total)}"
            return _placed(_with_idle(judged, events.total, idle), seconds)
        case RatioTimeslices(length, idle):
            seconds = int(length.total_seconds())
            events = _events(indicator, seconds, sampling)
            share = f"{_group(events.bad)} / ({_group(events.total)} > 0) or 0 * {_group(events.total)}"
            return _placed(_with_idle(share, events.total, idle), seconds)


def _with_idle(bad: str, total: str, idle: Idle) -> Counts:
    """One event a slice; a slice without any event is left out, good or bad as declared."""
    if idle == "left out":
        return Counts(bad, f"{_group(total)} > bool 0")
    if idle == "good":
        return Counts(bad, f"{_group(total)} >= bool 0")
    return Counts(f"({bad}) + ({_group(total)} == bool 0)", f"{_group(total)} >= bool 0")


def _placed(slice_: Counts, seconds: int) -> Counts:
    """Slices as events of the last five minutes: those that ended in them. Of slices longer than that, one value in
    every `seconds` counts, the one recorded just before the slice's end.
    """
    if seconds == SLOT:
        return slice_
    if seconds < SLOT:
        steps = slots(timedelta(seconds=SLOT), timedelta(seconds=seconds))
        return Counts(*(f"sum_over_time(({text})[{steps}])" for text in (slice_.bad, slice_.total)))
    ends = f"scalar(ceil(vector(time()) / {SLOT}) * {SLOT} % {seconds} == bool 0)"
    return Counts(*(f"({text}) * {ends}" for text in (slice_.bad, slice_.total)))


def _events(indicator: Indicator, seconds: int, sampling: Sampling) -> Counts:
    """Bad and total of the indicator's own events over the last `seconds`."""
    if isinstance(indicator.total, GaugeQuery):
        return _gauge(indicator.total, seconds, sampling)
    total, nothing = _total(indicator, seconds, sampling), _nothing(indicator, seconds, sampling)
    if indicator.bad is not None:
        # An error series that does not exist (yet) is no failure, not no data.
        return Counts(f"{_query(indicator.bad, seconds, sampling)}\nor {nothing}", total)
    if indicator.good is not None:
        good = _query(indicator.good, seconds, sampling)
        # Where nothing ever succeeded there is no series of good events, and everything failed.
        return Counts(f"clamp_min({total} - ({good} or {nothing}), 0)", total)
    raise NotCountable("it says neither good nor bad events")


def _nothing(indicator: Indicator, seconds: int, sampling: Sampling) -> str:
    """Zero for every group that has a total; of a counter its mere value serves, which costs a seventh."""
    total = indicator.total
    if isinstance(total, PromQuery) and total.counter:
        return f"0 * {sampling.sum}({counter_selector(total.text)})"
    return f"0 * {_total(indicator, seconds, sampling)}"


def _total(indicator: Indicator, seconds: int, sampling: Sampling) -> str:
    return _query(indicator.total, seconds, sampling)


def _query(query: EventQuery | PromQuery | GaugeQuery, seconds: int, sampling: Sampling) -> str:
    if not isinstance(query, PromQuery):
        raise NotCountable("it is counted from files of events, which no Prometheus sees")
    if not query.counter:
        return f"{sampling.sum}({filled(query.text, seconds)})"
    return f"{sampling.sum}({grown(counter_selector(query.text), timedelta(seconds=seconds), sampling.scrape)})"


def grown(selector: str, length: timedelta, scrape: timedelta) -> str:
    """How far each counter of the selector grew in the length that ends now."""
    steady = prometheus_duration(length)
    if _NAMED.match(selector) is None:
        return f"increase({selector}[{steady}])"  # without a name two metrics could meet under one set of labels
    seen = prometheus_duration(length + scrape)
    before = f"({selector} offset {steady} or min_over_time({selector}[{steady}]))"
    return f"({selector} - {before} and resets({selector}[{seen}]) == 0) or increase({selector}[{steady}])"


def counter_selector(text: str) -> str:
    """The selector of a counter, also out of `sum(…)`."""
    found = _SUM.fullmatch(text.strip())
    return (found["inside"] if found else text).strip()


def filled(text: str, seconds: int) -> str:
    """The expression with its `$window` filled in; a comment at its end must not swallow what follows."""
    written = _WINDOW.sub(short_duration(timedelta(seconds=seconds)), text.strip())
    return f"\n{written}\n" if "#" in written else written


def _gauge(gauge: GaugeQuery, seconds: int, sampling: Sampling) -> Counts:
    """Samples of a gauge, one a scrape; those that are no number say nothing."""
    steps = slots(timedelta(seconds=seconds), sampling.scrape)
    value = filled(gauge.text, seconds)
    if gauge.share:
        share = f"clamp(({value}) > -Inf < Inf, 0, 1)"
        bad = share if gauge.share == "bad" else f"1 - {share}"
        total = f"({value}) > -Inf < Inf"
    elif gauge.operator in _OPPOSITE:
        total = f"({value}) >= -Inf"
        bad = f"({total}) {_OPPOSITE[gauge.operator]} bool {plain(Decimal(repr(gauge.threshold)))}"
    else:
        raise NotCountable("it is a threshold metric that no objective compares with a value")
    return Counts(f"{sampling.sum}(sum_over_time(({bad})[{steps}]))",
                  f"{sampling.sum}(count_over_time(({total})[{steps}]))")


def _group(text: str) -> str:
    return f"({text})"
