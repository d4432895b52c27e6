"""Sending what was decided: each channel on its own, so that a slow one delays nobody else.

A page is sent under its message's key and then recorded as sent, in this order: whoever dies in between has the same
page sent once more, under the same key. Nothing is sent for an incident that somebody has meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from mainstay.incident.engine import Undelivered
from mainstay.incident.following import ANSWERED, about, answered, invited, people_paged, room_name, room_rule, shown
from mainstay.incident.lifecycle import Status
from mainstay.incident.ongoing import Incident
from mainstay.incident.operations.desk import Desk
from mainstay.incident.outbox import GIVE_UP_AFTER, next_way, notice_of, pause_before, tried, unreachable, unwanted
from mainstay.kernel import locks
from mainstay.kernel.errors import MainstayError, NotDelivered, SourceUnavailable
from mainstay.kernel.journal import (
    Batch,
    Claim,
    Data,
    FactQuery,
    Journal,
    Message,
    NewFact,
    NewMessage,
    Retry,
    StaleClaim,
)
from mainstay.kernel.locks import Locked
from mainstay.kernel.people import Notice, Notifier, Responders
from mainstay.kernel.ports import Clock

log = logging.getLogger("mainstay.outbox")
LEASE = timedelta(seconds=60)
"""How long a sender may be busy with one message before another may take it: longer than any channel's time-out."""
_SOON = timedelta(seconds=1)
_ROOM_FACTS = ("incident.room-opened", "incident.room-archived", "room.kept")


