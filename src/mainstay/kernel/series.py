"""The only thing that passes from telemetry to mathematics: bad and total per fixed slot, gaps told from zeros.

A slot that nobody measured is a gap (`known` is False); a slot that was measured and saw no event is a zero.
Compliance is Σgood/Σtotal over slots, never a mean of ratios.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TypeAlias

import numpy as np

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.quantity import SLOT, Span

FloatArray: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]]"
BoolArray: TypeAlias = "np.ndarray[Any, np.dtype[np.bool_]]"


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Bad and total per slot.

    Args:
        start: epoch seconds UTC of the first slot, a multiple of `step`.
        step: seconds in a slot.
        bad, total: float64, one entry a slot, 0 <= bad <= total, 0 where unknown. Counts are exact up to 2**53.
        known: whether the slot was measured.
    """

    start: int
    step: int
    bad: FloatArray
    total: FloatArray
    known: BoolArray

    def __post_init__(self) -> None:
        assert self.start % self.step == 0, "slots are aligned to the epoch"
        assert len(self.bad) == len(self.total) == len(self.known), "one entry a slot in each column"

    def __len__(self) -> int:
        return len(self.total)

    @property
    def end(self) -> int:
        """Epoch seconds just after the last slot."""
        return self.start + self.step * len(self)

    @property
    def span(self) -> Span:
        """The stretch of time the slots cover."""
        return Span(datetime.fromtimestamp(self.start, UTC), datetime.fromtimestamp(self.end, UTC))

    @property
    def bad_sum(self) -> float:
        """Σbad over the known slots."""
        return float(self.bad.sum())

    @property
    def total_sum(self) -> float:
        """Σtotal over the known slots."""
        return float(self.total.sum())

    def cut(self, start: int, end: int) -> Series:
        """The same slots over [start, end), both multiples of the step; what lies outside becomes a gap."""
        count = max(0, (end - start) // self.step)
        out = gap(start, count, self.step)
        first = max(start, self.start)
        last = min(end, self.end)
        if first < last:
            here = slice((first - self.start) // self.step, (last - self.start) // self.step)
            there = slice((first - start) // self.step, (last - start) // self.step)
            out.bad[there], out.total[there], out.known[there] = self.bad[here], self.total[here], self.known[here]
        return out

    def coarser(self, step: int) -> Series:
        """The same counts in longer slots; a long slot is known when any short one in it is."""
        assert step % self.step == 0, "a longer slot holds whole short ones"
        start = self.start // step * step
        end = -(-self.end // step) * step
        whole = self.cut(start, end)
        shape = (-1, step // self.step)
        return Series(start, step, whole.bad.reshape(shape).sum(1), whole.total.reshape(shape).sum(1),
                      np.any(whole.known.reshape(shape), axis=1))

    def without(self, spans: Iterable[Span]) -> Series:
        """The same series with every slot that a span touches made a gap (maintenance)."""
        known: BoolArray = self.known.copy()
        for span in spans:
            first = max(0, int((span.start.timestamp() - self.start) // self.step))
            last = max(0, int(-(-(span.end.timestamp() - self.start) // self.step)))
            known[first:last] = False
        return Series(self.start, self.step, np.where(known, self.bad, 0.0), np.where(known, self.total, 0.0), known)


def gap(start: int, count: int, step: int = SLOT) -> Series:
    """A series of slots that nobody measured."""
    return Series(start, step, np.zeros(count), np.zeros(count), np.zeros(count, dtype=np.bool_))


def merged(base: Series, newer: Series) -> Series:
    """Both series in one, the known slots of the newer one winning: back-fill and late corrections."""
    assert base.step == newer.step, "one step for both"
    if not len(base):
        return newer
    if not len(newer):
        return base
    out = base.cut(min(base.start, newer.start), max(base.end, newer.end))
    here = slice((newer.start - out.start) // out.step, (newer.end - out.start) // out.step)
    out.bad[here] = np.where(newer.known, newer.bad, out.bad[here])
    out.total[here] = np.where(newer.known, newer.total, out.total[here])
    out.known[here] |= newer.known
    return out


def slots(start: datetime, bad: Iterable[float], total: Iterable[float | None], step: int = SLOT) -> Series:
    """A series from plain numbers, `None` in `total` being a gap; for tests and small inputs."""
    totals = list(total)
    known = np.array([value is not None for value in totals], dtype=np.bool_)
    return Series(int(start.timestamp()), step, np.where(known, np.fromiter(bad, float, len(totals)), 0.0),
                  np.array([0.0 if value is None else float(value) for value in totals]), known)


def floor_slot(moment: datetime, step: int = SLOT) -> int:
    """Epoch seconds of the slot that holds the moment."""
    return int(moment.timestamp()) // step * step
