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

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from mainstay.kernel.quantity import (
    RequestWindow,
    RollingWindow,
    Span,
    Target,
    Window,
    calendar_span,
    format_duration,
)
from mainstay.kernel.series import BoolArray, FloatArray, Series, floor_slot

_FUTURES = 400
_STEPS_WANTED = 720
"""In how many steps a horizon is looked at, or a few more: hours for 30 days."""
_STEP_LADDER = (300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400)
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
        series: history up to the last whole slot before `now`; as long as the window and the scenario's history.
        seed: the same seed gives the same band.
    """
    if isinstance(window, RequestWindow):
        return Unforeseeable("a window of events has no time within which it could be spent")
    end = floor_slot(now, series.step)
    ahead = window.length if isinstance(window, RollingWindow) else calendar_span(window, now).end - now
    horizon = timedelta(seconds=-(-int(ahead.total_seconds()) // series.step) * series.step)
    step = _step_for(horizon, scenario, series.step)
    blocks = _blocks_of(series, end, scenario, step)
    if blocks is None:
        return Unforeseeable("nothing was measured in the history that the forecast is made of")
    steps = -(-int(horizon.total_seconds()) // step)
    bad, total = _futures(*blocks, steps, np.random.default_rng(seed))
    if isinstance(window, RollingWindow):
        spent = _spent_while_rolling(series, target, Span(now - window.length, now), (bad, total), step)
    else:
        spent = _spent_in_period(series, target, Span(calendar_span(window, now).start, now), (bad, total))
    if np.mean(spent[:, 0]) > 0.5:
        return Exhausted()
    return _band(spent[:, 1:], step, horizon, scenario)


def _step_for(horizon: timedelta, scenario: Scenario, slot: int) -> int:
    block = int(scenario.block.total_seconds())
    wanted = horizon.total_seconds() / _STEPS_WANTED
    usable = [step for step in _STEP_LADDER if step % slot == 0 and block % step == 0] or [slot]
    return next((step for step in usable if step >= wanted), usable[-1])


def _last(counts: FloatArray, step_slots: int) -> FloatArray:
    """The counts in steps that end with the last slot; slots before the first whole step are left out."""
    steps = len(counts) // step_slots
    summed: FloatArray = counts[len(counts) - steps * step_slots:].reshape(steps, step_slots).sum(axis=1)
    return summed


def _blocks_of(series: Series, end: int, scenario: Scenario, step: int) -> tuple[FloatArray, FloatArray] | None:
    """Bad and total as (blocks, steps in a block), cut backwards from `end` so that each begins at this time of day.

    Blocks of which less than half was measured are left out. A history too short for three blocks is cut into steps.
    """
    start = max(series.start, end - int(scenario.history.total_seconds()))
    past = series.cut(start, end)
    block = int(scenario.block.total_seconds())
    if len(past) * series.step < _FEWEST_BLOCKS * block:
        block = step
    slots = block // series.step
    measured = _last(past.known.astype(np.float64), slots) >= slots / 2
    if not measured.any() or not past.total_sum:
        return None
    shape = (-1, block // step)
    whole = len(measured) * block // step
    bad = _last(past.bad, step // series.step)[-whole:].reshape(shape)
    total = _last(past.total, step // series.step)[-whole:].reshape(shape)
    return bad[measured], total[measured]


def _futures(bad: FloatArray, total: FloatArray, steps: int, random: np.random.Generator) \
        -> tuple[FloatArray, FloatArray]:
    """Bad and total since now after each step, as (futures, steps + 1); the first column is now and holds zeros."""
    blocks, length = bad.shape
    needed = -(-steps // length)
    believed = random.integers(0, blocks, (_FUTURES, blocks))
    drawn = np.take_along_axis(believed, random.integers(0, blocks, (_FUTURES, needed)), axis=1)
    return _sums(bad[drawn], steps), _sums(total[drawn], steps)


def _sums(drawn: FloatArray, steps: int) -> FloatArray:
    laid = drawn.reshape(_FUTURES, -1)[:, :steps]
    return np.concatenate([np.zeros((_FUTURES, 1)), np.cumsum(laid, axis=1)], axis=1)


def _spent_while_rolling(series: Series, target: Target, window: Span, future: tuple[FloatArray, FloatArray],
                         step: int) -> BoolArray:
    end = floor_slot(window.end, series.step)
    held = series.cut(end - int(window.length.total_seconds()), end)
    steps = future[0].shape[1]
    bad = _still_held(held.bad, step // series.step, steps) + future[0]
    total = _still_held(held.total, step // series.step, steps) + future[1]
    return _spent(bad, total, target)


def _still_held(counts: FloatArray, step_slots: int, steps: int) -> FloatArray:
    """What of the window's own counts is still in it after 0, 1, 2 … steps."""
    left = np.append(np.cumsum(counts[::-1])[::-1], 0.0)
    return left[np.minimum(np.arange(steps) * step_slots, len(counts))]


def _spent_in_period(series: Series, target: Target, elapsed: Span, future: tuple[FloatArray, FloatArray]) -> BoolArray:
    so_far = series.cut(floor_slot(elapsed.start, series.step), floor_slot(elapsed.end, series.step))
    whole = so_far.total_sum + future[1][:, -1:]
    return _spent(so_far.bad_sum + future[0], whole, target)


def _spent(bad: FloatArray, total: FloatArray, target: Target) -> BoolArray:
    return (bad > 0) & (bad >= total * (float(target.budget) * _NEARLY))


def _band(spent: BoolArray, step: int, horizon: timedelta, scenario: Scenario) -> Band:
    happens = spent.any(axis=1)
    steps = np.sort(np.where(happens, spent.argmax(axis=1) + 1, np.iinfo(np.int64).max))

    def by(share: float) -> timedelta | NotWithin:
        rank = int(steps[int(np.ceil(share * len(steps))) - 1])
        if rank > spent.shape[1]:
            return NotWithin(horizon)
        return min(timedelta(seconds=rank * step), horizon)

    return Band(scenario, by(0.1), by(0.5), by(0.9), float(happens.mean()), horizon)
