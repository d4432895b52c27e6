"""Where a process that tells a story can die, and how many of them are told: shared by the programs that are killed.

Each is started once and forks for every line of its input, a JSON object with at least `url`, `folder` and `kill`, so
that a kill costs milliseconds and not an interpreter's start. How the fork ended is said on standard output.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

from mainstay.kernel.errors import MainstayError
from mainstay.kernel.journal import Batch, Fact, FactQuery, Journal, Message, Pending, Timer

Asked = dict[str, Any]


class Boundaries:
    """Counts the places at which a process can die, and dies at one of them."""

    def __init__(self, kill: int) -> None:
        self.kill, self.passed = kill, 0

    def here(self) -> None:
        self.passed += 1
        if self.passed == self.kill:
            os.kill(os.getpid(), signal.SIGKILL)


class Watched:
    """A journal whose every write is a boundary, before and after."""

    def __init__(self, journal: Journal, boundaries: Boundaries) -> None:
        self._journal, self._boundaries = journal, boundaries

    def commit(self, batch: Batch) -> tuple[Fact, ...]:
        self._boundaries.here()
        facts = self._journal.commit(batch)
        self._boundaries.here()
        return facts

    def submit(self, batch: Batch) -> Pending[tuple[Fact, ...]]:
        return self._journal.submit(batch)

    def facts(self, query: FactQuery) -> Any:
        return self._journal.facts(query)

    def head(self) -> int:
        return self._journal.head()

    def next_due(self) -> datetime | None:
        return self._journal.next_due()

    def take_timers(self, *asked: Any, **more: Any) -> list[Timer]:
        taken = self._journal.take_timers(*asked, **more)
        self._boundaries.here()
        return taken

    def take_messages(self, *asked: Any, **more: Any) -> list[Message]:
        taken = self._journal.take_messages(*asked, **more)
        self._boundaries.here()
        return taken

    def close(self) -> None:
        self._journal.close()


def append(file: Path, line: str) -> None:
    """One line, in one write, which a killed process has made whole or not at all."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def tell_as_asked(tell: Callable[[Asked], int],
                  beside: Callable[[Asked], AbstractContextManager[None]] = lambda _: nullcontext()) -> None:
    """Read orders and tell the story for each, in a fork.

    Args:
        tell: goes through the story from where the last one got to; how many boundaries were passed.
        beside: what goes on while the story is told.
    """
    for line in sys.stdin:
        asked = json.loads(line)
        with beside(asked):
            child = os.fork()
            if child == 0:
                os._exit(_told(tell, asked))
            _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _told(tell: Callable[[Asked], int], asked: Asked) -> int:
    folder = Path(asked["folder"])
    try:
        append(folder / "passed", str(tell(asked)))
    except (MainstayError, AssertionError) as error:
        append(folder / "errors", repr(error))
        return 3
    return 0
