"""The engine over a journal: what happens is decided on what is known, and durable before anybody hears of it.

Several desks may work on one journal (the server, a command, a second machine). Each folds what the others recorded;
when two decide on the same thing at once, one is refused by the journal, looks again, and decides anew.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence

from mainstay.incident.act import Act, Plan
from mainstay.incident.engine import Happening, decide
from mainstay.incident.following import follow
from mainstay.incident.intake import Taken
from mainstay.incident.state import RELEVANT, State
from mainstay.kernel.catalog import Catalog
from mainstay.kernel.errors import Conflict, MainstayError
from mainstay.kernel.journal import AlreadyRecorded, Fact, FactQuery, Journal, StaleClaim, Timer
from mainstay.kernel.ports import Clock, Responders, World

_TRIES = 20
"""How often a decision is made anew when others were quicker; each time at least one of them got through."""


class Desk:
    """Where alerts arrive and people act. Every method may be called from any thread."""

    def __init__(self, journal: Journal, clock: Clock, plan: Plan, responders: Responders) -> None:
        self._journal, self._clock = journal, clock
        self.plan, self._responders = plan, responders
        self._lock = threading.RLock()
        self._state = State(plan.routing.inhibitions)
        self._seq = 0
        self.catch_up()

    @property
    def state(self) -> State:
        """What is going on, as far as is known here; to be read, not changed."""
        return self._state

    def caught_up(self) -> State:
        """What is going on, with what others recorded up to now."""
        self.catch_up()
        return self._state

    def catch_up(self) -> None:
        """Fold in what was recorded since, here and elsewhere."""
        with self._lock:
            head = self._journal.head()
            if head == self._seq:
                return
            for fact in self._journal.facts(FactQuery(kinds=RELEVANT, after=self._seq)):
                self._state.apply(fact)
                self._seq = fact.seq
            self._seq = max(self._seq, head)

    def do(self, happening: Happening) -> Taken:
        """Take one thing; what it was about. Durable when this returns.

        Raises:
            StaleClaim: a timer that another took meanwhile.
            NotFound, IllegalStep, InvalidInput: it cannot be done; nothing was.
            StoreUnavailable: nobody knows whether it was recorded; doing it again is safe.
        """
        outcome = self.do_all([happening])[0]
        if isinstance(outcome, MainstayError):
            raise outcome
        return outcome

    def do_all(self, happenings: Sequence[Happening]) -> list[Taken | MainstayError]:
        """Take many things in their order, in one commit where none stands in the way of the others."""
        with self._lock:
            self.catch_up()
            try:
                return list(self._together(happenings))
            except MainstayError as refused:
                if len(happenings) > 1:
                    return [outcome for one in happenings for outcome in self.do_all([one])]
                return [self._insist(happenings[0], refused)]

    def _insist(self, happening: Happening, refused: MainstayError) -> Taken | MainstayError:
        for _ in range(_TRIES):
            if not isinstance(refused, AlreadyRecorded):
                return refused
            self.catch_up()
            try:
                return self._together([happening])[0]
            except MainstayError as again:
                refused = again
        return Conflict("others kept deciding on the same thing at the same time", "try again")

    def _together(self, happenings: Sequence[Happening]) -> list[Taken]:
        draft = self._state.draft()
        act = Act(self.plan, self._responders, draft, self._clock.now())
        taken = [decide(act, happening) for happening in happenings]
        follow(act)
        self._keep(draft, () if act.empty else self._journal.commit(act.batch()))
        return taken

    def _keep(self, draft: State, facts: Sequence[Fact]) -> None:
        if not facts or facts[-1].seq == self._seq + len(facts):
            draft.keep()
            self._seq += len(facts)
            return
        # Others recorded something in between: what this draft decided comes back in the order of the journal.
        draft.repeats.keep()
        self.catch_up()

    def ring(self, worker: str, limit: int = 500) -> int:
        """Do what the timers that are due ask for; how many rang.

        A timer that another worker took, or that was cleared meanwhile, does nothing.
        """
        with self._lock:
            self.catch_up()
            due: list[Timer] = self._journal.take_timers(self._clock.now(), worker, limit=limit)
            for outcome in self.do_all(due) if due else []:
                if isinstance(outcome, MainstayError) and not isinstance(outcome, StaleClaim):
                    raise outcome
            return len(due)


_desks: weakref.WeakKeyDictionary[Journal, tuple[Catalog, Desk]] = weakref.WeakKeyDictionary()
_opening = threading.Lock()


def desk_of(world: World) -> Desk:
    """The desk over the world's journal under its catalog: folded once a process, caught up whenever it is asked."""
    with _opening:
        known = _desks.get(world.journal)
        if known is None or known[0] is not world.catalog:
            known = world.catalog, Desk(world.journal, world.clock, Plan.of(world.catalog), world.responders)
            _desks[world.journal] = known
        return known[1]
