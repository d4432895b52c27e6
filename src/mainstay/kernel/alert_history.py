"""What alerts did, wherever it is remembered: the port that audits read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal, Protocol

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import NotFound
from mainstay.kernel.quantity import Span


@dataclass(frozen=True, slots=True)
class Activation:
    """One time that an alert was on.

    Args:
        labels: what tells it apart, `alertname` among them; never `alertstate`.
        began: its condition began to hold; equal to `fired` where the history does not say.
        fired: it began to fire; None when the condition went away before it did.
        ended: the first moment it was seen off; None while it is on, and where the history never says.
        last_seen: the last moment it was known to be on.
        muted: nobody was told: somebody had silenced it, or it was worked out afterwards.
    """

    labels: Mapping[str, str]
    began: datetime
    fired: datetime | None
    ended: datetime | None
    last_seen: datetime
    muted: bool = False


@dataclass(frozen=True, slots=True)
class AlertRule:
    """A rule that is in force: its name and labels, `for` and `keep_firing_for`, and the expression."""

    name: str
    labels: Mapping[str, str]
    hold: timedelta
    keep: timedelta
    expression: str


@dataclass(frozen=True, slots=True)
class AlertsRead:
    """What a history of alerts says of a span.

    Args:
        said: what was read, in a few words.
        rules: the rules in force; None where this place does not know them.
        held: the part of the span that the place has a memory of; None when it has none at all.
        rejected: records that could not be read, as (where, why), twenty at most; `rejections` counts them all.
    """

    said: str
    activations: tuple[Activation, ...]
    held: Span | None
    rules: tuple[AlertRule, ...] | None = None
    rejected: tuple[tuple[str, str], ...] = ()
    rejections: int = 0


class AlertHistory(Protocol):
    """What alerts did. Places: a Prometheus' own series, an Alertmanager, logs of webhook payloads, memory (tests)."""

    def read(self, span: Span) -> AlertsRead:
        """Every activation that touches the span, by when it began.

        Raises:
            SourceUnavailable: the place is down, slow, refuses or answers nonsense.
            InvalidInput: it is not what it was said to be.
        """
        ...


@dataclass(frozen=True, slots=True)
class AlertPlace:
    """Where a history of alerts is: a declared source (`prometheus`) by name, a URL, or files of payloads."""

    kind: Literal["source", "prometheus", "alertmanager", "payloads"]
    address: str


def no_alert_history(place: AlertPlace) -> AlertHistory:
    """A world that was put together without any.

    Raises:
        NotFound: always.
    """
    raise NotFound(f"this world has no history of alerts at {place.address}", "run mainstay from the command line")
