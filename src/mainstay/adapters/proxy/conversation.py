"""The toxics that work on HTTP/1.1 messages. Each is two stages: one sees the requests, the other the responses.

On the downstream side the service gets the request and its answer is made wrong; on the upstream side the request
itself is answered by the proxy, delayed or changed on its way. Traffic that is not HTTP/1 passes as it is.
"""

from __future__ import annotations

import asyncio
import re
from abc import ABC, abstractmethod
from collections import deque
from random import Random
from typing import Protocol

from mainstay.adapters.proxy.flow import Active, End, Flow, Line, Owner, Stage
from mainstay.adapters.proxy.garble import garble
from mainstay.adapters.proxy.messages import REASONS, SWITCHES, Framing, Head, Kind, Piece
from mainstay.adapters.proxy.stages import spread
from mainstay.kernel.dataclass import dataclass

_BEGIN = re.compile(rb"[A-Z]{1,16}(?: |$)")
_MOST_HELD = 64 * 1024
"""Bytes of a body that are looked at before one is made wrong; what follows passes as it is."""
_LONGEST_HELD = 0.2
"""Seconds that a body is waited for: one that comes drop by drop is made wrong by pieces."""


class Ends(Owner, Protocol):
    """What a conversation asks of its connection."""

    up: Flow
    down: Flow


@dataclass(slots=True)
class Exchange:
    """A request that is not answered yet.

    Args:
        chosen: the draw put the toxic on it.
        answer: what the proxy answers in place of the service.
        closes: the connection is over behind the answer.
    """

    method: str
    chosen: bool
    keeps_alive: bool
    answer: bytes | None = None
    closes: bool = False


class Conversation:
    """What one toxic knows of the messages of one connection.

    Args:
        fresh: no byte has passed yet. If some have, this joins where a request begins behind something of the service.
        quiet: the last that passed came from the service.
    """

    def __init__(self, connection: Ends, active: Active, chance: Random, *, fresh: bool, quiet: bool) -> None:
        self.active, self.chance = active, chance
        self.joined, self.late, self.quiet = fresh, not fresh, quiet
        self.pending: deque[Exchange] = deque()
        self.retiring = False
        self.requests = Requests(connection.up, active, self)
        self.responses = Responses(connection.down, active, self)

    def stages(self) -> list[Stage]:
        """Both of them."""
        return [self.requests, self.responses]

    def takes(self, head: Head) -> bool:
        """Whether the toxic is put on this request."""
        attributes = self.active.toxic.attributes
        if self.retiring or (attributes["method"] and attributes["method"].upper() != head.method) \
                or not _path(head.target).startswith(attributes["path"]):
            return False
        self.active.count.considered += 1
        return self.chance.random() < self.active.number("share")

    def give_up(self) -> None:
        """This is no HTTP/1: everything passes. Who joined late may have joined at the wrong place, and waits again."""
        self.pending.clear()
        self.joined = False
        self.quiet = False
        for stage in (self.requests, self.responses):
            rest = stage.restart()
            if rest and stage.forwards:
                stage.put(rest, 0)
        self.late = self.late and not self.retiring
        self.retire_if_done()

    def retire(self) -> None:
        """The toxic was taken away: what was begun is brought to an end, nothing new is begun."""
        self.retiring = True
        for exchange in self.pending:
            exchange.chosen = False
        self.requests.flush()
        self.responses.flush()
        self.retire_if_done()

    def retire_if_done(self) -> None:
        """Take both stages out when nothing is left to do."""
        if not self.retiring or self.requests.busy or self.responses.busy or \
                any(exchange.answer is not None for exchange in self.pending):
            return
        for stage in (self.requests, self.responses):
            rest = stage.restart()
            stage.flush()
            if rest and stage.forwards:
                stage.following.push(rest)
            if stage.stays and stage in stage.flow.stages:
                stage.flow.remove(stage)
            stage.stays = False


