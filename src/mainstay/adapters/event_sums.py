"""What every reader of event files must say in the same way: limits, reasons of rejection, days and moments."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from mainstay.kernel.series import Series, gap

SAMPLES = 20
"""Rejected records that are kept to be shown."""
SHOWN = 200
"""Characters of a rejected record that are shown."""
LAST_MOMENT = 4_102_444_800
"""2100-01-01 UTC. Later times are mistakes, and one of them would stretch a series over millions of slots."""
NOT_SAID = "(none)"
"""Stands for a field that an event does not have."""
OUT_OF_TIME = "a time before 1970 or after 2099"


def no_time(field: str) -> str:
    """Why a record is rejected whose time, which the file calls so, cannot be read."""
    return f"no time that can be read in {field}"


def misfit(format: str) -> str:
    """Why a line is rejected that is none of the format."""
    return f"not a {format} line"


def dense(slots: Mapping[str, Any], step: int, *, sampled: bool) -> Series:
    """A series from the first to the last slot that has events; in between a slot without any is a zero, or a gap
    where events are samples.

    Args:
        slots: columns `slot` (numbers since the epoch, ascending), `total` and `bad`, one entry a slot with events.
        step: seconds in a slot.
    """
    numbers = slots["slot"]
    if not len(numbers):
        return gap(0, 0, step)
    first = int(numbers[0])
    series = gap(first * step, int(numbers[-1]) - first + 1, step)
    series.total[numbers - first] = slots["total"].astype(np.float64)
    series.bad[numbers - first] = slots["bad"].astype(np.float64)
    if sampled:
        series.known[numbers - first] = True
    else:
        series.known[:] = True
    return series


def by_day(series: Series) -> tuple[tuple[str, float, float], ...]:
    """(UTC day as YYYY-MM-DD, total, bad), ascending; days without events are left out."""
    days = series.coarser(86_400) if len(series) else series
    return tuple((moment(days.start + 86_400 * index).strftime("%Y-%m-%d"), float(total), float(bad))
                 for index, (total, bad) in enumerate(zip(days.total, days.bad, strict=True)) if total)


def moment(seconds: float) -> datetime:
    """The aware UTC time of these epoch seconds."""
    return datetime.fromtimestamp(float(seconds), UTC)
