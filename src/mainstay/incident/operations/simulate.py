"""`mainstay incident simulate`: the whole engine on a virtual clock, over events of a file or of the journal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain
from typing import Protocol

from mainstay.incident.act import Plan
from mainstay.incident.engine import (
    Acknowledge,
    AcknowledgeAlert,
    EndSilence,
    Happening,
    MakeSilence,
    Merge,
    Resolve,
    SetSeverity,
)
from mainstay.incident.intake import AlertEvent, Taken
from mainstay.incident.ongoing import Key
from mainstay.incident.operations.desk import uncollected
from mainstay.incident.planned import silences_of
from mainstay.incident.rehearsal import Rehearsal
from mainstay.incident.replay import recorded
from mainstay.incident.simulation import Change, Event, OfAlerts, Page, Restart, read_events
from mainstay.incident.state import Happened, State
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import Conflict, InvalidInput, NoData, NotFound
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.people import Responders
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import Span, parse_duration
from mainstay.kernel.view import Next, Text, View, table
from mainstay.kernel.wording import many, span_words


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run gave: every page and every change of state, in order, and answers that came too late or to nothing."""

    pages: tuple[Page, ...]
    changes: tuple[Change, ...]
    unanswered: tuple[str, ...]


@uncollected()
def run(plan: Plan, responders: Responders, events: Sequence[Event], *, until: datetime) -> Outcome:
    """Play the events, and after them whatever rings before `until`.

    Args:
        events: in the order in which they happen.
    """
    told = _Told()
    engine = Rehearsal(replace(plan, rehearsal=True), responders, events[0].at if events else until, told.add)
    return told.outcome(play(engine, events, until))


class Engine(Protocol):
    """What events are played on."""

    @property
    def state(self) -> State:
        """What is going on."""
        ...

    def move(self, moment: datetime) -> None:
        """Let every timer ring at its time up to and including that moment, which it is from now on."""
        ...

    def do(self, happening: Happening) -> Taken:
        """Take one thing."""
        ...

    def restart(self, at: datetime) -> None:
        """Come back then, knowing only what was recorded; what should have rung meanwhile rings now."""
        ...


def play(engine: Engine, events: Sequence[Event], until: datetime) -> list[str]:
    """Play the events, and whatever rings before `until`; what could not be answered."""
    back: datetime | None = None
    missed: list[Event] = []
    unanswered: list[str] = []
    given: dict[str, str] = {}

    def happens(event: Event) -> None:
        what = event.what
        assert not isinstance(what, Restart), "handled before"
        if isinstance(what, AlertEvent):  # most events, and the same in every run
            engine.do(what)
            return
        try:
            for one in _as_here(what, engine.state, given):
                taken = engine.do(one)
                if event.name:
                    given[event.name] = taken.incident or taken.alert
        except (NotFound, Conflict) as error:
            unanswered.append(f"{event.at.isoformat()} {error.message}")

    def resume(moment: datetime) -> None:
        nonlocal back
        engine.restart(moment)
        # Whoever found the door shut knocks again.
        for late in missed:
            happens(late)
        missed.clear()
        back = None

    for event in events:
        if back is not None and event.at >= back:
            resume(back)
        if back is None:
            engine.move(event.at)
        match event.what:
            case Restart(down):
                back = event.at + down
            case _ if back is not None:
                missed.append(event)
            case _:
                happens(event)
    if back is not None:
        resume(back)
    engine.move(until)
    return unanswered


def _as_here(what: Happening | OfAlerts, state: State, given: Mapping[str, str]) -> list[Happening]:
    """The happening, told by the names of this run; several where alerts of one incident belong to several here."""
    match what:
        case OfAlerts(said, keys, into):
            return _of_alerts(said, keys, into, state, given)
        case Acknowledge(name, _) | Resolve(name, _) if name in given:
            return [replace(what, name=given[name])]
        case Acknowledge(name, by) if state.incidents.get(name) is None:
            alerts = state.firing_under(name)
            if alerts and not any(alert.incident for alert in alerts):
                return [AcknowledgeAlert(alert.key, by) for alert in alerts]
        case EndSilence(silence, _):
            # One that is over by itself here needs no end.
            name = given.get(silence, "")
            return [replace(what, silence=name)] if state.silences.get(name) is not None else []
    return [what]


