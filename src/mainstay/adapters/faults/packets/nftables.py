"""Rules in a table of nftables that belongs to this process: the kernel removes it when the process ends.

The table is of its own, so that nobody else's rules are read, changed or ordered differently. Written as messages
(`linux/netfilter/nf_tables.h`), not by the program nft: nothing has to be installed, and where the kernel lacks nft's
own queue statement its target for iptables takes its place.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

from mainstay.adapters.faults.packets.netlink import (
    ACK,
    APPEND,
    CREATE,
    EXCLUSIVE,
    NETFILTER,
    REQUEST,
    Netlink,
    Refused,
    attribute,
    message,
    name,
    nested,
    number,
)
from mainstay.kernel.dataclass import dataclass

IPV4, IPV6 = 2, 10
IN, OUT = 1, 3
"""Hooks: what arrives at a socket of this host, what leaves one."""

TCP, UDP = socket.IPPROTO_TCP, socket.IPPROTO_UDP

_SUBSYSTEM, _COMPATIBLE = 10 << 8, 11 << 8
_NEW_TABLE, _DELETE_TABLE, _NEW_CHAIN, _NEW_RULE, _DELETE_RULE, _GENERATION = 0, 2, 3, 6, 8, 16
_BEGIN, _END = 0x10, 0x11
_OWNER = 2
_CT_ZONE = 17
_REGISTER = 8  # the first of 32 bits; the others follow
_VERDICT_REGISTER = 0
_DROP, _ACCEPT = 0, 1
_EQUAL, _UNEQUAL, _LESS = 0, 1, 2
_NETWORK, _TRANSPORT = 1, 2
_META_MARK, _META_IN, _META_OUT, _META_PROTOCOL = 3, 4, 5, 16
_LOOPBACK = 1  # the number of lo, in every network
_BYPASS = 1


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain at a hook; lower priorities come first."""

    name: str
    hook: int
    priority: int = -150
    type: str = "filter"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a chain: expressions in their order."""

    chain: str
    expressions: tuple[bytes, ...]


def _expression(kind: str, *parts: bytes) -> bytes:
    return nested(1, name(1, kind), nested(2, *parts))


def _value(data: bytes) -> bytes:
    return nested(3, attribute(1, data))


def protocol_is(number_: int) -> tuple[bytes, ...]:
    """TCP or UDP."""
    return (_expression("meta", number(2, _META_PROTOCOL), number(1, _REGISTER)), equals(bytes([number_])))


def equals(data: bytes) -> bytes:
    """What was loaded last is `data`."""
    return _expression("cmp", number(1, _REGISTER), number(2, _EQUAL), _value(data))


def mark_is(mark: int, *, unlike: bool = False) -> tuple[bytes, ...]:
    """The packet carries the mark, or does not."""
    return (_expression("meta", number(2, _META_MARK), number(1, _REGISTER)),
            _expression("cmp", number(1, _REGISTER), number(2, _UNEQUAL if unlike else _EQUAL),
                        _value(struct.pack("=I", mark))))


def comes_by_loopback(*, unlike: bool = False) -> tuple[bytes, ...]:
    """The packet came in from this host itself, or did not."""
    return _device(_META_IN, unlike=unlike)


def leaves_by_loopback() -> tuple[bytes, ...]:
    """The packet is for this host itself."""
    return _device(_META_OUT, unlike=False)


def _device(key: int, *, unlike: bool) -> tuple[bytes, ...]:
    return (_expression("meta", number(2, key), number(1, _REGISTER)),
            _expression("cmp", number(1, _REGISTER), number(2, _UNEQUAL if unlike else _EQUAL),
                        _value(struct.pack("=I", _LOOPBACK))))


def _load(base: int, offset: int, length: int, register: int = _REGISTER) -> bytes:
    return _expression("payload", number(1, register), number(2, base), number(3, offset), number(4, length))


def port_is(port: int, *, source: bool) -> tuple[bytes, ...]:
    """The port a packet comes from, or goes to."""
    return (_load(_TRANSPORT, 0 if source else 2, 2), equals(struct.pack(">H", port)))


def host_is(family: int, host: str, *, source: bool) -> tuple[bytes, ...]:
    """The address a packet comes from, or goes to."""
    packed = socket.inet_pton(socket.AF_INET if family == IPV4 else socket.AF_INET6, host)
    first = 12 if family == IPV4 else 8
    return (_load(_NETWORK, first + (0 if source else len(packed)), len(packed)), equals(packed))


def _flags_are(mask: int, value: int) -> tuple[bytes, ...]:
    kept = _expression("bitwise", number(1, _REGISTER), number(2, _REGISTER), number(3, 1),
                       nested(4, attribute(1, bytes([mask]))), nested(5, attribute(1, b"\0")))
    return (_load(_TRANSPORT, 13, 1), kept, equals(bytes([value])))


def opens_a_connection() -> tuple[bytes, ...]:
    """A TCP packet with SYN and without ACK."""
    return _flags_are(0x12, 0x02)


def goes_on_a_connection() -> tuple[bytes, ...]:
    """A TCP packet with neither SYN nor RST."""
    return _flags_are(0x06, 0x00)


def peer_is_among(family: int, share: float, seed: int, *, source: bool) -> tuple[bytes, ...]:
    """A share of the connections, the same ones in both directions: drawn from the peer's address and port.

    Args:
        source: whether the peer is the one the packet comes from.
    """
    size = 4 if family == IPV4 else 16
    first = 12 if family == IPV4 else 8
    host = _load(_NETWORK, first + (0 if source else size), size)
    port = _load(_TRANSPORT, 0 if source else 2, 2, _REGISTER + size // 4)
    draw = _expression("hash", number(1, _REGISTER), number(2, _REGISTER), number(3, size + 2), number(4, 1_000_000),
                       number(5, seed & 0xFFFFFFFF), number(7, 0))
    # Compared in network order: registers hold numbers of the host's order, so they are turned round first.
    turn = _expression("byteorder", number(1, _REGISTER), number(2, _REGISTER), number(3, 1), number(4, 4),
                       number(5, 4))
    return (host, port, draw, turn,
            _expression("cmp", number(1, _REGISTER), number(2, _LESS), _value(struct.pack(">I", round(share * 1e6)))))


def _verdict(code: int) -> tuple[bytes, ...]:
    return (_expression("immediate", number(1, _VERDICT_REGISTER), nested(2, nested(2, number(1, code)))),)


def drop() -> tuple[bytes, ...]:
    """It is gone, and nobody is told."""
    return _verdict(_DROP)


def accept() -> tuple[bytes, ...]:
    """It passes."""
    return _verdict(_ACCEPT)


def reset() -> tuple[bytes, ...]:
    """A TCP connection is told that it is over."""
    return (_expression("reject", number(1, 1), attribute(2, b"\0")),)


def lead_to(port: int) -> tuple[bytes, ...]:
    """It goes to a port of this host instead; for chains of the type `nat`."""
    return (_expression("immediate", number(1, _REGISTER), nested(2, attribute(1, struct.pack(">H", port)))),
            _expression("redir", number(1, _REGISTER)))


def remembered_apart(zone: int) -> tuple[bytes, ...]:
    """What is sent is remembered in a zone of its own, where nobody else's is looked up; answers are found as ever."""
    return (_expression("immediate", number(1, _REGISTER), nested(2, attribute(1, struct.pack("=H", zone)))),
            _expression("ct", number(2, _CT_ZONE), attribute(3, b"\0"), number(4, _REGISTER)))


