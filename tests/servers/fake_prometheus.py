"""A fake Prometheus: a real HTTP server on loopback whose answers a test writes.

For the mistakes that no real server makes at will; what real ones do is tested with real ones.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class FakeAnswer:
    """What the fake says.

    Args:
        body: a JSON value, or bytes that are sent as they are.
        cut: announce this many bytes more than are sent, and hang up.
        before, between: seconds of silence before the answer, and between its bytes.
    """

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int = 0
    before: float = 0.0
    between: float = 0.0


@dataclass
class FakePrometheus:
    """The fake's address, its answers in order, the last one staying, and what it was asked.

    Args:
        asked: (method, path, form, headers) of each request but those about its build.
    """

    url: str
    answers: list[FakeAnswer]
    asked: list[tuple[str, str, dict[str, str], Mapping[str, str]]] = field(default_factory=list)


def matrix(*lines: tuple[Mapping[str, str], list[tuple[float, str]]], **more: Any) -> dict[str, Any]:
    """A well-formed answer to a range query: (labels, points) a series; `warnings` and the like beside it."""
    result = [{"metric": dict(labels), "values": [list(point) for point in points]} for labels, points in lines]
    return {"status": "success", "data": {"resultType": "matrix", "result": result}, **more}


@contextlib.contextmanager
def fake_prometheus(*answers: FakeAnswer) -> Iterator[FakePrometheus]:
    """The fake, serving; the page about its build is always well, so that the answers meet the queries."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            form = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            address = urlsplit(self.path)
            if address.path.endswith("/status/buildinfo"):
                self._say(FakeAnswer({"status": "success", "data": {"version": "9.9.9"}}))
                return
            with lock:
                fields = {name: values[0] for name, values in parse_qs(form or address.query).items()}
                fake.asked.append((self.command, address.path, fields, dict(self.headers.items())))
                answer = fake.answers.pop(0) if len(fake.answers) > 1 else fake.answers[0]
            with contextlib.suppress(ConnectionError):  # the client may have given up, as it should
                self._say(answer)

        do_GET = do_POST = _answer  # noqa: N815 the names http.server calls

        def _say(self, answer: FakeAnswer) -> None:
            time.sleep(answer.before)
            body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) + answer.cut))
            self.end_headers()
            for byte in body if answer.between else ():
                self.wfile.write(bytes([byte]))
                time.sleep(answer.between)
            if not answer.between:
                self.wfile.write(body)
            if answer.cut:
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake = FakePrometheus(f"http://127.0.0.1:{server.server_port}", list(answers))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
