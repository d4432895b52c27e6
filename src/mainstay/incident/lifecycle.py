"""What may follow what: an incident's status, which people set, and its paging, which acknowledging stops.

Both are tables. The status says how far people are; the phase says whether the pager goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from mainstay.kernel.errors import Conflict


class Status(StrEnum):
    """How far the people who work on it are."""

    OPEN = "open"
    INVESTIGATING = "investigating"
    IDENTIFIED = "identified"
    MONITORING = "monitoring"
    RESOLVED = "resolved"


class Phase(StrEnum):
    """What the pager does.

    `quiet` was never to page anybody; `exhausted` has gone through every step without an answer.
    """

    TRIGGERED = "triggered"
    ACKNOWLEDGED = "acknowledged"
    EXHAUSTED = "exhausted"
    QUIET = "quiet"
    DONE = "done"


STATUSES: Mapping[Status, frozenset[Status]] = {
    Status.OPEN: frozenset({Status.INVESTIGATING, Status.IDENTIFIED, Status.MONITORING, Status.RESOLVED}),
    Status.INVESTIGATING: frozenset({Status.IDENTIFIED, Status.MONITORING, Status.RESOLVED}),
    Status.IDENTIFIED: frozenset({Status.INVESTIGATING, Status.MONITORING, Status.RESOLVED}),
    Status.MONITORING: frozenset({Status.INVESTIGATING, Status.IDENTIFIED, Status.RESOLVED}),
    Status.RESOLVED: frozenset({Status.OPEN}),
}
"""Status → those that may follow it. From resolved only reopening leads back."""

PHASES: Mapping[tuple[Phase, str], Phase] = {
    (Phase.TRIGGERED, "acknowledged"): Phase.ACKNOWLEDGED,
    (Phase.TRIGGERED, "exhausted"): Phase.EXHAUSTED,
    (Phase.TRIGGERED, "resolved"): Phase.DONE,
    (Phase.ACKNOWLEDGED, "acknowledged"): Phase.ACKNOWLEDGED,
    (Phase.ACKNOWLEDGED, "lapsed"): Phase.TRIGGERED,
    (Phase.ACKNOWLEDGED, "resolved"): Phase.DONE,
    (Phase.EXHAUSTED, "acknowledged"): Phase.ACKNOWLEDGED,
    (Phase.EXHAUSTED, "repeated"): Phase.TRIGGERED,
    (Phase.EXHAUSTED, "resolved"): Phase.DONE,
    (Phase.QUIET, "acknowledged"): Phase.ACKNOWLEDGED,
    (Phase.QUIET, "resolved"): Phase.DONE,
    (Phase.DONE, "reopened"): Phase.TRIGGERED,
    (Phase.DONE, "reopened quietly"): Phase.QUIET,
}
"""Phase × event → phase; what is not here does not happen."""


class IllegalStep(Conflict):
    """The incident cannot go from where it is to where it was asked to go."""

    code = "illegal-step"


def next_status(now: Status, wanted: Status) -> Status:
    """The wanted status, when it may follow.

    Raises:
        IllegalStep: it may not.
    """
    if wanted not in STATUSES[now]:
        can = ", ".join(sorted(STATUSES[now] - {Status.OPEN})) or "nothing: a new alert reopens it or opens another"
        raise IllegalStep(f"an incident that is {now} cannot become {wanted}", f"from {now} follows {can}")
    return wanted


def next_phase(now: Phase, event: str) -> Phase:
    """The phase after the event.

    Raises:
        IllegalStep: the event does not happen in this phase.
    """
    found = PHASES.get((now, event))
    if found is None:
        raise IllegalStep(f"an incident whose paging is {now} cannot be {event}",
                          "it is over: a new alert opens another" if now is Phase.DONE else "see its timeline")
    return found
