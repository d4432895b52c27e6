"""A catalog's resources as the YAML that declares them: OpenSLO v1 where it can say them, `mainstay/v1` where not.

What is written reads again as equal resources; what neither form can say is a loss, named.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal

from mainstay.kernel.method import Method, Occurrences, RatioTimeslices, Timeslices
from mainstay.kernel.objective import (
    SOURCE_RETRIES,
    SOURCE_TIMEOUT,
    DataSource,
    FreshWithin,
    Indicator,
    IndicatorType,
    Objective,
    PerSecond,
    PrometheusDetails,
    Service,
)
from mainstay.kernel.ports import Condition, EventQuery, FileSet, GaugeQuery, PromQuery
from mainstay.kernel.quantity import CalendarWindow, Period, RequestWindow, RollingWindow, Window, plain
from mainstay.monitoring.exchange.form import Bundle, Composition, Given, Loss
from mainstay.monitoring.exchange.yaml_out import Value, kept, yaml_file
from mainstay.monitoring.spec import DEFAULT, Alerting

Mapped = dict[str, Value]

_OWN_NAME = "its indicator's own name"
_OPERATORS = {"<=": "lte", ">=": "gte", "<": "lt", ">": "gt"}
_PERIODS = {Period.DAY: "d", Period.WEEK: "w", Period.MONTH: "M", Period.QUARTER: "Q", Period.YEAR: "Y"}
_SELECTOR = re.compile(r"""[a-zA-Z_:][\w:]*\s*(?:\{(?:[^{}"']|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')*\})?""")
_SUMMED = re.compile(r"sum\s*\((?P<inside>.*)\)", re.DOTALL)
_LISTED = re.compile(r"[^,=\s]+")


def catalog_files(bundle: Bundle, comment: str = "") -> Given:
    """The bundle as files: one for each service, one for objectives without one, one each for sources and alerting.

    Args:
        comment: stands above each file, such as where it came from.
    """
    losses: list[Loss] = []
    files: dict[str, list[Mapped]] = {}
    if bundle.sources:
        files["sources.yaml"] = [source_document(one) for one in bundle.sources]
    for service in bundle.services:
        files.setdefault(file_of(service.name), []).append(service_document(service))
    for objective in bundle.objectives:
        document, lost = objective_document(objective)
        files.setdefault(file_of(objective.service), []).append(document)
        losses += lost
    if bundle.compositions:
        files["journeys.yaml"] = [journey_document(one) for one in bundle.compositions]
    if bundle.alertings:
        files["alerting.yaml"] = [alerting_document(one) for one in bundle.alertings]
    return Given(tuple((name, yaml_file(documents, comment)) for name, documents in files.items()), tuple(losses))


def file_of(service: str) -> str:
    """The file that a service's objectives are written to."""
    return f"{service}.yaml" if service and service not in ("sources", "alerting") else \
        f"service-{service}.yaml" if service else "objectives.yaml"


def without_empty(pairs: Mapped) -> Mapped:
    """The pairs that say anything."""
    return {key: value for key, value in pairs.items() if kept(value)}


# -- services, sources, alerting --------------------------------------------------------------------------------------


def service_document(service: Service) -> Mapped:
    """openslo/v1 Service."""
    annotations = {"mainstay/owner": service.owner} if service.owner else {}
    return without_empty({
        "apiVersion": "openslo/v1", "kind": "Service",
        "metadata": without_empty({"name": service.name, "displayName": service.title, "annotations": annotations}),
        "spec": without_empty({"description": service.description})})


def source_document(source: DataSource) -> Mapped:
    """openslo/v1 DataSource; secrets are named, as they are in the catalog."""
    details: Mapped = {}
    match source.details:
        case PrometheusDetails() as one:
            details = without_empty({
                "url": one.url, "username": one.username, "password_env": one.password_env,
                "password_file": one.password_file, "token_env": one.token_env, "token_file": one.token_file,
                "headers": dict(one.headers), "ca_file": one.ca_file, "cert_file": one.cert_file,
                "key_file": one.key_file, "verify": None if one.verify else False,
                "timeout": None if one.timeout == SOURCE_TIMEOUT else one.timeout,
                "retries": None if one.retries == SOURCE_RETRIES else one.retries})
        case FileSet() as one:
            details = without_empty({
                "paths": list(one.paths), "format": "" if one.format == "auto" else one.format,
                "fields": dict(one.fields), "unique_by": list(one.unique_by),
                "where": conditions_written(one.where) or {}, "timezone": "" if one.zone == "UTC" else one.zone})
        case None:
            pass
    kind = {"prometheus": "Prometheus"}.get(source.type, source.type)
    return {"apiVersion": "openslo/v1", "kind": "DataSource", "metadata": {"name": source.name},
            "spec": without_empty({"description": source.description, "type": kind, "connectionDetails": details})}


def journey_document(one: Composition) -> Mapped:
    """mainstay/v1 Journey of several objectives."""
    target = None if one.target is None else one.target.ratio * 100
    return {"apiVersion": "mainstay/v1", "kind": "Journey", "metadata": {"name": one.name}, "spec": without_empty({
        "description": one.description, "combine": one.combine, "target": target,
        "steps": [{"objective": name} | ({"weight": _number(weight)} if weight != 1 else {})
                  for name, weight in one.parts]})}


def alerting_document(alerting: Alerting) -> Mapped:
    """mainstay/v1 Alerting; what is the default is left out."""
    tiers = None if alerting.tiers is None else [
        {"severity": tier.severity, "long": tier.long, "spends": _percent(tier.spends), "for": _length(tier.hold)}
        for tier in alerting.tiers]
    gate = alerting.low_traffic
    spec: Mapped = without_empty({
        "objectives": list(alerting.objectives), "services": list(alerting.services),
        "group_by": list(alerting.group_by)})
    if tiers is not None:
        spec["tiers"] = tiers
    if alerting.budget_spent != DEFAULT.budget_spent:
        spec["budget_spent"] = [_percent(share) for share in alerting.budget_spent]
    if alerting.absent_for != DEFAULT.absent_for:
        spec["absent_for"] = "never" if alerting.absent_for is None else alerting.absent_for
    spec |= without_empty({
        "interval": None if alerting.interval == DEFAULT.interval else alerting.interval,
        "scrape": None if alerting.scrape == DEFAULT.scrape else alerting.scrape,
        "retention": alerting.retention,
        "low_traffic": None if gate is None else {"gate": gate.gate, "confidence": _percent(gate.confidence)},
        "runbook": alerting.runbook, "alert_name": alerting.alert_name, "labels": dict(alerting.labels),
        "annotations": dict(alerting.annotations),
        "by_severity": {name: without_empty({"labels": dict(extra.labels), "annotations": dict(extra.annotations)})
                        for name, extra in alerting.by_severity.items()}})
    return {"apiVersion": "mainstay/v1", "kind": "Alerting", "metadata": {"name": alerting.name}, "spec": spec}


def _percent(share: Decimal) -> str:
    return f"{plain(share * 100)}%"


def _length(length: timedelta) -> Value:
    return length if length else "0s"


# -- objectives -------------------------------------------------------------------------------------------------------


def objective_document(objective: Objective) -> tuple[Mapped, list[Loss]]:
    """The objective in the form that says all of it, OpenSLO before `mainstay/v1`; else in the one that says more."""
    faults = list(beyond_openslo(objective))
    if not faults:
        return openslo_document(objective), []
    native = list(_beyond_native(objective))
    if len(native) < len(faults) or native == [_OWN_NAME]:
        return _native(objective), [_lost(objective, what) for what in native]
    return openslo_document(objective), [_lost(objective, what) for what in faults]


def _lost(objective: Objective, what: str) -> Loss:
    return Loss(f"{objective.name}: {what}", "the catalog's forms have no field for it beside the rest",
                objective.origin)


def beyond_openslo(one: Objective) -> Iterator[str]:
    """What of the objective OpenSLO v1, with Mainstay's annotations, cannot say."""
    if len({(window.target, window.alert) for window in one.windows}) > 1 or one.windows[0].alert != "report":
        yield "windows with targets or alerts of their own"
    if one.exclusions:
        yield "exclusions"
    if one.review is not None and (one.review.participants or one.review.agenda):
        yield "who takes part in the review, and its agenda"
    if any(dependency.impact or not _LISTED.fullmatch(dependency.service) for dependency in one.dependencies):
        yield "what a dependency's failure means"
    if isinstance(one.method, Timeslices | RatioTimeslices) and one.method.idle != "left out":
        yield "what a slice without events counts as"
    if isinstance(one.indicator, Indicator):
        yield from _indicator_beyond_openslo(one.indicator, one)


def _indicator_beyond_openslo(indicator: Indicator, one: Objective) -> Iterator[str]:
    if indicator.type is not IndicatorType.CUSTOM:
        yield "the indicator's type"
    if indicator.derived is not None:
        yield "an indicator judged by slices"
    if indicator.threshold is not None:
        yield "the indicator's threshold"
    if indicator.exclusions:
        yield "what the indicator leaves out"
    yield from _queries_beyond_openslo(indicator, one)


def _queries_beyond_openslo(indicator: Indicator, one: Objective) -> Iterator[str]:
    match indicator.total:
        case GaugeQuery(share="") as gauge:
            if gauge.operator not in _OPERATORS:
                yield f"a gauge compared by {gauge.operator}"
            elif one.comparison != (gauge.operator, gauge.threshold):
                yield "a gauge compared within its indicator"
        case PromQuery() as total:
            other = indicator.bad or indicator.good
            if not isinstance(other, PromQuery) or _counter_flag((total, other)) is None:
                yield "a counter beside a bare metric that is none"
        case EventQuery() as events:
            for query in (events, indicator.bad, indicator.good):
                if isinstance(query, EventQuery) and conditions_written(query.where) is None:
                    yield "conditions on events that name a field twice"
        case _:
            pass


def _beyond_native(one: Objective) -> Iterator[str]:
    """What of the objective `mainstay/v1` cannot say."""
    if one.weight != 1:
        yield "its weight within a composite"
    if any(isinstance(item.window, CalendarWindow) and (
            item.window.anchor or item.window.zone != one_zone(one)) for item in one.windows):
        yield "where its calendar windows start"
    if one.windows[0].alert != "report":
        yield "whom a miss of the main window concerns"
    indicator = one.indicator
    if not isinstance(indicator, Indicator):
        return
    if indicator.name != one.name:
        yield _OWN_NAME
    match indicator.total:
        case GaugeQuery(share=share) if share:
            yield "an indicator that is already a share"
        case GaugeQuery(operator=operator) if operator not in ("<=", ">="):
            yield f"a gauge compared by {operator}"
        case PromQuery() as total:
            other = indicator.bad or indicator.good
            if any(isinstance(query, PromQuery) and query.counter is not _selects(query.text)
                   for query in (total, other)):
                yield "a bare metric that is no counter"
        case EventQuery() as events:
            if indicator.exclusions or any(isinstance(query, EventQuery) and conditions_written(query.where) is None
                                           for query in (events, indicator.bad, indicator.good)):
                yield "conditions on events beyond one a field"
        case _:
            pass


def one_zone(objective: Objective) -> str:
    """The zone of the objective's first calendar window; UTC where it has none."""
    return next((item.window.zone for item in objective.windows if isinstance(item.window, CalendarWindow)), "UTC")


def _selects(text: str) -> bool:
    """Whether the text is a selector, or a sum of one: what a form takes for a counter."""
    summed = _SUMMED.fullmatch(text)
    return _SELECTOR.fullmatch(summed["inside"].strip() if summed else text) is not None


def _counter_flag(queries: Iterable[PromQuery]) -> bool | None:
    """OpenSLO's `counter` for both queries of a ratio: True, False, or None where no one value says both."""
    flags = {query.counter for query in queries}
    if True not in flags:
        return False
    return None if any(not query.counter and _selects(query.text) for query in queries) else True


def _head(objective: Objective, api: str, kind: str, annotations: Mapping[str, str]) -> Mapped:
    return {"apiVersion": api, "kind": kind, "metadata": without_empty({
        "name": objective.name, "displayName": objective.title, "labels": dict(objective.labels),
        "annotations": dict(annotations)})}


def openslo_document(objective: Objective) -> Mapped:
    """openslo/v1 SLO, what it has no field for in annotations `mainstay/…`."""
    review = objective.review
    annotations = {key: text for key, text in (
        ("mainstay/owner", objective.owner), ("mainstay/rationale", objective.rationale),
        ("mainstay/sla", f"{objective.sla}".removesuffix(" %") if objective.sla else ""),
        ("mainstay/depends-on", ", ".join(
            one.service + (f"={one.promise}".removesuffix(" %") if one.promise else "")
            for one in objective.dependencies)),
        ("mainstay/policy", objective.policy),
        ("mainstay/review-every", str(review.every) if review else ""),
        ("mainstay/review-last", review.last.isoformat() if review and review.last else "")) if text}
    spec: Mapped = without_empty({"description": objective.description, "service": objective.service})
    if isinstance(objective.indicator, str):
        spec["indicatorRef"] = objective.indicator
    else:
        spec["indicator"] = _openslo_indicator(objective.indicator, objective)
    spec["timeWindow"] = [_time_window(item.window) for item in objective.windows]
    spec["budgetingMethod"] = type(objective.method).__name__
    target: Mapped = {"targetPercent": objective.target.ratio * 100}
    if objective.comparison is not None:
        target |= {"op": _OPERATORS.get(objective.comparison[0], objective.comparison[0]),
                   "value": objective.comparison[1]}
    match objective.method:
        case Timeslices(length, share):
            target |= {"timeSliceTarget": share.ratio, "timeSliceWindow": length}
        case RatioTimeslices(length):
            target["timeSliceWindow"] = length
        case Occurrences():
            pass
    if objective.weight != 1:
        target["compositeWeight"] = objective.weight
    spec["objectives"] = [target]
    return _head(objective, "openslo/v1", "SLO", annotations) | {"spec": spec}


def _openslo_indicator(indicator: Indicator, objective: Objective) -> Mapped:
    head: Mapped = {} if indicator.name == objective.name else {"metadata": {"name": indicator.name}}
    spec: Mapped = without_empty({"description": indicator.description})
    match indicator.total:
        case GaugeQuery(text, share=share) if share:
            spec["ratioMetric"] = {"rawType": {"good": "success", "bad": "failure"}[share],
                                   "raw": _metric(indicator.source, {"query": text})}
        case GaugeQuery(text):
            spec["thresholdMetric"] = _metric(indicator.source, {"query": text})
        case total:
            name, other = ("bad", indicator.bad) if indicator.bad is not None else ("good", indicator.good)
            assert other is not None
            ratio: Mapped = {}
            queries = [query for query in (other, total) if isinstance(query, PromQuery)]
            if queries and _counter_flag(queries) is not False:
                ratio["counter"] = True
            ratio[name] = _metric(indicator.source, _metric_spec(other))
            ratio["total"] = _metric(indicator.source, _metric_spec(total))
            spec["ratioMetric"] = ratio
    return head | {"spec": spec}


def _metric_spec(query: EventQuery | PromQuery | GaugeQuery) -> Mapped:
    return {"where": conditions_written(query.where) or {}} if isinstance(query, EventQuery) else {"query": query.text}


def _metric(source: str, spec: Mapped) -> Mapped:
    return {"metricSource": without_empty({"metricSourceRef": source}) | {"spec": spec}}


def _time_window(window: Window) -> Mapped:
    match window:
        case RollingWindow(length):
            return {"duration": length, "isRolling": True}
        case RequestWindow(events):
            return {"duration": f"{events} requests", "isRolling": True}
        case CalendarWindow(period, zone, periods, anchor):
            calendar: Mapped = {"timeZone": zone}
            if anchor is not None:
                calendar["startTime"] = anchor.isoformat(" ")
            return {"duration": f"{periods}{_PERIODS[period]}", "isRolling": False, "calendar": calendar}


# -- mainstay/v1 ------------------------------------------------------------------------------------------------------


def _native(objective: Objective) -> Mapped:
    review = objective.review
    spec: Mapped = without_empty({
        "service": objective.service, "description": objective.description, "rationale": objective.rationale,
        "owner": objective.owner})
    if isinstance(objective.indicator, str):
        spec["indicatorRef"] = objective.indicator
    else:
        spec["indicator"] = _native_indicator(objective.indicator)
    main, *others = objective.windows
    zone = one_zone(objective)
    spec |= without_empty({
        "target": main.target.ratio * 100, "window": _window_words(main.window),
        "timezone": "" if zone == "UTC" else zone,
        "windows": [without_empty({"window": _window_words(one.window), "target": one.target.ratio * 100,
                                    "alert": "" if one.alert == "report" else one.alert}) for one in others],
        "policy": objective.policy})
    spec |= _method_fields(objective.method)
    spec |= without_empty({
        "sla": objective.sla.ratio * 100 if objective.sla else None,
        "dependencies": [without_empty({"service": one.service, "impact": one.impact,
                                         "promise": one.promise.ratio * 100 if one.promise else None})
                         for one in objective.dependencies],
        "review": None if review is None else without_empty({
            "every": str(review.every), "last": review.last.isoformat() if review.last else "",
            "participants": list(review.participants), "agenda": list(review.agenda)}),
        "exclusions": list(objective.exclusions)})
    return _head(objective, "mainstay/v1", "Objective", {}) | {"spec": spec}


def _method_fields(method: Method) -> Mapped:
    match method:
        case Occurrences():
            return {}
        case Timeslices(length, target, idle):
            fields: Mapped = {"method": "timeslices", "slice": length, "slice_target": target.ratio * 100}
        case RatioTimeslices(length, idle):
            fields = {"method": "ratio_timeslices", "slice": length}
    return fields | ({} if idle == "left out" else {"idle": idle})


def _window_words(window: Window) -> Value:
    match window:
        case RollingWindow(length):
            return length
        case RequestWindow(events):
            return f"{events} requests"
        case CalendarWindow(period, _, periods):
            # Days and weeks alone would be read as rolling; the calendar's are written by their word.
            return f"{periods}{_PERIODS[period]}" if periods > 1 else str(period)


def _native_indicator(indicator: Indicator) -> Mapped:
    out: Mapped = without_empty({"type": "" if indicator.type is IndicatorType.CUSTOM else str(indicator.type),
                                  "source": indicator.source, "description": indicator.description})
    match indicator.total:
        case GaugeQuery(text, operator, threshold):
            out |= {"gauge": text, "at_least" if operator.startswith(">") else "at_most": threshold}
        case total:
            parts = {"bad": indicator.bad, "good": indicator.good}
            out |= {name: _native_query(query) for name, query in parts.items() if query is not None}
            # Without a numerator the events are slices' (throughput, freshness), which are narrowed by `where`.
            out["where" if indicator.derived is not None and isinstance(total, EventQuery) else "total"] = \
                _native_query(total)
    if indicator.threshold is not None:
        out["threshold"] = indicator.threshold
    match indicator.derived:
        case PerSecond(minimum, slice_):
            out |= {"minimum": f"{minimum!r}/s", "slice": slice_}
        case FreshWithin(_, slice_):
            out["slice"] = slice_
        case None:
            pass
    return out


def _native_query(query: EventQuery | PromQuery) -> Value:
    return query.text if isinstance(query, PromQuery) else conditions_written(query.where) or {}


# -- conditions -------------------------------------------------------------------------------------------------------


def conditions_written(conditions: Sequence[Condition]) -> Mapped | None:
    """The conditions as a mapping of field to condition; None where a field stands twice or has no way to be said."""
    out: Mapped = {}
    for one in conditions:
        said = _condition(one)
        if one.field in out or said is None:
            return None
        out[one.field] = said
    return out


def _condition(one: Condition) -> Value | None:
    if one.operator == "in":
        return [value if isinstance(value, str) else _number(value) for value in one.values]
    if one.operator in ("not in", "present", "absent"):
        return None
    (value,) = one.values
    return f"{one.operator}{value if isinstance(value, str) else _number(value)}"


def _number(value: float) -> Value:
    return int(value) if value == int(value) else value
