"""Terraform's own language, as far as resources go: blocks, attributes, strings, numbers, lists, objects.

What is read is the tree that Terraform's JSON form would be (`*.tf.json`), every value with its place. An expression
that only Terraform can work out (`var.x`, a function) stays a text `${…}`, as it does there. `jsonencode` of plain
values is worked out. Nothing is evaluated.
Source: github.com/hashicorp/hcl, hclsyntax/spec.md and json/spec.md.
"""

from __future__ import annotations

import json
import re

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.document import Document, Node
from mainstay.kernel.finding import Finding, Position

_TOKEN = re.compile(r"""
    (?P<space>[ \t\r]+|\#[^\n]*|//[^\n]*|/\*.*?\*/)
  | (?P<line>\n)
  | (?P<heredoc><<-?[A-Za-z_][\w-]*[ \t]*\r?\n)
  | (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
  | (?P<word>[A-Za-z_][\w-]*)
  | (?P<quote>")
  | (?P<sign>=>|==|!=|<=|>=|&&|\|\||\.\.\.|[{}\[\]()=:,.?*+\-/%!<>&|])
""", re.VERBOSE | re.DOTALL)
_MOST_DEPTH = 60


class _Wrong(Exception):
    def __init__(self, offset: int, message: str, mend: str) -> None:
        super().__init__(message)
        self.offset, self.message, self.mend = offset, message, mend


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int


def read_hcl(text: str, file: str) -> tuple[list[Document], list[Finding]]:
    """A Terraform file as one document, and what is wrong with it."""
    lines = tuple(text.splitlines())
    try:
        reader = _Hcl(text)
        root = reader.body(0, "")
        return [Document(file, root, lines)], []
    except _Wrong as wrong:
        line, column = _place(text, wrong.offset)
        source = lines[line - 1] if line <= len(lines) else ""
        return [], [Finding("not-hcl", Position(file, line, column), f"this is not Terraform: {wrong.message}",
                            wrong.mend, source)]


def _place(text: str, offset: int) -> tuple[int, int]:
    before = text[:offset]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


