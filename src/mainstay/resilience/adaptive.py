"""The adaptive limit: as many calls at once as the dependency can take, found out from how long they take.

A fixed limit is right on one day. These laws move it after every call: up while answers come as fast as when there was
no queue, down when they come later or not at all.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar, NamedTuple

from mainstay.resilience.condition import Condition, raised
from mainstay.resilience.refusal import LimitReached, Refused
from mainstay.resilience.runtime import REAL, Runtime
from mainstay.resilience.strategy import Gate, Sample


class Ended(NamedTuple):
    """A call as a law sees it.

    Args:
        seconds: how long it took.
        at_once: how many calls ran when it began, itself included.
        dropped: it failed in a way that overload explains, such as a time-out.
    """

    seconds: float
    at_once: int
    dropped: bool


class Law(ABC):
    """Moves a limit. One law serves one limit: it remembers. It is called under a lock and reads no clock."""

    @abstractmethod
    def next(self, limit: float, ended: Ended) -> float:
        """The limit after this call, before it is kept within its bounds."""


class Aimd(Law):
    """One more per round of calls while the limit is used; a share less for a call that was dropped or too slow.

    Source: D.-M. Chiu, R. Jain, "Analysis of the Increase and Decrease Algorithms for Congestion Avoidance in Computer
    Networks", Computer Networks and ISDN Systems 17 (1989).

    Args:
        slow_seconds: a call that takes longer counts as dropped.
        decrease: what is left of the limit then, 0.5 <= decrease < 1.
    """

    def __init__(self, slow_seconds: float = 5.0, decrease: float = 0.9) -> None:
        if slow_seconds <= 0 or not 0.5 <= decrease < 1:
            raise ValueError("AIMD has a time above 0 s and a decrease from 0.5 up to, not including, 1")
        self._slow_seconds, self._decrease = slow_seconds, decrease

    def next(self, limit: float, ended: Ended) -> float:
        """See `Law`."""
        if ended.dropped or ended.seconds > self._slow_seconds:
            return limit * self._decrease
        # A limit that is not used has shown nothing, so it does not grow.
        return limit + 1 / limit if ended.at_once * 2 >= limit else limit


class Vegas(Law):
    """Keeps a few calls queued at the dependency: limit · (1 − fastest / this call) is how many are.

    Below alpha it grows, above beta it shrinks, each by log10 of the limit. The fastest call is forgotten after a while
    (`renew_calls` times the limit), because a dependency can become slower for good.

    Source: L. Brakmo, L. Peterson, "TCP Vegas: End to End Congestion Avoidance on a Global Internet", IEEE JSAC 13
    (1995), with the logarithmic steps that Netflix documents for its concurrency limits.
    """

    def __init__(self, alpha: float = 3.0, beta: float = 6.0, renew_calls: int = 30) -> None:
        if not 0 < alpha < beta or renew_calls < 1:
            raise ValueError("Vegas needs 0 < alpha < beta and at least 1 call until it measures anew")
        self._alpha, self._beta, self._renew = alpha, beta, renew_calls
        self._fastest = math.inf
        self._calls = 0

    def next(self, limit: float, ended: Ended) -> float:
        """See `Law`."""
        self._calls += 1
        step = max(1.0, math.log10(limit))
        if ended.dropped:
            return limit - step
        if self._calls > self._renew * limit:
            self._calls, self._fastest = 0, math.inf
        if ended.seconds < self._fastest:
            self._fastest = ended.seconds
            return limit
        if ended.at_once * 2 < limit:
            return limit
        queued = limit * (1 - self._fastest / ended.seconds) if ended.seconds else 0.0
        if queued <= self._alpha * step:
            return limit + step
        return limit - step if queued > self._beta * step else limit


class Gradient(Law):
    """Follows the ratio of the usual time of a call to the present one, with room for a queue of √limit calls.

    Source: Netflix concurrency-limits, the documentation of its "gradient" limit: new limit = limit · usual / present +
    queue, smoothed.

    Args:
        calls: over how many calls the usual time is averaged.
        tolerance: how many times the usual time is still as good as it, at least 1.
    """

    def __init__(self, calls: int = 600, tolerance: float = 1.5, smoothing: float = 0.2) -> None:
        if calls < 1 or tolerance < 1 or not 0 < smoothing <= 1:
            raise ValueError("a gradient needs calls and a tolerance of at least 1, and a smoothing above 0 up to 1")
        self._weight, self._tolerance, self._smoothing = 2 / (calls + 1), tolerance, smoothing
        self._usual = 0.0
        self._seen = 0

    def next(self, limit: float, ended: Ended) -> float:
        """See `Law`."""
        if not ended.dropped and ended.seconds > 0:
            self._seen += 1
            # The plain mean at first, so that the first call does not weigh for hundreds.
            self._usual += (ended.seconds - self._usual) * max(self._weight, 1 / self._seen)
            if self._usual > 2 * ended.seconds:  # the dependency has become faster for good
                self._usual *= 0.95
        if not ended.dropped and ended.at_once * 2 < limit:
            return limit
        ratio = 0.5 if ended.dropped or ended.seconds <= 0 else self._tolerance * self._usual / ended.seconds
        wanted = limit * max(0.5, min(1.0, ratio)) + (0 if ended.dropped else math.sqrt(limit))
        return limit + (wanted - limit) * self._smoothing


class _Call:
    __slots__ = ("at_once", "began")

    def __init__(self, began: float, at_once: int) -> None:
        self.began, self.at_once = began, at_once


class AdaptiveLimit(Gate):
    """At most so many calls at once as its law finds good; further ones are refused at once, not queued.

    Events: `refused`.

    Args:
        law: a new one for each limit.
        start, least, most: the limit at first and its bounds, 1 <= least <= start <= most.
        dropped: ends that overload explains; time-outs unless said otherwise. Refusals of strategies further in and
            cancelled calls teach nothing.
    """

    kind: ClassVar[str] = "adaptive_limit"

    def __init__(self, name: str, law: Law, *, start: int = 20, least: int = 1, most: int = 1000,
                 dropped: Condition | None = None, runtime: Runtime = REAL) -> None:
        super().__init__(name, runtime)
        if not 1 <= least <= start <= most:
            raise ValueError("an adaptive limit has 1 <= least <= start <= most")
        self._law, self._least, self._most = law, least, most
        self._dropped = dropped or raised(TimeoutError)
        self._limit = float(start)
        self._running = 0

    @property
    def limit(self) -> int:
        """Calls that may run at once now."""
        return int(self._limit)

    def before(self, now: float) -> object:
        """See `Gate`.

        Raises:
            LimitReached: as many calls as the limit run.
        """
        with self._lock:
            limit = int(self._limit)
            if self._running < limit:
                self._running += 1
                return _Call(now, self._running)
            self._note("refused")
        self._tell()
        raise LimitReached(self.name, f"{limit} calls are running, which is the limit at present")

    def after(self, permit: object, now: float, error: BaseException | None, result: object) -> None:
        """See `Gate`."""
        assert isinstance(permit, _Call)
        teaches = error is None or (isinstance(error, Exception) and not isinstance(error, Refused))
        dropped = self._dropped.holds(error, result)
        with self._lock:
            self._running -= 1
            if teaches:
                # The law's number may grow without end or fall to nothing; the bounds are kept here for all laws.
                limit = self._law.next(self._limit, Ended(now - permit.began, permit.at_once, dropped))
                self._limit = min(float(self._most), max(float(self._least), limit))

    def samples(self) -> Iterator[Sample]:
        """See `Strategy`."""
        yield from super().samples()
        yield Sample("resilience_adaptive_limit_calls", self.limit)
        yield Sample("resilience_adaptive_limit_running_calls", self._running)
