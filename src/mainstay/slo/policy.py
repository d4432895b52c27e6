"""Error-budget policies: zones of consumption, and what is due when one is entered.

A zone begins at an edge. Whether the edge itself belongs to the zone is part of the zone: `above` 75 % begins after
75 %, `from` 50 % at 50 %. Consumption is compared to nine decimals, so that a budget of 0.00075 / 0.001 is 75 %.
Each preset follows one of the three schemes of the documents Mainstay started from, which contradict each other; a team
chooses one, or writes its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from mainstay.kernel.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Notify:
    """Tell somebody."""

    whom: str
    message: str


@dataclass(frozen=True, slots=True)
class Review:
    """Put a review on somebody's desk."""

    what: str


@dataclass(frozen=True, slots=True)
class Freeze:
    """Close the gate for changes of this scope while the zone, or a worse one, lasts."""

    scope: str


@dataclass(frozen=True, slots=True)
class OpenIncident:
    """Open an incident of this priority."""

    priority: str
    title: str


Action = Notify | Review | Freeze | OpenIncident


@dataclass(frozen=True, slots=True)
class Zone:
    """A stretch of consumption, up to where the next one begins.

    Args:
        edge: share of the budget spent at which it begins, 0..1 and beyond; the mildest zone's edge is 0.
        begins: whether the edge itself is inside (`at`) or still belongs to the milder zone (`above`).
        actions: due when the zone is entered from a milder one.
        meaning: what holds in it, in one sentence.
    """

    name: str
    edge: float
    actions: tuple[Action, ...] = ()
    meaning: str = ""
    begins: Literal["at", "above"] = "at"

    def reached_by(self, spent: float) -> bool:
        """Whether so much consumption lies in this zone or a worse one."""
        exact = round(spent, 9)
        return exact > self.edge if self.begins == "above" else exact >= self.edge


@dataclass(frozen=True, slots=True)
class Policy:
    """Zones from the mildest to the worst, their edges rising."""

    name: str
    zones: tuple[Zone, ...]

    def __post_init__(self) -> None:
        edges = [zone.edge for zone in self.zones]
        assert edges, "a policy has zones"
        assert edges[0] == 0, "the mildest zone begins at nothing spent"
        assert edges == sorted(set(edges)), "edges rise"


def zone_of(policy: Policy, spent: float) -> Zone:
    """The zone that the consumption lies in. Overspent and infinite consumption lie in the worst."""
    return next((zone for zone in reversed(policy.zones) if zone.reached_by(spent)), policy.zones[0])


def frozen_in(policy: Policy, zone: Zone) -> tuple[str, ...]:
    """The scopes that are frozen in a zone: its own and those of the milder ones."""
    reached = policy.zones[: policy.zones.index(zone) + 1]
    return tuple(dict.fromkeys(action.scope for milder in reached for action in milder.actions
                               if isinstance(action, Freeze)))


@dataclass(frozen=True, slots=True)
class Transition:
    """What passing from one zone to another asks for.

    Args:
        entered, left: the zones passed, in the order of passing; one of the two is empty.
        due: the actions of the entered zones, none twice.
        lifted: the scopes that are frozen no longer.
    """

    entered: tuple[Zone, ...]
    left: tuple[Zone, ...]
    due: tuple[Action, ...]
    lifted: tuple[str, ...]


def transition(policy: Policy, before: Zone | None, after: Zone) -> Transition:
    """What is due when the budget passes from one zone to another; nothing when it stays.

    A fall through several zones owes the actions of each. A recovery owes none and lifts what they froze.

    Args:
        before: None for a budget that was never judged; it is taken to come from the mildest zone.
    """
    old = policy.zones.index(before) if before is not None else 0
    new = policy.zones.index(after)
    entered = policy.zones[old + 1: new + 1]
    left = tuple(reversed(policy.zones[new + 1: old + 1]))
    due = tuple(dict.fromkeys(action for zone in entered for action in zone.actions))
    still = frozen_in(policy, after)
    lifted = tuple(scope for scope in frozen_in(policy, policy.zones[old]) if scope not in still)
    return Transition(entered, left, due, lifted)


REFERENCE = Policy("reference", (
    Zone("healthy", 0, meaning="changes flow, experiments are welcome"),
    Zone("concerning", 0.25, (Notify("team", "a quarter of the error budget is spent"),
                              Review("risk of the changes under way")),
         meaning="staged roll-outs, closer watch, some features wait"),
    Zone("critical", 0.50, (Freeze("low-priority-features"), Review("post-mortem of what spent the budget")),
         meaning="changes need an approval, half of the work goes into reliability"),
    Zone("exhausted", 0.75, (Freeze("features"), Notify("executives", "more than 75 % of the error budget is spent"),
                             OpenIncident("P1", "error budget exhausted")),
         meaning="only urgent fixes are released", begins="above"),
))
"""< 25, 25–50, 50–75, > 75 % spent. A shared edge belongs to the worse zone, and 75 % itself is still critical."""

TEMPLATE = Policy("template", (
    Zone("healthy", 0, meaning="changes flow"),
    Zone("half spent", 0.50, meaning="changes go on at their usual pace"),
    Zone("tight", 0.75, (Freeze("non-critical-changes"),
                         Notify("team and management", "75 % of the error budget is spent")),
         meaning="critical changes only, reliability first"),
    Zone("nearly spent", 0.90, (Freeze("features"), Notify("executives", "90 % of the error budget is spent"),
                                Review("post-mortem and plan of repair")),
         meaning="no features until the plan of repair is done"),
    Zone("spent", 1.0, (Freeze("all-changes"), OpenIncident("P1", "error budget spent"),
                        Notify("stakeholders", "the error budget is spent")),
         meaning="nothing is changed but to repair"),
))
"""50, 75, 90, 100 % spent, each reached at its edge."""

REMAINING = Policy("remaining", (
    Zone("healthy", 0, meaning="changes flow"),
    Zone("75 % left", 0.25, (Notify("team-slack", "75 % of the error budget is left: watch closely"),),
         meaning="watch closely"),
    Zone("50 % left", 0.50, (Review("recent changes and incidents"),
                             Notify("team-lead", "half of the error budget is left")),
         meaning="recent changes and incidents are under review"),
    Zone("25 % left", 0.75, (Freeze("non-critical-features"),
                             Notify("engineering-manager", "25 % of the error budget is left")),
         meaning="non-critical deployments wait"),
    Zone("nothing left", 1.0, (Freeze("all-changes"), OpenIncident("P1", "error budget exhausted")),
         meaning="no deployments at all"),
))
"""75, 50, 25, 0 % left, each reached at its edge."""

PRESETS: Mapping[str, Policy] = MappingProxyType({policy.name: policy for policy in (REFERENCE, TEMPLATE, REMAINING)})
