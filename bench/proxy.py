"""The fault proxy with no toxic, beside a bare asyncio relay and a direct connection: throughput and round trips.

    python bench/proxy.py [seconds for each turn]

Sender, receiver and the ways between them are processes of their own, and the ways take turns, so that all see the
same machine. The relay is the least that asyncio's Protocol can do: `data_received` writes to the other side, with
back-pressure. The goals: at least 80 % of the relay's throughput, and 100 MB/s.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import socket
import statistics
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

from mainstay.adapters.proxy import Proxy, ProxyProcess, Toxic

LEAST_SHARE = 0.8
LEAST_RATE = 100e6
ROUNDS = 7
CHUNK = 256 * 1024
PINGS = 400


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 0.5
    context = multiprocessing.get_context("fork")
    service = started(context, serve)
    relay = started(context, relayed, service)
    with ProxyProcess() as proxies:
        plain = port_of(proxies.open(Proxy("plain", "127.0.0.1:0", f"127.0.0.1:{service}")))
        spared = port_of(proxies.open(Proxy("spared", "127.0.0.1:0", f"127.0.0.1:{service}"),
                                      [Toxic("latency", toxicity=0, attributes={"latency": 100})]))
        staged = port_of(proxies.open(Proxy("staged", "127.0.0.1:0", f"127.0.0.1:{service}"),
                                      [Toxic("latency"), Toxic("latency", stream="upstream")]))
        ways = {"direct": service, "asyncio Protocol relay": relay, "proxy, no toxic": plain,
                "proxy, toxicity 0": spared, "proxy, latency of 0 ms": staged}
        rates: dict[str, list[float]] = {name: [] for name in ways}
        trips: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, port in ways.items():
                rates[name].append(rate(port, seconds))
                trips[name].append(round_trip(port))
    show(rates, trips)


def show(rates: dict[str, list[float]], trips: dict[str, list[float]]) -> None:
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; {ROUNDS} turns each; ratios are of the same turn")
    print(f"{'':24} {'MB/s':>8} {'best':>8}  of relay   64 B there and back, µs")
    base = rates["asyncio Protocol relay"]
    for name, found in rates.items():
        share = statistics.median(one / other for one, other in zip(found, base, strict=True))
        print(f"{name:24} {statistics.median(found) / 1e6:8.0f} {max(found) / 1e6:8.0f}  {share:7.0%}"
              f"   {min(trips[name]) * 1e6:8.0f}")
    ours = rates["proxy, no toxic"]
    share = statistics.median(one / other for one, other in zip(ours, base, strict=True))
    if share < LEAST_SHARE or max(ours) < LEAST_RATE:
        raise SystemExit(f"slower than {LEAST_SHARE:.0%} of the relay, or than {LEAST_RATE / 1e6:g} MB/s")


def rate(port: int, seconds: float) -> float:
    """Bytes a second that the service has received, from the first to the last."""
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(b"sink" + bytes(60))
        data, begun = bytes(CHUNK), time.perf_counter()
        sent = 0
        while time.perf_counter() - begun < seconds:
            line.sendall(data)
            sent += CHUNK
        line.shutdown(socket.SHUT_WR)
        received = int(line.recv(64))
        assert received == sent
        return sent / (time.perf_counter() - begun)


def round_trip(port: int) -> float:
    """Seconds of the median 64 bytes there and back."""
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.sendall(b"echo" + bytes(60))
        took = []
        for _ in range(PINGS):
            begun = time.perf_counter()
            line.sendall(bytes(64))
            assert len(line.recv(64)) == 64
            took.append(time.perf_counter() - begun)
        return statistics.median(took)


def started(context: multiprocessing.context.ForkContext, run: Callable[..., None], *arguments: int) -> int:
    """Start a process that dies with this one; the port that it says it listens on."""
    here, there = context.Pipe()
    context.Process(target=run, args=(there, *arguments), daemon=True).start()
    return int(here.recv())


def serve(pipe: Connection) -> None:
    """Swallow, or say back, as the first 64 bytes ask; one connection at a time."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        pipe.send(door.getsockname()[1])
        buffer = bytearray(1024 * 1024)
        while True:
            line, _ = door.accept()
            with line:
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                asked = line.recv(64, socket.MSG_WAITALL)
                total = 0
                while size := line.recv_into(buffer):
                    total += size
                    if asked[:4] == b"echo":
                        line.sendall(memoryview(buffer)[:size])
                if asked[:4] == b"sink":
                    line.sendall(str(total).encode())


class Relay(asyncio.Protocol):
    """One side; what it receives goes to the other."""

    def __init__(self, upstream: int, other: Relay | None = None) -> None:
        self.upstream, self.other = upstream, other
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if self.other is None:
            transport.pause_reading()
            asyncio.get_running_loop().create_task(self.connect())

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        _, self.other = await loop.create_connection(lambda: Relay(self.upstream, self), "127.0.0.1", self.upstream)
        self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        assert self.other is not None
        self.other.transport.write(data)

    def eof_received(self) -> bool:
        assert self.other is not None
        self.other.transport.write_eof()
        return True

    def pause_writing(self) -> None:
        assert self.other is not None
        self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        assert self.other is not None
        self.other.transport.resume_reading()


def relayed(pipe: Connection, upstream: int) -> None:
    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(lambda: Relay(upstream), "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()
    asyncio.run(run())


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


if __name__ == "__main__":
    main()
