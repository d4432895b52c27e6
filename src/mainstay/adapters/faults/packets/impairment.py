"""What becomes of each packet: how late, whether at all, how often, and whole or not. Draws come from a seed."""

from __future__ import annotations

from random import Random

from mainstay.kernel.dataclass import dataclass

LIMIT = 1000
"""Packets that may wait for a limited rate; more are dropped at the tail, as `tc netem` does by default."""

CREDIT = 0.02
"""Seconds of a limited rate that may be made up for: a program wakes late now and then, and senders wait for it."""


@dataclass(frozen=True, slots=True)
class Impairment:
    """What happens to the packets of one direction; seconds, shares 0..1, bytes a second.

    Args:
        jitter: the latency varies evenly by up to this to both sides, each packet for itself.
        held: share of the packets that wait `held_for` longer, so that others overtake them.
        rate: None is no limit.
    """

    latency: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    duplication: float = 0.0
    corruption: float = 0.0
    held: float = 0.0
    held_for: float = 0.0
    rate: float | None = None

    @property
    def needs_whole_packets(self) -> bool:
        """Whether packets are counted or changed, so that segments must not come glued together."""
        return any((self.loss, self.duplication, self.corruption, self.held))

    @property
    def needs_bytes(self) -> bool:
        """Whether what a packet holds is needed, not only its length."""
        return bool(self.duplication or self.corruption)


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a packet.

    Args:
        due: when it goes on; None when it never does.
        damaged: which bit is turned over, as a share of all its bits; None leaves it whole.
    """

    due: float | None
    twice: bool = False
    damaged: float | None = None


LOST = Fate(None)


class Fates:
    """The fates of the packets of one direction, in the order in which they come."""

    def __init__(self, what: Impairment, seed: int) -> None:
        self._what = what
        self._draw = Random(seed).random  # noqa: S311  (chance, not secrecy)
        self._free = 0.0

    def of(self, now: float, length: int, waiting: int) -> Fate:
        """The next packet's.

        Args:
            now: seconds of any clock that only goes forward.
            length: of the packet, bytes.
            waiting: how many packets of this direction have not gone on yet.
        """
        what, draw = self._what, self._draw
        if what.loss and draw() < what.loss:
            return LOST
        due = now + what.latency
        if what.jitter:
            due += (2 * draw() - 1) * what.jitter
        if what.held and draw() < what.held:
            due += what.held_for
        if what.rate is not None:
            if waiting >= LIMIT:
                return LOST
            if now - self._free > CREDIT:
                self._free = now
            self._free += length / what.rate
            due += max(0.0, self._free - now)
        return Fate(due, bool(what.duplication) and draw() < what.duplication,
                    draw() if what.corruption and draw() < what.corruption else None)
