"""Time and chance, handed in: real ones for programs, manual ones for tests.

Every strategy measures with a monotonic clock. A wall clock would be moved by the time service, or by the very
clock-skew experiment that the strategy should survive.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


async def _pause(seconds: float) -> None:
    import asyncio  # noqa: PLC0415  (a lazy start: programs without asyncio need not load it)

    await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a strategy takes from outside.

    Args:
        now: seconds of a clock that never goes back.
        sleep: holds the thread for so many seconds.
        pause: holds the task for so many seconds.
        draw: an even draw from [0, 1), for jitter.
    """

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    pause: Callable[[float], Awaitable[None]] = _pause
    draw: Callable[[], float] = random.random


REAL = Runtime()


class ManualTime:
    """A clock that tests move, so that an hour takes no time: `Breaker("auth", runtime=ManualTime().runtime)`.

    Sleeping and pausing move the clock by the seconds asked for and return at once.

    Args:
        now: where the clock starts, in seconds.
        draw: what jitter draws; the middle unless said otherwise.
    """

    def __init__(self, now: float = 0.0, draw: Callable[[], float] = lambda: 0.5) -> None:
        self.seconds = now
        self.slept: list[float] = []
        self.runtime = Runtime(lambda: self.seconds, self._sleep, self._pause, draw)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)

    async def _pause(self, seconds: float) -> None:
        self._sleep(seconds)
