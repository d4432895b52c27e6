"""Shares of two stretches compared: how sure one can be of each, and of what changed. Standard library only."""

from __future__ import annotations

import math
from typing import NamedTuple

Z_95 = 1.959963984540054
"""Two-sided 95 % of the normal distribution."""


class Interval(NamedTuple):
    """A figure and the bounds that hold it with the stated confidence; `high` may be infinite."""

    value: float
    low: float
    high: float


def wilson(hits: float, total: float, z: float = Z_95) -> Interval:
    """A share with its score interval, which keeps its level also near 0 and 1 and with few events.

    Args:
        z: quantile of the normal distribution; 1.96 is 95 % two-sided.
    Raises:
        ValueError: there is nothing to take a share of, or more hits than that.
    Source: Wilson 1927; recommended by Brown, Cai, DasGupta, "Interval Estimation for a Binomial Proportion", 2001.
    """
    if total <= 0 or not 0 <= hits <= total:
        raise ValueError(f"{hits:g} of {total:g} is no share")
    share, square = hits / total, z * z
    middle = (share + square / (2 * total)) / (1 + square / total)
    half = z / (1 + square / total) * math.sqrt(share * (1 - share) / total + square / (4 * total * total))
    return Interval(share, 0.0 if hits == 0 else max(0.0, middle - half),
                    1.0 if hits == total else min(1.0, middle + half))


def newcombe(after: tuple[float, float], before: tuple[float, float], z: float = Z_95) -> Interval:
    """By how much a share grew: share after minus share before.

    Args:
        after, before: hits and total of each.
    Source: Newcombe 1998, "Interval estimation for the difference between independent proportions", method 10:
        the score intervals of both shares, put together.
    """
    one, other = wilson(*after, z), wilson(*before, z)
    change = one.value - other.value
    return Interval(change, change - math.hypot(one.value - one.low, other.high - other.value),
                    change + math.hypot(one.high - one.value, other.value - other.low))
