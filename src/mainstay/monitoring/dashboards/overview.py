"""The operations dashboard: every service at a glance, the worst one first in sight."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from mainstay.kernel.objective import IndicatorType
from mainstay.monitoring.chain import BAD, SERVICE_LABEL, TOTAL
from mainstay.monitoring.dashboards.board import (
    COLUMNS,
    Board,
    Column,
    Link,
    Panel,
    Query,
    Section,
    Step,
    Variable,
    uid_of,
)
from mainstay.monitoring.dashboards.readings import Gauges, Readings, Scope, chosen, exhaustion, with_budget
from mainstay.monitoring.dashboards.signals import RATE, signals_of
from mainstay.monitoring.dashboards.slo import HOUR, LEFT_STEPS, STATES, alert_mark
from mainstay.monitoring.dashboards.watched import Watched, services_of

MOST_ROWS = 25
"""Rows of the table: the objectives with the least left; the whole of a service is on its own dashboard."""
_MOST_SERVICES = 20
"""More services have no line each for latency: the panel would ask one question a service."""
_PROMISES = (IndicatorType.AVAILABILITY, IndicatorType.LATENCY, IndicatorType.ERROR_RATE)


def overview_board(watched: Sequence[Watched], readings: Readings, page: str = "") -> Board:
    """The dashboard of all services together."""
    scope = Scope({SERVICE_LABEL: "$service"})
    sections = [_budgets(watched, readings, scope), _golden(watched, readings, scope)]
    if not isinstance(readings, Gauges):
        if business := [one for one in watched if one.type not in _PROMISES]:
            sections.append(_business(business, scope))
        sections.append(_resources())
    variables = [Variable("service", "service", choices=services_of(watched))]
    if not isinstance(readings, Gauges):
        variables.append(Variable("job", "job", "label_values(up, job)"))
    return Board(
        "operations", "", "SRE operations", "Every service: what is left of its budgets, traffic, errors, latency, and "
        "the processes behind them. Written by Mainstay from the catalog.", tuple(sections), tuple(variables),
        (alert_mark(scope, readings),) if readings.grouped else (), (Link("Mainstay", page),) if page else (),
        since="now-6h")


def _worst(expr: str) -> str:
    return f"bottomk({MOST_ROWS}, {expr})"


def _budgets(watched: Sequence[Watched], readings: Readings, scope: Scope) -> Section:
    budgets = with_budget(watched) or watched
    left = readings.left(budgets, scope)
    states = Panel(
        "stat", "Services by their worst objective", "The least budget left of any objective of the service; red is a "
        "broken promise.", (Query(f"min by ({SERVICE_LABEL}) ({left})", "{{service}}"),), COLUMNS, 5, "percentunit",
        LEFT_STEPS, decimals=0, empty="no data")
    worst = Panel(
        "table", "Least budget left", f"The {MOST_ROWS} objectives with the least left. A click on a service opens its "
        "dashboard.", (
            Query(_worst(left), "state", instant=True), Query(_worst(left), "budget left", instant=True),
            Query(f"({readings.burn(budgets, scope, HOUR)})\nand {_worst(left)}", "burn, 1h", instant=True),
            Query(f"({exhaustion(readings, budgets, scope)})\nand {_worst(left)}", "spent in", instant=True)),
        COLUMNS, min(4 + len(budgets), 10), rising="budget left",
        columns=(Column(readings.label), Column(SERVICE_LABEL, link=_to_service(watched)),
                 Column("state", words=STATES), Column("budget left", "percentunit", LEFT_STEPS, decimals=1),
                 Column("burn, 1h", "short", (Step(None, "green"), Step(1, "orange")), decimals=2),
                 Column("spent in", "s", decimals=1)))
    return Section("Promises", (states, worst))


def _to_service(watched: Sequence[Watched]) -> Link | None:
    # The uid of a service whose name does not fit ends in a hash, which no link can work out from the cell.
    plain = all(uid_of("slo", service) == f"mainstay-slo-{service}" for service in services_of(watched))
    return Link("Show this service", "/d/mainstay-slo-${__value.text}?${__url_time_range}") if plain else None


def _golden(watched: Sequence[Watched], readings: Readings, scope: Scope) -> Section:
    if isinstance(readings, Gauges):
        return Section("Burn", tuple(Panel(
            "timeseries", f"Burn, {name}", "The fastest burn of any objective of the service.",
            (Query(f"max by ({SERVICE_LABEL}) ({readings.burn(watched, scope, window)})", "{{service}}"),), 8,
            unit="short", least=0, decimals=2)
            for name, window in (("1h", HOUR), ("6h", timedelta(hours=6)), ("3d", timedelta(days=3)))))
    matchers = chosen(scope, readings.label)
    traffic = f"max by ({SERVICE_LABEL}) ({TOTAL}{matchers}) / 300"
    errors = f"max by ({SERVICE_LABEL}) ({BAD}{matchers} / {TOTAL}{matchers})"
    panels = [
        Panel("timeseries", "Traffic", "Events a second of the service's busiest objective.",
              (Query(traffic, "{{service}}"),), 12, unit="reqps", least=0),
        Panel("timeseries", "Bad events", "Share of bad events in the last five minutes, of the service's worst "
              "objective: errors, or answers that came too late.", (Query(errors, "{{service}}"),), 12,
              unit="percentunit", least=0, decimals=2)]
    quantiles = []
    for service in services_of(watched)[:_MOST_SERVICES]:
        for histogram in signals_of([one for one in watched if one.service == service]).histograms[:1]:
            quantiles += [Query(histogram.quantile("0.95"), f"{service} p95"),
                          Query(histogram.quantile("0.5"), f"{service} p50", dashed=True)]
    if quantiles:
        panels.append(Panel("timeseries", "Latency", "95th percentile (full) and median (dashed), over all copies of a "
                            "service; read off the buckets of its histogram.", tuple(quantiles), COLUMNS, unit="s",
                            least=0))
    return Section("Golden signals", tuple(panels))


def _business(watched: Sequence[Watched], scope: Scope) -> Section:
    within = Scope(scope.labels, tuple(one.name for one in watched))
    return Section("Business", (
        Panel("timeseries", "Events a second", "What the objectives count that are not about requests: orders, "
              "settlements, fresh data.",
              (Query(f"sum by (slo) ({TOTAL}{chosen(within, 'slo')}) / 300", "{{slo}}"),), 12, unit="short", least=0),
        Panel("timeseries", "Bad events", "Share of them that was bad in the last five minutes.",
              (Query(f"sum by (slo) ({BAD}{chosen(within, 'slo')}) / sum by (slo) ({TOTAL}{chosen(within, 'slo')})",
                     "{{slo}}"),), 12, unit="percentunit", least=0, decimals=3)))


def _resources() -> Section:
    chosen_jobs = '{job=~"$job"}'
    return Section("Processes", (
        Panel("stat", "Targets that answer", "Share of a job's targets that Prometheus could scrape just now.",
              (Query(f"avg by (job) (up{chosen_jobs})", "{{job}}"),), 6, 8, "percentunit",
              (Step(None, "red"), Step(0.5, "orange"), Step(1, "green")), decimals=0, empty="nothing is scraped"),
        Panel("timeseries", "CPU", "Processors used by all processes of a job.",
              (Query(f"sum by (job) (rate(process_cpu_seconds_total{chosen_jobs}[{RATE}]))", "{{job}}"),), 9,
              unit="short", least=0, decimals=2),
        Panel("timeseries", "Memory", "Memory held by all processes of a job.",
              (Query(f"sum by (job) (process_resident_memory_bytes{chosen_jobs})", "{{job}}"),), 9, unit="bytes",
              least=0)))
