"""What every strategy is: one object for functions, threads and asyncio, that counts and tells what it does.

A strategy is a decision that knows no colour (`before` and `after` of a gate, `next` of a retry), and two thin runners
around it, one that sleeps and one that awaits. So the same object guards plain functions, calls from many threads and
coroutines at the same time, and counts them together.
"""

from __future__ import annotations

import functools
import inspect
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import CoroutineType, TracebackType
from typing import Any, ClassVar, NamedTuple, ParamSpec, TypeVar, cast

from mainstay.resilience.numbers import Numbers
from mainstay.resilience.runtime import REAL, Runtime

P = ParamSpec("P")
R = TypeVar("R")


class Event(NamedTuple):
    """Something a strategy did.

    Args:
        strategy, kind: its name and what it is: `breaker`, `retry` …
        what: what happened, one word of the strategy's table of events in the guide.
        at: when, in seconds of the strategy's clock.
        detail: what else is known: `{"from": "closed", "to": "open"}`.
    """

    strategy: str
    kind: str
    what: str
    at: float
    detail: Mapping[str, object]


class Sample(NamedTuple):
    """One figure of a strategy for Prometheus; `labels` come on top of the strategy's name and kind."""

    metric: str
    value: float
    labels: Mapping[str, str] = {}


Listener = Callable[[Event], None]


