"""Whom an incident pages and when: steps, loops, acknowledgements, each person's own rules, and the storm guard.

Every delay counts from when the step before really fired, so a stretch in which nothing ran is followed by one step and
not by all that were missed. A page is decided in the same batch as the step that makes it; an acknowledgement clears
the timers in its own batch, so that of the two exactly one is committed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from mainstay.incident.act import Act, addressees
from mainstay.incident.aftermath import draft_if_due
from mainstay.incident.lifecycle import Phase, Status, next_phase, next_status
from mainstay.incident.ongoing import Incident, Pager
from mainstay.incident.severity import DEMANDS, Severity
from mainstay.incident.spec import Addressee
from mainstay.kernel.errors import NotFound
from mainstay.kernel.journal import Timer
from mainstay.kernel.people import Contact, Reach
from mainstay.kernel.quantity import zone_named
from mainstay.kernel.wallclock import daytime_from
from mainstay.kernel.wording import many

WORSE = "severity raised"
"""The reason of a page to somebody who has the incident already."""

_LATE = timedelta(seconds=1)
"""A timer that rings later than this says so in the timeline."""
_AT_ONCE = timedelta(0)
_TEST = timedelta(minutes=15)
"""How long a test page waits for its answer."""


def begin(act: Act, incident: str, reason: str) -> None:
    """Start paging from the first step: a new incident, one that was reopened, or whose acknowledgement lapsed."""
    one = act.state.incidents[incident]
    loop = one.loop if reason == "opened" else one.loop + 1
    _enter(act, incident, (loop, 0, loop + int(one.policy["loops"])), reason)


def rung(act: Act, timer: Timer) -> None:
    """The time of a step is over: the next step, the next loop, or nothing is left to try."""
    one = act.state.incidents.get(timer.subject)
    if one is None or one.phase is not Phase.TRIGGERED:
        return
    here = {"loop": one.loop, "step": one.step}
    if here != {"loop": timer.data["loop"], "step": timer.data["step"]}:
        # Set by a desk that did not know of this step yet, in place of this step's own.
        act.set_timer(timer.key, _wait(one, one.step), one.id, here)
        return
    why = hushed(act, one)
    if why:
        if not one.hushed:
            act.record("incident.hushed", one.id, {"why": why})
        act.set_timer(timer.key, _wait(one, one.step), one.id, timer.data)
        return
    if _has_next(one):
        _enter(act, one.id, (one.loop, one.step + 1, one.until), "not acknowledged", timer.due)
    elif one.loop < one.until:
        _enter(act, one.id, (one.loop + 1, 0, one.until), "not acknowledged", timer.due)
    else:
        act.record("incident.exhausted", one.id, {"loops": one.until + 1})


def go_on(act: Act, incident: str) -> None:
    """The step that was put off while every alert was quiet follows now, if one of them is heard again."""
    one = act.state.incidents[incident]
    if one.hushed and not hushed(act, one):
        act.set_timer(f"escalate:{one.id}", _AT_ONCE, one.id, {"loop": one.loop, "step": one.step})


def _has_next(one: Incident) -> bool:
    return one.step + 1 < len(one.policy["steps"])


def undelivered(act: Act, incident: str, to: str, why: str, place: tuple[int, int]) -> None:
    """Every way to reach somebody refused for good: if the step paged nobody else, the next one need not wait.

    Only within a loop: when every channel is dead, later loops must come at their time and not all at once.
    """
    one = act.state.incidents.get(incident)
    if one is None or one.status is Status.RESOLVED:
        return
    act.record("incident.unreached", incident, {"why": f"{to} cannot be reached: {why}"})
    if one.phase is Phase.TRIGGERED and (one.loop, one.step) == place and one.policy and _has_next(one) \
            and [str(person) for person in people_of(act, one)] == [f"person:{to}"]:
        _enter(act, incident, (one.loop, one.step + 1, one.until), f"{to} cannot be reached")


def people_of(act: Act, one: Incident) -> list[Addressee]:
    """Whom the step that the incident is in pages, as things stand now."""
    return _people(act, _wanted(one, one.step)) if one.policy else []


def _wanted(one: Incident, step: int) -> list[Addressee]:
    written = one.policy["steps"][step]
    wanted = addressees(written["page"])
    # By the incidents of this policy alone, not by their numbers: another policy's may have every second one.
    return [wanted[(one.turn + one.loop) % len(wanted)]] if written["round_robin"] else wanted


def hushed(act: Act, one: Incident) -> str:
    """Why every alert of the incident is quiet by now, or the empty text."""
    alerts = act.state.alerts_of(one.id)
    reasons = [act.state.silenced(alert.labels, act.now) or ("inhibited" if act.state.inhibited(alert.labels) else "")
               for alert in alerts]
    return reasons[0] if reasons and all(reasons) else ""


def _wait(one: Incident, step: int) -> timedelta:
    return timedelta(seconds=float(one.policy["steps"][step]["wait"]))


def _enter(act: Act, incident: str, place: tuple[int, int, int], reason: str, due: datetime | None = None) -> None:
    """Page a step. `place` is the loop, the step, and the last loop."""
    loop, step, until = place
    late = act.now - due if due is not None and act.now - due > _LATE else timedelta(0)
    act.record("incident.stepped", incident, {"loop": loop, "step": step, "until": until, "reason": reason,
                                              "late_seconds": late.total_seconds()})
    one = act.state.incidents[incident]
    silent = [_page(act, incident, to, reason) for to in _somebody(act, one, _wanted(one, step))]
    # A step in which everybody may sleep until the morning is given its time from then on.
    act.set_timer(f"escalate:{incident}", min(silent, default=_AT_ONCE) + _wait(one, step), incident,
                  {"loop": loop, "step": step})


def _somebody(act: Act, one: Incident, wanted: list[Addressee]) -> list[Addressee]:
    """The people and channels behind the addressees; never nobody: the fallback, else everybody who takes turns."""
    found = _people(act, wanted)
    if found:
        return found
    who = ", ".join(map(str, wanted))
    found = _people(act, addressees(one.policy["fallback"]))
    if found:
        act.record("incident.unreached", one.id, {"why": f"nobody is on call in {who}; the fallback was paged"})
        return found
    members = dict.fromkeys(name for to in wanted if to.kind == "rotation"
                            for name in _known(act.responders.members, to.name))
    act.record("incident.unreached", one.id, {
        "why": f"nobody is on call in {who} and there is no fallback; "
               + (f"all {len(members)} who take turns were paged" if members else "nobody could be paged")})
    return [Addressee("person", name) for name in members]


def _people(act: Act, wanted: list[Addressee]) -> list[Addressee]:
    found: dict[Addressee, None] = {}
    for to in wanted:
        if to.kind == "rotation":
            on_call = _known(lambda name: act.responders.on_call(name, act.now), to.name)
            found |= dict.fromkeys(Addressee("person", name) for name in on_call)
        else:
            found[to] = None
    return list(found)


def _known(ask: Any, name: str) -> tuple[str, ...]:
    try:
        answer: tuple[str, ...] = ask(name)
    except NotFound:
        return ()  # a rotation that the catalog no longer has is a step that finds nobody, which is said
    return answer


# -- one page -----------------------------------------------------------------------------------------------------


def _page(act: Act, incident: str, to: Addressee, reason: str, step: int | None = None) -> timedelta:
    """Page somebody; for how long that is put off because they may sleep.

    Args:
        step: whose people these are; the step that the incident is in when left out.
    """
    one = act.state.incidents[incident]
    place = {"loop": one.loop, "step": one.step if step is None else step}
    if to.kind == "channel":
        channel, _, name = to.name.partition(":")
        _send(act, one, name or channel, Reach(_AT_ONCE, Contact(channel, name)),
              {**place, "reason": reason, "rungs": [], "is": "channel"})
        return _AT_ONCE
    if _held(act, one, to.name, reason):
        return _AT_ONCE
    rungs = _rungs(act, one, to.name)
    quiet, delays = _AT_ONCE, [rung_.after for rung_ in rungs]
    if DEMANDS[one.severity].urgency != "high":
        quiet = _sleeps(act, rungs, _AT_ONCE)
        delays = [_sleeps(act, rungs, quiet + delay) for delay in delays]
    keys = []
    for number, (rung_, delay) in enumerate(zip(rungs, delays, strict=True)):
        if delay:
            # What somebody is told who has it already comes by all their ways, until they acknowledge once more.
            # By the version too: what is told again within a rung's time must not put that rung off, again and again.
            keys.append(f"reach:{incident}:{to.name}:{place['loop']}:{place['step']}:{number}:{one.version}")
            act.set_timer(keys[-1], delay, incident, {
                **place, "to": to.name, "channel": rung_.contact.channel, "address": rung_.contact.address,
                "reason": reason, "slept": delay != rung_.after, "known": _is_known(one, reason),
                **({"since": (act.now + delays[0]).isoformat()} if delay > delays[0] else {})})
    if len(keys) == len(rungs):
        until = {"until": (act.now + quiet).isoformat()} if quiet else {}
        act.record("incident.waits", incident, {"to": to.name, "rungs": keys, "reason": reason, **until})
    now = [rung_ for rung_, delay in zip(rungs, delays, strict=True) if not delay]
    for number, rung_ in enumerate(now):
        _send(act, act.state.incidents[incident], to.name, rung_,
              {**place, "reason": reason, "rungs": [] if number else keys})
    return quiet


def _is_known(one: Incident, reason: str) -> bool:
    """Whether the page tells people something new of an incident that they know of: having it does not stop that."""
    return one.phase is Phase.ACKNOWLEDGED or reason == WORSE


def _sleeps(act: Act, rungs: tuple[Reach, ...], after: timedelta) -> timedelta:
    """How long it takes until a page of then that can wait may go out: until it is daytime where the person lives."""
    return daytime_from(act.now + after, zone_named(rungs[0].zone)) - act.now


def _rungs(act: Act, one: Incident, person: str) -> tuple[Reach, ...]:
    """How to reach the person for this incident; whoever said nothing is shown it on the terminal."""
    wanted = DEMANDS[one.severity].urgency
    rungs = act.responders.reach(person)
    return tuple(rung_ for rung_ in rungs if rung_.urgency == wanted) or rungs[:1] or (
        Reach(_AT_ONCE, Contact("terminal", person)),)


def _send(act: Act, one: Incident, to: str, how: Reach, more: Mapping[str, Any]) -> None:
    """Put a page into the outbox. `more` says which loop and step it belongs to, where that is not where it is now."""
    number = one.version + 1
    loop, step = more.get("loop", one.loop), more.get("step", one.step)
    act.record("incident.tested" if one.test else "incident.paged", one.id, {
        "to": to, "channel": how.contact.channel, "loop": loop, "step": step, **more})
    if act.plan.rehearsal:
        return
    act.send(f"page:{one.id}:{one.policy.get('version', '')}:{loop}:{step}:{to}:{how.contact.channel}:{number}",
             how.contact.channel, {
                 "what": "page", "incident": one.id, "to": to, "address": how.contact.address, "title": one.title,
                 "severity": one.severity, "service": one.service, "urgency": DEMANDS[one.severity].urgency,
                 "opened": one.opened.isoformat(), "reason": more["reason"], "loop": loop, "step": step,
                 "test": one.test, "known": _is_known(one, more["reason"]),
                 **{name: more[name] for name in ("since", "is") if name in more}})


def reached_again(act: Act, timer: Timer) -> None:
    """A later rung of somebody's own rules; acknowledging would have cleared it."""
    one = act.state.incidents.get(timer.subject)
    known = timer.data.get("known", timer.data["reason"] == WORSE)
    if one is None or one.phase is Phase.DONE or (one.phase is Phase.ACKNOWLEDGED and not known):
        return
    # What waited for a morning comes with all else that did: those are told together once they are many.
    if timer.data.get("slept") and _held(act, one, timer.data["to"], timer.data["reason"]):
        return
    how = Reach(_AT_ONCE, Contact(timer.data["channel"], timer.data["address"]))
    # Meanwhile the incident may be at a later step: this is still a page of the step that it began with.
    kept = {name: timer.data[name] for name in ("since", "loop", "step") if name in timer.data}
    _send(act, one, timer.data["to"], how, {"reason": timer.data["reason"], "rungs": [], **kept})


