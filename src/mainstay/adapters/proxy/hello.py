"""The name of the server that a TLS client asks for, read from its first message (RFC 8446, 4.1.2; RFC 6066, 3)."""

from __future__ import annotations

from struct import error, unpack_from

_HANDSHAKE, _CLIENT_HELLO, _SERVER_NAME, _HOST_NAME = 22, 1, 0, 0
MOST = 1 << 16
"""Bytes of a first message that are waited for."""


def server_name(data: bytes | bytearray) -> str | None:
    """The name in lower case; empty when there is none or this is no TLS; None when more bytes are needed."""
    message = bytearray()
    at = 0
    while True:
        if len(data) - at < 5:  # the record's head
            return None if data[at:at + 1] in (b"", b"\x16") and at + len(data) <= MOST else ""
        kind, major, length = data[at], data[at + 1], unpack_from(">H", data, at + 3)[0]
        if kind != _HANDSHAKE or major != 3:
            return ""
        message += data[at + 5:at + 5 + length]
        if message and message[0] != _CLIENT_HELLO:
            return ""
        if len(message) >= 4 and len(message) >= (whole := 4 + int.from_bytes(message[1:4], "big")):
            return _from_hello(bytes(message[:whole]))
        if len(data) < at + 5 + length:
            return None if len(data) <= MOST else ""
        at += 5 + length


def _from_hello(hello: bytes) -> str:
    try:
        at = 4 + 2 + 32  # head, version, random
        at += 1 + hello[at]  # session
        at += 2 + unpack_from(">H", hello, at)[0]  # ciphers
        at += 1 + hello[at]  # compressions
        end = at + 2 + unpack_from(">H", hello, at)[0]
        at += 2
        while at + 4 <= end:
            kind, length = unpack_from(">HH", hello, at)
            if kind == _SERVER_NAME and hello[at + 6] == _HOST_NAME:
                size = unpack_from(">H", hello, at + 7)[0]
                return hello[at + 9:at + 9 + size].decode("ascii").lower()
            at += 4 + length
    except (error, IndexError, UnicodeDecodeError):
        return ""
    return ""
