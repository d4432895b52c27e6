"""From an event about an alert to an incident: sorting out repeats, late ones, groups, silence, flapping.

Events are ordered by the sender's clock, and by arrival where it says the same. An event older than what is known
changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal

from msgspec import Struct, field

from mainstay.incident import news, paging, watch
from mainstay.incident.act import Act
from mainstay.incident.aftermath import note_recurrence
from mainstay.incident.lifecycle import Status
from mainstay.incident.ongoing import Alert, Incident, Key
from mainstay.incident.routing import group_of, route_of, with_service
from mainstay.incident.severity import Severity, severity_of
from mainstay.incident.spec import Route
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.journal import Timer

Outcome = Literal["opened", "joined", "reopened", "repeated", "raised", "muted", "gathering", "recorded", "closed",
                  "flapping", "late", "unknown"]


class AlertEvent(Struct, frozen=True, gc=False):
    """What a sender says of an alert.

    Args:
        at: by the sender's clock.
        key: tells the alert from others of its service.
        severity: the sender's word; empty when it has none.
        annotations: what the sender wrote for people.
        url: where the sender shows it.
        until: when the sender will have said it again if it still fires; None when it says it once.
    """

    at: datetime
    firing: bool
    key: str
    service: str = ""
    severity: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    summary: str = ""
    source: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    url: str = ""
    until: datetime | None = None


class Taken(Struct, frozen=True, gc=False):
    """What became of an event: which alert it is about, and the incident that alert is part of."""

    outcome: Outcome
    alert: str = ""
    incident: str = ""


def take(act: Act, event: AlertEvent) -> Taken:
    """Take an event in."""
    return _fires(act, event) if event.firing else _stops(act, event)


def _fires(act: Act, event: AlertEvent) -> Taken:
    key = Key(event.service, event.key)
    held = act.state.firing.get(key)
    if held is not None:
        return _again(act, act.state.alerts[held], event)
    closed, passed = act.state.closed.get(key), act.state.passed.get(key)
    if (closed is not None and event.at < closed) or (passed is not None and event.at < passed):
        return Taken("late")
    labels = with_service(event.labels, key, event.severity)
    route = route_of(act.plan.routing.route, labels)
    severity = route.severity or severity_of(event.severity)
    muted = _muted_by(act, labels)
    alert, group = f"A-{act.state.counts['alert'] + 1}", group_of(route, key, labels)
    act.record("alert.opened", alert, {
        "key": key.key, "service": key.service, "severity": severity, "summary": event.summary or event.key,
        "labels": labels, "group": group, "muted": muted, "source": event.source, **_waits(act, group, route),
        **({"annotations": event.annotations} if event.annotations else {}),
        **({"url": event.url} if event.url else {}),
        **({"until": event.until.isoformat()} if event.until is not None else {})}, at=event.at)
    if muted:
        return Taken("muted", alert)
    return _gather(act, act.state.alerts[alert], route)


def _muted_by(act: Act, labels: Mapping[str, str]) -> str:
    """Why nobody hears of an alert with these labels now, or the empty text."""
    silence = act.state.silenced(labels, act.now)
    return f"silence {silence}" if silence else "inhibited" if act.state.inhibited(labels) else ""


def _waits(act: Act, group: str, route: Route) -> Mapping[str, Any]:
    """What a fact says of an alert that waits in its group: nothing where it is told of at once, or joins others."""
    if not _tells(route):
        return {"gathers": False}
    known = act.state.groups.get(group)
    if not route.wait or (known is not None and known.waiting):
        return {}
    return {"gathers": (act.now + route.wait).isoformat()}


def _tells(route: Route) -> bool:
    """Whether anybody is ever told of alerts that come this way."""
    return route.page or bool(route.policy)


def _pages(act: Act, route: Route) -> bool:
    return route.page and act.plan.policy(route.policy) is not None


def _again(act: Act, alert: Alert, event: AlertEvent) -> Taken:
    count, last = act.state.repeats.get(alert.id) or (0, alert.last)
    act.state.repeats[alert.id] = count + 1, max(last, event.at)
    if event.until is not None:
        if alert.doubted is not None:
            _vouch(act, alert, event.until)
        act.state.until[alert.id] = event.until
    if alert.settled is not None:
        act.clear_timers(f"calm:{alert.id}")
        _note_repeats(act, alert, settled=None)
    route = route_of(act.plan.routing.route, alert.labels)
    severity = route.severity or severity_of(event.severity, alert.severity)
    if not severity.worse_than(alert.severity):
        return Taken("flapping" if alert.settled is not None else "repeated", alert.id, alert.incident)
    louder = with_service(event.labels, alert.key, event.severity)
    if not _pages(act, route) and _pages(act, route_of(act.plan.routing.route, louder)):
        # What its sender says now goes where people are paged: it must not stay with what nobody is told of.
        close(act, alert, event.at, f"it is {severity} now, and pages")
        return _fires(act, event)
    _note_repeats(act, alert, severity=severity)
    one = act.state.incidents.get(alert.incident)
    if one is not None and severity.worse_than(one.severity):
        paging.raise_severity(act, one.id, severity, f"{alert.id} says {severity}")
    return Taken("raised", alert.id, alert.incident)


def _note_repeats(act: Act, alert: Alert, *, severity: Severity | None = None,
                  settled: datetime | None = None, at: datetime | None = None) -> None:
    count, last = act.state.repeats.get(alert.id) or (0, alert.last)
    act.state.repeats.drop(alert.id)
    act.record("alert.changed", alert.id, {
        "count": count, "severity": severity or alert.severity, "settled": settled.isoformat() if settled else None},
        at=at or last)


RARELY = timedelta(hours=1)
"""How long what is only counted may go unrecorded."""


def note_repeats(act: Act, *, everything: bool) -> None:
    """Record how often alerts said again what was known; done now and then, not at every event of a storm.

    Args:
        everything: each of them; else those that were said as often again as is recorded, or not for RARELY: of 10,000
            alerts that two senders say again every minute, a fact a minute each would fill a disk.
    """
    for name in list(act.state.repeats.keys()):
        alert, (count, last) = act.state.alerts[name], act.state.repeats[name]
        if everything or count >= alert.count or last - alert.last >= RARELY:
            _note_repeats(act, alert, settled=alert.settled)


# -- groups -------------------------------------------------------------------------------------------------------


def incident_in(act: Act, group: str) -> Incident | None:
    """The incident that the group became last, or the one that was found to be the same."""
    known = act.state.groups.get(group)
    one = act.state.incidents.get(known.incident) if known is not None else None
    while one is not None and one.merged_into:
        one = act.state.incidents.get(one.merged_into)
    return one


def _gather(act: Act, alert: Alert, route: Route) -> Taken:
    """The alert joins its group's incident, reopens it, opens one, or waits for others."""
    group, one = act.state.groups.get(alert.group), incident_in(act, alert.group)
    if one is not None and one.status is not Status.RESOLVED:
        act.record("incident.joined", one.id, {"alerts": [alert.id]})
        news.joined(act, one.id)
        if alert.severity.worse_than(one.severity):
            paging.raise_severity(act, one.id, alert.severity, f"{alert.id} says {alert.severity}")
        paging.go_on(act, one.id)
        if one.status is Status.MONITORING:
            watch.begin(act, one.id)
        return Taken("joined", alert.id, one.id)
    if one is not None and one.resolved is not None and act.now - one.resolved < route.reopen \
            and _same_people(act, one, route):
        return _reopen(act, one, alert)
    if group is None or not _tells(route):
        return Taken("recorded", alert.id)
    if route.wait:
        if group.waiting == ((alert.id,),):
            act.set_timer(f"gather:{alert.group}", route.wait, alert.group)
        return Taken("gathering", alert.id)
    _mute_waiting(act, alert.group)
    return Taken("opened", alert.id, _open(act, alert.group, route))


