"""Remediation over a journal: folded once a process, caught up when asked, decided one commit at a time.

The n-th fact of remediation can be written once, whichever rule it is of. So of two servers that decide at the same
moment one is refused, reads what the other did, and decides anew: no limit is passed because two looked at once.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence

from mainstay.kernel.errors import Conflict
from mainstay.kernel.journal import AlreadyRecorded, Batch, Fact, FactQuery, Journal
from mainstay.kernel.ports import Clock, World
from mainstay.runbook.remedy import Remediation
from mainstay.runbook.remedy_decision import NOTHING, Desk, Event, Rules, Surroundings, decide
from mainstay.runbook.remedy_state import Remedies

_TRIES = 50
"""How often a decision is made anew when others were quicker; each time one of them got through."""

Around = Callable[[Remedies], Surroundings]
"""What is so outside, asked for the state that is decided on."""


def _nothing(state: Remedies) -> Surroundings:  # noqa: ARG001  (what is outside where nothing was looked at)
    return NOTHING


class RemedyDesk:
    """Where remediation is decided. Every method may be called from any thread."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal, self._clock = journal, clock
        self._lock = threading.RLock()
        self._state, self._seq = Remedies(), 0

    @property
    def state(self) -> Remedies:
        """Where everything stands, with what others recorded up to now; to be read, not changed."""
        with self._lock:
            self._catch_up()
            return self._state

    def _catch_up(self) -> None:
        head = self._journal.head()
        if head == self._seq:
            return
        following: Remedies | None = None
        for fact in self._journal.facts(FactQuery(kinds=("remedy.",), after=self._seq)):
            # Whoever reads the state meanwhile never sees half of what is folded in.
            following = following or self._state.clone()
            following.apply(fact)
            self._seq = fact.seq
        self._state, self._seq = following or self._state, max(self._seq, head)

    def do(self, rules: Rules, events: Sequence[Event], around: Around = _nothing) -> tuple[Fact, ...]:
        """Decide on what happened, in its order; what was recorded. Durable when this returns.

        Raises:
            NotFound: a rule that is not declared is to be resumed; nothing was recorded.
            StoreUnavailable: nobody knows whether it was recorded; doing it again is safe.
        """
        with self._lock:
            for _ in range(_TRIES):
                self._catch_up()
                draft = self._state.clone()
                desk = Desk(rules, draft, self._clock.now(), around(self._state))
                for event in events:
                    decide(desk, event)
                if not desk.facts:
                    return ()
                try:
                    recorded = self._journal.commit(Batch(desk.facts, fresh=True))
                except AlreadyRecorded:
                    continue
                # The keys count all facts of remediation, so nobody's lie between these.
                self._state, self._seq = draft, recorded[-1].seq
                return recorded
        raise Conflict("others kept deciding about remediation at the same time", "try again")


_desks: weakref.WeakKeyDictionary[Journal, RemedyDesk] = weakref.WeakKeyDictionary()
_opening = threading.Lock()


def desk_of(world: World) -> RemedyDesk:
    """The desk over the world's journal."""
    with _opening:
        found = _desks.get(world.journal)
        if found is None:
            found = _desks[world.journal] = RemedyDesk(world.journal, world.clock)
        return found


def rules_of(world: World) -> Rules:
    """The rules that are declared, by name."""
    return {one.name: one for one in world.catalog.of(Remediation)}
