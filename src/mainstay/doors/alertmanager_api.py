"""Alertmanager's API v2, so that a Prometheus can send to Mainstay and `amtool` can read alerts and set silences.

Beside what Alertmanager has, `GET /api/v2/alerts` takes `limit` and `after` (an alert's id, from the header
`x-mainstay-next`): the newest alerts first, a page at a time. Without `limit` it gives all, as Alertmanager does.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import mainstay
from mainstay.doors.front import Front
from mainstay.doors.guard import Answer, AsgiApp, ShortWay
from mainstay.doors.intake import (
    Asked,
    IntakeDoor,
    Reading,
    one_of,
    read_posted,
    refuse_alertmanager,
    route,
    whole,
)
from mainstay.incident.alertmanager import alert_document, group_documents, read_silence, receiver, silence_document
from mainstay.incident.engine import EndSilence, Happening
from mainstay.incident.intake import Taken
from mainstay.incident.ongoing import Alert
from mainstay.incident.operations.alerts import ended_silences
from mainstay.incident.operations.desk import Desk
from mainstay.incident.state import State
from mainstay.kernel.errors import NotFound
from mainstay.kernel.matcher import Matcher, fitting, parse_matcher

MOST = 1_000_000
KEPT = timedelta(hours=120)
"""How long silences that are over are still listed, as Alertmanager keeps them."""


class AlertmanagerApi:
    """The handlers."""

    def __init__(self, front: Front, door: IntakeDoor, desk: Callable[[], Desk]) -> None:
        self._front, self._door, self._desk = front, door, desk
        self._begun = front.clock.now()

    def routes(self) -> dict[str, AsgiApp]:
        """Path → app; one that ends in a slash takes one more part."""
        def at(handle: Any, *methods: str) -> AsgiApp:
            return route(handle, refuse_alertmanager, methods)

        return {
            "/api/v2/alerts": at(self.alerts, "GET", "POST"), "/api/v2/alerts/groups": at(self.groups, "GET"),
            "/api/v2/silences": at(self.silences, "GET", "POST"),
            "/api/v2/silence/": at(self.silence, "GET", "DELETE"),
            "/api/v2/status": at(self.status, "GET"), "/api/v2/receivers": at(self.receivers, "GET")}

    def short_ways(self) -> dict[str, ShortWay]:
        """The same for a POST that arrived whole."""
        return {"/api/v2/alerts": self._door.short(self._posted, refuse_alertmanager)}

    def _posted(self, asked: Asked) -> Reading:
        return read_posted(self._door, asked, self._front.clock.now())

    def _reads(self, asked: Asked) -> None:
        self._front.who_sends(asked.scope).demand("read")

    # -- alerts ----------------------------------------------------------------------------------------------------

    async def alerts(self, asked: Asked) -> Answer:
        """`GET` and `POST /api/v2/alerts`."""
        if asked.method == "POST":
            return await self._door.by(self._posted)(asked)
        self._reads(asked)
        query, now = asked.query(), self._front.clock.now()

        def listed() -> Answer:
            state = self._desk().caught_up()
            found, following = _page(_wanted(state, query, now), query)
            return Answer(200, [alert_document(one, state, now) for one in found],
                          ((b"x-mainstay-next", following.encode()),) if following else ())

        return await self._front.in_thread(listed)

    async def groups(self, asked: Asked) -> Answer:
        """`GET /api/v2/alerts/groups`."""
        self._reads(asked)
        query, now = asked.query(), self._front.clock.now()

        def grouped() -> Answer:
            state = self._desk().caught_up()
            return Answer(200, group_documents(_page(_wanted(state, query, now), query)[0], state, now))

        return await self._front.in_thread(grouped)

    # -- silences --------------------------------------------------------------------------------------------------

    async def silences(self, asked: Asked) -> Answer:
        """`GET` and `POST /api/v2/silences`."""
        now = self._front.clock.now()
        if asked.method == "POST":
            return await self._make(asked, now)
        self._reads(asked)
        matchers = _matchers(asked.query())

        def listed() -> Answer:
            world = self._front.world("intake")
            state = self._desk().caught_up()
            active = [silence_document(one, now) for one in state.silences.values()]
            over = [silence_document(one, now, ended) for one, ended in ended_silences(world, now - KEPT)]
            return Answer(200, [one for one in (*active, *over) if _concerns(one, matchers)])

        return await self._front.in_thread(listed)

    async def _make(self, asked: Asked, now: datetime) -> Answer:
        caller = self._door.sends(asked)
        instead_of, made = read_silence(asked.body, caller.name, now)
        happenings: list[Happening] = []
        if instead_of:
            await self._known(instead_of)
            happenings.append(EndSilence(instead_of, made.by))
        outcomes = await self._door.take([*happenings, made])
        last = outcomes[-1]
        assert isinstance(last, Taken), "refusals were raised"
        return Answer(200, {"silenceID": last.alert})

    async def _known(self, silence: str) -> None:
        """Raises NotFound, before a mistake of one is committed together with what others send."""
        # Another server, or a command, may have made it a moment ago.
        if (await self._front.in_thread(self._desk().caught_up)).silences.get(silence) is None:
            raise NotFound(f'no silence is named "{silence}", or it is over', "GET /api/v2/silences lists them")

    async def silence(self, asked: Asked) -> Answer:
        """`GET` and `DELETE /api/v2/silence/{id}`."""
        now = self._front.clock.now()
        if asked.method == "DELETE":
            caller = self._door.sends(asked)
            await self._known(asked.name)
            await self._door.take([EndSilence(asked.name, caller.name)])
            return Answer(200)
        self._reads(asked)

        def found() -> Answer:
            one = self._desk().caught_up().silences.get(asked.name)
            if one is not None:
                return Answer(200, silence_document(one, now))
            over = next((pair for pair in ended_silences(self._front.world("intake"), None, asked.name)), None)
            if over is None:
                raise NotFound(f'no silence is named "{asked.name}"', "GET /api/v2/silences lists them")
            return Answer(200, silence_document(over[0], now, over[1]))

        return await self._front.in_thread(found)

    # -- the rest --------------------------------------------------------------------------------------------------

    async def status(self, asked: Asked) -> Answer:
        """`GET /api/v2/status`."""
        self._reads(asked)
        routing = self._desk().plan.routing
        return Answer(200, {
            "cluster": {"status": "disabled", "peers": []},
            "config": {"original": f"# Mainstay routes by its catalog: {routing.name} ({routing.origin.file})\n"},
            "uptime": self._begun.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "versionInfo": {"version": mainstay.__version__, "branch": "mainstay", "revision": "", "buildDate": "",
                            "buildUser": "", "goVersion": ""}})

    async def receivers(self, asked: Asked) -> Answer:
        """`GET /api/v2/receivers`: the escalation policies."""
        self._reads(asked)
        return Answer(200, [{"name": name} for name in ("default", *sorted(self._desk().plan.policies))])


def _matchers(query: Sequence[tuple[str, str]]) -> list[Matcher]:
    return [parse_matcher(value) for name, value in query if name == "filter"]


def _wanted(state: State, query: Sequence[tuple[str, str]], now: datetime) -> Iterator[Alert]:
    """The alerts that the query asks for, the newest first; more than its page has, where there are more."""
    name, matchers = one_of(query, "receiver", ""), _matchers(query)
    shown = {which: one_of(query, which, "true") != "false" for which in ("active", "silenced", "inhibited")}
    everything = all(shown.values())
    most = None if name or matchers or not everything else whole(query, "limit", MOST, MOST) + 1
    for one in fitting(_below(state, _number(one_of(query, "after", "")), most), matchers):
        if (not name or receiver(one, state) == name) and (everything or shown[_state_of(one, state, now)]):
            yield one


def _below(state: State, number: int | None, most: int | None) -> Iterator[Alert]:
    """The alerts with a lower number than that, the newest first, no more than so many; without one, of them all."""
    if number is None:
        return state.alerts.newest(most)
    rows = list(state.alerts.newest())
    # Numbers are given in the order in which alerts come.
    first = bisect_right(rows, -number, key=lambda one: -(_number(one.id) or 0))
    return islice(rows, first, None if most is None else first + most)


def _number(name: str) -> int | None:
    digits = name.partition("-")[2]
    return int(digits) if digits.isdigit() else None


def _state_of(one: Alert, state: State, now: datetime) -> str:
    if state.silenced(one.labels, now):
        return "silenced"
    return "inhibited" if state.inhibited(one.labels) else "active"


def _page(found: Iterator[Alert], query: Sequence[tuple[str, str]]) -> tuple[list[Alert], str]:
    """The page that is asked for, and the id to ask for the next one after, or the empty text."""
    limit = whole(query, "limit", MOST, MOST)
    out = list(islice(found, limit))
    return out, out[-1].id if out and next(found, None) is not None else ""


def _concerns(document: Mapping[str, Any], matchers: Sequence[Matcher]) -> bool:
    """Whether a silence's own matchers are those that were asked for, as Alertmanager filters silences."""
    names = {one["name"]: one["value"] for one in document["matchers"]}
    return all(matcher.holds(names) for matcher in matchers)
