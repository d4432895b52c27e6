"""Whether a fault on packets is there: measured by connections of the probe, before, during and after it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from statistics import mean
from typing import Any

from mainstay.adapters.faults.likely import fits
from mainstay.adapters.faults.packets import child
from mainstay.adapters.faults.places import Address
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import SourceUnavailable
from mainstay.kernel.faults import Measured, Order

_SLACK = 0.05
"""Seconds by which a busy host may add to what was asked."""
_RETRY = 0.7
"""Seconds: less than the second after which TCP asks again, so a lost packet is seen as silence."""
_LONGEST = 3.0
_ONE_FLIGHT = 14_000
"""Bytes that TCP sends without waiting for a confirmation, by RFC 6928."""
_BARELY = 0.8
"""Of the time that a limited upload has to take at the least."""
_BASELINE = 20


@dataclass(frozen=True, slots=True)
class Target:
    """What is measured.

    Args:
        inside: the process whose network the probe enters; 0 is this one's.
        path: of a request, for the measurement of bandwidth.
        one_way: only what the workload sends is hit; else also what comes to it.
    """

    order: Order
    address: Address
    inside: int = 0
    path: str = "/"
    one_way: bool = False

    def number(self, name: str, default: float = 0.0) -> float:
        """A setting of the order."""
        return float(self.order.settings.get(name, default))


def usual(target: Target) -> float:
    """How long opening a connection takes without a fault, seconds.

    Raises:
        SourceUnavailable: no connection can be opened.
    """
    found = _asked(target, "connections", count=_BASELINE, seconds=_LONGEST)
    if not found["seconds"]:
        raise SourceUnavailable(f"{target.address.shown} takes no connections, so a fault there could not be proven",
                                "see why the workload does not answer")
    return float(min(found["seconds"]))


def measured(target: Target, before: float) -> Measured:
    """Whether the fault is there, and how strong.

    Args:
        before: what `usual` said.
    """
    try:
        return _BY_KIND[target.order.kind](target, before)
    except SourceUnavailable as problem:
        return Measured(f"connections to {target.address.shown}", False, note=problem.message)


def _asked(target: Target, what: str, **more: Any) -> Mapping[str, Any]:
    program = child.start("packets.probe")
    try:
        child.tell(program, child.one_line({"what": what, "inside": target.inside, "host": target.address.host,
                                            "port": target.address.port, "linger": 0, **more}))
        found: dict[str, Any] = child.line(program, 60.0)
    finally:
        child.finish(program, 0.5)
    if "error" in found:
        raise SourceUnavailable(f"{target.address.shown} cannot be probed: {found['error']}", "")
    return found


def _latency(target: Target, before: float) -> Measured:
    asked, jitter = target.number("latency"), target.number("jitter")
    count = _enough(target.order.share, 20)
    found = _asked(target, "connections", count=count, seconds=min(_LONGEST, asked + jitter + 0.5))
    late = [took - before for took in found["seconds"] if took - before > max((asked - jitter) / 2, 0.001)]
    what = f"opening a connection to {target.address.shown}"
    if asked + jitter + 0.5 > _LONGEST and found["silent"]:
        return Measured(what, True, None, asked, "s", f"{found['silent']} of {count} took more than {_LONGEST:g} s")
    if not late or not asked:
        return Measured(what, bool(late), 0.0, asked, "s", _silent(found))
    seen = mean(late) if jitter else min(late)  # a busy host makes some later than they are made, and none earlier
    spread = 4 * jitter / math.sqrt(3 * len(late)) + (_SLACK if jitter else 0.0)
    low, high = asked - max(0.005, 0.05 * asked) - spread, asked * 1.5 + _SLACK + spread
    return Measured(what, low <= seen <= high, seen, asked, "s", f"{len(late)} of {count} connections were late")


def _silence(target: Target, before: float) -> Measured:
    """Loss and damage: a consent or a wish that does not arrive is asked for again only after a second."""
    asked = target.number("loss" if target.order.kind == "packet-loss" else "rate")
    expected = (asked if target.one_way else 1 - (1 - asked) ** 2) * target.order.share
    count = _enough(expected, 40)
    found = _asked(target, "connections", count=count, seconds=_RETRY + before)
    hit = found["silent"]
    seen = min(1.0, hit / count / target.order.share)
    seen = seen if target.one_way else 1 - math.sqrt(1 - seen)
    return Measured(f"packets of connections to {target.address.shown}", fits(hit, count, expected), seen, asked,
                    "share", f"{hit} of {count} connections did not stand within {_RETRY:g} s")


def _twice(target: Target, before: float) -> Measured:
    asked = target.number("rate")
    expected = asked * target.order.share
    count = _enough(expected, 40)
    found = _asked(target, "doubled", count=count, seconds=0.5 + before)
    hit = found["doubled"]
    seen = min(1.0, hit / count / target.order.share)
    return Measured(f"answers from {target.address.shown} on the wire", fits(hit, count, expected), seen, asked,
                    "share", f"{hit} of {count} came twice")


def _overtaken(target: Target, before: float) -> Measured:
    asked, held = target.number("rate"), target.number("latency", 0.02)
    expected = asked * target.order.share
    count = _enough(expected, 40)
    found = _asked(target, "connections", count=count, seconds=min(_LONGEST, held + 0.5))
    hit = sum(took - before > 0.8 * held for took in found["seconds"]) + found["silent"]
    seen = min(1.0, hit / count / target.order.share)
    return Measured(f"packets of connections to {target.address.shown}", fits(hit, count, expected), seen, asked,
                    "share", f"{hit} of {count} were held back")


def _bandwidth(target: Target, before: float) -> Measured:
    asked = target.number("rate")
    wanted = max(1_000, min(_ONE_FLIGHT, int(asked)))
    tries = _enough(target.order.share, 1)
    took = []
    for _ in range(min(tries, 20)):
        found = _asked(target, "upload", bytes=wanted, seconds=_LONGEST, path=target.path)
        if found["bytes"]:
            took.append((found["took"] - before) / found["bytes"])
        if took and took[-1] * asked > _BARELY:
            break
    seen = 1 / max(took) if took and max(took) > 0 else math.inf
    return Measured(f"an upload to {target.address.shown}", seen <= asked / _BARELY, seen, asked, "bytes/s",
                    f"{wanted} bytes, {len(took)} times")


def _cut(target: Target, _before: float) -> Measured:
    expected = target.order.share
    count = _enough(expected, 20)
    found = _asked(target, "connections", count=count, seconds=0.5)
    hit = found["silent"]
    return Measured(f"connections to {target.address.shown}", fits(hit, count, expected), hit / count, expected,
                    "share", f"{hit} of {count} got no answer, {found['refused']} were refused")


def _reset(target: Target, _before: float) -> Measured:
    expected = target.order.share
    count = _enough(expected, 20)
    found = _asked(target, "connections", count=count, seconds=1.0, linger=0.1)
    hit = found["reset"]
    return Measured(f"connections to {target.address.shown}", fits(hit, count, expected), hit / count, expected,
                    "share", f"{hit} of {count} were reset, {found['refused']} were refused")


def _silent(found: Mapping[str, Any]) -> str:
    return f"{found['silent']} got no answer, {found['refused']} were refused" if not found["seconds"] else ""


def _enough(share: float, least: int) -> int:
    """Connections by which a dozen are likely hit, within what a service can be asked to bear."""
    return max(least, min(400, math.ceil(12 / share))) if 0 < share < 1 else least


_BY_KIND: dict[str, Callable[[Target, float], Measured]] = {
    "network-latency": _latency, "packet-loss": _silence, "packet-corruption": _silence, "packet-duplication": _twice,
    "packet-reordering": _overtaken, "bandwidth-limit": _bandwidth, "network-partition": _cut,
    "connection-reset": _reset}
