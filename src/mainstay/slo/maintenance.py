"""Planned work: when it is, whom it concerns, and the day sums without it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.objective import Objective
from mainstay.kernel.quantity import SLOT, Span
from mainstay.kernel.series import floor_slot
from mainstay.slo.spec import Maintenance


@dataclass(frozen=True, slots=True)
class Excluded:
    """A stretch that does not count for an objective, and why."""

    maintenance: str
    span: Span
    reason: str


def concerns(maintenance: Maintenance, objective: Objective) -> bool:
    """Whether the work is the objective's, its service's, or everybody's."""
    everybody = not maintenance.services and not maintenance.objectives
    return everybody or objective.service in maintenance.services or objective.name in maintenance.objectives


def occurrences(maintenance: Maintenance, span: Span) -> Iterable[Span]:
    """The occurrences that touch the span, in order."""
    start = maintenance.start
    if maintenance.every is not None and start + maintenance.length < span.start:
        start += maintenance.every * ((span.start - start - maintenance.length) // maintenance.every)
    while start < span.end and (maintenance.until is None or start < maintenance.until):
        if start + maintenance.length > span.start:
            yield Span(start, start + maintenance.length)
        if maintenance.every is None:
            return
        start += maintenance.every


def outside(span: Span, left_out: Iterable[Excluded]) -> tuple[Span, ...]:
    """What remains of the span without the slots that planned work touches, in order."""
    out: list[Span] = []
    start = span.start
    for one in sorted(left_out, key=lambda one: one.span.start):
        first = datetime.fromtimestamp(floor_slot(one.span.start), UTC)
        last = datetime.fromtimestamp(floor_slot(one.span.end + timedelta(seconds=SLOT - 1)), UTC)
        if last <= start or first >= span.end:
            continue
        if first > start:
            out.append(Span(start, first))
        start = last
    return (*out, Span(start, span.end)) if start < span.end else tuple(out)


def excluded(objective: Objective, declared: Iterable[Maintenance], span: Span) -> tuple[Excluded, ...]:
    """What does not count for the objective within the span."""
    return tuple(Excluded(one.name, occurrence, one.reason)
                 for one in declared if concerns(one, objective) for occurrence in occurrences(one, span))
