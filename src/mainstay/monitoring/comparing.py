"""What a change of the catalog does to its rules, rule by rule and in words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.quantity import format_duration, short_duration
from mainstay.monitoring import chain
from mainstay.monitoring.alerts import ABSENT, BURN, SPENT, percent, tier_name
from mainstay.monitoring.rulefile import AlertRule, RecordingRule, Rule, number
from mainstay.monitoring.rules import Plan
from mainstay.monitoring.tiers import length_for_burn
from mainstay.stats.budget import BurnAlert

_TELLS_APART = (chain.TIER_LABEL, "window")
_SERIES = {
    chain.BAD: "bad events", chain.TOTAL: "events", chain.HOUR_BAD: "bad events of an hour",
    chain.HOUR_TOTAL: "events of an hour", chain.LEFT: "budget left", chain.INFO: "what is said of the objective"}


@dataclass(frozen=True, slots=True)
class Change:
    """One rule that came, went or differs.

    Args:
        rule: the alert's tier, or the series: `page-1h`, `slo:bad:sum5m`.
        fields: what differs: `expr`, `for`, `labels`, `annotations`, `interval`; empty when it came or went.
        consequence: what that means for whoever is on call.
        before, after: the expressions; empty where there is none.
    """

    objective: str
    what: Literal["added", "removed", "changed"]
    rule: str
    fields: tuple[str, ...]
    consequence: str
    before: str
    after: str


def changes(old: Sequence[Plan], new: Sequence[Plan]) -> Iterator[Change]:
    """Every difference, objective by objective in order of their names, alerts first."""
    before = {plan.objective.name: plan for plan in old}
    after = {plan.objective.name: plan for plan in new}
    for name in sorted(before.keys() | after.keys()):
        yield from _of_objective(name, before.get(name), after.get(name))


def _of_objective(name: str, old: Plan | None, new: Plan | None) -> Iterator[Change]:
    before, after = _by_name(old), _by_name(new)
    for rule in _ordered(before.keys() | after.keys()):
        one, other = before.get(rule), after.get(rule)
        if one is None and other is not None:
            yield Change(name, "added", rule[1], (), _came(other[0], new), "", other[0].expr)
        elif one is not None and other is None:
            yield Change(name, "removed", rule[1], (), _went(one[0], new), one[0].expr, "")
        elif one is not None and other is not None and one != other:
            fields = tuple(_fields(one, other))
            yield Change(name, "changed", rule[1], fields, _differs(rule[1], (old, one[0]), (new, other[0]), fields),
                         one[0].expr, other[0].expr)


_Placed = tuple[Rule, str]
"""A rule and how often it is evaluated."""


def _by_name(plan: Plan | None) -> dict[tuple[int, str], _Placed]:
    if plan is None:
        return {}
    return {(0 if isinstance(rule, AlertRule) else 1, _name(rule)): (rule, _interval(group.interval))
            for group in plan.groups for rule in group.rules}


def _interval(interval: object) -> str:
    return str(interval)


def _name(rule: Rule) -> str:
    apart = [rule.labels[label] for label in _TELLS_APART if label in rule.labels]
    if isinstance(rule, AlertRule):
        return apart[0] if apart else rule.alert
    return rule.record + (f" {apart[-1]}" if apart and rule.record == chain.LEFT else "")


def _ordered(names: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
    return sorted(names)


def _fields(one: _Placed, other: _Placed) -> Iterator[str]:
    (before, how_often), (after, how_often_now) = one, other
    if before.expr != after.expr:
        yield "expr"
    if isinstance(before, AlertRule) and isinstance(after, AlertRule):
        if before.hold != after.hold:
            yield "for"
        if dict(before.annotations) != dict(after.annotations):
            yield "annotations"
    if dict(before.labels) != dict(after.labels):
        yield "labels"
    if how_often != how_often_now:
        yield "interval"


# -- in words -------------------------------------------------------------------------------------------------------


def _burn(plan: Plan | None, tier: str) -> BurnAlert | None:
    return next((burn for burn in plan.burns if tier_name(burn) == tier), None) if plan is not None else None


def _tells(severity: str) -> str:
    return "pages" if severity == "page" else "opens tickets"


def _came(rule: Rule, plan: Plan | None) -> str:
    if isinstance(rule, RecordingRule):
        return f"records {_SERIES.get(rule.record, rule.record)}"
    burn = _burn(plan, rule.labels.get(chain.TIER_LABEL, ""))
    if burn is not None:
        return (f"{_tells(burn.tier.severity)} above {percent(burn.threshold)} bad in "
                f"{short_duration(burn.tier.long)} ({number(burn.factor)}× the allowed speed)")
    return f"{_tells(rule.labels.get(chain.SEVERITY_LABEL, ''))}: {rule.annotations.get('summary', rule.alert)}"


def _went(rule: Rule, now: Plan | None) -> str:
    if isinstance(rule, RecordingRule):
        return f"{_SERIES.get(rule.record, rule.record)} is no longer recorded; what reads it finds nothing"
    if now is None or not now.groups:
        return "nobody is told any more: the objective has no rules" + (f" ({now.without})" if now is not None else "")
    if rule.alert == ABSENT:
        return "nobody is told when the data stops"
    slower = [tier_name(burn) for burn in now.burns if not burn.faults]
    if rule.alert == BURN:
        return "this speed is told only by " + (", ".join(slower) if slower else "the budget's alerts")
    return "this share of the budget passes in silence"


def _differs(name: str, one: tuple[Plan | None, Rule], other: tuple[Plan | None, Rule], fields: Sequence[str]) -> str:
    (old, before), (new, after) = one, other
    said = []
    burn, now = _burn(old, name), _burn(new, name)
    if burn is not None and now is not None and burn.threshold != now.threshold:
        lower = now.threshold < burn.threshold
        said.append(f"threshold {percent(burn.threshold)} -> {percent(now.threshold)}, "
                    f"{_tells(now.tier.severity)} {'earlier' if lower else 'later'}")
        said += _why(old, new, burn, now)
    elif isinstance(after, AlertRule) and after.alert == SPENT and old is not None and new is not None \
            and old.objective.target != new.objective.target:
        stricter = old.objective.target.budget > new.objective.target.budget
        said.append(f"is reached {'earlier' if stricter else 'later'}: target {old.objective.target} -> "
                    f"{new.objective.target}, also for the past")
    elif "expr" in fields:
        said.append(_other_expression(old, new, after))
    if isinstance(before, AlertRule) and isinstance(after, AlertRule) and before.hold != after.hold:
        longer = after.hold > before.hold
        said.append(f"must last {_lasting(after)} instead of {_lasting(before)}, "
                    f"{'later and less often' if longer else 'sooner and more often'}")
    if "labels" in fields:
        said += _labels(before, after)
    if "annotations" in fields and not said:
        said.append("only its words change")
    if "interval" in fields:
        said.append("is evaluated at another interval")
    return "; ".join(said)


def _lasting(rule: AlertRule) -> str:
    return format_duration(rule.hold) if rule.hold else "no time"


def _why(old: Plan | None, new: Plan | None, burn: BurnAlert, now: BurnAlert) -> Iterator[str]:
    assert old is not None, "a tier that differs is in both"
    assert new is not None, "a tier that differs is in both"
    if old.objective.target != new.objective.target:
        yield f"target {old.objective.target} -> {new.objective.target}"
    if burn.tier.spends != now.tier.spends:
        yield f"may spend {percent(now.tier.spends)} instead of {percent(burn.tier.spends)} first"
    lengths = length_for_burn(old.objective.window), length_for_burn(new.objective.window)
    if lengths[0] != lengths[1]:
        yield f"window {short_duration(lengths[0])} -> {short_duration(lengths[1])}"


def _other_expression(old: Plan | None, new: Plan | None, rule: Rule) -> str:
    if isinstance(rule, RecordingRule):
        if rule.record == chain.LEFT and old is not None and new is not None \
                and old.objective.target != new.objective.target:
            return f"held against {new.objective.target} instead of {old.objective.target}, also for the past"
        return f"{_SERIES.get(rule.record, rule.record)} are counted differently from now on; the past stays as it was"
    gates = [plan.alerting.low_traffic if plan is not None else None for plan in (old, new)]
    if gates[0] != gates[1]:
        return "with little traffic it asks for more failures" if gates[1] is not None \
            else "one failure among few events is enough again"
    return "another condition"


def _labels(before: Rule, after: Rule) -> Iterator[str]:
    what = "routes that match it change" if isinstance(after, AlertRule) else "its series starts anew"
    for name in sorted(before.labels.keys() | after.labels.keys()):
        one, other = before.labels.get(name, "none"), after.labels.get(name, "none")
        if one != other:
            yield f"label {name}: {one} -> {other}, {what}"
