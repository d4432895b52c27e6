"""PromQL between tools: counters recognised, windows named alike, and whether two expressions are the same.

Recognising needs no parser. Where `promql_parser` is installed, mistakes are found by it, and only then.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from importlib.util import find_spec
from typing import Any

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import MissingExtra
from mainstay.kernel.quantity import plain

WINDOW = "$window"
"""Stands for the window in a query of Mainstay's catalog."""
_TEMPLATE = re.compile(r"\{\{-?\s*\.window\s*-?\}\}|\$\{window\}|\$window\b")
_ANY_TEMPLATE = re.compile(r"\{\{.*?\}\}", re.DOTALL)

_SELECTOR = r"""[a-zA-Z_:][\w:]*\s*(?:\{(?:[^{}"']|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')*\})?"""
_BY = r"by\s*\(\s*(?P<{}>[\w\s,]*)\)"
_COUNTED = re.compile(
    r"\s*sum\s*(?:" + _BY.format("before") + r")?\s*\(\s*(?P<function>rate|increase)\s*\(\s*(?P<selector>" + _SELECTOR
    + r")\s*\[\s*\$window\s*\]\s*\)\s*\)\s*(?:" + _BY.format("after") + r")?\s*")


def windowed(text: str) -> str:
    """The text with the other tool's name for the window replaced by `$window`."""
    return _TEMPLATE.sub(WINDOW, text.strip())


def names_window(text: str) -> bool:
    """Whether the query has the window as a variable."""
    return _TEMPLATE.search(text) is not None


def filled(text: str, window: str) -> str:
    """The query with its window filled in."""
    return _TEMPLATE.sub(window, text)


@dataclass(frozen=True, slots=True)
class Counted:
    """A query `sum by (groups) (rate(selector[$window]))`.

    Args:
        function: `rate` or `increase`; the ratio of two is the same either way.
    """

    selector: str
    groups: tuple[str, ...]
    function: str


def counted(text: str) -> Counted | None:
    """The counter that the query sums, or None when it has another shape. The window must be `$window`."""
    found = _COUNTED.fullmatch(_without_brackets(text))
    if found is None or (found["before"] is not None and found["after"] is not None):
        return None
    groups = found["before"] if found["before"] is not None else found["after"]
    names = tuple(name.strip() for name in (groups or "").split(",") if name.strip())
    return Counted(found["selector"].strip(), names, found["function"])


@dataclass(frozen=True, slots=True)
class Matcher:
    """`label="value"`; the operator is `=`, `!=`, `=~` or `!~`."""

    label: str
    operator: str
    value: str

    def __str__(self) -> str:
        escaped = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.label}{self.operator}"{escaped}"'


@dataclass(frozen=True, slots=True)
class Selector:
    """One metric and its matchers."""

    metric: str
    matchers: tuple[Matcher, ...] = ()

    def __str__(self) -> str:
        return self.metric + ("{" + ",".join(map(str, self.matchers)) + "}" if self.matchers else "")

    def named(self, metric: str, *more: Matcher) -> Selector:
        """The same matchers, and more, of another metric."""
        return Selector(metric, (*self.matchers, *more))


