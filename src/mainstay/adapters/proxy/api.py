"""The HTTP API of toxiproxy, as its unmodified clients use it, over the proxies of one room.

What is ours on top: `toxics` in a new proxy, which are in force before it listens; `protocol: udp`; the further kinds
of toxics; `GET /proxies/{proxy}/statistics`; `way_out` beside an `error`. What differs: what cannot work is refused
with 400 (an upstream whose name is unknown, a port that is taken, an attribute that does not exist), and nothing is
done then.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from mainstay import __version__
from mainstay.adapters.proxy import address
from mainstay.adapters.proxy.door import Door
from mainstay.adapters.proxy.listener import AnyListener, bind
from mainstay.adapters.proxy.messages import REASONS, Framing, Head, Kind
from mainstay.adapters.proxy.metrics import exposition
from mainstay.adapters.proxy.room import Declared, Room
from mainstay.adapters.proxy.toxic import read_changes, read_proxy, read_toxic, text, truth
from mainstay.kernel.errors import InvalidInput, MainstayError, NotAllowed, NotFound

SPOKEN = "2.12.0"
"""The version of toxiproxy whose API this is; clients compare it."""
_MOST_BODY = 1 << 20
_LONGEST_IDLE = 60.0
_LONGEST_ANSWER = 25.0

class Answer(NamedTuple):
    """A status, and what is written as JSON; a text as it is; None as nothing."""

    status: int
    content: Any = None


class Question(NamedTuple):
    """A whole request."""

    method: str
    path: tuple[str, ...]
    body: bytes

    def json(self) -> Any:
        """The body.

        Raises:
            InvalidInput: it is no JSON.
        """
        return read_json(self.body)


def read_json(data: bytes) -> Any:
    """JSON, without the numbers that JSON does not have.

    Raises:
        InvalidInput: it is none.
    """
    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no number of JSON")

    try:
        return json.loads(data, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"bad request body: {error}") from error


def read_proxies(given: object) -> list[Declared]:
    """The proxies of a JSON list, each with its toxics.

    Raises:
        InvalidInput: one of them cannot be.
    """
    if not isinstance(given, list):
        raise InvalidInput("bad request body: a list of proxies is wanted")
    return [read_proxy(one, f" at proxy {at}") for at, one in enumerate(given, 1)]


def read_config(path: Path) -> list[Declared]:
    """The proxies of a file.

    Raises:
        InvalidInput: it cannot be read or used.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from error
    try:
        return read_proxies(read_json(data))
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error.message.removeprefix('bad request body: ')}", error.way_out or
                           'write a JSON list: [{"name": "db", "listen": "127.0.0.1:15432", '
                           '"upstream": "127.0.0.1:5432"}]') from error


def shown(one: AnyListener) -> dict[str, Any]:
    """A proxy as toxiproxy writes it."""
    proxy = one.proxy
    out = {"name": proxy.name, "listen": proxy.listen, "upstream": proxy.upstream, "enabled": proxy.enabled,
           "toxics": [active.toxic.shown() for active in one.toxics.values()]}
    return out | {"protocol": "udp"} if proxy.udp else out


