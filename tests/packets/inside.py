"""Run beside a process, in its network: `inside.py PID WHAT {json}` prints what it saw as one line of JSON."""

from __future__ import annotations

import itertools
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from typing import Any

from mainstay.adapters.faults.packets.namespaces import elsewhere, enter

_TIMESTAMPS = 35  # SO_TIMESTAMPNS: when the kernel got a datagram


def round_trips(host: str, port: int, count: int, udp: bool = False, timeout: float = 0.5,
                gap: float = 0.0) -> list[float | None]:
    """Seconds of each; None where no answer came in time."""
    one = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET,
                        socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
    one.settimeout(60)
    one.connect((host, port))
    if not udp:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    one.settimeout(timeout)
    found: list[float | None] = []
    for number in range(count):
        began = time.perf_counter()
        one.send(b"%08d" % number)
        try:
            while one.recv(8) != b"%08d" % number:
                continue
            found.append(time.perf_counter() - began)
        except TimeoutError:
            found.append(None)
        time.sleep(gap)
    return found


def flood(host: str, port: int, count: int, wait: float = 0.5, gap: float = 0.0002) -> dict[str, Any]:
    """Datagrams to an echo, without waiting for each: how many came back, in what order, how often, how late.

    An answer's delay is from when the server sent it until this kernel got it, so that no busy reader adds to it.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        one.setsockopt(socket.SOL_SOCKET, _TIMESTAMPS, 1)
        one.connect((host, port))
        one.settimeout(wait)
        came: list[int] = []
        delays: list[float] = []

        def listen() -> None:
            while True:
                try:
                    data, notes, _, _ = one.recvmsg(64, 64)
                except TimeoutError:
                    return
                _, number, sent = data.split()
                seconds, rest = struct.unpack("qq", notes[0][2])
                came.append(int(number))
                delays.append((seconds * 10**9 + rest - int(sent)) / 1e9)

        listener = threading.Thread(target=listen)
        listener.start()
        for number in range(count):
            one.send(b"n %d" % number)
            time.sleep(gap)
        listener.join()
    overtaken = sum(later < earlier for earlier, later in itertools.pairwise(came))
    return {"came": len(came), "different": len(set(came)), "overtaken": overtaken, "delays": sorted(delays)}


def transfer(host: str, port: int, size: int) -> dict[str, float]:
    """Bytes a second of a download of so many bytes, from the first that came."""
    with socket.create_connection((host, port)) as one:
        one.sendall(b"send %d" % size)
        left = size - (first := len(one.recv(1 << 16)))
        began = time.perf_counter()
        while left:
            left -= len(one.recv(1 << 16))
        return {"rate": (size - first) / (time.perf_counter() - began)}


def connections(host: str, port: int, count: int, timeout: float = 2.0) -> dict[str, int]:
    """New connections, one after another, with a word on each: how they fared, in their order."""
    fared = []
    for _ in range(count):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as one:
            one.settimeout(timeout)
            try:
                one.connect((host, port))
                one.send(b"x")
                fared.append("ok" if one.recv(1) else "closed")
            except TimeoutError:
                fared.append("silent")
            except ConnectionRefusedError:
                fared.append("refused")
            except OSError:
                fared.append("reset")
    return {name: fared.count(name) for name in ("ok", "closed", "silent", "refused", "reset")}


def bystander(host: str, port: int, count: int) -> dict[str, float]:
    """One connection and its answers: how many were wrong or missing, and the longest."""
    with socket.create_connection((host, port), 60) as one:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wrong, longest = 0, 0.0
        for number in range(count):
            began = time.perf_counter()
            one.sendall(b"%08d" % number)
            wrong += one.recv(8) != b"%08d" % number
            longest = max(longest, time.perf_counter() - began)
        return {"operations": count, "wrong": wrong, "longest": longest}


def put_rules(rules: str) -> None:
    """Somebody else's rules."""
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)


def state() -> dict[str, str]:
    """Everything of this network that somebody could have changed."""
    programs = (["nft", "list", "ruleset"], ["iptables-save"], ["ip", "rule"], ["ip", "route", "show", "table", "all"],
                ["tc", "qdisc", "show"], ["ip", "-o", "link"], ["cat", "/proc/net/netfilter/nfnetlink_queue"])
    return {" ".join(argv): subprocess.run(argv, capture_output=True, text=True, check=False).stdout
            for argv in programs}


def main() -> None:
    pid, what = int(sys.argv[1]), sys.argv[2]
    if pid != os.getpid() and elsewhere(pid):
        enter(pid)
    print(json.dumps(globals()[what](**json.loads(sys.argv[3]))))


if __name__ == "__main__":
    main()
