"""The golden signals of a service, from the counters that its objectives already name: nothing is guessed.

Traffic is what an indicator counts, errors are what it counts as bad, latency is the histogram that a latency indicator
reads. Saturation is what every client library of Prometheus exposes about its process (`process_*`), of exactly those
processes that expose the indicator's counter: joined on `job` and `instance`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.objective import IndicatorType
from mainstay.kernel.ports import EventQuery, GaugeQuery, PromQuery
from mainstay.monitoring.counting import filled as filled_in
from mainstay.monitoring.dashboards.watched import Watched

RATE = "$__rate_interval"
"""Grafana's range for `rate`: at least four scrapes, so that no step is without a sample."""
REPLICAS = "instance, pod, container, endpoint, node"
"""Labels that tell copies of one program apart: left out where a cause is looked for, not a copy."""


MOST = 12
"""Flows, histograms and gauges of one dashboard: a panel asks a question for each, and no reader tells more apart."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Events of one objective as Prometheus counts them.

    Args:
        objective: whose.
        total, bad, good: a counter's selector, or an expression; one of bad and good is None.
    """

    objective: str
    total: PromQuery
    bad: PromQuery | None
    good: PromQuery | None

    def traffic(self, window: str = RATE) -> str:
        """Events a second."""
        return _per_second(self.total, window)

    def failures(self, window: str = RATE) -> str:
        """Bad events a second; 0 while nothing is bad, and still there in an outage that leaves no good series."""
        total = self.traffic(window)
        counted = self.bad if self.bad is not None else self.good
        assert counted is not None, "an indicator counts good or bad"
        filled = f"({_per_second(counted, window)} or 0 * {total})"
        return filled if self.bad is not None else f"({total} - {filled})"

    def error_share(self, window: str = RATE) -> str:
        """Share of bad events."""
        return f"{self.failures(window)} / {self.traffic(window)}"

    @property
    def countable(self) -> bool:
        """Whether it can be broken down by the labels of its counters."""
        parts = (self.total, self.bad if self.bad is not None else self.good)
        return all(part is not None and part.counter for part in parts)

    def causes(self, window: str = RATE) -> str:
        """Bad events a second by every label that is not a copy's, without those that have none."""
        without = f"sum without ({REPLICAS}, le)"
        if self.bad is not None:
            return f"{without} (rate({self.bad.text}[{window}])) > 0"
        assert self.good is not None, "an indicator counts good or bad"
        total, good = (f"{without} (rate({part.text}[{window}]))" for part in (self.total, self.good))
        return f"(({total} - {good}) or {total}) > 0"


@dataclass(frozen=True, slots=True)
class Histogram:
    """A classic histogram of seconds: `name_bucket{…}` without its `le`."""

    buckets: str

    def quantile(self, q: str, keep: str = "") -> str:
        """The quantile over all copies: the buckets are added up before anything is read off."""
        by = f"sum without ({REPLICAS})" if keep == "labels" else "sum by (le)"
        return f"histogram_quantile({q}, {by} (rate({self.buckets}[{RATE}])))"

    def heat(self) -> str:
        """Events per bucket and step, for a heat map."""
        return f"sum by (le) (increase({self.buckets}[{RATE}]))"


@dataclass(frozen=True, slots=True)
class Signals:
    """What one service's objectives say about how to look at it.

    Args:
        flows: one for each distinct total.
        histograms: of its latency indicators.
        gauges: (objective, expression, operator, threshold) of indicators that compare a value.
        more: how many of them there are beyond the first `MOST` of each.
    """

    flows: tuple[Flow, ...]
    histograms: tuple[Histogram, ...]
    gauges: tuple[tuple[str, str, str, float], ...]
    more: int = 0

    def processes(self) -> str:
        """Series of exactly the processes that expose the service's counters, for `and on (job, instance)`."""
        counters = dict.fromkeys(flow.total.text for flow in self.flows if flow.total.counter)
        return " or ".join(f"last_over_time({text}[1h])" for text in counters)


def signals_of(watched: Sequence[Watched]) -> Signals:
    """The signals of the objectives of one service."""
    flows: dict[str, Flow] = {}
    histograms: dict[str, Histogram] = {}
    gauges = []
    # Availability first: where two objectives count the same requests, its failures are what "errors" means.
    for one in sorted(watched, key=lambda one: (one.type is not IndicatorType.AVAILABILITY, one.name)):
        indicator = one.indicator
        match indicator.total:
            case PromQuery():
                bad = indicator.bad if isinstance(indicator.bad, PromQuery) else None
                good = indicator.good if isinstance(indicator.good, PromQuery) else None
                if bad is not None or good is not None:
                    flows.setdefault(indicator.total.text, Flow(one.name, indicator.total, bad, good))
                for part in (good, bad):
                    found = _histogram(part)
                    if found is not None:
                        histograms.setdefault(found.buckets, found)
            case GaugeQuery(text, operator, threshold):
                gauges.append((one.name, text, operator, threshold))
            case EventQuery():
                continue
    more = sum(max(0, len(one) - MOST) for one in (flows, histograms, gauges))
    return Signals(tuple(flows.values())[:MOST], tuple(histograms.values())[:MOST], tuple(gauges[:MOST]), more)


def errors_of(signals: Signals, watched: Sequence[Watched]) -> tuple[Flow, ...]:
    """The flows whose bad events are errors, not slow answers; every flow where the service has no others."""
    kinds = {one.name: one.type for one in watched}
    errors = tuple(flow for flow in signals.flows if kinds[flow.objective] is not IndicatorType.LATENCY)
    return errors or signals.flows


def _per_second(query: PromQuery, window: str) -> str:
    if query.counter:
        return f"sum(rate({query.text}[{window}]))"
    # Not a counter: an expression that counts what happened in a stretch.
    return f"(({filled_in(query.text, 300)}) / 300)"


_MATCHER = re.compile(r"""\s*([A-Za-z_]\w*)\s*(=~|!~|!=|=)\s*("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')\s*,?""")


def _histogram(query: PromQuery | None) -> Histogram | None:
    """The histogram that a count at a threshold belongs to: `x_bucket{job="a",le="0.3"}` → `x_bucket{job="a"}`."""
    if query is None or not query.counter:
        return None
    name, _, inside = query.text.partition("{")
    if not name.strip().endswith("_bucket"):
        return None
    matchers = [f"{label}{operator}{value}" for label, operator, value in _MATCHER.findall(inside) if label != "le"]
    return Histogram(f"{name.strip()}{{{','.join(matchers)}}}" if matchers else name.strip())
