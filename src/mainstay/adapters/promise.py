"""An answer that another thread will give.

`concurrent.futures.Future` does this and more, and imports `logging` for it: three milliseconds of every command that
records something.
"""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Promise(Generic[T]):
    """Kept once, by `keep` or `fail`; whoever waits for it hears it then."""

    __slots__ = ("_answer", "_error", "_kept")

    def __init__(self) -> None:
        self._kept = threading.Event()
        self._error: BaseException | None = None

    def keep(self, answer: T) -> None:
        """This is the answer."""
        self._answer = answer
        self._kept.set()

    def fail(self, error: BaseException) -> None:
        """There is none, for this reason."""
        self._error = error
        self._kept.set()

    def result(self, timeout: float | None = None) -> T:
        """The answer, or what was raised instead; TimeoutError when it is not there after so many seconds."""
        if (error := self.exception(timeout)) is not None:
            raise error
        return self._answer

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What was raised instead of an answer, or None, once either is there; TimeoutError as above."""
        if not self._kept.wait(timeout):
            raise TimeoutError(f"no answer within {timeout:g} s")
        return self._error