class Strategy(ABC):
    """Protects calls: as a decorator (`@strategy`), in a direct call (`strategy.call(fetch, url)`) or, where a block
    can be protected at all, around a block (`with strategy.guard():`).

    Args:
        name: what it protects; the label of its metrics, and in its refusals.
        runtime: clock, sleep and chance.
    """

    kind: ClassVar[str]

    def __init__(self, name: str, runtime: Runtime = REAL) -> None:
        if not name:
            raise ValueError(f"a {self.kind} needs a name: its metrics and refusals carry it")
        self.name = name
        self._runtime = runtime
        self._now = runtime.now
        self._lock = threading.Lock()
        self._count_lock = threading.Lock()
        self._counts: dict[str, Numbers] = {}
        self._listeners: tuple[Listener, ...] = ()
        self._untold: deque[Event] = deque()

    # -- using it -------------------------------------------------------------------------------------------------

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """The function under this protection, with the same signature; a coroutine function stays one.

        A plain function that hands back a coroutine is protected only until then.

        Raises:
            TypeError: it is a generator, whose body runs after the call has returned, where nothing protects it; or a
                `staticmethod` or `classmethod`, which belong around the protected function.
        """
        if isinstance(function, staticmethod | classmethod):
            raise TypeError(f"write @{type(function).__name__} above the protection, not below it")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{function!r} is a generator: protect what it calls, or the code that reads it")
        return functools.update_wrapper(self._around(function, is_async(function)), function)

    def call(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call it under this protection; of a coroutine function, what comes back is to be awaited.

        A decorated function is faster: what it is has to be found out only once.

        Raises:
            TypeError: a plain function, such as a lambda, handed back a coroutine, whose end nobody here would see.
        """
        coloured = is_async(function)
        result = self._around(function, coloured)(*args, **kwargs)
        if isinstance(result, CoroutineType) and not coloured:
            result.close()
            raise TypeError(f"{function!r} is no coroutine function but handed back a coroutine: pass that function")
        return result

    def guard(self) -> Guard:
        """A block under this protection, used once: `with breaker.guard():` or `async with breaker.guard():`.

        Raises:
            TypeError: it would have to run the block again, or elsewhere, which Python cannot.
        """
        raise TypeError(f"a {self.kind} cannot protect a block: decorate a function, or use call()")

    # -- watching it ----------------------------------------------------------------------------------------------

    def listen(self, listener: Listener) -> Listener:
        """Call the listener with every event from now on, in the thread in which it happened, outside any lock.

        What a listener raises is logged and does not reach the protected call.
        """
        self._listeners = (*self._listeners, listener)
        return listener

    def counts(self) -> Mapping[str, int]:
        """How often each event happened."""
        with self._count_lock:
            return {what: count.read() for what, count in self._counts.items()}

    def samples(self) -> Iterator[Sample]:
        """Its figures; see `mainstay.resilience.exposition`."""
        for what, count in sorted(self.counts().items()):
            yield Sample("resilience_events_total", count, {"event": what})

    def parts(self) -> tuple[Strategy, ...]:
        """The strategies it is made of, outermost first; itself when it is not made of others."""
        return (self,)

    # -- for the strategies ---------------------------------------------------------------------------------------

    @abstractmethod
    def _sync(self, function: Callable[P, R]) -> Callable[P, R]:
        """The plain function under this protection."""

    @abstractmethod
    def _async(self, function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        """The coroutine function under this protection."""

    def _around(self, function: Callable[P, R], coloured: bool) -> Callable[P, R]:
        if not coloured:
            return self._sync(function)
        awaited = cast("Callable[P, Awaitable[Any]]", function)
        return cast("Callable[P, R]", self._async(awaited))

    def _note(self, what: str, **detail: object) -> None:
        """Count an event and put it down to be told; may be called under the strategy's lock."""
        (self._counts.get(what) or self._begin_counting(what)).take()
        if self._listeners:
            self._untold.append(Event(self.name, self.kind, what, self._now(), detail))

    def _begin_counting(self, what: str) -> Numbers:
        with self._count_lock:
            return self._counts.setdefault(what, Numbers())

    def _tell(self) -> None:
        """Tell what was put down. Never under a lock: a listener may ask the strategy something."""
        while self._untold:
            try:
                event = self._untold.popleft()
            except IndexError:  # another thread told it
                return
            for listener in self._listeners:
                try:
                    listener(event)
                except Exception:
                    import logging  # noqa: PLC0415  (a lazy start: needed only when somebody's listener is broken)

                    logging.getLogger("mainstay.resilience").exception("a listener failed on %s", event)

    def _announce(self, what: str, **detail: object) -> None:
        self._note(what, **detail)
        if self._untold:
            self._tell()


class Guard(AbstractContextManager[None], AbstractAsyncContextManager[None]):
    """One protected block, in a thread or in a task."""


class Waiting(ABC):
    """A permit that is not to be had yet: the runner waits for it in its own way."""

    @abstractmethod
    def in_thread(self) -> None:
        """Return when the call may start.

        Raises:
            Refused: it may not. Whatever is raised, also Ctrl-C, the place in the queue is given back.
        """

    @abstractmethod
    async def in_task(self) -> None:
        """The same for a task, which may be cancelled meanwhile."""


class Gate(Strategy):
    """A strategy that decides before a call whether it may be made, and learns afterwards how it ended."""

    @abstractmethod
    def before(self, now: float) -> object:
        """A permit for one call, which goes to `after` exactly once, however the call ends.

        When it is a `Waiting`, the call may start once that has come.

        Raises:
            Refused: the call must not be made.
        """

    @abstractmethod
    def after(self, permit: object, now: float, error: BaseException | None, result: object) -> None:
        """Learn how the call ended; an error that is no `Exception` (cancellation) only gives the permit back."""

    def guard(self) -> Guard:
        """A block that counts as one call; a result cannot be seen, so conditions on results do not apply."""
        return _GateGuard(self)

    def _sync(self, function: Callable[P, R]) -> Callable[P, R]:
        before, after, now = self.before, self.after, self._now

        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            permit = before(now())
            if isinstance(permit, Waiting):
                permit.in_thread()
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                after(permit, now(), error, None)
                raise
            after(permit, now(), None, result)
            return result

        return run

    def _async(self, function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        before, after, now = self.before, self.after, self._now

        async def run(*args: P.args, **kwargs: P.kwargs) -> R:
            permit = before(now())
            if isinstance(permit, Waiting):
                await permit.in_task()
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:
                after(permit, now(), error, None)
                raise
            after(permit, now(), None, result)
            return result

        return run


class _GateGuard(Guard):
    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._permit: object = None

    def __enter__(self) -> None:
        self._permit = self._gate.before(self._gate._now())
        if isinstance(self._permit, Waiting):
            self._permit.in_thread()

    async def __aenter__(self) -> None:
        self._permit = self._gate.before(self._gate._now())
        if isinstance(self._permit, Waiting):
            await self._permit.in_task()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self._gate.after(self._permit, self._gate._now(), error, None)

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        traceback: TracebackType | None) -> None:
        self.__exit__(kind, error, traceback)


def is_async(function: Callable[..., object]) -> bool:
    """Whether calling it gives a coroutine: a coroutine function, also partly applied, or an object called like one."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
