"""What an alert should have told: the episodes of a history that mattered to the budget.

Either people said so (incidents in the journal), or a stated rule finds them in the data: slots of five minutes that
burn faster than twice the allowed rate, less than an hour apart, which together spent at least a given share of the
objective's budget.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.journal import Fact
from mainstay.kernel.objective import Objective
from mainstay.kernel.quantity import SLOT, Span
from mainstay.kernel.series import Series
from mainstay.stats.compliance import Running

HOT = 2
"""Burn rate from which a slot belongs to a burst; at the allowed rate itself, half of all slots would, by chance."""
APART = timedelta(hours=1)
"""Hot slots no further apart than this are one burst."""
LEAST = Decimal("0.02")
"""Share of the budget that a burst must spend to matter: what the fastest tier of the SRE Workbook pages for."""


@dataclass(frozen=True, slots=True)
class Episode:
    """A stretch of trouble.

    Args:
        start, end: aware UTC; the first and just after the last failing slot, or as people recorded them.
        spent: share of the objective's whole budget that its bad events took, 0..1 and beyond.
    """

    start: datetime
    end: datetime
    spent: float
    name: str = ""


def measured(series: Series) -> timedelta:
    """How long the history was measured: five minutes count when anything in them was. Samples taken once a minute
    leave every second slot of 30 s empty, and yet nothing is missing.
    """
    slots = _in_slots(series)
    return timedelta(seconds=float(slots.known.sum()) * slots.step)


def _in_slots(series: Series) -> Series:
    return series.coarser(SLOT) if series.step < SLOT and SLOT % series.step == 0 else series


def allowed_events(series: Series, budget: Decimal, window: timedelta) -> float:
    """How many bad events the budget of a whole window allows at the history's own average traffic."""
    seconds = measured(series).total_seconds()
    return series.total_sum / seconds * window.total_seconds() * float(budget) if seconds else 0.0


def bursts(series: Series, budget: Decimal, allowed: float, least: Decimal = LEAST) -> tuple[Episode, ...]:
    """The stretches that spent at least `least` of the budget, in order.

    Args:
        allowed: bad events that make up the whole budget, `allowed_events`.
    """
    slots = _in_slots(series)
    numerator, denominator = (HOT * budget).as_integer_ratio()
    hot = np.flatnonzero((slots.bad * float(denominator) > slots.total * float(numerator)) & (slots.bad > 0))
    if not len(hot) or allowed <= 0:
        return ()
    gap = max(1, int(APART.total_seconds()) // slots.step)
    breaks = np.flatnonzero(np.diff(hot) > gap) + 1
    first, last = hot[np.concatenate(([0], breaks))], hot[np.concatenate((breaks - 1, [len(hot) - 1]))]
    sums = np.concatenate(([0.0], np.cumsum(slots.bad)))
    lost = sums[last + 1] - sums[first]
    chosen = np.flatnonzero(lost >= float(least) * allowed)
    return tuple(_edged(series, slots, (int(first[i]), int(last[i])), float(lost[i]) / allowed) for i in chosen)


def _edged(series: Series, slots: Series, span: tuple[int, int], spent: float) -> Episode:
    """The burst with its edges at the series' own slots, which may be finer than those it was found in."""
    start, end = slots.start + span[0] * slots.step, slots.start + (span[1] + 1) * slots.step
    inner = series.cut(start, end)
    failing = np.flatnonzero(inner.bad > 0)
    begin, finish = start + int(failing[0]) * series.step, start + (int(failing[-1]) + 1) * series.step
    return Episode(datetime.fromtimestamp(begin, UTC), datetime.fromtimestamp(finish, UTC), spent)


_BEGINS = frozenset({"recorded", "opened"})
_ENDS = frozenset({"resolved", "closed"})
_WITHOUT_END = timedelta(hours=1)
"""How long an incident lasted whose end nobody recorded, as everywhere in Mainstay."""


def incidents(facts: Iterable[Fact], objective: Objective, series: Series, allowed: float) -> tuple[Episode, ...]:
    """The recorded incidents that are about the objective or its service, within the series; overlapping ones as one.

    Args:
        facts: of the kinds `incident.…`, in order.
    """
    begun: dict[str, datetime] = {}
    ended: dict[str, datetime] = {}
    for fact in facts:
        what = fact.kind.partition(".")[2]
        if what in _BEGINS and _about(fact, objective):
            begun[fact.subject] = min(fact.at, begun.get(fact.subject, fact.at))
            if until := fact.data.get("until"):
                ended[fact.subject] = datetime.fromisoformat(until)
        elif what in _ENDS and fact.subject in begun:
            ended[fact.subject] = fact.at
    span, running = series.span, Running.of(series)
    found: list[Episode] = []
    for name, start in sorted(begun.items(), key=lambda item: item[1]):
        end = ended.get(name, start + _WITHOUT_END)
        if end <= span.start or start >= span.end or end <= start:
            continue
        if found and start <= found[-1].end:
            before = found.pop()
            start, end, name = before.start, max(before.end, end), f"{before.name}, {name}"  # noqa: PLW2901
        tally = running.tally(Span(start, end))
        found.append(Episode(start, end, tally.bad / allowed if tally and allowed else 0.0, name))
    return tuple(found)


def _about(fact: Fact, objective: Objective) -> bool:
    services = fact.data.get("services") or ([fact.data["service"]] if fact.data.get("service") else [])
    if fact.data.get("objective", objective.name) != objective.name:
        return False
    return not services or objective.service in services or fact.subject == objective.name
