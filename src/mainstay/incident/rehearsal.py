"""The engine with nothing under it, to play what would happen: no journal, no other worker, and nobody is told.

What is decided is folded at once, and timers wait in a heap until the clock is moved past them. Decisions are those of
a desk over a journal, made by the same rooms in the same order; the tests of the engine hold the two to one answer.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from mainstay.incident.act import Act, Plan
from mainstay.incident.engine import Happening, decide
from mainstay.incident.intake import AlertEvent, Taken
from mainstay.incident.state import COUNTED, Draft, Happened, State
from mainstay.kernel.journal import Data, Timer
from mainstay.kernel.people import Responders

TOGETHER = 500
"""Timers that ring in one decision when many are due at once."""


class Rehearsal:
    """An engine whose clock stands still until it is moved. Moments are aware UTC.

    Args:
        start: what the clock shows at first.
        told: is given everything that is decided, in order.
    """

    def __init__(self, plan: Plan, responders: Responders, start: datetime,
                 told: Callable[[Sequence[Happened]], None]) -> None:
        self._plan, self._responders, self._told = plan, responders, told
        self.now = start
        self.state = State(plan.routing.inhibitions)
        self._draft = Draft(self.state)
        self._timers: dict[str, Timer] = {}
        # Entries are never searched for: one that is no longer its timer's is skipped when it comes up.
        self._due: list[tuple[datetime, str]] = []

    def restart(self, at: datetime) -> None:
        """Come back then, knowing only what was recorded; what should have rung meanwhile rings now."""
        for name in COUNTED:
            getattr(self.state, name).clear()
        self.now = at
        self.move(at)

    def move(self, moment: datetime) -> None:
        """Move the clock, and let every timer ring at its time up to and including that moment."""
        while self._due and self._due[0][0] <= moment:
            self.now = max(self._due[0][0], self.now)
            ringing = self._ringing()
            if ringing:
                self._decide(ringing)
        self.now = moment

    def do(self, happening: Happening) -> Taken:
        """Take one thing; what it was about.

        Raises:
            NotFound, IllegalStep, InvalidInput: it cannot be done; nothing was.
        """
        if isinstance(happening, AlertEvent):
            return self._decide((happening,))
        self._draft.forget()  # what was refused half-way
        act = _Act(self._plan, self._responders, self._draft, self.now)
        taken = decide(act, happening)
        self._draft.keep()
        self._keep(act)
        return taken

    def _decide(self, happenings: Sequence[AlertEvent | Timer]) -> Taken:
        """What is never refused, in one decision and without a draft, for there is nothing to take back; what the last
        of them came to."""
        act = _Act(self._plan, self._responders, self.state, self.now)
        for happening in happenings:
            taken = decide(act, happening)
        self._keep(act)
        return taken

    def _keep(self, act: _Act) -> None:
        self._told(act.decided)
        for key, timer in act.rings.items():
            if timer is None:
                self._timers.pop(key, None)
            else:
                self._timers[key] = timer
                heapq.heappush(self._due, (timer.due, key))

    def _ringing(self) -> list[Timer]:
        """What is due now; all of it rings, even where one of them clears another."""
        found: list[Timer] = []
        while self._due and self._due[0][0] <= self.now and len(found) < TOGETHER:
            due, key = heapq.heappop(self._due)
            timer = self._timers.get(key)
            if timer is not None and timer.due == due:
                found.append(self._timers.pop(key))
        return found


class _Fact(Struct, frozen=True, gc=False):
    """A fact that is not recorded, and needs no key."""

    kind: str
    subject: str
    at: datetime
    data: Data
    actor: str


class _Act(Act):
    """Decisions that no other desk decides on as well, so that no key tells two of them apart."""

    def __init__(self, plan: Plan, responders: Responders, state: State, now: datetime) -> None:
        self.plan, self.responders, self.state, self.now = plan, responders, state, now
        self.decided: list[_Fact] = []
        self.rings: dict[str, Timer | None] = {}

    def record(self, kind: str, subject: str, data: Data, *, at: datetime | None = None,
               actor: str = "system") -> None:
        fact = _Fact(kind, subject, at or self.now, data, actor)
        self.decided.append(fact)
        self.state.apply(fact)

    def say(self, kind: str, subject: str, data: Data, key: str, *,  # noqa: ARG002  (see above)
            actor: str = "system") -> None:
        self.record(kind, subject, data, actor=actor)

    def set_timer(self, key: str, after: timedelta, subject: str, data: Data | None = None) -> None:
        kind = key.partition(":")[0]
        self.rings[key] = Timer(key, self.now + after, f"incident.{kind}", subject, data or {}, 0)

    def clear_timers(self, *keys: str) -> None:
        for key in keys:
            self.rings[key] = None

    def send(self, key: str, channel: str, data: Data) -> None:
        """Nobody is told."""

    def settle(self, timer: Timer) -> None:
        """Nobody else took it."""
