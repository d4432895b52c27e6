"""OpenSLO v1 and v2alpha, in: every kind, references followed, inline objects taken in.

v1 is native to the catalog, which reads it as it stands. Imported, it is normalised: one objective a document, its
indicator inline, its alert policies as the alerting they mean. v2alpha renames fields and flattens metric sources.
Sources: github.com/OpenSLO/OpenSLO README and enhancements/v2alpha.md; github.com/OpenSLO/go-sdk pkg/openslo.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import field, replace
from datetime import datetime, timedelta

from mainstay.kernel.counting import counter_query
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.document import Document
from mainstay.kernel.objective import (
    DataSource,
    Indicator,
    IndicatorType,
    Objective,
    ObjectiveWindow,
    PrometheusDetails,
    Service,
)
from mainstay.kernel.openslo_fields import METHODS, read_calendar, read_method, read_target, window_of
from mainstay.kernel.ports import GaugeQuery, PromQuery
from mainstay.kernel.quantity import (
    CalendarWindow,
    RollingWindow,
    Window,
)
from mainstay.kernel.reader import Reader
from mainstay.monitoring.exchange.form import Bundle, Composition, Taken
from mainstay.monitoring.exchange.openslo_alerts_in import Policies
from mainstay.monitoring.exchange.taking import Taking, catalog_name, text_at

OPERATORS = {"lte": "<=", "gte": ">=", "lt": "<", "gt": ">"}
PROMETHEUS = ("prometheus", "thanos", "mimir", "victoriametrics")


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a version calls its fields.

    Args:
        nested: whether a metric's source stands in `metricSource`, as in v1.
    """

    api: str
    service: tuple[str, ...]
    sli: str
    sli_ref: str
    nested: bool
    title: str | None


V1 = Dialect("openslo/v1", ("service",), "indicator", "indicatorRef", True, "displayName")
V2 = Dialect("openslo.com/v2alpha", ("serviceRef", "service"), "sli", "sliRef", False, None)


@dataclass(slots=True)
class _Read:
    """One reading: what is found, and what others of the documents may refer to."""

    dialect: Dialect
    taking: Taking = field(default_factory=Taking)
    indicators: dict[str, Reader] = field(default_factory=dict)
    policies: Policies = field(default_factory=Policies)
    objectives: list[Objective] = field(default_factory=list)
    services: list[Service] = field(default_factory=list)
    sources: list[DataSource] = field(default_factory=list)
    compositions: list[Composition] = field(default_factory=list)


def fits_v1(document: Document) -> bool:
    """Whether it is OpenSLO v1."""
    return text_at(document, "apiVersion") == V1.api


def fits_v2(document: Document) -> bool:
    """Whether it is OpenSLO v2alpha."""
    return text_at(document, "apiVersion") in (V2.api, "openslo/v2alpha")


def read_v1(documents: Sequence[Document]) -> Taken:
    """OpenSLO v1 documents as a bundle."""
    return _read(documents, V1)


def read_v2(documents: Sequence[Document]) -> Taken:
    """OpenSLO v2alpha documents as a bundle."""
    return _read(documents, V2)


_KINDS = ("Service", "DataSource", "SLI", "SLO", "AlertPolicy", "AlertCondition", "AlertNotificationTarget")


def _read(documents: Sequence[Document], dialect: Dialect) -> Taken:
    read = _Read(dialect)
    slos: list[Reader] = []
    for document in documents:
        reader = read.taking.reader(document)
        match kind := text_at(document, "kind"):
            case "SLI":
                read.indicators[text_at(document, "metadata", "name")] = reader
            case "AlertPolicy" | "AlertCondition" | "AlertNotificationTarget":
                read.policies.declare(kind, text_at(document, "metadata", "name"), reader)
            case "SLO":
                slos.append(reader)
            case "Service":
                _service(reader, read)
            case "DataSource":
                _data_source(reader, read)
            case _:
                reader.report("unknown-kind", f'{dialect.api} has no kind "{kind}"',
                              "known kinds: " + ", ".join(sorted(_KINDS)), "kind")
    for reader in slos:
        _slo(reader, read)
    alertings = read.policies.alertings(read.objectives, read.taking)
    read.policies.leftover(read.taking)
    used = {one.indicator.name for one in read.objectives if isinstance(one.indicator, Indicator)}
    for name, reader in read.indicators.items():
        if name not in used:
            _indicator_alone(reader, read)
    return read.taking.taken(Bundle(tuple(read.objectives), tuple(read.services), tuple(read.sources), alertings,
                                    tuple(read.compositions)))


@dataclass(frozen=True, slots=True)
class _Head:
    name: str
    title: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    owner: str = ""


