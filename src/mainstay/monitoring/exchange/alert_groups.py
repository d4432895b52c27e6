"""Alert policies that objectives refer to by name, as alerting: objectives with the same policies and the same length
of window share one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Literal

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.finding import Position
from mainstay.kernel.objective import Objective
from mainstay.monitoring.exchange.taking import Taking, catalog_name, nominal_length, spends
from mainstay.monitoring.spec import Alerting
from mainstay.stats.budget import Tier

Severity = Literal["page", "ticket"]


@dataclass(frozen=True, slots=True)
class Rung:
    """A burn over one window; either `factor`, or `share` of the budget that goes in it, or `exhausts`: how long a
    whole budget would last.
    """

    severity: Severity
    long: timedelta
    hold: timedelta = timedelta()
    factor: Decimal | None = None
    share: Decimal | None = None
    exhausts: timedelta | None = None

    def tier(self, window: timedelta) -> Tier:
        """The tier it is for objectives of that window."""
        share = self.share
        if share is None:
            factor = self.factor
            if factor is None:
                assert self.exhausts is not None, "one of the three is given"
                factor = Decimal(repr(window.total_seconds())) / Decimal(repr(self.exhausts.total_seconds()))
            share = spends(factor, self.long, window)
        return Tier(self.severity, self.long, share, self.hold)


@dataclass(frozen=True, slots=True)
class Policy:
    """What one policy means.

    Args:
        spent: shares of the whole budget at which it tells.
        absent_for: how long no data is put up with; None is for ever.
    """

    name: str
    where: Position
    rungs: tuple[Rung, ...] = ()
    spent: tuple[Decimal, ...] = ()
    absent_for: timedelta | None = None


def alertings_of(objectives: Sequence[Objective], used: Mapping[str, tuple[Policy, ...]],
                 taking: Taking) -> tuple[Alerting, ...]:
    """One alerting for the objectives that have the same policies and the same length of window."""
    groups: dict[tuple[tuple[str, ...], timedelta], list[Objective]] = {}
    for one in objectives:
        policies = used.get(one.name, ())
        length = nominal_length(one.window)
        if policies and length is None:
            taking.note(f"{one.name}: alert policies", "a burn rate needs a window of time", one.origin)
        elif policies and length is not None:
            groups.setdefault((tuple(policy.name for policy in policies), length), []).append(one)
    out: dict[str, Alerting] = {}
    for (_, length), some in groups.items():
        made = _alerting(used[some[0].name], length, some)
        while made.name in out:
            made = _renamed(made, len(out) + 1)
        out[made.name] = made
    return tuple(out.values())


_TIER_NAME = re.compile(r"(.+)-(?:(?:page|ticket)-\d+[smhd](?:-of-\d+[smhd])?|spent-\d+|no-data)")
"""What the writers of these formats call the policy of a tier, of a spent share, of no data."""


def tier_policy(alerting: str, tier: Tier, length: str) -> str:
    """The name under which a tier is written as a policy of its own."""
    return f"{alerting}-{tier.severity}-{length}"


def _alerting(policies: tuple[Policy, ...], length: timedelta, some: Sequence[Objective]) -> Alerting:
    bases = {found[1] if (found := _TIER_NAME.fullmatch(one.name)) else "" for one in policies}
    name = bases.pop() if len(bases) == 1 and "" not in bases else "-".join(one.name for one in policies)
    tiers = {rung.tier(length) for policy in policies for rung in policy.rungs}
    absent = [one.absent_for for one in policies if one.absent_for is not None]
    return Alerting(
        catalog_name(name), policies[0].where, tuple(one.name for one in some),
        tiers=tuple(sorted(tiers, key=lambda tier: tier.long)),
        budget_spent=tuple(sorted({share for policy in policies for share in policy.spent})),
        absent_for=min(absent) if absent else None)


def _renamed(one: Alerting, number: int) -> Alerting:
    return Alerting(f"{one.name}-{number}", one.origin, one.objectives, tiers=one.tiers,
                    budget_spent=one.budget_spent, absent_for=one.absent_for)
