"""What can be said of an expression without data: which labels its series can have, its constants, its windows.

Source: Prometheus documentation, "Operators" (vector matching, aggregation) and "Functions".
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import field

from mainstay.kernel.dataclass import dataclass
from mainstay.monitoring.lint.promql import seconds_of
from mainstay.monitoring.lint.tree import (
    COMPARISONS,
    Aggregate,
    Binary,
    Call,
    Expr,
    Number,
    Paren,
    Ranged,
    Selector,
    String,
    Subquery,
    Unary,
    bare,
    every,
)

RATES = frozenset({"rate", "irate", "increase"})
_WITHOUT_SERIES = frozenset({"time", "scalar", "pi"})
_OF_NOW = frozenset({"vector", "minute", "hour", "month", "year", "day_of_week", "day_of_month", "day_of_year",
                     "days_in_month"})
_KEEPING = frozenset({"topk", "bottomk", "limitk", "limit_ratio"})


@dataclass(frozen=True, slots=True)
class Shape:
    """The labels of an expression's series.

    Args:
        only: the labels they can have at most; None when any.
        lost: labels they cannot have, of interest where `only` is None.
        fixed: labels whose value is known.
        scalar: a number, no series at all.
    """

    only: frozenset[str] | None = None
    lost: frozenset[str] = frozenset()
    fixed: Mapping[str, str] = field(default_factory=dict)
    scalar: bool = False

    def may_have(self, label: str) -> bool:
        """Whether a series of it can carry the label."""
        return label not in self.lost if self.only is None else label in self.only

    def keeping(self, labels: tuple[str, ...]) -> Shape:
        """What is left when only these labels are kept."""
        kept = frozenset(label for label in labels if self.may_have(label))
        return Shape(kept, fixed={label: value for label, value in self.fixed.items() if label in kept})

    def dropping(self, labels: tuple[str, ...]) -> Shape:
        """What is left when these labels are dropped."""
        gone = frozenset(labels)
        return Shape(None if self.only is None else self.only - gone, self.lost | gone,
                     {label: value for label, value in self.fixed.items() if label not in gone})

    def adding(self, labels: tuple[str, ...]) -> Shape:
        """The same with these labels, whose values are not known."""
        more = frozenset(labels)
        return Shape(None if self.only is None else self.only | more, self.lost - more,
                     {label: value for label, value in self.fixed.items() if label not in more})


_NOTHING = Shape(frozenset())
_SCALAR = Shape(frozenset(), scalar=True)


def shape_of(expr: Expr) -> Shape:
    """The labels of the expression's series."""
    match expr:
        case Number() | String():
            return _SCALAR
        case Selector():
            fixed = {one.label: one.value for one in expr.matchers if one.op == "=" and one.value}
            lost = frozenset(one.label for one in expr.matchers if one.op == "=" and not one.value)
            return Shape(None, lost, {label: value for label, value in fixed.items() if label != "__name__"})
        case Ranged() | Subquery() | Unary() | Paren():
            return shape_of(expr.inner)
        case Call():
            return _shape_of_call(expr)
        case Aggregate():
            return _shape_of_aggregate(expr)
        case Binary():
            return _shape_of_binary(expr)


def _shape_of_call(call: Call) -> Shape:
    if call.name in _WITHOUT_SERIES:
        return _SCALAR
    if not call.arguments or call.name == "vector":
        return _NOTHING
    if call.name in ("absent", "absent_over_time"):
        inner = next((one for one in every(call) if isinstance(one, Selector)), None)
        bare_selector = isinstance(bare(call.arguments[0]), Selector | Ranged)
        return Shape(frozenset(shape_of(inner).fixed), fixed=shape_of(inner).fixed) \
            if inner is not None and bare_selector else _NOTHING
    if call.name == "info":
        return Shape()
    inner_shape = next((shape for one in call.arguments if not (shape := shape_of(one)).scalar), _NOTHING)
    if call.name in ("label_replace", "label_join") and len(call.arguments) > 1:
        target = call.arguments[1]
        return inner_shape.adding((target.value,)) if isinstance(target, String) else Shape()
    return inner_shape.dropping(("le",)) if call.name == "histogram_quantile" else inner_shape


