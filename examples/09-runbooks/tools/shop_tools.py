"""Functions that runbooks call; each call is a process of its own."""

from __future__ import annotations

import json
from pathlib import Path


def backlog(queue: str) -> int:
    """How many messages wait in the queue, as the shop's snapshot has it."""
    waiting: dict[str, int] = json.loads(Path(__file__).with_name("queues.json").read_text(encoding="utf-8"))
    print(f"{queue}: {waiting[queue]} wait")
    return waiting[queue]
