"""What a page says, when it is tried again, and whether it is still wanted. Pure; `operations/outbox.py` sends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from mainstay.incident.lifecycle import Phase
from mainstay.incident.paging import WORSE
from mainstay.incident.severity import DEMANDS, Severity
from mainstay.incident.state import State
from mainstay.kernel.journal import Message
from mainstay.kernel.people import Contact, Notice, Reach

FIRST_RETRY, LAST_RETRY = timedelta(seconds=2), timedelta(minutes=5)
GIVE_UP_AFTER = 12
"""Attempts; with doubling pauses that is half an hour, after which the next steps of the escalation have long gone."""
LONGEST_ASKED = timedelta(hours=1)
"""A channel that asks for a longer pause than this is asked again all the same."""


def notice_of(message: Message, link: str = "") -> Notice:
    """The message as its channel is handed it; `link` is the incident's page."""
    data = message.data
    if data["what"] == "reply":
        return Notice(data["address"], "", data["text"], message.key, data)
    reminds = data["what"] == "reminder" or "since" in data
    subject = f"{'Reminder: ' if reminds else ''}{data['severity']} {data['incident']}: {data['title']}"
    where = f" in {data['service']}" if data["service"] else ""
    body = (f"{data['title']}{where}, since {_minute(data['opened'])} UTC ({data['reason']}).\n"
            + _reminder_of(data)
            + f"mainstay incident ack {data['incident']} takes it, mainstay incident show {data['incident']} says more."
            + (f"\n{link}" if link else ""))
    return Notice(data["address"], subject, body, message.key, {**data, "link": link})


def _reminder_of(data: Mapping[str, Any]) -> str:
    """That this is no new page, and what it reminds of."""
    if "since" in data:
        return f"This is a reminder: you were first paged about it at {_minute(data['since'])} UTC.\n"
    if data["what"] == "reminder":
        return f"This is a reminder and no page: {data['incident']} opened at {_minute(data['opened'])} UTC.\n"
    return ""


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")


def unwanted(message: Message, state: State) -> str:
    """Why the page need not be sent any more, or the empty text: somebody has it, or it is over."""
    data = message.data
    if data["what"] != "page":
        return ""
    if "incidents" in data:
        # Told together: the page is for each of them, not for the worst alone.
        reasons = [_settled(state, name, known=name in data.get("news", ())) for name in data["incidents"]]
        return reasons[0] if all(reasons) else ""
    return _settled(state, data["incident"], known=data.get("known", data["reason"] == WORSE))


def _settled(state: State, incident: str, *, known: bool) -> str:
    """Why nobody need hear of the incident; of one that somebody has, they hear what is new."""
    one = state.incidents.get(incident)
    if one is not None and one.phase is Phase.DONE:
        return f"{one.id} is over"
    if one is not None and one.phase is Phase.ACKNOWLEDGED and not known:
        return f"{one.acknowledged_by} has {one.id}"
    return ""


def pause_before(attempt: int, asked: float | None) -> timedelta:
    """How long to wait before that attempt (2 is the first repeat): doubling, or longer when the channel asks."""
    own = min(FIRST_RETRY * (1 << min(attempt - 2, 20)), LAST_RETRY)
    return own if asked is None else max(own, timedelta(seconds=min(asked, LONGEST_ASKED.total_seconds())))


def next_way(message: Message, rungs: Sequence[Reach], channels: Sequence[str]) -> Contact | None:
    """The person's next contact for a page that this one refused for good, to be tried at once; None where none is.

    Those of their rules that hold from the start have the page already, and each channel is tried once.

    Args:
        rungs: how the person is reached, soonest first.
        channels: those that can be sent to.
    """
    for rung in _rungs_for(message, rungs):
        way = rung.contact
        if rung.after and way.channel in channels and way.channel not in tried(message):
            return way
    return None


def unreachable(message: Message, rungs: Sequence[Reach]) -> bool:
    """Whether this was the last way there is to the person."""
    return all(rung.contact.channel in tried(message) for rung in _rungs_for(message, rungs))


def tried(message: Message) -> tuple[str, ...]:
    """The channels that refused this page, its own the last."""
    return (*message.data.get("tried", ()), message.channel)


def _rungs_for(message: Message, rungs: Sequence[Reach]) -> list[Reach]:
    """The rules that hold for the page's urgency, else the first one: as `paging` chose."""
    urgency = DEMANDS[Severity(message.data["severity"])].urgency
    return [rung for rung in rungs if rung.urgency == urgency] or list(rungs[:1])
