"""What the journal says of budgets: zones entered, scopes frozen, reviews held. A fold over facts, nothing else.

    fact                    means                                                       subject
    slo.zone-entered        the budget passed into a zone (`zone`, `from`, `spent`)     objective
    slo.frozen              changes of a scope wait (`scope`)                           objective
    slo.unfrozen            they no longer do (`scope`)                                 objective
    slo.notice-due          somebody is to be told (`whom`, `message`)                  objective
    slo.review-due          a review is asked for (`what`)                              objective
    slo.incident-due        an incident is to be opened (`priority`, `title`)           objective
    slo.reviewed            an objective was looked at again (`note`)                   objective
    slo.back-filled         the ledger was filled from a source (`since`)               ledger key
    slo.history-simulated   history up to `until` was made up for a demonstration       ledger key
    slo.corrected           slots were read anew and differ (`slots`)                   objective
    slo.maintenance-planned   planned work begins soon, or goes on (`until`, `services`)  maintenance
    slo.maintenance-excluded  planned work was left out of account                      objective
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from datetime import date, datetime

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.journal import Fact, NewFact
from mainstay.slo.policy import (
    Action,
    Freeze,
    Notify,
    OpenIncident,
    Policy,
    Review,
    Transition,
    Zone,
    frozen_in,
)


@dataclass(frozen=True, slots=True)
class Record:
    """What is recorded of one objective.

    Args:
        zone: the zone it is in, by name; empty when its budget was never judged.
        frozen: scope to the moment it was frozen.
        by_policy: the frozen scopes that a policy froze; only these are lifted when the budget recovers.
    """

    zone: str = ""
    since: datetime | None = None
    frozen: Mapping[str, datetime] = field(default_factory=dict)
    reviewed: date | None = None
    by_policy: frozenset[str] = frozenset()


def records(facts: Iterable[Fact]) -> dict[str, Record]:
    """The record of every objective that the facts (in `seq` order) speak of."""
    out: dict[str, Record] = {}
    for fact in facts:
        before = out.get(fact.subject, Record())
        match fact.kind:
            case "slo.zone-entered":
                out[fact.subject] = replace(before, zone=fact.data["zone"], since=fact.at)
            case "slo.frozen":
                scope = fact.data["scope"]
                # A freeze that a policy made carries the zone it came with; one without is somebody's own decision.
                by_policy = before.by_policy | {scope} if fact.data.get("zone") else before.by_policy
                out[fact.subject] = replace(before, frozen={**before.frozen, scope: fact.at}, by_policy=by_policy)
            case "slo.unfrozen":
                frozen = {scope: at for scope, at in before.frozen.items() if scope != fact.data["scope"]}
                out[fact.subject] = replace(before, frozen=frozen, by_policy=before.by_policy & frozen.keys())
            case "slo.reviewed":
                out[fact.subject] = replace(before, reviewed=fact.at.date())
            case _:
                pass
    return out


RECORD_KINDS = ("slo.zone-entered", "slo.frozen", "slo.unfrozen", "slo.reviewed")


def zone_named(policy: Policy, name: str) -> Zone | None:
    """The policy's zone of that name; None when the policy was changed and no longer has it."""
    return next((zone for zone in policy.zones if zone.name == name), None)


def facts_of(objective: str, policy: Policy, before: Record, after: Zone, passed: Transition, spent: float,
             now: datetime) -> list[NewFact]:
    """The facts that passing into a zone makes: the passage itself, then one for each thing that is due or lifted.

    The keys name the passage by the one before it, so that two who judge at the same time record it once. What a policy
    froze and no longer freezes in this zone is lifted, also where the policy itself was changed meanwhile.
    """
    stamp = f"{objective}:{before.since.isoformat() if before.since else 'first'}:{after.name}"
    wanted = frozen_in(policy, after)
    freezes = [Freeze(scope) for scope in wanted]
    due = (*(action for action in passed.due if not isinstance(action, Freeze)), *freezes)
    lifted = sorted(before.by_policy - set(wanted))
    out = [NewFact("slo.zone-entered", objective, now,
                   {"zone": after.name, "from": before.zone, "spent": spent, "policy": policy.name,
                    "meaning": after.meaning}, key=f"slo.zone-entered:{stamp}")]
    for index, action in enumerate(due):
        if isinstance(action, Freeze) and action.scope in before.frozen:
            continue
        kind, data = _due(action)
        out.append(NewFact(kind, objective, now, {**data, "zone": after.name}, key=f"{kind}:{stamp}:{index}"))
    out += [NewFact("slo.unfrozen", objective, now, {"scope": scope, "zone": after.name},
                    key=f"slo.unfrozen:{stamp}:{scope}") for scope in lifted]
    return out


def _due(action: Action) -> tuple[str, dict[str, str]]:
    match action:
        case Notify(whom, message):
            return "slo.notice-due", {"whom": whom, "message": message}
        case Review(what):
            return "slo.review-due", {"what": what}
        case Freeze(scope):
            return "slo.frozen", {"scope": scope}
        case OpenIncident(priority, title):
            return "slo.incident-due", {"priority": priority, "title": title}
