"""Threads that send: each channel has its own, and within a channel each address its own lane.

A provider that is down or slow keeps the pages to its own addresses waiting, and nobody else's.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import NamedTuple

from mainstay.incident.operations.outbox import LEASE, Outbox
from mainstay.kernel.channels import TOGETHER
from mainstay.kernel.errors import MainstayError
from mainstay.kernel.journal import Message

log = logging.getLogger("mainstay.outbox")

LANES = 16
"""Addresses of one channel that are sent to at the same time."""
IN_A_LANE = 4
"""Messages to one address in this process's hands; more of them are put back, so that others can be taken."""
_LATER = timedelta(seconds=5)


class Delivery:
    """Sends what the outbox holds until it is told to end.

    Args:
        worker: names this process among those that share the journal.
        poll: seconds after which the outbox is looked into again although nobody woke this.
    """

    def __init__(self, outbox: Outbox, worker: str, *, poll: float = 0.5) -> None:
        self._channels = [_Channel(outbox, channel, worker, poll) for channel in outbox.channels]

    def start(self) -> None:
        """Begin to send."""
        for channel in self._channels:
            channel.start()

    def wake(self) -> None:
        """Something was put into the outbox."""
        for channel in self._channels:
            channel.woken.set()

    def end(self, patience: float = 10.0) -> None:
        """Begin nothing new, and wait that many seconds for what is on its way; the rest is free after its lease."""
        for channel in self._channels:
            channel.over.set()
            channel.woken.set()
        until = time.monotonic() + patience
        for channel in self._channels:
            channel.join(max(until - time.monotonic(), 0.0))


class _Held(NamedTuple):
    """A message of ours: when it was taken by the wall clock, and since when it is here by the monotonic one."""

    message: Message
    taken: datetime
    since: float


class _Channel(threading.Thread):
    """Takes the messages of one channel and hands them to the lanes of their addresses."""

    def __init__(self, outbox: Outbox, channel: str, worker: str, poll: float) -> None:
        super().__init__(name=f"mainstay-send-{channel}", daemon=True)
        self._outbox, self._channel, self._worker, self._poll = outbox, channel, worker, poll
        self.woken, self.over = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._lanes: dict[str, deque[_Held]] = {}

    def run(self) -> None:
        """Until `over` is set."""
        with ThreadPoolExecutor(LANES, thread_name_prefix=self.name) as pool:
            while not self.over.is_set():
                try:
                    taken = self._outbox.take(self._channel, self._worker, LANES)
                    for message, at in taken:
                        self._enlist(_Held(message, at, time.monotonic()), pool)
                except MainstayError as error:
                    log.error("%s: nothing can be sent for now: %s", self._channel, error.message)
                    taken = []
                # A full take says that more may wait.
                if len(taken) < LANES:
                    self.woken.wait(self._poll)
                    self.woken.clear()

    def _enlist(self, held: _Held, pool: ThreadPoolExecutor) -> None:
        lane = _lane_of(held.message)
        with self._lock:
            waiting = self._lanes.get(lane)
            if waiting is not None and len(waiting) < IN_A_LANE:
                waiting.append(held)
                return
            if waiting is None:
                self._lanes[lane] = deque([held])
        if waiting is None:
            pool.submit(self._send_all, lane)
        else:
            self._outbox.put_back(held.message, _LATER)

    def _send_all(self, lane: str) -> None:
        """Send the messages of a lane, one after the other, until there is none."""
        while True:
            with self._lock:
                waiting = self._lanes[lane]
                if not waiting or self.over.is_set():
                    del self._lanes[lane]
                    return
                held = waiting.popleft()
            message = held.message
            if time.monotonic() - held.since > (LEASE - TOGETHER).total_seconds():
                continue  # it might be taken by another while we send it; after its lease somebody sends it
            try:
                self._outbox.settle(message, held.taken)
            except MainstayError as error:
                log.error("%s: %s is free again after its lease: %s", self._channel, message.key, error.message)
            except Exception:
                # Our own mistake with one message must not stop the others; it is tried again after its lease.
                log.exception("%s: %s cannot be sent", self._channel, message.key)


def _lane_of(message: Message) -> str:
    data = message.data
    return str(data["address"]) if data["what"] not in ("room", "answer") else f"{data['what']} {data['incident']}"