def _same_people(act: Act, one: Incident, route: Route) -> bool:
    """Whether the incident pages whom the route does: what pages must not be left with one that pages nobody."""
    policy = act.plan.policy(route.policy) if route.page else None
    return bool(one.policy.get("name", "") == (policy.name if policy is not None else ""))


def _reopen(act: Act, one: Incident, alert: Alert) -> Taken:
    act.record("incident.reopened", one.id, {"alert": alert.id})
    act.record("incident.joined", one.id, {"alerts": [alert.id], "reopens": True})
    if alert.severity.worse_than(one.severity):
        # Before it is paged: what could wait when it was over wakes people now.
        paging.say_severity(act, one.id, alert.severity, f"{alert.id} says {alert.severity}")
    paging.remind(act, one.id)
    news.repeat(act, one.id)
    if one.policy:
        paging.begin(act, one.id, "reopened")
    return Taken("reopened", alert.id, one.id)


def gathered(act: Act, timer: Timer) -> None:
    """A new group has waited long enough: what of it still fires becomes an incident."""
    _mute_waiting(act, timer.subject)
    first = next(_waiting(act, timer.subject), None)
    if first is not None:
        _open(act, timer.subject, route_of(act.plan.routing.route, first.labels))


def see_to_overlooked(act: Act) -> None:
    """Of two desks that recorded something of a group at once, neither saw what follows from both."""
    for name in [name for name in act.state.groups.keys() if act.state.groups[name].overlooked(act.now)]:  # noqa: SIM118
        _mute_waiting(act, name)
        while (first := next(_waiting(act, name), None)) is not None:
            _gather(act, first, replace(route_of(act.plan.routing.route, first.labels), wait=timedelta(0)))
        one = incident_in(act, name)
        if one is not None and one.status is not Status.RESOLVED and not one.firing:
            paging.resolve(act, one.id, "system", "its alerts are over")


