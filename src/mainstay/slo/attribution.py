"""Who spent the budget: every bad event of a window in exactly one place, and the places add up to all of them.

Two views of the same loss. By label it is divided as the source counted it. By cause it is divided slot by slot:

    background    what so much traffic loses anyway, at the usual share of bad events outside all facts
    a fact        what was lost above the background while it lasted (an incident, a deployment, an experiment)
    unexplained   what was lost above the background while nothing was known to happen

A slot in which several facts lasted is divided between them: by how much each loses per event where it is alone, by its
weight, and by how much of the slot it covers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.quantity import Span
from mainstay.kernel.series import BoolArray, FloatArray, Series

IntArray: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"

_LOOKS = 20
"""How often the background is taken anew without the slots that stand out; it settles after a few."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened and may have cost events.

    Args:
        kind, subject, text: as people call it: `incident`, `INC-12345`, `primary database failed over`.
        weight: how much likelier than others it is to be the cause where facts overlap; > 0.
    """

    kind: str
    subject: str
    span: Span
    text: str = ""
    weight: float = 1.0

    def __post_init__(self) -> None:
        assert self.weight > 0, "a fact without weight explains nothing and is left out"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the loss.

    Args:
        key: the labels of a spender, or the fact, or the word `background`, `unexplained`, `(other)`.
        bad: bad events, possibly a fraction where a slot is divided.
        share: of all that was lost, 0..1.
    """

    key: Mapping[str, str] | Fact | str
    bad: float
    share: float


@dataclass(frozen=True, slots=True)
class Attribution:
    """All parts of a window's loss, the greatest first; the named rests (`background`, `unexplained`) last.

    The parts' `bad` add up to `lost`, exactly as `math.fsum` adds. No parts when nothing was lost.
    """

    lost: float
    parts: tuple[Part, ...]


def by_label(lost: float, spenders: Iterable[tuple[Mapping[str, str], float]]) -> Attribution:
    """The loss by the labels its events carry.

    Args:
        lost: Σbad of the window, as the budget counts it.
        spenders: labels with their bad events. What they leave over is `unexplained`; when they hold more than was
            lost (the source was asked later than the ledger), each is reduced in proportion.
    """
    listed = [(labels, bad) for labels, bad in spenders if bad > 0]
    counted = math.fsum(bad for _, bad in listed)
    if counted > lost:
        return _attribution(lost, [(labels, bad * lost / counted) for labels, bad in listed], [])
    return _attribution(lost, listed, [("unexplained", lost - counted)])


def by_cause(series: Series, facts: Sequence[Fact]) -> Attribution:
    """The loss of the whole series by what happened at the time."""
    overlaps = _overlaps(series, facts)
    touched = np.zeros(len(series), dtype=np.bool_)
    touched[overlaps.slot] = True
    background = _background(series, touched)
    excess = series.bad - background
    explained = zip(facts, _divided(excess, series.total, overlaps, facts).tolist(), strict=True)
    rests = [("background", math.fsum(background)), ("unexplained", math.fsum(excess[~touched]))]
    return _attribution(math.fsum(series.bad), list(explained), rests)


@dataclass(frozen=True, slots=True, eq=False)
class _Overlaps:
    """Every meeting of a fact with a slot: which fact, which slot, for how many seconds. Arrays of one length."""

    fact: IntArray
    slot: IntArray
    seconds: FloatArray


def _overlaps(series: Series, facts: Sequence[Fact]) -> _Overlaps:
    """Where the facts lie in the series; a moment without length covers a second of its slot."""
    met: list[tuple[IntArray, IntArray, FloatArray]] = [
        (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0))]
    for number, fact in enumerate(facts):
        first = fact.span.start.timestamp() - series.start
        last = max(fact.span.end.timestamp() - series.start, first + 1)
        slot = np.arange(max(0, math.floor(first / series.step)), min(len(series), math.ceil(last / series.step)))
        starts = slot * float(series.step)
        seconds = np.minimum(starts + series.step, last) - np.maximum(starts, first)
        met.append((np.full(len(slot), number), slot, seconds))
    fact_numbers, slots, seconds = (np.concatenate(column) for column in zip(*met, strict=True))
    return _Overlaps(fact_numbers, slots, seconds)


