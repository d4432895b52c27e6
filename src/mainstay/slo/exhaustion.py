"""When the budget will be spent, as a band: the early, the middle and the late answer of many possible futures.

A straight line is wrong for a rolling window, because old errors leave it while new ones enter. So the future is drawn
from the past: blocks of real history (bad and total together, so that bursts stay bursts and nights stay nights) are
laid end to end, many times over, and each such future is added to what the window still holds. Two histories give two
scenarios: `RECENT` goes on as the last day did, `LONG_RUN` as the last quarter did.

A rolling window is spent when the bad events in it reach the budget of the events in it; a calendar period when its bad
events reach the budget of all its events, those still to come included. Each future first draws which part of the
history it believes in, so the band also carries the doubt about a short history.

Sources: Künsch 1989 (block bootstrap); Politis 2001 (blocks of one season, here days); Efron & Tibshirani 1993, ch. 8.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.quantity import (
    CalendarWindow,
    RequestWindow,
    RollingWindow,
    Span,
    Target,
    Window,
    calendar_span,
    format_duration,
)
from mainstay.kernel.series import BoolArray, FloatArray, Series, floor_slot

BlockNumbers: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"

_FUTURES = 200
_MOST_STEPS = 64
"""A horizon is looked at in so many steps at most, half-days for 30 days; between two of them a line is drawn. Ten
times as many gave the same bands at ten times the cost, which a report over 1,000 objectives does not have."""
_STEP_LADDER = (300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400, 172_800, 345_600, 604_800)
_FEWEST_BLOCKS = 3
_NEARLY = 1 - 1e-9
"""A budget counts as spent when rounding alone keeps it from being so."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What the future is made of.

    Args:
        history: how far back the blocks are taken from.
        block: length of a block; a day keeps the daily rhythm, an hour follows a sudden change.
    """

    name: str
    history: timedelta
    block: timedelta


RECENT = Scenario("if it goes on as in the last day", timedelta(days=1), timedelta(hours=1))
LONG_RUN = Scenario("if it goes on as in the last 90 days", timedelta(days=90), timedelta(days=1))


@dataclass(frozen=True, slots=True)
class NotWithin:
    """It does not happen before the horizon ends."""

    horizon: timedelta

    def __str__(self) -> str:
        return f"not within {format_duration(self.horizon)}"


@dataclass(frozen=True, slots=True)
class Exhausted:
    """Nothing is left now."""

    def __str__(self) -> str:
        return "exhausted"


@dataclass(frozen=True, slots=True)
class Unforeseeable:
    """Nothing can be said, and why."""

    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True)
class Band:
    """Time until the budget is spent, from `now`.

    Args:
        p10, p50, p90: one, five and nine of ten futures have spent it by then.
        chance: share of the futures that spend it before the horizon ends, 0..1.
        horizon: one window ahead for rolling windows, the rest of the period for calendar ones.
    """

    scenario: Scenario
    p10: timedelta | NotWithin
    p50: timedelta | NotWithin
    p90: timedelta | NotWithin
    chance: float
    horizon: timedelta

    def __str__(self) -> str:
        if isinstance(self.p10, NotWithin):
            return f"{self.p10}, {self.scenario.name}"
        late = f"to {self.p90}" if isinstance(self.p90, NotWithin) else f"and {format_duration(self.p90)}"
        early = "from" if isinstance(self.p90, NotWithin) else "between"
        return f"{early} {format_duration(self.p10)} {late}, {self.scenario.name}"


Outlook = Exhausted | Band | Unforeseeable


def outlook(series: Series, target: Target, window: Window, now: datetime,
            *, scenario: Scenario = LONG_RUN, seed: int = 0) -> Outlook:
    """When the budget of the window will be spent.

    With a target of 100 % it is spent by the first failure.

    Args:
        series: history as long as the window and the scenario's; slots of a day do, the last one with what of today
            is over.
        seed: the same seed gives the same band.
    """
    if isinstance(window, RequestWindow):
        return Unforeseeable("a window of events has no time within which it could be spent")
    span = _whole_span(window, now)
    horizon = int(span.end.timestamp()) - floor_slot(now)
    pool = _pool_of(series, floor_slot(now, series.step), scenario, _step_for(horizon, scenario, series.step))
    if pool is None:
        return Unforeseeable("nothing was measured in the history that the forecast is made of")
    bad, total = _futures(pool, -(-horizon // pool.step), seed)
    held = _held(series, span.start, now)
    budget = float(target.budget)
    if isinstance(window, RollingWindow):
        allowed = budget * held.total_sum
        still_held = _still_held(held.bad - budget * held.total, pool.step // series.step, bad.shape[1])
        over = still_held + bad - budget * total
    else:
        # The last step may reach beyond the end of the period; only its part inside counts.
        beyond = bad.shape[1] - 1 - horizon / pool.step
        whole = budget * (held.total_sum + total[:, -1:] - beyond * (total[:, -1:] - total[:, -2:-1]))
        allowed = float(np.median(whole))
        over = held.bad_sum + bad - whole
    if held.bad_sum > 0 and held.bad_sum >= allowed * _NEARLY:
        return Exhausted()
    return _band(over, pool.step, horizon, scenario)


def _whole_span(window: RollingWindow | CalendarWindow, now: datetime) -> Span:
    """From where the window reaches back to, to where the forecast reaches: one window ahead, or the period's end."""
    if isinstance(window, RollingWindow):
        return Span(now - window.length, now + window.length)
    return calendar_span(window, now)


