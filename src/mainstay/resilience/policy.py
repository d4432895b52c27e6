"""A policy: several strategies around one call, in an order that is stated and can be read back.

    Policy("auth", Fallback(…), Retry(…), Breaker(…), Timeout(…))

The first is outermost: it sees what all the others make of the call. Here the time-out limits each try, the breaker
counts each try, the retry repeats what both let fail, and the fallback answers for what is left.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from types import TracebackType
from typing import ClassVar, ParamSpec, TypeVar

from mainstay.resilience.adaptive import AdaptiveLimit
from mainstay.resilience.breaker import Breaker
from mainstay.resilience.bulkhead import Bulkhead
from mainstay.resilience.fallback import Fallback, LastGood
from mainstay.resilience.hedge import Hedge
from mainstay.resilience.rate import RateLimit
from mainstay.resilience.retry import Retry
from mainstay.resilience.strategy import Guard, Listener, Sample, Strategy
from mainstay.resilience.timeout import Timeout

P = ParamSpec("P")
R = TypeVar("R")

USUAL_ORDER: tuple[type[Strategy], ...] = (Fallback, LastGood, Retry, Hedge, Breaker, RateLimit, AdaptiveLimit,
                                          Bulkhead, Timeout)
"""Outermost first. Another answer is the last resort. Every try, and every hedge, is counted by the breaker and pays
for its rate and its place; an open breaker takes no place. The time-out limits one try and not the wait for a place."""


class Policy(Strategy):
    """Strategies applied in the order in which they are written, outermost first.

    Args:
        strategies: at least one; the same object only once, since it would wait for itself.
    """

    kind: ClassVar[str] = "policy"

    def __init__(self, name: str, *strategies: Strategy) -> None:
        super().__init__(name)
        self._strategies = tuple(part for strategy in strategies for part in strategy.parts())
        if not self._strategies:
            raise ValueError("a policy has at least one strategy")
        if len(set(map(id, self._strategies))) < len(self._strategies):
            raise ValueError(f"{name}: the same strategy is in the policy twice; make a second one if you mean that")

    @classmethod
    def in_usual_order(cls, name: str, *strategies: Strategy) -> Policy:
        """The strategies sorted by `USUAL_ORDER`, in whatever order they are written; those of a kind keep theirs.

        Raises:
            ValueError: one is of no kind that the order knows.
        """
        parts = [part for strategy in strategies for part in strategy.parts()]
        unknown = [part.kind for part in parts if type(part) not in USUAL_ORDER]
        if unknown:
            raise ValueError(f"{name}: no usual place is known for {', '.join(unknown)}; write the order yourself")
        return cls(name, *sorted(parts, key=lambda part: USUAL_ORDER.index(type(part))))

    def parts(self) -> tuple[Strategy, ...]:
        """See `Strategy`."""
        return self._strategies

    def __str__(self) -> str:
        """The order, outermost first: `auth: fallback > retry > breaker > timeout`."""
        return f"{self.name}: {' > '.join(part.kind for part in self._strategies)}"

    def guard(self) -> Guard:
        """A block under all of them; possible when each of them can protect a block."""
        return _PolicyGuard([part.guard() for part in self._strategies])

    def listen(self, listener: Listener) -> Listener:
        """Listen to every part."""
        for part in self._strategies:
            part.listen(listener)
        return listener

    def samples(self) -> Iterator[Sample]:
        """None of its own: see those of its parts."""
        return iter(())

    def _sync(self, function: Callable[P, R]) -> Callable[P, R]:
        for part in reversed(self._strategies):
            function = part._sync(function)
        return function

    def _async(self, function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        for part in reversed(self._strategies):
            function = part._async(function)
        return function


class _PolicyGuard(Guard):
    def __init__(self, guards: list[Guard]) -> None:
        self._guards = guards
        self._inside = ExitStack()
        self._inside_task = AsyncExitStack()

    def __enter__(self) -> None:
        with ExitStack() as entered:  # leaves those that were entered when the next one refuses
            for guard in self._guards:
                entered.enter_context(guard)
            self._inside = entered.pop_all()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self._inside.__exit__(kind, error, traceback)

    async def __aenter__(self) -> None:
        async with AsyncExitStack() as entered:
            for guard in self._guards:
                await entered.enter_async_context(guard)
            self._inside_task = entered.pop_all()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        traceback: TracebackType | None) -> None:
        await self._inside_task.__aexit__(kind, error, traceback)
