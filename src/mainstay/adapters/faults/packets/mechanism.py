"""Faults on the packets of a workload's address, by rules and a queue that end with the process that holds them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

from mainstay.adapters.faults.naming import token
from mainstay.adapters.faults.packets import child, proof
from mainstay.adapters.faults.packets.impairment import Impairment
from mainstay.adapters.faults.packets.listening import places_at
from mainstay.adapters.faults.packets.namespaces import elsewhere
from mainstay.adapters.faults.packets.netlink import NETFILTER, Netlink, Refused
from mainstay.adapters.faults.packets.task import DROP, QUEUE, RESET, Task, Way
from mainstay.adapters.faults.places import address_of, processes_of
from mainstay.kernel.errors import NotAllowed
from mainstay.kernel.faults import Ability, Healing, Means, Measured, Order, Undo
from mainstay.kernel.workload import Workload

_NEEDS: Mapping[str, tuple[str, ...]] = {
    "network-latency": ("queue",), "packet-loss": ("queue",), "packet-duplication": ("queue", "raw"),
    "packet-corruption": ("queue",), "packet-reordering": ("queue",), "bandwidth-limit": ("queue",),
    "network-partition": ("drop", "queue"), "connection-reset": ("reset", "abort")}
"""By kind, what of the rehearsal has to have worked."""

_RULES = ("network-partition", "connection-reset")
"""Kinds that rules alone do, but for the datagrams that a workload sends: those are dropped from a queue."""

_QUEUED = "nfqueue"
_RULED = "nftables"
PERMISSION = "CAP_NET_ADMIN: run as root, or give the workload a network namespace of this user"


@functools.cache
def rehearsed() -> Mapping[str, str]:
    """What stands in the way of each ability, tried in a network of its own; empty when nothing does."""
    program = child.start("packets.rehearsal")
    try:
        found: dict[str, str] = child.line(program, 20.0)
        return found
    finally:
        child.finish(program)


def forbidden() -> str:
    """Why this process may not change the rules of its own network; empty when it may. Nothing is changed by asking."""
    try:
        link = Netlink(NETFILTER)
    except OSError as problem:
        return problem.strerror or str(problem)
    try:
        link.ask(10 << 8 | 16, 0, bytes(4))  # the generation of the rules: asked by whoever may change them
    except Refused as refused:
        return refused.strerror or str(refused)
    finally:
        link.close()
    return ""


class Packets:
    """The mechanism."""

    def abilities(self) -> tuple[Ability, ...]:
        """One for each kind, tried in a network of its own."""
        may = forbidden()
        return tuple(_ability(kind, needs, may) for kind, needs in _NEEDS.items())

    def means(self, order: Order) -> Means | None:
        """How it would be done; None when it is not for the workload's own address, or cannot be here.

        Raises:
            InvalidInput: nothing says where it listens, or nothing listens there.
        """
        if order.kind not in _NEEDS or order.dependency or not order.workload.address.said:
            return None
        if any(rehearsed()[need] for need in _NEEDS[order.kind]):
            return None
        inside = network_of(order.workload)
        if not inside and forbidden():
            return None
        places = places_at(address_of(order.workload), inside, order.workload.name)
        queued = order.kind not in _RULES
        where = ", ".join(sorted({f"{'TCP' if one.protocol == 6 else 'UDP'} port {one.port} of "
                                  f"{one.host or 'every address'}" for one in places}))
        does = [f"a table of nftables of its own takes the packets of {where}", _SAYS[order.kind]]
        if order.share < 1:
            does.append(f"{order.share:.3g} of the connections are hit, drawn from the peer's address and port")
        if inside:
            does.append(f"in the network of process {inside}")
        return Means(_QUEUED if queued else _RULED, Healing.KERNEL, tuple(does))

    def inject(self, order: Order, intend: Callable[[Sequence[Undo]], None]) -> HeldPackets:
        """Put it in.

        Raises:
            InvalidInput, NotAllowed, SourceUnavailable: it could not be.
        """
        means = self.means(order)
        if means is None:
            raise NotAllowed(f"{order.kind} on packets is not possible here", "`mainstay chaos doctor` says why")
        inside, where = network_of(order.workload), address_of(order.workload)
        target = proof.Target(order, where, inside, order.workload.health if order.workload.health[:1] == "/" else "/")
        before = proof.usual(target)
        incoming, outgoing = _ways(order)
        task = Task(token(), places_at(where, inside, order.workload.name), inside,
                    incoming, outgoing, share=order.share, seed=order.seed, seconds=order.seconds,
                    abort=order.kind == "connection-reset")
        return HeldPackets(means, target, before, child.Held(task, intend))


class HeldPackets:
    """A fault on packets that is in."""

    def __init__(self, means: Means, target: proof.Target, before: float, held: child.Held) -> None:
        self._means, self._target, self._before, self._held = means, target, before, held

    @property
    def means(self) -> Means:
        """How."""
        return self._means

    def proof(self) -> Measured:
        """By connections of a probe that knows nothing of the rules."""
        return proof.measured(self._target, self._before)

    def victims(self) -> Mapping[str, float]:
        """Packets that came by, and how many were hit; connections that were ended when it began."""
        counts = self._held.counts()
        hit = sum(counts.get(name, 0) for name in ("late", "lost", "doubled", "damaged"))
        found: dict[str, float] = {"packets": counts["packets"], "packets_hit": hit} if "packets" in counts else {}
        return found | ({"connections_hit": self._held.aborted} if self._held.aborted else {})

    def remove(self) -> None:
        """Take it out; what waits goes on at once."""
        self._held.end()


def network_of(workload: Workload) -> int:
    """A process of the workload when its network is another than this process's; else 0."""
    for process in processes_of(workload):
        if elsewhere(process.pid):
            return process.pid
    return 0


