"""Whether a series goes up or down, or only to and fro."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Literal

Drift = Literal["rising", "falling", "steady", "insufficient data"]

LEAST = 6
"""Values before anything is said: with five or fewer there is too little data (the reference's rule)."""
_CRITICAL = 1.959963984540054


def drift(values: Sequence[float]) -> Drift:
    """Whether the values rise or fall more than chance would have them, at 5 %.

    Source: Mann 1945, Kendall 1975: the signs of all later minus earlier values, with ties and continuity corrected.
    """
    if len(values) < LEAST:
        return "insufficient data"
    score = sum((later > earlier) - (later < earlier)
                for place, later in enumerate(values) for earlier in values[:place])
    count = len(values)
    ties = sum(many * (many - 1) * (2 * many + 5) for many in Counter(values).values())
    variance = (count * (count - 1) * (2 * count + 5) - ties) / 18
    if variance <= 0 or abs(score) <= 1:
        return "steady"
    z = (abs(score) - 1) / math.sqrt(variance)
    if z < _CRITICAL:
        return "steady"
    return "rising" if score > 0 else "falling"
