"""The engine with nothing under it, to play what would happen: no journal, no other worker, and nobody is told.

What is decided is folded at once, and timers wait in a heap until the clock is moved past them. Decisions are those of
a desk over a journal, made by the same rooms in the same order; the tests of the engine hold the two to one answer.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from datetime import datetime

from mainstay.incident.act import Act, Plan
from mainstay.incident.engine import Happening, decide
from mainstay.incident.intake import AlertEvent, Taken
from mainstay.incident.state import Draft, State
from mainstay.kernel.journal import NewFact, NewTimer, Timer
from mainstay.kernel.people import Responders

TOGETHER = 500
"""Timers that ring in one decision when many are due at once."""


class Rehearsal:
    """An engine whose clock stands still until it is moved. Moments are aware UTC.

    Args:
        start: what the clock shows at first.
    """

    def __init__(self, plan: Plan, responders: Responders, start: datetime) -> None:
        self._plan, self._responders = plan, responders
        self.now = start
        self.facts: list[NewFact] = []
        """Everything that was decided, in order."""
        self._timers: dict[str, NewTimer] = {}
        # Entries are never searched for: one that is no longer its timer's is skipped when it comes up.
        self._due: list[tuple[datetime, str]] = []
        self.state = State(plan.routing.inhibitions)
        self._draft = Draft(self.state)

    def restart(self, at: datetime) -> None:
        """Come back then, knowing only what was recorded; what should have rung meanwhile rings now."""
        self.state = State(self._plan.routing.inhibitions)
        for fact in self.facts:
            self.state.apply(fact)
        self._draft = Draft(self.state)
        self.now = at
        self.move(at)

    def move(self, moment: datetime) -> None:
        """Move the clock, and let every timer ring at its time up to and including that moment."""
        while (due := self._next()) is not None and due <= moment:
            self.now = max(due, self.now)
            self._decide(self._ringing())
        self.now = moment

    def do(self, happening: Happening) -> Taken:
        """Take one thing; what it was about.

        Raises:
            NotFound, IllegalStep, InvalidInput: it cannot be done; nothing was.
        """
        if isinstance(happening, AlertEvent):
            return self._decide([happening])
        self._draft.forget()  # what was refused half-way
        act = Act(self._plan, self._responders, self._draft, self.now)
        taken = decide(act, happening)
        self._draft.keep()
        self._record(act)
        return taken

    def _decide(self, happenings: Sequence[AlertEvent | Timer]) -> Taken:
        """What is never refused, in one decision and without a draft, for there is nothing to take back; what the last
        of them came to."""
        act = Act(self._plan, self._responders, self.state, self.now)
        for happening in happenings:
            taken = decide(act, happening)
        self._record(act)
        return taken

    def _record(self, act: Act) -> None:
        self.facts += act.facts
        for key, timer in act.timers.items():
            if timer is None:
                self._timers.pop(key, None)
            else:
                self._timers[key] = timer
                heapq.heappush(self._due, (timer.due, key))

    def _next(self) -> datetime | None:
        while self._due:
            due, key = self._due[0]
            timer = self._timers.get(key)
            if timer is not None and timer.due == due:
                return due
            heapq.heappop(self._due)
        return None

    def _ringing(self) -> list[Timer]:
        """What is due now; all of it rings, even where one of them clears another."""
        found: list[Timer] = []
        while len(found) < TOGETHER and (due := self._next()) is not None and due <= self.now:
            _, key = heapq.heappop(self._due)
            timer = self._timers.pop(key)
            found.append(Timer(key, due, timer.kind, timer.subject, timer.data, 0))
        return found
