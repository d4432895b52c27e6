"""The bulkhead: only so many calls at once, only so many in the queue, and none there for longer than it may wait.

So that one slow dependency cannot take every thread and every connection of a program with it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from mainstay.resilience.refusal import BulkheadFull
from mainstay.resilience.runtime import REAL, Runtime
from mainstay.resilience.strategy import Gate, Sample, Waiting


class Bulkhead(Gate):
    """At most `at_once` calls run; at most `queue` more wait, each at most `wait` seconds, first come, first served.

    Threads and tasks, also of several event loops, share the same places and the same queue.

    Events: `refused` (the queue is full), `waited_in_vain`, `left` (cancelled while waiting).

    Args:
        at_once: at least 1.
        queue: 0 or more.
        wait: seconds, 0 or more; None waits as long as it takes.
    """

    kind: ClassVar[str] = "bulkhead"

    def __init__(self, name: str, at_once: int, *, queue: int = 0, wait: float | None = None,
                 runtime: Runtime = REAL) -> None:
        super().__init__(name, runtime)
        if at_once < 1 or queue < 0 or (wait is not None and not wait >= 0):
            raise ValueError("a bulkhead has room for at least 1 call, and a queue and a wait of 0 or more")
        self.at_once, self.queue, self.wait = at_once, queue, wait
        self._running = 0
        self._waiting: deque[_Place] = deque()

    def before(self, now: float) -> object:
        """See `Gate`.

        Raises:
            BulkheadFull: no place is free, and none in the queue.
        """
        with self._lock:
            if self._running < self.at_once:  # then nobody waits: an end hands its place on
                self._running += 1
                return None
            if len(self._waiting) < self.queue:
                place = _Place(self, now)
                self._waiting.append(place)
                return place
            self._note("refused")
        self._tell()
        raise BulkheadFull(self.name, f"{self.at_once} calls are running and {self.queue} are waiting")

    def after(self, permit: object, now: float,  # noqa: ARG002  (a place does not care how it was used)
              error: BaseException | None, result: object) -> None:  # noqa: ARG002
        """See `Gate`."""
        with self._lock:
            self._free()

    def _free(self) -> None:
        """Hand the place on to who waits longest; never to a newcomer, so nobody starves."""
        while self._waiting:
            if self._waiting.popleft().come():
                return
        self._running -= 1

    def give_up(self, place: _Place, why: str) -> bool:
        """Whether the place had not come; then it is out of the queue. One that had come is handed on by the caller."""
        with self._lock:
            if place.came:
                return False
            if place in self._waiting:  # else its loop was closed, and it was passed over
                self._waiting.remove(place)
            self._note(why)
        self._tell()
        return True

    @property
    def running(self) -> int:
        """Calls that run now."""
        return self._running

    @property
    def waiting(self) -> int:
        """Calls that wait now."""
        return len(self._waiting)

    def samples(self) -> Iterator[Sample]:
        """See `Strategy`."""
        yield from super().samples()
        yield Sample("resilience_bulkhead_running_calls", self.running)
        yield Sample("resilience_bulkhead_waiting_calls", self.waiting)
        yield Sample("resilience_bulkhead_places", self.at_once)


class _Place(Waiting):
    """A place in the queue. `come` and `arm` run under the bulkhead's lock, so a wake-up is never lost between them."""

    __slots__ = ("_bulkhead", "_wake", "came", "since")

    def __init__(self, bulkhead: Bulkhead, since: float) -> None:
        self._bulkhead, self.since = bulkhead, since
        self.came = False
        self._wake: Callable[[], object] | None = None

    def come(self) -> bool:
        """Whether somebody was there to take it."""
        try:
            if self._wake is not None:
                self._wake()
        except RuntimeError:  # the event loop was closed around the waiting task, which will never run again
            return False
        self.came = True
        return True

    def _arm(self, wake: Callable[[], object]) -> None:
        with self._bulkhead._lock:
            self._wake = wake
            if self.came:
                wake()

    def in_thread(self) -> None:
        latch = threading.Lock()
        latch.acquire()
        self._arm(latch.release)
        try:
            seconds = self._bulkhead.wait
            came = latch.acquire(timeout=-1 if seconds is None else min(seconds, threading.TIMEOUT_MAX))
        except BaseException:
            self._leave()
            raise
        if not came:
            self._in_vain()

    async def in_task(self) -> None:
        from asyncio import get_running_loop, wait  # noqa: PLC0415  (a lazy start: tasks alone need it)

        loop = get_running_loop()
        latch = loop.create_future()
        # The place may come from another thread, or another loop; and at a moment when this one has given up.
        self._arm(lambda: loop.call_soon_threadsafe(_release, latch))
        try:
            await wait([latch], timeout=self._bulkhead.wait)
        except BaseException:
            self._leave()
            raise
        if not latch.done():
            self._in_vain()

    def _leave(self) -> None:
        if not self._bulkhead.give_up(self, "left"):
            self._bulkhead.after(None, 0.0, None, None)

    def _in_vain(self) -> None:
        """The wait is over; a place that came at the last moment is taken all the same."""
        if self._bulkhead.give_up(self, "waited_in_vain"):
            raise BulkheadFull(self._bulkhead.name, f"no place came free within {self._bulkhead.wait:g} s")


def _release(latch: Any) -> None:
    if not latch.done():
        latch.set_result(None)