class Api:
    """The API over a room.

    Args:
        anywhere: it may listen on, and be asked by, other addresses than this machine's own. Names of hosts other than
            localhost are refused even then: a web page could make one mean this address.
    """

    def __init__(self, room: Room, *, anywhere: bool = False) -> None:
        self.room, self.anywhere = room, anywhere
        self.address = ""
        self.over = False
        self._door: Door | None = None
        self._calls: set[Call] = set()

    async def start(self, listen: str) -> None:
        """Listen.

        Raises:
            InvalidInput: it cannot, or the address is not this machine's own and that was not asked for.
        """
        host, _ = address.parse(listen, "listen")
        if not self.anywhere and not address.is_loopback(host):
            raise InvalidInput(f"the proxy's API would be open to others at {listen}",
                               "listen on 127.0.0.1, or say that it may be anywhere; it has no password")
        sock = await bind(listen, udp=False)
        self.address = address.shown(*sock.getsockname()[:2])
        self._door = Door(sock, lambda: Call(self, self._calls))

    def stop(self) -> None:
        """Listen no more, and end all calls."""
        self.over = True
        if self._door is not None:
            self._door.shut()
        for call in list(self._calls):
            call.end()

    def admit(self, head: Head) -> None:
        """Let programs of this machine in, and no browser.

        Raises:
            NotAllowed: it is one.
        """
        if head.get("user-agent").startswith("Mozilla/"):
            raise NotAllowed("User agent not allowed", "the API is for programs, not for browsers")
        said = head.get("host")
        if not said:
            return
        try:
            host, _ = address.parse(said if _has_port(said) else f"{said}:80", "host")
        except InvalidInput:
            host = ""
        if not (address.is_loopback(host) or (self.anywhere and address.is_number(host))):
            raise NotAllowed(f"host {said!r:.80} not allowed", f"ask {self.address}")

    async def answer(self, question: Question) -> Answer:
        """What a request is answered, errors too."""
        for form, routes in _ROUTES:
            if len(form) != len(question.path) or any(want not in ("*", got) for want, got in
                                                      zip(form, question.path, strict=True)):
                continue
            route = routes.get(question.method)
            if route is None:
                return Answer(405, {"error": "method not allowed", "status": 405})
            try:
                return await asyncio.wait_for(route(self.room, question), _LONGEST_ANSWER)
            except MainstayError as error:
                return failure(error)
            except TimeoutError:
                return Answer(504, {"error": f"not done within {_LONGEST_ANSWER:g} s", "status": 504})
        return failure(NotFound("404 page not found"))


def failure(error: MainstayError) -> Answer:
    """An error in toxiproxy's shape."""
    content = {"error": error.message, "status": error.http_status}
    return Answer(error.http_status, content | {"way_out": error.way_out} if error.way_out else content)


def _has_port(host: str) -> bool:
    return ":" in host.rpartition("]")[2]


# -- routes ------------------------------------------------------------------------------------------------------------


async def _index(room: Room, question: Question) -> Answer:  # noqa: ARG001
    return Answer(200, {name: shown(one) for name, one in room.proxies.items()})


async def _create(room: Room, question: Question) -> Answer:
    return Answer(201, shown(await room.open(*read_proxy(question.json()))))


async def _populate(room: Room, question: Question) -> Answer:
    try:
        made = await room.populate(read_proxies(question.json()))
    except MainstayError as error:
        status, content = failure(error)
        return Answer(status, {**content, "proxies": []})
    return Answer(201, {"proxies": [shown(one) for one in made]})


async def _show(room: Room, question: Question) -> Answer:
    return Answer(200, shown(room.get(question.path[1])))


async def _update(room: Room, question: Question) -> Answer:
    here, given = room.get(question.path[1]), question.json()
    if not isinstance(given, dict):
        raise InvalidInput("bad request body: a proxy must be an object")
    enabled = truth(given, "enabled", default=here.proxy.enabled)
    return Answer(200, shown(await room.change(question.path[1], listen=text(given, "listen"),
                                               upstream=text(given, "upstream"), enabled=enabled)))


async def _delete(room: Room, question: Question) -> Answer:
    await room.close(question.path[1])
    return Answer(204)


async def _toxics(room: Room, question: Question) -> Answer:
    return Answer(200, shown(room.get(question.path[1]))["toxics"])


async def _add(room: Room, question: Question) -> Answer:
    here = room.get(question.path[1])
    return Answer(200, here.add(read_toxic(question.json()).settled(udp=here.proxy.udp)).shown())


async def _toxic(room: Room, question: Question) -> Answer:
    return Answer(200, room.get(question.path[1]).get(question.path[3]).shown())


async def _change(room: Room, question: Question) -> Answer:
    here = room.get(question.path[1])
    here.get(question.path[3])
    toxicity, attributes = read_changes(question.json())
    return Answer(200, here.change(question.path[3], toxicity, dict(attributes)).shown())


async def _remove(room: Room, question: Question) -> Answer:
    room.get(question.path[1]).remove(question.path[3])
    return Answer(204)


async def _statistics(room: Room, question: Question) -> Answer:
    now = room.get(question.path[1]).statistics()
    return Answer(200, asdict(now) | {"bystanders": now.bystanders})


async def _reset(room: Room, question: Question) -> Answer:  # noqa: ARG001
    await room.reset()
    return Answer(204)


async def _version(room: Room, question: Question) -> Answer:  # noqa: ARG001
    return Answer(200, {"version": SPOKEN, "server": f"mainstay {__version__}"})


async def _metrics(room: Room, question: Question) -> Answer:  # noqa: ARG001
    return Answer(200, exposition(room.proxies.values()))


