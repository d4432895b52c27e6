"""Alerts evaluated over a history, exactly as Prometheus would evaluate their rules at every moment of it.

A rule's condition holds at a moment when the share of bad events is above its threshold in the long window and in the
short one, both ending then; a window in which nothing was counted holds nothing. It fires once the condition held at
every evaluation for as long as its hold (`for`), and stops at the first evaluation at which it does not hold.

The history is added up once, so a window costs two look-ups, whatever its length; short windows and gates are looked
at only where the long window is above its threshold, which in a healthy history is hardly anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal, TypeAlias

import numpy as np

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.series import BoolArray, FloatArray, Series
from mainstay.monitoring.gating import passes
from mainstay.monitoring.spec import LowTraffic

IntArray: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"


_BLOCK = 1 << 15
"""Evaluations that are looked at together: their sums stay in the processor's cache, which is twice as fast."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One alert as it is evaluated.

    Args:
        tier: what tells it apart among its policy's rules: `page-1h`.
        threshold: share of bad events, exact; the condition needs more than it.
        short: the second window, which lets the alert go soon after the trouble does; None has only the long one.
        hold: how long the condition must hold (`for`).
        gate: with few events, how sure it must be that the failures are no chance; None is always sure.
        faults: why it is of no use for its target and window; it is evaluated all the same.
    """

    tier: str
    severity: Literal["page", "ticket"]
    long: timedelta
    short: timedelta | None
    threshold: Decimal
    hold: timedelta = timedelta(0)
    gate: LowTraffic | None = None
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules that are judged together.

    Args:
        interval: how often they are evaluated.
    """

    name: str
    title: str
    rules: tuple[Rule, ...]
    interval: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, eq=False)
class Firings:
    """When a rule fired. Arrays of one length, ascending: epoch seconds of the evaluations at which it began and ended.

    Args:
        open: whether the last one had not ended when the history did; its end is then the history's.
    """

    began: IntArray
    ended: IntArray
    open: bool

    def __len__(self) -> int:
        return len(self.began)


