"""What a team writes about being on call, as frozen types: people, rotations, schedules, holidays, time off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import date, datetime
from typing import Literal, NamedTuple

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.finding import Position
from mainstay.kernel.people import Contact, Reach
from mainstay.kernel.quantity import Span
from mainstay.kernel.wallclock import WeeklyHours

Unit = Literal["minute", "hour", "day", "week", "month"]


class Turn(NamedTuple):
    """How long one person keeps the pager: days, weeks and months by the wall clock, hours and minutes elapsed."""

    every: int
    unit: Unit

    def __str__(self) -> str:
        return f"{self.every}{'mo' if self.unit == 'month' else self.unit[0]}"


class Stay(NamedTuple):
    """When somebody takes part in a rotation: from the first turn that begins at or after `start`, up to the last that
    ends by `end`. None leaves that side open."""

    start: datetime | None = None
    end: datetime | None = None


ALWAYS = Stay()


@dataclass(frozen=True, slots=True)
class Override:
    """Somebody else, or nobody, for a while.

    Args:
        who: None takes whoever is on call away.
        replaces: only where this person would be on call; None covers the time, whoever holds it.
        via: what made it: `override`, or `swap`.
    """

    span: Span
    who: str | None
    replaces: str | None = None
    via: str = "override"
    note: str = ""


@dataclass(frozen=True, slots=True)
class Rotation:
    """People who take turns.

    Args:
        zone: IANA name; turns and restrictions follow its wall clock.
        start: the first hand-off, a wall-clock time, naive.
        members: in the order of their turns; None is a turn that nobody has.
        restrictions: the only hours that are covered; none means all. A turn without any covered time is skipped and
            uses up nobody's turn.
        overrides: in the order they were made; a later one wins.
        stays: one a member, or none at all: who joins or leaves on a date. Whoever does not take part is passed over,
            and the others keep their order.
        until: a wall-clock time from which nobody takes turns any more.
        counts_empty: a turn without covered time is somebody's all the same, as other tools have it.
        places: where each name that takes turns or stands in is written first.
    """

    name: str
    origin: Position
    zone: str
    start: datetime
    turn: Turn
    members: tuple[str | None, ...]
    restrictions: tuple[WeeklyHours, ...] = ()
    overrides: tuple[Override, ...] = ()
    title: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    stays: tuple[Stay, ...] = ()
    until: datetime | None = None
    counts_empty: bool = False
    places: Mapping[str, Position] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Holidays:
    """Days off that several people share: a country's, a company's."""

    name: str
    origin: Position
    days: tuple[date, ...]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Layers of rotations: the first layer in which somebody is on call answers.

    Args:
        places: where the name of each layer is written.
    """

    name: str
    origin: Position
    layers: tuple[str, ...]
    title: str = ""
    places: Mapping[str, Position] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Absence:
    """Time off, by the person's wall clock made instants."""

    span: Span
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who can be paged.

    Args:
        zone: where the person lives: nights and weekends are judged there.
        holidays: days that count as weekend for this person.
        calendars: names of `Holidays` whose days count as well.
        places: where the name of each of those is written.
    """

    name: str
    origin: Position
    title: str = ""
    zone: str = "UTC"
    contacts: tuple[Contact, ...] = ()
    rules: tuple[Reach, ...] = ()
    time_off: tuple[Absence, ...] = ()
    holidays: tuple[date, ...] = ()
    team: str = ""
    calendars: tuple[str, ...] = ()
    places: Mapping[str, Position] = field(default_factory=dict, compare=False)
