"""Texts of a YAML file and the place of every letter of them, through quotes, escapes and block scalars.

YAML folds, unescapes and strips; a finding must point at the letter in the file, and a mend must change that letter and
nothing else.

Source: YAML 1.2.2, chapters 7.3 (flow scalars) and 8.1 (block scalars).
"""

from __future__ import annotations

import re
from functools import cached_property

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.document import Node


class Source:
    """A file's text with its lines, as positions and mends need them.

    Args:
        yaml: whether lines end as YAML's do (U+0085 and U+2028 among them), or at line feeds only, as a page's.
    """

    def __init__(self, file: str, text: str, *, yaml: bool = True) -> None:
        self.file = file
        self.text = text
        self.yaml = yaml

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """The lines without their ends."""
        return tuple(self.text.splitlines() if self.yaml else self.text.split("\n"))

    @cached_property
    def starts(self) -> list[int]:
        """Where each line begins."""
        out, at = [], 0
        for line in self.text.splitlines(keepends=True):
            out.append(at)
            at += len(line)
        return [*out, at]

    def offset(self, line: int, column: int) -> int:
        """The offset of a line and column, both from 1."""
        return self.starts[min(line, len(self.starts)) - 1] + column - 1

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column, both from 1, of an offset."""
        low, high = 0, len(self.starts) - 1
        while low < high:
            middle = (low + high + 1) // 2
            if self.starts[middle] <= offset:
                low = middle
            else:
                high = middle - 1
        return low + 1, offset - self.starts[low] + 1


@dataclass(frozen=True)
class Written:
    """A text of a file, and the node that holds it."""

    source: Source
    node: Node
    text: str

    @cached_property
    def _map(self) -> tuple[list[int], str] | None:
        return _letters(self.source, self.node, self.text)

    def place(self, offset: int = 0) -> tuple[int, int]:
        """Line and column in the file of that letter of the text; the node's own where the letter cannot be found."""
        if self._map is None:
            return self.node.line, self.node.column
        letters, _ = self._map
        if not letters:
            return self.node.line, self.node.column
        at = letters[offset] if offset < len(letters) else letters[-1] + 1
        return self.source.place(at)

    @property
    def mendable(self) -> bool:
        """Whether each letter's place is known, so that the text can be changed in the file."""
        return self._map is not None

    def edit(self, start: int, end: int, text: str) -> tuple[int, int, str]:
        """The change `text[start:end] = text` as a change of the file: from, to, what to write there."""
        assert self._map is not None, "only a mendable text is edited"
        letters, style = self._map
        first = letters[start] if start < len(letters) else (letters[-1] + 1 if letters else 0)
        last = letters[end - 1] + _width(self.source.text, letters[end - 1], style) if end > start else first
        return first, last, _quoted(text, style)


def _width(text: str, at: int, style: str) -> int:
    """How many letters of the file the letter there takes."""
    if style == "'" and text.startswith("''", at):
        return 2
    if style == '"' and text[at] == "\\":
        found = _ESCAPED.match(text, at)
        return len(found[0]) if found else 1
    return 1


def _quoted(text: str, style: str) -> str:
    if style == "'":
        return text.replace("'", "''")
    if style == '"':
        return text.replace("\\", "\\\\").replace('"', '\\"')
    return text


_ESCAPED = re.compile(r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[^\n])")
_SHORT = {"0": "\0", "a": "\a", "b": "\b", "t": "\t", "\t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r",
          "e": "\x1b", " ": " ", '"': '"', "/": "/", "\\": "\\", "N": "\x85", "_": "\xa0", "L": "\u2028",
          "P": "\u2029"}
_HEADER = re.compile(r"[|>][-+0-9]*[ \t]*(?:#[^\n]*)?\r?\n")


