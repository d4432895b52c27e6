"""OpenSLO's budgeting methods, executed: what counts as one event of the budget.

Every method turns measured bad and total into bad and total per slot, so that all later mathematics is the same Σ/Σ:

    Occurrences      an event is an event
    Timeslices       an event is a slice of time; it is bad when its share of good events is below the slice target
    RatioTimeslices  an event is a slice of time; it is bad by its share of bad events

Slices are aligned to the epoch. A slice nobody measured is never counted. A slice that was measured and saw no event is
left out unless the method declares it good or bad. Slices longer than a slot count in the slot where they start, once
they are over.

Source: OpenSLO specification v1, `budgetingMethod`, `timeSliceTarget`, `timeSliceWindow`.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Literal, assert_never

import numpy as np

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.quantity import SLOT, Target, format_duration
from mainstay.kernel.series import BoolArray, FloatArray, Series

Idle = Literal["left out", "good", "bad"]
"""What a slice without any event counts as."""


@dataclass(frozen=True, slots=True)
class Occurrences:
    """Every event counts alike."""


@dataclass(frozen=True, slots=True)
class Timeslices:
    """Every slice of time counts alike, wholly good or wholly bad.

    Args:
        target: least share of good events in a good slice (`timeSliceTarget`).
    """

    length: timedelta
    target: Target
    idle: Idle = "left out"


@dataclass(frozen=True, slots=True)
class RatioTimeslices:
    """Every slice of time counts alike, bad by the share of its events that failed."""

    length: timedelta
    idle: Idle = "left out"


Method = Occurrences | Timeslices | RatioTimeslices


def step_of(method: Method, slot: int = SLOT) -> int:
    """The slot length in seconds in which a source must count for this method: no longer than a slice.

    Raises:
        InvalidInput: the slice neither divides a slot nor is made of whole ones.
    """
    match method:
        case Occurrences():
            return slot
        case Timeslices(length) | RatioTimeslices(length):
            seconds = _slice_seconds(length, slot)
            return min(seconds, slot)
        case other:
            assert_never(other)


def _slice_seconds(length: timedelta, slot: int) -> int:
    seconds, rest = divmod(length, timedelta(seconds=1))
    if rest or seconds < 1 or (slot % seconds and seconds % slot):
        raise InvalidInput(f"slices of {format_duration(length)} do not fit the {format_duration(slot)} slots",
                           "use slices such as 10s, 30s, 1m, 5m, 10m or 1h")
    return seconds


def counted(series: Series, method: Method, slot: int = SLOT) -> Series:
    """The series with the method's events in its columns, in slots of `slot` seconds.

    Args:
        series: bad and total as measured, in slots of `step_of(method)` seconds or an exact part of it.
    Raises:
        InvalidInput: the slice does not fit the slots.
    """
    match method:
        case Occurrences():
            return series.coarser(slot)
        case Timeslices(length, target, idle):
            slices = series.coarser(_slice_seconds(length, slot))
            return _placed(_whole(slices, series), _missed(slices, target), idle, slot)
        case RatioTimeslices(length, idle):
            slices = series.coarser(_slice_seconds(length, slot))
            shares = np.divide(slices.bad, slices.total, out=np.zeros(len(slices)), where=slices.total > 0)
            return _placed(_whole(slices, series), shares, idle, slot)
        case other:
            assert_never(other)


def _missed(slices: Series, target: Target) -> FloatArray:
    # As whole numbers (bad × denominator > total × numerator), or a slice that fails exactly as much as it may would
    # be called bad by the rounding of a product: 0.29 × 100 is 28.999999999999996.
    missed: BoolArray = slices.bad * _denominator(target.budget) > slices.total * _numerator(target.budget)
    return missed.astype(np.float64)


def _numerator(share: Decimal) -> float:
    return float(share.as_integer_ratio()[0])


def _denominator(share: Decimal) -> float:
    return float(share.as_integer_ratio()[1])


def _whole(slices: Series, measured: Series) -> Series:
    """The slices without those that only partly lie inside what was measured: they are not over, or began before."""
    starts = slices.start + slices.step * np.arange(len(slices))
    whole: BoolArray = slices.known & (starts >= measured.start) & (starts + slices.step <= measured.end)
    return Series(slices.start, slices.step, slices.bad * whole, slices.total * whole, whole)


def _placed(slices: Series, badness: FloatArray, idle: Idle, slot: int) -> Series:
    """One event a counted slice, as bad as `badness` says, in the slot where the slice starts."""
    busy: BoolArray = slices.known & (slices.total > 0)
    quiet: BoolArray = slices.known & (slices.total <= 0)
    match idle:
        case "left out":
            bad, total = np.where(busy, badness, 0.0), busy.astype(np.float64)
        case "good":
            bad, total = np.where(busy, badness, 0.0), slices.known.astype(np.float64)
        case "bad":
            bad, total = np.where(busy, badness, quiet.astype(np.float64)), slices.known.astype(np.float64)
        case other:
            assert_never(other)
    if slices.step <= slot:
        return Series(slices.start, slices.step, bad, total, slices.known).coarser(slot)
    slots = slices.step // slot
    spread_bad, spread_total = np.zeros(len(slices) * slots), np.zeros(len(slices) * slots)
    spread_bad[::slots], spread_total[::slots] = bad, total
    return Series(slices.start, slot, spread_bad, spread_total, np.repeat(slices.known, slots))
