"""A UDP proxy: each client address has a socket of its own to the upstream, and toxics act on single datagrams.

A toxic is drawn once for each client, so that the others see nothing of it; its share is drawn for each datagram.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from random import Random
from typing import Protocol, cast

from mainstay.adapters.proxy import draw
from mainstay.adapters.proxy.flow import Active
from mainstay.adapters.proxy.stages import gap, spread

_IDLE = 120.0
"""Seconds after which a client that says nothing is forgotten."""
_MOST_WAITING = 20_000
"""Datagrams of one client that wait at the same time; more are lost, as on a real line."""
_LONGEST_QUEUE = 1.0
"""Seconds of its rate that a thin line holds; what comes on top is lost."""
Address = tuple[str | bytes, int] | tuple[str, int, int, int]


class Place(Protocol):
    """What a client asks of its proxy."""

    loop: asyncio.AbstractEventLoop
    key: tuple[object, ...]
    upstream_address: tuple[int, tuple[object, ...]]
    toxics: dict[str, Active]

    def opened(self, client: Client) -> int:
        """A client came; its number."""

    def closed(self, client: Client, *, served: bool) -> None:
        """It is forgotten."""

    def met(self, client: Client) -> None:
        """The first toxic is put on it."""

    def answered(self, client: Client, data: bytes) -> None:
        """The upstream has something for it."""

    def delivered(self, stream: str, size: int) -> None:
        """So many bytes were sent."""


class Way:
    """What one toxic does to the datagrams of one client."""

    __slots__ = ("active", "chance", "free")

    def __init__(self, active: Active, chance: Random) -> None:
        self.active, self.chance, self.free = active, chance, 0.0

    def apply(self, copies: list[tuple[float, bytes]], now: float) -> list[tuple[float, bytes]]:
        """The datagrams with their delays in seconds, after the toxic."""
        self.active.count.considered += len(copies)
        return [one for delay, data in copies for one in self._one(delay, data, now)]

    def _one(self, delay: float, data: bytes, now: float) -> list[tuple[float, bytes]]:
        active, count = self.active, self.active.count
        kind = active.toxic.type
        if kind == "noop":
            return [(delay, data)]
        if kind == "latency":
            count.injected += 1
            return [(delay + spread(active.number("latency"), active.number("jitter"), self.chance), data)]
        if kind == "bandwidth":
            return self._thin(delay, data, now)
        if self.chance.random() >= active.number("share"):
            return [(delay, data)]
        count.injected += 1
        if kind == "loss":
            return []
        if kind == "duplicate":
            return [(delay, data), (delay, data)]
        if kind == "reorder":
            return [(delay + active.number("delay") / 1000, data)]
        return [(delay, self._corrupted(data))]

    def _thin(self, delay: float, data: bytes, now: float) -> list[tuple[float, bytes]]:
        self.active.count.injected += 1
        rate = self.active.number("rate") * 1000
        begin = max(self.free, now + delay)
        if not rate or begin - now - delay > _LONGEST_QUEUE:
            return []
        self.free = begin + len(data) / rate
        return [(self.free - now, data)]

    def _corrupted(self, data: bytes) -> bytes:
        out, rate = bytearray(data), self.active.number("rate")
        if not out:
            return data
        at = self.chance.randrange(len(out))  # at least one
        while at < len(out):
            out[at] ^= self.chance.randint(1, 255)
            at = len(out) if rate <= 0 else at + 1 + gap(rate, self.chance)
        return bytes(out)


class Client(asyncio.DatagramProtocol):
    """One client address and its socket to the upstream."""

    def __init__(self, place: Place, address: Address) -> None:
        self.place, self.address, self.loop = place, address, place.loop
        self.transport: asyncio.DatagramTransport | None = None
        self.number = place.opened(self)
        self.victim = False
        self.waiting = 0
        self.last = self.loop.time()
        self._drawn: dict[str, float] = {}
        self._ways: dict[str, Way] = {}
        self._sock: socket.socket
        self._early: list[bytes] = []
        """Datagrams that came before the socket was there."""
        for active in list(place.toxics.values()):
            self.apply(active)
        self._task = self.loop.create_task(self._open())

    def apply(self, active: Active) -> None:
        """A toxic is in force: draw whether it meets this client."""
        toxic = active.toxic
        if toxic.name not in self._drawn:
            self._drawn[toxic.name] = draw.share(*self.place.key, toxic.name, self.number)
            if self._drawn[toxic.name] < toxic.toxicity:
                active.count.victims += 1
            else:
                active.count.bystanders += 1
        if self._drawn[toxic.name] >= toxic.toxicity:
            self._ways.pop(toxic.name, None)
            return
        if not self.victim:
            self.victim = True
            self.place.met(self)
        self._ways.setdefault(toxic.name, Way(active, draw.generator(*self.place.key, toxic.name, self.number, "way")))

    def remove(self, active: Active) -> None:
        """The toxic is no longer in force."""
        self._ways.pop(active.toxic.name, None)

    def came(self, data: bytes) -> None:
        """A datagram of the client."""
        self.last = self.loop.time()
        if self.transport is None:
            if len(self._early) < _MOST_WAITING:
                self._early.append(data)
            return
        self._through("upstream", data)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """From asyncio: the socket is there."""
        self.transport = cast(asyncio.DatagramTransport, transport)  # it is one, but no subclass before Python 3.12
        early, self._early = self._early, []
        for data in early:
            self._through("upstream", data)

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002  (asyncio's own signature)
        """From asyncio: the upstream answers."""
        self.last = self.loop.time()
        self._through("downstream", data)

    def error_received(self, exc: Exception) -> None:
        """From asyncio: the upstream's port is closed. The client learns it as over any network: nothing comes."""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (asyncio's own signature)
        """From asyncio."""
        self.transport = None

    def idle(self) -> bool:
        """Whether nothing was heard for so long that it is forgotten."""
        return self.loop.time() - self.last > _IDLE

    def drop(self) -> None:
        """Forget it."""
        self._task.cancel()
        if self.transport is not None:
            self.transport.abort()
        self.place.closed(self, served=True)

    async def _open(self) -> None:
        family, address = self.place.upstream_address
        try:
            sock = self._sock = socket.socket(family, socket.SOCK_DGRAM)
        except OSError:
            return  # no more room for sockets; its datagrams are lost, as on any network
        try:
            sock.setblocking(False)
            sock.connect(address)
        except OSError:
            sock.close()
            return  # no route
        await self.loop.create_datagram_endpoint(lambda: self, sock=sock)

    def _through(self, stream: str, data: bytes) -> None:
        copies = [(0.0, data)]
        now = self.loop.time()
        for way in list(self._ways.values()):
            if way.active.toxic.stream == stream:
                copies = way.apply(copies, now)
        for delay, copy in copies:
            if delay <= 0:
                self._send(stream, copy)
            elif self.waiting < _MOST_WAITING:
                self.waiting += 1
                self.loop.call_at(now + delay, self._late, stream, copy)

    def _late(self, stream: str, data: bytes) -> None:
        self.waiting -= 1
        self._send(stream, data)

    def _send(self, stream: str, data: bytes) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        self.place.delivered(stream, len(data))
        if stream == "downstream":
            self.place.answered(self, data)
        elif data:
            self.transport.sendto(data)
        else:  # asyncio sends no empty datagrams
            with suppress(OSError):  # lost, as datagrams may be
                self._sock.send(data)
