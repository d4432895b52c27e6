"""Which toxics of the proxy a kind of fault is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mainstay.adapters.proxy import Toxic
from mainstay.kernel.faults import Order

KINDS = ("dependency-failure", "dependency-slow", "dependency-error", "dependency-reset", "corrupt-data",
         "network-latency", "bandwidth-limit", "network-partition", "connection-reset")
"""What can be done on the way to a dependency; the last four when the order names one."""

OF_DEPENDENCIES = KINDS[:5]

HTTP = ("dependency-error", "corrupt-data")
"""Kinds that look into the conversation, so it has to be HTTP."""


def toxics(order: Order) -> tuple[Toxic, ...]:
    """The toxics of an order. Its share is their toxicity: the share of the connections."""
    number = {name: float(value) for name, value in order.settings.items() if not isinstance(value, str)}
    return tuple(Toxic(kind, f"mainstay-{at}", stream, order.share, attributes)
                 for at, (kind, stream, attributes) in enumerate(_OF[order.kind](order, number)))


_Parts = list[tuple[str, str, Mapping[str, float | str]]]


def _latency(_order: Order, number: Mapping[str, float]) -> _Parts:
    return [("latency", "downstream", {"latency": number.get("latency", 0.0) * 1000,
                                       "jitter": number.get("jitter", 0.0) * 1000})]


def _error(order: Order, number: Mapping[str, float]) -> _Parts:
    return [("http_error", "downstream", {"status": number.get("status", 503.0), "share": number.get("rate", 1.0),
                                          "body": str(order.settings.get("body", ""))})]


def _corrupt(order: Order, number: Mapping[str, float]) -> _Parts:
    mode = "type" if order.settings.get("how") == "schema" else "invalid"
    return [("http_corrupt_body", "downstream", {"mode": mode, "share": number.get("rate", 1.0)})]


def _bandwidth(_order: Order, number: Mapping[str, float]) -> _Parts:
    rate = number["rate"] / 1000
    return [("bandwidth", "upstream", {"rate": rate}), ("bandwidth", "downstream", {"rate": rate})]


def _partition(order: Order, _number: Mapping[str, float]) -> _Parts:
    direction = order.settings.get("direction", "both")
    return [("timeout", stream, {"timeout": 0}) for stream, cut in (("upstream", "out"), ("downstream", "in"))
            if direction in ("both", cut)]


_OF: dict[str, Callable[[Order, Mapping[str, float]], _Parts]] = {
    "dependency-failure": lambda *_: [("refuse", "downstream", {})],
    "dependency-slow": _latency, "network-latency": _latency,
    "dependency-error": _error, "corrupt-data": _corrupt, "bandwidth-limit": _bandwidth,
    "network-partition": _partition,
    "dependency-reset": lambda *_: [("reset_peer", "downstream", {"timeout": 0})],
    "connection-reset": lambda *_: [("reset_peer", "downstream", {"timeout": 0})]}