class History:
    """A series made ready for many rules: its running sums at the moments of evaluation.

    Args:
        series: bad and total as counted.
        interval: how often rules are evaluated; no oftener than the series has slots, at whole multiples of it.
    """

    def __init__(self, series: Series, interval: timedelta) -> None:
        self.step = series.step
        self.grain = grain(series.step, interval)
        self.first = -(-(series.start + 1) // self.grain) * self.grain
        """Epoch seconds of the first evaluation: just after the first slot that is over by then."""
        self.count = max(0, (series.end - self.first) // self.grain + 1)
        # Sums of fractions leave crumbs where nothing was counted; a share of crumbs would be a share of nothing.
        self._crumbs = 1e-12 * series.total_sum
        ends = (self.first - series.start) // self.step
        self._bad, self._total = (_Sums(counts, ends, self.grain // self.step) for counts in (series.bad, series.total))

    def moments(self, indices: IntArray) -> IntArray:
        """Epoch seconds of these evaluations."""
        return self.first + self.grain * indices

    def above(self, length: timedelta, threshold: Decimal, at: IntArray | None = None) -> IntArray:
        """The evaluations (among `at`) whose window of that length has a greater share of bad events."""
        slots = slots_of(length, self.step)
        if at is not None:
            return at[_greater(self._bad.at(slots, at), self._total.at(slots, at), threshold, self._crumbs)]
        found = []
        for start in range(0, self.count, _BLOCK):
            block = range(start, min(start + _BLOCK, self.count))
            here = _greater(self._bad.windows(slots, block), self._total.windows(slots, block), threshold, self._crumbs)
            found.append(np.flatnonzero(here) + start)
        return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)

    def counts(self, length: timedelta, at: IntArray) -> tuple[FloatArray, FloatArray]:
        """Σbad and Σtotal of the windows of that length that end at these evaluations."""
        slots = slots_of(length, self.step)
        return self._bad.at(slots, at), self._total.at(slots, at)


class _Sums:
    """Running sums of a column, read off in windows that end at evaluations: slot `ends`, then every `stride` slots."""

    def __init__(self, counts: FloatArray, ends: int, stride: int) -> None:
        self._running = np.zeros(len(counts) + 1)
        np.cumsum(counts, out=self._running[1:])
        self._ends, self._stride = ends, stride

    def at(self, slots: int, evaluations: IntArray) -> FloatArray:
        """The sums of the `slots` slots before each of these evaluations; fewer where the history begins inside."""
        ends = self._ends + self._stride * evaluations
        sums: FloatArray = self._running[ends] - self._running[np.maximum(ends - slots, 0)]
        return sums

    def windows(self, slots: int, block: range) -> FloatArray:
        """The same for neighbouring evaluations."""
        first, last = self._ends + self._stride * block[0], self._ends + self._stride * block[-1]
        sums = self._running[first:last + 1:self._stride].copy()
        # The first window that begins no earlier than the history does.
        whole = max(0, -((first - slots) // self._stride))
        if whole < len(block):
            sums[whole:] -= self._running[first + self._stride * whole - slots:last - slots + 1:self._stride]
        return sums


def grain(step: int, interval: timedelta) -> int:
    """Seconds between evaluations over slots of `step` seconds: the interval, in whole slots, one at least."""
    return step * max(1, -(-int(interval.total_seconds()) // step))


def slots_of(length: timedelta, step: int) -> int:
    """A window in whole slots, one at least: a window shorter than a slot cannot be told from the slot."""
    return max(1, -(-int(length.total_seconds()) // step))


def _greater(bad: FloatArray, total: FloatArray, threshold: Decimal, crumbs: float) -> BoolArray:
    # The arrays are nobody else's. As whole numbers: a share that is just the threshold must not be called more by the
    # rounding of a product.
    numerator, denominator = threshold.as_integer_ratio()
    counted = total > crumbs
    bad *= float(denominator)
    total *= float(numerator)
    greater: BoolArray = bad > total
    greater &= counted
    return greater


def holding(history: History, rule: Rule) -> IntArray:
    """The evaluations at which the rule's condition holds."""
    at = history.above(rule.long, rule.threshold)
    if rule.short is not None and len(at):
        at = history.above(rule.short, rule.threshold, at)
    if rule.gate is not None and len(at):
        at = at[passes(rule.gate, rule.threshold, *history.counts(rule.long, at))]
    return at


def firings(history: History, rule: Rule) -> Firings:
    """When the rule fired over the history."""
    at = holding(history, rule)
    if not len(at):
        return Firings(at, at, False)
    breaks = np.flatnonzero(np.diff(at) > 1)
    starts, ends = at[np.concatenate(([0], breaks + 1))], at[np.concatenate((breaks, [len(at) - 1]))]
    fires = starts + -(-int(rule.hold.total_seconds()) // history.grain)
    fired = fires <= ends
    if not fired.any():
        return Firings(at[:0], at[:0], False)
    last = int(ends[fired][-1]) == history.count - 1
    ended = history.moments(ends[fired] + 1)
    if last:
        ended[-1] = history.moments(ends[fired][-1:])[0]
    return Firings(history.moments(fires[fired]), ended, last)


def together(parts: Sequence[Firings]) -> Firings:
    """Several rules as one that fires while any of them does: how often a person is told, not how many rules told."""
    whole = [part for part in parts if len(part)]
    if not whole:
        empty = np.zeros(0, dtype=np.int64)
        return Firings(empty, empty, False)
    began = np.concatenate([part.began for part in whole])
    ended = np.concatenate([part.ended for part in whole])
    order = np.argsort(began, kind="stable")
    began, reach = began[order], np.maximum.accumulate(ended[order])
    apart = np.flatnonzero(began[1:] > reach[:-1]) + 1
    first, last = np.concatenate(([0], apart)), np.concatenate((apart - 1, [len(began) - 1]))
    end = int(reach[-1])
    return Firings(began[first], reach[last], any(part.open and int(part.ended[-1]) == end for part in whole))
