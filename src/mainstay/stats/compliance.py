"""From slots to windows: every figure of a window is Σbad and Σtotal over its slots, never a mean of ratios.

A slot belongs to the window that holds its start. A window in which nothing was counted has no tally (`None`); in
arrays a mask says so and no NaN stands for it. A history is added up once (`Running`); then any window costs two
look-ups, whatever its length.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, TypeAlias, assert_never

import numpy as np

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.quantity import (
    SLOT,
    CalendarWindow,
    RequestWindow,
    RollingWindow,
    Span,
    Target,
    Window,
    calendar_span,
)
from mainstay.kernel.series import BoolArray, FloatArray, Series, floor_slot
from mainstay.stats.budget import Tally, burn_rate

Moments: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"
"""Epoch seconds."""

BURN_WINDOWS: Mapping[str, timedelta] = MappingProxyType({
    "5m": timedelta(minutes=5), "30m": timedelta(minutes=30), "1h": timedelta(hours=1), "2h": timedelta(hours=2),
    "6h": timedelta(hours=6), "1d": timedelta(days=1), "3d": timedelta(days=3),
})
"""The long and short windows of burn-rate alerting (`budget.TIERS`)."""


@dataclass(frozen=True, slots=True, eq=False)
class Running:
    """Sums from the first slot on: entry i holds everything before slot i, so there is one entry more than slots.

    Whole counts are exact up to 2**53.
    """

    start: int
    step: int
    bad: FloatArray
    total: FloatArray

    @classmethod
    def of(cls, series: Series) -> Running:
        """The running sums of a series; its gaps add nothing."""
        return cls(series.start, series.step, _running(series.bad), _running(series.total))

    @property
    def end(self) -> int:
        """Epoch seconds just after the last slot."""
        return self.start + self.step * (len(self.total) - 1)

    def before(self, moments: Moments) -> Moments:
        """How many slots start before each moment: the index of its running sums."""
        return np.clip(-((self.start - moments) // self.step), 0, len(self.total) - 1)

    def between(self, start: Moments, end: Moments) -> tuple[FloatArray, FloatArray]:
        """Σbad and Σtotal of the windows [start, end), one each."""
        first, last = self.before(start), self.before(end)
        # Sums of fractions may fall short of each other by a rounding; a count is never below zero.
        return np.maximum(self.bad[last] - self.bad[first], 0.0), np.maximum(self.total[last] - self.total[first], 0.0)

    def tally(self, span: Span) -> Tally | None:
        """What was counted in the span; None when nothing was."""
        # One window at a time in plain numbers: a report over 1,000 objectives asks for ten thousand of them.
        first, last = self._slots_before(span.start), self._slots_before(span.end)
        total = float(self.total[last] - self.total[first])
        return Tally(max(float(self.bad[last] - self.bad[first]), 0.0), total) if total > 0 else None

    def _slots_before(self, moment: datetime) -> int:
        return min(max(-((self.start - int(moment.timestamp())) // self.step), 0), len(self.total) - 1)


def _running(counts: FloatArray) -> FloatArray:
    sums = np.zeros(len(counts) + 1)
    np.cumsum(counts, out=sums[1:])
    return sums


def _epoch(moment: datetime) -> Moments:
    return np.array([int(moment.timestamp())], dtype=np.int64)


# -- windows ------------------------------------------------------------------------------------------------------


def span_of(window: Window, running: Running, now: datetime) -> Span:
    """The stretch of time that the window covers, up to the last whole slot before `now`.

    A calendar window covers what of its period is over. The last N events are counted in whole slots: the shortest
    stretch that holds at least N of them, or the whole history when it holds fewer.
    """
    end = datetime.fromtimestamp(floor_slot(now, running.step), UTC)
    match window:
        case RollingWindow(length):
            return Span(end - length, end)
        case CalendarWindow():
            return Span(calendar_span(window, end).start, end)
        case RequestWindow(count):
            return Span(_start_of_last(count, running, end), end)
        case other:
            assert_never(other)


def _start_of_last(count: int, running: Running, end: datetime) -> datetime:
    last = int(running.before(_epoch(end))[0])
    first = int(np.searchsorted(running.total[: last + 1], running.total[last] - count, side="right")) - 1
    return datetime.fromtimestamp(running.start + max(first, 0) * running.step, UTC)


def coverage(series: Series, span: Span) -> float:
    """Share of the span's slots that were measured, 0..1; a slot without traffic was measured, a gap was not."""
    whole = series.cut(floor_slot(span.start, series.step), floor_slot(span.end, series.step))
    return float(np.mean(whole.known)) if len(whole) else 0.0


