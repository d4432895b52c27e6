"""Bulkhead, rate limit, adaptive limit, time-out: what may run, and for how long. Threads and tasks together."""

from __future__ import annotations

import asyncio
import gc
import heapq
import math
import threading
import time as real_time
import weakref
from contextlib import nullcontext, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.resilience import (
    AdaptiveLimit,
    Aimd,
    Breaker,
    BreakerRule,
    Budget,
    Bulkhead,
    BulkheadFull,
    Gradient,
    Hedge,
    LastGood,
    LimitReached,
    ManualTime,
    RateLimit,
    RateLimited,
    Refused,
    TimedOut,
    Timeout,
    Vegas,
    returned,
)
from mainstay.resilience.adaptive import Law

# -- bulkhead ---------------------------------------------------------------------------------------------------------


class Crowd:
    """Counts how many are in at once."""

    def __init__(self) -> None:
        self.inside = self.most = self.served = 0
        self._lock = threading.Lock()

    def enter(self, by: int) -> None:
        with self._lock:
            self.inside += by
            self.served += by > 0
            self.most = max(self.most, self.inside)

    def stay(self) -> None:
        self.enter(1)
        real_time.sleep(0.001)
        self.enter(-1)

    async def stay_async(self) -> None:
        self.enter(1)
        try:
            await asyncio.sleep(0.001)
        finally:
            self.enter(-1)


def test_threads_and_tasks_of_two_loops_share_one_bulkhead_and_nobody_is_lost():
    bulkhead, crowd = Bulkhead("x", 3, queue=1000), Crowd()
    stay, stay_async = bulkhead(crowd.stay), bulkhead(crowd.stay_async)

    def thread() -> None:
        for _ in range(20):
            stay()

    async def tasks() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(60):
                group.create_task(stay_async())

    threads = [threading.Thread(target=thread) for _ in range(4)]
    threads += [threading.Thread(target=asyncio.run, args=(tasks(),)) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
    assert (crowd.most, crowd.served) == (3, 4 * 20 + 2 * 60)
    assert (bulkhead.running, bulkhead.waiting) == (0, 0)


def test_tasks_cancelled_at_any_moment_lose_no_place():
    bulkhead, crowd = Bulkhead("x", 2, queue=1000), Crowd()
    stay = bulkhead(crowd.stay_async)

    async def main() -> None:
        tasks = [asyncio.create_task(stay()) for _ in range(300)]
        for number, task in enumerate(tasks):
            if number % 3:
                await asyncio.sleep(0)
            if number % 2:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(main())
    assert (bulkhead.running, bulkhead.waiting, crowd.inside) == (0, 0, 0)
    assert crowd.most == 2
    assert crowd.served >= 150


def test_a_full_bulkhead_refuses_at_once_and_a_queue_for_as_long_as_it_says():
    bulkhead = Bulkhead("x", 1, queue=1, wait=0.05)
    with bulkhead.guard():
        with pytest.raises(BulkheadFull, match=r"no place came free within 0\.05 s"), bulkhead.guard():
            pass
        waiting = threading.Thread(target=bulkhead, args=(lambda: None,))
        waiting.start()
        waiting.join(10)

        async def two() -> list[object]:
            @bulkhead
            async def call() -> None: ...

            return await asyncio.gather(call(), call(), return_exceptions=True)

        first, second = map(str, asyncio.run(two()))
    assert first == "x: no place came free within 0.05 s"
    assert second == "x: 1 calls are running and 1 are waiting"
    assert bulkhead.counts() == {"waited_in_vain": 2, "refused": 1}


def test_a_place_that_comes_before_anybody_waits_for_it_is_not_missed():
    bulkhead = Bulkhead("x", 1, queue=1, wait=5)
    for wait in (lambda place: place.in_thread(), lambda place: asyncio.run(place.in_task())):
        bulkhead.before(0.0)
        place = bulkhead.before(0.0)
        bulkhead.after(None, 0.0, None, None)
        began = real_time.monotonic()
        wait(place)
        assert real_time.monotonic() - began < 4
        bulkhead.after(place, 0.0, None, None)
    assert bulkhead.running == 0


def test_a_task_whose_loop_is_gone_does_not_keep_its_place():
    bulkhead = Bulkhead("x", 1, queue=2)
    loop = asyncio.new_event_loop()

    @bulkhead
    async def call() -> None: ...

    with bulkhead.guard():
        task = loop.create_task(call())
        loop.run_until_complete(asyncio.sleep(0))
        assert bulkhead.waiting == 1
        loop.close()
    assert bulkhead.running == 0
    assert bulkhead.call(lambda: 7) == 7
    task._log_destroy_pending = False  # nobody will ever end it, which is the point here
    with suppress(RuntimeError):
        task.get_coro().close()


# -- rate limit -------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.floats(0, 2), max_size=80), st.sampled_from([0.5, 1.0, 3.0, 10.0]), st.integers(1, 5),
       st.sampled_from([0.0, 0.7, 5.0]))