def _of_alerts(said: Acknowledge | Resolve | SetSeverity | Merge, keys: Sequence[Key], into: Sequence[Key],
               state: State, given: Mapping[str, str]) -> list[Happening]:
    name = said.name if isinstance(said, (Acknowledge, Resolve)) else said.incident
    here = _holders(name, keys, state, given)
    match said:
        case Acknowledge(_, by):
            # Whoever had it had these too, which still gather here: they become an incident that nobody is paged for.
            waiting = [key for key in keys if (held := state.firing.get(key)) is not None
                       and not state.alerts[held].incident and not state.alerts[held].muted]
            return [*(Acknowledge(one, by) for one in here), *(AcknowledgeAlert(key, by) for key in waiting)]
        case Resolve(_, by):
            return [Resolve(one, by) for one in here]
        case SetSeverity():
            return [replace(said, incident=one) for one in here]
        case Merge(_, other, by):
            target = next(iter(_holders(other, into, state, given)), "")
            return [Merge(one, target, by) for one in here if target and one != target]


def _holders(name: str, keys: Sequence[Key], state: State, given: Mapping[str, str]) -> list[str]:
    """The open incidents of this run that have the alerts, or that was opened by hand under the name."""
    alerts = [state.alerts[held] for key in keys if (held := state.firing.get(key)) is not None]
    names = dict.fromkeys([given[name]] if name in given else [alert.incident for alert in alerts])
    return [one.id for held in names if (one := state.incidents.get(held)) is not None and one.resolved is None]


_PAGED = "incident.paged"


class _Told:
    """Pages and changes out of facts, as they come."""

    def __init__(self) -> None:
        self.pages: list[Page] = []
        self.changes: list[Change] = []

    def add(self, facts: Iterable[Happened]) -> None:
        for fact in facts:
            if fact.kind == _PAGED:
                self.pages.append(_page(fact))
            elif fact.kind.startswith(_SHOWN):
                self.changes.append(Change(fact.at, fact.kind, fact.subject, fact.data))

    def outcome(self, unanswered: Sequence[str]) -> Outcome:
        return Outcome(tuple(self.pages), tuple(self.changes), tuple(unanswered))


_SHOWN = ("incident.", "alert.", "silence.")


def outcome_of(facts: Iterable[Happened], unanswered: Sequence[str]) -> Outcome:
    """What those facts say of pages and of what changed."""
    told = _Told()
    told.add(facts)
    return told.outcome(unanswered)


def _page(fact: Happened) -> Page:
    data = fact.data
    return Page(fact.at, data["to"], data["channel"], data["step"] + 1, data["loop"], fact.subject, data["reason"])


# -- mainstay incident simulate -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class SimulateRequest:
    """Which events, and until when."""

    events: str = arg("a file of events, one JSON object a line; - for standard input", "", local_only=True)
    replay: str = arg("instead of a file, what the journal recorded in this time, such as 30d", "")
    until: str = arg("go on this long after the last event; a replay ends now", "1d")


@dataclass(frozen=True, slots=True)
class PersonPages:
    """What an edited policy or schedule would have changed for one person."""

    who: str
    before: int
    after: int
    added: int
    removed: int


@dataclass(frozen=True, slots=True)
class Simulated:
    """What a run gave; the field names are its stable JSON.

    Args:
        events: how many were played.
        people: for a replay, each person's pages as they were and as they would have been; pages are the same when the
            same person is paged within a minute of the same moment.
    """

    events: int
    start: datetime | None
    end: datetime | None
    pages: tuple[Page, ...]
    changes: tuple[Change, ...]
    unanswered: tuple[str, ...]
    people: tuple[PersonPages, ...]


