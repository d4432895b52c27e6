"""`mainstay/v1`: indicators by what they mean, objectives with all that a team says of them, journeys, maintenance."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from math import isfinite

from mainstay.kernel.catalog import Form
from mainstay.kernel.counting import counter_query, histogram_queries
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import Position
from mainstay.kernel.metadata import parse_date, parse_period, read_metadata
from mainstay.kernel.method import Idle, Method, Occurrences, RatioTimeslices, Timeslices, step_of
from mainstay.kernel.objective import (
    Dependency,
    FreshWithin,
    Indicator,
    IndicatorType,
    Objective,
    ObjectiveWindow,
    PerSecond,
    Review,
)
from mainstay.kernel.ports import Condition, EventQuery, PromQuery
from mainstay.kernel.quantity import SLOT, RollingWindow, Window, parse_duration, parse_window, zone_named
from mainstay.kernel.reader import Reader
from mainstay.slo.policy_forms import read_native_policy
from mainstay.slo.queries import compared, events_that, read_conditions, read_exclusions
from mainstay.slo.spec import Journey, Maintenance, Step

_TYPES = tuple(str(kind) for kind in IndicatorType)
_IDLE: dict[str, Idle] = {"left out": "left out", "good": "good", "bad": "bad"}
_SLICE = timedelta(minutes=1)
"""Throughput and freshness are judged minute by minute unless the file says otherwise."""


def read_indicator_kind(reader: Reader) -> Iterator[Indicator]:
    """mainstay/v1 Indicator."""
    meta = read_metadata(reader)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is None:
        return
    indicator = read_indicator(spec, meta.name, meta.origin)
    if indicator is not None and meta.name:
        yield indicator


def read_indicator(spec: Reader, name: str, origin: Position) -> Indicator | None:
    """An indicator's body: its type, its source, and what is counted there as events or by PromQL."""
    before = len(spec.findings)
    kind = IndicatorType(spec.text("type", one_of=_TYPES, default="custom"))
    source = spec.text("source", default="")
    threshold = spec.duration("threshold")
    slice_ = spec.parsed("slice", _slice) or _SLICE
    description = spec.text("description", default="")
    considered = (*read_conditions(spec, "where"), *read_exclusions(spec, "exclude"))
    parts = {key: part for key in ("good", "bad", "total") if (part := _part(spec, key, considered)) is not None}
    counted = _counted(spec, kind, considered, parts, threshold)
    minimum = spec.parsed("minimum", _per_second)
    gauge = spec.text("gauge")
    at_most, at_least = spec.number("at_most"), spec.number("at_least")
    spec.done()
    said = tuple(_words(one) for one in considered)
    if gauge is not None:
        if spec.has("at_most") == spec.has("at_least"):
            spec.report("one-of", f"{spec.path}.gauge needs at_most or at_least", "add at_most: VALUE", "gauge")
        if (at_most is None) == (at_least is None):
            return None
        bound = compared(gauge, "<=", at_most) if at_most is not None else compared(gauge, ">=", at_least or 0.0)
        return Indicator(name, origin, kind, source, bound, description=description)
    total = parts.get("total", EventQuery(considered))
    if kind is IndicatorType.THROUGHPUT:
        if not spec.has("minimum"):
            spec.report("missing-field", f"{spec.path} is a throughput and says no minimum", "add minimum: 10/s")
        if minimum is None:
            return None
        return Indicator(name, origin, kind, source, total, derived=PerSecond(minimum, slice_),
                         description=description, exclusions=said)
    if kind is IndicatorType.FRESHNESS and counted is None:
        if not spec.has("threshold"):
            spec.report("missing-field", f"{spec.path} is a freshness and says no threshold", "add threshold: 10m")
        if threshold is None:
            return None
        return Indicator(name, origin, kind, source, total, derived=FreshWithin(threshold, slice_),
                         threshold=threshold, description=description, exclusions=said)
    if counted is None:
        if len(spec.findings) == before:  # else the mistake already told may be what is missing
            spec.report("missing-field", f"{spec.path} does not say what is good or bad",
                        'add good: {status: "<500"}, bad: …, histogram: … or gauge: …')
        return None
    good, bad, total = counted
    return Indicator(name, origin, kind, source, total, bad, good, None, threshold, description, said)


def _slice(text: str) -> timedelta:
    length = parse_duration(text)
    step_of(RatioTimeslices(length))
    return length


_Query = EventQuery | PromQuery
_Counted = tuple[_Query | None, _Query | None, _Query]


