"""Faults on the way to a dependency: three ways for a proxy to stand there, and nobody else goes through it.

The workload calls it already (`listen`), is told to by a call of its catalog (`route`), or, when its catalog declares
neither, the kernel leads what its processes open elsewhere: a rule of nftables that ends with the process holding it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from functools import partial

from mainstay.adapters.faults.edges import proof, route, standing
from mainstay.adapters.faults.edges.proof import Asker, Edge, OneShot
from mainstay.adapters.faults.edges.toxics import HTTP, KINDS, OF_DEPENDENCIES, toxics
from mainstay.adapters.faults.naming import token
from mainstay.adapters.faults.packets import sockets
from mainstay.adapters.faults.packets.child import Held
from mainstay.adapters.faults.packets.choosing import family_of
from mainstay.adapters.faults.packets.mechanism import PERMISSION, network_of, rehearsed
from mainstay.adapters.faults.packets.nftables import TCP, forbidden
from mainstay.adapters.faults.packets.task import Lead, Place, Task
from mainstay.adapters.faults.places import Address, address, address_of, processes_of
from mainstay.adapters.faults.processes import found
from mainstay.adapters.proxy import Proxy, ProxyProcess
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, MainstayError, NotAllowed
from mainstay.kernel.faults import Ability, Healing, Means, Measured, Mechanism, Order, Undo

_NAME = "mainstay"
_LOOPBACK = "127.0.0.1:0"

Intend = Callable[[Sequence[Undo]], None]


class OwnProxy:
    """A proxy in a process of its own between anybody and an upstream; gone with this process."""

    def __init__(self, order: Order, listen: str, upstream: Address, intend: Intend) -> None:
        """Start it with the toxics of the order in force.

        Raises:
            InvalidInput, SourceUnavailable: it cannot stand there.
        """
        self._lock = threading.Lock()
        self._process = ProxyProcess(order.seed)
        self._process.__enter__()
        try:
            known = found(self._process.pid)
            assert known is not None
            intend([Undo("end-holder", known.data)])
            self.address = address(self._process.open(Proxy(_NAME, listen, upstream.shown), toxics(order)))
        except BaseException:
            self._process.__exit__(None, None, None)
            raise
        self._last: Mapping[str, float] = {}
        self._over = False

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def counts(self) -> Mapping[str, float]:
        """Connections that came, those that a toxic met, requests or pieces that it hit; then what was known last."""
        with self._lock:
            if not self._over:
                said = self._process.statistics(_NAME)
                self._last = {"connections": said.connections, "connections_hit": said.victims,
                              "acts": sum(one.injected for one in said.toxics.values())}
            return self._last

    def end(self) -> None:
        """End it. Again is fine."""
        with contextlib.suppress(MainstayError):  # it was killed: what was known last stays known
            self.counts()
        with self._lock:
            if not self._over:
                self._over = True
                self._process.__exit__(None, None, None)


@dataclass(slots=True)
class Witness:
    """The kernel's list of the workload's own connections: whether it goes by the way that the fault is on.

    Args:
        direct: where it would go past the fault.
        before: its connections there when the fault came; they may last.
    """

    pids: tuple[int, ...]
    direct: Address
    before: set[bytes] = field(default_factory=set)

    def past(self) -> list[sockets.Endpoint]:
        """Its connections past the fault, but for those from before."""
        if not self.pids:
            return []
        mine = sockets.held_by(family_of(self.pids))
        return [one for one in sockets.endpoints(socket.IPPROTO_TCP)
                if one.talks and one.inode in mine and one.peer_port == self.direct.port
                and one.peer.removeprefix("::ffff:") == self.direct.host and one.identity not in self.before]


class EdgeFault:
    """A fault on the way to a dependency that is in."""

    def __init__(self, means: Means, edge: Edge, witness: Witness | None, ending: Sequence[Callable[[], None]],
                 counts: Callable[[], Mapping[str, float]], after: Address | None) -> None:
        """Args: ending: what takes it out, in order. after: where the workload's way goes then; None is nowhere."""
        self._means, self._edge, self._witness = means, edge, witness
        self._ending, self._counts, self._after = tuple(ending), counts, after
        self._out = False

    @property
    def means(self) -> Means:
        """How."""
        return self._means

    def proof(self) -> Measured:
        """By requests of a probe that goes the workload's way; and no connection of the workload goes past it."""
        if self._out and self._after is None:
            return self._nobody()
        if self._out and self._after is not None:
            return proof.measured(replace(self._edge, at=self._after, way=OneShot()))
        seen = proof.measured(self._edge)
        past = self._witness.past() if self._witness is not None else []
        if past and seen.in_effect:
            return replace(seen, in_effect=False, note=f"{seen.note}; but {len(past)} connections of "
                           f"{self._edge.order.workload.name} go past the proxy")
        return seen

    def victims(self) -> Mapping[str, float]:
        """Connections that came by, those of the probe among them, and those that were hit."""
        return self._counts()

    def remove(self) -> None:
        """Take it out.

        Raises:
            MainstayError: a step did not work; the others were done all the same.
        """
        if self._out:
            return
        problems: list[MainstayError] = []
        for act in self._ending:
            try:
                act()
            except MainstayError as problem:
                problems.append(problem)
        if problems:
            raise problems[0]
        self._out = True

    def _nobody(self) -> Measured:
        with socket.socket(socket.AF_INET6 if ":" in self._edge.at.host else socket.AF_INET) as one:
            one.settimeout(1)
            there = one.connect_ex((self._edge.at.host, self._edge.at.port)) == 0
        return Measured(self._edge.what, there, note=f"{'somebody' if there else 'nobody'} listens at "
                        f"{self._edge.at.shown}" + ("" if there else ", as before"))


