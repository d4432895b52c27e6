"""slok-operator, in: `ServiceLevelObjective` with its templates, and `SLOComposition` as journeys.

    AND_MIN           the worst part's share; a serial journey multiplies the parts, which is never better
    WEIGHTED_ROUTES   each route is a serial journey; their weights are lost

Source: github.com/slok-operator/slok config/crd, config/samples and internal/templates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from datetime import timedelta
from decimal import Decimal

from mainstay.kernel.counting import counter_query, histogram_queries
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.document import Document
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.objective import Indicator, IndicatorType, Objective, ObjectiveWindow
from mainstay.kernel.ports import PromQuery
from mainstay.kernel.quantity import RollingWindow, parse_window
from mainstay.kernel.reader import Reader
from mainstay.monitoring.exchange.alert_groups import Rung, Severity
from mainstay.monitoring.exchange.form import Bundle, Composition, Taken
from mainstay.monitoring.exchange.promql import Matcher, Selector
from mainstay.monitoring.exchange.taking import Taking, catalog_name, text_at
from mainstay.monitoring.spec import Alerting
from mainstay.stats.budget import Tier

API = "observability.slok.io/v1alpha1"
_TEMPLATES = ("http-availability", "http-latency", "kubernetes-apiserver")
_DEFAULTS = (Rung("page", timedelta(hours=1), timedelta(minutes=2), Decimal(14)),
             Rung("ticket", timedelta(hours=6), timedelta(minutes=15), Decimal(6)),
             Rung("ticket", timedelta(days=3), timedelta(hours=1), Decimal(1)))
"""The operator's own burns, but for the last (0.5 over 30 days), which alerts while the promise is kept."""
_SPENT = (Decimal("1"),)


def fits(document: Document) -> bool:
    """Whether it is of the slok operator."""
    return text_at(document, "apiVersion") == API


@dataclass(slots=True)
class _Read:
    taking: Taking = field(default_factory=Taking)
    objectives: list[Objective] = field(default_factory=list)
    alertings: list[Alerting] = field(default_factory=list)
    compositions: list[Composition] = field(default_factory=list)


def read(documents: Sequence[Document]) -> Taken:
    """The operator's resources as a bundle."""
    state = _Read()
    later: list[Reader] = []
    for document in documents:
        reader = state.taking.reader(document)
        reader.ignore("status")
        match kind := text_at(document, "kind"):
            case "ServiceLevelObjective":
                _objective(reader, state)
            case "SLOComposition":
                later.append(reader)
            case "SLOCorrelation":
                state.taking.note(f"SLOCorrelation {text_at(document, 'metadata', 'name')}",
                                  "it is written by the operator itself", reader.where)
            case _:
                reader.report("unknown-kind", f'{API} has no kind "{kind}"',
                              "known kinds: ServiceLevelObjective, SLOComposition", "kind")
    for reader in later:
        _composition(reader, state)
    return state.taking.taken(Bundle(tuple(state.objectives), alertings=tuple(state.alertings),
                                     compositions=tuple(state.compositions)))


def _head(reader: Reader, state: _Read) -> str:
    meta = reader.child("metadata", required=True)
    if meta is None:
        return ""
    name = state.taking.name(meta, "name")
    state.taking.lose_all(meta, ("namespace", "labels", "annotations"), "Kubernetes' own place for the resource")
    for key, _ in meta.entries():
        meta.ignore(key)
    return name


def _window(reader: Reader) -> RollingWindow | None:
    window = reader.parsed("window", parse_window, required=True)
    if window is not None and not isinstance(window, RollingWindow):
        reader.report("invalid-value", f"{reader.field('window')} is no number of days", "write 30d", "window")
    return window if isinstance(window, RollingWindow) else None


def _objective(reader: Reader, state: _Read) -> None:
    name = _head(reader, state)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is None:
        return
    title = spec.text("displayName", default="")
    state.taking.lose(spec, "workloadSelector", "which workloads a change is looked for in")
    one = spec.child("objective", required=True)
    spec.done()
    if one is None:
        return
    own = catalog_name(one.text("name", required=True, default="")) or name
    target, window = one.target("target", required=True), _window(one)
    sli = one.child("sli", required=True)
    indicator = _indicator(sli, own) if sli is not None else None
    alerting = one.child("alerting")
    one.done()
    if target is None or window is None or indicator is None or not name:
        return
    state.objectives.append(Objective(name, reader.where, "", indicator, (ObjectiveWindow(window, target),),
                                      title=title))
    state.alertings.append(_alerting(alerting, name, window, reader, state))


