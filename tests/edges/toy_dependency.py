"""A dependency and who needs it: small programs of HTTP, and a story of both in a network of its own."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from mainstay.kernel.finding import Position
from mainstay.kernel.workload import At, Workload

ANSWER = b'{"status": "ok", "number": 7}'
CATALOG = Position("catalog.yaml", 1, 1)

_CALLER = """
import http.client, json, sys, time
line = None
for wanted in sys.stdin:
    began = time.perf_counter()
    if line is None or wanted.strip() != "again":
        line = http.client.HTTPConnection(sys.argv[1], timeout=3)
    try:
        line.request("GET", "/")
        answer = line.getresponse()
        said = [answer.status, answer.read().decode("latin1")]
    except OSError as error:
        said, line = [0, type(error).__name__], None
    print(json.dumps([*said, time.perf_counter() - began]), flush=True)
"""


class Caller:
    """A process of its own that calls an address when it is told to."""

    def __init__(self, address: str) -> None:
        self._process = subprocess.Popen([sys.executable, "-I", "-S", "-c", _CALLER, address], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True)
        self.pid = self._process.pid

    def call(self, *, again: bool = False) -> tuple[int, str, float]:
        """Status (0 is none), body or error, and seconds; `again` is on the connection that is open."""
        self._process.stdin.write("again\n" if again else "\n")  # type: ignore[union-attr]
        self._process.stdin.flush()  # type: ignore[union-attr]
        status, body, took = json.loads(self._process.stdout.readline())  # type: ignore[union-attr]
        return status, body, took

    def end(self) -> None:
        self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait(10)
        self._process.stdout.close()  # type: ignore[union-attr]


@contextmanager
def callers(*addresses: str) -> Iterator[list[Caller]]:
    ones = [Caller(address) for address in addresses]
    try:
        yield ones
    finally:
        for one in ones:
            one.end()


@contextmanager
def dependency() -> Iterator[str]:
    """Its address."""
    with _served(_answer) as address:
        yield address


class Routed:
    """A workload that can be told where its dependency is, by whoever knows the secret."""

    def __init__(self, direct: str, secret: str) -> None:
        self.direct, self.secret = direct, secret
        self.now = direct
        self.told: list[str] = []

    def call(self) -> tuple[int, str]:
        line = http.client.HTTPConnection(self.now, timeout=3)
        try:
            line.request("GET", "/")
            answer = line.getresponse()
            return answer.status, answer.read().decode("latin1")
        except OSError as error:
            return 0, type(error).__name__
        finally:
            line.close()

    def answer(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
        if request.command == "GET":
            return 200, b"{}"
        if request.headers["x-secret"] != self.secret:
            return 403, b"{}"
        self.now = json.loads(body)["dependency"] or self.direct
        self.told.append(self.now)
        return 200, b"{}"


@contextmanager
def routed(direct: str, secret: str) -> Iterator[tuple[Routed, str]]:
    one = Routed(direct, secret)
    with _served(one.answer) as address:
        yield one, address


def upstream(address: str, health: str = "/") -> Workload:
    return Workload("dependency", CATALOG, address=At(address), health=health)


def _answer(_request: BaseHTTPRequestHandler, _body: bytes) -> tuple[int, bytes]:
    return 200, ANSWER


@contextmanager
def _served(answer: Any) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            status, said = answer(self, body)
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_POST = do_GET  # noqa: N815  (a name that the standard library calls)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # connections that a fault reset

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
