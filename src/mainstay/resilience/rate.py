"""The rate limit: so many calls a second on average, and no more than a burst at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from mainstay.resilience.refusal import RateLimited
from mainstay.resilience.runtime import REAL, Runtime
from mainstay.resilience.strategy import Gate, Sample, Waiting


class RateLimit(Gate):
    """Over any stretch of `s` seconds at most `burst + rate · s` calls start.

    A call that comes too early waits for its moment, if that is at most `wait` seconds away; moments are given out in
    the order of asking. Only one number is kept: when the next call would be due (the generic cell rate algorithm).

    Source: ITU-T I.371, annex A, "Generic cell rate algorithm", virtual scheduling.

    Events: `delayed` (`seconds`), `refused`, `left` (cancelled while waiting).

    Args:
        rate: calls a second, above 0.
        burst: calls at once after a rest, at least 1.
        wait: seconds, 0 or more.
    """

    kind: ClassVar[str] = "rate_limit"

    def __init__(self, name: str, rate: float, *, burst: int = 1, wait: float = 0.0, runtime: Runtime = REAL) -> None:
        super().__init__(name, runtime)
        if not (rate > 0 and burst >= 1 and wait >= 0):
            raise ValueError("a rate limit has a rate above 0, a burst of at least 1 and a wait of 0 or more")
        self.rate, self.burst, self.wait = rate, burst, wait
        self._gap = 1 / rate
        self._due: float | None = None  # when the next call is due at an even rate; a burst may be ahead of it

    def before(self, now: float) -> object:
        """See `Gate`.

        Raises:
            RateLimited: the next free moment is later than a call may wait; `retry_after` says when to ask again.
        """
        with self._lock:
            due = now if self._due is None or self._due < now else self._due
            # Rounded to a nanosecond: sums of 1/rate are off in the last digits, and would refuse a call that is due.
            early = round(due - (self.burst - 1) * self._gap - now, 9)
            if early <= 0:
                self._due = due + self._gap
                return None
            if early <= self.wait:
                self._due = due + self._gap
                self._note("delayed", seconds=early)
                moment: object = _Moment(self, early, self._due)
            else:
                self._note("refused")
                moment = None
        self._tell()
        if moment is None:
            raise RateLimited(self.name, f"{self.rate:g} calls a second are used up", early - self.wait)
        return moment

    def after(self, permit: object, now: float, error: BaseException | None, result: object) -> None:
        """See `Gate`; how a call ends does not matter to its rate."""

    def give_back(self, due_after: float) -> None:
        """A call did not take its moment. Unless another was given out behind it, the next call may have it."""
        with self._lock:
            if self._due == due_after:
                self._due -= self._gap
            self._note("left")
        self._tell()

    def samples(self) -> Iterator[Sample]:
        """See `Strategy`."""
        yield from super().samples()
        yield Sample("resilience_rate_limit_calls_per_second", self.rate)


class _Moment(Waiting):
    __slots__ = ("_due_after", "_limit", "_seconds")

    def __init__(self, limit: RateLimit, seconds: float, due_after: float) -> None:
        self._limit, self._seconds, self._due_after = limit, seconds, due_after

    def in_thread(self) -> None:
        try:
            self._limit._runtime.sleep(self._seconds)
        except BaseException:
            self._limit.give_back(self._due_after)
            raise

    async def in_task(self) -> None:
        try:
            await self._limit._runtime.pause(self._seconds)
        except BaseException:
            self._limit.give_back(self._due_after)
            raise
