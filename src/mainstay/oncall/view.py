"""Shifts, people and problems as tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mainstay.kernel.quantity import format_duration
from mainstay.kernel.view import Cell, Table, table
from mainstay.oncall.changes import Swap
from mainstay.oncall.coverage import Problem
from mainstay.oncall.roster import Shift

_TROUBLE = {"gap": "nobody", "away": "away", "double": "two pagers", "unreachable": "unreachable"}


def moment(at: datetime) -> str:
    """`Mon 2 Mar 14:00 UTC`."""
    return f"{at:%a %-d %b %H:%M} UTC"


def moment_cell(at: datetime) -> Cell:
    """The moment, shown in the viewer's own zone."""
    return Cell(moment(at), at=at)


def person(who: str | None, *, via: str = "") -> Cell:
    """The name, or that nobody is there; an override says so."""
    if who is None:
        return Cell("nobody", tone="bad")
    return Cell(who if via in ("", "rotation") else f"{who} ({via})", tone="strong")


def swap_text(one: Swap) -> str:
    """`ana asks ben to take web-primary from … to …`, and what is given in return."""
    back = f", for {moment(one.back.start)} to {moment(one.back.end)}" if one.back is not None else ""
    return (f"{one.who} asks {one.asked} to take {one.rotation} from {moment(one.span.start)} to "
            f"{moment(one.span.end)}{back}")


def shifts_table(shifts: Sequence[Shift], title: str = "") -> Table:
    """A row a shift; where several rotations are behind them, also whose shift it is."""
    several = len({one.rotation for one in shifts if one.who is not None}) > 1
    rows = [(moment_cell(one.start), moment_cell(one.end), person(one.who, via=one.via),
             format_duration(one.end - one.start),
             *((one.rotation if one.who is not None else "–",) if several else ())) for one in shifts]
    return table(title, ("from", "to", "on call", "length>", *(("by",) if several else ())), rows,
                 empty="the span is empty")


def problems_table(found: Sequence[Problem]) -> Table:
    """A row a problem."""
    return table("", ("what", "where", "from", "to", "length>", "why"),
                 [(Cell(_TROUBLE[one.kind], tone="bad" if one.kind == "gap" else "warn"), one.name,
                   moment_cell(one.start), moment_cell(one.end), format_duration(one.length), one.says)
                  for one in found],
                 empty="nothing is wrong")
