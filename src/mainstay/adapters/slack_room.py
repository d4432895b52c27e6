"""War rooms in Slack: one channel an incident, one summary in it that is kept current, archived when it is over.

Everything is done so that doing it again changes nothing: whoever dies half-way leaves a room that the next try finds.
Slack itself decides who makes the room, because it refuses a name that is taken; only then is the channel of that name
looked up, and taken for ours when this app made it after the incident opened. A room that was archived cannot be opened
again by an app (`conversations.unarchive` takes no bot tokens), so an incident that comes back gets another room.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from mainstay.adapters.slack import SlackApi, SlackError, key_metadata
from mainstay.adapters.slack_blocks import room_blocks, topic_of
from mainstay.kernel.errors import NotDelivered
from mainstay.kernel.journal import Data

_MOST_NAMES = 9
"""Rooms of one incident, or names that others took, before this gives up."""
_PAGE = 200
_LONGEST_NAME = 80
_SKEW = 120.0
"""Seconds by which Slack's clock may be behind ours."""


def keep_room(api: SlackApi, data: Data, until: float, *, buttons: bool) -> Data:
    """Make the room show the incident as `data` says; the receipt that the next call needs.

    Args:
        until: when all of it must be done, by the API's monotonic clock; what is left then is done at the next try.
    Raises:
        NotDelivered: Slack refused something, or was too slow.
    """
    before = data["receipts"][0] if data["receipts"] else {}
    over = data["status"] == "resolved"
    if before.get("archived") and (over or before.get("by_hand")):
        return before
    room: dict[str, Any] = dict(before) if before and not before["archived"] else \
        _make(api, data, int(before["number"]) + 1 if before else 1, until)
    try:
        _show(api, data, room, until, buttons=buttons)
    except SlackError as error:
        # Somebody deleted or archived the room by hand: they want none.
        if error.error not in ("channel_not_found", "is_archived"):
            raise
        return {**room, "archived": True, "by_hand": True}
    if over and data["archive"]:
        with _unless("already_archived", "cant_archive_required"):
            api.ask("conversations.archive", until, channel=room["channel"])
        room["archived"] = True
    return room


def _show(api: SlackApi, data: Data, room: dict[str, Any], until: float, *, buttons: bool) -> None:
    """The topic, the people, the summary."""
    topic = topic_of(data)
    if room.get("topic") != topic:
        api.ask("conversations.setTopic", until, channel=room["channel"], topic=topic)
        room["topic"] = topic
    new = [who for who in data["invite"] if who not in room.get("invited", ())]
    for who in new:
        # One by one: among many, a single wrong one would keep all of them out.
        with _unless("already_in_channel", "cant_invite_self", "user_not_found", "cant_invite", "user_is_bot",
                     "user_disabled", "users_not_found"):
            api.ask("conversations.invite", until, channel=room["channel"], users=who)
    room["invited"] = [*room.get("invited", ()), *new]
    told = {"text": f"{data['severity']} {data['incident']}: {data['title']}",
            "blocks": room_blocks(data, buttons=buttons)}
    mark = f"room:{data['incident']}"
    summary = room.get("summary") or _summary_of(api, room["channel"], mark, until)
    if summary:
        with _unless("message_not_found", "cant_update_message"):
            api.ask("chat.update", until, channel=room["channel"], ts=summary, metadata=key_metadata(mark), **told)
            room["summary"] = summary
            return
    posted = api.ask("chat.postMessage", until, channel=room["channel"], metadata=key_metadata(mark), **told)
    room["summary"] = str(posted["ts"])


def _make(api: SlackApi, data: Data, number: int, until: float) -> dict[str, Any]:
    """A new channel, or the one that an earlier try made."""
    for attempt in range(number, number + _MOST_NAMES):
        ending = f"-{attempt}" if attempt > 1 else ""
        name = data["name"][:_LONGEST_NAME - len(ending)].rstrip("-") + ending
        try:
            made = api.ask("conversations.create", until, name=name, is_private=data["private"])["channel"]
        except SlackError as error:
            if error.error != "name_taken":
                raise
            taken = _named(api, name, data, until)
            if taken is None:
                continue  # somebody else's, or an older room of ours that is archived
            made = taken
        return {"channel": str(made["id"]), "name": str(made.get("name") or name), "number": attempt,
                "archived": False}
    raise NotDelivered(f"every name for the room of {data['incident']} is taken", "archive or rename old channels",
                       for_good=True)


def _named(api: SlackApi, name: str, data: Data, until: float) -> dict[str, Any] | None:
    """The channel of that name, when this app made it for this incident."""
    me = str(api.ask("auth.test", until).get("user_id", ""))
    opened = datetime.fromisoformat(data["opened"]).timestamp() - _SKEW
    for channel in _channels(api, private=data["private"], until=until):
        if channel.get("name") == name:
            ours = channel.get("creator") == me and float(channel.get("created", 0)) >= opened
            return channel if ours and not channel.get("is_archived") else None
    return None


def _channels(api: SlackApi, *, private: bool, until: float) -> Iterator[dict[str, Any]]:
    cursor = ""
    while True:
        answer = api.ask("conversations.list", until, limit=_PAGE, cursor=cursor,
                         types="private_channel" if private else "public_channel", exclude_archived=False)
        yield from answer.get("channels", ())
        cursor = str((answer.get("response_metadata") or {}).get("next_cursor", ""))
        if not cursor:
            return


def _summary_of(api: SlackApi, channel: str, mark: str, until: float) -> str:
    """The time stamp of the summary that an earlier try posted; empty where there is none."""
    answer = api.ask("conversations.history", until, channel=channel, limit=_PAGE, include_all_metadata=True)
    for message in answer.get("messages", ()):
        payload = (message.get("metadata") or {}).get("event_payload") or {}
        if payload.get("key") == mark:
            return str(message["ts"])
    return ""


@contextmanager
def _unless(*errors: str) -> Iterator[None]:
    """Go on after these errors of Slack: what was asked for is so already, or cannot be helped."""
    try:
        yield
    except SlackError as error:
        if error.error not in errors:
            raise