def _indicator(sli: Reader, name: str) -> Indicator | None:
    query, template = sli.child("query"), sli.child("template")
    sli.done()
    if (query is None) == (template is None):
        sli.report("one-of", f"{sli.path} needs query or template" + (", not both" if query is not None else ""),
                   "write exactly one of the two")
        return None
    if query is not None:
        total, bad = query.text("totalQuery", required=True), query.text("errorQuery", required=True)
        query.done()
        if total is None or bad is None:
            return None
        return Indicator(name, sli.where, IndicatorType.CUSTOM, "", counter_query(total, counter=True),
                         counter_query(bad, counter=True))
    assert template is not None
    kind = template.text("name", required=True, one_of=_TEMPLATES)
    labels = tuple(Matcher(key, "=", value) for key, value in template.labels("labels").items())
    params = template.labels("params")
    template.done()
    match kind:
        case "http-availability":
            metric, failed = "http_requests_total", Matcher("status", "=~", "5..")
        case "kubernetes-apiserver":
            metric, failed = "apiserver_request_total", Matcher("code", "=~", params.get("errorCodes") or "5..")
        case "http-latency":
            return _latency(template, labels, params.get("threshold", ""), name)
        case _:
            return None
    total_of = Selector(metric, labels)
    return Indicator(name, sli.where, IndicatorType.CUSTOM, "", PromQuery(str(total_of), True),
                     PromQuery(str(total_of.named(metric, failed)), True))


def _latency(template: Reader, labels: tuple[Matcher, ...], threshold: str, name: str) -> Indicator | None:
    try:
        seconds = float(threshold)
        if not 0 < seconds < 1e6:
            raise ValueError
        good, total = histogram_queries(str(Selector("http_request_duration_seconds", labels)), seconds)
    except (ValueError, InvalidInput):
        template.report("invalid-value", f'{template.field("params")}.threshold is "{threshold}"',
                        'write seconds: {threshold: "0.5"}', "params")
        return None
    return Indicator(name, template.where, IndicatorType.CUSTOM, "", total, good=good)


# -- alerts -----------------------------------------------------------------------------------------------------------


def _alerting(alerting: Reader | None, name: str, window: RollingWindow, reader: Reader, state: _Read) -> Alerting:
    tiers: tuple[Tier, ...] = ()
    spent: tuple[Decimal, ...] = ()
    if alerting is not None:
        burns, budgets = alerting.child("burnRateAlerts"), alerting.child("budgetErrorAlerts")
        alerting.done()
        if burns is not None and burns.flag("enabled"):
            tiers = _burns(burns, window, state)
        elif burns is not None:
            burns.ignore("alerts")
        if budgets is not None and budgets.flag("enabled"):
            spent = _budgets(budgets, state)
        elif budgets is not None:
            budgets.ignore("alerts")
        for one in (burns, budgets):
            if one is not None:
                one.done()
    return Alerting(name, reader.where, objectives=(name,), tiers=tiers, budget_spent=spent, absent_for=None)


def _burns(burns: Reader, window: RollingWindow, state: _Read) -> tuple[Tier, ...]:
    written = burns.children("alerts")
    if not written:
        state.taking.note(burns.field("enabled"), "the operator's own windows: 14 and 6 and 1 times; its fourth, 0.5 "
                          "over 30d, alerts while the promise is kept and is left out", burns.where_of("enabled"))
        return tuple(rung.tier(window.length) for rung in _DEFAULTS)
    out = []
    for one in written:
        state.taking.lose(one, "name", "a tier has no name")
        severity = _severity(one, state)
        share = one.number("consumePercent", required=True, minimum=0)
        over, long, short = (one.duration(key, required=True) for key in ("consumeWindow", "longWindow", "shortWindow"))
        one.done()
        if share is None or over is None or long is None or short is None:
            continue
        if short != long / 12:
            state.taking.note(one.field("shortWindow"), "a tier asks a twelfth of its long window",
                              one.where_of("shortWindow"))
        # So much goes in consumeWindow; at that speed, so much in the long window.
        spends = Decimal(repr(share)) / 100 * Decimal(int(long.total_seconds())) / Decimal(int(over.total_seconds()))
        out.append(Rung(severity, long, share=spends.normalize()).tier(window.length))
    return tuple(sorted(out, key=lambda tier: tier.long))