def _background(series: Series, touched: BoolArray) -> FloatArray:
    """The part of each slot's loss that is the usual one.

    Reckoned over each stretch that facts touch, and over all that none touches, because a slot with little traffic
    loses nothing or one event and never the half that is usual.
    """
    begins = np.diff(touched, prepend=False) & touched
    stretch = np.where(touched, np.cumsum(begins), 0)
    stretches = int(stretch.max(initial=0)) + 1
    lost = _summed(stretch, series.bad, stretches)
    usual = _usual_share(series, ~touched) * _summed(stretch, series.total, stretches)
    # A stretch that lost what is usual, but for a rounding, lost nothing else.
    part = np.divide(usual, lost, out=np.ones(stretches), where=usual < lost * (1 - 1e-9))
    background: FloatArray = series.bad * part[stretch]
    return background


def _usual_share(series: Series, quiet: BoolArray) -> float:
    """Σbad / Σtotal over the slots that no fact touches and that do not stand out.

    A slot stands out when it lost more than its traffic makes likely, by the limit of a control chart for counts, three
    standard deviations (Shewhart 1931); one more is allowed where next to nothing is usual.
    """
    bad, total = series.bad[quiet], series.total[quiet]
    share = 0.0
    for _ in range(_LOOKS):
        if not total.sum():
            return 0.0
        share = float(bad.sum() / total.sum())
        usual = share * total
        kept = bad <= usual + 3 * np.sqrt(usual) + 1
        if kept.all():
            break
        bad, total = bad[kept], total[kept]
    return share


def _divided(excess: FloatArray, total: FloatArray, overlaps: _Overlaps, facts: Sequence[Fact]) -> FloatArray:
    """What each fact explains of the excess of the slots it meets."""
    weight = np.array([fact.weight for fact in facts])[overlaps.fact] * overlaps.seconds
    claim = weight * _cost_alone(excess, total, overlaps, len(facts))[overlaps.fact]
    # Facts that cost nothing where they were alone still share what nobody else claims.
    claimed = _summed(overlaps.slot, claim, len(excess))[overlaps.slot] > 0
    claim = np.where(claimed, claim, weight)
    all_claims = _summed(overlaps.slot, claim, len(excess))[overlaps.slot]
    return _summed(overlaps.fact, excess[overlaps.slot] * claim / all_claims, len(facts))


def _cost_alone(excess: FloatArray, total: FloatArray, overlaps: _Overlaps, facts: int) -> FloatArray:
    """Excess per event of each fact in the slots it has to itself; the mean of the others' for one that has none."""
    alone = np.bincount(overlaps.slot, minlength=len(excess))[overlaps.slot] == 1
    fact, slot = overlaps.fact[alone], overlaps.slot[alone]
    lost, events = _summed(fact, excess[slot], facts), _summed(fact, total[slot], facts)
    seen: BoolArray = events > 0
    cost = np.divide(lost, events, out=np.zeros(facts), where=seen)
    return np.where(seen, cost, cost[seen].mean() if seen.any() else 1.0)


def _summed(by: IntArray, values: FloatArray, count: int) -> FloatArray:
    """The sum of the values of each number from 0 to count - 1."""
    return np.bincount(by, values, count).astype(np.float64, copy=False)


def _attribution(lost: float, found: Sequence[tuple[Mapping[str, str] | Fact, float]],
                 rests: Sequence[tuple[str, float]]) -> Attribution:
    if lost <= 0:
        return Attribution(0.0, ())
    named: list[tuple[Mapping[str, str] | Fact | str, float]] = sorted(found, key=lambda part: -part[1])
    parts = [*named, *rests]
    # Dividing leaves roundings; the greatest part takes them, so that the sum is the loss and not nearly the loss.
    greatest = max(range(len(parts)), key=lambda index: parts[index][1])
    others = [-bad for index, (_, bad) in enumerate(parts) if index != greatest]
    parts[greatest] = (parts[greatest][0], math.fsum([lost, *others]))
    return Attribution(lost, tuple(Part(key, bad, bad / lost) for key, bad in parts if bad > 0))