def _shape_of_aggregate(one: Aggregate) -> Shape:
    inner = shape_of(one.inner)
    if one.name in _KEEPING:
        return inner
    shape = inner.dropping(one.labels) if one.grouping == "without" else inner.keeping(one.labels)
    if one.name == "count_values" and isinstance(one.parameter, String):
        return shape.adding((one.parameter.value,))
    return shape


def _shape_of_binary(one: Binary) -> Shape:
    left, right = shape_of(one.left), shape_of(one.right)
    if left.scalar or right.scalar:
        return left if right.scalar else right
    if one.op in ("and", "unless"):
        return left
    if one.op == "or":
        only = None if left.only is None or right.only is None else left.only | right.only
        return Shape(only, left.lost & right.lost,
                     {label: value for label, value in left.fixed.items() if right.fixed.get(label) == value})
    if one.group:
        return (left if one.group == "left" else right).adding(one.include)
    if one.matching == "on":
        return left.keeping(one.labels)
    shape = left.dropping(one.labels) if one.matching else left
    if right.only is None:
        return shape
    return shape.keeping(tuple(right.only))


def constant(expr: Expr) -> float | None:
    """The value of an expression of numbers alone; None for any other, or where it has none."""
    match expr:
        case Number():
            return expr.value
        case Paren():
            return constant(expr.inner)
        case Unary():
            inner = constant(expr.inner)
            return None if inner is None else -inner if expr.op == "-" else inner
        case Binary():
            left, right = constant(expr.left), constant(expr.right)
            return None if left is None or right is None else _worked_out(expr.op, left, right)
        case _:
            return None


def _worked_out(op: str, left: float, right: float) -> float | None:
    try:
        match op:
            case "+":
                return left + right
            case "-":
                return left - right
            case "*":
                return left * right
            case "/":
                return left / right
            case "^":
                return float(left ** right)
            case _:
                return None
    except (ArithmeticError, TypeError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class Comparison:
    """An expression held against a number, written so that the number is on the right: `left op value`."""

    left: Expr
    op: str
    value: float
    bound: Expr
    node: Binary


_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}


def comparison(expr: Expr) -> Comparison | None:
    """The comparison with a number that this expression is, or None."""
    expr = bare(expr)
    if not isinstance(expr, Binary) or expr.op not in COMPARISONS:
        return None
    if (value := constant(expr.right)) is not None and not math.isnan(value):
        return Comparison(expr.left, expr.op, value, expr.right, expr)
    if (value := constant(expr.left)) is not None and not math.isnan(value):
        return Comparison(expr.right, _MIRRORED[expr.op], value, expr.left, expr)
    return None


def comparisons(expr: Expr) -> list[Comparison]:
    """Every comparison with a number in the expression."""
    return [found for one in every(expr) if isinstance(one, Binary) and (found := comparison(one)) is not None]


def branches(expr: Expr) -> list[Expr]:
    """The sides of the outermost `or`s: each alone can make an alert fire."""
    expr = bare(expr)
    if isinstance(expr, Binary) and expr.op == "or":
        return branches(expr.left) + branches(expr.right)
    return [expr]


_NAMED_WINDOW = re.compile(r"(?:ratio_rate|burn_?rate|error_?ratio|increase|rate|mean|sum|avg|ratio|:)_?"
                           r"((?:\d+(?:ms|[smhdwy]))+)$")
_WINDOW_LABEL = re.compile(r"(?:^|_)window$")


def windows(expr: Expr) -> set[float]:
    """Over how many seconds the expression looks back: its ranges, and what names and labels of records say."""
    return {seconds for _, seconds in windows_of(expr)}


def windows_of(expr: Expr) -> Iterator[tuple[Expr, float]]:
    """Every window with the part that says it."""
    for one in every(expr):
        if isinstance(one, Ranged | Subquery):
            yield one, one.seconds
        elif isinstance(one, Selector):
            named = _NAMED_WINDOW.search(one.name)
            if named:
                yield one, seconds_of(named[1])
            for matcher in one.matchers:
                if matcher.op == "=" and _WINDOW_LABEL.search(matcher.label) \
                        and re.fullmatch(r"\d+[smhdw]", matcher.value):
                    yield one, seconds_of(matcher.value)


def is_vector_pair(one: Binary) -> bool:
    """Whether both sides are series."""
    return not shape_of(one.left).scalar and not shape_of(one.right).scalar

