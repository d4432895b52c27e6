"""Labels: sides that never match, labels that are not there, zeros that stand beside the series.

Source: Prometheus documentation, "Operators", vector matching.
"""

from __future__ import annotations

from collections.abc import Iterator

from mainstay.kernel.finding import Severity
from mainstay.monitoring.lint.flaw import Flaw
from mainstay.monitoring.lint.query import Query
from mainstay.monitoring.lint.shape import Shape, comparison, is_vector_pair, shape_of
from mainstay.monitoring.lint.tree import Aggregate, Binary, Call, Expr, Number, Selector, bare


def check_matching(query: Query) -> Iterator[Flaw]:
    """Two sides of which no series can meet."""
    for node in query.binaries:
        if node.op == "or" or not is_vector_pair(node):
            continue
        left, right = shape_of(node.left), shape_of(node.right)
        if node.op == "unless" and not node.matching:
            continue
        yield from _conflict(query, node, left, right)
        for label in node.include:
            other = right if node.group == "left" else left
            if not other.may_have(label):
                yield query.flaw("label-not-there", node.op_start, f"group_{node.group}({label}) takes {label} from a "
                                 "side that has lost it", f"keep {label} in the grouping of that side")


def _conflict(query: Query, node: Binary, left: Shape, right: Shape) -> Iterator[Flaw]:
    compared = _compared(node, left, right)
    unequal = [label for label in sorted(compared & left.fixed.keys() & right.fixed.keys())
               if left.fixed[label] != right.fixed[label]]
    if unequal:
        yield _unequal(query, node, unequal[0], left.fixed[unequal[0]], right.fixed[unequal[0]])
        return
    for mine, other, where in ((left, right, "left"), (right, left, "right")):
        for label in sorted(compared & mine.fixed.keys()):
            if not other.may_have(label):
                yield query.flaw("never-matches", node.op_start, f'every series on the {where} has {label}='
                                 f'"{mine.fixed[label]}" and none on the other side has {label}: nothing matches',
                                 f"write {node.op} ignoring ({label}), on (…) with the labels both have, or keep "
                                 f"{label} on both sides")
                return
    if node.matching or node.group or left.only is None or right.only is None or left.only == right.only:
        return
    odd = sorted(left.only ^ right.only)
    yield query.flaw("never-matches", node.op_start, f"{', '.join(odd)} {'is' if len(odd) == 1 else 'are'} on one side "
                     "only: series match when all their labels are equal, so nothing does",
                     f"group both sides alike, or write {node.op} on ({', '.join(sorted(left.only & right.only))}) "
                     f"group_{'left' if left.only > right.only else 'right'}",
                     severity=Severity.WARNING)


def _unequal(query: Query, node: Binary, label: str, mine: str, other: str) -> Flaw:
    message = f'{label} is "{mine}" on one side and "{other}" on the other: nothing ever matches'
    if not node.matching:
        edits = (query.edit(node.op_end, node.op_end, f" ignoring ({label})"),) if node.op == "and" else ()
        return query.flaw("never-matches", node.op_start, message, f"write {node.op} ignoring ({label})", *edits)
    return query.flaw("never-matches", node.op_start, message, f"leave {label} out of what is compared")


def _compared(node: Binary, left: Shape, right: Shape) -> frozenset[str]:
    """The labels that must be equal on both sides."""
    if node.matching == "on":
        return frozenset(node.labels)
    known = frozenset(left.fixed) | frozenset(right.fixed)
    return known - frozenset(node.labels)


def check_grouping(query: Query) -> Iterator[Flaw]:
    """Labels that are grouped by after they were lost, and `on` labels that one side has lost."""
    for one in query.aggregates:
        if one.grouping != "by":
            continue
        inner = shape_of(one.inner)
        for label in one.labels:
            if not inner.may_have(label):
                yield query.flaw("label-not-there", one, f"{one.name} by ({label}): {label} was already lost inside",
                                 f"keep {label} inside, or leave it out here")
    for node in query.binaries:
        if node.matching != "on" or not is_vector_pair(node):
            continue
        left, right = shape_of(node.left), shape_of(node.right)
        for label in node.labels:
            if left.may_have(label) != right.may_have(label) and not left.fixed.get(label) \
                    and not right.fixed.get(label):
                side = "right" if left.may_have(label) else "left"
                yield query.flaw("label-not-there", node.op_start, f"{node.op} on ({label}): the {side} side has lost "
                                 f"{label}, so only series without it match", f"keep {label} on both sides")


