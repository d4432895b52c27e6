"""`slo show`: one objective, top to bottom: state, budget over time, burn, what spent it, what it means, what to do."""

from __future__ import annotations

from datetime import datetime, timedelta

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.objective import Indicator, Objective
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import EventQuery, GaugeQuery, PromQuery, World
from mainstay.kernel.quantity import CalendarWindow, RollingWindow, Span, calendar_span, format_duration, format_share
from mainstay.kernel.series import Series
from mainstay.kernel.view import (
    Block,
    Cell,
    Chart,
    Code,
    Line,
    Mark,
    Next,
    Pairs,
    Table,
    Text,
    View,
    cells,
    state_cell,
    table,
)
from mainstay.kernel.wording import burn_words, count, percent
from mainstay.slo import attribution
from mainstay.slo.exhaustion import LONG_RUN, RECENT, outlook
from mainstay.slo.operations.measuring import history
from mainstay.slo.operations.questions import CAUSES, Share, causes, share_of
from mainstay.slo.operations.standings import Judged, choose, judge
from mainstay.slo.policy import zone_of
from mainstay.slo.standing import ExhaustionReading, Standing, exhaustion_reading
from mainstay.slo.view import notes, windows_table
from mainstay.stats.budget import BurnAlert, burn_alerts
from mainstay.stats.compliance import Curve, Running, budget_curve, burn_down, moments, worst_slots

POINTS = 180
"""Points of the budget curve: one a terminal column or so, four hours each for 30 days."""


@dataclass(frozen=True)
class ShowRequest:
    """Which objective."""

    name: str = arg("the objective", positional=True)
    offline: bool = arg("answer from the ledger, without asking the sources", False)
    stale_ok: bool = arg("answer from the ledger when the source does not", False)


@dataclass(frozen=True, slots=True)
class Point:
    """The budget left at a moment, as a share of it; None where nothing was measured."""

    at: datetime
    left: float | None


@dataclass(frozen=True, slots=True)
class Worst:
    """A five-minute slot and what was lost in it."""

    start: datetime
    bad: float
    total: float


@dataclass(frozen=True, slots=True)
class AlertReading:
    """A burn-rate alert as it would stand now. Burns are multiples; None is no data."""

    severity: str
    long: str
    short: str
    factor: float
    long_burn: float | None
    short_burn: float | None
    firing: bool
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Marked:
    """Something that happened: where a chart is marked."""

    kind: str
    subject: str
    start: datetime
    end: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Shown:
    """Everything about one objective."""

    standing: Standing
    description: str
    rationale: str
    counted: tuple[str, ...]
    budget_over_time: tuple[Point, ...]
    alerts: tuple[AlertReading, ...]
    exhaustion_recent: ExhaustionReading
    exhaustion_long_run: ExhaustionReading
    worst_slots: tuple[Worst, ...]
    causes: tuple[Share, ...]
    marks: tuple[Marked, ...]
    policy: str
    zone_meaning: str
    frozen: tuple[str, ...]
    excluded: tuple[str, ...]


def show(world: World, request: ShowRequest) -> Shown:
    """Show one objective: its budget over time, burn per window, what spent it, what to do."""
    objective = choose(world, (request.name,))[0]
    judged = judge(world, [objective], refresh=not request.offline, stale_ok=request.stale_ok)[0]
    now = world.clock.now()
    main = judged.standing.windows[0]
    span = Span(main.start, main.end)
    length = span.length if not isinstance(objective.window, RollingWindow) else objective.window.length
    # Twice the window: the curve's first point looks back a whole window too.
    series = history(world, judged.measured, Span(span.start - length, span.end))
    window_series = history(world, judged.measured, span)
    facts = causes(world.journal.facts(FactQuery(kinds=CAUSES)), objective, span)
    by_cause = attribution.by_cause(window_series, facts)
    allowed = window_series.total_sum * float(objective.target.budget)
    return Shown(
        judged.standing, objective.description, objective.rationale, counted_words(judged.measured.indicator),
        _points(_curve(objective, series, span, now)), _alerts(judged),
        exhaustion_reading(outlook(series, objective.target, objective.window, now, scenario=RECENT)),
        exhaustion_reading(outlook(series, objective.target, objective.window, now, scenario=LONG_RUN)),
        tuple(Worst(one.start, one.tally.bad, one.tally.total) for one in worst_slots(window_series, 5)),
        tuple(share_of(part, allowed) for part in by_cause.parts),
        tuple(Marked(one.kind, one.subject, one.span.start, one.span.end, one.text) for one in facts),
        judged.policy.name, _meaning(judged), tuple(sorted(judged.record.frozen)),
        tuple(f"{one.maintenance}: {one.span.start:%Y-%m-%d %H:%M} UTC, {format_duration(one.span.length)}, "
              f"{one.reason}" for one in judged.measured.left_out
              if one.span.start < span.end and one.span.end > span.start))


