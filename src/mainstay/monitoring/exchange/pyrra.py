"""Pyrra's objects: `pyrra.dev/v1alpha1 ServiceLevelObjective`.

Source: Pyrra 0.10, its documentation, its resource's fields and its published examples (Apache-2.0); facts, no code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal, InvalidOperation

from mainstay.kernel.document import Document
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.objective import Objective, ObjectiveWindow
from mainstay.kernel.ports import PromQuery
from mainstay.kernel.quantity import SLOT, RollingWindow, Target, parse_duration, plain, short_duration
from mainstay.kernel.reader import Reader
from mainstay.monitoring.exchange.form import Bundle, Format, Given, Taken
from mainstay.monitoring.exchange.promql import Selector, go_duration, mistake_in, selector_of
from mainstay.monitoring.exchange.pyrra_model import (
    PROPAGATED,
    TOOL,
    Kind,
    PyrraSlo,
    absent_after,
    gauge_queries,
    native_queries,
    pyrra_slos,
)
from mainstay.monitoring.exchange.reading import Queries, Wanted, grouped, passed_over, take_annotations, take_groups
from mainstay.monitoring.exchange.taking import Taking, text_at
from mainstay.monitoring.exchange.yaml_out import Value, kept, yaml_file
from mainstay.monitoring.spec import Alerting, Extra, alerting_of

_API, _KIND = "pyrra.dev/v1alpha1", "ServiceLevelObjective"
_INDICATORS: tuple[Kind, ...] = ("ratio", "latency", "latencyNative", "bool_gauge")
_CLUSTER = "where an object lives in Kubernetes is no part of a promise"


def fits(document: Document) -> bool:
    """Whether the document is one of Pyrra's."""
    return text_at(document, "apiVersion").startswith("pyrra.dev/") and text_at(document, "kind") == _KIND


# -- reading ----------------------------------------------------------------------------------------------------------


def read(documents: Sequence[Document]) -> Taken:
    """Every objective of the documents."""
    taking = Taking()
    objectives: list[Objective] = []
    wanted: list[Wanted] = []
    for document in documents:
        found = _read_one(taking, taking.reader(document))
        if found is not None:
            objective, settings = found
            objectives.append(objective)
            wanted.append(Wanted(objective.name, "", settings))
    return passed_over(taking.taken(Bundle(tuple(objectives), alertings=grouped(wanted))), TOOL)


def _read_one(taking: Taking, reader: Reader) -> tuple[Objective, Alerting] | None:
    meta, spec = reader.child("metadata", required=True), reader.child("spec", required=True)
    reader.ignore("status")
    reader.done()
    if meta is None or spec is None:
        return None
    name = taking.name(meta, "name")
    taking.lose(meta, "namespace", _CLUSTER)
    labels, annotations = _propagated(taking, meta, "labels"), _propagated(taking, meta, "annotations")
    named = {written: name for name, written in annotations.items()}
    kept = take_annotations(taking, meta, "annotations", named=named)
    meta.ignore("creationTimestamp", "generation", "resourceVersion", "uid", "managedFields")
    meta.done()
    where = meta.where_of("name")
    target = spec.parsed("target", _target, required=True)
    window = spec.parsed("window", _duration, required=True)
    description = spec.text("description", default="")
    indicator = _read_indicator(taking, spec)
    settings = _read_alerting(taking, spec)
    if spec.flag("performanceOverAccuracy"):
        taking.lose(spec, "performanceOverAccuracy", "five minutes are always summed up first, and exactly")
    taking.lose(spec, "partial_response_strategy", "what Thanos does with half an answer is set where rules are run")
    taking.lose(spec, "ruleOutput", "rules are not split between two servers")
    spec.done()
    if target is None or window is None or indicator is None or not name:
        return None
    settings = replace(settings, name=name, origin=where, annotations=kept, group_by=indicator.groups)
    if settings.absent_for is not None:
        settings = replace(settings, absent_for=absent_after(window, target) or timedelta(minutes=1))
    return Objective(name, where, "", indicator.indicator(name, where),
                     (ObjectiveWindow(RollingWindow(window), target),), description=description,
                     labels={name: meta.labels("labels")[written] for name, written in labels.items()}), settings


