"""Everything that can happen, and what is decided: the one place that knows which room answers what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import assert_never

from mainstay.incident import aftermath, diagnosis, intake, news, paging, watch
from mainstay.incident.act import Act
from mainstay.incident.aftermath import AddItem, ChangeItem, DraftPostmortem, MoveItem, MovePostmortem, WriteSection
from mainstay.incident.diagnosis import Diagnosed
from mainstay.incident.intake import AlertEvent, Opening, Taken
from mainstay.incident.lifecycle import Phase, Status, next_status
from mainstay.incident.ongoing import Incident, Key
from mainstay.incident.severity import Severity
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, NotFound
from mainstay.kernel.journal import Timer
from mainstay.kernel.matcher import Matcher
from mainstay.kernel.quantity import Span, format_duration
from mainstay.kernel.wording import many

ROLES = ("commander", "operations", "communications", "scribe")


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Somebody takes it. `name` is an incident, an alert, or a sender's key."""

    name: str
    by: str


@dataclass(frozen=True, slots=True)
class AcknowledgeAlert:
    """A sender says that somebody has its alert. One not open is passed over; one that gathers waits no more."""

    key: Key
    by: str


@dataclass(frozen=True, slots=True)
class Resolve:
    """Somebody says that it is over. `name` as above."""

    name: str
    by: str


@dataclass(frozen=True, slots=True)
class Open:
    """Somebody opens an incident by hand.

    Args:
        once: where an incident of its group is open, that one is meant.
    """

    opening: Opening
    once: bool = False


@dataclass(frozen=True, slots=True)
class SetStatus:
    """How far people are."""

    incident: str
    to: Status
    by: str


@dataclass(frozen=True, slots=True)
class SetSeverity:
    """It is worse, or less bad, than was thought."""

    incident: str
    to: Severity
    by: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class GiveRole:
    """Who does what; an empty `who` takes the role away."""

    incident: str
    role: str
    who: str
    by: str


@dataclass(frozen=True, slots=True)
class Note:
    """A line on the timeline.

    Args:
        seen: the version of the incident that it was looked whether the line is there; it is not made where that is
            another by now. None to make it in any case.
    """

    incident: str
    text: str
    by: str
    seen: int | None = None


@dataclass(frozen=True, slots=True)
class PostUpdate:
    """What stakeholders are told."""

    incident: str
    text: str
    by: str


@dataclass(frozen=True, slots=True)
class Merge:
    """Two incidents are one: the alerts of the first go to the second."""

    incident: str
    into: str
    by: str


@dataclass(frozen=True, slots=True)
class Split:
    """Alerts of an incident are another one."""

    incident: str
    alerts: tuple[str, ...]
    title: str
    by: str


@dataclass(frozen=True, slots=True)
class MakeSilence:
    """Alerts that fit are not heard for a while.

    Args:
        plan: names planned work: one silence is made for it however often it is asked for, and it may fit every alert.
    """

    matchers: tuple[Matcher, ...]
    span: Span
    by: str
    comment: str
    plan: str = ""


@dataclass(frozen=True, slots=True)
class EndSilence:
    """They are heard again."""

    silence: str
    by: str


@dataclass(frozen=True, slots=True)
class TryPage:
    """Somebody wants to see whether a page arrives."""

    person: str
    by: str


@dataclass(frozen=True, slots=True)
class Undelivered:
    """Every way to reach somebody refused a page for good. `loop` and `step` are those that paged."""

    incident: str
    to: str
    why: str
    loop: int
    step: int


@dataclass(frozen=True, slots=True)
class Beat:
    """A sender is alive."""

    heartbeat: str


@dataclass(frozen=True, slots=True)
class Sweep:
    """Record what was only counted, where that became much, and close what its sender no longer says.

    Args:
        since: from when on senders could be heard here; None when nobody listens (any more): then nothing is closed,
            and all that was counted is recorded.
    """

    since: datetime | None = None


