"""Retry, and the algebras of waits, stops and conditions."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time as real_time
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.resilience import (
    NEVER,
    Budget,
    ManualTime,
    Retry,
    RetryRule,
    TimedOut,
    after_seconds,
    after_tries,
    current_try,
    decorrelated,
    exponential,
    fixed,
    linear,
    mark_given_up,
    never,
    on_behalf_of_try,
    raised,
    raised_where,
    returned,
    uniform,
)


class Down:
    """Fails so many times, and counts how often it is asked."""

    def __init__(self, times: int, error: type[Exception] = ConnectionError) -> None:
        self.times, self.error, self.asked = times, error, 0

    def __call__(self) -> str:
        self.asked += 1
        if self.asked <= self.times:
            raise self.error(f"try {self.asked}")
        return "up"


@pytest.fixture
def time() -> ManualTime:
    return ManualTime()


AT_ONCE = RetryRule(wait=fixed(0))


# -- trying again -----------------------------------------------------------------------------------------------------


def test_it_tries_until_it_works(time):
    down = Down(2)
    assert Retry("x", runtime=time.runtime).call(down) == "up"
    assert down.asked == 3
    assert time.slept == [0.05, 0.1]  # half of 0.1 and 0.2: the draw of the test is the middle


def test_it_gives_up_with_the_last_error_and_a_note(time):
    down = Down(9)
    with pytest.raises(ConnectionError, match="try 3") as raised_:
        Retry("auth", runtime=time.runtime).call(down)
    assert down.asked == 3
    assert raised_.value.__notes__ == ["auth: given up after 3 tries (exhausted)"]


def test_a_mistake_in_the_program_is_not_repeated(time):
    down = Down(1, TypeError)
    with pytest.raises(TypeError):
        Retry("x", runtime=time.runtime).call(down)
    assert (down.asked, time.slept) == (1, [])


def test_another_error_on_the_way_ends_it(time):
    errors = iter([ConnectionError(), KeyError()])

    def call() -> None:
        raise next(errors)

    with pytest.raises(KeyError):
        Retry("x", runtime=time.runtime).call(call)


def test_a_result_can_be_a_reason_to_try_again_and_the_last_one_is_returned(time):
    answers = iter([503, 503, 200, 1])
    retry = Retry("x", RetryRule(on=returned(lambda status: status == 503)), runtime=time.runtime)
    assert retry.call(lambda: next(answers)) == 200
    assert retry.call(lambda: 503) == 503
    assert retry.counts()["exhausted"] == 1


def test_it_waits_as_long_as_the_error_asks(time):
    error = ConnectionError()
    error.retry_after = 7  # type: ignore[attr-defined]

    def call() -> None:
        raise error

    with pytest.raises(ConnectionError):
        Retry("x", runtime=time.runtime).call(call)
    assert time.slept == [7, 7]


def test_coroutines_are_tried_again_too(time):
    down = Down(2)

    @Retry("x", runtime=time.runtime)
    async def call() -> str:
        await asyncio.sleep(0)
        return down()

    assert asyncio.run(call()) == "up"
    assert time.slept == [0.05, 0.1]


def test_a_cancelled_wait_ends_it():
    down = Down(9)

    @Retry("x", RetryRule(wait=fixed(60)))
    async def call() -> str:
        return down()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(call(), 0.05)

    asyncio.run(main())
    assert down.asked == 1


def test_the_retries_of_one_call_are_not_those_of_another():
    """tenacity's statistics of a wrapper, and its AsyncRetrying, are shared between calls (tenacity #701, #720)."""
    retry, asked = Retry("x", AT_ONCE), []

    @retry
    def call(number: int) -> int:
        asked.append(number)
        if asked.count(number) < 3:
            raise ConnectionError
        return number

    threads = [threading.Thread(target=call, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(asked) == sorted([*range(20)] * 3)


# -- the deadline -----------------------------------------------------------------------------------------------------


def test_no_wait_is_begun_that_would_end_after_the_deadline(time):
    """tenacity 9.2 `stop_after_delay(1)` with exponential waits ends after 1.5 s, stamina 26.1 `timeout=1` too."""
    rule = RetryRule(stop=never(), wait=exponential(0.1, most=10, jitter="none"), deadline=1.0)
    with pytest.raises(ConnectionError) as error:
        Retry("x", rule, runtime=time.runtime).call(Down(99))
    assert time.seconds == pytest.approx(0.7)  # 0.1 + 0.2 + 0.4; 0.8 more would be too late
    assert "out of time" in error.value.__notes__[0]


@pytest.mark.parametrize("hang", [0.0, 0.03, 5.0])
def test_the_deadline_ends_a_hanging_try_within_ten_milliseconds(hang):
    """stamina 26.1 `timeout=1` around a call that hangs for 3 s ends after 3 s.

    The best of some tries counts, because the machine may be busy; what is asked is that nothing adds to the deadline.
    """
    rule = RetryRule(stop=never(), wait=uniform(0, 0.02), deadline=0.15)
    ended = threading.Event()

    def call() -> None:
        ended.wait(hang)
        raise ConnectionError

    async def call_async() -> None:
        await asyncio.sleep(hang)
        raise ConnectionError

    over = []
    try:
        for _ in range(40):
            if over and max(min(over[::2]), min(over[1::2])) < 0.010:
                break
            for run in (lambda: Retry("x", rule).call(call), lambda: asyncio.run(Retry("x", rule).call(call_async))):
                began = real_time.monotonic()
                with pytest.raises((TimedOut, ConnectionError)):
                    run()
                over.append(real_time.monotonic() - began - 0.15)
    finally:
        ended.set()
    assert min(over[::2]) < 0.010
    assert min(over[1::2]) < 0.010


def test_a_call_that_nobody_waits_for_is_counted_until_it_ends():
    ended = threading.Event()
    retry = Retry("x", RetryRule(deadline=0.02))
    with pytest.raises(TimedOut):
        retry.call(ended.wait, 10)
    assert retry._patience.abandoned == 1
    ended.set()
    for _ in range(500):
        if not retry._patience.abandoned:
            break
        real_time.sleep(0.01)
    assert retry._patience.abandoned == 0


# -- storms -----------------------------------------------------------------------------------------------------------


def nested(layers: int, leaf: Down, swallow: bool = False, amplify: bool = False) -> int:
    """How often the leaf is asked by so many layers of three tries."""
    call = leaf
    for number in range(layers):
        on = returned(lambda result: result == "failed") | raised(ConnectionError)
        retry = Retry(f"layer {number}", RetryRule(on=on, wait=fixed(0), amplify=amplify))

        def layer(inner=call, retry=retry) -> str:
            try:
                return retry.call(inner)
            except ConnectionError as error:
                if swallow:
                    return "failed"
                raise ConnectionError("another, because of that") from error

        call = layer
    with contextlib.suppress(ConnectionError):
        call()
    return leaf.asked


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_layers_of_retries_do_not_multiply(layers):
    """Three layers of three tries make 27 calls in tenacity, stamina and backoff."""
    assert nested(layers, Down(99)) == 3


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_layers_that_swallow_the_error_add_and_do_not_multiply(layers):
    assert nested(layers, Down(99), swallow=True) <= 3 + 2 * (layers - 1)


def test_who_wants_the_product_may_have_it():
    assert nested(3, Down(99), amplify=True) == 27


def test_an_error_object_that_is_raised_again_and_again_is_still_retried():
    error, asked = ConnectionError(), []

    @Retry("x", AT_ONCE)
    def call() -> None:
        asked.append(1)
        raise error

    for _ in range(3):
        with pytest.raises(ConnectionError):
            call()
    assert len(asked) == 9


def test_an_error_that_cannot_be_written_to_is_marked_all_the_same():
    @dataclass(frozen=True)
    class Frozen(ConnectionError):
        number: int

    asked = []

    @Retry("outer", AT_ONCE)
    @Retry("inner", AT_ONCE)
    def call() -> None:
        asked.append(1)
        raise Frozen(3)

    with pytest.raises(Frozen):
        call()
    assert len(asked) == 3


def test_what_another_process_has_retried_is_not_repeated():
    asked = []

    @Retry("x", AT_ONCE)
    def call() -> None:
        asked.append(current_try())
        error = ConnectionError("503, and the other side has retried")
        mark_given_up(error)
        raise error

    with pytest.raises(ConnectionError):
        call()
    assert asked == [1]


def test_on_behalf_of_a_repeated_try_nothing_is_repeated():
    down = Down(9)
    with on_behalf_of_try(2), pytest.raises(ConnectionError):
        Retry("x", AT_ONCE).call(down)
    assert down.asked == 1


def test_the_number_of_the_try_can_be_sent_on():
    tries = []

    def call() -> None:
        tries.append(current_try())
        raise ConnectionError

    with pytest.raises(ConnectionError):
        Retry("x", AT_ONCE).call(call)
    assert (tries, current_try()) == ([1, 2, 3], 1)


def test_when_everything_fails_load_grows_by_the_budget_and_not_by_the_tries(time):
    budget = Budget(0.1, per_second=0, burst=5)
    down = Down(10**9)
    retry = Retry("x", AT_ONCE, budget=budget, runtime=time.runtime)
    for _ in range(1000):
        with pytest.raises(ConnectionError):
            retry.call(down)
    assert down.asked <= 1000 + 5 + 100
    assert down.asked > 1090
    assert retry.counts()["over_budget"] > 800


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["call", "spend"]), st.floats(0, 2)), max_size=200),
       st.floats(0, 1), st.floats(0, 2), st.floats(1, 5))
