"""Hedging: when the first try is late, a second one beside it, and the first good answer counts.

It takes the edge off rare slowness, at the price of a few more calls; only for calls that may be made twice.

Source: J. Dean, L. A. Barroso, "The Tail at Scale", CACM 56 (2013).
"""

from __future__ import annotations

import functools
import queue
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, ParamSpec, TypeVar

from mainstay.resilience import workers
from mainstay.resilience.budget import Budget
from mainstay.resilience.runtime import REAL, Runtime
from mainstay.resilience.strategy import Strategy

P = ParamSpec("P")
R = TypeVar("R")


class Hedge(Strategy):
    """Makes a call again when it has not ended after `delay` seconds, up to `most` calls in all.

    An error ends that try alone: the others go on, and the last error is raised when all have failed. An error before
    the delay is over starts no further call; that is what a retry is for. When one is good, the coroutines of the
    others are cancelled; plain functions run on in their threads and are not waited for.

    Events: `hedged` (`calls`), `won_by_hedge`, `over_budget`.

    Args:
        delay: seconds, 0 or more; the 95th percentile of the call's time is a good one, for 5 % more calls.
        most: at least 2.
        budget: limits the further calls to a share of all; may be shared with retries.
    """

    kind: ClassVar[str] = "hedge"

    def __init__(self, name: str, delay: float, *, most: int = 2, budget: Budget | None = None,
                 runtime: Runtime = REAL) -> None:
        super().__init__(name, runtime)
        if not delay >= 0 or most < 2:
            raise ValueError("a hedge has a delay of 0 s or more, and at least 2 calls")
        self.delay, self.most, self.budget = delay, most, budget

    def _race(self) -> _Race:
        if self.budget is not None:
            self.budget.count()
        return _Race(self)

    def _sync(self, function: Callable[P, R]) -> Callable[P, R]:
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            race = self._race()
            ends: queue.SimpleQueue[int] = queue.SimpleQueue()
            jobs: list[workers.Job[R]] = []
            while not race.over:
                if race.starts_another():
                    number = len(jobs)
                    jobs.append(workers.start(functools.partial(function, *args, **kwargs),
                                              functools.partial(ends.put, number)))
                try:
                    ended = ends.get(timeout=race.patience())
                except queue.Empty:
                    continue
                race.ended(ended, jobs[ended].error)
            return jobs[race.winner].outcome()

        return run

    def _async(self, function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        import asyncio  # noqa: PLC0415  (a lazy start: coroutines alone need it)

        async def run(*args: P.args, **kwargs: P.kwargs) -> R:
            race = self._race()
            tasks: list[asyncio.Task[R]] = []

            async def one() -> R:
                return await function(*args, **kwargs)

            try:
                while not race.over:
                    if race.starts_another():
                        tasks.append(asyncio.create_task(one()))
                    going = [task for number, task in enumerate(tasks) if number not in race.done]
                    done, _ = await asyncio.wait(going, timeout=race.patience(),
                                                 return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        race.ended(tasks.index(task), _error_of(task))
                return tasks[race.winner].result()
            finally:
                await _cancelled(tasks)

        return run


class _Race:
    """What a hedged call has come to: which calls are under way, and which one counts."""

    def __init__(self, hedge: Hedge) -> None:
        self._hedge = hedge
        self._last_start = 0.0
        self._started = 0
        self._refused = False
        self.done: set[int] = set()
        self.winner = 0
        self.over = False

    def starts_another(self) -> bool:
        """Whether a call is to be started now; if so, it counts as started."""
        now = self._hedge._now()
        if self._started and not self._may_start(now):
            return False
        self._started += 1
        self._last_start = now
        if self._started > 1:
            self._hedge._announce("hedged", calls=self._started)
        return True

    def _may_start(self, now: float) -> bool:
        hedge = self._hedge
        if self._refused or self._started >= hedge.most or now < self._last_start + hedge.delay:
            return False
        if hedge.budget is not None and not hedge.budget.spend(now):
            self._refused = True
            hedge._announce("over_budget")
            return False
        return True

    def patience(self) -> float | None:
        """Seconds until another call may be started; None when there will be no other."""
        if self._refused or self._started >= self._hedge.most:
            return None
        return max(0.0, self._last_start + self._hedge.delay - self._hedge._now())

    def ended(self, number: int, error: BaseException | None) -> None:
        """A call has ended; the first without an error wins, else the last with one."""
        self.done.add(number)
        if self.over:
            return
        self.over = error is None or not isinstance(error, Exception) or len(self.done) == self._started
        self.winner = number
        if self.over and error is None and number > 0:
            self._hedge._announce("won_by_hedge", call=number + 1)


def _error_of(task: Any) -> BaseException | None:
    """How the task failed; a task cancelled from outside has failed with that."""
    import asyncio  # noqa: PLC0415  (a lazy start: coroutines alone need it)

    error: BaseException | None = asyncio.CancelledError() if task.cancelled() else task.exception()
    return error


async def _cancelled(tasks: list[Any]) -> None:
    """Cancel what is still going, and wait until it has ended, so that nothing of a call outlives it."""
    import asyncio  # noqa: PLC0415  (a lazy start: coroutines alone need it)

    going = [task for task in tasks if not task.done()]
    for task in going:
        task.cancel()
    if going:
        await asyncio.wait(going)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not report the losers' errors as never retrieved
