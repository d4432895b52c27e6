"""Who spent the budget: every bad event of a window in exactly one place, and the places add up to all of them.

Two views of the same loss. By label it is divided as the source counted it. By cause it is divided slot by slot:

    background    what this much traffic loses anyway, at the usual share of bad events outside all facts
    a fact        what was lost above the background while it lasted (an incident, a deployment, an experiment)
    unexplained   what was lost above the background while nothing was known to happen

A slot in which several facts lasted is divided between them: by how much each loses per event where it is alone, by its
weight, and by how much of the slot it covers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mainstay.kernel.quantity import Span
from mainstay.kernel.series import BoolArray, FloatArray, Series

_TRIM = 0.05
"""Share of the slots, the worst ones, that the background is taken without: they hold what nobody wrote down."""


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
    lost = math.fsum(series.bad)
    overlap = np.array([_overlap(series, fact.span) for fact in facts]).reshape(len(facts), len(series))
    touched: BoolArray = np.any(overlap > 0, axis=0)
    expected = _background_share(series, ~touched) * series.total
    background = np.minimum(series.bad, expected)
    excess = series.bad - background
    divided = _divided(excess, series.total, overlap, np.array([fact.weight for fact in facts]))
    explained = [(fact, float(math.fsum(row))) for fact, row in zip(facts, divided, strict=True)]
    rests = [("background", math.fsum(background)), ("unexplained", math.fsum(excess[~touched]))]
    return _attribution(lost, explained, rests)


def _overlap(series: Series, span: Span) -> FloatArray:
    """Seconds of each slot that the span covers; a moment without length covers a second of its slot."""
    starts = series.start + series.step * np.arange(len(series), dtype=np.float64)
    first, last = span.start.timestamp(), max(span.end.timestamp(), span.start.timestamp() + 1)
    seconds: FloatArray = np.maximum(np.minimum(starts + series.step, last) - np.maximum(starts, first), 0.0)
    return seconds


def _background_share(series: Series, quiet: BoolArray) -> float:
    """The usual share of bad events: Σbad / Σtotal over the slots that no fact touches, without the worst of them."""
    usable = np.flatnonzero(quiet & (series.total > 0))
    shares = series.bad[usable] / series.total[usable]
    kept = usable[np.argsort(shares, kind="stable")[: math.ceil(len(usable) * (1 - _TRIM))]]
    total = float(series.total[kept].sum())
    return float(series.bad[kept].sum()) / total if total > 0 else 0.0


def _divided(excess: FloatArray, total: FloatArray, overlap: FloatArray, weights: FloatArray) -> FloatArray:
    """Each fact's part of the excess of each slot, as (facts, slots)."""
    alone = (overlap > 0) & ((overlap > 0).sum(axis=0) == 1)
    claims = overlap * (weights * _cost_alone(excess, total, alone))[:, None]
    # Facts that cost nothing where they were alone still share what nobody else claims.
    unclaimed: BoolArray = claims.sum(axis=0) <= 0
    claims = np.where(unclaimed, overlap * weights[:, None], claims)
    all_claims = claims.sum(axis=0)
    parts: FloatArray = excess * np.divide(claims, all_claims, out=np.zeros_like(claims), where=all_claims > 0)
    return parts


def _cost_alone(excess: FloatArray, total: FloatArray, alone: BoolArray) -> FloatArray:
    """Excess per event of each fact in the slots it has to itself; the mean of the others' for one that has none."""
    events = (alone * total).sum(axis=1)
    cost = np.divide((alone * excess).sum(axis=1), events, out=np.zeros(len(events)), where=events > 0)
    seen = events > 0
    return np.where(seen, cost, cost[seen].mean() if seen.any() else 1.0)


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
