"""Views: what a result looks like, said once; the terminal, JSON and HTML doors each draw it.

A view knows no terminal and no HTML. Numbers arrive already rounded to text; a chart keeps its numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from datetime import datetime
from typing import Literal

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.quantity import State

Tone = Literal["plain", "quiet", "strong", "good", "warn", "bad"]
"""How loudly a text speaks. Colour is never the only carrier of a meaning."""

SIGNS: dict[State, tuple[str, str]] = {
    "healthy": ("●", "healthy"), "at_risk": ("◐", "at risk"),
    "violated": ("○", "violated"), "no_data": ("–", "no data"),
}
"""The four states as sign and word, the same in every face (FACES)."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its text, and what may be drawn with it.

    Args:
        state: drawn as word, sign and colour.
        bar: a share 0..1 (clamped when drawn) as a bar before the text.
        spark: a small line of values; None is a gap.
        link: where a click leads on the page: an operation's address such as `slo/show?name=checkout`.
        at: the instant that the text says in UTC; each door shows it in the viewer's zone.
    """

    text: str = ""
    tone: Tone = "plain"
    state: State | None = None
    bar: float | None = None
    spark: tuple[float | None, ...] = ()
    link: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """A sentence or paragraph."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Pairs:
    """Names with values, aligned: `availability   99.970 %   target 99.9 %   ● healthy`."""

    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column's heading and side.

    Args:
        gives_way: where all columns have no room, those with the highest number are left out first; 0 never is.
    """

    title: str
    right: bool = False
    gives_way: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headings. `empty` says what would fill it and the command that does it."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    title: str = ""
    empty: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart; None is a gap and is drawn as one."""

    name: str
    values: tuple[float | None, ...]
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened, drawn across a chart: an incident, a deployment, an experiment."""

    at: datetime
    text: str
    tone: Tone = "quiet"
    link: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """Values over time. The title says the finding; the rows behind it are the values themselves.

    Args:
        times: one instant per value, aware UTC, ascending.
        unit: of the values: `%`, `×`, `s`.
        bounds: horizontal lines: (value, name), such as a target or an alert threshold.
        query: what made the numbers, for "show the query".
    """

    title: str
    times: tuple[datetime, ...]
    lines: tuple[Line, ...]
    unit: str = ""
    bounds: tuple[tuple[float, str], ...] = ()
    marks: tuple[Mark, ...] = ()
    query: str = ""
    empty: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing on a timeline."""

    at: datetime
    text: str
    tone: Tone = "plain"
    link: str = ""


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happened, in order."""

    entries: tuple[Entry, ...]
    title: str = ""
    empty: str = ""


@dataclass(frozen=True, slots=True)
class Code:
    """Text kept as it is: a query, a file, a command's output."""

    text: str
    language: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class Next:
    """The commands to run next, always last."""

    commands: tuple[str, ...]


Block = Text | Pairs | Table | Chart | Timeline | Code | Next


@dataclass(frozen=True, slots=True)
class View:
    """A whole answer: a title and its blocks, top to bottom: what was read, the verdict, why, what next."""

    title: str
    blocks: tuple[Block, ...] = field(default_factory=tuple)


def cells(*texts: str | Cell) -> tuple[Cell, ...]:
    """Texts as cells, cells as they are."""
    return tuple(text if isinstance(text, Cell) else Cell(text) for text in texts)


def table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str | Cell]], *, empty: str = "") -> Table:
    """A table from plain rows; a heading that ends in `>` is set to the right."""
    columns = tuple(Column(heading.rstrip(">"), heading.endswith(">")) for heading in headings)
    return Table(columns, tuple(cells(*row) for row in rows), title, empty)


def state_cell(state: State) -> Cell:
    """The state as sign and word."""
    sign, word = SIGNS[state]
    return Cell(f"{sign} {word}", state=state)
