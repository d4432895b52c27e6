"""Threads that send: each channel has its own, and within a channel each address its own lane.

A provider that is down or slow keeps the pages to its own addresses waiting, and nobody else's.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
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
        outbox: the one under the catalog in force; asked before every take, so that an edited channel is used at once.
        channels: those that are sent to.
        worker: names this process among those that share the journal.
        poll: seconds after which the outbox is looked into again although nobody woke this.
    """

    def __init__(self, outbox: Callable[[], Outbox], channels: Sequence[str], worker: str, *,
                 poll: float = 0.5) -> None:
        self._channels = [_Channel(outbox, channel, worker, poll) for channel in channels]

    @property
    def problems(self) -> tuple[str, ...]:
        """What keeps channels from sending at the moment."""
        return tuple(channel.problem for channel in self._channels if channel.problem)

    def start(self) -> None:
        """Begin to send."""
        for channel in self._channels:
            channel.start()

    def wake(self, channels: Collection[str]) -> None:
        """Something was put into the outbox for these."""
        for one in self._channels:
            if one.channel in channels:
                one.woken.set()

    def end(self, patience: float = 10.0) -> None:
        """Begin nothing new, and wait that many seconds for what is on its way; the rest is free after its lease."""
        for channel in self._channels:
            channel.over.set()
            channel.woken.set()
        until = time.monotonic() + patience
        for channel in self._channels:
            channel.join(max(until - time.monotonic(), 0.0))


class _InHand(NamedTuple):
    """A message that this process took, when by the wall clock, and since when by the monotonic."""

    message: Message
    taken: datetime
    outbox: Outbox
    since: float


class _Channel(threading.Thread):
    """Takes the messages of one channel and hands them to the lanes of their addresses."""

    def __init__(self, outbox: Callable[[], Outbox], channel: str, worker: str, poll: float) -> None:
        super().__init__(name=f"mainstay-send-{channel}", daemon=True)
        self._outbox, self.channel, self._worker, self._poll = outbox, channel, worker, poll
        self.woken, self.over = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._lanes: dict[str, deque[_InHand]] = {}
        self.problem = ""

    def run(self) -> None:
        """Until `over` is set."""
        with ThreadPoolExecutor(LANES, thread_name_prefix=self.name) as pool:
            while not self.over.is_set():
                taken: list[tuple[Message, datetime]] = []
                try:
                    outbox = self._outbox()
                    taken = outbox.take(self.channel, self._worker, LANES)
                    for message, at in taken:
                        self._enlist(_InHand(message, at, outbox, time.monotonic()), pool)
                    self.problem = ""
                except MainstayError as error:
                    self.problem = f"{self.channel}: nothing can be sent: {error.message}"
                    log.error("%s", self.problem)
                except Exception:
                    # This thread is all that sends to the channel: it must outlive our own mistakes.
                    self.problem = f"{self.channel}: nothing can be sent; the log says why"
                    log.exception("%s", self.problem)
                # A full take says that more may wait.
                if len(taken) < LANES:
                    self.woken.wait(self._poll)
                    self.woken.clear()

    def _enlist(self, one: _InHand, pool: ThreadPoolExecutor) -> None:
        lane = _lane_of(one.message)
        with self._lock:
            waiting = self._lanes.get(lane)
            if waiting is not None and len(waiting) < IN_A_LANE:
                waiting.append(one)
                return
            if waiting is None:
                self._lanes[lane] = deque([one])
        if waiting is None:
            pool.submit(self._send_all, lane)
        else:
            one.outbox.put_back(one.message, _LATER)

    def _send_all(self, lane: str) -> None:
        """Send the messages of a lane, one after the other, until there is none."""
        while True:
            with self._lock:
                waiting = self._lanes[lane]
                if not waiting or self.over.is_set():
                    del self._lanes[lane]
                    return
                one = waiting.popleft()
            if time.monotonic() - one.since > (LEASE - TOGETHER).total_seconds():
                continue  # it might be taken by another while we send it; after its lease somebody sends it
            try:
                one.outbox.settle(one.message, one.taken)
            except MainstayError as error:
                log.error("%s: %s is free again after its lease: %s", self.channel, one.message.key, error.message)
            except Exception:
                # Our own mistake with one message must not stop the others; it is tried again after its lease.
                log.exception("%s: %s cannot be sent", self.channel, one.message.key)


def _lane_of(message: Message) -> str:
    data = message.data
    return str(data["address"]) if data["what"] not in ("room", "answer") else f"{data['what']} {data['incident']}"
