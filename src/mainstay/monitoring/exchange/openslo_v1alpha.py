"""OpenSLO v1alpha, in: windows as unit and count, ratios within the objectives, queries with their source beside them.

It is not written: it has no length for a slice of time and no alert kinds, so hardly an objective would be whole.
Source: github.com/OpenSLO/go-sdk pkg/openslo/v1alpha.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from mainstay.kernel.counting import counter_query
from mainstay.kernel.document import Document
from mainstay.kernel.method import Method, Occurrences, Timeslices
from mainstay.kernel.objective import DataSource, Indicator, IndicatorType, Objective, ObjectiveWindow, Service
from mainstay.kernel.openslo_fields import ratio_target, read_calendar
from mainstay.kernel.ports import GaugeQuery
from mainstay.kernel.quantity import CalendarWindow, Period, RollingWindow, Window
from mainstay.kernel.reader import Reader
from mainstay.monitoring.exchange.form import Bundle, Taken
from mainstay.monitoring.exchange.openslo_in import OPERATORS, PROMETHEUS
from mainstay.monitoring.exchange.taking import Taking, catalog_name, text_at

API = "openslo/v1alpha"
UNITS = {"Second": None, "Minute": None, "Hour": None, "Day": Period.DAY, "Week": Period.WEEK, "Month": Period.MONTH,
         "Quarter": Period.QUARTER, "Year": Period.YEAR}
"""What a window is counted in; those without a calendar period only roll."""
_SECONDS = {"Second": 1, "Minute": 60, "Hour": 3600, "Day": 86400, "Week": 604800}
SLICE = timedelta(minutes=1)
"""Formats that name no length judge minute by minute."""


def fits(document: Document) -> bool:
    """Whether it is OpenSLO v1alpha."""
    return text_at(document, "apiVersion") == API


def read(documents: Sequence[Document]) -> Taken:
    """OpenSLO v1alpha documents as a bundle."""
    taking = Taking()
    objectives: list[Objective] = []
    services: list[Service] = []
    sources: dict[str, DataSource] = {}
    for document in documents:
        reader = taking.reader(document)
        kind = text_at(document, "kind")
        meta = reader.child("metadata", required=True)
        name = title = ""
        if meta is not None:
            name, title = taking.name(meta, "name"), meta.text("displayName", default="")
            meta.done()
        spec = reader.child("spec", required=kind == "SLO")
        reader.done()
        if kind == "SLO" and spec is not None:
            objectives += _slo(spec, name, title, sources, taking)
        elif kind == "Service":
            description = spec.text("description", default="") if spec is not None else ""
            if spec is not None:
                spec.done()
            if name:
                services.append(Service(name, reader.where, title, description))
        else:
            reader.report("unknown-kind", f'{API} has no kind "{kind}"', "known kinds: SLO, Service", "kind")
    return taking.taken(Bundle(tuple(objectives), tuple(services), tuple(sources.values())))


def _slo(spec: Reader, name: str, title: str, sources: dict[str, DataSource], taking: Taking) -> list[Objective]:
    description = spec.text("description", default="")
    service = catalog_name(spec.text("service", required=True, default=""))
    method = spec.text("budgetingMethod", required=True, one_of=("Occurrences", "Timeslices"), default="Occurrences")
    windows = tuple(window for one in spec.children("timeWindows", required=True)
                    if (window := read_window(one)) is not None)
    shared = _threshold(spec, name, sources)
    targets = spec.children("objectives", required=True)
    spec.done()
    out = []
    for index, one in enumerate(targets, 1):
        own = name if len(targets) == 1 else f"{name}-{catalog_name(one.text('displayName', default='')) or index}"
        shown = one.text("displayName", default="") or title
        target = one.parsed("target", ratio_target, required=True)
        operator, value = one.text("op", one_of=tuple(OPERATORS)), one.number("value")
        share = one.parsed("timeSliceTarget", ratio_target, required=method == "Timeslices")
        indicator, comparison = _ratio(one, own, sources) or shared, None
        one.done()
        if indicator is None and not one.has("ratioMetrics") and not spec.has("indicator"):
            one.report("missing-field", f"{one.path} needs ratioMetrics, or the objective an indicator",
                       "add ratioMetrics: {good: …, total: …}")
        if indicator is not None and isinstance(indicator.total, GaugeQuery):
            if operator is None or value is None:
                if not one.has("op") or not one.has("value"):
                    one.report("missing-field", f"{one.path} must say op and value: the indicator is a threshold "
                               "metric", "add op: lte and value: …")
                continue
            comparison = (OPERATORS[operator], value)
            indicator = Indicator(indicator.name, indicator.origin, indicator.type, indicator.source,
                                  GaugeQuery(indicator.total.text, *comparison))
        elif one.has("op"):
            one.warn("not-compared", f"{one.field('op')} does nothing: a ratio metric is compared with nothing",
                     "remove op; it belongs to a thresholdMetric", "op")
        counted: Method = Occurrences()
        if method == "Timeslices" and share is not None:
            counted = Timeslices(SLICE, share)
            taking.note(one.field("timeSliceTarget"), "v1alpha names no length of a slice; a minute is taken",
                        one.where_of("timeSliceTarget"))
        if target is not None and indicator is not None and windows and own:
            out.append(Objective(own, one.where, service, indicator,
                                 tuple(ObjectiveWindow(window, target) for window in windows), counted, shown,
                                 description, comparison=comparison))
    return out


def read_window(one: Reader) -> Window | None:
    """A window as unit, count and calendar, as v1alpha and Nobl9 write it."""
    unit = one.text("unit", required=True, one_of=tuple(UNITS))
    count = one.whole("count", required=True, minimum=1, maximum=100_000)
    calendar = one.child("calendar")
    rolling = one.flag("isRolling", default=calendar is None)
    if rolling and calendar is not None:
        one.report("one-of", f"{one.path} is rolling and has a calendar", "remove one of the two", "calendar")
    zone, anchor = read_calendar(calendar)
    one.done()
    if unit is None or count is None:
        return None
    period = UNITS[unit]
    if rolling and unit in _SECONDS:
        seconds = _SECONDS[unit] * count
        if seconds % 300:
            one.report("invalid-value", f"{one.path} is not a whole number of five-minute slots",
                       "write a window of 5 minutes or more", "count")
            return None
        return RollingWindow(timedelta(seconds=seconds))
    if period is None or rolling:
        why = "months have no fixed length to roll by" if rolling else f"no calendar has a period of {unit.lower()}s"
        one.report("invalid-value", f"{one.path}: {why}",
                   "write unit: Day with isRolling: true, or unit: Month with isRolling: false", "unit")
        return None
    return CalendarWindow(period, zone, count, anchor)


def _source(metric: Reader, sources: dict[str, DataSource]) -> tuple[str, str] | None:
    """The name of the source and the query; the source is declared by its mention."""
    written = metric.text("source", required=True, default="")
    metric.text("queryType")
    query = metric.text("query", required=True)
    metric.done()
    name = catalog_name(written)
    if name and name not in PROMETHEUS:
        sources.setdefault(name, DataSource(name, metric.where_of("source"), name, None))
    if not query:
        return None
    # A Prometheus has an address, which v1alpha does not say: --prometheus does.
    return ("" if name in PROMETHEUS else name), query


def _threshold(spec: Reader, name: str, sources: dict[str, DataSource]) -> Indicator | None:
    inline = spec.child("indicator")
    metric = inline.child("thresholdMetric", required=True) if inline is not None else None
    if inline is not None:
        inline.done()
    source = _source(metric, sources) if metric is not None else None
    if source is None or metric is None:
        return None
    return Indicator(name, metric.where, IndicatorType.CUSTOM, source[0], GaugeQuery(source[1]))


def _ratio(one: Reader, name: str, sources: dict[str, DataSource]) -> Indicator | None:
    ratio = one.child("ratioMetrics")
    if ratio is None:
        return None
    counter = ratio.flag("incremental") or ratio.flag("counter")
    good, total = ratio.child("good", required=True), ratio.child("total", required=True)
    ratio.done()
    parts = [_source(metric, sources) for metric in (good, total) if metric is not None]
    if len(parts) != 2 or parts[0] is None or parts[1] is None:
        return None
    return Indicator(name, ratio.where, IndicatorType.CUSTOM, parts[1][0],
                     counter_query(parts[1][1], counter=counter), good=counter_query(parts[0][1], counter=counter))
