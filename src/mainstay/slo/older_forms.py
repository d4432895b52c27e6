"""Forms that teams already have: `slo/v1`, the `slos:` list, and the SLO document (`slo_document:`).

Each says less than is needed to measure exactly, or says it twice. What had to be assumed is a warning with the line
to write, so that nobody is surprised by a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

from mainstay.kernel.catalog import Form
from mainstay.kernel.counting import counter_query, histogram_queries, split_ratio
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import Finding, Position, Severity
from mainstay.kernel.metadata import parse_date, parse_period, read_metadata
from mainstay.kernel.objective import Dependency, Indicator, IndicatorType, Objective, ObjectiveWindow, Review, Service
from mainstay.kernel.ports import Condition, EventQuery, GaugeQuery, PromQuery
from mainstay.kernel.quantity import RollingWindow, Target, Window, parse_duration, parse_window
from mainstay.kernel.reader import Reader
from mainstay.slo.policy_forms import document_policy, read_seed_policy
from mainstay.slo.queries import compared, events_that, read_conditions
from mainstay.slo.spec import ErrorBudgetPolicy

_TYPES = tuple(str(kind) for kind in IndicatorType)


# -- slo/v1 ServiceLevelObjective ---------------------------------------------------------------------------------


def read_slo_v1(reader: Reader) -> Iterator[Objective]:
    """slo/v1 ServiceLevelObjective."""
    meta = read_metadata(reader)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is None:
        return
    description = spec.text("description", default="")
    target = spec.target("objective", required=True)
    window: Window | None = spec.parsed("window", parse_window, required=True)
    sli = spec.child("sli", required=True)
    for alert in spec.children("alerting"):
        alert.text("type")
        alert.text("severity")
        alert.number("burn_rate", minimum=0)
        alert.duration("window")
        alert.done()
    spec.done()
    if sli is None:
        return
    indicator = _slo_v1_indicator(sli, meta.name)
    if indicator is not None and target is not None and window is not None and meta.name:
        yield Objective(meta.name, meta.origin, meta.service, indicator, (ObjectiveWindow(window, target),),
                        description=description, owner=meta.owner, labels=meta.labels)


def _slo_v1_indicator(sli: Reader, name: str) -> Indicator | None:
    kind = IndicatorType(sli.text("type", one_of=_TYPES, required=True, default="custom"))
    threshold = sli.duration("threshold", required=kind is IndicatorType.LATENCY)
    percentile = sli.number("percentile", minimum=0, maximum=100)
    if percentile is not None:
        sli.warn("percentile-and-objective",
              f"percentile {percentile:g} and the objective both say which share must be fast; the objective counts",
              "remove percentile, or write it as the objective", "percentile")
    source = sli.text("source", default="")
    where = read_conditions(sli, "where")
    histogram = sli.text("histogram")
    queries = {key: sli.text(key) for key in ("good", "bad", "total")}
    sli.done()
    if kind is IndicatorType.LATENCY and threshold is None:
        return None
    if histogram is not None and threshold is not None:
        try:
            good, total = histogram_queries(histogram, threshold.total_seconds())
        except InvalidInput as error:
            sli.report("invalid-value", error.message, error.way_out, "histogram")
            return None
        return Indicator(name, sli.where, kind, source, total, good=good, threshold=threshold)
    if queries["total"] is not None and (queries["good"] is not None or queries["bad"] is not None):
        parts = {key: counter_query(text, counter=True) for key, text in queries.items() if text is not None}
        return Indicator(name, sli.where, kind, source, parts["total"], parts.get("bad"), parts.get("good"),
                         threshold=threshold)
    total_events = EventQuery(where)
    if kind is IndicatorType.LATENCY and threshold is not None:
        timed = events_that(where, (Condition("duration", "present"),))
        slow = Condition("duration", ">", (threshold.total_seconds(),))
        return Indicator(name, sli.where, kind, source, timed, events_that(timed.where, (slow,)), threshold=threshold)
    return Indicator(name, sli.where, kind, source, total_events,
                     events_that(where, (Condition("status", ">=", (500.0,)),)), threshold=threshold)


# -- slos: list ---------------------------------------------------------------------------------------------------


def read_slos(reader: Reader) -> Iterator[Objective]:
    """A `slos:` list: each entry with one query that is already a ratio, or a threshold in the query's unit."""
    default_source = reader.text("source", default="")
    entries = reader.children("slos", required=True)
    reader.done()
    if entries and all(map(_is_calculation, entries)):
        reader.findings.append(Finding(
            "left-alone", reader.where, "numbers that were measured already, with nothing to measure them again by; "
            "left alone", f"scripts/calculate_slo_budget.py --config {reader.document.file} reads it; to have it "
            "measured, write what to count under sli:", severity=Severity.HINT))
        return
    for entry in entries:
        objective = _slos_entry(entry, default_source)
        if objective is not None:
            yield objective


