"""The gate for little traffic: what stops one failure among few events from waking somebody. Pure, and as PromQL.

A tier trips above k > n·q failures among the n events of its long window, q = f·b. While n·q is small, chance alone
passes that: at 99.9 % one failure among fewer than 69 requests. The gate asks for more, the more the fewer events:

    wilson         k > n·q + fade · (1/2 + z·sqrt(n·q·(1 - q)))        fade = 1 - n·q / ENOUGH, 0 from ENOUGH on

At fade 1 this is: the lower bound of Wilson's interval, half a failure taken off for continuity, lies above q. (The
bound is where the score test ends; solving it for k spares the rule the fraction.) z is the normal quantile of the
confidence.

    beta-binomial  (n / (n + 2/q))^k <= 1 - confidence                 or n·q >= ENOUGH

If true shares scatter around q/2 (beta distributed, first parameter 1), that is the chance of k failures or more.

Both ask for two failures at least. From ENOUGH on decisions are exactly those without a gate.

Sources: E. B. Wilson, "Probable inference", JASA 22 (1927); R. G. Newcombe, "Two-sided confidence intervals for the
single proportion", Statistics in Medicine 17 (1998) for the correction; for the other, the negative binomial as limit
of the beta-binomial, whose tail is geometric when the first parameter is 1.
"""

from __future__ import annotations

import math
from decimal import Decimal
from statistics import NormalDist

from mainstay.kernel.quantity import plain
from mainstay.monitoring.rulefile import number
from mainstay.monitoring.spec import LowTraffic
from mainstay.stats.budget import BurnAlert

ENOUGH = 10
"""Failures that the threshold must stand for before traffic is no longer little: one more or less decides nothing."""

LEAST = Decimal("1.5")
"""More failures than this must be there while traffic is little: two. Not 1, since increases are not quite whole."""

_DIGITS = Decimal("0.000001")


def z_of(low: LowTraffic) -> Decimal:
    """The normal quantile of the one-sided confidence, to six digits, as the rules carry it: 1.644854 for 95 %."""
    return Decimal(repr(NormalDist().inv_cdf(float(low.confidence)))).quantize(_DIGITS)


def gate_open(burn: BurnAlert, low: LowTraffic, bad: float, total: float) -> bool:
    """Whether so many failures among so many events of the tier's long window may wake somebody."""
    q = float(burn.threshold)
    if low.gate == "beta-binomial":
        chance = (total / (total + 2 / q)) ** bad
        return total * q >= ENOUGH or (chance <= float(1 - low.confidence) and bad > LEAST)
    return bad > failures_needed(burn, low, total)


def failures_needed(burn: BurnAlert, low: LowTraffic, total: float) -> float:
    """More failures than this open Wilson's gate."""
    q = float(burn.threshold)
    fade = max(1 - total * q / ENOUGH, 0.0)
    return max(total * q + fade * (0.5 + float(z_of(low)) * math.sqrt(total * q * (1 - q))), float(LEAST))


def wilson_lower(bad: float, total: float, z: float) -> float:
    """The lower end of Wilson's score interval for the share bad / total; what the gate asks at fade 1."""
    share, weight = bad / total, z * z / total
    spread = z * math.sqrt((share * (1 - share) + weight / 4) / total)
    return (share + weight / 2 - spread) / (1 + weight)


def gate_promql(burn: BurnAlert, low: LowTraffic, bad: str, total: str) -> str:
    """The same as a condition that gives something where the gate is open.

    Args:
        bad, total: expressions of the two sums of the tier's long window.
    """
    q = number(burn.threshold)
    if low.gate == "beta-binomial":
        scatter = plain((2 / burn.threshold).quantize(_DIGITS).normalize())
        chance = f"({total} / ({total} + {scatter})) ^ {bad} <= {plain(1 - low.confidence)}"
        return f"(\n  {total} * {q} >= {ENOUGH}\n  or {chance} and {bad} > {LEAST}\n)"
    fade = f"clamp_min(1 - {total} * {number(burn.threshold / ENOUGH)}, 0)"
    spread = f"{plain(z_of(low))} * sqrt({total} * {number(burn.threshold * (1 - burn.threshold))})"
    return f"{bad}\n> clamp_min(\n  {total} * {q}\n  + {fade} * (0.5 + {spread}),\n  {LEAST}\n)"
