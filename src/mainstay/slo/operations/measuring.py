"""From sources into the ledger, and from the ledger to what a decision needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import MainstayError, SourceUnavailable, StoreUnavailable
from mainstay.kernel.journal import Batch, FactQuery, NewFact
from mainstay.kernel.method import Method, RatioTimeslices, Timeslices, counted, step_of
from mainstay.kernel.objective import Indicator, Objective, ledger_key, resolved
from mainstay.kernel.ports import CountRequest, DaySums, EventQuery, GaugeQuery, Reading, World
from mainstay.kernel.quantity import SLOT, RequestWindow, Span
from mainstay.kernel.series import Series, floor_slot, gap, merged
from mainstay.slo.derived import judged, look_back, slice_seconds
from mainstay.slo.maintenance import Excluded, excluded
from mainstay.slo.operations.exclusion import LATE, Held, record_exclusions, without_planned_work
from mainstay.slo.spec import Maintenance
from mainstay.slo.standing import DAY, RECENT, Holdings, day_of_first, windows_start
from mainstay.stats.compliance import split_days

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
    """One objective's reading, and what came of asking its source."""

    objective: Objective
    indicator: Indicator
    key: str
    warnings: list[str] = field(default_factory=list)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Question:
    """What the ledger lacks of one key, and the objectives that share the answer."""

    key: str
    plans: tuple[_Plan, ...]
    spans: tuple[Span, ...]

    @property
    def indicator(self) -> Indicator:
        """What is counted: the same for all of them, or they would not share the key."""
        return self.plans[0].indicator

    @property
    def method(self) -> Method:
        """How it is counted."""
        return self.plans[0].objective.method


def measure(world: World, objectives: Sequence[Objective], now: datetime, *, refresh: bool = True,
            stale_ok: bool = False) -> list[Measured]:
    """Every objective with what the ledger holds of it, after the sources were asked for what is missing.

    Args:
        refresh: whether to ask the sources; otherwise the ledger alone answers.
        stale_ok: whether a source that does not answer only marks its objectives, instead of ending the run.
    Raises:
        SourceUnavailable, InvalidInput: a source does not answer, or not this question, and `stale_ok` is False.
    """
    plans = []
    for objective in objectives:
        indicator = resolved(objective, world.catalog)
        plans.append(_Plan(objective, indicator, ledger_key(indicator, objective.method)))
    if refresh:
        bring_up_to_date(world, plans, now, stale_ok=stale_ok)
        record_exclusions(world, [(plan.objective, plan.key) for plan in plans], now)
    return _gather(world, plans, now)


# -- from the sources ---------------------------------------------------------------------------------------------


def bring_up_to_date(world: World, plans: Sequence[_Plan], now: datetime, *, stale_ok: bool) -> None:
    """Ask each source, in one batch, for the slots that the ledger lacks; write them durably."""
    sharing: dict[str, list[_Plan]] = {}
    for plan in plans:
        if plan.indicator.source:
            sharing.setdefault(plan.key, []).append(plan)
        else:
            plan.warnings.append("no source says where this is counted")
    extent = world.ledger.extent(list(sharing))
    filled = _filled_since(world)
    by_source: dict[str, list[_Question]] = {}
    for key, alike in sharing.items():
        spans = _missing(alike, extent.get(key), filled.get(key), now)
        by_source.setdefault(alike[0].indicator.source, []).append(_Question(key, tuple(alike), tuple(spans)))
    for name, questions in by_source.items():
        world.progress(f"asking {name} for {len(questions)} indicator{'s' if len(questions) != 1 else ''}")
        _ask(world, name, questions, now, stale_ok=stale_ok)


def _filled_since(world: World) -> dict[str, datetime]:
    """How far back each key was ever asked for."""
    filled: dict[str, datetime] = {}
    for fact in world.journal.facts(FactQuery(kinds=("slo.back-filled",))):
        since = datetime.fromisoformat(fact.data["since"])
        filled[fact.subject] = min(since, filled.get(fact.subject, since))
    return filled


