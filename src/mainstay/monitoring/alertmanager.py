"""Routes and inhibitions of Alertmanager for what the rules fire: by severity, and one trouble told once. Pure.

Source: Prometheus documentation, "Alertmanager configuration".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mainstay.monitoring import alerts, chain
from mainstay.monitoring.rulefile import GENERATED, AlertRule, yaml_text
from mainstay.monitoring.rules import Plan

SEVERITIES = ("page", "ticket")
"""Receivers carry these names; whoever merges the file says what they do."""


def inhibitions(plans: Iterable[Plan]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Which tier silences which: a fast burn the slower ones, a budget wholly spent its earlier shares, blindness
    nothing (an alert that needs data cannot fire without).

    Returns:
        (tier, the tiers it silences), the fastest first; only pairs that some objective has both of.
    """
    silenced: dict[str, dict[str, None]] = {}
    for plan in plans:
        burns = [alerts.tier_name(burn) for burn in plan.burns if not burn.faults]
        spent = [rule.labels[chain.TIER_LABEL] for rule in plan.rules
                 if isinstance(rule, AlertRule) and rule.alert == alerts.SPENT]
        for tiers in (burns, sorted(spent, key=_share, reverse=True)):
            for index, tier in enumerate(tiers[:-1]):
                silenced.setdefault(tier, {}).update(dict.fromkeys(tiers[index + 1:]))
    return tuple((tier, tuple(slower)) for tier, slower in silenced.items())


def _share(tier: str) -> float:
    return float(tier.split("-")[1])


def configuration(plans: Sequence[Plan]) -> str:
    """A whole configuration that Alertmanager takes, with receivers that do nothing yet."""
    groups = sorted({label for plan in plans for label in plan.alerting.group_by})
    equal = [chain.SLO_LABEL, chain.SERVICE_LABEL, *groups]
    lines = [
        GENERATED, "# Receivers are empty: say how a page and a ticket reach people, or merge route and inhibit_rules.",
        "route:", "  receiver: ticket",
        f"  group_by: [{', '.join(equal)}]", "  group_wait: 30s", "  group_interval: 5m", "  repeat_interval: 12h",
        "  routes:"]
    for severity, repeat in zip(SEVERITIES, ("4h", "3d"), strict=True):
        lines += [f"    - receiver: {severity}", f"      matchers: ['{chain.SEVERITY_LABEL}=\"{severity}\"']",
                  f"      repeat_interval: {repeat}"]
    lines.append("receivers:")
    lines += [f"  - name: {severity}" for severity in SEVERITIES]
    if pairs := inhibitions(plans):
        lines.append("inhibit_rules:")
    for tier, slower in pairs:
        lines += [f"  - source_matchers: [{yaml_text(_equals(tier))}]",
                  f"    target_matchers: [{yaml_text(_one_of(slower))}]", f"    equal: [{', '.join(equal)}]"]
    return "\n".join(lines) + "\n"


def _equals(tier: str) -> str:
    return f'{chain.TIER_LABEL}="{tier}"'


def _one_of(tiers: Sequence[str]) -> str:
    return f'{chain.TIER_LABEL}=~"{"|".join(tier.replace(".", "[.]") for tier in tiers)}"'
