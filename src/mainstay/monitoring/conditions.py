"""From slots to whether a tier's condition holds: at the end of a measured slot, both windows burn above the factor."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import numpy as np

from mainstay.kernel.objective import Objective
from mainstay.kernel.quantity import RollingWindow, short_duration
from mainstay.kernel.series import Series
from mainstay.stats.budget import BurnAlert, Tier, burn_alerts
from mainstay.stats.compliance import Moments, Running, burn_rates

OTHER_WINDOW = timedelta(days=30)
"""What alerts on an objective without a rolling window are worked out for: a calendar window has no steady length."""


def tier_name(tier: Tier) -> str:
    """What a tier is called in labels, facts and addresses: `page-1h`."""
    return f"{tier.severity}-{short_duration(tier.long)}"


def alerts_on(objective: Objective, tiers: Iterable[Tier]) -> tuple[BurnAlert, ...]:
    """The tiers worked out for the objective; none for a target of 100 %, which leaves nothing to burn."""
    if objective.target.budget == 0:
        return ()
    window = objective.window
    return burn_alerts(objective.target, window.length if isinstance(window, RollingWindow) else OTHER_WINDOW, tiers)


def changes(alert: BurnAlert, series: Series, running: Running, after: datetime) -> list[tuple[datetime, bool]]:
    """Whether the condition holds, at the first measured slot's end after `after` and wherever that changes.

    A slot that nobody measured says nothing: what held before it goes on.

    Args:
        series: slots from at least the long window before `after`.
        running: its running sums.
    """
    ends: Moments = series.start + series.step * (1 + np.flatnonzero(series.known).astype(np.int64))
    ends = ends[ends > after.timestamp()]
    if not len(ends):
        return []
    holds = np.ones(len(ends), dtype=np.bool_)
    for length in (alert.tier.long, alert.short):
        bad, total = running.between(ends - int(length.total_seconds()), ends)
        holds &= (total > 0) & (bad > float(alert.threshold) * total)
    first = np.flatnonzero(np.concatenate(([True], holds[1:] != holds[:-1])))
    return [(datetime.fromtimestamp(int(ends[at]), UTC), bool(holds[at])) for at in first]


def measured_until(series: Series) -> datetime | None:
    """The end of the last measured slot."""
    known = np.flatnonzero(series.known)
    return datetime.fromtimestamp(series.start + series.step * (int(known[-1]) + 1), UTC) if len(known) else None


def burns(alert: BurnAlert, objective: Objective, running: Running, at: datetime) -> tuple[float | None, float | None]:
    """How fast the long and the short window burn; None where nothing was counted."""
    rates = burn_rates(running, objective.target, at, {"long": alert.tier.long, "short": alert.short})
    return rates["long"], rates["short"]
