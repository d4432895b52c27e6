"""Planned work left out of account: out of every window and day sum, and into the journal so that it can be audited."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.journal import Batch, FactQuery, NewFact
from mainstay.kernel.objective import Objective
from mainstay.kernel.ports import DaySums, PlannedWork, World
from mainstay.kernel.quantity import Span
from mainstay.kernel.series import floor_slot
from mainstay.slo.maintenance import Excluded, excluded, occurrences
from mainstay.slo.spec import Maintenance
from mainstay.slo.standing import DAY, Holdings, windows_start

LATE = timedelta(minutes=15)
"""How long after its slot a late sample may still come; until then a slot is read again, and its counts may change."""


@dataclass(slots=True)
class Held:
    """An objective and what the ledger holds of it, while it is being gathered."""

    objective: Objective
    key: str
    holdings: Holdings
    left_out: tuple[Excluded, ...] = ()


AHEAD = timedelta(hours=1)
"""How long before it begins planned work is announced."""


def work_within(world: World, span: Span) -> tuple[PlannedWork, ...]:
    """Every time that declared work is done within the span."""
    return tuple(PlannedWork(one.name, one.reason, held, tuple(one.services), tuple(one.objectives))
                 for one in world.catalog.of(Maintenance) for held in occurrences(one, span))


def announce_work(world: World) -> int:
    """Planned work that goes on or begins soon is in the journal, so that alerts can be silent meanwhile; how many."""
    now = world.clock.now()
    work = work_within(world, Span(now, now + AHEAD))
    if not work:
        return 0
    recorded = {fact.key for fact in world.journal.facts(FactQuery(kinds=("slo.maintenance-planned",)))}
    facts = [NewFact("slo.maintenance-planned", one.name, one.span.start, {
        "until": one.span.end.isoformat(), "reason": one.reason, "services": list(one.services),
        "objectives": list(one.objectives)}, key=key)
        for one in work
        if (key := f"slo.maintenance-planned:{one.name}:{one.span.start.isoformat()}:{one.span.end.isoformat()}")
        not in recorded]
    if facts:
        world.journal.commit(Batch(facts))
    return len(facts)


def record_exclusions(world: World, objectives: Iterable[tuple[Objective, str]], now: datetime) -> None:
    """Planned work that lies in a window and is over is in the journal, once an occurrence and objective, with counts.

    Args:
        objectives: each with its ledger key.
    """
    declared = world.catalog.of(Maintenance)
    if not declared:
        return
    recorded = {fact.key for fact in world.journal.facts(FactQuery(kinds=("slo.maintenance-excluded",)))}
    due: dict[Span, list[tuple[Objective, str, Excluded]]] = {}
    for objective, key in objectives:
        for one in excluded(objective, declared, Span(windows_start(objective, now), now)):
            if one.span.end + LATE <= now and _fact_key(objective, one) not in recorded:
                due.setdefault(one.span, []).append((objective, key, one))
    facts = []
    for span, those in due.items():
        slots = world.ledger.read(list({key for _, key, _ in those}), span)
        for objective, key, one in those:
            lost = slots[key]
            facts.append(NewFact("slo.maintenance-excluded", objective.name, span.start, {
                "maintenance": one.maintenance, "reason": one.reason, "until": span.end.isoformat(),
                "service": objective.service, "bad": lost.bad_sum, "total": lost.total_sum,
                "slots": int(lost.known.sum())}, key=_fact_key(objective, one)))
    if facts:
        world.journal.commit(Batch(facts))


def _fact_key(objective: Objective, one: Excluded) -> str:
    return f"slo.maintenance-excluded:{objective.name}:{one.maintenance}:{one.span.start.isoformat()}"


def without_planned_work(world: World, held: Sequence[Held], span: Span) -> list[tuple[Excluded, ...]]:
    """Make planned work a gap in what is held; days that it touches are summed anew from their slots.

    Returns:
        what was left out of each, in order.
    """
    declared = world.catalog.of(Maintenance)
    touched: dict[int, list[Held]] = {}
    for one in held:
        one.left_out = excluded(one.objective, declared, span) if declared else ()
        if not one.left_out:
            continue
        spans, before = [left.span for left in one.left_out], one.holdings
        days = before.days
        one.holdings = replace(
            before, recent=before.recent.without(spans),
            days=DaySums(days.days, days.bad.copy(), days.total.copy(), days.known.copy()),
            heads={start: series.without(spans) for start, series in before.heads.items()})
        for day in sorted({day for left in spans for day in _days_of(left)} & set(days.days.astype(int).tolist())):
            touched.setdefault(day, []).append(one)
    for day, those in touched.items():
        start = datetime.fromtimestamp(day, UTC)
        slots = world.ledger.read(list({one.key for one in those}), Span(start, start + timedelta(days=1)))
        for one in those:
            rest, sums = slots[one.key].without(left.span for left in one.left_out), one.holdings.days
            at = int(np.searchsorted(sums.days, day))
            sums.bad[at], sums.total[at], sums.known[at] = rest.bad_sum, rest.total_sum, float(rest.known.sum())
    return [one.left_out for one in held]


def _days_of(span: Span) -> Iterable[int]:
    return range(floor_slot(span.start, DAY), int(np.ceil(span.end.timestamp())), DAY)
