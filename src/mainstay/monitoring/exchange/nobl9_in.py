"""Nobl9 `n9/v1alpha`, in: SLO, Service, Agent, AlertPolicy; the other kinds are lost by name.

Source: github.com/nobl9/nobl9-go manifest/v1alpha (slo, alertpolicy, agent, service).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import field
from datetime import timedelta
from decimal import Decimal, InvalidOperation

from mainstay.kernel.counting import counter_query
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.document import Document
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.method import Method, Occurrences, Timeslices
from mainstay.kernel.objective import (
    DataSource,
    Indicator,
    IndicatorType,
    Objective,
    ObjectiveWindow,
    PrometheusDetails,
    Service,
)
from mainstay.kernel.openslo_fields import ratio_target
from mainstay.kernel.ports import GaugeQuery, PromQuery
from mainstay.kernel.quantity import Target, Window, parse_duration
from mainstay.kernel.reader import Reader
from mainstay.monitoring.exchange.alert_groups import Policy, Rung, Severity, alertings_of
from mainstay.monitoring.exchange.form import Bundle, Composition, Taken
from mainstay.monitoring.exchange.openslo_in import OPERATORS
from mainstay.monitoring.exchange.openslo_v1alpha import SLICE, read_window
from mainstay.monitoring.exchange.taking import Taking, catalog_name, text_at

API = "n9/v1alpha"
PROMQL = ("promql",)
_COMPUTED = ("status", "organization", "manifestSrc")
_RAN = ("createdAt", "createdBy", "tier")
"""What Nobl9 itself adds to a document that is got back from it."""


@dataclass(slots=True)
class _Read:
    taking: Taking = field(default_factory=Taking)
    objectives: list[Objective] = field(default_factory=list)
    services: list[Service] = field(default_factory=list)
    sources: dict[str, DataSource] = field(default_factory=dict)
    policies: dict[str, Policy] = field(default_factory=dict)
    used: dict[str, tuple[Policy, ...]] = field(default_factory=dict)
    referred: set[str] = field(default_factory=set)
    known: dict[tuple[str, str], str] = field(default_factory=dict)
    compositions: list[Callable[[], Composition | None]] = field(default_factory=list)


def fits(document: Document) -> bool:
    """Whether it is of Nobl9."""
    return text_at(document, "apiVersion") == API


def read(documents: Sequence[Document]) -> Taken:
    """Nobl9 documents as a bundle."""
    state = _Read()
    slos: list[tuple[Reader, Document]] = []
    for document in documents:
        reader = state.taking.reader(document)
        reader.ignore(*_COMPUTED)
        match kind := text_at(document, "kind"):
            case "SLO":
                slos.append((reader, document))
            case "Service":
                _service(reader, state)
            case "Agent" | "Direct":
                _agent(reader, state)
            case "AlertPolicy":
                _policy(reader, state)
            case _:
                name = text_at(document, "metadata", "name")
                state.taking.note(f"{kind} {name}".strip(), "it says nothing of an objective or an alert",
                                  reader.where)
    for reader, _ in slos:
        _slo(reader, state)
    compositions = [made for make in state.compositions if (made := make()) is not None]
    for name, policy in state.policies.items():
        if name not in state.referred:
            state.taking.note(f"AlertPolicy {name}", "no objective that was read refers to it", policy.where)
    alertings = alertings_of(state.objectives, state.used, state.taking)
    return state.taking.taken(Bundle(tuple(state.objectives), tuple(state.services), tuple(state.sources.values()),
                                     alertings, tuple(compositions)))


@dataclass(frozen=True, slots=True)
class _Head:
    name: str
    title: str
    labels: dict[str, str]


def _head(reader: Reader, state: _Read, *, labels: bool = False) -> _Head:
    meta = reader.child("metadata", required=True)
    if meta is None:
        return _Head("", "", {})
    name = state.taking.name(meta, "name")
    title = meta.text("displayName", default="")
    if meta.text("project", default="default") != "default":
        state.taking.note(meta.field("project"), "a catalog has no projects", meta.where_of("project"))
    kept = {}
    child = meta.child("labels") if labels else None
    for key, node in child.entries() if child is not None else ():
        items = node.value if isinstance(node.value, list) else [node]
        kept[key] = ",".join("" if item.value is None else str(item.value) for item in items)
    if not labels:
        state.taking.lose(meta, "labels", "only objectives keep labels in a catalog")
    state.taking.lose(meta, "annotations", "a catalog keeps no annotations of other tools")
    meta.done()
    return _Head(name, title, kept)


def _service(reader: Reader, state: _Read) -> None:
    head = _head(reader, state)
    spec = reader.child("spec")
    reader.done()
    description = ""
    if spec is not None:
        description = spec.text("description", default="")
        state.taking.lose_all(spec, ("responsibleUsers", "reviewCycle"), "a catalog's service has an owner alone")
        spec.done()
    if head.name:
        state.services.append(Service(head.name, reader.where, head.title, description))


def _agent(reader: Reader, state: _Read) -> None:
    """Where numbers come from: a Prometheus by its address, any other kind by name."""
    head = _head(reader, state)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is None or not head.name:
        return
    description = spec.text("description", default="")
    prometheus = spec.child("prometheus")
    url = ""
    if prometheus is not None:
        url = prometheus.text("url", required=True, default="")
        state.taking.lose(prometheus, "step", "how often a source is asked is the objective's method's")
        prometheus.done()
    kinds = []
    for key, _ in spec.entries():
        if key in ("description", "prometheus"):
            continue
        if key not in ("releaseChannel", "historicalDataRetrieval", "queryDelay", "interval", "timeout"):
            kinds.append(key)
        state.taking.note(spec.field(key), "of a source only its kind and a Prometheus' address are taken over",
                          spec.where_of(key))
    details = PrometheusDetails(url) if url.startswith(("http://", "https://")) else None
    kind = "prometheus" if prometheus is not None else kinds[0].lower() if kinds else "unknown"
    state.sources[head.name] = DataSource(head.name, reader.where, kind, details, description)


# -- SLO --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shared:
    head: _Head
    service: str
    description: str
    windows: tuple[Window, ...]
    method: str
    source: str
    single: bool


def _slo(reader: Reader, state: _Read) -> None:
    head = _head(reader, state, labels=True)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is None:
        return
    spec.ignore(*_RAN)
    description, service = spec.text("description", default=""), spec.text("service", required=True, default="")
    source = _metric_source(spec, state)
    method = spec.text("budgetingMethod", required=True, one_of=("Occurrences", "Timeslices"), default="Occurrences")
    windows = []
    for one in spec.children("timeWindows", required=True):
        state.taking.lose(one, "period", "Nobl9 itself writes the period that holds now")
        if (window := read_window(one)) is not None:
            windows.append(window)
    state.taking.lose(spec, "attachments", "a catalog keeps no links")
    state.taking.lose(spec, "composite", "Nobl9's first form of composites (burnRateCondition) is deprecated")
    no_data = _no_data(spec, head.name, state)
    policies = _policies_of(spec, state)
    targets = spec.children("objectives", required=True)
    spec.done()
    shared = _Shared(head, catalog_name(service), description, tuple(windows), method, source, len(targets) == 1)
    made: list[str] = []
    for target in targets:
        objective = _objective(target, shared, state)
        if objective is not None:
            state.objectives.append(objective)
            made.append(objective.name)
    if policies or no_data is not None:
        state.used |= dict.fromkeys(made, (*policies, *([no_data] if no_data is not None else [])))


def _metric_source(spec: Reader, state: _Read) -> str:
    indicator = spec.child("indicator")
    metric = indicator.child("metricSource", required=True) if indicator is not None else None
    if indicator is not None:
        state.taking.lose(indicator, "rawMetric", "the query of each objective counts")
        indicator.done()
    if metric is None:
        return ""
    name = catalog_name(metric.text("name", required=True, default=""))
    metric.text("kind", one_of=("Agent", "Direct"))
    if metric.text("project", default="default") != "default":
        state.taking.note(metric.field("project"), "a catalog has no projects", metric.where_of("project"))
    metric.done()
    if name in state.sources:
        return name
    state.taking.note(metric.field("name"), f'no Agent named "{name}" is in the files that were named; --prometheus '
                      "says where it is", metric.where_of("name"))
    return ""


def _no_data(spec: Reader, name: str, state: _Read) -> Policy | None:
    config = spec.child("anomalyConfig")
    inner = config.child("noData") if config is not None else None
    if config is not None:
        config.done()
    if inner is None:
        return None
    after = inner.parsed("alertAfter", parse_duration)
    if any(True for _ in inner.children("alertMethods")):
        state.taking.note(inner.field("alertMethods"), "whom an alert is told to is Alertmanager's to route",
                          inner.where_of("alertMethods"))
    if inner.flag("treatZeroAsNoData"):
        state.taking.note(inner.field("treatZeroAsNoData"), "zero is a value here", inner.where_of("treatZeroAsNoData"))
    inner.done()
    return Policy(f"{name}-no-data", inner.where, absent_for=after or timedelta(minutes=15))


def _policies_of(spec: Reader, state: _Read) -> tuple[Policy, ...]:
    out = []
    for name in spec.texts("alertPolicies"):
        state.referred.add(name)
        if name in state.policies:
            out.append(state.policies[name])
        else:
            state.taking.note(spec.field("alertPolicies"), f'no AlertPolicy named "{name}" is in the files that were '
                              "named", spec.where_of("alertPolicies"))
    return tuple(out)


def _objective(one: Reader, shared: _Shared, state: _Read) -> Objective | None:
    own = catalog_name(one.text("name", default="")) or catalog_name(one.text("displayName", default="")) or "main"
    name = shared.head.name if shared.single else f"{shared.head.name}-{own}"
    said = one.text("displayName", default="")
    target = one.parsed("target", ratio_target, required=True)
    value, operator = one.number("value"), one.text("op", one_of=tuple(OPERATORS))
    one.ignore("primary")
    if shared.single is False and one.flag("primary"):
        state.taking.note(one.field("primary"), "objectives of a catalog have no first among them",
                          one.where_of("primary"))
    method = _method(one, shared.method, state)
    if (composite := one.child("composite")) is not None:
        one.done()
        _composite(composite, name, target, shared, state)
        return None
    counts, raw = one.child("countMetrics"), one.child("rawMetric")
    one.done()
    if (counts is None) == (raw is None):
        one.report("one-of", f"{one.path} needs countMetrics, rawMetric or composite", "write exactly one of the three")
        return None
    indicator = _counted(counts, own, shared, state) if counts is not None else None
    comparison = None
    if raw is not None:
        query = raw.child("query", required=True)
        raw.done()
        found = _query(query, state) if query is not None else None
        if operator is None or value is None:
            if not (one.has("op") and one.has("value")):
                one.report("missing-field", f"{one.path} must say op and value: it has a rawMetric",
                           "add op: lte and value: …")
            return None
        comparison = (OPERATORS[operator], value)
        if found is not None:
            indicator = Indicator(own, raw.where, IndicatorType.CUSTOM, shared.source,
                                  GaugeQuery(found.text, *comparison), description=said)
    elif one.has("op"):
        one.warn("not-compared", f"{one.field('op')} does nothing: counts are compared with nothing",
                 "remove op; it belongs to a rawMetric", "op")
    state.known[shared.head.name, own] = name
    if target is None or indicator is None or not shared.windows or not name:
        return None
    return Objective(name, one.where, shared.service,
                     Indicator(own, indicator.origin, indicator.type, indicator.source, indicator.total, indicator.bad,
                               indicator.good, description=said),
                     tuple(ObjectiveWindow(window, target) for window in shared.windows), method,
                     shared.head.title, shared.description, labels=shared.head.labels, comparison=comparison)


def _method(one: Reader, name: str, state: _Read) -> Method:
    share = one.parsed("timeSliceTarget", ratio_target, required=name == "Timeslices")
    if name == "Timeslices" and share is not None:
        # Nobl9 judges minute by minute.
        return Timeslices(SLICE, share)
    if share is not None:
        state.taking.note(one.field("timeSliceTarget"), "Occurrences have no slices", one.where_of("timeSliceTarget"))
    return Occurrences()


def _counted(counts: Reader, name: str, shared: _Shared, state: _Read) -> Indicator | None:
    counter = counts.flag("incremental")
    children = {key: counts.child(key) for key in ("good", "bad", "total", "goodTotal")}
    counts.done()
    queries = {key: query for key, child in children.items()
               if child is not None and (query := _query(child, state)) is not None}
    given = sorted(key for key in children if counts.has(key))
    if given == ["goodTotal"]:
        state.taking.note(counts.field("goodTotal"), "one query with two answers; kept whole, without data",
                          counts.where_of("goodTotal"))
        text = queries["goodTotal"] if "goodTotal" in queries else PromQuery("")
        return Indicator(name, counts.where, IndicatorType.CUSTOM, shared.source, text, good=text)
    if given not in (["bad", "total"], ["good", "total"]):
        counts.report("one-of", f"{counts.path} needs good and total, or bad and total", "write exactly one pair")
        return None
    if len(queries) != 2:
        return None
    made = {key: counter_query(query.text, counter=counter) for key, query in queries.items()}
    return Indicator(name, counts.where, IndicatorType.CUSTOM, shared.source, made["total"], made.get("bad"),
                     made.get("good"))


def _query(parent: Reader, state: _Read) -> PromQuery | None:
    """`{prometheus: {promql: …}}` as its text; what another source is asked is kept as text, without data."""
    entries = parent.entries()
    if len(entries) != 1:
        parent.report("one-of", f"{parent.path} needs exactly one source's query", "write prometheus: {promql: …}")
        return None
    kind, node = entries[0]
    inner = parent.child(kind)
    if inner is None:
        return None
    for key in PROMQL:
        if inner.has(key):
            text = inner.text(key, default="")
            for other, _ in inner.entries():
                if other != key:
                    state.taking.note(inner.field(other), "beside the query nothing is asked", inner.where_of(other))
            return PromQuery(text)
    if kind == "prometheus":
        inner.text("promql", required=True)
        inner.done()
        return None
    state.taking.note(parent.field(kind), f"{kind} is not asked here; kept whole, without data", inner.where)
    return PromQuery(json.dumps({kind: node.plain()}, sort_keys=True))


def _composite(composite: Reader, name: str, target: Target | None, shared: _Shared, state: _Read) -> None:
    taking = state.taking
    taking.lose(composite, "maxDelay", "what was not measured in time is a gap")
    if composite.text("aggregation", one_of=("Reliability", "ErrorBudgetState")) == "ErrorBudgetState":
        taking.note(composite.field("aggregation"), "a journey weighs the parts' shares, not their states",
                    composite.where_of("aggregation"))
    components = composite.child("components", required=True)
    composite.done()
    parts: list[tuple[str, str, float, Reader]] = []
    for one in components.children("objectives", required=True) if components is not None else ():
        slo, objective = one.text("slo", required=True, default=""), one.text("objective", required=True, default="")
        weight = one.number("weight", required=True, minimum=0)
        one.text("project")
        one.text("whenDelayed", one_of=("CountAsGood", "CountAsBad", "Ignore"))
        taking.lose(one, "whenDelayed", "a part without data is taken at its promise")
        one.done()
        if weight is not None:
            parts.append((catalog_name(slo), catalog_name(objective), weight, one))
    if components is not None:
        components.done()
    taking.note(composite.path, "a journey has no window and no method of its own: each part is read over its own",
                composite.where)

    def made() -> Composition | None:
        found = []
        for slo, objective, weight, where in parts:
            known = state.known.get((slo, objective))
            if known is None:
                taking.note(where.path, f'no objective "{objective}" of an SLO "{slo}" is in the files that were named',
                            where.where)
            else:
                found.append((known, weight))
        if not found or not name:
            return None
        return Composition(name, composite.where, "weighted", tuple(found), target, shared.description)

    state.compositions.append(made)


# -- AlertPolicy ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Condition:
    measurement: str
    value: Decimal | timedelta | None
    window: timedelta | None
    hold: timedelta
    operator: str
    reader: Reader


def _policy(reader: Reader, state: _Read) -> None:
    taking = state.taking
    head = _head(reader, state)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is None or not head.name:
        return
    taking.lose(spec, "description", "an alerting has no description")
    written = spec.text("severity", required=True, one_of=("High", "Medium", "Low"), default="Low")
    severity: Severity = "page" if written == "High" else "ticket"
    if written == "Medium":
        taking.note(spec.field("severity"), '"Medium" is read as ticket', spec.where_of("severity"))
    taking.lose(spec, "coolDown", "how soon an alert may come again is Alertmanager's")
    if spec.children("alertMethods"):
        taking.note(spec.field("alertMethods"), "whom an alert is told to is Alertmanager's to route",
                    spec.where_of("alertMethods"))
    conditions = [made for one in spec.children("conditions", required=True)
                  if (made := _condition(one)) is not None]
    spec.done()
    # A condition on what is spent beside others only says that nothing is told any more when all is gone.
    others = [one for one in conditions if not (one.measurement == "burnedBudget" and one.operator in ("lt", "lte"))]
    for one in conditions:
        if one not in others:
            taking.note(one.reader.path, "an alert goes on when the budget is spent", one.reader.where)
    spent = tuple(one.value for one in others if one.measurement == "burnedBudget" and isinstance(one.value, Decimal))
    burns = [one for one in others if one.measurement != "burnedBudget"]
    rung = _rung(burns, severity, taking)
    if spent and rung is not None:
        taking.note(f"{spec.path}.conditions", "a tier and a share that is spent are told apart, not together",
                    spec.where_of("conditions"))
    state.policies[text_name(reader)] = Policy(head.name, reader.where, (rung,) if rung is not None else (), spent)


def text_name(reader: Reader) -> str:
    """The document's own name, as it is written."""
    return text_at(reader.document, "metadata", "name")


