"""One batch in the making: what is decided is written down here and folded into the draft at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, cast

from mainstay.incident.spec import Addressee, EscalationPolicy, Heartbeat, Kind, Routing
from mainstay.incident.state import State
from mainstay.kernel.catalog import Catalog
from mainstay.kernel.channels import Channels
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.finding import Position
from mainstay.kernel.journal import Batch, Claim, NewFact, NewMessage, NewTimer, Timer
from mainstay.kernel.people import Responders


@dataclass(frozen=True, slots=True)
class Plan:
    """What the catalog says about alerts and whom they reach.

    Args:
        rehearsal: nothing of it is meant: messages and post-mortems, which nobody would read, are left out. The
            post-mortems alone would cost a quarter of a simulation.
    """

    routing: Routing
    policies: Mapping[str, EscalationPolicy] = field(default_factory=dict)
    heartbeats: Mapping[str, Heartbeat] = field(default_factory=dict)
    channels: Channels | None = None
    rehearsal: bool = False
    _snapshots: dict[str, tuple[EscalationPolicy, Mapping[str, Any]]] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, catalog: Catalog) -> Plan:
        """The catalog's routing; without one every alert is its own incident, paged by the only policy there is."""
        policies = {one.name: one for one in catalog.of(EscalationPolicy)}
        declared = catalog.of(Routing)
        routing = declared[0] if declared else Routing("default", Position(""))
        return cls(routing, policies, {one.name: one for one in catalog.of(Heartbeat)},
                   next(iter(catalog.of(Channels)), None))

    def policy(self, name: str) -> EscalationPolicy | None:
        """The policy of that name; the only one there is where no name was given."""
        if name:
            return self.policies.get(name)
        return next(iter(self.policies.values())) if len(self.policies) == 1 else None

    def snapshot(self, policy: EscalationPolicy) -> Mapping[str, Any]:
        """The policy as an incident keeps it, whatever is edited later; `version` tells two texts of it apart."""
        known, found = self._snapshots.get(policy.name, (None, {}))
        if known is not policy:
            found = _snapshot(policy)
            self._snapshots[policy.name] = policy, found
        return found


class Act:
    """Decisions of one moment, not durable yet.

    Args:
        state: a draft; what is recorded here shows in it at once.
        now: the wall clock.
    """

    def __init__(self, plan: Plan, responders: Responders, state: State, now: datetime) -> None:
        self.plan, self.responders, self.state, self.now = plan, responders, state, now
        self.facts: list[NewFact] = []
        """What has happened."""
        self.timers: dict[str, NewTimer | None] = {}
        """What will ring, by key; None where it must not."""
        self._messages: list[NewMessage] = []
        self._claims: list[Claim] = []

    def record(self, kind: str, subject: str, data: Mapping[str, Any], *, at: datetime | None = None,
               actor: str = "system") -> None:
        """It happened. The key counts the facts of its subject, so that nobody decides on what has changed since."""
        fact = NewFact(kind, subject, at or self.now, data, f"{subject}:{self._version(subject) + 1}", actor)
        self.facts.append(fact)
        self.state.apply(fact)

    def _version(self, subject: str) -> int:
        held = self.state.incidents.get(subject) or self.state.alerts.get(subject)
        return held.version if held is not None else 0

    def say(self, kind: str, subject: str, data: Mapping[str, Any], key: str, *, actor: str = "system") -> None:
        """It happened, to something that is neither an alert nor an incident."""
        fact = NewFact(kind, subject, self.now, data, key, actor)
        self.facts.append(fact)
        self.state.apply(fact)

    def set_timer(self, key: str, after: timedelta, subject: str, data: Mapping[str, Any] | None = None) -> None:
        """Ring then; the kind is what stands before the key's first colon."""
        kind = key.partition(":")[0]
        self.timers[key] = NewTimer(key, self.now + after, f"incident.{kind}", subject, data or {})

    def clear_timers(self, *keys: str) -> None:
        """Do not ring."""
        for key in keys:
            self.timers[key] = None

    def send(self, key: str, channel: str, data: Mapping[str, Any]) -> None:
        """Put it into the outbox."""
        self._messages.append(NewMessage(key, channel, data, self.now))

    def settle(self, timer: Timer) -> None:
        """This batch is what the timer rang for."""
        self._claims.append(Claim(timer.key, timer.fence))

    def changed(self) -> dict[str, set[str]]:
        """The incidents that facts of this act are about, each with the kinds of those facts."""
        found: dict[str, set[str]] = {}
        for fact in self.facts:
            if fact.kind.startswith("incident."):
                found.setdefault(fact.subject, set()).add(fact.kind)
        return found

    @property
    def empty(self) -> bool:
        """Whether nothing was decided."""
        return not (self.facts or self.timers or self._messages or self._claims)

    def batch(self) -> Batch:
        """What is to be committed, all or nothing."""
        return Batch(self.facts, [timer for timer in self.timers.values() if timer is not None],
                     [key for key, timer in self.timers.items() if timer is None], self._messages, self._claims,
                     fresh=True)


def _snapshot(policy: EscalationPolicy) -> Mapping[str, Any]:
    written: dict[str, Any] = {
        "name": policy.name, "loops": policy.loops,
        "ack_timeout": policy.ack_timeout.total_seconds() if policy.ack_timeout is not None else None,
        "fallback": [str(one) for one in policy.fallback],
        "steps": [{"page": [str(one) for one in step.addressees], "wait": step.delay.total_seconds(),
                   "round_robin": step.round_robin} for step in policy.steps]}
    text = json.dumps(written, sort_keys=True, separators=(",", ":"))
    return {**written, "version": hashlib.sha256(text.encode()).hexdigest()[:8]}


def addressees(written: Iterable[str]) -> list[Addressee]:
    """Addressees as a snapshot keeps them."""
    return [_addressee(text) for text in written]


@lru_cache(maxsize=1024)
def _addressee(text: str) -> Addressee:
    kind, _, name = text.partition(":")
    return Addressee(cast(Kind, kind), name)