class Half(Line, ABC):
    """One of the two stages of a conversation."""

    def __init__(self, flow: Flow, active: Active, talk: Conversation) -> None:
        super().__init__(flow, active)
        self.talk = talk
        self.framing = self.fresh_framing()
        self.dropping = False
        """Whether the rest of the message is dropped."""
        self.kept: list[Piece] | None = None
        """The body that is collected to be made wrong."""
        self.head: Head | None = None
        self.waiting: asyncio.TimerHandle | None = None
        self._batch: list[bytes] | None = None
        """What one read gave, to be written at once."""

    def push(self, data: bytes) -> None:
        """Bytes come; what of them can go on goes on in one piece."""
        self._batch = []
        self.read(data)
        self._send()
        self._batch = None

    @abstractmethod
    def read(self, data: bytes) -> None:
        """Bytes of messages."""

    @property
    def upstream(self) -> bool:
        """Whether the toxic works on requests."""
        return self.active.toxic.stream == "upstream"

    @property
    def forwards(self) -> bool:
        """Whether what passes is what the frames gave; otherwise they only look at a copy."""
        return True

    @property
    def busy(self) -> bool:
        """Whether a message that is made wrong is still under way."""
        return self.dropping

    def fresh_framing(self) -> Framing:
        """Frames from the start."""
        return Framing()

    def restart(self) -> bytes:
        """Forget the frames; what they held."""
        self.settle()
        rest = self.framing.rest()
        self.framing = self.fresh_framing()
        self.dropping = False
        return rest

    def changed(self) -> None:
        """The next message has the new terms."""

    def leave(self) -> None:
        """Only when both are done."""
        self.stays = True
        self.talk.retire()

    def flush(self) -> None:
        """Everything that is held goes on now."""
        self._send()
        super().leave()

    def dispose(self) -> None:
        """The connection is over."""
        super().dispose()
        if self.waiting is not None:
            self.waiting.cancel()
            self.waiting = None
        self.kept = None

    def end(self, how: End) -> None:
        """What is held, then the end."""
        self.settle()
        rest = self.framing.rest()
        if rest and self.forwards and not self.dropping:
            self.put(rest, 0)
        self.put(how, 0)

    def pass_on(self, piece: Piece) -> None:
        """A piece of a message that goes on, whole or as what is collected."""
        if self.kept is None:
            if piece.data:
                self.put(piece.data, 0)
            return
        self.kept.append(piece)
        if piece.kind is Kind.END or sum(len(one.data) for one in self.kept) >= _MOST_HELD:
            self.settle()

    def collect(self, head: Head) -> None:
        """From here on the body is collected."""
        self.kept, self.head = [], head
        self.waiting = self.loop.call_later(_LONGEST_HELD, self._late)

    def settle(self) -> None:
        """Pass on what was collected, made wrong, in the frames that it came in."""
        if self.waiting is not None:
            self.waiting.cancel()
            self.waiting = None
        kept, self.kept = self.kept, None
        if not kept or self.head is None:
            return
        body = b"".join(one.data for one in kept if one.kind is Kind.BODY)
        text = "json" in self.head.get("content-type") and self.head.get("content-encoding") in ("", "identity")
        wrong = garble(body, str(self.active.toxic.attributes["mode"]), self.talk.chance, json_text=text)
        self.active.count.injected += wrong != body
        out, at = [], 0
        for one in kept:
            size = len(one.data)
            out.append(wrong[at:at + size] if one.kind is Kind.BODY else one.data)
            at += size if one.kind is Kind.BODY else 0
        self.put(b"".join(out), 0)

    def _late(self) -> None:
        head, self.waiting = self.head, None
        went_on = bool(self.kept)
        self.settle()
        if not went_on and head is not None:
            self.collect(head)  # nothing has come yet

    def put(self, item: bytes | End, delay: float) -> None:
        """Pass on, in order; no bytes are no piece."""
        if item == b"":
            return
        if self._batch is not None and not delay and not isinstance(item, End):
            self._batch.append(item)
            return
        self._send()
        super().put(item, delay)

    def _send(self) -> None:
        if self._batch:
            data = self._batch[0] if len(self._batch) == 1 else b"".join(self._batch)
            self._batch = []
            super().put(data, 0)


class Requests(Half):
    """The way up."""

    @property
    def forwards(self) -> bool:
        """Requests are only looked at, unless the toxic works on them."""
        return self.upstream

    def read(self, data: bytes) -> None:
        """Bytes of requests."""
        talk = self.talk
        if not talk.joined:
            if not (talk.late and talk.quiet and not talk.retiring and _BEGIN.match(data)):
                talk.quiet = False
                self.put(data, 0)
                return
            talk.joined = True
        if not self.forwards:
            self.put(data, 0)
        for piece in self.framing.feed(data):
            if piece.kind is Kind.RAW:
                self.settle()
                if self.forwards and not self.dropping:
                    self.put(piece.data, 0)
                talk.give_up()
                return
            self._piece(piece)
        if self.framing.raw:
            talk.give_up()

    def _piece(self, piece: Piece) -> None:
        if piece.head is not None:
            self._head(piece, piece.head)
        elif piece.kind is Kind.END:
            if self.forwards and not self.dropping:
                self.pass_on(piece)
            self.dropping = False
            self.talk.retire_if_done()
        elif self.forwards and not self.dropping:
            self.pass_on(piece)

    def _head(self, piece: Piece, head: Head) -> None:
        talk, kind = self.talk, self.active.toxic.type
        exchange = Exchange(head.method, talk.takes(head), head.keeps_alive())
        talk.pending.append(exchange)
        if not self.upstream:
            return
        if not exchange.chosen:
            self.put(piece.data, 0)
            return
        exchange.chosen = False
        if kind == "http_error":
            exchange.closes = not exchange.keeps_alive or bool(head.get("expect")) or head.method == "CONNECT"
            exchange.answer = answer(self.active, head.method, closes=exchange.closes)
            self.active.count.injected += 1
            self.dropping = True
            talk.responses.turn()
        elif kind == "http_latency":
            self.active.count.injected += 1
            self.put(piece.data, spread(self.active.number("latency"), self.active.number("jitter"), talk.chance))
        else:
            self.put(piece.data, 0)
            self.collect(head)


