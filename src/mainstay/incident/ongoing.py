"""What goes on, thing by thing: an alert, an incident, a group of alerts, a silence, somebody's pager.

These are replaced, never changed, so a draft costs what it touches and readers never see half a change; and since
nothing in them leads back to them, Python's collector need not look at them (`gc=False`): with 100,000 alerts its
rounds would hold up everything else for a third of a second.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, NamedTuple

from msgspec import Struct, field

from mainstay.incident.layers import Pieces
from mainstay.incident.lifecycle import Phase, Status
from mainstay.incident.severity import Severity
from mainstay.kernel.matcher import Matcher
from mainstay.kernel.quantity import Span


class Key(NamedTuple):
    """What tells an alert from another: the sender's key, within a service."""

    service: str
    key: str


class Alert(Struct, frozen=True, gc=False):
    """Something that a sender says is wrong, from when it opened to when it closed.

    Args:
        muted: why nobody hears of it: `silence S-3`, `inhibited`; empty when it is heard.
        last: the latest event about it, by the sender's clock; an older one changes nothing.
        settled: while it flaps, when it will be closed if it stays quiet.
        count: events that said it fires.
        annotations: what the sender wrote for people, its runbook among it.
        url: where the sender shows it.
        until: when the sender will have said it again, if it still fires; None when it will not.
        doubted: since when it is asked whether anybody still hears of it; None while it is believed.
    """

    id: str
    key: Key
    severity: Severity
    summary: str
    labels: Mapping[str, str]
    opened: datetime
    last: datetime
    group: str
    incident: str = ""
    muted: str = ""
    count: int = 1
    settled: datetime | None = None
    version: int = 1
    annotations: Mapping[str, str] = field(default_factory=dict)
    url: str = ""
    until: datetime | None = None
    doubted: datetime | None = None


class Incident(Struct, frozen=True, gc=False):
    """Something that people work on.

    Args:
        group: alerts of this group belong to it.
        policy: the escalation policy as it was when the incident opened: {name, version, steps, loops, ack_timeout,
            fallback}; empty when nobody is paged.
        loop, step: where the escalation is, both from 0; step 0 is the first.
        until: the last loop that is gone through.
        reaching: timers that will page the same people again by their own rules.
        firing: how many of its alerts fire.
        roles: role → person.
        updated: when stakeholders last heard of it.
        test: a page that somebody asked for to see whether it arrives; nothing is broken.
        room: whether it has a war room.
        reminded: since when the time to their next update counts: its opening, an update, another severity.
        interval, repeat: of its route as it was when it opened, in seconds; None where it has none.
        hushed: whether the next step is put off, for every alert of it is silenced or inhibited.
        grown: alerts that joined it since whoever has it was told.
        turn: how many incidents were opened under a policy of this name before, for steps that take turns.
    """

    id: str
    number: int
    title: str
    service: str
    services: tuple[str, ...]
    severity: Severity
    group: str
    opened: datetime
    policy: Mapping[str, Any]
    status: Status = Status.OPEN
    phase: Phase = Phase.TRIGGERED
    loop: int = 0
    step: int = 0
    until: int = 0
    reaching: tuple[str, ...] = ()
    firing: int = 0
    acknowledged_by: str = ""
    roles: Mapping[str, str] = field(default_factory=dict)
    resolved: datetime | None = None
    merged_into: str = ""
    updated: datetime | None = None
    reminded: datetime | None = None
    version: int = 1
    test: bool = False
    room: bool = False
    turn: int = 0
    interval: float | None = None
    repeat: float | None = None
    grown: int = 0
    hushed: bool = False


_LATE = timedelta(seconds=30)
"""How long after its time a timer is no longer thought to be about to ring."""


class Group(Struct, frozen=True, gc=False):
    """Alerts that belong together: those that wait to be told of, and the incident they became.

    Args:
        due: when those that wait become an incident; None where they do at once. Where none waits: since when nobody
            saw that the incident has no alert that fires.
    """

    waiting: Pieces[str] = ()
    incident: str = ""
    due: datetime | None = None

    def overlooked(self, now: datetime) -> bool:
        """Whether two desks each recorded something of it at once: no timer rings for what waits, or an alert was
        closed as it became an incident. The next sweep sees to it."""
        return self.due is None or self.due < now - _LATE if self.waiting else self.due is not None

    @property
    def names(self) -> Iterator[str]:
        """The alerts that wait, the first one first."""
        return chain.from_iterable(self.waiting)


class Silence(Struct, frozen=True, gc=False):
    """Alerts that fit all matchers are not heard for a while.

    Args:
        span: when it holds.
        made: when it was made.
        plan: the planned work it was made for; empty when somebody made it by hand.
    """

    id: str
    matchers: tuple[Matcher, ...]
    span: Span
    by: str
    comment: str
    made: datetime
    plan: str = ""

    def holds(self, labels: Mapping[str, str], at: datetime) -> bool:
        """Whether an alert with these labels is silenced at that moment."""
        return self.span.holds(at) and all(matcher.holds(labels) for matcher in self.matchers)


class Pager(Struct, frozen=True, gc=False):
    """One person's pager lately: when it went, and whether incidents wait to be told together."""

    went: tuple[datetime, ...] = ()
    holds: bool = False
