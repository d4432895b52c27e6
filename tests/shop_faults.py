"""Faults between services of the running shop, put in by a small relay of the tests: real trouble on real connections.

The relay of the product is a room of its own; what is tested here is what practice makes of faults, so the way they
are put in is kept as small as it can be. A service is told to find its dependency at the relay by the shop's own
`/admin/dependencies`.
"""

from __future__ import annotations

import http.client
import json
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from mainstay.kernel.errors import InvalidInput, MainstayError
from mainstay.kernel.faults import Ability, Guarded, Healing, Injection, Leftover, Means, Measured, Order
from running_shop import RunningShop

KINDS = ("dependency-failure", "dependency-slow", "dependency-error", "dependency-reset", "corrupt-data")


class Relay(socketserver.ThreadingTCPServer):
    """Takes connections for a dependency and treats them as the order says."""

    daemon_threads, allow_reuse_address = True, True

    def __init__(self, order: Order, upstream: int) -> None:
        self.order, self.upstream = order, upstream
        super().__init__(("127.0.0.1", 0), _Connection)
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is what a relay of faults is for."""

    def end(self) -> None:
        self.shutdown()
        self.server_close()
        self.thread.join()


class _Connection(socketserver.BaseRequestHandler):
    server: Relay
    request: socket.socket

    def handle(self) -> None:
        order = self.server.order
        if order.kind == "dependency-reset":
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        if order.kind == "dependency-error":
            while self.request.recv(65536):
                body = b'{"error":"injected"}'
                self.request.sendall(b"HTTP/1.1 %d Injected\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
                                     b"\r\n%b" % (int(float(order.settings["status"])), len(body), body))
            return
        with socket.create_connection(("127.0.0.1", self.server.upstream), 5) as upstream:
            back = threading.Thread(target=self._back, args=(upstream,), daemon=True)
            back.start()
            while data := self.request.recv(65536):
                upstream.sendall(data)
            upstream.shutdown(socket.SHUT_WR)
            back.join(5)

    def _back(self, upstream: socket.socket) -> None:
        order = self.server.order
        try:
            while data := upstream.recv(65536):
                if order.kind == "dependency-slow":
                    time.sleep(float(order.settings["latency"]))
                if order.kind == "corrupt-data":
                    head, gap, body = data.partition(b"\r\n\r\n")
                    data = head + gap + b"#" * len(body)
                self.request.sendall(data)
        except OSError:
            pass


class ShopInjection:
    """A relay between a service of the shop and its dependency, or a dead port in its place."""

    def __init__(self, shop: RunningShop, order: Order) -> None:
        self.shop, self.order = shop, order
        self.relay = None if order.kind == "dependency-failure" else Relay(
            order, shop.record(order.dependency)["port"])
        self._dead = socket.socket()
        self._dead.bind(("127.0.0.1", 0))  # and kept, so that nobody else listens there meanwhile
        self.port = self.relay.server_address[1] if self.relay is not None else self._dead.getsockname()[1]
        self._route(f"127.0.0.1:{self.port}")

    @property
    def means(self) -> Means:
        return _means(self.order)

    def proof(self) -> Measured:
        """Where the service calls is asked of the service, and how that place answers of the place."""
        order, what = self.order, f"{self.order.workload.name} to {self.order.dependency}"
        address = self._ask("GET")[order.dependency]
        if address != f"127.0.0.1:{self.port}":
            return Measured(what, False)
        began = time.perf_counter()
        try:
            connection = http.client.HTTPConnection(address, timeout=5)
            connection.request("GET", "/healthz")
            answer = connection.getresponse()
            status, body = answer.status, answer.read()
        except OSError:
            return Measured(what, order.kind in ("dependency-failure", "dependency-reset"))
        finally:
            connection.close()
        taken = time.perf_counter() - began
        match order.kind:
            case "dependency-slow":
                asked = float(order.settings["latency"])
                return Measured(what, taken > asked / 2, taken, asked, "s")
            case "dependency-error":
                return Measured(what, status == int(float(order.settings["status"])))
            case _:
                return Measured(what, body.startswith(b"#"))

    def victims(self) -> Mapping[str, float]:
        return {}

    def remove(self) -> None:
        self._route("")
        self._dead.close()
        if self.relay is not None:
            self.relay.end()
            self.relay = None

    def _route(self, address: str) -> None:
        self._ask("POST", {self.order.dependency: address})

    def _ask(self, method: str, data: object = None) -> dict[str, str]:
        secret = (self.shop.folder / "secret").read_text().strip()
        answer = self.shop.ask(method, "/admin/dependencies", data, to=self.order.workload.name, x_shop_secret=secret)
        if answer.status != 200 and method == "POST":
            raise MainstayError(f"the shop refused: {answer.body!r}")
        if answer.status != 200:
            return {self.order.dependency: self.shop.record(self.order.dependency)["address"]}
        found: dict[str, str] = json.loads(answer.body)
        return found


def _means(order: Order) -> Means:
    if order.kind not in KINDS:
        raise InvalidInput(f"the tests cannot put in {order.kind}", "use one of " + ", ".join(KINDS))
    return Means("relay of the tests", Healing.KERNEL, (f"{order.workload.name} finds {order.dependency} elsewhere",))


class _Guarded:
    def __init__(self, shop: RunningShop) -> None:
        self._shop, self._put_in = shop, list[ShopInjection]()

    def inject(self, order: Order) -> Injection:
        self._put_in.append(ShopInjection(self._shop, order))
        return self._put_in[-1]

    def clear(self) -> tuple[str, ...]:
        for one in self._put_in:
            one.remove()
        return ()


class ShopInjector:
    """Every fault of the relay, for one run of the shop."""

    def __init__(self, shop: RunningShop) -> None:
        self._shop = shop

    def abilities(self) -> Sequence[Ability]:
        return tuple(Ability(kind, "relay of the tests", "real", Healing.KERNEL) for kind in KINDS)

    def means(self, order: Order) -> Means:
        return _means(order)

    @contextmanager
    def guard(self, run: str, *, manual: bool = False) -> Iterator[Guarded]:
        guarded = _Guarded(self._shop)
        try:
            yield guarded
        finally:
            guarded.clear()

    def recover(self, *, dry: bool = False) -> tuple[Leftover, ...]:
        return ()
