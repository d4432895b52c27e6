"""Where an objective stands: its windows, burn, time left and warnings, from what the ledger holds. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import assert_never

import numpy as np

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.method import Method, Occurrences, RatioTimeslices, Timeslices
from mainstay.kernel.objective import Objective, ObjectiveWindow
from mainstay.kernel.ports import DaySums
from mainstay.kernel.quantity import (
    CalendarWindow,
    RequestWindow,
    RollingWindow,
    Span,
    State,
    Target,
    Window,
    calendar_span,
    short_duration,
)
from mainstay.kernel.series import Series, floor_slot
from mainstay.slo.exhaustion import Band, Exhausted, NotWithin, Outlook, Unforeseeable, outlook
from mainstay.stats.budget import (
    Tally,
    allowed,
    burn_alerts,
    consumption,
    requests_so_one_failure_does_not_page,
    status_of,
    sum_of,
)
from mainstay.stats.compliance import Running, budget_curve, burn_rates, span_of, split_days

DAY = 86400
RECENT = timedelta(days=3)
"""Slots that are always at hand: the longest burn-rate window."""


@dataclass(frozen=True, slots=True, eq=False)
class Holdings:
    """What the ledger holds of one objective, in the cheapest form that answers exactly.

    Args:
        recent: slots from a midnight at least `RECENT` ago up to the last whole slot before now.
        days: sums of whole days, as far back as the longest window (and the forecast) needs.
        heads: the slots of the day in which a window starts, by the window's start.
        until: the end of the last measured slot; None when nothing was measured.
        simulated_until: history before this moment was made up for a demonstration; None when none was.
    """

    recent: Series
    days: DaySums
    heads: dict[datetime, Series]
    until: datetime | None
    simulated_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """The budget in events: how many may fail in the window as counted, how many did, how many are left (may be < 0).

    Args:
        unit: `events`, or `slices` when time is what counts.
    """

    allowed: float
    spent: float
    left: float
    unit: str


@dataclass(frozen=True, slots=True)
class ExhaustionReading:
    """When the budget will be spent.

    Args:
        state: `exhausted`, `within` (the middle future spends it inside the horizon), `not_within`, `unknown`.
        hours, early_hours, late_hours: the middle, early (1 in 10) and late (9 in 10) answer; None beyond the horizon.
        chance: share of the futures that spend it inside the horizon, 0..1.
        says: the answer in words.
    """

    state: str
    hours: float | None
    early_hours: float | None
    late_hours: float | None
    chance: float | None
    horizon_hours: float | None
    scenario: str
    says: str


@dataclass(frozen=True, slots=True)
class WindowStanding:
    """One window of an objective. `sli` and `target` are ratios 0..1; None is no data."""

    window: str
    target: float
    alert: str
    start: datetime
    end: datetime
    good: float
    total: float
    sli: float | None
    consumption_percent: float | None
    status: State


@dataclass(frozen=True, slots=True)
class SlaReading:
    """The contract beside the objective: how much of its own allowance is spent."""

    target: float
    consumption_percent: float | None
    status: State


@dataclass(frozen=True, slots=True)
class Standing:
    """One objective in `slo report`; the field names are its stable JSON. Ratios are 0..1, percents say so."""

    name: str
    service: str
    status: State
    target: float
    window: str
    method: str
    good: float
    total: float
    sli: float | None
    consumption_percent: float | None
    remaining_percent: float | None
    budget: Budget | None
    burn_rates: dict[str, float | None]
    exhaustion: ExhaustionReading
    zone: str
    frozen: bool
    windows: tuple[WindowStanding, ...]
    sla: SlaReading | None
    title: str
    owner: str
    measured_until: datetime | None
    stale: bool
    simulated_until: datetime | None
    warnings: tuple[str, ...]
    spark: tuple[float | None, ...]

    @property
    def promise(self) -> Target:
        """The target as people read it, exact again."""
        return Target(Decimal(repr(self.target)))

    @property
    def spent(self) -> float | None:
        """Share of the main window's budget that is spent; None without data."""
        return None if self.consumption_percent is None else self.consumption_percent / 100

    def in_zone(self, zone: str) -> Standing:
        """The same standing, in that zone of its policy."""
        return replace(self, zone=zone)


def windows_start(objective: Objective, now: datetime) -> datetime:
    """The earliest moment that any window of the objective needs; request windows may need all there is."""
    starts = [now - RECENT]
    for one in objective.windows:
        match one.window:
            case RollingWindow(length):
                starts.append(now - length)
            case CalendarWindow() as window:
                starts.append(calendar_span(window, now).start)
            case RequestWindow():
                starts.append(now - timedelta(days=90))
            case other:
                assert_never(other)
    return min(starts)


