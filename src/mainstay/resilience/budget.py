"""What keeps retries from making an outage worse: a budget for all calls together, and one layer of retries only.

**Budget.** Retries may be at most a share of calls. When everything fails, load grows by that share and not by the
number of tries.

**Nesting.** Three layers of three tries make 27 calls of one. So a layer does not repeat what a layer further in has
already repeated; that is told upwards with the error, and costs nothing while calls succeed. Where an error is
swallowed on the way (it was turned into a result), the repeated try of the outer layer tells the inner ones, downwards,
not to repeat in turn: at worst L layers of n tries make n + (L − 1)·(n − 1) calls.

Source: B. Beyer et al., "Site Reliability Engineering", ch. 22 "Addressing Cascading Failures" (O'Reilly, 2016): retry
at one layer only, per-client retry budgets.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from mainstay.resilience.numbers import Numbers

_TRY: ContextVar[int] = ContextVar("mainstay.resilience.try", default=1)
_MARK = "__given_up__"


class Budget:
    """Allows at most `burst + share · calls + per_second · seconds` retries, over any stretch of time.

    May be shared by several retries and hedges, which is what protects a dependency that many calls lead to.

    Args:
        share: retries per call, 0 or more; 0.1 lets load grow by a tenth.
        per_second: retries that are allowed however few calls there are.
        burst: the most that is saved up, in retries, at least 1.
    """

    def __init__(self, share: float = 0.1, *, per_second: float = 1.0, burst: float = 10.0) -> None:
        if not (share >= 0 and per_second >= 0 and burst >= 1):
            raise ValueError("a budget has a share and a rate of 0 or more, and a burst of at least 1")
        self._share, self._per_second, self._burst = share, per_second, burst
        self._calls = Numbers()
        self.count = self._calls.take  # one call; without a lock, since every call does it
        self._lock = threading.Lock()
        self._seen = 0
        self._saved = burst
        self._at: float | None = None

    def spend(self, now: float) -> bool:
        """Whether there is enough for one more retry; if so, it is spent."""
        with self._lock:
            calls = self._calls.read()
            passed = 0.0 if self._at is None else max(0.0, now - self._at)
            self._saved = min(self._burst,
                              self._saved + self._share * (calls - self._seen) + self._per_second * passed)
            self._seen = calls
            self._at = now if self._at is None else max(self._at, now)
            if self._saved < 1:
                return False
            self._saved -= 1
            return True

    @property
    def saved(self) -> float:
        """Retries it would allow, as of the last time one was asked for."""
        return self._saved


class _GivenUp:
    """How often a layer gave up in this process; read without a lock at the start of every call.

    An error carries the number at which it was given up. A number above the one read at the start of a call was given
    during that call, so an error object that a program raises again and again does not look as if it had been retried.
    """

    __slots__ = ("count", "lock")

    def __init__(self) -> None:
        self.count = 0
        self.lock = threading.Lock()


given_up = _GivenUp()


def mark_given_up(error: BaseException) -> None:
    """Say that somebody has repeated the call that ended so, and gave up: layers further out will not repeat it.

    Retries of this library do so themselves. A client does it for an answer which says that the other side has retried.
    """
    with given_up.lock:
        given_up.count += 1
        # Past a `__setattr__` of its own: an error may be a frozen dataclass.
        BaseException.__setattr__(error, _MARK, given_up.count)


def given_up_since(error: BaseException, seen: int) -> bool:
    """Whether the error, or one that led to it, was given up after `given_up.count` was `seen`."""
    looked_at: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is None or id(one) in looked_at:
            continue
        if getattr(one, _MARK, 0) > seen:
            return True
        looked_at.add(id(one))
        todo += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            todo += one.exceptions
    return False


def current_try() -> int:
    """Which try of a retry around it this code runs in: 1 at first, and outside any.

    Send it to the services you call, in a header of your choice, and have them use `on_behalf_of_try`.
    """
    return _TRY.get()


@contextmanager
def on_behalf_of_try(number: int) -> Iterator[None]:
    """Code in this block runs for the `number`-th try of somebody outside; from 2 on, retries in it do not repeat."""
    token = _TRY.set(max(1, number))
    try:
        yield
    finally:
        _TRY.reset(token)
