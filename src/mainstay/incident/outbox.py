"""What a page says, when it is tried again, and whether it is still wanted. Pure; `operations/outbox.py` sends."""

from __future__ import annotations

from datetime import timedelta

from mainstay.incident.lifecycle import Phase
from mainstay.incident.paging import WORSE
from mainstay.incident.state import State
from mainstay.kernel.journal import Message
from mainstay.kernel.ports import Notice

FIRST_RETRY, LAST_RETRY = timedelta(seconds=2), timedelta(minutes=5)
GIVE_UP_AFTER = 12
"""Attempts; with doubling pauses that is half an hour, after which the next steps of the escalation have long gone."""


def notice_of(message: Message) -> Notice:
    """The message as its channel is handed it."""
    data = message.data
    subject = f"{data['severity']} {data['incident']}: {data['title']}"
    opened = data["opened"][:16].replace("T", " ")
    where = f" in {data['service']}" if data["service"] else ""
    body = (f"{data['title']}{where}, since {opened} UTC ({data['reason']}).\n"
            f"mainstay incident ack {data['incident']} takes it, mainstay incident show {data['incident']} says more.")
    return Notice(data["address"], subject, body, message.key, data)


def unwanted(message: Message, state: State) -> str:
    """Why the page need not be sent any more, or the empty text: somebody has it, or it is over."""
    if message.data["what"] != "page":
        return ""
    one = state.incidents.get(message.data["incident"])
    if one is None or message.data["reason"] == WORSE:
        return "" if one is None or one.phase is not Phase.DONE else f"{one.id} is over"
    match one.phase:
        case Phase.ACKNOWLEDGED:
            return f"{one.acknowledged_by} has {one.id}"
        case Phase.DONE:
            return f"{one.id} is over"
        case _:
            return ""


def pause_before(attempt: int, asked: float | None) -> timedelta:
    """How long to wait before that attempt (2 is the first repeat): doubling, or longer when the channel asks."""
    own = min(FIRST_RETRY * (1 << min(attempt - 2, 20)), LAST_RETRY)
    return max(own, timedelta(seconds=asked)) if asked is not None else own