def _ability(kind: str, needs: Sequence[str], may: str) -> Ability:
    name = _RULED if kind in _RULES else _QUEUED
    lacks = [rehearsed()[need] for need in needs if rehearsed()[need]]
    if lacks:
        return Ability(kind, name, "unavailable", Healing.KERNEL, "; ".join(dict.fromkeys(lacks)),
                       "a kernel with nftables and NFQUEUE, and user namespaces or root")
    if may:
        return Ability(kind, name, "unavailable", Healing.KERNEL, f"the rules of this network cannot be changed: {may}",
                       PERMISSION)
    return Ability(kind, name, "real", Healing.KERNEL)


def _ways(order: Order) -> tuple[Way, Way]:
    """For what comes in, for what goes out."""
    settings = order.settings

    def number(name: str, default: float = 0.0) -> float:
        return float(settings.get(name, default))

    match order.kind:
        case "network-latency":
            return Way(), Way(QUEUE, Impairment(latency=number("latency"), jitter=number("jitter")))
        case "packet-loss":
            lossy = Way(QUEUE, Impairment(loss=number("loss")))
            return lossy, lossy
        case "packet-corruption":
            damaging = Way(QUEUE, Impairment(corruption=number("rate")))
            return damaging, damaging
        case "packet-duplication":
            return Way(), Way(QUEUE, Impairment(duplication=number("rate")))
        case "packet-reordering":
            return Way(), Way(QUEUE, Impairment(held=number("rate"), held_for=number("latency", 0.02)))
        case "bandwidth-limit":
            narrow = Way(QUEUE, Impairment(rate=number("rate")))
            return narrow, narrow
        case "connection-reset":
            return Way(RESET), Way()
        case _:
            direction = settings.get("direction", "both")
            return (Way(DROP) if direction in ("both", "in") else Way(),
                    Way(DROP, Impairment(loss=1.0)) if direction in ("both", "out") else Way())


_SAYS = {
    "network-latency": "what the workload sends waits in a queue; a round trip takes so much longer",
    "packet-loss": "of what comes in and of what goes out, each packet is dropped with that chance",
    "packet-corruption": "in what comes in and what goes out, one bit of a packet is turned over with that chance",
    "packet-duplication": "what the workload sends is sent twice with that chance",
    "packet-reordering": "what the workload sends is held back with that chance, and others overtake it",
    "bandwidth-limit": "each direction carries so much; a thousand packets may wait, more are dropped",
    "network-partition": "packets are dropped, and nobody is told",
    "connection-reset": "open connections are ended once, and each further one is reset when it stands",
}
