"""The calendar that programs subscribe to: `/api/v1/oncall/ical/NAME`, of a pager or, with `?person=`, of a person.

Calendar programs cannot send a header, so that a token may stand in the address, as `?token=…`, or as the password of
HTTP Basic, which some of them ask for. Such a token should carry the scope `read` alone. Without any token ever made,
this machine may read.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from litestar import Request, Response, route
from litestar.handlers import HTTPRouteHandler

from mainstay.doors.front import Front
from mainstay.doors.names import PREFIX, READING
from mainstay.doors.security import Caller
from mainstay.kernel.errors import NotFound
from mainstay.kernel.quantity import Span

AnyRequest = Request[Any, Any, Any]
EVERYTHING = "all"
"""The name that stands for every pager."""


def calendar_route(front: Front) -> HTTPRouteHandler:
    """The route of the feed."""
    @route(f"{PREFIX}/oncall/ical/{{name:str}}", http_method=READING, name=f"{PREFIX}/oncall/ical")
    async def feed(request: AnyRequest) -> Response[str]:
        caller = _caller(front, request)
        caller.demand("read")
        name = request.path_params["name"].removesuffix(".ics")
        text = await front.in_thread(lambda: _written(front, caller, name, request.query_params.get("person", "")))
        return Response(text, media_type="text/calendar; charset=utf-8", headers={
            "Content-Disposition": 'inline; filename="oncall.ics"'})

    return feed


def _caller(front: Front, request: AnyRequest) -> Caller:
    """Whoever the token in the address, or the password, belongs to; else as everywhere."""
    token = request.query_params.get("token", "")
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if not token and scheme.lower() == "basic":
        token = _password(given)
    if token:
        return front.gate.by_token(token)
    scope: Mapping[str, Any] = request.scope
    return front.who(scope)


def _password(given: str) -> str:
    try:
        return base64.b64decode(given, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return "unreadable"  # opens nothing, and says so as any wrong token does


def _written(front: Front, caller: Caller, name: str, person: str) -> str:
    from mainstay.oncall.calendar import as_ical  # noqa: PLC0415  (a lazy start: the first subscriber loads the word)
    from mainstay.oncall.operations.exporting import AHEAD, BEHIND, feed_of  # noqa: PLC0415  (a lazy start)

    world = front.world(caller.name)
    now = world.clock.now()
    wanted = () if name == EVERYTHING else (name,)
    if not name:
        raise NotFound("no pager was named", f"{PREFIX}/oncall/ical/NAME, or {EVERYTHING} with ?person=NAME")
    return as_ical(feed_of(world, wanted, Span(now - BEHIND, now + AHEAD), person=person))
