"""The circuit breaker: stops calling what is down, and finds out carefully whether it is back.

Its life is the table in `lifecycle`. Rules and defaults are those of resilience4j, except where noted.

Source: resilience4j documentation, "CircuitBreaker".
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar, ParamSpec, TypeVar

from mainstay.resilience.condition import Condition, raised
from mainstay.resilience.lifecycle import STATES, TRANSITIONS, BreakerState, Change
from mainstay.resilience.refusal import BreakerOpen, Refused
from mainstay.resilience.runtime import REAL, Runtime
from mainstay.resilience.strategy import Gate, Sample
from mainstay.resilience.waits import Wait, fixed
from mainstay.resilience.window import CallWindow, Tally, TimeWindow, Window

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class LastCalls:
    """A window of the last calls, however old they are."""

    calls: int = 100


@dataclass(frozen=True, slots=True)
class LastSeconds:
    """A window of the last seconds, however many calls they hold."""

    seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class BreakerRule:
    """When a breaker opens, for how long, and what it takes to close it.

    Args:
        window: the calls that are looked at.
        minimum_calls: with fewer calls in the window nothing is judged; at most as many as a window of calls holds.
        failure_rate, slow_rate: shares, 0 < share <= 1; the breaker opens when either is reached.
        slow_seconds: a call that takes longer is slow, whether it failed or not.
        pause: how long it stays open, in seconds; a `Wait` may grow with every relapse and spread with jitter, so that
            not all replicas try again at the same moment.
        trials: how many calls may try whether the dependency is back: exactly so many, also under load.
        trial_seconds: a trial that has not come back after so long counts as a failure, so that a hanging dependency
            cannot hold the breaker half open for ever. (resilience4j gives up the whole half-open state instead.)
        failed: which ends are failures; all other ends are good.
        ignored: which ends say nothing about the dependency and are not counted; by default refusals of other
            strategies further in, which never reached it. Cancelled calls are never counted.

    Raises:
        ValueError: a figure is out of its range.
    """

    window: LastCalls | LastSeconds = LastCalls()
    minimum_calls: int = 100
    failure_rate: float = 0.5
    slow_rate: float = 1.0
    slow_seconds: float = 60.0
    pause: float | Wait = 60.0
    trials: int = 10
    trial_seconds: float = 60.0
    failed: Condition = field(default_factory=raised)
    ignored: Condition = field(default_factory=lambda: raised(Refused))

    def __post_init__(self) -> None:
        most = self.window.calls if isinstance(self.window, LastCalls) else self.minimum_calls
        _check(1 <= self.minimum_calls <= most, "minimum_calls", "is at least 1, and no more than the window holds")
        _check(isinstance(self.window, LastCalls) or self.window.seconds > 0, "window", "is longer than 0 s")
        _check(0 < self.failure_rate <= 1, "failure_rate", "is a share: above 0, up to 1")
        _check(0 < self.slow_rate <= 1, "slow_rate", "is a share: above 0, up to 1")
        _check(self.slow_seconds > 0 and self.trial_seconds > 0, "slow_seconds and trial_seconds", "are above 0")
        _check(isinstance(self.pause, Wait) or self.pause > 0, "pause", "is above 0 s")
        _check(self.trials >= 1, "trials", "is at least 1")


class Permit:
    """One call that was let through: when it began, and the stretch of the breaker's life it belongs to."""

    __slots__ = ("began", "stretch")

    def __init__(self, stretch: object, began: float) -> None:
        self.stretch, self.began = stretch, began


class _Trials:
    """One half-open stretch: the permits that are out, and how the others ended."""

    __slots__ = ("ended", "failed", "out", "slow")

    def __init__(self) -> None:
        self.out: dict[Permit, None] = {}  # in the order in which they were given
        self.ended = self.failed = self.slow = 0


