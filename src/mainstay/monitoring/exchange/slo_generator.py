"""Google's slo-generator: `sre.google.com/v2 ServiceLevelObjective`, and the shared configuration beside it.

Only what asks Prometheus is taken: other backends' queries mean nothing here, and their objectives are named as losses.
Source: slo-generator 2.6, its documentation and samples (Apache-2.0); facts, no code.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import field, replace
from datetime import timedelta
from decimal import Decimal, InvalidOperation

from mainstay.kernel.catalog import Catalog
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.document import Document
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.objective import (
    DataSource,
    Indicator,
    Objective,
    ObjectiveWindow,
    PrometheusDetails,
    Service,
)
from mainstay.kernel.openslo_fields import ratio_target
from mainstay.kernel.ports import GaugeQuery, PromQuery
from mainstay.kernel.quantity import RollingWindow, format_duration, plain
from mainstay.kernel.reader import Reader
from mainstay.monitoring.exchange.form import Bundle, Format, Given, Loss, Taken
from mainstay.monitoring.exchange.promql import (
    WINDOW,
    Matcher,
    Selector,
    counted,
    mistake_in,
    names_window,
    quotient,
    selector_of,
)
from mainstay.monitoring.exchange.reading import Queries, Wanted, grouped, passed_over, takes_tier
from mainstay.monitoring.exchange.said import rolling_length, unsaid, unsaid_alerting
from mainstay.monitoring.exchange.taking import Taking, catalog_name, has_at, spends, text_at
from mainstay.monitoring.exchange.yaml_out import Value, kept, yaml_file
from mainstay.monitoring.spec import Alerting, alerting_of
from mainstay.stats.budget import TIERS, Tier, burn_alerts

TOOL = "slo-generator"
_API, _KIND = "sre.google.com/v2", "ServiceLevelObjective"
_FOUR_WEEKS = timedelta(days=28)
_DEFAULT_POLICY = "default"
_LONGEST = 3660 * 86_400
"""Ten years in seconds: a longer step is a slip of the pen."""
_OPERATORS = ("increase", "sum")


def _is_config(document: Document) -> bool:
    return has_at(document, "error_budget_policies") or (has_at(document, "backends") and has_at(document, "exporters"))


def fits(document: Document) -> bool:
    """Whether the document is one of its objectives or its shared configuration."""
    return (text_at(document, "apiVersion") == _API and text_at(document, "kind") == _KIND) or _is_config(document)


# -- reading ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Policy:
    """An error budget policy: the longest step is the window, those that alert are tiers, None when nobody says."""

    window: timedelta
    tiers: tuple[Tier, ...] | None


@dataclass(slots=True)
class _Shared:
    """What the shared configuration says; without one, nothing."""

    policies: dict[str, _Policy] = field(default_factory=dict)
    sources: dict[str, DataSource] = field(default_factory=dict)


def read(documents: Sequence[Document]) -> Taken:
    """Every objective that is asked at a Prometheus."""
    taking = Taking()
    shared = _Shared()
    for document in documents:
        if _is_config(document):
            _read_config(taking, taking.reader(document), shared)
    objectives: list[Objective] = []
    services: dict[str, Service] = {}
    wanted: list[Wanted] = []
    for document in documents:
        found = None if _is_config(document) else _read_one(taking, taking.reader(document), shared)
        if found is None:
            continue
        objective, settings = found
        objectives.append(objective)
        wanted.append(Wanted(objective.name, objective.service, settings))
        if objective.service:
            services.setdefault(objective.service, Service(objective.service, objective.origin))
    return passed_over(taking.taken(Bundle(tuple(objectives), tuple(services.values()),
                                           tuple(shared.sources.values()), grouped(wanted))), TOOL)


def _read_config(taking: Taking, reader: Reader, shared: _Shared) -> None:
    taking.lose_all(reader, ("exporters", "default_exporters"), "figures are served by Mainstay, not pushed")
    backends = reader.child("backends")
    for name, _ in backends.entries() if backends is not None else []:
        assert backends is not None, "it has entries"
        if name.partition("/")[0] == "prometheus":
            _read_backend(taking, backends, name, shared)
        else:
            taking.note(backends.field(name), "only Prometheus is asked", backends.where_of(name))
    policies = reader.child("error_budget_policies")
    for name, _ in policies.entries() if policies is not None else []:
        assert policies is not None, "it has entries"
        child = policies.child(name)
        if child is not None:
            shared.policies[name] = _read_policy(taking, child)
    reader.done()


def _read_backend(taking: Taking, backends: Reader, key: str, shared: _Shared) -> None:
    child = backends.child(key)
    if child is None:
        return
    url = child.text("url", default="")
    taking.lose(child, "headers", "a header may hold a secret, which no catalog does; name it by variable or file")
    child.done()
    if url.startswith(("http://", "https://")):
        name = catalog_name(key.replace("/", "-"))
        shared.sources[key] = DataSource(name, child.where_of("url"), "prometheus", PrometheusDetails(url))
    elif url:
        taking.note(child.field("url"), "an address from a variable; name it with --prometheus", child.where_of("url"))


def _read_policy(taking: Taking, policy: Reader) -> _Policy:
    steps: list[tuple[Reader, timedelta, Decimal, bool]] = []
    for step in policy.children("steps", required=True):
        seconds = step.whole("window", required=True, minimum=1, maximum=_LONGEST)
        threshold = step.parsed("burn_rate_threshold", _threshold, required=True)
        alert = step.flag("alert")
        step.ignore("name", "message_alert", "message_ok")
        step.done()
        if seconds is not None and threshold is not None:
            steps.append((step, timedelta(seconds=seconds), threshold, alert))
    if steps:
        taking.note(f"{policy.path}: names and messages of its steps", "what an alert says is made of its figures",
                    policy.where)
    policy.done()
    window = max((length for _, length, _, _ in steps), default=_FOUR_WEEKS)
    tiers = []
    for step, length, threshold, alert in steps:
        tier = Tier("page", length, spends(threshold, length, window), timedelta(0))
        if alert and length < window and takes_tier(taking, step, tier):
            taking.note(step.path, "an alert also looks at a short window, a twelfth of this one, so that it ends soon "
                        "after the trouble", step.where)
            tiers.append(tier)
        elif not alert and length < window:
            taking.note(step.path, "a step that alerts nobody is a zone of a budget policy, and is not taken",
                        step.where)
    return _Policy(window, tuple(tiers))


def _threshold(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal(-1)
    if not value.is_finite() or value <= 0:
        raise InvalidInput(f'"{text}" is no burn rate', "write a number above 0, such as 14.4")
    return value


def _read_one(taking: Taking, reader: Reader, shared: _Shared) -> tuple[Objective, Alerting] | None:
    meta, spec = reader.child("metadata", required=True), reader.child("spec", required=True)
    reader.done()
    if meta is None or spec is None:
        return None
    name = taking.name(meta, "name")
    labels = meta.labels("labels")
    taking.lose(meta, "annotations", "they are about where the file is run")
    meta.done()
    where = meta.where_of("name")
    description = spec.text("description", default="")
    target = spec.parsed("goal", ratio_target, required=True)
    backend, method = spec.text("backend", required=True, default=""), spec.text("method", required=True, default="")
    policy_name = spec.text("error_budget_policy", default=_DEFAULT_POLICY)
    taking.lose_all(spec, ("exporters", "frequency"), "figures are served by Mainstay, not pushed")
    queries = _read_sli(taking, spec, backend, method)
    spec.done()
    policy = shared.policies.get(policy_name)
    if policy is None and queries is not None:
        taking.note(f'{spec.field("error_budget_policy")} {policy_name}', "its steps stand in the shared "
                    "configuration; without that file the window is 28d", spec.where_of("error_budget_policy"))
    if target is None or queries is None or not name:
        return None
    policy = policy or _Policy(_FOUR_WEEKS, None)
    source = shared.sources.get(backend)
    indicator = replace(queries.indicator(name, where), source=source.name if source is not None else "")
    settings = Alerting(name, where, tiers=policy.tiers, budget_spent=(), absent_for=None)
    return Objective(name, where, catalog_name(labels.get("service_name", "")), indicator,
                     (ObjectiveWindow(RollingWindow(policy.window), target),), description=description,
                     labels=labels), settings


_METHODS = ("good_bad_ratio", "query_sli", "distribution_cut")


def _read_sli(taking: Taking, spec: Reader, backend: str, method: str) -> Queries | None:
    if not backend or not method:
        spec.ignore("service_level_indicator")
        return None
    if backend.partition("/")[0] != "prometheus":
        spec.ignore("service_level_indicator")
        taking.note(f"{spec.field('backend')} {backend}", "only Prometheus is asked, so the objective is not taken",
                    spec.where_of("backend"))
        return None
    sli = spec.child("service_level_indicator", required=True)
    if sli is None:
        return None
    if method not in _METHODS:
        spec.report("unknown-value", f'{spec.field("method")} "{method}" is no method of the Prometheus backend',
                    "write one of: " + ", ".join(_METHODS), "method")
        return None
    found = {"good_bad_ratio": _read_ratio, "query_sli": _read_query_sli, "distribution_cut": _read_cut}[method](
        taking, sli)
    sli.done()
    return found


def _filter(sli: Reader, key: str) -> str | None:
    """A selector, its `[window]` left out."""
    text = sli.text(key)
    if text is None:
        return None
    bare = text.strip().removesuffix("[window]").strip()
    if wrong := mistake_in(bare):
        sli.report("not-promql", f"{sli.field(key)} is not PromQL: {wrong}", "write it as Prometheus reads it", key)
        return None
    if selector_of(bare) is None:
        sli.report("not-a-selector", f"{sli.field(key)} is no metric's selector",
                   'write its name with labels: http_requests_total{job="web"}; method: query_sli takes expressions',
                   key)
        return None
    return bare


def _read_ratio(taking: Taking, sli: Reader) -> Queries | None:
    good, bad, valid = (_filter(sli, key) for key in ("filter_good", "filter_bad", "filter_valid"))
    operators = sli.texts("operators")
    if operators and operators != _OPERATORS:
        taking.note(sli.field("operators"), "counts are always sum(increase(…)), which their ratio needs",
                    sli.where_of("operators"))
    if not sli.has("filter_good") or sli.has("filter_bad") == sli.has("filter_valid"):
        sli.report("one-of", f"{sli.path} needs filter_good, and filter_bad or filter_valid",
                   "write filter_good and filter_valid")
        return None
    if good is not None and valid is not None:
        return Queries(PromQuery(valid, counter=True), good=PromQuery(good, counter=True))
    if good is not None and bad is not None:
        return Queries(PromQuery(_good_and_bad(good, bad)), bad=PromQuery(bad, counter=True))
    return None


def _good_and_bad(good: str, bad: str) -> str:
    """All events where good and bad are counted: absent only where neither is there."""
    one, other = f"sum(increase({good}[{WINDOW}]))", f"sum(increase({bad}[{WINDOW}]))"
    return f"({one} or 0 * {other}) + ({other} or 0 * {one})"


_BOTH = re.compile(r"\(sum\(increase\((?P<good>.*?)\[\$window\]\)\) or 0 \* .*", re.DOTALL)


def _read_query_sli(taking: Taking, sli: Reader) -> Queries | None:
    text = sli.text("expression", required=True)
    if text is None:
        return None
    query = text.strip().replace("[window", f"[{WINDOW}")
    if wrong := mistake_in(query):
        sli.report("not-promql", f"{sli.field('expression')} is not PromQL: {wrong}",
                   "write it as Prometheus reads it", "expression")
        return None
    sides = quotient(query)
    good, total = (counted(sides[0]), counted(sides[1])) if sides is not None else (None, None)
    if good is not None and total is not None and not good.groups and not total.groups:
        taking.note(sli.field("expression"), "good and total are counted apart, which is exact over any window; "
                    "written again as good_bad_ratio", sli.where_of("expression"))
        return Queries(PromQuery(total.selector, counter=True), good=PromQuery(good.selector, counter=True))
    return Queries(GaugeQuery(query, share="good"))


def _read_cut(taking: Taking, sli: Reader) -> Queries | None:  # noqa: ARG001  (one signature for every method)
    text = _filter(sli, "expression")
    bound = sli.text("threshold_bucket", required=True)
    if not sli.has("expression"):
        sli.report("missing-field", f"{sli.field('expression')} is missing", "add expression: …_bucket{…}")
    if text is None or bound is None:
        return None
    selector = selector_of(text)
    assert selector is not None, "a filter is a selector"
    if not selector.metric.endswith("_bucket"):
        sli.report("no-bucket", f"{sli.field('expression')} is no histogram's buckets", "name …_bucket", "expression")
        return None
    good = selector.named(selector.metric, _le(bound))
    total = selector.named(selector.metric.removesuffix("_bucket") + "_count")
    return Queries(PromQuery(str(total), counter=True), good=PromQuery(str(good), counter=True))


def _le(bound: str) -> Matcher:
    """The bucket's bound; Prometheus 3 stores `1.0` where 2.x stored `1`, so a whole one matches both."""
    return Matcher("le", "=~", rf"{bound}(\.0)?") if bound.isdigit() else Matcher("le", "=", bound)


