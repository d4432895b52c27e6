"""What is going on, as a fold over facts: alerts, groups, incidents, silences, heartbeats, who was paged lately.

Decisions are made on a draft: a layer over the state that what was decided is folded into at once, so that the next
decision of the same batch sees it. When the batch is durable the draft is kept; when it is refused the draft is dropped
and nothing was changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from sys import intern
from typing import Any, Protocol, cast

from msgspec.structs import replace

from mainstay.incident import action_items, review
from mainstay.incident.action_items import Item
from mainstay.incident.layers import NONE, Layer, Pieces, Table, as_one, interned, longer
from mainstay.incident.lifecycle import Phase, Status, next_phase, next_status
from mainstay.incident.ongoing import Alert, Group, Incident, Key, Pager, Silence
from mainstay.incident.review import Review
from mainstay.incident.severity import Severity
from mainstay.incident.spec import Inhibition
from mainstay.kernel.journal import Data
from mainstay.kernel.matcher import Matcher
from mainstay.kernel.quantity import Span

COUNTED = ("repeats", "until", "passed")
"""The tables of what is counted only, by no fact, and may be lost with the process."""


class Happened(Protocol):
    """A fact, as far as the fold looks at it."""

    @property
    def kind(self) -> str:
        """As of a fact."""

    @property
    def subject(self) -> str:
        """As of a fact."""

    @property
    def at(self) -> datetime:
        """As of a fact."""

    @property
    def data(self) -> Data:
        """As of a fact."""

    @property
    def actor(self) -> str:
        """As of a fact."""


class State:
    """Everything that goes on.

    Args:
        table: of what its tables are made: `Noted` where somebody will ask what changed.
    """

    def __init__(self, inhibitions: Sequence[Inhibition] = (), table: type[Table[Any, Any]] = Table) -> None:
        self.inhibitions = inhibitions
        self.alerts: Table[str, Alert] = table()
        """Those that fire, by id."""
        self.firing: Table[Key, str] = table()
        """The id of the alert that fires under a key."""
        self.services: Table[str, int] = table()
        """How many alerts of a service fire: of thousands of alerts the few names to look under."""
        self.closed: Table[Key, datetime] = table()
        """When the last alert under a key closed, by the sender's clock."""
        self.opens: Table[Key, tuple[datetime, ...]] = table()
        """When the last few alerts under a key opened that are over, for flapping."""
        self.incidents: Table[str, Incident] = table()
        self.groups: Table[str, Group] = table()
        self.silences: Table[str, Silence] = table()
        self.pagers: Table[str, Pager] = table()
        self.held: Table[tuple[str, str], bool] = table()
        """(person, incident) that wait to be told together → whether it is news of one that somebody may have."""
        self.sources: Table[tuple[int, tuple[str, ...]], tuple[int, int]] = table()
        """(inhibition, values of its equal labels) → alerts that fire as a source, and those of them that are no
        target."""
        self.muted: Table[str, str] = table()
        """Alert → why nobody hears of it."""
        self.hushed: Table[str, bool] = table()
        """Incidents whose next step is put off while all of their alerts are quiet."""
        self.members: Table[str, Pieces[str]] = table()
        """Incident → its alerts that fire, and some that no longer do."""
        self.until: Table[str, datetime] = table()
        """Alert → when its sender will have said it again; counted like repeats, not recorded."""
        self.repeats: Table[str, tuple[int, datetime]] = table()
        """Alert → events that only said again what was known, and the latest of them: counted, not recorded yet."""
        self.passed: Table[Key, datetime] = table()
        """When what was not known to fire was said to be over, for a while, so that news that was overtaken is late."""
        self.reviews: Table[str, Review] = table()
        """How the post-mortem of an incident stands."""
        self.actions: Table[str, Item] = table()
        self.marks: Table[str, tuple[str, ...]] = table()
        """Mark of an incident → action items of incidents like it that are not finished."""
        self.policies: dict[tuple[str, str], Mapping[str, Any]] = {}
        """Escalation policies as they were, by name and version: thousands of incidents open under the same few."""
        self.counts: dict[str, int] = {"alert": 0, "incident": 0, "silence": 0, "action": 0}
        """The greatest number given so far; and `under NAME`, how many incidents were opened under that policy."""

    # -- questions -----------------------------------------------------------------------------------------------

    def open_incidents(self) -> Iterator[Incident]:
        """Those that are not resolved."""
        return (one for one in self.incidents.values() if one.status is not Status.RESOLVED)

    def alerts_of(self, incident: str) -> list[Alert]:
        """The incident's alerts that fire."""
        # One that was split off and came back stands there twice.
        return [one for name in dict.fromkeys(chain.from_iterable(self.members.get(incident) or ()))
                if (one := self._member(incident, name)) is not None]

    def inhibited(self, labels: Mapping[str, str]) -> bool:
        """Whether an alert with these labels is inhibited by one that fires.

        One that is a source itself is only inhibited by sources that are no targets, so that nothing inhibits itself.
        """
        for number, rule in enumerate(self.inhibitions):
            if all(matcher.holds(labels) for matcher in rule.target):
                every, pure = self.sources.get((number, _equal(rule, labels))) or (0, 0)
                if (pure if all(matcher.holds(labels) for matcher in rule.source) else every) > 0:
                    return True
        return False

    def silenced(self, labels: Mapping[str, str], at: datetime) -> str:
        """The id of a silence that holds for these labels, or the empty text."""
        for one in self.silences.values() if self.silences else ():
            if one.holds(labels, at):
                return one.id
        return ""

    def firing_under(self, key: str) -> list[Alert]:
        """The alerts that fire under a sender's key, whatever the service."""
        # A plain pair finds what a `Key` finds, and none has to be made for each service.
        held = [self.firing.get(cast(Key, (service, key))) for service in self.services.keys()]  # noqa: SIM118
        return [self.alerts[one] for one in held if one is not None]

    def held_for(self, person: str) -> list[str]:
        """The incidents that the person will be told of together, the longest held first."""
        return [name for to, name in self.held.keys() if to == person]  # noqa: SIM118  (a table is no dict)

    def _member(self, incident: str, name: str) -> Alert | None:
        one = self.alerts.get(name)
        return one if one is not None and one.incident == incident else None

    # -- the fold ------------------------------------------------------------------------------------------------

    def apply(self, fact: Happened) -> None:
        """What the fact changes; kinds of other words change nothing."""
        change = _CHANGES.get(fact.kind)
        if change is not None:
            change(self, fact)

    def inhibit(self, inhibitions: Sequence[Inhibition]) -> None:
        """Inhibit by these rules from now on; alerts that were muted by others stay so until they are heard."""
        if inhibitions != self.inhibitions:
            self.inhibitions = inhibitions
            self.count_sources()

    def count_sources(self) -> None:
        """Work out anew which alerts that fire inhibit others."""
        self.sources.clear()
        for alert in self.alerts.values() if self.inhibitions else ():
            self._count_source(alert.labels, +1)

    def _count_source(self, labels: Mapping[str, str], by: int) -> None:
        for number, rule in enumerate(self.inhibitions):
            if all(matcher.holds(labels) for matcher in rule.source):
                key = number, _equal(rule, labels)
                every, pure = self.sources.get(key) or (0, 0)
                target = all(matcher.holds(labels) for matcher in rule.target)
                if every + by:
                    self.sources[key] = every + by, pure + (0 if target else by)
                else:
                    self.sources.drop(key)

    def mark(self, item: Item) -> None:
        """Find the action item by its marks while it is not finished, and no longer afterwards."""
        for mark in item.marks:
            others = tuple(name for name in self.marks.get(mark) or () if name != item.id)
            found = others if item.closed else (*others, item.id)
            if found:
                self.marks[mark] = found
            else:
                self.marks.drop(mark)

    def _changed(self, incident: str, **changes: Any) -> None:
        one = self.incidents[incident]
        if one.hushed and ("step" in changes or "phase" in changes):
            changes["hushed"] = False
            self.hushed.drop(incident)
        changes["version"] = one.version + 1
        self.incidents[incident] = replace(one, **changes)


