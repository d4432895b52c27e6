"""The outermost ring: host names, origins, sizes, pace and headers, before any route is looked up."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import lru_cache
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from mainstay.doors.front import MAX_BODY, ServerSettings, host_name, is_loopback
from mainstay.doors.head import Head, read_head
from mainstay.doors.security import Pace
from mainstay.kernel.errors import InvalidInput, MainstayError, NotAllowed
from mainstay.kernel.ports import Clock

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]


class Answer(NamedTuple):
    """A whole answer; `document` None has no body."""

    status: int
    document: object = None
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def body(self) -> bytes:
        """The document as JSON."""
        return b"" if self.document is None else msgspec.json.encode(self.document)

    @property
    def ends(self) -> bool:
        """Whether it is the last on its connection."""
        return _CLOSE in self.headers

    def ending(self) -> Answer:
        """The same as the last on its connection."""
        return self if self.ends else self._replace(headers=(*self.headers, _CLOSE))


_CLOSE = (b"connection", b"close")

ShortWay = Callable[[Scope, bytes, Callable[[Answer], None]], None]
"""Answers a request whose body is there, now or later, on its event loop; never raises. The long way is an ASGI app,
whose task and messages cost a storm more than what is done for it."""


class Errand(NamedTuple):
    """A request that a short way may answer, as far as its head goes.

    Args:
        refused: the answer where it is refused whoever sends it.
    """

    head: Head
    way: ShortWay
    refused: Answer | None = None


HEADS = 256
"""Heads that are remembered, of requests and of answers: senders have a form each, and seldom more."""

MAX_QUERY = 8 * 1024
MAX_PATH = 2 * 1024
MAX_HEADERS = 16 * 1024
SENDERS = ("/api/v2/", "/v2/", "/api/v1/intake/", "/api/v1/heartbeat/")
"""Where senders send alerts: at a pace of their own, and a full intake holds them up besides."""

BODY_TIME_OUT = 10.0
"""Seconds for a body of at most 1 MiB to arrive."""

_ACTING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
# No 'unsafe-inline' and no nonce: every script and every style is a file of ours.
_POLICY = (b"default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
_ALWAYS = (
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)

_FOR_SENDERS = ((b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
                (b"x-content-type-options", b"nosniff"))
"""What sends alerts shows no page: enough that nothing is taken for one. Each header costs a hundredth of an answer."""


class Misdirected(NotAllowed):
    """The Host header names no host of this server."""

    code = "misdirected"
    http_status = 421


class TooLarge(InvalidInput):
    """The body, the query or the headers are larger than anything Mainstay reads."""

    code = "too-large"

    def __init__(self, what: str, limit: int, status: int) -> None:
        super().__init__(f"{what} over {limit:,} bytes", "send less")
        self.status = status


class TooSlow(InvalidInput):
    """The body did not arrive in time."""

    code = "too-slow"
    http_status = 408


def error_document(error: MainstayError) -> dict[str, Any]:
    """An error as every JSON answer carries it."""
    told: dict[str, Any] = {"code": error.code, "message": error.message, "way_out": error.way_out}
    findings = getattr(error, "findings", None)
    if findings is not None:
        told["findings"] = [finding.as_dict() for finding in findings]
    return {"error": told}


class Guard:
    """An ASGI app around another; refuses what no route should see and sets the headers every answer carries.

    Args:
        short_ways: of senders, by path; one that ends in a slash takes one more part.
    """

    def __init__(self, app: AsgiApp, settings: ServerSettings, clock: Clock,
                 short_ways: Mapping[str, ShortWay] | None = None) -> None:
        self._app, self._settings, self._short_ways = app, settings, short_ways or {}
        self._for_senders = b"".join(b"%s: %s\r\n" % header for header in _added(SENDERS[0], tls=settings.tls))
        self._pace = Pace(settings.per_second, settings.burst, clock)
        self._sends = Pace(settings.sends_per_second, settings.sends_burst, clock)
        self._errand_of, self._lines_of = lru_cache(HEADS)(self._read_errand), lru_cache(HEADS)(self._write_lines)
        self._hosts = {name.lower() for name in (*settings.allowed_hosts, settings.host)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        guarded = _with_headers(scope, send, tls=self._settings.tls)
        headers = dict(scope["headers"])
        try:
            if (refused := self._refused(scope, headers)) is not None:
                await send_answer(guarded, refused)
                return
            if b"content-length" in headers or b"transfer-encoding" in headers:
                receive = await _whole_body(headers, receive)
        except MainstayError as error:
            await send_answer(guarded, _turned_away(error))
            return
        await self._app(scope, receive, guarded)

    def errand(self, head: bytes) -> Errand | None:
        """What is known of a POST that arrived whole by its head alone; None where the app is to answer it.

        Kept for the heads that were seen last: nothing of it depends on when they come, from where, or on what a token
        opens.
        """
        return self._errand_of(head)

    def _read_errand(self, head: bytes) -> Errand | None:
        found = read_head(head)
        if found is None or found.method != "POST":
            return None
        way = self._short_ways.get(found.path) or self._short_ways.get(found.path[:found.path.rfind("/") + 1])
        if way is None:
            return None
        scope = found.scope(b"1", None)
        try:
            self._check(scope, dict(scope["headers"]))
        except MainstayError as error:
            return Errand(found, way, _turned_away(error))
        return Errand(found, way)

    def refusal(self, errand: Errand, client: tuple[str, int] | None) -> Answer | None:
        """Why a sender on the short way is not listened to now, or None."""
        return errand.refused or self._too_fast(errand.head.path, client)

    def written(self, answer: Answer) -> bytes:
        """A sender's answer, from behind the lines that begin every answer."""
        body = answer.body()
        return self._lines_of(answer.headers, len(body)) + body

    def _write_lines(self, headers: tuple[tuple[bytes, bytes], ...], length: int) -> bytes:
        own = b"".join([b"%s: %s\r\n" % header for header in headers])
        return b"content-type: application/json\r\ncontent-length: %d\r\n%s%s\r\n" % (length, own, self._for_senders)

    def _refused(self, scope: Scope, headers: dict[bytes, bytes]) -> Answer | None:
        """What a client that asks too fast is told. Raises for a request that is refused whoever sends it."""
        self._check(scope, headers)
        return self._too_fast(scope["path"], scope.get("client"))

    def _check(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        """Raises for what is refused by its head alone, whoever sends it and whenever."""
        self._check_size(scope)
        self._check_origin(scope, headers, self._check_host(scope))

    def _too_fast(self, path: str, client: tuple[str, int] | None) -> Answer | None:
        pace = self._sends if path.startswith(SENDERS) else self._pace
        wait = 0.0 if path == "/healthz" else pace.wait(client[0] if client else "")
        return _hold_up(wait) if wait else None

    @staticmethod
    def _check_size(scope: Scope) -> None:
        if len(scope["query_string"]) > MAX_QUERY:
            raise TooLarge("a query", MAX_QUERY, 414)
        if len(scope["path"]) > MAX_PATH:
            raise TooLarge("a path", MAX_PATH, 414)
        if sum([len(name) + len(value) + 4 for name, value in scope["headers"]]) > MAX_HEADERS:
            raise TooLarge("headers", MAX_HEADERS, 431)

    def _check_host(self, scope: Scope) -> str:
        given: list[str] = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(given) != 1:
            raise InvalidInput("a request names its host exactly once", "send one Host header")
        name = host_name(given[0])
        if not is_loopback(name) and name not in self._hosts:
            raise Misdirected("this server does not go by that name",
                              "use its own address, or allow the name where the server is started")
        return given[0]

    @staticmethod
    def _check_origin(scope: Scope, headers: dict[bytes, bytes], host: str) -> None:
        site = headers.get(b"sec-fetch-site", b"none")
        if scope["method"] not in _ACTING:
            # Following a link here is fine; a script of another site has no business reading.
            if site == b"cross-site" and headers.get(b"sec-fetch-mode") != b"navigate":
                raise NotAllowed("the request comes from another site's script", "open the address itself")
            return
        origin = headers.get(b"origin", b"").decode("latin-1")
        # Only the authority is compared: behind a TLS proxy the scheme differs and says nothing about the site.
        if origin and urlsplit(origin).netloc.lower() != host.lower():
            raise NotAllowed("the request comes from another site", "act from this server's own pages")
        if site not in (b"same-origin", b"none"):
            raise NotAllowed("the request comes from another site", "act from this server's own pages")


def _with_headers(scope: Scope, send: Send, *, tls: bool) -> Send:
    added = _added(scope["path"], tls=tls)

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *added]}
        await send(message)

    return sending


