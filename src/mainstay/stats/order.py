"""Quantiles and what bounds them, whatever the distribution: by counting which of the sorted values they lie between.

A value that is infinite stands for something that had not come when the waiting ended: it counts as the greatest.
Standard library only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from mainstay.stats.shares import Interval


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least that share of the values does not exceed.

    Args:
        ordered: ascending, not empty.
    Source: the inverse of the empirical distribution; definition 1 of Hyndman and Fan 1996. No value is made up.
    """
    return ordered[max(0, math.ceil(share * len(ordered) - 1e-9) - 1)]


def quantile_interval(ordered: Sequence[float], share: float, level: float = 0.95) -> Interval:
    """A quantile with bounds that hold it with at least that confidence, whatever the values' distribution is.

    With too few values for one of the bounds, that bound is 0 or infinite: more is not known.

    Args:
        ordered: ascending, none negative.
    Source: the number of values below the quantile is binomial (David and Nagaraja, "Order Statistics", 7.1); each
        side gets half of what may go wrong.
    """
    if not ordered:
        raise ValueError("there is no quantile of nothing")
    count, risk = len(ordered), (1 - level) / 2
    at_most = _cumulative(count, share)
    # low = x_(l) with P(B < l) <= risk, high = x_(u) with P(B >= u) <= risk, B ~ binomial(count, share).
    low = max((place for place in range(1, count + 1) if at_most[place - 1] <= risk), default=0)
    high = next((place for place in range(1, count + 1) if 1 - at_most[place - 1] <= risk), count + 1)
    return Interval(quantile(ordered, share), ordered[low - 1] if low else 0.0,
                    ordered[high - 1] if high <= count else math.inf)


def needed_for_upper(share: float, level: float = 0.95) -> int:
    """So many values are needed before a quantile has an upper bound: share^n <= 1 - level on that one side."""
    return math.ceil(math.log(1 - level) / math.log(share))


def ratio_interval(after: Sequence[float], before: Sequence[float], share: float, level: float = 0.95) -> Interval:
    """How many times as great a quantile became.

    Both quantiles get an interval of half of what may go wrong (Bonferroni); the ratio lies between the extremes.
    """
    half = 1 - (1 - level) / 2
    one, other = quantile_interval(after, share, half), quantile_interval(before, share, half)
    return Interval(_over(one.value, other.value), _over(one.low, other.high), _over(one.high, other.low))


def _over(above: float, below: float) -> float:
    if math.isinf(below):
        return 0.0
    return math.inf if below == 0 else above / below


def _cumulative(count: int, share: float) -> list[float]:
    """P(B <= k) for k from 0 to count of a binomial distribution; from logarithms, so that nothing underflows."""
    up, down = math.log(share), math.log1p(-share)
    running, out = 0.0, []
    for hits in range(count + 1):
        running += math.exp(math.lgamma(count + 1) - math.lgamma(hits + 1) - math.lgamma(count - hits + 1)
                            + hits * up + (count - hits) * down)
        out.append(min(1.0, running))
    return out