def _head(reader: Reader, read: _Read, *, keep_labels: bool = False) -> _Head:
    meta = reader.child("metadata", required=True)
    if meta is None:
        return _Head("")
    name = read.taking.name(meta, "name")
    title = meta.text("displayName", default="") if read.dialect.title else ""
    labels = _labels(meta) if keep_labels else {}
    if not keep_labels:
        read.taking.lose(meta, "labels", "only objectives keep labels in a catalog")
    owner = ""
    notes = meta.child("annotations")
    for key, node in notes.entries() if notes is not None else ():
        if key == "mainstay/owner":
            owner = str(node.value)
        else:
            read.taking.note(f"metadata.annotations.{key}", "a catalog keeps no annotations of other tools",
                             notes.where_of(key) if notes is not None else meta.where)
    meta.done()
    return _Head(name, title, labels, owner)


def _labels(meta: Reader) -> dict[str, str]:
    child = meta.child("labels")
    out = {}
    for key, node in child.entries() if child is not None else ():
        items = node.value if isinstance(node.value, list) else [node]
        out[key] = ",".join("" if item.value is None else str(item.value) for item in items)
    return out


def _service(reader: Reader, read: _Read) -> None:
    head = _head(reader, read)
    spec = reader.child("spec")
    description = spec.text("description", default="") if spec is not None else ""
    if spec is not None:
        spec.done()
    reader.done()
    if head.name:
        read.services.append(Service(head.name, reader.where, head.title, description, head.owner))


def _data_source(reader: Reader, read: _Read) -> None:
    head = _head(reader, read)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is None:
        return
    source = _source_of(spec, head.name, read)
    if source is not None and head.name:
        read.sources.append(source)


def _source_of(spec: Reader, name: str, read: _Read) -> DataSource | None:
    kind = spec.text("type", required=True, default="")
    description = spec.text("description", default="")
    if kind.lower() not in PROMETHEUS:
        read.taking.lose(spec, "connectionDetails", f'a source of type "{kind}" is kept by name and cannot be asked')
        spec.done()
        return DataSource(name, spec.where, kind.lower(), None, description) if kind else None
    node = spec.node.value.get("connectionDetails") if isinstance(spec.node.value, dict) else None
    listed = node is not None and isinstance(node.value, list)
    children = spec.children("connectionDetails") if listed else [
        one for one in [spec.child("connectionDetails", required=True)] if one is not None]
    url = ""
    for child in children:
        url = child.text("url", default=url)
        for key, _ in child.entries():
            if key != "url":
                read.taking.lose(child, key, "only the address is taken over; name secrets in the catalog by "
                                 "token_env or password_file")
    spec.done()
    if not url.startswith(("http://", "https://")):
        read.taking.note(spec.field("connectionDetails"), "it holds no url that could be asked", spec.where)
        return None
    return DataSource(name, spec.where, "prometheus", PrometheusDetails(url), description)


# -- SLI --------------------------------------------------------------------------------------------------------------


def _indicator_alone(reader: Reader, read: _Read) -> None:
    """An indicator that no objective refers to: read for its mistakes, and lost."""
    head = _head(reader, read)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is not None and _indicator(spec, head.name or "sli", read) is not None:
        read.taking.note(f"SLI {head.name}", "no objective refers to it", reader.where)


def _indicator(spec: Reader, name: str, read: _Read) -> Indicator | None:
    description = spec.text("description", default="")
    threshold, ratio = spec.child("thresholdMetric"), spec.child("ratioMetric")
    spec.done()
    if (threshold is None) == (ratio is None):
        spec.report("one-of", f"{spec.path or 'spec'} needs thresholdMetric or ratioMetric"
                    + (", not both" if threshold is not None else ""), "write exactly one of the two")
        return None
    if threshold is not None:
        metric = _metric(threshold, read, counter=False)
        return None if metric is None else Indicator(
            name, spec.where, IndicatorType.CUSTOM, metric[0], GaugeQuery(metric[1].text), description=description)
    assert ratio is not None
    return _ratio(ratio, Indicator(name, spec.where, IndicatorType.CUSTOM, "", GaugeQuery(""), description=description),
                  read)


