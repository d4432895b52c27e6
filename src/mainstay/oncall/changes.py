"""What people changed about who is on call, as a fold over facts: overrides made and taken back, swaps asked for.

A swap is a small life of its own: requested, then accepted (which makes its overrides), declined or withdrawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from datetime import datetime
from typing import Literal

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import Conflict
from mainstay.kernel.journal import Fact, NewFact
from mainstay.kernel.quantity import Span
from mainstay.oncall.spec import Override

MADE, REMOVED = "oncall.override-made", "oncall.override-removed"
SWAP = "oncall.swap-"
KINDS = ("oncall.",)

SwapState = Literal["requested", "accepted", "declined", "withdrawn"]

SWAP_STEPS: Mapping[tuple[SwapState, str], SwapState] = {
    ("requested", "accepted"): "accepted",
    ("requested", "declined"): "declined",
    ("requested", "withdrawn"): "withdrawn",
    ("accepted", "withdrawn"): "withdrawn",
}
"""State × event → state; an accepted swap may be withdrawn until it begins, which takes its overrides back."""


class IllegalSwap(Conflict):
    """The swap cannot go from where it is to there."""

    code = "illegal-swap"


@dataclass(frozen=True, slots=True)
class MadeOverride:
    """An override that was made by command, page or API, and has not been taken back."""

    id: str
    rotation: str
    override: Override
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Swap:
    """One person asks another to take a stretch of theirs.

    Args:
        back: what the asking person takes in return; None when nothing was offered.
    """

    id: str
    rotation: str
    span: Span
    who: str
    asked: str
    back: Span | None
    state: SwapState
    version: int = 1


@dataclass(frozen=True, slots=True)
class Changes:
    """Every override in force, in the order they were made, and every swap."""

    overrides: Mapping[str, MadeOverride] = field(default_factory=dict)
    swaps: Mapping[str, Swap] = field(default_factory=dict)
    made: int = 0
    swapped: int = 0

    def of(self, rotation: str) -> tuple[Override, ...]:
        """The rotation's overrides, the later ones last."""
        return tuple(one.override for one in self.overrides.values() if one.rotation == rotation)

    def ahead(self, now: datetime, rotation: str = "") -> tuple[MadeOverride, ...]:
        """The overrides that are not over, the soonest first; of every rotation where none is named."""
        return tuple(sorted((one for one in self.overrides.values()
                             if one.override.span.end > now and rotation in ("", one.rotation)),
                            key=lambda one: one.override.span.start))

    def waiting(self, now: datetime, rotation: str = "") -> tuple[Swap, ...]:
        """The swaps that wait for an answer and are not over, the soonest first; of every rotation without a name."""
        return tuple(sorted((one for one in self.swaps.values() if one.state == "requested" and one.span.end > now
                             and rotation in ("", one.rotation)), key=lambda one: one.span.start))


def fold(facts: Iterable[Fact | NewFact], since: Changes | None = None) -> Changes:
    """The changes after these facts; facts of other kinds change nothing."""
    changes = since or Changes()
    overrides, swaps = dict(changes.overrides), dict(changes.swaps)
    made, swapped = changes.made, changes.swapped
    for fact in facts:
        data = fact.data
        if fact.kind == MADE:
            made += 1
            overrides[fact.subject] = MadeOverride(fact.subject, data["rotation"], Override(
                _span(data), data["who"], data["replaces"], data["via"], data.get("note", "")), fact.actor, fact.at)
        elif fact.kind == REMOVED:
            overrides.pop(fact.subject, None)
        elif fact.kind == f"{SWAP}requested":
            swapped += 1
            back = data.get("back")
            swaps[fact.subject] = Swap(fact.subject, data["rotation"], _span(data), data["who"], data["asked"],
                                       _span(back) if back else None, "requested")
        elif fact.kind.startswith(SWAP):
            one = swaps[fact.subject]
            swaps[fact.subject] = replace(one, state=next_swap(one, fact.kind.removeprefix(SWAP)),
                                          version=one.version + 1)
    return Changes(overrides, swaps, made, swapped)


def next_swap(swap: Swap, event: str) -> SwapState:
    """The state after the event.

    Raises:
        IllegalSwap: the event does not happen in this state.
    """
    found = SWAP_STEPS.get((swap.state, event))
    if found is None:
        raise IllegalSwap(f"{swap.id} is {swap.state} and cannot be {event}", "ask for another swap")
    return found


def _span(data: Mapping[str, str]) -> Span:
    return Span(datetime.fromisoformat(data["from"]), datetime.fromisoformat(data["to"]))
