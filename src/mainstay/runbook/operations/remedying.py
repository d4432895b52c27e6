"""What a server does for remediation: tells the desk what happened, begins the runs that were decided on, looks whether
they helped.

Nothing that matters is held here. Which run belongs to which attempt is said by its key, so a run is begun once,
however many servers there are and however often they are killed. What was not looked at by this process is looked at
anew: a stretch of health of which nobody saw a part does not count.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from mainstay.kernel import locks
from mainstay.kernel.errors import InvalidInput, MainstayError, StoreUnavailable
from mainstay.kernel.journal import Fact, FactQuery
from mainstay.kernel.locks import Lock, Locked
from mainstay.kernel.objective import Objective
from mainstay.kernel.ports import World
from mainstay.runbook.chain import Entry
from mainstay.runbook.lifecycle import State
from mainstay.runbook.operations.desk import Order, begin, runs_of
from mainstay.runbook.operations.remedy_desk import desk_of, rules_of
from mainstay.runbook.operations.remedy_looking import judged
from mainstay.runbook.remedy import OnBudget, OnSchedule, Remediation, filled
from mainstay.runbook.remedy_decision import (
    Checked,
    Cleared,
    Event,
    Judged,
    Ran,
    RunEnd,
    Surroundings,
    Tick,
    Triggered,
    due,
    matches,
    to_judge,
)
from mainstay.runbook.remedy_schedule import last_moment, round_key
from mainstay.runbook.remedy_state import AT_WORK, Case, Phase, Remedies
from mainstay.runbook.run import Run

log = logging.getLogger("mainstay.remediation")

POLL = 0.5
"""Seconds after which runs and what others recorded are looked at again."""

HELD = timedelta(minutes=1)
"""How long a target stays locked without another word: after that whoever worked on it is taken for gone."""

_RECENT = 500
"""Facts back which an alert's incident is looked for."""

_ENDS: Mapping[State, RunEnd] = {
    State.SUCCEEDED: "succeeded", State.FAILED: "failed", State.CANCELLED: "declined", State.UNDONE: "declined",
    State.REJECTED: "declined", State.EXPIRED: "expired", State.VOIDED: "expired"}
"""How a run ended → what that means for the attempt it was. Who cancels or takes back a run has it in hand."""


def tell(world: World, events: Sequence[Event], judged_: Mapping[str, Judged] | None = None) -> tuple[Fact, ...]:
    """Decide on what happened, and on what is due; what was recorded."""
    rules = rules_of(world)

    def around(state: Remedies) -> Surroundings:
        return Surroundings(_locked(world, state, events), judged_ or {})

    return desk_of(world).do(rules, [*events, Tick()], around)


def _locked(world: World, state: Remedies, events: Sequence[Event]) -> Mapping[str, str]:
    """Who else holds the targets on which something could begin now."""
    now, rules = world.clock.now(), rules_of(world)
    targets = {case.target for case in state.cases.values() if case.phase is Phase.WAITING}
    for event in events:
        if isinstance(event, Triggered):
            try:
                targets.add(filled(rules[event.rule].target, event.labels))
            except InvalidInput:
                # The desk finds the same, and records it.
                continue
    found = {}
    for target in targets:
        lock = locks.held(world.journal, target, now)
        if lock is not None and not _ours(world, state, lock):
            found[target] = lock.holder
    return found


def _ours(world: World, state: Remedies, lock: Lock) -> bool:
    """Whether a case that works on the target, or has just ceased to, holds it."""
    word, _, name = lock.holder.partition(" ")
    if word == "remediation":
        return True
    run = runs_of(world).caught_up().get(name) if word == "run" else None
    return run is not None and str(run.data.get("key", "")).startswith("REM-") and run.over \
        and state.busy.get(lock.target) is None


# -- what other words say ------------------------------------------------------------------------------------------

ESCALATED = "RemediationEscalated"
"""The alert by which a rule tells a person. No rule is triggered by it: what failed by itself is not mended so."""


