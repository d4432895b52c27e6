"""What was taken from another tool: our rotations, schedules and people, what could not be said, and the tool's own
answers, against which ours are held."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import Position
from mainstay.kernel.quantity import Span, zone_named
from mainstay.kernel.wallclock import local_of
from mainstay.oncall.forms import NOBODY
from mainstay.oncall.roster import Roster, Shift, layered
from mainstay.oncall.spec import Override, Person, Rotation, Schedule, Turn

NOWHERE = Position("")
_WEEK = Turn(1, "week")


@dataclass(frozen=True, slots=True)
class Asked:
    """What an import needs to know besides the file.

    Args:
        now: the moment that "who is active now" in the file is meant for.
        horizon: how far ahead what has no end is written out.
        zone: of calendars that name none.
    """

    now: datetime
    horizon: timedelta = timedelta(days=365)
    zone: str = "UTC"

    @property
    def span(self) -> Span:
        """From a day before now to the horizon."""
        return Span(self.now - timedelta(days=1), self.now + self.horizon)


@dataclass(slots=True)
class Taken:
    """What an export holds, in our words; filled while it is read.

    Args:
        truth: what the tool itself says: by the name of a rotation or schedule, its shifts in order.
        notes: what could not be said as the tool has it, and what was made of it.
    """

    rotations: list[Rotation] = field(default_factory=list)
    schedules: list[Schedule] = field(default_factory=list)
    people: dict[str, Person] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    truth: dict[str, list[Shift]] = field(default_factory=dict)
    accounts: dict[str, str] = field(default_factory=dict)
    """The names here of people whom the tool tells apart by something else."""

    def person(self, name: str, title: str = "", zone: str = "UTC", account: str = "") -> str:
        """The person's name here, declared when it is met first.

        Args:
            account: what the tool tells people apart by, where it has that: two accounts of one name are two people.
        """
        short = name_of(name)
        if short == _UNNAMED:  # in letters of which nothing is left, names tell people apart all the same
            account = account or name.strip()
        if account in self.accounts:
            return self.accounts[account]
        if not account and short in self.people:
            return short
        found = self._free(short) if short == NOBODY or short in self.accounts.values() else short
        if short in self.people and found != short != _UNNAMED:
            self.notes.append(f"several people are called {title or name}: one of them is {found}")
        if account:
            self.accounts[account] = found
        if found not in self.people:
            self.people[found] = Person(found, NOWHERE, title if title != found else "", zone)
        return found

    def _free(self, short: str) -> str:
        number = 2
        while f"{short}-{number}" in self.people:
            number += 1
        return f"{short}-{number}"

    def rotation_name(self, wanted: str) -> str:
        """A name that no rotation or schedule has yet."""
        taken = {one.name for one in self.rotations} | {one.name for one in self.schedules}
        name, number = name_of(wanted), 2
        while name in taken:
            name, number = f"{name_of(wanted)}-{number}", number + 1
        return name

    def shifts(self, name: str, span: Span) -> list[Shift]:
        """Who is on call by what was taken."""
        by_name = {one.name: one for one in self.rotations}
        schedule = next((one for one in self.schedules if one.name == name), None)
        layers = schedule.layers if schedule is not None else (name,)
        return layered([Roster(by_name[layer]) for layer in layers], span)


@dataclass(frozen=True, slots=True)
class Difference:
    """A stretch in which the tool and we say different things.

    Args:
        theirs, ours: who is on call; None for nobody.
        why: what explains it; empty when nothing does.
    """

    name: str
    start: datetime
    end: datetime
    theirs: str | None
    ours: str | None
    why: str = ""


def differences(taken: Taken, asked: Asked) -> list[Difference]:
    """Where the tool's own answers, as far as its export has them, are not ours."""
    found: list[Difference] = []
    for name, truth in taken.truth.items():
        held = [one for one in truth if one.end > asked.span.start and one.start < asked.span.end]
        if not held:
            continue
        span = Span(max(held[0].start, asked.span.start), min(max(one.end for one in held), asked.span.end))
        zones = {one.zone for one in taken.rotations}
        said = taken.shifts(name, span)
        for one in compared(truth, said, span):
            why = "a change of clocks: docs/guides/oncall.md says which instant we take" \
                if any(by_clocks(one, said, zone) for zone in zones) else ""
            found.append(Difference(name, *one, why))
    return found


Apart = tuple[datetime, datetime, str | None, str | None]
"""A stretch, its begin and end, and who is on call in it: theirs, ours."""


def compared(theirs: Sequence[Shift], ours: Sequence[Shift], span: Span) -> Iterator[Apart]:
    """The stretches of the span in which two lists of shifts name different people."""
    cuts = sorted({moment for one in (*theirs, *ours) for moment in (one.start, one.end)
                   if span.start < moment < span.end} | set(span))
    open_: Apart | None = None
    first, second = _Walk(theirs), _Walk(ours)
    for start, end in pairwise(cuts):
        pair = first.who(start), second.who(start)
        if pair[0] == pair[1]:
            continue
        if open_ is not None and open_[1] == start and open_[2:] == pair:
            open_ = (open_[0], end, *pair)
            continue
        if open_ is not None:
            yield open_
        open_ = (start, end, *pair)
    if open_ is not None:
        yield open_