def _ask(world: World, source: str, questions: Sequence[_Question], now: datetime, *, stale_ok: bool) -> None:
    try:
        _read(world, source, questions, now)
    except StoreUnavailable:
        raise
    except MainstayError as error:
        if not stale_ok:
            raise
        if len(questions) > 1 and not isinstance(error, SourceUnavailable):
            # One question that the source does not understand must not leave the others without an answer.
            for question in questions:
                _ask(world, source, (question,), now, stale_ok=True)
            return
        for question in questions:
            for plan in question.plans:
                plan.problem = error.message


def _missing(alike: Sequence[_Plan], known: Span | None, filled_since: datetime | None, now: datetime) -> list[Span]:
    """The spans to ask for: the tail since the last known slot, and the head when nobody ever looked that far back."""
    method = alike[0].objective.method
    start = whole_slices(min(windows_start(plan.objective, now) for plan in alike), method)
    end = datetime.fromtimestamp(floor_slot(now), UTC)
    if known is None or isinstance(alike[0].indicator.total, EventQuery):
        # Files are read whole in any case, so what was added late to them is picked up too.
        return [Span(start, end)]
    spans = [Span(whole_slices(min(known.end, end) - LATE, method), end)]
    if filled_since is None or start < filled_since:
        spans.insert(0, Span(start, whole_slices(known.start, method)))
    return [span for span in spans if span.start < span.end]


def whole_slices(moment: datetime, method: Method) -> datetime:
    """The moment, moved back to where a slot (and a slice of the method) begins."""
    length = SLOT
    if isinstance(method, (Timeslices, RatioTimeslices)):
        length = max(SLOT, int(method.length.total_seconds()))
    return datetime.fromtimestamp(floor_slot(moment, length), UTC)


def request_for(indicator: Indicator, method: Method, span: Span) -> CountRequest:
    """What to ask a source for, fine enough for the method."""
    step = step_of(method)
    if indicator.derived is not None:
        start = whole_slices(span.start - look_back(indicator.derived), method)
        assert not isinstance(indicator.total, GaugeQuery), "throughput and freshness count arrivals"
        return CountRequest(indicator.total, Span(start, span.end), bad=indicator.total,
                            step=min(step, slice_seconds(indicator.derived)))
    if isinstance(indicator.total, GaugeQuery):
        step = min(step, GAUGE_STEP)
    return CountRequest(indicator.total, span, indicator.bad, indicator.good, step)


def _read(world: World, source: str, questions: Sequence[_Question], now: datetime) -> None:
    asked = [(question, span) for question in questions for span in question.spans]
    readings = world.source(source).count([request_for(question.indicator, question.method, span)
                                           for question, span in asked])
    held = world.ledger.extent([question.key for question in questions])
    entries: dict[str, Series] = {}
    facts: dict[str, NewFact] = {}
    for (question, span), reading in zip(asked, readings, strict=True):
        for plan in question.plans:
            plan.warnings += [warning for warning in reading.warnings if warning not in plan.warnings]
        key, slots = question.key, slots_of(question.indicator, question.method, reading, span)
        if isinstance(question.indicator.total, EventQuery) and not slots.known.any() and key not in held:
            # A log that ended long ago: without a word, "no data" would look like a file that was not found.
            for plan in question.plans:
                plan.warnings.append(f"{source} was read, and no event of it is between {span.start:%-d %b %Y %H:%M} "
                                     f"and {span.end:%-d %b %Y %H:%M} UTC; --as-of looks from an earlier moment")
        entries[key] = merged(entries[key], slots) if key in entries else slots
        if span == question.spans[0]:
            facts[key] = NewFact("slo.back-filled", key, now, {
                "since": span.start.isoformat(), "objective": question.plans[0].objective.name},
                key=f"slo.back-filled:{key}:{span.start.isoformat()}")
    world.ledger.write(entries, now)
    # Only after the slots are durable: a run that ends in between is asked for them again, and loses nothing.
    filled = _filled_since(world)
    reached = [fact for key, fact in facts.items()
               if key not in filled or datetime.fromisoformat(fact.data["since"]) < filled[key]]
    if reached:
        world.journal.commit(Batch(reached))