# -- storms -------------------------------------------------------------------------------------------------------


def _held(act: Act, one: Incident, person: str, reason: str) -> bool:
    """Whether the person was paged so often lately that this one is told together with others."""
    storm = act.plan.routing.storm
    pager = act.state.pagers.get(person) or Pager()
    lately = pager.went[bisect_right(pager.went, act.now - storm.within):]
    if len(lately) < storm.pages and not pager.holds:
        return False
    if not pager.holds:
        act.set_timer(f"told:{person}", lately[-storm.pages] + storm.within - act.now, person)
    known = {"known": True} if _is_known(one, reason) else {}
    act.record("incident.held", one.id, {"to": person, "until": "the storm guard", "reason": reason, **known})
    return True


def told_together(act: Act, timer: Timer) -> None:
    """What the storm guard held back, in one page."""
    _tell_together(act, timer.subject)


def see_to_held(act: Act) -> None:
    """What was held back as another desk told of the rest: no timer rings for that."""
    storm = act.plan.routing.storm
    for person in [name for name in act.state.pagers.keys() if act.state.pagers[name].holds]:  # noqa: SIM118  (no dict)
        if sum(went > act.now - storm.within for went in act.state.pagers[person].went) < storm.pages:
            _tell_together(act, person)


def _tell_together(act: Act, person: str) -> None:
    held = act.state.held_for(person)
    news = [name for name in held if act.state.held.get((person, name))]
    open_ones = [one for name in held if (one := act.state.incidents.get(name)) is not None
                 and (one.phase in (Phase.TRIGGERED, Phase.EXHAUSTED)
                      # Of one that they have they hear all the same what is new of it.
                      or (one.phase is Phase.ACKNOWLEDGED and name in news))]
    names = [one.id for one in open_ones]
    act.say("pager.told", person, {"incidents": names, "held": held}, f"told:{person}:{act.now.isoformat()}")
    if not open_ones:
        return
    worst = min(open_ones, key=lambda one: (one.severity.rank, one.number))
    how = _rungs(act, worst, person)[0]
    told = f"told together with {many(len(names) - 1, 'other')}" if len(names) > 1 else "told late"
    act.record("incident.paged", worst.id, {"to": person, "channel": how.contact.channel, "loop": worst.loop,
                                            "step": worst.step, "reason": told, "rungs": []})
    act.send(f"told:{person}:{act.now.isoformat()}", how.contact.channel, {
        "what": "page", "incident": worst.id, "to": person, "address": how.contact.address,
        "title": f"{len(names)} more incidents, first {worst.id}: {worst.title}" if len(names) > 1 else worst.title,
        "severity": worst.severity,
        "service": worst.service, "urgency": DEMANDS[worst.severity].urgency, "opened": worst.opened.isoformat(),
        "reason": "told together", "incidents": names, "news": news})


