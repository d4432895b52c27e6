"""Grafana SLO: the Terraform resource `grafana_slo` (`*.tf`, `*.tf.json`) and the plugin's API, in and out.

Sources: github.com/grafana/terraform-provider-grafana docs/resources/slo.md; Grafana SLO API reference
(`/api/plugins/grafana-slo-app/resources/v1/slo`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import field
from datetime import timedelta
from decimal import Decimal

from mainstay.kernel.counting import counter_query
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.document import Document, Node
from mainstay.kernel.objective import Indicator, IndicatorType, Objective, ObjectiveWindow
from mainstay.kernel.openslo_fields import ratio_target
from mainstay.kernel.ports import GaugeQuery, PromQuery
from mainstay.kernel.quantity import RollingWindow, parse_window
from mainstay.kernel.reader import Reader
from mainstay.monitoring.exchange.alert_groups import Rung, Severity
from mainstay.monitoring.exchange.form import Bundle, Taken
from mainstay.monitoring.exchange.promql import WINDOW, counted, quotient
from mainstay.monitoring.exchange.taking import Taking, catalog_name
from mainstay.monitoring.spec import Alerting, Extra

BURNS = (Rung("page", timedelta(hours=1), factor=Decimal("14.4")), Rung("page", timedelta(hours=6), factor=Decimal(6)),
         Rung("ticket", timedelta(days=1), factor=Decimal(3)), Rung("ticket", timedelta(days=3), factor=Decimal(1)))
"""Grafana's fast and slow burns, the same for every window (its guide "Configure burn-rate notifications")."""
SERVICE = "service_name"
"""The label that Grafana's own pages take for the service."""


@dataclass(frozen=True, slots=True)
class Words:
    """How one of the two forms names its fields."""

    labels: str
    annotations: str
    fast: str
    slow: str
    options: str
    failures: str
    datasource: str
    search: str
    folder: str
    groups: str
    success: str
    total: str
    enrichments: str


TERRAFORM = Words("label", "annotation", "fastburn", "slowburn", "advanced_options", "min_failures",
                  "destination_datasource", "search_expression", "folder_uid", "group_by_labels", "success_metric",
                  "total_metric", "enrichment")
API = Words("labels", "annotations", "fastBurn", "slowBurn", "advancedOptions", "minFailures", "destinationDatasource",
            "searchExpression", "folder", "groupByLabels", "successMetric", "totalMetric", "enrichments")
_MADE = ("readOnly", "createdAt", "updatedAt", "drillDownDashboardRef", "sourceDatasource", "createdBy", "updatedBy")
"""What Grafana itself adds to an SLO that is got back from it."""


def fits_terraform(document: Document) -> bool:
    """Whether it declares `grafana_slo` resources."""
    root = document.root.value
    resource = root.get("resource") if isinstance(root, dict) else None
    return resource is not None and isinstance(resource.value, dict) and "grafana_slo" in resource.value


def fits_api(document: Document) -> bool:
    """Whether it is an SLO of the plugin's API, or its list of them."""
    root = document.root.value
    if not isinstance(root, dict) or "apiVersion" in root:
        return False
    if "slos" in root and isinstance(root["slos"].value, list):
        return all(_is_slo(one) for one in root["slos"].value)
    return _is_slo(document.root)


def _is_slo(node: Node) -> bool:
    value = node.value
    query = value.get("query") if isinstance(value, dict) else None
    return query is not None and isinstance(query.value, dict) and "objectives" in (value or {})  # type: ignore[operator]


def read_terraform(documents: Sequence[Document]) -> Taken:
    """Every `grafana_slo` of the files; other resources are not looked at."""
    taking = Taking()
    slos = []
    for document in documents:
        root = Reader(document, document.root, "", taking.findings)
        resources = root.child("resource")
        kinds = resources.child("grafana_slo") if resources is not None else None
        for name, _ in kinds.entries() if kinds is not None else ():
            assert kinds is not None
            slos += [(name, one) for one in _blocks(kinds, name)]
    return _read([(_Slo(one, TERRAFORM, taking), name) for name, one in slos], taking)


def read_api(documents: Sequence[Document]) -> Taken:
    """Every SLO of the API's answers."""
    taking = Taking()
    slos = []
    for document in documents:
        root = Reader(document, document.root, "", taking.findings)
        slos += root.children("slos") if root.has("slos") else [root]
    return _read([(_Slo(one, API, taking), "") for one in slos], taking)


def _read(slos: Sequence[tuple[_Slo, str]], taking: Taking) -> Taken:
    objectives, alertings = [], []
    for slo, _ in slos:
        made = slo.read()
        if made is not None:
            objectives.append(made[0])
            alertings.append(made[1])
    return taking.taken(Bundle(tuple(objectives), alertings=tuple(alertings)))


def _length(windows: Sequence[ObjectiveWindow]) -> timedelta:
    main = windows[0].window if windows else None
    return main.length if isinstance(main, RollingWindow) else timedelta(days=30)


