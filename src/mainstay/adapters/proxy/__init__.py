"""Faults between programs: TCP, HTTP/1.1, TLS and UDP proxies in user space, with toxiproxy's API.

`ProxyServer` runs proxies in a thread, `ProxyProcess` in a process of its own; both are asked by the same methods.
`serve` runs them until it is told to stop.
"""

from __future__ import annotations

from mainstay.adapters.proxy.child import ProxyProcess
from mainstay.adapters.proxy.counts import Statistics, ToxicCount
from mainstay.adapters.proxy.server import ProxyServer, serve
from mainstay.adapters.proxy.toxic import TCP, UDP, Proxy, Toxic

__all__ = ["TCP", "UDP", "Proxy", "ProxyProcess", "ProxyServer", "Statistics", "Toxic", "ToxicCount", "serve"]
