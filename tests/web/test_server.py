"""The running server: where it listens, how it stops, and what it does with those who dawdle."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from mainstay.doors import connection, guard, http
from mainstay.doors.front import Hooks, ServerSettings
from mainstay.doors.guard import Receive, Scope, Send
from mainstay.doors.http import Server
from mainstay.kernel.errors import InvalidInput
from toy_server import PATIENCE, running, toy_app

SETTINGS = ServerSettings(port=0)

PROGRAM = """
from toy_server import *
from mainstay.doors.http import Server
settings, hooks = ServerSettings(port=0), Hooks()
Server(toy_app(settings, hooks=hooks), settings, hooks.feed, lambda url: print(url, flush=True)).run()
print("stopped", flush=True)
"""


def test_a_server_on_port_0_says_where_it_listens_and_on_loopback_alone() -> None:
    hooks = Hooks()
    with running(toy_app(SETTINGS, hooks=hooks), SETTINGS, hooks) as url:
        assert url.startswith("http://127.0.0.1:")
        response = httpx.get(f"{url}/api/v1/slo/report", timeout=PATIENCE)
        assert response.json()["name"] == "local"
        assert "server" not in response.headers


def test_a_taken_port_is_said_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(InvalidInput, match="cannot listen"):
        Server(toy_app(), ServerSettings(port=taken.getsockname()[1]))


def test_sigterm_ends_requests_in_flight_well_and_then_the_program() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True,
                          env=environment) as server:
        assert server.stdout
        url = server.stdout.readline().strip()
        with httpx.Client(timeout=PATIENCE) as client, client.stream("GET", f"{url}/events"), \
                httpx.Client(timeout=PATIENCE) as other:
            response = other.get(f"{url}/api/v1/slo/report?name=slow")
            assert response.status_code == 200
            told = time.monotonic()
            server.send_signal(signal.SIGTERM)
            assert server.stdout.read() == "stopped\n"
            assert time.monotonic() - told < http.GRACE, "the page that listens is not waited for"
        assert server.wait(PATIENCE) == 0


@pytest.mark.parametrize("beginning", [b"", b"GET / HTTP/1.1\r\nHost: local"])
def test_a_head_that_never_ends_is_cut_off(monkeypatch: pytest.MonkeyPatch, beginning: bytes) -> None:
    monkeypatch.setattr(connection, "HEAD_TIME_OUT", 0.2)
    hooks = Hooks()
    with running(toy_app(SETTINGS, hooks=hooks), SETTINGS, hooks) as url:
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as line:
            line.sendall(beginning)
            assert line.recv(100) == b""


def test_a_head_without_end_is_cut_off_by_its_size() -> None:
    hooks = Hooks()
    with running(toy_app(SETTINGS, hooks=hooks), SETTINGS, hooks) as url:
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as line:
            # Little is under way at any time: what was sent is about what the server took, however slow it is.
            line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 * 1024)
            line.sendall(b"GET / HTTP/1.1\r\n")
            sent = 0
            with contextlib.suppress(ConnectionError):
                while sent < 4_000_000:
                    line.sendall(b"X-A: " + b"a" * 4000 + b"\r\n")
                    sent += 4000
                    time.sleep(0.001)
            assert 64 * 1024 <= sent < 4_000_000


def test_two_lengths_of_a_body_cannot_smuggle_a_request() -> None:
    hooks = Hooks()
    with running(toy_app(SETTINGS, hooks=hooks), SETTINGS, hooks) as url:
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as line:
            line.sendall(b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
                         b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
            assert b" 400 " in line.recv(100)


def test_a_body_that_stops_coming_is_answered_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_TIME_OUT", 0.2)
    hooks = Hooks()
    with running(toy_app(SETTINGS, hooks=hooks), SETTINGS, hooks) as url:
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as line:
            line.sendall(b"POST /api/v1/slo/freeze HTTP/1.1\r\nHost: localhost\r\n"
                         b"Content-Type: application/json\r\nContent-Length: 20\r\n\r\n{")
            answer = b""
            while said := line.recv(4_000):
                answer += said
            assert b" 408 " in answer
            assert b"did not arrive within 0.2 s" in answer


def test_many_that_connect_at_once_are_let_in_together_and_not_one_a_round() -> None:
    """The last of 500 senders would otherwise wait for 500 rounds of the event loop, each as long as its work."""
    there: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return
        there.append(len(server.server_state.connections))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    server = Server(app, SETTINGS, started=lambda _: None)
    port = int(server.url.rpartition(":")[2])
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
                 for _ in range(64)]
        for line in lines:
            line.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            assert all(line.recv(100).startswith(b"HTTP/1.1 204") for line in lines)
        finally:
            server.stop()
            thread.join(PATIENCE)
    assert len(there) == 64
    assert there[0] >= 8
