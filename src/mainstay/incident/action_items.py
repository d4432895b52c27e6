"""Action items: what was promised after an incident, by whom, until when, and whether somebody else saw it done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from statistics import median
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import Conflict, NotAllowed

KINDS = ("prevent", "detect", "mitigate")
"""What an action item is for: that it does not happen again, is noticed sooner, or hurts less."""

PRIORITIES = ("P0", "P1", "P2", "P3")


class Progress(StrEnum):
    """How far an action item is."""

    OPEN = "open"
    DONE = "done"
    VERIFIED = "verified"
    DROPPED = "dropped"


STEPS: Mapping[tuple[Progress, str], Progress] = {
    (Progress.OPEN, "done"): Progress.DONE,
    (Progress.OPEN, "dropped"): Progress.DROPPED,
    (Progress.DONE, "verified"): Progress.VERIFIED,
    (Progress.DONE, "reopened"): Progress.OPEN,
    (Progress.VERIFIED, "reopened"): Progress.OPEN,
    (Progress.DROPPED, "reopened"): Progress.OPEN,
}
"""State × event → state; what is not here does not happen."""


class IllegalItemStep(Conflict):
    """The action item cannot go from where it is to where it was asked to go."""

    code = "illegal-step"


class OwnWork(NotAllowed):
    """Whoever owns an action item, or said that it is done, cannot be the one who verifies it."""

    code = "own-work"


class Item(Struct, frozen=True, gc=False):
    """Something that is to be done after an incident.

    Args:
        link: where a tracker has it.
        done_by: who said that it is done; empty while it is open.
        marks: what a later incident must carry to be called alike (`marks_of`).
    """

    id: str
    incident: str
    text: str
    kind: str
    priority: str
    added: datetime
    owner: str = ""
    due: date | None = None
    link: str = ""
    state: Progress = Progress.OPEN
    done_by: str = ""
    verified_by: str = ""
    closed_at: datetime | None = None
    marks: tuple[str, ...] = ()
    version: int = 1

    @property
    def closed(self) -> bool:
        """Whether nothing is left to do."""
        return self.state in (Progress.VERIFIED, Progress.DROPPED)

    def overdue(self, now: datetime) -> timedelta:
        """How long it should have been done by now; zero when it is, or there is time."""
        if self.due is None or self.state is not Progress.OPEN:
            return timedelta(0)
        return max(now - end_of(self.due), timedelta(0))


def end_of(day: date) -> datetime:
    """The moment at which a due date is over: the end of that day, UTC."""
    return datetime.combine(day + timedelta(days=1), time(0), UTC)


def after(one: Item | None, kind: str, name: str, at: datetime, data: Mapping[str, Any], actor: str) -> Item:
    """The item after a fact about it; `kind` is without the word: `added`, `changed`, `done`."""
    if one is None:
        assert kind == "added", "every action item begins by being added"
        return Item(name, data["incident"], data["text"], data["kind"], data["priority"], at, data["owner"],
                    _day(data["due"]), data["link"], marks=tuple(data["marks"]))
    version = one.version + 1
    match kind:
        case "changed":
            return replace(one, text=data["text"], kind=data["kind"], priority=data["priority"], owner=data["owner"],
                           due=_day(data["due"]), link=data["link"], version=version)
        case "done":
            return replace(one, state=Progress.DONE, done_by=actor, closed_at=at, version=version)
        case "verified":
            return replace(one, state=Progress.VERIFIED, verified_by=actor, closed_at=at, version=version)
        case "dropped":
            return replace(one, state=Progress.DROPPED, closed_at=at, version=version)
        case "reopened":
            return replace(one, state=Progress.OPEN, done_by="", verified_by="", closed_at=None, version=version)
        case _:
            return one


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None


def next_progress(one: Item, event: str, by: str) -> Progress:
    """The state after the event.

    Raises:
        IllegalItemStep: it does not happen in this state.
        OwnWork: who verifies it is its owner, or said that it is done.
    """
    found = STEPS.get((one.state, event))
    if found is None:
        can = [name for (state, name) in STEPS if state is one.state]
        raise IllegalItemStep(f"{one.id} is {one.state} and cannot be {event}",
                              f"from {one.state} it can be " + " or ".join(can) if can else "nothing follows")
    if event == "verified" and by in (one.owner, one.done_by):
        raise OwnWork(f"{by} did {one.id} and cannot verify it", "somebody else looks at it and verifies it")
    return found


# -- reminders ----------------------------------------------------------------------------------------------------

_HOUR = time(9)
BEFORE, AGAIN = timedelta(days=3), timedelta(days=7)
"""The owner is reminded three days before the due date, on it, and every week after it, at 9:00 UTC."""


def next_reminder(due: date | None, now: datetime) -> datetime | None:
    """When the owner is reminded next; None without a due date."""
    if due is None:
        return None
    first = datetime.combine(due, _HOUR, UTC)
    for moment in (first - BEFORE, first):
        if moment > now:
            return moment
    weeks = (now - first) // AGAIN + 1
    return first + AGAIN * weeks


# -- the ageing report --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OwnerAge:
    """One owner's open action items; ages in days. `owner` is empty for those that nobody owns."""

    owner: str
    open: int
    overdue: int
    median_age_days: float
    oldest_days: float