def queue(number_: int, *, native: bool) -> tuple[bytes, ...]:
    """A program decides; while none listens, it passes.

    Args:
        native: by nft's own statement; else by the target of iptables.
    """
    if native:
        return (_expression("queue", attribute(1, struct.pack(">H", number_)), attribute(2, struct.pack(">H", 1)),
                            attribute(3, struct.pack(">H", _BYPASS))),)
    return (_expression("target", name(1, "NFQUEUE"), number(2, 3),
                        attribute(3, struct.pack("=HHHxx", number_, 1, _BYPASS))),)


class OwnTable:
    """A table of this process, in one family of addresses; gone with the process, or by `close`."""

    def __init__(self, family: int, title: str) -> None:
        self.family, self.title = family, title
        self._netlink = Netlink(NETFILTER)

    def put(self, chains: Sequence[Chain], rules: Sequence[Rule]) -> None:
        """Make the table with these chains and rules, all at once or not at all.

        Raises:
            Refused: the kernel refused: no permission, or it lacks an expression.
        """
        title = name(1, self.title)
        body = [(_NEW_TABLE, CREATE | EXCLUSIVE, title + number(2, _OWNER))]
        body += [(_NEW_CHAIN, CREATE, title + name(3, one.name) + nested(
            4, number(1, one.hook), attribute(2, struct.pack(">i", one.priority))) + number(5, _ACCEPT)
            + name(7, one.type)) for one in chains]
        body += [(_NEW_RULE, CREATE | APPEND, title + name(2, one.chain) + nested(4, *one.expressions))
                 for one in rules]
        self._send(body)

    def pass_everything(self) -> None:
        """Take the rules out and leave the chains: what waits in queues would be dropped with those."""
        self._send([(_DELETE_RULE, 0, name(1, self.title))])

    def remove(self) -> None:
        """Remove the table; the rules are no longer there when this returns."""
        self._send([(_DELETE_TABLE, 0, name(1, self.title))])

    def close(self) -> None:
        """End the ownership, and the table with it."""
        self._netlink.close()

    def _send(self, body: list[tuple[int, int, bytes]]) -> None:
        link = self._netlink
        framed = [message(_BEGIN, REQUEST, link.next(), struct.pack(">BBH", 0, 0, 10))]
        for kind, flags, data in body:
            last = link.next()
            framed.append(message(_SUBSYSTEM | kind, REQUEST | ACK | flags, last, bytes([self.family, 0, 0, 0]) + data))
        framed.append(message(_END, REQUEST, link.next(), struct.pack(">BBH", 0, 0, 10)))
        link.batch(framed, last)


def has_queue_target() -> bool:
    """Whether the kernel knows iptables' target for queues; nothing is changed by asking."""
    link = Netlink(NETFILTER)
    try:
        return bool(link.ask(_COMPATIBLE, 0, bytes([IPV4, 0, 0, 0]) + name(1, "NFQUEUE") + number(2, 3) + number(3, 1)))
    except Refused:
        return False
    finally:
        link.close()


def forbidden() -> str:
    """Why this process may not change the rules of its own network; empty when it may. Nothing is changed by asking."""
    try:
        link = Netlink(NETFILTER)
    except OSError as problem:
        return problem.strerror or str(problem)
    try:
        link.ask(_SUBSYSTEM | _GENERATION, 0, bytes(4))  # of the rules: told to whoever may change them
    except Refused as refused:
        return refused.strerror or str(refused)
    finally:
        link.close()
    return ""
