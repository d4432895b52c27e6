"""Rule files of the kubernetes-mixin and of slo-libsonnet, in: the objectives that their burn-rate alerts carry.

A pair of an alert and its records says what fails (the record), how much may (the threshold: factor × budget), and how
fast a budget may burn (the windows). It does not say over which window the budget holds; these libraries mean 30 days.
Every rule that carries no objective is named.
Sources: github.com/metalmatze/slo-libsonnet; github.com/kubernetes-monitoring/kubernetes-mixin.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from datetime import timedelta
from decimal import Decimal

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.document import Document
from mainstay.kernel.objective import Indicator, IndicatorType, Objective, ObjectiveWindow
from mainstay.kernel.ports import GaugeQuery, PromQuery
from mainstay.kernel.quantity import RollingWindow, Target, parse_duration
from mainstay.kernel.reader import Reader
from mainstay.monitoring.exchange.alert_groups import Rung, Severity
from mainstay.monitoring.exchange.form import Bundle, Taken
from mainstay.monitoring.exchange.grafana_slo import split
from mainstay.monitoring.exchange.openslo_alerts_in import PAGES
from mainstay.monitoring.exchange.promql import WINDOW, quotient, rates_as_counts
from mainstay.monitoring.exchange.taking import Taking, catalog_name, has_at, text_at
from mainstay.monitoring.spec import Alerting
from mainstay.stats.budget import Tier

PERIOD = timedelta(days=30)
"""The window that slo-libsonnet and the mixins mean by their factors."""
_METRIC = re.compile(r"(?P<base>.*(?:burnrate|rate|ratio))(?P<window>\d+(?:ms|[smhdw]))")
_MATCHERS = r"(?P<matchers>\{(?:[^{}\"']|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*')*\})?"
_NUMBER = r"\d+(?:\.\d+)?"
_CONDITION = re.compile(
    r"(?P<metric>[a-zA-Z_:][\w:]*)\s*" + _MATCHERS + r"\s*\)?\s*(?:by\s*\([^)]*\)\s*)?>=?\s*\(*\s*"
    rf"(?:(?P<factor>{_NUMBER})\s*\*\s*)?"
    rf"(?:\(\s*1\s*-\s*(?P<target>{_NUMBER})\s*\)|(?P<budget>{_NUMBER}))")
_BY = re.compile(r"\bby\s*\(([^)]*)\)")
_EQUAL = re.compile(r"""(\w+)\s*=\s*"((?:\\.|[^"\\])*)\"""")


def fits(document: Document) -> bool:
    """Whether it is a file of rules: `groups`, a PrometheusRule, or what slo-libsonnet's examples print."""
    if text_at(document, "apiVersion"):
        return text_at(document, "kind") == "PrometheusRule"
    return has_at(document, "groups") or (
        has_at(document, "alerts") and (has_at(document, "recordingrule") or has_at(document, "grafana")))


_OF_A_GROUP = ("name", "interval", "limit", "query_offset", "labels", "partial_response_strategy", "source_tenants")


@dataclass(frozen=True, slots=True)
class _Rule:
    """One rule as its file has it."""

    name: str
    expr: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    hold: timedelta
    reader: Reader
    alert: bool


@dataclass(frozen=True, slots=True)
class _Condition:
    base: str
    window: timedelta
    matchers: Mapping[str, str]
    factor: Decimal
    budget: Decimal


@dataclass(slots=True)
class _Family:
    """The alerts about one recorded share and one budget."""

    base: str
    budget: Decimal
    matchers: Mapping[str, str]
    groups: tuple[str, ...]
    alone: bool = True
    tiers: dict[Tier, None] = field(default_factory=dict)
    alerts: list[_Rule] = field(default_factory=list)


def read(documents: Sequence[Document]) -> Taken:
    """The objectives that the rules carry; every other rule is a loss by name."""
    taking = Taking()
    rules = [rule for document in documents for rule in _rules(Reader(document, document.root, "", taking.findings))]
    families: dict[tuple[str, Decimal, tuple[tuple[str, str], ...]], _Family] = {}
    used: set[int] = set()
    for index, rule in enumerate(rules):
        if rule.alert and _told(rule, families, taking):
            used.add(index)
    objectives: list[Objective] = []
    alertings: list[Alerting] = []
    bases = [family.base for family in families.values()]
    for family in families.values():
        family.alone = bases.count(family.base) == 1
        records = [(index, rule) for index, rule in enumerate(rules) if not rule.alert and _records(rule, family)]
        made = _objectives(family, [rule for _, rule in records], taking)
        used |= {index for index, _ in records}
        objectives += made
        if made:
            alertings.append(_alerting(family, made, taking))
    for index, rule in enumerate(rules):
        if index not in used:
            taking.note(f"{'alert' if rule.alert else 'record'} {rule.name}",
                        "it carries no objective: no share is compared with a factor of a budget" if rule.alert else
                        "no burn-rate alert of the files asks it", rule.reader.where)
    return taking.taken(Bundle(tuple(objectives), alertings=tuple(alertings)))