def _target(text: str) -> Target:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal(-1)
    if 0 < value < 1:
        raise InvalidInput(f"target {text} is a percentage, and hardly meant", f'write "{plain(value * 100)}"')
    return Target.percent(text)


def _duration(text: str) -> timedelta:
    # Prometheus has years, which nothing else here has.
    length = parse_duration(f"{int(text[:-1]) * 365}d" if text.endswith("y") and text[:-1].isdigit() else text)
    if length % timedelta(seconds=SLOT):
        raise InvalidInput(f'window "{text}" is not a whole number of five-minute slots', "write 7d, 4w …")
    return length


def _propagated(taking: Taking, meta: Reader, key: str) -> dict[str, str]:
    """Labels or annotations that go on to the rules, by name there: as written; the others are Kubernetes' own."""
    out = {}
    child = meta.child(key)
    for name in meta.labels(key):
        assert child is not None, "there are some, so there is a mapping"
        if name.startswith(PROPAGATED):
            out[name.removeprefix(PROPAGATED)] = name
        else:
            taking.lose(child, name, _CLUSTER)
    return out


def _read_indicator(taking: Taking, spec: Reader) -> Queries | None:
    indicator = spec.child("indicator", required=True)
    if indicator is None:
        return None
    given = [kind for kind in _INDICATORS if indicator.has(kind)]
    children = [indicator.child(kind) for kind in given]
    indicator.done()
    if len(given) != 1:
        indicator.report("one-of", f"{indicator.path} needs one of {', '.join(_INDICATORS)}"
                         + (f", not {len(given)}" if given else ""), "write exactly one of them")
        return None
    child = children[0]
    if child is None:
        return None
    groups = take_groups(taking, child, "grouping", child.texts("grouping"))
    found = _READERS[given[0]](child, groups)
    child.done()
    return found


def _read_ratio(child: Reader, groups: tuple[str, ...]) -> Queries | None:
    errors, total = _metric(child, "errors"), _metric(child, "total")
    if errors is None or total is None:
        return None
    if errors == total:
        child.report("same-query", f"{child.field('errors')} and total are the same: everything fails",
                     "select the errors alone", "errors")
        return None
    return Queries(PromQuery(total, counter=True), bad=PromQuery(errors, counter=True), groups=groups)


def _read_latency(child: Reader, groups: tuple[str, ...]) -> Queries | None:
    success, total = _metric(child, "success"), _metric(child, "total")
    if success is None or total is None:
        return None
    selector = selector_of(success)
    bound = next((one.value for one in selector.matchers if one.label == "le"), None) if selector else None
    if bound is None or not _is_bound(bound):
        child.report("no-bucket", f"{child.field('success.metric')} does not say which bucket is fast enough",
                     'add le="0.3" with the bucket\'s bound in seconds', "success")
        return None
    return Queries(PromQuery(total, counter=True), good=PromQuery(success, counter=True), groups=groups)


def _is_bound(text: str) -> bool:
    try:
        float(text.removesuffix(r"(\.0)?"))
    except ValueError:
        return False
    return True


def _read_native(child: Reader, groups: tuple[str, ...]) -> Queries | None:
    metric, latency = _metric(child, "total"), child.duration("latency", required=True)
    if metric is None or latency is None:
        return None
    good, total = native_queries(metric, latency, groups)
    return Queries(total, good=good, groups=groups)


def _read_gauge(child: Reader, groups: tuple[str, ...]) -> Queries | None:
    metric = _selector(child, "metric")
    if metric is None:
        return None
    good, total = gauge_queries(metric, groups)
    return Queries(total, good=good, groups=groups)


_READERS: Mapping[Kind, Callable[[Reader, tuple[str, ...]], Queries | None]] = {
    "ratio": _read_ratio, "latency": _read_latency, "latencyNative": _read_native, "bool_gauge": _read_gauge}


def _metric(reader: Reader, key: str) -> str | None:
    child = reader.child(key, required=True)
    if child is None:
        return None
    found = _selector(child, "metric")
    child.done()
    return found


