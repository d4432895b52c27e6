"""Python's full collections at a time of our own, and memory that nobody needs given back.

A full collection stops every thread while it looks at every object there is: with 30,000 alerts in memory for a third
of a second. Python would choose the middle of a storm for it, when most objects are made. What it looks for, circles
that nobody reaches any more, are few here; the small collections go on as Python likes.
"""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Callable
from contextlib import suppress

CALM = 10.0
"""Seconds without anything that came in after which it is calm enough."""

AT_THE_LATEST = 3_600.0
"""Seconds for which a storm may put one off."""

_NEVER = 2**31 - 1
_ARENA_MAX = -8
"""How glibc's mallopt(3) names the setting."""


def share_memory() -> None:
    """All threads take memory from one place; to be called before they begin.

    Glibc gives every thread a place of its own, where what one has freed no other finds; that spares those that work
    side by side a lock, and Python's do not. With 100,000 alerts it keeps 15 MB of 200.
    """
    with suppress(OSError, AttributeError):  # another C library has no such places
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)


def give_back() -> None:
    """Memory that was freed goes back to the system, as far as whole pages are free."""
    with suppress(OSError, AttributeError):  # another C library does so by itself
        ctypes.CDLL(None).malloc_trim(0)


class Tidying:
    """Takes full collections over from Python until `end`.

    Args:
        taken: how much came in so far.
    """

    def __init__(self, taken: Callable[[], int], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._taken, self._monotonic = taken, monotonic
        self._seen, self._last = taken(), monotonic()
        self._before = gc.get_threshold()
        gc.set_threshold(*self._before[:2], _NEVER)

    def look(self) -> float:
        """Collect when it is calm and there is something to look at, or after too long; seconds until the next look."""
        now, taken = self._monotonic(), self._taken()
        calm = taken == self._seen and gc.get_count()[2] > self._before[2]
        if calm or now - self._last > AT_THE_LATEST:
            gc.collect()
            give_back()
            self._last = now
        self._seen = taken
        return CALM

    def end(self) -> None:
        """Leave them to Python again."""
        gc.set_threshold(*self._before)