def alert_began(world: World, alert: str, labels: Mapping[str, str], seq: int) -> None:
    """An alert opened, or a silence of it ended while it fires.

    Args:
        seq: of the fact that says so.
    """
    if labels.get("alertname") == ESCALATED:
        return
    events = [Triggered(rule.name, alert, labels, seq) for rule in rules_of(world).values() if matches(rule, labels)]
    if events:
        tell(world, events)


def is_over(world: World, key: str) -> None:
    """An alert, or whatever else triggered something, is over."""
    if any(key in case.firing for case in desk_of(world).state.cases.values()):
        tell(world, [Cleared(key)])


def zone_entered(world: World, objective: str, zone: str, seq: int) -> None:
    """The error budget of an objective passed into a zone."""
    key, events = f"budget:{objective}", list[Event]()
    for rule in rules_of(world).values():
        if isinstance(rule.when, OnBudget) and rule.when.objective == objective and zone in rule.when.zones:
            found = world.catalog.find(Objective, objective)
            labels = {"slo": objective, "zone": zone, "service": found.service if found is not None else ""}
            events.append(Triggered(rule.name, key, labels, seq))
    if events:
        tell(world, events)
    else:
        is_over(world, key)


class Remediator:
    """One server's part in remediation; `round` again and again."""

    def __init__(self) -> None:
        self._since: datetime | None = None
        self._asked: dict[str, datetime] = {}
        self._occurred: dict[str, datetime] = {}
        self._untold: set[str] = set()
        self._held: dict[str, Lock] = {}

    def round(self, world: World) -> float:
        """Do what there is to do; seconds after which there may be more.

        Raises:
            StoreUnavailable: the journal does not answer; the next round goes on.
        """
        rules, desk = rules_of(world), desk_of(world)
        now = world.clock.now()
        self._since = self._since or now
        if not rules and not desk.state.cases:
            return POLL
        self._schedules(world, rules.values())
        self._runs(world, desk.state)
        self._verify(world, desk.state)
        state = desk.state
        moment = due(rules, state)
        if (moment is not None and moment <= now) or any(_stuck(case) for case in state.cases.values()):
            cases = to_judge(rules, state, now)
            tell(world, (), {case.id: judged(world, rules[case.rule], rules[case.rule].condition.checks, case.labels)
                             for case in cases})
        self._runs(world, desk.state)
        self._hold(world, desk.state)
        moment = due(rules, desk.state)
        wait = POLL if moment is None else (moment - world.clock.now()).total_seconds()
        return min(max(wait, 0.05), POLL)

    # -- schedules -------------------------------------------------------------------------------------------------

    def _schedules(self, world: World, rules: Iterable[Remediation]) -> None:
        """What came round since this process began; what was missed before is not made up for."""
        for rule in rules:
            if not isinstance(rule.when, OnSchedule):
                continue
            moment = last_moment(rule.when, world.clock.now())
            if moment <= max(self._occurred.get(rule.name, self._since or moment), self._since or moment):
                continue
            self._occurred[rule.name] = moment
            if (event := self._came_round(world, rule, moment)) is not None:
                tell(world, [event])

    def _came_round(self, world: World, rule: Remediation, moment: datetime) -> Event | None:
        seconds, key = int(moment.timestamp()), round_key(rule, moment)
        if not rule.held:
            return Triggered(rule.name, key, {}, moment=seconds)
        found = judged(world, rule, rule.condition.checks, {})
        if found.holds is None:
            if rule.name not in self._untold:
                log.warning("%s cannot be told: %s", rule.name, found.said)
            self._untold.add(rule.name)
            return None
        self._untold.discard(rule.name)
        return Triggered(rule.name, key, {}, moment=seconds) if found.holds else Cleared(key)

    # -- runs ------------------------------------------------------------------------------------------------------

    def _runs(self, world: World, state: Remedies) -> None:
        """Begin the runs that were decided on, and tell of those that ended."""
        for case in [one for one in state.cases.values() if one.phase is Phase.RUNNING]:
            run = runs_of(world).by_key(case.run)
            if run is None:
                self._begin(world, case)
            elif case.ends and not case.firing and run.state in _NOT_BEGUN:
                _give_up(world, case, run)
            elif run.over:
                tell(world, [Ran(case.run, _ENDS[run.state], f"{run.id} {run.state}" + (f": {run.why}" if run.why
                                                                                       else ""))])

    def _begin(self, world: World, case: Case) -> None:
        order = case.order
        try:
            begin(world, Order(
                str(order["runbook"]), order["inputs"], case.labels, incident_of(world, case.firing),
                f"{case.rule} on {case.target}, attempt {case.attempt} of {case.id}", f"remediation {case.rule}",
                case.run, f"automation:{case.rule}", approvals=1 if order["approval"] else 0))
        except StoreUnavailable:
            raise
        except MainstayError as refused:
            # Nothing was begun, and beginning again would be refused again: the attempt failed.
            tell(world, [Ran(case.run, "failed", refused.message)])

    # -- whether it helped -----------------------------------------------------------------------------------------

    def _verify(self, world: World, state: Remedies) -> None:
        rules = rules_of(world)
        cases = [one for one in state.cases.values() if one.phase is Phase.VERIFYING]
        self._asked = {name: at for name, at in self._asked.items() if name in state.cases}
        for case in cases:
            rule = rules.get(case.rule)
            if rule is None or not rule.verify.checks:
                continue
            now, asked = world.clock.now(), self._asked.get(case.id)
            if asked is not None and now - asked < rule.verify.every:
                continue
            anew = asked is None or now - asked > 3 * rule.verify.every
            found = judged(world, rule, rule.verify.checks, case.labels)
            self._asked[case.id] = world.clock.now()
            tell(world, [Checked(case.id, found.holds, found.said, anew)])

    # -- locks -----------------------------------------------------------------------------------------------------

    def _hold(self, world: World, state: Remedies) -> None:
        """Keep the targets that are worked on locked until health is proven, and let go of the others."""
        now, wanted = world.clock.now(), {}
        for case in (one for one in state.cases.values() if one.phase in AT_WORK):
            if case.phase is Phase.VERIFYING:
                wanted[case.target] = f"remediation {case.id}"
            elif (run := runs_of(world).by_key(case.run)) is not None and _acts(run):
                wanted[case.target] = f"run {run.id}"
        for target, lock in list(self._held.items()):
            if wanted.get(target) != lock.holder:
                locks.free(world.journal, [lock], now)
                del self._held[target]
        for target, holder in wanted.items():
            known = self._held.get(target)
            if known is not None and known.until - now > HELD / 2:
                continue
            try:
                [self._held[target]] = locks.take(world.journal, [target], holder, now, HELD)
            except Locked:
                # Something else was quicker in the moment between the run and its verification: it is looked at all
                # the same, and what the other does to the target shows.
                self._held.pop(target, None)


_NOT_BEGUN = (State.AWAITING, State.READY)


def _give_up(world: World, case: Case, run: Run) -> None:
    """What is well is not mended: it was over before anybody approved the run, or before it could begin."""
    now = world.clock.now()

    def not_begun(run: Run) -> list[Entry]:
        # Looked at where it is decided, so that a run which began in this moment is let go on.
        return [Entry("runbook.cancel-asked", now, {}, f"automation:{case.rule}")] if run.state in _NOT_BEGUN else []

    runs_of(world).decide(run.id, not_begun)


def _acts(run: Run) -> bool:
    return run.state in (State.RUNNING, State.WAITING, State.UNDOING)


def _stuck(case: Case) -> bool:
    """Whether something else that ends lets the case go on at once."""
    return case.phase is Phase.WAITING and case.limit in ("concurrent", "target")


def incident_of(world: World, alerts: Iterable[str]) -> str:
    """The incident that has one of the alerts, as the latest facts say; empty where none has."""
    wanted = set(alerts)
    recent = FactQuery(kinds=("incident.opened", "incident.joined"), newest_first=True, limit=_RECENT)
    return next((fact.subject for fact in world.journal.facts(recent) if wanted & set(fact.data.get("alerts", ()))), "")
