"""A straight line through points, and how sure it is. Standard library only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from mainstay.kernel.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Fit:
    """y = start + slope · x by least squares.

    Args:
        slope_low, slope_high: the interval of the slope at the level asked for (Student t).
        spread: standard deviation of the points around the line.
        level: of the interval, such as 0.95.
    """

    start: float
    slope: float
    slope_low: float
    slope_high: float
    spread: float
    points: int
    level: float
    mean_x: float
    squares_x: float

    def at(self, x: float) -> tuple[float, float, float]:
        """The value at x, and the interval that one new observation there falls into."""
        value = self.start + self.slope * x
        width = student(1 - (1 - self.level) / 2, self.points - 2) * self.spread * math.sqrt(
            1 + 1 / self.points + (x - self.mean_x) ** 2 / self.squares_x)
        return value, value - width, value + width


def fit(xs: Sequence[float], ys: Sequence[float], *, level: float = 0.95) -> Fit | None:
    """The line, or None with fewer than three points or only one x.

    Source: any textbook of ordinary least squares; held against NIST's Norris data in the tests.
    """
    count = len(xs)
    if count < 3:
        return None
    mean_x, mean_y = math.fsum(xs) / count, math.fsum(ys) / count
    squares = math.fsum((x - mean_x) ** 2 for x in xs)
    if squares <= 0:
        return None
    slope = math.fsum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / squares
    start = mean_y - slope * mean_x
    left = math.fsum((y - start - slope * x) ** 2 for x, y in zip(xs, ys, strict=True))
    spread = math.sqrt(left / (count - 2))
    width = student(1 - (1 - level) / 2, count - 2) * spread / math.sqrt(squares)
    return Fit(start, slope, slope - width, slope + width, spread, count, level, mean_x, squares)


def student(share: float, freedom: int) -> float:
    """The quantile of Student's t: below it lies that share, 0 < share < 1, freedom >= 1.

    Exact for one and two degrees of freedom; from three on within 0.3 % up to the 97.5 % quantile.
    Source: Abramowitz, Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    if freedom == 1:
        return math.tan(math.pi * (share - 0.5))
    if freedom == 2:
        return (2 * share - 1) * math.sqrt(2 / (1 - (2 * share - 1) ** 2))
    z = NormalDist().inv_cdf(share)
    terms = (z,
             (z ** 3 + z) / 4,
             (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96,
             (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / 384,
             (79 * z ** 9 + 776 * z ** 7 + 1482 * z ** 5 - 1920 * z ** 3 - 945 * z) / 92160)
    return math.fsum(term / float(freedom) ** power for power, term in enumerate(terms))


def mean_interval(values: Sequence[float], *, level: float = 0.9) -> tuple[float, float, float] | None:
    """The mean of values that are drawn alike, with its interval (Student t); None with fewer than two."""
    count = len(values)
    if count < 2:
        return None
    mean = math.fsum(values) / count
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1) / count)
    width = student(1 - (1 - level) / 2, count - 1) * spread
    return mean, mean - width, mean + width