class Responses(Half):
    """The way down."""

    def __init__(self, flow: Flow, active: Active, talk: Conversation) -> None:
        super().__init__(flow, active, talk)
        self.current: Exchange | None = None
        """The exchange whose response is under way."""
        self.closes = False

    def fresh_framing(self) -> Framing:
        """Whether a response has a body depends on its request."""
        return Framing(lambda: self.talk.pending[0].method if self.talk.pending else "")

    @property
    def busy(self) -> bool:
        """An answer of ours ends only with the message it stands for."""
        return self.dropping or self.closes

    def restart(self) -> bytes:
        """Forget the frames."""
        self.current = None
        return super().restart()

    def read(self, data: bytes) -> None:
        """Bytes of responses."""
        talk = self.talk
        if not talk.joined:
            talk.quiet = True
            self.put(data, 0)
            return
        for piece in self.framing.feed(data):
            if piece.kind is Kind.RAW:
                self._raw(piece.data)
                return
            self._piece(piece)
        if self.framing.raw:
            self._raw(b"")

    def turn(self) -> None:
        """Give the answers of ours whose turn it is."""
        pending = self.talk.pending
        while self.current is None and pending and pending[0].answer is not None:
            exchange = pending.popleft()
            assert exchange.answer is not None
            self.put(exchange.answer, 0)
            if exchange.closes:
                self.put(End.CLOSE, 0)
        self.talk.retire_if_done()

    def _raw(self, data: bytes) -> None:
        if self.dropping:
            # Behind an answer of ours nothing can follow that makes sense.
            self.put(End.CLOSE, 0)
            return
        self.settle()
        self.put(data, 0)
        self.talk.give_up()
        if self.talk.late:
            self.talk.quiet = True

    def _piece(self, piece: Piece) -> None:
        if piece.head is not None:
            self._head(piece, piece.head)
            return
        if not self.dropping:
            self.pass_on(piece)
        if piece.kind is Kind.END and self.current is not None:
            self.current = None
            if self.dropping:
                self.dropping = False
                if self.closes:
                    self.put(End.CLOSE, 0)
            self.turn()

    def _head(self, piece: Piece, head: Head) -> None:
        talk = self.talk
        if 100 <= head.status < 200 and head.status != SWITCHES:
            self.put(piece.data, 0)
            return
        self.current = talk.pending.popleft() if talk.pending else Exchange("", chosen=False, keeps_alive=True)
        tunnel = head.status == SWITCHES or \
            (self.current.method == "CONNECT" and head.status < 300)
        kind = self.active.toxic.type
        if self.current.chosen and kind == "http_error":
            self.active.count.injected += 1
            self.closes = tunnel or not (self.current.keeps_alive and head.keeps_alive())
            self.put(answer(self.active, self.current.method, closes=self.closes), 0)
            self.dropping = True
        elif self.current.chosen and kind == "http_latency":
            self.active.count.injected += 1
            self.put(piece.data, spread(self.active.number("latency"), self.active.number("jitter"), talk.chance))
        else:
            self.put(piece.data, 0)
            if self.current.chosen:
                self.collect(head)
        if tunnel and not self.dropping:
            self.settle()
            talk.late = False
            self.framing.give_up()
            talk.requests.framing.give_up()


def answer(active: Active, method: str, *, closes: bool) -> bytes:
    """The response that the proxy gives in place of the service."""
    status, body = int(active.number("status")), str(active.toxic.attributes["body"]).encode()
    bare = status in (204, 304)
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Injected')}",
             f"connection: {'close' if closes else 'keep-alive'}"]
    if not bare:
        kind = "application/json" if body[:1] in (b"{", b"[") else "text/plain; charset=utf-8"
        lines += [f"content-type: {kind}", f"content-length: {len(body)}"]
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    return head if bare or method == "HEAD" else head + body


def _path(target: str) -> str:
    """The path of a request's target, which may be a whole URL."""
    if target.startswith("/"):
        return target
    _, found, rest = target.partition("://")
    return "/" + rest.partition("/")[2] if found else target
