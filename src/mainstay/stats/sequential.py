"""A test that may look after every observation: is a share of failures small, or too great?

The sequential probability ratio test of two simple hypotheses about independent yes-or-no outcomes. It may be asked
at any time, as often as one likes, without the chance of a mistake growing: that is what a fixed number of samples
cannot do.
Source: A. Wald, "Sequential Tests of Statistical Hypotheses", Annals of Mathematical Statistics 16 (1945), 117-186.
"""

from __future__ import annotations

from math import ceil, log, log1p
from typing import Literal

from mainstay.kernel.dataclass import dataclass

Answer = Literal["small", "great", "undecided"]


@dataclass(frozen=True, slots=True)
class RatioTest:
    """Wald's test of `small` against `great`.

    Args:
        small, great: the two shares of failures, 0 < small < great < 1.
        alpha: chance to say `great` where the share is `small`, about.
        beta: chance to say `small` where the share is `great`, about.
    """

    small: float
    great: float
    alpha: float = 0.05
    beta: float = 0.05

    def __post_init__(self) -> None:
        assert 0 < self.small < self.great < 1, "two shares, the smaller first"
        assert 0 < self.alpha < 0.5, "a chance of a mistake"
        assert 0 < self.beta < 0.5, "a chance of a mistake"

    @property
    def lower(self) -> float:
        """At or below this log-likelihood ratio the answer is `small`."""
        return log(self.beta / (1 - self.alpha))

    @property
    def upper(self) -> float:
        """At or above it the answer is `great`."""
        return log((1 - self.beta) / self.alpha)

    def ratio(self, bad: float, total: float) -> float:
        """The log-likelihood ratio of `great` against `small` after so many outcomes."""
        return bad * log(self.great / self.small) + (total - bad) * (log1p(-self.great) - log1p(-self.small))

    def answer(self, bad: float, total: float) -> Answer:
        """What may be said after so many outcomes, of which so many were failures."""
        ratio = self.ratio(bad, total)
        return "small" if ratio <= self.lower else "great" if ratio >= self.upper else "undecided"

    @property
    def least(self) -> int:
        """How many outcomes without a failure it takes to say `small`."""
        return ceil(self.lower / (log1p(-self.great) - log1p(-self.small)))
