"""PromQL texts as what they count: counters, pairs of counters, a histogram at a threshold.

By form alone, without a parser: what has another shape stays an expression. Every word reads queries so.
"""

from __future__ import annotations

import re

from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.ports import PromQuery

_SELECTOR_TEXT = r"""[a-zA-Z_:][\w:]*\s*(?:\{(?:[^{}"']|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')*\})?"""
_SELECTOR = re.compile(_SELECTOR_TEXT)
_SUM_OF = re.compile(r"sum\s*\((?P<inside>.*)\)", re.DOTALL)


def counter_query(text: str, *, counter: bool) -> PromQuery:
    """A PromQL text as a query that counts events: a counter's selector (also inside `sum(…)`), or an expression."""
    raw = text.strip()
    summed = _SUM_OF.fullmatch(raw)
    inside = summed["inside"].strip() if summed else raw
    if counter and _SELECTOR.fullmatch(inside):
        return PromQuery(inside, counter=True)
    return PromQuery(raw, counter=False)


_RATE = r"sum\s*\(\s*(?:rate|increase)\s*\(\s*(?P<{name}>" + _SELECTOR_TEXT + r")\s*\[[^\]]+\]\s*\)\s*\)"
_RATIO = re.compile(r"\s*" + _RATE.replace("{name}", "good") + r"\s*/\s*" + _RATE.replace("{name}", "total")
                    + r"\s*(?:\*\s*100\s*)?")


def split_ratio(text: str) -> tuple[PromQuery, PromQuery] | None:
    """Good and total of a query `sum(rate(good[w])) / sum(rate(total[w]))`, or None when it has another shape.

    Counted apart, the two chain exactly over any window; the ratio alone could only be averaged.
    """
    found = _RATIO.fullmatch(text)
    return (PromQuery(found["good"].strip(), True), PromQuery(found["total"].strip(), True)) if found else None


def histogram_queries(selector: str, seconds: float) -> tuple[PromQuery, PromQuery]:
    """Good and total of a classic histogram at a threshold: `_bucket{le=threshold}` and `_count`.

    Prometheus 3 stores `le="1.0"` where 2.x stored `le="1"`, so a whole threshold matches both.

    Raises:
        InvalidInput: not a metric's name with optional labels.
    """
    raw = selector.strip()
    if not _SELECTOR.fullmatch(raw):
        raise InvalidInput(f'"{raw}" is not a histogram', "write its name with labels: http_seconds{job=\"web\"}")
    name, _, labels = raw.partition("{")
    name = name.strip().removesuffix("_bucket").removesuffix("_count")
    inside = labels.rstrip().removesuffix("}").strip().rstrip(",")
    bound = f"{seconds:g}" if float(f"{seconds:g}") == seconds else f"{seconds:.15g}"
    matcher = f'le=~"{bound}(\\\\.0)?"' if bound.isdigit() else f'le="{bound}"'
    within = f"{inside},{matcher}" if inside else matcher
    total = f"{name}_count" + (f"{{{inside}}}" if inside else "")
    return PromQuery(f"{name}_bucket{{{within}}}", counter=True), PromQuery(total, counter=True)
