"""Requests a second of a typed read operation through the whole server, beside a bare Litestar hello in the same run.

Both run in a process of their own under the same uvicorn set-up; the client keeps its connections and takes turns
between the two, so that whatever else the machine does meets both. The ratios are the figures; absolute ones drift, and
of the two the processor time is the steadier one on a machine that does other work.
"""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import uvloop
from litestar import Litestar, get

from mainstay.doors.front import Hooks, ServerSettings
from mainstay.doors.http import serve

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from toy_server import toy_app

ROUNDS, SECONDS, LINES = 5, 1.5, 16


def serve_ours(announce: Any) -> None:
    settings, hooks = ServerSettings(port=0, per_second=1e9, burst=1e9), Hooks()
    serve(toy_app(settings, hooks=hooks), settings, hooks, announce)


def serve_hello(announce: Any) -> None:
    @get("/api/v1/slo/report")
    async def hello() -> dict[str, str]:
        return {"hello": "world"}

    serve(Litestar([hello], openapi_config=None), ServerSettings(port=0), Hooks(), announce)  # type: ignore[arg-type]


class Asker(asyncio.Protocol):
    """Sends the request again as soon as its answer is there."""

    def __init__(self, request: bytes, end: float) -> None:
        self.request, self.end, self.answers, self.got, self.size = request, end, 0, b"", 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.got += data
        if not self.size:
            # Every answer is as long as the first: the client must cost little, it shares the machine.
            head = self.got.partition(b"\r\n\r\n")[0]
            length = re.search(rb"content-length: (\d+)", head)
            self.size = len(head) + 4 + int(length[1]) if length else 0
        if not self.size or len(self.got) < self.size:
            return
        if not self.got.startswith(b"HTTP/1.1 200"):
            self.done.set_exception(AssertionError(f"the server refused: {self.got!r}"))
        elif time.perf_counter() > self.end:
            self.transport.close()
            self.done.set_result(None)
        else:
            self.answers, self.got = self.answers + 1, b""
            self.transport.write(self.request)


def processor_seconds(process: int) -> float:
    """Processor time a process has used, all its threads, from /proc."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def count(url: str, seconds: float) -> tuple[int, float]:
    """Answers over LINES kept connections, and the seconds they took."""
    host, _, port = url.removeprefix("http://").partition(":")
    request = f"GET /api/v1/slo/report?name=a&window=7 HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
    begun = time.perf_counter()
    loop = asyncio.get_running_loop()
    askers = [(await loop.create_connection(lambda: Asker(request, begun + seconds), host, int(port)))[1]
              for _ in range(LINES)]
    await asyncio.gather(*(asker.done for asker in askers))
    return sum(asker.answers for asker in askers), time.perf_counter() - begun


def main() -> None:
    servers = {name: subprocess.Popen([sys.executable, __file__, name], stdout=subprocess.PIPE, text=True)
               for name in ("ours", "hello")}
    try:
        urls = {name: server.stdout.readline().strip() for name, server in servers.items() if server.stdout}
        for url in urls.values():
            uvloop.run(count(url, 0.5))  # warm
        rates: dict[str, list[float]] = {name: [] for name in urls}
        costs: dict[str, list[float]] = {name: [] for name in urls}
        for _ in range(ROUNDS):
            for name, url in urls.items():
                before = processor_seconds(servers[name].pid)
                answers, took = uvloop.run(count(url, SECONDS))
                costs[name].append((processor_seconds(servers[name].pid) - before) / answers * 1e6)
                rates[name].append(answers / took)
    finally:
        for server in servers.values():
            server.terminate()
            server.wait(15)
    for name, title in (("ours", "typed read operation, guarded, in a thread"), ("hello", "bare litestar hello")):
        rate, cost = statistics.median(rates[name]), statistics.median(costs[name])
        print(f"{title:44} {rate:8,.0f} requests/s {cost:6.0f} µs of processor a request")
    ratio = statistics.median(rates["ours"]) / statistics.median(rates["hello"])
    dearer = statistics.median(costs["ours"]) / statistics.median(costs["hello"])
    print(f"ratio {ratio:.2f} in requests/s, {dearer:.1f} times the processor time "
          f"(medians of {ROUNDS} rounds, {LINES} kept connections)")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        {"ours": serve_ours, "hello": serve_hello}[sys.argv[1]](lambda url: print(url, flush=True))
    else:
        main()