def simulate(world: World, request: SimulateRequest) -> Simulated:
    """Run the whole engine on a virtual clock: who would be paged, and when."""
    if bool(request.events) == bool(request.replay):
        raise InvalidInput("say which events to play", "mainstay incident simulate --events FILE, or --replay 30d")
    before: list[Page] = []
    if request.replay:
        since = world.clock.now() - parse_duration(request.replay)
        declared = {one.name for one in world.planned(world, Span(since, world.clock.now()))}
        # Of silences all, for one that was made long ago may hold still; of a journal of years the rest is not read.
        facts = chain(world.journal.facts(FactQuery(kinds=("silence.",))),
                      world.journal.facts(FactQuery(kinds=("alert.", "incident."), since=since)))
        recording = recorded(facts, since, declared)
        events = list(recording.events)
        before = [_page(fact) for fact in world.journal.facts(FactQuery(kinds=(_PAGED,), since=since))
                  if fact.subject in recording.incidents]
    else:
        events = _read(request.events)
    if all(isinstance(event.what, MakeSilence | EndSilence) for event in events):
        raise NoData("there is no event to play", "write one JSON object a line; docs/guides/incident.md shows them")
    start, last = events[0].at, events[-1].at
    until = last + parse_duration(request.until)
    if request.replay:
        # What is still to come was not paged yet, and would be taken for added.
        until = min(until, world.clock.now())
    planned = [Event(start, silence) for work in world.planned(world, Span(start, until))
               for silence in silences_of(work, f"{work.name}:{work.span.start.isoformat()}")]
    found = run(Plan.of(world.catalog), world.responders, [*planned, *events], until=until)
    people = _compared(before, found.pages) if request.replay else ()
    return Simulated(len(events), start, last, found.pages, found.changes, found.unanswered, people)


def _read(path: str) -> list[Event]:
    try:
        with open(0 if path == "-" else path, encoding="utf-8", closefd=path != "-") as file:
            return read_events(file, "standard input" if path == "-" else path)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}", "name a file of events") from None
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8 text (byte {error.start})", "save it as UTF-8") from None


_SAME = timedelta(minutes=1)


def _compared(before: Sequence[Page], after: Sequence[Page]) -> tuple[PersonPages, ...]:
    people = sorted({page.to for page in (*before, *after)})
    out = []
    for who in people:
        was = sorted(page.at for page in before if page.to == who)
        would = sorted(page.at for page in after if page.to == who)
        same = _matched(was, would)
        out.append(PersonPages(who, len(was), len(would), len(would) - same, len(was) - same))
    return tuple(out)


def _matched(one: Sequence[datetime], other: Sequence[datetime]) -> int:
    """How many moments of the one have a moment of the other within a minute, each used once."""
    matched = place = 0
    for moment in one:
        while place < len(other) and other[place] < moment - _SAME:
            place += 1
        if place < len(other) and other[place] <= moment + _SAME:
            matched, place = matched + 1, place + 1
    return matched


def simulate_view(found: Simulated) -> View:
    """The pages, and for a replay what changes for whom."""
    assert found.start is not None
    assert found.end is not None
    head = Text(f"{many(found.events, 'event')} · {span_words(found.start, found.end)}", "quiet")
    incidents = len({page.incident for page in found.pages})
    verdict = Text(f"{many(len(found.pages), 'page')} for {many(incidents, 'incident')}.", "strong")
    pages = table("Pages", ("at", "to", "by", "step>", "loop>", "incident", "why"), [
        (f"{page.at:%-d %b %H:%M:%S}", page.to, page.channel, str(page.step), str(page.loop), page.incident,
         page.reason) for page in found.pages[:_MOST_ROWS]], empty="nobody is paged")
    more = [Text(f"{len(found.pages) - _MOST_ROWS:,} more pages: --json has them all", "quiet")] \
        if len(found.pages) > _MOST_ROWS else []
    rows = [(one.who, f"{one.before:,}", f"{one.after:,}", f"{one.added:,}", f"{one.removed:,}")
            for one in found.people]
    people = [table("For whom it changes", ("person", "pages before>", "after>", "added>", "removed>"), rows)] \
        if rows else []
    lost = [Text(f"not answered: {text}", "warn") for text in found.unanswered[:_MOST_ROWS]]
    return View("Simulation", (head, verdict, *people, pages, *more, *lost, Next(("mainstay oncall shifts",))))


_MOST_ROWS = 40

SIMULATE = Operation(
    "incident", "simulate", SimulateRequest, simulate, simulate_view,
    exit_codes=((0, "played"), (2, "the catalog or an event is wrong"), (3, "there is nothing to play")),
    examples=("mainstay incident simulate -c slos --events events.jsonl --json",
              "mainstay incident simulate --replay 30d"))
