"""Packets that the kernel hands over and that wait here for their fate (`linux/netfilter/nfnetlink_queue.h`)."""

from __future__ import annotations

import heapq
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import field

from mainstay.adapters.faults.packets.impairment import Fate, Fates, Impairment
from mainstay.adapters.faults.packets.netlink import ACK, NETFILTER, REQUEST, Netlink, attribute, attributes, number
from mainstay.kernel.dataclass import dataclass

_PACKET, _VERDICT, _CONFIG = 0x300, 0x301, 0x302
_BIND = 1
_COPY = 2
_GLUED = 4  # NFQA_CFG_F_GSO: segments of one connection may come as one
_HEADERS = 20  # bytes of a packet that say its length, in both families
_ACCEPT = 1
_MARK, _PAYLOAD, _WHOLE = 3, 10, 13
_BURST = 256
_LONGEST = 1 << 17
_IPV6_HEADER_INCLUDED = 36

_PREFIX = struct.Struct("=IHHII")
_KIND = struct.Struct("=H")
_NUMBERED = struct.Struct(">I")
_LENGTH = struct.Struct(">H")
_VERDICT_BODY = struct.Struct(">II")

COPY_MARK = 0x6D737479
"""Carried by what this program sends itself, so that it is not taken for the workload's."""

@dataclass(frozen=True, slots=True)
class Direction:
    """One queue and what happens to its packets.

    Args:
        decide: instead of an impairment: given the packet's bytes and its protocol in the frame, what mark it
            goes on with; None leaves it as it is.
    """

    queue: int
    impairment: Impairment = field(default_factory=Impairment)
    decide: Callable[[bytes, int], int | None] | None = None


@dataclass(slots=True)
class _Lane:
    direction: Direction
    fates: Fates
    prefix: bytes
    whole: bool
    waiting: list[tuple[float, int, int, bytes]] = field(default_factory=list)