def _letters(source: Source, node: Node, value: str) -> tuple[list[int], str] | None:
    """The file's offset of each letter of the value, and how it is quoted; None where they cannot be told."""
    text = source.text
    at = source.offset(node.line, node.column)
    style = text[at:at + 1]
    if style in ("'", '"'):
        found = _flow(text, at + 1, style)
    elif style in ("|", ">"):
        found = _block(text, at, value)
    else:
        style = ""
        found = _plain(text, at, value)
    # What was read must be what the YAML library read; where it is not, nothing is claimed.
    if found is None or len(found[0]) < len(value) or not found[1].startswith(value):
        return None
    return found[0][:len(value)], style


_FOLD = re.compile(r"[ \t]*\r?\n[ \t]*(?P<more>(?:\r?\n[ \t]*)*)")


def _flow(text: str, at: int, quote: str) -> tuple[list[int], str] | None:
    letters: list[int] = []
    out: list[str] = []
    while at < len(text):
        c = text[at]
        if c == quote:
            if quote == "'" and text.startswith("''", at):
                letters.append(at)
                out.append("'")
                at += 2
                continue
            return letters, "".join(out)
        if c == "\\" and quote == '"':
            found = _ESCAPED.match(text, at)
            if found is None:
                return None
            letters.append(at)
            out.append(_unescaped(found[0][1:]))
            at = found.end()
        elif (folded := _FOLD.match(text, at)) and c in " \t\r\n":
            newlines = folded["more"].count("\n")
            for c in "\n" * newlines or " ":
                letters.append(at)
                out.append(c)
            at = folded.end()
        else:
            letters.append(at)
            out.append(c)
            at += 1
    return None


def _unescaped(code: str) -> str:
    return chr(int(code[1:], 16)) if code[0] in "xuU" and len(code) > 1 else _SHORT.get(code, code)


def _plain(text: str, at: int, value: str) -> tuple[list[int], str] | None:
    letters: list[int] = []
    for c in value:
        if at >= len(text):
            return None
        if text[at] == c:
            letters.append(at)
            at += 1
        elif c in " \n" and (folded := _FOLD.match(text, at)):
            newlines = folded["more"].count("\n")
            letters.append(at)
            # A run of empty lines is as many newlines of the value; only the last of them moves on.
            written = sum(1 for k in reversed(letters) if k == letters[-1])
            at = folded.end() if written >= max(newlines, 1) else at
        else:
            return None
    return letters, value


def _block(text: str, at: int, value: str) -> tuple[list[int], str] | None:
    header = _HEADER.match(text, at)
    if header is None:
        return None
    explicit = re.search(r"[1-9]", header[0].partition("#")[0])
    at = header.end()
    indent = 0
    if explicit is None:
        first = re.compile(r"(?:[ ]*\r?\n)*(?P<indent>[ ]*)[^\s]").match(text, at)
        indent = len(first["indent"]) if first else 0
    else:
        line = text.rfind("\n", 0, header.start()) + 1
        indent = len(text[line:]) - len(text[line:].lstrip(" -")) + int(explicit[0])
    letters: list[int] = []
    for position, c in enumerate(value):
        at = _next(text, at, indent, c, first=position == 0)
        if at < 0:
            return None
        letters.append(at)
        at += 1
    return letters, value


_NEWLINES = re.compile(r"\n+[ ]*")


def _next(text: str, at: int, indent: int, c: str, *, first: bool) -> int:
    """Where the letter stands that comes next in a block scalar; -1 where it does not."""
    if c != "\n" and (first or text[at - 1:at] == "\n"):
        # The start of a line of the file: its indentation is no part of the value.
        at += _blank(text, at, indent)
    if text[at:at + 1] == "\r" and text.startswith("\n", at + 1):
        at += 1
    if at >= len(text):
        return -1
    if text[at] == c or (c == " " and text[at] == "\n"):
        return at
    if c == "\n" and text[at] in " \t":
        return text.find("\n", at)
    # A folded block swallows the newlines of empty lines but one.
    skipped = _NEWLINES.match(text, at)
    return skipped.end() if skipped and text[skipped.end():skipped.end() + 1] == c else -1


def _blank(text: str, at: int, indent: int) -> int:
    count = 0
    while count < indent and text.startswith(" ", at + count):
        count += 1
    return count
