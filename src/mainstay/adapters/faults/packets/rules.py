"""A task as chains and rules."""

from __future__ import annotations

from collections.abc import Iterator

from mainstay.adapters.faults.packets import nftables as nft
from mainstay.adapters.faults.packets.task import DROP, QUEUE, RESET, Place, Task, Way
from mainstay.adapters.faults.packets.waiting_room import COPY_MARK

LEAD_MARK = 0x6D73746C

_INCOMING = nft.Chain("incoming", nft.IN)
_OUTGOING = nft.Chain("outgoing", nft.OUT)
_CHOOSING = nft.Chain("choosing", nft.OUT, -310)  # before the kernel looks up what it remembers, at -200
_APART = nft.Chain("apart", nft.OUT, -300)
_ZONE = 0x6D73
_LEADING = nft.Chain("leading", nft.OUT, -101, "nat")  # before others' translations, which would decide first


def rules(task: Task, family: int, queues: tuple[int, int], *, native: bool,
          port: int = 0) -> tuple[list[nft.Chain], list[nft.Rule]]:
    """The chains and rules of one family of addresses.

    Args:
        queues: for what comes in, for what goes out.
        port: where connections are led to.
    """
    places = [one for one in task.places if one.family == family]
    if task.lead is not None:
        return _leading(task, places, queues[1], native=native, port=port)
    found: list[nft.Rule] = []
    for place in places:
        found += _incoming(place, task, queues[0], native=native)
        if task.outgoing.act:
            # Who sends a datagram is told when a rule drops it, and not when it is dropped from a queue.
            way = Way(QUEUE) if task.outgoing.act == DROP and place.protocol == nft.UDP else task.outgoing
            found.append(nft.Rule("outgoing", nft.mark_is(COPY_MARK, unlike=True) + _met(place, task, source=True)
                                  + _done(way, queues[1], native=native)))
    chains = [one for one in (_INCOMING, _OUTGOING) if any(rule.chain == one.name for rule in found)]
    return chains, found


def _incoming(place: Place, task: Task, queue: int, *, native: bool) -> Iterator[nft.Rule]:
    act = task.incoming.act
    if not act or (act == RESET and place.protocol != nft.TCP):
        return
    met, done = _met(place, task, source=False), _done(task.incoming, queue, native=native)
    if act != QUEUE:
        yield nft.Rule("incoming", met + done)
        return
    # What this host sends itself waits where it is sent, so that its sender knows it still waits and sends no second.
    yield nft.Rule("incoming", nft.comes_by_loopback(unlike=True) + met + done)
    yield nft.Rule("outgoing", nft.leaves_by_loopback() + met + done)


def _leading(task: Task, places: list[Place], queue: int, *, native: bool,
             port: int) -> tuple[list[nft.Chain], list[nft.Rule]]:
    choosing, leading = [], []
    for place in places:
        met = _place(place, source=False)
        if place.protocol == nft.TCP:
            met += nft.opens_a_connection()
        choosing.append(nft.Rule("choosing", met + nft.queue(queue, native=native)))
    assert task.lead is not None
    if task.lead.error == "timeout":
        after = nft.Chain("leading", nft.OUT, -140)
        return [_CHOOSING, after], [*choosing, nft.Rule("leading", nft.mark_is(LEAD_MARK) + nft.drop())]
    protocols = sorted({one.protocol for one in places})
    for protocol in protocols:
        leading.append(nft.Rule("leading", nft.protocol_is(protocol) + nft.mark_is(LEAD_MARK) + nft.lead_to(port)))
    if nft.UDP not in protocols:
        return [_CHOOSING, _LEADING], [*choosing, *leading]
    # The kernel leads by what it remembers, for half a minute: without this, a datagram of somebody else who draws the
    # same port meanwhile would be led too. Of a connection only the first packet is chosen, so its memory is common.
    leading.append(nft.Rule("apart", nft.protocol_is(nft.UDP) + nft.mark_is(LEAD_MARK) + nft.remembered_apart(_ZONE)))
    return [_CHOOSING, _APART, _LEADING], [*choosing, *leading]


def _place(place: Place, *, source: bool) -> tuple[bytes, ...]:
    host = nft.host_is(place.family, place.host, source=source) if place.host else ()
    return nft.protocol_is(place.protocol) + host + nft.port_is(place.port, source=source)


def _met(place: Place, task: Task, *, source: bool) -> tuple[bytes, ...]:
    chosen = () if task.share >= 1 else nft.peer_is_among(place.family, task.share, task.seed, source=not source)
    return _place(place, source=source) + chosen


def _done(way: Way, queue: int, *, native: bool) -> tuple[bytes, ...]:
    if way.act == DROP:
        return nft.drop()
    if way.act == RESET:
        return (*nft.goes_on_a_connection(), *nft.reset())
    return nft.queue(queue, native=native)
