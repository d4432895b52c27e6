"""The engine over a journal: what happens is decided on what is known, and durable before anybody hears of it.

Several desks may work on one journal (the server, a command, a second machine). Each folds what the others recorded;
when two decide on the same thing at once, one is refused by the journal, looks again, and decides anew.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, takewhile

from mainstay.incident import checkpoint
from mainstay.incident.act import Act, Plan
from mainstay.incident.engine import Happening, decide
from mainstay.incident.following import follow
from mainstay.incident.intake import Taken
from mainstay.incident.layers import Noted
from mainstay.incident.state import RELEVANT, Draft, State
from mainstay.kernel.catalog import Catalog
from mainstay.kernel.errors import Conflict, MainstayError, StoreUnavailable
from mainstay.kernel.journal import AlreadyRecorded, Batch, Fact, FactQuery, Journal, NewFact, StaleClaim, Timer
from mainstay.kernel.people import Responders
from mainstay.kernel.ports import Clock, World

_TRIES = 20
"""How often a decision is made anew when others were quicker; each time at least one of them got through."""

LEAST = 5_000
"""Facts that are quicker folded than a checkpoint is written for them: a tenth of a second."""

_PARTS = 8
"""Parts of a checkpoint in one commit: half a megabyte, so that no alert waits long behind it."""


class Desk:
    """Where alerts arrive and people act. Every method may be called from any thread."""

    def __init__(self, journal: Journal, clock: Clock, plan: Plan, responders: Responders) -> None:
        self._journal, self._clock = journal, clock
        self.plan, self._responders = plan, responders
        self.committed: Callable[[Batch], None] = lambda _: None
        """Called with what was just recorded, so that whoever rings and sends need not look for it. Must be short."""
        self._lock, self._writing = threading.RLock(), threading.Lock()
        with uncollected():
            self._state, self._chain = self._restored() or (
                State(plan.routing.inhibitions, Noted), checkpoint.Chain())
            self._seq, self._unwritten = self._chain.through, 0
            self._draft = Draft(self._state)
            self.catch_up()

    @property
    def state(self) -> State:
        """What is going on, as far as is known here; to be read, not changed."""
        return self._state

    def under(self, plan: Plan, responders: Responders) -> None:
        """Decide by another catalog from now on; what goes on stays as it is."""
        with self._lock:
            self.plan, self._responders = plan, responders
            self._state.inhibit(plan.routing.inhibitions)
            self._draft = Draft(self._state)

    def caught_up(self, through: int | None = None) -> State:
        """What is going on, with what others recorded up to now.

        Args:
            through: the number of a fact that is enough to be known.
        """
        if through is None or through > self._seq:
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
                self._unwritten += 1
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
            except StoreUnavailable as down:
                return [down for _ in happenings]
            except MainstayError as refused:
                # One of them stands in the way of the others: halves, so that of many a few commits find the one.
                half = len(happenings) // 2
                if half:
                    return [*self.do_all(happenings[:half]), *self.do_all(happenings[half:])]
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
        self._draft.forget()
        act = Act(self.plan, self._responders, self._draft, self._clock.now())
        taken = [decide(act, happening) for happening in happenings]
        follow(act)
        if act.empty:
            self._keep(())
        else:
            batch = act.batch()
            self._keep(self._journal.commit(batch))
            self.committed(batch)
        return taken

    def _keep(self, facts: Sequence[Fact]) -> None:
        if not facts or self._nothing_between(facts):
            self._draft.keep()
            self._seq = facts[-1].seq if facts else self._seq
            self._unwritten += len(facts)
            return
        # Others recorded something in between: what this draft decided comes back in the order of the journal.
        self._draft.keep_counted()
        self.catch_up()

    def _nothing_between(self, facts: Sequence[Fact]) -> bool:
        """Whether what was just recorded is all that changes anything since what is known here."""
        first = facts[0].seq
        if facts[-1].seq - first != len(facts) - 1:
            return False
        if first == self._seq + 1:
            return True
        # Senders and checkpoints record too, and nothing that is folded: to look is less than to read all this again.
        newer = next(iter(self._journal.facts(FactQuery(kinds=RELEVANT, after=self._seq, limit=1))), None)
        return newer is None or newer.seq == first

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

    # -- checkpoints ---------------------------------------------------------------------------------------------

    def write_down(self, least: int = LEAST) -> bool:
        """Write a checkpoint of what changed since the last one; whether one was written.

        Nobody waits for it: only the list of what changed is taken while nothing is decided; writing goes on beside
        other work, in commits of a few milliseconds. It holds from its last fact on, so whatever is cut off before
        that is passed over.

        Args:
            least: facts since the last one for which another is worth its while.

        Raises:
            StoreUnavailable: it was not written; the next one is whole.
        """
        with self._writing:
            with self._lock:
                if self._unwritten < least:
                    return False
                changes = checkpoint.changes_of(self._state, self._chain)
                through, self._unwritten, self._chain = self._seq, 0, checkpoint.Chain()
            self._chain = self._write(changes, through)
        return True

    def _write(self, changes: checkpoint.Changes, through: int) -> checkpoint.Chain:
        now, numbers, remaining = self._clock.now(), list(changes.follows.parts), checkpoint.parts(changes)
        while some := [NewFact("engine.part", "incident", now, part) for part in islice(remaining, _PARTS)]:
            numbers += [fact.seq for fact in self._journal.commit(Batch(some))]
        rows = changes.follows.rows + changes.rows
        self._journal.commit(Batch([NewFact("engine.checkpoint", "incident", now, {
            "form": checkpoint.form(), "through": through, "parts": numbers, "rows": rows,
            "counts": changes.counts})]))
        return checkpoint.Chain(tuple(numbers), rows, through)

    def _restored(self) -> tuple[State, checkpoint.Chain] | None:
        """The newest checkpoint's state, and what it was read from; None where none fits."""
        newest = FactQuery(kinds=("engine.checkpoint",), newest_first=True, limit=1)
        made = next(iter(self._journal.facts(newest)), None)
        if made is None or made.data["form"] != checkpoint.form():
            return None
        numbers = made.data["parts"]
        wanted = set(numbers)
        # Others may have written theirs in between.
        some = self._journal.facts(FactQuery(kinds=("engine.part",), after=min(wanted, default=made.seq) - 1))
        written = [fact.data for fact in takewhile(lambda fact: fact.seq < made.seq, some) if fact.seq in wanted]
        assert len(written) == len(numbers), "a checkpoint is recorded after its parts"
        state = checkpoint.restored(written, made.data["counts"], self.plan.routing.inhibitions)
        return state, checkpoint.Chain(tuple(numbers), made.data["rows"], made.data["through"])


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Python's collector off for a while: it would look through all that is being read in, again and again."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            # What was read in stays for long and holds no circles: later rounds need not look through it either.
            gc.freeze()
            gc.enable()


# Libraries that count what they have handed out complain at the end about what was never given back.
atexit.register(gc.unfreeze)


_desks: weakref.WeakKeyDictionary[Journal, tuple[Catalog, Desk]] = weakref.WeakKeyDictionary()
_opening = threading.Lock()


def desk_of(world: World) -> Desk:
    """The desk over the world's journal under its catalog: folded once a process, caught up whenever it is asked."""
    with _opening:
        known = _desks.get(world.journal)
        if known is None:
            known = world.catalog, Desk(world.journal, world.clock, Plan.of(world.catalog), world.responders)
        elif known[0] is not world.catalog:
            known[1].under(Plan.of(world.catalog), world.responders)
            known = world.catalog, known[1]
        _desks[world.journal] = known
        return known[1]
