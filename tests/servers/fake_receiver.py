"""A fake receiver of webhooks: a real HTTP server on this machine that keeps what it is sent and answers as told."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Listener:
    """What it was sent, and how it answers.

    Args:
        good: the status it answers with when nothing else is said; a redirect leads to another place of its own.
        silence: seconds before it answers; whoever is still waiting when the block ends is answered then.
        answers: statuses and headers of the next answers, used up one by one.
        got: each body and its headers, with names in lower case.
        at: when each had come, by the wall clock.
    """

    url: str = ""
    good: int = 202
    silence: float = 0.0
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    got: list[tuple[bytes, dict[str, str]]] = field(default_factory=list)
    at: list[float] = field(default_factory=list)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """The bodies as JSON."""
        return [json.loads(body) for body, _ in self.got]


@contextlib.contextmanager
def listening(good: int = 202, silence: float = 0.0) -> Iterator[Listener]:
    """One that listens until the block ends."""
    here, over = Listener(good=good, silence=silence), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            here.at.append(time.time())
            here.got.append((body, {name.lower(): value for name, value in self.headers.items()}))
            status, headers = here.answers.pop(0) if here.answers else (here.good, {})
            over.wait(here.silence)
            if status in (301, 302, 307):
                headers = {"Location": f"{here.url}/elsewhere", **headers}
            with contextlib.suppress(ConnectionError):
                self.send_response(status)
                for name, value in {**headers, "Content-Length": "0"}.items():
                    self.send_header(name, value)
                self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    here.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield here
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()
