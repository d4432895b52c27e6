"""Alerts on burn rates and budgets: thresholds that cannot be reached or are always, one window alone, wrong claims.

With b = 1 - target, an alert at burn f trips at a share of failures f·b, and spends f·w/T of the budget in its window w
of a period T. Source: SRE Workbook, ch. 5 "Alerting on SLOs".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mainstay.kernel.dataclass import dataclass
from mainstay.monitoring.lint.flaw import Flaw
from mainstay.monitoring.lint.query import Query, written_duration
from mainstay.monitoring.lint.ratios import extra_matchers, ratios
from mainstay.monitoring.lint.shape import Comparison, branches, comparison, comparisons, constant, windows
from mainstay.monitoring.lint.tree import Binary, Expr, Number, Selector, bare, every
from mainstay.monitoring.lint.written import Written

_BURN_NAME = re.compile(r"burn_?rate", re.IGNORECASE)
_LONGEST_BURN = 4 * 86400
"""A window beyond the workbook's three days is about the budget, not about burn."""


@dataclass(frozen=True, slots=True)
class Burn:
    """A comparison that is about burn.

    Args:
        factor: the multiple at which it trips, where the expression says it.
        budget: 1 - target, where the expression says it.
    """

    held: Comparison
    factor: float | None
    budget: float | None

    @property
    def share(self) -> float | None:
        """The share of failures at which it trips."""
        return None if self.factor is None or self.budget is None else self.factor * self.budget


def burn_of(held: Comparison) -> Burn | None:
    """The burn that a comparison is about: by arithmetic, `> 14.4 * 0.001` or `/ (1 - 0.999) > 14.4`, or by name."""
    if held.op not in (">", ">="):
        return None
    bound, left = bare(held.bound), bare(held.left)
    if isinstance(bound, Binary) and bound.op == "*":
        first, second = constant(bound.left), constant(bound.right)
        if first is not None and second is not None and min(first, second) < 1 <= max(first, second) \
                and 0 < min(first, second) <= 0.5:
            return Burn(held, max(first, second), min(first, second))
    if isinstance(left, Binary) and left.op == "/" and _is_budget(left.right):
        return Burn(held, held.value, constant(left.right))
    if _names(held.left, _BURN_NAME):
        return Burn(held, held.value if held.value >= 1 else None, None)
    return None


def _is_budget(expr: Expr) -> bool:
    """`(1 - 0.999)`, `0.001`: what a share of failures is divided by to be a burn rate."""
    value = constant(expr)
    if value is None or not 0 < value <= 0.5:
        return False
    inner = bare(expr)
    return isinstance(inner, Number) or (isinstance(inner, Binary) and inner.op == "-" and constant(inner.left) == 1)


def _names(expr: Expr, pattern: re.Pattern[str]) -> bool:
    return any(isinstance(one, Selector) and pattern.search(one.name) for one in every(expr))


def check_burns(query: Query) -> Iterator[Flaw]:
    """Burn alerts whose threshold, windows or words are wrong."""
    if not query.rule.alert:
        return
    for branch in branches(query.tree):
        burns = [burn for held in comparisons(branch) if (burn := burn_of(held)) is not None]
        for burn in burns:
            yield from _threshold(query, burn)
        yield from _single_window(query, branch, burns)
    yield from _unreachable_ratio(query)


def _threshold(query: Query, burn: Burn) -> Iterator[Flaw]:
    held = burn.held
    if burn.budget is None and burn.factor is None and 0 < held.value < 1 and isinstance(bare(held.bound), Number) \
            and _names(held.left, re.compile(r"burn_rate", re.IGNORECASE)):
        early = 14.4 / held.value
        yield query.flaw("burn-fraction", held.bound, f"a burn rate is a multiple: 1 spends the budget in exactly its "
                         f"window, so {held.value:g} fires while all is well, {early:,.0f} times before 14.4",
                         "write 14.4 (2 % of a 30-day budget in 1 h) or 6 (5 % in 6 h); for a share of failures, 14.4 "
                         "* (1 - target)")
    if burn.share is not None and burn.share >= 1 and burn.factor is not None and burn.budget is not None \
            and max(windows(held.left), default=0.0) <= _LONGEST_BURN:
        yield query.flaw("unreachable-burn", held.bound, f"{burn.factor:g} × {burn.budget:.6g} = {burn.share:.4g}: a "
                         "share of failures never exceeds 1, so this cannot fire even in a total outage",
                         f"for a target of {(1 - burn.budget) * 100:.6g} % a factor must stay below "
                         f"{1 / burn.budget:.4g}")


