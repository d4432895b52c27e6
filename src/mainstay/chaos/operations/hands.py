"""Who does the work of a run: threads on a real clock, so that nothing that hangs delays an abort; or at once, on a
clock that is only told to move, so that an hour is played in a moment."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from mainstay.kernel.ports import Clock

T = TypeVar("T")


class Task(Generic[T]):
    """Work that was begun."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._value: T | None = None
        self._error: BaseException | None = None
        self.done = False

    def carry_out(self) -> None:
        """Do it; what it raises waits for whoever asks for the result."""
        try:
            self._value = self._work()
        except BaseException as error:
            self._error = error
        self.done = True

    @property
    def error(self) -> BaseException | None:
        """What it raised, once it is done."""
        return self._error

    def result(self) -> T:
        """What it gave, or what it raised; only once it is done."""
        assert self.done, "asked for the result of work that goes on"
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]


class Hands(Protocol):
    """Begins work and waits."""

    @property
    def follow(self) -> float:
        """Seconds from one look at the journal to the next."""
        ...

    def begin(self, work: Callable[[], T]) -> Task[T]:
        """Work that goes on while the caller does something else."""
        ...

    def wait(self, seconds: float) -> None:
        """Return after so many seconds at the latest, earlier when some work ended."""
        ...


def numbers_first() -> None:
    """Numpy, when somebody imported it, is really loaded: a command loads it on first use, and of several threads two
    could be the first at once."""
    numbers = sys.modules.get("numpy")
    if numbers is not None:
        _ = numbers.ndarray


_NAP = 0.05
"""Seconds after which a wait ends in any case: a signal's handler may only leave a note, and this finds it."""


class ThreadHands:
    """A thread for every piece of work. What never ends is left behind, and ends with the process."""

    follow = 0.1

    def __init__(self) -> None:
        self._ended = threading.Event()

    def begin(self, work: Callable[[], T]) -> Task[T]:
        """The work in a thread of its own."""
        task = Task(work)
        threading.Thread(target=self._carry_out, args=(task,), daemon=True, name="chaos").start()
        return task

    def _carry_out(self, task: Task[Any]) -> None:
        task.carry_out()
        self._ended.set()

    def wait(self, seconds: float) -> None:
        """Until some work ended, or a nap is over."""
        self._ended.wait(min(seconds, _NAP))
        self._ended.clear()


class PlayedHands:
    """Everything is done when it is begun, and waiting moves the clock on."""

    follow = 5.0

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def begin(self, work: Callable[[], T]) -> Task[T]:
        """The work, done."""
        task = Task(work)
        task.carry_out()
        return task

    def wait(self, seconds: float) -> None:
        """Let so much time pass."""
        self._clock.sleep(max(seconds, 1e-3))
