"""Plans, people and events for tests of the engine, in as few words as a case needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mainstay.adapters.clock import FakeClock
from mainstay.adapters.memory import MemoryJournal
from mainstay.doors.as_json import encode
from mainstay.incident.act import Plan
from mainstay.incident.engine import Acknowledge, Happening, Resolve
from mainstay.incident.forms import FORMS
from mainstay.incident.intake import AlertEvent, Taken
from mainstay.incident.operations.desk import Desk
from mainstay.incident.operations.simulate import Outcome, outcome_of, run
from mainstay.incident.operations.simulate import play as play_on
from mainstay.incident.simulation import Event, Restart
from mainstay.incident.state import State
from mainstay.kernel.catalog import Grammar, load
from mainstay.kernel.errors import NotFound
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.people import Contact, Reach, Responders
from mainstay.kernel.quantity import parse_duration

T0 = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class People:
    """Responders of a test: who is on call by name, and how they are reached; the terminal when nothing is said."""

    def __init__(self, on_call: Mapping[str, Sequence[str]], reach: Mapping[str, Sequence[Reach]] | None = None,
                 members: Mapping[str, Sequence[str]] | None = None) -> None:
        self._on_call, self._reach, self._members = on_call, reach or {}, members or on_call

    def on_call(self, name: str, at: datetime) -> tuple[str, ...]:
        if name not in self._on_call:
            raise NotFound(f"no rotation {name}")
        return tuple(self._on_call[name])

    def members(self, name: str) -> tuple[str, ...]:
        return tuple(self._members[name])

    def reach(self, person: str) -> tuple[Reach, ...]:
        return tuple(self._reach.get(person, (Reach(timedelta(0), Contact("terminal", person)),)))


def plan_of(folder: Path, text: str) -> Plan:
    """The plan of a catalog file with that text."""
    (folder / "plan.yaml").write_text(text)
    catalog, findings = load([folder], Grammar(FORMS))
    assert not findings, [finding.render() for finding in findings]
    return Plan.of(catalog)


def at(offset: str) -> datetime:
    """`4m59s` after T0; `0` is T0."""
    return T0 if offset == "0" else T0 + parse_duration(offset)


def fires(offset: str, key: str = "disk", **more: object) -> Event:
    return Event(at(offset), AlertEvent(at(offset), True, key, **more))  # type: ignore[arg-type]


def stops(offset: str, key: str = "disk", service: str = "") -> Event:
    return Event(at(offset), AlertEvent(at(offset), False, key, service))


def ack(offset: str, by: str = "ana", key: str = "disk") -> Event:
    return Event(at(offset), Acknowledge(key, by))


def fix(offset: str, by: str = "ana", key: str = "disk") -> Event:
    return Event(at(offset), Resolve(key, by))


def restart(offset: str, down: str) -> Event:
    return Event(at(offset), Restart(parse_duration(down)))


def play(plan: Plan, people: People, *events: Event, until: str = "1d") -> Outcome:
    """The outcome of the events, as a simulation has it and, which must be the same, as a desk over a journal has."""
    return played(plan, people, sorted(events, key=lambda event: event.at), at(until))


def played(plan: Plan, people: Responders, events: Sequence[Event], until: datetime) -> Outcome:
    """The same for events in order."""
    found = run(plan, people, events, until=until)
    durable = Durable(plan, people)
    unanswered = play_on(durable, events, until)
    assert as_told(durable.outcome()) == as_told(found)
    assert tuple(unanswered) == found.unanswered
    return found


def as_told(outcome: Outcome) -> bytes:
    """Pages and changes as JSON has them."""
    return encode((outcome.pages, outcome.changes))


class Durable:
    """A desk over a journal, as events are played on it."""

    def __init__(self, plan: Plan, people: Responders) -> None:
        self._plan, self._people = replace(plan, rehearsal=True), people
        self.clock = FakeClock(T0)
        self.journal = MemoryJournal(self.clock)
        self._desk = Desk(self.journal, self.clock, self._plan, people)

    @property
    def state(self) -> State:
        return self._desk.state

    def move(self, moment: datetime) -> None:
        while (due := self.journal.next_due()) is not None and due <= moment:
            self.clock.set(max(due, self.clock.now()))
            self._desk.ring("test")
        self.clock.set(moment)

    def do(self, happening: Happening) -> Taken:
        return self._desk.do(happening)

    def restart(self, at: datetime) -> None:
        self.clock.set(at)
        self._desk = Desk(self.journal, self.clock, self._plan, self._people)
        self.move(at)

    def outcome(self) -> Outcome:
        return outcome_of(self.journal.facts(FactQuery()), ())


def desk_of(plan: Plan, people: People) -> tuple[Desk, FakeClock]:
    """A desk on an empty journal, and the clock that moves it."""
    clock = FakeClock(T0)
    return Desk(MemoryJournal(clock), clock, plan, people), clock


def paged(outcome: Outcome) -> list[str]:
    """`+5m S2 ben: not acknowledged`, a line a page; minutes since T0."""
    return [f"+{(page.at - T0) / timedelta(minutes=1):g}m S{page.step} {page.to}: {page.reason}"
            for page in outcome.pages]