class Breaker(Gate):
    """Lets calls through while enough of them succeed in time; else refuses them until trials went well.

    The end of a call counts only in the stretch of life in which the call began: what was sent before the breaker
    opened, and comes back late, neither opens nor closes anything.

    Events: `opened`, `half_opened`, `closed`, `forced_open`, `observing`, `disabled`, each with `from`, and for those a
    rate brought about `calls`, `failed`, `slow`; `refused`; `late` (a bad or slow end of an earlier stretch).
    """

    kind: ClassVar[str] = "breaker"

    def __init__(self, name: str, rule: BreakerRule | None = None, runtime: Runtime = REAL) -> None:
        super().__init__(name, runtime)
        self.rule = rule or BreakerRule()
        self._pause = self.rule.pause if isinstance(self.rule.pause, Wait) else fixed(self.rule.pause)
        self._state: BreakerState = "closed"
        self._relapses = 0  # times it opened since it was last closed
        self._paused = 0.0  # the last pause, which some waits grow from
        self._refuses_until = -math.inf  # while the clock is before it, no call can be let through
        self._why = ""
        self._past = Tally(0, 0, 0)
        self._window = self._new_window()
        self._stretch: object = self._window  # what ends are counted in; None where they are not looked at
        self._passing: Window | None = self._window  # the same while every call passes, for the fast way

    # -- deciding -------------------------------------------------------------------------------------------------

    @property
    def state(self) -> BreakerState:
        """Where it stands. An open breaker becomes half open with the first call after its pause, not before."""
        return self._state

    def before(self, now: float) -> Permit:
        """See `Gate`.

        Raises:
            BreakerOpen: calls are held back, or all trials are out.
        """
        passing = self._passing
        if passing is not None:
            return Permit(passing, now)
        if now < self._refuses_until:  # needs no lock: nothing is decided, and nothing is given out
            raise self._refusal(now)
        try:
            with self._lock:
                return self._admitted(now)
        finally:
            self._tell()

    def after(self, permit: object, now: float, error: BaseException | None, result: object) -> None:
        """See `Gate`."""
        assert isinstance(permit, Permit)
        if permit.stretch is None:
            return
        try:
            counted = not self._says_nothing(error, result)
            failed = counted and self.rule.failed.holds(error, result)
        except BaseException:  # a condition of the program failed; that must not cost a trial
            with self._lock:
                if isinstance(permit.stretch, _Trials):
                    permit.stretch.out.pop(permit, None)
            raise
        slow = now - permit.began > self.rule.slow_seconds
        with self._lock:
            if permit.stretch is not self._stretch:
                self._note("late")
            elif isinstance(permit.stretch, _Trials):
                # A permit that was given up for lost is no longer out, and its end no longer news.
                if permit in permit.stretch.out:
                    del permit.stretch.out[permit]
                    if counted:
                        self._end_trial(permit.stretch, now, failed=failed, slow=slow)
            elif counted:
                tally = self._window.add(now, failed=failed, slow=slow)
                if tally is not None and self._state == "closed" and self._is_bad(tally):
                    self._change("trips", now, tally)
        self._tell()

    def _refusal(self, now: float) -> BreakerOpen:
        self._announce("refused")
        left = self._refuses_until - now
        return BreakerOpen(self.name, self._why, left if 0 <= left < math.inf else None)

    def _says_nothing(self, error: BaseException | None, result: object) -> bool:
        return (error is not None and not isinstance(error, Exception)) or self.rule.ignored.holds(error, result)

    def _is_bad(self, tally: Tally) -> bool:
        return tally.reaches(self.rule.failure_rate, self.rule.slow_rate)

    def _admitted(self, now: float) -> Permit:
        """The permit, decided under the lock."""
        if self._state == "open" and now >= self._refuses_until:
            self._change("waited", now)
        if isinstance(self._stretch, _Trials):
            self._give_up_lost_trials(self._stretch, now)
        match self._state:
            case "closed" | "metrics_only" | "disabled":
                return Permit(self._stretch, now)
            case "half_open":
                return self._trial(now)
            case "open" | "forced_open":  # opened by another thread since the look without a lock
                self._note("refused")
                raise BreakerOpen(self.name, self._why)

    # -- half open ------------------------------------------------------------------------------------------------

    def _trial(self, now: float) -> Permit:
        trials = self._stretch
        assert isinstance(trials, _Trials)
        if trials.ended + len(trials.out) >= self.rule.trials:
            self._note("refused")
            raise BreakerOpen(self.name, f"all {self.rule.trials} trials are out")
        permit = Permit(trials, now)
        trials.out[permit] = None
        return permit

    def _end_trial(self, trials: _Trials, now: float, *, failed: bool, slow: bool) -> None:
        """Count a trial; open again as soon as no further trial can help, close when all went well enough."""
        self._window.add(now, failed=failed, slow=slow)  # for the figures alone
        trials.ended += 1
        trials.failed += failed
        trials.slow += slow
        tally = Tally(self.rule.trials, trials.failed, trials.slow)
        if self._is_bad(tally):
            self._change("relapses", now, tally._replace(calls=trials.ended))
        elif trials.ended == self.rule.trials:
            self._change("recovers", now, tally)

    def _give_up_lost_trials(self, trials: _Trials, now: float) -> None:
        while trials is self._stretch and trials.out:
            permit = next(iter(trials.out))
            if now - permit.began < self.rule.trial_seconds:
                return
            del trials.out[permit]
            self._end_trial(trials, now, failed=True, slow=True)

    # -- changing state -------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Hold calls back for one pause, as after a bad rate."""
        self._operate("open")

    def close(self) -> None:
        """Let calls through and begin to count anew; also the way out of every forced state."""
        self._operate("close")

    def force_open(self) -> None:
        """Hold all calls back until told otherwise."""
        self._operate("force_open")

    def observe(self) -> None:
        """Let all calls through and count them, without ever opening."""
        self._operate("observe")

    def disable(self) -> None:
        """Let all calls through and look at none."""
        self._operate("disable")

    def _operate(self, change: Change) -> None:
        with self._lock:
            self._change(change, self._now())
        self._tell()

    def _change(self, change: Change, now: float, tally: Tally | None = None) -> None:
        """Enter the state that the table names, with a new stretch, so that ends of older calls are late."""
        before, self._state = self._state, TRANSITIONS[self._state, change]
        self._past = _added(self._past, self._window.total())
        self._window = self._new_window()
        self._refuses_until = -math.inf
        match self._state:
            case "closed" | "metrics_only":
                self._relapses, self._stretch, self._passing = 0, self._window, self._window
            case "half_open":
                self._stretch, self._passing = _Trials(), None
            case "open":
                self._relapses += 1
                self._paused = self._pause.seconds(self._relapses, self._paused, self._runtime.draw)
                self._refuses_until = now + self._paused
                self._why = f"calls are held back, because {_reason(tally) if tally else 'an operator opened it'}"
                self._stretch, self._passing = object(), None
            case "forced_open":
                self._refuses_until = math.inf
                self._why = "calls are held back until an operator allows them"
                self._stretch, self._passing = object(), None
            case "disabled":
                self._stretch, self._passing = None, None
        counted = {} if tally is None else tally._asdict()
        self._note(_SAID[self._state], **{"from": before}, **counted)

    def _new_window(self) -> Window:
        match self.rule.window:
            case LastCalls(calls):
                return CallWindow(calls, self.rule.minimum_calls)
            case LastSeconds(seconds):
                return TimeWindow(seconds, self.rule.minimum_calls, self._now())

    # -- the fast way ---------------------------------------------------------------------------------------------
    # A good, fast end of a passing call can change nothing, so it is only counted: no lock, no permit. All else goes
    # through `before` and `after`. These are `Gate._sync` and `Gate._async` for that one case, which is nearly every
    # call of a program's life.

    def _sync(self, function: Callable[P, R]) -> Callable[P, R]:
        careful = super()._sync(function)
        now, slow_seconds = self._now, self.rule.slow_seconds
        if self.rule.failed.sees_results or self.rule.ignored.sees_results:
            return careful

        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            window = self._passing
            began = now()
            if window is None:
                if began < self._refuses_until:
                    raise self._refusal(began)
                return careful(*args, **kwargs)
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                self.after(Permit(window, began), now(), error, None)
                raise
            ended = now()
            if ended - began <= slow_seconds and ended < window.quiet_until:
                window.take()
            else:
                self.after(Permit(window, began), ended, None, result)
            return result

        return run

    def _async(self, function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        careful = super()._async(function)
        now, slow_seconds = self._now, self.rule.slow_seconds
        if self.rule.failed.sees_results or self.rule.ignored.sees_results:
            return careful

        async def run(*args: P.args, **kwargs: P.kwargs) -> R:
            window = self._passing
            began = now()
            if window is None:
                if began < self._refuses_until:
                    raise self._refusal(began)
                return await careful(*args, **kwargs)
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:
                self.after(Permit(window, began), now(), error, None)
                raise
            ended = now()
            if ended - began <= slow_seconds and ended < window.quiet_until:
                window.take()
            else:
                self.after(Permit(window, began), ended, None, result)
            return result

        return run

    # -- watching it ----------------------------------------------------------------------------------------------

    def tally(self) -> Tally:
        """What the window holds now; nothing while the breaker is not counting."""
        with self._lock:
            return self._window.tally(self._now())

    def samples(self) -> Iterator[Sample]:
        """See `Strategy`."""
        yield from super().samples()
        with self._lock:
            state, tally = self._state, self._window.tally(self._now())
            total = _added(self._past, self._window.total())
        for one in STATES:
            yield Sample("resilience_breaker_state", float(one == state), {"state": one})
        yield Sample("resilience_breaker_calls_total", total.calls)
        yield Sample("resilience_breaker_failed_calls_total", total.failed)
        yield Sample("resilience_breaker_slow_calls_total", total.slow)
        yield Sample("resilience_breaker_window_calls", tally.calls)
        yield Sample("resilience_breaker_window_failed_calls", tally.failed)
        yield Sample("resilience_breaker_window_slow_calls", tally.slow)




_SAID: dict[BreakerState, str] = {"closed": "closed", "open": "opened", "half_open": "half_opened",
                                  "forced_open": "forced_open", "metrics_only": "observing", "disabled": "disabled"}


def _reason(tally: Tally) -> str:
    """Why it opened, for people."""
    return f"of {tally.calls} calls {tally.failed} failed and {tally.slow} were slow"


def _added(one: Tally, other: Tally) -> Tally:
    return Tally(one.calls + other.calls, one.failed + other.failed, one.slow + other.slow)


def _check(fine: bool, name: str, rule: str) -> None:
    if not fine:
        raise ValueError(f"{name} {rule}")
