"""Fallback, the last good answer, and hedging."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from mainstay.resilience import (
    Breaker,
    BreakerOpen,
    Budget,
    Event,
    Fallback,
    Hedge,
    LastGood,
    ManualTime,
    raised,
    returned,
)

pytestmark = pytest.mark.alone


def fails(*_args: object) -> str:
    raise ConnectionError("down")


# -- fallback ---------------------------------------------------------------------------------------------------------


def test_another_answer_is_made_from_the_error_and_the_arguments():
    fallback = Fallback("x", lambda error, user: f"{user}: {error}")
    assert fallback.call(fails, "ada") == "ada: down"
    assert fallback.call(lambda user: user, "ada") == "ada"


def test_it_answers_for_refusals_too():
    breaker = Breaker("x")
    breaker.force_open()
    assert Fallback.value("x", []).call(breaker(fails)) == []


def test_it_answers_only_for_what_it_is_told_to():
    fallback = Fallback.value("x", "other", on=raised(BreakerOpen) | returned(lambda text: text == "bad"))
    with pytest.raises(ConnectionError):
        fallback.call(fails)
    assert fallback.call(lambda: "bad") == "other"


def test_when_the_other_answer_fails_too_both_errors_are_shown():
    with pytest.raises(ZeroDivisionError) as error:
        Fallback("x", lambda error: 1 // 0).call(fails)
    assert isinstance(error.value.__context__, ConnectionError)

    async def instead(_error: Exception) -> None:
        raise KeyError

    async def call() -> None:
        fails()

    fallback = Fallback("x", instead)
    with pytest.raises(KeyError):
        asyncio.run(fallback.call(call))
    assert fallback.counts() == {"fell_back": 1, "failed": 1}


def test_of_a_coroutine_the_other_answer_may_be_one_or_not():
    async def call() -> str:
        return fails()

    async def instead(error: Exception) -> str:
        await asyncio.sleep(0)
        return "awaited"

    assert asyncio.run(Fallback("x", instead).call(call)) == "awaited"
    assert asyncio.run(Fallback.value("x", "plain").call(call)) == "plain"


def test_a_cancelled_call_is_not_answered_for():
    async def main() -> None:
        task = asyncio.create_task(Fallback.value("x", None).call(asyncio.sleep, 10))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


# -- the last good answer ---------------------------------------------------------------------------------------------


class Source:
    """Answers with its version until it is taken down."""

    def __init__(self) -> None:
        self.version, self.down = 1, False

    def read(self, name: str) -> str:
        if self.down:
            fails()
        return f"{name} {self.version}"

    async def read_async(self, name: str) -> str:
        return self.read(name)


def test_the_last_good_answer_to_the_same_question_is_better_than_none():
    source, time, events = Source(), ManualTime(), []
    kept = LastGood("x", 60, runtime=time.runtime)
    kept.listen(events.append)
    read = kept(source.read)
    assert (read("a"), read("b")) == ("a 1", "b 1")
    source.version = 2
    assert read("a") == "a 2"
    source.down = True
    time.advance(59)
    assert (read("a"), read("b")) == ("a 2", "b 1")
    with pytest.raises(ConnectionError):
        read("c")
    time.advance(2)
    with pytest.raises(ConnectionError):
        read("a")
    assert [(event.what, event.detail.get("age")) for event in events] == \
        [("stale", 59), ("stale", 59), ("nothing_kept", None), ("nothing_kept", None)]


def test_coroutines_and_functions_share_what_is_kept():
    source, kept = Source(), LastGood("x", 60)
    assert kept.call(source.read, "a") == "a 1"
    source.down = True
    assert asyncio.run(kept.call(source.read_async, "a")) == "a 1"


def test_no_more_is_kept_than_it_says_and_bad_results_are_not():
    source = Source()
    kept = LastGood("x", 60, most=2, key=lambda name: None if name == "secret" else name,
                    on=raised() | returned(lambda text: "bad" in text))
    for name in ("a", "b", "bad", "secret", "c"):
        kept.call(source.read, name)
    assert list(kept._kept) == ["b", "c"]
    assert kept.call(lambda name: "bad news", "b") == "b 1"


def test_arguments_that_cannot_be_looked_up_are_refused_before_the_call():
    called = []
    with pytest.raises(TypeError, match="unhashable"):
        LastGood("x", 60).call(called.append, [])
    assert called == []


# -- hedging ----------------------------------------------------------------------------------------------------------


class Slow:
    """The first call hangs until it is let go; the further ones answer at once, or fail."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls, self.go, self.cancelled, self.error = 0, threading.Event(), 0, error

    def __call__(self) -> int:
        self.calls += 1
        number = self.calls
        if number == 1:
            self.go.wait(60)
        elif self.error:
            raise self.error
        return number

    async def in_task(self) -> int:
        self.calls += 1
        number = self.calls
        if number == 1:
            try:
                while not self.go.is_set():
                    await asyncio.sleep(0.001)
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        elif self.error:
            raise self.error
        return number