def _added(path: str, *, tls: bool) -> list[tuple[bytes, bytes]]:
    """The headers that an answer at that path gets besides its own."""
    added = list(_FOR_SENDERS if path.startswith(SENDERS) else _ALWAYS)
    if tls:
        added.append((b"strict-transport-security", b"max-age=31536000"))
    if not path.startswith("/static/"):
        added.append((b"cache-control", b"no-store"))
    return added


async def _whole_body(headers: dict[bytes, bytes], receive: Receive) -> Receive:
    """The body read to its end within its size and time, and a `receive` that gives it once more."""
    declared = headers.get(b"content-length", b"0")
    if not declared.isdigit() or int(declared) > MAX_BODY:
        raise TooLarge("a body", MAX_BODY, 413)
    body, more = bytearray(), True
    with _Within(BODY_TIME_OUT):
        while more:
            message = await receive()
            if message["type"] != "http.request":
                break
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > MAX_BODY:
                raise TooLarge("a body", MAX_BODY, 413)
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": bytes(body), "more_body": False}

    return again


class _Within:
    """Raises TooSlow where the body takes longer. Nearly every body is there at once, and `asyncio.timeout`, which does
    the same, would be a tenth of what such a request costs."""

    __slots__ = ("_late", "_seconds", "_task", "_timer")

    def __init__(self, seconds: float) -> None:
        self._seconds, self._late = seconds, False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None, "a request is answered in a task"
        self._task = task
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._give_up)

    def _give_up(self) -> None:
        self._late = True
        self._task.cancel()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._timer.cancel()
        # Someone else may have cancelled the task besides; then that is what it ends by.
        if self._late and self._task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise TooSlow(f"the body did not arrive within {self._seconds:g} s", "send it again") from None


def _hold_up(wait: float) -> Answer:
    seconds = math.ceil(wait)
    return Answer(429, {"error": {"code": "too-many-requests", "message": "this client asks too fast",
                                  "way_out": f"ask again in {seconds} s"}},
                  ((b"retry-after", str(seconds).encode()),))


def _turned_away(error: MainstayError) -> Answer:
    status = error.status if isinstance(error, TooLarge) else error.http_status
    return Answer(status, error_document(error), (_CLOSE,))


async def send_answer(send: Send, answer: Answer) -> None:
    """A whole answer as ASGI's messages."""
    body = answer.body()
    await send({"type": "http.response.start", "status": answer.status, "headers": [
        (b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *answer.headers]})
    await send({"type": "http.response.body", "body": body})
