"""Severities: what each asks of people, and the words other tools use for them."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Literal

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput


class Severity(StrEnum):
    """How bad it is, the worst first."""

    SEV1 = "SEV1"
    SEV2 = "SEV2"
    SEV3 = "SEV3"
    SEV4 = "SEV4"

    @property
    def rank(self) -> int:
        """1 is the worst."""
        return int(self[-1])

    def worse_than(self, other: Severity) -> bool:
        """Whether this one is the more severe."""
        return self.rank < other.rank


@dataclass(frozen=True, slots=True)
class Demands:
    """What a severity asks for.

    Args:
        respond: within which somebody must have taken it.
        update: how often stakeholders hear of it; None when they need not.
        review: within which its post-mortem is done; None when it needs none.
        urgency: `high` wakes people.
    """

    respond: timedelta
    update: timedelta | None
    review: timedelta | None
    urgency: Literal["high", "low"]


DEMANDS = {
    Severity.SEV1: Demands(timedelta(0), timedelta(minutes=15), timedelta(hours=48), "high"),
    Severity.SEV2: Demands(timedelta(minutes=15), timedelta(minutes=30), timedelta(hours=48), "high"),
    Severity.SEV3: Demands(timedelta(hours=1), timedelta(hours=1), None, "high"),
    Severity.SEV4: Demands(timedelta(days=1), None, None, "low"),
}
"""Response times and update cadence of SEV1–SEV3, and the 48 hours, as the reference has them; SEV4 is work for the
morning."""

WORDS = {
    "sev1": Severity.SEV1, "critical": Severity.SEV1, "emergency": Severity.SEV1, "fatal": Severity.SEV1,
    "p1": Severity.SEV1, "sev2": Severity.SEV2, "high": Severity.SEV2, "error": Severity.SEV2, "major": Severity.SEV2,
    "page": Severity.SEV2, "p2": Severity.SEV2, "sev3": Severity.SEV3, "medium": Severity.SEV3,
    "warning": Severity.SEV3, "minor": Severity.SEV3, "ticket": Severity.SEV3, "p3": Severity.SEV3,
    "sev4": Severity.SEV4, "low": Severity.SEV4, "info": Severity.SEV4, "none": Severity.SEV4, "p4": Severity.SEV4,
    "p5": Severity.SEV4,
}
"""What senders call them: our own, critical/high/medium/low, Prometheus' and PagerDuty's words, P1–P5."""


def severity_of(word: str, otherwise: Severity = Severity.SEV3) -> Severity:
    """The severity a sender's word means; an unknown or absent word is taken for `otherwise`."""
    return WORDS.get(word.strip().lower(), otherwise)


def severity_named(word: str) -> Severity:
    """The severity of that name.

    Raises:
        InvalidInput: no severity is called so.
    """
    found = WORDS.get(word.strip().lower())
    if found is None:
        raise InvalidInput(f'"{word}" is no severity', "write SEV1, SEV2, SEV3, SEV4, or critical, high, medium, low")
    return found
