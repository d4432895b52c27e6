"""Objectives as dashboards and queries see them: over which stretch, against which tiers, in which groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from mainstay.kernel.catalog import Catalog
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.objective import Indicator, IndicatorType, Objective, resolved
from mainstay.kernel.quantity import CalendarWindow, RequestWindow, Target
from mainstay.monitoring.alerts import short_window
from mainstay.monitoring.rules import Plan, plan
from mainstay.monitoring.spec import alerting_of, tiers_for
from mainstay.monitoring.tiers import length_for_burn
from mainstay.stats.budget import BurnAlert, burn_alerts


@dataclass(frozen=True, slots=True)
class Watched:
    """One objective.

    Args:
        window: the stretch that PromQL looks back over: the rolling window, or a calendar period's usual length.
        promise: target and window as people read them.
        trailing: the window is a calendar period, which a fixed stretch only comes close to.
        tiers: those of its alerting that can trip, worked out for its target and window; none for a target of 100 %.
        groups: labels that tell apart what is judged apart.
        runbook: the alerting's address, `$slo` and `$service` still in it.
        depends_on: services it cannot do without.
    """

    name: str
    service: str
    title: str
    target: Target
    window: timedelta
    promise: str
    trailing: bool
    tiers: tuple[BurnAlert, ...]
    groups: tuple[str, ...]
    runbook: str
    indicator: Indicator
    depends_on: tuple[str, ...] = ()

    @property
    def type(self) -> IndicatorType:
        """What its indicator says of the service."""
        return self.indicator.type


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An objective that is not on a dashboard, and why."""

    name: str
    why: str


Choice = tuple[tuple[Watched, ...], tuple[LeftOut, ...]]


def watch(objectives: Iterable[Objective], catalog: Catalog, *, recorded: bool) -> Choice:
    """The objectives as dashboards see them, by service and name, and those that have to be left out.

    Args:
        recorded: their series are recorded by rules of Prometheus, which know only what Prometheus counts and cannot
            look back over a number of events; else Mainstay's own gauges are shown, which exist for every objective.
    """
    watched, left = [], []
    for objective in sorted(objectives, key=lambda one: (one.service, one.name)):
        made = plan(objective, alerting_of(objective, catalog), catalog) if recorded else None
        if made is not None and (why := made.without or _beyond_rules(objective)):
            left.append(LeftOut(objective.name, why))
        else:
            watched.append(_watched(objective, catalog, made))
    return tuple(watched), tuple(left)


def _beyond_rules(objective: Objective) -> str:
    return f"PromQL cannot look back over the {objective.window}" if isinstance(objective.window, RequestWindow) else ""


def _watched(objective: Objective, catalog: Catalog, made: Plan | None) -> Watched:
    alerting = alerting_of(objective, catalog)
    window = length_for_burn(objective.window)
    burns: tuple[BurnAlert, ...] = ()
    if made is not None:
        burns = made.burns
    elif objective.target.budget:
        burns = burn_alerts(objective.target, window, tiers_for(alerting, objective))
    return Watched(
        objective.name, objective.service, objective.title or objective.name, objective.target, window,
        f"{objective.target} over {objective.window}", isinstance(objective.window, CalendarWindow),
        # The rules' short windows are whole five minutes.
        tuple(alert._replace(short=short_window(alert.tier.long)) for alert in burns if not alert.faults),
        alerting.group_by, alerting.runbook, resolved(objective, catalog),
        tuple(one.service for one in objective.dependencies))


def services_of(watched: Sequence[Watched]) -> tuple[str, ...]:
    """The services, in the order of their objectives."""
    return tuple(dict.fromkeys(one.service for one in watched))
