"""The HTTP door: every operation as a typed route, beside metrics, health, events and the pages."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import socket
import ssl
from collections.abc import Callable, Sequence
from functools import cache
from types import FrameType
from typing import Any

import msgspec
import uvicorn
from litestar import Litestar, MediaType, Request, Response, route
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream

from mainstay.doors.as_json import encode
from mainstay.doors.calendar_feed import calendar_route
from mainstay.doors.connection import Connection
from mainstay.doors.front import Front, Hooks, ServerSettings
from mainstay.doors.guard import AsgiApp, Guard, Receive, Scope, Send, error_document
from mainstay.doors.inputs import from_json, from_query, read_request
from mainstay.doors.names import PREFIX, READING, api_path
from mainstay.doors.openapi import describe
from mainstay.doors.sse import Feed
from mainstay.doors.web.pages import Page, Site, page_routes
from mainstay.kernel.errors import InvalidInput, MainstayError
from mainstay.kernel.operation import Operation
from mainstay.kernel.ports import World

log = logging.getLogger("mainstay.server")
AnyRequest = Request[Any, Any, Any]
GRACE = 10
"""Seconds that requests in flight get when the server is told to stop."""

KEEP_ALIVE = 15
"""Seconds that a connection may rest between requests."""

CONNECTIONS = 1_024
"""How many there may be; whoever comes then is told to come again."""

BACKLOG = 2_048
"""Connections that may wait to be accepted, and that are accepted in one round of the event loop."""

ACCEPT_AGAIN = 1.0
"""Seconds until connections are accepted again after there were too many."""


class NoRoute(MainstayError):
    """Nothing answers at this address."""

    code = "no-route"
    http_status = 404


class WrongMethod(NoRoute):
    """Something answers at this address, but not to this method."""

    http_status = 405


class NotJson(InvalidInput):
    """The body of an act is not declared as JSON, as a form of another site would send it."""

    http_status = 415


class OurMistake(MainstayError):
    """An assertion or anything else that should never leave an operation; the log has it whole."""

    code = "internal"


def build_app(operations: Sequence[Operation[Any, Any]], world: Callable[[str], World], settings: ServerSettings,
              pages: Sequence[Page] = (), hooks: Hooks | None = None) -> Guard:
    """The whole server as an ASGI app.

    Args:
        world: the world as an actor sees it; called in a worker thread for each request.
        pages: hand-made pages; one at `/WORD/VERB` takes the place of that operation's generic page.
    Raises:
        InvalidInput: the settings would show the server to strangers by accident.
    """
    hooks = hooks or Hooks()
    front = Front(operations, world, settings, hooks)
    site = Site(front, pages)
    handlers = [*(_operation_route(front, operation) for operation in operations if "http" in operation.doors),
                *_service_routes(front), calendar_route(front), *hooks.routes(front), *page_routes(site)]

    def refused(request: AnyRequest, error: Exception) -> Response[Any]:
        known = _known(request, error)
        return answer_error(known) if _for_programs(request) else site.error_page(request, known)

    app = Litestar(handlers, openapi_config=None, logging_config=None, on_shutdown=[front.close],
                   exception_handlers={Exception: refused})
    raw, short_ways = front.hooks.raw(front)

    async def split(scope: Scope, receive: Receive, send: Send) -> None:
        """Raw routes past Litestar: its router fails on the parameters of raw routes, and a storm can spare it."""
        path = scope["path"] if scope["type"] == "http" else ""
        rest: Any = app  # Litestar narrows ASGI's plain mappings
        await (raw.get(path) or raw.get(path[:path.rfind("/") + 1]) or rest)(scope, receive, send)

    return Guard(split, settings, front.clock, short_ways)


def answer_error(error: MainstayError) -> Response[bytes]:
    """The error as JSON, with its HTTP status and the exit code a command would have ended with."""
    headers = {"X-Mainstay-Exit": str(error.exit_code)}
    if error.http_status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(msgspec.json.encode(error_document(error)), status_code=error.http_status,
                    media_type=MediaType.JSON, headers=headers)


def _for_programs(request: AnyRequest) -> bool:
    path = request.scope["path"]
    return path.startswith(("/api/", "/v2/", "/static/")) or path in ("/metrics", "/healthz", "/readyz", "/events")


def _known(request: AnyRequest, error: Exception) -> MainstayError:
    """The error as one of ours; our own mistakes get a number under which the log has them whole."""
    if isinstance(error, MainstayError):
        return error
    if isinstance(error, HTTPException) and error.status_code < 500:
        kind = {404: NoRoute, 405: WrongMethod}.get(error.status_code)
        if kind is None:
            return InvalidInput(f"the request cannot be read: {error.detail}", "send a well-formed request")
        return kind(f"nothing answers {request.scope['method']} here", f"{PREFIX}/openapi.json lists what does")
    number = secrets.token_hex(4)
    log.error("error %s at %s %s", number, request.scope["method"], request.scope["path"], exc_info=error)
    return OurMistake(f"this is Mainstay's own mistake, number {number}",
                      "the server's log has it under that number; please report it")


def _operation_route(front: Front, operation: Operation[Any, Any]) -> HTTPRouteHandler:
    reads = operation.scope == "read"

    def tell(result: Any) -> tuple[bytes, dict[str, str]]:
        headers = {"X-Mainstay-Exit": str(operation.exit_code(result))}
        if operation.follow is not None:
            headers["Location"] = f"{PREFIX}/{operation.follow(result)}"
        return encode(operation.as_json(result) if operation.as_json else result), headers

    async def call(request: AnyRequest) -> Response[bytes]:
        scope = request.scope
        if reads:
            caller = front.who(scope)
            fields = from_query(operation.request, scope["query_string"])
        else:
            caller = front.who_acts(scope)
            if request.content_type[0] != "application/json":
                raise NotJson("the body is not declared as JSON", "send Content-Type: application/json")
            fields = from_json(await request.body())
        told, headers = await front.perform(operation, read_request(operation.request, fields), caller, tell)
        return Response(told, media_type=MediaType.JSON, status_code=202 if operation.follow else 200, headers=headers)

    return route(api_path(operation), http_method=READING if reads else "POST", name=api_path(operation))(call)


def _service_routes(front: Front) -> list[HTTPRouteHandler]:
    """What machines ask: the description, metrics, health, readiness and the event stream."""
    @cache  # made for the first who asks: it would be a twelfth of a server's start
    def described() -> bytes:
        return msgspec.json.encode(describe(front.operations))

    @route(f"{PREFIX}/openapi.json", http_method=READING)
    async def openapi(request: AnyRequest) -> Response[bytes]:
        front.who(request.scope).demand("read")
        return Response(await front.in_thread(described), media_type=MediaType.JSON)

    @route("/metrics", http_method=READING)
    async def metrics(request: AnyRequest) -> Response[str]:
        front.who(request.scope).demand("read")
        text = await front.in_thread(front.hooks.metrics)
        return Response(text, media_type="text/plain; version=0.0.4")

    # The two health routes need no token and say nothing about the data, so that any prober may ask them.
    @route("/healthz", http_method=READING)
    async def healthz() -> Response[str]:
        return Response("ok\n", media_type=MediaType.TEXT)

    @route("/readyz", http_method=READING)
    async def readyz() -> Response[str]:
        problems = await front.in_thread(front.hooks.problems)
        return Response("\n".join(problems) + "\n" if problems else "ready\n", media_type=MediaType.TEXT,
                        status_code=503 if problems else 200)

    @route("/events", http_method="GET")
    async def events(request: AnyRequest) -> Stream:
        front.who(request.scope).demand("read")

        def allowed() -> bool:
            try:
                front.who(request.scope).demand("read")
            except MainstayError:
                return False
            return True

        return Stream(front.hooks.feed.stream(allowed), media_type="text/event-stream")

    return [openapi, metrics, healthz, readyz, events]


# -- running it ----------------------------------------------------------------------------------------------------


class _Acceptor:
    """Accepts everybody who waits in one round of the event loop.

    libuv accepts one a round (since 1.45, its pull request 3696): of 500 senders that connect at once in the middle of
    a storm, the last would wait for 500 rounds.
    """

    def __init__(self, listening: socket.socket, protocol: Callable[[], asyncio.Protocol],
                 tls: ssl.SSLContext | None) -> None:
        self._listening, self._protocol, self._tls = listening, protocol, tls
        self._loop = asyncio.get_running_loop()
        self._greeting: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        """From now on."""
        self._loop.add_reader(self._listening, self._accept)

    def end(self) -> None:
        """Nobody any more."""
        if self._listening.fileno() >= 0:
            self._loop.remove_reader(self._listening)
            self._listening.close()

    def _accept(self) -> None:
        for _ in range(BACKLOG):
            try:
                connection, _address = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # too many open files: those that wait may have better luck in a moment
                log.error("no connection can be accepted: %s", error.strerror)
                self._loop.remove_reader(self._listening)
                self._loop.call_later(ACCEPT_AGAIN, self._begin_again)
                return
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = self._loop.create_task(self._greet(connection))
            self._greeting.add(task)
            task.add_done_callback(self._greeting.discard)

    def _begin_again(self) -> None:
        if self._listening.fileno() >= 0:
            self.begin()

    async def _greet(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection, ssl=self._tls)
        except OSError as error:  # a broken handshake of TLS is one too
            log.debug("a connection ended before it began: %s", error)
            connection.close()


class Server(uvicorn.Server):
    """A bound server: `url` is known before it runs; `run` returns after SIGTERM, SIGINT or `stop`, gracefully."""

    def __init__(self, app: AsgiApp, settings: ServerSettings, feed: Feed | None = None,
                 started: Callable[[str], None] = lambda _: None) -> None:
        super().__init__(uvicorn.Config(
            app, loop="uvloop", http=Connection, ws="none", lifespan="on", access_log=False, log_level="warning",
            # A client must not be able to say whose address it has, nor be told what software this is.
            proxy_headers=False, server_header=False, timeout_keep_alive=KEEP_ALIVE, timeout_graceful_shutdown=GRACE,
            limit_concurrency=CONNECTIONS,
            ssl_certfile=settings.certificate, ssl_keyfile=str(settings.private_key) if settings.private_key else None))
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        try:
            self._socket = socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
        except OSError as error:
            raise InvalidInput(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}",
                               "take another port; 0 takes a free one") from error
        shown = f"[{settings.host}]" if family == socket.AF_INET6 else settings.host
        scheme = "https" if settings.certificate else "http"
        self.url = f"{scheme}://{shown}:{self._socket.getsockname()[1]}"
        self._socket.setblocking(False)
        self._feed, self._started = feed, started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, then say so."""
        await super().startup(sockets)
        if not self.should_exit:
            self._acceptor = _Acceptor(self._socket, self._protocol, self.config.ssl)
            self._acceptor.begin()
            self._started(self.url)

    def _protocol(self) -> asyncio.Protocol:
        return Connection(self.config, self.server_state, self.lifespan.state)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nobody any more, and answer what was asked."""
        self._acceptor.end()
        await super().shutdown(sockets)

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to stop."""
        super().run(sockets or [])  # uvicorn listens nowhere itself

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  (the signal module calls it)
        """A signal to stop: end the event streams first, or open pages would hold the server for GRACE seconds.

        uvicorn's own handler would raise the signal again after the graceful stop and so end the whole program;
        here `run` returns. A second signal does not wait for requests in flight.
        """
        if self._feed is not None:
            self._feed.close()
        self.force_exit = self.should_exit
        self.should_exit = True

    def stop(self) -> None:
        """Ask the server to stop, from any thread."""
        self.handle_exit(signal.SIGTERM, None)
