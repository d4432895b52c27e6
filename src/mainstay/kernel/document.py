"""YAML as written: values with the line and column they stand at, and YAML 1.2's scalars.

PyYAML reads YAML 1.1, in which `on` and `no` are booleans, `012` is ten and `1e3` is a word. Only its C composer
is used here, for speed and places; what a plain scalar means is decided by the YAML 1.2 core schema below.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import field
from functools import cache
from math import isfinite

import yaml

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.finding import Finding, Position

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Node:
    """One value of a document.

    `value` is a scalar, a list of nodes, or a mapping of key text to node; `keys` says where each key stands;
    `written` is a scalar's text as the file has it (`1.10`, `007`).
    """

    value: Scalar | list[Node] | dict[str, Node]
    line: int
    column: int
    keys: dict[str, tuple[int, int]] = field(default_factory=dict)
    written: str = ""

    def plain(self) -> object:
        """The value without places: dicts, lists and scalars."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document of a file, with the file's lines at hand for carets."""

    file: str
    root: Node
    lines: tuple[str, ...]

    def finding(self, code: str, node: Node | tuple[int, int], message: str, mend: str = "") -> Finding:
        """An error at that node (or line and column) of this document."""
        line, column = node if isinstance(node, tuple) else (node.line, node.column)
        source = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
        return Finding(code, Position(self.file, line, column), message, mend, source)


@cache
def _core_schema() -> re.Pattern[str]:
    """YAML 1.2.2, chapter 10.3.2 "Tag Resolution" of the core schema; the last group that fits names the tag.

    Compiled with the first document, because commands that read none import this room too.
    """
    return re.compile(r"(?P<null>~|null|Null|NULL|)|(?P<true>true|True|TRUE)|(?P<false>false|False|FALSE)"
                      r"|(?P<int>[-+]?[0-9]+)|(?P<oct>0o[0-7]+)|(?P<hex>0x[0-9a-fA-F]+)"
                      r"|(?P<float>[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)")


_LONGEST_NUMBER = 250
"""Digits beyond this pass every float, and Python refuses to convert thousands of them."""


def resolve(text: str) -> Scalar:
    """What a plain scalar means in YAML 1.2; infinities, NaN and numbers beyond a float stay words: no field of ours
    takes them."""
    if len(text) > _LONGEST_NUMBER:
        return text
    found = _core_schema().fullmatch(text)
    match found and found.lastgroup:
        case "null":
            return None
        case "true" | "false" as word:
            return word == "true"
        case "int":
            return int(text)
        case "oct":
            return int(text[2:], 8)
        case "hex":
            return int(text[2:], 16)
        case "float" if isfinite(number := float(text)):
            return number
        case _:
            return text


# What libyaml refuses; looked for here because it says the place in bytes.
_FORBIDDEN = "[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"

# How JSON writes a sign beyond the first 65,536: as two halves, where YAML has \U. Not behind a backslash of its own.
_HALVES = r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"

_MAX_DEPTH = 60
_MAX_NODES = 2_000_000
_COMPOSED_DEPTH = 1000
"""The C composer recurses and has no limit of its own: at some tens of thousands it takes the process with it."""