def slots_of(indicator: Indicator, method: Method, reading: Reading, span: Span) -> Series:
    """What a source answered to `request_for`, as the slots that the ledger keeps."""
    series = reading.series if indicator.derived is None else judged(reading.series, indicator.derived)
    return counted(series, method).cut(int(span.start.timestamp()), int(span.end.timestamp()))


# -- from the ledger ----------------------------------------------------------------------------------------------


def _gather(world: World, plans: Sequence[_Plan], now: datetime) -> list[Measured]:
    end = datetime.fromtimestamp(floor_slot(now), UTC)
    recent_start = datetime.fromtimestamp(floor_slot(now - RECENT, DAY), UTC)
    keys = list(dict.fromkeys(plan.key for plan in plans))
    first = min([now - FORECAST, *(windows_start(plan.objective, now) for plan in plans)])
    recent = world.ledger.read(keys, Span(recent_start, end))
    days = world.ledger.day_sums(keys, Span(datetime.fromtimestamp(floor_slot(first, DAY), UTC), recent_start))
    heads = _heads(world, plans, now)
    simulated = {fact.subject: datetime.fromisoformat(fact.data["until"])
                 for fact in world.journal.facts(FactQuery(kinds=("slo.history-simulated",)))}
    until = _until(world, keys, recent)
    held = [Held(plan.objective, plan.key, Holdings(
        recent.get(plan.key) or gap(int(recent_start.timestamp()), 0),
        days.get(plan.key) or DaySums(*(np.zeros(0) for _ in range(4))), heads.get(plan.key, {}), until.get(plan.key),
        simulated.get(plan.key))) for plan in plans]
    left_out = without_planned_work(world, held, Span(first, end))
    _add_request_heads(world, held)
    return [Measured(plan.objective, plan.indicator, plan.key, one.holdings, tuple(plan.warnings), plan.problem, spans)
            for plan, one, spans in zip(plans, held, left_out, strict=True)]


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


def _add_request_heads(world: World, held: Sequence[Held]) -> None:
    """Fetch the slots of the day in which a window of the last N events begins, where the recent slots hold fewer."""
    wanted: dict[datetime, list[Held]] = {}
    for one in held:
        for window in one.objective.windows:
            if isinstance(window.window, RequestWindow):
                day = day_of_first(window.window.events, one.holdings)
                if day is not None:
                    wanted.setdefault(day, []).append(one)
    for day, those in wanted.items():
        slots = world.ledger.read(list({one.key for one in those}), Span(day, day + timedelta(days=1)))
        for one in those:
            head = slots[one.key].without(left.span for left in one.left_out)
            one.holdings = replace(one.holdings, heads={**one.holdings.heads, day: head})


def _until(world: World, keys: Sequence[str], recent: Mapping[str, Series]) -> dict[str, datetime]:
    """The end of the last measured slot of each key that has any."""
    out: dict[str, datetime] = {}
    for key in keys:
        slots = recent[key].known if key in recent else np.zeros(0, dtype=np.bool_)
        if slots.any():
            last = len(slots) - int(slots[::-1].argmax())
            out[key] = datetime.fromtimestamp(recent[key].start + last * recent[key].step, UTC)
    older = [key for key in keys if key not in out]
    if older:
        out |= {key: span.end for key, span in world.ledger.extent(older).items()}
    return out


def history(world: World, measured: Measured, span: Span) -> Series:
    """The slots of one objective over a span, without planned work: for charts, worst slots and attribution."""
    series = world.ledger.read([measured.key], span)[measured.key]
    return series.without(one.span for one in excluded(measured.objective, world.catalog.of(Maintenance), span))


def by_name(measured: Iterable[Measured]) -> Mapping[str, Measured]:
    """The measured objectives by their names."""
    return {one.objective.name: one for one in measured}
