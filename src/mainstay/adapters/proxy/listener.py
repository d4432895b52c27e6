"""A proxy as it runs: its socket, the toxics in force in their order, its connections or clients, and its counts."""

from __future__ import annotations

import asyncio
import errno
import socket
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import Generic, TypeVar

from mainstay.adapters.proxy import address
from mainstay.adapters.proxy.connection import Connection
from mainstay.adapters.proxy.counts import Statistics, ToxicCount
from mainstay.adapters.proxy.datagrams import Address, Client
from mainstay.adapters.proxy.door import Door
from mainstay.adapters.proxy.flow import Active, Buffer
from mainstay.adapters.proxy.toxic import Proxy, Toxic
from mainstay.kernel.errors import Conflict, InvalidInput, NotFound

_BACKLOG = 1024
_RECEIVED = 4 * 1024 * 1024
"""Bytes of datagrams that the system is asked to keep for us; it may keep fewer."""
_SWEEP = 15.0
"""Seconds between looks for clients that went away."""
_One = TypeVar("_One", Connection, Client)
Resolved = tuple[int, tuple[object, ...]]
"""Family and address, as `getaddrinfo` gives them."""


async def resolve(written: str, what: str, *, udp: bool) -> Resolved:
    """The address that `host:port` means.

    Raises:
        InvalidInput: it is no address, or its name is not known.
    """
    host, port = address.parse(written, what)
    kind = socket.SOCK_DGRAM if udp else socket.SOCK_STREAM
    loop = asyncio.get_running_loop()
    try:
        found = await asyncio.wait_for(loop.getaddrinfo(host, port, type=kind), 5)
    except (OSError, UnicodeError, TimeoutError) as error:
        raise InvalidInput(f"{what} {written}: the name {host} cannot be resolved ({error or 'no answer in 5 s'})",
                           "write an IP address, or a name that this machine knows") from error
    return found[0][0], found[0][4]


async def bind(written: str, *, udp: bool) -> socket.socket:
    """A socket that listens there.

    Raises:
        InvalidInput: it is no address, or the port is taken or not ours to have.
    """
    family, where = await resolve(written, "listen", udp=udp)
    # The protocol is named because asyncio turns Nagle's waiting off only on sockets that name it.
    sock = socket.socket(family, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM,
                         socket.IPPROTO_UDP if udp else socket.IPPROTO_TCP)
    try:
        sock.setblocking(False)
        if udp:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVED)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(where)
        if not udp:
            sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        reason = {errno.EADDRINUSE: "address already in use", errno.EACCES: "this port needs more rights"}
        raise InvalidInput(f"listen {written}: {reason.get(error.errno or 0, error.strerror or str(error))}",
                           "choose another port, or port 0 for a free one") from error
    return sock


class Listener(ABC, Generic[_One]):
    """What a TCP and a UDP proxy have in common.

    Args:
        proxy: as it was declared; `proxy.listen` becomes the real address.
        key: what the draws of this proxy begin with.
    """

    def __init__(self, proxy: Proxy, key: tuple[object, ...], buffer: Buffer) -> None:
        self.proxy, self.key, self.buffer = proxy, (*key, proxy.name), buffer
        self.loop = asyncio.get_running_loop()
        self.upstream = address.parse(proxy.upstream, "upstream")
        self.upstream_address: Resolved = (0, ())
        self.toxics: dict[str, Active] = {}
        self.counts: dict[str, ToxicCount] = {}
        self.here: set[_One] = set()
        self.connections = self.victims = self.failed = 0
        self.serving = False
        self.bytes = {"upstream": 0, "downstream": 0}
        self.received = {"upstream": 0, "downstream": 0}
        self._order = count()

    # -- toxics --------------------------------------------------------------------------------------------------------

    def add(self, toxic: Toxic) -> Toxic:
        """Put a settled toxic in force, on who is here as well.

        Raises:
            Conflict: there is one of that name.
        """
        if toxic.name in self.toxics:
            raise Conflict("toxic already exists", f"{toxic.name} is on {self.proxy.name}; change or remove it")
        active = Active(toxic, next(self._order), self.counts.setdefault(toxic.name, ToxicCount()))
        self.toxics[toxic.name] = active
        for one in list(self.here):
            one.apply(active)
        return toxic

    def get(self, name: str) -> Toxic:
        """The toxic of that name.

        Raises:
            NotFound: there is none.
        """
        return self._active(name).toxic

    def change(self, name: str, toxicity: float | None, attributes: dict[str, object]) -> Toxic:
        """Change a toxic; attributes that are not given stay.

        Raises:
            NotFound, InvalidInput: there is no such toxic, or it cannot be that.
        """
        active = self._active(name)
        before = active.toxic
        active.toxic = replace(before, toxicity=before.toxicity if toxicity is None else toxicity,
                               attributes={**before.attributes, **attributes}).settled(udp=self.proxy.udp)
        for one in list(self.here):
            if isinstance(one, Connection):
                one.change(active, before)
            else:
                one.apply(active)
        return active.toxic

    def remove(self, name: str) -> None:
        """Take a toxic away; nothing that it held is lost.

        Raises:
            NotFound: there is none of that name.
        """
        active = self._active(name)
        del self.toxics[name]
        for one in list(self.here):
            one.remove(active)

    def _active(self, name: str) -> Active:
        if name not in self.toxics:
            raise NotFound("toxic not found", f"{self.proxy.name} has: {', '.join(self.toxics) or 'none'}")
        return self.toxics[name]

    # -- what connections and clients tell -----------------------------------------------------------------------------

    def opened(self, one: _One) -> int:
        """One more is here; its number."""
        self.here.add(one)
        self.connections += 1
        return self.connections

    def met(self, one: _One) -> None:  # noqa: ARG002  (whom is not counted, only how many)
        """The first toxic was put on one."""
        self.victims += 1

    def delivered(self, stream: str, size: int) -> None:
        """So many bytes were passed on."""
        self.bytes[stream] += size

    def statistics(self) -> Statistics:
        """What happened until now."""
        return Statistics(self.connections, len(self.here), self.victims, self.failed, self.bytes["upstream"],
                          self.bytes["downstream"], {name: replace(one) for name, one in self.counts.items()})

    # -- its life ------------------------------------------------------------------------------------------------------

    @abstractmethod
    async def start(self, sock: socket.socket) -> None:
        """Serve on that socket."""

    @abstractmethod
    def stop(self) -> None:
        """Listen no more and end all that is here."""

    def turn(self, upstream: str, resolved: Resolved) -> None:
        """Pass on to there from now on; who is here is cut, as toxiproxy does."""
        self.proxy = replace(self.proxy, upstream=upstream)
        self.upstream, self.upstream_address = address.parse(upstream, "upstream"), resolved
        self.clear()

    def clear(self) -> None:
        """End all that is here."""
        for one in list(self.here):
            one.drop()

    def named(self, sock: socket.socket) -> None:
        """The real address is known."""
        self.proxy = replace(self.proxy, listen=address.shown(*sock.getsockname()[:2]), enabled=True)


