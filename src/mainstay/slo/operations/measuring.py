"""From sources into the ledger, and from the ledger to what a decision needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from mainstay.kernel.errors import SourceUnavailable
from mainstay.kernel.journal import Batch, FactQuery, NewFact
from mainstay.kernel.ports import CountRequest, DaySums, EventQuery, GaugeQuery, Reading, World
from mainstay.kernel.quantity import SLOT, RequestWindow, Span
from mainstay.kernel.series import Series, floor_slot, gap
from mainstay.slo.compliance import split_days
from mainstay.slo.derived import judged, look_back, slice_seconds
from mainstay.slo.maintenance import Excluded, excluded
from mainstay.slo.method import Method, RatioTimeslices, Timeslices, counted, step_of
from mainstay.slo.spec import Indicator, Maintenance, Objective, ledger_key, resolved
from mainstay.slo.standing import DAY, RECENT, Holdings, windows_start

LATE = timedelta(minutes=15)
"""How long after its slot a late sample may still come; the last slots are read again so that it counts."""
GAUGE_STEP = 60
"""Seconds between two looks at a gauge, unless the method slices finer."""
FORECAST = timedelta(days=90)
"""How much history the forecast is made of, when the ledger has it."""


@dataclass(frozen=True, slots=True)
class Measured:
    """An objective ready to be judged.

    Args:
        problem: why the source could not be asked just now; the holdings are then what was known before.
    """

    objective: Objective
    indicator: Indicator
    key: str
    holdings: Holdings
    warnings: tuple[str, ...]
    problem: str
    left_out: tuple[Excluded, ...]


@dataclass(slots=True)
class _Plan:
    """One objective's reading: what is missing in the ledger, and what came of asking."""

    objective: Objective
    indicator: Indicator
    key: str
    spans: list[Span] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    problem: str = ""


def measure(world: World, objectives: Sequence[Objective], now: datetime, *, refresh: bool = True,
            stale_ok: bool = False) -> list[Measured]:
    """Every objective with what the ledger holds of it, after the sources were asked for what is missing.

    Args:
        refresh: whether to ask the sources; otherwise the ledger alone answers.
        stale_ok: whether a source that does not answer only marks its objectives, instead of ending the run.
    Raises:
        SourceUnavailable: a source does not answer and `stale_ok` is False.
    """
    plans = []
    for objective in objectives:
        indicator = resolved(objective, world.catalog)
        plans.append(_Plan(objective, indicator, ledger_key(indicator, objective.method)))
    if refresh:
        bring_up_to_date(world, plans, now, stale_ok=stale_ok)
    return _gather(world, plans, now)


# -- from the sources ---------------------------------------------------------------------------------------------


def bring_up_to_date(world: World, plans: Sequence[_Plan], now: datetime, *, stale_ok: bool) -> None:
    """Ask each source, in one batch, for the slots that the ledger lacks; write them durably."""
    keys = [plan.key for plan in plans]
    extent = world.ledger.extent(keys)
    filled = {fact.subject: datetime.fromisoformat(fact.data["since"])
              for fact in world.journal.facts(FactQuery(kinds=("slo.back-filled",)))}
    by_source: dict[str, list[_Plan]] = {}
    for plan in plans:
        if not plan.indicator.source:
            plan.warnings.append("no source says where this is counted")
            continue
        plan.spans = _missing(plan, extent.get(plan.key), filled.get(plan.key), now)
        by_source.setdefault(plan.indicator.source, []).append(plan)
    for name, asked in by_source.items():
        world.progress(f"asking {name} for {len(asked)} objective{'s' if len(asked) != 1 else ''}")
        try:
            _read(world, name, asked, now)
        except SourceUnavailable as error:
            if not stale_ok:
                raise
            for plan in asked:
                plan.problem = error.message