def check_zero(query: Query) -> Iterator[Flaw]:
    """`or vector(0)` beside series that have labels."""
    for node in query.binaries:
        if node.op != "or" or node.matching or not _is_vector_number(node.right):
            continue
        left = shape_of(node.left)
        if left.only == frozenset():
            continue
        above = query.outer.get(id(node))
        if isinstance(above, Aggregate) or (isinstance(above, Call) and above.name in ("scalar", "absent")):
            # A zero more does not change a sum.
            continue
        grouped = left.only is not None
        labels = ", ".join(sorted(left.only or ())) or "labels"
        yield query.flaw("zero-with-labels", node.op_start, f"the left side has {labels}, vector(0) has none: it does "
                         "not fill gaps, it adds one series without labels that is always there",
                         "write `or 0 * sum by (…) (…)` of something with the same labels",
                         severity=None if grouped else Severity.HINT)


def _is_vector_number(expr: Expr) -> bool:
    expr = bare(expr)
    return isinstance(expr, Call) and expr.name == "vector"


def check_absent(query: Query) -> Iterator[Flaw]:
    """`absent` held against what it never is, or asked of something that hides what is absent."""
    for node in query.binaries:
        for side, other in ((node.left, node.right), (node.right, node.left)):
            call = bare(side)
            if not (isinstance(call, Call) and call.name in ("absent", "absent_over_time")):
                continue
            number = bare(other)
            if isinstance(number, Number) and node.op in ("==", ">", "<", "!=", ">=", "<=") and not _absent_can(
                    node.op, number.value, swapped=call is bare(node.right)):
                yield query.flaw("absent-misuse", node.op_start, f"{call.name} gives 1 or nothing: this comparison is "
                                 "never true", f"write {call.name}(…) alone")
    for call in query.calls:
        if call.name != "absent" or not call.arguments:
            continue
        inner = bare(call.arguments[0])
        if isinstance(inner, Binary) and inner.op in ("==", "!=", ">", "<", ">=", "<="):
            yield query.flaw("absent-misuse", call, "absent of a comparison fires while the series is there and well, "
                             "too",
                             "compare outside: x == 0 or absent(x)", severity=Severity.HINT)
        elif isinstance(inner, Selector) and any(one.op in ("=~", "!~", "!=") for one in inner.matchers) \
                and query.rule.alert and not any(one.op == "=" for one in inner.matchers if one.label != "__name__"):
            yield query.flaw("absent-misuse", call, "absent of a selector of patterns fires only when all of them are "
                             "gone, and says no label of which", "write one absent(…) for each, with = matchers",
                             severity=Severity.HINT)


def check_counts(query: Query) -> Iterator[Flaw]:
    """A count held against zero, which it never is."""
    for node in query.binaries:
        held = comparison(node)
        inner = bare(held.left) if held is not None and held.node is node and not node.as_bool else None
        if held is not None and isinstance(inner, Aggregate) and inner.name == "count" and (
                (held.op in ("==", "<=") and held.value == 0) or (held.op == "<" and 0 <= held.value <= 1)):
            yield query.flaw("count-never-zero", held.bound, "a count of nothing is nothing, not 0: this is never true",
                             "write absent(…), or count what is up: sum by (…) (up) == 0")


def _absent_can(op: str, value: float, *, swapped: bool) -> bool:
    one, other = (value, 1.0) if swapped else (1.0, value)
    return {"==": one == other, "!=": one != other, ">": one > other, "<": one < other, ">=": one >= other,
            "<=": one <= other}[op]