def _single_window(query: Query, branch: Expr, burns: list[Burn]) -> Iterator[Flaw]:
    if not burns:
        return
    seen = set().union(*(windows(burn.held.left) for burn in burns))
    other = windows(branch) - seen
    if len(seen) != 1 or other or max(seen) > _LONGEST_BURN:
        return
    long = max(seen)
    short = long / 12
    if long <= 600:
        mend = "hold it against 1 h as well: burn(1h) > 14.4 and burn(5m) > 14.4"
    else:
        mend = f"add the same over {written_duration(round(short))}: … and burn({written_duration(round(short))}) > …"
    yield query.flaw("single-window", burns[0].held.node, f"one window ({written_duration(long)}) alone: a short one "
                     "lets chance page, a long one goes on firing long after recovery", mend)


def _unreachable_ratio(query: Query) -> Iterator[Flaw]:
    """A share of events held above 1, or below 0."""
    known = {id(node): (left, right) for node, left, right in ratios(query)}
    for held in comparisons(query.tree):
        left, factor = bare(held.left), 1.0
        if isinstance(left, Binary) and left.op == "*" and constant(left.right) == 100:
            left, factor = bare(left.left), 100.0
        elif isinstance(left, Binary) and left.op == "*" and constant(left.left) == 100:
            left, factor = bare(left.right), 100.0
        sides = known.get(id(left))
        if sides is None or sides[0].frame != sides[1].frame \
                or not extra_matchers(sides[0].selector, sides[1].selector):
            continue
        if isinstance(left, Binary) and not isinstance(bare(left.left), Binary) and (
                (held.op == ">" and held.value >= factor) or (held.op == ">=" and held.value > factor)):
            yield query.flaw("unreachable-ratio", held.bound, f"a part of a whole is never above {factor:g}"
                             + (", it is a share of 0..1" if factor == 1 else ""),
                             f"write {held.value / 100:g}" if factor == 1 and held.value <= 100 else "lower the "
                             "threshold")


def check_short_target(query: Query) -> Iterator[Flaw]:
    """A short look at the indicator held against the target: what burn alerts replace."""
    if not query.rule.alert:
        return
    for branch in branches(query.tree):
        found = [held for held in comparisons(branch) if held.op in ("<", "<=")
                 and (0.9 <= held.value < 1 or 95 <= held.value < 100)]
        if len(found) != 1:
            continue
        seen = windows(branch)
        short = max(seen, default=0.0) <= 3600 and len(seen) == 1
        if short and (_names(found[0].left, _GOOD_NAME) or _is_good_ratio(query, found[0].left)):
            yield query.flaw("short-sli-against-target", found[0].bound, f"{written_duration(max(seen))} below the "
                             "target is not the objective broken: a blip pages, a slow leak never does",
                             "alert on burn: 1 h and 5 m above 14.4 × (1 - target), and its slower tiers")


_GOOD_NAME = re.compile(r"availability|success|(?:^|[_:])sli(?:[_:]|$)|(?:^|[_:])slo(?:[_:]|$)", re.IGNORECASE)


def _is_good_ratio(query: Query, expr: Expr) -> bool:
    return any(extra_matchers(left.selector, right.selector) for node, left, right in ratios(query)
               if any(one is node for one in every(expr)))


# -- what the words of an alert claim ---------------------------------------------------------------------------------

_CLAIM = re.compile(r"(?P<share>\d+(?:\.\d+)?)\s*%\s+(?:of\s+)?(?:the\s+|our\s+|your\s+)?(?:\w+[- ]){0,2}?budget"
                    r"(?P<between>[^.\n]{0,60}?)\b(?:in|within|over|per|every)\s+(?:the\s+)?(?:last\s+|next\s+)?"
                    r"(?P<count>\d+)?\s*(?P<unit>hours?|h|days?|d|minutes?|m|min)\b", re.IGNORECASE)
_UNIT = {"h": 3600.0, "d": 86400.0, "m": 60.0}
_HOURLY = re.compile(r"\{\{[^}]*\$value[^}]*\}\}\s*%?\s*(?:/\s*h(?:our)?\b|per\s+hour)", re.IGNORECASE)


