"""A small house with channels: people, a policy, and an outbox that sends to what a test gives it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from incident.plans import T0, People
from mainstay.adapters.clock import FakeClock
from mainstay.adapters.memory import MemoryJournal
from mainstay.incident.act import Plan
from mainstay.incident.intake import AlertEvent
from mainstay.incident.operations.desk import Desk
from mainstay.incident.operations.outbox import Outbox
from mainstay.incident.spec import Addressee, EscalationPolicy, Routing, Step
from mainstay.kernel.channels import Channels
from mainstay.kernel.errors import SourceUnavailable
from mainstay.kernel.finding import Position
from mainstay.kernel.journal import Fact, FactQuery
from mainstay.kernel.people import Contact, Notice, Notifier, Reach

HERE = Position("plan.yaml")


def reach(channel: str, address: str, after: str = "0m", **more: Any) -> Reach:
    return Reach(timedelta(minutes=float(after[:-1])), Contact(channel, address), **more)


@dataclass
class Receiver:
    """A channel of a test: keeps what it takes; refuses with what it is told to, once each."""

    got: list[Notice] = field(default_factory=list)
    at: list[datetime] = field(default_factory=list)
    refusals: list[SourceUnavailable] = field(default_factory=list)
    receipt: Mapping[str, Any] | None = None
    clock: FakeClock | None = None

    def send(self, notice: Notice) -> Mapping[str, Any] | None:
        if self.clock is not None:
            self.at.append(self.clock.now())
        if self.refusals:
            raise self.refusals.pop(0)
        self.got.append(notice)
        return self.receipt


@dataclass
class House:
    """Everything between an alert and a channel."""

    clock: FakeClock
    journal: MemoryJournal
    desk: Desk
    outbox: Outbox
    people: People

    def fires(self, key: str = "disk", severity: str = "critical", summary: str = "checkout answers 500") -> str:
        return self.desk.do(AlertEvent(self.clock.now(), True, key, "web", severity, {}, summary)).incident

    def run(self, **by: float) -> None:
        """Let that much time pass, in steps of a second, ringing and sending as a server would."""
        until = self.clock.now() + timedelta(**by)
        while True:
            while self.desk.ring("test"):
                pass
            for channel in self.outbox.channels:
                self.outbox.send(channel, "test")
            if self.clock.now() >= until:
                return
            self.clock.advance(min(timedelta(seconds=1), until - self.clock.now()))

    def facts(self, *kinds: str) -> list[Fact]:
        return list(self.journal.facts(FactQuery(kinds=kinds)))


def policy(*steps: str, wait: str = "5m", **more: Any) -> EscalationPolicy:
    return EscalationPolicy("web", HERE, tuple(
        Step((Addressee(*step.split(":", 1)),), timedelta(minutes=float(wait[:-1]))) for step in steps), **more)


def house(channels: Mapping[str, Notifier], reaches: Mapping[str, tuple[Reach, ...]], *, steps: EscalationPolicy,
          declared: Channels | None = None, start: datetime = T0) -> House:
    """A house whose rotation `first` has ana and `second` has ben."""
    clock = FakeClock(start)
    journal = MemoryJournal(clock)
    people = People({"first": ["ana"], "second": ["ben"]}, reaches)
    desk = Desk(journal, clock, Plan(Routing("all", HERE), {"web": steps}, channels=declared), people)
    return House(clock, journal, desk, Outbox(journal, clock, desk, people, channels), people)