Happening = (AlertEvent | Acknowledge | AcknowledgeAlert | Resolve | Open | SetStatus | SetSeverity | GiveRole
             | Note | PostUpdate | Merge | Split | MakeSilence | EndSilence | TryPage | Undelivered | Beat | Sweep
             | Timer | Diagnosed | aftermath.Follow)


def decide(act: Act, happening: Happening) -> Taken:  # noqa: PLR0912  (one line a happening)
    """What follows from it, into the act; what it was about.

    Raises:
        NotFound: there is no such incident, alert, silence or heartbeat.
        IllegalStep: it cannot go from where it is to there.
        InvalidInput: what was asked makes no sense.
    """
    match happening:
        case AlertEvent():
            return intake.take(act, happening)
        case Timer():
            _ring(act, happening)
        case Acknowledge(name, by):
            return _each(act, name, lambda one: paging.acknowledge(act, one, by))
        case AcknowledgeAlert(key, by):
            return _acknowledge_alert(act, key, by)
        case Resolve(name, by):
            return _each(act, name, lambda one: intake.resolve_by_hand(act, one, by))
        case Open(opening, once):
            known = intake.incident_in(act, opening.group) if once else None
            if known is not None and known.status is not Status.RESOLVED:
                return Taken("repeated", "", known.id)
            return Taken("opened", "", intake.open_incident(act, opening))
        case SetStatus():
            _set_status(act, happening)
        case SetSeverity(incident, to, by, why):
            paging.raise_severity(act, _incident(act, incident).id, to, why or f"{by} says so", by=by)
        case GiveRole():
            _give_role(act, happening)
        case Note(incident, text, by, seen):
            one = _incident(act, incident)
            if seen not in (None, one.version):
                return Taken("late", "", one.id)
            act.record("incident.noted", one.id, {"text": _said(text)}, actor=by)
        case PostUpdate(incident, text, by):
            one = _incident(act, incident)
            act.record("incident.update-posted", one.id, {"text": _said(text), "status": one.status}, actor=by)
            paging.remind(act, one.id)
        case Merge():
            _merge(act, happening)
        case Split():
            return _split(act, happening)
        case MakeSilence():
            return _silence(act, happening)
        case EndSilence(silence, by):
            _end_silence(act, silence, by)
        case TryPage(person, by):
            return Taken("opened", "", paging.test_page(act, person, by))
        case Undelivered(incident, to, why, loop, step):
            paging.undelivered(act, incident, to, why, (loop, step))
        case Beat(heartbeat):
            return _beat(act, heartbeat)
        case Sweep(since):
            _sweep(act, since)
        case Diagnosed():
            diagnosis.record(act, happening)
        case DraftPostmortem() | WriteSection() | MovePostmortem() | AddItem() | ChangeItem() | MoveItem():
            return Taken("recorded", "", aftermath.follow(act, happening))
        case other:
            assert_never(other)
    return Taken("recorded")


def _sweep(act: Act, since: datetime | None) -> None:
    intake.note_repeats(act, everything=since is None)
    intake.forget_passed(act)
    # Of two desks, one may mute an alert while the other ends what muted it.
    intake.hear(act)
    intake.see_to_overlooked(act)
    paging.see_to_held(act)
    if since is not None:
        intake.forget_unheard(act, since)


# -- timers -------------------------------------------------------------------------------------------------------


def _ring(act: Act, timer: Timer) -> None:
    act.settle(timer)
    _RINGS[timer.kind.partition(".")[2]](act, timer)


def _silence_over(act: Act, timer: Timer) -> None:
    if act.state.silences.get(timer.subject) is not None:
        act.say("silence.ended", timer.subject, {"why": "its time is over"}, f"silence-ended:{timer.subject}")
    intake.hear(act)


