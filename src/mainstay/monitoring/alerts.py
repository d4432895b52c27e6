"""The alerts of an objective: burning too fast, budget spent, no data; with words that carry the arithmetic. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal

from mainstay.kernel.objective import Objective
from mainstay.kernel.quantity import RollingWindow, format_duration, short_duration
from mainstay.monitoring import chain
from mainstay.monitoring.gate import gate_promql
from mainstay.monitoring.rulefile import AlertRule, number
from mainstay.monitoring.spec import Alerting, Extra
from mainstay.stats.budget import BurnAlert

BURN, SPENT, ABSENT = "SLOBudgetBurn", "SLOBudgetSpent", "SLODataAbsent"
"""Names of the alerts; `slo`, `tier` and `severity` tell them apart."""

_LASTS = timedelta(minutes=5)
"""A spent budget must last: a value that swings around the line must not page each time."""

_VARIABLES = ("slo", "service")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_TEMPLATE = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_TEMPLATE_VARIABLES = ("labels", "value", "externalLabels", "externalURL")


def identity(objective: Objective) -> dict[str, str]:
    """The labels that every series and alert of the objective carries."""
    labels = {chain.SLO_LABEL: objective.name}
    return labels | ({chain.SERVICE_LABEL: objective.service} if objective.service else {})


def percent(share: Decimal) -> str:
    """`1.44 %`."""
    return f"{number(share * 100)} %"


def tier_name(burn: BurnAlert) -> str:
    """What the label `tier` says: `page-1h`."""
    return f"{burn.tier.severity}-{short_duration(burn.tier.long)}"


def short_window(long: timedelta) -> timedelta:
    """The window that lets the alert go soon after the trouble: a twelfth of the long one, in whole five minutes.

    Less than five minutes would be less than the sums hold, and too few scrapes to say anything.
    """
    return max(1, round(long / 12 / chain.SLOT_LENGTH)) * chain.SLOT_LENGTH


def burning(objective: Objective, alerting: Alerting, burn: BurnAlert) -> AlertRule:
    """The alert of one tier: both windows burn above the factor."""
    labels = {chain.SLO_LABEL: objective.name}
    threshold, short = number(burn.threshold), short_window(burn.tier.long)
    # A ticket may wait for the next full five minutes, a page may not.
    summed = chain.exact if burn.tier.severity == "page" else chain.sums
    conditions = [_above(*summed(labels, length), threshold) for length in (burn.tier.long, short)]
    if alerting.low_traffic is not None:
        conditions.append(gate_promql(burn, alerting.low_traffic, *chain.sums(labels, burn.tier.long)))
    factor, window = number(burn.factor), _window_words(objective)
    long, spends = short_duration(burn.tier.long), percent(burn.tier.spends)
    name = tier_name(burn)
    speed = "faster than it may" if burn.factor == 1 else f"more than {factor} times as fast as it may"
    said = {
        "summary": f"{objective.name} burns its error budget {speed}",
        "description":
            f"{{{{ $value | humanizePercentage }}}} of the events of the last {long} failed. The line is {factor} × "
            f"{percent(objective.target.budget)} = {percent(burn.threshold)}, passed over {long} and over the last "
            f"{short_duration(short)}. At that speed {spends} of the budget of {window} goes in {long}, and all of it "
            f"in {format_duration(burn.exhausts_in)}.",
    }
    return AlertRule(BURN, "\nand\n".join(conditions), burn.tier.hold,
                     _labels(objective, alerting, burn.tier.severity, name),
                     _annotations(objective, alerting, burn.tier.severity, said), objective.name)


def _above(bad: str, total: str, threshold: str) -> str:
    """The share of bad events where it is above the threshold; nothing counted is no alert."""
    if "\n" not in bad:
        return f"{bad} / ({total} > 0) > {threshold}"
    return f"{bad}\n/\n({total} > 0)\n> {threshold}"


def _window_words(objective: Objective) -> str:
    window = objective.window
    return short_duration(window.length) if isinstance(window, RollingWindow) else f"the {window}"


def spent(objective: Objective, alerting: Alerting) -> Iterator[AlertRule]:
    """An alert for each share of the budget of the main window that is spent, and one for each further window that
    asked for it; rolling windows only.
    """
    for index, one in enumerate(objective.windows):
        if not isinstance(one.window, RollingWindow) or (index > 0 and one.alert == "report"):
            continue
        window = short_duration(one.window.length)
        selected = chain.selector({chain.SLO_LABEL: objective.name, "window": window})
        for share in alerting.budget_spent if index == 0 else (Decimal(1),):
            words = f"{percent(share)} of the error budget of {window}" if share != 1 \
                else f"the whole error budget of {window}"
            said = {"summary": f"{objective.name} has spent {words}",
                    "description": f"{{{{ $value | humanizePercentage }}}} of the budget is left: "
                                   f"{percent(one.target.budget)} of the events of {window} may fail."}
            severity = "ticket" if index == 0 or one.alert == "ticket" else "page"
            name = f"budget-{number(share * 100)}" + (f"-{window}" if index else "")
            yield AlertRule(SPENT, f"{chain.LEFT}{selected} <= {number(1 - share)}", _LASTS,
                            _labels(objective, alerting, severity, name),
                            _annotations(objective, alerting, severity, said), objective.name)


def absent(objective: Objective, alerting: Alerting) -> AlertRule:
    """No data where there was some: neither 100 % nor 0 %, but blindness, which somebody must know."""
    assert alerting.absent_for is not None, "the caller has looked"
    total = f"{chain.TOTAL}{chain.selector(identity(objective))}"
    expr = f"absent({total})"
    if alerting.group_by:
        expr = f"(last_over_time({total}[1d]) unless {total})\nor\n{expr}"
    said = {"summary": f"{objective.name} has had no data for {format_duration(alerting.absent_for)}",
            "description": "Nothing is counted, so nothing can be said about the objective and no other alert of it "
                           "can fire. Look whether the service is scraped and its metrics still have these names."}
    return AlertRule(ABSENT, expr, alerting.absent_for, _labels(objective, alerting, "ticket", "absent"),
                     _annotations(objective, alerting, "ticket", said), objective.name)


def _labels(objective: Objective, alerting: Alerting, severity: str, tier: str) -> dict[str, str]:
    own = identity(objective) | {chain.SEVERITY_LABEL: severity, chain.TIER_LABEL: tier}
    owner = {"owner": objective.owner} if objective.owner else {}
    extra = alerting.by_severity.get(severity, Extra()).labels
    routed = {key: value for key, value in extra.items() if key != "alertname"}
    return dict(alerting.labels) | routed | owner | own


def _annotations(objective: Objective, alerting: Alerting, severity: str, said: Mapping[str, str]) -> dict[str, str]:
    out = dict(said)
    if objective.title:
        out["objective"] = _literal(objective.title)
    if alerting.runbook:
        out["runbook_url"] = filled_in(alerting.runbook, objective)
    given = dict(alerting.annotations) | dict(alerting.by_severity.get(severity, Extra()).annotations)
    return out | {key: filled_in(text, objective) for key, text in given.items()}


def _literal(text: str) -> str:
    """A text in which Prometheus finds no template."""
    return text.replace("{{", '{{"{{"}}')


def filled_in(text: str, objective: Objective) -> str:
    """`$slo` and `$service` in a runbook or annotation filled in, outside of Prometheus' own templates."""
    values = {"slo": objective.name, "service": objective.service}

    def fill(found: re.Match[str]) -> str:
        return values.get(found[1] or found[2], found[0])

    parts, end = [], 0
    for template in _TEMPLATE.finditer(text):
        parts += [_VARIABLE.sub(fill, text[end:template.start()]), template[0]]
        end = template.end()
    return "".join([*parts, _VARIABLE.sub(fill, text[end:])])


def unknown_variables(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every `$name` that nobody fills in, as written, with the names known in that place."""
    for template in _TEMPLATE.findall(text):
        declared = set(re.findall(r"\$(\w+)\s*(?:,\s*\$(\w+)\s*)?:=", template))
        local = {name for pair in declared for name in pair if name}
        for name in re.findall(r"\$(\w+)", template):
            if name not in _TEMPLATE_VARIABLES and name not in local:
                yield f"${name}", _TEMPLATE_VARIABLES
    for found in _VARIABLE.finditer(_TEMPLATE.sub("", text)):
        if (found[1] or found[2]) not in _VARIABLES:
            yield found[0], _VARIABLES
