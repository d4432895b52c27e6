"""Grafana SLO, out: Terraform's JSON (`*.tf.json`) and the plugin's API, one object an SLO.

Sources: as for reading, `grafana_slo.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from mainstay.kernel.method import Occurrences
from mainstay.kernel.objective import Indicator, Objective
from mainstay.kernel.ports import GaugeQuery, PromQuery
from mainstay.kernel.quantity import RollingWindow, plain, short_duration
from mainstay.monitoring.exchange.form import Bundle, Given, Loss
from mainstay.monitoring.exchange.grafana_slo import API, BURNS, SERVICE, TERRAFORM, Words
from mainstay.monitoring.spec import DEFAULT, Alerting, alerting_of, tiers_of

Json = dict[str, Any]
_Lost = Callable[[str, str], None]
_DATASOURCE = "grafanacloud-prom"
"""Where Grafana Cloud keeps its own metrics."""


def write_terraform(bundle: Bundle) -> Given:
    """The bundle as one file of `grafana_slo` resources."""
    losses: list[Loss] = []
    made = {_identifier(one.name): body for one in bundle.objectives
            if (body := _slo(one, bundle, TERRAFORM, losses)) is not None}
    _others(bundle, losses)
    files = (("grafana_slo.tf.json", _text({"resource": {"grafana_slo": _escaped(made)}})),) if made else ()
    return Given(files, tuple(losses))


def write_api(bundle: Bundle) -> Given:
    """The bundle as one request body an SLO."""
    losses: list[Loss] = []
    files = tuple((f"{one.name}.json", _text(body)) for one in bundle.objectives
                  if (body := _slo(one, bundle, API, losses)) is not None)
    _others(bundle, losses)
    return Given(files, tuple(losses))


def _text(value: Json) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _escaped(value: Any) -> Any:
    """Texts as Terraform takes them: what looks like one of its expressions is none."""
    match value:
        case str():
            return value.replace("${", "$${").replace("%{", "%%{")
        case list():
            return [_escaped(one) for one in value]
        case dict():
            return {key: _escaped(one) for key, one in value.items()}
        case _:
            return value


def _identifier(name: str) -> str:
    """A Terraform name: it starts with a letter or `_`."""
    word = re.sub(r"[^A-Za-z0-9_-]", "_", name)
    return word if word[0].isalpha() or word[0] == "_" else f"_{word}"


def _others(bundle: Bundle, losses: list[Loss]) -> None:
    for one in bundle.compositions:
        losses.append(Loss(f"journey {one.name}", "Grafana SLO composes nothing", one.origin))
    for source in bundle.sources:
        losses.append(Loss(f"data source {source.name}", f"Grafana names a data source of its own; {_DATASOURCE} is "
                           "written", source.origin))


def _slo(objective: Objective, bundle: Bundle, words: Words, losses: list[Loss]) -> Json | None:
    def lost(what: str, why: str) -> None:
        losses.append(Loss(f"{objective.name}: {what}", why, objective.origin))

    alerting = alerting_of(objective, bundle.catalog())
    indicator = objective.indicator
    query = _query(indicator, alerting, words, lost) if isinstance(indicator, Indicator) else None
    windows = [one for one in objective.windows if isinstance(one.window, RollingWindow)]
    if query is None or not windows:
        lost("the whole objective", "Grafana SLO takes a ratio of PromQL over a rolling window")
        return None
    for what, why in _beyond(objective):
        lost(what, why)
    # JSON's numbers are floats to most who read them; a target has few enough digits to survive that.
    targets = [{"value": float(one.target.ratio), "window": short_duration(one.window.length)}
               for one in windows if isinstance(one.window, RollingWindow)]
    labels = ({SERVICE: objective.service} if objective.service else {}) | dict(objective.labels)
    body: Json = {"name": objective.title or objective.name,
                  "description": objective.description or objective.title or objective.name,
                  "query": _block(query, words), "objectives": targets,
                  words.datasource: _block({"uid": _DATASOURCE}, words)}
    if labels:
        body[words.labels] = _pairs(labels)
    if (block := _alerts(objective, alerting, words, losses)) is not None:
        body["alerting"] = _block(block, words)
    return body


def _block(value: Json, words: Words) -> Any:
    """Terraform's JSON lists blocks; the API nests objects."""
    return [value] if words is TERRAFORM else value


def _pairs(labels: Mapping[str, str]) -> list[Json]:
    return [{"key": key, "value": value} for key, value in labels.items()]


