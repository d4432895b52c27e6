"""What every route needs: how the server is set up, who calls, whether they may, doing it, recording it."""

from __future__ import annotations

import asyncio
import base64
import binascii
import functools
import ipaddress
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import field, replace
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from mainstay.doors.names import name_of
from mainstay.doors.security import COOKIE, Caller, Gate, NotKnown, TokenStore
from mainstay.doors.sse import Feed
from mainstay.kernel.catalog import Resource
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, MainstayError, SourceUnavailable
from mainstay.kernel.operation import Operation
from mainstay.kernel.ports import World

T = TypeVar("T")
log = logging.getLogger("mainstay.server")

MAX_BODY = 1024 * 1024
WORKERS = 16
_SECRET_NAMES = ("token", "secret", "password", "key", "credential")


class TookTooLong(SourceUnavailable):
    """The answer was not ready in the time a request may take."""

    code = "took-too-long"
    http_status = 504


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How the server listens and how much it lets one client ask.

    Args:
        port: 0 takes a free one; the URL that is printed names it.
        beyond_loopback: the explicit wish to listen on `host` although it is not this machine alone.
        allowed_hosts: names people reach the server by, besides loopback's own; any other Host header is refused,
            so that a page whose name was pointed at 127.0.0.1 (DNS rebinding) cannot act.
        token_file: where tokens are kept; None means there are none.
        behind_tls: a proxy in front speaks TLS, so cookies may be marked Secure.
        per_second, burst: requests of one client address.
        sends_per_second, sends_burst: the same where senders send alerts, which come in storms.
        logins_per_minute: tries of one client address at the login page.
        time_out: seconds an answer may take.
        catalog: what the top bar calls the catalog.
    """

    host: str = "127.0.0.1"
    port: int = 8700
    beyond_loopback: bool = False
    allowed_hosts: tuple[str, ...] = ()
    token_file: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None
    behind_tls: bool = False
    per_second: float = 50.0
    burst: float = 200.0
    sends_per_second: float = 5_000.0
    sends_burst: float = 20_000.0
    logins_per_minute: float = 5.0
    time_out: float = 30.0
    catalog: str = ""

    @property
    def tls(self) -> bool:
        """Whether browsers reach this server through TLS."""
        return self.certificate is not None or self.behind_tls


@dataclass(frozen=True, slots=True)
class Act:
    """One try to change something, as it is handed to the audit hook.

    Args:
        operation: `word verb`, or `login` and `logout`.
        summary: the request as JSON, cut at 500 characters, fields that sound like secrets masked.
        outcome: `begun` before the work starts, then `done (exit N)` or `failed: code`; or `refused: code` alone.
    """

    actor: str
    operation: str
    summary: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the rest of the program gives to and takes from the server.

    Args:
        metrics: the text of `/metrics`, in Prometheus' exposition format.
        problems: why the server is not ready; nothing means it is.
        audit: called for every try to change something; when it raises before the work, the work is not done.
        link: the page of a declared thing, such as `slo/show?name=checkout`; empty when it has none.
        raw: path → ASGI app, for what senders of other tools' forms send, and path → short way (`guard.ShortWay`) of
            those that have one; made once the front is there. A path that ends in a slash stands for those with one
            more part.
        routes: Litestar handlers that are no operations, made for the Front they are handed.
    """

    metrics: Callable[[], str] = lambda: ""
    problems: Callable[[], Sequence[str]] = tuple
    feed: Feed = field(default_factory=Feed)
    audit: Callable[[Act], None] = lambda act: log.info("%s: %s %s: %s", act.actor, act.operation, act.summary,
                                                         act.outcome)
    link: Callable[[Resource], str] = lambda _: ""
    raw: Callable[[Front], tuple[Mapping[str, Callable[..., Awaitable[None]]], Mapping[str, Callable[..., None]]]] = \
        lambda _: ({}, {})
    routes: Callable[[Any], Sequence[Any]] = lambda _: ()


@functools.lru_cache(maxsize=1024)
def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    name = host.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


@functools.lru_cache(maxsize=1024)
def host_name(authority: str) -> str:
    """The name of a Host header without its port, lower case."""
    if authority.startswith("["):
        return authority.partition("]")[0].lstrip("[").lower()
    return authority.rpartition(":")[0].lower() if authority.count(":") == 1 else authority.lower()


def came_straight(scope: Mapping[str, Any]) -> bool:
    """Whether the request came from this machine itself, under loopback's own name and through no proxy."""
    client: tuple[str, int] | None = scope.get("client")
    host = b""
    for name, value in scope["headers"]:
        if name in _FORWARDED:
            return False
        if name == b"host":
            host = value
    return client is not None and is_loopback(client[0]) and is_loopback(host_name(host.decode("latin-1")))


