"""All checks on all rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from mainstay.kernel.errors import MissingExtra
from mainstay.monitoring.lint.alerts import check_causes, check_firing, check_records, check_waiting, check_words
from mainstay.monitoring.lint.burns import check_burns, check_claims, check_short_target
from mainstay.monitoring.lint.flaw import Flaw
from mainstay.monitoring.lint.histograms import check_boundaries, check_quantiles
from mainstay.monitoring.lint.patterns import check_patterns
from mainstay.monitoring.lint.query import Query, Settings
from mainstay.monitoring.lint.ranges import (
    check_irate,
    check_lengths,
    check_plain_counters,
    check_rates,
    check_retention,
)
from mainstay.monitoring.lint.ratios import check_gaps, check_means, check_nan, check_ratios, spoilt_sums
from mainstay.monitoring.lint.rulefile import RuleFile
from mainstay.monitoring.lint.sets import duplicates, read_too_early
from mainstay.monitoring.lint.templates import check_templates
from mainstay.monitoring.lint.vectors import check_absent, check_counts, check_grouping, check_matching, check_zero

_OF_ONE_RULE: tuple[Callable[[Query], Iterator[Flaw]], ...] = (
    check_ratios, check_means, check_gaps, check_nan, check_matching, check_grouping, check_zero, check_absent,
    check_counts, check_quantiles, check_boundaries, check_rates, check_lengths, check_retention, check_plain_counters,
    check_irate,
    check_patterns, check_burns, check_short_target, check_claims, check_firing, check_waiting, check_words,
    check_records, check_templates)


def judge(files: Sequence[RuleFile], settings: Settings) -> list[Flaw]:
    """Every flaw of the files: of their form, of each rule, and between rules.

    Raises:
        MissingExtra: the parser that checks types is not installed.
    """
    flaws = [flaw for file in files for flaw in file.flaws]
    queries: list[Query] = []
    wrong_type = type_checker()
    for file in files:
        for rule in file.rules:
            if rule.tree is None:
                continue
            query = Query(rule, rule.tree, settings)
            said = wrong_type(rule.expr.text)
            if said is not None:
                flaws.append(query.flaw("promql-type", _where(query, said), said,
                                        "promtool check rules refuses the file for it"))
                continue
            queries.append(query)
    for query in queries:
        for check in _OF_ONE_RULE:
            flaws += check(query)
    flaws += duplicates([rule for file in files for rule in file.rules])
    flaws += read_too_early(queries)
    flaws += spoilt_sums(queries)
    flaws += check_causes(queries)
    return flaws


def type_checker() -> Callable[[str], str | None]:
    """What is wrong with the types of an expression, by promql-parser; None when nothing is.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import promql_parser  # noqa: PLC0415  (a lazy start: only this verb needs the parser)
    except ImportError as error:
        raise MissingExtra("checking PromQL", "monitoring") from error

    def wrong(text: str) -> str | None:
        try:
            promql_parser.parse(text)
        except ValueError as error:
            return str(error)
        return None
    return wrong


_NAMED = re.compile(r"""(?:function|name|operator|for) '?([\w:]+)'?""")


def _where(query: Query, said: str) -> int:
    """Where the thing that the message names stands; the start of the expression when it names none."""
    named = _NAMED.search(said)
    if named is not None:
        found = re.search(rf"\b{re.escape(named[1])}\b", query.rule.expr.text)
        if found is not None:
            return found.start()
    return query.tree.start