_CALCULATED = ("slo", "current_availability", "total_requests", "failed_requests", "latency")


def _is_calculation(entry: Reader) -> bool:
    """Whether the entry is one of the budget calculator's, whose list has the same root."""
    return not entry.has("sli") and any(map(entry.has, _CALCULATED))


def _slos_entry(entry: Reader, default_source: str) -> Objective | None:
    name = entry.text("name", required=True)
    description = entry.text("description", default="")
    service = entry.text("service", default="")
    window: Window | None = entry.parsed("window", parse_window, required=True)
    sli = entry.child("sli", required=True)
    if sli is None:
        entry.ignore("target", "objective", "source")
        entry.done()
        return None
    sli_name = sli.text("name", default=name or "")
    sli_description = sli.text("description", default="")
    unit = sli.text("unit", default="percent")
    kind = sli.text("target_type", required=True, one_of=("availability", "latency", "throughput"))
    query = sli.text("query")
    good, bad, total = sli.text("good"), sli.text("bad"), sli.text("total")
    sli.done()
    source = entry.text("source", default=default_source)
    if kind == "availability":
        target = entry.target("target", required=True)
        entry.ignore("objective")
        counted = _ratio_of(sli, query, good, bad, total, unit)
    else:
        bound = entry.number("target", required=True, minimum=0)
        target = entry.target("objective")
        if target is None:
            entry.warn("no-objective", f"the target is a threshold in {unit} and no share is promised; 95 % is "
                  "assumed", "add objective: 95 (the percentage of time within the threshold)", "target")
            target = Target.percent("95")
        counted = None
        if query is None:
            sli.report("missing-field", f"{sli.path}.query is missing", "add query: PROMQL")
        elif bound is not None:
            # Lower is better for latency; a throughput must not fall below its bound.
            counted = (None, None, compared(query, "<=" if kind == "latency" else ">=", bound))
    entry.done()
    if counted is None or target is None or window is None or kind is None or name is None:
        return None
    indicator = Indicator(sli_name, sli.where, IndicatorType(kind), source, counted[2], counted[0], counted[1],
                          description=sli_description)
    return Objective(name, entry.where, service, indicator, (ObjectiveWindow(window, target),), description=description)


_Ratio = tuple[PromQuery | None, PromQuery | None, PromQuery | GaugeQuery]


def _ratio_of(sli: Reader, query: str | None, good: str | None, bad: str | None, total: str | None,
              unit: str | None) -> _Ratio | None:
    """Bad, good and total; from a ratio query alone only a mean of ratios can be had, which is said."""
    if total is not None and (good is not None) != (bad is not None):
        numerator = counter_query(good or bad or "", counter=True)
        whole = counter_query(total, counter=True)
        return (None, numerator, whole) if good is not None else (numerator, None, whole)
    if query is None:
        sli.report("missing-field", f"{sli.path} needs good and total, or query", "add good: and total: as PromQL")
        return None
    if (counters := split_ratio(query)) is not None:
        return None, *counters
    sli.warn("ratio-query", "a query that is already a ratio can only be averaged over time, which weighs a quiet "
          "night like a busy day", "write good: and total: instead of query:", "query")
    text = re.sub(r"\*\s*100\s*$", "", query.strip()) if unit == "percent" else query.strip()
    if unit == "percent" and text == query.strip():
        text = f"({text}) / 100"
    return None, None, GaugeQuery(text.strip(), share="good")