# -- what people answer -------------------------------------------------------------------------------------------


def acknowledge(act: Act, incident: str, by: str) -> None:
    """Somebody has it: nothing more is paged until the acknowledgement lapses.

    Raises:
        IllegalStep: the incident is over.
    """
    one = act.state.incidents[incident]
    next_phase(one.phase, "acknowledged")
    act.clear_timers(f"escalate:{incident}", *one.reaching)
    before = {"before": one.acknowledged_by} if one.acknowledged_by not in ("", by) else {}
    act.record("incident.acknowledged", incident, {"by": by, **before}, actor=by)
    if one.status is Status.OPEN:
        act.record("incident.status-changed", incident, {"from": one.status, "to": Status.INVESTIGATING}, actor=by)
    timeout = one.policy.get("ack_timeout")
    if one.test:
        resolve(act, incident, by, "the test page was acknowledged")
    elif timeout is not None:
        act.set_timer(f"lapse:{incident}", timedelta(seconds=float(timeout)), incident)


def lapsed(act: Act, timer: Timer) -> None:
    """Nobody resolved it in the time that an acknowledgement is trusted: page anew."""
    one = act.state.incidents.get(timer.subject)
    if one is None or one.phase is not Phase.ACKNOWLEDGED:
        return
    act.clear_timers(*one.reaching)
    act.record("incident.lapsed", one.id, {"by": one.acknowledged_by})
    if one.policy:
        begin(act, one.id, "acknowledgement lapsed")