def _rules(root: Reader) -> list[_Rule]:
    if root.has("apiVersion"):
        root.ignore("apiVersion", "kind", "metadata")
        spec = root.child("spec", required=True)
        root.done()
        return _rules(spec) if spec is not None else []
    out: list[_Rule] = []
    for group in root.children("groups"):
        group.ignore(*_OF_A_GROUP)
        out += [made for one in group.children("rules") if (made := _rule(one)) is not None]
        group.done()
    for key in ("alerts", "recordingrule"):
        node = root.node.value.get(key) if isinstance(root.node.value, dict) else None
        if node is not None:
            alone = root.child(key) if isinstance(node.value, dict) else None
            some = [alone] if alone is not None else root.children(key)
            out += [made for one in some if (made := _rule(one, named=False)) is not None]
    root.ignore("grafana")
    root.done()
    return out


def _rule(one: Reader, *, named: bool = True) -> _Rule | None:
    alert, record = one.text("alert"), one.text("record")
    if named and (alert is None) == (record is None):
        one.report("one-of", f"{one.path} needs alert or record" + (", not both" if alert else ""),
                   "write exactly one of the two")
    expr = one.text("expr", required=True)
    hold = one.parsed("for", _hold) or timedelta()
    one.ignore("keep_firing_for")
    labels, annotations = one.labels("labels"), one.labels("annotations")
    one.done()
    if expr is None:
        return None
    return _Rule(alert or record or "without a name", expr, labels, annotations, hold, one, record is None)


def _uncommented(expr: str) -> str:
    return re.sub(r"(?m)^[ \t]*#[^\n]*(\n|$)", "", expr).strip()


def _hold(text: str) -> timedelta:
    return timedelta() if text.strip().rstrip("msh") == "0" else parse_duration(text)


# -- alerts -----------------------------------------------------------------------------------------------------------


def _told(rule: _Rule, families: dict[tuple[str, Decimal, tuple[tuple[str, str], ...]], _Family],
          taking: Taking) -> bool:
    """Whether the alert is about a budget; its tiers are added to their family."""
    expr = _uncommented(rule.expr)
    conditions = [made for found in _CONDITION.finditer(expr) if (made := _condition(found)) is not None]
    if not conditions or {(one.base, one.budget) for one in conditions} != {(conditions[0].base, conditions[0].budget)}:
        return False
    first = conditions[0]
    key = (first.base, first.budget, tuple(sorted(first.matchers.items())))
    by = _BY.search(expr)
    groups = tuple(re.findall(r"\w+", by[1])) if by is not None else ()
    family = families.setdefault(key, _Family(first.base, first.budget, first.matchers, groups))
    family.alerts.append(rule)
    severity = rule.labels.get("severity", "")
    said: Severity = "page" if severity.lower() in PAGES else "ticket"
    where = rule.reader.where_of("expr")
    while conditions:
        one = conditions.pop(0)
        pair = next((other for other in conditions if other.factor == one.factor), None)
        if pair is None:
            taking.note(f"alert {rule.name}: one window", "a tier also asks a twelfth of its window", where)
        else:
            conditions.remove(pair)
        long = max(one.window, pair.window if pair is not None else one.window)
        short = min(one.window, pair.window if pair is not None else one.window)
        if pair is not None and short != long / 12:
            taking.note(f"alert {rule.name}: its short window", "a tier asks a twelfth of its long window", where)
        family.tiers[Rung(said, long, rule.hold, one.factor).tier(PERIOD)] = None
    return True


def _condition(found: re.Match[str]) -> _Condition | None:
    metric = _METRIC.fullmatch(found["metric"])
    if metric is None:
        return None
    budget = 1 - Decimal(found["target"]) if found["target"] else Decimal(found["budget"])
    if not 0 < budget < 1:
        return None
    return _Condition(metric["base"], parse_duration(metric["window"]), dict(_EQUAL.findall(found["matchers"] or "")),
                      Decimal(found["factor"] or 1), budget.normalize())