def _fell_silent(act: Act, timer: Timer) -> None:
    heartbeat = act.plan.heartbeats.get(timer.subject)
    if heartbeat is not None:
        intake.take(act, AlertEvent(
            act.now, True, f"heartbeat:{heartbeat.name}", heartbeat.service, heartbeat.severity,
            {"heartbeat": heartbeat.name, **heartbeat.labels},
            f"{heartbeat.name} was not heard of for {format_duration(heartbeat.every + heartbeat.grace)}", "mainstay"))


_RINGS: Mapping[str, Callable[[Act, Timer], None]] = {
    "escalate": paging.rung, "reach": paging.reached_again, "lapse": paging.lapsed, "update": paging.update_missed,
    "stable": watch.over, "told": paging.told_together, "gather": intake.gathered, "calm": intake.calmed,
    "silence": _silence_over, "heartbeat": _fell_silent, "test": paging.test_over, "grow": news.grown,
    "repeat": news.repeated,
    "postmortem": aftermath.overdue, "action": aftermath.remind_owner,
}
"""Kind of timer → what is done when it rings."""

TIMERS = tuple(f"incident.{kind}" for kind in _RINGS)


def _beat(act: Act, name: str) -> Taken:
    heartbeat = act.plan.heartbeats.get(name)
    if heartbeat is None:
        known = ", ".join(sorted(act.plan.heartbeats)) or "none"
        raise NotFound(f'no heartbeat is named "{name}"', f"known: {known}")
    act.set_timer(f"heartbeat:{name}", heartbeat.every + heartbeat.grace, name)
    return intake.take(act, AlertEvent(act.now, False, f"heartbeat:{name}", heartbeat.service))


# -- what people do -----------------------------------------------------------------------------------------------


def _incident(act: Act, name: str) -> Incident:
    found = act.state.incidents.get(name)
    if found is None:
        raise NotFound(f'no incident is named "{name}"', "mainstay incident list shows those that are open")
    return found


def _each(act: Act, name: str, do: Callable[[str], None]) -> Taken:
    """Do it to the incident of that name, or to those of the alert or sender's key of that name."""
    if act.state.incidents.get(name) is not None:
        do(name)
        return Taken("recorded", "", name)
    alerts = act.state.firing_under(name) or [one for one in (act.state.alerts.get(name),) if one is not None]
    incidents = list(dict.fromkeys(alert.incident for alert in alerts if alert.incident))
    if not incidents:
        raise NotFound(f'"{name}" is no incident, and no alert of an incident that is open',
                       "mainstay incident list shows those that are open")
    for one in incidents:
        do(one)
    return Taken("recorded", alerts[0].id, incidents[0])


def _acknowledge_alert(act: Act, key: Key, by: str) -> Taken:
    held = act.state.firing.get(key)
    if held is not None:
        # Somebody has it before anybody was told: it becomes an incident now, and what would page is no longer needed.
        intake.gather_no_longer(act, act.state.alerts[held])
    one = act.state.incidents.get(act.state.alerts[held].incident) if held is not None else None
    if held is None or one is None or one.phase in (Phase.ACKNOWLEDGED, Phase.DONE):
        return Taken("unknown", held or "")
    paging.acknowledge(act, one.id, by)
    return Taken("recorded", held, one.id)


def _set_status(act: Act, asked: SetStatus) -> None:
    one = _incident(act, asked.incident)
    next_status(one.status, asked.to)
    if asked.to is Status.OPEN:
        raise InvalidInput("an incident is reopened by an alert, not by hand", "open another one, or merge the two")
    if asked.to is Status.RESOLVED:
        intake.resolve_by_hand(act, one.id, asked.by)
        return
    act.record("incident.status-changed", one.id, {"from": one.status, "to": asked.to}, actor=asked.by)
    if asked.to is Status.MONITORING:
        watch.begin(act, one.id)
    else:
        watch.end(act, one.id)


