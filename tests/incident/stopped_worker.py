"""A worker that stops itself (SIGSTOP) at a moment it is told, with something in its hands.

    python stopped_worker.py URL FOLDER WHERE

WHERE is `timer` (it has taken a timer and not yet committed what follows) or `message` (it has taken a page and not yet
sent it). Its clock shows what stands in FOLDER/clock; what it sends it appends to FOLDER/sent; when it is through it
writes FOLDER/over.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from crash.pager import PLAN, Boundaries, People, Provider
from mainstay.adapters.store import open_store
from mainstay.incident.operations.desk import Desk
from mainstay.incident.operations.outbox import Outbox


class FileClock:
    """Shows what a file says."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def now(self) -> datetime:
        return datetime.fromisoformat(self._file.read_text())

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class Stopping:
    """A journal after whose first take of that kind the process stops."""

    def __init__(self, journal: Any, where: str) -> None:
        self._journal, self._where = journal, where

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    def take_timers(self, *asked: Any, **more: Any) -> Any:
        return self._stop_with("timer", self._journal.take_timers(*asked, **more))

    def take_messages(self, *asked: Any, **more: Any) -> Any:
        return self._stop_with("message", self._journal.take_messages(*asked, **more))

    def _stop_with(self, kind: str, taken: list[Any]) -> list[Any]:
        if taken and self._where == kind:
            self._where = ""
            os.kill(os.getpid(), signal.SIGSTOP)
        return taken


def main() -> None:
    url, folder, where = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    clock = FileClock(folder / "clock")
    store = open_store(url, clock)
    journal: Any = Stopping(store.journal, where)
    desk = Desk(journal, clock, PLAN, People())
    provider = Provider(folder / "sent", Boundaries(0))
    outbox = Outbox(journal, clock, desk, People(), {"chat": provider, "mail": provider})
    if where == "timer":
        desk.ring("first")
    for channel in outbox.channels:
        outbox.send(channel, "first")
    store.close()
    (folder / "over").touch()


if __name__ == "__main__":
    main()
