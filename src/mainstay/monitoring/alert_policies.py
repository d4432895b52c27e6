"""OpenSLO's alert policies as tiers: a burn-rate condition says a factor, a look-back window and how long it must last.

    threshold: 14.4 over lookbackWindow: 1h        page above 14.4 times the allowed speed; spends = factor × w / T

Source: OpenSLO specification v1, `AlertPolicy` and `AlertCondition`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal

from mainstay.kernel.catalog import Catalog
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import Position
from mainstay.kernel.objective import AlertDeclaration, Objective
from mainstay.kernel.quantity import parse_duration
from mainstay.monitoring.tiers import length_for_burn
from mainstay.stats.budget import Tier

_PAGES = frozenset({"page", "critical", "high", "fatal", "sev1", "p1"})
"""Severities, as people write them, that wake somebody; every other opens a ticket."""

_SLOT = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Policies:
    """What the alert policies of an objective say.

    Args:
        tiers: one a burn-rate condition, the shortest window first.
        no_data: whether somebody is to be told when there is no data.
        troubles: what could not be taken over: where, why, and what to write instead.
    """

    tiers: tuple[Tier, ...]
    no_data: bool
    troubles: tuple[tuple[Position, str, str], ...]


def policies_of(objective: Objective, catalog: Catalog) -> Policies | None:
    """The objective's alert policies; None when it names none."""
    if not objective.alert_policies:
        return None
    reading = _Reading(objective, catalog)
    tiers: dict[tuple[str, timedelta], Tier] = {}
    for name in objective.alert_policies:
        for tier in reading.policy(name):
            tiers.setdefault((tier.severity, tier.long), tier)
    ordered = tuple(sorted(tiers.values(), key=lambda tier: tier.long))
    return Policies(ordered, reading.no_data, tuple(reading.troubles))


class _Reading:
    """Follows names from an objective to conditions, and keeps what cannot be taken over."""

    def __init__(self, objective: Objective, catalog: Catalog) -> None:
        self.objective = objective
        self.catalog = catalog
        self.troubles: list[tuple[Position, str, str]] = []
        self.no_data = False

    def policy(self, name: str) -> Iterator[Tier]:
        declared = self.catalog.find(AlertDeclaration, f"AlertPolicy/{name}")
        if declared is None:
            self.troubles.append((self.objective.origin, f'no AlertPolicy is named "{name}"', "declare it"))
            return
        self.no_data |= declared.spec.get("alertWhenNoData") is True
        if declared.spec.get("alertWhenBreaching", True) is not True:
            return
        conditions = declared.spec.get("conditions")
        for item in conditions if isinstance(conditions, list) else []:
            where, spec = self._condition(declared, item)
            if spec is not None:
                yield from self._tier(where, name, spec)

    def _condition(self, policy: AlertDeclaration, item: object) -> tuple[Position, Mapping[str, Any] | None]:
        """The condition's spec, written in place or named."""
        name = item
        if isinstance(item, Mapping):
            if isinstance(item.get("spec"), Mapping):
                return policy.origin, item["spec"]
            name = item.get("conditionRef")
        declared = self.catalog.find(AlertDeclaration, f"AlertCondition/{name}")
        if declared is None:
            self.troubles.append((policy.origin, f'no AlertCondition is named "{name}"', "declare it"))
            return policy.origin, None
        return declared.origin, declared.spec

    def _tier(self, where: Position, policy: str, spec: Mapping[str, Any]) -> Iterator[Tier]:
        said = spec.get("condition")
        condition: Mapping[str, Any] = said if isinstance(said, Mapping) else {}
        try:
            yield self._worked_out(str(spec.get("severity", "")), condition)
        except InvalidInput as error:
            self.troubles.append((where, f'a condition of "{policy}" is no alert here: {error.message}', error.way_out))

    def _worked_out(self, severity: str, condition: Mapping[str, Any]) -> Tier:
        if str(condition.get("kind", "burnrate")).lower() != "burnrate":
            raise InvalidInput(f"its kind is {condition.get('kind')}", "write kind: burnrate")
        if condition.get("op", "gt") not in ("gt", "gte"):
            raise InvalidInput(f"op: {condition.get('op')} would alert while the budget burns slowly", "write op: gt")
        threshold = condition.get("threshold")
        if isinstance(threshold, bool) or not isinstance(threshold, int | float) or threshold <= 0:
            raise InvalidInput(f"its threshold is {threshold}", "write how many times the allowed speed, such as 14.4")
        long = parse_duration(str(condition.get("lookbackWindow", "1h")))
        if long <= _SLOT or long % _SLOT:
            raise InvalidInput("its lookbackWindow is not made of five-minute sums", "write 1h, 6h or 3d")
        after = condition.get("alertAfter")
        window = length_for_burn(self.objective.window)
        spends = Decimal(repr(threshold)) * _seconds(long) / _seconds(window)
        page: Literal["page", "ticket"] = "page" if severity.lower() in _PAGES else "ticket"
        return Tier(page, long, spends, parse_duration(str(after)) if after else timedelta(0))


def _seconds(length: timedelta) -> int:
    return int(length.total_seconds())
