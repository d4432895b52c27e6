"""The breaker, one behaviour each."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from mainstay.resilience import (
    Breaker,
    BreakerOpen,
    BreakerRule,
    LastCalls,
    LastSeconds,
    ManualTime,
    RateLimited,
    exponential,
    fixed,
    raised,
    returned,
)
from mainstay.resilience.lifecycle import BY_OPERATOR, STATES, TRANSITIONS

SMALL = BreakerRule(window=LastCalls(4), minimum_calls=4, slow_seconds=1.0, pause=10.0, trials=2)


def well() -> str:
    return "well"


def fails() -> None:
    raise ConnectionError("down")


def end(breaker: Breaker, *ends: str, time: ManualTime | None = None) -> None:
    """Calls that end so: w(ell), f(ailed), s(low)."""
    for one in ends:
        def call(one: str = one) -> None:
            if one == "s" and time is not None:
                time.advance(2.0)
            if one == "f":
                fails()

        with contextlib.suppress(ConnectionError):
            breaker.call(call)


@pytest.fixture
def time() -> ManualTime:
    return ManualTime(now=1000.0)


@pytest.fixture
def breaker(time: ManualTime) -> Breaker:
    return Breaker("auth", SMALL, time.runtime)


def opened(breaker: Breaker) -> Breaker:
    end(breaker, *"ffff")
    assert breaker.state == "open"
    return breaker


def test_it_opens_when_half_of_the_calls_failed_and_not_before(breaker):
    end(breaker, *"wwwf")
    assert breaker.state == "closed"
    end(breaker, "f")
    assert breaker.state == "open"


def test_with_fewer_calls_than_the_minimum_nothing_is_judged(breaker):
    end(breaker, *"fff")
    assert breaker.state == "closed"


def test_a_good_call_that_reaches_the_minimum_is_judged(breaker):
    end(breaker, *"fffw")
    assert breaker.state == "open"


def test_old_calls_leave_the_window(breaker):
    end(breaker, *"fwwwwf")
    assert (breaker.state, breaker.tally()) == ("closed", (4, 1, 0))


def test_it_opens_when_all_calls_are_slow_though_none_failed(breaker, time):
    end(breaker, *"sss", time=time)
    assert breaker.state == "closed"
    end(breaker, "s", time=time)
    assert breaker.state == "open"


def test_a_window_of_time_forgets_what_is_older(time):
    breaker = Breaker("auth", BreakerRule(window=LastSeconds(10), minimum_calls=2, slow_seconds=99), time.runtime)
    end(breaker, "f")
    time.advance(11)
    end(breaker, "w")
    assert (breaker.state, breaker.tally()) == ("closed", (1, 0, 0))


def test_a_rate_can_rise_when_good_calls_grow_old(time):
    breaker = Breaker("auth", BreakerRule(window=LastSeconds(10), minimum_calls=2), time.runtime)
    end(breaker, *"wwwwwwww")
    time.advance(9.5)
    end(breaker, *"ff")
    assert breaker.state == "closed"
    time.advance(1)  # the good calls have left, and nothing failed anew
    end(breaker, "w")
    assert breaker.state == "open"


def test_an_open_breaker_refuses_at_once_and_says_for_how_long(breaker, time):
    opened(breaker)
    time.advance(4)
    with pytest.raises(BreakerOpen) as refusal:
        breaker.call(well)
    assert refusal.value.retry_after == pytest.approx(6)
    assert str(refusal.value) == \
        "auth: calls are held back, because of 4 calls 4 failed and 0 were slow; ask again in 6 s"


def test_exactly_the_trials_are_let_through_after_the_pause(breaker, time):
    opened(breaker)
    time.advance(10)
    permits = [breaker.before(time.seconds) for _ in range(2)]
    with pytest.raises(BreakerOpen, match="all 2 trials are out"):
        breaker.before(time.seconds)
    for permit in permits:
        breaker.after(permit, time.seconds, None, None)
    assert breaker.state == "closed"


def test_it_opens_again_as_soon_as_no_further_trial_can_help(breaker, time):
    opened(breaker)
    time.advance(10)
    end(breaker, "f")
    assert breaker.state == "open"


def test_a_cancelled_trial_gives_its_permit_back(breaker, time):
    opened(breaker)
    time.advance(10)
    for _ in range(5):
        breaker.after(breaker.before(time.seconds), time.seconds, asyncio.CancelledError(), None)
    end(breaker, *"ww")
    assert breaker.state == "closed"


def test_a_trial_that_never_comes_back_counts_as_failed(breaker, time):
    opened(breaker)
    time.advance(10)
    lost = [breaker.before(time.seconds) for _ in range(2)]
    time.advance(60)
    with pytest.raises(BreakerOpen):
        breaker.call(well)
    assert breaker.state == "open"
    breaker.after(lost[0], time.seconds, None, None)
    assert breaker.state == "open"


def test_what_comes_back_late_moves_nothing(breaker, time):
    early = [breaker.before(time.seconds) for _ in range(8)]
    opened(breaker)
    time.advance(10)
    end(breaker, *"ww")
    for permit in early:
        breaker.after(permit, time.seconds, ConnectionError(), None)
    assert (breaker.state, breaker.tally().calls, breaker.counts()["late"]) == ("closed", 0, 8)


def test_a_wall_clock_that_jumps_does_not_matter(breaker, monkeypatch):
    opened(breaker)
    monkeypatch.setattr("time.time", lambda: 9e9)
    with pytest.raises(BreakerOpen):
        breaker.call(well)


def test_pauses_grow_while_it_keeps_relapsing_and_start_anew_once_it_closed(time):
    rule = BreakerRule(window=LastCalls(1), minimum_calls=1, trials=1,
                       pause=fixed(0) + exponential(10, most=35, jitter="none"))
    breaker, pauses = Breaker("auth", rule, time.runtime), []
    for expected in (10, 20, 35):
        end(breaker, "f")
        with pytest.raises(BreakerOpen) as refusal:
            breaker.call(well)
        pauses.append(refusal.value.retry_after)
        time.advance(expected)
    end(breaker, *"wf")
    with pytest.raises(BreakerOpen) as refusal:
        breaker.call(well)
    assert [*pauses, refusal.value.retry_after] == [10, 20, 35, 10]


def test_cancelled_and_ignored_calls_are_not_counted(breaker):
    for error in (KeyboardInterrupt(), asyncio.CancelledError(), RateLimited("x", "full")):
        for _ in range(8):
            breaker.after(breaker.before(0.0), 0.0, error, None)
    assert (breaker.state, breaker.tally().calls) == ("closed", 0)


def test_only_what_is_called_a_failure_is_one(time):
    rule = BreakerRule(window=LastCalls(2), minimum_calls=2,
                       failed=raised(ConnectionError) | returned(lambda status: status >= 500))
    breaker = Breaker("auth", rule, time.runtime)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            breaker.call(lambda: 1 // 0)
    assert breaker.tally() == (2, 0, 0)
    assert [breaker.call(lambda: 503) for _ in range(1)] == [503]
    assert breaker.state == "open"


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("change", BY_OPERATOR)
def test_an_operator_can_do_everything_in_every_state(state, change, breaker, time):
    ways = {"closed": breaker.close, "open": breaker.open, "forced_open": breaker.force_open,
            "metrics_only": breaker.observe, "disabled": breaker.disable}
    if state == "half_open":
        opened(breaker)
        time.advance(10)
        breaker.before(time.seconds)
    else:
        ways[state]()
    assert breaker.state == state
    getattr(breaker, change)()
    assert breaker.state == TRANSITIONS[state, change]


def test_a_closed_breaker_never_asks_for_trials():
    assert "half_open" not in [to for (state, _), to in TRANSITIONS.items() if state == "closed"]


def test_forced_open_refuses_until_told_otherwise(breaker, time):
    breaker.force_open()
    time.advance(1e9)
    with pytest.raises(BreakerOpen):
        breaker.call(well)
    breaker.close()
    assert breaker.call(well) == "well"


def test_observing_counts_and_never_opens_and_disabled_does_not_even_count(breaker):
    breaker.observe()
    end(breaker, *"ffffff")
    assert (breaker.state, breaker.tally()) == ("metrics_only", (4, 4, 0))
    breaker.disable()
    end(breaker, *"ffffff")
    assert (breaker.state, breaker.tally().calls) == ("disabled", 0)


def test_changes_are_told_with_what_brought_them_about(breaker, time):
    events = []
    breaker.listen(events.append)
    opened(breaker)
    time.advance(10)
    end(breaker, *"ww")
    assert [(event.what, event.detail["from"]) for event in events] == \
        [("opened", "closed"), ("half_opened", "open"), ("closed", "half_open")]
    assert events[0].detail == {"from": "closed", "calls": 4, "failed": 4, "slow": 0}


def test_a_listener_may_ask_the_breaker_and_one_that_fails_is_logged(breaker, caplog):
    seen = []
    breaker.listen(lambda event: 1 // 0)
    breaker.listen(lambda event: seen.append(breaker.tally()))
    opened(breaker)
    assert len(seen) == 1
    assert "a listener failed" in caplog.text


@pytest.mark.parametrize("wrong", [{"failure_rate": 0}, {"failure_rate": 50}, {"slow_rate": 1.1}, {"pause": 0},
                                   {"trials": 0}, {"minimum_calls": 0}, {"minimum_calls": 101}, {"slow_seconds": 0},
                                   {"window": LastSeconds(0)}, {"trial_seconds": 0}])
def test_a_rule_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        BreakerRule(**wrong)


def test_calls_are_not_made_one_after_the_other():
    """pybreaker 1.4 holds a lock around the call: ten of 100 ms take a second there."""
    breaker, together = Breaker("auth"), threading.Barrier(10)
    threads = [threading.Thread(target=breaker(lambda: together.wait(10))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not together.broken
    assert breaker.tally().calls == 10


def test_of_twenty_callers_at_once_one_tries_the_recovering_dependency():
    """circuitbreaker 2.1, purgatory 3, aiobreaker 1.2 and hyx 0.0.2 let all twenty through."""
    time = ManualTime()
    breaker = Breaker("auth", BreakerRule(pause=1, trials=1), time.runtime)
    breaker.open()
    time.advance(1)

    async def all_at_once() -> tuple[int, int]:
        asked = 0

        @breaker
        async def recovering() -> None:
            nonlocal asked
            asked += 1
            await asyncio.sleep(0)

        ends = await asyncio.gather(*(recovering() for _ in range(20)), return_exceptions=True)
        return asked, sum(isinstance(end, BreakerOpen) for end in ends)

    assert asyncio.run(all_at_once()) == (1, 19)