_Route = Callable[[Room, Question], Awaitable[Answer]]
_ROUTES: tuple[tuple[tuple[str, ...], dict[str, _Route]], ...] = (
    (("proxies",), {"GET": _index, "POST": _create}),
    (("populate",), {"POST": _populate}),
    (("reset",), {"POST": _reset}),
    (("version",), {"GET": _version}),
    (("metrics",), {"GET": _metrics}),
    (("proxies", "*"), {"GET": _show, "POST": _update, "PATCH": _update, "DELETE": _delete}),
    (("proxies", "*", "toxics"), {"GET": _toxics, "POST": _add}),
    (("proxies", "*", "statistics"), {"GET": _statistics}),
    (("proxies", "*", "toxics", "*"), {"GET": _toxic, "POST": _change, "PATCH": _change, "DELETE": _remove}))


# -- the wire ----------------------------------------------------------------------------------------------------------


class Call(asyncio.Protocol):
    """One connection to the API: whole requests, answered one after the other."""

    def __init__(self, api: Api, calls: set[Call]) -> None:
        self._api, self._calls = api, calls
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._framing = Framing()
        self._head: Head | None = None
        self._body = bytearray()
        self._waiting: deque[tuple[Head, bytes]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """From asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._api.over:  # it stopped between accepting and this
            self._over = True
            transport.abort()
            return
        self._calls.add(self)
        self._rest()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (asyncio's own signature)
        """From asyncio. What was begun is brought to its end: it was asked for."""
        self._calls.discard(self)
        self._over = True
        self._waiting.clear()
        if self._idle is not None:
            self._idle.cancel()

    def end(self) -> None:
        """The server stops."""
        if self._task is not None:
            self._task.cancel()
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """From asyncio."""
        if self._over:
            return
        for piece in self._framing.feed(data):
            if piece.head is not None:
                self._head = piece.head
                if piece.head.get("expect"):
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            elif piece.kind is Kind.BODY:
                self._body += piece.data
                if len(self._body) > _MOST_BODY:
                    self._give_up(413, f"a body may have {_MOST_BODY} bytes")
                    return
            elif piece.kind is Kind.END and self._head is not None:
                self._waiting.append((self._head, bytes(self._body)))
                self._head = None
                self._body.clear()
            elif piece.kind is Kind.RAW:
                break
        if self._framing.raw:
            self._give_up(400, "this is no HTTP/1.1")
        elif self._waiting and self._task is None:
            self._task = self._loop.create_task(self._answer_all())

    async def _answer_all(self) -> None:
        try:
            while self._waiting:
                head, body = self._waiting.popleft()
                self._write(head, await self._answer(head, body))
        finally:
            self._task = None
        self._rest()

    async def _answer(self, head: Head, body: bytes) -> Answer:
        try:
            self._api.admit(head)
        except NotAllowed as error:
            return failure(error)
        path = head.target.partition("?")[0].strip("/").split("/")
        return await self._api.answer(Question(head.method, tuple(unquote(part) for part in path), body))

    def _write(self, head: Head, answer: Answer) -> None:
        if self._over:
            return
        self._send(answer, keep=head.keeps_alive(), bodiless=head.method == "HEAD")

    def _send(self, answer: Answer, *, keep: bool, bodiless: bool = False) -> None:
        if isinstance(answer.content, str):
            kind, body = "text/plain; version=0.0.4; charset=utf-8", answer.content.encode()
        else:
            kind, body = "application/json", json.dumps(answer.content).encode() + b"\n"
        lines = [f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, 'Answer')}",
                 f"connection: {'keep-alive' if keep else 'close'}"]
        if answer.status == 204:
            body = b""
        else:
            lines += [f"content-type: {kind}", f"content-length: {len(body)}"]
        self._transport.write("\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if bodiless else body))
        if not keep:
            self._over = True
            self._transport.close()

    def _give_up(self, status: int, why: str) -> None:
        self._waiting.clear()
        self._send(Answer(status, {"error": why, "status": status}), keep=False)

    def _rest(self) -> None:
        """Nothing is asked: wait so long for more."""
        if self._idle is not None:
            self._idle.cancel()
        if not self._over:
            self._idle = self._loop.call_later(_LONGEST_IDLE, self._leave)

    def _leave(self) -> None:
        if self._task is None:
            self._transport.abort()
        else:
            self._rest()