def method_name(method: Method) -> str:
    """`occurrences`, `timeslices 1m at 95 %`, `ratio timeslices 5m`: as reports say it."""
    match method:
        case Occurrences():
            return "occurrences"
        case Timeslices(length, target):
            return f"timeslices {short_duration(length)} at {target}"
        case RatioTimeslices(length):
            return f"ratio timeslices {short_duration(length)}"
        case other:
            assert_never(other)


def tally_over(span: Span, holdings: Holdings, running: Running | None = None) -> Tally | None:
    """Σbad and Σtotal over the span, from day sums and the slots at its edges; None when nothing was counted.

    Args:
        running: the running sums of the recent slots, when the caller has them.
    """
    running = running or Running.of(holdings.recent)
    if span.start.timestamp() >= holdings.recent.start:
        return running.tally(span)
    # The recent slots begin at a midnight, so what lies before them is the rest of a day and whole days.
    recent_start = datetime.fromtimestamp(holdings.recent.start, UTC)
    parts = split_days(Span(span.start, recent_start))
    tallies: list[Tally | None] = [running.tally(Span(recent_start, span.end))]
    if parts.head is not None:
        midnight = datetime.fromtimestamp(floor_slot(parts.head.start, DAY), UTC)
        head = holdings.heads.get(parts.head.start) or holdings.heads.get(midnight)
        tallies.append(Running.of(head).tally(parts.head) if head is not None else None)
    if parts.days is not None:
        days = holdings.days
        inside = (days.days >= parts.days.start.timestamp()) & (days.days < parts.days.end.timestamp())
        total = float(days.total[inside].sum())
        tallies.append(Tally(float(days.bad[inside].sum()), total) if total > 0 else None)
    return sum_of(tallies)


def standing_of(objective: Objective, holdings: Holdings, now: datetime, *, zone: str = "", frozen: bool = False,
                warnings: Sequence[str] = (), stale: bool = False) -> Standing:
    """Where the objective stands at `now`."""
    running = Running.of(holdings.recent)
    burn = burn_rates(running, objective.target, now)
    measured = [_window_standing(one, holdings, running, now) for one in objective.windows]
    main, tally = measured[0]
    main = replace(main, status=status_of(None if tally is None else consumption(tally, objective.target),
                                          fast_burn=fast_burn(objective, burn)))
    spent = None if tally is None else consumption(tally, objective.target)
    seen = _budget(objective, tally)
    daily = _daily(holdings)
    unit_warnings = low_traffic(objective, holdings, now)
    return Standing(
        name=objective.name, service=objective.service, status=main.status, target=main.target, window=main.window,
        method=method_name(objective.method), good=main.good, total=main.total, sli=main.sli,
        consumption_percent=main.consumption_percent,
        remaining_percent=None if spent is None else (1 - spent) * 100, budget=seen, burn_rates=burn,
        exhaustion=exhaustion_reading(outlook(daily, objective.target, objective.window, now)),
        zone=zone, frozen=frozen, windows=(main, *(one for one, _ in measured[1:])), sla=_sla(objective, tally),
        title=objective.title or objective.name, owner=objective.owner, measured_until=holdings.until, stale=stale,
        simulated_until=holdings.simulated_until, warnings=(*warnings, *unit_warnings), spark=_spark(objective, daily))


def _window_standing(one: ObjectiveWindow, holdings: Holdings, running: Running, now: datetime,
                     ) -> tuple[WindowStanding, Tally | None]:
    span = _span(one.window, holdings, running, now)
    tally = tally_over(span, holdings, running)
    spent = None if tally is None else consumption(tally, one.target)
    return WindowStanding(
        str(one.window), float(one.target.ratio), one.alert, span.start, span.end,
        good=0.0 if tally is None else tally.total - tally.bad, total=0.0 if tally is None else tally.total,
        sli=None if tally is None else tally.sli, consumption_percent=None if spent is None else spent * 100,
        status=status_of(spent)), tally


def _span(window: Window, holdings: Holdings, running: Running, now: datetime) -> Span:
    span = span_of(window, running, now)
    if not isinstance(window, RequestWindow) or running.total[-1] >= window.events:
        return span
    day = day_of_first(window.events, holdings)
    if day is None:
        held = holdings.days.days[:1].tolist()
        return Span(datetime.fromtimestamp(min([*held, holdings.recent.start]), UTC), span.end)
    head = holdings.heads.get(day)
    if head is None:
        return Span(day, span.end)
    later = holdings.days.days > day.timestamp()
    missing = window.events - float(running.total[-1]) - float(holdings.days.total[later].sum())
    enough = np.flatnonzero(np.cumsum(head.total[::-1])[::-1] >= missing)
    start = head.start + (int(enough[-1]) if len(enough) else 0) * head.step
    return Span(datetime.fromtimestamp(start, UTC), span.end)


