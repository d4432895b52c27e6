"""People out: who is there to be paged, how they want to be reached, and what a channel is handed."""

from __future__ import annotations

from dataclasses import field
from datetime import datetime, timedelta
from typing import Literal, Protocol

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.journal import Data


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a person or channel is told.

    Args:
        target: the address in the channel.
        key: the same for every attempt, so that a receiver can drop a repeat.
        data: what it is about, for channels that can show more than text.
    """

    target: str
    subject: str
    body: str
    key: str
    data: Data = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Contact:
    """A way to reach a person: `slack` U123, `email` ana@example.com, `webhook` https://…, `terminal`."""

    channel: str
    address: str


@dataclass(frozen=True, slots=True)
class Reach:
    """One rung of how a person is reached.

    Args:
        after: since the page was made.
        urgency: of the pages it holds for: `high` wakes, `low` waits for the morning.
        zone: where the person lives, which says when it is morning.
    """

    after: timedelta
    contact: Contact
    urgency: Literal["high", "low"] = "high"
    zone: str = "UTC"


class Responders(Protocol):
    """Who is there to be paged; made of rotations, schedules and people."""

    def on_call(self, name: str, at: datetime) -> tuple[str, ...]:
        """Who is on call by the rotation or schedule of that name; nobody when it is empty.

        Raises:
            NotFound: there is no rotation or schedule of that name.
        """
        ...

    def members(self, name: str) -> tuple[str, ...]:
        """Everybody who takes turns there, for when nobody is on call and somebody must hear of it.

        Raises:
            NotFound: there is no rotation or schedule of that name.
        """
        ...

    def reach(self, person: str) -> tuple[Reach, ...]:
        """How the person wants to be reached, soonest first; empty when nobody said."""
        ...


class Nobody:
    """No rotations and no people: the responders of a world that pages nobody."""

    def on_call(self, name: str, at: datetime) -> tuple[str, ...]:  # noqa: ARG002
        """Nobody."""
        return ()

    def members(self, name: str) -> tuple[str, ...]:  # noqa: ARG002
        """Nobody."""
        return ()

    def reach(self, person: str) -> tuple[Reach, ...]:  # noqa: ARG002
        """No way."""
        return ()


class Notifier(Protocol):
    """People."""

    def send(self, notice: Notice) -> Data | None:
        """Return when the channel has accepted the notice: what it calls what it took, where it says so.

        That is kept beside the fact that it was sent, and handed back in `data["receipts"]` of later notices about the
        same incident, so that the channel can change what it showed. It holds no secret.

        Raises:
            SourceUnavailable: the channel did not take it; the outbox tries again.
            NotDelivered: the same, and when to try again, or that it is of no use.
        """
        ...
