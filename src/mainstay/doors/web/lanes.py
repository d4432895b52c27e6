"""When each alert fired, as one lane an alert over the same stretch of time: SVG bars, drawn on the server.

The lanes are as wide as the page lets them be: bars are placed in percent, so that nothing is stretched.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from markupsafe import Markup

from mainstay.kernel.dataclass import dataclass

LEAST = 0.25
"""Percent of the width: a firing of a minute in thirty days must still be seen."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of firing; without an end while it goes on."""

    start: datetime
    end: datetime | None
    says: str


@dataclass(frozen=True, slots=True)
class Lane:
    """One alert's bars over the page's stretch of time.

    Args:
        link: the page of its objective.
        tone: `bad` for what wakes somebody, `warn` for the rest.
        note: how often and how long in all: `3×, 2 h 10 m`.
    """

    name: str
    tier: str
    link: str
    tone: Literal["bad", "warn"]
    bars: tuple[Bar, ...]
    note: str


@dataclass(frozen=True, slots=True)
class Lanes:
    """Lanes over [start, end), with days to name below them; `more` lanes are left out."""

    start: datetime
    end: datetime
    lanes: tuple[Lane, ...]
    ticks: tuple[datetime, ...]
    more: int = 0


def place(lanes: Lanes, at: datetime) -> float:
    """Where an instant lies, in percent of the width."""
    share = (at - lanes.start) / (lanes.end - lanes.start)
    return max(0.0, min(1.0, share)) * 100


def draw_lane(lanes: Lanes, lane: Lane) -> Markup:
    """The lane's bars as one `<svg>`, with what they say as its text alternative."""
    said = "; ".join(bar.says for bar in lane.bars)
    parts = [Markup('<svg class="lane" width="100%" height="16" role="img" aria-label="{}">').format(
        f"{lane.name} {lane.tier}: {said}")]
    parts.append(Markup('<line class="grid" x1="0" x2="100%" y1="8" y2="8"/>'))
    for tick in lanes.ticks:
        parts.append(Markup('<line class="grid" x1="{0}%" x2="{0}%" y1="0" y2="16"/>').format(
            f"{place(lanes, tick):.2f}"))
    for bar in lane.bars:
        left = place(lanes, bar.start)
        width = max(LEAST, place(lanes, bar.end or lanes.end) - left)
        parts.append(Markup('<rect class="{}{}" x="{}%" y="2" width="{}%" height="12" rx="1"><title>{}</title></rect>')
                     .format(lane.tone, "" if bar.end else " on", f"{min(left, 100 - LEAST):.2f}", f"{width:.2f}",
                             bar.says))
    return Markup("").join([*parts, Markup("</svg>")])


def ticks_of(start: datetime, end: datetime, days: Sequence[int] = (1, 2, 5, 7, 14)) -> tuple[datetime, ...]:
    """Midnights to name: at most seven."""
    length = (end - start).days
    step = next((every for every in days if length / every <= 7), 30)
    at = start.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    out = []
    while at < end:
        out.append(at)
        at += timedelta(days=step)
    return tuple(out)
