"""Names that are not found: questions of the workload's processes go to a server that knows none."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mainstay.adapters.faults.naming import token
from mainstay.adapters.faults.packets import child
from mainstay.adapters.faults.packets.mechanism import PERMISSION, forbidden, network_of, rehearsed
from mainstay.adapters.faults.packets.nftables import TCP, UDP
from mainstay.adapters.faults.packets.task import Lead, Place, Task
from mainstay.adapters.faults.places import processes_of
from mainstay.kernel.errors import NotAllowed, SourceUnavailable
from mainstay.kernel.faults import Ability, Healing, Means, Measured, Order, Undo

_KIND = "dns-failure"
_PORT = 53
_NEEDS = ("lead", "queue")
_SECONDS = 1.0


class Names:
    """The mechanism."""

    name = "answers to names"

    def abilities(self) -> tuple[Ability, ...]:
        """Tried in a network of its own."""
        lacks = "; ".join(dict.fromkeys(rehearsed()[one] for one in _NEEDS if rehearsed()[one]))
        why = lacks or forbidden()
        return (Ability(_KIND, self.name, "unavailable" if why else "real", Healing.KERNEL, why,
                        "" if not why else "a kernel with nftables and NFQUEUE" if lacks else PERMISSION),)

    def means(self, order: Order) -> Means | None:
        """How; None when this host cannot, or the workload's processes are not known.

        Raises:
            InvalidInput: a process of the workload does not run.
        """
        if order.kind != _KIND or any(rehearsed()[one] for one in _NEEDS):
            return None
        processes = processes_of(order.workload, *order.replicas)
        if not processes or (forbidden() and not network_of(order.workload)):
            return None
        who = ", ".join(str(one.pid) for one in processes)
        error = order.settings.get("error", "NXDOMAIN")
        what = "gets no answer" if error == "timeout" else f"is answered {error}"
        return Means(self.name, Healing.KERNEL, (
            f"what process {who} and its children ask of port 53 {what}",
            "questions that another process asks on their behalf, a cache of the host, are not seen"))

    def inject(self, order: Order, intend: Callable[[Sequence[Undo]], None]) -> NamesLost:
        """Put it in.

        Raises:
            MainstayError: it could not be.
        """
        means = self.means(order)
        if means is None:
            raise NotAllowed("names cannot be taken away here", "`mainstay chaos doctor` says why")
        processes = processes_of(order.workload, *order.replicas)
        probe = _Probe(network_of(order.workload), _server(processes[0].pid))
        try:
            before = probe.ask()
            lead = Lead((*(one.pid for one in processes), probe.pid), spared=(os.getpid(),),
                        error=str(order.settings.get("error", "NXDOMAIN")))
            places = tuple(Place(family, protocol, "", _PORT) for family in (socket.AF_INET, socket.AF_INET6)
                           for protocol in (TCP, UDP))
            held = child.Held(Task(token(), places, probe.inside, lead=lead,
                                   share=order.share, seed=order.seed, seconds=order.seconds), intend)
        except BaseException:
            probe.end()
            raise
        return NamesLost(means, lead.error, before, probe, held)


class NamesLost:
    """A fault on names that is in."""

    def __init__(self, means: Means, error: str, before: str, probe: _Probe, held: child.Held) -> None:
        self._means, self._error, self._before, self._probe, self._held = means, error, before, probe, held

    @property
    def means(self) -> Means:
        """How."""
        return self._means

    def proof(self) -> Measured:
        """By questions of a probe that counts as one of the workload's processes."""
        what = f"questions to {self._probe.server}"
        if self._error == self._before:
            return Measured(what, False, note=f"the server of names answers {self._before} by itself, so nothing can "
                                              "be told from it; name one that works in resolv.conf")
        try:
            said = [self._probe.ask() for _ in range(4 if self._error == "timeout" else 20)]
        except SourceUnavailable as problem:
            return Measured(what, False, note=problem.message)
        hit = sum(one == self._error for one in said)
        return Measured(what, hit > 0, hit / len(said), None, "share",
                        f"{hit} of {len(said)} got {self._error}; without it: {self._before}")

    def victims(self) -> Mapping[str, float]:
        """Questions that were led away, of all that were seen on this host, others' among them."""
        counts = self._held.counts()
        return {"questions": counts.get("packets", 0), "questions_hit": counts.get("led", 0)}

    def remove(self) -> None:
        """Take it out."""
        self._held.end()
        self._probe.end()


class _Probe:
    """A process that asks; started anew when it has ended, for then it need not count as the workload's any more."""

    def __init__(self, inside: int, server: str) -> None:
        self.inside, self.server = inside, server
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = child.start("packets.name_probe")
        self.pid = self._child.pid

    def ask(self) -> str:
        """How a question goes."""
        with self._lock:
            program = self._child or child.start("packets.name_probe")
            try:
                child.tell(program, child.one_line({"inside": self.inside, "host": self.server, "seconds": _SECONDS}))
                said: str = child.line(program, 10 * _SECONDS)["how"]
                return said
            finally:
                if program is not self._child:
                    child.finish(program)

    def end(self) -> None:
        """End it."""
        with self._lock:
            if self._child is not None:
                child.finish(self._child)
                self._child = None


def _server(pid: int) -> str:
    """The first server of names that the process would ask."""
    try:
        lines = Path(f"/proc/{pid}/root/etc/resolv.conf").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.split()[1] for line in lines if line.split()[:1] == ["nameserver"] and len(line.split()) > 1]
    return named[0].partition("%")[0] if named else "127.0.0.1"
