"""The time-out: an answer within so many seconds, or an error.

A coroutine is cancelled. A plain function cannot be: it runs in another thread, and when its time is over the caller
goes on without it. So a client's own time-out is better for plain functions where it has one; this one is for those
that have none.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterator
from types import TracebackType
from typing import Any, ClassVar, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from mainstay.resilience import workers
from mainstay.resilience.refusal import TimedOut
from mainstay.resilience.runtime import REAL, Runtime
from mainstay.resilience.strategy import Guard, Sample, Strategy

P = ParamSpec("P")
R = TypeVar("R")


class Deadline:
    """One task's limit of time: cancels it when the alarm rings, and tells that cancellation from all others.

    A task may be cancelled by others while this limit runs out too. Then the cancellation is theirs: `Task.uncancel`
    counts, as for `asyncio.timeout`.
    """

    __slots__ = ("_before", "_rang", "_task", "when")

    def __init__(self, task: Any, when: float) -> None:
        self._task, self.when = task, when
        self._before = task.cancelling()
        self._rang = False

    def ring(self) -> None:
        """The time is over."""
        self._rang = True
        self._task.cancel()

    def over(self, error: BaseException | None) -> bool:
        """Whether the error with which the call ended, if any, is this limit's doing; to be asked once, at the end."""
        if not self._rang:
            return False
        return self._task.uncancel() <= self._before and type(error) is _cancelled()


class Alarms:
    """The limits of one event loop that all have the same length, so that the oldest is always the next to ring.

    One timer of the loop serves all of them. A timer for each call would cost more than everything else here. The loop
    is not kept, and neither is the timer, which knows it: a loop that is closed has to be forgotten.
    """

    __slots__ = ("_pending", "_seconds", "_ticking")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._pending: dict[Deadline, None] = {}
        self._ticking = False

    def set(self, loop: Any, task: Any) -> Deadline:
        """A limit for the task of that loop, from now on."""
        deadline = Deadline(task, loop.time() + self._seconds)
        self._pending[deadline] = None
        if not self._ticking:
            self._ticking = True
            loop.call_at(deadline.when, self._ring, loop)
        return deadline

    def end(self, deadline: Deadline) -> None:
        """The call has ended; the limit no longer rings."""
        self._pending.pop(deadline, None)

    def _ring(self, loop: Any) -> None:
        now = loop.time()
        late = []
        self._ticking = False
        for deadline in self._pending:  # the oldest first
            if deadline.when > now:
                self._ticking = True
                loop.call_at(deadline.when, self._ring, loop)
                break
            late.append(deadline)
        for deadline in late:
            del self._pending[deadline]
            deadline.ring()


class Timeout(Strategy):
    """Ends a call that takes longer.

    Events: `timed_out`.

    Args:
        seconds: how long a call may take, above 0.
    """

    kind: ClassVar[str] = "timeout"

    def __init__(self, name: str, seconds: float, runtime: Runtime = REAL) -> None:
        super().__init__(name, runtime)
        if not seconds > 0:
            raise ValueError("a time-out is longer than 0 s")
        self.seconds = seconds
        self._alarms: WeakKeyDictionary[Any, Alarms] = WeakKeyDictionary()
        self._patience = workers.Patience()

    def guard(self) -> Guard:
        """A block of a coroutine, for `async with`."""
        return _TimeoutGuard(self)

    def _sync(self, function: Callable[P, R]) -> Callable[P, R]:
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return self._patience.within(self.seconds, functools.partial(function, *args, **kwargs))
            except workers.OutOfTime:
                self._announce("timed_out")
                raise TimedOut(self.name, self.seconds) from None

        return run

    def _async(self, function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        from asyncio import current_task, get_running_loop  # noqa: PLC0415  (a lazy start: coroutines alone need it)

        known = self._alarms

        async def run(*args: P.args, **kwargs: P.kwargs) -> R:
            loop = get_running_loop()
            alarms = known.get(loop) or self._alarms_of(loop)
            deadline = alarms.set(loop, current_task(loop))
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:
                alarms.end(deadline)
                if deadline.over(error):
                    self._announce("timed_out")
                    raise TimedOut(self.name, self.seconds) from error
                raise
            alarms.end(deadline)
            deadline.over(None)
            return result

        return run

    def samples(self) -> Iterator[Sample]:
        """See `Strategy`."""
        yield from super().samples()
        yield Sample("resilience_abandoned_calls", self._patience.abandoned)

    def _alarms_of(self, loop: Any) -> Alarms:
        with self._lock:
            return self._alarms.setdefault(loop, Alarms(self.seconds))


class _TimeoutGuard(Guard):
    def __init__(self, timeout: Timeout) -> None:
        self._timeout = timeout

    def __enter__(self) -> None:
        raise TypeError("a block of a plain function cannot be ended from outside: decorate a function instead")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        """Never entered."""

    async def __aenter__(self) -> None:
        from asyncio import current_task, get_running_loop  # noqa: PLC0415  (a lazy start: coroutines alone need it)

        loop = get_running_loop()
        self._alarms = self._timeout._alarms_of(loop)
        self._deadline = self._alarms.set(loop, current_task())

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        traceback: TracebackType | None) -> None:
        self._alarms.end(self._deadline)
        if self._deadline.over(error):
            self._timeout._announce("timed_out")
            raise TimedOut(self._timeout.name, self._timeout.seconds) from error


async def within(seconds: float, call: Callable[[], Awaitable[R]]) -> R:
    """The call's result, if it ends in time; else it is cancelled.

    Raises:
        OutOfTime: it did not end.
    """
    from asyncio import current_task, get_running_loop  # noqa: PLC0415  (a lazy start: coroutines alone need it)

    loop = get_running_loop()
    deadline = Deadline(current_task(), loop.time() + seconds)
    timer = loop.call_at(deadline.when, deadline.ring)
    try:
        result = await call()
    except BaseException as error:
        timer.cancel()
        if deadline.over(error):
            raise workers.OutOfTime from error
        raise
    timer.cancel()
    deadline.over(None)
    return result


@functools.cache
def _cancelled() -> type[BaseException]:
    from asyncio import CancelledError  # noqa: PLC0415  (a lazy start: coroutines alone need it)

    return CancelledError
