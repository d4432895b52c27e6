"""Rotations for tests, in as few words as a table needs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from mainstay.kernel.finding import Position
from mainstay.kernel.quantity import Span
from mainstay.oncall.forms import parse_turn
from mainstay.oncall.roster import Roster, Shift
from mainstay.oncall.spec import Override, Rotation

NEW_YORK = "America/New_York"


def utc(text: str) -> datetime:
    """`2026-03-02T14:00Z` as an instant."""
    return datetime.fromisoformat(text).astimezone(UTC)


def rotation(zone: str, start: str, turn: str, members: Sequence[str | None], **more: object) -> Rotation:
    """A rotation that begins at a wall time of its zone."""
    return Rotation("web", Position("web.yaml"), zone, datetime.fromisoformat(start), parse_turn(turn),
                    tuple(members), **more)  # type: ignore[arg-type]


def override(start: str, end: str, who: str | None, replaces: str | None = None) -> Override:
    """Somebody else between two instants."""
    return Override(Span(utc(start), utc(end)), who, replaces)


def shifts(one: Rotation, start: str, end: str) -> list[Shift]:
    """The shifts between two instants."""
    return Roster(one).shifts(Span(utc(start), utc(end)))


def told(found: Sequence[Shift]) -> list[str]:
    """`03-02T14:00 ana`, a line a shift; a dash where nobody is on call."""
    return [f"{one.start:%m-%dT%H:%M} {one.who or '-'}" for one in found]
