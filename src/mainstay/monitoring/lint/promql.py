"""Reading PromQL with places: a tokenizer and a parser by precedence.

Source: Prometheus documentation, "Querying basics" and "Operators"; generated_parser.y for precedence.
"""

from __future__ import annotations

import re
from math import inf, nan
from typing import NamedTuple

from mainstay.monitoring.lint.tree import (
    Aggregate,
    Binary,
    Call,
    Expr,
    Matcher,
    Number,
    Paren,
    Ranged,
    Selector,
    String,
    Subquery,
    Unary,
)

AGGREGATIONS = frozenset({"sum", "avg", "count", "min", "max", "group", "stddev", "stdvar", "topk", "bottomk",
                          "count_values", "quantile", "limitk", "limit_ratio"})
WITH_PARAMETER = frozenset({"topk", "bottomk", "count_values", "quantile", "limitk", "limit_ratio"})

_DURATION = r"(?:\d+(?:ms|[smhdwy]))+"
_TOKEN = re.compile(rf"""
    (?P<blank>\s+|\#[^\n]*)
  | (?P<range>\[\s*(?P<length>{_DURATION}|[\d.]+)\s*(?P<colon>:\s*(?:{_DURATION}|[\d.]+)?\s*)?\])
  | (?P<duration>{_DURATION})(?![\w:])
  | (?P<number>0[xX][0-9a-fA-F]+|(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(?![\w:])
  | (?P<word>[a-zA-Z_:][\w:]*)
  | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)
  | (?P<sign>=~|!~|!=|==|>=|<=|[-+*/%^=<>(){{}},@])
""", re.VERBOSE | re.ASCII)
_PART = re.compile(r"(\d+)(ms|[smhdwy])")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}

_PRECEDENCE = {"or": 1, "and": 2, "unless": 2, "==": 3, "!=": 3, ">": 3, "<": 3, ">=": 3, "<=": 3, "+": 4, "-": 4,
               "*": 5, "/": 5, "%": 5, "atan2": 5, "^": 6}
_SIGN_PRECEDENCE = 5
_DEEPEST = 200
"""Brackets within brackets; a person stays below ten."""


