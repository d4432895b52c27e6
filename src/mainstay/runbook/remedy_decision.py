"""What is to be done about trouble: decided from the rules, where everything stands, the time, and what is going on.

Pure. A decision is a list of facts; each is folded in before the next is decided. Nothing here begins a run: the fact
`remedy.started` is the decision to, and whoever acts does so once per run key. What a limit forbids is asked at one
place, the table `GUARDS`, in its order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any, Literal, assert_never

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, NotFound
from mainstay.kernel.journal import NewFact
from mainstay.kernel.quantity import Span, format_duration, zone_named
from mainstay.kernel.wallclock import hours_in
from mainstay.kernel.wording import many
from mainstay.runbook.remedy import Hours, OnAlert, Remediation, Throttle, filled
from mainstay.runbook.remedy_state import AT_WORK, Case, Phase, Remedies

Rules = Mapping[str, Remediation]
RunEnd = Literal["succeeded", "failed", "unknown", "declined", "expired"]


# -- what can happen ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Triggered:
    """What a rule waits for happened.

    Args:
        key: tells it from others until it is over: an alert's id.
        seq: the fact it follows from; 0 where it is none. What was followed before is not followed again.
        moment: the moment of the rule's schedule, in seconds of the epoch; 0 where it has none.
    """

    rule: str
    key: str
    labels: Mapping[str, str]
    seq: int = 0
    moment: int = 0


@dataclass(frozen=True, slots=True)
class Cleared:
    """What triggered is over."""

    key: str


@dataclass(frozen=True, slots=True)
class Ran:
    """A run ended. `unknown`: nobody can say how far it came; `declined`, `expired`: it was not approved."""

    run: str
    outcome: RunEnd
    said: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """The checks of a case that is being verified were asked.

    Args:
        healthy: None where they could not be told, which is not health.
        anew: the checks were not asked for a while, so that health may have been broken unseen.
    """

    case: str
    healthy: bool | None
    said: str = ""
    anew: bool = False


@dataclass(frozen=True, slots=True)
class Tick:
    """Time went on, or a lock was freed."""


@dataclass(frozen=True, slots=True)
class Resume:
    """A person lets a rule that stopped go on."""

    rule: str
    by: str = ""


Event = Triggered | Cleared | Ran | Checked | Tick | Resume


@dataclass(frozen=True, slots=True)
class Judged:
    """Whether a rule's conditions hold for a case; None where they could not be told."""

    holds: bool | None
    said: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is so outside at the moment of a decision.

    Args:
        locked: targets that something else holds, with what it is.
        judged: cases whose conditions were looked at.
    """

    locked: Mapping[str, str] = field(default_factory=dict)
    judged: Mapping[str, Judged] = field(default_factory=dict)


NOTHING = Surroundings()


# -- what forbids a run -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a run does not begin.

    Args:
        then: `escalate`: a person's business. `leave`: nobody's. `wait`: it is looked at again at `ready`.
    """

    limit: str
    why: str
    then: Literal["escalate", "leave", "wait"]
    ready: datetime | None = None


TOLD = ("started", "observed", "verified", "failed", "skipped", "escalated", "overdue", "ended")
"""Kinds of facts that people hear of where the trouble is shown, so that they say what triggered it."""


class Desk:
    """One decision in the making: facts are folded into the state as they are written down."""

    def __init__(self, rules: Rules, state: Remedies, now: datetime, around: Surroundings = NOTHING) -> None:
        self.rules, self.state, self.now, self.around = rules, state, now, around
        self.facts: list[NewFact] = []

    def record(self, kind: str, subject: str, rule: str, **data: Any) -> None:
        """It was decided. The key counts all facts of remediation, so of two who decide at once one looks again."""
        fact = NewFact(f"remedy.{kind}", subject, self.now, {"rule": rule, **data}, f"remedy:{self.state.facts + 1}",
                       f"automation:{rule}")
        self.facts.append(fact)
        self.state.apply(fact)

    def say(self, kind: str, case: str, **data: Any) -> Case:
        """Something of a case; the case as it is then."""
        held = self.state.cases[case]
        more = {"keys": list(held.keys)} if kind in TOLD else {}
        self.record(kind, case, held.rule, target=held.target, **more, **data)
        return self.state.cases.get(case, held)


def _stopped(desk: Desk, rule: Remediation, case: Case) -> Refusal | None:  # noqa: ARG001  (a guard's signature)
    conduct = desk.state.conduct(rule.name)
    if not conduct.stopped:
        return None
    return Refusal("stop_after", f"{rule.name} stopped after {many(conduct.failures, 'failure')} in a row", "escalate")