def test_a_late_call_is_made_again_and_the_first_answer_counts():
    slow, hedge = Slow(), Hedge("x", 0.5)  # long enough for the first call to be the first that begins
    assert hedge.call(slow) == 2
    slow.go.set()
    assert hedge.counts() == {"hedged": 1, "won_by_hedge": 1}


def test_the_coroutine_that_lost_is_cancelled_before_the_answer_is_given():
    slow = Slow()
    assert asyncio.run(Hedge("x", 0.01).call(slow.in_task)) == 2
    assert slow.cancelled == 1


def test_a_call_in_time_is_made_once():
    calls = []
    hedge = Hedge("x", 5.0)
    assert hedge.call(lambda: calls.append(1) or "in time") == "in time"

    async def quick() -> str:
        return "in time"

    assert asyncio.run(hedge.call(quick)) == "in time"
    assert (len(calls), hedge.counts()) == (1, {})


@pytest.mark.parametrize("colour", ["threads", "tasks"])
def test_a_failed_hedge_does_not_end_the_first_call(colour):
    slow = Slow(ConnectionError())
    hedge = Hedge("x", 0.5)  # as above
    hedge.listen(lambda event: threading.Timer(0.05, slow.go.set).start() if event.what == "hedged" else None)
    assert (hedge.call(slow) if colour == "threads" else asyncio.run(hedge.call(slow.in_task))) == 1


def test_an_error_in_time_is_not_hedged_and_when_all_fail_the_last_is_raised():
    calls = []

    def call() -> None:
        calls.append(1)
        raise ConnectionError(len(calls))

    async def call_async() -> None:
        call()

    for run in (lambda: Hedge("x", 5.0).call(call), lambda: asyncio.run(Hedge("x", 5.0).call(call_async))):
        calls.clear()
        with pytest.raises(ConnectionError, match="1"):
            run()
        assert len(calls) == 1


def test_hedges_are_paid_for_by_a_budget():
    hedge = Hedge("x", 0.005, most=3, budget=Budget(0, per_second=0, burst=1))
    slow = Slow()
    slow.error = ConnectionError()

    def let_go(event: Event) -> None:
        if event.what == "over_budget":
            while slow.calls < 2:  # threads begin when the machine lets them
                time.sleep(0.001)
            slow.go.set()

    hedge.listen(let_go)
    assert hedge.call(slow) == 1
    assert (slow.calls, hedge.counts()["over_budget"]) == (2, 1)


def test_cancelling_a_hedged_call_cancels_all_of_it():
    async def main() -> None:
        running = 0

        @Hedge("x", 0.01, most=3)
        async def call() -> None:
            nonlocal running
            running += 1
            try:
                await asyncio.sleep(10)
            finally:
                running -= 1

        task = asyncio.create_task(call())
        while running < 3:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert running == 0

    asyncio.run(main())