def _wanted(order: Order) -> bool:
    return bool(order.kind in KINDS and order.dependency)


def _direct(order: Order) -> Address:
    if order.upstream is None:
        raise InvalidInput(f"nothing says where {order.dependency} of {order.workload.name} listens",
                           f"declare a Workload {order.dependency} with its address")
    return address_of(order.upstream)


def _path(order: Order) -> str:
    said = order.upstream.health if order.upstream is not None else ""
    if "://" in said:
        return "/" + said.partition("://")[2].partition("/")[2]
    return said or "/"


def _does(order: Order, where: str) -> tuple[str, ...]:
    lines = [where, f"the proxy does: {', '.join(dict.fromkeys(one.type for one in toxics(order)))}"]
    if order.share < 1:
        lines.append(f"to {order.share:.3g} of the connections, drawn for each when it is opened")
    if order.kind in HTTP:
        lines.append("the conversation has to be HTTP/1.1")
    return tuple(lines)


def _abilities(name: str, healing: Healing, why: str, enable: str) -> tuple[Ability, ...]:
    return tuple(Ability(kind, name, "unavailable" if why else "real", healing, why, enable if why else "")
                 for kind in OF_DEPENDENCIES)


class ByListening:
    """The workload calls the proxy's address already."""

    name = "proxy at listen"

    def abilities(self) -> tuple[Ability, ...]:
        """It needs nothing of the host."""
        return _abilities(self.name, Healing.GUARDIAN, "", "")

    def means(self, order: Order) -> Means | None:
        """How; None when the dependency has no `listen`.

        Raises:
            InvalidInput: somebody else listens there, or nothing says where the dependency is.
        """
        if not _wanted(order) or not (listen := order.workload.dependency(order.dependency).listen):
            return None
        there = standing.at(address(listen))
        if there is not None:
            return Means(self.name, Healing.GUARDIAN, _does(order, f"the proxy {there.name}, which stands at {listen}, "
                                                            "gets a fault"))
        _direct(order)
        return Means(self.name, Healing.KERNEL,
                     _does(order, f"a proxy stands at {listen} meanwhile; before and after, nobody listens there"))

    def inject(self, order: Order, intend: Intend) -> EdgeFault:
        """Put it in.

        Raises:
            MainstayError: it could not be.
        """
        means = self.means(order)
        if means is None:
            raise NotAllowed(f"{order.workload.name} declares no listen for {order.dependency}", "")
        listen = address(order.workload.dependency(order.dependency).listen)
        there = standing.at(listen)
        if there is None:
            direct = _direct(order)
            own = OwnProxy(order, listen.shown, direct, intend)
            edge = Edge(order, OneShot(), listen, OneShot(), direct, _path(order))
            return EdgeFault(means, edge, None, [own.end], own.counts, None)
        tag = token()
        ones = [replace(one, name=f"{tag}-{at}") for at, one in enumerate(toxics(order))]
        intend([Undo("remove-toxic", there.undo(one)) for one in ones])
        for one in ones:
            there.add(one)
        direct = there.upstream if order.upstream is None else address_of(order.upstream)
        edge = Edge(order, OneShot(), listen, OneShot(), direct, _path(order))
        return EdgeFault(means, edge, None, [partial(there.remove, one) for one in ones], dict, listen)


