"""Nobl9 `n9/v1alpha`, out: SLOs over Prometheus, their services and alert policies.

Source: github.com/nobl9/nobl9-go manifest/v1alpha (slo, alertpolicy, service) and its validation rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from mainstay.kernel.method import RatioTimeslices, Timeslices
from mainstay.kernel.objective import DataSource, Indicator, Objective, PrometheusDetails, Service
from mainstay.kernel.ports import EventQuery, GaugeQuery, PromQuery
from mainstay.kernel.quantity import CalendarWindow, Period, RollingWindow, Window, plain, short_duration
from mainstay.monitoring.exchange.alert_groups import tier_policy
from mainstay.monitoring.exchange.catalog_writer import Mapped, without_empty
from mainstay.monitoring.exchange.form import Bundle, Composition, Given, Loss
from mainstay.monitoring.exchange.openslo_out import NO_SERVICE
from mainstay.monitoring.exchange.openslo_v1alpha import SLICE
from mainstay.monitoring.exchange.taking import catalog_name, nominal_length
from mainstay.monitoring.exchange.yaml_out import yaml_file
from mainstay.monitoring.spec import DEFAULT, Alerting, alerting_of, tiers_of
from mainstay.stats.budget import Tier

_OPERATORS = {"<=": "lte", ">=": "gte", "<": "lt", ">": "gt"}
_UNITS = {Period.DAY: "Day", Period.WEEK: "Week", Period.MONTH: "Month", Period.QUARTER: "Quarter",
          Period.YEAR: "Year"}
_START = datetime(2024, 1, 1)  # noqa: DTZ001  (a wall clock: a Monday that starts a year)
_PROJECT = "default"
_Lost = Callable[[str, str], None]


def write(bundle: Bundle) -> Given:
    """The bundle as one file of Nobl9 documents."""
    losses: list[Loss] = []
    documents = [_agent(one, losses) for one in bundle.sources if one.type == "prometheus"]
    documents += [_service(one) for one in bundle.services]
    policies: dict[str, Mapped] = {}
    slos: list[Mapped] = []
    for objective in bundle.objectives:
        document = _slo(objective, losses)
        if document is None:
            continue
        _alerted(document, objective, bundle, policies, losses)
        slos.append(document)
    written = {one["metadata"]["name"]: one["spec"]["objectives"][0]["name"] for one in slos}
    composed = [made for one in bundle.compositions if (made := _composite(one, bundle, written, losses)) is not None]
    documents += [*policies.values(), *slos, *composed]
    return Given((("nobl9.yaml", yaml_file(documents)),) if documents else (), tuple(losses))


def _document(kind: str, meta: Mapped, spec: Mapped) -> Mapped:
    return {"apiVersion": "n9/v1alpha", "kind": kind, "metadata": without_empty(meta | {"project": _PROJECT}),
            "spec": spec}


def _agent(source: DataSource, losses: list[Loss]) -> Mapped:
    url = source.details.url if isinstance(source.details, PrometheusDetails) else ""
    if isinstance(source.details, PrometheusDetails) and source.details != PrometheusDetails(url):
        losses.append(Loss(f"data source {source.name}: how it is reached beside its url",
                           "Nobl9's agent has its own settings", source.origin))
    return _document("Agent", {"name": source.name}, without_empty({"description": source.description}) | {
        "prometheus": {"url": url}})


def _service(service: Service) -> Mapped:
    return _document("Service", {"name": service.name, "displayName": service.title},
                     without_empty({"description": service.description}))


# -- SLO --------------------------------------------------------------------------------------------------------------


def _slo(objective: Objective, losses: list[Loss]) -> Mapped | None:
    def lost(what: str, why: str) -> None:
        losses.append(Loss(f"{objective.name}: {what}", why, objective.origin))

    indicator = objective.indicator
    metric = _metric(indicator, lost) if isinstance(indicator, Indicator) else None
    window = _window(objective.window)
    if metric is None or window is None or not isinstance(indicator, Indicator):
        lost("the whole objective", "Nobl9 takes counts or a threshold over a window of time, asked of a Prometheus"
             if window is not None else "Nobl9 has no window of events")
        return None
    for what, why in _beyond(objective):
        lost(what, why)
    name = catalog_name(indicator.name)[:63] if indicator.name != objective.name else "main"
    target: Mapped = without_empty({
        "displayName": indicator.description or objective.title or objective.name, "name": name}) | {
        "target": objective.target.ratio}
    if isinstance(objective.method, Timeslices):
        target["timeSliceTarget"] = objective.method.target.ratio
    source = indicator.source or "prometheus"
    if not indicator.source:
        lost("no data source", "Nobl9 needs one; an agent named prometheus is referred to")
    spec = without_empty({"description": objective.description}) | {
        "indicator": {"metricSource": {"name": source, "project": _PROJECT, "kind": "Agent"}},
        "budgetingMethod": "Timeslices" if isinstance(objective.method, Timeslices | RatioTimeslices)
        else "Occurrences",
        "objectives": [target | metric | {"primary": True}],
        "service": objective.service or NO_SERVICE, "timeWindows": [window]}
    labels = {key: value.split(",") for key, value in objective.labels.items()}
    return _document("SLO", {"name": objective.name, "displayName": objective.title, "labels": labels}, spec)


def _beyond(one: Objective) -> Iterator[tuple[str, str]]:
    """What of the objective Nobl9 has no field for."""
    for other in one.windows[1:]:
        yield f"window {other.window}", "an SLO has one window"
    if isinstance(one.method, Timeslices) and one.method.length != SLICE:
        yield f"slices of {short_duration(one.method.length)}", "Nobl9 judges minute by minute"
    if isinstance(one.method, Timeslices) and one.method.idle != "left out":
        yield "what a slice without events counts as", "Nobl9 leaves it out"
    if isinstance(one.method, RatioTimeslices):
        yield "RatioTimeslices", "Nobl9 has slices that are wholly good or bad; each must be wholly good"
    if not one.service:
        yield "no service", f"Nobl9 needs one; {NO_SERVICE} is written"
    for what, said in (("owner", one.owner), ("rationale", one.rationale), ("sla", one.sla), ("policy", one.policy),
                       ("dependencies", one.dependencies), ("review", one.review), ("exclusions", one.exclusions)):
        if said:
            yield what, "Nobl9 has no field for it"


def _metric(indicator: Indicator, lost: _Lost) -> Mapped | None:
    if indicator.derived is not None or isinstance(indicator.total, EventQuery):
        return None
    match indicator.total:
        case GaugeQuery(share=share) if share:
            return None
        case GaugeQuery(text, operator, threshold) if operator in _OPERATORS:
            return {"value": _value(threshold), "rawMetric": {"query": _promql(text)}, "op": _OPERATORS[operator]}
        case PromQuery() as total:
            other = indicator.good or indicator.bad
            if not isinstance(other, PromQuery):
                return None
            good = _summed(other)
            if indicator.good is None:
                lost("bad", "of a Prometheus Nobl9 asks good and total; total less bad is written")
                good = f"({_summed(total)}) - ({good} or 0 * {_summed(total)})"
            return {"value": Decimal(1), "countMetrics": {
                "incremental": total.counter and other.counter, "good": _promql(good),
                "total": _promql(_summed(total))}}
        case _:
            return None


def _summed(query: PromQuery) -> str:
    """A counter as one series, which Nobl9 asks for; an expression as it is."""
    return f"sum({query.text})" if query.counter else query.text


def _promql(text: str) -> Mapped:
    return {"prometheus": {"promql": text}}


def _value(number: float) -> Decimal:
    return Decimal(repr(number))


def _window(window: Window) -> Mapped | None:
    match window:
        case RollingWindow(length):
            for unit, size in (("Day", timedelta(days=1)), ("Hour", timedelta(hours=1)),
                               ("Minute", timedelta(minutes=1))):
                if length % size == timedelta():
                    return {"unit": unit, "count": length // size, "isRolling": True}
            return None
        case CalendarWindow(period, zone, count, anchor):
            return {"unit": _UNITS[period], "count": count, "isRolling": False,
                    "calendar": {"startTime": (anchor or _START).isoformat(" "), "timeZone": zone}}
        case _:
            return None


def _composite(one: Composition, bundle: Bundle, written: dict[str, str], losses: list[Loss]) -> Mapped | None:
    parts = [objective for name, _ in one.parts for objective in bundle.objectives if objective.name == name]
    windows = [_window(part.window) for part in parts]
    usable = one.combine == "weighted" and one.target is not None and all(name in written for name, _ in one.parts)
    if not usable or one.target is None or not windows or windows[0] is None:
        losses.append(Loss(f"journey {one.name}", "Nobl9 composes by weights, against a target, objectives it has",
                           one.origin))
        return None
    losses.append(Loss(f"journey {one.name}: its window", "Nobl9 needs one; that of its first part is written",
                       one.origin))
    components = [{"project": _PROJECT, "slo": name, "objective": written[name], "weight": _value(weight),
                   "whenDelayed": "Ignore"} for name, weight in one.parts]
    target = {"displayName": one.name, "name": "main", "target": one.target.ratio, "composite": {
        "maxDelay": "45m", "components": {"objectives": components}, "aggregation": "Reliability"}, "primary": True}
    return _document("SLO", {"name": one.name}, without_empty({"description": one.description}) | {
        "budgetingMethod": "Occurrences", "objectives": [target], "service": parts[0].service or NO_SERVICE,
        "timeWindows": [windows[0]]})


# -- alerts -----------------------------------------------------------------------------------------------------------


def _alerted(document: Mapped, objective: Objective, bundle: Bundle, policies: dict[str, Mapped],
             losses: list[Loss]) -> None:
    alerting, length = alerting_of(objective, bundle.catalog()), nominal_length(objective.window)
    if alerting is DEFAULT or length is None:
        return
    names = []
    for tier in tiers_of(alerting):
        factor = tier.spends * Decimal(int(length.total_seconds())) / Decimal(int(tier.long.total_seconds()))
        name = tier_policy(alerting.name, tier, short_duration(tier.long))
        made = _burning(name, tier, factor.normalize())
        if policies.setdefault(name, made) != made:
            name += f"-of-{short_duration(length)}"
            policies[name] = _burning(name, tier, factor.normalize())
        names.append(name)
    for share in alerting.budget_spent:
        name = f"{alerting.name}-spent-{plain(share * 100).replace('.', '-')}"
        policies.setdefault(name, _policy(name, "Low", [{"measurement": "burnedBudget", "value": share, "op": "gte"}]))
        names.append(name)
    document["spec"]["alertPolicies"] = names
    if alerting.absent_for is not None:
        document["spec"]["anomalyConfig"] = {"noData": {"alertMethods": [],
                                                        "alertAfter": short_duration(alerting.absent_for)}}
    known = {one.what for one in losses}
    losses += [one for one in _alerting_losses(alerting) if one.what not in known]


def _burning(name: str, tier: Tier, factor: Decimal) -> Mapped:
    conditions = [{"measurement": "averageBurnRate", "value": factor, "alertingWindow": short_duration(window),
                   "op": "gte"} for window in (tier.long, tier.long / 12)]
    return _policy(name, "High" if tier.severity == "page" else "Low", conditions)


def _policy(name: str, severity: str, conditions: list[Mapped]) -> Mapped:
    return _document("AlertPolicy", {"name": name}, {"severity": severity, "conditions": conditions,
                                                     "alertMethods": []})


def _alerting_losses(alerting: Alerting) -> Iterator[Loss]:
    for what, said, why in (
            ("hold", any(tier.hold for tier in tiers_of(alerting)), "a condition has a window or a duration"),
            ("group_by", alerting.group_by, "Nobl9 has no groups"),
            ("low_traffic", alerting.low_traffic, "Nobl9 has no gate"),
            ("runbook", alerting.runbook, "Nobl9's alert methods hold the message"),
            ("labels", alerting.labels, "Nobl9's alert methods hold the message"),
            ("annotations", alerting.annotations, "Nobl9's alert methods hold the message"),
            ("by_severity", alerting.by_severity, "Nobl9's alert methods hold the message"),
            ("alert_name", alerting.alert_name, "an alert is named by its policy")):
        if said:
            yield Loss(f"alerting {alerting.name}: {what}", why, alerting.origin)
