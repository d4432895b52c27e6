"""`mainstay incident simulate`: the whole engine on a virtual clock, over events of a file or of the journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from mainstay.incident.act import Plan
from mainstay.incident.operations.desk import Desk
from mainstay.incident.simulation import Change, Event, Page, Restart
from mainstay.kernel.errors import Conflict, NotFound
from mainstay.kernel.journal import FactQuery, Journal
from mainstay.kernel.ports import Clock, Responders

WORKER = "simulation"


class MovableClock(Clock, Protocol):
    """A clock that a run sets."""

    def set(self, moment: datetime) -> None:
        """Show that moment from now on."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run gave: every page and every change of state, in order, and answers that came too late or to nothing."""

    pages: tuple[Page, ...]
    changes: tuple[Change, ...]
    unanswered: tuple[str, ...]


def run(journal: Journal, clock: MovableClock, plan: Plan, responders: Responders, events: Sequence[Event], *,
        until: datetime) -> Outcome:
    """Play the events, and after them whatever rings before `until`, on an empty journal of that clock."""
    desk = Desk(journal, clock, plan, responders)
    back: datetime | None = None
    missed: list[Event] = []
    unanswered: list[str] = []

    def play(event: Event) -> None:
        assert not isinstance(event.what, Restart), "handled before"
        try:
            desk.do(event.what)
        except (NotFound, Conflict) as error:
            unanswered.append(f"{event.at.isoformat()} {error.message}")

    def resume(moment: datetime) -> None:
        nonlocal back, desk
        clock.set(moment)
        desk = Desk(journal, clock, plan, responders)
        _ring_all(desk, journal, clock, moment)
        # Whoever found the door shut knocks again.
        for late in missed:
            play(late)
        missed.clear()
        back = None

    for event in events:
        if back is not None and event.at >= back:
            resume(back)
        if back is None:
            _ring_all(desk, journal, clock, event.at)
            clock.set(event.at)
        match event.what:
            case Restart(down):
                back = event.at + down
            case _ if back is not None:
                missed.append(event)
            case _:
                play(event)
    if back is not None:
        resume(back)
    _ring_all(desk, journal, clock, until)
    return _outcome(journal, unanswered)


def _ring_all(desk: Desk, journal: Journal, clock: MovableClock, until: datetime) -> None:
    """Let every timer ring at its time, up to and including `until`."""
    while (due := journal.next_due()) is not None and due <= until:
        clock.set(max(due, clock.now()))
        desk.ring(WORKER)


_SHOWN = ("incident.", "alert.", "silence.")


def _outcome(journal: Journal, unanswered: Sequence[str]) -> Outcome:
    pages: list[Page] = []
    changes: list[Change] = []
    for fact in journal.facts(FactQuery(kinds=_SHOWN)):
        if fact.kind == "incident.paged":
            data = fact.data
            pages.append(Page(fact.at, data["to"], data["channel"], data["step"] + 1, data["loop"], fact.subject,
                              data["reason"]))
        else:
            changes.append(Change(fact.at, fact.kind, fact.subject, dict(fact.data)))
    return Outcome(tuple(pages), tuple(changes), tuple(unanswered))