def test_over_any_stretch_no_more_calls_start_than_the_rate_and_the_burst_allow(gaps, rate, burst, wait):
    time = ManualTime()
    limit = RateLimit("x", rate, burst=burst, wait=wait, runtime=time.runtime)
    starts: list[float] = []
    for gap in gaps:
        time.advance(gap)
        try:
            place = limit.before(time.seconds)
        except RateLimited as refusal:
            time.advance((refusal.retry_after or math.nan) + 1e-6)
            place = limit.before(time.seconds)  # asking then helps
        starts.append(time.seconds + (place._seconds if place is not None else 0.0))
    for first in range(len(starts)):
        for last in range(first, len(starts)):
            assert last - first + 1 <= burst + rate * (starts[last] - starts[first]) + 1e-4


def test_a_call_that_is_early_waits_for_its_moment_in_threads_and_tasks():
    time = ManualTime()
    limit = RateLimit("x", 2, burst=2, wait=1.0, runtime=time.runtime)

    async def work() -> float:
        return time.seconds

    assert [limit.call(lambda: time.seconds) for _ in range(3)] == [0, 0, 0.5]
    assert asyncio.run(limit.call(work)) == 1.0
    assert time.slept == [0.5, 0.5]


def test_a_rate_limit_refuses_what_would_wait_too_long_and_says_when_to_ask_again():
    limit = RateLimit("x", 0.5, runtime=ManualTime().runtime)
    limit.call(lambda: None)
    with pytest.raises(RateLimited) as refusal:
        limit.call(lambda: None)
    assert refusal.value.retry_after == 2


def test_a_moment_that_is_not_taken_is_given_to_the_next():
    limit = RateLimit("x", 1, wait=10)

    @limit
    async def call() -> None: ...

    async def main() -> None:
        await call()
        waiting = asyncio.create_task(call())
        await asyncio.sleep(0)
        due = limit._due
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert due is not None
        assert limit._due == pytest.approx(due - 1)

    asyncio.run(main())


# -- adaptive limit ---------------------------------------------------------------------------------------------------


