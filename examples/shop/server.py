"""Listens on loopback, keeps connections alive, and ends without breaking off an answer."""

from __future__ import annotations

import asyncio
import errno
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable

from shop.run_folder import LOOPBACK
from shop.wire import MAX_HEAD, BadMessage, Request, Response, encode_response, read_request

_IDLE_SECONDS = 75.0
_BIND_SECONDS = 3.0


class Server:
    """An HTTP server around one function from request to response."""

    def __init__(self, answer: Callable[[Request], Awaitable[Response]]) -> None:
        self._answer = answer
        self._waiting: set[StreamWriter] = set()  # connections that wait for a request
        self._connections = 0  # all of them: waiting, and being answered
        self._draining = False
        self._listener: asyncio.Server | None = None

    async def start(self, port: int) -> int:
        """Listen; returns the port, which the kernel chooses when 0 is asked for.

        A restarted service asks for the port of its forerunner, which may take a moment to let go of it.

        Raises:
            OSError: the port is not free after three seconds.
        """
        give_up = asyncio.get_running_loop().time() + _BIND_SECONDS
        while True:
            try:
                self._listener = await asyncio.start_server(self._serve, LOOPBACK, port, limit=MAX_HEAD, backlog=1024)
            except OSError as error:
                if error.errno != errno.EADDRINUSE or asyncio.get_running_loop().time() > give_up:
                    raise
                await asyncio.sleep(0.05)
            else:
                return int(self._listener.sockets[0].getsockname()[1])

    async def drain(self, seconds: float) -> None:
        """Take no new request, finish those in hand, at most for that long."""
        self._draining = True
        if self._listener is not None:
            self._listener.close()
        for writer in tuple(self._waiting):
            writer.close()
        give_up = asyncio.get_running_loop().time() + seconds
        while self._connections and asyncio.get_running_loop().time() < give_up:
            await asyncio.sleep(0.01)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._connections += 1
        try:
            while await self._serve_one(reader, writer):
                pass
        except BadMessage as error:
            writer.write(encode_response(Response.of(error.status, {"error": str(error)}), close=True))
        except (ConnectionError, TimeoutError):
            pass  # the client went away or said nothing for long: nobody is left to be told
        finally:
            self._connections -= 1
            writer.close()

    async def _serve_one(self, reader: StreamReader, writer: StreamWriter) -> bool:
        """Answer the next request; whether the connection lives on."""
        self._waiting.add(writer)
        try:
            async with asyncio.timeout(_IDLE_SECONDS):
                request = await read_request(reader)
        finally:
            self._waiting.discard(writer)
        if request is None:
            return False
        response = await self._answer(request)
        close = self._draining or request.headers.get("connection", "").lower() == "close"
        writer.write(encode_response(response, close=close))
        await writer.drain()
        return not close
