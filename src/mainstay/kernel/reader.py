"""Reading one mapping of a document field by field: what is wrong becomes a finding, and reading goes on.

A word's `spec.py` takes a `Reader`, asks for the fields it knows, and ends with `done()`, which reports the fields
nobody asked for. So a file with five mistakes gets five findings in one run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar, overload

from mainstay.kernel.document import Document, Node
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import Finding, Position, Severity, did_you_mean
from mainstay.kernel.quantity import Target, parse_duration, parse_moment

T = TypeVar("T")


class Reader:
    """One mapping, its place in the document, and the list its findings go to."""

    def __init__(self, document: Document, node: Node, path: str, findings: list[Finding]) -> None:
        self.document = document
        self.node = node
        self.path = path
        self.findings = findings
        self._asked: set[str] = set()
        self._values: dict[str, Node] = node.value if isinstance(node.value, dict) else {}

    # -- places and findings -------------------------------------------------------------------------------------

    @property
    def where(self) -> Position:
        """Where this mapping starts."""
        return Position(self.document.file, self.node.line, self.node.column)

    def where_of(self, key: str, entry: int | None = None) -> Position:
        """Where the value of that field stands, or an entry of its list; the mapping itself when it is absent."""
        node = self._values.get(key)
        if node is not None and entry is not None and isinstance(node.value, list) and entry < len(node.value):
            node = node.value[entry]
        return Position(self.document.file, node.line, node.column) if node else self.where

    def report(self, code: str, message: str, mend: str = "", key: str | None = None) -> None:
        """Add a finding at the value of `key`, or at this mapping."""
        node = self._values.get(key) if key is not None else None
        self.findings.append(self.document.finding(code, node or self.node, message, mend))

    def warn(self, code: str, message: str, mend: str = "", key: str | None = None) -> None:
        """Add a warning at the value of `key`, or at this mapping: the file is read all the same."""
        self.report(code, message, mend, key)
        self.findings[-1] = replace(self.findings[-1], severity=Severity.WARNING)

    def field(self, key: str) -> str:
        """The field's full path, as messages name it: `spec.target`."""
        return f"{self.path}.{key}" if self.path else key

    # -- asking --------------------------------------------------------------------------------------------------

    def has(self, key: str) -> bool:
        """Whether the field is written and not null."""
        node = self._values.get(key)
        return node is not None and node.value is not None

    def _take(self, key: str, required: bool) -> Node | None:
        self._asked.add(key)
        node = self._values.get(key)
        if node is None or node.value is None:
            if required:
                self.report("missing-field", f"{self.field(key)} is missing", f"add {key}: …")
            return None
        return node

    def _wrong(self, key: str, node: Node, wanted: str, mend: str = "") -> None:
        shown = "a mapping" if isinstance(node.value, dict) else "a list" if isinstance(node.value, list) \
            else "nothing" if node.value is None else f'"{node.value}"' if isinstance(node.value, str) else node.written
        self.findings.append(self.document.finding(
            "wrong-type", node, f"{self.field(key)} must be {wanted}, not {shown}", mend))

    @overload
    def text(self, key: str, *, required: bool = ..., one_of: Sequence[str] = ..., default: str) -> str: ...
    @overload
    def text(self, key: str, *, required: bool = ..., one_of: Sequence[str] = ...,
             default: None = ...) -> str | None: ...
    def text(self, key: str, *, required: bool = False, one_of: Sequence[str] = (),
             default: str | None = None) -> str | None:
        """The field as text; numbers are taken as they were written."""
        node = self._take(key, required)
        if node is None:
            return default
        if isinstance(node.value, (dict, list, bool)):
            self._wrong(key, node, "text")
            return default
        value = _as_written(node)
        if one_of and value not in one_of:
            self.findings.append(self.document.finding(
                "unknown-value", node, f'{self.field(key)} is "{value}"{did_you_mean(value, one_of)}',
                "write one of: " + ", ".join(one_of)))
            return default
        return value

    def texts(self, key: str, *, required: bool = False) -> tuple[str, ...]:
        """The field as a list of texts; one text alone counts as a list of one."""
        node = self._take(key, required)
        if node is None:
            return ()
        items = node.value if isinstance(node.value, list) else [node]
        out: list[str] = []
        for item in items:
            if isinstance(item.value, (dict, list)) or item.value is None:
                self._wrong(key, item, "a list of texts")
            else:
                out.append(_as_written(item))
        return tuple(out)

    def number(self, key: str, *, required: bool = False, minimum: float | None = None,
               maximum: float | None = None) -> float | None:
        """The field as a number within its bounds."""
        node = self._take(key, required)
        if node is None:
            return None
        if isinstance(node.value, bool) or not isinstance(node.value, (int, float)):
            self._wrong(key, node, "a number")
            return None
        value = float(node.value)
        if (minimum is not None and value < minimum) or (maximum is not None and value > maximum):
            low = "" if minimum is None else f"at least {minimum:g}"
            high = "" if maximum is None else f"at most {maximum:g}"
            self.findings.append(self.document.finding(
                "out-of-range", node, f"{self.field(key)} is {node.value}",
                "write a number " + " and ".join(part for part in (low, high) if part)))
            return None
        return value

    def whole(self, key: str, *, required: bool = False, minimum: int | None = None,
              maximum: int | None = None) -> int | None:
        """The field as a whole number within its bounds."""
        value = self.number(key, required=required, minimum=minimum, maximum=maximum)
        if value is None:
            return None
        if value != int(value):
            self._wrong(key, self._values[key], "a whole number")
            return None
        return int(value)

    def flag(self, key: str, *, default: bool = False) -> bool:
        """The field as true or false."""
        node = self._take(key, required=False)
        if node is None:
            return default
        if not isinstance(node.value, bool):
            self._wrong(key, node, "true or false")
            return default
        return node.value

    def parsed(self, key: str, parse: Callable[[str], T], *, required: bool = False) -> T | None:
        """The field through a parser that raises InvalidInput; its way out becomes the mend."""
        node = self._take(key, required)
        if node is None:
            return None
        if isinstance(node.value, (dict, list, bool)):
            self._wrong(key, node, "text or a number")
            return None
        try:
            return parse(_as_written(node))
        except InvalidInput as error:
            self.findings.append(self.document.finding(
                "invalid-value", node, f"{self.field(key)}: {error.message}", error.way_out))
            return None

    def duration(self, key: str, *, required: bool = False) -> timedelta | None:
        """The field as a length of time: `300ms`, `5m`, `1h30m`."""
        return self.parsed(key, parse_duration, required=required)

    def target(self, key: str, *, required: bool = False) -> Target | None:
        """The field as a promised percentage: `99.9`."""
        return self.parsed(key, Target.percent, required=required)

    def moment(self, key: str, *, required: bool = False) -> datetime | None:
        """The field as an instant: RFC 3339 with a zone, or a date (midnight UTC)."""
        return self.parsed(key, parse_moment, required=required)

    def labels(self, key: str) -> dict[str, str]:
        """The field as a mapping of text to text."""
        node = self._take(key, required=False)
        if node is None:
            return {}
        if not isinstance(node.value, dict):
            self._wrong(key, node, "a mapping")
            return {}
        out: dict[str, str] = {}
        for name, item in node.value.items():
            if isinstance(item.value, (dict, list)):
                self._wrong(f"{key}.{name}", item, "text")
            else:
                out[name] = "" if item.value is None else _as_written(item)
        return out

    def child(self, key: str, *, required: bool = False) -> Reader | None:
        """The field as a mapping of its own."""
        node = self._take(key, required)
        if node is None:
            return None
        if not isinstance(node.value, dict):
            self._wrong(key, node, "a mapping")
            return None
        return Reader(self.document, node, self.field(key), self.findings)

    def children(self, key: str, *, required: bool = False) -> list[Reader]:
        """The field as a list of mappings."""
        node = self._take(key, required)
        if node is None:
            return []
        if not isinstance(node.value, list):
            self._wrong(key, node, "a list")
            return []
        out: list[Reader] = []
        for index, item in enumerate(node.value):
            if isinstance(item.value, dict):
                out.append(Reader(self.document, item, f"{self.field(key)}[{index}]", self.findings))
            else:
                self._wrong(f"{key}[{index}]", item, "a mapping")
        return out

    def texts_or_children(self, key: str, *, required: bool = False) -> list[str | Reader]:
        """The field as a list in which each entry is a text or a mapping; one alone counts as a list of one."""
        node = self._take(key, required)
        if node is None:
            return []
        out: list[str | Reader] = []
        for index, item in enumerate(node.value if isinstance(node.value, list) else [node]):
            if isinstance(item.value, dict):
                out.append(Reader(self.document, item, f"{self.field(key)}[{index}]", self.findings))
            elif isinstance(item.value, list) or item.value is None:
                self._wrong(f"{key}[{index}]", item, "a text or a mapping")
            else:
                out.append(_as_written(item))
        return out

    def entries(self, key: str | None = None) -> list[tuple[str, Node]]:
        """The names and nodes of a mapping whose keys the user chooses; of this mapping itself without a key."""
        if key is None:
            self._asked.update(self._values)
            return list(self._values.items())
        child = self.child(key)
        return [] if child is None else child.entries()

    def raw(self, key: str) -> Node | None:
        """The field as it is written, for what has no shape of its own; None when absent or null."""
        return self._take(key, required=False)

    def ignore(self, *keys: str) -> None:
        """Fields that are allowed and carry nothing for us."""
        self._asked.update(keys)

    def done(self) -> None:
        """Report every field that nobody asked for."""
        for key in self._values:
            if key not in self._asked:
                self.findings.append(self.document.finding(
                    "unknown-field", self.node.keys[key],
                    f"{self.field(key)} is not a field here{did_you_mean(key, self._asked)}",
                    "known fields: " + ", ".join(sorted(self._asked))))


def _as_written(node: Node) -> str:
    return node.written or str(node.value)
