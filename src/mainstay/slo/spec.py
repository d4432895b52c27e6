"""What a team writes about budgets beside its objectives: journeys, policies, maintenance, as frozen types.

The native format is OpenSLO v1 (`openslo.py`); `mainstay/v1` says more in fewer lines (`native.py`); the forms of
older documents load too (`older_forms.py`). `GRAMMAR` puts them together. Objectives themselves are in
`mainstay.kernel.objective`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from mainstay.kernel.catalog import Reference, Resource
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.finding import Position
from mainstay.kernel.objective import DataSource, Indicator, Objective
from mainstay.kernel.quantity import Target
from mainstay.slo.policy import Policy


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a journey: an objective that stands for it, or a target stated outright."""

    name: str
    objective: str
    target: Target | None
    where: Position


@dataclass(frozen=True, slots=True)
class Journey:
    """What a user does, step by step.

    Args:
        combine: `serial` (every step must succeed: shares multiply) or `weighted` (weights give each step's share).
    """

    name: str
    origin: Position
    steps: tuple[Step, ...]
    combine: str = "serial"
    weights: tuple[float, ...] = ()
    target: Target | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class ErrorBudgetPolicy:
    """What happens at which point of a budget, for a service or for the objectives that name it."""

    name: str
    origin: Position
    policy: Policy
    service: str = ""


@dataclass(frozen=True, slots=True)
class Maintenance:
    """Planned work that does not count: excluded from the budget, and recorded as excluded.

    Args:
        start: the first occurrence.
        every: the distance between occurrences, None for one occurrence; fixed lengths only.
        until: no occurrence starts at or after this.
        services, objectives: whom it concerns; both empty means everything.
    """

    name: str
    origin: Position
    start: datetime
    length: timedelta
    reason: str
    every: timedelta | None = None
    until: datetime | None = None
    services: tuple[str, ...] = ()
    objectives: tuple[str, ...] = ()


def links(resource: Resource) -> Iterable[Reference]:
    """What an objective, indicator or journey names elsewhere in the catalog."""
    match resource:
        case Objective(indicator=str(name)):
            yield Reference(Indicator, name, resource.origin)
        case Objective(indicator=Indicator() as indicator):
            yield from _source_link(indicator)
        case Indicator():
            yield from _source_link(resource)
        case Journey(steps=steps):
            for step in steps:
                if step.objective:
                    yield Reference(Objective, step.objective, step.where)
        case Maintenance(objectives=names):
            for name in names:
                yield Reference(Objective, name, resource.origin)
        case _:
            return


def _source_link(indicator: Indicator) -> Iterable[Reference]:
    if indicator.source:
        yield Reference(DataSource, indicator.source, indicator.origin)
