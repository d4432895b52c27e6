"""Small real services behind the proxy, and lines to it. Everything ends with its `with`."""

from __future__ import annotations

import contextlib
import math
import os
import select
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATIENCE = 60.0
"""Seconds that anything may take; far longer than it does."""


def own_host() -> str:
    """A loopback address of this process's own, for ports that are found first and taken later: at 127.0.0.1 anybody
    could have taken them meanwhile."""
    number = os.getpid()
    return f"127.{64 + (number >> 16) % 64}.{(number >> 8) % 256}.{number % 256}"


def nobody(kind: socket.SocketKind = socket.SOCK_STREAM) -> str:
    """An address at which nobody listens, and nobody else will."""
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind((own_host(), 0))
        return f"{own_host()}:{sock.getsockname()[1]}"


def address_of(written: str) -> tuple[str, int]:
    host, _, port = written.rpartition(":")
    return host.strip("[]"), int(port)


def dial(written: str) -> socket.socket:
    """A connection to the proxy."""
    line = socket.create_connection(address_of(written), PATIENCE)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return line


def exactly(line: socket.socket, size: int) -> bytes:
    """So many bytes, or what came until the end."""
    out = bytearray()
    while len(out) < size and (data := line.recv(min(65536, size - len(out)))):
        out += data
    return bytes(out)


def everything(line: socket.socket) -> bytes:
    """All until the end."""
    return exactly(line, 1 << 40)


def ask(line: socket.socket, data: bytes) -> bytes:
    """What an echo service says to it."""
    line.sendall(data)
    return exactly(line, len(data))


def took(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def is_quick(act: Callable[[], object], seconds: float) -> bool:
    """Whether it takes less at least once: a shared machine may stop anybody for a while, a fault stops them always."""
    give_up = time.monotonic() + PATIENCE / 2
    while took(act) >= seconds:
        if time.monotonic() > give_up:
            return False
    return True


def is_about(seen: float, asked: float) -> bool:
    """Whether it took its time, and not for ever; how exact the faults are is measured in test_physics.py."""
    return asked - 0.005 <= seen < asked + 5


def on_a_good_try(check: Callable[[], None], tries: int = 12) -> None:
    """The check, again where it fails: a shared machine may stop anybody for a while, a wrong fault is wrong always."""
    for left in reversed(range(tries)):
        try:
            check()
        except AssertionError:
            if not left:
                raise
        else:
            return


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until it holds."""
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < PATIENCE, "it never held"
        time.sleep(0.005)


class _Threads(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256


@contextlib.contextmanager
def service(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A TCP service; `answer` has each connection, in a thread of its own. Its address."""
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(OSError):
                answer(self.request)

    with _Threads(("127.0.0.1", 0), Handler) as server, _running(server):
        yield f"127.0.0.1:{server.server_address[1]}"


def echoing(line: socket.socket) -> None:
    """Say back what comes; closing answers closing."""
    while data := line.recv(65536):
        line.sendall(data)


@contextlib.contextmanager
def echo() -> Iterator[str]:
    with service(echoing) as written:
        yield written


@contextlib.contextmanager
def udp_echo() -> Iterator[str]:
    """A UDP service that says back what comes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(0.05)
        over = threading.Event()

        def run() -> None:
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    data, sender = sock.recvfrom(65536)
                    sock.sendto(data, sender)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield f"127.0.0.1:{sock.getsockname()[1]}"
        finally:
            over.set()
            thread.join()


class _Served(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Connections that a toxic reset: a traceback of each would be all that anybody saw of the run."""


@contextlib.contextmanager
def web(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """An HTTP/1.1 service of the standard library."""
    with _Served(("127.0.0.1", 0), handler) as server, _running(server):
        server.daemon_threads = True
        yield f"127.0.0.1:{server.server_address[1]}"


@contextlib.contextmanager
def _running(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


def silent(line: socket.socket, seconds: float) -> bool:
    """Whether nothing comes for so long, not even the end."""
    return not select.select([line], [], [], seconds)[0]


def within_99_percent(hits: int, draws: int, share: float) -> bool:
    """Whether so many hits lie in the interval that 99 % of binomial draws fall into (normal approximation)."""
    return abs(hits - draws * share) <= 2.5758 * math.sqrt(draws * share * (1 - share)) + 0.5


def is_over(line: socket.socket) -> bool:
    """Whether the connection ends, or is cut, with nothing more on it."""
    try:
        return everything(line) == b""
    except ConnectionResetError:
        return True


def turned_away(written: str) -> bool:
    """Whether a new connection is reset before it gets anything."""
    try:
        with dial(written) as line:
            line.sendall(b"x")
            exactly(line, 1)
    except (ConnectionResetError, BrokenPipeError):
        return True
    return False