_WHOLE_SELECTOR = re.compile(r"\s*(?P<metric>[a-zA-Z_:][\w:]*)\s*(?:\{(?P<inside>.*)\})?\s*", re.DOTALL)
_MATCHER = re.compile(r"""\s*([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')\s*(?:,|$)""",
                      re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def selector_of(text: str) -> Selector | None:
    """The text as one metric's selector, or None when it is anything else."""
    found = _WHOLE_SELECTOR.fullmatch(text)
    if found is None:
        return None
    inside, place, matchers = (found["inside"] or "").strip(), 0, []
    while place < len(inside):
        one = _MATCHER.match(inside, place)
        if one is None:
            return None
        value = re.sub(r"\\(.)", lambda sign: _ESCAPES.get(sign[1], sign[1]), one[3][1:-1], flags=re.DOTALL)
        matchers.append(Matcher(one[1], one[2], value))
        place = one.end()
    return Selector(found["metric"], tuple(matchers))


def difference(text: str) -> tuple[str, str] | None:
    """Both sides of `a - b`, where the minus stands outside every bracket; None when it has another shape."""
    raw = _without_brackets(text)
    places = [place for place in _outside(raw) if raw[place] == "-"]
    if len(places) != 1 or not raw[:places[0]].strip():
        return None
    return raw[:places[0]].strip(), raw[places[0] + 1:].strip()


def quotient(text: str) -> tuple[str, str] | None:
    """Both sides of `a / b`, where the stroke stands outside every bracket and nothing matches labels."""
    raw = _without_brackets(text)
    places = [place for place in _outside(raw) if raw[place] in "/*+-"]
    if len(places) != 1 or raw[places[0]] != "/":
        return None
    return raw[:places[0]].strip(), raw[places[0] + 1:].strip()


def _without_brackets(text: str) -> str:
    """The text without brackets around all of it."""
    raw = text.strip()
    while raw.startswith("(") and _closes(raw) == len(raw) - 1:
        raw = raw[1:-1].strip()
    return raw


def _closes(raw: str) -> int:
    depth = 0
    for place, sign in _signs(raw):
        depth += (sign in "([{") - (sign in ")]}")
        if depth == 0:
            return place
    return -1


def _outside(raw: str) -> Iterator[int]:
    """Places outside every bracket and string."""
    depth = 0
    for place, sign in _signs(raw):
        depth += (sign in "([{") - (sign in ")]}")
        if depth == 0 and sign not in ")]}":
            yield place


def _signs(raw: str) -> Iterator[tuple[int, str]]:
    """Places and signs outside strings and comments."""
    quote, place = "", 0
    while place < len(raw):
        sign = raw[place]
        if quote:
            if sign == "\\" and quote != "`":
                place += 1
            elif sign == quote:
                quote = ""
        elif sign in "\"'`":
            quote = sign
        elif sign == "#":
            place = raw.find("\n", place)
            if place < 0:
                return
        else:
            yield place, sign
        place += 1


_UNITS = (("y", 365 * 86_400_000, True), ("w", 7 * 86_400_000, True), ("d", 86_400_000, False), ("h", 3_600_000, False),
          ("m", 60_000, False), ("s", 1000, False), ("ms", 1, False))
"""Prometheus' units in milliseconds, and whether only whole multiples are written in them."""


def go_duration(length: timedelta) -> str:
    """A length as Prometheus' own Go code prints it: `4w`, `30d`, `1d12h`. Names of recorded series are made of it."""
    rest = length // timedelta(milliseconds=1)
    out = ""
    for unit, size, whole in _UNITS:
        if rest and (not whole or rest % size == 0) and rest >= size:
            out += f"{rest // size}{unit}"
            rest %= size
    return out or "0s"


def number(value: Decimal) -> str:
    """An exact number as PromQL reads it; what has no end is cut where a float ends."""
    return plain(value) if len(value.as_tuple().digits) <= 17 else plain(Decimal(repr(float(value))))


# -- with the parser --------------------------------------------------------------------------------------------------


def parser_installed() -> bool:
    """Whether expressions can be parsed at all."""
    return find_spec("promql_parser") is not None


def _parse(text: str) -> Any:
    import promql_parser  # noqa: PLC0415  (a lazy start: a compiled library that most runs never need)

    return promql_parser.parse(filled(text, "5m"))


def mistake_in(text: str) -> str:
    """What is wrong with the query as PromQL; empty when nothing is, or when no parser is installed to say."""
    if left := _ANY_TEMPLATE.search(filled(text, "5m")):
        return f"{left[0]} is a template that is not known; only {{{{.window}}}} is"
    if not text.strip():
        return "the query is empty"
    if not parser_installed():
        return ""
    try:
        _parse(text)
    except ValueError as error:
        return " ".join(str(error).split())
    return ""


def selects_one_metric(text: str) -> bool:
    """Whether the query is one metric's selector and nothing else."""
    return re.fullmatch(r"\s*" + _SELECTOR + r"\s*", text) is not None


def rates_as_counts(text: str, *, back: bool = False) -> str | None:
    """A sum of rates as the same sum of increases, or `back`; None when the expression is more than such a sum.

    Over a window of w seconds an increase is w times the rate. Only what carries that factor through unchanged is
    taken: sums, differences, `or`, `unless`, and `vector(0)`.
    """
    old, new = ("increase", "rate") if back else ("rate", "increase")
    if not parser_installed():
        return None
    try:
        scales = _scales(_parse(text), old)
    except ValueError:
        return None
    return re.sub(rf"\b{old}(\s*\()", rf"{new}\1", text) if scales else None


def _scales(node: Any, function: str) -> bool:
    """Whether the value grows with the window's length exactly as the function's does."""
    match type(node).__name__:
        case "ParenExpr":
            return _scales(node.expr, function)
        case "AggregateExpr":
            return str(node.op) in ("sum", "max", "min", "avg") and _scales(node.expr, function)
        case "Call" if node.func.name == function:
            return type(node.args[0]).__name__ == "MatrixSelector"
        case "Call" if node.func.name == "vector":
            return type(node.args[0]).__name__ == "NumberLiteral" and node.args[0].val == 0
        case "BinaryExpr" if str(node.op) in ("+", "-", "or"):
            return _scales(node.lhs, function) and _scales(node.rhs, function)
        case "BinaryExpr" if str(node.op) in ("unless", "and"):
            return _scales(node.lhs, function)
        case _:
            return False


# -- the same expression ----------------------------------------------------------------------------------------------

_CLOSE = 1e-12


def same_promql(one: str, other: str) -> bool:
    """Whether two expressions are the same to Prometheus by their trees.

    Numbers may differ by 1e-12 of their size, matchers stand in any order, brackets around what needs none count
    nothing, and a number may be written as an arithmetic of numbers (`1 - 0.999`).

    Raises:
        MissingExtra: no parser is installed.
        ValueError: one of them is not PromQL.
    """
    if not parser_installed():
        raise MissingExtra("comparing PromQL", "monitoring")
    return _equal(_shape(_parse(one)), _shape(_parse(other)))


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=_CLOSE, abs_tol=_CLOSE) or (math.isnan(one) and math.isnan(other))
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    return bool(one == other)


