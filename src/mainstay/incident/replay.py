"""What a journal recorded, as the events that led to it: a month that can be played again under an edited catalog.

What the engine decided is left out, for it decides anew; what came from outside is kept: what senders said, what people
did about it, and what they silenced. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from mainstay.incident.engine import Acknowledge, EndSilence, MakeSilence, Merge, Open, Resolve, SetSeverity
from mainstay.incident.intake import AlertEvent, Opening
from mainstay.incident.ongoing import Key
from mainstay.incident.severity import Severity
from mainstay.incident.simulation import Event, OfAlerts
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.journal import Fact
from mainstay.kernel.matcher import Matcher
from mainstay.kernel.quantity import Span


@dataclass(frozen=True, slots=True)
class Recording:
    """Events in their order, and the incidents that began among them: pages of others cannot be compared."""

    events: tuple[Event, ...]
    incidents: frozenset[str]


def recorded(facts: Iterable[Fact], since: datetime, planned: Iterable[str] = ()) -> Recording:
    """The events behind the facts. What had begun before is left out, but for silences that still held.

    Args:
        facts: of silences, from the beginning, and of alerts and incidents, each in their order.
        planned: names of planned work that the catalog declares: it is silent by the catalog, not by the record.
    """
    tape = _Tape(since, frozenset(planned))
    for fact in facts:
        tape.take(fact)
    return Recording(tuple(sorted(tape.events, key=lambda event: event.at)), frozenset(tape.known))


@dataclass(slots=True)
class _Tape:
    since: datetime
    planned: frozenset[str]
    events: list[Event] = field(default_factory=list)
    alerts: dict[str, AlertEvent] = field(default_factory=dict)
    """Alerts that fire, as their sender last said them."""
    flaps: set[str] = field(default_factory=set)
    """Those of them that were quiet when they were last heard of, and flap."""
    known: dict[str, list[str]] = field(default_factory=dict)
    """Incident → alerts that it had."""
    silent: dict[str, MakeSilence] = field(default_factory=dict)

    def take(self, fact: Fact) -> None:
        if fact.kind.startswith("silence."):
            self._silence(fact)
        elif fact.at >= self.since:
            word = self._alert if fact.kind.startswith("alert.") else self._incident
            self.events += word(fact)

    def _alert(self, fact: Fact) -> Iterator[Event]:
        # It happened when it was recorded; the sender's own time stands in the event.
        when, data, name = fact.recorded_at, fact.data, fact.subject
        if fact.kind == "alert.opened":
            self.alerts[name] = AlertEvent(fact.at, True, data["key"], data["service"], data["severity"],
                                           data["labels"], data["summary"], data.get("source", ""))
            yield Event(when, self.alerts[name])
        elif name in self.alerts and fact.kind == "alert.changed":
            yield from self._changed(fact)
        elif name in self.alerts and fact.kind == "alert.closed":
            event = self.alerts.pop(name)
            # One that flapped was over before it had been quiet for long: that was said, and it closes by itself.
            if name not in self.flaps:
                yield Event(when, replace(event, at=fact.at, firing=False))
            self.flaps.discard(name)

    def _changed(self, fact: Fact) -> Iterator[Event]:
        name, data = fact.subject, fact.data
        known, settled = self.alerts[name], data.get("settled") is not None
        self.alerts[name] = replace(known, at=fact.at, severity=data["severity"])
        if settled != (name in self.flaps) or data["severity"] != known.severity:
            yield Event(fact.recorded_at, replace(self.alerts[name], firing=not settled))
        (self.flaps.add if settled else self.flaps.discard)(name)

    def _incident(self, fact: Fact) -> Iterator[Event]:
        data, name = fact.data, fact.subject
        if fact.kind == "incident.opened" and "number" in data and not data.get("test"):
            self.known[name] = list(data["alerts"])
            if not data["alerts"]:
                yield Event(fact.at, Open(_opening(data, fact.actor)), name)
        elif name not in self.known:
            return
        elif fact.kind == "incident.joined":
            self.known[name] += [one for one in data["alerts"] if one not in self.known[name]]
        elif fact.kind == "incident.acknowledged":
            yield self._of(fact, Acknowledge(name, data["by"]))
        elif fact.kind == "incident.resolved" and data.get("how") == "by hand":
            yield self._of(fact, Resolve(name, data["by"]))
        elif fact.kind == "incident.severity-changed" and fact.actor != "system":
            yield self._of(fact, SetSeverity(name, Severity(data["to"]), fact.actor, data.get("why", "")))
        elif fact.kind == "incident.merged" and data["into"] in self.known:
            yield self._of(fact, Merge(name, data["into"], fact.actor))

    def _of(self, fact: Fact, what: Acknowledge | Resolve | SetSeverity | Merge) -> Event:
        into = self._keys(what.into) if isinstance(what, Merge) else ()
        return Event(fact.at, OfAlerts(what, self._keys(fact.subject), into))

    def _keys(self, incident: str) -> tuple[Key, ...]:
        return tuple(Key(one.service, one.key) for name in self.known[incident]
                     if (one := self.alerts.get(name)) is not None)

    def _silence(self, fact: Fact) -> None:
        data, name = fact.data, fact.subject
        if fact.kind == "silence.made":
            span = Span(datetime.fromisoformat(data["from"]), datetime.fromisoformat(data["to"]))
            # The plan of planned work is the key of the fact that announced it: kind, name, times.
            work = str(data.get("plan", "")).split(":")
            if span.end > self.since and not (len(work) > 1 and work[1] in self.planned):
                matchers = tuple(Matcher(one["label"], one["operator"], one["value"]) for one in data["matchers"])
                self.silent[name] = MakeSilence(matchers, span, fact.actor, data.get("comment", ""),
                                                data.get("plan", ""))
                self.events.append(Event(max(fact.at, self.since), self.silent[name], name))
        elif name in self.silent and data["why"] == "ended by hand":
            if fact.at > self.since:
                self.events.append(Event(fact.at, EndSilence(name, fact.actor)))
            else:
                self.events = [event for event in self.events if event.name != name]


def _opening(data: Mapping[str, Any], by: str) -> Opening:
    policy = data["policy"]
    return Opening(data["title"], Severity(data["severity"]), tuple(data["services"]), "", policy.get("name", ""),
                   bool(policy), by=by)
