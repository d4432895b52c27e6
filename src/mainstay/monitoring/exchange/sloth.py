"""Sloth's files: `prometheus/v1`, the Kubernetes kind `PrometheusServiceLevel`, and `AlertWindows`.

Source: Sloth 0.16's documentation of its specification and its published examples (Apache-2.0); facts, no code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.document import Document
from mainstay.kernel.objective import Objective, ObjectiveWindow, Service
from mainstay.kernel.ports import GaugeQuery, PromQuery
from mainstay.kernel.quantity import SLOT, RollingWindow, Target
from mainstay.kernel.reader import Reader
from mainstay.monitoring.exchange.form import Bundle, Format, Given, Taken
from mainstay.monitoring.exchange.promql import counted, difference, go_duration, quotient, rates_as_counts, windowed
from mainstay.monitoring.exchange.reading import (
    OURS,
    Queries,
    Wanted,
    grouped,
    merged,
    passed_over,
    read_query,
    take_annotations,
    take_groups,
    takes_tier,
)
from mainstay.monitoring.exchange.sloth_model import (
    PERIODS,
    SEVERITIES,
    TOOL,
    Alert,
    Events,
    SlothSlo,
    default_tiers,
    sloth_slos,
)
from mainstay.monitoring.exchange.taking import Taking, catalog_name, text_at
from mainstay.monitoring.exchange.yaml_out import Value, kept, yaml_file
from mainstay.monitoring.spec import Alerting, Extra, alerting_of
from mainstay.stats.budget import TIERS, Tier

_API = "sloth.slok.dev/v1"
_NAME = re.compile(r"[A-Za-z0-9][-A-Za-z0-9_.]*[A-Za-z0-9]")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_METRICSQL = "sloth.dev/contrib/validate_victoria_metrics/"
"""The plugin of groups whose queries are VictoriaMetrics' MetricsQL, which no parser of PromQL can check."""
_NEW_NAME = "use letters, digits, - _ ., two at least, a letter or digit at both ends"


@dataclass(frozen=True, slots=True)
class _Words:
    """How a dialect writes its fields."""

    plugins: str
    error: str
    total: str
    ratio: str
    page: str
    ticket: str


_FILE = _Words("slo_plugins", "error_query", "total_query", "error_ratio_query", "page_alert", "ticket_alert")
_KIND = _Words("sloPlugins", "errorQuery", "totalQuery", "errorRatioQuery", "pageAlert", "ticketAlert")


def _is_file(document: Document) -> bool:
    return text_at(document, "version").startswith("prometheus/")


def _is_kind(document: Document) -> bool:
    return text_at(document, "apiVersion") == _API and text_at(document, "kind") == "PrometheusServiceLevel"


def _is_windows(document: Document) -> bool:
    return text_at(document, "apiVersion") == _API and text_at(document, "kind") == "AlertWindows"


# -- reading ----------------------------------------------------------------------------------------------------------


class _Reading:
    """One reading of Sloth's documents: what they declare, gathered."""

    def __init__(self) -> None:
        self.taking = Taking()
        self.objectives: list[Objective] = []
        self.services: dict[str, Service] = {}
        self.wanted: list[Wanted] = []
        self.period = timedelta(days=30)
        self.tiers: dict[str, tuple[Tier, ...]] = {severity: default_tiers(severity) for severity in SEVERITIES}
        self.ids: dict[str, Reader] = {}
        self.metricsql = False

    def taken(self) -> Taken:
        taken = self.taking.taken(Bundle(tuple(self.objectives), tuple(self.services.values()), (),
                                         grouped(self.wanted)))
        return passed_over(taken, TOOL)


def read(documents: Sequence[Document]) -> Taken:
    """Every SLO of the documents; an AlertWindows document among them gives the period and the windows of all."""
    reading = _Reading()
    _read_windows(reading, [document for document in documents if _is_windows(document)])
    for document in documents:
        if _is_file(document):
            reader = reading.taking.reader(document)
            reader.text("version", required=True, one_of=("prometheus/v1",))
            _read_group(reading, reader, _FILE)
        elif _is_kind(document):
            _read_kind(reading, reading.taking.reader(document))
    return reading.taken()


