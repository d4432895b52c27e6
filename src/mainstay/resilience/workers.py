"""Threads that run a call for somebody who may not wait for its end.

Python cannot stop a thread. A call that is not waited for any longer runs on in its thread, and its end is thrown away;
how many of those there are is counted. The threads are daemons, so a hanging call does not keep a program from ending.
"""

from __future__ import annotations

import contextvars
import os
import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

R = TypeVar("R")

_MOST_IDLE = 32


class Job(Generic[R]):
    """One call in another thread, in a copy of the caller's context. `ended` is called there at the end."""

    __slots__ = ("_call", "_context", "_ended", "error", "result")

    def __init__(self, call: Callable[[], R], ended: Callable[[], object]) -> None:
        self._call, self._ended = call, ended
        self._context = contextvars.copy_context()
        self.result: R | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """Make the call and keep its end."""
        try:
            self.result = self._context.run(self._call)
        except BaseException as error:  # handed to whoever waits; nobody else could see it
            self.error = error
        self._ended()

    def outcome(self) -> R:
        """Its result, or its error raised."""
        if self.error is not None:
            try:
                raise self.error
            finally:
                self.error = None  # else the error's traceback holds this frame, and the frame the error
        return self.result  # type: ignore[return-value]


class _Workers:
    """Idle threads are used again, the one used last first; there are as many as calls at the same time."""

    def __init__(self) -> None:
        self._idle: list[queue.SimpleQueue[Job[object]]] = []

    def start(self, job: Job[object]) -> None:
        try:
            inbox = self._idle.pop()
        except IndexError:
            inbox = queue.SimpleQueue()
            threading.Thread(target=self._serve, args=(inbox,), name="mainstay-resilience", daemon=True).start()
        inbox.put(job)

    def forget(self) -> None:
        """A forked child has none of the threads."""
        self._idle = []

    def _serve(self, inbox: queue.SimpleQueue[Job[object]]) -> None:
        while True:
            job = inbox.get()
            job.run()
            del job  # else the last result lives until the next call
            if len(self._idle) >= _MOST_IDLE:
                return
            self._idle.append(inbox)


_WORKERS = _Workers()
os.register_at_fork(after_in_child=_WORKERS.forget)


def start(call: Callable[[], R], ended: Callable[[], object]) -> Job[R]:
    """Begin the call in another thread."""
    job = Job(call, ended)
    _WORKERS.start(job)  # type: ignore[arg-type]  # its result goes to whoever holds the job
    return job


class Patience:
    """Waits for calls in other threads, and knows how many of those that it no longer waits for still run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun = self._ended = self._waited_for = 0

    def within(self, seconds: float, call: Callable[[], R]) -> R:
        """The call's result, if it ends in time; it runs in another thread, in a copy of this context.

        Raises:
            OutOfTime: it did not end; it runs on.
        """
        latch = threading.Lock()
        latch.acquire()

        def ended() -> None:
            with self._lock:
                self._ended += 1
            latch.release()

        with self._lock:
            self._begun, self._waited_for = self._begun + 1, self._waited_for + 1
        job = start(call, ended)
        try:
            if not latch.acquire(timeout=min(max(0.0, seconds), threading.TIMEOUT_MAX)):
                raise OutOfTime
        finally:
            with self._lock:
                self._waited_for -= 1
        return job.outcome()

    @property
    def abandoned(self) -> int:
        """Calls that still run though nobody waits for them."""
        with self._lock:
            # A call that has ended but is still waited for, for a moment, would make this negative.
            return max(0, self._begun - self._ended - self._waited_for)


class OutOfTime(Exception):
    """The time was over; for the strategy that set it, which knows what to say."""