@dataclass(frozen=True, slots=True)
class Ageing:
    """How old the promises are; the field names are stable JSON.

    Args:
        unverified: done, and nobody else has looked yet.
        median_age_days: of those that are open; None when none is.
    """

    open: int
    overdue: int
    unverified: int
    verified: int
    median_age_days: float | None
    owners: tuple[OwnerAge, ...]


def overdue_first(items: Iterable[Item], now: datetime) -> list[Item]:
    """The items: the longest overdue first, then those soonest due, then those nobody gave a date, then closed ones."""
    return sorted(items, key=lambda one: (one.closed, one.state is Progress.DONE, -one.overdue(now),
                                          one.due or date.max, one.priority, number_of(one.id)))


def number_of(name: str) -> int:
    """The number in `AI-12`."""
    return int(name.rpartition("-")[2])


def ageing(items: Sequence[Item], now: datetime) -> Ageing:
    """The report over all items."""
    open_ones = [one for one in items if one.state is Progress.OPEN]
    ages = {one.id: (now - one.added) / timedelta(days=1) for one in open_ones}
    owners = []
    for owner in sorted({one.owner for one in open_ones}):
        own = [one for one in open_ones if one.owner == owner]
        mine = [ages[one.id] for one in own]
        owners.append(OwnerAge(owner, len(own), sum(bool(one.overdue(now)) for one in own), median(mine), max(mine)))
    owners.sort(key=lambda one: (-one.overdue, -one.open, one.owner))
    return Ageing(len(open_ones), sum(bool(one.overdue(now)) for one in open_ones),
                  sum(one.state is Progress.DONE for one in items),
                  sum(one.state is Progress.VERIFIED for one in items),
                  median(ages.values()) if ages else None, tuple(owners))


# -- what is alike ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sign:
    """What is known of an alert when it is compared: its service, its sender's key, its labels."""

    service: str
    key: str
    labels: Mapping[str, str]


_NAMING = ("alertname", "alert", "check")
"""Labels that say what is wrong, and not on which machine."""


def marks_of(service: str, title: str, signs: Iterable[Sign]) -> tuple[str, ...]:
    """What an incident must share with another to be called alike.

    Two are alike when an alert of both has the same service and the same key, or the same service and the same label
    that names what is wrong; incidents that were opened by hand, when service and title are the same.
    """
    marks: dict[str, None] = {}
    for sign in signs:
        marks[f"key:{sign.service}:{sign.key}"] = None
        for name in _NAMING:
            if name in sign.labels:
                marks[f"{name}:{sign.service}:{sign.labels[name]}"] = None
    return tuple(marks) or (f"title:{service}:{' '.join(title.lower().split())}",)
