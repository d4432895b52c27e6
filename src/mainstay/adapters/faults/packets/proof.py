"""Whether a fault on packets is there: measured by connections of the probe, before, during and after it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

from mainstay.adapters.faults.packets import child
from mainstay.adapters.faults.places import Address
from mainstay.kernel.errors import SourceUnavailable
from mainstay.kernel.faults import Measured, Order
from mainstay.stats.budget import binomial_tail

_SURE = 1e-4
"""Chance of holding a fault for absent that is there as asked, or for another strength than it has."""

_SLACK = 0.02
"""Seconds by which a busy host may add to what was asked."""
_RETRY = 0.7
"""Seconds: less than the second after which TCP asks again, so a lost packet is seen as silence."""
_LONGEST = 3.0
_PADDING = 48_000
_BASELINE = 20


@dataclass(frozen=True, slots=True)
class Target:
    """What is measured.

    Args:
        inside: the process whose network the probe enters; 0 is this one's.
        path: of a request, for the measurement of bandwidth.
    """

    order: Order
    address: Address
    inside: int = 0
    path: str = "/"

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
    return float(median(found["seconds"]))


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
    program = child.start("probe")
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
    late = [took - before for took in found["seconds"] if took - before > (asked - jitter) / 2 and took > 2 * before]
    what = f"opening a connection to {target.address.shown}"
    if asked + jitter + 0.5 > _LONGEST and found["silent"]:
        return Measured(what, True, None, asked, "s", f"{found['silent']} of {count} took more than {_LONGEST:g} s")
    if not late or not asked:
        return Measured(what, bool(late), 0.0, asked, "s", _silent(found))
    seen = mean(late) if jitter else median(late)
    spread = 4 * jitter / math.sqrt(3 * len(late))
    low, high = asked - max(0.005, 0.05 * asked) - spread, asked * 1.25 + _SLACK + spread
    return Measured(what, low <= seen <= high, seen, asked, "s", f"{len(late)} of {count} connections were late")


def _silence(target: Target, before: float) -> Measured:
    """Loss and damage: a consent or a wish that does not arrive is asked for again only after a second."""
    asked = target.number("loss" if target.order.kind == "packet-loss" else "rate")
    expected = (1 - (1 - asked) ** 2) * target.order.share
    count = _enough(expected, 40)
    found = _asked(target, "connections", count=count, seconds=_RETRY + before)
    hit = found["silent"]
    seen = 1 - math.sqrt(max(0.0, 1 - min(1.0, hit / count / target.order.share)))
    return Measured(f"packets of connections to {target.address.shown}", _fits(hit, count, expected), seen, asked,
                    "share", f"{hit} of {count} connections did not stand within {_RETRY:g} s")


def _twice(target: Target, before: float) -> Measured:
    asked = target.number("rate")
    expected = asked * target.order.share
    count = _enough(expected, 40)
    found = _asked(target, "doubled", count=count, seconds=0.5 + before)
    hit = found["doubled"]
    seen = min(1.0, hit / count / target.order.share)
    return Measured(f"answers from {target.address.shown} on the wire", _fits(hit, count, expected), seen, asked,
                    "share", f"{hit} of {count} came twice")


def _overtaken(target: Target, before: float) -> Measured:
    asked, held = target.number("rate"), target.number("latency", 0.02)
    expected = asked * target.order.share
    count = _enough(expected, 40)
    found = _asked(target, "connections", count=count, seconds=min(_LONGEST, held + 0.5))
    hit = sum(took - before > 0.8 * held for took in found["seconds"]) + found["silent"]
    seen = min(1.0, hit / count / target.order.share)
    return Measured(f"packets of connections to {target.address.shown}", _fits(hit, count, expected), seen, asked,
                    "share", f"{hit} of {count} were held back")


def _bandwidth(target: Target, _before: float) -> Measured:
    asked = target.number("rate")
    wanted = max(2_000, min(_PADDING, int(asked * _LONGEST / 2)))
    found = _asked(target, "upload", bytes=wanted, seconds=_LONGEST, path=target.path)
    seen = found["bytes"] / found["took"] if found["took"] else math.inf
    there = seen <= asked * 1.25
    return Measured(f"an upload to {target.address.shown}", there, seen, asked, "bytes/s",
                    f"{found['bytes']} bytes in {found['took'] * 1000:.1f} ms")


def _cut(target: Target, _before: float) -> Measured:
    expected = target.order.share
    count = _enough(expected, 20)
    found = _asked(target, "connections", count=count, seconds=0.5)
    hit = found["silent"]
    return Measured(f"connections to {target.address.shown}", _fits(hit, count, expected), hit / count, expected,
                    "share", f"{hit} of {count} got no answer, {found['refused']} were refused")


def _reset(target: Target, _before: float) -> Measured:
    expected = target.order.share
    count = _enough(expected, 20)
    found = _asked(target, "connections", count=count, seconds=1.0, linger=0.1)
    hit = found["reset"]
    return Measured(f"connections to {target.address.shown}", _fits(hit, count, expected), hit / count, expected,
                    "share", f"{hit} of {count} were reset, {found['refused']} were refused")


def _silent(found: Mapping[str, Any]) -> str:
    return f"{found['silent']} got no answer, {found['refused']} were refused" if not found["seconds"] else ""


def _enough(share: float, least: int) -> int:
    """Connections by which a dozen are likely hit, within what a service can be asked to bear."""
    return max(least, min(400, math.ceil(12 / share))) if share > 0 else least


def _fits(hit: int, count: int, expected: float) -> bool:
    """Whether so many hits of so many are there, and as likely as what was asked."""
    if not hit:
        return False
    return (binomial_tail(count, hit, expected) > _SURE
            and 1 - binomial_tail(count, hit + 1, expected) > _SURE)


_BY_KIND: dict[str, Callable[[Target, float], Measured]] = {
    "network-latency": _latency, "packet-loss": _silence, "packet-corruption": _silence, "packet-duplication": _twice,
    "packet-reordering": _overtaken, "bandwidth-limit": _bandwidth, "network-partition": _cut,
    "connection-reset": _reset}
