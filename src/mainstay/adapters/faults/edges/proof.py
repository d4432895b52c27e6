"""Whether a fault on the way to a dependency is there: requests by the workload's way beside requests past it."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from statistics import mean, median
from typing import Any

from mainstay.adapters.faults.likely import fits
from mainstay.adapters.faults.packets import child
from mainstay.adapters.faults.places import Address
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import SourceUnavailable
from mainstay.kernel.faults import Measured, Order

_SLACK = 0.05
"""Seconds by which a busy host may add to what was asked."""
_PATIENCE = 2.0
_PADDING = 12_000
_MOST = 200

Answers = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Asked:
    """How many requests, how many of them beside each other, how long each may take, and how long its head is made."""

    count: int
    seconds: float = _PATIENCE
    padding: int = 0
    at_once: int = 8


class Asker:
    """A probe's process, asked as often as is wanted."""

    def __init__(self) -> None:
        self._child = child.start("edges.probe")
        self._lock = threading.Lock()
        self.pid = self._child.pid

    def ask(self, at: Address, path: str, asked: Asked) -> Answers:
        """Requests, each on a connection of its own.

        Raises:
            SourceUnavailable: the probe has ended.
        """
        with self._lock:
            child.tell(self._child, child.one_line({"host": at.host, "port": at.port, "path": path, **asdict(asked)}))
            found: list[dict[str, Any]] = child.line(self._child, 10 + asked.count * (asked.seconds + 1))
            return found

    def end(self) -> None:
        """End it."""
        with self._lock:
            child.finish(self._child, 0.5)


class OneShot:
    """A probe that is started for each question, so that none is left when nobody asks any more."""

    def ask(self, at: Address, path: str, asked: Asked) -> Answers:
        """As `Asker.ask`."""
        asker = Asker()
        try:
            return asker.ask(at, path, asked)
        finally:
            asker.end()


@dataclass(frozen=True, slots=True)
class Edge:
    """The two ways to a dependency.

    Args:
        way: asks by the workload's way: at `at`.
        past: asks past the fault: at `direct`.
        path: of a request that the dependency answers.
    """

    order: Order
    way: Asker | OneShot
    at: Address
    past: OneShot
    direct: Address
    path: str

    def by_the_way(self, asked: Asked) -> Answers:
        """Requests as the workload makes them."""
        return self.way.ask(self.at, self.path, asked)

    def past_it(self, count: int, *, padding: int = 0) -> Answers:
        """The same, not by the workload's way.

        Raises:
            SourceUnavailable: the dependency does not answer, so nothing can be told from the fault.
        """
        found = [one for one in self.past.ask(self.direct, self.path, Asked(count, padding=padding, at_once=1))
                 if one["how"] == "answered"]
        if not found:
            raise SourceUnavailable(f"{self.order.dependency} does not answer at {self.direct.shown}{self.path}",
                                    "see why; without an answer of its own a fault cannot be told from none")
        return found

    @property
    def what(self) -> str:
        """What is measured."""
        return f"requests from {self.order.workload.name} to {self.order.dependency}"


def measured(edge: Edge) -> Measured:
    """Whether it is there, and how strong."""
    try:
        return _BY_KIND[edge.order.kind](edge)
    except SourceUnavailable as problem:
        return Measured(edge.what, False, note=problem.message)


def _slow(edge: Edge) -> Measured:
    asked, jitter = _number(edge, "latency"), _number(edge, "jitter")
    usual = min(one["took"] for one in edge.past_it(5))
    count = _enough(edge.order.share, 5)
    patience = min(10.0, asked + jitter + usual + 1.0)
    found = edge.by_the_way(Asked(count, patience, at_once=2 if edge.order.share >= 1 else 8))
    least = asked - jitter - max(0.005, 0.05 * asked)
    # Of a share, those that are spared may be late by themselves on a busy host; they are not counted among the hit.
    since = max((asked - jitter) / 2 if edge.order.share >= 1 else least, 0.001)
    late = [one["took"] - usual for one in found if one["how"] == "answered" and one["took"] - usual > since]
    silent = sum(one["how"] == "silent" for one in found)
    if not late:
        beyond = bool(silent) and asked + jitter > 8
        return Measured(edge.what, beyond, None if beyond else 0.0, asked, "s", f"{silent} of {count} got no answer")
    seen = mean(late) if jitter else min(late)  # a busy host makes some later than they are made, and none earlier
    spread = 4 * jitter / math.sqrt(3 * len(late)) + (_SLACK if jitter else 0.0)
    low, high = asked - max(0.005, 0.05 * asked) - spread, asked * 1.5 + _SLACK + spread
    return Measured(edge.what, low <= seen <= high, seen, asked, "s",
                    f"{len(late)} of {count} were late; past the proxy they take {usual * 1000:.1f} ms")


