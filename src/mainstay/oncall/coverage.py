"""What is wrong with a roster before it happens: nobody there, somebody away, one person in two places."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.quantity import Span
from mainstay.oncall.roster import Shift
from mainstay.oncall.spec import Person

Trouble = Literal["gap", "away", "double", "unreachable"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that will go wrong unless somebody does something.

    Args:
        kind: `gap` nobody is on call; `away` the person has time off; `double` the person has another pager at the same
            time; `unreachable` nothing says how to reach the person.
        name: the rotation or schedule.
    """

    kind: Trouble
    name: str
    start: datetime
    end: datetime
    who: str | None
    says: str

    @property
    def length(self) -> timedelta:
        """How long it lasts."""
        return self.end - self.start


def problems(rosters: Mapping[str, Sequence[Shift]], people: Mapping[str, Person]) -> list[Problem]:
    """Every problem of the shifts, in the order in which they begin.

    Args:
        rosters: the shifts of each rotation or schedule over one span.
        people: those that are declared, by name; without any, nothing is said about people.
    """
    found = [*_gaps(rosters), *_double(rosters)]
    if people:
        found += _away(rosters, people)
        found += _unreachable(rosters, people)
    return sorted(found, key=lambda one: (one.start, one.name, one.kind))


def _gaps(rosters: Mapping[str, Sequence[Shift]]) -> Iterator[Problem]:
    for name, shifts in rosters.items():
        for shift in shifts:
            if shift.who is None:
                yield Problem("gap", name, shift.start, shift.end, None, "nobody is on call")


def _away(rosters: Mapping[str, Sequence[Shift]], people: Mapping[str, Person]) -> Iterator[Problem]:
    for name, shifts in rosters.items():
        for shift in shifts:
            person = people.get(shift.who or "")
            for absence in person.time_off if person is not None else ():
                common = _common(Span(shift.start, shift.end), absence.span)
                if common is not None:
                    reason = f" ({absence.reason})" if absence.reason else ""
                    yield Problem("away", name, *common, shift.who, f"{shift.who} has time off{reason}")


def _double(rosters: Mapping[str, Sequence[Shift]]) -> Iterator[Problem]:
    held = sorted(((shift.start, shift.end, shift.who, name) for name, shifts in rosters.items() for shift in shifts
                   if shift.who is not None), key=lambda one: (str(one[2]), one[0], one[3]))
    open_: list[tuple[datetime, datetime, str | None, str]] = []
    for one in held:
        open_ = [other for other in open_ if other[2] == one[2] and other[1] > one[0]]
        for other in open_:
            common = _common(Span(one[0], one[1]), Span(other[0], other[1]))
            if common is not None and other[3] != one[3]:
                yield Problem("double", one[3], *common, one[2], f"{one[2]} is on call in {other[3]} too")
        open_.append(one)


def _unreachable(rosters: Mapping[str, Sequence[Shift]], people: Mapping[str, Person]) -> Iterator[Problem]:
    for name, shifts in rosters.items():
        said: set[str] = set()
        for shift in shifts:
            who = shift.who
            if who is None or who in said:
                continue
            said.add(who)
            person = people.get(who)
            if person is None:
                yield Problem("unreachable", name, shift.start, shift.end, who, f"no person is named {who}")
            elif not person.contacts:
                yield Problem("unreachable", name, shift.start, shift.end, who, f"nothing says how to reach {who}")


def _common(one: Span, other: Span) -> Span | None:
    start, end = max(one.start, other.start), min(one.end, other.end)
    return Span(start, end) if start < end else None


def hours_without(found: Iterable[Problem]) -> timedelta:
    """How long nobody is on call, all gaps together."""
    return sum((one.length for one in found if one.kind == "gap"), timedelta(0))
