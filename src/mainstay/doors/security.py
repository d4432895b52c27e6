"""Who calls the server, and what they may do: tokens, sessions, form tokens, and the pace of each client.

Two ways in. With no token ever made, the server answers on loopback only: reading is open, and acting needs the form
token of a page this server drew. From the first token on, everything needs a token: as `Authorization: Bearer …`, or
typed once into the login page, which gives a session cookie.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import os
import secrets
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import field
from datetime import datetime, timedelta
from pathlib import Path
from typing import get_args

import msgspec

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import Conflict, InvalidInput, NotAllowed, NotFound, StoreUnavailable
from mainstay.kernel.finding import did_you_mean
from mainstay.kernel.operation import Scope
from mainstay.kernel.ports import Clock

SCOPES: tuple[Scope, ...] = get_args(Scope)
_ALL = frozenset(SCOPES)
SESSION_LENGTH = timedelta(hours=12)
"""A working day; whoever is on call the next night logs in again."""

COOKIE = "mainstay_session"
LOOK_AGAIN = 0.05
"""Seconds for which the token file is taken to be as it was: a token that another process revoked may hold so long."""

MAX_SESSIONS = 10_000
MAX_CLIENTS = 10_000


class NotKnown(NotAllowed):
    """Nobody is logged in, or the token is wrong, revoked or expired."""

    code = "not-known"
    http_status = 401


class TooMany(NotAllowed):
    """This client asks faster than the server lets anyone ask."""

    code = "too-many-requests"
    http_status = 429


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `csrf` is the form token their pages carry; empty when the caller is a program with a token."""

    name: str
    scopes: frozenset[Scope]
    csrf: str = ""

    def demand(self, scope: Scope) -> None:
        """Raises NotAllowed when the caller lacks the scope."""
        if scope not in self.scopes:
            raise NotAllowed(f"{self.name} may not do this: it needs the scope {scope}",
                             f"use a token made with the scope {scope}")


_LOCAL = Caller("local", _ALL)


# -- tokens --------------------------------------------------------------------------------------------------------


class TokenRecord(msgspec.Struct, frozen=True):
    """A token as it is kept: never the token itself. `id` is public, it is the token's middle part."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    sha256: str
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None

    def holds(self, now: datetime) -> bool:
        """Whether it still opens anything."""
        return self.revoked is None and (self.expires is None or now < self.expires)


def _sha256(secret: str) -> str:
    # A token is 32 random bytes, so nobody can guess through its hash; a slow password hash would buy nothing here
    # and cost every request. (OWASP's advice for slow hashes is about secrets that people choose.)
    return hashlib.sha256(secret.encode()).hexdigest()


class TokenStore:
    """Tokens in one file that only its owner may read (0600); changes by other processes are seen at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._records: dict[str, TokenRecord] = {}
        self._look_again = 0.0

    def create(self, name: str, scopes: Sequence[str], *, now: datetime, expires: datetime | None = None) -> str:
        """A new token; the only time it can be read.

        Raises:
            InvalidInput: an unknown scope, none at all, or a name that does not fit in a log line.
            Conflict: a token of that name still holds.
        """
        if not name or len(name) > 100 or not name.isprintable():
            raise InvalidInput("a token needs a name of 1 to 100 printable characters", "name it after who will use it")
        unknown = [scope for scope in scopes if scope not in SCOPES]
        if unknown or not scopes:
            raise InvalidInput(f'scope "{unknown[0]}" is unknown{did_you_mean(unknown[0], SCOPES)}' if unknown
                               else "a token without a scope opens nothing", "scopes are read, write and approve")
        with self._changing() as records:
            if any(record.name == name and record.holds(now) for record in records.values()):
                raise Conflict(f'a token named "{name}" is still in use', "revoke it first, or take another name")
            identity, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
            kept = tuple(scope for scope in SCOPES if scope in scopes)
            records[identity] = TokenRecord(identity, name, kept, _sha256(secret), now, expires)
        return f"mst_{identity}_{secret}"

    def revoke(self, name: str, *, now: datetime) -> None:
        """No token of that name opens anything any more. Raises NotFound when none did."""
        with self._changing() as records:
            held = [record for record in records.values() if record.name == name and record.holds(now)]
            if not held:
                known = [record.name for record in records.values() if record.holds(now)]
                raise NotFound(f'no token in use is named "{name}"{did_you_mean(name, known)}',
                               "mainstay token list names them")
            for record in held:
                records[record.id] = msgspec.structs.replace(record, revoked=now)

    def check(self, token: str, *, now: datetime) -> TokenRecord | None:
        """The record of a token that holds, or None. Takes the same time however much of the secret is right."""
        prefix, _, rest = token.partition("_")
        identity, _, secret = rest.partition("_")
        record = self._known().get(identity) or self._load().get(identity)  # one that was made just now opens at once
        right = hmac.compare_digest(_sha256(secret), record.sha256 if record else _sha256(""))
        return record if prefix == "mst" and record and right and record.holds(now) else None

    def still_holds(self, identity: str, *, now: datetime) -> bool:
        """Whether the token of that id was neither revoked nor has expired since it was checked."""
        record = self._known().get(identity)
        return record is not None and record.holds(now)

    def ever_used(self) -> bool:
        """Whether a token was ever made; revoking the last one must not open the server again."""
        return bool(self._known())

    def records(self) -> tuple[TokenRecord, ...]:
        """Every token ever made, oldest first."""
        return tuple(sorted(self._known().values(), key=lambda record: record.created))

    def _known(self) -> dict[str, TokenRecord]:
        """What the file says, looked at no more than twenty times a second.

        A look at each request of a storm would cost it a system call, and in Python with that the turn of its thread.
        """
        now = time.monotonic()
        if now >= self._look_again:
            self._load()
            self._look_again = now + LOOK_AGAIN
        return self._records

    def _load(self) -> dict[str, TokenRecord]:
        try:
            stat = self._path.stat()
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if seen != self._seen:
                if stat.st_mode & 0o077:
                    raise StoreUnavailable(f"others may read the token file {self._path}", f"chmod 600 {self._path}")
                found = msgspec.json.decode(self._path.read_bytes(), type=list[TokenRecord])
                self._records, self._seen = {record.id: record for record in found}, seen
        except FileNotFoundError:
            self._records, self._seen = {}, None
        except (OSError, msgspec.DecodeError) as error:
            raise StoreUnavailable(f"the token file {self._path} cannot be read: {error}",
                                   "restore it, or remove it and make new tokens") from error
        return self._records

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[str, TokenRecord]]:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(self._path.with_suffix(".lock"), "a", opener=lambda p, f: os.open(p, f, 0o600)) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            records = dict(self._load())
            yield records
            fresh = self._path.with_suffix(".new")
            fresh.unlink(missing_ok=True)
            with open(fresh, "xb", opener=lambda p, f: os.open(p, f, 0o600)) as file:
                file.write(msgspec.json.format(msgspec.json.encode(list(records.values())), indent=1))
                file.flush()
                os.fsync(file.fileno())
            fresh.rename(self._path)
        self._look_again = 0.0


