"""`mainstay chaos proxy`: proxies between programs, asked by toxiproxy's API."""

from __future__ import annotations

import sys

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.faults import Relayed, Relaying
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.view import View, table


@dataclass(frozen=True)
class ProxyRequest:
    """Where the API listens, and the proxies to begin with."""

    listen: str = arg("where the API listens; port 0 takes a free one", "127.0.0.1:8474", value="HOST:PORT")
    config: str = arg("proxies to begin with: toxiproxy's JSON list", "", value="FILE", local_only=True)
    seed: int = arg("every draw follows from it", 0)
    beyond_loopback: bool = arg("the API may listen where others reach it, who then can break things", False)


@dataclass(frozen=True, slots=True)
class Proxied:
    """What the proxies did, when they were told to stop."""

    api: str
    proxies: tuple[Relayed, ...]


def proxy(world: World, request: ProxyRequest) -> Proxied:
    """Run proxies that delay, cut and damage what passes; toxiproxy's clients can ask them.

    Goes on until Ctrl-C.
    """
    at: list[str] = []

    def told(address: str) -> None:
        at.append(address)
        sys.stderr.write(f"toxiproxy's API at http://{address} · Ctrl-C stops\n")
        sys.stderr.flush()

    found = world.relays(Relaying(request.listen, request.config, request.seed, request.beyond_loopback), told)
    return Proxied(at[0], found)


def proxied_view(found: Proxied) -> View:
    """A row a proxy."""
    return View("Stopped", (table(
        "What passed", ("proxy", "connections>", "hit>", "bytes up>", "bytes down>"),
        [(one.proxy, f"{one.connections:,}", f"{one.victims:,}", f"{one.bytes_up:,}", f"{one.bytes_down:,}")
         for one in found.proxies], empty="no proxy was made; POST /proxies makes one"),))


PROXY = Operation(
    "chaos", "proxy", ProxyRequest, proxy, proxied_view, scope="write", catalog="unused", doors=("cli",),
    exit_codes=((0, "stopped as asked"), (2, "an address is taken or cannot be used, or the file is wrong")),
    examples=("mainstay chaos proxy", "mainstay chaos proxy --listen 127.0.0.1:0 --config proxies.json --json"))