def _part(spec: Reader, key: str, considered: tuple[Condition, ...]) -> _Query | None:
    """`good`, `bad` or `total`: a PromQL text, or conditions on events (those considered)."""
    node = spec.node.value.get(key) if isinstance(spec.node.value, dict) else None
    if node is None:
        return None
    if isinstance(node.value, dict):
        return events_that(considered, read_conditions(spec, key))
    text = spec.text(key)
    return counter_query(text, counter=True) if text is not None else None


def _counted(spec: Reader, kind: IndicatorType, considered: tuple[Condition, ...], parts: dict[str, _Query],
             threshold: timedelta | None) -> _Counted | None:
    """Good, bad and total; a latency may say `histogram`, or only a threshold (events), an availability nothing."""
    histogram = spec.text("histogram")
    spec.ignore("minimum", "gauge", "at_most", "at_least")
    if histogram is not None:
        if not spec.has("threshold"):
            spec.report("missing-field", f"{spec.path}.histogram needs a threshold", "add threshold: 300ms",
                        "histogram")
        if threshold is None:
            return None
        try:
            within, counted = histogram_queries(histogram, threshold.total_seconds())
        except InvalidInput as error:
            spec.report("invalid-value", error.message, error.way_out, "histogram")
            return None
        return within, None, counted
    if "good" in parts and "bad" in parts:
        spec.report("one-of", f"{spec.path} says both good and bad", "keep one: the other follows from total", "bad")
        return None
    total = parts.get("total", EventQuery(considered))
    if "good" in parts or "bad" in parts:
        numerator = parts.get("good", parts.get("bad"))
        if isinstance(numerator, EventQuery) is not isinstance(total, EventQuery):
            spec.report("invalid-value", f"{spec.path} mixes conditions on events with PromQL",
                        "write good (or bad) and total in one language")
            return None
        return parts.get("good"), parts.get("bad"), total
    if isinstance(total, EventQuery) and not spec.has("gauge"):
        if kind is IndicatorType.LATENCY and threshold is not None:
            slow = Condition("duration", ">", (threshold.total_seconds(),))
            timed = EventQuery((*total.where, Condition("duration", "present")))
            return None, events_that(timed.where, (slow,)), timed
        if kind in (IndicatorType.AVAILABILITY, IndicatorType.ERROR_RATE):
            return None, events_that(total.where, (Condition("status", ">=", (500.0,)),)), total
    return None


def _words(one: Condition) -> str:
    values = ", ".join(f"{value:g}" if isinstance(value, float) else value for value in one.values)
    return f"{one.field} {one.operator} {values}".strip()


def _per_second(text: str) -> float:
    number, _, unit = text.partition("/")
    per = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}.get(unit.strip())
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if per is None or value <= 0 or not isfinite(value):
        raise InvalidInput(f'"{text}" is not a rate', "write 10/s or 600/m")
    return value / per


# -- objective ----------------------------------------------------------------------------------------------------


def read_objective(reader: Reader) -> Iterator[Objective]:
    """mainstay/v1 Objective."""
    meta = read_metadata(reader)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is None:
        return
    inline, reference = spec.child("indicator"), spec.text("indicatorRef")
    indicator: Indicator | str | None = reference
    if (inline is None) == (reference is None):
        spec.report("one-of", f"{spec.path} needs indicator or indicatorRef" + (", not both" if reference else ""),
                    "write exactly one of the two")
        indicator = None
    elif inline is not None:
        indicator = read_indicator(inline, meta.name, inline.where)
    target = spec.target("target", required=True)
    zone = spec.parsed("timezone", lambda text: str(zone_named(text))) or "UTC"
    main = spec.parsed("window", lambda text: parse_window(text, zone=zone)) or RollingWindow(timedelta(days=30))
    others = tuple(filter(None, (_window(child, zone) for child in spec.children("windows"))))
    fields = {key: spec.text(key, default="") for key in ("description", "rationale", "owner", "policy", "service")}
    method = _method(spec)
    sla = spec.target("sla")
    dependencies = tuple(filter(None, map(_dependency, spec.children("dependencies"))))
    review, exclusions = _review(spec), spec.texts("exclusions")
    spec.done()
    if target is not None and sla is not None and sla.ratio > target.ratio:
        spec.report("sla-above-target", f"the SLA promises {sla}, more than the objective's {target}",
                    "an SLA is looser than the objective, so that the team knows first", "sla")
    if indicator is None or target is None or not meta.name:
        return
    yield Objective(
        meta.name, meta.origin, fields["service"] or meta.service, indicator, (ObjectiveWindow(main, target), *others),
        method, meta.title, fields["description"], fields["rationale"], fields["owner"] or meta.owner, sla,
        dependencies, fields["policy"], review, exclusions, meta.labels)


