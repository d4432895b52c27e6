"""PromQL as a tree in which every part knows where it stands.

The parser that checks types (promql-parser) says no places, and a finding without a place is half a finding. So the
text is read here too; a test holds both readings of every public rule to the same tree.
"""

from __future__ import annotations

from collections.abc import Iterator

from mainstay.kernel.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Matcher:
    """`status=~"5.."`: the value unescaped, the place of the whole matcher."""

    label: str
    op: str
    value: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Number:
    """A number, or a duration where Prometheus 3 takes one."""

    value: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class String:
    """A quoted text."""

    value: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Selector:
    """A metric with its matchers. `moved` holds `offset` and `@` as written, blanks apart."""

    name: str
    matchers: tuple[Matcher, ...]
    start: int
    end: int
    moved: str = ""


@dataclass(frozen=True, slots=True)
class Ranged:
    """A selector over a range, in seconds; `range_start` is where the bracket opens."""

    inner: Selector
    seconds: float
    range_start: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Subquery:
    """An expression evaluated over a range."""

    inner: Expr
    seconds: float
    range_start: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Call:
    """A function."""

    name: str
    arguments: tuple[Expr, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Aggregate:
    """An aggregation. `grouping` is `by`, `without` or empty; `grouping_end` is where its bracket closes (behind the
    last label), -1 when there is none."""

    name: str
    grouping: str
    labels: tuple[str, ...]
    parameter: Expr | None
    inner: Expr
    start: int
    end: int
    grouping_end: int = -1


@dataclass(frozen=True, slots=True)
class Binary:
    """Two sides. `matching` is `on`, `ignoring` or empty, `group` `left`, `right` or empty; `op_start` and `op_end`
    are the operator's, without its modifiers."""

    op: str
    left: Expr
    right: Expr
    start: int
    end: int
    op_start: int
    op_end: int
    as_bool: bool = False
    matching: str = ""
    labels: tuple[str, ...] = ()
    group: str = ""
    include: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unary:
    """A sign."""

    op: str
    inner: Expr
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Paren:
    """Round brackets."""

    inner: Expr
    start: int
    end: int


Expr = Number | String | Selector | Ranged | Subquery | Call | Aggregate | Binary | Unary | Paren

COMPARISONS = frozenset({"==", "!=", ">", "<", ">=", "<="})
SET_OPERATORS = frozenset({"and", "or", "unless"})


def below(expr: Expr) -> tuple[Expr, ...]:
    """The parts directly inside, in the order of the text."""
    match expr:
        case Ranged() | Subquery() | Unary() | Paren():
            return (expr.inner,)
        case Call():
            return expr.arguments
        case Aggregate():
            return (expr.inner,) if expr.parameter is None else (expr.parameter, expr.inner)
        case Binary():
            return (expr.left, expr.right)
        case _:
            return ()


def every(expr: Expr) -> Iterator[Expr]:
    """The expression and all inside it, outer before inner."""
    waiting = [expr]
    while waiting:
        one = waiting.pop()
        yield one
        waiting.extend(reversed(below(one)))


def selectors(expr: Expr) -> Iterator[Selector]:
    """Every selector."""
    return (one for one in every(expr) if isinstance(one, Selector))


def bare(expr: Expr) -> Expr:
    """The expression without brackets around it."""
    while isinstance(expr, Paren):
        expr = expr.inner
    return expr
