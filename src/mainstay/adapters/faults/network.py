"""The mechanisms of networks, dependencies and clusters, in the order in which equals are preferred."""

from __future__ import annotations

from mainstay.adapters.faults.cluster.mechanism import Kubernetes
from mainstay.adapters.faults.edges.mechanism import EDGES
from mainstay.adapters.faults.packets.mechanism import Packets
from mainstay.adapters.faults.packets.names_lost import Names
from mainstay.kernel.faults import Mechanism


def network_mechanisms() -> tuple[Mechanism, ...]:
    """One of each."""
    return (*EDGES, Packets(), Names(), Kubernetes())