def _read_kind(reading: _Reading, reader: Reader) -> None:
    meta, spec = reader.child("metadata", required=True), reader.child("spec", required=True)
    reader.ignore("status")
    if meta is not None:
        name = meta.text("name", required=True, default="")
        why = "where an object lives in Kubernetes is no part of a promise"
        reading.taking.lose_all(meta, ("namespace", "labels", "annotations"), why)
        if spec is not None and name != spec.text("service"):
            reading.taking.lose(meta, "name", f"{why}; it is written again with the service's name")
        meta.ignore("creationTimestamp", "generation", "resourceVersion", "uid", "managedFields")
        meta.done()
    reader.done()
    if spec is not None:
        _read_group(reading, spec, _KIND)


def _read_group(reading: _Reading, reader: Reader, words: _Words) -> None:
    service = _name(reader, "service")
    labels = _labels(reader, "labels")
    reading.metricsql = False
    _lose_plugins(reading, reader, words.plugins)
    children = reader.children("slos", required=True)
    if reader.has("slos") and not children:
        reader.report("missing-field", f"{reader.field('slos')} is empty", "write at least one SLO", "slos")
    if service:
        lower = service.lower()
        reading.services.setdefault(lower, Service(lower, reader.where_of("service")))
    _note_capitals(reading, reader, "service", service)
    for child in children:
        _read_slo(reading, child, words, (service, labels))
    reader.done()


def _name(reader: Reader, key: str) -> str:
    name = reader.text(key, required=True, default="")
    if name and not _NAME.fullmatch(name):
        reader.report("invalid-name", f'"{name}" is no name to {TOOL}', _NEW_NAME, key)
        return ""
    return name


def _note_capitals(reading: _Reading, reader: Reader, key: str, name: str) -> None:
    if name != name.lower():
        reading.taking.note(f"{reader.field(key)} {name}", "a catalog's names are in lower case, and rules in Sloth's "
                            "style start new series under them", reader.where_of(key))


def _labels(reader: Reader, key: str) -> dict[str, str]:
    labels = reader.labels(key)
    child = reader.child(key) if labels else None
    for name, value in labels.items():
        assert child is not None, "there are labels, so there is a mapping"
        if not _LABEL.fullmatch(name):
            child.report("invalid-name", f'"{name}" is no label of Prometheus', "use letters, digits and _", name)
        elif not value:
            child.report("invalid-value", f"{child.field(name)} is empty", f"{TOOL} wants a text; write one", name)
    return labels


def _lose_plugins(reading: _Reading, reader: Reader, key: str) -> None:
    child = reader.child(key)
    if child is None:
        return
    for plugin in child.children("chain"):
        name = plugin.text("id", required=True, default="")
        plugin.ignore("config", "priority")
        plugin.done()
        reading.metricsql |= name.startswith(_METRICSQL)
        reading.taking.note(f"{plugin.path} {name}", f"a plugin is Go code that {TOOL} runs on its rules",
                            plugin.where_of("id"))
    if child.flag("overridePrevious"):
        reading.taking.note(child.field("overridePrevious"), f"a plugin takes the place of {TOOL}'s own rules",
                            child.where_of("overridePrevious"))
    child.done()


def _read_slo(reading: _Reading, reader: Reader, words: _Words, group: tuple[str, Mapping[str, str]]) -> None:
    service, labels = group
    name = _name(reader, "name")
    target = reader.parsed("objective", Target.percent, required=True)
    description = reader.text("description", default="")
    own = _labels(reader, "labels")
    _lose_plugins(reading, reader, "plugins")
    indicator = _read_sli(reading, reader, words, name)
    settings = _read_alerting(reading, reader, words)
    reader.done()
    if not name or not service:
        return
    _note_capitals(reading, reader, "name", name)
    objective = catalog_name(f"{service}-{name}")
    if objective in reading.ids:
        first = reading.ids[objective].where_of("name")
        reader.report("duplicate-name", f'{TOOL} tells SLOs apart by service and name, and "{service}-{name}" is '
                      f"declared twice, first at {first}", "rename one of the two", "name")
        return
    reading.ids[objective] = reader
    if target is None or indicator is None or settings is None:
        return
    groups = take_groups(reading.taking, reader, "sli", indicator.groups)
    where = reader.where_of("name")
    reading.objectives.append(Objective(
        objective, where, service.lower(), indicator.indicator(objective, where),
        (ObjectiveWindow(RollingWindow(reading.period), target),), description=description, labels=merged(labels, own)))
    reading.wanted.append(Wanted(objective, service.lower(), replace(
        settings, name=objective, origin=where, group_by=groups)))