def _failing(edge: Edge) -> Measured:
    return _counted(edge, edge.order.share, lambda one: one["how"] in ("refused", "reset", "closed"), "failed")


def _reset(edge: Edge) -> Measured:
    return _counted(edge, edge.order.share, lambda one: one["how"] in ("reset", "closed"), "were reset")


def _errors(edge: Edge) -> Measured:
    status = int(_number(edge, "status", 503))
    usual = {one["status"] for one in edge.past_it(3)}
    if status in usual:
        return Measured(edge.what, False, note=f"{edge.order.dependency} answers {status} by itself")
    return _counted(edge, edge.order.share * _number(edge, "rate", 1.0), lambda one: one["status"] == status,
                    f"were answered {status}")


def _corrupt(edge: Edge) -> Measured:
    usual = [_shape(one["body"]) for one in edge.past_it(3)]
    if any(shape != usual[0] for shape in usual) or usual[0] == "":
        return Measured(edge.what, False, note=f"the answers to {edge.path} differ by themselves or are empty, so "
                        "damage cannot be seen; give the dependency a health path with a steady answer")
    return _counted(edge, edge.order.share * _number(edge, "rate", 1.0),
                    lambda one: one["how"] == "answered" and _shape(one["body"]) != usual[0], "were damaged")


def _narrow(edge: Edge) -> Measured:
    asked = _number(edge, "rate")
    padding = max(1000, min(_PADDING, int(asked)))
    usual = median(one["took"] for one in edge.past_it(3, padding=padding))
    found = edge.by_the_way(Asked(_enough(edge.order.share, 2), 5.0, padding, 1))
    took = max(one["took"] for one in found) - usual
    seen = padding / took if took > 0 else math.inf
    return Measured(edge.what, seen <= asked * 1.25, seen, asked, "bytes/s", f"{padding} bytes took {took:.3f} s more")


def _silent(edge: Edge) -> Measured:
    edge.past_it(1)
    return _counted(edge, edge.order.share, lambda one: one["how"] == "silent", "got no answer", seconds=0.5)


def _counted(edge: Edge, expected: float, hit: Callable[[Mapping[str, Any]], bool], said: str, *,
             seconds: float = _PATIENCE) -> Measured:
    count = _enough(expected, 10)
    found = edge.by_the_way(Asked(count, seconds))
    hits = sum(hit(one) for one in found)
    return Measured(edge.what, fits(hits, count, expected), hits / count, expected, "share",
                    f"{hits} of {count} {said}")


def _number(edge: Edge, name: str, default: float = 0.0) -> float:
    return float(edge.order.settings.get(name, default))


def _shape(body: str) -> str:
    """JSON as its fields and their types; other bytes as they are."""
    data = bytes.fromhex(body)
    try:
        return _typed(json.loads(data))
    except (ValueError, RecursionError):
        return "bytes:" + body if body else ""


def _typed(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_typed(one)}" for key, one in sorted(value.items())) + "}"
    if isinstance(value, list):
        return "[" + ",".join(sorted({_typed(one) for one in value})) + "]"
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def _enough(share: float, least: int) -> int:
    return max(least, min(_MOST, math.ceil(12 / share))) if 0 < share < 1 else least


_BY_KIND: dict[str, Callable[[Edge], Measured]] = {
    "dependency-failure": _failing, "dependency-slow": _slow, "network-latency": _slow, "dependency-error": _errors,
    "dependency-reset": _reset, "connection-reset": _reset, "corrupt-data": _corrupt, "bandwidth-limit": _narrow,
    "network-partition": _silent}
