"""From what a file says to what is counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogs import codes, the
from mainstay.kernel.condition import condition, parse_where
from mainstay.kernel.counting import counter_query, histogram_queries, split_ratio
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.objective import Indicator
from mainstay.kernel.ports import Condition, EventQuery, PromQuery
from mainstay.slo.queries import negated


@pytest.mark.parametrize(("written", "operator", "value"), [
    (">=500", ">=", 500.0), ("<= 0.5", "<=", 0.5), ("> -3", ">", -3.0), ("<.5", "<", 0.5), ("!=429", "!=", 429.0),
    ("GET", "==", "GET"), ("=GET", "==", "GET"), ("== GET", "==", "GET"), ("200", "==", 200.0), ("!= a b", "!=", "a b"),
    ("=~^/api", "=~", "^/api"), ("!~ ^/x$", "!~", "^/x$"), ("1.2.3", "==", "1.2.3"), ("1e3", "==", "1e3"),
])
def test_a_condition_is_an_operator_and_a_value(written: str, operator: str, value: object) -> None:
    assert condition("f", written) == Condition("f", operator, (value,))  # type: ignore[arg-type]


@pytest.mark.parametrize("written", ["", " ", ">=", "!=", "=~", ">abc", "<=5x", "=~(", "!~[", "=~*a"])
def test_a_broken_condition_is_refused_with_a_way_out(written: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        condition("f", written)
    assert caught.value.way_out


@pytest.mark.parametrize(("written", "one"), [
    ("status>=500", Condition("status", ">=", (500.0,))), ("ParentID=root", Condition("ParentID", "==", ("root",))),
    ("path =~ ^/a=b", Condition("path", "=~", ("^/a=b",))), ("a.b-c/d == x", Condition("a.b-c/d", "==", ("x",))),
])
def test_the_command_line_s_condition_names_its_field(written: str, one: Condition) -> None:
    assert parse_where(written) == one


@pytest.mark.parametrize("written", ["", "status", ">=500", "status>=", "1x=2", "'; drop table x; --=1"])
def test_a_condition_without_field_operator_or_value_is_refused(written: str) -> None:
    with pytest.raises(InvalidInput):
        parse_where(written)


@given(st.sampled_from(["==", "!=", "<", ">=", ">", "<=", "=~", "!~", "in", "not in", "present", "absent"]))
def test_what_is_negated_twice_is_itself(operator: str) -> None:
    one = Condition("f", operator, ("x",))
    assert negated(negated(one)) == one
    assert negated(one) != one


def indicator(spec: str) -> str:
    return f"apiVersion: mainstay/v1\nkind: Indicator\nmetadata: {{name: x}}\nspec: {{type: availability, {spec}}}\n"


@pytest.mark.parametrize(("written", "one"), [
    ("{m: [GET, 5, true]}", Condition("m", "in", ("GET", 5.0, "true"))), ("{m: 500}", Condition("m", "==", (500.0,))),
    ("{m: true}", Condition("m", "==", ("true",))), ("{m: '>=500'}", Condition("m", ">=", (500.0,))),
    ("{m: \"'; DROP TABLE x; --\"}", Condition("m", "==", ("'; DROP TABLE x; --",))),
])
def test_conditions_of_a_file_are_lists_numbers_or_texts(written: str, one: Condition) -> None:
    assert the(Indicator, indicator(f"where: {written}")).total == EventQuery((one,))


@pytest.mark.parametrize(("written", "code"), [
    ("where: {m: [[a]]}", "invalid-value"), ("where: {m: []}", "invalid-value"), ("where: {m: ~}", "wrong-type"),
    ("where: {m: {a: b}}", "wrong-type"), ("where: {m: '>x'}", "invalid-value"), ("where: 5", "wrong-type"),
    ("exclude: [{a: 1, b: 2}]", "invalid-value"), ("exclude: [{}]", "invalid-value"), ("exclude: [5]", "wrong-type"),
])
def test_a_wrong_condition_is_one_finding(written: str, code: str) -> None:
    assert codes(indicator(written)) == [code]


def test_what_is_excluded_counts_neither_as_good_nor_as_bad() -> None:
    one = the(Indicator, indicator("exclude: [{status: 429}, {agent: '=~^probe'}]"))
    left = (Condition("status", "!=", (429.0,)), Condition("agent", "!~", ("^probe",)))
    assert one.total == EventQuery(left)
    assert one.bad == EventQuery((*left, Condition("status", ">=", (500.0,))))


@pytest.mark.parametrize(("text", "query"), [
    ("http_total", PromQuery("http_total", True)),
    (" sum ( http_total{a=\"b\"} ) ", PromQuery('http_total{a="b"}', True)),
    ('x{a="}"}', PromQuery('x{a="}"}', True)), ("x{a='\\'}'}", PromQuery("x{a='\\'}'}", True)),
    ("increase(http_total[5m])", PromQuery("increase(http_total[5m])")), ("a + b", PromQuery("a + b")),
    ('x{a="b"} or y', PromQuery('x{a="b"} or y')),
])
def test_a_counter_s_selector_is_told_from_an_expression(text: str, query: PromQuery) -> None:
    assert counter_query(text, counter=True) == query


def test_a_ratio_of_rates_is_counted_apart() -> None:
    # The query of the exercises that Mainstay started from, in its own words.
    assert split_ratio("sum(rate(http_total{code!~'5..'}[5m])) / sum(rate(http_total[5m])) * 100") == (
        PromQuery("http_total{code!~'5..'}", True), PromQuery("http_total", True))


@pytest.mark.parametrize("text", ["a / b", "rate(a[5m]) / rate(b[5m])", "sum by (x) (rate(a[5m])) / sum(rate(b[5m]))",
                                  "1 - sum(rate(a[5m])) / sum(rate(b[5m]))", "sum(rate(a[5m]))", ""])
def test_a_ratio_of_another_shape_is_not_split(text: str) -> None:
    assert split_ratio(text) is None


@pytest.mark.parametrize(("seconds", "matcher"), [
    # Prometheus 3 writes le="1.0" where 2.x wrote le="1" (its migration guide).
    (0.3, 'le="0.3"'), (1.0, 'le=~"1(\\\\.0)?"'), (10.0, 'le=~"10(\\\\.0)?"'), (0.005, 'le="0.005"'), (2.5, 'le="2.5"'),
    (1.234567, 'le="1.234567"'),
])
def test_a_threshold_is_a_bucket_s_bound_in_both_spellings(seconds: float, matcher: str) -> None:
    good, total = histogram_queries("http_seconds", seconds)
    assert good.text == f"http_seconds_bucket{{{matcher}}}"
    assert total.text == "http_seconds_count"


@pytest.mark.parametrize("selector", ['h{a="b"}', 'h_bucket{a="b"}', 'h_count{a="b",}', ' h { a="b" } '])
def test_a_histogram_may_be_named_by_any_of_its_series(selector: str) -> None:
    good, total = histogram_queries(selector, 0.3)
    assert good.text == 'h_bucket{a="b",le="0.3"}'
    assert total.text == 'h_count{a="b"}'


@pytest.mark.parametrize("selector", ["", "a b", "sum(h)", 'h{a="b"} or x', 'h{a="b"}}', "h[5m]", 'h{a="b}', '1h'])
def test_what_is_no_histogram_is_refused(selector: str) -> None:
    with pytest.raises(InvalidInput):
        histogram_queries(selector, 1)


@pytest.mark.parametrize("value", ['a}"} or vector(1) #', "'", "\\", '"', "}", "{", "[5m]", "\n"])
def test_a_hostile_label_value_stays_inside_its_quotes(value: str) -> None:
    quoted = '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    good, total = histogram_queries(f"h{{a={quoted}}}", 0.3)
    assert good.text == f'h_bucket{{a={quoted},le="0.3"}}'
    assert total.text == f"h_count{{a={quoted}}}"
