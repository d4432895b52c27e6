"""`mainstay incident page`: a test page, to see whether somebody can be reached before it matters."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from mainstay.incident.engine import TryPage
from mainstay.incident.lifecycle import Status
from mainstay.incident.operations.desk import Desk, desk_of
from mainstay.incident.operations.outbox import Outbox
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import format_duration, parse_duration
from mainstay.kernel.view import Cell, Next, Text, View, table
from mainstay.kernel.wording import many

_LOOK_EVERY = 0.5
"""Seconds between two looks at whether the page was acknowledged."""

_TELLS_WITHIN = timedelta(seconds=5)


@dataclass(frozen=True)
class PageRequest:
    """Whom to page."""

    person: str = arg("who is paged", positional=True)
    wait: str = arg("wait this long for the acknowledgement, such as 60s", "", local_only=True)


@dataclass(frozen=True, slots=True)
class Way:
    """One way the page went. `arrived` is null while it is tried again; `says` is what the channel said."""

    channel: str
    arrived: bool | None
    says: str


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of a test page; the field names are its stable JSON.

    Args:
        known: whether anything says how to reach the person.
        seconds: from the page to its acknowledgement; null where nobody waited or nobody answered.
    """

    incident: str
    person: str
    known: bool
    ways: tuple[Way, ...]
    acknowledged_by: str
    seconds: float | None
    waited: bool


def page(world: World, request: PageRequest) -> Tried:
    """Send somebody a test page by every way they gave, and see whether it arrives."""
    if not request.person.strip():
        raise InvalidInput("nobody is named", "mainstay incident page ana")
    patience = parse_duration(request.wait) if request.wait else timedelta(0)
    desk = desk_of(world)
    incident = desk.do(TryPage(request.person, world.actor)).incident
    channels = world.channels()
    outbox = Outbox(world.journal, world.clock, desk, world.responders, channels)
    facts = world.journal.facts(FactQuery(kinds=("incident.tested",), subject=incident))
    asked = tuple(dict.fromkeys(str(fact.data["channel"]) for fact in facts))
    for channel in asked:
        if channel in channels:
            outbox.send(channel, f"page-{os.getpid()}")
    _until_told(world, incident, asked)
    acknowledged = _wait(world, desk, incident, patience)
    one = desk.state.incidents[incident]
    return Tried(incident, request.person, bool(world.responders.reach(request.person)),
                     _ways(world, incident, asked), acknowledged[0] if acknowledged else "",
                     (acknowledged[1] - one.opened).total_seconds() if acknowledged else None, bool(patience))


def _until_told(world: World, incident: str, asked: tuple[str, ...]) -> None:
    """A server on the same store may have taken the page first; it is given a moment to say how it went."""
    until = world.clock.now() + _TELLS_WITHIN
    while not set(asked) <= _told(world, incident).keys() and world.clock.now() < until:
        world.clock.sleep(_LOOK_EVERY)


def _wait(world: World, desk: Desk, incident: str, patience: timedelta) -> tuple[str, datetime] | None:
    """Who acknowledged it and when, or None where nobody did in that time."""
    until = world.clock.monotonic() + patience.total_seconds()
    query = FactQuery(kinds=("incident.acknowledged",), subject=incident)
    while True:
        found = next(iter(world.journal.facts(query)), None)
        if found is not None:
            desk.catch_up()
            return str(found.data["by"]), found.at
        left = until - world.clock.monotonic()
        if left <= 0 or desk.caught_up().incidents[incident].status is Status.RESOLVED:
            return None
        world.progress(f"waiting {left:.0f} s for the acknowledgement: mainstay incident ack {incident}")
        world.clock.sleep(min(_LOOK_EVERY, left))


_ARRIVED = {"page.sent": True, "page.failed": False, "page.dropped": None}
"""Kind of fact → whether the page arrived; one that was acknowledged before it was sent was not sent any more."""


def _told(world: World, incident: str) -> dict[str, tuple[bool | None, str]]:
    facts = world.journal.facts(FactQuery(kinds=("page.",), subject=incident))
    return {str(fact.data["channel"]): (_ARRIVED[fact.kind], str(fact.data.get("why", ""))) for fact in facts
            if fact.kind in _ARRIVED}


def _ways(world: World, incident: str, asked: tuple[str, ...]) -> tuple[Way, ...]:
    arrived = _told(world, incident)
    return tuple(Way(channel, *arrived.get(channel, (None, "it did not take it yet; the server tries again")))
                 for channel in asked)


def page_view(found: Tried) -> View:
    """Each way, and whether the page was acknowledged."""
    there = sum(way.arrived is True for way in found.ways)
    head = Text(f"{found.incident}: a test page for {found.person}, {many(len(found.ways), 'way')}", "quiet")
    if found.acknowledged_by:
        assert found.seconds is not None
        verdict = Text(f"{found.acknowledged_by} acknowledged it after {format_duration(found.seconds)}.", "good")
    elif found.waited:
        verdict = Text("Nobody acknowledged it in that time.", "bad")
    else:
        verdict = Text("It arrived by every way.", "good") if there == len(found.ways) else Text(
            f"It arrived by {there} of {many(len(found.ways), 'way')}." if there else "It did not arrive.", "bad")
    ways = table("", ("by", "arrived", "says"), [
        (way.channel, Cell("not yet", tone="warn") if way.arrived is None else
         Cell("yes", tone="good") if way.arrived else Cell("no", tone="bad"), way.says or "–") for way in found.ways])
    unknown = [] if found.known else [Text(
        f"Nothing says how to reach {found.person}: declare kind: Person with contacts.", "warn")]
    following = "mainstay oncall gaps" if found.acknowledged_by else \
        f"mainstay incident ack {found.incident}" if there else "mainstay check"
    return View("Test page", (head, verdict, ways, *unknown, Next((following,))))


PAGE = Operation(
    "incident", "page", PageRequest, page, page_view, scope="write",
    exit_code=lambda found: 0 if found.known and all(
        way.arrived or (way.arrived is None and found.acknowledged_by) for way in found.ways)
    and (found.acknowledged_by or not found.waited) else 1,
    exit_codes=((0, "it arrived by every way, and was acknowledged where that was waited for"),
                (1, "a way failed, none is known, or nobody acknowledged it"), (2, "the catalog or a flag is wrong")),
    examples=("mainstay incident page ana", "mainstay incident page ana --wait 60s"))
