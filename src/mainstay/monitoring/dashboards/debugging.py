"""The dashboard for whoever looks for a cause: failures and latency by every label, process by process."""

from __future__ import annotations

from collections.abc import Sequence

from mainstay.monitoring.chain import SERVICE_LABEL
from mainstay.monitoring.dashboards.board import COLUMNS, Board, Column, Link, Panel, Query, Section, uid_of
from mainstay.monitoring.dashboards.readings import Readings, Scope
from mainstay.monitoring.dashboards.service import restarts
from mainstay.monitoring.dashboards.signals import RATE, Signals, errors_of, signals_of
from mainstay.monitoring.dashboards.slo import alert_mark
from mainstay.monitoring.dashboards.watched import Watched

_TOP = 20


def debugging_board(service: str, own: Sequence[Watched], readings: Readings) -> Board | None:
    """The dashboard of one service's causes; None where no counter of it can be broken down."""
    signals = signals_of(own)
    countable = [flow for flow in errors_of(signals, own) if flow.countable]
    if not countable:
        return None
    sections = [Section("Errors", (
        Panel("timeseries", "Bad events by what they were", f"The {_TOP} worst combinations of the counters' labels, "
              "copies of one program added up. Nothing is drawn where nothing is bad.",
              tuple(Query(f"topk({_TOP}, {flow.causes()})") for flow in countable), COLUMNS, 9, "reqps", least=0),
        Panel("table", "Who spent it, in the time shown",
              f"The {_TOP} combinations of labels with the most bad events.",
              tuple(Query(_counted(flow.causes("$__range")), "bad events", instant=True) for flow in countable[:1]),
              COLUMNS, 9, falling="bad events", columns=(Column("bad events", "short", decimals=0),))))]
    if signals.histograms:
        sections.append(_latency(signals))
    sections.append(_processes(signals))
    marks = (*((alert_mark(Scope({SERVICE_LABEL: service}), readings),) if readings.grouped else ()), restarts(signals))
    return Board("debugging", service, f"Debugging · {service}" if service else "Debugging",
                 f"Where {service or 'the service'} fails and where it is slow. Written by Mainstay from the catalog.",
                 tuple(sections), (), marks,
                 (Link("Objectives", f"/d/{uid_of('slo', service)}"),
                  Link("Service", f"/d/{uid_of('service', service)}")),
                 since="now-1h", refresh="10s")


def _counted(causes: str) -> str:
    """The most frequent causes, counted over the time shown."""
    return f"topk({_TOP}, ({causes}) * $__range_s)"


def _latency(signals: Signals) -> Section:
    first = signals.histograms[0]
    return Section("Latency", (
        Panel("heatmap", "How long answers take", "Each column is a step of time, each row a bucket of the histogram: "
              "two bands are two kinds of requests, a band that climbs is a queue.", (Query(first.heat(), "{{le}}"),),
              12, 9, "s"),
        Panel("timeseries", "95th percentile by label", "Of each combination of the histogram's labels, copies added "
              "up.", tuple(Query(f"topk({_TOP}, {histogram.quantile('0.95', 'labels')})", exemplars=True)
                           for histogram in signals.histograms), 12, 9, "s", least=0)))


def _processes(signals: Signals) -> Section:
    among, of = f"and on (job, instance) ({signals.processes()})", "{{job}} {{instance}}"
    return Section("Processes", (
        Panel("state-timeline", "Answered the scrape", "1 while Prometheus could read the process's metrics.",
              (Query(f"up {among}", of),), COLUMNS, 6),
        Panel("timeseries", "CPU", "Processors used by each process.",
              (Query(f"rate(process_cpu_seconds_total[{RATE}]) {among}", of),), 8, unit="short", least=0, decimals=2),
        Panel("timeseries", "Memory", "Memory held by each process.",
              (Query(f"process_resident_memory_bytes {among}", of),), 8, unit="bytes", least=0),
        Panel("timeseries", "Age", "Since each process started: a line that falls to the ground is a restart.",
              (Query(f"time() - process_start_time_seconds {among}", of),), 8, unit="s", least=0)))
