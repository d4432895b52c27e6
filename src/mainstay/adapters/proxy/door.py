"""A listening socket that lets connections in, until it is shut.

asyncio's own server fails an assertion, and leaks the socket, when it is closed between accepting a connection and
making its transport (Python 3.11); proxies come and go often enough to meet that.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

_AT_ONCE = 256
_PAUSE = 0.2
"""Seconds without accepting when the system has no more room for sockets."""


class Door:
    """Accepts connections on a socket that listens.

    Args:
        protocol: makes the protocol of each connection.
    """

    def __init__(self, sock: socket.socket, protocol: Callable[[], asyncio.BaseProtocol]) -> None:
        self._sock, self._protocol = sock, protocol
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._loop.add_reader(sock, self._accept)

    def shut(self) -> None:
        """Accept no more. Who was accepted already is still handed to a protocol."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                line, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                self._loop.remove_reader(self._sock)
                self._timer = self._loop.call_later(_PAUSE, self._loop.add_reader, self._sock, self._accept)
                return
            line.setblocking(False)
            task = self._loop.create_task(self._let_in(line))
            self._tasks.add(task)  # the loop itself holds tasks only weakly
            task.add_done_callback(self._tasks.discard)

    async def _let_in(self, line: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, line)
        except OSError:
            line.close()  # it was gone before it was in