class ByRouting:
    """The workload is told to call the proxy, by the call of its catalog, and told back."""

    name = "proxy by route"

    def abilities(self) -> tuple[Ability, ...]:
        """It needs nothing of the host."""
        return _abilities(self.name, Healing.GUARDIAN, "", "")

    def means(self, order: Order) -> Means | None:
        """How; None when the dependency has no `route`, or the workload is in another network.

        Raises:
            InvalidInput: the route cannot be taken back, or nothing says where the dependency is.
        """
        if not _wanted(order) or (call := order.workload.dependency(order.dependency).route) is None:
            return None
        if network_of(order.workload):
            return None
        undone = route.undo_of(call, order.workload, _direct(order))
        return Means(self.name, Healing.GUARDIAN, _does(
            order, f"{call.method} {undone.data['url']} tells {order.workload.name} to find {order.dependency} at a "
                   "proxy, and later to find it where it was"))

    def inject(self, order: Order, intend: Intend) -> EdgeFault:
        """Put it in.

        Raises:
            MainstayError: it could not be.
        """
        means, call = self.means(order), order.workload.dependency(order.dependency).route
        if means is None or call is None:
            raise NotAllowed(f"{order.workload.name} declares no route to {order.dependency}", "")
        direct = _direct(order)
        own = OwnProxy(order, _LOOPBACK, direct, intend)
        back = route.undo_of(call, order.workload, direct)
        witness = Witness(tuple(one.pid for one in processes_of(order.workload)), direct)
        try:
            witness.before = {one.identity for one in witness.past()}
            intend([back])
            route.lead(call, order.workload, own.address)
        except BaseException:
            own.end()
            raise
        edge = Edge(order, OneShot(), own.address, OneShot(), direct, _path(order))
        back_again = partial(route.lead_back, call, order.workload, direct)
        return EdgeFault(means, edge, witness, [back_again, own.end], own.counts, direct)


class ByLeading:
    """The kernel leads what the workload's processes open to the proxy."""

    name = "proxy by redirect"

    def abilities(self) -> tuple[Ability, ...]:
        """Tried in a network of its own."""
        lacks = "; ".join(dict.fromkeys(rehearsed()[one] for one in ("lead", "queue", "abort") if rehearsed()[one]))
        return _abilities(self.name, Healing.KERNEL, lacks or forbidden(),
                          "a kernel with nftables and NFQUEUE" if lacks else PERMISSION)

    def means(self, order: Order) -> Means | None:
        """How; None when this host cannot, the workload's processes are not known, or its catalog says another way.

        Raises:
            InvalidInput: a process does not run, or nothing says where the dependency is.
        """
        if not _wanted(order) or forbidden() or any(rehearsed()[one] for one in ("lead", "queue", "abort")):
            return None
        declared = order.workload.dependency(order.dependency)
        if declared.listen or declared.route is not None:
            return None
        processes = processes_of(order.workload, *order.replicas)
        if not processes or network_of(order.workload):
            return None
        direct = _direct(order)
        return Means(self.name, Healing.KERNEL, _does(
            order, f"connections that process {', '.join(str(one.pid) for one in processes)} and its children open to "
                   f"{direct.shown} lead to a proxy; those open now are ended once"))

    def inject(self, order: Order, intend: Intend) -> EdgeFault:
        """Put it in.

        Raises:
            MainstayError: it could not be.
        """
        means = self.means(order)
        if means is None:
            raise NotAllowed(f"connections of {order.workload.name} cannot be led elsewhere here",
                             "`mainstay chaos doctor` says why")
        direct = _direct(order)
        pids = tuple(one.pid for one in processes_of(order.workload, *order.replicas))
        way = Asker()
        with contextlib.ExitStack() as stack:
            stack.callback(way.end)
            own = OwnProxy(order, _LOOPBACK if direct.family == socket.AF_INET else "[::1]:0", direct, intend)
            stack.callback(own.end)
            lead = Lead((*pids, way.pid), own.address.port, (os.getpid(),))
            held = Held(Task(token(), (Place(direct.family, TCP, direct.host, direct.port),),
                             lead=lead, seed=order.seed, seconds=order.seconds, abort=True), intend)
            stack.pop_all()
        edge = Edge(order, way, direct, OneShot(), direct, _path(order))
        return EdgeFault(means, edge, None, [held.end, own.end, way.end], own.counts, direct)


EDGES: tuple[Mechanism, ...] = (ByLeading(), ByRouting(), ByListening())
