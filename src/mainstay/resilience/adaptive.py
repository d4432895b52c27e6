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

    def uses(self, limit: float) -> bool:
        """Whether the limit was used when it began. One that is not has shown nothing, and does not grow."""
        return self.at_once * 2 >= limit


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
        if not slow_seconds > 0 or not 0.5 <= decrease < 1:
            raise ValueError("AIMD has a time above 0 s and a decrease from 0.5 up to, not including, 1")
        self._slow_seconds, self._decrease = slow_seconds, decrease

    def next(self, limit: float, ended: Ended) -> float:
        """See `Law`."""
        if ended.dropped or ended.seconds > self._slow_seconds:
            return limit * self._decrease
        return limit + 1 / limit if ended.uses(limit) else limit


class _Fastest:
    """The time of a call that meets no queue: the fastest one lately.

    It is forgotten after a while, since a dependency can become slower for good. Measured anew under full load it would
    hold the queue for normal and creep upwards; so the limit is halved first, to let the queue run dry.

    Source: N. Cardwell et al., "BBR: Congestion-Based Congestion Control", ACM Queue 14 (2016), on "ProbeRTT".
    """

    def __init__(self, renew_rounds: int) -> None:
        self._renew = renew_rounds
        self._calls = 0
        self.seconds = math.inf

    def take(self, limit: float, seconds: float) -> bool:
        """Learn the time of a call; True when the limit is to be halved now."""
        self._calls += 1
        if self._calls > self._renew * limit:
            self._calls, self.seconds = 0, math.inf
            return True
        self.seconds = min(self.seconds, seconds)
        return False


class Vegas(Law):
    """Keeps a few calls queued at the dependency: limit · (1 − fastest / this call) is how many are.

    Below alpha it grows, above beta it shrinks, each by log10 of the limit.

    Source: L. Brakmo, L. Peterson, "TCP Vegas: End to End Congestion Avoidance on a Global Internet", IEEE JSAC 13
    (1995), with the logarithmic steps that Netflix documents for its concurrency limits.

    Args:
        alpha, beta: queued calls, times the step, 0 < alpha < beta.
        renew_rounds: after so many rounds of calls the fastest is measured anew.
    """

    def __init__(self, alpha: float = 3.0, beta: float = 6.0, renew_rounds: int = 100) -> None:
        if not 0 < alpha < beta or renew_rounds < 1:
            raise ValueError("Vegas needs 0 < alpha < beta, and measures anew after at least 1 round")
        self._alpha, self._beta, self._fastest = alpha, beta, _Fastest(renew_rounds)

    def next(self, limit: float, ended: Ended) -> float:
        """See `Law`."""
        step = max(1.0, math.log10(limit))
        if ended.dropped:
            return limit - step
        if self._fastest.take(limit, ended.seconds):
            return limit / 2
        if not ended.uses(limit):
            return limit
        queued = limit * (1 - self._fastest.seconds / ended.seconds) if ended.seconds else 0.0
        if queued > self._beta * step:
            return limit - step
        # A step per round, not per call: all the calls of a round tell of the same queue.
        return limit + step / limit if queued < self._alpha * step else limit


class Gradient(Law):
    """Follows the ratio of the fastest call to the present one, with room for a queue of √limit calls.

    Source: Netflix concurrency-limits, the documentation of its "gradient" limit: limit · fastest / present + queue.

    Args:
        tolerance: how many times the fastest time is still as good as it, at least 1; what varies without any queue
            has to fit in.
        smoothing: how much of the way to the wanted limit is taken with one call, above 0, up to 1.
        renew_rounds: after so many rounds of calls the fastest is measured anew.
    """

    def __init__(self, tolerance: float = 1.5, smoothing: float = 0.2, renew_rounds: int = 100) -> None:
        if not tolerance >= 1 or not 0 < smoothing <= 1 or renew_rounds < 1:
            raise ValueError("a gradient has a tolerance of at least 1, a smoothing above 0 up to 1, and measures anew "
                             "after at least 1 round")
        self._tolerance, self._smoothing, self._fastest = tolerance, smoothing, _Fastest(renew_rounds)

    def next(self, limit: float, ended: Ended) -> float:
        """See `Law`."""
        if ended.dropped:
            return limit * (1 - self._smoothing / 2)
        if self._fastest.take(limit, ended.seconds):
            return limit / 2
        if not ended.uses(limit) or not ended.seconds:
            return limit
        ratio = max(0.5, min(1.0, self._tolerance * self._fastest.seconds / ended.seconds))
        return limit + (limit * ratio + math.sqrt(limit) - limit) * self._smoothing


class _Call:
    __slots__ = ("at_once", "began", "round")

    def __init__(self, began: float, at_once: int, round_: int) -> None:
        self.began, self.at_once, self.round = began, at_once, round_


class AdaptiveLimit(Gate):
    """At most so many calls at once as its law finds good; further ones are refused at once, not queued.

    When the limit has shrunk, calls that began before tell of the load that was, and teach nothing: else a hundred
    calls that meet one full queue would shrink it a hundred times.

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
        self._round = 0  # how often the limit has shrunk

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
                return _Call(now, self._running, self._round)
            self._note("refused")
        self._tell()
        raise LimitReached(self.name, f"{limit} calls are running, which is the limit at present")

    def after(self, permit: object, now: float, error: BaseException | None, result: object) -> None:
        """See `Gate`."""
        assert isinstance(permit, _Call)
        teaches = error is None or (isinstance(error, Exception) and not isinstance(error, Refused))
        with self._lock:
            self._running -= 1  # before a condition of the program is asked, which may fail
        dropped = self._dropped.holds(error, result)
        with self._lock:
            if teaches and permit.round == self._round:
                limit = self._law.next(self._limit, Ended(now - permit.began, permit.at_once, dropped))
                self._round += limit < self._limit
                # A law's number may grow without end or fall to nothing; the bounds are kept here for all laws.
                self._limit = min(float(self._most), max(float(self._least), limit))

    def samples(self) -> Iterator[Sample]:
        """See `Strategy`."""
        yield from super().samples()
        yield Sample("resilience_adaptive_limit_calls", self.limit)
        yield Sample("resilience_adaptive_limit_running_calls", self._running)