def raise_severity(act: Act, incident: str, to: Severity, why: str, *, by: str = "system") -> None:
    """It is worse, or less bad, than was thought: reminders are timed anew, and whoever has it hears of a worse one."""
    one = act.state.incidents[incident]
    if one.severity is to:
        return
    worse = to.worse_than(one.severity)
    say_severity(act, incident, to, why, by=by)
    if worse and one.policy and one.phase is Phase.TRIGGERED and DEMANDS[to].urgency != DEMANDS[one.severity].urgency:
        # Who was left to sleep is woken now.
        act.clear_timers(*one.reaching)
        _enter(act, incident, (one.loop, one.step, one.until), f"it is {to} now")
    if worse and one.policy and one.phase in (Phase.ACKNOWLEDGED, Phase.EXHAUSTED):
        tell_holder(act, incident, WORSE)


def say_severity(act: Act, incident: str, to: Severity, why: str, *, by: str = "system") -> None:
    """It is that severe, and reminders are timed anew; nobody is paged for it."""
    one = act.state.incidents[incident]
    act.record("incident.severity-changed", incident, {"from": one.severity, "to": to, "why": why}, actor=by)
    remind(act, incident)


def tell_holder(act: Act, incident: str, reason: str) -> None:
    """Page whoever has it; where nobody has, or nothing says how to reach them, the first step."""
    one = act.state.incidents[incident]
    holder = one.acknowledged_by
    known = holder and act.responders.reach(holder)
    for to in _somebody(act, one, [Addressee("person", holder)] if known else _wanted(one, 0)):
        _page(act, incident, to, reason, None if known else 0)


