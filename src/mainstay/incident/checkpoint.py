"""What is going on, written down whole, so that a restart need not fold every fact since the beginning.

A checkpoint is a shortcut and never the truth: it says up to which fact it was folded and how the state was shaped, and
one that does not fit is passed over. What follows from the rest (who fires under which key, what is muted, sources of
inhibitions) is worked out anew. Pure; `operations/desk.py` reads and writes it.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec
from msgspec.structs import replace

from mainstay.incident.action_items import Item
from mainstay.incident.layers import Table
from mainstay.incident.review import Review
from mainstay.incident.spec import Inhibition
from mainstay.incident.state import Alert, Group, Incident, Key, Pager, Silence, State, slim

Part = Mapping[str, Any]
"""Some rows of a table: its name, and the rows as JSON, compressed, in base 64."""

TABLES: Mapping[str, Any] = {
    "alerts": list[tuple[str, Alert]], "closed": list[tuple[Key, datetime]],
    "opens": list[tuple[Key, tuple[datetime, ...]]], "incidents": list[tuple[str, Incident]],
    "groups": list[tuple[str, Group]], "silences": list[tuple[str, Silence]], "pagers": list[tuple[str, Pager]],
    "reviews": list[tuple[str, Review]], "actions": list[tuple[str, Item]],
}
"""The tables that are written down, and what a part of each holds."""

DERIVED = ("firing", "by_key", "muted", "members", "sources", "marks")
"""The tables that follow from the others."""

COUNTED = ("repeats", "until")
"""The tables of what is counted only and may be lost with the process."""

_ROWS = 2_000
"""Rows in a part: under a megabyte before it is compressed."""


def form() -> str:
    """Names the shape of the state: two programs that give the same name read each other's checkpoints."""
    shapes = [[one.__name__, *one.__struct_fields__] for one in (Alert, Incident, Group, Silence, Pager, Review, Item)]
    return hashlib.sha256(repr([sorted(TABLES), shapes]).encode()).hexdigest()[:16]


def rows_of(state: State) -> Mapping[str, list[tuple[Any, Any]]]:
    """The rows of every table, as they are now: a copy that stays while the state goes on."""
    rows = {name: _table(state, name).rows() for name in TABLES}
    # An alert that opened once and still fires says itself when its key opened: half of all rows in a storm.
    once = {alert.key: (alert.opened,) for _, alert in rows["alerts"]}
    rows["opens"] = [(key, moments) for key, moments in rows["opens"] if once.get(key) != moments]
    return rows


def parts(rows: Mapping[str, list[tuple[Any, Any]]]) -> Iterator[Part]:
    """The rows as parts that can be recorded."""
    for name, all_rows in rows.items():
        remaining = iter(all_rows)
        while some := list(islice(remaining, _ROWS)):
            packed = zlib.compress(msgspec.json.encode(some), 1)
            yield {"table": name, "rows": len(some), "zlib": base64.b64encode(packed).decode()}


def restored(written: Sequence[Part], counts: Mapping[str, int], inhibitions: Sequence[Inhibition]) -> State:
    """The state that was written down."""
    state = State(inhibitions)
    policies: dict[tuple[str, str], Mapping[str, Any]] = {}
    for part in written:
        name = part["table"]
        rows = msgspec.json.decode(zlib.decompress(base64.b64decode(part["zlib"])), type=TABLES[name])
        table = _table(state, name)
        for key, value in rows:
            if name == "incidents" and value.policy:
                # Thousands of incidents were opened under the same few policies.
                known = policies.setdefault((value.policy["name"], value.policy["version"]), value.policy)
                value = replace(value, policy=known)  # noqa: PLW2901
            table[key] = slim(value) if name == "alerts" else value
    state.counts.update(counts)
    _derive(state)
    return state


def _table(state: State, name: str) -> Table[Any, Any]:
    found: Table[Any, Any] = getattr(state, name)
    return found


def _derive(state: State) -> None:
    members: dict[str, list[str]] = {}
    for alert in state.alerts.values():
        state.firing[alert.key] = alert.id
        if state.opens.get(alert.key) is None:
            state.opens[alert.key] = (alert.opened,)
        state.by_key[alert.key.key] = (*(state.by_key.get(alert.key.key) or ()), alert.id)
        if alert.muted:
            state.muted[alert.id] = alert.muted
        if alert.incident:
            members.setdefault(alert.incident, []).append(alert.id)
    for incident, alerts in members.items():
        state.members[incident] = tuple(alerts)
    for item in state.actions.values():
        state.mark(item)
    state.count_sources()
