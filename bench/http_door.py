"""Requests a second of a typed read operation through the whole server, beside a bare Litestar hello in the same run.

Both run in a process of their own under the same uvicorn set-up; the client keeps its connections and takes turns
between the two, so that whatever else the machine does meets both. The ratio is the figure; absolute ones drift.
"""

from __future__ import annotations

import asyncio
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
        self.request, self.end, self.answers, self.got = request, end, 0, b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.got += data
        head, _, body = self.got.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if length is None or len(body) < int(length[1]):
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self.done.set_exception(AssertionError(f"the server refused: {head!r}"))
        elif time.perf_counter() > self.end:
            self.transport.close()
            self.done.set_result(None)
        else:
            self.answers, self.got = self.answers + 1, b""
            self.transport.write(self.request)


async def count(url: str, seconds: float) -> float:
    """Answers a second over LINES kept connections."""
    host, _, port = url.removeprefix("http://").partition(":")
    request = f"GET /api/v1/slo/report?name=a&window=7 HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
    begun = time.perf_counter()
    loop = asyncio.get_running_loop()
    askers = [(await loop.create_connection(lambda: Asker(request, begun + seconds), host, int(port)))[1]
              for _ in range(LINES)]
    await asyncio.gather(*(asker.done for asker in askers))
    return sum(asker.answers for asker in askers) / (time.perf_counter() - begun)


def main() -> None:
    servers = {name: subprocess.Popen([sys.executable, __file__, name], stdout=subprocess.PIPE, text=True)
               for name in ("ours", "hello")}
    try:
        urls = {name: server.stdout.readline().strip() for name, server in servers.items() if server.stdout}
        for url in urls.values():
            uvloop.run(count(url, 0.5))  # warm
        figures: dict[str, list[float]] = {name: [] for name in urls}
        for _ in range(ROUNDS):
            for name, url in urls.items():
                figures[name].append(uvloop.run(count(url, SECONDS)))
    finally:
        for server in servers.values():
            server.terminate()
            server.wait(15)
    ours, hello = (statistics.median(figures[name]) for name in ("ours", "hello"))
    print(f"typed read operation, guarded, in a worker thread: {ours:,.0f} requests/s")
    print(f"bare litestar hello:                               {hello:,.0f} requests/s")
    print(f"ratio {ours / hello:.2f} (median of {ROUNDS} rounds, {LINES} kept connections)")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        {"ours": serve_ours, "hello": serve_hello}[sys.argv[1]](lambda url: print(url, flush=True))
    else:
        main()
