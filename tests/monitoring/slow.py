"""The same alerts, evaluated one moment after the other in plain Python, as Prometheus does: the reference answer."""

from __future__ import annotations

from datetime import timedelta

from mainstay.kernel.quantity import Target
from mainstay.kernel.series import Series
from mainstay.monitoring.evaluation import Rule
from mainstay.monitoring.gate import gate_open
from mainstay.stats.budget import BurnAlert, Tier


def firings(series: Series, rule: Rule, interval: int, target: Target) -> tuple[list[tuple[int, int]], bool]:
    """(began, ended) of each firing, and whether the last one had not ended."""
    step = series.step
    every = step * max(1, -(-interval // step))
    slots = [(series.start + i * step, float(bad), float(total))
             for i, (bad, total) in enumerate(zip(series.bad, series.total, strict=True))]
    pending: int | None = None
    began: int | None = None
    out: list[tuple[int, int]] = []
    at = last = -(-(series.start + 1) // every) * every
    while at <= series.end:
        if _holds(slots, rule, at, step, target):
            pending = at if pending is None else pending
            if began is None and at - pending >= rule.hold.total_seconds():
                began = at
        else:
            if began is not None:
                out.append((began, at))
            pending = began = None
        last, at = at, at + every
    if began is not None:
        return [*out, (began, last)], True
    return out, False


def _holds(slots: list[tuple[int, float, float]], rule: Rule, at: int, step: int, target: Target) -> bool:
    for length in (rule.long, rule.short):
        if length is None:
            continue
        bad, total = _window(slots, at, length, step)
        # Whole numbers on both sides: the threshold is a decimal, and so is exact.
        numerator, denominator = rule.threshold.as_integer_ratio()
        if total <= 0 or not bad * denominator > total * numerator:
            return False
    if rule.gate is None:
        return True
    bad, total = _window(slots, at, rule.long, step)
    tier = Tier(rule.severity, rule.long, rule.threshold, rule.hold)
    burn = BurnAlert(tier, rule.threshold / target.budget, rule.threshold, rule.long / 12, timedelta(days=30), ())
    return gate_open(burn, rule.gate, bad, total)


def _window(slots: list[tuple[int, float, float]], at: int, length: timedelta, step: int) -> tuple[float, float]:
    reach = max(1, -(-int(length.total_seconds()) // step)) * step
    inside = [(bad, total) for start, bad, total in slots if at - reach <= start < at]
    return sum(bad for bad, _ in inside), sum(total for _, total in inside)