def _missing(plan: _Plan, known: Span | None, filled_since: datetime | None, now: datetime) -> list[Span]:
    """The spans to ask for: the tail since the last known slot, and the head when nobody ever looked that far back."""
    start = _floor(windows_start(plan.objective, now), plan.objective.method)
    end = datetime.fromtimestamp(floor_slot(now), UTC)
    if known is None or isinstance(plan.indicator.total, EventQuery):
        # Files are read whole in any case, so what was added late to them is picked up too.
        return [Span(start, end)]
    spans = [Span(_floor(min(known.end, end) - LATE, plan.objective.method), end)]
    if filled_since is None or start < filled_since:
        spans.insert(0, Span(start, _floor(known.start, plan.objective.method)))
    return [span for span in spans if span.start < span.end]


def _floor(moment: datetime, method: Method) -> datetime:
    length = SLOT
    if isinstance(method, (Timeslices, RatioTimeslices)):
        length = max(SLOT, int(method.length.total_seconds()))
    return datetime.fromtimestamp(floor_slot(moment, length), UTC)


def request_for(indicator: Indicator, method: Method, span: Span) -> CountRequest:
    """What to ask a source for, fine enough for the method."""
    step = step_of(method)
    if indicator.derived is not None:
        start = _floor(span.start - look_back(indicator.derived), method)
        assert not isinstance(indicator.total, GaugeQuery), "throughput and freshness count arrivals"
        return CountRequest(indicator.total, Span(start, span.end), bad=indicator.total,
                            step=min(step, slice_seconds(indicator.derived)))
    if isinstance(indicator.total, GaugeQuery):
        step = min(step, GAUGE_STEP)
    return CountRequest(indicator.total, span, indicator.bad, indicator.good, step)


def _read(world: World, source: str, plans: Sequence[_Plan], now: datetime) -> None:
    requests, owners = [], []
    for plan in plans:
        for span in plan.spans:
            requests.append(request_for(plan.indicator, plan.objective.method, span))
            owners.append((plan, span))
    readings = world.source(source).count(requests)
    entries: dict[str, Series] = {}
    facts: list[NewFact] = []
    for (plan, span), reading in zip(owners, readings, strict=True):
        plan.warnings += [warning for warning in reading.warnings if warning not in plan.warnings]
        slots = slots_of(plan.indicator, plan.objective.method, reading, span)
        entries[plan.key] = _joined(entries.get(plan.key), slots)
        facts.append(NewFact("slo.back-filled", plan.key, now, {"since": span.start.isoformat(),
                                                               "objective": plan.objective.name},
                             key=f"slo.back-filled:{plan.key}:{span.start:%Y-%m-%d}"))
    changed = world.ledger.write(entries, now)
    facts = [fact for fact in facts if changed.get(fact.subject)]
    if facts:
        world.journal.commit(Batch(facts))


def slots_of(indicator: Indicator, method: Method, reading: Reading, span: Span) -> Series:
    """What a source answered to `request_for`, as the slots that the ledger keeps."""
    series = reading.series if indicator.derived is None else judged(reading.series, indicator.derived)
    return counted(series, method).cut(int(span.start.timestamp()), int(span.end.timestamp()))


