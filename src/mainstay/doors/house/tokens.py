"""`mainstay token`: who may use the server, and for what."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from mainstay.doors.security import TokenStore
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import parse_duration
from mainstay.kernel.view import Block, Code, Text, View, table


@dataclass(frozen=True)
class TokenRequest:
    """What to do with which token."""

    act: str = arg("what to do", "list", positional=True, choices=("list", "create", "revoke"))
    name: str = arg("who uses it", "", positional=True)
    scope: tuple[str, ...] = arg("what it opens: read, write, approve", ("read",), value="SCOPE")
    expires: str = arg("how long it holds, such as 90d; without it, until it is revoked", "", value="DURATION")
    file: str = arg("where tokens are kept", "", env="MAINSTAY_TOKENS", value="FILE")


@dataclass(frozen=True, slots=True)
class TokenEntry:
    """A token without its secret."""

    name: str
    scopes: tuple[str, ...]
    created: datetime
    expires: datetime | None
    holds: bool


@dataclass(frozen=True, slots=True)
class Tokens:
    """Every token; `secret` is shown once, when it is made."""

    tokens: tuple[TokenEntry, ...]
    secret: str
    done: str


def token_file(given: str = "") -> Path:
    """Where tokens are kept: as said, or in the user's state folder."""
    if given:
        return Path(given)
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state, "mainstay", "tokens.json")


def token(world: World, request: TokenRequest) -> Tokens:
    """Create, list or revoke a token of the server."""
    store, now = TokenStore(token_file(request.file)), world.clock.now()
    secret, done = "", ""
    if request.act != "list" and not request.name:
        raise InvalidInput(f"say whose token to {request.act}", f"mainstay token {request.act} NAME")
    match request.act:
        case "create":
            expires = now + parse_duration(request.expires) if request.expires else None
            secret = store.create(request.name, request.scope, now=now, expires=expires)
            done = f"Made for {request.name}. It is shown this once; only its hash is kept."
        case "revoke":
            store.revoke(request.name, now=now)
            done = f"Revoked: {request.name} opens nothing any more."
        case _:
            pass
    return Tokens(tuple(TokenEntry(one.name, one.scopes, one.created, one.expires, one.holds(now))
                        for one in store.records()), secret, done)


def tokens_view(found: Tokens) -> View:
    """The new secret, or the list."""
    blocks: list[Block] = []
    if found.done:
        blocks.append(Text(found.done, "good"))
    if found.secret:
        blocks.append(Code(found.secret))
    if not found.done:
        blocks.append(table("", ("name", "opens", "made", "holds until"), [
            (one.name, ", ".join(one.scopes), f"{one.created:%Y-%m-%d}",
             "revoked or expired" if not one.holds else f"{one.expires:%Y-%m-%d}" if one.expires else "revoked")
            for one in found.tokens], empty="no token: on this machine reading is open to everyone; "
                                            "mainstay token create NAME makes the first"))
    return View("Tokens", tuple(blocks))


TOKEN = Operation(
    "", "token", TokenRequest, token, tokens_view, scope="approve", catalog="unused", doors=("cli",),
    exit_codes=((0, "done"), (2, "the input cannot be used")),
    examples=("mainstay token create grafana", "mainstay token create deploy-bot --scope read --scope write "
              "--expires 90d", "mainstay token list", "mainstay token revoke grafana"))

OPERATIONS = (TOKEN,)
