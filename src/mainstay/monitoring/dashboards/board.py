"""A dashboard as a value: sections of panels on a grid of 24 columns, each panel with the queries that fill it.

No library of Grafana is needed to make, check or test one; `drawing` turns it into Grafana's JSON.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Literal

from mainstay.kernel.dataclass import dataclass

Kind = Literal["slo", "operations", "service", "debugging", "toil"]
KINDS: tuple[Kind, ...] = ("slo", "operations", "service", "debugging", "toil")
"""Every kind of dashboard, from the promise down to the single process, and toil beside them."""

PanelType = Literal["stat", "timeseries", "bargauge", "table", "state-timeline", "heatmap"]
COLUMNS = 24
"""Width of Grafana's grid."""


@dataclass(frozen=True, slots=True)
class Query:
    """One question of a panel.

    Args:
        legend: names its series, labels in `{{}}`; of a table, the heading of the column that holds its values.
        instant: asked once, at the end of the time shown, instead of along it.
        dashed: drawn as a thin dashed line: a bound to compare with, not a measurement.
        exemplars: also asks for the traces that were kept as examples.
    """

    expr: str
    legend: str = ""
    instant: bool = False
    dashed: bool = False
    exemplars: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """From this value on, this colour; `None` is below every other step."""

    value: float | None
    colour: str


@dataclass(frozen=True, slots=True)
class Word:
    """What a stretch of values is called: `[low, high)`; None is without end."""

    low: float | None
    high: float | None
    text: str
    colour: str


@dataclass(frozen=True, slots=True)
class Link:
    """Something to open; `$slo` and other variables of the dashboard in the address are filled in by Grafana."""

    title: str
    url: str


@dataclass(frozen=True, slots=True)
class Column:
    """How one column of a table is drawn: its unit, and its steps as the cell's background.

    Args:
        words: texts that stand for values.
        link: where a click on the cell leads; `${__value.text}` in it is the cell.
    """

    name: str
    unit: str = ""
    steps: tuple[Step, ...] = ()
    words: tuple[Word, ...] = ()
    link: Link | None = None
    decimals: int | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel.

    Args:
        about: what it shows and how to read it, for the reader who has never seen it.
        unit: Grafana's name of the unit of its values: `percentunit`, `s`, `bytes`, `reqps`, `short`.
        steps: colours by value; in a time series they are drawn as lines.
        words: texts that stand for values.
        empty: what is said where a query has no value.
        most, least: of the axis or the bar; None leaves it to the values.
        columns: of a table.
        rising, falling: the column that a table's rows are sorted by at first, in that direction.
        points: at most so many moments are asked for; 0 leaves it to Grafana, one a pixel.
        hidden: labels that a table does not show.
        stacked: its lines add up.
    """

    type: PanelType
    title: str
    about: str
    queries: tuple[Query, ...]
    width: int = 12
    height: int = 8
    unit: str = "short"
    steps: tuple[Step, ...] = ()
    words: tuple[Word, ...] = ()
    empty: str = ""
    least: float | None = None
    most: float | None = None
    decimals: int | None = None
    columns: tuple[Column, ...] = ()
    rising: str = ""
    falling: str = ""
    hidden: tuple[str, ...] = ()
    points: int = 0
    stacked: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """Panels under a heading; each line of them fills the 24 columns and is of one height."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """What the reader chooses at the top.

    Args:
        query: fills the choices from Prometheus, as in `label_values(up, job)`; empty when `choices` are given.
        choices: fixed; the first is chosen at the start.
        several: more than one may be chosen, and all of them at once.
        all_at_first: everything is chosen at the start.
        text: typed freely; this is what stands there at the start.
    """

    name: str
    title: str
    query: str = ""
    choices: tuple[str, ...] = ()
    several: bool = True
    all_at_first: bool = True
    text: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something drawn across every panel where the expression has a value."""

    name: str
    expr: str
    colour: str
    heading: str
    text: str
    tags: str


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard.

    Args:
        subject: the service it is about; empty when it is about all of them.
        since: how far back it looks at first: `now-24h`.
        refresh: how often it asks again: no more often than its series change.
    """

    kind: Kind
    subject: str
    title: str
    about: str
    sections: tuple[Section, ...]
    variables: tuple[Variable, ...] = ()
    marks: tuple[Mark, ...] = ()
    links: tuple[Link, ...] = ()
    since: str = "now-24h"
    refresh: str = "30s"

    @property
    def uid(self) -> str:
        """Grafana's name of it, the same in every run; other dashboards and links lead there."""
        return uid_of(self.kind, self.subject)

    @property
    def file(self) -> str:
        """Its name as a file, without folder and ending."""
        return self.uid.removeprefix("mainstay-")

    def panels(self) -> Iterator[Panel]:
        """Every panel, from the top."""
        for section in self.sections:
            yield from section.panels


_MOST_UID = 40
"""A longer uid is refused by Grafana."""


def uid_of(kind: Kind, subject: str) -> str:
    """`mainstay-slo-checkout`: letters, digits, `-` and `_`, at most 40; what does not fit ends in a hash of it all."""
    wanted = f"mainstay-{kind}-{subject}" if subject else f"mainstay-{kind}"
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", wanted)
    if plain == wanted and len(plain) <= _MOST_UID:
        return plain
    digest = hashlib.sha256(wanted.encode()).hexdigest()[:8]
    return f"{plain[:_MOST_UID - 9].rstrip('-')}-{digest}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a panel lies on the grid, in columns and rows of it."""

    x: int
    y: int
    width: int
    height: int


def places(board: Board) -> list[tuple[Place, tuple[Place, ...]]]:
    """Where each section's heading and its panels lie: from left to right, a line ending at the 24th column."""
    out, y = [], 0
    for section in board.sections:
        heading, y, x, lower = Place(0, y, COLUMNS, 1), y + 1, 0, 0
        inside = []
        for panel in section.panels:
            if x + panel.width > COLUMNS:
                x, y = 0, y + lower
            inside.append(Place(x, y, panel.width, panel.height))
            x, lower = x + panel.width, panel.height
        y += lower
        out.append((heading, tuple(inside)))
    return out
