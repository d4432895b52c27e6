"""Faults at strengths that one can begin with: what `scripts/test_resilience.py` offers by name. Standard library only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from mainstay.chaos.kinds import KINDS, Kind, kind_named
from mainstay.kernel.quantity import Setting

STRENGTHS: Mapping[str, Mapping[str, str]] = {
    "network-latency": {"latency": "100ms", "jitter": "20ms"}, "packet-loss": {"loss": "5%"},
    "packet-duplication": {"rate": "5%"}, "packet-corruption": {"rate": "1%"}, "packet-reordering": {"rate": "10%"},
    "bandwidth-limit": {"rate": "125kB/s"}, "cpu-stress": {"load": "80%"}, "cpu-throttle": {"quota": "20%"},
    "memory-stress": {"size": "256MiB"}, "memory-limit": {"size": "256MiB"}, "disk-slow": {"latency": "50ms"},
    "dependency-slow": {"latency": "1s"}, "clock-skew": {"offset": "1h"}, "clock-drift": {"speed": "1.5"},
    "scale": {"replicas": "1"}}
"""Of kinds whose parameters have no default; every other kind is as its defaults say."""

BREAKS_TARGET = frozenset({"process-kill", "process-pause", "process-restart", "network-partition", "connection-reset",
                           "pod-failure", "memory-limit"})
"""Kinds after which the target itself cannot be expected to answer while they last."""


RESTARTS_TARGET = frozenset({"clock-skew", "clock-drift"})
"""Kinds that take the target away for a moment, and after which it has to answer."""


class Preset(NamedTuple):
    """An experiment that can be run by its name alone."""

    kind: Kind
    settings: dict[str, Setting]

    @property
    def told(self) -> dict[str, object]:
        """As JSON."""
        return {"name": self.kind.name, "what": self.kind.title, "group": self.kind.group, "hits": self.kind.hits,
                "settings": self.settings, "aliases": list(self.kind.aliases)}


def preset(name: str) -> Preset:
    """The kind of that name, or of an alias, at the strength one begins with.

    Raises:
        NotFound: there is none; says what is close.
    """
    kind = kind_named(name)
    return Preset(kind, kind.settings(STRENGTHS.get(kind.name, {})))


def presets() -> Iterator[Preset]:
    """All of them."""
    for kind in KINDS:
        yield preset(kind.name)


def words(settings: Mapping[str, Setting], kind: Kind) -> str:
    """`latency 100 ms, jitter 20 ms`."""
    out = []
    for one in kind.parameters:
        value = settings[one.name]
        match one.unit:
            case "seconds" if isinstance(value, float) and value:
                out.append(f"{one.name} {value * 1000:g} ms" if abs(value) < 1 else f"{one.name} {value:g} s")
            case "share" if isinstance(value, float):
                out.append(f"{one.name} {value * 100:g} %")
            case "bytes" | "bytes/s" if isinstance(value, float) and value:
                out.append(f"{one.name} {value / 2**20:.3g} MiB" + ("/s" if one.unit == "bytes/s" else ""))
            case "count" | "factor" if value:
                out.append(f"{one.name} {value:g}" if isinstance(value, float) else f"{one.name} {value}")
            case "word" if value:
                out.append(f"{one.name} {value}")
    return ", ".join(out)