def _shape(node: Any) -> Any:
    """The expression as nested tuples in which what does not matter looks alike."""
    kind = type(node).__name__
    match kind:
        case "ParenExpr":
            return _shape(node.expr)
        case "NumberLiteral":
            return float(node.val)
        case "StringLiteral":
            return ("string", node.val)
        case "UnaryExpr":
            inner = _shape(node.expr)
            return -inner if isinstance(inner, float) else ("-", inner)
        case "VectorSelector":
            return _selector_shape(node)
        case "MatrixSelector":
            return ("range", _selector_shape(node.vector_selector), node.range.total_seconds())
        case "SubqueryExpr":
            return ("subquery", _shape(node.expr), node.range.total_seconds(), str(node.step), str(node.offset),
                    str(node.at))
        case "Call":
            return (node.func.name, *(_shape(part) for part in node.args))
        case "AggregateExpr":
            return ("aggregate", str(node.op), _labels_shape(node.modifier),
                    None if node.param is None else _shape(node.param), _shape(node.expr))
        case "BinaryExpr":
            return _binary_shape(node)
        case _:
            raise AssertionError(f"promql_parser gives an expression that is not known: {kind}")


def _selector_shape(node: Any) -> Any:
    def sorted_matchers(some: Any) -> tuple[tuple[str, str, str], ...]:
        # A matcher `x=~"literal"` stays apart from `x="literal"`: Prometheus gives the same, the tree does not.
        return tuple(sorted((one.name, str(one.op), one.value) for one in some))

    # The name may also stand among the matchers: {__name__="x"}.
    plain = list(node.matchers.matchers)
    name = node.name
    for one in plain:
        if name is None and one.name == "__name__" and str(one.op) == "MatchOp.Equal":
            name = one.value
            plain = [other for other in plain if other is not one]
            break
    alternatives = tuple(sorted_matchers(some) for some in node.matchers.or_matchers)
    return ("select", name, sorted_matchers(plain), alternatives, str(node.offset), str(node.at))


def _labels_shape(modifier: Any) -> Any:
    # `sum(x)` and `sum by () (x)` are one.
    if modifier is None:
        return ("by",)
    return (str(modifier.type).rsplit(".", 1)[-1].lower(), *sorted(modifier.labels))


_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": lambda a, b: a / b if b else math.nan}


def _binary_shape(node: Any) -> Any:
    left, right, sign = _shape(node.lhs), _shape(node.rhs), str(node.op)
    if isinstance(left, float) and isinstance(right, float) and sign in _ARITHMETIC:
        return _ARITHMETIC[sign](left, right)
    modifier = node.modifier
    if modifier is None:
        return (sign, left, right)
    matching = modifier.matching
    on = None if matching is None else (str(matching.type).rsplit(".", 1)[-1], *sorted(matching.labels))
    return (sign, left, right, str(modifier.card), on, tuple(sorted(modifier.group_labels or ())),
            modifier.return_bool)
