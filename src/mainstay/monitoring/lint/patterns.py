"""Regular expressions in matchers: those that are plain text, anchored twice, or match all or nothing.

Source: Prometheus documentation, "Querying basics": patterns are RE2 and always anchored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mainstay.monitoring.lint.flaw import Edit, Flaw
from mainstay.monitoring.lint.query import Query
from mainstay.monitoring.lint.tree import Matcher

_META = re.compile(r"[\\.^$|?*+()\[\]{}]")


def check_patterns(query: Query) -> Iterator[Flaw]:
    """Patterns that say less than they seem to."""
    for selector in query.selectors:
        for one in selector.matchers:
            if one.op in ("=~", "!~"):
                yield from _pattern(query, one)
        yield from _contradiction(query, selector.matchers)


def _pattern(query: Query, one: Matcher) -> Iterator[Flaw]:
    value = one.value
    if value == ".*":
        if one.op == "!~":
            yield query.flaw("matches-nothing", one.start, f'{one.label}!~".*" matches no series', "remove the matcher")
        else:
            yield query.flaw("matches-all", one.start, f'{one.label}=~".*" matches every series, also those without '
                             f"{one.label}", f'remove it, or write {one.label}!="" for those that have it')
    elif not _META.search(value):
        op = "=" if one.op == "=~" else "!="
        yield query.flaw("plain-regex", one.start, f'"{value}" is no pattern: {one.op} does the work of {op}',
                         f'write {one.label}{op}"{value}"', _operator(query, one, op))
    elif value[0] == "^" or (value[-1] == "$" and value[-2:] != "\\$"):
        inner = value.removeprefix("^")
        inner = inner[:-1] if inner[-1:] == "$" and inner[-2:] != "\\$" else inner
        written = query.rule.expr.text[one.start:one.end]
        at = written.find(value)
        edits = () if "|" in inner or at < 0 else (
            query.edit(one.start + at, one.start + at + len(value), inner),)
        yield query.flaw("anchored-twice", one.start, f'"{value}" needs no ^ and $: patterns match the whole value',
                         f'write "{inner}"', *edits)


def _operator(query: Query, one: Matcher, op: str) -> Edit:
    written = query.rule.expr.text[one.start:one.end]
    at = one.start + written.index(one.op)
    return query.edit(at, at + 2, op)


def _contradiction(query: Query, matchers: tuple[Matcher, ...]) -> Iterator[Flaw]:
    equal: dict[str, str] = {}
    for one in matchers:
        if one.op == "=" and equal.setdefault(one.label, one.value) != one.value:
            yield query.flaw("matches-nothing", one.start, f'{one.label} cannot be "{equal[one.label]}" and '
                             f'"{one.value}"',
                             f'write {one.label}=~"{equal[one.label]}|{one.value}"')
