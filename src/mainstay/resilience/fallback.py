"""When a call fails all the same: another answer, or the last good one."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterator
from typing import Any, ClassVar, NamedTuple, ParamSpec, TypeVar

from mainstay.resilience.condition import Condition, raised
from mainstay.resilience.runtime import REAL, Runtime
from mainstay.resilience.strategy import Sample, Strategy

P = ParamSpec("P")
R = TypeVar("R")
_MISSING = object()


class Fallback(Strategy):
    """Answers in the place of a call that failed.

    Events: `fell_back`, and `failed` when the other answer failed too (its error is raised, with the first as context).

    Args:
        instead: called with the error (None when a result was no good) and the arguments of the call; of a coroutine
            function's call it may be a coroutine function.
        on: the ends it answers for; all errors unless said otherwise, refusals of strategies further in included.
    """

    kind: ClassVar[str] = "fallback"

    def __init__(self, name: str, instead: Callable[..., Any], *, on: Condition | None = None,
                 runtime: Runtime = REAL) -> None:
        super().__init__(name, runtime)
        self._instead, self._on = instead, on or raised()

    @classmethod
    def value(cls, name: str, value: Any, *, on: Condition | None = None) -> Fallback:
        """Always the same answer."""
        return cls(name, lambda *_args, **_kwargs: value, on=on)

    def _other_answer(self, error: Exception | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._announce("fell_back", error=error)
        try:
            return self._instead(error, *args, **kwargs)
        except Exception:
            self._announce("failed")
            raise

    def _sync(self, function: Callable[P, R]) -> Callable[P, R]:
        of_error, of_result = self._on.of_error, self._on.of_result if self._on.sees_results else None

        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                result = function(*args, **kwargs)
            except Exception as error:
                if not of_error(error):
                    raise
                return self._other_answer(error, args, kwargs)  # type: ignore[no-any-return]  # the user's contract
            if of_result is not None and of_result(result):
                return self._other_answer(None, args, kwargs)  # type: ignore[no-any-return]
            return result

        return run

    def _async(self, function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        of_error, of_result = self._on.of_error, self._on.of_result if self._on.sees_results else None

        async def other(error: Exception | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            answer = self._other_answer(error, args, kwargs)
            if not inspect.isawaitable(answer):
                return answer
            try:
                return await answer
            except Exception:
                self._announce("failed")
                raise

        async def run(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                result = await function(*args, **kwargs)
            except Exception as error:
                if not of_error(error):
                    raise
                return await other(error, args, kwargs)  # type: ignore[no-any-return]
            if of_result is not None and of_result(result):
                return await other(None, args, kwargs)  # type: ignore[no-any-return]
            return result

        return run


class _Kept(NamedTuple):
    at: float
    result: Any


class LastGood(Strategy):
    """Keeps good results, and answers with the last one when a call fails: old, and better than nothing.

    It is no cache: every call is made. Results are kept by the arguments of the call, so those have to be hashable, or
    a `key` has to be given; and they are handed out as they are, so they should not be changed afterwards. Functions
    under the same one answer for each other, as a function and its coroutine should: make one for each question.

    Events: `stale` (`age`, in seconds), `nothing_kept`.

    Args:
        seconds: how old an answer may be, above 0.
        key: of the arguments of a call, what it is the answer to; None for calls whose results are not to be kept.
        most: how many are kept; the one used longest ago goes.
        on: the ends it answers for; all errors unless said otherwise.
    """

    kind: ClassVar[str] = "last_good"

    def __init__(self, name: str, seconds: float, *, key: Callable[..., Hashable | None] | None = None,
                 most: int = 1024, on: Condition | None = None, runtime: Runtime = REAL) -> None:
        super().__init__(name, runtime)
        if not seconds > 0 or most < 1:
            raise ValueError("answers are kept for more than 0 s, and at least 1 of them")
        self._seconds, self._key, self._most, self._on = seconds, key or _arguments, most, on or raised()
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()

    def _key_of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable | None:
        """What the call is about; a `TypeError` before it is made when that cannot be looked up."""
        key = self._key(*args, **kwargs)
        hash(key)
        return key

    def _keep(self, key: Hashable | None, result: Any) -> None:
        if key is None:
            return
        with self._lock:
            self._kept[key] = _Kept(self._now(), result)
            self._kept.move_to_end(key)
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)

    def _last(self, key: Hashable | None) -> Any:
        """The last good result; `_MISSING` when there is none that is young enough."""
        with self._lock:
            kept = self._kept.get(key) if key is not None else None
            age = self._now() - kept.at if kept is not None else 0.0
            if kept is not None and age > self._seconds:
                del self._kept[key]
                kept = None
        if kept is None:
            self._announce("nothing_kept")
            return _MISSING
        self._announce("stale", age=age)
        return kept.result

    def _sync(self, function: Callable[P, R]) -> Callable[P, R]:
        on, key_of = self._on, self._key_of

        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            key = key_of(args, kwargs)
            try:
                result = function(*args, **kwargs)
            except Exception as error:
                if not on.of_error(error) or (kept := self._last(key)) is _MISSING:
                    raise
                return kept  # type: ignore[no-any-return]  # a result of this same function
            return self._judged(key, result)

        return run

    def _async(self, function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        on, key_of = self._on, self._key_of

        async def run(*args: P.args, **kwargs: P.kwargs) -> R:
            key = key_of(args, kwargs)
            try:
                result = await function(*args, **kwargs)
            except Exception as error:
                if not on.of_error(error) or (kept := self._last(key)) is _MISSING:
                    raise
                return kept  # type: ignore[no-any-return]
            return self._judged(key, result)

        return run

    def _judged(self, key: Hashable | None, result: R) -> R:
        """The result, kept when it is good; else the last good one, where there is one."""
        if not self._on.holds(None, result):
            self._keep(key, result)
            return result
        kept = self._last(key)
        return result if kept is _MISSING else kept

    def samples(self) -> Iterator[Sample]:
        """See `Strategy`."""
        yield from super().samples()
        yield Sample("resilience_last_good_kept_answers", len(self._kept))


def _arguments(*args: Hashable, **kwargs: Hashable) -> Hashable:
    return args, frozenset(kwargs.items())
