"""Where a series changed its level for good: E-divisive means with a permutation test. Standard library only.

Source: Matteson, James, "A nonparametric approach for multiple change point analysis of multivariate data", JASA 109
(2014), with the index exponent 1; the whole segment on each side of a split is used, as MongoDB does (Daly et al., "The
use of change point detection to identify software performance regressions", ICPE 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from operator import itemgetter

from mainstay.kernel.dataclass import dataclass
from mainstay.stats.dice import Dice

LEAST = 4
"""Values on each side of a change; fewer are an outlier, not a level."""
PERMUTATIONS = 199
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Change:
    """A change of level.

    Args:
        at: the index of the first value of the new level.
        before, after: means of the stretches up to the neighbouring changes.
        p: the share of shuffled orders that look at least as changed, 1 / (permutations + 1) at best.
    """

    at: int
    before: float
    after: float
    p: float


def divergence(values: Sequence[float]) -> list[float]:
    """How different the two sides of each split are: entry t is for values[:t] against values[t:].

    Returns:
        Q-hat for t = 0 … n - 1, 0 where a side has fewer than two values.
    """
    return _divergence([[abs(one - other) for other in values] for one in values], range(len(values)))


def _divergence(distances: Sequence[Sequence[float]], order: Sequence[int]) -> list[float]:
    count = len(order)
    out = [0.0] * count
    if count < 4:
        return out
    arrange = itemgetter(*order)
    rows = [arrange(distances[one]) for one in order]
    sums = list(map(sum, rows))
    between, left, right = 0.0, 0.0, sum(sums) / 2
    for position in range(count):
        if 2 <= position <= count - 2:
            rest = count - position
            apart = between / (position * rest)
            inside = left / (position * (position - 1)) + right / (rest * (rest - 1))
            out[position] = 2 * position * rest / count * (apart - inside)
        before = sum(rows[position][:position])
        after = sums[position] - before
        between += after - before
        left += before
        right -= after
    return out


def changes(values: Sequence[float], *, alpha: float = ALPHA, permutations: int = PERMUTATIONS,
            seed: int = 1) -> tuple[Change, ...]:
    """The changes of level, by time. The strongest split of any stretch is tested until one is not significant.

    Args:
        alpha: a split is kept when its p is not above.
        seed: of the shuffles; the same seed gives the same answer.
    """
    dice = Dice(seed)
    found: dict[int, float] = {}
    while True:
        edges = [0, *sorted(found), len(values)]
        best = max((_strongest(values[start:end], start) for start, end in pairwise(edges)),
                   default=(0.0, -1), key=lambda split: split[0])
        if best[1] < 0:
            break
        likely = _chance(values, edges, best[0], permutations, dice)
        if likely > alpha:
            break
        found[best[1]] = likely
    edges = [0, *sorted(found), len(values)]
    means = [sum(values[start:end]) / (end - start) for start, end in pairwise(edges)
             if end > start]
    return tuple(Change(at, means[index], means[index + 1], found[at]) for index, at in enumerate(sorted(found)))


def _strongest(stretch: Sequence[float], start: int) -> tuple[float, int]:
    """The strongest split of a stretch as (Q-hat, index in the whole); index -1 when the stretch is too short."""
    if len(stretch) < 2 * LEAST:
        return 0.0, -1
    return _peak(divergence(stretch), start)


def _peak(diverging: Sequence[float], start: int) -> tuple[float, int]:
    inner = diverging[LEAST: len(diverging) - LEAST + 1]
    strongest = max(inner)
    return (strongest, start + LEAST + inner.index(strongest)) if strongest > 0 else (0.0, -1)


def _chance(values: Sequence[float], edges: Sequence[int], strength: float, permutations: int, dice: Dice) -> float:
    """How often shuffling within the stretches gives a split as strong."""
    stretches = [values[start:end] for start, end in pairwise(edges)
                 if end - start >= 2 * LEAST]
    distances = [[[abs(one - other) for other in stretch] for one in stretch] for stretch in stretches]
    orders = [list(range(len(stretch))) for stretch in stretches]
    as_strong = 0
    for _ in range(permutations):
        for known, order in zip(distances, orders, strict=True):
            dice.shuffle(order)
            if _peak(_divergence(known, order), 0)[0] >= strength:
                as_strong += 1
                break
    return (as_strong + 1) / (permutations + 1)