def _joined(first: Series | None, second: Series) -> Series:
    if first is None:
        return second
    out = first.cut(min(first.start, second.start), max(first.end, second.end))
    here = slice((second.start - out.start) // SLOT, (second.end - out.start) // SLOT)
    out.bad[here], out.total[here], out.known[here] = second.bad, second.total, second.known
    return out


# -- from the ledger ----------------------------------------------------------------------------------------------


def _gather(world: World, plans: Sequence[_Plan], now: datetime) -> list[Measured]:
    end = datetime.fromtimestamp(floor_slot(now), UTC)
    recent_start = datetime.fromtimestamp(floor_slot(now - RECENT, DAY), UTC)
    keys = list(dict.fromkeys(plan.key for plan in plans))
    starts = {plan.objective.name: windows_start(plan.objective, now) for plan in plans}
    first = min([now - FORECAST, *starts.values()])
    recent = world.ledger.read(keys, Span(recent_start, end))
    days = world.ledger.day_sums(keys, Span(datetime.fromtimestamp(floor_slot(first, DAY), UTC), recent_start))
    heads = _heads(world, plans, now)
    simulated = {fact.subject: datetime.fromisoformat(fact.data["until"])
                 for fact in world.journal.facts(FactQuery(kinds=("slo.history-simulated",)))}
    maintenance = world.catalog.of(Maintenance)
    out = []
    for plan in plans:
        series = recent.get(plan.key) or gap(int(recent_start.timestamp()), 0)
        sums = days.get(plan.key) or DaySums(*(np.zeros(0) for _ in range(4)))
        held = Holdings(series, sums, heads.get(plan.key, {}), _until(world, plan.key, series), simulated.get(plan.key))
        left_out = excluded(plan.objective, maintenance, Span(first, end)) if maintenance else ()
        if left_out:
            held = _without(world, plan.key, held, left_out)
        out.append(Measured(plan.objective, plan.indicator, plan.key, held, tuple(plan.warnings), plan.problem,
                            left_out))
    return out


def _heads(world: World, plans: Sequence[_Plan], now: datetime) -> dict[str, dict[datetime, Series]]:
    """For each key, the slots of the part of a day in which one of its windows starts, by that start."""
    wanted: dict[Span, list[str]] = {}
    for plan in plans:
        for span in _window_spans(plan.objective, now):
            head = split_days(span).head
            if head is not None:
                wanted.setdefault(head, []).append(plan.key)
    out: dict[str, dict[datetime, Series]] = {}
    for head, keys in wanted.items():
        for key, series in world.ledger.read(list(dict.fromkeys(keys)), head).items():
            out.setdefault(key, {})[head.start] = series
    return out


def _window_spans(objective: Objective, now: datetime) -> Iterable[Span]:
    end = datetime.fromtimestamp(floor_slot(now), UTC)
    for one in objective.windows:
        if not isinstance(one.window, RequestWindow):
            start = windows_start(replace(objective, windows=(one,)), end)
            yield Span(start, end)


def _until(world: World, key: str, recent: Series) -> datetime | None:
    known = np.flatnonzero(recent.known)
    if len(known):
        return datetime.fromtimestamp(recent.start + (int(known[-1]) + 1) * recent.step, UTC)
    extent = world.ledger.extent([key]).get(key)
    return extent.end if extent else None


def _without(world: World, key: str, held: Holdings, left_out: Sequence[Excluded]) -> Holdings:
    """The same holdings with planned work made a gap; days it touches are summed anew from their slots."""
    spans = [one.span for one in left_out]
    touched = sorted({day for span in spans for day in _days_of(span)} & set(held.days.days.astype(int).tolist()))
    sums = DaySums(held.days.days, held.days.bad.copy(), held.days.total.copy(), held.days.known.copy())
    for day in touched:
        start = datetime.fromtimestamp(day, UTC)
        series = world.ledger.read([key], Span(start, start + timedelta(days=1)))[key].without(spans)
        at = int(np.flatnonzero(sums.days == day)[0])
        sums.bad[at], sums.total[at], sums.known[at] = series.bad_sum, series.total_sum, float(series.known.sum())
    heads = {start: series.without(spans) for start, series in held.heads.items()}
    return replace(held, recent=held.recent.without(spans), days=sums, heads=heads)


def _days_of(span: Span) -> Iterable[int]:
    return range(floor_slot(span.start, DAY), int(span.end.timestamp()), DAY)


def history(world: World, measured: Measured, span: Span) -> Series:
    """The slots of one objective over a span, without planned work: for charts, worst slots and attribution."""
    series = world.ledger.read([measured.key], span)[measured.key]
    return series.without(one.span for one in measured.left_out)


def by_name(measured: Iterable[Measured]) -> Mapping[str, Measured]:
    """The measured objectives by their names."""
    return {one.objective.name: one for one in measured}
