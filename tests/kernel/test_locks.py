"""A target is acted on by one thing at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mainstay.adapters.clock import FakeClock
from mainstay.adapters.memory import MemoryJournal
from mainstay.kernel.journal import Journal
from mainstay.kernel.locks import Locked, all_held, free, held, take

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def journal() -> Journal:
    return MemoryJournal(FakeClock(NOW))


def test_a_target_that_is_held_is_refused_to_another_and_nothing_of_the_rest_is_taken(journal: Journal):
    take(journal, ["api"], "experiment run-1", NOW, MINUTE)
    with pytest.raises(Locked, match="experiment run-1 acts on api"):
        take(journal, ["cache", "api"], "runbook run-2", NOW, MINUTE)
    assert held(journal, "cache", NOW) is None


def test_the_holder_prolongs_its_own_lock(journal: Journal):
    take(journal, ["api"], "experiment run-1", NOW, MINUTE)
    (lock,) = take(journal, ["api"], "experiment run-1", NOW + MINUTE / 2, MINUTE)
    assert lock.until == NOW + MINUTE * 1.5


def test_a_lock_ends_by_itself_for_whoever_was_killed(journal: Journal):
    take(journal, ["api"], "experiment run-1", NOW, MINUTE)
    assert held(journal, "api", NOW + MINUTE) is None
    assert take(journal, ["api"], "runbook run-2", NOW + MINUTE, MINUTE)[0].holder == "runbook run-2"


def test_a_freed_target_can_be_taken_and_freeing_twice_is_nothing(journal: Journal):
    locks = take(journal, ["api", "auth"], "experiment run-1", NOW, MINUTE)
    free(journal, locks, NOW)
    free(journal, locks, NOW)
    assert all_held(journal, NOW) == ()
    assert take(journal, ["api"], "runbook run-2", NOW, MINUTE)[0].turn == 2


def test_who_lost_a_lock_by_time_does_not_free_it_for_the_one_that_took_it(journal: Journal):
    old = take(journal, ["api"], "experiment run-1", NOW, MINUTE)
    take(journal, ["api"], "runbook run-2", NOW + MINUTE, MINUTE)
    free(journal, old, NOW + MINUTE)
    (lock,) = all_held(journal, NOW + MINUTE)
    assert lock.holder == "runbook run-2"


def test_of_two_that_take_at_once_one_is_refused(journal: Journal):
    """The second looked before the first had committed: the journal's fresh batch tells them apart."""
    class Late:
        """The journal as it was before the other's commit, for reading; the same for writing."""

        def facts(self, query: object):
            return iter(())

        def commit(self, batch):
            return journal.commit(batch)

    take(journal, ["api"], "experiment run-1", NOW, MINUTE)
    with pytest.raises(Locked, match="a moment ago"):
        take(Late(), ["api"], "runbook run-2", NOW, MINUTE)  # type: ignore[arg-type]