def _flapping(desk: Desk, rule: Remediation, case: Case) -> Refusal | None:
    since = desk.now - rule.limits.flap_within
    healed = sum(moment > since for moment in desk.state.track(rule.name, case.target).healed)
    if healed < rule.limits.flaps:
        return None
    return Refusal("flaps", f"{case.target} was healed {healed} times within "
                   f"{format_duration(rule.limits.flap_within)} and breaks again", "escalate")


def _attempts(desk: Desk, rule: Remediation, case: Case) -> Refusal | None:
    since = desk.now - rule.limits.within
    made = sum(moment > since for moment in desk.state.track(rule.name, case.target).starts)
    if made < rule.limits.attempts:
        return None
    return Refusal("attempts", f"{made} attempts on {case.target} within {format_duration(rule.limits.within)}",
                   "escalate")


def _share(desk: Desk, rule: Remediation, case: Case) -> Refusal | None:
    reach = rule.limits.reach
    if not reach:
        return None
    since = desk.now - rule.limits.within
    recent = takewhile(lambda one: one[0] > since, reversed(desk.state.conduct(rule.name).touched))
    touched = {target for _, target in recent}
    touched |= {one.target for one in desk.state.cases.values() if one.rule == rule.name and one.phase in AT_WORK}
    if len(touched | {case.target}) <= reach:
        return None
    return Refusal("share", f"{len(touched)} of {rule.limits.fleet} targets were touched within "
                   f"{format_duration(rule.limits.within)}, and {reach} may be", "escalate")


def _hours(desk: Desk, rule: Remediation, case: Case) -> Refusal | None:  # noqa: ARG001  (a guard's signature)
    hours = rule.condition.hours
    if hours is None or in_hours(hours, desk.now):
        return None
    return Refusal("hours", "it is not within its hours", "leave")


def _condition(desk: Desk, rule: Remediation, case: Case) -> Refusal | None:
    if not rule.condition.checks:
        return None
    judged = desk.around.judged.get(case.id)
    if judged is None:
        return Refusal("condition", "its condition is being looked at", "wait", desk.now)
    if judged.holds is None:
        return Refusal("condition", f"its condition cannot be told: {judged.said}", "escalate")
    return None if judged.holds else Refusal("condition", f"its condition does not hold: {judged.said}", "leave")


def _cool_down(desk: Desk, rule: Remediation, case: Case) -> Refusal | None:
    rested = desk.state.track(rule.name, case.target).rested
    if rested is None or desk.now >= rested + rule.limits.cool_down:
        return None
    return Refusal("cool_down", f"{case.target} rests until {rested + rule.limits.cool_down:%H:%M:%S} UTC", "wait",
                   rested + rule.limits.cool_down)


def _busy(desk: Desk, rule: Remediation, case: Case) -> Refusal | None:  # noqa: ARG001  (a guard's signature)
    other = desk.state.busy.get(case.target)
    return None if other is None else Refusal("target", f"{other} works on {case.target}", "wait")


def _locked(desk: Desk, rule: Remediation, case: Case) -> Refusal | None:
    holder = desk.around.locked.get(case.target)
    if holder is None:
        return None
    return Refusal("lock", f"{holder} acts on {case.target}", "wait" if rule.locked == "wait" else "leave")


def _concurrent(desk: Desk, rule: Remediation, case: Case) -> Refusal | None:  # noqa: ARG001  (a guard's signature)
    working = desk.state.at_work(rule.name)
    if working < rule.limits.concurrent:
        return None
    return Refusal("concurrent", f"{rule.name} works on {working} targets, as many as it may", "wait")


Guard = Callable[[Desk, Remediation, Case], Refusal | None]

GUARDS: dict[str, Guard] = {
    "stop_after": _stopped, "flaps": _flapping, "attempts": _attempts, "share": _share, "hours": _hours,
    "lock": _locked, "cool_down": _cool_down, "target": _busy, "concurrent": _concurrent, "condition": _condition,
}
"""Limit → what asks for it, in the order in which they are asked. What a person has to decide comes first; the
condition last, for it is looked at only for what could begin."""

FOR_GOOD = ("stop_after", "flaps", "attempts", "share")
"""Limits that waiting a moment does not lift; they are asked right after a failure too."""

AGAIN = timedelta(seconds=30)
"""What waits without knowing until when is looked at again after this, and whenever something ends."""


