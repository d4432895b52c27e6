"""The page of alerts, filled from what the operations found. Words and numbers as in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from mainstay.doors.web.lanes import Bar, Lane, Lanes, ticks_of
from mainstay.doors.web.monitoring_pages import AlertMark, AlertRow, MonitoringPage, StateChoice
from mainstay.doors.web.pages import Page, PageQuery
from mainstay.doors.web.slo_content import link_to
from mainstay.kernel.alert_history import Activation
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import NoData
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import format_duration
from mainstay.kernel.view import table
from mainstay.kernel.wording import burn_words, many, percent
from mainstay.monitoring.alerts_view import (
    ORDER,
    SIGNS,
    AlertReading,
    Shown,
    doubts,
    left_of_hold,
    nearness,
    urgent_first,
    verdict,
)
from mainstay.monitoring.audit_view import verdict as audit_verdict
from mainstay.monitoring.operations.audit import AuditRequest, audit
from mainstay.slo.operations.standings import Report

HISTORY = timedelta(days=30)
_ROWS = 100

MOST_ROWS, MOST_LANES = 200, 40
"""What a page shows; the command lists everything."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a server knows of its alerts, judged at most a short while ago.

    Args:
        fired: the recorded alerts of the last weeks.
        noise: the audit of them in one sentence; empty without any.
    """

    alerts: tuple[AlertReading, ...]
    fired: tuple[Activation, ...]
    noise: str


def monitoring_pages(latest: Callable[[World], Report], seen: Callable[[World], Seen]) -> tuple[Page, ...]:
    """The hand-made page of the word.

    Args:
        latest: the newest report, for what is spent of each budget.
    """
    return (Page("/monitoring", "alerts", "monitoring.html",
                 lambda world, query: monitoring_page(world.clock.now(), query, latest(world), seen(world)),
                 word="monitoring"),)


def monitoring_page(now: datetime, query: PageQuery, report: Report, seen: Seen) -> MonitoringPage:
    """Every alert, what fires first, and when they fired."""
    readings, fired = seen.alerts, seen.fired
    wanted = query.get("state")
    ordered = urgent_first(readings)
    spent = {one.name: percent(one.consumption_percent, 0) for one in report.objectives}
    counts = tuple(StateChoice(mark_of(state), number, "/monitoring" + ("" if wanted == state else f"?state={state}"),
                               wanted == state)
                   for state in ORDER if (number := sum(one.state == state for one in readings)))
    says = verdict(readings)
    stale = sorted({one.objective for one in readings if one.stale})
    until = [one.measured_until for one in readings if one.measured_until is not None]
    shown = [one for one in ordered if wanted == one.state or (not wanted and one.state != "useless")]
    more = len(shown) - MOST_ROWS
    return MonitoringPage(
        says.text, says.tone, counts, tuple(_row(one, spent, now) for one in shown[:MOST_ROWS]),
        f"{many(more, 'further alert')}: mainstay monitoring alerts lists all" if more > 0 else "",
        "No alert is in this state." if wanted else
        "The catalog declares no objective. Start with: mainstay slo try LOG",
        _lanes(fired, now), _history_title(fired),
        table("", ("alert", "began", "ended", "lasted>"), [_history_row(one, now) for one in reversed(fired[-_ROWS:])]),
        table("Of no use", ("objective", "alert", "why"), [
            (one.objective, f"{one.severity}, {one.long} / {one.short}", "; ".join(one.faults))
            for one in ordered if one.state == "useless"][:MOST_ROWS]),
        seen.noise, max(until, default=None),
        f"Stale: {', '.join(stale[:3])}{' and more' if len(stale) > 3 else ''}" if stale else "")


def mark_of(state: Shown) -> AlertMark:
    """A state as sign, word and colour."""
    return AlertMark(*SIGNS[state])


def _row(one: AlertReading, spent: Mapping[str, str], now: datetime) -> AlertRow:
    known = one.long_burn is not None and one.short_burn is not None
    lasted = "" if one.since is None else format_duration(max(round((now - one.since).total_seconds()), 1))
    return AlertRow(
        one.objective, one.service, link_to(one.objective), one.severity, f"{one.long} / {one.short}",
        mark_of(one.state), one.since, lasted,
        burn_words(one.long_burn), burn_words(one.short_burn), f"{one.factor:.3g}×", nearness(one) if known else None,
        spent.get(one.objective, "–"), left_of_hold(one, now), "; ".join(filter(None, (*one.faults, doubts(one)))))


# -- history ------------------------------------------------------------------------------------------------------


def _lanes(fired: Sequence[Activation], now: datetime) -> Lanes | None:
    start = now - HISTORY
    by_alert: dict[tuple[str, str], list[Activation]] = {}
    for one in fired:
        by_alert.setdefault((one.labels["slo"], one.labels["tier"]), []).append(one)
    most = sorted(by_alert.items(), key=lambda item: (not item[0][1].startswith("page"), -len(item[1]), item[0]))
    lanes = tuple(_lane(slo, tier, those, start, now) for (slo, tier), those in most[:MOST_LANES])
    return Lanes(start, now, lanes, ticks_of(start, now), max(0, len(most) - MOST_LANES)) if lanes else None


def _lane(slo: str, tier: str, those: Sequence[Activation], start: datetime, now: datetime) -> Lane:
    bars = tuple(Bar(max(one.fired or one.began, start), one.ended, _says(one, now)) for one in those)
    lasted = sum(((one.ended or now) - max(one.fired or one.began, start) for one in those), timedelta())
    return Lane(slo, tier, link_to(slo), "bad" if tier.startswith("page") else "warn", bars,
                f"{len(those)}×, {format_duration(lasted)}")


def _says(one: Activation, now: datetime) -> str:
    fired = one.fired or one.began
    if one.ended is None:
        return f"firing since {fired:%-d %b %H:%M} UTC, {format_duration(now - fired)}"
    return f"{fired:%-d %b %H:%M} – {one.ended:%-d %b %H:%M} UTC, {format_duration(one.ended - fired)}"


def _history_title(fired: Sequence[Activation]) -> str:
    if not fired:
        return f"No alert fired in the last {HISTORY.days} d"
    pages = sum(one.labels.get("severity") == "page" for one in fired)
    still = sum(one.ended is None for one in fired)
    return f"Fired in the last {HISTORY.days} d: {many(len(fired), 'time')}, {many(pages, 'page')}" + (
        f", {still} still on" if still else "")


def _history_row(one: Activation, now: datetime) -> tuple[str, ...]:
    fired = one.fired or one.began
    ended = "still on" if one.ended is None else f"{one.ended:%-d %b %H:%M} UTC"
    return (one.labels["alertname"], f"{fired:%-d %b %H:%M} UTC", ended, format_duration((one.ended or now) - fired))


def noise_of(world: World) -> str:
    """The audit of our own record in one sentence; empty without any."""
    try:
        return audit_verdict(audit(world, AuditRequest(recorded_only=True))).text
    except NoData:
        return ""