def _window(reader: Reader, zone: str) -> ObjectiveWindow | None:
    window: Window | None = reader.parsed("window", lambda text: parse_window(text, zone=zone), required=True)
    target = reader.target("target", required=True)
    alert = reader.text("alert", one_of=("page", "ticket", "report"), default="report")
    reader.done()
    return ObjectiveWindow(window, target, alert) if window is not None and target is not None else None


def _method(spec: Reader) -> Method:
    name = spec.text("method", one_of=("occurrences", "timeslices", "ratio_timeslices"), default="occurrences")
    length = spec.duration("slice", required=name != "occurrences")
    share = spec.target("slice_target", required=name == "timeslices")
    idle = spec.text("idle", one_of=tuple(_IDLE), default="left out")
    method: Method = Occurrences()
    if length is not None and name == "ratio_timeslices":
        method = RatioTimeslices(length, _IDLE[idle])
    elif length is not None and share is not None and name == "timeslices":
        method = Timeslices(length, share, _IDLE[idle])
    try:
        step_of(method)
    except InvalidInput as error:
        spec.report("invalid-value", error.message, error.way_out, "slice")
    return method


def _dependency(reader: Reader) -> Dependency | None:
    service = reader.text("service", required=True)
    promise = reader.target("promise")
    impact = reader.text("impact", default="")
    reader.done()
    return Dependency(service, promise, impact, reader.where) if service is not None else None


def _review(spec: Reader) -> Review | None:
    child = spec.child("review")
    if child is None:
        return None
    every = child.parsed("every", parse_period, required=True)
    last = child.parsed("last", parse_date)
    participants, agenda = child.texts("participants"), child.texts("agenda")
    child.done()
    return Review(every, last, participants, agenda) if every is not None else None


# -- journey and maintenance --------------------------------------------------------------------------------------


def read_journey(reader: Reader) -> Iterator[Journey]:
    """mainstay/v1 Journey: steps that name an objective or state a target."""
    meta = read_metadata(reader)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is None:
        return
    description = spec.text("description", default="")
    combine = spec.text("combine", one_of=("serial", "weighted", "composite"), default="serial")
    target = spec.target("target")
    steps: list[Step] = []
    weights: list[float] = []
    written = spec.children("steps", required=True)
    if spec.has("steps") and not written:
        spec.report("missing-field", f"{spec.path}.steps is empty", "write at least one step", "steps")
    for child in written:
        name = child.text("name")
        objective = child.text("objective", default="")
        promised = child.target("target")
        weight = child.number("weight", minimum=0)
        child.done()
        if bool(objective) == child.has("target"):
            child.report("one-of", f"{child.path} needs objective or target" + (", not both" if objective else ""),
                         "write objective: NAME, or target: 99.9 for a step nobody measures yet")
            continue
        steps.append(Step(name or objective or f"step {len(steps) + 1}", objective, promised, child.where))
        weights.append(1.0 if weight is None else weight)
    spec.done()
    if not steps or not meta.name:
        return
    if combine != "serial" and not sum(weights) > 0:
        spec.report("invalid-value", f"{spec.path}: the weights add up to nothing", "give at least one step a weight")
        return
    yield Journey(meta.name, meta.origin, tuple(steps), combine, tuple(weights), target, description)


def read_maintenance(reader: Reader) -> Iterator[Maintenance]:
    """mainstay/v1 Maintenance: once, or every so often."""
    meta = read_metadata(reader)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is None:
        return
    start, length = spec.moment("start", required=True), spec.parsed("duration", parse_duration, required=True)
    every, until = spec.parsed("every", parse_duration), spec.moment("until")
    reason = spec.text("reason", required=True, default="")
    services, objectives = spec.texts("services"), spec.texts("objectives")
    spec.done()
    if length is not None and every is not None and (every <= length or every < timedelta(seconds=SLOT)):
        spec.report("out-of-range", f"{spec.path}.every leaves nothing that counts",
                    "write a distance longer than the duration and than five minutes", "every")
        return
    if start is None or length is None or not meta.name:
        return
    yield Maintenance(meta.name, meta.origin, start, length, reason, every, until, services, objectives)


FORMS = (
    Form("mainstay/v1 Indicator", read_indicator_kind, "mainstay/v1", "Indicator"),
    Form("mainstay/v1 Objective", read_objective, "mainstay/v1", "Objective"),
    Form("mainstay/v1 Journey", read_journey, "mainstay/v1", "Journey"),
    Form("mainstay/v1 Maintenance", read_maintenance, "mainstay/v1", "Maintenance"),
    Form("mainstay/v1 ErrorBudgetPolicy", read_native_policy, "mainstay/v1", "ErrorBudgetPolicy"),
)
