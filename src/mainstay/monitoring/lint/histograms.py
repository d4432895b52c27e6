"""Histograms: quantiles without `le`, boundaries that no series has.

Sources: Prometheus documentation, "Histograms and summaries"; Prometheus 3 migration guide (`le` and `quantile` are
written as floats).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mainstay.monitoring.lint.flaw import Edit, Flaw
from mainstay.monitoring.lint.query import Query
from mainstay.monitoring.lint.shape import constant, shape_of
from mainstay.monitoring.lint.tree import Aggregate, Expr, Selector, bare, every, selectors


def check_quantiles(query: Query) -> Iterator[Flaw]:
    """Quantiles of no distribution, of one series each, or outside 0..1."""
    for call in query.calls:
        if call.name == "histogram_quantile" and len(call.arguments) == 2:
            yield from _histogram_quantile(query, call.arguments[1])
        if call.name in ("histogram_quantile", "quantile_over_time") and call.arguments:
            yield from _quantile_range(query, call.arguments[0])
    for one in query.aggregates:
        if one.name == "quantile" and one.parameter is not None:
            yield from _quantile_range(query, one.parameter)


def _quantile_range(query: Query, at: Expr) -> Iterator[Flaw]:
    value = constant(at)
    if value is None or 0 <= value <= 1:
        return
    meant = f"{value / 100:g}"
    edits = (query.edit(at.start, at.end, meant),) if 1 < value <= 100 else ()
    yield query.flaw("quantile-range", at, f"a quantile is 0..1: at {value:g} the answer is "
                     f"{'+' if value > 1 else '-'}Inf", f"write {meant}" if edits else "write 0.95", *edits)


def _histogram_quantile(query: Query, inner: Expr) -> Iterator[Flaw]:
    # Native histograms need no le; only classic ones end in _bucket.
    if not any(one.name.endswith("_bucket") for one in selectors(inner)):
        return
    shape = shape_of(inner)
    if not shape.may_have("le"):
        losing = next((one for one in every(inner) if isinstance(one, Aggregate)
                       and not shape_of(one).may_have("le")), None)
        if losing is None:
            return
        yield query.flaw("le-lost", losing, f"{losing.name} drops le: there are no buckets left and the quantile is "
                         "empty", "add le to the grouping: sum by (le) (…)", *_with_le(query, losing))
    elif not any(isinstance(one, Aggregate) for one in every(inner)):
        yield query.flaw("quantile-per-series", bare(inner), "this is one quantile for each series (instance, path, "
                         "status): none of them is that of the service",
                         "sum the buckets first: histogram_quantile(q, sum by (le) (rate(…)))")


def _with_le(query: Query, one: Aggregate) -> tuple[Edit, ...]:
    if one.grouping == "by" and one.grouping_end >= 0:
        return (query.edit(one.grouping_end, one.grouping_end, ", le" if one.labels else "le"),)
    if not one.grouping:
        at = one.start + len(one.name)
        return (query.edit(at, at, " by (le) "),) if query.rule.expr.text[at:at + 1] == "(" else ()
    return ()


_WHOLE = re.compile(r"-?\d+(?:\.0)?")


def check_boundaries(query: Query) -> Iterator[Flaw]:
    """`le` and `quantile` compared as text."""
    for one in query.selectors:
        for matcher in one.matchers:
            if matcher.label not in ("le", "quantile") or matcher.op not in ("=", "!=") or not matcher.value:
                continue
            if matcher.label == "le" and not _is_float(matcher.value):
                yield query.flaw("le-not-number", matcher.start, f'le="{matcher.value}" is not a number: no bucket '
                                 'has it',
                                 "write a boundary of the histogram, such as 0.3")
            elif _WHOLE.fullmatch(matcher.value) and (matcher.label == "le" or matcher.value in ("0", "1")):
                whole = matcher.value.removesuffix(".0")
                op = "=~" if matcher.op == "=" else "!~"
                new = f'{matcher.label}{op}"{whole}(\\\\.0)?"'
                yield query.flaw("le-text", matcher.start, f'{matcher.label}="{matcher.value}" compares text: '
                                 f'Prometheus 2 stores "{whole}" and Prometheus 3 "{whole}.0"', f"write {new}",
                                 query.edit(matcher.start, matcher.end, new))
            if matcher.label == "le" and _is_float(matcher.value):
                yield from _no_bucket(query, one, matcher.value, matcher.start)


def _no_bucket(query: Query, one: Selector, value: str, at: int) -> Iterator[Flaw]:
    known = query.settings.buckets.get(one.name.removesuffix("_bucket"))
    if known and float(value) not in known:
        shown = ", ".join(f"{bound:g}" for bound in sorted(known))
        yield query.flaw("no-such-bucket", at, f"{one.name} has no boundary at {value}: this is empty",
                         f"its boundaries are {shown}")


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