def _waiting(act: Act, group: str) -> Iterator[Alert]:
    """The alerts of the group that wait to be told of."""
    known = act.state.groups.get(group)
    return (alert for name in (known.names if known is not None else ())
            if (alert := act.state.alerts.get(name)) is not None)


def _mute_waiting(act: Act, group: str) -> None:
    """What was silenced or inhibited while it gathered is not told of; the wait is for that too, as in Alertmanager."""
    known = act.state.groups.get(group)
    for name in tuple(known.names) if known is not None else ():
        alert = act.state.alerts.get(name)
        why = _muted_by(act, alert.labels) if alert is not None else ""
        if why:
            act.record("alert.muted", name, {"why": why})


def gather_no_longer(act: Act, alert: Alert) -> None:
    """What the alert gathers with becomes an incident now, where it waits for others."""
    group = act.state.groups.get(alert.group)
    if group is not None and alert.id in group.names:
        _open(act, alert.group, route_of(act.plan.routing.route, alert.labels))
        act.clear_timers(f"gather:{alert.group}")


def _open(act: Act, group: str, route: Route) -> str:
    alerts = [alert for name in act.state.groups[group].names if (alert := act.state.alerts.get(name)) is not None]
    worst = min(alerts, key=lambda alert: alert.severity.rank)
    title = worst.summary if len(alerts) == 1 else f"{worst.summary} (and {len(alerts) - 1} more)"
    services = tuple(dict.fromkeys(alert.key.service for alert in alerts if alert.key.service))
    return open_incident(act, Opening(title, worst.severity, services, group, route.policy, route.page,
                                      tuple(alert.id for alert in alerts), interval=route.interval,
                                      repeat=route.repeat))


@dataclass(frozen=True, slots=True)
class Opening:
    """What an incident starts with."""

    title: str
    severity: Severity
    services: tuple[str, ...] = ()
    group: str = ""
    policy: str = ""
    page: bool = True
    alerts: tuple[str, ...] = ()
    by: str = "system"
    interval: timedelta | None = None
    repeat: timedelta | None = None


def open_incident(act: Act, opening: Opening) -> str:
    """A new incident, paged by its policy; its id. Ids count up and are never given twice."""
    number = act.state.counts["incident"] + 1
    name = f"INC-{number}"
    policy = act.plan.policy(opening.policy) if opening.page else None
    act.record("incident.opened", name, {
        "number": number, "title": opening.title, "text": opening.title, "severity": opening.severity,
        "service": opening.services[0] if opening.services else "", "services": list(opening.services),
        "group": opening.group, "alerts": list(opening.alerts),
        "policy": act.plan.snapshot(policy) if policy is not None else {},
        **{name: after.total_seconds() for name, after in (("interval", opening.interval), ("repeat", opening.repeat))
           if after is not None}}, actor=opening.by)
    note_recurrence(act, name, opening.alerts)
    paging.remind(act, name)
    if policy is not None:
        paging.begin(act, name, "opened")
        news.repeat(act, name)
    elif opening.page:
        act.record("incident.unreached", name, {
            "why": f'no escalation policy is named "{opening.policy}"' if opening.policy
            else "no escalation policy says whom to page"})
    return name


OVERTAKEN = timedelta(minutes=15)
"""For how long news of an alert may be overtaken by the news that it is over; Prometheus says as long that one is."""


def forget_passed(act: Act) -> None:
    """Forget what was over before it was known to fire: of checks that are well all day, nothing is kept."""
    for key in [key for key in list(act.state.passed.keys()) if act.now - act.state.passed[key] > OVERTAKEN]:
        act.state.passed.drop(key)


# -- closing ------------------------------------------------------------------------------------------------------

UNHEARD = timedelta(minutes=5)
"""How much longer than its sender said an alert is believed without being said again."""

DOUBTED = timedelta(minutes=2)
"""How long of that it is asked whether anybody hears of it: its sender may speak to another server alone."""