# -- reading: what is counted -----------------------------------------------------------------------------------------

def _read_sli(reading: _Reading, reader: Reader, words: _Words, name: str) -> Queries | None:
    sli = reader.child("sli", required=True)
    if sli is None:
        return None
    given = [key for key in ("events", "raw", "plugin") if sli.has(key)]
    children = {key: sli.child(key) for key in given}
    sli.done()
    if len(given) != 1:
        sli.report("one-of", f"{sli.path} needs events, raw or plugin" + (", and only one of them" if given else ""),
                   "write events: with an error and a total query")
        return None
    child = children[given[0]]
    if child is None:
        return None
    found: Queries | None = None
    match given:
        case ["events"]:
            found = _read_events(reading, child, words)
        case ["raw"]:
            text = read_query(child, words.ratio, checked=not reading.metricsql)
            found = None if text is None else _shared(reading, child, words.ratio, text)
        case _:
            plugin = child.text("id", required=True, default="")
            child.ignore("options")
            reading.taking.note(f"{child.path} {plugin}", f'its queries are Go code that {TOOL} runs, so "{name}" is '
                                "not taken; write its queries out as events", child.where_of("id"))
    child.done()
    return found


def _read_events(reading: _Reading, events: Reader, words: _Words) -> Queries | None:
    error, total = (read_query(events, key, checked=not reading.metricsql) for key in (words.error, words.total))
    if error is None or total is None:
        return None
    if error == total:
        events.report("same-query", f"{events.field(words.error)} and {words.total} are the same: everything fails",
                      "select the errors alone in the error query", words.error)
        return None
    whole = counted(total)
    for key, text in ((words.error, error), (words.total, total)):
        if "increase" in text and "rate(" not in text.replace("increase(", ""):
            reading.taking.note(events.field(key), "an increase is kept as a count, and written again as a rate; their "
                                "ratio is the same", events.where_of(key))
    if whole is not None:
        counter = PromQuery(whole.selector, counter=True)
        bad = counted(error)
        if bad is not None and bad.groups == whole.groups:
            return Queries(counter, bad=PromQuery(bad.selector, counter=True), groups=whole.groups)
        sides = difference(error)
        if sides is not None:
            minuend, good = counted(sides[0]), counted(sides[1])
            if good is not None and minuend == whole and good.groups == whole.groups:
                return Queries(counter, good=PromQuery(good.selector, counter=True), groups=whole.groups)
    return _expressions(reading, events, words, (error, total))


def _expressions(reading: _Reading, events: Reader, words: _Words, texts: tuple[str, str]) -> Queries:
    """Both queries as expressions that count, so that a window's counts add up."""
    error, total = (PromQuery(text) if "rate(" not in text else
                    PromQuery(changed) if (changed := rates_as_counts(text)) is not None else None for text in texts)
    if error is None or total is None or ("rate(" in texts[0]) != ("rate(" in texts[1]):
        reading.taking.note(events.field(words.total), "this counts events per second in a way that cannot be turned "
                            "into counts: ratios and budgets in percent hold, numbers of events do not",
                            events.where_of(words.total))
        return Queries(PromQuery(texts[1]), bad=PromQuery(texts[0]))
    return Queries(total, bad=error)


def _shared(reading: _Reading, raw: Reader, key: str, text: str) -> Queries:
    """A share of errors: taken apart into two counters where it is one by the other, for these chain exactly."""
    sides = quotient(text)
    parts = (counted(sides[0]), counted(sides[1])) if sides is not None else (None, None)
    bad, total = parts
    if bad is not None and total is not None and bad.groups == total.groups:
        reading.taking.note(raw.field(key), "errors and total are counted apart, which is exact over any window; "
                            "written again as events", raw.where_of(key))
        return Queries(PromQuery(total.selector, counter=True), bad=PromQuery(bad.selector, counter=True),
                       groups=total.groups)
    return Queries(GaugeQuery(text, share="bad"))