class WaitingRoom:
    """Queues of the kernel, and the packets in them that are not due yet. Closing it lets the kernel drop those."""

    def __init__(self, directions: list[Direction], seed: int) -> None:
        self.link = Netlink(NETFILTER)
        self.link.never_overrun(1 << 23)
        self.counts: Counter[str] = Counter()
        self._lanes = {one.queue: self._lane(one, seed + at) for at, one in enumerate(directions)}
        self.link.socket.settimeout(None)  # reading never waits (MSG_DONTWAIT), sending may
        self._buffer = bytearray(_LONGEST)
        self._view = memoryview(self._buffer)
        self._copies: dict[int, socket.socket] = {}
        self._order = 0
        self._out: list[bytes] = []

    def fileno(self) -> int:
        """For `select`."""
        return self.link.socket.fileno()

    @property
    def due(self) -> float | None:
        """When the next packet goes on, seconds of the monotonic clock."""
        heads = [lane.waiting[0][0] for lane in self._lanes.values() if lane.waiting]
        return min(heads) if heads else None

    def take(self) -> int:
        """Take what the kernel has handed over, up to a burst; how many packets that were."""
        receive, buffer = self.link.socket.recv_into, self._buffer
        taken = 0
        for _ in range(_BURST):
            try:
                size = receive(buffer, _LONGEST, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            if size >= 32 and _KIND.unpack_from(buffer, 4)[0] == _PACKET:
                taken += 1
                self._arrived(size)
        self.counts["packets"] += taken
        return taken

    def let_go(self, now: float) -> None:
        """Send on what is due."""
        out = self._out
        for lane in self._lanes.values():
            waiting = lane.waiting
            while waiting and waiting[0][0] <= now:
                _due, _order, packet, changed = heapq.heappop(waiting)
                out.append(self._verdict(lane, packet, changed))
        if out:
            self.link.socket.send(b"".join(out))
            out.clear()

    def empty(self) -> None:
        """Send on everything at once, whatever was meant to become of it."""
        for lane in self._lanes.values():
            lane.fates = Fates(Impairment(), 0)
        for _ in range(50):  # what is on its way into the queue when the rules go arrives within microseconds
            taken = self.take()
            self.let_go(float("inf"))
            if not taken:
                break
            time.sleep(0.001)

    def close(self) -> None:
        """Close the queues."""
        self.link.close()
        for one in self._copies.values():
            one.close()

    def _lane(self, one: Direction, seed: int) -> _Lane:
        whole = one.decide is not None or one.impairment.needs_bytes
        glued = not (whole or one.impairment.needs_whole_packets)
        head = struct.pack(">BBH", 0, 0, one.queue)
        self.link.ask(_CONFIG, ACK, head + attribute(1, struct.pack(">BxH", _BIND, 0)))
        self.link.ask(_CONFIG, ACK, head + attribute(2, struct.pack(">IB", 0xFFFF if whole else _HEADERS, _COPY)))
        self.link.ask(_CONFIG, ACK, head + number(3, 1 << 16))
        flags = _GLUED if glued else 0
        self.link.ask(_CONFIG, ACK, head + number(5, flags) + number(4, _GLUED))
        prefix = _PREFIX.pack(32, _VERDICT, REQUEST, 0, 0) + head + struct.pack("=HH", 12, 2)
        return _Lane(one, Fates(one.impairment, seed), prefix, whole)

    def _arrived(self, size: int) -> None:
        buffer = self._buffer
        lane = self._lanes[buffer[18] << 8 | buffer[19]]
        packet = _NUMBERED.unpack_from(buffer, 24)[0]  # the packet's number is always the first attribute
        if lane.direction.decide is not None:
            self._decided(lane, lane.direction.decide, packet, size)
            return
        # The packet's own bytes are always the last attribute; its header says how long it really is.
        if lane.whole:
            payload = attributes(bytes(self._view[20:size])).get(_PAYLOAD, b"")
            length = len(payload)
        else:
            payload = b""
            first = size - _HEADERS
            at, more = (2, 0) if buffer[first] >> 4 == 4 else (4, 40)
            length = _LENGTH.unpack_from(buffer, first + at)[0]
            # Glued segments may be longer than the header can say; then it says 0, and the kernel the length.
            length = length + more if length else _NUMBERED.unpack(attributes(bytes(self._view[20:size]))[_WHOLE])[0]
        now = time.monotonic()
        fate = lane.fates.of(now, length, len(lane.waiting))
        if fate.due is None:
            self.counts["lost"] += 1
            self._out.append(lane.prefix + _VERDICT_BODY.pack(0, packet))
            return
        changed = b""
        if payload:
            changed = self._changed(fate, payload)
        if fate.due > now:
            self.counts["late"] += 1
            self._order += 1
            heapq.heappush(lane.waiting, (fate.due, self._order, packet, changed))
        else:
            self._out.append(self._verdict(lane, packet, changed))

    def _changed(self, fate: Fate, payload: bytes) -> bytes:
        if fate.twice:
            self.counts["doubled"] += 1
            self._copy(payload)
        if fate.damaged is None:
            return b""
        self.counts["damaged"] += 1
        after = 20 if payload[0] >> 4 == 4 else 40  # the address stays, or it would be somebody else's packet
        bit = after * 8 + int(fate.damaged * (len(payload) - after) * 8)
        damaged = bytearray(payload)
        damaged[bit >> 3] ^= 1 << (bit & 7)
        return bytes(damaged)

    def _decided(self, lane: _Lane, decide: Callable[[bytes, int], int | None], packet: int, size: int) -> None:
        payload = attributes(bytes(self._view[20:size])).get(_PAYLOAD, b"")
        mark = decide(payload, payload[0] >> 4)
        if mark is None:
            self._out.append(lane.prefix + _VERDICT_BODY.pack(_ACCEPT, packet))
            return
        self.counts["led"] += 1
        body = lane.prefix[16:] + _VERDICT_BODY.pack(_ACCEPT, packet) + number(_MARK, mark)
        self._out.append(_PREFIX.pack(16 + len(body), _VERDICT, REQUEST, 0, 0) + body)

    def _verdict(self, lane: _Lane, packet: int, changed: bytes) -> bytes:
        if not changed:
            return lane.prefix + _VERDICT_BODY.pack(_ACCEPT, packet)
        body = lane.prefix[16:] + _VERDICT_BODY.pack(_ACCEPT, packet) + attribute(_PAYLOAD, changed)
        return _PREFIX.pack(16 + len(body), _VERDICT, REQUEST, 0, 0) + body

    def _copy(self, payload: bytes) -> None:
        version = payload[0] >> 4
        if version not in self._copies:
            six = version == 6
            made = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
            made.setsockopt(socket.IPPROTO_IPV6 if six else socket.IPPROTO_IP,
                            _IPV6_HEADER_INCLUDED if six else socket.IP_HDRINCL, 1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, COPY_MARK)
            self._copies[version] = made
        to = (socket.inet_ntop(socket.AF_INET, payload[16:20]) if version == 4
              else socket.inet_ntop(socket.AF_INET6, payload[24:40]))
        try:
            self._copies[version].sendto(payload, (to, 0))
        except OSError:  # the network refused the copy; the original goes on
            self.counts["not_doubled"] += 1
