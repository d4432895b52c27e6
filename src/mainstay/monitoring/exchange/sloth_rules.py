"""Rules as Sloth 0.16 records them: the same names, labels and expressions, so that a team switches with its history.

The 30-day value is Sloth's mean of five-minute ratios, which Mainstay's own style does better; it is kept here because
it is what the history holds. Numbers are exact: `0.001` where Sloth writes `0.0009999999999999432`.
Source: Sloth 0.16's documentation and its published examples with their generated rules (Apache-2.0); facts, no code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from mainstay.kernel.catalog import Catalog
from mainstay.kernel.objective import Objective, resolved
from mainstay.kernel.quantity import plain
from mainstay.monitoring.exchange.promql import filled, go_duration, number
from mainstay.monitoring.exchange.sloth_model import SEVERITIES, Events, SlothSlo, sloth_slos
from mainstay.monitoring.rulefile import AlertRule, RecordingRule, Rule, RuleFile, RuleGroup, object_name
from mainstay.monitoring.spec import Alerting
from mainstay.stats.budget import BurnAlert, burn_alerts

_RATIO = "slo:sli_error:ratio_rate"
_BUDGET = "slo:error_budget:ratio"
_PERIOD_BURN = "slo:period_burn_rate:ratio"


def sloth_style(pairs: Sequence[tuple[Objective, Alerting]], catalog: Catalog) -> Sequence[RuleFile]:
    """Sloth's rules, a file for each service; an objective that Sloth cannot say has none."""
    inline = [(replace(one, indicator=resolved(one, catalog)), alerting) for one, alerting in pairs]
    files: dict[str, list[RuleGroup]] = {}
    for slo in sloth_slos(inline)[0]:
        files.setdefault(slo.service, []).extend(group for group in slo_groups(slo) if group.rules)
    return tuple(RuleFile(object_name(service), tuple(groups)) for service, groups in files.items())


def slo_groups(slo: SlothSlo) -> tuple[RuleGroup, RuleGroup, RuleGroup]:
    """The three groups of one SLO: its error ratios, what is said about it, its alerts."""
    alerts = {severity: burn_alerts(slo.target, slo.period, slo.tiers[severity]) for severity in SEVERITIES}
    lengths = sorted({length for some in alerts.values() for one in some for length in (one.short, one.tier.long)})
    shortest = alerts["page"][0].short
    return (RuleGroup(f"sloth-slo-sli-recordings-{slo.id}",
                      (*(_measured(slo, length) for length in lengths), _whole_period(slo, shortest))),
            RuleGroup(f"sloth-slo-meta-recordings-{slo.id}", _meta(slo, shortest)),
            RuleGroup(f"sloth-slo-alerts-{slo.id}", tuple(_alert(slo, severity, alerts[severity])
                                                          for severity in SEVERITIES if severity in slo.own)))


def _identity(slo: SlothSlo) -> dict[str, str]:
    return {"sloth_id": slo.id, "sloth_service": slo.service, "sloth_slo": slo.name}


def _selected(slo: SlothSlo) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in _identity(slo).items()) + "}"


def _sorted(labels: Mapping[str, str]) -> dict[str, str]:
    return dict(sorted(labels.items()))


def _ratio(length: timedelta) -> str:
    return _RATIO + go_duration(length)


def _measured(slo: SlothSlo, length: timedelta) -> RecordingRule:
    window = go_duration(length)
    sli = slo.sli
    text = f"({sli.error})\n/\n({sli.total})" if isinstance(sli, Events) else f"({sli.ratio})"
    return RecordingRule(_ratio(length), filled(text, window), _sorted(
        {**_identity(slo), "sloth_window": window, **slo.labels}), slo.objective)


def _whole_period(slo: SlothSlo, shortest: timedelta) -> RecordingRule:
    window, source = go_duration(slo.period), _ratio(shortest) + _selected(slo)
    return RecordingRule(
        _ratio(slo.period), f"sum_over_time({source}[{window}])\n/ ignoring (sloth_window)\n"
        f"count_over_time({source}[{window}])",
        _sorted({**_identity(slo), "sloth_window": window, **slo.labels}), slo.objective)


def _meta(slo: SlothSlo, shortest: timedelta) -> tuple[Rule, ...]:
    labels = _sorted({**_identity(slo), **slo.labels})
    selected, target = _selected(slo), plain(slo.target.ratio)
    days = number(Decimal(slo.period // timedelta(seconds=1)) / 86400)
    joined = f"\n/ on(sloth_id, sloth_slo, sloth_service) group_left\n{_BUDGET}{selected}"
    records = {
        "slo:objective:ratio": f"vector({target})",
        _BUDGET: f"vector(1-{target})",
        "slo:time_period:days": f"vector({days})",
        "slo:current_burn_rate:ratio": f"{_ratio(shortest)}{selected}{joined}",
        _PERIOD_BURN: f"{_ratio(slo.period)}{selected}{joined}",
        "slo:period_error_budget_remaining:ratio": f"1 - {_PERIOD_BURN}{selected}"}
    info = {**labels, "sloth_mode": "cli-gen-prom", "sloth_objective": plain(slo.target.ratio * 100),
            "sloth_spec": "prometheus/v1", "sloth_version": "mainstay"}
    return (*(RecordingRule(record, expr, labels, slo.objective) for record, expr in records.items()),
            RecordingRule("sloth_slo_info", "vector(1)", _sorted(info), slo.objective))


def _alert(slo: SlothSlo, severity: str, alerts: Sequence[BurnAlert]) -> AlertRule:
    selected, budget = _selected(slo), number(slo.target.budget)

    def above(length: timedelta, alert: BurnAlert) -> str:
        return f"    max({_ratio(length)}{selected} > ({number(alert.factor)} * {budget})) without (sloth_window)"

    expr = "\nor\n".join(f"(\n{above(one.short, one)}\n    and\n{above(one.tier.long, one)}\n)" for one in alerts)
    own = slo.own[severity]
    annotations = {
        "summary": "{{$labels.sloth_service}} {{$labels.sloth_slo}} SLO error budget burn rate is over expected.",
        "title": f"({severity}) {{{{$labels.sloth_service}}}} {{{{$labels.sloth_slo}}}} SLO error budget burn rate is "
                 "too fast.", **slo.common.annotations, **own.annotations}
    return AlertRule(slo.alert_name, expr, labels=_sorted(
        {"sloth_severity": severity, **slo.common.labels, **own.labels}), annotations=_sorted(annotations),
        about=slo.objective)