class Outbox:
    """Messages of the journal on their way out. Every method may be called from any thread."""

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
        while taken := self.take(channel, worker, 1):
            for message, at in taken:
                settled += self.settle(message, at)
        return settled

    def take(self, channel: str, worker: str, limit: int) -> list[tuple[Message, datetime]]:
        """Messages that wait in the channel, for this worker to settle within LEASE of the moment given with each."""
        now = self._clock.now()
        return [(message, now) for message in self._journal.take_messages(now, worker, channel=channel, limit=limit,
                                                                          lease=LEASE)]

    def put_back(self, message: Message, after: timedelta) -> None:
        """Leave the message for later, or for another worker."""
        try:
            self._journal.commit(Batch(messages_retry=[Retry(message.key, message.fence, self._clock.now() + after)]))
        except StaleClaim:
            log.warning("%s was taken over by another sender", message.key)

    def settle(self, message: Message, taken: datetime) -> bool:
        """Send the message, or put it back; whether it needs no further try.

        Args:
            taken: when it was taken; this worker may act for it for LEASE from then on.
        """
        if self._clock.now() - taken >= LEASE:
            # This process was stopped in between; whoever took the message over has sent it, or will.
            log.warning("%s was held for longer than its lease and is left to another sender", message.key)
            return False
        if message.data["what"] in ("room", "answer"):
            return self._follow(message)
        dropped = unwanted(message, self._desk.caught_up())
        if dropped:
            return self._commit(message, "page.dropped", {"why": dropped})
        link = self._link(message.data["incident"])
        try:
            receipt = self._channels[message.channel].send(notice_of(message, link))
        except SourceUnavailable as error:
            return self._failed(message, error)
        # What a page to a person has not: that it is a reminder, or went to a channel itself.
        beside = {name: told for name in ("what", "is") if (told := message.data.get(name, "page")) != "page"}
        return self._commit(message, "page.sent", {"attempts": message.attempts, **beside, **_kept(receipt)},
                            self._answered_meanwhile(message))

    def _link(self, incident: str) -> str:
        channels = self._desk.plan.channels
        return channels.link(incident) if channels is not None else ""

    def _answered_meanwhile(self, message: Message) -> list[NewMessage]:
        """A page that was on its way when somebody answered is told of the answer after it, not before."""
        incident = message.data["incident"]
        one = self._desk.caught_up().incidents.get(incident)
        if one is None or not answered(one) or message.channel not in ANSWERED or message.data["what"] != "page":
            return []
        return [NewMessage(f"answer:{message.key}", message.channel, about(incident, "answer"), self._clock.now())]

    def _failed(self, message: Message, error: SourceUnavailable) -> bool:
        asked = error.retry_after if isinstance(error, NotDelivered) else None
        for_good = isinstance(error, NotDelivered) and error.for_good
        if not for_good and message.attempts < GIVE_UP_AFTER:
            log.warning("%s to %s by %s not delivered, tried again: %s", message.data["what"], message.data["to"],
                        message.channel, error.message)
            self.put_back(message, pause_before(message.attempts + 1, asked))
            return False
        why = {"why": error.message, "attempts": message.attempts, "what": message.data["what"]}
        # A room that cannot be kept is said once, not at every change of its incident.
        follows = message.data["what"] in ("room", "answer")
        once = f"{message.data['incident']}:{error.message}" if follows else message.key
        settled = self._commit(message, "page.failed", why, self._another_way(message), once)
        if settled and message.data["what"] == "page":
            self._say_unreachable(message, error.message)
        return settled

    def _another_way(self, message: Message) -> list[NewMessage]:
        """The same page by the person's next contact, at once; a step to a channel has no other way."""
        if message.data["what"] not in ("page", "reminder") or message.data.get("test"):
            return []  # a test page goes by every way from the start
        way = next_way(message, self._responders.reach(message.data["to"]), self.channels)
        if way is None:
            return []
        return [NewMessage(f"{message.key}:{way.channel}", way.channel,
                           {**message.data, "address": way.address, "tried": list(tried(message))}, self._clock.now())]

    def _say_unreachable(self, message: Message, why: str) -> None:
        data = message.data
        if not unreachable(message, self._responders.reach(data["to"])):
            return
        try:
            self._desk.do(Undelivered(data["incident"], data["to"], why, int(data.get("loop", -1)),
                                      int(data.get("step", -1))))
        except MainstayError as error:
            # The page is settled as failed; the escalation goes on at its own time.
            log.warning("%s: it was not recorded that %s cannot be reached: %s", data["incident"], data["to"],
                        error.message)

    def _commit(self, message: Message, kind: str, data: Mapping[str, object],
                more: Sequence[NewMessage] = (), once: str = "") -> bool:
        fact = NewFact(kind, message.data["incident"], self._clock.now(), {
            "to": message.data["to"], "channel": message.channel, "key": message.key, **data},
            key=f"{kind}:{once or message.key}")
        return self._done(message, [fact], more)

    def _done(self, message: Message, facts: Sequence[NewFact], more: Sequence[NewMessage] = ()) -> bool:
        try:
            self._journal.commit(Batch(facts, messages=more, messages_done=[Claim(message.key, message.fence)]))
        except StaleClaim:
            log.warning("%s was taken over by another sender", message.key)
            return False
        return True

    # -- what follows an incident --------------------------------------------------------------------------------

    def _follow(self, message: Message) -> bool:
        """Tell a channel how the incident stands now; nothing where it is told already."""
        one = self._desk.caught_up().incidents.get(message.data["incident"])
        if one is None:
            return self._done(message, ())
        if not self._to_show(message, one)[0]:
            return self._done(message, ())
        holder, now = f"{message.key} under {message.fence}", self._clock.now()
        try:
            held = locks.take(self._journal, [f"{message.data['what']} of {one.id} in {message.channel}"], holder, now,
                              LEASE)
        except Locked:
            # Two servers would each say how it stands, and the slower one last what was so before.
            self.put_back(message, _SOON)
            return False
        try:
            return self._show(message, self._desk.caught_up().incidents[one.id])
        finally:
            locks.free(self._journal, held, self._clock.now())

    def _to_show(self, message: Message, one: Incident) -> tuple[bool, list[Data]]:
        """Whether the channel is not told yet how it stands; and what the channel called what it was told."""
        if message.data["what"] == "answer":
            receipts = self._answers_for(message.channel, one)
            return bool(receipts), receipts
        receipts = self._room_of(one)
        return not self._is_told(one, receipts), receipts

    def _show(self, message: Message, one: Incident) -> bool:
        wanted, receipts = self._to_show(message, one)
        if not wanted:
            return self._done(message, ())
        room = message.data["what"] == "room"
        data = {**shown(one, self._link(one.id)), "what": message.data["what"], "receipts": receipts,
                **(self._room_wanted(one) if room else {})}
        notice = Notice("", f"{one.severity} {one.id}: {one.title}", one.title, message.key, data)
        try:
            receipt = self._channels[message.channel].send(notice)
        except SourceUnavailable as error:
            return self._failed(message, error)
        return self._done(message, self._room_facts(one, receipts, receipt or {}) if room else ())

    @staticmethod
    def _is_told(one: Incident, receipts: Sequence[Data]) -> bool:
        """Whether the room shows the latest state; an incident that was over before it had one gets none."""
        return receipts[0].get("version", 0) >= one.version if receipts else one.status is Status.RESOLVED

    def _room_wanted(self, one: Incident) -> dict[str, Any]:
        rule = room_rule(self._desk.plan.channels)
        paged = people_paged(self._journal.facts(FactQuery(kinds=("incident.paged",), subject=one.id)))
        return {"name": room_name(one), "invite": invited(self._desk.plan, self._responders, one, paged),
                "private": bool(rule and rule.private), "archive": rule is None or rule.archive}

    def _room_of(self, one: Incident) -> list[Data]:
        newest = self._journal.facts(FactQuery(kinds=_ROOM_FACTS, subject=one.id, newest_first=True, limit=1))
        return [fact.data["receipt"] for fact in newest]

    def _answers_for(self, channel: str, one: Incident) -> list[Data]:
        """What the channel called the pages it took; only those of an incident that was answered change."""
        if not answered(one):
            return []
        sent = self._journal.facts(FactQuery(kinds=("page.sent",), subject=one.id))
        return [fact.data["receipt"] for fact in sent if fact.data["channel"] == channel and "receipt" in fact.data]

    def _room_facts(self, one: Incident, before: Sequence[Data], now: Data) -> list[NewFact]:
        """The room is new, was archived, or shows the incident's latest state."""
        kept = {**now, "version": one.version}
        was = before[0] if before else {}
        kind = "room.kept" if was.get("channel") == now["channel"] else "incident.room-opened"
        if now["archived"] and not was.get("archived"):
            kind = "incident.room-archived"
        return [NewFact(kind, one.id, self._clock.now(), {"room": f"#{now['name']}", "receipt": kept},
                        key=f"{kind}:{one.id}:{now['channel']}:{one.version}")]


def _kept(receipt: Data | None) -> dict[str, Data]:
    return {"receipt": receipt} if receipt else {}