def forget_unheard(act: Act, since: datetime) -> None:
    """Close alerts that their sender would have said again by now: it no longer has them.

    What is only said again is not recorded, so a desk does not know what another one hears. It asks first, by a fact;
    whoever hears of the alert answers at its own next sweep, or when the alert is said to it once more.

    Args:
        since: from when on anybody could have been heard here; what was not said before that is nobody's fault.
    """
    for alert in [one for one in act.state.alerts.values() if one.until is not None]:
        heard = act.state.until.get(alert.id)
        until = max(heard or alert.until or since, since)
        if alert.doubted is None:
            if act.now >= until + UNHEARD - DOUBTED:
                act.record("alert.doubted", alert.id, {"since": until.isoformat()})
        elif alert.doubted + DOUBTED < max(heard or since, since) + UNHEARD:
            # For long, or with two servers each alert would be asked for and answered for every few minutes.
            _vouch(act, alert, act.now + RARELY if heard is not None else since)
            if heard is not None:
                act.state.until[alert.id] = heard
        elif act.now >= alert.doubted + DOUBTED:
            # Closed as of what was heard last, so that a sender that comes back with the same alert is not too late.
            _, last = act.state.repeats.get(alert.id) or (0, alert.last)
            close(act, alert, last, f"its sender no longer says it since {until:%H:%M} UTC")


def _vouch(act: Act, alert: Alert, until: datetime) -> None:
    """Say to all that somebody hears of it, and will until then."""
    act.record("alert.changed", alert.id, {
        "settled": alert.settled.isoformat() if alert.settled else None, "until": until.isoformat()}, at=alert.last)


def _stops(act: Act, event: AlertEvent) -> Taken:
    held = act.state.firing.get(Key(event.service, event.key))
    if held is None:
        # That it fired may be on its way still, overtaken by this.
        key = Key(event.service, event.key)
        act.state.passed[key] = max(event.at, act.state.passed.get(key) or event.at)
        return Taken("unknown")
    alert = act.state.alerts[held]
    _, last = act.state.repeats.get(alert.id) or (0, alert.last)
    if event.at < last:
        return Taken("late", alert.id, alert.incident)
    if _flaps(act, alert):
        quiet = act.plan.routing.flapping.quiet
        _note_repeats(act, alert, settled=act.now + quiet, at=event.at)
        act.set_timer(f"calm:{alert.id}", quiet, alert.id)
        return Taken("flapping", alert.id, alert.incident)
    close(act, alert, event.at, "resolved")
    return Taken("closed", alert.id, alert.incident)


def _flaps(act: Act, alert: Alert) -> bool:
    flapping = act.plan.routing.flapping
    opens = (*(act.state.opens.get(alert.key) or ()), alert.opened)
    return sum(moment > alert.opened - flapping.within for moment in opens) > flapping.opens


def calmed(act: Act, timer: Timer) -> None:
    """An alert that flapped has been quiet for long enough."""
    alert = act.state.alerts.get(timer.subject)
    if alert is not None and alert.settled is not None:
        close(act, alert, act.now, "quiet after flapping")


def close(act: Act, alert: Alert, at: datetime, why: str) -> None:
    """The alert is over; its incident too when no other of its alerts fires."""
    count, _ = act.state.repeats.get(alert.id) or (0, alert.last)
    waited = act.state.groups.get(alert.group) is not None
    act.record("alert.closed", alert.id, {
        "why": why, "key": alert.key.key, "service": alert.key.service, "incident": alert.incident,
        "count": alert.count + count, "seconds": max((at - alert.opened).total_seconds(), 0.0)}, at=at)
    if waited and act.state.groups.get(alert.group) is None:
        act.clear_timers(f"gather:{alert.group}")
    one = act.state.incidents.get(alert.incident)
    if one is not None and one.status is not Status.RESOLVED:
        if one.firing:
            # A fact of the incident, so that of two desks that each close one of the last two alerts, the second sees
            # what the first did and resolves it.
            act.record("incident.cleared", one.id, {"alert": alert.id, "firing": one.firing, "why": why})
        else:
            paging.resolve(act, one.id, "system", "its alerts are over")
    if any(all(matcher.holds(alert.labels) for matcher in rule.source) for rule in act.state.inhibitions):
        hear(act)


def hear(act: Act) -> None:
    """Alerts that were muted and no longer are: they go their way as if they had just opened."""
    for alert in [act.state.alerts[name] for name in _muted(act)]:
        if act.state.silenced(alert.labels, act.now) or act.state.inhibited(alert.labels):
            continue
        route = route_of(act.plan.routing.route, alert.labels)
        act.record("alert.heard", alert.id, {"was": alert.muted, **_waits(act, alert.group, route)})
        _gather(act, act.state.alerts[alert.id], route)
    for incident in list(act.state.hushed.keys()):
        paging.go_on(act, incident)


def _muted(act: Act) -> list[str]:
    return list(act.state.muted.keys())


def resolve_by_hand(act: Act, incident: str, by: str) -> None:
    """Somebody says that it is over; alerts of it that still fire are closed with it.

    Raises:
        IllegalStep: it was over already.
    """
    paging.resolve(act, incident, by, "by hand")
    for alert in act.state.alerts_of(incident):
        close(act, alert, max(act.now, alert.last), f"{incident} was resolved")