def test_a_budget_never_allows_more_than_it_says(steps, share, per_second, burst):
    budget, now, calls, spent, first = Budget(share, per_second=per_second, burst=burst), 0.0, 0, 0, None
    for what, passed in steps:
        now += passed
        if what == "call":
            budget.count()
            calls += 1
        else:
            first = now if first is None else first
            spent += budget.spend(now)
            assert spent <= burst + share * calls + per_second * (now - first) + 1e-6


# -- waits, stops, conditions ----------------------------------------------------------------------------------------

DRAWS = st.floats(0, 1, exclude_max=True)
SECONDS = st.floats(0, 100)
LEAVES = st.one_of(
    SECONDS.map(fixed),
    st.tuples(SECONDS, SECONDS).map(lambda two: uniform(min(two), max(two))),
    st.tuples(SECONDS, SECONDS).map(lambda two: linear(*two)),
    st.tuples(st.floats(0.001, 100), SECONDS, st.floats(1, 1e6), st.sampled_from(["none", "equal", "full"])).map(
        lambda it: exponential(it[0], most=it[1], factor=it[2], jitter=it[3])),
    st.tuples(st.floats(0.001, 100), SECONDS).map(lambda two: decorrelated(two[0], most=two[1])))
WAITS = st.recursive(LEAVES, lambda inner: st.tuples(st.sampled_from("+&|>"), inner, inner).map(
    lambda it: {"+": it[1].__add__, "&": it[1].__and__, "|": it[1].__or__, ">": it[1].then}[it[0]](it[2])))


