"""How evenly something is shared: Gini's index, the spread, and how sure one can be of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

_TWO_SIDED_95 = 1.959963984540054
"""Of the normal distribution."""


class Estimate(NamedTuple):
    """A figure and the interval that holds it 95 times of 100; without an interval where there is too little."""

    value: float
    low: float | None
    high: float | None


def gini(amounts: Sequence[float]) -> float | None:
    """0 when everybody has the same, (n − 1)/n when one has all; None when nobody has anything.

    Args:
        amounts: one a person, none negative.
    Source: Gini 1912, as half the mean difference over the mean: Σᵢ(2i − n − 1)xᵢ / (n Σx) for sorted x.
    """
    total = math.fsum(amounts)
    if not amounts or total <= 0:
        return None
    ordered = sorted(amounts)
    count = len(ordered)
    return math.fsum((2 * place - count - 1) * amount for place, amount in enumerate(ordered, 1)) / (count * total)


def jackknife(rows: Sequence[Sequence[float]], figure: Callable[[Sequence[float]], float | None],
              bounds: tuple[float, float] = (-math.inf, math.inf)) -> Estimate | None:
    """The figure of the column sums, with an interval from leaving each row out in turn.

    Args:
        rows: one a week, each with one amount a person.
        figure: of the sums, such as `gini`.
        bounds: what the figure can be at all.
    Source: Tukey 1958; Efron & Tibshirani, An Introduction to the Bootstrap, ch. 11. It draws no random number.
    """
    if not rows:
        return None
    sums = [math.fsum(column) for column in zip(*rows, strict=True)]
    value = figure(sums)
    if value is None:
        return None
    left = [figure([whole - part for whole, part in zip(sums, row, strict=True)]) for row in rows]
    known = [one for one in left if one is not None]
    if len(rows) < 3 or len(known) < len(rows):
        return Estimate(value, None, None)
    count = len(known)
    mean = math.fsum(known) / count
    error = math.sqrt((count - 1) / count * math.fsum((one - mean) ** 2 for one in known))
    low, high = bounds
    return Estimate(value, max(value - _TWO_SIDED_95 * error, low), min(value + _TWO_SIDED_95 * error, high))
