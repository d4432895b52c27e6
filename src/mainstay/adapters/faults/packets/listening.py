"""Who listens at a port in the network of a process, read from /proc without entering there."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

from mainstay.adapters.faults.packets.task import Place
from mainstay.adapters.faults.places import Address
from mainstay.kernel.errors import InvalidInput

_LISTENS, _UNCONNECTED = "0A", "07"
_TABLES = ((socket.AF_INET, socket.IPPROTO_TCP, "tcp", _LISTENS),
           (socket.AF_INET6, socket.IPPROTO_TCP, "tcp6", _LISTENS),
           (socket.AF_INET, socket.IPPROTO_UDP, "udp", _UNCONNECTED),
           (socket.AF_INET6, socket.IPPROTO_UDP, "udp6", _UNCONNECTED))
_ANY = {"0.0.0.0", "::"}  # noqa: S104  (read, not bound)


def places_at(address: Address, pid: int, who: str) -> tuple[Place, ...]:
    """What listens at the port so that the address reaches it: the packets that are meant, and no more.

    Args:
        pid: whose network; 0 is this process's.
        who: the workload's name, for the message.
    Raises:
        InvalidInput: nothing listens there.
    """
    found = [place for place in _bound(pid or "self", address.port) if _reached(place, address)]
    # What is bound to every address of both families takes IPv4 as well.
    if any(not one.host and one.family == socket.AF_INET6 for one in found):
        found += [Place(socket.AF_INET, one.protocol, "", one.port) for one in found if one.family == socket.AF_INET6]
    if not found:
        raise InvalidInput(f"nothing listens at {address.shown}, where {who} is said to be",
                           "start it, or correct the address in the catalog")
    return tuple(sorted(set(found), key=lambda one: (one.family, one.protocol, one.host)))


def _reached(place: Place, address: Address) -> bool:
    return not place.host or place.host == address.host


def _bound(pid: int | str, port: int) -> Iterator[Place]:
    for family, protocol, name, state in _TABLES:
        path = Path(f"/proc/{pid}/net/{name}")
        if not path.exists():
            continue
        for line in path.read_text().splitlines()[1:]:
            words = line.split()
            host, _, number = words[1].rpartition(":")
            if words[3] == state and int(number, 16) == port:
                shown = _shown(host)
                if shown in _ANY:
                    yield Place(family, protocol, "", port)
                elif shown.startswith("::ffff:"):
                    yield Place(socket.AF_INET, protocol, shown.removeprefix("::ffff:"), port)
                else:
                    yield Place(family, protocol, shown, port)


def _shown(host: str) -> str:
    words = [bytes.fromhex(host[at:at + 8])[::-1] for at in range(0, len(host), 8)]
    packed = b"".join(words)  # the kernel prints words of 32 bits in the host's order; Linux hosts of note are little
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)
