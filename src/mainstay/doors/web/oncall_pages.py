"""What the calendar of who is on call needs, ready to be drawn: places in percent, texts formatted."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from mainstay.doors.web.slo_pages import Choice
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.quantity import Span
from mainstay.kernel.view import Table

TONES = 8
"""Colours that people are drawn in; a ninth person shares the first one's, and has a name like everybody."""


@dataclass(frozen=True, slots=True)
class Day:
    """A day's column.

    Args:
        left, width: in percent of the row; a day on which clocks change is wider or narrower.
        weekday: `Mon`, left out where there is little room.
        short: `2`, or `1 Dec`.
    """

    left: float
    width: float
    weekday: str
    short: str
    weekend: bool


@dataclass(frozen=True, slots=True)
class Bar:
    """A shift.

    Args:
        kind: `uncovered` is drawn in red and says nobody; `override` and `swap` are marked and say so.
        says: the whole of it in words.
    """

    left: float
    width: float
    who: str
    kind: Literal["rotation", "override", "swap", "uncovered"]
    tone: int
    says: str


@dataclass(frozen=True, slots=True)
class Row:
    """A pager over a week.

    Args:
        says: the row as a sentence, for whoever cannot see it.
    """

    name: str
    bars: tuple[Bar, ...]
    says: str
    link: str


@dataclass(frozen=True, slots=True)
class Week:
    """Seven days of every pager.

    Args:
        now: where the line of this moment stands, in percent; None when it is not in the week.
    """

    days: tuple[Day, ...]
    rows: tuple[Row, ...]
    now: float | None


@dataclass(frozen=True, slots=True)
class Now:
    """Who has a pager at this moment; `who` is empty when nobody has."""

    name: str
    who: str
    until: datetime | None
    layers: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A swap that waits for an answer: what is asked, for when, and when the asking person would stand in instead."""

    id: str
    says: str
    span: Span
    back: Span | None


@dataclass(frozen=True, slots=True)
class Made:
    """An override that can be taken back: whom it puts on call, when, and who made it; one of a swap names that."""

    id: str
    says: str
    span: Span
    made: str
    swap: str


@dataclass(frozen=True, slots=True)
class CalendarPage:
    """A week of shifts, or those of a month.

    Args:
        rotations, people: to choose from in the forms.
        swaps, overrides: what waits for an answer, and what was made by command and is not over.
        empty: what would fill the page and the command that does it.
    """

    title: str
    verdict: str
    bad: bool
    zone: str
    views: tuple[Choice, ...]
    moves: tuple[Choice, ...]
    now: tuple[Now, ...]
    weeks: tuple[Week, ...]
    shifts: Table
    rotations: tuple[str, ...]
    people: tuple[str, ...]
    feed: str
    swaps: tuple[Asked, ...] = ()
    overrides: tuple[Made, ...] = ()
    empty: str = ""
