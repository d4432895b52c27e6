"""What is going on, written down, so that a restart need not fold every fact since the beginning.

A checkpoint is a shortcut and never the truth: it says up to which fact it was folded and how the state was shaped, and
one that does not fit is passed over. It is a chain of parts: all rows of the state once, then what changed since, again
and again, so that writing costs what happened lately and not what there is; when reading the chain would take twice as
long as need be, it begins anew. What follows from the rest (who fires under which key, what is muted, sources of
inhibitions) is worked out anew. Pure; `operations/desk.py` reads and writes it.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec

from mainstay.incident.action_items import Item
from mainstay.incident.columns import Columns
from mainstay.incident.layers import Noted
from mainstay.incident.ongoing import Alert, Group, Incident, Key, Pager, Silence
from mainstay.incident.review import Review
from mainstay.incident.spec import Inhibition
from mainstay.incident.state import State
from mainstay.kernel.dataclass import dataclass

Part = Mapping[str, Any]
"""Some rows of a table: its name, how many, and keys to drop and rows to set as JSON, compressed, in base 64."""

COLUMNS: Mapping[str, Columns[Any]] = {
    "alerts": Columns(Alert, like={"last": "opened"}, own=("id",)), "incidents": Columns(Incident, like={}, own=()),
}
"""The tables of thousands, whose things are found by their own ids; written field by field."""

TABLES: Mapping[str, tuple[Any, Any]] = {
    "alerts": (str, Alert), "closed": (Key, datetime), "opens": (Key, tuple[datetime, ...]),
    "incidents": (str, Incident), "groups": (str, Group), "silences": (str, Silence), "pagers": (str, Pager),
    "held": (tuple[str, str], bool), "reviews": (str, Review), "actions": (str, Item),
}
"""The tables that are written down, and what their keys and values are."""

DERIVED = ("firing", "services", "muted", "hushed", "members", "sources", "marks")
"""The tables that follow from the others."""

ROWS = 1_000
"""Rows in a part: encoding one holds up other threads for one or two milliseconds."""

_MORE = 1.5
"""Rows in a chain, by the rows that there are, from which on it begins anew."""

_FORM = 4
"""How parts are written; a number that no other way has had."""


@dataclass(frozen=True, slots=True)
class Chain:
    """What was written down so far.

    Args:
        parts: the numbers of the facts that hold it, in their order.
        rows: how many rows these are.
        through: the fact up to which the state was folded.
    """

    parts: tuple[int, ...] = ()
    rows: int = 0
    through: int = 0


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be written down: table → keys to drop, and rows to set after that. Things that never change.

    Args:
        counts: the greatest numbers given.
        follows: what it continues; an empty chain where it is everything.
    """

    tables: Mapping[str, tuple[list[Any], list[tuple[Any, Any]]]]
    counts: Mapping[str, int]
    follows: Chain

    @property
    def rows(self) -> int:
        """Rows to set, and keys to drop."""
        return sum(len(gone) + len(rows) for gone, rows in self.tables.values())


def form() -> str:
    """Names the shape of the state: two programs that give the same name read each other's checkpoints."""
    shapes = [[one.__name__, *one.__struct_fields__] for one in (Alert, Incident, Group, Silence, Pager, Review, Item)]
    return hashlib.sha256(repr([_FORM, sorted(TABLES), shapes]).encode()).hexdigest()[:16]


def changes_of(state: State, follows: Chain) -> Changes:
    """What changed since this was last asked, or everything, where the chain is empty or would become too long."""
    there = sum(len(_table(state, name)) for name in TABLES)
    if not follows.parts or follows.rows > _MORE * max(there, ROWS):
        follows = Chain()
    tables = {name: _table(state, name).changes(everything=not follows.parts) for name in TABLES}
    return Changes(tables, dict(state.counts), follows)


def parts(changes: Changes) -> Iterator[Part]:
    """The changes as parts that can be recorded."""
    for name, (gone, rows) in changes.tables.items():
        dropped, remaining = iter(gone), iter(rows)
        # All that goes stands before all that comes.
        while some := list(islice(dropped, ROWS)):
            yield _part(name, some, [])
        while some := list(islice(remaining, ROWS)):
            yield _part(name, [], some)


def _part(name: str, gone: list[Any], rows: list[Any]) -> Part:
    columns = COLUMNS.get(name)
    written = rows if columns is None else columns.write([one for _, one in rows]) if rows else None
    packed = zlib.compress(msgspec.json.encode((gone, written)), 1)
    return {"table": name, "rows": len(gone) + len(rows), "zlib": base64.b64encode(packed).decode()}


def restored(written: Iterable[Part], counts: Mapping[str, int], inhibitions: Sequence[Inhibition]) -> State:
    """The state that was written down; what changes from now on is noted."""
    state = State(inhibitions, Noted)
    readers: dict[str, msgspec.json.Decoder[Any]] = {
        name: msgspec.json.Decoder(tuple[list[key], list[tuple[key, value]]])  # type: ignore[valid-type]
        for name, (key, value) in TABLES.items() if name not in COLUMNS}
    readers |= {name: msgspec.json.Decoder(tuple[list[str], columns.form])  # type: ignore[name-defined]
                for name, columns in COLUMNS.items()}
    share: dict[str, str] = {}
    for part in written:
        name = part["table"]
        gone, rows = readers[name].decode(zlib.decompress(base64.b64decode(part["zlib"])))
        table = _table(state, name)
        for key in gone:
            table.drop(key)
        if name in COLUMNS:
            rows = [(one.id, one) for one in COLUMNS[name].read(rows, part["rows"], share.setdefault)] if rows else ()
        table.update(rows)
    state.counts.update(counts)
    _derive(state)
    for name in TABLES:
        _table(state, name).changes()
    return state


def _table(state: State, name: str) -> Noted[Any, Any]:
    found: Noted[Any, Any] = getattr(state, name)
    return found


def _derive(state: State) -> None:
    alerts = list(state.alerts.values())
    state.firing.update({one.key: one.id for one in alerts})
    state.services.update(Counter(one.key.service for one in alerts))
    state.muted.update({one.id: one.muted for one in alerts if one.muted})
    members: dict[str, list[str]] = {}
    for one in alerts:
        if one.incident:
            members.setdefault(one.incident, []).append(one.id)
    state.members.update({incident: (tuple(names),) for incident, names in members.items()})
    state.hushed.update({one.id: True for one in state.incidents.values() if one.hushed})
    for item in state.actions.values():
        state.mark(item)
    state.count_sources()
