"""The dashboard of one service: its promises, its four golden signals, and what it depends on."""

from __future__ import annotations

from collections.abc import Sequence

from mainstay.monitoring.chain import SERVICE_LABEL
from mainstay.monitoring.dashboards.board import COLUMNS, Board, Link, Mark, Panel, Query, Section, Step, uid_of
from mainstay.monitoring.dashboards.readings import Readings, Scope, with_budget
from mainstay.monitoring.dashboards.signals import RATE, Flow, Signals, errors_of, signals_of
from mainstay.monitoring.dashboards.slo import HOUR, LEFT_STEPS, alert_mark, widths
from mainstay.monitoring.dashboards.watched import Watched


def service_board(service: str, everyone: Sequence[Watched], readings: Readings, page: str = "") -> Board | None:
    """The dashboard of one service; None where its objectives name nothing that Prometheus counts.

    Args:
        everyone: the objectives of all services: those of its dependencies are shown too.
    """
    own = [one for one in everyone if one.service == service]
    signals = signals_of(own)
    if not signals.flows and not signals.gauges:
        return None
    sections = [_promises(own, readings, service)] if own else []
    if signals.flows:
        sections.append(_golden(signals, own))
    if signals.gauges:
        sections.append(_gauges(signals))
    if signals.processes():
        sections.append(_saturation(signals))
    wanted = {name for one in own for name in one.depends_on}
    if needed := [one for one in everyone if one.service in wanted and one.target.budget]:
        sections.append(_dependencies(needed, readings))
    marks = [alert_mark(Scope({SERVICE_LABEL: service}), readings)] if readings.grouped else []
    if signals.processes():
        marks.append(restarts(signals))
    links = [Link("Objectives", f"/d/{uid_of('slo', service)}"),
             Link("Debugging", f"/d/{uid_of('debugging', service)}")]
    return Board("service", service, f"Service · {service}" if service else "Service",
                 f"How {service or 'the service'} does: what it promises, traffic, errors, latency, saturation. "
                 "Written by Mainstay from the catalog.", tuple(sections), (), tuple(marks),
                 (*links, *((Link("Mainstay", page),) if page else ())), since="now-6h")


def restarts(signals: Signals) -> Mark:
    """Moments at which a process of the service started anew: a deployment, or a crash."""
    return Mark("Restarts", f"(changes(process_start_time_seconds[2m]) > 0)\nand on (job, instance) "
                f"({signals.processes()})", "blue", "restart", "{{job}} {{instance}}", "job,instance")


def _promises(own: Sequence[Watched], readings: Readings, service: str) -> Section:
    budgets, scope, name = with_budget(own), Scope({SERVICE_LABEL: service}), f"{{{{{readings.label}}}}}"
    measured = Panel("stat", "Measured", "Share of good events in each objective's window: "
                     + "; ".join(f"{one.name} promises {one.promise}" for one in own[:8]) + ".",
                     (Query(readings.sli(own, scope), name),), 12 if budgets else COLUMNS, 5, "percentunit", decimals=3,
                     empty="no data")
    if not budgets:
        return Section("Promises", (measured,))
    return Section("Promises", (
        measured,
        Panel("bargauge", "Budget left", "Share of each error budget that is left; red is a broken promise.",
              (Query(readings.left(budgets, scope), name, instant=True),), 12, 5, "percentunit", LEFT_STEPS, least=0,
              most=1, decimals=1)))


def _golden(signals: Signals, own: Sequence[Watched]) -> Section:
    def named(flow: Flow, expr: str) -> Query:
        return Query(expr, flow.objective)

    kinds = [
        Panel("timeseries", "Traffic", "Events a second, as each indicator counts them."
              + (f" {signals.more} more counters and values of it are not drawn here." if signals.more else ""),
              tuple(named(flow, flow.traffic()) for flow in signals.flows), unit="reqps", least=0),
        Panel("timeseries", "Errors", "Share of events that were bad. In a total outage it is 100 %, also when no good "
              "event was ever counted.", tuple(named(flow, flow.error_share()) for flow in errors_of(signals, own)),
              unit="percentunit", least=0, decimals=2)]
    if signals.histograms:
        kinds.append(Panel(
            "timeseries", "Latency", "Quantiles over all copies: buckets are added up first. A quantile is read off "
            "between two edges of the histogram and is no exacter than they are apart.",
            tuple(Query(histogram.quantile(q), title, exemplars=True) for histogram in signals.histograms
                  for q, title in (("0.99", "p99"), ("0.95", "p95"), ("0.5", "p50"))), unit="s", least=0))
    return Section("Golden signals", tuple(_sized(kinds)))


def _sized(panels: Sequence[Panel]) -> list[Panel]:
    return [Panel(one.type, one.title, one.about, one.queries, width, 8, one.unit, one.steps, least=one.least,
                  decimals=one.decimals) for one, width in zip(panels, widths(len(panels)), strict=True)]


def _gauges(signals: Signals) -> Section:
    panels = []
    for objective, expr, operator, threshold in signals.gauges:
        bound = (Query(f"vector({threshold!r})", f"good {operator} {threshold:g}", dashed=True),) if operator else ()
        panels.append(Panel("timeseries", f"Measured by {objective}", "The value that the objective judges, and the "
                            "bound it is held against.", (Query(expr, objective), *bound), unit="short"))
    return Section("Measured values", tuple(_sized(panels)))


def _saturation(signals: Signals) -> Section:
    among = f"and on (job, instance) ({signals.processes()})"
    of = "{{job}} {{instance}}"
    return Section("Saturation", (
        Panel("stat", "Copies that answer", "Processes of the service that Prometheus could scrape just now, of those "
              "it knew in the last hour.", (Query(f"sum(up {among})", "answer"), Query(f"count(up {among})", "known")),
              6, 8, "short", empty="nothing is scraped"),
        Panel("timeseries", "CPU", "Processors used by each process.",
              (Query(f"rate(process_cpu_seconds_total[{RATE}]) {among}", of),), 6, unit="short", least=0, decimals=2),
        Panel("timeseries", "Memory", "Memory held by each process.",
              (Query(f"process_resident_memory_bytes {among}", of),), 6, unit="bytes", least=0),
        Panel("timeseries", "Open files", "File descriptors of each process: sockets count too.",
              (Query(f"process_open_fds {among}", of),), 6, unit="short", least=0)))


def _dependencies(needed: Sequence[Watched], readings: Readings) -> Section:
    scope = Scope({}, tuple(one.name for one in needed))
    name = f"{{{{service}}}} {{{{{readings.label}}}}}"
    return Section("What it depends on", (
        Panel("bargauge", "Budget left of dependencies",
              "What is left to the services that this one cannot do without.",
              (Query(readings.left(needed, scope), name, instant=True),), 12, 8, "percentunit", LEFT_STEPS, least=0,
              most=1, decimals=1),
        Panel("timeseries", "Burn of dependencies", "Burn of the last hour: above 1 a dependency spends more than it "
              "may.", (Query(readings.burn(needed, scope, HOUR), name),), 12, 8, "short",
              (Step(None, "transparent"), Step(1, "orange")), least=0, decimals=2)))