def _curve(objective: Objective, series: Series, span: Span, now: datetime) -> Curve:
    every = max(timedelta(minutes=5), span.length / POINTS)
    every = timedelta(seconds=-(-int(every.total_seconds()) // 300) * 300)
    at = moments(Span(span.start, span.end), every)
    if isinstance(objective.window, CalendarWindow):
        period = calendar_span(objective.window, now)
        so_far = series.cut(int(span.start.timestamp()), int(span.end.timestamp()))
        elapsed = max(0.01, (span.end - span.start) / period.length)
        return burn_down(Running.of(series), objective.target, period, max(so_far.total_sum / elapsed, 1.0), at)
    return budget_curve(Running.of(series), objective.target, span.length, at)


def _points(curve: Curve) -> tuple[Point, ...]:
    return tuple(Point(at, left) for at, left in curve.points())


def _alerts(judged: Judged) -> tuple[AlertReading, ...]:
    objective, burn = judged.objective, judged.standing.burn_rates
    if objective.target.budget == 0:
        return ()
    length = objective.window.length if isinstance(objective.window, RollingWindow) else timedelta(days=30)
    return tuple(_alert(alert, burn) for alert in burn_alerts(objective.target, length))


def _alert(alert: BurnAlert, burn: dict[str, float | None]) -> AlertReading:
    long, short = _short(alert.tier.long), _short(alert.short)
    firing = not alert.faults and alert.trips(burn.get(long), burn.get(short))
    return AlertReading(alert.tier.severity, long, short, float(alert.factor), burn.get(long), burn.get(short), firing,
                        alert.faults)


def _short(length: timedelta) -> str:
    minutes = int(length.total_seconds()) // 60
    return f"{minutes // 1440}d" if minutes % 1440 == 0 else f"{minutes // 60}h" if minutes % 60 == 0 else f"{minutes}m"


def _meaning(judged: Judged) -> str:
    spent = judged.standing.spent
    return zone_of(judged.policy, spent).meaning if spent is not None else ""


def counted_words(indicator: Indicator) -> tuple[str, ...]:
    """What the indicator counts, as it is asked."""
    parts = [("good", indicator.good), ("bad", indicator.bad), ("total", indicator.total)]
    out = []
    for name, query in parts:
        match query:
            case None:
                continue
            case PromQuery(text):
                out.append(f"{name}: {text}")
            case GaugeQuery(text, operator, threshold, share):
                out.append(f"good when: {text} {operator} {threshold:g}" if operator else f"share of {share}: {text}")
            case EventQuery(where):
                says = " and ".join(f"{one.field} {one.operator} "
                                    + ", ".join(f"{v:g}" if isinstance(v, float) else v for v in one.values)
                                    for one in where).replace("  ", " ").strip()
                out.append(f"{name}: events where {says}" if says else f"{name}: every event")
    return (f"source: {indicator.source or 'none'}", *out)


# -- view ---------------------------------------------------------------------------------------------------------


def budget_chart(found: Shown) -> Chart:
    """The budget over its window; the title says the finding."""
    one = found.standing
    values = tuple(None if point.left is None else point.left * 100 for point in found.budget_over_time)
    known = [value for value in values if value is not None]
    if one.remaining_percent is None:
        title = "Budget left: no data"
    else:
        tenth = max(1, len(known) // 10)
        change = known[-1] - known[-tenth - 1] if len(known) > tenth else 0.0
        trend = "falling" if change < -1 else "recovering" if change > 1 else "steady"
        title = f"Budget left, {one.window}: {one.remaining_percent:.1f} % and {trend}"
    marks = tuple(Mark(mark.start, f"{mark.kind} {mark.subject}: {mark.text}".rstrip(": "),
                       "bad" if mark.kind == "incident" else "warn" if mark.kind == "experiment" else "quiet",
                       until=mark.end) for mark in found.marks)
    return Chart(title, tuple(point.at for point in found.budget_over_time), (Line("budget left", values),), "%",
                 ((0.0, "spent"),), marks, "\n".join(found.counted), "nothing was measured in this window")


def exhaustion_text(found: Shown) -> str:
    """Both futures in one sentence."""
    recent, long_run = found.exhaustion_recent, found.exhaustion_long_run
    if recent.state == "exhausted":
        return "the budget is spent"
    paces = {"as in the last day": _when(recent), "as in the last 90 days": _when(long_run)}
    if len(set(paces.values())) == 1:
        return _when(recent)
    return "; ".join(f"{pace}: {when}" for pace, when in paces.items())


def _when(reading: ExhaustionReading) -> str:
    """`in 2 d 3 h to 9 d`, `in 3 d 8 h at the earliest`, `not within 30 d`: nine of ten futures lie in it."""
    if reading.state == "unknown":
        return reading.says
    if reading.early_hours is None:
        return f"not within {format_duration(timedelta(hours=reading.horizon_hours or 0))}"
    early = format_duration(timedelta(hours=reading.early_hours))
    if reading.late_hours is None:
        return f"in {early} at the earliest"
    return f"in {early} to {format_duration(timedelta(hours=reading.late_hours))}"


def shown_view(found: Shown) -> View:
    """The objective page of the terminal."""
    one = found.standing
    promise = found.description or f"{one.title}: {one.promise} of {one.method} over {one.window}"
    rows: list[tuple[str, tuple[Cell, ...]]] = [
        ("now", cells("no data" if one.sli is None else format_share(one.sli, one.promise), f"target {one.promise}",
                      state_cell(one.status)))]
    if one.budget is not None:
        rows.append(("budget", cells(Cell(f"{percent(one.consumption_percent)} spent, {percent(one.remaining_percent)} "
                                          f"left ({count(round(one.budget.left, 1))} of "
                                          f"{count(round(one.budget.allowed, 1))} {one.budget.unit})",
                                          bar=(one.consumption_percent or 0) / 100))))
        rows.append(("runs out", cells(exhaustion_text(found))))
    if one.sla is not None:
        rows.append(("SLA", cells(f"{one.sla.target * 100:g} %", f"{percent(one.sla.consumption_percent)} of its own "
                                  "allowance spent", state_cell(one.sla.status))))
    rows.append(("policy", cells(f"{found.policy}, zone {one.zone or 'unknown'}", found.zone_meaning)))
    if found.frozen:
        rows.append(("frozen", cells(Cell(", ".join(found.frozen), "bad"))))
    blocks: list[Block] = [Text(f"{one.name} · {one.service or 'no service'}"
                                + (f" · {one.owner}" if one.owner else ""), "strong"), Text(promise),
                           Pairs(tuple(rows)), budget_chart(found), alerts_table(found)]
    if len(one.windows) > 1:
        blocks.append(windows_table(one.windows))
    blocks.append(causes_table(found))
    blocks += [Text(f"left out of account: {text}", "quiet") for text in found.excluded]
    blocks += [*notes((one,)), Code("\n".join(found.counted), title="Counted"),
               Next((f"mainstay slo attribute {one.name}", f"mainstay slo gate {one.name}"))]
    return View(one.name, tuple(blocks))


def alerts_table(found: Shown) -> Block:
    """Burn per window against the alert thresholds."""
    return table("Burn", ("window", "burn>", "alerts above>", "with", "burn>", "severity", ""), [
        (one.long, burn_words(one.long_burn), f"{one.factor:.3g}×", one.short, burn_words(one.short_burn), one.severity,
         Cell("firing", "bad") if one.firing else Cell(one.faults[0] if one.faults else "quiet", "quiet"))
        for one in found.alerts])


def causes_table(found: Shown) -> Table:
    """What spent it, by cause."""
    return table("What spent it", ("what", "kind", "bad>", "of the loss", "of the budget>"), [
        (one.what, one.kind, count(round(one.bad, 1)), Cell(percent(one.share * 100), bar=one.share),
         percent(one.budget_percent)) for one in found.causes], empty="nothing was lost")


SHOW = Operation(
    "slo", "show", ShowRequest, show, shown_view,
    exit_code=lambda found: 3 if found.standing.status == "no_data" else 0,
    exit_codes=((0, "shown"), (2, "the input cannot be used"), (3, "the objective has no data")),
    examples=("mainstay slo show checkout-availability", "mainstay slo show checkout-availability --json"))
