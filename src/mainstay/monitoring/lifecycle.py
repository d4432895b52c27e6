"""The life of an alert, as Prometheus has it: inactive, pending while its condition holds, firing after `for` of that.

    state       clears      trips       holds
    inactive    inactive    pending     firing
    pending     inactive    pending     firing
    firing      inactive    firing      firing

`trips` says that the condition is true, `holds` that it was true for the whole of `for`, `clears` that it is false.
Where nothing was measured, nothing happens: an alert neither begins nor ends because a source is down.

    fact                      means                                                               subject
    monitoring.alert-began    the tier began to fire (`tier`, `severity`, `factor`, burns)        objective
    monitoring.alert-ended    it stopped (`tier`, `since`, `because`)                             objective
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from datetime import datetime, timedelta
from typing import Literal

from mainstay.kernel.alert_history import Activation
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.journal import Fact, NewFact

AlertState = Literal["inactive", "pending", "firing"]
Event = Literal["clears", "trips", "holds"]

TRANSITIONS: Mapping[tuple[AlertState, Event], AlertState] = {
    ("inactive", "clears"): "inactive", ("inactive", "trips"): "pending", ("inactive", "holds"): "firing",
    ("pending", "clears"): "inactive", ("pending", "trips"): "pending", ("pending", "holds"): "firing",
    ("firing", "clears"): "inactive", ("firing", "trips"): "firing", ("firing", "holds"): "firing",
}

BEGAN, ENDED = "monitoring.alert-began", "monitoring.alert-ended"
TOLD_WITHIN = timedelta(hours=1)
"""An alert that was recorded later than this after it began was worked out afterwards: nobody was told of it."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an alert stands.

    Args:
        since: when it came into this state; None when it never was in another.
        tripped: since when its condition holds; None while it does not.
    """

    state: AlertState = "inactive"
    since: datetime | None = None
    tripped: datetime | None = None


@dataclass(frozen=True, slots=True)
class Firing:
    """A stretch of firing; without an end while it goes on."""

    began: datetime
    ended: datetime | None = None


@dataclass(slots=True)
class _Life:
    """An alert while its conditions are followed."""

    hold: timedelta
    now: Standing
    firings: list[Firing] = field(default_factory=list)

    def due(self) -> datetime | None:
        """When a pending alert will have held long enough."""
        return self.now.tripped + self.hold if self.now.state == "pending" and self.now.tripped else None

    def go(self, event: Event, at: datetime) -> None:
        before, after = self.now.state, TRANSITIONS[self.now.state, event]
        tripped = None if event == "clears" else self.now.tripped or at
        if before == after:
            self.now = Standing(before, self.now.since, tripped)
            return
        self.now = Standing(after, at, tripped)
        if after == "firing":
            self.firings.append(Firing(at))
        elif before == "firing":
            self.firings[-1] = Firing(self.firings[-1].began, at)


def followed(start: Standing, conditions: Iterable[tuple[datetime, bool]], hold: timedelta, until: datetime,
             ) -> tuple[Standing, tuple[Firing, ...]]:
    """Where the alert stands at `until`, and every stretch of firing on the way, the one it began with included.

    Args:
        conditions: whether the condition holds, from each moment on until the next; ascending, moments that say the
            same as the one before may be left out.
        until: how long the last of them is good for.
    """
    life = _Life(hold, start)
    if start.state == "firing":
        assert start.since is not None, "what fires began to"
        life.firings.append(Firing(start.since))
    for at, holds in conditions:
        due = life.due()
        if due is not None and (due < at or (due == at and holds)):
            life.go("holds", due)
        if not holds:
            life.go("clears", at)
        elif not hold:
            life.go("holds", at)
        else:
            life.go("trips", at)
    due = life.due()
    if due is not None and due <= until:
        life.go("holds", due)
    return life.now, tuple(life.firings)


# -- the record ---------------------------------------------------------------------------------------------------


def recorded(facts: Iterable[Fact]) -> dict[tuple[str, str], Standing]:
    """Where every alert stood when something was last recorded of it, by objective and tier."""
    out: dict[tuple[str, str], Standing] = {}
    for fact in facts:
        tier = str(fact.data.get("tier", ""))
        if fact.kind == BEGAN:
            out[fact.subject, tier] = Standing("firing", fact.at, fact.at)
        elif fact.kind == ENDED:
            out[fact.subject, tier] = Standing("inactive", fact.at)
    return out


def facts_of(objective: str, tier: str, before: Standing, firings: Sequence[Firing], data: Mapping[str, object],
             ) -> list[NewFact]:
    """What is to be recorded of the stretches of firing. The keys name the beginning, so that each is recorded once.

    Args:
        before: as recorded; a stretch that is recorded as begun is not begun again.
        data: goes with every beginning.
    """
    out: list[NewFact] = []
    for one in firings:
        stamp = f"{objective}:{tier}:{one.began.isoformat()}"
        if not (before.state == "firing" and before.since == one.began):
            out.append(NewFact(BEGAN, objective, one.began, {"tier": tier, **data}, key=f"{BEGAN}:{stamp}"))
        if one.ended is not None:
            out.append(ended(objective, tier, one.began, one.ended, "it burns no longer"))
    return out


def ended(objective: str, tier: str, began: datetime, at: datetime, because: str) -> NewFact:
    """The fact that an alert stopped."""
    return NewFact(ENDED, objective, at, {"tier": tier, "since": began.isoformat(), "because": because},
                   key=f"{ENDED}:{objective}:{tier}:{began.isoformat()}")


def activations(facts: Iterable[Fact], until: datetime) -> tuple[Activation, ...]:
    """The recorded stretches of firing, as a history of alerts tells them."""
    out: list[Activation] = []
    open_ones: dict[tuple[str, str], Activation] = {}
    for fact in facts:
        key = fact.subject, str(fact.data.get("tier", ""))
        if fact.kind == BEGAN:
            told = {name: str(fact.data[name]) for name in ("severity", "service", "owner") if fact.data.get(name)}
            labels = {"alertname": f"{fact.subject} {key[1]}", "slo": fact.subject, "tier": key[1], **told}
            began = fact.at - timedelta(seconds=float(fact.data.get("hold_seconds") or 0))
            open_ones[key] = Activation(labels, began, fact.at, None, until,
                                        fact.recorded_at - fact.at > TOLD_WITHIN)
        elif fact.kind == ENDED and key in open_ones:
            one = open_ones.pop(key)
            out.append(Activation(one.labels, one.began, one.fired, fact.at, fact.at, one.muted))
    return tuple(sorted((*out, *open_ones.values()), key=lambda one: one.began))
