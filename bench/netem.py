"""Packets held by a program: how much passes in a second, and how near what is seen is to what was asked.

Everything happens in a network of its own; root is not needed. `python bench/netem.py`
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

from mainstay.adapters.faults.packets import child
from mainstay.adapters.faults.packets.impairment import Impairment
from mainstay.adapters.faults.packets.namespaces import loopback_up, own_network
from mainstay.adapters.faults.packets.task import QUEUE, Place, Task, Way

HOST = "127.0.0.1"
GOAL = 200.0
SECONDS = 2.0


def main() -> int:
    own_network()
    loopback_up()
    with served() as (tcp, udp):
        print(f"load average: {' '.join(f'{one:.1f}' for one in os.getloadavg())} on {os.cpu_count()} processors\n")
        passed = throughput(tcp)
        accuracy(tcp, udp)
    return 0 if passed else 1


def throughput(port: int) -> bool:
    print("throughput of one TCP connection                       Mbit/s   of none   processor")
    none = 0.0
    ways: list[tuple[str, int, Impairment | None]] = [
        ("nothing in between, packets of 65536", 65_536, None),
        ("held, no impairment, segments glued", 65_536, Impairment()),
        ("held, latency 2 ms, segments glued", 65_536, Impairment(latency=0.002)),
        ("nothing in between, packets of 1500", 1500, None),
        ("held, no impairment, packets of 1500, glued", 1500, Impairment()),
        ("held, each packet of 1500 decided by itself", 1500, Impairment(loss=1e-9)),
        ("held, each packet of 1500, 0.01 % lost, 1 ms", 1500, Impairment(loss=1e-4, latency=0.001)),
    ]
    rates = {}
    for title, mtu, what in ways:
        set_mtu(mtu)
        with holding(port, socket.IPPROTO_TCP, what) as pid:
            before = busy(pid)
            rate = max(download(port) for _ in range(3))
            used = (busy(pid) - before) / (3 * SECONDS)
        none = rate if what is None else none
        rates[title] = rate
        print(f"{title:<50} {rate:>10.0f} {rate / none:>8.0%} {used:>10.0%}")
    set_mtu(65_536)
    worst = min(rates[title] for title, _, what in ways if what is not None and not what.loss)
    each = rates["held, each packet of 1500 decided by itself"]
    print(f"goal: {GOAL:.0f} Mbit/s; the slowest of the glued {worst:.0f}, each packet by itself {each:.0f}\n")
    return min(worst, each) >= GOAL


def accuracy(tcp: int, udp: int) -> None:
    print(f"{'asked':<34} {'seen':<44} within")
    for asked in (0.001, 0.01, 0.1):
        with holding(tcp, socket.IPPROTO_TCP, Impairment(latency=asked)):
            seen = round_trips(tcp, 20)
        row(f"latency {asked * 1000:g} ms",
            f"median {statistics.median(seen) * 1000:.2f}, least {min(seen) * 1000:.2f}, "
            f"most {max(seen) * 1000:.2f} ms",
            abs(statistics.median(seen) - asked) <= max(0.005, 0.05 * asked))
    with holding(udp, socket.IPPROTO_UDP, Impairment(latency=0.05, jitter=0.02)):
        _, delays = datagrams(udp, 500)
    row("latency 50 ms, jitter 20 ms", f"{min(delays) * 1000:.1f} … {max(delays) * 1000:.1f}, deviation "
        f"{statistics.stdev(delays) * 1000:.1f} (even: 11.5) ms", abs(statistics.stdev(delays) - 0.01155) < 0.0015)
    for asked in (0.01, 0.1, 0.5):
        with holding(udp, socket.IPPROTO_UDP, Impairment(loss=asked)):
            came, _ = datagrams(udp, 4000)
        lost = 1 - came / 4000
        row(f"loss {asked:.0%}", f"{lost:.2%} of 4000", abs(lost - asked) <= 2.58 * (asked * (1 - asked) / 4000) ** 0.5)
    for kind, what in (("duplication", Impairment(duplication=0.2)), ("damage", Impairment(corruption=0.2))):
        with holding(udp, socket.IPPROTO_UDP, what):
            came, _ = datagrams(udp, 4000)
        share = abs(came / 4000 - 1)
        row(f"{kind} 20 %", f"{share:.2%} of 4000", abs(share - 0.2) <= 2.58 * (0.16 / 4000) ** 0.5)
    for rate in (1e6, 1e7, 5e7):
        with holding(tcp, socket.IPPROTO_TCP, Impairment(rate=rate)):
            seen = download(tcp) * 1e6 / 8
        row(f"rate {rate / 1e6:g} MB/s", f"{seen / 1e6:.3f} MB/s", abs(seen / rate - 1) <= 0.08)


def row(asked: str, seen: str, good: bool) -> None:
    print(f"{asked:<34} {seen:<44} {'yes' if good else 'NO'}")


@contextlib.contextmanager
def holding(port: int, protocol: int, what: Impairment | None) -> Iterator[int]:
    """The process that holds what leaves the port, or this one when nothing is held."""
    if what is None:
        yield os.getpid()
        return
    pids: list[int] = []
    held = child.Held(Task("mainstay-bench", (Place(socket.AF_INET, protocol, HOST, port),), outgoing=Way(QUEUE, what),
                           seed=1), lambda undos: pids.extend(one.data["pid"] for one in undos))
    try:
        yield pids[0]
    finally:
        held.end()


def busy(pid: int) -> float:
    """Seconds of processor time."""
    with open(f"/proc/{pid}/stat") as file:
        words = file.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def download(port: int) -> float:
    """Mbit/s of one connection."""
    with socket.create_connection((HOST, port)) as one:
        one.sendall(b"stream")
        got, began = 0, time.perf_counter()
        while (now := time.perf_counter()) < began + SECONDS:
            got += len(one.recv(1 << 20))
        return got * 8 / 1e6 / (now - began)


def round_trips(port: int, count: int) -> list[float]:
    with socket.create_connection((HOST, port)) as one:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        found = []
        for _ in range(count):
            began = time.perf_counter()
            one.sendall(b"x")
            one.recv(1)
            found.append(time.perf_counter() - began)
        return found


def datagrams(port: int, count: int) -> tuple[int, list[float]]:
    """How many answers came, and how late each was: from the server's stamp to this kernel's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        one.connect((HOST, port))
        one.settimeout(0.5)
        delays: list[float] = []

        def listen() -> None:
            with contextlib.suppress(TimeoutError):
                while True:
                    data, notes, _, _ = one.recvmsg(64, 64)
                    seconds, rest = struct.unpack("qq", notes[0][2])
                    delays.append((seconds * 10**9 + rest - int(data)) / 1e9)

        listener = threading.Thread(target=listen)
        listener.start()
        for _ in range(count):
            one.send(b"x")
            time.sleep(0.0002)
        listener.join()
        return len(delays), delays


def set_mtu(size: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        fcntl.ioctl(one, 0x8922, struct.pack("16si", b"lo", size))  # SIOCSIFMTU


_SERVER = """
import socket, sys, threading, time
tcp, udp = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", 0))
def talk(line):
    try:
        while data := line.recv(65536):
            while data == b"stream":
                line.sendall(b"x" * 262144)
            line.sendall(data)
    except OSError:
        pass
def accept():
    while True:
        line = tcp.accept()[0]
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=talk, args=(line,), daemon=True).start()
def answer():
    while True:
        asker = udp.recvfrom(64)[1]
        udp.sendto(b"%d" % time.time_ns(), asker)
for job in (accept, answer):
    threading.Thread(target=job, daemon=True).start()
print(f"[{tcp.getsockname()[1]}, {udp.getsockname()[1]}]", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def served() -> Iterator[tuple[int, int]]:
    """A server in a process of its own: the ports of TCP and of UDP."""
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        tcp, udp = json.loads(server.stdout.readline())
        yield tcp, udp
        server.stdin.close()


if __name__ == "__main__":
    sys.exit(main())