def in_hours(hours: Hours, now: datetime) -> bool:
    """Whether it may begin at that moment."""
    inside = bool(hours_in(hours.weekly, zone_named(hours.zone), Span(now, now + timedelta(seconds=1))))
    return inside != hours.outside


# -- deciding -----------------------------------------------------------------------------------------------------


def decide(desk: Desk, event: Event) -> None:
    """Write down what follows from the event at the desk's moment.

    Raises:
        NotFound: a rule that is not declared is to be resumed.
    """
    match event:
        case Triggered():
            _trigger(desk, event)
        case Cleared(key):
            for case in [one for one in desk.state.cases.values() if key in one.firing]:
                _clear(desk, desk.say("cleared", case.id, key=key))
        case Ran():
            _ran(desk, event)
        case Checked():
            _checked(desk, event)
        case Tick():
            _tick(desk)
        case Resume():
            _resume(desk, event)
        case other:
            assert_never(other)


def due(rules: Rules, state: Remedies) -> datetime | None:
    """When time alone next changes something; None when it never does."""
    return min((moment for case in state.cases.values() if (moment := _due(rules, case)) is not None), default=None)


def _due(rules: Rules, case: Case) -> datetime | None:
    rule = rules.get(case.rule)
    match case.phase:
        case Phase.WAITING:
            return case.ready
        case Phase.RUNNING:
            return None if case.overdue else case.until
        case Phase.VERIFYING:
            return case.healthy + rule.verify.hold if case.healthy is not None and rule is not None else case.until
        case Phase.LEFT:
            return None


def to_judge(rules: Rules, state: Remedies, now: datetime) -> tuple[Case, ...]:
    """The cases that could begin now, and whose conditions must be looked at for that."""
    return tuple(case for case in state.cases.values() if case.phase is Phase.WAITING and _is_ready(case, now)
                 and (rule := rules.get(case.rule)) is not None and rule.condition.checks)


def _is_ready(case: Case, now: datetime) -> bool:
    # A slot or a target may have come free by what was decided a moment ago.
    return case.ready is None or case.ready <= now or case.limit in ("concurrent", "target")


# -- triggers -----------------------------------------------------------------------------------------------------


def _trigger(desk: Desk, event: Triggered) -> None:
    rule, state = desk.rules[event.rule], desk.state
    conduct = state.conduct(rule.name)
    if (event.seq and event.seq <= conduct.through) or (event.moment and event.moment <= conduct.occurred):
        return
    try:
        target = filled(rule.target, event.labels)
    except InvalidInput as error:
        desk.record("passed", rule.name, rule.name, target="", group="", key=event.key, **_place(event),
                    why=f"its target is unknown: {error.message}")
        return
    case = state.case_of(rule.name, target)
    if case is not None:
        _join(desk, rule, case, event)
        return
    group = "/".join(event.labels.get(label, "") for label in rule.throttle.group_by) \
        if rule.throttle is not None and rule.throttle.group_by else target
    refusal, ready = _throttled(desk, rule.throttle, (rule.name, group))
    if refusal:
        desk.record("passed", rule.name, rule.name, target=target, group=group, key=event.key, **_place(event),
                    why=refusal)
        return
    name = f"REM-{state.opened + 1}"
    anew = rule.throttle is not None and rule.throttle.kind == "accumulate_within"
    desk.record("triggered", name, rule.name, target=target, key=event.key, labels=dict(event.labels), group=group,
                ends=rule.ends, **_place(event), anew=anew, ready=ready.isoformat() if ready is not None else "")
    _try(desk, state.cases[name])


def _place(event: Triggered) -> Mapping[str, int]:
    return {key: value for key, value in (("seq", event.seq), ("moment", event.moment)) if value}


def _join(desk: Desk, rule: Remediation, case: Case, event: Triggered) -> None:
    if event.key in case.firing:
        return
    case = desk.say("joined", case.id, key=event.key, **_place(event))
    if case.phase is Phase.VERIFYING and case.healthy is not None and rule.verify.over and case.ends:
        _unhealthy(desk, rule, case, f"{event.key} began")


def _throttled(desk: Desk, throttle: Throttle | None, group: tuple[str, str]) -> tuple[str, datetime | None]:
    """Why the trigger does not count, empty if it does; and when what follows from it may begin."""
    if throttle is None:
        return "", None
    times = [one for one in desk.state.groups.get(group, ()) if one > desk.now - throttle.length]
    said = format_duration(throttle.length)
    match throttle.kind:
        case "once_within":
            return (f"the first of its group came within {said}" if times else ""), None
        case "once_after":
            return (f"its group is gathered for {said}" if times else ""), desk.now + throttle.length
        case "accumulate_within":
            come = len(times) + 1
            return (f"{come} of {throttle.count} within {said}" if come < throttle.count else ""), None