def _ratio(metric: Reader, made: Indicator, read: _Read) -> Indicator | None:
    counter = metric.flag("counter")
    parts: dict[str, tuple[str, PromQuery]] = {}
    for key in ("good", "bad", "total", "raw"):
        child = metric.child(key)
        if child is not None and (part := _metric(child, read, counter=counter)) is not None:
            parts[key] = part
    kind = metric.text("rawType", one_of=("success", "failure"), required=metric.has("raw"))
    metric.done()
    match sorted(key for key in ("good", "bad", "total", "raw") if metric.has(key)):
        case ["raw"]:
            share = "good" if kind == "success" else "bad"
            raw = parts.get("raw")
            return None if raw is None or kind is None else replace(
                made, source=raw[0], total=GaugeQuery(raw[1].text, share=share))
        case ["good", "total"] | ["bad", "total"]:
            if len(parts) != 2:
                return None
            good, bad = parts.get("good"), parts.get("bad")
            return replace(made, source=parts["total"][0], total=parts["total"][1],
                           good=good[1] if good else None, bad=bad[1] if bad else None)
        case _:
            metric.report("one-of", f"{metric.path} needs good and total, bad and total, or raw",
                          "write exactly one of these pairs")
            return None


def _metric(parent: Reader, read: _Read, *, counter: bool) -> tuple[str, PromQuery] | None:
    """The source's name and the query; what another tool's source asks is kept as text."""
    source = parent.child("metricSource", required=True) if read.dialect.nested else parent
    if read.dialect.nested:
        parent.done()
    if source is None:
        return None
    name = catalog_name(source.text("metricSourceRef" if read.dialect.nested else "dataSourceRef", default=""))
    kind = ""
    if read.dialect.nested:
        kind = source.text("type", default="")
    elif (inline := source.child("dataSourceSpec")) is not None:
        name = name or f"{(inline.text('type') or 'source').lower()}-inline"
        made = _source_of(inline, name, read)
        if made is not None and made.name not in {one.name for one in read.sources}:
            read.sources.append(made)
    if kind and kind.lower() not in PROMETHEUS and not name:
        read.taking.note(source.field("type"), f'a source of type "{kind}" cannot be asked', source.where_of("type"))
    spec = source.child("spec", required=True)
    source.done()
    if spec is None:
        return None
    if spec.has("query") and isinstance(spec.text("query"), str):
        query = spec.text("query", default="")
        for key, _ in spec.entries():
            if key != "query":
                read.taking.lose(spec, key, "beside the query nothing of a source's own fields is asked")
        return name, counter_query(query, counter=counter)
    spec.entries()
    read.taking.note(spec.path, "no query that Mainstay could ask; kept whole, without data", spec.where)
    return name, PromQuery(json.dumps(spec.node.plain(), sort_keys=True))


# -- SLO --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shared:
    """What the objectives of one SLO have in common."""

    head: _Head
    service: str
    description: str
    windows: tuple[Window, ...]
    method: str
    indicator: Indicator | None
    composite: bool


def _slo(reader: Reader, read: _Read) -> None:
    head = _head(reader, read, keep_labels=True)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is None:
        return
    dialect = read.dialect
    description = spec.text("description", default="")
    service = catalog_name(next((text for key in dialect.service if (text := spec.text(key))), ""))
    windows = _windows(spec)
    method = spec.text("budgetingMethod", one_of=METHODS, default="Occurrences")
    targets = spec.children("objectives", required=True)
    if spec.has("objectives") and not targets:
        spec.report("missing-field", f"{spec.path}.objectives is empty", "write at least one objective", "objectives")
    composite = any(one.has(dialect.sli) or one.has(dialect.sli_ref) for one in targets)
    shared = _Shared(head, service, description, windows, method,
                     _indicator_of(spec, head.name, read, required=not composite), composite)
    policies = read.policies.of(spec, head.name, read.taking)
    spec.done()
    made = [one for index, target in enumerate(targets)
            if (one := _objective(target, _name(head.name, targets, index), shared, read)) is not None]
    read.objectives += made
    read.policies.attach([one.name for one in made], policies)
    if composite and len(made) > 1:
        read.compositions.append(Composition(head.name, reader.where, "composite",
                                             tuple((one.name, one.weight) for one in made), None, description))


def _name(base: str, targets: Sequence[Reader], index: int) -> str:
    if len(targets) == 1:
        return base
    titles = [one.node.value.get("displayName") if isinstance(one.node.value, dict) else None for one in targets]
    slugs = [re.sub(r"[^a-z0-9]+", "-", str(one.value).lower()).strip("-") if one is not None else ""
             for one in titles]
    slug = slugs[index]
    return f"{base}-{slug}" if slug and slugs.count(slug) == 1 else f"{base}-{index + 1}"