def _selector(reader: Reader, key: str) -> str | None:
    text = reader.text(key, required=True)
    if text is None:
        return None
    if wrong := mistake_in(text):
        reader.report("not-promql", f"{reader.field(key)} is not PromQL: {wrong}",
                      'write its name with labels: http_requests_total{job="web"}', key)
        return None
    if selector_of(text) is None:
        reader.report("not-a-selector", f"{reader.field(key)} is no metric's selector, which is all that {TOOL} takes",
                      'write its name with labels: http_requests_total{job="web"}', key)
        return None
    return text.strip()


_TIER_SEVERITIES = {"page": ("fastBurn", "mediumBurn"), "ticket": ("slowBurn", "longTermBurn")}


def _read_alerting(taking: Taking, spec: Reader) -> Alerting:
    default = Alerting("", spec.where, budget_spent=())
    reader = spec.child("alerting")
    if reader is None:
        return default
    on = reader.flag("burnrates", default=True)
    if reader.flag("disabled"):
        on = False
        taking.lose(reader, "disabled", "the deprecated word for burnrates: false, which is written again")
    absent = reader.flag("absent", default=True)
    name = reader.text("name", default="")
    taking.lose(reader, "absentName", "the alert on absent data is called as the others are")
    extra: dict[str, Extra] = {}
    severities = reader.child("severities")
    if severities is not None:
        for severity, keys in _TIER_SEVERITIES.items():
            both = [severities.text(key, default="") for key in keys]
            if both[0] and both[0] == both[1]:
                extra[severity] = Extra({"severity": both[0]})
            else:
                taking.lose_all(severities, keys, f"both {severity} alerts have one severity")
        taking.lose(severities, "absent", "the alert on absent data has the severity of a page")
        severities.done()
    reader.done()
    return replace(default, tiers=None if on else (), absent_for=default.absent_for if absent else None,
                   alert_name=name, by_severity=extra)


# -- writing ----------------------------------------------------------------------------------------------------------

_Mapped = dict[str, Value]


def write(bundle: Bundle) -> Given:
    """One object a file, named after its objective."""
    catalog = bundle.catalog()
    slos, losses = pyrra_slos([(one, alerting_of(one, catalog)) for one in bundle.objectives])
    return Given(tuple((f"{slo.name}.yaml", yaml_file([_document(slo)])) for slo in slos), tuple(losses))


def _document(slo: PyrraSlo) -> _Mapped:
    return {"apiVersion": _API, "kind": _KIND,
            "metadata": _kept({"name": slo.name,
                               "labels": {PROPAGATED + key: value for key, value in slo.labels.items()},
                               "annotations": {PROPAGATED + key: value for key, value in slo.annotations.items()}}),
            "spec": _kept({"target": plain(slo.target.ratio * 100), "window": go_duration(slo.window),
                           "description": slo.description, "indicator": {slo.kind: _indicator(slo)},
                           "alerting": _alerting(slo)})}


def _indicator(slo: PyrraSlo) -> _Mapped:
    def metric(selector: Selector | None) -> _Mapped:
        return {"metric": str(selector)}

    fields: dict[Kind, _Mapped] = {
        "ratio": {"errors": metric(slo.other), "total": metric(slo.total)},
        "latency": {"success": metric(slo.other), "total": metric(slo.total)},
        "latencyNative": {"latency": short_duration(slo.latency) if slo.latency else "", "total": metric(slo.total)},
        "bool_gauge": metric(slo.total)}
    return _kept({**fields[slo.kind], "grouping": list(slo.grouping)})


def _alerting(slo: PyrraSlo) -> _Mapped:
    severities = {key: value for severity, value in slo.severities.items() for key in _TIER_SEVERITIES[severity]}
    return _kept({"name": slo.alert_name, "burnrates": None if slo.burn_alerts else False,
                  "absent": None if slo.absent_alert else False, "severities": severities})


def _kept(pairs: _Mapped) -> _Mapped:
    return {key: value for key, value in pairs.items() if kept(value)}


PYRRA = Format("pyrra", "Pyrra", fits, read, write)