# -- slo_document: ------------------------------------------------------------------------------------------------


def read_slo_document(reader: Reader) -> Iterator[Objective | Service | ErrorBudgetPolicy]:
    """The SLO document of a service: metadata, objectives, policy, measurement, dependencies, reviews."""
    document = reader.child("slo_document", required=True)
    reader.done()
    if document is None:
        return
    head = document.child("metadata", required=True)
    if head is None:
        return
    service, owner = head.text("service", required=True), head.text("owner", default="")
    head.text("version")
    updated = head.parsed("last_updated", parse_date)
    every = head.parsed("review_frequency", parse_period)
    head.done()
    entries = document.children("objectives", required=True)
    zones = document.child("error_budget_policy")
    measurement = document.child("measurement")
    source, queries = "", dict[str, tuple[str, Position]]()
    if measurement is not None:
        source = measurement.text("source", default="")
        measurement.ignore("data_source", "dashboard", "alerting")
        child = measurement.child("queries")
        if child is not None:
            queries = {key: (str(node.value), child.where_of(key)) for key, node in child.entries()}
        measurement.done()
    dependencies = tuple(_document_dependency(child) for child in document.children("dependencies"))
    participants, agenda = _document_review(document)
    document.done()
    if service is None:
        return
    yield Service(service, head.where, owner=owner)
    policy_name = ""
    if zones is not None:
        policy = document_policy(zones, f"{service}-policy", service)
        if policy is not None:
            policy_name = policy.name
            yield policy
    review = Review(every, updated, participants, agenda) if every is not None else None
    for entry in entries:
        objective = _document_objective(entry, service, owner, source, queries)
        if objective is not None:
            yield _with_document(objective, policy_name, review, tuple(d for d in dependencies if d is not None))


def _with_document(one: Objective, policy: str, review: Review | None, dependencies: tuple[Dependency, ...],
                   ) -> Objective:
    return Objective(one.name, one.origin, one.service, one.indicator, one.windows, one.method, one.title,
                     one.description, one.rationale, one.owner, one.sla, dependencies, policy, review, one.exclusions)


def _document_dependency(reader: Reader) -> Dependency | None:
    service = reader.text("service", required=True)
    promise = reader.target("slo_dependency")
    impact = reader.text("impact", default="")
    reader.done()
    return Dependency(service, promise, impact, reader.where) if service is not None else None


def _document_review(document: Reader) -> tuple[tuple[str, ...], tuple[str, ...]]:
    schedule = document.child("review_schedule")
    if schedule is None:
        return (), ()
    participants: tuple[str, ...] = ()
    agenda: tuple[str, ...] = ()
    for key, _ in schedule.entries():
        child = schedule.child(key)
        if child is not None:
            participants += child.texts("participants")
            agenda += child.texts("agenda")
            child.done()
    return participants, agenda


_BOUND = re.compile(r"\s*<=?\s*(\S+)\s*")
_PERCENTILE = re.compile(r"\bp(\d{2}(?:\.\d+)?)\b|(\d{2}(?:\.\d+)?)(?:st|nd|rd|th) percentile", re.IGNORECASE)
_ROLLING = re.compile(r"(\d+)\s*days?(?:\s+rolling)?", re.IGNORECASE)


def _document_objective(entry: Reader, service: str, owner: str, source: str,
                        queries: dict[str, tuple[str, Position]]) -> Objective | None:
    title = entry.text("name", required=True)
    sli = entry.child("sli", required=True)
    target_text = entry.text("target", required=True)
    window: Window | None = entry.parsed("window", _document_window, required=True)
    rationale = entry.text("rationale", default="")
    entry.done()
    if sli is None:
        return None
    metric, definition = sli.text("metric", default=""), sli.text("definition", default="")
    exclusions = sli.texts("exclusions")
    promised = _document_target(entry, target_text, f"{title} {metric}") if target_text is not None else None
    indicator = _document_indicator(sli, title or metric, source, promised[1] if promised else None, queries)
    sli.done()
    if promised is None or indicator is None or title is None or window is None:
        return None
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    return Objective(f"{service}-{slug}", entry.where, service, indicator, (ObjectiveWindow(window, promised[0]),),
                     title=title, description=f"{metric}: {definition}".strip(": "), rationale=rationale, owner=owner,
                     exclusions=exclusions)


