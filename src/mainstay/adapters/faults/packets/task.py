"""What the process that holds packets is to do: one line of JSON on its standard input."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, field, fields
from typing import Any

from mainstay.adapters.faults.packets.impairment import Impairment
from mainstay.kernel.dataclass import dataclass

QUEUE, DROP, RESET = "queue", "drop", "reset"


@dataclass(frozen=True, slots=True)
class Place:
    """Packets of one protocol at one address of this host.

    Args:
        family: 2 for IPv4, 10 for IPv6.
        protocol: 6 for TCP, 17 for UDP.
        host: empty for every address of the family.
    """

    family: int
    protocol: int
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Way:
    """What happens to the packets of one direction; an empty `act` leaves them alone.

    Args:
        impairment: of a queue; of `drop`, the one that datagrams going out get: who sends one would be told else.
    """

    act: str = ""
    impairment: Impairment = field(default_factory=Impairment)


@dataclass(frozen=True, slots=True)
class Lead:
    """Connections that some processes open to `places` go elsewhere.

    Args:
        pids: whose connections; with those of the processes that they started.
        to: the port of this host; 0 is the answerer of names in the holder itself, and its `error`.
        spared: what these processes started is not meant, whoever started them: proxies and probes.
        error: what questions for names get: `NXDOMAIN`, `SERVFAIL`, `timeout`; empty when no names are meant.
    """

    pids: tuple[int, ...]
    to: int = 0
    spared: tuple[int, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """All of it.

    Args:
        title: of the table of nftables.
        inside: the process whose network is meant; 0 is this one's.
        places: the workload's own; for `lead`, those of what it calls.
        incoming: of packets to the places.
        outgoing: of packets from the places.
        share: of the connections.
        seconds: after this long all is undone, whatever happens.
        abort: whether connections that are open when it begins are ended.
    """

    title: str
    places: tuple[Place, ...]
    inside: int = 0
    incoming: Way = field(default_factory=Way)
    outgoing: Way = field(default_factory=Way)
    lead: Lead | None = None
    share: float = 1.0
    seed: int = 0
    seconds: float = 60.0
    abort: bool = False


def written(task: Task) -> str:
    """One line."""
    return json.dumps(asdict(task)) + "\n"


def read(line: str) -> Task:
    """What `written` wrote."""
    found: dict[str, Any] = json.loads(line)
    lead = found.pop("lead")
    return Task(**{**found, "places": tuple(Place(**one) for one in found["places"]),
                   "incoming": _way(found["incoming"]), "outgoing": _way(found["outgoing"]),
                   "lead": None if lead is None else Lead(**{**lead, "pids": tuple(lead["pids"]),
                                                                "spared": tuple(lead["spared"])})})


def _way(found: Mapping[str, Any]) -> Way:
    assert {one.name for one in fields(Way)} == set(found)
    return Way(found["act"], Impairment(**found["impairment"]))
