"""The frames of HTTP/1.1 in a stream, found piece by piece (RFC 9112), without changing a byte.

Whatever is not certainly HTTP/1 is given up on: from there on everything is one raw stream. A piece that might become
the head of a message is held only as long as it may still become one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import Enum, auto

from mainstay.kernel.dataclass import dataclass

_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "PROPPATCH",
            "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH", "PURGE", "LINK", "UNLINK", "QUERY")
_STARTS = tuple(f"{method} ".encode() for method in _METHODS)
_REQUEST = re.compile(rb"([A-Z]+) ([^ \r\n]+) HTTP/1\.([01])\r?\n")
_RESPONSE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?\r?\n")
_END = re.compile(rb"\r?\n\r?\n")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")
REASONS = {200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 301: "Moved Permanently", 302: "Found",
           304: "Not Modified", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
           405: "Method Not Allowed", 408: "Request Timeout", 409: "Conflict", 410: "Gone", 413: "Content Too Large",
           418: "I'm a teapot", 422: "Unprocessable Content", 425: "Too Early", 429: "Too Many Requests",
           500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable",
           504: "Gateway Timeout", 507: "Insufficient Storage"}
"""What stands behind a status; `http` has them all, and costs the start more than all of this."""
SWITCHES = 101
"""From this response on it is another protocol."""
_LONGEST_HEAD = 64 * 1024
_LONGEST_LINE = 4096


class Kind(Enum):
    """What a piece of the stream is."""

    HEAD = auto()
    BODY = auto()
    FRAME = auto()
    """Sizes of chunks, trailers, empty lines before a message."""
    END = auto()
    """No bytes: the message is whole."""
    RAW = auto()


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a message.

    Args:
        method, target: of a request; empty in a response.
        status: of a response; 0 in a request.
        minor: of the version, 1.0 or 1.1.
        headers: names in lower case.
    """

    method: str
    target: str
    status: int
    minor: int
    headers: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str:
        """The values of a header, joined by commas; empty when there is none."""
        return ", ".join(value for key, value in self.headers if key == name)

    def keeps_alive(self) -> bool:
        """Whether the connection stays open behind this message, as far as its head says."""
        said = {token.strip().lower() for token in self.get("connection").split(",")}
        return "keep-alive" in said if self.minor == 0 else "close" not in said


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of the stream with what they are; a head comes parsed as well."""

    kind: Kind
    data: bytes = b""
    head: Head | None = None


class _Body(Enum):
    HEAD = auto()
    LENGTH = auto()
    SIZE = auto()
    CHUNK = auto()
    CHUNK_END = auto()
    TRAILER = auto()
    UNTIL_CLOSE = auto()
    RAW = auto()


class Framing:
    """The frames of one direction of a connection.

    Args:
        answers: of the direction of responses: the method of the request that the next final response answers;
            None for the direction of requests.
    """

    def __init__(self, answers: Callable[[], str] | None = None) -> None:
        self._answers = answers
        self._data = b""
        self._at = self._scanned = 0
        """Where in `_data` the next piece begins, and how far it was searched for the end of a head."""
        self._left = 0
        self._state = _Body.HEAD

    @property
    def raw(self) -> bool:
        """Whether it was given up on."""
        return self._state is _Body.RAW

    @property
    def between(self) -> bool:
        """Whether the last message is whole and nothing of another has come."""
        return self._state is _Body.HEAD and self._at == len(self._data)

    def give_up(self) -> None:
        """From here on it is one raw stream."""
        self._state = _Body.RAW

    def rest(self) -> bytes:
        """What is held back; it is not held any more."""
        return self._cut(len(self._data) - self._at)

    def feed(self, data: bytes) -> Iterator[Piece]:
        """The pieces that are certain now. Joined, and with `rest`, they are what was fed."""
        self._data, self._at = self._data[self._at:] + data, 0
        while self._at < len(self._data):
            before, state = self._at, self._state
            yield from _STEPS[state](self)
            if self._at == before and self._state is state:
                return

    # -- one state each ------------------------------------------------------------------------------------------------

    def _head(self) -> Iterator[Piece]:
        if self._answers is None and self._data[self._at] in b"\r\n":
            size = self._line_end()
            if size < 0:
                self.give_up()
            elif size:
                yield Piece(Kind.FRAME, self._cut(size))
            return
        pattern = _REQUEST if self._answers is None else _RESPONSE
        first = pattern.match(self._data, self._at)
        if first is None:
            if not self._may_begin(self._data[self._at:]):
                self.give_up()
            return
        end = _END.search(self._data, max(first.end() - 2, self._at + self._scanned - 4))
        if end is None:
            self._scanned = len(self._data) - self._at
            if self._scanned > _LONGEST_HEAD:
                self.give_up()
            return
        self._scanned = 0
        head = _parse(first, self._data[first.end():end.start() + 1], request=self._answers is None)
        if head is None or not self._body_of(head):
            self.give_up()
            return
        state = self._state
        yield Piece(Kind.HEAD, self._cut(end.end() - self._at), head)
        if state is _Body.HEAD and self._state is state:
            yield Piece(Kind.END)

    def _may_begin(self, line: bytes) -> bool:
        if b"\n" in line or len(line) > _LONGEST_HEAD:
            return False
        if self._answers is not None:
            return all(got == want or (at == 7 and got in b"01") or (at > 8 and got in b"0123456789")
                       for at, (got, want) in enumerate(zip(line, b"HTTP/1.1 200", strict=False)))
        words = line.split(b" ", 2)
        return any(line.startswith(start) or start.startswith(line) for start in _STARTS) and (
            len(words) < 3 or b"HTTP/1.1\r".startswith(words[2]) or b"HTTP/1.0\r".startswith(words[2]))

    def _body_of(self, head: Head) -> bool:
        """Which body follows; False when it cannot be said."""
        lengths = {one.strip() for one in head.get("content-length").split(",")} - {""}
        coding = head.get("transfer-encoding").lower()
        if len(lengths) > 1 or any(not (one.isascii() and one.isdigit() and len(one) < 19) for one in lengths):
            return False
        self._left = int(next(iter(lengths), "0"))
        response = self._answers is not None
        if self._answers is not None and self._bodiless(head, self._answers):
            self._state = _Body.HEAD
        elif coding.rpartition(",")[2].strip() == "chunked":
            self._state = _Body.SIZE
        elif coding:
            self._state = _Body.UNTIL_CLOSE
            return response
        elif lengths:
            self._state = _Body.LENGTH if self._left else _Body.HEAD
        else:
            self._state = _Body.UNTIL_CLOSE if response else _Body.HEAD
        return True

    @staticmethod
    def _bodiless(head: Head, answers: Callable[[], str]) -> bool:
        if 100 <= head.status < 200:
            return True
        method = answers()
        return method == "HEAD" or head.status in (204, 304) or (method == "CONNECT" and head.status < 300)

    def _body(self) -> Iterator[Piece]:
        data = self._cut(min(self._left, len(self._data) - self._at))
        self._left -= len(data)
        whole = not self._left and self._state is _Body.LENGTH
        if not self._left:
            self._state = _Body.HEAD if whole else _Body.CHUNK_END
        yield Piece(Kind.BODY, data)
        if whole:
            yield Piece(Kind.END)

    def _size(self) -> Iterator[Piece]:
        found = _CHUNK.match(self._data, self._at)
        if found is None:
            if self._data.find(b"\n", self._at) >= 0 or len(self._data) - self._at > _LONGEST_LINE:
                self.give_up()
            return
        self._left = int(found[1], 16)
        self._state = _Body.CHUNK if self._left else _Body.TRAILER
        yield Piece(Kind.FRAME, self._cut(found.end() - self._at))

    def _chunk_end(self) -> Iterator[Piece]:
        size = self._line_end()
        if size < 0:
            self.give_up()
        elif size:
            self._state = _Body.SIZE
            yield Piece(Kind.FRAME, self._cut(size))

    def _trailer(self) -> Iterator[Piece]:
        end = self._data.find(b"\n", self._at)
        if end < 0:
            if len(self._data) - self._at > _LONGEST_LINE:
                self.give_up()
            return
        line = self._cut(end + 1 - self._at)
        last = line in (b"\n", b"\r\n")
        self._state = _Body.HEAD if last else _Body.TRAILER
        yield Piece(Kind.FRAME, line)
        if last:
            yield Piece(Kind.END)

    def _until_close(self) -> Iterator[Piece]:
        yield Piece(Kind.BODY, self.rest())

    def _raw(self) -> Iterator[Piece]:
        yield Piece(Kind.RAW, self.rest())

    def _line_end(self) -> int:
        """Bytes of the end of a line that stands here; 0 when one more is needed, negative when there is none."""
        if self._data[self._at] == 10:
            return 1
        if self._data[self._at] != 13:
            return -1
        return 0 if self._at + 1 == len(self._data) else 2 if self._data[self._at + 1] == 10 else -1

    def _cut(self, size: int) -> bytes:
        data = self._data[self._at:self._at + size]
        self._at += size
        return data


_STEPS: dict[_Body, Callable[[Framing], Iterator[Piece]]] = {
    _Body.HEAD: Framing._head, _Body.LENGTH: Framing._body, _Body.SIZE: Framing._size, _Body.CHUNK: Framing._body,
    _Body.CHUNK_END: Framing._chunk_end, _Body.TRAILER: Framing._trailer, _Body.UNTIL_CLOSE: Framing._until_close,
    _Body.RAW: Framing._raw}


def _parse(first: re.Match[bytes], lines: bytes, *, request: bool) -> Head | None:
    """The head; None when a line is no header."""
    headers: list[tuple[str, str]] = []
    for line in lines.decode("latin-1").split("\n"):
        line = line.removesuffix("\r")  # noqa: PLW2901  (the line without its end)
        name, colon, value = line.partition(":")
        if not line:
            continue
        if line[0] in " \t" and headers:  # a folded line, as old servers send
            headers[-1] = (headers[-1][0], f"{headers[-1][1]} {line.strip()}")
        elif not colon or not name or name != name.strip():
            return None
        else:
            headers.append((name.lower(), value.strip()))
    if request:
        return Head(first[1].decode(), first[2].decode("latin-1"), 0, int(first[3]), tuple(headers))
    return Head("", "", int(first[2]), int(first[1]), tuple(headers))
