"""How often chance alone makes an alert fire at a service that just keeps its promise.

The windows that an alert looks through overlap, so its looks are not independent, and the chance of one look times the
number of looks says nothing. What can be counted exactly is how often the condition *begins*: it begins only when a
failure comes in, and then only if that failure is the one that lifts both windows above their thresholds. With S
failures in the short window and R in the rest of the long one before it comes,

    begins a second = failures a second × [P(S >= s-1, S+R >= l-1) - P(S >= s, S+R >= l)]

where s and l are the fewest failures that lie above the thresholds, and S and R are binomial. A hold (`for`) only makes
it rarer, and so do evaluations that are rarer than failures: what begins and ends between two of them is not seen.
Dividing by the chance of one look says how many independent looks the overlapping ones are worth.
Traffic that comes by chance too (Poisson) is averaged over: in a quieter hour fewer failures are enough.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.series import FloatArray
from mainstay.monitoring.evaluation import Rule
from mainstay.monitoring.gating import least_failures
from mainstay.stats.budget import binomial_tail

MONTH = 30 * 86_400.0
"""Seconds: a month of 30 days."""
_NEVER = 1e-12
"""A chance of a look below this is never seen: it is not added up."""
_STEADY = 5_000.0
"""Events in the long window from which their own fluctuation no longer changes the count that trips it by much."""


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """What chance does to one rule.

    Args:
        chance: that the long window is above the threshold (and beyond its gate) at one look.
        a_month: how often the condition begins in 30 days.
        looks: how many independent looks with that chance that would be; 0 where it never is.
        least: failures in a long window of the average size that trip it.
    """

    chance: float
    a_month: float
    looks: float
    least: int


@lru_cache(maxsize=16_384)
def false_alarms(rule: Rule, per_second: float, bad_share: float) -> FalseAlarms:
    """How often the rule's condition begins by chance alone.

    Args:
        per_second: events a second, coming by chance at this rate.
        bad_share: the true share of bad events; each fails independently.
    """
    long, short = rule.long.total_seconds(), (rule.short or rule.long).total_seconds()
    chance = begins = 0.0
    for total, weight in _windows(per_second * long):
        least = trips_at(rule, total)
        if total == 0 or least > total or _at_most(total, least, bad_share) < _NEVER:
            continue
        inside = min(total, max(1, round(total * short / long)))
        least_short = least_above(rule.threshold.as_integer_ratio(), inside) if rule.short is not None else 0
        chance += weight * binomial_tail(total, least, bad_share)
        before = _joint(total, inside, least, least_short, bad_share)
        after = _joint(total, inside, least - 1, max(least_short - 1, 0), bad_share)
        begins += weight * max(after - before, 0.0) * total / long * bad_share
    a_month = begins * MONTH
    average = trips_at(rule, max(1, round(per_second * long)))
    return FalseAlarms(chance, a_month, a_month / chance if chance else 0.0, average)


def least_above(share: tuple[int, int], total: int) -> int:
    """The fewest of `total` that are more than that share of it."""
    return share[0] * total // share[1] + 1


@lru_cache(maxsize=65_536)
def trips_at(rule: Rule, total: int) -> int:
    """The fewest failures among so many events of the long window that lie above the threshold and pass the gate."""
    least = least_above(rule.threshold.as_integer_ratio(), total)
    return least if rule.gate is None else max(least, least_failures(rule.gate, rule.threshold, total))


def _at_most(total: int, least: int, share: float) -> float:
    """No less than the chance of at least `least` among `total`: exp(-n·KL), Chernoff's bound; 1 below the mean."""
    found = least / total
    if found <= share:
        return 1.0
    rest = (1 - found) * math.log((1 - found) / (1 - share)) if found < 1 else 0.0
    return math.exp(-total * (found * math.log(found / share) + rest))


def _windows(mean: float) -> list[tuple[int, float]]:
    """Sizes of the long window with their chances: the mean alone where it is large, else cells of a Poisson."""
    if mean >= _STEADY:
        return [(round(mean), 1.0)]
    reach = 5 * math.sqrt(mean) + 8
    low, high = max(0, math.floor(mean - reach)), math.ceil(mean + reach)
    sizes = np.arange(low, high + 1)
    logs = np.concatenate(([0.0], np.cumsum(np.log(mean / np.maximum(sizes[1:], 1))))) if mean > 0 else sizes * 0.0
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    cell = max(1, len(sizes) // 40)
    return [(int(sizes[at + (min(at + cell, len(sizes)) - at) // 2]), float(weights[at:at + cell].sum()))
            for at in range(0, len(sizes), cell)]


def _joint(total: int, inside: int, least: int, least_short: int, share: float) -> float:
    """P(S >= least_short and S + R >= least), S binomial over `inside` events and R over the rest."""
    rest, high = total - inside, min(least - 1, inside)
    # From `least` on S alone is enough, and R does not matter.
    alone = binomial_tail(inside, max(least, least_short), share)
    if high < least_short:
        return alone
    mass = _mass(inside, least_short, high, share)
    likely = np.flatnonzero(mass > _NEVER * 1e-6)
    tails = [binomial_tail(rest, least - least_short - int(i), share) for i in likely]
    return float(np.dot(mass[likely], tails)) + alone


def _mass(trials: int, low: int, high: int, share: float) -> FloatArray:
    """P(S = low … high) of a binomial."""
    first = (math.lgamma(trials + 1) - math.lgamma(low + 1) - math.lgamma(trials - low + 1)
             + low * math.log(share) + (trials - low) * math.log1p(-share))
    counts = np.arange(low, high)
    steps = np.log((trials - counts) / (counts + 1.0) * (share / (1 - share)))
    mass: FloatArray = np.exp(first + np.concatenate(([0.0], np.cumsum(steps))))
    return mass
