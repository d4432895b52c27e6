"""Ranges and rates: too short to hold two samples, too long to be read every minute, of something that is no counter.

Sources: Prometheus documentation, "Functions"; its best practices, "Instrumentation" and "Naming"; Robust Perception,
"What range should I use with rate()?" (four scrapes).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mainstay.kernel.finding import Severity
from mainstay.monitoring.lint.flaw import Flaw
from mainstay.monitoring.lint.query import Query, written_duration
from mainstay.monitoring.lint.shape import RATES, comparison
from mainstay.monitoring.lint.tree import Aggregate, Binary, Call, Ranged, Selector, Subquery, bare

_COUNTER = re.compile(r"(?:_total|_count|_sum|_bucket)$")
_GAUGE = re.compile(r"(?:_info|_ratio|_percent|_percentage|_celsius|_in_use|_timestamp_seconds|_temperature"
                    r"|_free_bytes|_available_bytes|_avail_bytes|_size_bytes|_usage_bytes|_memory_bytes"
                    r"|_queue_length|_uptime_seconds|_replicas|_limit_bytes|(?:^|_)up)$")
_EVENTS = re.compile(r"(?:errors?|failures?|failed|exceptions?|panics?|dropped|rejected|timeouts?|retries|restarts?"
                     r"|(?<!pending_)requests?|evictions?|evicted|oom_events?|crashes)_total$")
"""Names of counters for sure: `_total` alone is also the end of many a gauge (nodes_offline_total)."""
_LONG = 3 * 86400
"""Above three days: the longest window of the workbook's alerts, which is at home in a record."""
_COUNTING = RATES | {"resets"}
_OF_GAUGES = frozenset({"delta", "idelta", "deriv", "predict_linear"})


def check_rates(query: Query) -> Iterator[Flaw]:
    """Rates of gauges and of sums, differences of counters."""
    for call in query.calls:
        if not call.arguments:
            continue
        inner = bare(call.arguments[-1] if call.name != "predict_linear" else call.arguments[0])
        if call.name in RATES and isinstance(inner, Ranged):
            yield from _rate_of(query, call, inner.inner)
        if call.name in RATES and isinstance(inner, Subquery) and isinstance(bare(inner.inner), Aggregate):
            yield query.flaw("rate-of-sum", call, f"{call.name} of a sum takes every restart of one instance for a "
                             "reset of all: it shows a spike", f"sum the rates: sum({call.name}(x[…]))")
        if call.name in _OF_GAUGES and isinstance(inner, Ranged) and _is_counter(query, inner.inner.name):
            yield query.flaw("delta-of-counter", call, f"{call.name} does not know counter resets: after a restart "
                             f"{inner.inner.name} seems to fall", "use increase or rate",
                             severity=Severity.HINT if call.name in ("deriv", "predict_linear") else None)


def _rate_of(query: Query, call: Call, selector: Selector) -> Iterator[Flaw]:
    declared = query.settings.types.get(selector.name)
    if declared in ("gauge", "info", "stateset"):
        yield query.flaw("rate-of-gauge", call, f"{selector.name} is a {declared}: {call.name} takes every fall for a "
                         "counter reset", "use deriv or delta for a gauge", severity=Severity.ERROR)
    elif declared is None and _GAUGE.search(selector.name) and not _COUNTER.search(selector.name):
        yield query.flaw("rate-of-gauge", call, f"{selector.name} reads like a gauge: {call.name} would take every "
                         "fall for a counter reset", "use deriv or delta for a gauge")


def _is_counter(query: Query, name: str) -> bool:
    declared = query.settings.types.get(name)
    return declared == "counter" if declared is not None else name.endswith("_total")


def check_lengths(query: Query) -> Iterator[Flaw]:
    """Ranges too short for a rate, or too long to be read raw."""
    scrape = query.settings.scrape
    for call in query.calls:
        inner = bare(call.arguments[0]) if call.arguments else None
        if not isinstance(inner, Ranged):
            continue
        shown = written_duration(inner.seconds)
        if call.name in _COUNTING and ":" not in inner.inner.name and inner.seconds < 4 * scrape:
            certain = query.settings.scrape_known and inner.seconds < 2 * scrape
            least = written_duration(4 * scrape)
            yield query.flaw("range-too-short", inner.range_start, f"{call.name} over {shown} with a scrape every "
                             f"{written_duration(scrape)}: " + ("it needs two samples and is empty" if certain else
                                                                "one late scrape leaves a gap"),
                             f"write [{least}] or more, four scrapes", severity=Severity.ERROR if certain else None)
        if call.name in RATES and ":" not in inner.inner.name and inner.seconds > _LONG:
            beyond = inner.seconds > query.settings.retention
            yield query.flaw("long-raw-range", inner.range_start, f"{call.name} over {shown} reads every raw sample of "
                             "every series at each evaluation" + (
                                 f", and samples are kept for {written_duration(query.settings.retention)}: it covers "
                                 "less than it says" if beyond else ""),
                             "record 5-minute increases and sum them: sum_over_time(record[" + shown + "])")


def check_retention(query: Query) -> Iterator[Flaw]:
    """Ranges longer than samples are kept, where it is known for how long."""
    if not query.settings.retention_known:
        return
    kept = query.settings.retention
    looking_back: list[Ranged | Subquery] = [*query.ranges, *query.subqueries]
    for one in looking_back:
        if one.seconds > kept:
            yield query.flaw("beyond-retention", one.range_start, f"{written_duration(one.seconds)} is longer than "
                             f"samples are kept ({written_duration(kept)}): the answer covers less than it says",
                             "keep samples longer, or ask a store that does")


def check_plain_counters(query: Query) -> Iterator[Flaw]:
    """A counter held against a number: what it counted since the process began."""
    if not query.rule.alert:
        return
    for node in query.binaries:
        held = comparison(node)
        if held is None or held.op not in (">", ">=") or held.node is not node:
            continue
        inner = bare(held.left)
        while isinstance(inner, Aggregate) and inner.parameter is None and inner.name in ("sum", "max", "avg", "min"):
            inner = bare(inner.inner)
        if isinstance(inner, Selector) and not inner.moved and ":" not in inner.name and (
                query.settings.types.get(inner.name) == "counter" or (inner.name not in query.settings.types
                                                                      and _EVENTS.search(inner.name))) \
                and not (held.value == 0 and _is_guard(query, node)):
            yield query.flaw("counter-without-rate", inner, f"{inner.name} only ever grows: once above "
                             f"{held.value:g} this fires until the process restarts", "write increase(…[5m]) or "
                             "rate(…[5m])")


def check_irate(query: Query) -> Iterator[Flaw]:
    """`irate` in an alert."""
    if query.rule.alert:
        for call in query.calls:
            if call.name == "irate":
                yield query.flaw("irate-in-alert", call, "irate looks at the last two samples only: one of them resets "
                                 "the alert's `for`", "use rate",
                                 query.edit(call.start, call.start + len("irate"), "rate"))



def _is_guard(query: Query, node: Binary) -> bool:
    """Whether the comparison only makes sure that there is something to divide by: `… and requests_total > 0`."""
    above = query.outer.get(id(node))
    return isinstance(above, Binary) and above.op == "and" and bare(above.right) is node
