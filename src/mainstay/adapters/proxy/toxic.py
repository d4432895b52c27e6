"""What a proxy is and which toxics there are: kinds, their attributes, their bounds, and how they are written as JSON.

The seven kinds that toxiproxy has keep its names, attributes, units and defaults, so that its clients work unchanged;
the others are ours. Times are milliseconds (`delay` of the slicer: microseconds), rates are kilobytes (1000 bytes) a
second, shares are 0..1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput

STREAMS = ("upstream", "downstream")
"""Upstream is from the client to the service, downstream the way back."""
_LONGEST_NAME = 200
_LONGEST = 30 * 86_400_000
"""Milliseconds of the longest time that can be asked for: thirty days."""
_MOST = 2**53


@dataclass(frozen=True, slots=True)
class Attribute:
    """What one attribute of a toxic may be.

    Args:
        default: also says the kind of value: a number, a text or a truth.
        least, most: bounds of a number, both allowed.
    """

    default: float | str | bool
    least: float = 0
    most: float = _MOST

    def read(self, name: str, value: object) -> float | str | bool:
        """The value, when it is one of this kind and within bounds.

        Raises:
            InvalidInput: it is not.
        """
        if isinstance(self.default, bool | str):
            wanted = "true or false" if isinstance(self.default, bool) else "a text"
            if type(value) is not type(self.default):
                raise InvalidInput(f"attribute {name} must be {wanted}, not {value!r:.60}")
            return value
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise InvalidInput(f"attribute {name} must be a number, not {value!r:.60}")
        if not self.least <= value <= self.most:
            raise InvalidInput(f"attribute {name} must be from {self.least:g} to {self.most:g}, not {value:g}")
        return value


def _time(default: float = 0) -> Attribute:
    return Attribute(default, 0, _LONGEST)


def _share(default: float = 1.0) -> Attribute:
    return Attribute(default, 0, 1)


_SNI = {"sni": Attribute("")}
_MATCH = {"share": _share(), "method": Attribute(""), "path": Attribute("")}
TCP: dict[str, dict[str, Attribute]] = {
    "noop": {},
    "latency": {"latency": _time(), "jitter": _time()},
    "bandwidth": {"rate": Attribute(0)},
    "slow_close": {"delay": _time()},
    "timeout": {"timeout": _time()},
    "reset_peer": {"timeout": _time()},
    "slicer": {"average_size": Attribute(0), "size_variation": Attribute(0), "delay": Attribute(0, 0, 1e9)},
    "limit_data": {"bytes": Attribute(0)},
    "refuse": {},
    "corrupt": {"share": _share(), "rate": _share(0.001)},
    "cut_after": {"after": _time(), "reset": Attribute(False)},
    "http_error": {"status": Attribute(503, 200, 599), "body": Attribute(""), **_MATCH},
    "http_latency": {"latency": _time(), "jitter": _time(), **_MATCH},
    "http_corrupt_body": {"mode": Attribute("invalid"), **_MATCH},
}
"""The kinds of a TCP proxy with their attributes; each may have `sni` as well."""
UDP: dict[str, dict[str, Attribute]] = {
    "noop": {},
    "latency": {"latency": _time(), "jitter": _time()},
    "bandwidth": {"rate": Attribute(0)},
    "loss": {"share": _share()},
    "duplicate": {"share": _share()},
    "corrupt": {"share": _share(), "rate": _share(0.001)},
    "reorder": {"share": _share(0.1), "delay": _time(10)},
}
"""The kinds of a UDP proxy with their attributes."""
CORRUPTIONS = ("invalid", "type", "bytes")
"""What `http_corrupt_body` does: JSON that no longer parses, a field of another type, or bytes flipped."""


@dataclass(frozen=True, slots=True)
class Toxic:
    """A fault that is put on the traffic of a proxy.

    Args:
        type: a kind of `TCP` or `UDP`.
        name: unique in the proxy; empty means `<type>_<stream>`.
        stream: upstream or downstream.
        toxicity: share of the connections that it meets, 0..1; drawn once for each connection (UDP: each client).
        attributes: as the kind has them; what is not given has the kind's default.
    """

    type: str
    name: str = ""
    stream: str = "downstream"
    toxicity: float = 1.0
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def settled(self, *, udp: bool = False) -> Toxic:
        """The same with its name and all attributes, checked.

        Raises:
            InvalidInput: the kind is unknown for such a proxy, or something is out of bounds.
        """
        kinds = UDP if udp else TCP
        if self.type not in kinds:
            other = " (it is one of the other protocol)" if self.type in (TCP if udp else UDP) else ""
            raise InvalidInput("invalid toxic type", f"{self.type!r:.60} is none{other}; there are: {', '.join(kinds)}")
        if self.stream not in STREAMS:
            raise InvalidInput("stream was invalid, can be either upstream or downstream")
        if isinstance(self.toxicity, bool) or not 0 <= self.toxicity <= 1:
            raise InvalidInput(f"toxicity must be from 0 to 1, not {self.toxicity!r:.60}")
        name = check_name("toxic", self.name or f"{self.type}_{self.stream}")
        known = kinds[self.type] | ({} if udp else _SNI)
        unknown = [key for key in self.attributes if key not in known]
        if unknown:
            raise InvalidInput(f"{self.type} has no attribute {unknown[0]!r:.60}", f"it has: {', '.join(known)}")
        values = {key: one.read(key, self.attributes[key]) if key in self.attributes else one.default
                  for key, one in known.items() if key in self.attributes or key != "sni"}
        if values.get("mode", "invalid") not in CORRUPTIONS:
            raise InvalidInput(f"mode must be one of {', '.join(CORRUPTIONS)}, not {values['mode']!r:.60}")
        return replace(self, name=name, attributes=values)

    def shown(self) -> dict[str, Any]:
        """As toxiproxy's API writes it."""
        return {"attributes": dict(self.attributes), "name": self.name, "type": self.type, "stream": self.stream,
                "toxicity": self.toxicity}


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where to listen and where to pass it on.

    Args:
        listen, upstream: `host:port`; `[::1]:80` for IPv6. Port 0 takes a free one, no host is 127.0.0.1.
        udp: datagrams instead of connections.
        enabled: a proxy that is not listens nowhere.
    """

    name: str
    listen: str
    upstream: str
    udp: bool = False
    enabled: bool = True


def check_name(what: str, name: str) -> str:
    """The name, when it can be one.

    Raises:
        InvalidInput: it is empty, too long or unprintable.
    """
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise InvalidInput(f"the name of a {what} must be 1 to {_LONGEST_NAME} printable characters")
    return name


def read_toxic(given: object) -> Toxic:
    """A toxic from toxiproxy's JSON; not yet settled.

    Raises:
        InvalidInput: a field is of the wrong type.
    """
    fields = _fields(given, "a toxic")
    toxicity = fields.get("toxicity")
    if toxicity is not None and (isinstance(toxicity, bool) or not isinstance(toxicity, int | float)):
        raise InvalidInput("bad request body: toxicity must be a number")
    return Toxic(text(fields, "type"), text(fields, "name"), text(fields, "stream") or "downstream",
                 1.0 if toxicity is None else toxicity, _fields(fields.get("attributes") or {}, "attributes"))


def read_changes(given: object) -> tuple[float | None, Mapping[str, Any]]:
    """Toxicity and attributes that are to change, from JSON; None or absent stays as it is."""
    toxic = read_toxic({**_fields(given, "a toxic"), "type": "", "stream": "", "name": ""})
    return (toxic.toxicity if _fields(given, "").get("toxicity") is not None else None), toxic.attributes


def read_proxy(given: object, at: str = "") -> tuple[Proxy, tuple[Toxic, ...]]:
    """A proxy from toxiproxy's JSON, with the toxics that are to be on it from its first connection on (ours).

    Args:
        at: where it stands in a list, for the message.
    Raises:
        InvalidInput: a field is missing or of the wrong type.
    """
    fields = _fields(given, "a proxy")
    for needed in ("name", "upstream"):
        if not text(fields, needed):
            raise InvalidInput(f"missing required field: {needed}{at}")
    toxics = fields.get("toxics") or []
    if not isinstance(toxics, list):
        raise InvalidInput("bad request body: toxics must be a list")
    protocol = text(fields, "protocol") or "tcp"
    if protocol not in ("tcp", "udp"):
        raise InvalidInput("bad request body: protocol must be tcp or udp")
    proxy = Proxy(check_name("proxy", text(fields, "name")), text(fields, "listen"), text(fields, "upstream"),
                  protocol == "udp", truth(fields, "enabled", default=True))
    return proxy, tuple(read_toxic(one).settled(udp=proxy.udp) for one in toxics)


def text(fields: Mapping[str, Any], name: str) -> str:
    """A text of JSON; absent and null are empty."""
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidInput(f"bad request body: {name} must be a text")
    return value or ""


def truth(fields: Mapping[str, Any], name: str, *, default: bool) -> bool:
    """A truth of JSON; absent and null are the default."""
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        raise InvalidInput(f"bad request body: {name} must be true or false")
    return default if value is None else value


def _fields(given: object, what: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise InvalidInput(f"bad request body: {what} must be an object")
    return given
