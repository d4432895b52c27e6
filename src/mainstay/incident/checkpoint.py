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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec
from msgspec.structs import replace

from mainstay.incident.action_items import Item
from mainstay.incident.layers import Table
from mainstay.incident.ongoing import Alert, Group, Incident, Key, Pager, Silence, slim
from mainstay.incident.review import Review
from mainstay.incident.spec import Inhibition
from mainstay.incident.state import State
from mainstay.kernel.dataclass import dataclass

Part = Mapping[str, Any]
"""Some rows of a table: its name, how many, and keys to drop and rows to set as JSON, compressed, in base 64."""

TABLES: Mapping[str, tuple[Any, Any]] = {
    "alerts": (str, Alert), "closed": (Key, datetime), "opens": (Key, tuple[datetime, ...]),
    "incidents": (str, Incident), "groups": (str, Group), "silences": (str, Silence), "pagers": (str, Pager),
    "held": (tuple[str, str], bool), "reviews": (str, Review), "actions": (str, Item),
}
"""The tables that are written down, and what their keys and values are."""

DERIVED = ("firing", "by_key", "muted", "hushed", "members", "sources", "marks")
"""The tables that follow from the others."""

ROWS = 1_000
"""Rows in a part: encoding one holds up other threads for one or two milliseconds."""

_MORE = 1.5
"""Rows in a chain, by the rows that there are, from which on it begins anew."""

_FORM = 3
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
    # An alert that opened once and still fires says itself when its key opened: half of all rows in a storm.
    once = {alert.key: (alert.opened,) for _, alert in changes.tables["alerts"][1]}
    for name, (gone, every) in changes.tables.items():
        rows = [(key, moments) for key, moments in every if once.get(key) != moments] if name == "opens" else every
        dropped, remaining = iter(gone), iter(rows)
        # All that goes stands before all that comes.
        while some := list(islice(dropped, ROWS)):
            yield _part(name, some, [])
        while some := list(islice(remaining, ROWS)):
            yield _part(name, [], some)


def _part(name: str, gone: list[Any], rows: list[Any]) -> Part:
    packed = zlib.compress(msgspec.json.encode((gone, rows)), 1)
    return {"table": name, "rows": len(gone) + len(rows), "zlib": base64.b64encode(packed).decode()}


def restored(written: Iterable[Part], counts: Mapping[str, int], inhibitions: Sequence[Inhibition]) -> State:
    """The state that was written down; what changes from now on is noted."""
    state = State(inhibitions)
    readers: dict[str, msgspec.json.Decoder[Any]] = {
        name: msgspec.json.Decoder(tuple[list[key], list[tuple[key, value]]])  # type: ignore[valid-type]
        for name, (key, value) in TABLES.items()}
    policies: dict[tuple[str, str], Mapping[str, Any]] = {}
    for part in written:
        name = part["table"]
        gone, rows = readers[name].decode(zlib.decompress(base64.b64decode(part["zlib"])))
        table = _table(state, name)
        for key in gone:
            if name == "alerts":
                _remember_opening(state, state.alerts.get(key))
            table.drop(key)
        if name == "alerts":
            rows = [(key, slim(alert)) for key, alert in rows]
        elif name == "incidents":
            rows = [(key, _with_known_policy(one, policies)) for key, one in rows]
        table.fill(dict(rows))
    state.counts.update(counts)
    _derive(state)
    for name in TABLES:
        _table(state, name).changes()
    return state


def _remember_opening(state: State, alert: Alert | None) -> None:
    """Of an alert that fired when it was written down, its key's opening was left out (`parts`)."""
    if alert is not None and state.opens.get(alert.key) is None:
        state.opens[alert.key] = (alert.opened,)


def _with_known_policy(one: Incident, policies: dict[tuple[str, str], Mapping[str, Any]]) -> Incident:
    """Thousands of incidents were opened under the same few policies."""
    if not one.policy:
        return one
    return replace(one, policy=policies.setdefault((one.policy["name"], one.policy["version"]), one.policy))


def _table(state: State, name: str) -> Table[Any, Any]:
    found: Table[Any, Any] = getattr(state, name)
    return found


def _derive(state: State) -> None:
    firing: dict[Key, str] = {}
    by_key: dict[str, tuple[str, ...]] = {}
    opens: dict[Key, tuple[datetime, ...]] = {}
    members: dict[str, list[str]] = {}
    for alert in state.alerts.values():
        name, key = alert.id, alert.key
        firing[key] = name
        opens[key] = (alert.opened,)
        by_key[key.key] = (*by_key[key.key], name) if key.key in by_key else (name,)
        if alert.muted:
            state.muted[name] = alert.muted
        if alert.incident:
            members.setdefault(alert.incident, []).append(name)
    state.firing.fill(firing)
    state.by_key.fill(by_key)
    state.opens.fill({**opens, **dict(state.opens.rows())})
    state.members.fill({incident: (tuple(alerts),) for incident, alerts in members.items()})
    state.hushed.fill({one.id: True for one in state.incidents.values() if one.hushed})
    for item in state.actions.values():
        state.mark(item)
    state.count_sources()
