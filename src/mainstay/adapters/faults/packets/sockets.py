"""Sockets of this network as the kernel lists them (man 7 sock_diag): whose they are, and ending them."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import closing

from mainstay.adapters.faults.packets.netlink import ACK, DUMP, SOCK_DIAG, Netlink, Refused
from mainstay.kernel.dataclass import dataclass

_BY_FAMILY, _DESTROY = 20, 21
_REQUEST = struct.Struct("=BBBxI")
_ALL_STATES = 0xFFF
_LISTENS = 10
_OPENS = 2  # SYN-SENT
_TALKS = {1, 2, 3, 4, 5, 8, 9, 11}  # from the first wish to the last farewell; not what is closed or waits for its end
_ENDPOINTS = struct.Struct(">HH16s16s")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A socket: its own address, its peer's, and the number of its inode, which is 0 when no process holds it."""

    family: int
    state: int
    host: str
    port: int
    peer: str
    peer_port: int
    inode: int
    identity: bytes

    @property
    def listens(self) -> bool:
        """Whether it waits for connections."""
        return self.state == _LISTENS

    @property
    def talks(self) -> bool:
        """Whether it is a connection that is open, or is being opened or closed."""
        return self.state in _TALKS

    @property
    def wild(self) -> bool:
        """Whether it takes what comes to any address."""
        return self.host in ("0.0.0.0", "::")  # noqa: S104  (read, not bound)


def endpoints(protocol: int, *, opening: bool = False) -> list[Endpoint]:
    """Every socket of that protocol in this network.

    Args:
        opening: only those whose connection is being opened at this moment.
    Raises:
        Refused: the kernel does not say.
    """
    found = []
    with closing(Netlink(SOCK_DIAG)) as link:
        for family in (socket.AF_INET, socket.AF_INET6):
            request = _REQUEST.pack(family, protocol, 0, 1 << _OPENS if opening else _ALL_STATES) + bytes(48)
            found += [_endpoint(one) for one in link.ask(_BY_FAMILY, DUMP, request)]
    return found


def held_by(pids: Iterable[int]) -> set[int]:
    """The inodes of the sockets that these processes hold."""
    return {inode for pid in pids for inode in _inodes(pid)}


def end(ones: Iterable[Endpoint]) -> int:
    """Abort connections; both ends see it at once. How many there were.

    Raises:
        Refused: not allowed, or the kernel cannot.
    """
    count = 0
    with closing(Netlink(SOCK_DIAG)) as link:
        for one in ones:
            if one.state not in _TALKS:
                continue
            try:
                link.ask(_DESTROY, ACK, _REQUEST.pack(one.family, socket.IPPROTO_TCP, 0, _ALL_STATES) + one.identity)
            except Refused as refused:
                if refused.errno != 2:  # it ended by itself meanwhile
                    raise
            else:
                count += 1
    return count


def _inodes(pid: int) -> Iterator[int]:
    try:
        with os.scandir(f"/proc/{pid}/fd") as entries:
            names = [entry.path for entry in entries]
    except OSError:  # it ended, or is somebody else's
        return
    for path in names:
        try:
            target = os.readlink(path)
        except OSError:  # closed meanwhile
            continue
        if target.startswith("socket:["):
            yield int(target[8:-1])


def _endpoint(body: bytes) -> Endpoint:
    family, state = body[0], body[1]
    port, peer_port, own, other = _ENDPOINTS.unpack_from(body, 4)
    size = 4 if family == socket.AF_INET else 16
    return Endpoint(family, state, socket.inet_ntop(family, own[:size]), port,
                    socket.inet_ntop(family, other[:size]), peer_port,
                    struct.unpack_from("=I", body, 68)[0], body[4:52])
