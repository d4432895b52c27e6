"""Mainstay's own rules: two sums per objective, every window chained from them, alerts on them. Pure.

A *style* is a function from objectives with their alertings to groups of rules; `mainstay` is the one here, those that
speak as other tools do are in `exchange`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

from mainstay.kernel.catalog import Catalog
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.objective import Indicator, Objective, resolved
from mainstay.kernel.quantity import CalendarWindow, RequestWindow, RollingWindow, plain, short_duration
from mainstay.monitoring import alerts, chain
from mainstay.monitoring.counting import Counts, NotCountable, Sampling, counts
from mainstay.monitoring.rulefile import RecordingRule, Rule, RuleFile, RuleGroup, object_name
from mainstay.monitoring.spec import Alerting, alerting_of, tiers_for
from mainstay.monitoring.tiers import length_for_burn
from mainstay.stats.budget import BurnAlert, burn_alerts

SLOW = timedelta(minutes=2)
"""How often what looks back over days is evaluated: often enough that a recorded value never is older than the five
minutes after which Prometheus forgets it, rarely enough to cost little."""

FAST_LONG = timedelta(hours=6)
"""Alerts with a long window up to this are evaluated every interval, the others every `SLOW`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of one objective.

    Args:
        burns: its burn-rate alerts, worked out; those with faults are not among the rules.
        groups: empty when `without` says why there are no rules.
        notes: what rules cannot do for this objective, and who does it.
    """

    objective: Objective
    alerting: Alerting
    indicator: Indicator
    burns: tuple[BurnAlert, ...] = ()
    groups: tuple[RuleGroup, ...] = ()
    without: str = ""
    notes: tuple[str, ...] = ()

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules of all its groups."""
        return tuple(rule for group in self.groups for rule in group.rules)

    @property
    def evaluations(self) -> float:
        """How many rules are evaluated for it in one interval of its alerting."""
        interval = self.alerting.interval
        return sum(len(group.rules) * (interval / (group.interval or interval)) for group in self.groups)


Style = Callable[[Sequence[tuple[Objective, Alerting]], Catalog], Sequence[RuleFile]]
"""How rules are written: files of groups from objectives, each with the alerting that is about it.
`operations/rules.py` lists the styles.
"""


def plan(objective: Objective, alerting: Alerting, catalog: Catalog) -> Plan:
    """The rules of one objective, or why it has none.

    Raises:
        NotFound: the catalog, which was not checked, declares no indicator of that name.
    """
    indicator = resolved(objective, catalog)
    made = Plan(objective, alerting, indicator)
    if objective.target.budget == 0:
        return replace(made, without="it promises 100 %, which leaves no error budget")
    try:
        counted = counts(indicator, objective.method, Sampling(alerting.scrape, alerting.group_by))
    except NotCountable as reason:
        return replace(made, without=str(reason))
    burns = burn_alerts(objective.target, length_for_burn(objective.window), tiers_for(alerting, objective))
    return replace(made, burns=burns, groups=_groups(made, counted, burns), notes=tuple(_notes(objective)))


def plans(objectives: Iterable[Objective], catalog: Catalog) -> tuple[Plan, ...]:
    """A plan an objective, in their order."""
    return tuple(plan(objective, alerting_of(objective, catalog), catalog) for objective in objectives)


def files(made: Iterable[Plan]) -> tuple[RuleFile, ...]:
    """One file a service, sorted by name; objectives without rules are in none."""
    by_service: dict[str, list[RuleGroup]] = {}
    for one in sorted(made, key=lambda plan: plan.objective.name):
        if one.groups:
            by_service.setdefault(object_name(one.objective.service or "no-service"), []).extend(one.groups)
    return tuple(RuleFile(name, tuple(groups)) for name, groups in sorted(by_service.items()))


def mainstay_style(pairs: Sequence[tuple[Objective, Alerting]], catalog: Catalog) -> Sequence[RuleFile]:
    """The style of this room."""
    return files(plan(objective, alerting, catalog) for objective, alerting in pairs)


# -- groups ---------------------------------------------------------------------------------------------------------


def _groups(made: Plan, counted: Counts, burns: Sequence[BurnAlert]) -> tuple[RuleGroup, ...]:
    """What must be quick, and what looks back over days. Rules of a group run one after the other, so that an alert
    sees the sums of the same moment.
    """
    objective, alerting = made.objective, made.alerting
    sound = [burn for burn in burns if not burn.faults]
    record = _Recorder(objective)
    fast: list[Rule] = [
        record(chain.TOTAL, counted.total), record(chain.BAD, counted.bad),
        record(chain.HOUR_TOTAL, _hour(chain.TOTAL, objective)), record(chain.HOUR_BAD, _hour(chain.BAD, objective)),
    ]
    fast += (alerts.burning(made.objective, alerting, burn) for burn in sound if burn.tier.long <= FAST_LONG)
    if alerting.absent_for is not None:
        fast.append(alerts.absent(objective, alerting))
    slow: list[Rule] = [record(chain.INFO, "vector(1)", **_info(objective))]
    for one in objective.windows:
        if isinstance(one.window, RollingWindow):
            length = one.window.length
            labels = {chain.SLO_LABEL: objective.name}
            slow.append(record(chain.LEFT, chain.remaining(labels, length, one.target), window=short_duration(length)))
    slow += (alerts.burning(made.objective, alerting, burn) for burn in sound if burn.tier.long > FAST_LONG)
    slow += alerts.spent(objective, alerting)
    return (RuleGroup(f"slo.{objective.name}", tuple(fast), alerting.interval),
            RuleGroup(f"slo.{objective.name}.budget", tuple(slow), max(SLOW, alerting.interval)))


def _hour(series: str, objective: Objective) -> str:
    return chain.put_together(series, {chain.SLO_LABEL: objective.name}, chain.SLOT_LENGTH, 12)


@dataclass(frozen=True, slots=True)
class _Recorder:
    """Recording rules of one objective, all of which carry its name and its service's."""

    objective: Objective

    def __call__(self, record: str, expr: str, **more: str) -> RecordingRule:
        return RecordingRule(record, expr, alerts.identity(self.objective) | more, self.objective.name)


def _info(objective: Objective) -> dict[str, str]:
    window = objective.window
    named = short_duration(window.length) if isinstance(window, RollingWindow) else str(window)
    labels = {"target": plain(objective.target.ratio * 100), "window": named}
    return labels | ({"owner": objective.owner} if objective.owner else {})


def _notes(objective: Objective) -> Iterable[str]:
    window = objective.window
    if isinstance(window, CalendarWindow):
        yield (f"its window is the {window}: a rule looks back a fixed time and cannot start with the period, so what "
               f"is left of the period's budget is told by mainstay slo report and slo enforce; burn rates are held "
               f"against {short_duration(length_for_burn(window))}")
    if isinstance(window, RequestWindow):
        yield (f"its window is the {window}: a rule cannot look back a number of events, so what is left of the budget "
               "is told by mainstay slo report and slo enforce; burn rates are held against 30d")