def remind(act: Act, incident: str) -> None:
    """Set when stakeholders must hear of it next, by its severity."""
    one = act.state.incidents[incident]
    cadence = DEMANDS[one.severity].update
    if cadence is None or one.status is Status.RESOLVED:
        act.clear_timers(f"update:{incident}")
    else:
        act.set_timer(f"update:{incident}", cadence, incident)


def update_missed(act: Act, timer: Timer) -> None:
    """Stakeholders should have heard by now: one reminder a period, to whoever speaks for the incident."""
    one = act.state.incidents.get(timer.subject)
    if one is None or one.status is Status.RESOLVED:
        return
    due = timer.due.isoformat()
    act.record("incident.update-missed", one.id, {"due": due})
    remind(act, one.id)
    tell(act, one, ("communications", "commander"), f"remind:{one.id}:{due}",
         f"stakeholders wait for an update on {one.id}", "update due")


def tell(act: Act, one: Incident, roles: tuple[str, ...], key: str, title: str, reason: str) -> None:
    """Remind, without waking anybody: the first of the roles that is taken, else whoever acknowledged, else nobody."""
    if act.plan.rehearsal:
        return
    to = next((who for role in roles if (who := one.roles.get(role))), one.acknowledged_by)
    if to:
        how = _rungs(act, one, to)[0]
        act.send(f"{key}:{to}", how.contact.channel, {
            "what": "reminder", "incident": one.id, "to": to, "address": how.contact.address, "severity": one.severity,
            "title": title, "service": one.service, "urgency": "low", "opened": one.opened.isoformat(),
            "reason": reason})


def resolve(act: Act, incident: str, by: str, how: str) -> None:
    """It is over: nothing rings any more.

    Raises:
        IllegalStep: it was over already.
    """
    one = act.state.incidents[incident]
    next_status(one.status, Status.RESOLVED)
    act.clear_timers(*(f"{kind}:{incident}" for kind in ("escalate", "lapse", "update", "stable", "grow", "repeat")),
                     *one.reaching, *([f"test:{incident}"] if one.test else []))
    act.record("incident.resolved", incident, {
        "by": by, "how": how, "seconds": (act.now - one.opened).total_seconds(), "severity": one.severity}, actor=by)
    if not one.test:
        draft_if_due(act, incident)


# -- to see whether a page arrives --------------------------------------------------------------------------------


def test_page(act: Act, person: str, by: str) -> str:
    """A page to somebody by every way they gave, all at once, that escalates to nobody; the incident it is about.

    It is over once somebody acknowledges it, or after a quarter of an hour.
    """
    number = act.state.counts["incident"] + 1
    name = f"INC-{number}"
    title = f"test page for {person}: nothing is broken, acknowledge it"
    act.record("incident.opened", name, {
        "number": number, "title": title, "text": title, "severity": Severity.SEV4, "service": "", "services": [],
        "group": "", "alerts": [], "policy": {}, "test": True}, actor=by)
    ways = dict.fromkeys(rung_.contact for rung_ in act.responders.reach(person)) or {Contact("terminal", person): None}
    for way in ways:
        _send(act, act.state.incidents[name], person, Reach(_AT_ONCE, way), {"reason": f"asked for by {by}"})
    act.set_timer(f"test:{name}", _TEST, name)
    return name


def test_over(act: Act, timer: Timer) -> None:
    """Nobody acknowledged the test page."""
    one = act.state.incidents.get(timer.subject)
    if one is not None and one.status is not Status.RESOLVED:
        resolve(act, one.id, "system", "nobody acknowledged the test page")