def _objective(one: Reader, name: str, shared: _Shared, read: _Read) -> Objective | None:
    title = one.text("displayName", default="") or shared.head.title
    target = read_target(one)
    operator, value = one.text("op", one_of=tuple(OPERATORS)), one.number("value")
    indicator = shared.indicator
    if shared.composite:
        indicator = _indicator_of(one, name, read, required=shared.indicator is None) or indicator
    method = read_method(one, shared.method)
    weight = one.number("compositeWeight", minimum=0)
    if read.dialect is V2:
        read.taking.lose(one, "labels", "an objective of several keeps the labels of the whole")
    one.done()
    if indicator is None or target is None or not shared.windows or not name:
        return None
    comparison = None
    if isinstance(indicator.total, GaugeQuery) and not indicator.total.share:
        if operator is None or value is None:
            if not (one.has("op") and one.has("value")):
                one.report("missing-field", f"{one.path} must say op and value: the indicator is a threshold metric",
                           "add op: lte and value: …")
            return None
        comparison = (OPERATORS[operator], value)
        indicator = replace(indicator, total=replace(indicator.total, operator=comparison[0], threshold=value))
    else:
        for key in ("op", "value"):
            if one.has(key):
                one.warn("not-compared", f"{one.field(key)} does nothing: a ratio metric is compared with nothing",
                         f"remove {key}; it belongs to a thresholdMetric", key)
    return Objective(name, one.where, shared.service, indicator,
                     tuple(ObjectiveWindow(window, target) for window in shared.windows), method, title,
                     shared.description, labels=shared.head.labels, weight=1.0 if weight is None else weight,
                     owner=shared.head.owner, comparison=comparison)


def _indicator_of(reader: Reader, owner: str, read: _Read, *, required: bool) -> Indicator | None:
    inline, reference = reader.child(read.dialect.sli), reader.text(read.dialect.sli_ref)
    if inline is not None and reference:
        reader.report("one-of", f"{reader.path} has both {read.dialect.sli} and {read.dialect.sli_ref}",
                      "keep one of the two", read.dialect.sli_ref)
        return None
    if reference is not None:
        return _referred(reader, reference, read)
    if inline is None:
        if required and not reader.has(read.dialect.sli):
            reader.report("missing-field", f"{reader.path} needs {read.dialect.sli} or {read.dialect.sli_ref}",
                          f"add {read.dialect.sli_ref}: NAME, or {read.dialect.sli} with its spec")
        return None
    meta = inline.child("metadata")
    name = owner
    if meta is not None:
        name = meta.text("name", default="") or owner
        meta.text("displayName")
        read.taking.lose_all(meta, ("labels", "annotations", "displayName"), "an indicator has a name alone")
        meta.done()
    inline.ignore("kind", "apiVersion")
    spec = inline.child("spec", required=True)
    inline.done()
    return None if spec is None else _indicator(spec, name, read)


def _referred(reader: Reader, reference: str, read: _Read) -> Indicator | None:
    found = read.indicators.get(reference)
    if found is None:
        reader.report("unknown-reference", f'no SLI is named "{reference}" in the files that were named',
                      "name the file that declares it too", read.dialect.sli_ref)
        return None
    # Each reading reports what it finds; of an indicator that several objectives share, only the first may.
    known = len(read.taking.findings), len(read.taking.losses)
    fresh = Reader(found.document, found.node, "", read.taking.findings)
    fresh.ignore("apiVersion", "kind")
    head = _head(fresh, read)
    spec = fresh.child("spec", required=True)
    fresh.done()
    made = None if spec is None else _indicator(spec, head.name or reference, read)
    if found.path == "again":
        del read.taking.findings[known[0]:], read.taking.losses[known[1]:]
    found.path = "again"
    return made


def _windows(spec: Reader) -> tuple[Window, ...]:
    out: list[Window] = []
    written = spec.children("timeWindow")
    if not spec.has("timeWindow"):
        spec.warn("no-window", f"{spec.path} says no timeWindow; 30d rolling is assumed",
                  "add timeWindow: [{duration: 30d, isRolling: true}]")
        return (RollingWindow(timedelta(days=30)),)
    if len(written) != 1:
        spec.report("out-of-range", f"{spec.path}.timeWindow holds {len(written)}; OpenSLO takes exactly one",
                    "write [{duration: 30d, isRolling: true}]", "timeWindow")
    for one in written:
        calendar = one.child("calendar")
        rolling = one.flag("isRolling", default=calendar is None)
        if rolling and calendar is not None:
            one.report("one-of", f"{one.path} is rolling and has a calendar", "remove one of the two", "calendar")
        zone, anchor = read_calendar(calendar)
        window = one.parsed("duration", lambda text, r=rolling, z=zone: window_of(  # type: ignore[misc]
            text, rolling=r, zone=z), required=True)
        one.done()
        if window is not None:
            out.append(replace_anchor(window, zone, anchor))
    return tuple(out)


def replace_anchor(window: Window, zone: str, anchor: datetime | None) -> Window:
    """A calendar window with its start; any other as it is."""
    return CalendarWindow(window.period, zone, window.periods, anchor) if isinstance(window, CalendarWindow) else window
