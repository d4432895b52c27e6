"""Time-outs and thresholds worked out from what was measured, each with its arithmetic. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mainstay.chaos.matrix import Answer
from mainstay.kernel.dataclass import dataclass
from mainstay.stats.budget import binomial_tail
from mainstay.stats.order import needed_for_upper, quantile, quantile_interval
from mainstay.stats.shares import wilson

MARGIN = 0.25
"""On top of the slowest healthy calls: tomorrow is a little slower than today."""

FALSE_OPEN = 1e-6
"""Chance that a breaker opens on one window of calls though nothing is wrong."""

_WINDOW = 100
_LEAST = 20


@dataclass(frozen=True, slots=True)
class Advice:
    """A setting and how it comes about.

    Args:
        what: `time-out of api for cache`.
        value: in `unit`: seconds, share, calls.
        how: the arithmetic, with the figures in it.
        sure: whether there was enough to be sure of it.
    """

    what: str
    value: float
    unit: str
    how: str
    sure: bool


def time_out(caller: str, callee: str, healthy: Sequence[Answer]) -> Advice | None:
    """How long the caller should wait: the slowest of a thousand healthy calls, and a margin.

    Args:
        healthy: calls while all was well; those that failed are left out.
    """
    ordered = sorted(one.seconds for one in healthy if not one.failed)
    if len(ordered) < _LEAST:
        return None
    needed = needed_for_upper(0.999)
    bound = quantile_interval(ordered, 0.999, 0.9)
    sure = math.isfinite(bound.high)
    longest = bound.high if sure else ordered[-1]
    value = _round_up(longest * (1 + MARGIN))
    calls = f"{len(ordered)} calls"
    source = f"the 99.9th percentile is at most {_ms(longest)} (95 % sure, {calls})" if sure else \
        f"the slowest of {calls} took {_ms(longest)}; {needed} are needed to be sure of the 99.9th percentile"
    return Advice(f"time-out of {caller} for {callee}", value, "s",
                  f"{source}; × {1 + MARGIN:g} = {_ms(longest * (1 + MARGIN))}, rounded up to {_ms(value)}", sure)


def breaker_threshold(caller: str, callee: str, healthy: Sequence[Answer], window: int = _WINDOW) -> Advice | None:
    """From which share of failures on a breaker should open: seen by chance once in a million windows.

    The base share is taken as the most that it may be (the upper end of its interval), failures as independent.
    """
    if len(healthy) < _LEAST:
        return None
    failed = sum(one.failed for one in healthy)
    base = wilson(failed, len(healthy))
    count = next(least for least in range(1, window + 2) if binomial_tail(window, least, base.high) <= FALSE_OPEN)
    if count > window:
        return Advice(f"breaker of {caller} for {callee}", 1.0, "share",
                      f"{failed} of {len(healthy)} healthy calls fail: a breaker cannot tell trouble from that",
                      sure=False)
    chance = f"{binomial_tail(window, count, base.high):.1g} of the windows (at most {FALSE_OPEN:g})"
    return Advice(
        f"breaker of {caller} for {callee}", count / window, "share",
        f"{failed} of {len(healthy)} healthy calls fail, at most {base.high * 100:.2g} %; of {window} calls {count} or "
        f"more then fail by chance in {chance}",
        sure=len(healthy) >= window)


def places(caller: str, callee: str, healthy: Sequence[Answer], rate: float) -> Advice | None:
    """How many calls may be under way at once: as many as arrive while one waits for its time-out.

    Source: Little 1961, L = λW, with the longest wait that the time-out allows.
    """
    limit = time_out(caller, callee, healthy)
    if limit is None or rate <= 0:
        return None
    value = max(1, math.ceil(rate * limit.value))
    return Advice(f"bulkhead of {caller} for {callee}", float(value), "calls",
                  f"{rate:g} calls a second × {_ms(limit.value)} time-out = {rate * limit.value:.3g}, rounded up",
                  limit.sure)


def typical(healthy: Sequence[Answer]) -> float | None:
    """The middle of the healthy calls, in seconds."""
    ordered = sorted(one.seconds for one in healthy if not one.failed)
    return quantile(ordered, 0.5) if ordered else None


def _round_up(seconds: float) -> float:
    """To two figures, upwards: 0.1234 is 0.13."""
    if seconds <= 0:
        return 0.001
    step = 10.0 ** (math.floor(math.log10(seconds)) - 1)
    return max(0.001, round(math.ceil(seconds / step - 1e-9) * step, 6))


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
