"""The probe beside the fault: opens connections as a stranger would and times them, in the workload's own network.

It knows nothing of rules and queues. One line of JSON in, one out: `python -m mainstay.adapters.faults.packets.probe`.
"""

from __future__ import annotations

import errno
import fcntl
import json
import select
import socket
import struct
import sys
import termios
import time
from collections import Counter
from typing import Any

from mainstay.adapters.faults.packets.namespaces import enter

_AT_ONCE = 50
_GAP = 0.001
_ALL_FRAMES = 3
_OUTGOING = 4
_SYN_ACK = 0x12


def main() -> int:
    """Measure what standard input asks for: connections, an upload, or frames seen twice."""
    asked: dict[str, Any] = json.loads(sys.stdin.readline())
    try:
        if asked["inside"]:
            enter(asked["inside"])
        found: dict[str, Any] = _UPLOAD_OR[asked["what"]](asked)
    except OSError as error:
        found = {"error": error.strerror or str(error)}
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


def connections(asked: dict[str, Any]) -> dict[str, Any]:
    """Open `count` connections, a few at once; how long each took, or how it failed.

    Returns:
        seconds of those that stood, `refused`, `reset` (at once after they stood) and `silent` (none of it in time).
    """
    took: list[float] = []
    failed: Counter[str] = Counter()
    left = int(asked["count"])
    while left:
        batch = min(left, _AT_ONCE)
        left -= batch
        _batch(asked, batch, took, failed)
    return {"seconds": took, "refused": failed["refused"], "reset": failed["reset"], "silent": failed["silent"]}


def _batch(asked: dict[str, Any], count: int, took: list[float], failed: Counter[str]) -> None:
    poll = select.poll()
    began: dict[int, tuple[socket.socket, float]] = {}
    settled: list[socket.socket] = []
    for _ in range(count):
        one = _socket(asked)
        began[one.fileno()] = (one, time.perf_counter())
        code = one.connect_ex((asked["host"], asked["port"]))
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, "cannot connect")
        poll.register(one, select.POLLOUT)
        time.sleep(_GAP)  # so that the service's queue of new connections never fills for our sake
        _settle(poll, 0, began, settled, took, failed)
    until = time.perf_counter() + asked["seconds"]
    while began and (rest := until - time.perf_counter()) > 0:
        _settle(poll, rest, began, settled, took, failed)
    failed["silent"] += len(began)
    if asked.get("linger"):
        failed["reset"] += _reset(settled, asked["linger"])
    for one in [*settled, *(one for one, _ in began.values())]:
        _abort(one)


def _settle(poll: select.poll, wait: float, began: dict[int, tuple[socket.socket, float]],
            settled: list[socket.socket], took: list[float], failed: Counter[str]) -> None:
    for number, _event in poll.poll(wait * 1000):
        one, start = began.pop(number)
        poll.unregister(one)
        code = one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            failed["refused" if code == errno.ECONNREFUSED else "reset"] += 1
            one.close()
        else:
            took.append(time.perf_counter() - start)
            settled.append(one)


def _reset(ones: list[socket.socket], seconds: float) -> int:
    """How many are reset within so long after they stood."""
    time.sleep(seconds)
    return sum(bool(one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)) for one in ones)


def _socket(asked: dict[str, Any]) -> socket.socket:
    one = socket.socket(socket.AF_INET6 if ":" in asked["host"] else socket.AF_INET, socket.SOCK_STREAM)
    one.setblocking(False)
    return one


def _abort(one: socket.socket) -> None:
    """End it without a farewell, so that nothing of it is left waiting."""
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()


def upload(asked: dict[str, Any]) -> dict[str, Any]:
    """Send the head of a request that never ends, and see how long the other kernel takes to confirm it.

    Returns:
        `bytes` that were confirmed, within `took` seconds.
    """
    head = f"GET {asked['path']} HTTP/1.1\r\nHost: {asked['host']}\r\nX-Padding: ".encode()
    data = head + b"x" * (int(asked["bytes"]) - len(head))
    one = socket.create_connection((asked["host"], asked["port"]), asked["seconds"])
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        began = time.perf_counter()
        until = began + asked["seconds"]
        sent = one.send(data)
        while (left := _unconfirmed(one)) and time.perf_counter() < until:
            time.sleep(0.0005)
        return {"bytes": sent - left, "took": time.perf_counter() - began}
    finally:
        _abort(one)


def _unconfirmed(one: socket.socket) -> int:
    return int(struct.unpack("i", fcntl.ioctl(one, termios.TIOCOUTQ, b"\0\0\0\0"))[0])


def doubled(asked: dict[str, Any]) -> dict[str, Any]:
    """Open connections and count, on the wire, how often the workload's consent came.

    Returns:
        `answered`: connections it answered, `doubled`: of them, those whose answer came twice within 0.5 s.
    """
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL_FRAMES)) as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        wire.setblocking(False)
        took = connections({**asked, "linger": 0})
        time.sleep(0.05)
        seen: dict[int, list[float]] = {}
        while True:
            try:
                frame, where = wire.recvfrom(128)
            except BlockingIOError:
                break
            port = _consent_to(frame, asked["port"])
            if port and (where[2] == _OUTGOING or where[0] != "lo"):
                seen.setdefault(port, []).append(0.0)
    return {"answered": len(seen), "doubled": sum(len(times) > 1 for times in seen.values()),
            "silent": took["silent"], "refused": took["refused"]}


def _consent_to(frame: bytes, port: int) -> int:
    """The port whose wish for a connection this frame consents to; 0 when it is something else."""
    if len(frame) < 40:
        return 0
    if frame[0] >> 4 == 4:
        first, protocol = (frame[0] & 0xF) * 4, frame[9]
    else:
        first, protocol = 40, frame[6]
    if protocol != socket.IPPROTO_TCP or len(frame) < first + 14:
        return 0
    source, target = struct.unpack_from(">HH", frame, first)
    return int(target) if source == port and frame[first + 13] & _SYN_ACK == _SYN_ACK else 0


_UPLOAD_OR = {"connections": connections, "upload": upload, "doubled": doubled}

if __name__ == "__main__":
    sys.exit(main())