def _clear(desk: Desk, case: Case) -> None:
    if case.firing:
        return
    match case.phase:
        case Phase.WAITING:
            desk.say("ended", case.id, over=True, why="it was over before anything was done" if not case.attempt
                     else "it was over before it was tried again")
        case Phase.LEFT:
            desk.say("ended", case.id, over=True, why="it is over")
        case Phase.VERIFYING:
            rule = desk.rules.get(case.rule)
            if rule is not None and not rule.verify.checks:
                _healthy(desk, rule, case)
        case Phase.RUNNING:
            pass


# -- beginning ----------------------------------------------------------------------------------------------------


def _try(desk: Desk, case: Case) -> None:
    """Begin the next attempt of a case that waits, or say why not."""
    rule = desk.rules.get(case.rule)
    if rule is None:
        _leave(desk, case, "skipped", f"no remediation {case.rule} is declared any longer")
        return
    if not _is_ready(case, desk.now):
        return
    if (refusal := _refusal(desk, rule, case)) is not None:
        _refused(desk, rule, case, refusal)
        return
    try:
        inputs = {name: filled(text, case.labels) for name, text in rule.inputs.items()}
    except InvalidInput as error:
        _escalate(desk, case, f"an input of {rule.runbook} is unknown: {error.message}")
        return
    said = {"attempt": case.attempt + 1, "runbook": rule.runbook, "inputs": inputs}
    if rule.mode == "observe":
        _leave(desk, case, "observed", f"would run {rule.runbook}", **said)
        return
    desk.say("started", case.id, **said, approval=rule.mode == "approve", key=f"{case.id}.{case.attempt + 1}",
             until=(desk.now + rule.limits.run).isoformat())


def _refusal(desk: Desk, rule: Remediation, case: Case, asked: Callable[[str], bool] = lambda _: True,
             ) -> Refusal | None:
    """What the first of the limits that are asked forbids; None where none does."""
    return next((refusal for name, guard in GUARDS.items()
                 if asked(name) and (refusal := guard(desk, rule, case)) is not None), None)


def _refused(desk: Desk, rule: Remediation, case: Case, refusal: Refusal) -> None:
    match refusal.then:
        case "escalate":
            desk.say("limited", case.id, limit=refusal.limit, why=refusal.why)
            _escalate(desk, case, refusal.why)
        case "leave":
            _leave(desk, case, "skipped", refusal.why)
        case "wait":
            # Since the last attempt ended: what waited through a cool-down has not waited for a slot.
            waits_since = max(case.opened, desk.state.track(case.rule, case.target).rested or case.opened)
            if refusal.limit != "cool_down" and desk.now >= waits_since + rule.limits.wait:
                _escalate(desk, case, f"it waited for {format_duration(rule.limits.wait)}: {refusal.why}")
                return
            ready = refusal.ready or min(desk.now + AGAIN, max(waits_since + rule.limits.wait, desk.now))
            # A condition is looked at within the moment; all else is said again when it was to be looked at again.
            stale = case.ready is None or (case.ready <= desk.now and refusal.limit != "condition")
            if refusal.why != case.why or stale:
                desk.say("waits", case.id, why=refusal.why, limit=refusal.limit, ready=ready.isoformat())


def _leave(desk: Desk, case: Case, kind: str, why: str, **data: Any) -> None:
    left = desk.say(kind, case.id, why=why, **data)
    # What never ends by itself, or has ended meanwhile, need not be waited for.
    if not left.ends or not left.firing:
        desk.say("ended", case.id, why="")


def _escalate(desk: Desk, case: Case, why: str) -> None:
    tried = [f"{one.at:%Y-%m-%d %H:%M:%S} UTC attempt {one.attempt}: {one.outcome}" for one in case.tried]
    _leave(desk, case, "escalated", why, tried=tried, attempts=case.attempt)


def _resume(desk: Desk, event: Resume) -> None:
    if event.rule not in desk.rules:
        raise NotFound(f'no remediation is named "{event.rule}"',
                       "known: " + (", ".join(sorted(desk.rules)) or "none"))
    desk.record("resumed", event.rule, event.rule, by=event.by)


# -- what came of it ----------------------------------------------------------------------------------------------