# -- writing ----------------------------------------------------------------------------------------------------------

_Mapped = dict[str, Value]


def write(bundle: Bundle) -> Given:
    """One file an objective, and the shared configuration with their policies."""
    catalog = bundle.catalog()
    files: list[tuple[str, str]] = []
    losses: list[Loss] = []
    policies: dict[str, list[_Mapped]] = {}
    told: set[str] = set()
    for objective in bundle.objectives:
        method = _sli(objective)
        if isinstance(method, str):
            losses.append(Loss(objective.name, f"not written: {method}"))
            continue
        losses += unsaid(objective, TOOL, {"description", "labels", "service"})
        alerting = alerting_of(objective, catalog)
        if alerting.name not in told:
            told.add(alerting.name)
            losses += unsaid_alerting(alerting, TOOL)
        steps = _steps(objective, alerting)
        name = next((name for name, known in policies.items() if known == steps),
                    _DEFAULT_POLICY if not policies else f"policy-{len(policies) + 1}")
        policies[name] = steps
        files.append((f"{objective.name}.yaml", yaml_file([_document(objective, method, name)])))
    if files:
        files.append(("config.yaml", yaml_file([_config(catalog, policies)])))
    return Given(tuple(files), tuple(losses))


def _config(catalog: Catalog, policies: dict[str, list[_Mapped]]) -> _Mapped:
    urls = [one.details.url for one in catalog.of(DataSource) if isinstance(one.details, PrometheusDetails)]
    return {"backends": {"prometheus": {"url": urls[0] if urls else "${PROMETHEUS_URL}"}},
            "error_budget_policies": {name: {"steps": steps} for name, steps in policies.items()}}


