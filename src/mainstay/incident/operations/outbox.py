"""Sending what was decided: each channel on its own, so that a slow one delays nobody else.

A page is sent under its message's key and then recorded as sent, in this order: whoever dies in between has the same
page sent once more, under the same key. Nothing is sent for an incident that somebody has meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from mainstay.incident.operations.desk import Desk
from mainstay.incident.outbox import GIVE_UP_AFTER, notice_of, pause_before, unwanted
from mainstay.kernel.errors import NotDelivered, SourceUnavailable
from mainstay.kernel.journal import Batch, Claim, Journal, Message, NewFact, NewMessage, Retry, StaleClaim
from mainstay.kernel.ports import Clock, Notifier, Responders

log = logging.getLogger("mainstay.outbox")
LEASE = timedelta(seconds=60)
"""How long a sender may be busy with one message before another may take it: longer than any channel's time-out."""


class Outbox:
    """Messages of the journal on their way out."""

    def __init__(self, journal: Journal, clock: Clock, desk: Desk, responders: Responders,
                 channels: Mapping[str, Notifier]) -> None:
        self._journal, self._clock, self._desk, self._responders = journal, clock, desk, responders
        self._channels = channels

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels that can be sent to."""
        return tuple(self._channels)

    def send(self, channel: str, worker: str) -> int:
        """Send what waits in the channel, one after the other; how many were settled."""
        settled = 0
        while taken := self._journal.take_messages(began := self._clock.now(), worker, channel=channel, limit=1,
                                                   lease=LEASE):
            for message in taken:
                settled += self._settle(channel, message, began)
        return settled

    def _settle(self, channel: str, message: Message, began: datetime) -> bool:
        dropped = unwanted(message, self._desk.caught_up())
        if dropped:
            return self._commit(message, "page.dropped", {"why": dropped})
        if self._clock.now() - began >= LEASE:
            # This process was stopped in between; whoever took the message over has sent it, or will.
            log.warning("%s was held for longer than its lease and is left to another sender", message.key)
            return False
        try:
            self._channels[channel].send(notice_of(message))
        except SourceUnavailable as error:
            return self._failed(channel, message, error)
        return self._commit(message, "page.sent", {"attempts": message.attempts})

    def _failed(self, channel: str, message: Message, error: SourceUnavailable) -> bool:
        asked = error.retry_after if isinstance(error, NotDelivered) else None
        for_good = isinstance(error, NotDelivered) and error.for_good
        log.warning("%s to %s not delivered: %s", message.data["what"], message.data["to"], error.message)
        if for_good or message.attempts >= GIVE_UP_AFTER:
            return self._commit(message, "page.failed", {"why": error.message, "attempts": message.attempts},
                                self._another_way(channel, message))
        again = self._clock.now() + pause_before(message.attempts + 1, asked)
        try:
            self._journal.commit(Batch(messages_retry=[Retry(message.key, message.fence, again)]))
        except StaleClaim:
            log.warning("%s was taken over by another sender", message.key)
        return False

    def _another_way(self, channel: str, message: Message) -> list[NewMessage]:
        """The same page by the person's next contact, at once; a step to a channel has no other way."""
        known = [one.contact for one in self._responders.reach(message.data["to"])]
        here = next((place for place, one in enumerate(known) if one.channel == channel
                     and one.address == message.data["address"]), -1)
        following = next((one for one in known[here + 1:] if one.channel != channel), None)
        if following is None or following.channel not in self._channels:
            return []
        return [NewMessage(f"{message.key}:{following.channel}", following.channel,
                           {**message.data, "address": following.address}, self._clock.now())]

    def _commit(self, message: Message, kind: str, data: Mapping[str, object],
                more: list[NewMessage] | None = None) -> bool:
        now = self._clock.now()
        fact = NewFact(kind, message.data["incident"], now, {
            "to": message.data["to"], "channel": message.channel, "key": message.key, **data},
            key=f"{kind}:{message.key}")
        try:
            self._journal.commit(Batch([fact], messages=more or (),
                                       messages_done=[Claim(message.key, message.fence)]))
        except StaleClaim:
            log.warning("%s was taken over by another sender", message.key)
            return False
        return True