def _budgets(budgets: Reader, state: _Read) -> tuple[Decimal, ...]:
    """Alerts on what is left, as shares that are spent."""
    written = budgets.children("alerts")
    if not written:
        return _SPENT
    out = set()
    for one in written:
        state.taking.lose(one, "name", "a budget alert has no name")
        state.taking.lose(one, "severity", "a budget alert is a ticket until all is spent")
        left = one.number("percent", required=True, minimum=0, maximum=100)
        one.done()
        if left is not None and left < 100:
            out.add((1 - Decimal(repr(left)) / 100).normalize())
    return tuple(sorted(out))


def _severity(one: Reader, state: _Read) -> Severity:
    written = one.text("severity", required=True, one_of=("critical", "warning", "info"), default="warning")
    if written == "info":
        state.taking.note(one.field("severity"), '"info" is read as ticket', one.where_of("severity"))
    return "page" if written == "critical" else "ticket"


# -- compositions -----------------------------------------------------------------------------------------------------


def _composition(reader: Reader, state: _Read) -> None:
    name = _head(reader, state)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is None:
        return
    target = spec.target("target", required=True)
    state.taking.lose(spec, "window", "a journey has no window of its own: each part is read over its own")
    state.taking.lose(spec, "alerting", "a journey has no alerts: its parts have")
    aliases = {}
    for one in spec.children("objectives", required=True):
        alias, reference = one.text("name", required=True, default=""), one.child("ref", required=True)
        if reference is not None:
            aliases[alias] = catalog_name(reference.text("name", required=True, default=""))
            reference.ignore("namespace")
            reference.done()
        one.done()
    how = spec.child("composition", required=True)
    spec.done()
    if how is None:
        return
    kind = how.text("type", required=True, one_of=("AND_MIN", "WEIGHTED_ROUTES"))
    params = how.child("params")
    how.done()
    if kind == "AND_MIN":
        state.taking.note(how.field("type"), "AND_MIN is the worst part's share; a serial journey multiplies the "
                          "parts, which is never better", how.where_of("type"))
        parts = [(objective, 1.0) for objective in aliases.values()]
        _add(Composition(name, reader.where, "serial", tuple(parts), target), spec, state)
    elif kind == "WEIGHTED_ROUTES" and params is not None:
        _routes(params, Composition(name, reader.where, "serial", (), target), aliases, state)
    elif kind is not None:
        how.report("missing-field", f"{how.path}.params is missing", "add params: {routes: …}")


def _routes(params: Reader, whole: Composition, aliases: dict[str, str], state: _Read) -> None:
    routes = params.children("routes", required=True)
    params.done()
    total = 0.0
    for one in routes:
        name = catalog_name(one.text("name", required=True, default=""))
        total += one.number("weight", required=True, minimum=0, maximum=1) or 0.0
        state.taking.lose(one, "weight", "each route is a journey; how often it is taken is not said")
        chain = one.texts("chain", required=True)
        one.done()
        for alias in chain:
            if alias not in aliases:
                one.report("unknown-reference", f'no objective of the composition is named "{alias}"',
                           "known: " + ", ".join(aliases), "chain")
        parts = tuple((aliases[alias], 1.0) for alias in chain if alias in aliases)
        _add(Composition(f"{whole.name}-{name}", one.where, "serial", parts, whole.target), one, state)
    if routes and abs(total - 1) > 1e-9:
        params.warn("weights-not-one", f"the routes' weights add up to {total:g}", "write shares that add up to 1",
                    "routes")


def _add(made: Composition, reader: Reader, state: _Read) -> None:
    known = {one.name for one in state.objectives}
    missing = [name for name, _ in made.parts if name not in known]
    if missing:
        state.taking.note(f"SLOComposition {made.name}", "not in the files that were named: " + ", ".join(missing),
                          reader.where)
    elif made.parts and made.name:
        state.compositions.append(made)