class _Hcl:
    """One pass over the text; every token is looked at once, with one token of foresight."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.offset = 0
        self.ahead: _Token | None = None
        self.starts = [0, *(found.end() for found in re.finditer("\n", text))]

    # -- tokens ------------------------------------------------------------------------------------------------------

    def peek(self) -> _Token:
        if self.ahead is None:
            self.ahead = self._scan()
        return self.ahead

    def take(self) -> _Token:
        token = self.peek()
        self.ahead = None
        self.offset = token.end
        return token

    def _scan(self) -> _Token:
        at = self.offset
        while at < len(self.text):
            found = _TOKEN.match(self.text, at)
            if found is None:
                raise _Wrong(at, f"{self.text[at]!r} stands where nothing like it can", "check quotes and brackets")
            kind = found.lastgroup or ""
            if kind == "space":
                at = found.end()
                continue
            if kind == "quote":
                return _Token("string", "", at, self._string_end(at))
            if kind == "heredoc":
                return _Token("heredoc", found[0], at, self._heredoc_end(found[0], found.end()))
            return _Token(kind, found[0], at, found.end())
        return _Token("end", "", at, at)

    def _string_end(self, start: int) -> int:
        at, depth = start + 1, 0
        while at < len(self.text):
            sign = self.text[at]
            if depth == 0 and sign == "\\":
                at += 2
                continue
            if self.text.startswith(("${", "%{"), at) and not self.text.startswith(("$${", "%%{"), at - 1):
                depth, at = depth + 1, at + 2
                continue
            if depth and sign == '"':
                at = self._string_end(at)
                continue
            if depth and sign in "{}":
                depth += 1 if sign == "{" else -1
            elif depth == 0 and sign == '"':
                return at + 1
            elif depth == 0 and sign == "\n":
                break
            at += 1
        raise _Wrong(start, "a text does not end on its line", 'close it with "')

    def _heredoc_end(self, head: str, start: int) -> int:
        word = head.strip().lstrip("<-").strip()
        found = re.compile(rf"^[ \t]*{re.escape(word)}[ \t]*\r?$", re.MULTILINE).search(self.text, start)
        if found is None:
            raise _Wrong(start, f"the text up to {word} does not end", f"write {word} on a line of its own")
        return found.end()

    def skip_lines(self) -> None:
        while self.peek().kind == "line":
            self.take()

    def expect(self, sign: str) -> _Token:
        token = self.take()
        if token.text != sign:
            raise _Wrong(token.start, f"{sign} is missing here", f"write {sign}")
        return token

    def node(self, value: object, start: int, written: str = "") -> Node:
        line, column = self.at(start)
        return Node(value, line, column, written=written)  # type: ignore[arg-type]

    def at(self, offset: int) -> tuple[int, int]:
        low, high = 0, len(self.starts)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.starts[middle] <= offset else (low, middle)
        return low + 1, offset - self.starts[low] + 1

    # -- bodies ------------------------------------------------------------------------------------------------------

    def body(self, depth: int, close: str) -> Node:
        """Attributes and blocks up to the closing brace (or the end of the file)."""
        start = self.offset
        values: dict[str, Node] = {}
        keys: dict[str, tuple[int, int]] = {}
        if depth > _MOST_DEPTH:
            raise _Wrong(start, "it nests without end", "write fewer levels")
        while True:
            self.skip_lines()
            token = self.take()
            if token.text == close or (token.kind == "end" and not close):
                node = self.node(values, start)
                return Node(values, node.line, node.column, keys)
            if token.kind != "word":
                raise _Wrong(token.start, "a block or an attribute starts with a word",
                             'write name = "value" or name { … }' if token.kind != "end" else "close it with }")
            name, place = token.text, self.at(token.start)
            if self.peek().text == "=":
                self.take()
                if name in values:
                    raise _Wrong(token.start, f"{name} stands twice", "keep one of the two")
                values[name], keys[name] = self.expression(depth + 1), place
            else:
                self._block(name, place, values, keys, depth)

    def _block(self, name: str, place: tuple[int, int], values: dict[str, Node], keys: dict[str, tuple[int, int]],
               depth: int) -> None:
        path = [name]
        while (token := self.peek()).kind in ("string", "word"):
            self.take()
            path.append(self._unquoted(token) if token.kind == "string" else token.text)
        self.expect("{")
        inner = self.body(depth + 1, "}")
        keys.setdefault(name, place)
        holder = values
        for label in path[:-1]:
            if label not in holder or not isinstance(holder[label].value, dict):
                holder[label] = Node({}, *place)
            step = holder[label].value
            assert isinstance(step, dict)
            holder = step
        known = holder[path[-1]].value if path[-1] in holder else None
        if isinstance(known, list):
            known.append(inner)
        else:
            holder[path[-1]] = Node([inner], inner.line, inner.column)

    # -- expressions -------------------------------------------------------------------------------------------------

    def expression(self, depth: int) -> Node:
        """A value; what is more than one plain value stays text, as Terraform's JSON has it."""
        if depth > _MOST_DEPTH:
            raise _Wrong(self.offset, "it nests without end", "write fewer levels")
        first = self.peek()
        plain = self._plain(depth)
        if (plain is not None and self.peek().kind in ("line", "end")) or (
                plain is not None and self.peek().text in (",", "]", "}", ")")):
            return plain
        end = self._to_the_end_of_the_expression(first)
        raw = "${" + self.text[first.start:end].strip() + "}"
        return self.node(raw, first.start, raw)

    def _plain(self, depth: int) -> Node | None:
        token = self.peek()
        if token.kind == "string":
            self.take()
            text = self._unquoted(token)
            return self.node(text, token.start, text)
        if token.kind == "heredoc":
            self.take()
            text = _heredoc(self.text[token.start:token.end])
            return self.node(text, token.start, text)
        if token.kind == "number":
            self.take()
            number = float(token.text) if re.search("[.eE]", token.text) else int(token.text)
            return self.node(number, token.start, token.text)
        if token.text in ("true", "false", "null"):
            self.take()
            return self.node({"true": True, "false": False, "null": None}[token.text], token.start, token.text)
        if token.text == "[":
            return self._list(depth)
        if token.text == "{":
            return self._object(depth)
        if token.text == "jsonencode":
            self.take()
            return self._encoded(token, depth)
        return None

    def _encoded(self, word: _Token, depth: int) -> Node | None:
        if self.peek().text != "(":
            return None
        self.take()
        self.skip_lines()
        inner = self.expression(depth + 1)
        self.skip_lines()
        self.expect(")")
        text = json.dumps(inner.plain(), sort_keys=True)
        return self.node(text, word.start, text)

    def _list(self, depth: int) -> Node:
        start = self.expect("[")
        items: list[Node] = []
        while True:
            self.skip_lines()
            if self.peek().text == "]":
                self.take()
                return self.node(items, start.start)
            if self.peek().text == "for":
                return self._rest(start, "]")
            items.append(self.expression(depth + 1))
            self.skip_lines()
            if self.peek().text == ",":
                self.take()
            elif self.peek().text != "]":
                raise _Wrong(self.peek().start, "a comma or ] is missing here", "write , or ]")

    def _object(self, depth: int) -> Node:
        start = self.expect("{")
        values: dict[str, Node] = {}
        keys: dict[str, tuple[int, int]] = {}
        while True:
            self.skip_lines()
            token = self.take()
            if token.text == "}":
                node = self.node(values, start.start)
                return Node(values, node.line, node.column, keys)
            if token.text == "for":
                return self._rest(start, "}")
            name = self._unquoted(token) if token.kind == "string" else token.text
            if token.kind not in ("string", "word", "number"):
                raise _Wrong(token.start, "a key is a word or a text", "write key = value")
            if self.take().text not in ("=", ":"):
                raise _Wrong(token.end, "= is missing behind the key", "write key = value")
            values[name], keys[name] = self.expression(depth + 1), self.at(token.start)
            if self.peek().text == ",":
                self.take()

    def _rest(self, start: _Token, close: str) -> Node:
        """A comprehension, up to its closing bracket, as text."""
        depth = 1
        while depth:
            token = self.take()
            if token.kind == "end":
                raise _Wrong(start.start, f"{close} is missing", f"close it with {close}")
            depth += {"[": 1, "{": 1, "(": 1, "]": -1, "}": -1, ")": -1}.get(token.text, 0)
        raw = "${" + self.text[start.start:self.offset] + "}"
        return self.node(raw, start.start, raw)

    def _to_the_end_of_the_expression(self, first: _Token) -> int:
        depth, last = 0, first.start
        while True:
            token = self.peek()
            if token.kind == "end" or (depth == 0 and (token.kind == "line" or token.text in (",", "]", "}", ")"))):
                if last == first.start and not self.text[first.start:self.offset].strip():
                    raise _Wrong(token.start, "a value is missing", "write a value")
                return max(last, self.offset)
            depth += {"[": 1, "{": 1, "(": 1, "]": -1, "}": -1, ")": -1}.get(token.text, 0)
            last = self.take().end

    def _unquoted(self, token: _Token) -> str:
        return _unescaped(self.text[token.start + 1:token.end - 1])


_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


def _unescaped(raw: str) -> str:
    # `$${` stays: it is how Terraform's JSON form, too, says a dollar and a brace.
    def one(found: re.Match[str]) -> str:
        if code := found[1] or found[2]:
            return chr(int(code, 16)) if int(code, 16) < 0x110000 else found[0]
        return _ESCAPES.get(found[3], found[0])

    return re.sub(r"\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})|\\(.)", one, raw)


def _heredoc(raw: str) -> str:
    head, _, rest = raw.partition("\n")
    lines = rest.split("\n")[:-1]
    if head.startswith("<<-"):
        indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
        lines = [line[indent:] for line in lines]
    return "".join(f"{line}\n" for line in lines)