_FORWARDED = frozenset((b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via"))


def check_binding(settings: ServerSettings, tokens: TokenStore | None) -> None:
    """Raises InvalidInput when the settings would show the server to strangers by accident."""
    if (settings.certificate is None) != (settings.private_key is None):
        raise InvalidInput("TLS needs both a certificate and its private key", "give both, or neither")
    if is_loopback(settings.host):
        return
    if not settings.beyond_loopback:
        raise InvalidInput(f"{settings.host} can be reached from other machines",
                           "listen on 127.0.0.1, or say --beyond-loopback if you mean it")
    if tokens is None or not tokens.ever_used():
        raise InvalidInput(f"{settings.host} can be reached from other machines, and there is no token yet",
                           "make a token first; from then on everybody needs one")
    if settings.host in ("0.0.0.0", "::") and not settings.allowed_hosts:  # noqa: S104  (compared, not bound)
        raise InvalidInput(f"{settings.host} has no name that people could call it by",
                           "name the hosts people reach it by")
    if not settings.tls:
        log.warning("%s is reachable without TLS: tokens and cookies can be read on the way", settings.host)


class Front:
    """Who calls, whether they may, and the work itself: in a thread, within its time, recorded when it acts."""

    def __init__(self, operations: Sequence[Operation[Any, Any]], world: Callable[[str], World],
                 settings: ServerSettings, hooks: Hooks) -> None:
        self.operations, self.world, self.settings, self.hooks = tuple(operations), world, settings, hooks
        self.clock = world("server").clock
        tokens = TokenStore(settings.token_file) if settings.token_file else None
        check_binding(settings, tokens)
        self.gate = Gate(tokens, self.clock)
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="mainstay-call")

    def close(self) -> None:
        """No further work is begun; open event streams end."""
        self.hooks.feed.close()
        self._workers.shutdown(wait=False, cancel_futures=True)

    def who(self, scope: Mapping[str, Any]) -> Caller:
        """The caller. Raises NotKnown."""
        authorization = _header(scope, b"authorization")
        if authorization:
            scheme, _, token = authorization.partition(" ")
            if scheme.lower() != "bearer":
                raise NotKnown("only tokens are accepted here", "send the header Authorization: Bearer TOKEN")
            return self.gate.by_token(token.strip())
        return self.gate.by_cookie(cookie_of(scope), local=came_straight(scope))

    def who_sends(self, scope: Mapping[str, Any]) -> Caller:
        """The caller of a route that other tools speak to: by token, also as the password of Basic, never by cookie.

        With no token ever made this machine itself needs none; another site's page cannot come this far.

        Raises:
            NotKnown
        """
        authorization = _header(scope, b"authorization")
        if not authorization:
            return self.gate.by_cookie("", local=came_straight(scope))
        scheme, _, shown = authorization.partition(" ")
        match scheme.lower():
            case "bearer":
                return self.gate.by_token(shown.strip())
            case "basic":
                return self.gate.by_token(_password(shown))
            case _:
                raise NotKnown("only tokens are accepted here", "send the header Authorization: Bearer TOKEN")

    def who_acts(self, scope: Mapping[str, Any], form_token: str = "") -> Caller:
        """The caller of a request that changes something; a browser's must carry its form token.

        Raises:
            NotKnown, NotAllowed
        """
        caller = self.who(scope)
        if not _header(scope, b"authorization"):
            self.gate.check_form(cookie_of(scope), form_token or _header(scope, b"x-csrf-token"))
        return caller

    def world_of(self, caller: Caller) -> World:
        """The world as the caller sees it, with what they may do."""
        return replace(self.world(caller.name), scopes=frozenset(caller.scopes))

    async def perform(self, operation: Operation[Any, Any], request: Any, caller: Caller,
                      finish: Callable[[Any], T]) -> T:
        """What `finish` makes of the operation's result, in the same thread; what acts is recorded.

        Raises:
            NotAllowed: the caller lacks the operation's scope.
            MainstayError: whatever the operation raises.
        """
        def work() -> tuple[int, T]:
            result = operation.run(self.world_of(caller), request)
            return operation.exit_code(result), finish(result)

        if operation.scope == "read":
            caller.demand("read")
            return (await self.in_thread(work))[1]
        name, summary = name_of(operation), summarise(request)
        try:
            caller.demand(operation.scope)
        except MainstayError as error:
            await self.record(Act(caller.name, name, summary, f"refused: {error.code}"))
            raise
        # Recorded before the work: an act that cannot be recorded must not happen.
        await self.record(Act(caller.name, name, summary, "begun"))
        try:
            exit_code, finished = await self.in_thread(work)
        except Exception as error:
            code = error.code if isinstance(error, MainstayError) else "internal"
            await self.record(Act(caller.name, name, summary, f"failed: {code}"))
            raise
        await self.record(Act(caller.name, name, summary, f"done (exit {exit_code})"))
        self.hooks.feed.publish(operation.word or operation.verb)
        return finished

    async def record(self, act: Act) -> None:
        """Hand an act to the audit hook."""
        await self.in_thread(lambda: self.hooks.audit(act))

    async def in_thread(self, work: Callable[[], T]) -> T:
        """What the work returns, off the event loop.

        Raises:
            TookTooLong: it was not ready in time. Work that had begun goes on and keeps its thread, so that slow
                answers cannot pile up without bound.
        """
        loop = asyncio.get_running_loop()
        try:
            return await asyncio.wait_for(loop.run_in_executor(self._workers, work), self.settings.time_out)
        except TimeoutError:
            raise TookTooLong(f"no answer within {self.settings.time_out:g} s",
                              "ask for less, or run the command; work that had begun may still finish") from None


def summarise(request: Any) -> str:
    """A request in one line for the audit: what sounds like a secret is masked."""
    fields = {name: "***" if any(word in name.lower() for word in _SECRET_NAMES) and value else value
              for name, value in msgspec.to_builtins(request).items()}
    text = msgspec.json.encode(fields).decode()
    return text if len(text) <= 500 else text[:499] + "…"


def _password(shown: str) -> str:
    try:
        return base64.b64decode(shown.strip(), validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        raise NotKnown("the header Authorization cannot be read", "send the token as the password of Basic") from None


def cookie_of(scope: Mapping[str, Any]) -> str:
    """The session cookie's value, empty when there is none."""
    try:
        morsel = SimpleCookie(_header(scope, b"cookie")).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def _header(scope: Mapping[str, Any], wanted: bytes) -> str:
    for name, value in scope["headers"]:
        if name == wanted:
            found: str = value.decode("latin-1")
            return found
    return ""