def _alerting(family: _Family, made: Sequence[Objective], taking: Taking) -> Alerting:
    first = family.alerts[0]
    names = {rule.name for rule in family.alerts}
    if len(names) > 1:
        taking.note(f"alerts {', '.join(sorted(names))}: their names", "the alerts of an objective share one",
                    first.reader.where)
    labels = _shared([rule.labels for rule in family.alerts], "labels", first, taking,
                     without={"severity", "long", "short"} | set(family.matchers))
    annotations = dict(_shared([rule.annotations for rule in family.alerts], "annotations", first, taking))
    runbook = annotations.pop("runbook_url", "")
    return Alerting(catalog_name(_title(family)), first.reader.where, tuple(one.name for one in made),
                    group_by=family.groups, tiers=tuple(sorted(family.tiers, key=lambda tier: tier.long)),
                    budget_spent=(), absent_for=None, runbook=runbook, labels=labels, annotations=annotations,
                    alert_name=first.name)


def _shared(some: Sequence[Mapping[str, str]], what: str, first: _Rule, taking: Taking, *,
            without: set[str] | frozenset[str] = frozenset()) -> dict[str, str]:
    """What all say alike; what only some say is lost by name."""
    keys = dict.fromkeys(key for one in some for key in one if key not in without)
    out = {}
    for key in keys:
        values = {one.get(key) for one in some}
        value = some[0].get(key)
        if len(values) == 1 and value is not None:
            out[key] = value
        else:
            taking.note(f"alert {first.name}: {what}.{key}", "the alerts of an objective share it",
                        first.reader.where_of(what))
    return out


# -- records ----------------------------------------------------------------------------------------------------------


def _title(family: _Family) -> str:
    """What the share is recorded as; where other alerts ask the same records, with the labels that tell them apart."""
    base = re.sub(r":(?:burnrate|rate|ratio)$", "", family.base).replace(":", "-")
    return base if family.alone else "-".join((base, *family.matchers.values()))


def _records(rule: _Rule, family: _Family) -> bool:
    found = _METRIC.fullmatch(rule.name)
    return found is not None and found["base"] == family.base and all(
        rule.labels.get(key, value) == value for key, value in family.matchers.items())


def _objectives(family: _Family, records: Sequence[_Rule], taking: Taking) -> list[Objective]:
    """One objective for each set of labels under which the share is recorded."""
    first = family.alerts[0]
    title = _title(family)
    if not records:
        taking.note(f"alert {first.name}", f"no rule of the files records {family.base}…: what it is about is not said",
                    first.reader.where)
        return []
    shortest: dict[tuple[tuple[str, str], ...], _Rule] = {}
    for rule in sorted(records, key=_window):
        shortest.setdefault(tuple(sorted(rule.labels.items())), rule)
    taking.note(f"alert {first.name}: the window of its budget", "these rules do not say it; their libraries mean 30d",
                first.reader.where)
    if len(shortest) > 1:
        taking.note(f"alert {first.name}: the sum over {len(shortest)} records", "it adds their shares; each is an "
                    "objective of its own", first.reader.where_of("expr"))
    out = []
    told = {key for labels in shortest for key, _ in labels if key not in family.matchers}
    for labels, rule in shortest.items():
        own = "-".join(value for key, value in labels if key in told)
        name = catalog_name(f"{title}-{own}" if own and len(shortest) > 1 else title)
        target = Target.percent((1 - family.budget) * 100)
        out.append(Objective(name, rule.reader.where, "", _indicator(rule, name, taking),
                             (ObjectiveWindow(RollingWindow(PERIOD), target),), title=first.name,
                             labels=dict(labels)))
    return out


def _window(rule: _Rule) -> timedelta:
    found = _METRIC.fullmatch(rule.name)
    assert found is not None, "only records of a share are asked"
    return parse_duration(found["window"])


def _indicator(rule: _Rule, name: str, taking: Taking) -> Indicator:
    """Bad (or good) and total of a recorded share; a share that is no ratio is kept as one."""
    text = _uncommented(rule.expr)
    made = Indicator(name, rule.reader.where, IndicatorType.CUSTOM, "", GaugeQuery(text, share="bad"))
    found = split(text)
    if found is not None:
        # A share of failures is recorded: of one less a ratio, what stands above the stroke is good.
        if found.kind == "bad":
            return replace(made, total=found.total, good=found.part)
        return replace(made, total=found.total, bad=found.part)
    sides = quotient(text)
    if sides is None:
        taking.note(f"record {rule.name}", "a share that is no ratio of counts can only be averaged over time",
                    rule.reader.where_of("expr"))
        return replace(made, total=GaugeQuery(_ranged(text), share="bad"))
    bad, total = (PromQuery(_counts(_ranged(side))) for side in sides)
    return replace(made, bad=bad, total=total)


def _ranged(text: str) -> str:
    return re.sub(r"\[\s*\d+(?:ms|[smhdw])\s*\]", f"[{WINDOW}]", text)


def _counts(text: str) -> str:
    """Rates as counts, so that busy times weigh more; the rates where only they can be asked."""
    return rates_as_counts(text) or text