class TcpListener(Listener[Connection]):
    """A proxy for connections."""

    _door: Door | None = None

    async def start(self, sock: socket.socket) -> None:
        """Serve on that socket."""
        self.serving = True
        self._door = Door(sock, lambda: Connection(self).client)
        self.named(sock)

    def stop(self) -> None:
        """Listen no more and end all connections."""
        self.serving = False
        if self._door is not None:
            self._door.shut()
            self._door = None
        self.clear()
        self.proxy = replace(self.proxy, enabled=False)

    def closed(self, one: Connection, *, served: bool) -> None:
        """A connection is over."""
        self.here.discard(one)
        self.failed += not served and not one.refused
        for stream, flow in (("upstream", one.up), ("downstream", one.down)):
            self.bytes[stream] += flow.sent
            self.received[stream] += flow.received

    def statistics(self) -> Statistics:
        """What happened until now, on open connections too."""
        now = super().statistics()
        return replace(now, bytes_upstream=now.bytes_upstream + sum(one.up.sent for one in self.here),
                       bytes_downstream=now.bytes_downstream + sum(one.down.sent for one in self.here))

    def read(self) -> dict[str, int]:
        """Bytes received by stream, on open connections too."""
        return {"upstream": self.received["upstream"] + sum(one.up.received for one in self.here),
                "downstream": self.received["downstream"] + sum(one.down.received for one in self.here)}


class UdpListener(Listener[Client], asyncio.DatagramProtocol):
    """A proxy for datagrams."""

    _transport: asyncio.DatagramTransport | None = None
    _sweeper: asyncio.TimerHandle | None = None
    _sock: socket.socket

    def __init__(self, proxy: Proxy, key: tuple[object, ...], buffer: Buffer) -> None:
        super().__init__(proxy, key, buffer)
        self.clients: dict[Address, Client] = {}

    async def start(self, sock: socket.socket) -> None:
        """Serve on that socket."""
        self._transport, _ = await self.loop.create_datagram_endpoint(lambda: self, sock=sock)
        self._sock = sock
        self._sweeper = self.loop.call_later(_SWEEP, self._sweep)
        self.named(sock)

    def stop(self) -> None:
        """Listen no more and forget all clients."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        self.clear()
        self.proxy = replace(self.proxy, enabled=False)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """From asyncio."""
        client = self.clients.get(addr)
        if client is None:
            client = self.clients[addr] = Client(self, addr)
        self.received["upstream"] += len(data)
        client.came(data)

    def error_received(self, exc: Exception) -> None:
        """From asyncio: a client's port is closed; it is forgotten when it stays silent."""

    def connection_lost(self, exc: Exception | None) -> None:
        """From asyncio."""

    def answered(self, client: Client, data: bytes) -> None:
        """The upstream has something for a client."""
        if self._transport is None:
            return
        if data:
            self._transport.sendto(data, client.address)
        else:  # asyncio sends no empty datagrams
            with suppress(OSError):  # lost, as datagrams may be
                self._sock.sendto(data, client.address)

    def closed(self, one: Client, *, served: bool) -> None:  # noqa: ARG002  (a datagram is never refused)
        """A client is forgotten."""
        self.here.discard(one)
        self.clients.pop(one.address, None)

    def read(self) -> dict[str, int]:
        """Bytes received by stream."""
        return {**self.received, "downstream": self.bytes["downstream"]}

    def _sweep(self) -> None:
        for one in list(self.here):
            if one.idle():
                one.drop()
        self._sweeper = self.loop.call_later(_SWEEP, self._sweep)


AnyListener = TcpListener | UdpListener


def listener(proxy: Proxy, key: tuple[object, ...], buffer: Buffer) -> AnyListener:
    """The kind that the proxy asks for."""
    return UdpListener(proxy, key, buffer) if proxy.udp else TcpListener(proxy, key, buffer)