def settled(law: Law, capacity: int, calls: int = 40_000) -> float:
    """The mean limit, over the second half, at a dependency that serves `capacity` calls at once in 10 ms each and
    queues the rest, under more demand than it can serve: simulated call by call."""
    time = ManualTime()
    limit = AdaptiveLimit("x", law, start=10, most=500, runtime=time.runtime)
    servers, ends, total = [0.0] * capacity, [], 0.0
    for number in range(calls):
        while limit._running < limit.limit:
            permit = limit.before(time.seconds)
            end = max(time.seconds, servers[0]) + 0.010
            heapq.heapreplace(servers, end)
            heapq.heappush(ends, (end, number, limit._running, permit))
        time.seconds, *_, permit = heapq.heappop(ends)
        limit.after(permit, time.seconds, None, None)
        total += limit._limit if number >= calls // 2 else 0.0
    return total / (calls - calls // 2)


@pytest.mark.parametrize("law", [lambda: Aimd(slow_seconds=0.015), Vegas, Gradient],
                         ids=["aimd", "vegas", "gradient"])
@pytest.mark.parametrize("capacity", [20, 100])
def test_a_law_finds_what_a_dependency_can_take_and_stays_there(law, capacity):
    assert capacity * 0.9 <= settled(law(), capacity) <= capacity * 2


def test_many_calls_that_meet_one_full_queue_shrink_the_limit_once():
    limit = AdaptiveLimit("x", Aimd(), start=100)
    permits = [limit.before(0.0) for _ in range(100)]
    for permit in permits:
        limit.after(permit, 1.0, TimeoutError(), None)
    assert limit.limit == 90


def test_drops_shrink_the_limit_and_it_keeps_its_bounds():
    for law in (Aimd(), Vegas(), Gradient()):
        limit = AdaptiveLimit("x", law, start=50, least=5, runtime=ManualTime().runtime)
        for _ in range(500):
            with suppress(TimeoutError):
                limit.call(_times_out)
        assert limit.limit == 5


def _times_out() -> None:
    raise TimeoutError


def test_a_limit_that_is_not_used_does_not_grow():
    limit = AdaptiveLimit("x", Aimd(), start=50)
    for _ in range(500):
        limit.call(lambda: None)
    assert limit.limit == 50


def test_beyond_the_limit_calls_are_refused_and_refusals_and_cancellations_teach_nothing():
    limit = AdaptiveLimit("x", Aimd(), start=2, dropped=returned(lambda _: True))
    held = [limit.before(0.0), limit.before(0.0)]
    with pytest.raises(LimitReached):
        limit.call(lambda: None)
    limit.after(held[0], 99.0, Refused("inner", "no"), None)
    limit.after(held[1], 99.0, asyncio.CancelledError(), None)
    assert (limit.limit, limit._running) == (2, 0)


# -- time-out ---------------------------------------------------------------------------------------------------------


def test_a_coroutine_is_cancelled_when_its_time_is_over():
    cancelled = []

    @Timeout("auth", 0.02)
    async def call() -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            cancelled.append(1)
            raise

    async def main() -> None:
        with pytest.raises(TimedOut, match=r"auth: no answer within 0\.02 s"):
            await call()
        assert asyncio.current_task().cancelling() == 0  # nothing is left of it

    asyncio.run(main())
    assert cancelled == [1]


def test_each_call_has_its_own_time_and_only_late_ones_are_ended():
    call = Timeout("x", 1.0)(asyncio.sleep)

    async def main() -> list[object]:
        async def later(start: float, seconds: float) -> None:
            await asyncio.sleep(start)
            await call(seconds)

        plan = [(0.0, 0.01), (0.0, 50.0), (0.5, 0.01), (0.5, 50.0), (1.2, 0.02)]
        return await asyncio.gather(*(later(*one) for one in plan), return_exceptions=True)

    assert [type(end).__name__ for end in asyncio.run(main())] == \
        ["NoneType", "TimedOut", "NoneType", "TimedOut", "NoneType"]


@pytest.mark.parametrize("seconds", [0.01, 5.0])
def test_a_cancellation_by_somebody_else_stays_one(seconds):
    call = Timeout("x", seconds)(asyncio.sleep)

    async def main() -> None:
        task = asyncio.create_task(call(10))
        await asyncio.sleep(0)
        if seconds < 1:  # at the same moment as the time-out
            real_time.sleep(0.02)
            asyncio.get_running_loop().call_soon(task.cancel)
        else:
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_time_outs_inside_each_other_end_the_right_one():
    inner, outer = Timeout("inner", 30), Timeout("outer", 0.02)

    async def main() -> None:
        with pytest.raises(TimedOut, match="outer"):
            await outer.call(inner(asyncio.sleep), 60)
        with pytest.raises(TimedOut, match="inner"):
            await Timeout("outer", 30).call(Timeout("inner", 0.02)(asyncio.sleep), 60)

    asyncio.run(main())


def test_it_leaves_at_most_one_timer_in_the_loop_however_many_calls_there_were():
    timeout = Timeout("x", 60)
    call = timeout(asyncio.sleep)

    async def main() -> None:
        for _ in range(1000):
            await call(0)
        assert len(asyncio.get_running_loop()._scheduled) == 1
        assert not timeout._alarms_of(asyncio.get_running_loop())._pending

    asyncio.run(main())


def test_one_time_out_serves_several_loops_and_forgets_those_that_are_gone():
    timeout, loops = Timeout("x", 0.02), []

    @timeout
    async def call(seconds: float) -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await asyncio.sleep(seconds)

    for seconds in (10, 0, 10):
        with pytest.raises(TimedOut) if seconds else nullcontext():
            asyncio.run(call(seconds))
    gc.collect()
    assert [loop() for loop in loops] == [None] * 3


def test_a_block_of_a_coroutine_is_ended_and_one_of_a_plain_function_is_refused():
    async def main() -> None:
        with pytest.raises(TimedOut):
            async with Timeout("x", 0.01).guard():
                await asyncio.sleep(10)

    asyncio.run(main())
    with pytest.raises(TypeError, match="decorate a function"), Timeout("x", 1).guard():
        pass


def test_a_plain_function_is_left_behind_and_counted_until_it_ends():
    go = threading.Event()
    timeout = Timeout("x", 1.0)
    with pytest.raises(TimedOut):
        timeout.call(go.wait, 60)
    assert [s.value for s in timeout.samples() if s.metric == "resilience_abandoned_calls"] == [1]
    go.set()
    assert timeout.call(lambda: "well") == "well"
    with pytest.raises(ZeroDivisionError):
        timeout.call(lambda: 1 // 0)


def test_a_time_out_counts_as_a_failure_of_a_breaker_around_it():
    breaker = Breaker("x", BreakerRule(minimum_calls=1))
    with pytest.raises(TimedOut):
        asyncio.run(breaker(Timeout("x", 0.01)(asyncio.sleep))(5))
    assert breaker.state == "open"


NAN = float("nan")


@pytest.mark.parametrize("wrong", [
    lambda: Bulkhead("x", 0), lambda: Bulkhead("x", 1, queue=-1), lambda: Bulkhead("x", 1, wait=-1),
    lambda: RateLimit("x", 0), lambda: RateLimit("x", 1, burst=0), lambda: RateLimit("x", 1, wait=-1),
    lambda: AdaptiveLimit("x", Aimd(), start=0), lambda: AdaptiveLimit("x", Aimd(), least=30), lambda: Aimd(0),
    lambda: Aimd(1, decrease=1), lambda: Vegas(3, 3), lambda: Gradient(0), lambda: Timeout("x", 0),
    lambda: Bulkhead("x", 1, wait=NAN), lambda: RateLimit("x", NAN), lambda: Timeout("x", NAN), lambda: Aimd(NAN),
    lambda: Gradient(NAN), lambda: Hedge("x", NAN), lambda: LastGood("x", NAN), lambda: Budget(NAN)])
def test_a_limit_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match=r"."):
        wrong()


def test_a_condition_of_the_program_that_fails_costs_no_place():
    time = ManualTime()
    asks_zero = returned(lambda result: 1 / result > 0)
    limit = AdaptiveLimit("x", Aimd(), dropped=asks_zero)
    breaker = Breaker("x", BreakerRule(trials=1, pause=1, failed=asks_zero), time.runtime)
    breaker.open()
    time.advance(1)
    for strategy in (limit, breaker):
        with pytest.raises(ZeroDivisionError):
            strategy.call(lambda: 0)
    assert limit._running == 0
    breaker.call(lambda: -1)
    assert breaker.state == "closed"


def test_a_stress_of_threads_leaves_every_figure_exact():
    """Bounded in time: eight threads, a breaker and a bulkhead and a limit around each call."""
    breaker = Breaker("x", BreakerRule(failure_rate=1.0))
    bulkhead, limit = Bulkhead("x", 4, queue=100), AdaptiveLimit("x", Aimd(), start=100)
    done, failed = [], []

    @breaker
    @bulkhead
    @limit
    def call(number: int) -> None:
        if number % 5 == 0:
            raise ConnectionError

    def thread() -> None:
        for number in range(2000):
            try:
                call(number)
                done.append(1)
            except ConnectionError:
                failed.append(1)

    threads = [threading.Thread(target=thread) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert (len(done), len(failed)) == (8 * 1600, 8 * 400)
    total = {s.metric: s.value for s in breaker.samples() if "total" in s.metric}
    assert total["resilience_breaker_calls_total"] == 16000
    assert total["resilience_breaker_failed_calls_total"] == 3200
    assert (bulkhead.running, bulkhead.waiting, limit._running) == (0, 0, 0)
    assert not math.isnan(limit._limit)
