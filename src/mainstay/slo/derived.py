"""Indicators that judge slices of time by what arrived in them: throughput and freshness. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import assert_never

import numpy as np

from mainstay.kernel.objective import FreshWithin, PerSecond
from mainstay.kernel.series import BoolArray, Series


def slice_seconds(derived: PerSecond | FreshWithin) -> int:
    """The length of a slice in seconds."""
    return int(derived.slice.total_seconds())


def look_back(derived: PerSecond | FreshWithin | None) -> timedelta:
    """How far before a span its first slice must see: the age an update may have."""
    return derived.age if isinstance(derived, FreshWithin) else timedelta(0)


def judged(arrivals: Series, derived: PerSecond | FreshWithin) -> Series:
    """One event a measured slice, bad when too little (or nothing fresh) arrived.

    Args:
        arrivals: `total` counts what arrived in each slice; a slice nobody measured stays a gap.
    """
    match derived:
        case PerSecond(minimum):
            bad: BoolArray = arrivals.known & (arrivals.total / arrivals.step < minimum)
        case FreshWithin(age):
            slices = max(1, int(age.total_seconds()) // arrivals.step)
            sums = np.concatenate([[0.0], np.cumsum(arrivals.total)])
            index = np.arange(len(arrivals)) + 1
            seen = sums[index] - sums[np.maximum(index - slices, 0)]
            bad = arrivals.known & (seen <= 0)
        case other:
            assert_never(other)
    return Series(arrivals.start, arrivals.step, bad.astype(np.float64), arrivals.known.astype(np.float64),
                  arrivals.known)