def day_of_first(count: int, holdings: Holdings) -> datetime | None:
    """The day in which the last `count` events begin; None when the recent slots hold them, or all slots fewer."""
    missing = count - holdings.recent.total_sum
    if missing <= 0:
        return None
    reached = np.flatnonzero(np.cumsum(holdings.days.total[::-1]) >= missing)
    return datetime.fromtimestamp(holdings.days.days[::-1][reached[0]], UTC) if len(reached) else None


def _budget(objective: Objective, tally: Tally | None) -> Budget | None:
    if tally is None:
        return None
    may_fail = allowed(objective.target, tally.total)
    return Budget(may_fail, tally.bad, may_fail - tally.bad,
                  "events" if isinstance(objective.method, Occurrences) else "slices")


def _sla(objective: Objective, tally: Tally | None) -> SlaReading | None:
    if objective.sla is None:
        return None
    spent = None if tally is None else consumption(tally, objective.sla)
    return SlaReading(float(objective.sla.ratio), None if spent is None else spent * 100, status_of(spent))


def _daily(holdings: Holdings) -> Series:
    """The history as one slot a day, today's part included: enough for a forecast and quick for a thousand of them."""
    recent = holdings.recent.coarser(DAY)
    days = holdings.days
    if not len(days.days):
        return recent
    start = int(min(days.days[0], recent.start))
    count = max(0, (recent.end - start) // DAY)
    out = Series(start, DAY, np.zeros(count), np.zeros(count), np.zeros(count, dtype=np.bool_))
    at = ((days.days - start) // DAY).astype(int)
    inside = at < count
    out.bad[at[inside]], out.total[at[inside]] = days.bad[inside], days.total[inside]
    out.known[at[inside]] = days.known[inside] > 0
    here = (recent.start - start) // DAY
    out.bad[here:], out.total[here:], out.known[here:] = recent.bad, recent.total, recent.known
    return out


def _spark(objective: Objective, daily: Series) -> tuple[float | None, ...]:
    """The budget left at the end of each of the last 30 days, in a window as long as the objective's."""
    length = objective.window.length if isinstance(objective.window, RollingWindow) else timedelta(days=30)
    if objective.target.budget == 0 or not len(daily):
        return ()
    ends = daily.start + DAY * np.arange(max(1, len(daily) - 29), len(daily) + 1)
    curve = budget_curve(Running.of(daily), objective.target, max(length, timedelta(days=1)), ends)
    return tuple(left for _, left in curve.points())


def fast_burn(objective: Objective, burn: Mapping[str, float | None]) -> bool:
    """Whether an alert that pages would fire now: a budget that burns so fast is at risk however much is left."""
    if objective.target.budget == 0:
        return False
    length = objective.window.length if isinstance(objective.window, RollingWindow) else timedelta(days=30)
    return any(alert.trips(burn.get(short_duration(alert.tier.long)), burn.get(short_duration(alert.short)))
               for alert in burn_alerts(objective.target, length)
               if alert.tier.severity == "page" and not alert.faults)


def low_traffic(objective: Objective, holdings: Holdings, now: datetime) -> tuple[str, ...]:
    """A warning when so few events arrive that one failure alone would page, with the number that is needed."""
    if objective.target.budget == 0 or not isinstance(objective.method, Occurrences):
        return ()
    end = floor_slot(now)
    day = holdings.recent.cut(end - DAY, end)
    window = objective.window
    length = window.length if isinstance(window, RollingWindow) else timedelta(days=30)
    alerts = [alert for alert in burn_alerts(objective.target, length) if not alert.faults]
    if not day.total_sum or not alerts:
        return ()
    hours_of_window = alerts[0].tier.long / timedelta(hours=1)
    needed = math.ceil(requests_so_one_failure_does_not_page(alerts[0]) / hours_of_window)
    hourly = day.total_sum / (float(day.known.sum()) * day.step / 3600)
    if hourly >= needed:
        return ()
    return (f"low traffic: {hourly:.0f} events an hour; below {needed:,} an hour one failure alone looks like a page",)


def exhaustion_reading(found: Outlook) -> ExhaustionReading:
    """The outlook as a report shows it."""
    match found:
        case Exhausted():
            return ExhaustionReading("exhausted", 0.0, 0.0, 0.0, 1.0, None, "", str(found))
        case Unforeseeable(reason):
            return ExhaustionReading("unknown", None, None, None, None, None, "", reason)
        case Band(scenario, p10, p50, p90, chance, horizon):
            state = "not_within" if isinstance(p50, NotWithin) else "within"
            return ExhaustionReading(state, _hours(p50), _hours(p10), _hours(p90), chance,
                                     horizon.total_seconds() / 3600, scenario.name, str(found))
        case other:
            assert_never(other)


def _hours(when: timedelta | NotWithin) -> float | None:
    return None if isinstance(when, NotWithin) else when.total_seconds() / 3600