def _document_window(text: str) -> Window:
    found = _ROLLING.fullmatch(text.strip())
    return RollingWindow(timedelta(days=int(found[1]))) if found else parse_window(text)


def _document_target(entry: Reader, text: str, named: str) -> tuple[Target, timedelta | None] | None:
    """`99.95%` as a target; `< 300ms` as a threshold, the share coming from the `p95` in the objective's name."""
    try:
        bound = _BOUND.fullmatch(text)
        if bound is None:
            return Target.percent(text), None
        found = _PERCENTILE.search(named)
        if found is None:
            entry.report("missing-field", f"{entry.path}.target is a threshold and no share is named",
                         "name the percentile: Latency (p95)", "target")
            return None
        return Target.percent(found[1] or found[2]), parse_duration(bound[1])
    except InvalidInput as error:
        entry.report("invalid-value", f"{entry.path}.target: {error.message}", error.way_out, "target")
        return None


def _document_indicator(sli: Reader, title: str, source: str, threshold: timedelta | None,
                        queries: dict[str, tuple[str, Position]]) -> Indicator | None:
    """What is counted: `good`/`bad`/`total`/`histogram` beside the words, else conditions on events of the source."""
    own_source = sli.text("source", default=source)
    where = read_conditions(sli, "where")
    texts = {key: sli.text(key) for key in ("good", "bad", "total", "histogram")}
    bad_events = read_conditions(sli, "bad_events")
    kind = IndicatorType.LATENCY if threshold is not None else IndicatorType.CUSTOM
    if texts["histogram"] is not None and threshold is not None:
        try:
            good, total = histogram_queries(texts["histogram"], threshold.total_seconds())
        except InvalidInput as error:
            sli.report("invalid-value", error.message, error.way_out, "histogram")
            return None
        return Indicator(title, sli.where, kind, own_source, total, good=good, threshold=threshold)
    if texts.get("total") and (texts.get("good") or texts.get("bad")):
        parts = {key: counter_query(text, counter=True) for key, text in texts.items() if text}
        return Indicator(title, sli.where, kind, own_source, parts["total"], parts.get("bad"), parts.get("good"))
    if threshold is not None:
        timed = events_that(where, (Condition("duration", "present"),))
        slow = Condition("duration", ">", (threshold.total_seconds(),))
        return Indicator(title, sli.where, kind, own_source, timed, events_that(timed.where, (slow,)),
                         threshold=threshold)
    if bad_events:
        return Indicator(title, sli.where, kind, own_source, EventQuery(where), events_that(where, bad_events))
    for key, (query, _) in queries.items():
        if key.lower() in title.lower() and (counters := split_ratio(query)) is not None:
            return Indicator(title, sli.where, IndicatorType.CUSTOM, own_source, counters[1], good=counters[0])
    definition = sli.text("definition", default="")
    if re.search(r"status(_code)?\s*<\s*500", definition):
        return Indicator(title, sli.where, IndicatorType.AVAILABILITY, own_source, EventQuery(where),
                         events_that(where, (Condition("status", ">=", (500.0,)),)))
    sli.warn("words-only", f'"{title}" says in words only what is bad; there will be no data until it is countable',
          'add bad_events: {field: condition}, or good: and total: as PromQL')
    never = Condition("mainstay_undefined", "present")
    return Indicator(title, sli.where, kind, "", EventQuery((never,)), EventQuery((never,)))


FORMS = (
    Form("slo/v1 ServiceLevelObjective", read_slo_v1, "slo/v1", "ServiceLevelObjective"),
    # Kubernetes has a policy/v1 as well.
    Form("policy/v1 ErrorBudgetPolicy", read_seed_policy, "policy/v1", "ErrorBudgetPolicy", shared=True),
    Form("slos: list", read_slos, root_key="slos"),
    Form("slo_document:", read_slo_document, root_key="slo_document"),
)
