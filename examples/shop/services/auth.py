"""Who is who. Sessions are signed and not stored, so they outlive a restart of this service."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Mapping, Sequence
from typing import ClassVar

from shop.dependency import Need
from shop.routing import Call, Refusal, Route
from shop.service import Backstage
from shop.wire import Response

_USER = re.compile(r"[a-z0-9-]{1,40}")
_PASSWORD = "let-me-in"  # of every customer: the shop is an example, and its doors are on loopback
_SESSION_SECONDS = 3600
_ROUNDS = 5_000  # some real work per login, about 2 ms, so that a busy processor is felt here


class Auth:
    """Gives out sessions and says whose they are."""

    NEEDS: ClassVar[Mapping[str, Need]] = {}

    def __init__(self, backstage: Backstage) -> None:
        self._key = hashlib.sha256(f"sessions {backstage.folder.secret()}".encode()).digest()
        self._password = self._digest(_PASSWORD)

    def routes(self) -> Sequence[Route]:
        """What the api may ask."""
        return (
            Route("POST", "/sessions", self._log_in),
            Route("GET", "/sessions/current", self._whose),
        )

    async def _log_in(self, call: Call) -> Response:
        user = call.text("user")
        if not _USER.fullmatch(user) or not hmac.compare_digest(self._digest(call.text("password")), self._password):
            raise Refusal(401, "wrong_password", "no such user with this password")
        claim = f"{user}.{int(time.time()) + _SESSION_SECONDS}"
        return Response.of(200, {"token": f"{claim}.{self._signature(claim)}"})

    async def _whose(self, call: Call) -> Response:
        token = call.request.headers.get("authorization", "").removeprefix("Bearer ")
        claim, _, signature = token.rpartition(".")
        # Compared as bytes: the function refuses text that is not ASCII, and a token is whatever was sent.
        if not hmac.compare_digest(signature.encode(), self._signature(claim).encode()):
            raise Refusal(401, "no_session", "the session was not given out here")
        user, _, expires = claim.partition(".")
        if time.time() >= int(expires):
            raise Refusal(401, "session_over", "the session is over; log in again")
        return Response.of(200, {"user": user})

    def _signature(self, claim: str) -> str:
        return hmac.new(self._key, claim.encode(), "sha256").hexdigest()

    def _digest(self, password: str) -> bytes:
        return hashlib.pbkdf2_hmac("sha256", password.encode(), self._key, _ROUNDS)