_MEASURES = ("averageBurnRate", "burnedBudget", "timeToBurnBudget", "timeToBurnEntireBudget", "budgetDrop")


def _condition(one: Reader) -> _Condition | None:
    measurement = one.text("measurement", required=True, one_of=_MEASURES)
    value: Decimal | timedelta | None
    if measurement in ("timeToBurnBudget", "timeToBurnEntireBudget"):
        value = one.parsed("value", _some_time, required=True)
    else:
        value = one.parsed("value", _number, required=True)
    default = "lt" if isinstance(value, timedelta) else "gte"
    operator = one.text("op", one_of=tuple(OPERATORS), default=default)
    window, hold = one.parsed("alertingWindow", _time), one.parsed("lastsFor", _time)
    one.done()
    return None if measurement is None or value is None else _Condition(
        measurement, value, window, hold or timedelta(), operator, one)


def _number(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise InvalidInput(f'"{text}" is not a number', "write a number such as 14.4") from None
    if not value.is_finite() or value <= 0:
        raise InvalidInput(f'"{text}" is not above 0', "write a number such as 14.4")
    return value


def _some_time(text: str) -> timedelta:
    length = _time(text)
    if not length:
        raise InvalidInput(f'"{text}" is no time at all', "write a time above 0, such as 50h")
    return length


def _time(text: str) -> timedelta:
    """Go's durations, which may hold zeros: `45m0s`, `0m`."""
    parts = re.sub(r"(?<!\d)0+(?:ms|[smhd])", "", text.strip())
    return parse_duration(parts) if parts else timedelta()


def _rung(burns: list[_Condition], severity: Severity, taking: Taking) -> Rung | None:
    """The conditions, which all must hold, as one tier: the longest window, its twelfth beside it."""
    usable = []
    for one in burns:
        if one.measurement == "timeToBurnBudget":
            taking.note(one.reader.field("measurement"), "it asks how long what is left lasts; a tier asks how long a "
                        "whole budget would", one.reader.where_of("measurement"))
        elif one.operator in (("gt", "gte") if isinstance(one.value, timedelta) else ("lt", "lte")):
            taking.note(one.reader.field("op"), "an alert while nothing burns is no tier", one.reader.where_of("op"))
        elif one.window is None or not one.window:
            taking.note(one.reader.path, "a burn is measured over an alertingWindow", one.reader.where)
        else:
            usable.append(one)
    if not usable:
        return None
    usable.sort(key=lambda one: one.window or timedelta())
    longest = usable[-1]
    assert longest.window is not None, "those without were left out"
    for one in usable[:-1]:
        if (one.measurement, one.value) != (longest.measurement, longest.value) or one.window != longest.window / 12:
            taking.note(one.reader.path, "a tier's second window is a twelfth of its first, at the same factor",
                        one.reader.where)
    if len(usable) == 1:
        taking.note(longest.reader.field("alertingWindow"), "a tier also asks a twelfth of the window, so that it ends "
                    "soon after the trouble", longest.reader.where_of("alertingWindow"))
    value = longest.value
    if isinstance(value, timedelta):
        return Rung(severity, longest.window, longest.hold, exhausts=value)
    share = longest.measurement == "budgetDrop"
    return Rung(severity, longest.window, longest.hold, None if share else value, value if share else None)