class Draft(State):
    """A layer over the state to decide on: kept when what was decided is durable, forgotten when it never is."""

    def __init__(self, under: State) -> None:
        super().__init__(under.inhibitions)
        self._under = under
        self._touched: list[Layer[Any, Any]] = []
        """The tables that have something of their own: few of them, in most decisions."""
        for name, table in list(vars(under).items()):
            if isinstance(table, Table):
                setattr(self, name, Layer(table, self._touched))
        self.policies, self.counts = under.policies, dict(under.counts)

    def keep(self) -> None:
        """Make it part of the state below."""
        for table in self._touched:
            table.keep()
        self._touched.clear()
        self._under.counts.update(self.counts)

    def forget(self) -> None:
        """Drop what it has: it shows the state below again."""
        for table in self._touched:
            table.forget()
        self._touched.clear()
        self.counts = dict(self._under.counts)

    def keep_counted(self) -> None:
        """Keep only what no fact says, and drop the rest."""
        for name in COUNTED:
            getattr(self, name).keep()
        self.forget()


def _equal(rule: Inhibition, labels: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(labels.get(name, "") for name in rule.equal)


_KEPT_OPENS = 20
"""Openings of one key that are remembered: more than any flapping rule asks for."""
_KEPT_PAGES = 60


def _alert_opened(state: State, fact: Happened) -> None:
    data = fact.data
    key = Key(intern(str(data["service"])), data["key"])
    until = data.get("until")
    # Texts are one object for all that have the same ones: of thousands of alerts most labels are the same few.
    alert = Alert(
        fact.subject, key, Severity(data["severity"]), intern(str(data["summary"])), interned(data["labels"]), fact.at,
        fact.at, intern(str(data["group"])), muted=data.get("muted", ""),
        annotations=as_one(data.get("annotations", NONE)), url=intern(str(data.get("url", ""))),
        until=datetime.fromisoformat(until) if until else None)
    state.alerts[fact.subject] = alert
    state.firing[key] = fact.subject
    state.services[key.service] = (state.services.get(key.service) or 0) + 1
    state.counts["alert"] = max(state.counts["alert"], int(fact.subject.partition("-")[2]))
    if alert.muted:
        state.muted[alert.id] = alert.muted
    else:
        _wait(state, alert, data)
    state._count_source(alert.labels, +1)


def _wait(state: State, alert: Alert, data: Mapping[str, Any]) -> None:
    """The alert waits to be told of, unless nobody ever is told of those that come its way."""
    due = data.get("gathers", "")
    if alert.group and due is not False:
        group = state.groups.get(alert.group) or Group()
        state.groups[alert.group] = replace(group, waiting=longer(group.waiting, (alert.id,)),
                                            due=datetime.fromisoformat(due) if due else group.due)


def _wait_no_longer(state: State, alert: Alert) -> None:
    group = state.groups.get(alert.group)
    if group is None or alert.id not in group.names:
        return
    waiting = tuple(filter(None, [tuple([one for one in piece if one != alert.id]) for piece in group.waiting]))
    if waiting or group.incident:
        state.groups[alert.group] = replace(group, waiting=waiting, due=group.due if waiting else None)
    else:
        state.groups.drop(alert.group)


def _alert_changed(state: State, fact: Happened) -> None:
    alert, data = state.alerts[fact.subject], fact.data
    settled, until = data.get("settled"), data.get("until")
    changed = replace(
        alert, severity=Severity(data.get("severity", alert.severity)), count=alert.count + int(data.get("count", 0)),
        last=max(alert.last, fact.at), settled=datetime.fromisoformat(settled) if settled else None,
        version=alert.version + 1)
    if until:
        # Somebody hears of it: what was last heard here, perhaps long ago, is of no weight any more.
        changed = replace(changed, until=datetime.fromisoformat(until), doubted=None)
        state.until.drop(alert.id)
    state.alerts[fact.subject] = changed


def _alert_doubted(state: State, fact: Happened) -> None:
    alert = state.alerts[fact.subject]
    state.alerts[fact.subject] = replace(alert, doubted=fact.at, version=alert.version + 1)


def _alert_heard(state: State, fact: Happened) -> None:
    alert = state.alerts[fact.subject]
    state.alerts[fact.subject] = replace(alert, muted="", version=alert.version + 1)
    state.muted.drop(alert.id)
    _wait(state, alert, fact.data)


def _alert_muted(state: State, fact: Happened) -> None:
    alert = state.alerts[fact.subject]
    state.alerts[fact.subject] = replace(alert, muted=fact.data["why"], version=alert.version + 1)
    state.muted[alert.id] = fact.data["why"]
    _wait_no_longer(state, alert)


def _alert_closed(state: State, fact: Happened) -> None:
    alert = state.alerts[fact.subject]
    state.alerts.drop(alert.id)
    state.muted.drop(alert.id)
    # Counted here, it may have been closed elsewhere.
    state.until.drop(alert.id)
    state.repeats.drop(alert.id)
    state.firing.drop(alert.key)
    remaining = state.services[alert.key.service] - 1
    if remaining:
        state.services[alert.key.service] = remaining
    else:
        state.services.drop(alert.key.service)
    state.closed[alert.key] = fact.at
    state.opens[alert.key] = (*(state.opens.get(alert.key) or ()), alert.opened)[-_KEPT_OPENS:]
    _wait_no_longer(state, alert)
    state._count_source(alert.labels, -1)
    _leave(state, alert)
    group = state.groups.get(alert.group)
    if alert.incident and not fact.data.get("incident", alert.incident) and group is not None and not group.waiting:
        # Whoever closed it did not know yet that its group had become an incident.
        state.groups[alert.group] = replace(group, due=fact.at)


def _leave(state: State, alert: Alert) -> None:
    """The alert is no longer one of its incident's that fire."""
    incident = state.incidents.get(alert.incident)
    if incident is None:
        return
    state.incidents[incident.id] = replace(incident, firing=incident.firing - 1)
    if incident.firing <= 1:
        state.members.drop(incident.id)
        return
    # Taking one out of thousands costs thousands, so those that left are taken out together, when they are many.
    members = state.members.get(incident.id) or ()
    if sum(map(len, members)) > 2 * incident.firing + 50:
        state.members[incident.id] = (tuple([one.id for one in state.alerts_of(incident.id) if one.id != alert.id]),)


def _incident_opened(state: State, fact: Happened) -> None:
    data = fact.data
    if "number" not in data:
        return  # recorded by hand (`mainstay record incident`), for attribution only
    turns = f"under {data['policy'].get('name', '')}"
    turn = state.counts.get(turns, 0)
    incident = Incident(fact.subject, int(data["number"]), data["title"], data["service"], tuple(data["services"]),
                        Severity(data["severity"]), data["group"], fact.at, _policy(state, data["policy"]),
                        phase=Phase.TRIGGERED if data["policy"] else Phase.QUIET, reminded=fact.at,
                        test=data.get("test", False), turn=turn, interval=data.get("interval"),
                        repeat=data.get("repeat"))
    state.counts[turns] = turn + 1
    state.incidents[incident.id] = incident
    state.counts["incident"] = max(state.counts["incident"], incident.number)
    if incident.group:
        _is_told(state, incident, data["alerts"])
    _join(state, incident.id, data["alerts"])


def _policy(state: State, policy: Mapping[str, Any]) -> Mapping[str, Any]:
    known = state.policies.setdefault((policy.get("name", ""), policy.get("version", "")), policy)
    return known if known is policy or known == policy else policy


def _is_told(state: State, incident: Incident, alerts: Sequence[str]) -> None:
    """The group became an incident; what another desk recorded of its alerts meanwhile makes it `overlooked`."""
    known, told = state.groups.get(incident.group) or Group(), set(alerts)
    joined_meanwhile = tuple([name for name in known.names if name not in told])
    none_fires = bool(alerts) and all(state.alerts.get(name) is None for name in alerts)
    state.groups[incident.group] = Group((joined_meanwhile,) if joined_meanwhile else (), incident.id,
                                         incident.opened if none_fires and not joined_meanwhile else None)


def _join(state: State, incident: str, alerts: Sequence[str]) -> None:
    joined = [one for name in alerts if (one := state.alerts.get(name)) is not None and one.incident != incident]
    for one in joined:
        _leave(state, one)
        state.alerts[one.id] = replace(one, incident=incident)
        # Its own group, which need not be the incident's: that of one that was merged into it, for example.
        _wait_no_longer(state, one)
    if joined:
        into = state.incidents[incident]
        state.incidents[incident] = replace(into, firing=into.firing + len(joined))
        state.members[incident] = longer(state.members.get(incident) or (), tuple([one.id for one in joined]))


def _incident_joined(state: State, fact: Happened) -> None:
    joined = [state.alerts.get(name) for name in fact.data["alerts"]]
    known = state.incidents[fact.subject]
    services = dict.fromkeys((*known.services, *fact.data.get("services", ()),
                              *(one.key.service for one in joined if one is not None and one.key.service)))
    # The one that reopened it pages: it is no news later, and must not stand in the way of those that are.
    told = known.interval is None or "from" in fact.data or "reopens" in fact.data
    state._changed(fact.subject, services=tuple(services), grown=known.grown + (0 if told else len(joined)))
    _join(state, fact.subject, fact.data["alerts"])


def _incident_stepped(state: State, fact: Happened) -> None:
    state._changed(fact.subject, loop=fact.data["loop"], step=fact.data["step"], until=fact.data["until"])


def _incident_paged(state: State, fact: Happened) -> None:
    state._changed(fact.subject, reaching=(*state.incidents[fact.subject].reaching, *fact.data.get("rungs", ())))
    if fact.data.get("is") == "channel":
        return
    pager = state.pagers.get(fact.data["to"]) or Pager()
    state.pagers[fact.data["to"]] = replace(pager, went=(*pager.went, fact.at)[-_KEPT_PAGES:])


def _incident_waits(state: State, fact: Happened) -> None:
    state._changed(fact.subject, reaching=(*state.incidents[fact.subject].reaching, *fact.data["rungs"]))


def _incident_held(state: State, fact: Happened) -> None:
    state._changed(fact.subject)
    key = fact.data["to"], fact.subject
    state.held[key] = bool(fact.data.get("known")) or bool(state.held.get(key))
    pager = state.pagers.get(fact.data["to"]) or Pager()
    if not pager.holds:
        state.pagers[fact.data["to"]] = replace(pager, holds=True)


def _pager_told(state: State, fact: Happened) -> None:
    held = state.held_for(fact.subject)
    # One that another desk held back meanwhile is held still.
    known = set(fact.data.get("held", held))
    for name in held:
        if name in known:
            state.held.drop((fact.subject, name))
    state.pagers[fact.subject] = replace(state.pagers.get(fact.subject) or Pager(), holds=not known.issuperset(held))


def _phase_after(event: str) -> Any:
    def change(state: State, fact: Happened) -> None:
        phase = next_phase(state.incidents[fact.subject].phase, event)
        by = fact.data["by"] if event == "acknowledged" else ""
        # Whoever was reached for before nothing was left to try is still reached for by their own later rules.
        reaching = state.incidents[fact.subject].reaching if event == "exhausted" else ()
        state._changed(fact.subject, phase=phase, acknowledged_by=by, reaching=reaching)

    return change


def _incident_repeated(state: State, fact: Happened) -> None:
    one = state.incidents[fact.subject]
    state._changed(fact.subject, phase=next_phase(one.phase, "repeated") if one.phase is Phase.EXHAUSTED else one.phase)


def _incident_resolved(state: State, fact: Happened) -> None:
    one = state.incidents.get(fact.subject)
    if one is not None:
        state._changed(fact.subject, status=Status.RESOLVED, phase=next_phase(one.phase, "resolved"), resolved=fact.at,
                       reaching=(), grown=0)
        group = state.groups.get(one.group)
        if group is not None and group.due is not None and not group.waiting:
            state.groups[one.group] = replace(group, due=None)


def _incident_reopened(state: State, fact: Happened) -> None:
    one = state.incidents[fact.subject]
    state._changed(fact.subject, status=next_status(one.status, Status.OPEN), acknowledged_by="", resolved=None,
                   phase=next_phase(one.phase, "reopened" if one.policy else "reopened quietly"), reminded=fact.at)


def _incident_status(state: State, fact: Happened) -> None:
    state._changed(fact.subject, status=Status(fact.data["to"]))


def _incident_severity(state: State, fact: Happened) -> None:
    state._changed(fact.subject, severity=Severity(fact.data["to"]), reminded=fact.at)


def _incident_role(state: State, fact: Happened) -> None:
    roles = {**state.incidents[fact.subject].roles, fact.data["role"]: fact.data["who"]}
    state._changed(fact.subject, roles={role: who for role, who in roles.items() if who})


def _incident_merged(state: State, fact: Happened) -> None:
    state._changed(fact.subject, merged_into=fact.data["into"])


def _incident_updated(state: State, fact: Happened) -> None:
    state._changed(fact.subject, updated=fact.at, reminded=fact.at)


def _incident_noted(state: State, fact: Happened) -> None:
    if state.incidents.get(fact.subject) is not None:
        state._changed(fact.subject)


def _incident_hushed(state: State, fact: Happened) -> None:
    state._changed(fact.subject, hushed=True)
    state.hushed[fact.subject] = True


def _incident_room(state: State, fact: Happened) -> None:
    # Recorded by the sender and not by a decision: the version, which guards decisions, is left as it is.
    one = state.incidents.get(fact.subject)
    if one is not None:
        state.incidents[one.id] = replace(one, room=True)


def _silence_made(state: State, fact: Happened) -> None:
    data = fact.data
    matchers = tuple(Matcher(one["label"], one["operator"], one["value"]) for one in data["matchers"])
    span = Span(datetime.fromisoformat(data["from"]), datetime.fromisoformat(data["to"]))
    state.silences[fact.subject] = Silence(fact.subject, matchers, span, fact.actor, data.get("comment", ""), fact.at,
                                           data.get("plan", ""))
    state.counts["silence"] = max(state.counts["silence"], int(fact.subject.partition("-")[2]))


def _silence_ended(state: State, fact: Happened) -> None:
    state.silences.drop(fact.subject)


def _review_after(state: State, fact: Happened) -> None:
    kind = fact.kind.partition(".")[2]
    state.reviews[fact.subject] = review.after(state.reviews.get(fact.subject), kind, fact.subject, fact.at, fact.data)


def _action_after(state: State, fact: Happened) -> None:
    one = action_items.after(state.actions.get(fact.subject), fact.kind.partition(".")[2], fact.subject, fact.at,
                             fact.data, fact.actor)
    state.actions[one.id] = one
    state.counts["action"] = max(state.counts["action"], action_items.number_of(one.id))
    state.mark(one)


_CHANGES = {
    "alert.opened": _alert_opened, "alert.changed": _alert_changed, "alert.muted": _alert_muted,
    "alert.heard": _alert_heard, "alert.doubted": _alert_doubted, "alert.closed": _alert_closed,
    "incident.opened": _incident_opened, "incident.joined": _incident_joined, "incident.stepped": _incident_stepped,
    "incident.paged": _incident_paged, "incident.held": _incident_held, "incident.waits": _incident_waits,
    "pager.told": _pager_told,
    "incident.acknowledged": _phase_after("acknowledged"), "incident.lapsed": _phase_after("lapsed"),
    "incident.exhausted": _phase_after("exhausted"), "incident.repeated": _incident_repeated,
    "incident.grown": lambda state, fact: state._changed(fact.subject, grown=0),
    "incident.resolved": _incident_resolved, "incident.reopened": _incident_reopened,
    "incident.status-changed": _incident_status, "incident.severity-changed": _incident_severity,
    "incident.role-given": _incident_role, "incident.merged": _incident_merged,
    "incident.update-posted": _incident_updated,
    "incident.noted": _incident_noted, "incident.unreached": _incident_noted, "incident.hushed": _incident_hushed,
    "incident.update-missed": _incident_noted, "incident.cleared": _incident_noted,
    "incident.close-asked": _incident_noted, "incident.diagnosed": _incident_noted,
    "incident.recurred": _incident_noted, "incident.tested": _incident_noted,
    "incident.room-opened": _incident_room,
    "postmortem.drafted": _review_after, "postmortem.written": _review_after, "postmortem.moved": _review_after,
    "action.added": _action_after, "action.changed": _action_after, "action.done": _action_after,
    "action.verified": _action_after, "action.reopened": _action_after, "action.dropped": _action_after,
    "silence.made": _silence_made, "silence.ended": _silence_ended,
}
"""Kind of fact → what it changes."""

RELEVANT = ("alert.", "incident.", "silence.", "pager.", "postmortem.", "action.")
"""The words whose facts are folded."""