@settings(deadline=None)
@given(WAITS, st.integers(1, 10**6), SECONDS, DRAWS)
def test_no_wait_is_negative_or_longer_than_its_cap_jitter_included(wait, tries, last, draw):
    """The retry of many programs draws jitter on top of the cap: a cap of 60 s waits 75."""
    assert 0 <= wait.seconds(tries, last, lambda: draw) <= wait.most


@given(LEAVES, LEAVES, st.integers(1, 50), SECONDS, DRAWS)
def test_the_algebra_of_waits_is_sum_longer_and_shorter(one, other, tries, last, draw):
    at = (tries, last, lambda: draw)
    a, b = one.seconds(*at), other.seconds(*at)
    assert (one + other).seconds(*at) == pytest.approx(a + b)
    assert ((one & other).seconds(*at), (one | other).seconds(*at)) == (max(a, b), min(a, b))


def test_exponential_waits_double_up_to_the_cap_and_do_not_overflow():
    wait = exponential(0.1, most=1.0, jitter="none")
    assert [wait.seconds(tries, 0.0, lambda: 0.5) for tries in (1, 2, 3, 4, 5, 10**9)] == \
        pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])


@pytest.mark.parametrize(("jitter", "least"), [("none", 0.8), ("equal", 0.4), ("full", 0.0)])
def test_jitter_draws_between_what_it_says(jitter, least):
    wait = exponential(0.1, most=10, jitter=jitter)
    assert wait.seconds(4, 0.0, lambda: 0.0) == pytest.approx(0.8)
    assert wait.seconds(4, 0.0, lambda: 1.0) == pytest.approx(least)


@pytest.mark.parametrize("wrong", [
    lambda: exponential(1, most=5, jitter="some"), lambda: exponential(float("nan"), most=5), lambda: uniform(2, 1),
    lambda: uniform(-1, 1), lambda: linear(-1, 5), lambda: decorrelated(0, most=5), lambda: after_seconds(-1),
    lambda: RetryRule(deadline=float("nan"))])
def test_waits_and_stops_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match=r"."):
        wrong()


def test_waits_can_be_chained():
    chain = fixed(1).then(fixed(2), fixed(3))
    assert [chain.seconds(tries, 0.0, lambda: 0.5) for tries in (1, 2, 3, 9)] == [1, 2, 3, 3]


@given(st.integers(1, 9), st.floats(0, 9), st.integers(1, 9), st.floats(0, 9))
def test_the_algebra_of_stops_is_or_and_and(tries, seconds, made, passed):
    one, other = after_tries(tries), after_seconds(seconds)
    assert (one | other).says(made, passed) == (made >= tries or passed > seconds)
    assert (one & other).says(made, passed) == (made >= tries and passed > seconds)
    assert (one | other).timed
    assert not one.timed


ERRORS = [None, ValueError(), KeyError(), ConnectionError(), ConnectionResetError()]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("result", [0, 1])
def test_the_algebra_of_conditions_is_or_and_and_not(error, result):
    conditions = [raised(ConnectionError), raised(KeyError, ValueError), raised_where(lambda e: True), NEVER,
                  returned(bool), returned(lambda r: r == 0)]
    for one in conditions:
        about = one.sees_errors if error is not None else one.sees_results
        assert (~one).holds(error, result) == (about and not one.holds(error, result))
        for other in conditions:
            both = one.holds(error, result), other.holds(error, result)
            assert ((one | other).holds(error, result), (one & other).holds(error, result)) == (any(both), all(both))


def test_cancellation_is_never_asked_about():
    assert not raised(Exception).holds(asyncio.CancelledError(), None)
    assert not (~raised(ValueError)).holds(KeyboardInterrupt(), None)


@pytest.mark.parametrize("wrong", [lambda: after_tries(0), lambda: exponential(0, most=1), lambda: fixed(-1),
                                   lambda: exponential(1, most=2, factor=0.5), lambda: RetryRule(deadline=0),
                                   lambda: Budget(-1), lambda: Budget(burst=0), lambda: Retry("")])
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match=r"."):
        wrong()