class _Builder:
    """From PyYAML's node graph to ours; refuses anchors that loop or explode, reports duplicate keys."""

    def __init__(self, file: str, lines: tuple[str, ...], most: int) -> None:
        self.file = file
        self.lines = lines
        self.most = most
        self.findings: list[Finding] = []
        self.count = 0

    def report(self, code: str, mark: yaml.Mark, message: str, mend: str) -> None:
        line = mark.line + 1
        source = self.lines[line - 1] if line <= len(self.lines) else ""
        self.findings.append(Finding(code, Position(self.file, line, mark.column + 1), message, mend, source))

    def build(self, node: yaml.Node, depth: int = 0) -> Node:
        mark = node.start_mark
        line, column = mark.line + 1, mark.column + 1
        self.count += 1
        if depth > _MAX_DEPTH or self.count > self.most:
            if self.count <= self.most + 1:
                self.report("too-deep", mark, "the document nests or repeats itself without end",
                            "write the value out instead of an anchor that holds itself")
            self.count = self.most + 1
            return Node(None, line, column)
        if isinstance(node, yaml.ScalarNode):
            # The C composer calls a plain scalar's style "", the Python one None.
            value = node.value if node.style else resolve(node.value)
            return Node(value, line, column, written=node.value)
        if isinstance(node, yaml.SequenceNode):
            return Node([self.build(item, depth + 1) for item in node.value], line, column)
        values: dict[str, Node] = {}
        keys: dict[str, tuple[int, int]] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.report("key-not-text", key_node.start_mark, "a key must be a word", "write key: value")
                continue
            key = key_node.value
            if key in values:
                self.report("duplicate-key", key_node.start_mark,
                            f'"{key}" stands twice, first on line {keys[key][0]}', "keep one of the two")
                continue
            keys[key] = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            values[key] = self.build(value_node, depth + 1)
        return Node(values, line, column, keys)


def read_documents(text: str, file: str) -> tuple[list[Document], list[Finding]]:
    """Every document of a YAML (or JSON) text, and what is wrong with it as YAML."""
    text = text.removeprefix("\ufeff")
    if forbidden := re.search(_FORBIDDEN, text):
        before = text[: forbidden.start()]
        where = Position(file, before.count("\n") + 1, len(before) - before.rfind("\n"))
        return [], [Finding("not-text", where, "this is not text: it holds a control character",
                            "save the file as UTF-8 without it")]
    lines = tuple(text.splitlines())
    if text.lstrip()[:1] in ("{", "["):
        text = re.sub(_HALVES, _joined, text)
    builder = _Builder(file, lines, min(_MAX_NODES, 5 * len(text) + 10_000))
    documents: list[Document] = []
    try:
        if (place := _where_too_deep(text, lines)) is not None:
            return [], [Finding("too-deep", Position(file, *place), "the document nests without end",
                                "write fewer levels")]
        for root in _compose(text):
            documents.append(Document(file, builder.build(root), lines))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        source = lines[line - 1] if line <= len(lines) else ""
        problem = " ".join(part for part in (error.context, error.problem) if part)
        builder.findings.append(Finding("not-yaml", Position(file, line, column), f"this is not YAML: {problem}",
                                        "check indentation, quotes and brackets near here", source))
    return documents, builder.findings


def _joined(halves: re.Match[str]) -> str:
    sign = 0x10000 + ((int(halves[2], 16) - 0xD800) << 10) + int(halves[3], 16) - 0xDC00
    return f"{halves[1]}\\U{sign:08X}"


def _where_too_deep(text: str, lines: tuple[str, ...]) -> tuple[int, int] | None:
    """Where the text nests deeper than can be composed safely; None for any text a person writes."""
    flow = text.count("[") + text.count("{")
    block = max((line.count("-") + line.count("?") + len(line) - len(line.lstrip(" ")) for line in lines), default=0)
    if flow + block < _COMPOSED_DEPTH:
        return None
    loader = _loader(text)
    depth = 0
    try:
        while loader.check_event():
            event = loader.get_event()
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > _COMPOSED_DEPTH and (mark := event.start_mark) is not None:
                    return mark.line + 1, mark.column + 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
    finally:
        loader.dispose()
    return None


def _loader(text: str) -> yaml.CSafeLoader | yaml.SafeLoader:
    """PyYAML on libyaml, or without it where it was built so: slower, same answers."""
    return yaml.CSafeLoader(text) if yaml.__with_libyaml__ else yaml.SafeLoader(text)


def _compose(text: str) -> Iterator[yaml.Node]:
    loader = _loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is not None:
                yield node
    finally:
        loader.dispose()
