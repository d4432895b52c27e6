"""A memory of recent answers. It forgets everything when it is restarted, and the oldest when it is full."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import ClassVar

from shop.dependency import Need
from shop.routing import Call, Refusal, Route
from shop.service import Backstage
from shop.wire import Response

_MOST_ENTRIES = 10_000


class Cache:
    """Keeps bodies by key and says how old they are; whether that is too old is for the caller to judge."""

    NEEDS: ClassVar[Mapping[str, Need]] = {}

    def __init__(self, _backstage: Backstage) -> None:
        self._entries: dict[str, tuple[float, bytes]] = {}

    def routes(self) -> Sequence[Route]:
        """What the api may ask."""
        return (
            Route("GET", "/entries/{key}", self._recall),
            Route("PUT", "/entries/{key}", self._remember),
        )

    async def _recall(self, call: Call) -> Response:
        entry = self._entries.get(call.parameters["key"])
        if entry is None:
            raise Refusal(404, "not_here", "no such entry")
        stored, body = entry
        return Response(200, {"content-type": "application/json", "age": f"{time.monotonic() - stored:.3f}"}, body)

    async def _remember(self, call: Call) -> Response:
        key = call.parameters["key"]
        self._entries.pop(key, None)  # a key written again is the youngest, and a dict keeps its place otherwise
        self._entries[key] = (time.monotonic(), call.request.body)
        if len(self._entries) > _MOST_ENTRIES:
            del self._entries[next(iter(self._entries))]
        return Response.of(200, {"kept": True})