def _steps(objective: Objective, alerting: Alerting) -> list[_Mapped]:
    """A step a tier, and one over the whole window, which alerts nobody."""
    window = rolling_length(objective)
    tiers = alerting.tiers if alerting.tiers is not None else TIERS
    burns = burn_alerts(objective.target, window, tiers)
    steps = [_step(one.tier.long, one.factor, alert=one.tier.severity == "page") for one in burns
             if one.tier.long < window]
    return [*steps, _step(window, Decimal(1), alert=False)]


def _step(length: timedelta, factor: Decimal, *, alert: bool) -> _Mapped:
    said = format_duration(length)
    threshold = factor.quantize(Decimal(1).scaleb(factor.adjusted() - 14)).normalize()
    return {"name": said, "window": int(length.total_seconds()), "burn_rate_threshold": threshold, "alert": alert,
            "message_alert": f"the error budget burns too fast over {said}", "message_ok": f"{said} on track"}


def _document(objective: Objective, method: _Mapped, policy: str) -> _Mapped:
    labels = dict(objective.labels)
    if objective.service:
        labels.setdefault("service_name", objective.service)
    spec = {"description": objective.description, "backend": "prometheus", **method,
            "goal": objective.target.ratio, "error_budget_policy": "" if policy == _DEFAULT_POLICY else policy}
    return {"apiVersion": _API, "kind": _KIND, "metadata": _kept({"name": objective.name, "labels": labels}),
            "spec": _kept(spec)}


