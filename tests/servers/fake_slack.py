"""A fake Slack: an HTTP server that speaks the part of Slack's Web API that Mainstay uses. It is not Slack.

It checks what Slack checks and answers with Slack's own errors: tokens, names of channels, who is where, what is
archived, and rate limits (429 with Retry-After, on demand). Methods and errors are those of the pages of
docs.slack.dev/reference/methods; that bots cannot unarchive is from the page of conversations.unarchive. What it was
asked is kept, so that a test can look.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

TOKEN = "xoxb-fake-token"
BOT = "UBOT"
USERS = ("UANA", "UBEN", "UCLEO")


@dataclass
class Room:
    id: str
    name: str
    creator: str
    created: float
    private: bool = False
    archived: bool = False
    topic: str = ""
    members: list[str] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)


class Refused(Exception):
    """Slack's word for what is wrong."""


@dataclass
class FakeSlack:
    """What the fake holds, and how it is told to misbehave."""

    url: str = ""
    rooms: dict[str, Room] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    limited: dict[str, list[int]] = field(default_factory=dict)
    """Method → Retry-After seconds of its next answers, each a 429."""
    broken: dict[str, list[str]] = field(default_factory=dict)
    """Method → errors of its next answers."""
    after: dict[str, Callable[[], None]] = field(default_factory=dict)
    """Method → called after it did its work and before it answers, such as to lose the answer."""
    silence: float = 0.0
    """Seconds before it answers; whoever is still waiting at the end is answered then."""
    page: int = 2
    """Channels in a page of conversations.list, whatever limit was asked for."""
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        for number, name in enumerate(("general", "ops", "random")):
            self.rooms[f"C{number}"] = Room(f"C{number}", name, "UADMIN", 0.0, members=[BOT])

    def times(self, method: str) -> int:
        return sum(asked == method for asked, _ in self.asked)

    def named(self, name: str) -> Room:
        return next(room for room in list(self.rooms.values()) if room.name == name)  # others may be opened meanwhile

    def messages_to(self, user: str) -> list[dict[str, Any]]:
        return self.rooms[f"D{user}"].messages if f"D{user}" in self.rooms else []

    # -- methods -------------------------------------------------------------------------------------------------

    def answer(self, method: str, asked: dict[str, Any]) -> dict[str, Any]:
        found = getattr(self, "do_" + method.replace(".", "_"), None)
        if found is None:
            raise Refused("unknown_method")
        return found(asked)  # type: ignore[no-any-return]

    def do_auth_test(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"user_id": BOT, "team_id": "T1"}

    def do_chat_postMessage(self, asked: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        room = self._room(asked["channel"], open_direct=True)
        _check_blocks(asked.get("blocks"))
        message = {"ts": f"{1_700_000_000 + sum(len(one.messages) for one in self.rooms.values())}.000100",
                   "text": asked.get("text", ""), "blocks": asked.get("blocks"), "metadata": asked.get("metadata")}
        room.messages.append(message)
        return {"channel": room.id, "ts": message["ts"]}

    def do_chat_update(self, asked: dict[str, Any]) -> dict[str, Any]:
        room = self._room(asked["channel"])
        _check_blocks(asked.get("blocks"))
        for message in room.messages:
            if message["ts"] == asked["ts"]:
                message.update({name: asked[name] for name in ("text", "blocks", "metadata") if name in asked})
                return {"channel": room.id, "ts": asked["ts"]}
        raise Refused("message_not_found")

    def do_chat_postEphemeral(self, asked: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        self._room(asked["channel"])
        if asked["user"] not in USERS and not asked["user"].startswith("U"):
            raise Refused("user_not_in_channel")
        return {"message_ts": "1.0"}

    def do_conversations_create(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = asked["name"]
        if not re.fullmatch(r"[a-z0-9_-]+", name):
            raise Refused("invalid_name_specials")
        if len(name) > 80:
            raise Refused("invalid_name_maxlength")
        if any(room.name == name for room in self.rooms.values()):
            raise Refused("name_taken")  # an archived channel keeps its name
        room = Room(f"C{len(self.rooms) + 100}", name, BOT, time.time(), asked.get("is_private") in ("1", "true", True),
                    members=[BOT])
        self.rooms[room.id] = room
        return {"channel": _told(room)}

    def do_conversations_list(self, asked: dict[str, Any]) -> dict[str, Any]:
        private = asked.get("types") == "private_channel"
        wanted = [room for room in self.rooms.values() if room.id.startswith("C") and room.private is private]
        start = int(asked.get("cursor") or 0)
        cursor = str(start + self.page) if start + self.page < len(wanted) else ""
        return {"channels": [_told(room) for room in wanted[start:start + self.page]],
                "response_metadata": {"next_cursor": cursor}}

    def do_conversations_setTopic(self, asked: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        room = self._room(asked["channel"])
        if len(asked["topic"]) > 250:
            raise Refused("too_long")
        room.topic = asked["topic"]
        return {"topic": room.topic}

    def do_conversations_invite(self, asked: dict[str, Any]) -> dict[str, Any]:
        room = self._room(asked["channel"])
        for user in asked["users"].split(","):
            if user not in USERS:
                raise Refused("user_not_found")
            if user in room.members:
                raise Refused("already_in_channel")
            room.members.append(user)
        return {"channel": _told(room)}

    def do_conversations_history(self, asked: dict[str, Any]) -> dict[str, Any]:
        room = self._room(asked["channel"], archived=True)
        kept = [dict(one) for one in reversed(room.messages)]
        if asked.get("include_all_metadata") not in ("1", "true", True):
            for one in kept:
                one.pop("metadata")
        return {"messages": kept}

    def do_conversations_archive(self, asked: dict[str, Any]) -> dict[str, Any]:
        room = self._room(asked["channel"], archived=True)
        if room.archived:
            raise Refused("already_archived")
        room.archived = True
        return {}

    def do_conversations_unarchive(self, asked: dict[str, Any]) -> dict[str, Any]:
        raise Refused("not_allowed_token_type")

    def _room(self, channel: str, *, archived: bool = False, open_direct: bool = False) -> Room:
        if open_direct and channel in USERS:
            return self.rooms.setdefault(f"D{channel}", Room(f"D{channel}", "", BOT, 0.0, members=[BOT, channel]))
        room = self.rooms.get(channel) or next((one for one in self.rooms.values() if one.name
                                                and one.name == channel.lstrip("#")), None)
        if room is None:
            raise Refused("channel_not_found")
        if room.archived and not archived:
            raise Refused("is_archived")
        if BOT not in room.members:
            raise Refused("not_in_channel")
        return room


def _told(room: Room) -> dict[str, Any]:
    return {"id": room.id, "name": room.name, "creator": room.creator, "created": int(room.created),
            "is_archived": room.archived, "is_private": room.private}


def _check_blocks(blocks: Any) -> None:
    """The limits of Block Kit that a page could run into (docs.slack.dev/reference/block-kit)."""
    if blocks is None:
        return
    for block in blocks:
        text = block.get("text", {}).get("text", "")
        if block["type"] == "header" and not 0 < len(text) <= 150:
            raise Refused("invalid_blocks")
        if block["type"] == "section" and not 0 < len(text) <= 3000:
            raise Refused("invalid_blocks")
        if block["type"] == "actions" and not 0 < len(block["elements"]) <= 25:
            raise Refused("invalid_blocks")


@contextlib.contextmanager
def fake_slack() -> Iterator[FakeSlack]:
    """The fake, listening on this machine until the block ends."""
    here, over = FakeSlack(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            asked = json.loads(body) if "json" in self.headers.get("Content-Type", "") else dict(parse_qsl(body))
            method = self.path.rpartition("/")[2].partition("?")[0]
            over.wait(here.silence)
            with here.lock:
                here.asked.append((method, asked))
                status, headers, told = self._answer(method, asked)
            text = json.dumps(told).encode()
            with contextlib.suppress(ConnectionError):
                self.send_response(status)
                for name, value in {**headers, "Content-Type": "application/json",
                                    "Content-Length": str(len(text))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

        def _answer(self, method: str, asked: dict[str, Any]) -> tuple[int, dict[str, str], dict[str, Any]]:
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                return 200, {}, {"ok": False, "error": "invalid_auth"}
            if here.limited.get(method):
                return 429, {"Retry-After": str(here.limited[method].pop(0))}, {"ok": False, "error": "ratelimited"}
            if here.broken.get(method):
                return 200, {}, {"ok": False, "error": here.broken[method].pop(0)}
            try:
                told = here.answer(method, asked)
            except Refused as refused:
                return 200, {}, {"ok": False, "error": str(refused)}
            here.after.get(method, lambda: None)()
            return 200, {}, {"ok": True, **told}

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    here.url = f"http://127.0.0.1:{server.server_port}/api/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield here
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()