def _blocks(reader: Reader, key: str) -> list[Reader]:
    """A block, which Terraform's JSON writes as an object or as a list of them."""
    node = reader.node.value.get(key) if isinstance(reader.node.value, dict) else None
    if node is not None and isinstance(node.value, list):
        return reader.children(key)
    child = reader.child(key)
    return [child] if child is not None else []


@dataclass(slots=True)
class _Slo:
    """One SLO being read."""

    reader: Reader
    words: Words
    taking: Taking
    groups: tuple[str, ...] = ()
    extras: dict[str, Extra] = field(default_factory=dict)

    def read(self) -> tuple[Objective, Alerting] | None:
        reader, words = self.reader, self.words
        reader.ignore(*(_MADE if words is API else ("id", "provider", "depends_on", "lifecycle", "count", "for_each")))
        title = reader.text("name", required=True, default="")
        name = catalog_name(title)
        if title and (not name or "${" in title):
            reader.report("invalid-name", f'"{title}" cannot be a name', "write the name out: letters and digits",
                          "name")
        description = self._literal(reader.text("description", default=""))
        self.taking.lose_all(reader, ("uuid", words.folder, words.search), "Grafana's own place for an SLO")
        for one in _blocks(reader, words.datasource):
            self.taking.lose(one, "uid", "a catalog names its Prometheus by address; --prometheus says it")
            self.taking.lose(one, "type", "a catalog names its Prometheus by address")
            one.done()
        labels = self._pairs(reader, words.labels)
        windows = self._windows(reader)
        query = self._one(reader, "query", required=True)
        indicator = self._query(query, name) if query is not None else None
        alerting = self._alerting(name, _length(windows))
        reader.done()
        if indicator is None or not windows or not name or "${" in title:
            return None
        service = catalog_name(labels.pop(SERVICE, ""))
        return Objective(name, reader.where, service, indicator, windows, title=title, description=description,
                         labels=labels), alerting

    def _literal(self, text: str) -> str:
        """A text as it is meant: Terraform's `$${` is a dollar and a brace."""
        return text.replace("$${", "${").replace("%%{", "%{") if self.words is TERRAFORM else text

    def _one(self, reader: Reader, key: str, *, required: bool = False) -> Reader | None:
        found = _blocks(reader, key)
        if len(found) > 1:
            reader.report("duplicate-key", f"{reader.field(key)} stands {len(found)} times", "keep one of them", key)
        if not found and required and not reader.has(key):
            reader.report("missing-field", f"{reader.field(key)} is missing", f"add {key} {{ … }}")
        return found[0] if found else None

    def _pairs(self, reader: Reader, key: str) -> dict[str, str]:
        out: dict[str, str] = {}
        for one in _blocks(reader, key):
            name, value = one.text("key", required=True), one.text("value", required=True)
            one.done()
            if name is not None and value is not None:
                out[name] = self._literal(value)
        return out

    def _windows(self, reader: Reader) -> tuple[ObjectiveWindow, ...]:
        out = []
        found = _blocks(reader, "objectives")
        if not found and not reader.has("objectives"):
            reader.report("missing-field", f"{reader.field('objectives')} is missing",
                          'add objectives { value = 0.995, window = "30d" }')
        for one in found:
            target = one.parsed("value", ratio_target, required=True)
            window = one.parsed("window", parse_window, required=True)
            one.done()
            if target is not None and isinstance(window, RollingWindow):
                out.append(ObjectiveWindow(window, target))
            elif window is not None and not isinstance(window, RollingWindow):
                one.report("invalid-value", f"{one.field('window')} is no length of time", "write 30d or 28d",
                           "window")
        return tuple(out)

    # -- what is counted ---------------------------------------------------------------------------------------------

    def _query(self, query: Reader, name: str) -> Indicator | None:
        kind = query.text("type", required=True,
                          one_of=("freeform", "query", "ratio", "grafana_queries", "grafanaQueries", "threshold"))
        ratio, freeform = self._one(query, "ratio"), self._one(query, "freeform")
        rest = [key for key in ("grafana_queries", "grafanaQueries", "threshold") if query.has(key)]
        query.ignore(*rest)
        query.done()
        empty = Indicator(name, query.where, IndicatorType.CUSTOM, "", GaugeQuery("", share="good"))
        if kind == "ratio" and ratio is not None:
            return self._ratio(ratio, empty)
        if kind in ("freeform", "query") and freeform is not None:
            text = freeform.text("query", required=True)
            freeform.done()
            if text is not None and text.startswith("${"):
                freeform.report("invalid-value", f"{freeform.field('query')} is an expression of Terraform",
                                "write the query out", "query")
                return None
            return None if text is None else self._freeform(freeform, self._literal(text), empty)
        if rest:
            node = query.node.value.get(rest[0]) if isinstance(query.node.value, dict) else None
            self.taking.note(query.field(rest[0]), f"queries of type {kind} are Grafana's to ask; kept whole, without "
                             "data", query.where_of(rest[0]))
            text = json.dumps(node.plain() if node is not None else None, sort_keys=True)
            return Indicator(name, query.where, IndicatorType.CUSTOM, "", GaugeQuery(text, share="good"))
        if kind is not None:
            query.report("missing-field", f"{query.path} is of type {kind} and has no block of that name",
                         f"add {kind} {{ … }}", "type")
        return None

    def _ratio(self, ratio: Reader, made: Indicator) -> Indicator | None:
        metrics = []
        for key in (self.words.success, self.words.total):
            if self.words is API:
                child = ratio.child(key, required=True)
                metrics.append(child.text("prometheusMetric", required=True) if child is not None else None)
                if child is not None:
                    child.ignore("type")
                    child.done()
            else:
                metrics.append(ratio.text(key, required=True))
        self.groups = ratio.texts(self.words.groups)
        ratio.done()
        good, total = metrics
        if good is None or total is None:
            return None
        return Indicator(made.name, made.origin, made.type, "", counter_query(self._literal(total), counter=True),
                         good=counter_query(self._literal(good), counter=True))

    def _freeform(self, freeform: Reader, text: str, made: Indicator) -> Indicator:
        found = split(text)
        if found is None:
            compared = _COMPARED.fullmatch(text.strip())
            if compared is not None:
                gauge = GaugeQuery(_windowed(compared["expr"].strip()), compared["op"], float(compared["value"]))
                return Indicator(made.name, made.origin, made.type, "", gauge)
            self.taking.note(freeform.field("query"), "a ratio that is no ratio of two counters can only be averaged "
                             "over time", freeform.where_of("query"))
            return Indicator(made.name, made.origin, made.type, "", GaugeQuery(_windowed(text), share="good"))
        self.groups = found.groups
        parts = {found.kind: found.part}
        return Indicator(made.name, made.origin, made.type, "", found.total, parts.get("bad"), parts.get("good"))

    # -- alerts ------------------------------------------------------------------------------------------------------

    def _alerting(self, name: str, window: timedelta) -> Alerting:
        """Grafana's own alerts, of which a file only says that they are wanted."""
        block = self._one(self.reader, "alerting")
        where = self.reader.where
        nothing = Alerting(name, where, objectives=(name,), group_by=self.groups, tiers=(), budget_spent=(),
                           absent_for=None)
        if block is None:
            return nothing
        labels = self._pairs(block, self.words.labels)
        annotations = self._pairs(block, self.words.annotations)
        options = self._one(block, self.words.options)
        if options is not None:
            self.taking.lose(options, self.words.failures, "a gate by confidence is declared as low_traffic")
            options.done()
        self.taking.lose(block, "name", "an alerting has the objective's name")
        severities: list[Severity] = []
        kinds: tuple[tuple[str, Severity], ...] = ((self.words.fast, "page"), (self.words.slow, "ticket"))
        for key, severity in kinds:
            burn = self._one(block, key)
            if burn is None:
                continue
            severities.append(severity)
            own = Extra(self._pairs(burn, self.words.labels), self._pairs(burn, self.words.annotations))
            self.taking.lose(burn, self.words.enrichments, "Grafana's assistant is asked by Grafana alone")
            burn.done()
            if own.labels or own.annotations:
                self.extras[severity] = own
        block.done()
        return Alerting(name, where, objectives=(name,), group_by=self.groups,
                        tiers=tuple(rung.tier(window) for rung in BURNS if rung.severity in severities),
                        budget_spent=(), absent_for=None, labels=labels, annotations=annotations,
                        by_severity=self.extras)