# -- reading: alerts --------------------------------------------------------------------------------------------------


def _read_alerting(reading: _Reading, reader: Reader, words: _Words) -> Alerting | None:
    alerting = reader.child("alerting")
    if alerting is None:
        reader.report("missing-field", f"{reader.field('alerting')} is missing",
                      f"add alerting: {{name: …}}, or disable {words.page} and {words.ticket} in it")
        return None
    name = alerting.text("name", default="")
    common = _labels(alerting, "labels")
    annotations = take_annotations(reading.taking, alerting, "annotations")
    # What Mainstay's rules set themselves, such as `severity`, a severity's alerts may still be given by others.
    routed = {key: value for key, value in common.items() if key in OURS}
    tiers: list[Tier] = []
    extra: dict[str, Extra] = {}
    for severity, key in zip(SEVERITIES, (words.page, words.ticket), strict=True):
        child = alerting.child(key)
        disabled = False
        if child is not None:
            disabled = child.flag("disable")
            own = Extra(routed | _labels(child, "labels"), take_annotations(reading.taking, child, "annotations"))
            child.done()
            if disabled and (child.has("labels") or child.has("annotations")):
                reading.taking.note(child.path, "what a disabled alert would carry", child.where)
        else:
            own = Extra(routed)
        if not disabled:
            tiers += reading.tiers[severity]
            if own.labels or own.annotations:
                extra[severity] = own
    alerting.done()
    if tiers and not name:
        alerting.report("missing-field", f"{alerting.field('name')} is missing: alerts need a name",
                        f"add name: …, or disable {words.page} and {words.ticket}")
        return None
    return Alerting("", alerting.where, tiers=None if tuple(tiers) == TIERS else tuple(tiers), budget_spent=(),
                    absent_for=None, labels={key: value for key, value in common.items() if key not in OURS},
                    annotations=annotations, alert_name=name, by_severity=extra)


def _read_windows(reading: _Reading, documents: Sequence[Document]) -> None:
    for index, document in enumerate(documents):
        reader = reading.taking.reader(document)
        spec = reader.child("spec", required=True)
        reader.ignore("metadata")
        reader.done()
        if spec is None:
            continue
        period = spec.duration("sloPeriod", required=True)
        tiers = {severity: _severity_tiers(reading, spec, severity) for severity in SEVERITIES}
        spec.done()
        if index:
            spec.report("several-periods", f"{TOOL} takes one period a run, and these files give several",
                        "import the SLOs of each period apart, with its AlertWindows file", "sloPeriod")
        elif period is not None and period % timedelta(seconds=SLOT):
            spec.report("invalid-value", f"{spec.field('sloPeriod')} is not a whole number of five-minute slots",
                        "write 7d, 30d …", "sloPeriod")
        elif period is not None:
            reading.period = period
            reading.tiers = tiers


def _severity_tiers(reading: _Reading, spec: Reader, severity: str) -> tuple[Tier, ...]:
    both = spec.child(severity, required=True)
    if both is None:
        return ()
    out = []
    for key, default in zip(("quick", "slow"), default_tiers(severity), strict=True):
        child = both.child(key, required=True)
        if child is None:
            continue
        percent = child.parsed("errorBudgetPercent", Target.percent, required=True)
        short = child.duration("shortWindow", required=True)
        long = child.duration("longWindow", required=True)
        child.done()
        if percent is None or short is None or long is None:
            continue
        if short * 12 != long:
            reading.taking.note(child.field("shortWindow"), f"the short window is a twelfth of the long one, here "
                                f"{go_duration(long / 12)}", child.where_of("shortWindow"))
        tier = Tier("page" if severity == "page" else "ticket", long, percent.ratio, timedelta(0))
        if takes_tier(reading.taking, child, tier):
            out.append(default if tier[:3] == default[:3] else tier)
    both.done()
    return tuple(out)


# -- writing ----------------------------------------------------------------------------------------------------------

_Mapped = dict[str, Value]


def write_files(bundle: Bundle) -> Given:
    """`prometheus/v1` files, one a service, with an AlertWindows file for a period that needs one."""
    return _write(bundle, lambda service, slos: _group(slos, _FILE, {"version": "prometheus/v1", "service": service}))


