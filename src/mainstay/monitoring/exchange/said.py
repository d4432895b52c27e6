"""What of a catalog another tool's format has no field for, as losses; and the queries it can ask Prometheus."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import timedelta
from decimal import Decimal

from mainstay.kernel.method import Occurrences
from mainstay.kernel.objective import Objective
from mainstay.kernel.quantity import RollingWindow, plain, short_duration
from mainstay.monitoring.exchange.form import Loss
from mainstay.monitoring.spec import DEFAULT, Alerting

THIRTY_DAYS = timedelta(days=30)


def rolling_length(objective: Objective) -> timedelta:
    """The main window's length; 30 days for one that does not roll, which `unsaid` names as a loss."""
    window = objective.window
    return window.length if isinstance(window, RollingWindow) else THIRTY_DAYS


def unsaid(objective: Objective, tool: str, says: Collection[str] = ()) -> Iterator[Loss]:
    """Every field of the objective that is set and that the tool's format does not say.

    Args:
        says: the fields that it does say beyond name, target, indicator and a rolling window.
    """
    values: dict[str, object] = {
        "title": objective.title, "description": objective.description, "rationale": objective.rationale,
        "owner": objective.owner, "sla": objective.sla, "dependencies": objective.dependencies,
        "policy": objective.policy, "review": objective.review, "exclusions": objective.exclusions,
        "labels": objective.labels, "service": objective.service}
    for name, value in values.items():
        if value and name not in says:
            yield Loss(f"{objective.name}: {name}", f"{tool} has no field for it")
    if not isinstance(objective.window, RollingWindow):
        yield Loss(f"{objective.name}: window",
                   f"{tool} has rolling windows alone; {objective.window} is written as 30d")
    if len(objective.windows) > 1:
        yield Loss(f"{objective.name}: windows", f"{tool} has one window an objective; the first is written")
    if not isinstance(objective.method, Occurrences):
        yield Loss(f"{objective.name}: method", f"{tool} counts events, not slices of time")
    if objective.weight != 1:
        yield Loss(f"{objective.name}: weight", f"{tool} has no composites")


def unsaid_alerting(alerting: Alerting, tool: str, says: Collection[str] = ()) -> Iterator[Loss]:
    """Every setting of the alerting that the tool's rules do not follow; scraping and retention are Prometheus' own."""
    name = f'alerting "{alerting.name}"'
    if alerting.budget_spent and "budget_spent" not in says:
        shares = ", ".join(f"{plain(share * Decimal(100))} %" for share in alerting.budget_spent)
        yield Loss(f"{name}: budget_spent", f"{tool} does not alert on a share of the budget ({shares})")
    if alerting.absent_for is not None and "absent_for" not in says:
        yield Loss(f"{name}: absent_for",
                   f"{tool} does not say that data is absent (after {short_duration(alerting.absent_for)})")
    if alerting.interval != DEFAULT.interval:
        yield Loss(f"{name}: interval", f"{tool}'s file does not say how often its rules are evaluated")
    values: dict[str, object] = {
        "low_traffic": alerting.low_traffic, "group_by": alerting.group_by, "runbook": alerting.runbook,
        "labels": alerting.labels, "annotations": alerting.annotations, "alert_name": alerting.alert_name,
        "by_severity": alerting.by_severity}
    for field, value in values.items():
        if value and field not in says:
            yield Loss(f"{name}: {field}", f"{tool} has no field for it")
