"""What is wrong between rules: the same rule twice, records read before they are written.

Source: promtool's duplicate check (name and labels); Prometheus documentation: rules of a group run in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mainstay.kernel.finding import Severity
from mainstay.monitoring.lint.flaw import Flaw
from mainstay.monitoring.lint.query import Query
from mainstay.monitoring.lint.rulefile import Rule
from mainstay.monitoring.lint.shape import shape_of


def duplicates(rules: Sequence[Rule]) -> Iterator[Flaw]:
    """Rules with the name and labels of an earlier one."""
    first: dict[object, Rule] = {}
    for rule in rules:
        known = first.setdefault((rule.alert, rule.series), rule)
        if known is rule:
            continue
        line, _ = known.name.place()
        other = "" if known.name.source is rule.name.source else f"{known.name.source.file}:"
        where = f"{other}{line}" if other else f"line {line}"
        same = known.expr.text.split() == rule.expr.text.split()
        if rule.alert:
            yield Flaw("duplicate-alert", rule.name.source, (rule.name, 0), f"{rule.name.text} stands with the same "
                       f"labels on {where}" + ("" if same else ", with another expression: to Alertmanager they are "
                       "one alert"),
                       "remove one of the two" if same else "give them different names or labels",
                       severity=None if same else Severity.HINT)
        else:
            yield Flaw("duplicate-record", rule.name.source, (rule.name, 0), f"{rule.name.text} with the same labels "
                       f"is recorded on {where}, too" + ("" if same else ", from another expression: which of the two "
                                                      "values is kept depends on chance"),
                       "remove one of the two" if same else "give them different names or labels",
                       severity=None if same else Severity.ERROR if _collide(known, rule) else Severity.HINT)


def _collide(one: Rule, other: Rule) -> bool:
    """Whether both write series without labels of their own, so that they surely meet."""
    return all(rule.tree is not None and shape_of(rule.tree).only == frozenset() for rule in (one, other))


def read_too_early(queries: Sequence[Query]) -> Iterator[Flaw]:
    """Records read in their group before they are written: one evaluation old."""
    written: dict[tuple[str, str, str], int] = {}
    for number, query in enumerate(queries):
        if not query.rule.alert:
            key = (query.rule.expr.source.file, query.rule.group, query.rule.name.text)
            written.setdefault(key, number)
    if not written:
        return
    for number, query in enumerate(queries):
        for one in query.selectors:
            later = written.get((query.rule.expr.source.file, query.rule.group, one.name), -1)
            if later > number:
                yield query.flaw("read-too-early", one, f"{one.name} is recorded further down in this group: this "
                                 "reads the value of the evaluation before", "move the record above this rule")
