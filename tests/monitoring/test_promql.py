"""Queries of other tools recognised by form, and whether two expressions are one to Prometheus."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from mainstay.monitoring.exchange.promql import (
    Counted,
    Matcher,
    Selector,
    counted,
    difference,
    go_duration,
    mistake_in,
    number,
    quotient,
    rates_as_counts,
    same_promql,
    selector_of,
    windowed,
)


@pytest.mark.parametrize(("one", "other", "same"), [
    ('sum by (a, b) (rate(x{a="1",b="2"}[5m]))', 'sum(rate(x{b="2", a="1"}[300s])) by (b, a)', True),
    ("vector(1-0.9990000000000001)", "vector(0.001)", True),
    ("a > (14.4 * 0.0009999999999999432)", "a > 0.0144", True),
    ("a > 0.0144", "a > 0.01441", False),
    ("((a) and b) or c", "a and b or c", True),
    ("a and (b or c)", "a and b or c", False),
    ("a > 3", "a > bool 3", False),
    ("a / b", "a / on() b", False),
    ("a / ignoring(x) b", "a / on(x) b", False),
    ("a - b", "b - a", False),
    ('x{a="1"}', 'x{a=~"1"}', False),
    ('{__name__="x"}', "x", True),
    ("x offset 5m", "x", False),
    ("sum_over_time(x[1h:5m])", "sum_over_time(x[1h:1m])", False),
    ("max(x) without (w)", "max without (w) (x)", True),
    ("max(x) without (w)", "max(x)", False),
    ("rate(x[$window])", "rate(x[{{.window}}])", True),
])
def test_expressions_are_compared_by_their_trees(one, other, same):
    assert same_promql(one, other) is same
    assert same_promql(other, one) is same


@pytest.mark.parametrize(("text", "found"), [
    ('sum(rate(x{a="b"}[{{.window}}]))', Counted('x{a="b"}', (), "rate")),
    ('sum(\n  rate(x{a="b", c=~"(5..|429)"}[{{ .window }}])\n)\n', Counted('x{a="b", c=~"(5..|429)"}', (), "rate")),
    ("(sum by (c, d) (increase(x[$window])))", Counted("x", ("c", "d"), "increase")),
    ("sum(rate(x[${window}])) by (c)", Counted("x", ("c",), "rate")),
    ("sum(rate(x[5m]))", None),
    ("sum(rate(x[$window])) + 1", None),
    ("sum(irate(x[$window]))", None),
    ("avg(rate(x[$window]))", None),
])
def test_a_sum_of_rates_is_a_counter(text, found):
    assert counted(windowed(text)) == found


def test_a_difference_and_a_quotient_are_parted_outside_of_brackets_and_strings():
    assert difference('(sum(a{x="-"}) - sum(b - c))') == ('sum(a{x="-"})', "sum(b - c)")
    assert difference("a - b - c") is None
    assert difference("-a") is None
    assert quotient("sum(a / b) / sum(c)") == ("sum(a / b)", "sum(c)")
    assert quotient("a / b + 1") is None
    assert quotient("a # x / y\n/ b") == ("a # x / y", "b")


@pytest.mark.parametrize(("text", "counts"), [
    ("sum(rate(a[$window])) - sum(rate(b[$window])) or vector(0)",
     "sum(increase(a[$window])) - sum(increase(b[$window])) or vector(0)"),
    ("sum(rate(a[$window])) > 0", None),
    ("sum(rate(a[$window])) + vector(1)", None),
    ("sum(rate(a[$window])) / sum(rate(b[$window]))", None),
    ("sum(sum_over_time(a[$window]))", None),
])
def test_rates_become_counts_only_where_the_factor_goes_through(text, counts):
    assert rates_as_counts(text) == counts
    if counts is not None:
        assert rates_as_counts(counts, back=True) == text


@pytest.mark.parametrize("text", ['x{a="b",c=~"d|e",f!="",g!~"h\\\\.i"}', "x", 'x:y{a="quote \\" and \\\\ back"}'])
def test_a_selector_is_its_own_text(text):
    found = selector_of(text)
    assert found is not None
    assert str(found) == text


def test_a_selector_in_single_quotes_is_the_same():
    assert selector_of("x{a='b', }") == Selector("x", (Matcher("a", "=", "b"),))
    assert selector_of("sum(x)") is None
    assert selector_of("x{a}") is None


@pytest.mark.parametrize(("length", "text"), [
    # Prometheus' model.Duration: years and weeks where they go in whole, else days, hours, minutes.
    (timedelta(days=28), "4w"), (timedelta(days=30), "30d"), (timedelta(days=7), "1w"), (timedelta(hours=36), "1d12h"),
    (timedelta(minutes=90), "1h30m"), (timedelta(days=365), "1y"), (timedelta(milliseconds=1500), "1s500ms"),
    (timedelta(0), "0s")])
def test_durations_are_written_as_prometheus_writes_them(length, text):
    assert go_duration(length) == text


def test_numbers_are_exact_or_as_long_as_a_float():
    assert number(Decimal("14.40")) == "14.4"
    assert number(Decimal(1) / 3) == "0.3333333333333333"


def test_a_mistake_is_said_in_the_parsers_words():
    assert mistake_in("sum(rate(x[{{.window}}]))") == ""
    assert mistake_in("sum(rat(x[5m]))") == "unknown function with name 'rat'"
    assert "is a template that is not known" in mistake_in("sum(rate(x[{{.windw}}]))")
    assert mistake_in("  ") == "the query is empty"
