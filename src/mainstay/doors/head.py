"""The head of a request that arrived whole: read by the parser that reads every other, and once for all that are alike.

A sender says the same head each time but for the length of its body, so what is read is kept under the head without
that length. Only plain requests are read here; whatever else a head may say is left to uvicorn.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from urllib.parse import unquote

import httptools

LONGEST = 4_096
"""Bytes of a head that is read here: longer ones are rare, and what was read of many is kept."""

_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: (\d{1,6})\r\n")
"""Six digits are less than any body that is refused for its size."""


class Whole(NamedTuple):
    """A request in one piece.

    Args:
        head: with a 1 in place of the length that it gives.
        length: as it stands in the head.
    """

    head: bytes
    length: bytes
    body: bytes


def whole(data: bytes) -> Whole | None:
    """The one request that came, if it came whole, with nothing behind it."""
    found = data.find(_END, 0, LONGEST)
    if found < 0:
        return None
    end = found + len(_END)
    length = _LENGTH.search(data, 0, end)
    if length is None or int(length[1]) != len(data) - end:
        return None
    start, stop = length.span(1)
    return Whole(b"%b1%b" % (data[:start], data[stop:end]), length[1], data[end:])


class Head(NamedTuple):
    """What a head says.

    Args:
        headers: names in lower case.
        length_at: which of them is the length.
    """

    method: str
    path: str
    raw_path: bytes
    query: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    length_at: int

    def scope(self, length: bytes, client: tuple[str, int] | None) -> dict[str, Any]:
        """The request as ASGI describes it, but for what is the server's own: its address, its state."""
        headers = list(self.headers)
        headers[self.length_at] = b"content-length", length
        return {"type": "http", "http_version": "1.1", "method": self.method, "path": self.path,
                "raw_path": self.raw_path, "query_string": self.query, "headers": headers, "client": client}


class _Heard:
    """What the parser calls."""

    def __init__(self) -> None:
        self.url, self.complete, self.beyond = b"", False, False
        self.headers: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.complete = True

    def on_body(self, body: bytes) -> None:  # noqa: ARG002  (the parser calls it)
        self.beyond = True

    def on_message_complete(self) -> None:
        self.beyond = True


def read_head(head: bytes) -> Head | None:
    """What the head says, or None where anything is odd about it: where more or less was read than this one head, or
    whoever sent it wants more than an answer on a connection that goes on."""
    heard = _Heard()
    parser = httptools.HttpRequestParser(heard)
    try:
        parser.feed_data(head)
        url = httptools.parse_url(heard.url)
        path = url.path.decode("ascii")
    except (httptools.HttpParserError, httptools.HttpParserUpgrade, AttributeError, UnicodeDecodeError):
        return None
    names = [name for name, _ in heard.headers]
    plain = heard.complete and not heard.beyond and parser.get_http_version() == "1.1" and parser.should_keep_alive() \
        and not parser.should_upgrade() and names.count(b"content-length") == 1 \
        and b"transfer-encoding" not in names and b"expect" not in names
    if not plain:
        return None
    return Head(parser.get_method().decode("ascii"), unquote(path), url.path, url.query or b"", tuple(heard.headers),
                names.index(b"content-length"))
