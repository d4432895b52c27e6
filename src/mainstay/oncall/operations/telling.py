"""Telling whom a swap concerns: a message a way in which that person is reached, durable before it goes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from mainstay.kernel.journal import Batch, Fact, NewMessage
from mainstay.kernel.people import Reach
from mainstay.kernel.ports import World
from mainstay.oncall.changes import SWAP, Swap
from mainstay.oncall.operations.asking import duty_of
from mainstay.oncall.view import swap_text

SWAPS = "swaps"
"""The channel of the outbox in which they wait."""

_SUBJECTS = {"requested": "{who} asks you to take a shift", "accepted": "{asked} takes your shift",
             "declined": "{asked} declined to take your shift", "withdrawn": "{who} withdrew a swap with you"}


def say_swap(world: World, fact: Fact) -> None:
    """A swap was asked for, answered or withdrawn: the other one hears of it; again does nothing."""
    one = duty_of(world).changes.swaps[fact.subject]
    event = fact.kind.removeprefix(SWAP)
    to = one.asked if event in ("requested", "withdrawn") else one.who
    subject = f"{one.id}: {_SUBJECTS[event].format(who=one.who, asked=one.asked)}"
    body = "\n".join([f"{swap_text(one)}.", *_ways_out(one, event)])
    world.journal.commit(Batch(messages=[NewMessage(
        f"swap:{one.id}:{event}:{way.contact.channel}", SWAPS, {
            "what": "swap", "swap": one.id, "event": event, "to": to, "channel": way.contact.channel,
            "address": way.contact.address, "subject": subject, "body": body}, fact.recorded_at)
        for way in _quietly(world.responders.reach(to))]))


def still_news(world: World, name: str, event: str) -> bool:
    """Whether the swap stands as that message says and is not over: one that was answered meanwhile asks nobody."""
    one = duty_of(world).changes.swaps[name]
    return one.state == event and one.span.end > world.clock.now()


def _ways_out(one: Swap, event: str) -> tuple[str, ...]:
    if event != "requested":
        return ()
    return (f"mainstay oncall swap --accept {one.id} takes it, mainstay oncall swap --decline {one.id} does not.",)


def _quietly(ways: Sequence[Reach]) -> list[Reach]:
    """The ways for what can wait, else those that a page takes at once."""
    low = [way for way in ways if way.urgency == "low"]
    return low or [way for way in ways if way.after == timedelta(0)]
