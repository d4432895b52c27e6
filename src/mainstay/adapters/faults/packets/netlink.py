"""Netlink: messages to the kernel and its answers, by the standard library alone (man 7 netlink)."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

NETFILTER = 12
SOCK_DIAG = 4

REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
REPLACE, EXCLUSIVE, CREATE, APPEND = 0x100, 0x200, 0x400, 0x800

_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_NESTED = 0x8000
_TYPE_MASK = 0x3FFF
_SOL_NETLINK, _NO_ENOBUFS = 270, 5


class Refused(OSError):
    """The kernel did not do what a message asked; `errno` says why."""


def attribute(kind: int, data: bytes) -> bytes:
    """One attribute, padded."""
    return _ATTRIBUTE.pack(len(data) + 4, kind) + data + b"\0" * (-len(data) % 4)


def nested(kind: int, *parts: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attribute(kind | _NESTED, b"".join(parts))


def number(kind: int, value: int) -> bytes:
    """A 32-bit attribute in network order."""
    return attribute(kind, struct.pack(">I", value))


def name(kind: int, value: str) -> bytes:
    """A text attribute."""
    return attribute(kind, value.encode() + b"\0")


def message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    """A message with its header."""
    return _HEADER.pack(len(body) + 16, kind, flags, sequence, 0) + body


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes in `data` by their kind; of several of a kind the last."""
    found = {}
    at = 0
    while at + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < 4:
            break
        found[kind & _TYPE_MASK] = data[at + 4:at + length]
        at += length + (-length % 4)
    return found


class Netlink:
    """A socket to one part of the kernel. Not for several threads.

    Args:
        family: `NETFILTER` or `SOCK_DIAG`.
        seconds: how long an answer may take.
    """

    def __init__(self, family: int, seconds: float = 5.0) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, family)
        self.socket.bind((0, 0))
        self.socket.settimeout(seconds)
        self._sequence = 0

    def close(self) -> None:
        """Close it; what the kernel owned to it is gone."""
        self.socket.close()

    def never_overrun(self, size: int) -> None:
        """Take packets up to `size` bytes in a row, and rather lose some than fail."""
        force = getattr(socket, "SO_RCVBUFFORCE", 33)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, force, size)
        except PermissionError:  # in a user namespace of its own: as large as the host lets everybody have it
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
        self.socket.setsockopt(_SOL_NETLINK, _NO_ENOBUFS, 1)

    def next(self) -> int:
        """A sequence number that was not used yet."""
        self._sequence += 1
        return self._sequence

    def ask(self, kind: int, flags: int, body: bytes) -> list[bytes]:
        """Send one message; the bodies of its answers.

        Raises:
            Refused: the kernel refused.
        """
        sequence = self.next()
        self.socket.send(message(kind, REQUEST | flags, sequence, body))
        found: list[bytes] = []
        for _kind, answer, last in self._answers(sequence):
            if last:
                return found
            found.append(answer)
            if not flags & (DUMP | ACK):
                return found
        raise AssertionError("answers end only when they are complete")

    def batch(self, messages: list[bytes], last: int) -> None:
        """Send messages that hold or fail together; the last asked for an acknowledgement.

        Raises:
            Refused: the kernel refused one of them.
        """
        self.socket.send(b"".join(messages))
        pending = True
        while pending:
            for answered, kind, body in self._received():
                pending = pending and answered != last
                if kind == _ERROR:
                    _raise_for(body)

    def _answers(self, sequence: int) -> Iterator[tuple[int, bytes, bool]]:
        while True:
            for number_, kind, body in self._received():
                if number_ != sequence:
                    continue
                if kind == _ERROR:
                    _raise_for(body)
                    yield kind, b"", True
                elif kind == _DONE:
                    yield kind, b"", True
                else:
                    yield kind, body, False

    def _received(self) -> Iterator[tuple[int, int, bytes]]:
        data = self.socket.recv(1 << 18)
        at = 0
        while at + 16 <= len(data):
            length, kind, _flags, sequence, _ = _HEADER.unpack_from(data, at)
            yield sequence, kind, data[at + 16:at + length]
            at += length + (-length % 4)


def _raise_for(body: bytes) -> None:
    code = -struct.unpack_from("=i", body)[0]
    if code:
        raise Refused(code, os.strerror(code))