# -- freeform queries -------------------------------------------------------------------------------------------------

_COMPARED = re.compile(r"\((?P<expr>.+)\)\s*(?P<op><=|>=|<|>)\s*bool\s+(?P<value>-?\d+(?:\.\d+)?(?:e-?\d+)?)",
                       re.DOTALL)
_RANGE = re.compile(r"\$__rate_interval|\$__interval")
_OR_NOTHING = re.compile(r"(?P<some>.+?)\s+or\s+0\s*\*\s*(?P<total>.+)", re.DOTALL)


def _windowed(text: str) -> str:
    return _RANGE.sub("$window", text.strip())


@dataclass(frozen=True, slots=True)
class Split:
    """A ratio of two counters: the good or the bad part, and the total."""

    kind: str
    part: PromQuery
    total: PromQuery
    groups: tuple[str, ...]


def split(text: str) -> Split | None:
    """`sum(rate(ok[w])) / sum(rate(all[w]))`, or one less such a ratio of failures, as two counters."""
    raw = re.sub(r"\[[^\[\]]*\]", f"[{WINDOW}]", text.strip())
    kind = "good"
    if less := re.fullmatch(r"1\s*-\s*(.+)", raw, re.DOTALL):
        kind, raw = "bad", less[1].strip()
    sides = quotient(raw)
    if sides is None:
        return None
    upper = sides[0]
    if found := _OR_NOTHING.fullmatch(upper.removeprefix("(").removesuffix(")").strip()):
        upper = found["some"]
    part, total = counted(upper), counted(sides[1])
    if part is None or total is None or part.groups != total.groups:
        return None
    return Split(kind, PromQuery(part.selector, True), PromQuery(total.selector, True), part.groups)
