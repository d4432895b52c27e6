"""Policies to hold beside each other: an objective's own alerting, and those of other tools and books."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from mainstay.kernel.errors import NotFound
from mainstay.kernel.finding import did_you_mean
from mainstay.kernel.quantity import Target, short_duration
from mainstay.monitoring.alerts import short_window, tier_name
from mainstay.monitoring.evaluation import Policy, Rule
from mainstay.monitoring.spec import Alerting, LowTraffic
from mainstay.stats.budget import TIERS, BurnAlert, NoBudget, Tier, burn_alerts

OWN = "own"
"""The name under which the objective's own alerting is asked for."""

PRESETS = {
    "workbook": "SRE Workbook, multi-window: 1 h/5 m at 2 %, 6 h/30 m at 5 %, 3 d/6 h at 10 %",
    "sloth": "Sloth: 1 h and 6 h page, 1 d and 3 d ticket, no hold",
    "pyrra": "Pyrra: 14×, 7×, 2×, 1× over 1 h, 6 h, 1 d, 4 d of 28 d, each with a hold",
    "single-window": "SRE Workbook, one window: 36× over 1 h",
    "threshold": "above the budget's share for 5 m",
}
"""Policies that need no file, with what they are."""


def policy_of(alerting: Alerting, tiers: Iterable[Tier], target: Target, window: timedelta) -> Policy:
    """The rules that an alerting makes of a target over a window.

    Raises:
        NoBudget: the target is 100 %.
    """
    rules = tuple(rule_for(alert, alerting.low_traffic) for alert in burn_alerts(target, window, tiers))
    return Policy(alerting.name, "as Mainstay's rules evaluate it", rules, alerting.interval)


def rule_for(alert: BurnAlert, low_traffic: LowTraffic | None) -> Rule:
    """A tier as Mainstay's rules evaluate it: its short window in whole five minutes, behind the gate if there is one.
    """
    return replace(_rule(alert), short=short_window(alert.tier.long), gate=low_traffic)


def preset(name: str, target: Target, window: timedelta) -> Policy:
    """The preset of that name for a target over a window.

    Raises:
        NotFound: no preset has that name.
        NoBudget: the target is 100 %.
    """
    if target.budget == 0:
        raise NoBudget("burn rate to alert on")
    match name:
        case "workbook":
            chosen = tuple(tier._replace(hold=timedelta(0)) for tier in TIERS if tier.long != timedelta(days=1))
            rules = tuple(_rule(alert) for alert in burn_alerts(target, window, chosen))
        case "sloth":
            chosen = tuple(tier._replace(hold=timedelta(0)) for tier in TIERS)
            rules = tuple(_rule(alert) for alert in burn_alerts(target, window, chosen))
        case "pyrra":
            rules = _pyrra(target, window)
        case "single-window":
            hour = timedelta(hours=1)
            rules = (_checked(Rule("page-1h", "page", hour, None, 36 * target.budget), target),)
        case "threshold":
            five = timedelta(minutes=5)
            rules = (Rule("page-5m", "page", five, None, target.budget, five),)
        case _:
            raise NotFound(f'no policy is named "{name}"{did_you_mean(name, (OWN, *PRESETS))}',
                           f"known: {OWN}, {', '.join(PRESETS)}, or the name of a declared alerting")
    return Policy(name, PRESETS[name], rules)


_PYRRA = (("page", 14, 672, 8064, 20_160), ("page", 7, 112, 1344, 2_688), ("ticket", 2, 28, 336, 672),
          ("ticket", 1, 7, 112, 224))
"""Severity, factor, and the objective's window divided by the long window, the short one and the hold; all rounded to
minutes. Source: Pyrra 0.10, `slo.Windows`."""


def _pyrra(target: Target, window: timedelta) -> tuple[Rule, ...]:
    rules = []
    for severity, factor, *parts in _PYRRA:
        long, short, hold = (timedelta(minutes=round(window / part / timedelta(minutes=1))) for part in parts)
        label = f"{severity}-{short_duration(max(long, timedelta(minutes=1)))}"
        rule = Rule(label, "page" if severity == "page" else "ticket", long, short, factor * target.budget, hold)
        if not long or not short:
            rule = Rule(label, rule.severity, long, short, rule.threshold, hold,
                        faults=("its window rounds to no minute at all",))
        rules.append(_checked(rule, target))
    return tuple(rules)


def _checked(rule: Rule, target: Target) -> Rule:
    if rule.threshold < 1:
        return rule
    fault = f"it can never trip: it needs {rule.threshold / target.budget:.4g}× a budget of {target.budget * 100:g} %"
    return Rule(rule.tier, rule.severity, rule.long, rule.short, rule.threshold, rule.hold, rule.gate,
                (*rule.faults, fault))


def _rule(alert: BurnAlert) -> Rule:
    tier = alert.tier
    return Rule(tier_name(alert), tier.severity, tier.long, alert.short, alert.threshold, tier.hold,
                faults=alert.faults)


def share_of_budget(rule: Rule, budget: Decimal) -> Decimal:
    """The burn rate that the rule's threshold stands for."""
    return rule.threshold / budget
