"""PromQL read with places: the same language as Prometheus's own, and every part where it stands."""

from __future__ import annotations

import gzip
import re
import tarfile

import promql_parser
import pytest
import yaml

from mainstay.monitoring.lint.promql import NotPromql, parse
from mainstay.monitoring.lint.tree import (
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
    every,
)
from shared_data import shared


def _same(ours: Expr, theirs: object) -> bool:
    """Whether both trees are one; promql-parser's has no places, and its own names."""
    kind = type(theirs).__name__
    match ours:
        case Number():
            return kind == "NumberLiteral" and (theirs.val == ours.value or ours.value != ours.value)
        case String():
            return kind == "StringLiteral"
        case Selector():
            return kind == "VectorSelector" and (theirs.name or "") in (ours.name, "")
        case Ranged():
            return kind == "MatrixSelector" and theirs.range.total_seconds() == pytest.approx(ours.seconds)
        case Subquery():
            return kind == "SubqueryExpr" and _same(ours.inner, theirs.expr)
        case Paren():
            return kind == "ParenExpr" and _same(ours.inner, theirs.expr)
        case Unary():
            # promql-parser drops a plus sign.
            if ours.op == "+":
                return _same(ours.inner, theirs)
            return kind == "UnaryExpr" and _same(ours.inner, theirs.expr)
        case Call():
            return kind == "Call" and theirs.func.name == ours.name and len(theirs.args) == len(ours.arguments) \
                and all(_same(a, b) for a, b in zip(ours.arguments, theirs.args, strict=True))
        case Aggregate():
            labels = tuple(theirs.modifier.labels) if theirs.modifier else ()
            return kind == "AggregateExpr" and str(theirs.op) == ours.name and set(labels) == set(ours.labels) \
                and _same(ours.inner, theirs.expr)
        case Binary():
            return kind == "BinaryExpr" and str(theirs.op) == ours.op and _same(ours.left, theirs.lhs) \
                and _same(ours.right, theirs.rhs)


def _both(expressions: list[str]) -> tuple[int, list[str]]:
    read, unequal = 0, []
    for text in expressions:
        try:
            theirs = promql_parser.parse(text)
        except ValueError:
            continue
        read += 1
        try:
            if not _same(parse(text), theirs):
                unequal.append(text)
        except NotPromql as error:
            unequal.append(f"{text}: {error.message}")
    return read, unequal


def test_every_public_rule_is_read_as_promql_parser_reads_it():
    expressions = []
    with tarfile.open(shared("alerts_k8s_grafana/kube_prometheus_prometheusrules.tar.gz")) as archive:
        for member in archive:
            if (file := archive.extractfile(member)) is not None:
                groups = yaml.safe_load(file)["spec"]["groups"]
                expressions += [str(rule["expr"]) for group in groups for rule in group["rules"]]
    with gzip.open(shared("alerts_k8s_grafana/awesome_prometheus_alerts_rules.yml.gz")) as file:
        for group in yaml.safe_load(file)["groups"]:
            expressions += [str(rule["query"]) for service in group["services"] for exporter in service["exporters"]
                            for rule in exporter.get("rules") or ()]
    read, unequal = _both(expressions)
    assert read > 1380
    assert unequal == []


def test_prometheus_own_conformance_scripts_are_read_as_promql_parser_reads_them():
    # Origin: prometheus/prometheus promql/promqltest/testdata.
    line = re.compile(r"eval(?:_\w+)? (?:instant at \S+|range from \S+ to \S+ step \S+) (.*)")
    expressions = []
    with tarfile.open(shared("prometheus/promqltest_testdata.tar.gz")) as archive:
        for member in archive:
            if (file := archive.extractfile(member)) is not None:
                found = (line.match(one) for one in file.read().decode().splitlines())
                expressions += [one[1] for one in found if one]
    read, unequal = _both(expressions)
    assert read > 1900
    assert unequal == []


@pytest.mark.parametrize(("text", "column", "says"), [
    ("sum(rate(x[5m])", 15, '")" is missing'),
    ("a +", 3, "ends here"),
    ('up{job="a}', 7, "a quote is not closed"),
    ("rate(x[$w])", 6, '"[$w]" is not a range'),
    ("up{job=api}", 7, "needs quotes"),
    ("sum(x) y", 7, "an operator is missing"),
    ("(a + b)[5m]", 7, "only a selector takes a range"),
    ('up{job=~"a\\.b"}', 10, "is no escape"),
    ("topk(x)", 0, "a parameter and a vector"),
    ("", 0, "empty"),
    ("(" * 5000, 200, "nests without end"),
])
def test_what_is_no_promql_is_refused_at_its_place(text, column, says):
    with pytest.raises(NotPromql) as refused:
        parse(text)
    assert says in refused.value.message
    assert refused.value.start == pytest.approx(column, abs=1)


def test_every_part_knows_where_it_stands():
    text = 'sum by (job) (rate(x{a="b"}[5m] offset 1h)) / on (job) group_left y > bool 0.5'
    parts = {type(one).__name__: text[one.start:one.end] for one in every(parse(text))}
    assert parts["Aggregate"] == 'sum by (job) (rate(x{a="b"}[5m] offset 1h))'
    assert parts["Ranged"] == 'x{a="b"}[5m] offset 1h'
    assert parts["Number"] == "0.5"
    matcher = next(one for one in every(parse(text)) if isinstance(one, Selector)).matchers[0]
    assert text[matcher.start:matcher.end] == 'a="b"'