class _Walk:
    """Shifts asked moment after moment, in order."""

    def __init__(self, shifts: Sequence[Shift]) -> None:
        self._shifts, self._at = sorted(shifts, key=lambda one: one.start), 0

    def who(self, moment: datetime) -> str | None:
        while self._at < len(self._shifts) and self._shifts[self._at].end <= moment:
            self._at += 1
        if self._at < len(self._shifts) and self._shifts[self._at].start <= moment:
            return self._shifts[self._at].who
        return None


def by_clocks(apart: Apart, ours: Sequence[Shift], zone: str) -> bool:
    """Whether two calendars may differ over that stretch only because they read a change of the zone's clocks apart.

    Hand-offs move within a day of the change; and a turn that has the length of another one, to the second, ends just
    as much too early or too late as clocks moved while it lasted. A hand-off of ours lies elsewhere there: nobody is on
    call in between, or whoever is before or after it by ours. Anybody else stood in.
    """
    start, end, theirs, held = apart
    if not _near_a_change(start, end, zone):
        return False
    beside = _beside(start, end, ours)
    amid = set(beside) == {held} and any(one.who not in (held, None) for one in ours)
    return not amid and (theirs is None or theirs in beside)


def _beside(start: datetime, end: datetime, shifts: Sequence[Shift]) -> tuple[str | None, ...]:
    """Who is on call just before and just after a stretch."""
    return tuple(one.who for one in shifts if one.start < start <= one.end or one.start <= end < one.end)


def _near_a_change(start: datetime, end: datetime, zone: str) -> bool:
    known = zone_named(zone)

    def offset(at: datetime) -> timedelta:
        return local_of(at, known) - at.replace(tzinfo=None)

    day = timedelta(days=1)
    if end - start <= timedelta(hours=3) and len({offset(at) for at in (start - day, start, end, end + day)}) > 1:
        return True
    return abs(offset(end) - offset(start - 32 * day)) == end - start


# -- making what cannot be said as turns ----------------------------------------------------------------------------


def fixed(name: str, zone: str, shifts: Iterable[Shift], title: str = "") -> Rotation:
    """Shifts as they are: a rotation in which nobody takes turns, with an override for each of them."""
    held = sorted((one for one in shifts if one.who is not None), key=lambda one: one.start)
    start = local_of(held[0].start, zone_named(zone)) if held else datetime(2026, 1, 5)  # noqa: DTZ001  (wall clock)
    return Rotation(name, NOWHERE, zone, start.replace(second=0, microsecond=0), _WEEK, (None,), title=title,
                    overrides=tuple(Override(Span(one.start, one.end), one.who) for one in held))


def with_overrides(rotation: Rotation, overrides: Iterable[Override]) -> Rotation:
    """The rotation with further overrides on top."""
    return replace(rotation, overrides=(*rotation.overrides, *overrides))


def shift(start: datetime, end: datetime, who: str | None, name: str = "") -> Shift:
    """A shift of the other tool."""
    return Shift(start.astimezone(UTC), end.astimezone(UTC), who, name, "rotation" if who is not None else "gap")


# -- reading what other programs wrote ------------------------------------------------------------------------------

_FIRST_YEAR, _LAST_YEAR = 1971, 2999  # as times of a catalog
_MOST = 10**9  # seconds: thirty years
_BAD = re.compile(r"[^a-z0-9._-]+")
_UNNAMED = "unnamed"


def name_of(text: str) -> str:
    """A name as a catalog takes it: `Web Primary (EU)` is `web-primary-eu`; of an address, what stands before the @.

    Letters lose their accents; those of other alphabets are left out.
    """
    local, at, host = text.strip().partition("@")
    plain = local if at and "." in host and " " not in text.strip() else text
    bare = "".join(one for one in unicodedata.normalize("NFKD", plain.strip().casefold())
                   if not unicodedata.combining(one))
    return _BAD.sub("-", bare).strip("-._") or _UNNAMED


def objects(value: object, what: str) -> list[Mapping[str, Any]]:
    """A list of objects.

    Raises:
        InvalidInput: it is something else.
    """
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise InvalidInput(f"{what} is not a list of objects", "export it again, whole and as JSON")
    return value


def get(mapping: Mapping[str, Any], key: str, what: str) -> Any:
    """A field that must be there.

    Raises:
        InvalidInput: it is not.
    """
    if mapping.get(key) is None:
        raise InvalidInput(f'{what} has no "{key}"', "export it again, whole and as JSON")
    return mapping[key]


def moment(text: object, what: str, zone: str = "") -> datetime:
    """RFC 3339, or seconds since 1970, as an instant; a time that says no zone is of `zone`.

    Raises:
        InvalidInput: neither.
    """
    try:
        if isinstance(text, int | float):
            found = datetime.fromtimestamp(text, UTC)
        else:
            found = datetime.fromisoformat(str(text))
    except (ValueError, OverflowError, OSError):
        raise InvalidInput(f'{what} is "{text}", which is not a time', "export it again") from None
    if not _FIRST_YEAR <= found.year <= _LAST_YEAR:
        raise InvalidInput(f'{what} is "{text}", which is too far away', "export it again")
    if found.tzinfo is None:
        found = found.replace(tzinfo=zone_named(zone) if zone else UTC)
    return found.astimezone(UTC)


def whole(value: object, what: str) -> int:
    """A whole number above zero, a length in seconds at most.

    Raises:
        InvalidInput: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < _MOST:
        raise InvalidInput(f'{what} is "{value}", which is not a number above zero (and below {_MOST})',
                           "export it again")
    return value