def _give_role(act: Act, asked: GiveRole) -> None:
    if asked.role not in ROLES:
        raise InvalidInput(f'there is no role "{asked.role}"', "write one of: " + ", ".join(ROLES))
    one = _incident(act, asked.incident)
    act.record("incident.role-given", one.id, {
        "role": asked.role, "who": asked.who, "before": one.roles.get(asked.role, "")}, actor=asked.by)


def _said(text: str) -> str:
    if not text.strip():
        raise InvalidInput("nothing was said", "write the text")
    return text.strip()


def _merge(act: Act, asked: Merge) -> None:
    one, into = _incident(act, asked.incident), _incident(act, asked.into)
    if one.id == into.id:
        raise InvalidInput(f"{one.id} cannot be merged into itself", "name another incident")
    next_status(one.status, Status.RESOLVED)
    if into.status is Status.RESOLVED:
        raise InvalidInput(f"{into.id} is resolved", "merge into one that is open")
    alerts = act.state.alerts_of(one.id)
    act.record("incident.merged", one.id, {"into": into.id}, actor=asked.by)
    act.record("incident.joined", into.id, {
        "alerts": [alert.id for alert in alerts], "from": one.id, "services": list(one.services)}, actor=asked.by)
    paging.resolve(act, one.id, asked.by, f"merged into {into.id}")
    if one.severity.worse_than(into.severity):
        paging.raise_severity(act, into.id, one.severity, f"{one.id} was merged into it", by=asked.by)


def _split(act: Act, asked: Split) -> Taken:
    one = _incident(act, asked.incident)
    alerts = [alert for alert in act.state.alerts_of(one.id) if alert.id in asked.alerts]
    if len(alerts) != len(asked.alerts) or not alerts:
        raise InvalidInput(f"{one.id} has no such alerts", "its firing alerts: "
                           + (", ".join(alert.id for alert in act.state.alerts_of(one.id)) or "none"))
    worst = min(alerts, key=lambda alert: alert.severity.rank)
    name = intake.open_incident(act, Opening(
        asked.title or worst.summary, worst.severity, (worst.key.service,) if worst.key.service else (), "",
        str(one.policy.get("name", "")), bool(one.policy), tuple(alert.id for alert in alerts), asked.by,
        *(timedelta(seconds=after) if after is not None else None for after in (one.interval, one.repeat))))
    act.record("incident.noted", one.id, {"text": f"{many(len(alerts), 'alert')} split off as {name}"}, actor=asked.by)
    return Taken("opened", "", name)


def _silence(act: Act, asked: MakeSilence) -> Taken:
    known = next((one.id for one in act.state.silences.values() if asked.plan and one.plan == asked.plan), "")
    if known:
        return Taken("repeated", known)
    if asked.span.end <= act.now or asked.span.start >= asked.span.end:
        raise InvalidInput("the silence is over before it begins", "give it an end in the future, after its start")
    if not asked.plan and all(matcher.holds({}) for matcher in asked.matchers):
        raise InvalidInput("these matchers fit every alert", 'name a label, such as service="web"')
    name = f"S-{act.state.counts['silence'] + 1}"
    act.say("silence.made", name, {
        "matchers": [{"label": one.label, "operator": one.operator, "value": one.value} for one in asked.matchers],
        "from": asked.span.start.isoformat(), "to": asked.span.end.isoformat(), "comment": asked.comment,
        **({"plan": asked.plan} if asked.plan else {})},
        f"silence:{name}", actor=asked.by)
    act.set_timer(f"silence:{name}", max(asked.span.end - act.now, timedelta(0)), name)
    return Taken("recorded", name)


def _end_silence(act: Act, name: str, by: str) -> None:
    if act.state.silences.get(name) is None:
        raise NotFound(f'no silence is named "{name}"', "it may have ended by itself")
    act.say("silence.ended", name, {"why": "ended by hand"}, f"silence-ended:{name}", actor=by)
    act.clear_timers(f"silence:{name}")
    intake.hear(act)


