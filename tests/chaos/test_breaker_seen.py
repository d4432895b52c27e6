"""A circuit breaker seen from outside: what the calls that reach a dependency and the answers of its caller prove."""

from __future__ import annotations

from mainstay.chaos.breaker_seen import BreakerSeen, Reached, Seen, judge
from mainstay.chaos.matrix import Answer

LENGTH, RATE = 10.0, 20


def answers(failing: float = 0.0, seconds: float = 0.01, length: float = LENGTH, *,
            fallback: bool = False) -> list[Answer]:
    """Twenty requests a second, of which the first so many seconds fail."""
    return [Answer(one / RATE, seconds, one / RATE < failing and not fallback) for one in range(round(length * RATE))]


def reached(stops_after: float, trial: float = 0.0) -> list[Reached]:
    """Every request reaches the dependency until then; afterwards one call each `trial` seconds does."""
    out = [Reached(0.0, 0.0)]
    for one in range(1, round(LENGTH * RATE) + 1):
        at = one / RATE
        trials = (at - stops_after) // trial if trial and at > stops_after else 0
        out.append(Reached(at, min(at, stops_after) * RATE + trials))
    return out


def judged(calls: list[Reached], during: list[Answer], after: list[Answer] | None = None) -> BreakerSeen:
    return judge(Seen(calls, answers(), during, answers(1.0, length=5) if after is None else after), LENGTH, 2.0)


def test_calls_that_stop_and_come_back_are_a_breaker_that_works() -> None:
    seen = judged(reached(0.5, trial=1.0), answers(LENGTH))
    assert (seen.verdict, seen.opened) == ("works", True)
    assert seen.calls_until_open is not None
    assert 7 <= seen.calls_until_open <= 12
    assert seen.refused_within == 0.01
    assert seen.closed_after is not None
    assert 0.9 <= seen.closed_after <= 1.0


def test_calls_that_go_on_are_no_breaker() -> None:
    seen = judged(reached(LENGTH), answers(LENGTH))
    assert seen.verdict == "does not open"
    assert "100 % of 100 requests" in seen.why
    assert seen.calls_until_open is None


def test_a_breaker_that_stays_open_is_told() -> None:
    seen = judged(reached(0.5), answers(LENGTH), answers(5.0, length=5))
    assert (seen.verdict, seen.closed_after) == ("does not close again", None)


def test_refusals_that_take_their_time_are_no_protection() -> None:
    assert judged(reached(0.5), answers(LENGTH, 1.5)).verdict == "leaves callers waiting"


def test_a_fallback_is_counted_as_answered() -> None:
    seen = judged(reached(0.5, trial=1.0), answers(LENGTH, fallback=True))
    assert (seen.verdict, seen.answered, seen.refused_within) == ("works", 1.0, None)


def test_too_few_requests_prove_nothing() -> None:
    seen = judge(Seen(reached(0.5), answers(), answers(length=1), answers()), 1.0, 2.0)
    assert seen.verdict == "not known"
