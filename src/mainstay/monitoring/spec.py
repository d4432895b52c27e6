"""What a team writes about alerting, as frozen types: which objectives alert whom, when, and under which labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Literal

from mainstay.kernel.catalog import Catalog
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.finding import Position
from mainstay.kernel.objective import Objective
from mainstay.monitoring.alert_policies import policies_of
from mainstay.monitoring.tiers import chosen, length_for_burn
from mainstay.stats.budget import TIERS, Tier


@dataclass(frozen=True, slots=True)
class LowTraffic:
    """With few events an alert trips only when chance alone would hardly explain the failures (`gate`).

    Args:
        gate: how chance is reckoned: the lower bound of Wilson's interval, or the tail of a beta-binomial.
        confidence: one-sided, 0..1.
    """

    gate: Literal["wilson", "beta-binomial"]
    confidence: Decimal = Decimal("0.95")


@dataclass(frozen=True, slots=True)
class Extra:
    """What alerts of one severity carry beside what all carry: labels that route a page, say."""

    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Alerting:
    """How objectives are turned into rules and alerts.

    Args:
        objectives, services: whom it is about; both empty means every objective nobody else speaks of.
        group_by: labels that tell apart what is judged apart, such as `cluster`.
        tiers: rungs of multi-window burn-rate alerting; None chooses them for the objective's window.
        budget_spent: shares of the budget, 0..1, at which a budget alert fires.
        absent_for: how long no data is put up with before an alert says so; None never says so.
        interval: how often the rules are evaluated.
        scrape: how often the counters are scraped.
        retention: how far back the rules' Prometheus keeps samples; None is not known.
        runbook: a URL, `$slo` and `$service` in it filled in.
        labels: put on every alert.
        annotations: put on every alert, beside summary and description.
        alert_name: what its burn-rate alerts are called in the styles of other tools; Mainstay's own have one name, by
            which routes and audits find them.
        by_severity: what alerts of a severity (`page`, `ticket`) carry besides; in Mainstay's own style a label of its
            own, such as `severity`, stays.
    """

    name: str
    origin: Position
    objectives: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    group_by: tuple[str, ...] = ()
    tiers: tuple[Tier, ...] | None = None
    budget_spent: tuple[Decimal, ...] = (Decimal("0.75"), Decimal("1"))
    absent_for: timedelta | None = timedelta(minutes=15)
    interval: timedelta = timedelta(seconds=30)
    scrape: timedelta = timedelta(seconds=30)
    retention: timedelta | None = None
    low_traffic: LowTraffic | None = None
    runbook: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    alert_name: str = ""
    by_severity: Mapping[str, Extra] = field(default_factory=dict)


DEFAULT = Alerting("default", Position(""))
"""Holds for objectives that no declared alerting is about."""


def alerting_of(objective: Objective, catalog: Catalog) -> Alerting:
    """The alerting that is about the objective: the one that names it, else its service, else everything, else the
    default. Where it leaves tiers out and the objective has OpenSLO alert policies, these are its tiers.
    """
    found = _declared_for(objective, catalog)
    policies = policies_of(objective, catalog) if found.tiers is None else None
    if policies is None or (policies.troubles and not policies.tiers):
        return found  # a policy of which nothing can be taken over must not leave the objective without alerts
    return replace(found, tiers=policies.tiers, absent_for=found.absent_for if policies.no_data else None)


def _declared_for(objective: Objective, catalog: Catalog) -> Alerting:
    declared = catalog.of(Alerting)
    for one in declared:
        if objective.name in one.objectives:
            return one
    for one in declared:
        if objective.service in one.services:
            return one
    return next((one for one in declared if not one.objectives and not one.services), DEFAULT)


def tiers_of(alerting: Alerting) -> tuple[Tier, ...]:
    """The tiers as written, or the workbook's."""
    return alerting.tiers if alerting.tiers is not None else TIERS


def tiers_for(alerting: Alerting, objective: Objective) -> tuple[Tier, ...]:
    """The tiers as written, or those that suit the objective's main window and target."""
    if alerting.tiers is not None:
        return alerting.tiers
    return chosen(length_for_burn(objective.window), objective.target)
