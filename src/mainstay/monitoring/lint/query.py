"""One rule's expression taken apart once, so that every check looks at the same parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import timedelta
from functools import cached_property

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.finding import Severity
from mainstay.kernel.quantity import short_duration
from mainstay.monitoring.lint.flaw import Edit, Flaw
from mainstay.monitoring.lint.rulefile import Rule
from mainstay.monitoring.lint.tree import Aggregate, Binary, Call, Expr, Paren, Ranged, Selector, Subquery, every


@dataclass(frozen=True, slots=True)
class Settings:
    """What checks are told beside the rules.

    Args:
        scrape: seconds between two scrapes; `scrape_known` is whether somebody said so.
        retention: seconds for which the rules' Prometheus keeps samples; `retention_known` is whether somebody said so.
        interval: seconds between two evaluations where a group does not say.
        period: seconds of the objectives' window, which budgets are about.
        types: of metrics that pages declare.
        buckets: the boundaries of histograms that pages show.
    """

    scrape: float = 15.0
    scrape_known: bool = False
    retention: float = 15 * 86400.0
    retention_known: bool = False
    interval: float = 60.0
    period: float = 30 * 86400.0
    types: Mapping[str, str] = field(default_factory=dict)
    buckets: Mapping[str, frozenset[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Query:
    """A rule with its tree, and what the rule may be held against."""

    rule: Rule
    tree: Expr
    settings: Settings

    @cached_property
    def parts(self) -> list[Expr]:
        """The expression and all inside it."""
        return list(every(self.tree))

    @cached_property
    def selectors(self) -> list[Selector]:
        """Every selector."""
        return [one for one in self.parts if isinstance(one, Selector)]

    @cached_property
    def ranges(self) -> list[Ranged]:
        """Every selector over a range."""
        return [one for one in self.parts if isinstance(one, Ranged)]

    @cached_property
    def subqueries(self) -> list[Subquery]:
        """Every subquery."""
        return [one for one in self.parts if isinstance(one, Subquery)]

    @cached_property
    def calls(self) -> list[Call]:
        """Every function."""
        return [one for one in self.parts if isinstance(one, Call)]

    @cached_property
    def aggregates(self) -> list[Aggregate]:
        """Every aggregation."""
        return [one for one in self.parts if isinstance(one, Aggregate)]

    @cached_property
    def binaries(self) -> list[Binary]:
        """Every operator with two sides."""
        return [one for one in self.parts if isinstance(one, Binary)]

    @cached_property
    def outer(self) -> dict[int, Expr]:
        """Of each part (by id) the one it is directly inside, round brackets left out."""
        out: dict[int, Expr] = {}
        waiting: list[tuple[Expr, Expr | None]] = [(self.tree, None)]
        while waiting:
            one, above = waiting.pop()
            if above is not None:
                out[id(one)] = above
            inside = above if isinstance(one, Paren) else one
            match one:
                case Binary():
                    waiting += [(one.left, inside), (one.right, inside)]
                case Call():
                    waiting += [(argument, inside) for argument in one.arguments]
                case Aggregate():
                    waiting += [(one.inner, inside)] + ([] if one.parameter is None else [(one.parameter, inside)])
                case _ if hasattr(one, "inner"):
                    waiting.append((one.inner, inside))
        return out

    def text(self, part: Expr) -> str:
        """The part as it is written."""
        return self.rule.expr.text[part.start:part.end]

    def flaw(self, code: str, at: Expr | int, message: str, mend: str = "", *edits: Edit,
             severity: Severity | None = None) -> Flaw:
        """A flaw at that part, or at that letter of the expression."""
        start = at if isinstance(at, int) else at.start
        mendable = self.rule.expr.mendable if edits else False
        return Flaw(code, self.rule.expr.source, (self.rule.expr, start), message, mend, edits if mendable else (),
                    severity)

    def edit(self, start: int, end: int, new: str) -> Edit:
        """A change of the expression."""
        return Edit(self.rule.expr, start, end, new)


def written_duration(seconds: float) -> str:
    """Seconds as a range is written: `5m`, `30d`."""
    return short_duration(timedelta(seconds=seconds))