def _ran(desk: Desk, event: Ran) -> None:
    case = next((one for one in desk.state.cases.values() if one.run == event.run), None)
    if case is None or case.phase is not Phase.RUNNING:
        return
    rule = desk.rules.get(case.rule)
    if rule is None:
        _leave(desk, case, "skipped", f"no remediation {case.rule} is declared any longer")
        return
    match event.outcome:
        case "succeeded":
            _verify(desk, rule, case)
        case "failed":
            _fail(desk, rule, case, event.said or "the run failed")
        case "unknown":
            # Trying again could do twice what was done once.
            _escalate(desk, case, f"nobody can say how far the run came{': ' if event.said else ''}{event.said}")
        case "declined":
            _leave(desk, case, "skipped", event.said or "the run was declined")
        case "expired":
            _escalate(desk, case, event.said or "nobody approved the run in time")


def _verify(desk: Desk, rule: Remediation, case: Case) -> None:
    case = desk.say("ran", case.id, until=(desk.now + rule.verify.within).isoformat())
    waits_for_the_end = rule.verify.over and case.ends
    if not waits_for_the_end and not rule.verify.checks:
        desk.say("ended", case.id, why="it ran; nothing is declared that would verify it")
    elif waits_for_the_end and not case.firing and not rule.verify.checks:
        _healthy(desk, rule, case)


def _healthy(desk: Desk, rule: Remediation, case: Case) -> None:
    case = desk.say("healthy", case.id)
    if not rule.verify.hold:
        _verified(desk, case)


def _unhealthy(desk: Desk, rule: Remediation, case: Case, why: str) -> None:
    case = desk.say("unhealthy", case.id, why=why)
    if case.until is not None and desk.now >= case.until:
        _fail(desk, rule, case, f"it did not stay healthy: {why}")


def _verified(desk: Desk, case: Case) -> None:
    seconds = (desk.now - case.opened).total_seconds()
    desk.say("verified", case.id, attempts=case.attempt, seconds=seconds)


def _fail(desk: Desk, rule: Remediation, case: Case, why: str) -> None:
    ready = desk.now + rule.limits.cool_down
    case = desk.say("failed", case.id, why=why, attempt=case.attempt, ready=ready.isoformat())
    if desk.state.conduct(rule.name).failures >= rule.limits.stop_after \
            and not desk.state.conduct(rule.name).stopped:
        desk.record("stopped", rule.name, rule.name, failures=desk.state.conduct(rule.name).failures, why=why)
    if case.ends and not case.firing:
        desk.say("ended", case.id, over=True, why="it was over before it was tried again")
        return
    if (refusal := _refusal(desk, rule, case, FOR_GOOD.__contains__)) is not None:
        _refused(desk, rule, case, refusal)


def _checked(desk: Desk, event: Checked) -> None:
    case = desk.state.cases.get(event.case)
    rule = desk.rules.get(case.rule) if case is not None else None
    if case is None or rule is None or case.phase is not Phase.VERIFYING:
        return
    good = event.healthy is True and not (rule.verify.over and case.ends and case.firing)
    if case.healthy is None:
        if good:
            _healthy(desk, rule, case)
    elif not good:
        _unhealthy(desk, rule, case, event.said or "it is not healthy")
    elif event.anew:
        # Nobody looked for a while, so the stretch of health begins again.
        _healthy(desk, rule, desk.say("unhealthy", case.id, why="nobody looked for a while"))
    elif desk.now >= case.healthy + rule.verify.hold:
        _verified(desk, case)


# -- time ---------------------------------------------------------------------------------------------------------


def _tick(desk: Desk) -> None:
    for name in list(desk.state.cases):
        case = desk.state.cases.get(name)
        if case is None:
            continue
        rule = desk.rules.get(case.rule)
        match case.phase:
            case Phase.WAITING:
                _try(desk, case)
            case Phase.RUNNING if not case.overdue and case.until is not None and desk.now >= case.until:
                desk.say("overdue", case.id, why="the run takes longer than it may")
            case Phase.VERIFYING if rule is not None:
                if case.healthy is not None:
                    # Where checks are asked, the last of them is the proof: time alone proves nothing.
                    if not rule.verify.checks and desk.now >= case.healthy + rule.verify.hold:
                        _verified(desk, case)
                elif case.until is not None and desk.now >= case.until:
                    _fail(desk, rule, case, f"it was not healthy within {format_duration(rule.verify.within)}")


def matches(rule: Remediation, labels: Mapping[str, str]) -> bool:
    """Whether an alert with these labels triggers the rule."""
    return isinstance(rule.when, OnAlert) and all(one.holds(labels) for one in rule.when.matchers)
