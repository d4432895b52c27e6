"""A small pool of kept connections to one address."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from dataclasses import dataclass

from shop.wire import MAX_HEAD, ClosedEarly, Request, Response, encode_request, read_response

_IDLE_SECONDS = 20.0  # shorter than the server keeps an idle connection, so that we seldom write into a closed one
_MOST_IDLE = 32


class Unreachable(ConnectionError):
    """Nobody listens at the address, or it is not known."""


@dataclass(slots=True)
class _Connection:
    address: str
    reader: StreamReader
    writer: StreamWriter
    used: float  # when it was last used, in seconds of the event loop's clock


class Pool:
    """Sends requests to whatever address is right at that moment, over connections that are kept and used again.

    The address is asked for at every request, because a restarted service or a proxy put in between may change it.
    """

    def __init__(self, address: Callable[[], str | None]) -> None:
        self._address = address
        self._idle: list[_Connection] = []

    async def send(self, request: Request, seconds: float) -> Response:
        """The answer, whole, within the time given.

        Raises:
            TimeoutError: the answer was not complete in time.
            Unreachable: no connection could be made.
            ConnectionError, BadMessage: the connection broke, or what came is not HTTP.
        """
        async with asyncio.timeout(seconds):
            address = self._address()
            if address is None:
                raise Unreachable("no address is known")
            kept = self._take_idle(address)
            if kept is not None:
                # The other side may have closed a kept connection a moment ago: then, and only then, once more on a
                # new one. Safe, because every call inside the shop can be repeated without doing its work twice.
                try:
                    return await self._exchange(kept, request)
                except (ClosedEarly, ConnectionResetError, BrokenPipeError):
                    pass
            return await self._exchange(await _connect(address), request)

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().writer.close()

    def _take_idle(self, address: str) -> _Connection | None:
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()  # the one used last: the others may age and be closed
            if connection.address == address and now - connection.used < _IDLE_SECONDS:
                return connection
            connection.writer.close()
        return None

    async def _exchange(self, connection: _Connection, request: Request) -> Response:
        try:
            connection.writer.write(encode_request(request, connection.address))
            response = await read_response(connection.reader)
        except BaseException:  # also a time-out: a late answer must not meet the next request
            connection.writer.transport.abort()
            raise
        if response.headers.get("connection", "").lower() == "close" or len(self._idle) >= _MOST_IDLE:
            connection.writer.close()
        else:
            connection.used = asyncio.get_running_loop().time()
            self._idle.append(connection)
        return response


async def _connect(address: str) -> _Connection:
    host, _, port = address.rpartition(":")
    try:
        reader, writer = await asyncio.open_connection(host, int(port), limit=MAX_HEAD)
    except OSError as error:
        raise Unreachable(f"nobody listens at {address}") from error
    # A connection to a free port on loopback can, rarely, get that same port as its own end and reach itself.
    if writer.get_extra_info("sockname") == writer.get_extra_info("peername"):
        writer.transport.abort()
        raise Unreachable(f"nobody listens at {address}")
    return _Connection(address, reader, writer, 0.0)
