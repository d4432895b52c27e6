"""A counter that threads may count with at the same time, without a lock."""

from __future__ import annotations

import itertools


class Numbers:
    """Numbers that are taken, each once: `take()` is `__next__` of `itertools.count`, one step of the interpreter.

    Reading takes a number too, so those are subtracted. Readers need a lock among themselves; takers need none.
    """

    __slots__ = ("_reads", "take")

    def __init__(self) -> None:
        self.take = itertools.count(1).__next__
        self._reads = 0

    def read(self) -> int:
        """How many were taken."""
        self._reads += 1
        return self.take() - self._reads