# -- sessions and form tokens --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Session:
    token_id: str
    name: str
    scopes: frozenset[Scope]
    expires: datetime


@dataclass(slots=True)
class Gate:
    """Says who calls. Sessions live in memory as hashes: a restart asks people to log in again, and a logout is final.

    Args:
        tokens: None when the server has no token file; it is then as if no token was ever made.
        key: signs form tokens; new at every start.
    """

    tokens: TokenStore | None
    clock: Clock
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    _sessions: OrderedDict[str, _Session] = field(default_factory=OrderedDict)

    def open_to_local(self) -> bool:
        """Whether no token was ever made, so that loopback may read without one."""
        return self.tokens is None or not self.tokens.ever_used()

    def by_token(self, token: str) -> Caller:
        """The caller that holds the token. Raises NotKnown."""
        record = self.tokens.check(token, now=self.clock.now()) if self.tokens else None
        if record is None:
            raise NotKnown("this token opens nothing: it is wrong, revoked or expired", "ask for a new token")
        return Caller(record.name, frozenset(record.scopes))

    def by_cookie(self, cookie: str, *, local: bool) -> Caller:
        """The caller behind a browser's cookie.

        Args:
            local: the request came straight from this machine; then, with no token ever made, anyone may read, and a
                page that carries the form token of this cookie may act.
        Raises:
            NotKnown: nobody is logged in, the session is over, or its token was revoked.
        """
        if self.open_to_local():
            if not local:
                raise NotKnown("without a token this server answers only this machine", "make a token, then log in")
            return Caller("local", _ALL, self.form_token(cookie)) if cookie else _LOCAL
        session = self._sessions.get(_sha256(cookie)) if cookie else None
        now = self.clock.now()
        if session is None or now >= session.expires or self.tokens is None \
                or not self.tokens.still_holds(session.token_id, now=now):
            raise NotKnown("nobody is logged in here, or the session is over", "log in, or send a token")
        return Caller(session.name, session.scopes, self.form_token(cookie))

    def log_in(self, token: str) -> tuple[str, Caller]:
        """A fresh cookie for whoever holds the token, never one the browser brought. Raises NotKnown."""
        caller = self.by_token(token)
        cookie = self.new_cookie()
        identity = token.split("_", 2)[1]
        while len(self._sessions) >= MAX_SESSIONS:
            self._sessions.popitem(last=False)
        self._sessions[_sha256(cookie)] = _Session(identity, caller.name, caller.scopes,
                                                   self.clock.now() + SESSION_LENGTH)
        return cookie, caller

    def log_out(self, cookie: str) -> None:
        """The cookie opens nothing any more."""
        self._sessions.pop(_sha256(cookie), None)

    @staticmethod
    def new_cookie() -> str:
        """A name for a browser that nobody can guess."""
        return secrets.token_urlsafe(32)

    def form_token(self, cookie: str) -> str:
        """What a form of this browser must send back: tied to its cookie, so another site cannot know it."""
        return hmac.new(self.key, b"form:" + cookie.encode(), hashlib.sha256).hexdigest()

    def check_form(self, cookie: str, sent: str) -> None:
        """Raises NotAllowed when a request that acts does not carry the form token of its cookie."""
        if not cookie or not hmac.compare_digest(self.form_token(cookie).encode(), sent.encode()):
            raise NotAllowed("the request does not carry this page's form token",
                             "load the page again and send the form from there; a program needs a token")


# -- pace ----------------------------------------------------------------------------------------------------------


class Pace:
    """A token bucket per client: `burst` at once, then `per_second`. The clients seen longest ago are forgotten."""

    def __init__(self, per_second: float, burst: float, clock: Clock) -> None:
        self._rate, self._burst, self._clock = per_second, burst, clock
        self._clients: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str) -> float:
        """Take one; seconds until the client may ask again, 0.0 when it may now."""
        now = self._clock.monotonic()
        left, last = self._clients.pop(client, (self._burst, now))
        left = min(self._burst, left + (now - last) * self._rate)
        allowed = left >= 1
        self._clients[client] = (left - 1 if allowed else left, now)
        if len(self._clients) > MAX_CLIENTS:
            self._clients.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self._rate
