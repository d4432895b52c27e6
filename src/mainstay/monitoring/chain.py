"""PromQL chained from two sums: the names that the rules record, and every window as Σbad / Σtotal over them.

Rules, dashboards, queries and the live page all speak through this room, so that they name the same series.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from mainstay.kernel.quantity import Target, plain, short_duration

BAD = "slo:bad:sum5m"
"""Bad events of the last five minutes, by `slo`, `service` and the groups of the alerting."""
TOTAL = "slo:total:sum5m"
"""Events of the last five minutes; present whenever the objective has data."""
INFO = "mainstay_slo_info"
"""1, with what the objective is as labels: slo, service, target, window, owner."""
SLO_LABEL, SERVICE_LABEL, TIER_LABEL, SEVERITY_LABEL = "slo", "service", "tier", "severity"


def selector(labels: Mapping[str, str]) -> str:
    """`{slo="checkout"}`: matchers in the given order, values escaped; a value that starts with `$` is a variable of a
    dashboard and is matched as a regular expression.
    """
    return "{" + ",".join(f'{name}{"=~" if value.startswith("$") else "="}"{_escaped(value)}"'
                          for name, value in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def bad_share(labels: Mapping[str, str], window: timedelta) -> str:
    """Share of bad events in the window that ends now, one value per group; absent where nothing was counted."""
    chosen, length = selector(labels), short_duration(window)
    return f"(sum_over_time({BAD}{chosen}[{length}]) / sum_over_time({TOTAL}{chosen}[{length}]))"


def burn(labels: Mapping[str, str], window: timedelta, target: Target) -> str:
    """Burn rate of the window that ends now: 1 spends the budget in exactly the objective's window."""
    return f"{bad_share(labels, window)} / {plain(target.budget)}"


def remaining(labels: Mapping[str, str], window: timedelta, target: Target) -> str:
    """Share of the budget left in the window that ends now; negative where overspent."""
    return f"1 - {burn(labels, window, target)}"
