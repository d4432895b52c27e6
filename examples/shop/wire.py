"""HTTP/1.1 messages as bytes and back: just enough for the shop, on asyncio streams.

Asyncio and not `http.server`, because a service has to keep a promise about its whole answer ("within 250 ms"), also
when the other side sends one byte a second; a socket time-out only bounds the wait for the next byte.

Bodies need a Content-Length; chunked bodies are refused.
"""

from __future__ import annotations

import json
import re
from asyncio import IncompleteReadError, LimitOverrunError, StreamReader
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

MAX_HEAD = 16 * 1024
MAX_BODY = 256 * 1024
_TARGET = re.compile(r"/[!-~]*")  # no control characters: a target is passed on from service to service
_REASON = {status.value: status.phrase for status in HTTPStatus}


class BadMessage(Exception):
    """The other side does not speak the HTTP this shop understands."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class ClosedEarly(ConnectionError):
    """The other side closed the connection before the first byte of its answer."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks. Header names are in lower case; `path` has no query."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """What a server answers. Header names are in lower case once read from the wire."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def of(cls, status: int, data: object, **headers: str) -> Response:
        """A JSON answer; a keyword such as `retry_after="1"` becomes the header `retry-after: 1`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(status, {"content-type": "application/json", **named}, json.dumps(data).encode())

    def json(self) -> Any:
        """The decoded body.

        Raises:
            BadMessage: the body is not JSON.
        """
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise BadMessage(502, "the answer is not JSON") from error


async def read_request(reader: StreamReader) -> Request | None:
    """The next request on a connection, or None when the client has closed it."""
    try:
        line, headers = await _read_head(reader)
    except ClosedEarly:
        return None
    match line.split(" "):
        case [method, target, "HTTP/1.1" | "HTTP/1.0" as version] if _TARGET.fullmatch(target):
            if version == "HTTP/1.0":
                headers.setdefault("connection", "close")
            return Request(method, target.partition("?")[0], headers, await _read_body(reader, headers))
        case _:
            raise BadMessage(400, "the first line is not an HTTP/1.1 request")


async def read_response(reader: StreamReader) -> Response:
    """The answer to the request just sent.

    Raises:
        ClosedEarly: the connection ended before the first byte.
        BadMessage: the answer is broken off or is not HTTP.
    """
    line, headers = await _read_head(reader)
    parts = line.split(" ", 2)
    if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdecimal():
        raise BadMessage(502, "the first line is not an HTTP/1.1 answer")
    return Response(int(parts[1]), headers, await _read_body(reader, headers))


def encode_request(request: Request, host: str) -> bytes:
    """The request as bytes."""
    return _encode(f"{request.method} {request.path} HTTP/1.1", {"host": host, **request.headers}, request.body)


def encode_response(response: Response, *, close: bool) -> bytes:
    """The answer as bytes; `close` tells the client that this connection ends here."""
    line = f"HTTP/1.1 {response.status} {_REASON.get(response.status, 'Status')}"
    headers = {**response.headers, "connection": "close"} if close else response.headers
    return _encode(line, headers, response.body)


def _encode(line: str, headers: dict[str, str], body: bytes) -> bytes:
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{line}\r\n{head}content-length: {len(body)}\r\n\r\n".encode("latin-1") + body


async def _read_head(reader: StreamReader) -> tuple[str, dict[str, str]]:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except IncompleteReadError as error:
        if error.partial:
            raise BadMessage(400, "the message broke off in its head") from error
        raise ClosedEarly("closed before the first byte") from error
    except LimitOverrunError as error:
        raise BadMessage(431, f"the head is longer than {MAX_HEAD} bytes") from error
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise BadMessage(400, "a header has no colon")
        headers[name.lower()] = value.strip()
    return first, headers


async def _read_body(reader: StreamReader, headers: dict[str, str]) -> bytes:
    if "transfer-encoding" in headers:
        raise BadMessage(501, "bodies need a Content-Length here")
    length = headers.get("content-length", "0")
    if not length.isdecimal():
        raise BadMessage(400, "Content-Length is not a number")
    if int(length) > MAX_BODY:
        raise BadMessage(413, f"the body is longer than {MAX_BODY} bytes")
    try:
        return await reader.readexactly(int(length))
    except IncompleteReadError as error:
        raise BadMessage(400, "the message broke off in its body") from error
