"""The gate for little traffic (`gate`) over many windows at once, and turned around: how many failures open it."""

from __future__ import annotations

import math
from decimal import Decimal
from functools import lru_cache

import numpy as np

from mainstay.kernel.series import BoolArray, FloatArray
from mainstay.monitoring.gate import ENOUGH, LEAST, z_of
from mainstay.monitoring.spec import LowTraffic


def passes(low: LowTraffic, threshold: Decimal, bad: FloatArray, total: FloatArray) -> BoolArray:
    """Whether the gate of a tier with that threshold is open, for long windows of so many bad among so many events.

    Arrays of one length. The same as `gate.gate_open` for each.
    """
    line = float(threshold)
    if low.gate == "beta-binomial":
        beyond: BoolArray = (total / (total + 2 / line)) ** bad <= float(1 - low.confidence)
        beyond &= bad > float(LEAST)
        beyond |= total * line >= ENOUGH
        return beyond
    fade = np.maximum(1 - total * line / ENOUGH, 0.0)
    needed = total * line + fade * (0.5 + float(z_of(low)) * np.sqrt(total * line * (1 - line)))
    return np.greater(bad, np.maximum(needed, float(LEAST)))


@lru_cache(maxsize=65_536)
def least_failures(low: LowTraffic, threshold: Decimal, total: int) -> int:
    """The fewest failures among so many events that open the gate; total + 1 when not even all of them do."""
    line = float(threshold)
    if low.gate == "wilson":
        first, last = 0, math.ceil(total * line + 0.5 + float(z_of(low)) * math.sqrt(total * line)) + 2
    elif total * line >= ENOUGH:
        return 0
    else:
        # Solved for k; one step of care on either side, where the logarithms round.
        guess = math.floor(math.log(float(1 - low.confidence)) / math.log(total / (total + 2 / line))) if total else 0
        first, last = max(0, guess - 1), max(guess, 0) + 2
    counts = np.arange(float(first), float(last) + 1)
    found = np.flatnonzero(passes(low, threshold, counts, np.full(len(counts), float(total))))
    return min(int(counts[found[0]]), total + 1) if len(found) else total + 1