def _beyond(one: Objective) -> Iterator[tuple[str, str]]:
    for window in one.windows:
        if not isinstance(window.window, RollingWindow):
            yield f"window {window.window}", "Grafana SLO has rolling windows alone"
    if not isinstance(one.method, Occurrences):
        yield f"method {type(one.method).__name__}", "Grafana SLO counts events"
    if not one.description:
        yield "no description", "Grafana SLO needs one; the title is written"
    for what, said in (("owner", one.owner), ("rationale", one.rationale), ("sla", one.sla), ("policy", one.policy),
                       ("dependencies", one.dependencies), ("review", one.review), ("exclusions", one.exclusions)):
        if said:
            yield what, "Grafana SLO has no field for it"


# -- what is counted --------------------------------------------------------------------------------------------------


def _query(indicator: Indicator, alerting: Alerting, words: Words, lost: _Lost) -> Json | None:
    if indicator.derived is not None:
        return None
    other = indicator.good or indicator.bad
    match indicator.total:
        case GaugeQuery(text, share=share) if share:
            raw = _ranged(text)
            return _freeform(raw if share == "good" else f"1 - ({raw})", words)
        case GaugeQuery(text, operator, threshold) if operator in ("<=", ">=", "<", ">"):
            return _freeform(f"({_ranged(text)}) {operator} bool {plain(Decimal(repr(threshold)))}", words)
        case PromQuery() as total if isinstance(other, PromQuery):
            if total.counter and other.counter and indicator.good is not None:
                return _ratio(other.text, total.text, alerting, words)
            by = f" by ({', '.join(alerting.group_by)})" if alerting.group_by else ""
            some, all_ = (f"sum{by} (rate({one.text}[$__rate_interval]))" if one.counter else f"({_ranged(one.text)})"
                          for one in (other, total))
            if not (total.counter and other.counter):
                lost("counts that are expressions", "Grafana SLO asks their ratio at each moment, whose mean is taken")
            if indicator.good is not None:
                return _freeform(f"{some} / {all_}", words)
            # Without `or`, no failure at all would be no data.
            return _freeform(f"1 - ({some} or 0 * {all_}) / {all_}", words)
        case _:
            return None


def _ranged(text: str) -> str:
    return re.sub(r"\$\{window\}|\$window\b|\{\{\s*\.?window\s*\}\}", "$__rate_interval", text)


def _freeform(text: str, words: Words) -> Json:
    return {"type": "freeform", "freeform": _block({"query": text}, words)}


def _ratio(good: str, total: str, alerting: Alerting, words: Words) -> Json:
    if words is API:
        metrics: Json = {words.success: {"prometheusMetric": good}, words.total: {"prometheusMetric": total}}
    else:
        metrics = {words.success: good, words.total: total}
    if alerting.group_by:
        metrics[words.groups] = list(alerting.group_by)
    return {"type": "ratio", "ratio": _block(metrics, words)}


# -- alerts -----------------------------------------------------------------------------------------------------------


def _alerts(objective: Objective, alerting: Alerting, words: Words, losses: list[Loss]) -> Json | None:
    window = objective.window
    if alerting is DEFAULT or not isinstance(window, RollingWindow):
        return None
    tiers = tiers_of(alerting)
    severities = {tier.severity for tier in tiers}
    own = [tier for rung in BURNS if rung.severity in severities for tier in [rung.tier(window.length)]]
    said = ((f"alerting {alerting.name}: tiers for {short_duration(window.length)}",
             [(tier.long, tier.spends) for tier in own] != [(tier.long, tier.spends) for tier in tiers],
             "Grafana has burn rates of its own: 14.4, 6, 3 and 1"),
            (f"alerting {alerting.name}: hold", any(tier.hold for tier in tiers), "Grafana's rules say for how long"),
            (f"alerting {alerting.name}: budget_spent", bool(alerting.budget_spent), "Grafana SLO alerts on burns"),
            (f"alerting {alerting.name}: absent_for", alerting.absent_for is not None, "Grafana SLO alerts on burns"),
            (f"alerting {alerting.name}: low_traffic", alerting.low_traffic is not None,
             "Grafana SLO has a number of failures"),
            (f"alerting {alerting.name}: runbook", bool(alerting.runbook), "write it as an annotation"),
            (f"alerting {alerting.name}: alert_name", bool(alerting.alert_name), "an alert is named by its SLO"))
    known = {one.what for one in losses}
    losses += [Loss(what, why, alerting.origin) for what, lost, why in said if lost and what not in known]
    if not severities:
        return None
    block: Json = {}
    for key, severity in ((words.fast, "page"), (words.slow, "ticket")):
        if severity in severities:
            extra = alerting.by_severity.get(severity)
            block[key] = _block({} if extra is None else _extras(extra.labels, extra.annotations, words), words)
    return block | _extras(alerting.labels, alerting.annotations, words)


def _extras(labels: Mapping[str, str], annotations: Mapping[str, str], words: Words) -> Json:
    return {key: _pairs(some) for key, some in ((words.annotations, annotations), (words.labels, labels)) if some}