def write_kinds(bundle: Bundle) -> Given:
    """`PrometheusServiceLevel` objects, one a service, likewise."""
    return _write(bundle, lambda service, slos: {
        "apiVersion": _API, "kind": "PrometheusServiceLevel", "metadata": {"name": catalog_name(service)},
        "spec": _group(slos, _KIND, {"service": service})})


_Windows = tuple[timedelta, tuple[tuple[Tier, ...], ...]]


def _write(bundle: Bundle, document: Callable[[str, list[SlothSlo]], _Mapped]) -> Given:
    catalog = bundle.catalog()
    slos, losses = sloth_slos([(one, alerting_of(one, catalog)) for one in bundle.objectives])
    runs: dict[_Windows, dict[str, list[SlothSlo]]] = {}
    for slo in slos:
        run = (slo.period, tuple(slo.tiers[severity] for severity in SEVERITIES))
        runs.setdefault(run, {}).setdefault(slo.service, []).append(slo)
    files: list[tuple[str, str]] = []
    for number, ((period, tiers), services) in enumerate(runs.items(), 1):
        # One run of Sloth has one period: SLOs of another go to a folder of their own.
        folder = "" if len(runs) == 1 else f"{go_duration(period)}-{number}/"
        plain = all(tier[:3] in {own[:3] for own in TIERS} for some in tiers for tier in some)
        if period != PERIODS[1] or not plain:
            files.append((f"{folder}windows.yaml", yaml_file([_windows(period, tiers)])))
        files += [(f"{folder}{service}.yaml", yaml_file([document(service, some)]))
                  for service, some in services.items()]
    return Given(tuple(files), tuple(losses))


def _windows(period: timedelta, tiers: Sequence[Sequence[Tier]]) -> _Mapped:
    spec: _Mapped = {"sloPeriod": go_duration(period)}
    for severity, both in zip(SEVERITIES, tiers, strict=True):
        spec[severity] = {key: {"errorBudgetPercent": tier.spends * Decimal(100),
                                "shortWindow": go_duration(tier.long / 12), "longWindow": go_duration(tier.long)}
                          for key, tier in zip(("quick", "slow"), both, strict=True)}
    return {"apiVersion": _API, "kind": "AlertWindows", "spec": spec}


def _group(slos: Sequence[SlothSlo], words: _Words, head: _Mapped) -> _Mapped:
    """A service's SLOs; labels that all of them carry stand once, at the top, as Sloth merges them."""
    shared = {name: value for name, value in slos[0].labels.items()
              if all(slo.labels.get(name) == value for slo in slos)}
    return head | ({"labels": shared} if shared else {}) | {"slos": [_slo(slo, words, shared) for slo in slos]}


def _slo(slo: SlothSlo, words: _Words, shared: Mapping[str, str]) -> _Mapped:
    labels = {name: value for name, value in slo.labels.items() if name not in shared}
    if isinstance(slo.sli, Events):
        sli: _Mapped = {"events": {words.error: _templated(slo.sli.error), words.total: _templated(slo.sli.total)}}
    else:
        sli = {"raw": {words.ratio: _templated(slo.sli.ratio)}}
    alerting: _Mapped = _kept({"name": slo.alert_name if slo.own else "", **_texts(slo.common)})
    for severity, key in zip(SEVERITIES, (words.page, words.ticket), strict=True):
        said: _Mapped = _texts(slo.own[severity]) if severity in slo.own else {"disable": True}
        if said:
            alerting[key] = said
    return _kept({"name": slo.name, "objective": slo.target.ratio * 100, "description": slo.description,
                  "labels": labels, "sli": sli, "alerting": alerting})


def _texts(alert: Alert) -> _Mapped:
    return _kept({"labels": dict(alert.labels), "annotations": dict(alert.annotations)})


def _kept(pairs: _Mapped) -> _Mapped:
    return {key: value for key, value in pairs.items() if kept(value)}


def _templated(text: str) -> str:
    return windowed(text).replace("$window", "{{.window}}")


SLOTH = Format("sloth", "Sloth", lambda document: _is_file(document) or _is_kind(document) or _is_windows(document),
               read, write_files)
SLOTH_K8S = Format("sloth-k8s", "Sloth for Kubernetes", lambda document: _is_kind(document) or _is_windows(document),
                   read, write_kinds)
