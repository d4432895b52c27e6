"""Whether what was seen is likely when what was asked is there."""

from __future__ import annotations

from mainstay.stats.budget import binomial_tail

_SURE = 1e-4
"""Chance, on each side, of holding a fault for absent that is there just as asked."""


def fits(hits: int, count: int, expected: float) -> bool:
    """Whether there are hits, and so many of so many are likely when each is one with the chance `expected`."""
    return (hits > 0 and binomial_tail(count, hits, expected) > _SURE
            and 1 - binomial_tail(count, hits + 1, expected) > _SURE)
