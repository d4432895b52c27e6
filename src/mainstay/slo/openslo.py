"""OpenSLO v1, the native format: Service, DataSource, SLI, SLO and the alert kinds.

Where OpenSLO leaves a field to implementations (a metric source's `spec`), Mainstay reads `query` (PromQL) or
`where` (conditions on events). What OpenSLO has no field for stands in annotations `mainstay/…`.
Source: OpenSLO specification, github.com/OpenSLO/OpenSLO, README.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta

from mainstay.kernel.catalog import Form
from mainstay.kernel.counting import counter_query
from mainstay.kernel.finding import Position
from mainstay.kernel.metadata import Metadata, read_metadata
from mainstay.kernel.objective import (
    AlertDeclaration,
    DataSource,
    Indicator,
    IndicatorType,
    Objective,
    ObjectiveWindow,
    Service,
)
from mainstay.kernel.openslo_fields import METHODS, read_calendar, read_method, read_target, window_of
from mainstay.kernel.ports import EventQuery, GaugeQuery, PromQuery
from mainstay.kernel.quantity import (
    CalendarWindow,
    RequestWindow,
    RollingWindow,
    Window,
)
from mainstay.kernel.reader import Reader
from mainstay.slo.annotations import read_annotations
from mainstay.slo.openslo_alerts import (
    read_alert_condition,
    read_alert_policy,
    read_alert_target,
    read_policies_of,
)
from mainstay.slo.queries import compared, events_that, read_conditions
from mainstay.slo.sources import KINDS, read_details
from mainstay.slo.spec import Journey, Step

_OPERATORS = {"lte": "<=", "gte": ">=", "lt": "<", "gt": ">"}
_INDICATOR_FIELDS = ("thresholdMetric", "ratioMetric")


def read_service(reader: Reader) -> Iterator[Service]:
    """openslo/v1 Service."""
    meta = read_metadata(reader)
    spec = reader.child("spec")
    description = ""
    if spec is not None:
        description = spec.text("description", default="")
        spec.done()
    reader.done()
    if meta.name:
        yield Service(meta.name, meta.origin, meta.title, description, meta.annotations.get("mainstay/owner", ""))


def read_data_source(reader: Reader) -> Iterator[DataSource]:
    """openslo/v1 DataSource: `type: Prometheus` or `type: events`; other types are kept and cannot be asked."""
    meta = read_metadata(reader)
    spec = reader.child("spec", required=True)
    if spec is None:
        return
    kind = spec.text("type", required=True, default="").lower()
    description = spec.text("description", default="")
    details = read_details(spec, kind)
    spec.done()
    reader.done()
    if meta.name and kind:
        yield DataSource(meta.name, meta.origin, KINDS.get(kind, kind), details, description)


def read_sli(reader: Reader) -> Iterator[Indicator]:
    """openslo/v1 SLI."""
    meta = read_metadata(reader)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is None:
        return
    indicator = read_indicator(spec, meta.name, meta.origin)
    spec.done()
    if indicator is not None and meta.name:
        yield indicator


def read_indicator(spec: Reader, name: str, origin: Position) -> Indicator | None:
    """The spec of an SLI. A threshold metric does not say what it is compared with; its objective does."""
    description = spec.text("description", default="")
    given = [key for key in _INDICATOR_FIELDS if spec.has(key)]
    if len(given) != 1:
        spec.ignore(*_INDICATOR_FIELDS)
        spec.report("one-of", f"{spec.path} needs thresholdMetric or ratioMetric" + (", not both" if given else ""),
                    "write exactly one of the two")
        return None
    if given == ["thresholdMetric"]:
        metric = spec.child("thresholdMetric")
        spec.ignore("ratioMetric")
        return None if metric is None else _threshold_metric(metric, name, origin, description)
    metric = spec.child("ratioMetric")
    spec.ignore("thresholdMetric")
    return None if metric is None else _ratio_metric(metric, name, origin, description)


def _threshold_metric(metric: Reader, name: str, origin: Position, description: str) -> Indicator | None:
    source = _metric_source(metric, counter=False)
    metric.done()
    if source is None:
        return None
    reference, query = source
    if not isinstance(query, PromQuery):
        metric.report("invalid-value", f"{metric.path} needs a query, not conditions on events", "write query: …")
        return None
    return Indicator(name, origin, IndicatorType.CUSTOM, reference, compared(query.text, "", 0.0),
                     description=description)


def _ratio_metric(metric: Reader, name: str, origin: Position, description: str) -> Indicator | None:
    counter = metric.flag("counter")
    parts: dict[str, tuple[str, PromQuery | EventQuery]] = {}
    for key in ("good", "bad", "total", "raw"):
        child = metric.child(key)
        if child is None:
            continue
        source = _metric_source(child, counter=counter)
        child.done()
        if source is None:
            return None
        parts[key] = source
    raw_type = metric.text("rawType", one_of=("success", "failure"), required="raw" in parts)
    metric.done()
    match sorted(parts):
        case ["raw"] if raw_type:
            reference, query = parts["raw"]
            if isinstance(query, PromQuery):
                share = "good" if raw_type == "success" else "bad"
                return Indicator(name, origin, IndicatorType.CUSTOM, reference, GaugeQuery(query.text, share=share),
                                 description=description)
            metric.report("invalid-value", f"{metric.path}.raw needs a query", "write query: …")
        case ["good", "total"]:
            return Indicator(name, origin, IndicatorType.CUSTOM, parts["total"][0], parts["total"][1],
                             good=parts["good"][1], description=description)
        case ["bad", "total"]:
            return Indicator(name, origin, IndicatorType.CUSTOM, parts["total"][0], parts["total"][1],
                             bad=parts["bad"][1], description=description)
        case ["raw"]:
            pass
        case _:
            metric.report("one-of", f"{metric.path} needs good and total, bad and total, or raw",
                          "write exactly one of these pairs")
    return None


def _metric_source(parent: Reader, *, counter: bool) -> tuple[str, PromQuery | EventQuery] | None:
    source = parent.child("metricSource", required=True)
    if source is None:
        return None
    reference = source.text("metricSourceRef", default="")
    kind = source.text("type", default="")
    spec = source.child("spec", required=True)
    source.done()
    if kind and kind.lower() not in KINDS and not reference:
        source.warn("source-not-asked", f'{source.field("type")} is "{kind}", which cannot be asked; its objectives '
             "will have no data", "write type: Prometheus, or metricSourceRef: NAME", "type")
    if spec is None:
        return None
    query = spec.text("query")
    if query is not None:
        return reference, counter_query(query, counter=counter)
    if spec.has("where") or not spec.entries():
        return reference, events_that(read_conditions(spec, "where"))
    if kind and kind.lower() not in KINDS:
        # Its fields belong to that tool: kept whole, so that the objective is there and only has no data.
        return reference, PromQuery(json.dumps(spec.node.plain(), sort_keys=True))
    spec.report("missing-field", f"{spec.path} says neither query nor where",
                "write query: PROMQL, or where: {status: \"<500\"}")
    return None


# -- SLO ----------------------------------------------------------------------------------------------------------


def read_slo(reader: Reader) -> Iterator[Objective | Journey | AlertDeclaration]:
    """openslo/v1 SLO: one objective for each of its targets, a journey when they have indicators of their own, and the
    alert policies it declares inline.
    """
    meta = read_metadata(reader)
    spec = reader.child("spec", required=True)
    reader.done()
    extra = read_annotations(reader, meta)
    if spec is None:
        return
    description = spec.text("description", default="")
    service = spec.text("service", default="")
    windows = read_time_windows(spec)
    method_name = spec.text("budgetingMethod", one_of=METHODS, default="Occurrences")
    policies, declared = read_policies_of(spec, meta.name)
    targets = spec.children("objectives", required=True)
    if spec.has("objectives") and not targets:
        spec.report("missing-field", f"{spec.path}.objectives is empty", "write at least one objective", "objectives")
    composite = any(one.has("indicator") or one.has("indicatorRef") for one in targets)
    shared = _indicator_of(spec, meta, required=not composite)
    made: list[Objective] = []
    names = _objective_names(meta.name, targets)
    for name, one in zip(names, targets, strict=True):
        title = one.text("displayName", default="") or meta.title
        target = read_target(one)
        comparison = _comparison(one)
        own = _indicator_of(one, Metadata(name, meta.origin), required=not spec.has("indicator")
                            and not spec.has("indicatorRef")) if composite else shared
        method = read_method(one, method_name)
        weight = one.number("compositeWeight", minimum=0)
        one.done()
        indicator = _compared_with(own or shared, comparison, one)
        if target is None or indicator is None or not windows or not meta.name:
            continue
        if extra.sla is not None and extra.sla.ratio > target.ratio:
            one.report("sla-above-target", f"the SLA promises {extra.sla}, more than the objective's {target}",
                       "an SLA is looser than the objective, so that the team knows first")
        made.append(Objective(
            name, meta.origin, service, indicator, tuple(ObjectiveWindow(w, target) for w in windows), method, title,
            description, labels=meta.labels, weight=1.0 if weight is None else weight, owner=extra.owner,
            rationale=extra.rationale, sla=extra.sla, dependencies=extra.dependencies, policy=extra.policy,
            review=extra.review, comparison=comparison, alert_policies=policies))
    spec.done()
    yield from declared
    yield from made
    if composite and len(made) > 1:
        steps = tuple(Step(one.title or one.name, one.name, None, one.origin) for one in made)
        yield Journey(meta.name, meta.origin, steps, "composite", tuple(one.weight for one in made),
                      description=description)


def _objective_names(base: str, targets: list[Reader]) -> list[str]:
    if len(targets) == 1:
        return [base]
    names: list[str] = []
    for index, one in enumerate(targets, 1):
        node = one.node.value.get("displayName") if isinstance(one.node.value, dict) else None
        slug = re.sub(r"[^a-z0-9]+", "-", str(node.value).lower()).strip("-") if node is not None else ""
        name = f"{base}-{slug or index}"
        while name in names:
            name += f"-{index}"
        names.append(name)
    return names


def _indicator_of(reader: Reader, meta: Metadata, *, required: bool) -> Indicator | str | None:
    reference = reader.text("indicatorRef")
    inline = reader.child("indicator")
    if reference and inline is not None:
        reader.report("one-of", f"{reader.path} has both indicator and indicatorRef", "keep one of the two",
                      "indicator")
        return None
    if reference:
        return reference
    if inline is None:
        if required:
            reader.report("missing-field", f"{reader.path} needs indicator or indicatorRef",
                          "add indicatorRef: NAME, or an indicator with its spec")
        return None
    inner = inline.child("metadata")
    name = meta.name
    if inner is not None:
        name = inner.text("name", default=meta.name)
        inner.ignore("displayName", "labels", "annotations")
        inner.done()
    inline.ignore("kind", "apiVersion")
    spec = inline.child("spec", required=True)
    inline.done()
    if spec is None:
        return None
    indicator = read_indicator(spec, name, inline.where)
    spec.done()
    return indicator


def _comparison(one: Reader) -> tuple[str, float] | None:
    operator = one.text("op", one_of=tuple(_OPERATORS))
    value = one.number("value")
    return (_OPERATORS[operator], value) if operator is not None and value is not None else None


def _compared_with(indicator: Indicator | str | None, comparison: tuple[str, float] | None, one: Reader,
                   ) -> Indicator | str | None:
    if isinstance(indicator, Indicator) and isinstance(indicator.total, GaugeQuery) and not indicator.total.share:
        if comparison is None and not (one.has("op") and one.has("value")):
            one.report("missing-field", f"{one.path} must say op and value: the indicator is a threshold metric",
                       "add op: lte and value: …")
        if comparison is None:
            return None
        return Indicator(indicator.name, indicator.origin, indicator.type, indicator.source,
                         compared(indicator.total.text, *comparison), description=indicator.description)
    if isinstance(indicator, Indicator):
        for key in ("op", "value"):
            if one.has(key):
                one.warn("not-compared", f"{one.field(key)} does nothing: a ratio metric is compared with nothing",
                     f"remove {key}; it belongs to a thresholdMetric", key)
    return indicator


# -- time windows -------------------------------------------------------------------------------------------------


def read_time_windows(spec: Reader) -> tuple[Window, ...]:
    """`timeWindow`: OpenSLO takes exactly one; Mainstay takes several, the first being the main one."""
    out: list[Window] = []
    written = spec.children("timeWindow")
    if not spec.has("timeWindow"):
        # The specification leaves the window out for whoever does not need one; a budget does.
        spec.warn("no-window", f"{spec.path} says no timeWindow; 30d rolling is assumed",
             "add timeWindow: [{duration: 30d, isRolling: true}]")
        return (RollingWindow(timedelta(days=30)),)
    if spec.has("timeWindow") and not written:
        spec.report("missing-field", f"{spec.path}.timeWindow is empty", "write [{duration: 30d, isRolling: true}]",
                    "timeWindow")
    for one in written:
        calendar = one.child("calendar")
        rolling = one.flag("isRolling", default=calendar is None)
        if rolling and calendar is not None:
            one.report("one-of", f"{one.path} is rolling and has a calendar", "remove one of the two", "calendar")
        zone, anchor = read_calendar(calendar)
        window = one.parsed("duration", lambda text, r=rolling, z=zone: window_of(  # type: ignore[misc]
            text, rolling=r, zone=z), required=True)
        one.done()
        match window:
            case CalendarWindow(period, _, count):
                if one.has("isRolling") and rolling:
                    one.report("invalid-value", f"{one.path}: months have no fixed length to roll by",
                               "write duration: 30d, or isRolling: false", "duration")
                out.append(CalendarWindow(period, zone, count, anchor))
            case RequestWindow() if not rolling:
                one.report("invalid-value", f"{one.path}: a number of events has no calendar",
                           "write isRolling: true", "duration")
            case RollingWindow() | RequestWindow():
                out.append(window)
            case None:
                pass
    return tuple(out)


FORMS = (
    Form("openslo/v1 Service", read_service, "openslo/v1", "Service"),
    Form("openslo/v1 DataSource", read_data_source, "openslo/v1", "DataSource"),
    Form("openslo/v1 SLI", read_sli, "openslo/v1", "SLI"),
    Form("openslo/v1 SLO", read_slo, "openslo/v1", "SLO"),
    Form("openslo/v1 AlertPolicy", read_alert_policy, "openslo/v1", "AlertPolicy"),
    Form("openslo/v1 AlertCondition", read_alert_condition, "openslo/v1", "AlertCondition"),
    Form("openslo/v1 AlertNotificationTarget", read_alert_target, "openslo/v1", "AlertNotificationTarget"),
)
