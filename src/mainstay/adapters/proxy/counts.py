"""What a proxy did, counted where it happens: the proof of how far a fault reached."""

from __future__ import annotations

from collections.abc import Mapping

from mainstay.kernel.dataclass import dataclass


@dataclass(slots=True)
class ToxicCount:
    """What one toxic did, over all its life under this name.

    Args:
        victims: connections (UDP: clients) that the draw put it on.
        bystanders: connections that the draw spared.
        considered: requests that matched, datagrams, or pieces of a stream that came by on victims.
        injected: acts: pieces delayed, dropped or changed, requests answered wrongly, connections cut or refused.
    """

    victims: int = 0
    bystanders: int = 0
    considered: int = 0
    injected: int = 0


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a proxy did since it was made.

    Args:
        connections: all that came (UDP: clients), `open` those that are there now.
        victims: connections that some toxic was put on; the others were bystanders.
        failed: connections that the upstream did not take.
        bytes_upstream, bytes_downstream: delivered in that direction.
        toxics: by name, also of toxics that are gone.
    """

    connections: int
    open: int
    victims: int
    failed: int
    bytes_upstream: int
    bytes_downstream: int
    toxics: Mapping[str, ToxicCount]

    @property
    def bystanders(self) -> int:
        """Connections that no toxic was put on."""
        return self.connections - self.victims
