"""From what a file says to what is counted: conditions on events, and gauges that are compared."""

from __future__ import annotations

from collections.abc import Iterable

from mainstay.kernel.condition import condition
from mainstay.kernel.document import Node
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.ports import Condition, EventQuery, GaugeQuery
from mainstay.kernel.reader import Reader

_NEGATED = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">", "=~": "!~", "!~": "=~",
            "in": "not in", "not in": "in", "present": "absent", "absent": "present"}


def negated(one: Condition) -> Condition:
    """The condition that holds exactly when this one does not (and the field is there)."""
    return Condition(one.field, _NEGATED[one.operator], one.values)


def read_conditions(reader: Reader, key: str) -> tuple[Condition, ...]:
    """A mapping of field to condition: `{status: ">=500", method: [GET, HEAD]}`; all must hold."""
    child = reader.child(key)
    if child is None:
        return ()
    out = []
    for field, node in child.entries():
        one = _read_condition(child, field, node)
        if one is not None:
            out.append(one)
    return tuple(out)


def _read_condition(reader: Reader, field: str, node: Node) -> Condition | None:
    if isinstance(node.value, list):
        values = tuple(_plain(item.value) for item in node.value
                       if not isinstance(item.value, (dict, list)) and item.value is not None)
        if len(values) != len(node.value) or not values:
            reader.report("invalid-value", f"{reader.field(field)} must list plain values", "write [a, b, c]", field)
            return None
        return Condition(field, "in", values)
    if isinstance(node.value, dict) or node.value is None:
        reader.report("wrong-type", f"{reader.field(field)} must be a condition", 'write a value or ">=500"', field)
        return None
    if not isinstance(node.value, str):
        return Condition(field, "==", (_plain(node.value),))
    try:
        return condition(field, node.value)
    except InvalidInput as error:
        reader.report("invalid-value", f"{reader.field(field)}: {error.message}", error.way_out, field)
        return None


def _plain(value: str | float | bool) -> str | float:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else float(value)


def read_exclusions(reader: Reader, key: str) -> tuple[Condition, ...]:
    """A list of one-field mappings, each naming events that count neither as good nor as bad, as their negations."""
    out: list[Condition] = []
    for item in reader.children(key):
        entries = item.entries()
        if len(entries) != 1:
            item.report("invalid-value", f"{item.path} must name exactly one field",
                        "write one field an entry: what any entry matches is left out")
            continue
        one = _read_condition(item, *entries[0])
        if one is not None:
            out.append(negated(one))
    return tuple(out)


def events_that(*groups: Iterable[Condition]) -> EventQuery:
    """Events for which every condition of every group holds."""
    return EventQuery(tuple(one for group in groups for one in group))


def compared(text: str, operator: str, threshold: float) -> GaugeQuery:
    """A gauge whose every sample is good when it compares so."""
    return GaugeQuery(text.strip(), operator, threshold)