class NotPromql(Exception):
    """The text is not PromQL; `start` is where it stops being it, `change` what surely mends it: from, to, new text."""

    def __init__(self, message: str, start: int, change: tuple[int, int, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.start = start
        self.change = change


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


def seconds_of(duration: str) -> float:
    """`1h30m` as seconds; a bare number is seconds."""
    parts = _PART.findall(duration)
    return sum(int(count) * _SECONDS[unit] for count, unit in parts) if parts else float(duration)


def parse(text: str) -> Expr:
    """The expression as a tree.

    Raises:
        NotPromql: where and why it is none.
    """
    return _Parser(text).whole()


def _tokens(text: str) -> list[_Token]:
    out: list[_Token] = []
    at, length = 0, len(text)
    match = _TOKEN.match
    while at < length:
        found = match(text, at)
        if found is None:
            raise NotPromql(_strange(text, at), at)
        at = found.end()
        kind = found.lastgroup or ""
        if kind == "string" and "\\" in found[0] and found[0][0] != "`":
            _check_escapes(found[0], found.start())
        if kind != "blank":
            out.append(_Token(kind, found[0], found.start(), at))
    out.append(_Token("end", "", length, length))
    return out


def _strange(text: str, at: int) -> str:
    if text[at] in "\"'`":
        return "a quote is not closed"
    if text[at] == "[":
        inside = text[at:].partition("]")[0][1:].strip()
        return f'"[{inside}]" is not a range such as [5m]'
    return f'"{text[at]}" cannot stand here'


_KNOWN_ESCAPE = re.compile(r"""\\(?:[abfnrtv\\'"]|x[0-9a-fA-F]{2}|[0-7]{3}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})""")


def _check_escapes(text: str, start: int) -> None:
    """PromQL knows Go's escapes only: a pattern's `\\.` must be written `\\\\.`."""
    at = 0
    while (at := text.find("\\", at)) >= 0:
        known = _KNOWN_ESCAPE.match(text, at)
        if known is None:
            place = start + at
            raise NotPromql(f"{text[at:at + 2]} is no escape of PromQL", place, (place, place, "\\"))
        at = known.end()


_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", re.DOTALL)
_SHORT = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def unquoted(text: str) -> str:
    """What a quoted text of PromQL means."""
    if text[0] == "`" or "\\" not in text:
        return text[1:-1]

    def meant(found: re.Match[str]) -> str:
        code = found[1]
        if code[0] in "xuU" and len(code) > 1:
            number = int(code[1:], 16)
            return chr(number) if number < 0x110000 else "\ufffd"
        return chr(int(code, 8)) if len(code) == 3 else _SHORT.get(code, code)
    return _ESCAPE.sub(meant, text[1:-1])


class _Parser:
    """One text being read from left to right."""

    def __init__(self, text: str) -> None:
        self.tokens = _tokens(text)
        self.at = 0
        self.depth = 0

    # -- tokens ------------------------------------------------------------------------------------------------------

    @property
    def next(self) -> _Token:
        return self.tokens[self.at]

    def take(self) -> _Token:
        token = self.tokens[self.at]
        self.at += 1
        return token

    def takes(self, text: str) -> bool:
        token = self.tokens[self.at]
        if token.text == text and token.kind != "string":
            self.at += 1
            return True
        return False

    def need(self, text: str, inside: str) -> _Token:
        token = self.next
        if token.text != text or token.kind == "string":
            self.refuse(f'"{text}" is missing {inside}')
        return self.take()

    def refuse(self, message: str) -> None:
        token = self.next
        behind = f', not "{token.text}"' if token.kind != "end" else ": the expression ends here"
        raise NotPromql(message + behind, token.start)

    # -- expressions -------------------------------------------------------------------------------------------------

    def whole(self) -> Expr:
        if self.next.kind == "end":
            raise NotPromql("the expression is empty", 0)
        expr = self.expression(0)
        if self.next.kind != "end":
            self.refuse("an operator is missing")
        return expr

    def expression(self, least: int) -> Expr:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise NotPromql("the expression nests without end", self.next.start)
        left = self.signed()
        while True:
            token = self.next
            precedence = _PRECEDENCE.get(token.text.lower(), 0) if token.kind in ("sign", "word") else 0
            if not precedence or precedence <= least:
                break
            self.take()
            left = self.binary(left, token, precedence)
        self.depth -= 1
        return left

    def binary(self, left: Expr, op: _Token, precedence: int) -> Expr:
        as_bool, matching, group = False, "", ""
        labels: tuple[str, ...] = ()
        include: tuple[str, ...] = ()
        if self.next.text.lower() == "bool":
            self.take()
            as_bool = True
        if self.next.kind == "word" and self.next.text.lower() in ("on", "ignoring"):
            matching = self.take().text.lower()
            labels = self.names()[0]
            if self.next.kind == "word" and self.next.text.lower() in ("group_left", "group_right"):
                group = self.take().text.lower().removeprefix("group_")
                if self.next.text == "(":
                    include = self.names()[0]
        while self.next.text.lower() in ("fill", "fill_left", "fill_right") and self.tokens[self.at + 1].text == "(":
            self.take()
            self.take()
            self.signed()
            self.need(")", "behind fill(…")
        # Powers are taken from the right.
        right = self.expression(precedence - 1 if op.text == "^" else precedence)
        return Binary(op.text.lower(), left, right, left.start, right.end, op.start, op.end, as_bool, matching, labels,
                      group, include)

    def signed(self) -> Expr:
        token = self.next
        if token.text in ("+", "-") and token.kind == "sign":
            self.take()
            inner = self.expression(_SIGN_PRECEDENCE)
            if isinstance(inner, Number):
                return Number(-inner.value if token.text == "-" else inner.value, token.start, inner.end)
            return Unary(token.text, inner, token.start, inner.end)
        return self.followed(self.operand())

    def operand(self) -> Expr:
        token = self.take()
        match token.kind:
            case "number":
                text = token.text.replace("_", "")
                value = float(int(text, 16)) if text[:2].lower() == "0x" else float(text)
                return Number(value, token.start, token.end)
            case "duration":
                return Number(seconds_of(token.text), token.start, token.end)
            case "string":
                return String(unquoted(token.text), token.start, token.end)
            case "word":
                return self.named(token)
        if token.text == "(":
            inner = self.expression(0)
            return Paren(inner, token.start, self.need(")", "to close a bracket").end)
        if token.text == "{":
            self.at -= 1
            return self.selector("", token.start)
        self.at -= 1
        self.refuse("a metric, a number or a function is missing")
        raise AssertionError("refuse raises")

    def named(self, token: _Token) -> Expr:
        lower = token.text.lower()
        following = self.next
        if lower in AGGREGATIONS and (following.text == "(" or following.text.lower() in ("by", "without")):
            return self.aggregate(token, lower)
        if following.text == "(" and following.kind == "sign":
            return self.call(token)
        if lower in ("inf", "nan") and following.text != "{":
            return Number(inf if lower == "inf" else nan, token.start, token.end)
        return self.selector(token.text, token.start)

    def call(self, name: _Token) -> Expr:
        self.take()
        arguments: list[Expr] = []
        while self.next.text != ")" or self.next.kind == "string":
            arguments.append(self.expression(0))
            if not self.takes(","):
                break
        return Call(name.text, tuple(arguments), name.start, self.need(")", f"behind {name.text}(…").end)

    def aggregate(self, token: _Token, name: str) -> Expr:
        grouping, labels, closed = self.grouping()
        self.need("(", f"behind {name}")
        first: Expr | None = self.expression(0)
        inner = first
        if self.takes(","):
            inner = self.expression(0)
        else:
            first = None
        self.takes(",")
        end = self.need(")", f"behind {name}(…").end
        if not grouping and self.next.text.lower() in ("by", "without"):
            end = self.next.end
            grouping, labels, closed = self.grouping()
            end = self.tokens[self.at - 1].end
        if (name in WITH_PARAMETER) != (first is not None):
            wants = "a parameter and a vector" if name in WITH_PARAMETER else "one argument"
            raise NotPromql(f"{name} takes {wants}", token.start)
        assert inner is not None, "an aggregation has something inside"
        return Aggregate(name, grouping, labels, first, inner, token.start, end, closed)

    def grouping(self) -> tuple[str, tuple[str, ...], int]:
        if self.next.kind != "word" or self.next.text.lower() not in ("by", "without"):
            return "", (), -1
        word = self.take().text.lower()
        return (word, *self.names())

    def names(self) -> tuple[tuple[str, ...], int]:
        """`(a, b)` as names, and where the bracket closes."""
        self.need("(", "before the labels")
        out: list[str] = []
        while self.next.text != ")":
            token = self.take()
            if token.kind not in ("word", "string"):
                self.at -= 1
                self.refuse("a label is missing")
            out.append(unquoted(token.text) if token.kind == "string" else token.text)
            if not self.takes(","):
                break
        return tuple(out), self.need(")", "behind the labels").start

    # -- selectors ---------------------------------------------------------------------------------------------------

    def selector(self, name: str, start: int) -> Expr:
        end = self.tokens[self.at - 1].end
        matchers: list[Matcher] = []
        if self.takes("{"):
            while self.next.text != "}" or self.next.kind == "string":
                one = self.matcher()
                if isinstance(one, str):
                    name = one
                else:
                    matchers.append(one)
                if not self.takes(","):
                    break
            end = self.need("}", "behind the matchers").end
        if not name:
            name = next((one.value for one in matchers if one.label == "__name__" and one.op == "="), "")
        return Selector(name, tuple(matchers), start, end)

    def matcher(self) -> Matcher | str:
        token = self.take()
        if token.kind not in ("word", "string"):
            self.at -= 1
            self.refuse("a label is missing")
        label = unquoted(token.text) if token.kind == "string" else token.text
        if token.kind == "string" and self.next.text in (",", "}"):
            return label
        op = self.take()
        if op.text not in ("=", "!=", "=~", "!~"):
            self.at -= 1
            self.refuse(f'"=", "!=", "=~" or "!~" is missing behind {label}')
        value = self.take()
        if value.kind != "string":
            self.at -= 1
            self.refuse(f"the value of {label} needs quotes")
        return Matcher(label, op.text, unquoted(value.text), token.start, value.end)

    def followed(self, expr: Expr) -> Expr:
        """Ranges, subqueries, `offset` and `@` behind an operand."""
        while True:
            token = self.next
            if token.kind == "range":
                expr = self.ranged(expr, self.take())
            elif token.text.lower() == "offset" and token.kind == "word":
                expr = self.moved(expr, self.take(), "offset")
            elif token.text == "@" and token.kind == "sign":
                expr = self.moved(expr, self.take(), "@")
            else:
                return expr

    def ranged(self, expr: Expr, token: _Token) -> Expr:
        length, colon, _ = token.text[1:-1].partition(":")
        seconds = seconds_of(length.strip())
        if colon:
            return Subquery(expr, seconds, token.start, expr.start, token.end)
        if not isinstance(expr, Selector):
            raise NotPromql("only a selector takes a range; a subquery is written [5m:1m]", token.start)
        return Ranged(expr, seconds, token.start, expr.start, token.end)

    def moved(self, expr: Expr, word: _Token, what: str) -> Expr:
        if not isinstance(expr, Selector | Ranged | Subquery):
            raise NotPromql(f"only a selector or a subquery takes {what}", word.start)
        first = self.at
        if self.next.text in ("-", "+"):
            self.take()
        token = self.take()
        if what == "@" and token.text in ("start", "end"):
            self.need("(", f"behind {token.text}")
            self.need(")", f"behind {token.text}(")
        elif token.kind not in ("duration", "number"):
            self.at -= 1
            self.refuse(f"{what} needs a {'time' if what == '@' else 'duration'}")
        end = self.tokens[self.at - 1].end
        written = f"{what} {''.join(part.text for part in self.tokens[first:self.at])}"
        match expr:
            case Selector():
                return Selector(expr.name, expr.matchers, expr.start, end, f"{expr.moved} {written}".strip())
            case Ranged():
                inner = Selector(expr.inner.name, expr.inner.matchers, expr.inner.start, expr.inner.end,
                                 f"{expr.inner.moved} {written}".strip())
                return Ranged(inner, expr.seconds, expr.range_start, expr.start, end)
            case Subquery():
                return Subquery(expr.inner, expr.seconds, expr.range_start, expr.start, end)