def _sli(objective: Objective) -> _Mapped | str:
    """Method and indicator, or why there is none."""
    indicator = objective.indicator
    assert isinstance(indicator, Indicator), "objectives come with their indicators inline"
    if indicator.derived is not None:
        return f"{TOOL} has no throughput and no freshness"
    match indicator.total:
        case GaugeQuery() as gauge:
            return _method("query_sli", expression=_good_share(gauge))
        case PromQuery() as total:
            return _counts(total, indicator)
        case _:
            return "it is counted from events, and Prometheus has none"


def _method(name: str, **fields: Value) -> _Mapped:
    return {"method": name, "service_level_indicator": fields}


def _counts(total: PromQuery, indicator: Indicator) -> _Mapped | str:
    good, bad = indicator.good, indicator.bad
    if isinstance(good, PromQuery) and good.counter and total.counter:
        return _cut(good.text, total.text) or _method("good_bad_ratio", filter_good=good.text, filter_valid=total.text)
    if isinstance(bad, PromQuery) and bad.counter and not total.counter:
        both = _BOTH.fullmatch(total.text)
        if both is not None and _good_and_bad(both["good"], bad.text) == total.text:
            return _method("good_bad_ratio", filter_good=both["good"], filter_bad=bad.text)
    whole, part = _increase(total), bad or good
    if not isinstance(part, PromQuery):
        return "the indicator says neither good nor bad"
    # A series of errors that is not there yet is no failure, not no data.
    failed = f"({_increase(part)} or 0 * {whole})"
    text = f"1 - {failed} / {whole}" if part is bad else f"{_increase(part)} / {whole}"
    return _method("query_sli", expression=text.replace(WINDOW, "window"))


