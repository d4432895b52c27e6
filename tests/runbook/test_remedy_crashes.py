"""A server that dies at any commit, before it or right after it: the next one goes on, and nothing is done twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from mainstay.adapters.clock import FakeClock
from mainstay.adapters.memory import MemoryJournal
from mainstay.kernel.actuation import Command
from mainstay.kernel.journal import Batch, Fact, FactQuery, Message, Timer
from mainstay.kernel.locks import all_held
from mainstay.runbook.lifecycle import State
from mainstay.runbook.remedy_state import Phase, fold
from runbook.worlds import CATALOG, MINUTE, T0, Place

MOST = 400
"""Commits that are died at; more than a whole story makes."""


class Died(BaseException):
    """The process is gone; no code of ours catches it."""


class Dying:
    """A journal whose process dies at the n-th commit."""

    def __init__(self, journal: MemoryJournal, at: int, *, after: bool) -> None:
        self._journal, self._left, self._after = journal, at, after

    def commit(self, batch: Batch) -> tuple[Fact, ...]:
        if self._left == 0 and not self._after:
            raise Died
        facts = self._journal.commit(batch)
        if self._left == 0:
            raise Died
        self._left -= 1
        return facts

    def submit(self, batch: Batch) -> Any:
        return self._journal.submit(batch)

    def facts(self, query: FactQuery) -> Iterator[Fact]:
        return self._journal.facts(query)

    def head(self) -> int:
        return self._journal.head()

    def take_timers(self, now: datetime, worker: str, **more: Any) -> list[Timer]:
        return self._journal.take_timers(now, worker, **more)

    def take_messages(self, now: datetime, worker: str, **more: Any) -> list[Message]:
        return self._journal.take_messages(now, worker, **more)

    def next_due(self) -> datetime | None:
        return self._journal.next_due()

    def close(self) -> None:
        self._journal.close()


def _lives(place: Place) -> None:
    place.fires()
    place.passes(MINUTE)
    place.resolves()
    place.passes(4 * MINUTE)


def _story(at: int, *, after: bool) -> tuple[bool, Sequence[Place]]:
    """Whether a server died at that commit, and the servers there were."""
    clock = FakeClock(T0)
    journal = MemoryJournal(clock)
    first = Place(CATALOG, journal=Dying(journal, at, after=after), clock=clock)
    try:
        _lives(first)
    except Died:
        second = Place(CATALOG, journal=journal, clock=clock)
        # Whoever held a lock is taken for gone after a while.
        second.passes(2 * MINUTE)
        _lives(second)
        return True, (first, second)
    return False, (first,)


@pytest.mark.parametrize("after", [False, True])
def test_a_server_may_die_at_every_commit(after: bool) -> None:
    died = 0
    for at in range(MOST):
        was_killed, places = _story(at, after=after)
        if not was_killed:
            break
        died += 1
        last = places[-1]
        done = sum(isinstance(act, Command) for place in places for act in place.actuator.done)
        triggered = len(last.facts("remedy.triggered"))
        assert done <= triggered, f"commit {at}: one alert, one restart, and {done} were done"
        planned = [str(fact.data["key"]) for fact in last.facts("runbook.planned")]
        assert len(planned) == len(set(planned)), "an attempt has one run"
        state = fold(last.facts("remedy."))
        for case in state.cases.values():
            run = next(one for one in last.runs.values() if one.data["key"] == case.run)
            # Killed between an act and its record, nobody knows whether it was done: a person is asked, not the act
            # repeated.
            assert case.phase is Phase.RUNNING, f"commit {at}: {case}"
            assert run.state is State.WAITING, f"commit {at}: {run.state}"
        if not state.cases:
            assert last.remedies()[-1] in ("verified", "ended"), f"commit {at}: {last.remedies()}"
        held = all_held(last.world.journal, last.clock.now() + timedelta(minutes=20))
        assert held == (), "no lock is held for ever"
    assert died > 20, "it died at many"
    assert died < MOST, "and the story came to its end"