@dataclass(frozen=True, slots=True)
class DaySplit:
    """A span as whole UTC days with an edge of slots on either side, any of them possibly absent."""

    head: Span | None
    days: Span | None
    tail: Span | None


def split_days(span: Span) -> DaySplit:
    """Where day sums can stand for slots: `sum_of` the three parts' tallies is exactly the span's own."""
    midnight = span.start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first = midnight if midnight == span.start else midnight + timedelta(days=1)
    last = span.end.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if first >= last:
        return DaySplit(span if span.start < span.end else None, None, None)
    return DaySplit(Span(span.start, first) if span.start < first else None, Span(first, last),
                    Span(last, span.end) if last < span.end else None)


# -- burn ---------------------------------------------------------------------------------------------------------


def burn_rates(running: Running, target: Target, now: datetime,
               windows: Mapping[str, timedelta] = BURN_WINDOWS) -> dict[str, float | None]:
    """The burn rate of each window that ends with the last whole slot before `now`; None where nothing was counted."""
    end = datetime.fromtimestamp(floor_slot(now, running.step), UTC)
    rates: dict[str, float | None] = {}
    for name, length in windows.items():
        tally = running.tally(Span(end - length, end))
        rates[name] = None if tally is None else burn_rate(tally.bad_share, target)
    return rates


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A value at each of many moments. Arrays of one length; `value` is 0 and means nothing where not `known`."""

    at: Moments
    value: FloatArray
    known: BoolArray

    def points(self) -> list[tuple[datetime, float | None]]:
        """The curve for a chart, None being a gap."""
        return [(datetime.fromtimestamp(at, UTC), value if known else None)
                for at, value, known in zip(self.at.tolist(), self.value.tolist(), self.known.tolist(), strict=True)]


def moments(span: Span, every: timedelta = timedelta(seconds=SLOT)) -> Moments:
    """The moments of a curve over a span: its start, then one `every` so often, its end included when it falls due."""
    return np.arange(int(span.start.timestamp()), int(span.end.timestamp()) + 1, int(every.total_seconds()),
                     dtype=np.int64)


def burn_curve(running: Running, target: Target, length: timedelta, at: Moments) -> Curve:
    """The burn rate of the rolling window that ends at each moment; for the objective's own window the consumption."""
    bad, total = running.between(at - int(length.total_seconds()), at)
    known: BoolArray = total > 0
    return Curve(at, _burn(bad, total, target), known)


def budget_curve(running: Running, target: Target, length: timedelta, at: Moments) -> Curve:
    """Share of the budget left in the rolling window that ends at each moment; negative where overspent."""
    spent = burn_curve(running, target, length, at)
    return Curve(at, np.where(spent.known, 1 - spent.value, 0.0), spent.known)


def burn_down(running: Running, target: Target, period: Span, expected_total: float, at: Moments) -> Curve:
    """Share of a calendar period's whole budget left at each moment since its start.

    Args:
        expected_total: events of the whole period, > 0: those counted so far and those still to come.
    """
    start = np.full_like(at, int(period.start.timestamp()))
    bad, total = running.between(start, at)
    spent = _burn(bad, np.full_like(bad, expected_total), target)
    known: BoolArray = (total > 0) & (at <= int(period.end.timestamp()))
    return Curve(at, np.where(known, 1 - spent, 0.0), known)


def _burn(bad: FloatArray, total: FloatArray, target: Target) -> FloatArray:
    if target.budget == 0:
        return np.where(bad > 0, np.inf, 0.0)
    return np.divide(bad, total * float(target.budget), out=np.zeros_like(bad), where=total > 0)


# -- where it went ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WorstSlot:
    """A slot and what was lost in it."""

    start: datetime
    tally: Tally


def worst_slots(series: Series, count: int = 10) -> list[WorstSlot]:
    """The slots that lost most events, the worst first and the earlier of equals first; none that lost nothing."""
    order = np.argsort(-series.bad, kind="stable")[:count]
    return [WorstSlot(datetime.fromtimestamp(series.start + int(slot) * series.step, UTC),
                      Tally(float(series.bad[slot]), float(series.total[slot])))
            for slot in order if series.bad[slot] > 0]