def _held(series: Series, start: datetime, now: datetime) -> Series:
    """The slots since `start`, rounded to whole ones; the slot that holds `now` is the last when the series has it."""
    end = floor_slot(now, series.step)
    if end < series.end and end < now.timestamp():
        end += series.step
    return series.cut(end - round((end - start.timestamp()) / series.step) * series.step, end)


def _step_for(horizon: int, scenario: Scenario, slot: int) -> int:
    """The shortest step that cuts the horizon into few enough of them and fits slots and blocks."""
    block = int(scenario.block.total_seconds())
    usable = [step for step in _STEP_LADDER if step % slot == 0 and (block % step == 0 or step % block == 0)] or [slot]
    return next((step for step in usable if step * _MOST_STEPS >= horizon), usable[-1])


@dataclass(frozen=True, slots=True, eq=False)
class _Pool:
    """Blocks of history to draw the future from.

    Args:
        counts: bad and total, as (2, blocks, steps in a block); one step where it holds several blocks.
        step: seconds in a step.
        blocks_a_step: how many blocks one step holds, at least 1.
    """

    counts: FloatArray
    step: int
    blocks_a_step: int


def _pool_of(series: Series, end: int, scenario: Scenario, step: int) -> _Pool | None:
    """The scenario's history in blocks cut backwards from `end`, so that a block of a day begins at this time of day.

    Blocks of which less than half was measured are left out. A history too short for three blocks is cut into slots.
    """
    block = max(int(scenario.block.total_seconds()), series.step)
    past = series.cut(max(series.start, end - max(int(scenario.history.total_seconds()), block)), end)
    if len(past) * series.step < _FEWEST_BLOCKS * block:
        block = series.step
    slots = block // series.step
    whole = slice(len(past) % slots, None)
    measured: BoolArray = past.known[whole].reshape(-1, slots).mean(axis=1) >= 0.5
    if not measured.any() or not past.total_sum:
        return None
    counts = np.stack([past.bad[whole], past.total[whole]]).reshape(2, len(measured), max(1, block // step), -1)
    return _Pool(counts.sum(axis=3)[:, measured], step, max(1, step // block))


def _futures(pool: _Pool, steps: int, seed: int) -> FloatArray:
    """Bad and total since now after each step, as (2, futures, steps + 1); the first step is now and holds zeros."""
    _, blocks, length = pool.counts.shape
    believed, drawn = _drawn(blocks, -(-steps // length), seed)
    laid = pool.counts[:, drawn].reshape(2, _FUTURES, -1)[:, :, :steps]
    if pool.blocks_a_step > 1:
        # A step of k blocks has k times their mean and k times their variance; one draw stretched to both stands for k.
        spread = math.sqrt(pool.blocks_a_step)
        mean = pool.counts[:, believed, 0].mean(axis=2, keepdims=True)
        laid = spread * laid + (pool.blocks_a_step - spread) * mean
    since = np.zeros((2, _FUTURES, steps + 1))
    np.cumsum(laid, axis=2, out=since[:, :, 1:])
    return since


@lru_cache(maxsize=64)
def _drawn(blocks: int, wanted: int, seed: int) -> tuple[BlockNumbers, BlockNumbers]:
    """The blocks that each future believes in, and those it lays end to end, one row a future.

    Kept, because a report over many objectives of one window draws the same ones for each of them.
    """
    random = np.random.default_rng(seed)
    # A mean of n blocks is known as well as Student's t with n - 1 degrees says; its variance is S² / (n - 3) with S²
    # the blocks' own variance, which is that of a mean of n - 3 blocks drawn from them. With n the bands were too
    # narrow: 72 % instead of 80 % on ten days.
    believed = random.integers(0, blocks, (_FUTURES, max(1, blocks - 3)))
    drawn = np.take_along_axis(believed, random.integers(0, believed.shape[1], (_FUTURES, wanted)), axis=1)
    for numbers in (believed, drawn):
        numbers.setflags(write=False)
    return believed, drawn


def _still_held(counts: FloatArray, step_slots: int, moments: int) -> FloatArray:
    """What of the window's own counts is still in it now and after each step."""
    left = np.append(np.cumsum(counts[::-1])[::-1], 0.0)
    return left[np.minimum(np.arange(moments) * step_slots, len(counts))]


def _band(over: FloatArray, step: int, horizon: int, scenario: Scenario) -> Band:
    """The band of the moments at which each future's bad events exceed what is allowed.

    Args:
        over: bad events above the budget, negative while some of it is left, as (futures, steps + 1).
    """
    spent: BoolArray = over[:, 1:] > 0
    happens = np.any(spent, axis=1)
    after, future = spent.argmax(axis=1), np.arange(len(over))
    left, missing = np.maximum(-over[future, after], 0.0), over[future, after + 1]
    seconds = np.where(happens, (after + left / np.where(happens, left + missing, 1.0)) * step, np.inf)
    seconds.sort()

    def by(share: float) -> timedelta | NotWithin:
        moment = float(seconds[math.ceil(share * len(seconds)) - 1])
        return timedelta(seconds=round(moment)) if moment < horizon else NotWithin(timedelta(seconds=horizon))

    return Band(scenario, by(0.1), by(0.5), by(0.9), float(np.mean(seconds < horizon)), timedelta(seconds=horizon))
