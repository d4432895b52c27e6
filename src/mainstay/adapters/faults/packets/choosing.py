"""Whether a connection that is being opened belongs to the processes that are meant."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Iterable
from pathlib import Path

from mainstay.adapters.faults.packets import sockets
from mainstay.adapters.faults.packets.rules import LEAD_MARK
from mainstay.adapters.faults.packets.task import Lead


class Chooser:
    """Marks what the processes send, and nothing of others."""

    def __init__(self, lead: Lead, share: float, seed: int) -> None:
        self._lead, self._share = lead, share
        self._chance = random.Random(seed)  # noqa: S311
        # Which shares were drawn: what is sent again is decided as it was the first time.
        self._drawn: dict[tuple[int, int], bool] = {}

    def mark(self, payload: bytes, version: int) -> int | None:
        """The mark of a packet of the processes; None for others'."""
        first = (payload[0] & 0xF) * 4 if version == 4 else 40
        protocol = payload[9] if version == 4 else payload[6]
        port = struct.unpack_from(">H", payload, first)[0]
        tcp = protocol == socket.IPPROTO_TCP
        mine = self.held()
        for one in sockets.endpoints(protocol, opening=tcp):
            if one.port == port and one.inode in mine:
                return LEAD_MARK if self._chosen(one.inode, port) else None
        return None

    def held(self) -> set[int]:
        """The inodes of the sockets that the processes and those they started hold now."""
        return sockets.held_by(family_of(self._lead.pids) - family_of(self._lead.spared) | set(self._lead.pids))

    def _chosen(self, inode: int, port: int) -> bool:
        key = (inode, port)
        if key not in self._drawn:
            if len(self._drawn) > 10_000:
                self._drawn.clear()
            self._drawn[key] = self._chance.random() < self._share
        return self._drawn[key]


def family_of(pids: Iterable[int]) -> set[int]:
    """The processes and those that they started."""
    found: set[int] = set()
    ahead = list(pids)
    while ahead:
        pid = ahead.pop()
        if pid in found:
            continue
        found.add(pid)
        for listed in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                ahead += [int(word) for word in listed.read_text().split()]
            except OSError:  # the thread ended meanwhile
                continue
    return found