def check_claims(query: Query) -> Iterator[Flaw]:
    """Words about the budget that the threshold contradicts."""
    if not query.rule.alert:
        return
    burns = [burn for held in comparisons(query.tree) if (burn := burn_of(held)) is not None]
    if burns:
        factor = next((burn.factor for burn in burns if burn.factor is not None), None)
        for text in query.rule.annotations.values():
            yield from _claims(query, text, factor)
        if factor is not None:
            yield from _comments(query, factor)
    yield from _hours_left(query)
    yield from _name(query)


def _claims(query: Query, text: Written, factor: float | None) -> Iterator[Flaw]:
    if hourly := _HOURLY.search(text.text):
        yield Flaw("burn-per-hour", text.source, (text, hourly.start()), "a burn rate is a multiple, not a share per "
                   "hour",
                   f"share of a {written_duration(query.settings.period)} budget per hour = burn × "
                   f"{100 * 3600 / query.settings.period:.3g} %")
    if factor is None:
        return
    for claim in _CLAIM.finditer(text.text):
        if (message := _wrong_claim(query, claim, factor)) is not None:
            yield Flaw("wrong-claim", text.source, (text, claim.start()), *message)


def _comments(query: Query, factor: float) -> Iterator[Flaw]:
    """Claims in the comments of the rule's own lines and directly above it."""
    source = query.rule.expr.source
    first, last = query.rule.lines
    while first > 1 and source.lines[first - 2].lstrip().startswith("#"):
        first -= 1
    for number in range(first, last + 1):
        line = source.lines[number - 1]
        _, mark, comment = line.partition("#")
        claim = _CLAIM.search(comment) if mark else None
        if claim is not None and (message := _wrong_claim(query, claim, factor)) is not None:
            yield Flaw("wrong-claim", source, (number, line.index("#") + 2 + claim.start()), *message)


def _wrong_claim(query: Query, claim: re.Match[str], factor: float) -> tuple[str, str] | None:
    length = float(claim["count"] or 1) * _UNIT[claim["unit"][0].lower()]
    claimed, real = float(claim["share"]) / 100, factor * length / query.settings.period
    if abs(claimed - real) <= 0.15 * real:
        return None
    window, period = written_duration(length), written_duration(query.settings.period)
    needed = claimed * query.settings.period / length
    return (f"{factor:g} for {window} spends {real * 100:.3g} % of a {period} budget, not {claim['share']} %",
            f"write {real * 100:.3g} %, or {needed:.4g} where {claim['share']} % was meant")


_LEFT_NAME = re.compile(r"remaining|budget_left", re.IGNORECASE)
_SPENT_NAME = re.compile(r"consumed|consumption|spent|used", re.IGNORECASE)


def _hours_left(query: Query) -> Iterator[Flaw]:
    """`remaining / burn < 24`: a share divided by a multiple is in units of the window, not in hours."""
    for node in query.binaries:
        if node.op == "/" and isinstance(left := bare(node.left), Selector) and _LEFT_NAME.search(left.name) \
                and _names(node.right, _BURN_NAME):
            above = query.outer.get(id(node))
            held = comparison(above) if isinstance(above, Binary) else None
            if held is not None and held.value > 1 and held.op in ("<", "<="):
                hours = query.settings.period / 3600
                yield query.flaw("exhaustion-without-window", node.op_start, "share left / burn is in windows, not in "
                                 f"hours: a full budget at burn 1 gives 1, where {hours:g} h is meant",
                                 f"multiply by the window: … / … * {hours:g}")


def _name(query: Query) -> Iterator[Flaw]:
    """An alert called exhausted that fires before the budget is."""
    if not re.search(r"budget.*exhausted|exhausted.*budget", query.rule.name.text, re.IGNORECASE):
        return
    for held in comparisons(query.tree):
        left = held.op in ("<", "<=") and held.value > 0 and _names(held.left, _LEFT_NAME) \
            and not _names(held.left, _BURN_NAME)
        scale = 100 if held.value > 2 else 1
        long = max(windows(held.left), default=0) > _LONGEST_BURN
        spent = held.op in (">", ">=") and held.value < scale and (
            _names(held.left, _SPENT_NAME) or (burn_of(held) is not None and long))
        if left or spent:
            share = held.value / scale
            yield query.flaw("named-otherwise", held.bound, "the alert is called exhausted and fires at "
                             f"{(1 - share if left else share) * 100:g} % spent",
                             "name it after what it says, such as ErrorBudgetThreeQuartersSpent")

