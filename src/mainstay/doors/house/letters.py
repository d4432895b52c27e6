"""Letters: what one person is told that is no page. Who may approve a plan hears of it, and who is asked for a swap.

They wait in the outbox like pages, in channels of their own, so that a provider that is slow to take one keeps no page
waiting; a second server on the same store shares the work.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

from mainstay.doors.house.engine import Worker
from mainstay.incident.operations.outbox import LEASE
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import NotDelivered, SourceUnavailable
from mainstay.kernel.journal import Batch, Claim, Data, Message, NewFact, Retry, StaleClaim
from mainstay.kernel.people import Notice, Notifier
from mainstay.kernel.ports import World
from mainstay.oncall.operations.telling import SWAPS, still_news
from mainstay.runbook.lifecycle import State
from mainstay.runbook.operations.desk import runs_of
from mainstay.runbook.operations.telling import APPROVALS, say_expected

log = logging.getLogger("mainstay.letters")
_FIRST, _LAST = timedelta(seconds=2), timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class _Kind:
    """Letters of one channel of the outbox.

    Args:
        fact: what is recorded when one was sent.
        about: the field that names what it is about.
        wanted: whether it still says something.
    """

    fact: str
    about: str
    wanted: Callable[[World, Data], bool]


_KINDS = {
    APPROVALS: _Kind("approval.asked", "run", lambda world, data: runs_of(world).run(data["run"]).state
                     is State.AWAITING),
    SWAPS: _Kind("swap.told", "swap", lambda world, data: still_news(world, data["swap"], data["event"]))}


class Letters(Worker):
    """Sends them. `world` is asked anew each round, for the catalog may have changed."""

    def __init__(self, world: Callable[[], World]) -> None:
        super().__init__("mainstay-letters", self.round)
        self._world = world
        self._said: set[str] = set()

    def round(self) -> float:
        """Send what waits; seconds until it is worth looking again."""
        world = self._world()
        say_expected(world, self._said)
        channels: Mapping[str, Notifier] = {}
        for name, kind in _KINDS.items():
            while not self.ending and (taken := world.journal.take_messages(
                    world.clock.now(), f"letters-{os.getpid()}", channel=name, limit=1, lease=LEASE)):
                channels = channels or world.channels()
                self._send(world, taken[0], kind, channels)
        return 1.0

    def _send(self, world: World, message: Message, kind: _Kind, channels: Mapping[str, Notifier]) -> None:
        now, data = world.clock.now(), message.data
        settled = Batch(messages_done=[Claim(message.key, message.fence)])
        try:
            if kind.wanted(world, data):
                channels[data["channel"]].send(
                    Notice(data["address"], data["subject"], data["body"], message.key, data))
                settled = replace(settled, facts=[NewFact(
                    kind.fact, data[kind.about], now, {"to": data["to"], "channel": data["channel"]},
                    key=f"{kind.fact}:{message.key}")])
        except SourceUnavailable as error:
            for_good = isinstance(error, NotDelivered) and error.for_good
            log.warning("%s was not told of %s by %s%s: %s", data["to"], data[kind.about], data["channel"],
                        "" if for_good else ", tried again", error.message)
            if not for_good:
                again = now + pause_before(message.attempts)
                settled = Batch(messages_retry=[Retry(message.key, message.fence, again)])
        try:
            world.journal.commit(settled)
        except StaleClaim:
            log.warning("%s was taken over by another sender", message.key)


def pause_before(attempts: int) -> timedelta:
    """How long is waited after so many tries: doubling, five minutes at most."""
    return min(_FIRST * (1 << min(attempts - 1, 10)), _LAST)
