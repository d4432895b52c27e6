"""Retry: once more, later, while that may help, and no longer than the caller can wait."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import ClassVar, Generic, ParamSpec, TypeVar

from mainstay.resilience import timeout, workers
from mainstay.resilience.budget import _TRY, Budget, given_up, given_up_since, mark_given_up
from mainstay.resilience.condition import TRANSIENT, Condition
from mainstay.resilience.refusal import TimedOut
from mainstay.resilience.runtime import REAL, Runtime
from mainstay.resilience.strategy import Sample, Strategy
from mainstay.resilience.waits import Stop, Wait, after_tries, exponential

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class RetryRule:
    """What is tried again, when, and how often.

    Args:
        on: the ends that are worth another try; by default broken connections and time-outs. A mistake in the program
            (`TypeError`) stays one, however often it is made.
        stop: when to give up; three tries unless said otherwise.
        wait: how long before each further try. An error with a number `retry_after` (seconds, as in the header of that
            name) is waited for at least that long.
        deadline: seconds for everything together, tries and waits. A wait that would end later is not begun. A try
            that is under way then is ended: a coroutine is cancelled, a plain function left to its own thread (so with
            a deadline it runs in one). None: no limit.
        amplify: repeat also what a retry further in has repeated already.

    Raises:
        ValueError: a deadline of 0 or less.
    """

    on: Condition = TRANSIENT
    stop: Stop = field(default_factory=lambda: after_tries(3))
    wait: Wait = field(default_factory=lambda: exponential(0.1, most=10.0))
    deadline: float | None = None
    amplify: bool = False

    def __post_init__(self) -> None:
        if self.deadline is not None and not self.deadline > 0:
            raise ValueError("a deadline is longer than 0 s")


class _Tries(Generic[R]):
    """One call on its way through a retry: how often it was made, and how it ended last."""

    __slots__ = ("began", "error", "made", "outer", "result", "seen", "waited")

    def __init__(self, seen: int, began: float, made: int = 0, error: Exception | None = None) -> None:
        self.seen, self.began, self.made, self.error = seen, began, made, error
        self.result: R | None = None
        self.outer = _TRY.get()
        self.waited = 0.0

    def end(self) -> R:
        """The last result, or the last error raised."""
        if self.error is not None:
            try:
                raise self.error
            finally:
                self.error = None  # else the error's traceback holds this frame, and the frame the error
        return self.result  # type: ignore[return-value]  # there is one: a try ended without an error


class Retry(Strategy):
    """Makes a call again when it ended in a way that may pass.

    When it gives up, the last error is raised as it is (or the last result returned), with a note of how often and why.

    Events: `retried` (`tries`, `wait`), and how it gave up: `exhausted` (the stop said so), `out_of_time` (the
    deadline), `over_budget`, `repeated_elsewhere` (another layer retries).

    Args:
        budget: shared with all that may overload the same dependency; None: no limit but the rule's.
    """

    kind: ClassVar[str] = "retry"

    def __init__(self, name: str, rule: RetryRule | None = None, *, budget: Budget | None = None,
                 runtime: Runtime = REAL) -> None:
        super().__init__(name, runtime)
        self.rule = rule or RetryRule()
        self.budget = budget
        self._patience = workers.Patience()

    # -- deciding -------------------------------------------------------------------------------------------------

    def _next(self, tries: _Tries[R]) -> float | None:
        """Seconds to wait before another try; None when there is none."""
        if tries.made == 0:
            return 0.0
        rule, error = self.rule, tries.error
        if not rule.on.holds(error, tries.result):
            return None
        now = self._now()
        wait = rule.wait.seconds(tries.made, tries.waited, self._runtime.draw)
        asked = getattr(error, "retry_after", None)
        if isinstance(asked, int | float):
            wait = max(wait, float(asked))
        why = self._reason_to_stop(tries, now, wait)
        if why is None:
            tries.waited = wait
            self._announce("retried", tries=tries.made, wait=wait)
            return wait
        self._announce(why, tries=tries.made)
        if error is not None and (tries.made > 1 or why == "over_budget"):
            with suppress(AttributeError):  # an error that is a frozen dataclass takes no note
                error.add_note(f"{self.name}: given up after {tries.made} tries ({why.replace('_', ' ')})")
            mark_given_up(error)
        return None

    def _reason_to_stop(self, tries: _Tries[R], now: float, wait: float) -> str | None:
        """The event of giving up; None when there is to be another try, for which the budget has paid then."""
        rule, passed = self.rule, now - tries.began
        if rule.stop.says(tries.made, passed + wait):
            return "exhausted"
        if rule.deadline is not None and passed + wait >= rule.deadline:
            return "out_of_time"
        if not rule.amplify:
            inner = tries.error is not None and given_up_since(tries.error, tries.seen)
            if inner or tries.outer > 1:
                return "repeated_elsewhere"
        if self.budget is not None and not self.budget.spend(now):
            return "over_budget"
        return None

    def _out_of_time(self, tries: _Tries[R], last: Exception | None) -> TimedOut:
        """The error for a try that the deadline ended."""
        assert self.rule.deadline is not None
        self._announce("out_of_time", tries=tries.made)
        error = TimedOut(self.name, self.rule.deadline)
        error.__cause__ = last
        error.add_note(f"{self.name}: the time was over during try {tries.made}")
        mark_given_up(error)
        return error

    def _left(self, tries: _Tries[R]) -> float:
        assert self.rule.deadline is not None
        return max(0.0, tries.began + self.rule.deadline - self._now())

    # -- running --------------------------------------------------------------------------------------------------
    # Where nothing has to be known before the first try, it costs a function call and a `try`; all else begins when
    # it fails.

    @property
    def _needs_nothing(self) -> bool:
        rule = self.rule
        return not (rule.stop.timed or rule.deadline or rule.on.sees_results or self.budget)

    def _sync(self, function: Callable[P, R]) -> Callable[P, R]:
        worth, again = self.rule.on.of_error, self._again

        def plain(*args: P.args, **kwargs: P.kwargs) -> R:
            seen = given_up.count
            try:
                return function(*args, **kwargs)
            except Exception as error:
                if not worth(error):
                    raise
                tries = _Tries[R](seen, 0.0, 1, error)
            return again(functools.partial(function, *args, **kwargs), tries)

        def careful(*args: P.args, **kwargs: P.kwargs) -> R:
            if self.budget is not None:
                self.budget.count()
            return again(functools.partial(function, *args, **kwargs), _Tries[R](given_up.count, self._now()))

        return plain if self._needs_nothing else careful

    def _async(self, function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        worth, again = self.rule.on.of_error, self._again_async

        async def plain(*args: P.args, **kwargs: P.kwargs) -> R:
            seen = given_up.count
            try:
                return await function(*args, **kwargs)
            except Exception as error:
                if not worth(error):
                    raise
                tries = _Tries[R](seen, 0.0, 1, error)
            return await again(functools.partial(function, *args, **kwargs), tries)

        async def careful(*args: P.args, **kwargs: P.kwargs) -> R:
            if self.budget is not None:
                self.budget.count()
            return await again(functools.partial(function, *args, **kwargs), _Tries[R](given_up.count, self._now()))

        return plain if self._needs_nothing else careful

    def _again(self, call: Callable[[], R], tries: _Tries[R]) -> R:
        while (wait := self._next(tries)) is not None:
            if wait:
                self._runtime.sleep(wait)
            tries.made += 1
            last = tries.error
            token = _TRY.set(max(tries.made, tries.outer))
            try:
                result = call() if self.rule.deadline is None else self._patience.within(self._left(tries), call)
                tries.result, tries.error = result, None
            except workers.OutOfTime:
                raise self._out_of_time(tries, last) from last
            except Exception as error:
                tries.error = error
            finally:
                _TRY.reset(token)
        return tries.end()

    async def _again_async(self, call: Callable[[], Awaitable[R]], tries: _Tries[R]) -> R:
        while (wait := self._next(tries)) is not None:
            if wait:
                await self._runtime.pause(wait)
            tries.made += 1
            last = tries.error
            token = _TRY.set(max(tries.made, tries.outer))
            try:
                result = await (call() if self.rule.deadline is None else timeout.within(self._left(tries), call))
                tries.result, tries.error = result, None
            except workers.OutOfTime:
                raise self._out_of_time(tries, last) from last
            except Exception as error:
                tries.error = error
            finally:
                _TRY.reset(token)
        return tries.end()

    def samples(self) -> Iterator[Sample]:
        """See `Strategy`."""
        yield from super().samples()
        yield Sample("resilience_abandoned_calls", self._patience.abandoned)
        if self.budget is not None:
            yield Sample("resilience_retry_budget_saved", self.budget.saved)
