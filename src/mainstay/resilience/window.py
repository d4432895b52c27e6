"""What a breaker remembers of the last calls: how many there were, how many failed, how many were slow.

Most calls end well and fast, and such an end can only lower both rates. So it need not be judged, only counted, and a
counter of `itertools` counts without a lock: its `__next__` is one step of the interpreter. Each window says until when
that is enough (`quiet_until`); all other ends go through `add`, under the breaker's lock.

Windows are pure apart from that counter: the clock is an argument.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from mainstay.resilience.numbers import Numbers


class Tally(NamedTuple):
    """Ends of calls: how many, and of them how many failed and how many were slow (a call may be both)."""

    calls: int
    failed: int
    slow: int

    def reaches(self, failure_rate: float, slow_rate: float) -> bool:
        """Whether a share is at its limit or above."""
        return self.calls > 0 and (self.failed / self.calls >= failure_rate or self.slow / self.calls >= slow_rate)


class Window(Protocol):
    """The last calls of one stretch of a breaker's life.

    `take` counts a call that ended well and fast; it may be called without a lock while the clock is before
    `quiet_until`.
    """

    quiet_until: float
    take: Callable[[], object]

    def add(self, now: float, *, failed: bool, slow: bool) -> Tally | None:
        """Count the end of a call. What the window holds; None while there are fewer calls than the minimum."""
        ...

    def tally(self, now: float) -> Tally:
        """What the window holds."""
        ...

    def total(self) -> Tally:
        """All that it ever counted."""
        ...


class CallWindow:
    """The last `size` calls, judged once there were `minimum`.

    Calls are numbered as they end. Only bad ones are kept, with their number, and forgotten once `size` later calls
    have ended, so memory and time grow with the failures alone.
    """

    __slots__ = ("_bad", "_failed", "_failed_ever", "_minimum", "_numbers", "_size", "_slow", "_slow_ever",
                 "quiet_until", "take")

    def __init__(self, size: int, minimum: int) -> None:
        self._size, self._minimum = size, minimum
        self._numbers = Numbers()
        self.take: Callable[[], object] = self._numbers.take
        self._bad: deque[tuple[int, bool, bool]] = deque()
        self._failed = self._slow = self._failed_ever = self._slow_ever = 0
        self.quiet_until = -math.inf  # the call that reaches the minimum has to be judged, even when it went well

    def add(self, now: float, *, failed: bool, slow: bool) -> Tally | None:  # noqa: ARG002  (windows of time need it)
        """See `Window`."""
        self.take()
        if failed or slow:
            self._bad.append((self._numbers.read(), failed, slow))
            self._failed, self._slow = self._failed + failed, self._slow + slow
            self._failed_ever, self._slow_ever = self._failed_ever + failed, self._slow_ever + slow
        tally = self._tally()
        if self._numbers.read() < self._minimum:
            return None
        self.quiet_until = math.inf
        return tally

    def tally(self, now: float) -> Tally:  # noqa: ARG002
        """See `Window`."""
        return self._tally()

    def total(self) -> Tally:
        """See `Window`."""
        return Tally(self._numbers.read(), self._failed_ever, self._slow_ever)

    def _tally(self) -> Tally:
        calls = self._numbers.read()
        while self._bad and self._bad[0][0] <= calls - self._size:
            _, failed, slow = self._bad.popleft()
            self._failed, self._slow = self._failed - failed, self._slow - slow
        return Tally(min(calls, self._size), self._failed, self._slow)


@dataclass(slots=True)
class _Bucket:
    index: int
    numbers: Numbers
    failed: int = 0
    slow: int = 0


_BUCKETS = 10  # as resilience4j has for ten seconds; finer ones make the window smoother and the judging slower


class TimeWindow:
    """The last `seconds`, in ten buckets, judged once there were `minimum` calls in them.

    The window is the bucket in progress and the nine before it, so it holds between nine and ten tenths of `seconds`.
    A rate can rise without a failure, when good calls grow old: the first end in a new bucket is therefore judged.
    """

    __slots__ = ("_buckets", "_minimum", "_past", "_width", "quiet_until", "take")

    def __init__(self, seconds: float, minimum: int, now: float) -> None:
        self._width, self._minimum = seconds / _BUCKETS, minimum
        self._past = Tally(0, 0, 0)
        self._buckets: deque[_Bucket] = deque()
        self.quiet_until = -math.inf
        self._turn(now)

    def add(self, now: float, *, failed: bool, slow: bool) -> Tally | None:
        """See `Window`."""
        self._turn(now)
        bucket = self._buckets[-1]
        bucket.numbers.take()
        bucket.failed += failed
        bucket.slow += slow
        tally = self._tally()
        judged = tally.calls >= self._minimum
        # Once judged, good ends of this bucket only dilute; before that, one of them will reach the minimum.
        self.quiet_until = (bucket.index + 1) * self._width if judged else -math.inf
        return tally if judged else None

    def tally(self, now: float) -> Tally:
        """See `Window`."""
        self._turn(now)
        return self._tally()

    def total(self) -> Tally:
        """See `Window`."""
        return _sum(self._past, self._tally())

    def _turn(self, now: float) -> None:
        """Begin a new bucket when it is time. A thread that read the clock a little earlier counts in the new one."""
        index = math.floor(now / self._width)
        if self._buckets and index <= self._buckets[-1].index:
            return
        self._buckets.append(_Bucket(index, Numbers()))
        self.take: Callable[[], object] = self._buckets[-1].numbers.take
        while self._buckets[0].index <= index - _BUCKETS:
            self._past = _sum(self._past, _tally_of(self._buckets.popleft()))

    def _tally(self) -> Tally:
        tally = Tally(0, 0, 0)
        for bucket in self._buckets:
            tally = _sum(tally, _tally_of(bucket))
        return tally


def _tally_of(bucket: _Bucket) -> Tally:
    return Tally(bucket.numbers.read(), bucket.failed, bucket.slow)


def _sum(one: Tally, other: Tally) -> Tally:
    return Tally(one.calls + other.calls, one.failed + other.failed, one.slow + other.slow)