def _increase(query: PromQuery) -> str:
    return f"sum(increase({query.text}[{WINDOW}]))" if query.counter else f"({query.text})"


def _cut(good: str, total: str) -> _Mapped | None:
    """A histogram at a threshold, where good is its bucket and total its count."""
    bucket, count = selector_of(good), selector_of(total)
    if bucket is None or count is None or not bucket.metric.endswith("_bucket"):
        return None
    rest = Selector(bucket.metric, tuple(one for one in bucket.matchers if one.label != "le"))
    bounds = [one for one in bucket.matchers if one.label == "le"]
    if len(bounds) != 1 or rest.named(bucket.metric.removesuffix("_bucket") + "_count") != count:
        return None
    bound = bounds[0].value.removesuffix(r"(\.0)?")
    if not re.fullmatch(r"\d+(\.\d+)?", bound) or _le(bound) != bounds[0]:
        return None
    return _method("distribution_cut", expression=str(rest), threshold_bucket=Decimal(bound))


def _good_share(gauge: GaugeQuery) -> str:
    if gauge.share:
        text = gauge.text if names_window(gauge.text) else f"avg_over_time(({gauge.text})[{WINDOW}:])"
        text = text if gauge.share == "good" else f"1 - ({text})"
    else:
        compared = f"({gauge.text}) {gauge.operator} bool {plain(Decimal(repr(gauge.threshold)))}"
        text = f"avg_over_time(({compared})[{WINDOW}:])"
    return text.replace(WINDOW, "window")


def _kept(pairs: _Mapped) -> _Mapped:
    return {key: value for key, value in pairs.items() if kept(value)}


SLO_GENERATOR = Format("slo-generator", "slo-generator", fits, read, write)
