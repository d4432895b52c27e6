"""A server of names that knows none: over UDP and TCP, on loopback."""

from __future__ import annotations

import socket
import struct
from collections.abc import Collection

from mainstay.adapters.faults.packets.name_answers import answer


class Answerer:
    """Listens on one port of loopback in both families, where there are both."""

    def __init__(self, error: str) -> None:
        self._error = error
        self.sockets: list[socket.socket] = []
        self.port = 0
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                try:
                    self.sockets.append(self._bound(family, kind, host))
                except OSError:
                    if family == socket.AF_INET:
                        raise

    def answer(self, ready: Collection[int]) -> None:
        """Answer what has come."""
        for one in self.sockets:
            if one.fileno() not in ready:
                continue
            if one.type == socket.SOCK_DGRAM:
                question, asker = one.recvfrom(4096)
                reply = answer(question, self._error)
                if reply:
                    one.sendto(reply, asker)
            else:
                self._over_tcp(one)

    def close(self) -> None:
        """Stop listening."""
        for one in self.sockets:
            one.close()

    def _bound(self, family: int, kind: int, host: str) -> socket.socket:
        made = socket.socket(family, kind)
        made.bind((host, self.port))
        self.port = made.getsockname()[1]
        if kind == socket.SOCK_STREAM:
            made.listen(16)
        return made

    def _over_tcp(self, listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.settimeout(0.2)
            try:
                framed = connection.recv(4096)
                reply = answer(framed[2:], self._error)
                if reply:
                    connection.sendall(struct.pack(">H", len(reply)) + reply)
            except OSError:  # whoever asked has gone
                return
