"""What becomes of a run whose guard, or whose own program, fails: it is said, and the target is free again."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from chaos.played import SLOW, Played
from mainstay.adapters.memory_faults import MemoryInjector
from mainstay.chaos.lifecycle import Status
from mainstay.kernel.errors import MainstayError
from mainstay.kernel.faults import Order
from mainstay.kernel.locks import all_held


def test_a_guard_that_cannot_be_set_up_aborts_the_run_says_why_and_frees_the_target():
    class Unguarded(MemoryInjector):
        @contextmanager
        def guard(self, run: str, *, manual: bool = False):  # type: ignore[no-untyped-def]
            raise MainstayError("the guardians did not begin")
            yield

    played = Played(SLOW, injector=Unguarded)
    run = played.run()
    assert (run.status, run.reasons) == (Status.ABORTED, ("the guardians did not begin",))
    assert all_held(played.journal, played.clock.now()) == ()


def test_a_run_that_breaks_off_frees_the_target():
    class Broken(MemoryInjector):
        def means(self, order: Order):  # type: ignore[no-untyped-def]
            if self.asked:
                raise RuntimeError("a mistake of ours")
            self.asked = True
            return super().means(order)

        asked = False

    played = Played(SLOW, injector=Broken)
    with pytest.raises(RuntimeError):
        played.run()
    assert all_held(played.journal, played.clock.now()) == ()
