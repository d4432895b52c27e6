"""An objective as Pyrra sees it: what its objects and its rules are both written from.

Source: Pyrra 0.10, its documentation, its resource's fields and its published examples (Apache-2.0); facts, no code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal, NamedTuple

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.objective import Indicator, Objective
from mainstay.kernel.ports import PromQuery
from mainstay.kernel.quantity import Target, parse_duration, plain
from mainstay.monitoring.alerts import filled_in
from mainstay.monitoring.exchange.form import Loss
from mainstay.monitoring.exchange.promql import WINDOW, Selector, go_duration, selector_of
from mainstay.monitoring.exchange.said import rolling_length, unsaid, unsaid_alerting
from mainstay.monitoring.spec import Alerting
from mainstay.stats.budget import TIERS

TOOL = "Pyrra"
PROPAGATED = "pyrra.dev/"
"""Before the labels and annotations of the object that go on to its rules."""

Kind = Literal["ratio", "latency", "latencyNative", "bool_gauge"]
_MINUTE = timedelta(minutes=1)


class BurnWindow(NamedTuple):
    """One of Pyrra's four alerts."""

    severity: Literal["critical", "warning"]
    hold: timedelta
    long: timedelta
    short: timedelta
    factor: int


def _rounded(length: timedelta) -> timedelta:
    """To whole minutes, a half away from zero."""
    minutes = (Decimal(length // timedelta(microseconds=1)) / 60_000_000).quantize(Decimal(1), ROUND_HALF_UP)
    return int(minutes) * _MINUTE


def burn_windows(window: timedelta) -> tuple[BurnWindow, ...]:
    """Pyrra's alerts for an objective's window: those of 28 days stretched or shrunk to it; the factors stay."""

    def part(minutes: int) -> timedelta:
        return _rounded(window * minutes / (28 * 1440))

    return (BurnWindow("critical", part(2), part(60), part(5), 14),
            BurnWindow("critical", part(15), part(360), part(30), 7),
            BurnWindow("warning", part(60), part(1440), part(120), 2),
            BurnWindow("warning", part(180), part(5760), part(360), 1))


def absent_after(window: timedelta, target: Target) -> timedelta:
    """When Pyrra says that a metric is absent: as long as its fastest alert takes in a total outage, and its `for`."""
    fastest = burn_windows(window)[0]
    seconds = int(fastest.factor * target.budget * Decimal(fastest.long // timedelta(seconds=1)))
    return _rounded(timedelta(seconds=seconds) + fastest.hold)


@dataclass(frozen=True, slots=True)
class PyrraSlo:
    """One ServiceLevelObjective.

    Args:
        other: the errors of a ratio, the successes of a latency.
        severities: `severity` of the page and ticket alerts where it is not Pyrra's own.
    """

    name: str
    description: str
    target: Target
    window: timedelta
    kind: Kind
    total: Selector
    other: Selector | None = None
    latency: timedelta | None = None
    grouping: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    burn_alerts: bool = True
    absent_alert: bool = True
    alert_name: str = ""
    severities: Mapping[str, str] = field(default_factory=dict)


def pyrra_slos(pairs: Sequence[tuple[Objective, Alerting]]) -> tuple[list[PyrraSlo], list[Loss]]:
    """The objectives, indicators inline, as Pyrra's, and what of them Pyrra cannot say."""
    slos: list[PyrraSlo] = []
    losses: list[Loss] = []
    told: set[str] = set()
    for objective, alerting in pairs:
        found = _indicator(objective, alerting.group_by)
        if isinstance(found, str):
            losses.append(Loss(objective.name, f"not written: {found}"))
            continue
        losses += unsaid(objective, TOOL, {"description", "labels"})
        if alerting.name not in told:
            told.add(alerting.name)
            losses += unsaid_alerting(alerting, TOOL, {"absent_for", "group_by", "annotations", "alert_name",
                                                       "by_severity", "runbook"})
            losses += _unsaid_alerts(alerting)
        slo = _slo(objective, alerting, found)
        after = absent_after(slo.window, slo.target)
        if alerting.absent_for is not None and alerting.absent_for != after:
            losses.append(Loss(f"{objective.name}: absent_for", f"{TOOL} works it out: {go_duration(after)}"))
        slos.append(slo)
    return slos, losses


def _unsaid_alerts(alerting: Alerting) -> Iterable[Loss]:
    name = f'alerting "{alerting.name}"'
    if alerting.tiers and alerting.tiers != TIERS:
        yield Loss(f"{name}: tiers", f"{TOOL} has alerts of its own for every window, of 14, 7, 2 and 1 times")
    for severity, extra in alerting.by_severity.items():
        lost = [f"label {label}" for label in extra.labels if label != "severity"]
        lost += [f"annotation {key}" for key in extra.annotations]
        if lost:
            yield Loss(f"{name}: {', '.join(lost)} of {severity}", f"{TOOL} sets a severity's label `severity` alone")


def _slo(objective: Objective, alerting: Alerting, found: _Found) -> PyrraSlo:
    annotations = {name: filled_in(text, objective) for name, text in alerting.annotations.items()}
    if alerting.runbook:
        annotations.setdefault("runbook_url", filled_in(alerting.runbook, objective))
    severities = {severity: extra.labels["severity"] for severity, extra in alerting.by_severity.items()
                  if "severity" in extra.labels}
    return PyrraSlo(objective.name, objective.description, objective.target, rolling_length(objective), found.kind,
                    found.total, found.other, found.latency, alerting.group_by, objective.labels, annotations,
                    alerting.tiers != (), alerting.absent_for is not None, alerting.alert_name, severities)


# -- indicators -------------------------------------------------------------------------------------------------------


class _Found(NamedTuple):
    kind: Kind
    total: Selector
    other: Selector | None = None
    latency: timedelta | None = None


def _by(groups: Sequence[str]) -> str:
    return f"sum by ({', '.join(groups)}) " if groups else "sum"


def native_queries(metric: str, latency: timedelta, groups: Sequence[str]) -> tuple[PromQuery, PromQuery]:
    """Good and total of a native histogram at a threshold."""
    counted = f"{_by(groups)}(increase({metric}[{WINDOW}]))"
    seconds = plain(Decimal(latency // timedelta(microseconds=1)).scaleb(-6))
    return (PromQuery(f"histogram_fraction(0, {seconds}, {counted}) * histogram_count({counted})"),
            PromQuery(f"histogram_count({counted})"))


def gauge_queries(metric: str, groups: Sequence[str]) -> tuple[PromQuery, PromQuery]:
    """Good and total of a gauge that is 1 while all is well: its samples."""
    return (PromQuery(f"{_by(groups)}(sum_over_time({metric}[{WINDOW}]))"),
            PromQuery(f"{_by(groups)}(count_over_time({metric}[{WINDOW}]))"))


_NATIVE = re.compile(r"histogram_fraction\(0, (?P<seconds>[\d.]+), sum(?: by \([^)]*\) )?\(increase\("
                     r"(?P<metric>.*?)\[\$window\]\)\)\) \* .*", re.DOTALL)
_GAUGE = re.compile(r"sum(?: by \([^)]*\) )?\(sum_over_time\((?P<metric>.*)\[\$window\]\)\)", re.DOTALL)


def _indicator(objective: Objective, groups: Sequence[str]) -> _Found | str:
    """What Pyrra measures for this objective, or why it cannot."""
    indicator = objective.indicator
    assert isinstance(indicator, Indicator), "objectives come with their indicators inline"
    total, good, bad = indicator.total, indicator.good, indicator.bad
    if indicator.derived is not None or not isinstance(total, PromQuery):
        return f"{TOOL} measures counters, histograms and gauges of 0 and 1 alone"
    if total.counter:
        other = bad or good
        counter, second = selector_of(total.text), selector_of(other.text) if isinstance(other, PromQuery) else None
        if counter is None or second is None or not (isinstance(other, PromQuery) and other.counter):
            return f"{TOOL} takes selectors, not expressions"
        return _Found("ratio" if bad is not None else "latency", counter, second)
    if isinstance(good, PromQuery):
        return _written(good, total, groups) or f"{TOOL} takes selectors, not expressions"
    return f"{TOOL} takes selectors, not expressions"


def _written(good: PromQuery, total: PromQuery, groups: Sequence[str]) -> _Found | None:
    """The native histogram or the gauge whose queries these are, or None."""
    native = _NATIVE.fullmatch(good.text)
    if native is not None:
        latency = parse_duration(f"{native['seconds']}s")
        metric = selector_of(native["metric"])
        if metric is not None and (good, total) == native_queries(native["metric"], latency, groups):
            return _Found("latencyNative", metric, None, latency)
    gauge = _GAUGE.fullmatch(good.text)
    if gauge is not None:
        metric = selector_of(gauge["metric"])
        if metric is not None and (good, total) == gauge_queries(gauge["metric"], groups):
            return _Found("bool_gauge", metric)
    return None
