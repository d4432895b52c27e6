"""What a user meets who takes every step. Pure.

    serial      every step must succeed: shares multiply. True for steps that fail independently of each other; when
                they fail together the journey is better than the product, never worse than the sum of the losses.
    weighted    each step's share counts by its weight (a dashboard of many widgets)
    composite   OpenSLO: the composite's budget burns at the weighted sum of its parts' burns
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from mainstay.kernel.dataclass import dataclass
from mainstay.slo.spec import Journey
from mainstay.slo.standing import Standing
from mainstay.stats.budget import weighted


@dataclass(frozen=True, slots=True)
class StepReading:
    """A step: what it promises and what it gave, ratios 0..1; None is unknown."""

    name: str
    objective: str
    promised: float | None
    sli: float | None
    consumption_percent: float | None
    weight: float


@dataclass(frozen=True, slots=True)
class JourneyReading:
    """A journey: what its steps promise together, what they gave, and the worst it can be if failures add up."""

    name: str
    combine: str
    target: float | None
    promised: float | None
    sli: float | None
    at_worst: float | None
    consumption_percent: float | None
    steps: tuple[StepReading, ...]
    warnings: tuple[str, ...]


def reading_of(journey: Journey, standings: Mapping[str, Standing]) -> JourneyReading:
    """The journey read from its steps' standings. A step without data is taken at its promise, and said."""
    weights = journey.weights or tuple(1.0 for _ in journey.steps)
    steps = []
    for step, weight in zip(journey.steps, weights, strict=True):
        standing = standings.get(step.objective)
        promised = float(step.target.ratio) if step.target is not None else standing.target if standing else None
        steps.append(StepReading(step.name, step.objective, promised, standing.sli if standing else None,
                                 standing.consumption_percent if standing else None, weight))
    promised_all = [step.promised for step in steps if step.promised is not None]
    measured = [step.sli if step.sli is not None else step.promised for step in steps]
    known = [value for value in measured if value is not None]
    seen = any(step.sli is not None for step in steps) and len(known) == len(steps)
    promised_together = _together(journey.combine, promised_all, weights) if len(promised_all) == len(steps) else None
    consumption = None
    if journey.combine == "composite" and all(step.consumption_percent is not None for step in steps):
        consumption = math.fsum(weight * (step.consumption_percent or 0.0)
                                for step, weight in zip(steps, weights, strict=True))
    target = float(journey.target.ratio) if journey.target is not None else None
    return JourneyReading(
        journey.name, journey.combine, target, promised_together,
        _together(journey.combine, known, weights) if seen else None,
        max(0.0, 1 - math.fsum(1 - value for value in known)) if seen and journey.combine == "serial" else None,
        consumption, tuple(steps), tuple(_warnings(steps, target, promised_together)))


def _together(combine: str, ratios: list[float], weights: tuple[float, ...]) -> float:
    if combine == "serial":
        return math.prod(ratios)
    if combine == "weighted":
        return weighted(zip(ratios, weights, strict=True))
    return 1 - math.fsum(weight * (1 - ratio) for ratio, weight in zip(ratios, weights, strict=True))


def _warnings(steps: list[StepReading], target: float | None, promised: float | None) -> list[str]:
    out = [f"{step.name}: nothing was measured, its promise stands in for it"
           for step in steps if step.sli is None and step.promised is not None]
    if target is not None and promised is not None and promised < target:
        out.append(f"the steps promise {promised * 100:.6g} % together, less than the journey's target of "
                   f"{target * 100:g} %")
    return out
