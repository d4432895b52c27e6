"""Ratios of counts: those that are always one, above one, blind in an outage, or averaged.

Sources: SRE Workbook, ch. 5; Prometheus documentation, "Recording rules" (aggregating ratios) and "Operators".
What each mistake does was seen on Prometheus 2.42.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from math import isnan

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.finding import Severity
from mainstay.monitoring.lint.flaw import Flaw
from mainstay.monitoring.lint.query import Query, written_duration
from mainstay.monitoring.lint.shape import RATES, comparison, constant, shape_of
from mainstay.monitoring.lint.tree import (
    Aggregate,
    Binary,
    Call,
    Expr,
    Matcher,
    Ranged,
    Selector,
    Subquery,
    bare,
    every,
)


@dataclass(frozen=True, slots=True)
class Side:
    """A count on one side of a ratio: `sum by (a) (rate(x{…}[5m]))`, or less."""

    selector: Selector
    rate: str
    seconds: float
    aggregate: Aggregate | None
    whole: Expr

    @property
    def frame(self) -> tuple[object, ...]:
        """Everything but the selector: two counts with one frame are comparable."""
        grouping = (self.aggregate.name, self.aggregate.grouping, frozenset(self.aggregate.labels)) \
            if self.aggregate else ()
        return grouping, self.rate, self.seconds, self.selector.moved


def side_of(expr: Expr) -> Side | None:
    """The count that this side of a ratio is, a factor apart; None where it is anything else."""
    expr = bare(expr)
    if isinstance(expr, Binary) and expr.op in ("*", "/"):
        if constant(expr.right) is not None:
            return side_of(expr.left)
        return side_of(expr.right) if expr.op == "*" and constant(expr.left) is not None else None
    whole, aggregate = expr, None
    if isinstance(expr, Aggregate):
        if expr.parameter is not None or expr.name not in ("sum", "count", "avg"):
            return None
        aggregate, expr = expr, bare(expr.inner)
    rate, seconds = "", 0.0
    if isinstance(expr, Call) and expr.name in RATES and len(expr.arguments) == 1:
        rate, expr = expr.name, bare(expr.arguments[0])
        if not isinstance(expr, Ranged):
            return None
        seconds, expr = expr.seconds, expr.inner
    return Side(expr, rate, seconds, aggregate, whole) if isinstance(expr, Selector) and expr.name else None


def extra_matchers(narrow: Selector, wide: Selector) -> tuple[Matcher, ...] | None:
    """The matchers that narrow a selector down from the other of the same metric; None where it is no part of it."""
    if narrow.name != wide.name or narrow.moved != wide.moved:
        return None
    have = {(one.label, one.op, one.value) for one in wide.matchers}
    mine = {(one.label, one.op, one.value) for one in narrow.matchers}
    if not have <= mine:
        return None
    return tuple(one for one in narrow.matchers if (one.label, one.op, one.value) not in have)


def ratios(query: Query) -> Iterator[tuple[Binary, Side, Side]]:
    """Every division of one count by another."""
    for one in query.binaries:
        if one.op == "/" and (left := side_of(one.left)) and (right := side_of(one.right)):
            yield one, left, right


def check_ratios(query: Query) -> Iterator[Flaw]:
    """Ratios that are always one, above one, over unequal windows, or empty in a total outage."""
    for node, left, right in ratios(query):
        extra = extra_matchers(left.selector, right.selector)
        if extra and left.frame == right.frame:
            labels = sorted({one.label for one in extra})
            if not node.matching and not node.group and all(shape_of(left.whole).may_have(label) for label in labels):
                yield _always_one(query, node, left, right, labels)
                continue
            yield from _outage_blind(query, node, left, right)
        if extra == () and left.frame == right.frame and left.selector.matchers == right.selector.matchers:
            yield query.flaw("ratio-always-one", node.op_start, "both sides are the same: the ratio is 1 whatever "
                             "happens", "narrow the left side to the events that count")
        swapped = extra_matchers(right.selector, left.selector)
        if (swapped and left.frame == right.frame) or _count_over_bucket(left, right):
            yield query.flaw("ratio-above-one", node.op_start, "the left side counts more than the right: the ratio is "
                             "1 or more", "put the part above the whole: good (or bad) / total")
        if left.rate == right.rate == "increase" and left.seconds != right.seconds:
            yield query.flaw("windows-differ", node.op_start, f"increase over {written_duration(left.seconds)} is "
                             f"divided by increase over {written_duration(right.seconds)}: the ratio means nothing",
                             "count both sides over one window")


def _count_over_bucket(left: Side, right: Side) -> bool:
    return left.selector.name.endswith("_count") and \
        right.selector.name == left.selector.name.removesuffix("_count") + "_bucket" and left.frame == right.frame


def _always_one(query: Query, node: Binary, left: Side, right: Side, labels: list[str]) -> Flaw:
    shown = ", ".join(labels)
    message = f"each series on the left meets itself on the right, {shown} and all: the ratio is always 1"
    if left.aggregate is None:
        edits = () if not _alone(query, node) else tuple(edit for side in (left, right) for edit in (
            query.edit(side.whole.start, side.whole.start, f"sum without ({shown}) ("),
            query.edit(side.whole.end, side.whole.end, ")")))
        return query.flaw("ratio-always-one", node.op_start, message,
                          f"sum both sides: sum without ({shown}) (…), or sum by (…) with the labels to keep", *edits)
    return query.flaw("ratio-always-one", node.op_start, message, f"leave {shown} out of the grouping on both sides")


def _alone(query: Query, node: Expr) -> bool:
    """Whether the ratio is held against numbers only: other series would have to be grouped alike."""
    above = query.outer.get(id(node))
    while above is not None:
        if not isinstance(above, Binary) or (constant(above.left) is None and constant(above.right) is None):
            return False
        above = query.outer.get(id(above))
    return True


def _outage_blind(query: Query, node: Binary, left: Side, right: Side) -> Iterator[Flaw]:
    """`1 - ok/total`, and `ok/total < x`: with no success at all the left side has no series, and nothing fires."""
    extra = extra_matchers(left.selector, right.selector) or ()
    if left.selector.name.endswith("_bucket") or not left.rate or not _of_good(query, node) \
            or any(one.op in ("=", "=~") and _OF_FAILURE.search(one.value) for one in extra):
        return
    total = query.text(right.whole)
    edits = (query.edit(left.whole.start, left.whole.start, "("),
             query.edit(left.whole.end, left.whole.end, f" or 0 * {total})"))
    plain = bare(node.left) is left.whole and left.aggregate is not None
    yield query.flaw("outage-blind", left.whole, "when nothing succeeds from the start there is no series of "
                     "successes, the ratio is empty, and no alert fires in the total outage",
                     f"count a missing success as 0: ({_short(query.text(left.whole))} or 0 * {_short(total)}), or "
                     "count the failures", *(edits if plain else ()))


_OF_FAILURE = re.compile(r"^\(?[\"']?[45]|err|fail|timeout|reject|drop|unavailable|internal", re.IGNORECASE)
"""Values that name failures: 5.., 5xx, error."""


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 60 else flat[:57] + "…"


def _of_good(query: Query, node: Binary) -> bool:
    """Whether the ratio is a share of good events: it is taken from 1 (or 100), or held below a bound."""
    above = query.outer.get(id(node))
    while isinstance(above, Binary) and above.op in ("*", "/") and constant(above.right) is not None:
        node, above = above, query.outer.get(id(above))
    if not isinstance(above, Binary):
        return False
    if above.op == "-" and constant(above.left) in (1.0, 100.0):
        return True
    held = comparison(above)
    return query.rule.alert and held is not None and held.op in ("<", "<=") and bare(held.left) is node


_RATIO_NAME = re.compile(r":(?:[^:]*_)?(?:ratio|error_rate|availability|success_rate)(?![a-z])")
_PERIODS = ("avg_over_time", "sum_over_time")


def check_means(query: Query) -> Iterator[Flaw]:
    """Means of ratios, which weigh an idle night like a busy day."""
    for call in query.calls:
        if call.name not in _PERIODS or not call.arguments:
            continue
        inner = bare(call.arguments[0])
        what = ""
        if isinstance(inner, Ranged) and _RATIO_NAME.search(inner.inner.name):
            what = inner.inner.name
        elif isinstance(inner, Subquery) and _is_ratio(inner.inner):
            what = "a ratio"
        if not what or (call.name == "sum_over_time" and not _divided_by_count(query, call)):
            continue
        yield query.flaw("mean-of-ratios", call, f"the mean of {what} over time weighs an idle night like a busy day: "
                         "it is not the share of failed events, and one 0/0 makes all of it NaN",
                         "record numerator and denominator: sum_over_time(bad[w]) / sum_over_time(total[w])")
    for one in query.aggregates:
        if one.name == "avg" and _is_ratio(one.inner):
            yield query.flaw("mean-of-ratios", one, "the mean of ratios weighs an idle instance like a busy one",
                             "divide the sums: sum(a) / sum(b)", severity=Severity.HINT)


def _is_ratio(expr: Expr) -> bool:
    expr = bare(expr)
    if isinstance(expr, Binary) and expr.op == "-" and constant(expr.left) in (1.0, 100.0):
        return _is_ratio(expr.right)
    if not (isinstance(expr, Binary) and expr.op == "/"):
        return False
    return any(isinstance(one, Call) and one.name in RATES for one in every(expr.right))


def _divided_by_count(query: Query, call: Call) -> bool:
    above = query.outer.get(id(call))
    return isinstance(above, Binary) and above.op == "/" and bare(above.left) is call \
        and isinstance(under := bare(above.right), Call) and under.name == "count_over_time"


def check_gaps(query: Query) -> Iterator[Flaw]:
    """A recorded share of failures that is missing until the first failure."""
    if query.rule.alert or not isinstance(node := bare(query.tree), Binary):
        return
    for found, left, right in ratios(query):
        if found is node and left.rate and extra_matchers(left.selector, right.selector) \
                and not left.selector.name.endswith("_bucket"):
            yield query.flaw("gap-until-first", left.whole, "until the first such event there is no series: the record "
                             "has a gap where it should say 0", f"write ({_short(query.text(left.whole))} or 0 * "
                             f"{_short(query.text(right.whole))}) / …")


def check_nan(query: Query) -> Iterator[Flaw]:
    """Divisions by a written zero and comparisons with NaN."""
    for node in query.binaries:
        if node.op in ("/", "%") and constant(node.right) == 0:
            yield query.flaw("division-by-zero", node.op_start, "dividing by 0 gives NaN or infinity",
                             "write the number that was meant")
        value = constant(node.right)
        if node.op in ("==", ">", "<", ">=", "<=") and value is not None and isnan(value):
            yield query.flaw("compared-with-nan", node.op_start, "nothing equals NaN, not even NaN: this is never true",
                             "write x != x to find NaN")


def spoilt_sums(queries: Iterable[Query]) -> Iterator[Flaw]:
    """Sums over time of a record that is NaN whenever nothing was counted."""
    poisoned = {query.rule.name.text for query in queries if not query.rule.alert and _may_be_nan(query)}
    if not poisoned:
        return
    for query in queries:
        for call in query.calls:
            inner = bare(call.arguments[0]) if call.arguments else None
            if call.name in _PERIODS and isinstance(inner, Ranged) and inner.inner.name in poisoned:
                yield query.flaw("nan-poison", call, f"{inner.inner.name} is 0/0 = NaN when nothing is counted, and "
                                 f"one NaN spoils {written_duration(inner.seconds)} of {call.name}",
                                 "record numerator and denominator apart, or add `> 0` behind the denominator")


def _may_be_nan(query: Query) -> bool:
    node = bare(query.tree)
    if isinstance(node, Binary) and node.op == "-":
        node = bare(node.right)
    right = side_of(node.right) if isinstance(node, Binary) and node.op == "/" else None
    return right is not None and bool(right.rate)
