"""What can never happen to a breaker and to a bulkhead, whatever the order of things: all small cases, exhaustively."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.resilience import (
    Breaker,
    BreakerOpen,
    BreakerRule,
    Bulkhead,
    BulkheadFull,
    LastCalls,
    LastSeconds,
    ManualTime,
    Tally,
)
from mainstay.resilience.breaker import Permit, _Trials
from mainstay.resilience.lifecycle import TRANSITIONS
from mainstay.resilience.window import CallWindow, TimeWindow
from resilience.interleavings import SteppedLock, reachable, schedules

PAUSE, TRIALS, LOST = 10.0, 2, 25.0
ENDS = {"well": None, "fails": ValueError(), "is cancelled": KeyboardInterrupt()}
RULE = BreakerRule(window=LastCalls(2), minimum_calls=2, failure_rate=0.5, pause=PAUSE, trials=TRIALS,
                   trial_seconds=LOST)


class BreakerWorld:
    """Callers who each make so many calls, and a clock that moves by a pause so many times."""

    def __init__(self, callers: int, calls: int, ticks: int) -> None:
        self.time = ManualTime()
        self.breaker = Breaker("x", RULE, self.time.runtime)
        self.seen: list[str] = []
        self.breaker.listen(lambda event: self.seen.append(event.what))
        self.left = [calls] * callers
        self.held: list[Permit | None] = [None] * callers
        self.ticks = ticks
        self.stretches: list[object] = [self.breaker._stretch]

    def moves(self) -> list[Hashable]:
        moves: list[Hashable] = ["tick"] if self.ticks else []
        for caller, permit in enumerate(self.held):
            if permit is not None:
                moves += [(caller, end) for end in ENDS]
            elif self.left[caller]:
                moves.append((caller, "asks"))
        return moves

    def make(self, move: Hashable) -> None:
        before = self.breaker.state
        if move == "tick":
            self.ticks -= 1
            self.time.advance(PAUSE)
            assert self.breaker.state == before
            return
        assert isinstance(move, tuple)
        caller, what = move
        if what == "asks":
            self._ask(caller)
        else:
            self._end(caller, what)
        changes = {to for (state, _), to in TRANSITIONS.items() if state == before}
        assert self.breaker.state == before or self.breaker.state in changes
        assert (before, self.breaker.state) != ("closed", "half_open")
        if isinstance(trials := self.breaker._stretch, _Trials):
            assert trials.ended + len(trials.out) <= TRIALS
            assert trials.ended < TRIALS, "when all trials have ended, it is decided"

    def _ask(self, caller: int) -> None:
        self.left[caller] -= 1
        try:
            permit = self.breaker.before(self.time.seconds)
        except BreakerOpen:
            assert self.breaker.state in {"open", "half_open"}
            return
        assert self.breaker.state in {"closed", "half_open"}
        self.held[caller] = permit

    def _end(self, caller: int, what: str) -> None:
        permit, self.held[caller] = self.held[caller], None
        assert permit is not None
        late = permit.stretch is not self.breaker._stretch
        before = self._inside()
        self.breaker.after(permit, self.time.seconds, ENDS[what], None)
        if late or what == "is cancelled":
            assert self.breaker.state == before[0]
        if late:
            assert self._inside() == before, "the end of a call of an earlier stretch changes nothing"

    def _inside(self) -> tuple[Hashable, ...]:
        breaker = self.breaker
        trials: Hashable = None
        if isinstance(stretch := breaker._stretch, _Trials):
            out = sorted(self.time.seconds - permit.began for permit in stretch.out)
            trials = (stretch.ended, stretch.failed, tuple(out))
        window = breaker._window
        assert isinstance(window, CallWindow)
        calls = window._numbers.read()
        bad = tuple(calls - number for number, *_ in window._bad if number > calls - 2)
        reopens = breaker._refuses_until - self.time.seconds
        return breaker.state, trials, min(calls, 2), bad, reopens

    def key(self) -> Hashable:
        # Callers are alike, so it does not matter which is which.
        callers = sorted((left, -1.0 if permit is None else self.time.seconds - permit.began,
                          permit is not None and permit.stretch is self.breaker._stretch,
                          permit is not None and isinstance(self.breaker._stretch, _Trials)
                          and permit in self.breaker._stretch.out)
                         for left, permit in zip(self.left, self.held, strict=True))
        return self._inside(), tuple(callers), self.ticks


@pytest.mark.parametrize(("callers", "calls", "ticks"), [(2, 3, 4), (3, 3, 2), (4, 2, 1)])
def test_no_order_of_calls_and_ends_breaks_a_rule_of_the_breaker_or_loses_a_permit(callers, calls, ticks):
    states = 0
    met: set[str] = set()
    for world, path in reachable(lambda: BreakerWorld(callers, calls, ticks)):
        assert isinstance(world, BreakerWorld)
        states += 1
        met.add(world.breaker.state)
        _give_all_back(world)
        assert _recovers(world), f"calls that succeed do not close it after {path}"
    assert met == {"closed", "open", "half_open"}
    assert states > 500


def _give_all_back(world: BreakerWorld) -> None:
    for caller, permit in enumerate(world.held):
        if permit is not None:
            world._end(caller, "is cancelled")
    if isinstance(trials := world.breaker._stretch, _Trials):
        assert not trials.out, "a permit is lost"


def _recovers(world: BreakerWorld) -> bool:
    """Whether it closes when the dependency is well again."""
    for _ in range(3 * TRIALS):
        if world.breaker.state == "open":
            world.time.advance(PAUSE)
        permit = world.breaker.before(world.time.seconds)
        world.breaker.after(permit, world.time.seconds, None, None)
        if world.breaker.state == "closed":
            return True
    return False


# -- below the decisions: real threads, line by line ------------------------------------------------------------------


def stepped(breaker: Breaker) -> Breaker:
    breaker._lock = SteppedLock()  # type: ignore[assignment]
    breaker._count_lock = SteppedLock()  # type: ignore[assignment]
    return breaker


def fails() -> None:
    raise ValueError


def tried(call: Callable[[], object], into: list[str]) -> Callable[[], None]:
    def work() -> None:
        try:
            call()
            into.append("well")
        except (ValueError, BreakerOpen) as error:
            into.append(type(error).__name__)

    return work


def test_two_threads_stopped_at_any_line_never_make_more_than_the_trials():
    def fresh() -> tuple[list[Callable[[], object]], Callable[[], None]]:
        time = ManualTime()
        breaker = stepped(Breaker("x", BreakerRule(pause=1, trials=1), time.runtime))
        breaker.open()
        time.advance(1)
        ends: list[str] = []

        def check() -> None:
            # Both may be served, but then the first had closed it before the second asked.
            assert sorted(ends) in (["BreakerOpen", "well"], ["well", "well"])
            assert breaker.state == "closed"
            assert breaker.tally().calls == ends.count("well") - 1

        return [tried(breaker(lambda: None), ends)] * 2, check

    assert len(list(schedules(fresh, 1))) > 50


def test_two_threads_stopped_at_any_line_count_every_call_once_and_trip_once():
    def fresh() -> tuple[list[Callable[[], object]], Callable[[], None]]:
        breaker = stepped(Breaker("x", BreakerRule(window=LastCalls(4), minimum_calls=2, failure_rate=1.0),
                                  ManualTime().runtime))
        ends: list[str] = []

        def check() -> None:
            assert breaker.state == "open"
            assert breaker.counts()["opened"] == 1
            assert breaker._past == Tally(2, 2, 0)

        return [tried(breaker(fails), ends)] * 2, check

    assert len(list(schedules(fresh, 2))) > 500


def test_good_calls_counted_without_a_lock_are_not_lost():
    def fresh() -> tuple[list[Callable[[], object]], Callable[[], None]]:
        breaker = stepped(Breaker("x", BreakerRule(window=LastCalls(9), minimum_calls=1, failure_rate=1.0),
                                  ManualTime().runtime))
        breaker.call(lambda: None)  # from now on good ends take the way without a lock
        ends: list[str] = []

        def check() -> None:
            assert breaker.tally() == Tally(3, 1, 0)

        return [tried(breaker(fails), ends), tried(breaker(lambda: None), ends)], check

    assert len(list(schedules(fresh, 2))) > 100


# -- windows against the plainest way to say it ---------------------------------------------------------------------

STEPS = st.lists(st.tuples(st.floats(0, 3), st.sampled_from(["well", "failed", "slow", "both"])), max_size=60)


@settings(deadline=None)
@given(STEPS, st.integers(1, 8), st.integers(1, 8))
def test_a_window_of_calls_is_the_list_of_the_last_ends(steps, size, minimum):
    minimum = min(size, minimum)
    window, ends = CallWindow(size, minimum), []
    for _, end in steps:
        failed, slow = end in {"failed", "both"}, end in {"slow", "both"}
        ends.append((failed, slow))
        last = ends[-size:]
        expected = Tally(len(last), sum(f for f, _ in last), sum(s for _, s in last))
        if end == "well" and window.quiet_until > 0:
            window.take()
        else:
            assert window.add(0.0, failed=failed, slow=slow) == (expected if len(ends) >= minimum else None)
        assert window.tally(0.0) == expected
    assert window.total() == Tally(len(ends), sum(f for f, _ in ends), sum(s for _, s in ends))


@settings(deadline=None)
@given(STEPS, st.integers(1, 5))
def test_a_window_of_time_is_the_list_of_the_ends_of_the_last_ten_buckets(steps, minimum):
    window, ends, now = TimeWindow(10.0, minimum, 0.0), [], 0.0
    for passed, end in steps:
        now += passed
        failed, slow = end in {"failed", "both"}, end in {"slow", "both"}
        ends.append((int(now), failed, slow))
        last = [e for e in ends if e[0] > int(now) - 10]
        expected = Tally(len(last), sum(f for _, f, _ in last), sum(s for *_, s in last))
        if end == "well" and now < window.quiet_until:
            window.take()
        else:
            assert window.add(now, failed=failed, slow=slow) == (expected if expected.calls >= minimum else None)
        assert window.tally(now) == expected
    assert window.total() == Tally(len(ends), sum(f for _, f, _ in ends), sum(s for *_, s in ends))


@settings(deadline=None)
@given(STEPS, st.sampled_from([LastCalls(6), LastSeconds(10.0)]), st.integers(1, 6), st.sampled_from([0.25, 0.5, 1.0]))
def test_the_fast_way_opens_at_the_same_call_as_the_careful_one(steps, window, minimum, rate):
    """The careful way judges every end; the fast one leaves out those that cannot matter."""
    fast_time, careful_time = ManualTime(), ManualTime()
    rule = BreakerRule(window=window, minimum_calls=minimum, failure_rate=rate, slow_rate=rate, slow_seconds=5.0)
    fast, careful = Breaker("fast", rule, fast_time.runtime), Breaker("careful", rule, careful_time.runtime)
    for passed, end in steps:
        for breaker, time in ((fast, fast_time), (careful, careful_time)):
            if breaker is careful and breaker._passing is not None:
                breaker._passing.quiet_until = float("-inf")
            with contextlib.suppress(ValueError, BreakerOpen):
                breaker.call(ends_so, time, passed, end)
        assert fast.state == careful.state


def ends_so(time: ManualTime, passed: float, end: str) -> None:
    time.advance(passed + (6.0 if end in {"slow", "both"} else 0.0))
    if end in {"failed", "both"}:
        raise ValueError


# -- the bulkhead -----------------------------------------------------------------------------------------------------


class BulkheadWorld:
    """Callers of a bulkhead, who may leave the queue at any moment, also when their place has just come."""

    def __init__(self, callers: int, calls: int) -> None:
        self.bulkhead = Bulkhead("x", 2, queue=2)
        self.left = [calls] * callers
        self.place: list[object] = ["out"] * callers  # out, in, or a place in the queue
        self.order: list[int] = []

    def moves(self) -> list[Hashable]:
        return [(caller, move) for caller, place in enumerate(self.place)
                for move in ({"out": ["asks"] if self.left[caller] else [], "in": ["ends"]}.get(str(place))
                             if isinstance(place, str) else ["goes in"] if place.came else []) or []] + \
               [(caller, "leaves") for caller, place in enumerate(self.place) if not isinstance(place, str)]

    def make(self, move: Hashable) -> None:
        assert isinstance(move, tuple)
        caller, what = move
        place = self.place[caller]
        match what:
            case "asks":
                self.left[caller] -= 1
                try:
                    permit = self.bulkhead.before(0.0)
                except BulkheadFull:
                    assert (self.bulkhead.running, self.bulkhead.waiting) == (2, 2)
                    return
                self.place[caller] = "in" if permit is None else permit
                if permit is not None:
                    self.order.append(caller)
            case "ends":
                self.place[caller] = "out"
                self.bulkhead.after(None, 0.0, None, None)
            case "goes in":
                self.order.remove(caller)
                self.place[caller] = "in"
            case "leaves":
                self.order.remove(caller)
                self.place[caller] = "out"
                place._leave()
        came = sum(not isinstance(place, str) and place.came for place in self.place)
        served = [self.place[caller].came for caller in self.order]
        assert served == sorted(served, reverse=True), "first come, first served"
        assert self.bulkhead.running == self.place.count("in") + came <= 2, "a place is lost, or one too many"
        assert not self.bulkhead.waiting or self.bulkhead.running == 2, "somebody waits though there is room"

    def key(self) -> Hashable:
        places = tuple((left, place if isinstance(place, str) else ("came" if place.came else "waits"))
                       for left, place in zip(self.left, self.place, strict=True))
        return places, tuple(self.order)


def test_no_order_of_asking_leaving_and_ending_loses_a_place_or_a_wake_up():
    states = 0
    for world, _ in reachable(lambda: BulkheadWorld(4, 2)):
        assert isinstance(world, BulkheadWorld)
        states += 1
        if not any(world.left) and set(map(str, world.place)) == {"out"}:
            assert (world.bulkhead.running, world.bulkhead.waiting) == (0, 0)
    assert states > 500
