"""Tolerances: the Chaos Toolkit's rules to the letter, and the comparators of Litmus."""

from __future__ import annotations

from typing import Any

import pytest

from mainstay.chaos.hypothesis import said, tolerance_of, within
from mainstay.chaos.jsonpath import compiled
from mainstay.kernel.errors import InvalidInput

ANSWER = {"status": 200, "headers": {"x": "y"}, "body": {"items": [{"id": 1, "ok": True}, {"id": 2, "ok": False}]}}
PROCESS = {"status": 0, "stdout": "ready: 3\n", "stderr": ""}


@pytest.mark.parametrize(("raw", "value", "tolerated"), [
    (200, ANSWER, True), (201, ANSWER, False), (0, PROCESS, True), (5, 5, True), (5, 6, False), (5, "5", False),
    (True, True, True), (True, False, False), (True, ANSWER, False), (False, 0, True),
    ("up", "up", True), ("up", "down", False), ("up", ANSWER, False),
    ([200, 404], ANSWER, True), ([201, 404], ANSWER, False), ([1, 10], 5, True), ([1, 10], 11, False),
    ([1, 10], 1, True), ([1, 10], 10, True), ([1, 10], "x", False), ([1, 5, 10], 5, True), ([1, 5, 10], 6, False),
    (["a", "b"], "a", True), ([200], ANSWER, True),
    ({"type": "regex", "pattern": "ready: [0-9]"}, "ready: 3", True),
    ({"type": "regex", "pattern": "ready", "target": "stdout"}, PROCESS, True),
    ({"type": "regex", "pattern": "^gone", "target": "stdout"}, PROCESS, False),
    ({"type": "regex", "pattern": "200"}, 200, False),
    ({"type": "range", "range": [1, 3]}, 2, True), ({"type": "range", "range": [1, 3]}, "2.5", True),
    ({"type": "range", "range": [1, 3]}, "much", False),
    ({"type": "range", "range": [200, 299], "target": "status"}, ANSWER, True),
    ({"type": "jsonpath", "path": "$.body.items[*].id", "count": 2}, ANSWER, True),
    ({"type": "jsonpath", "path": "$.items[*].id", "target": "body", "expect": [1, 2]}, ANSWER, True),
    ({"type": "jsonpath", "path": "$.items[0].id", "target": "body", "expect": 1}, ANSWER, True),
    ({"type": "jsonpath", "path": "$.items[?(@.ok==true)].id", "target": "body", "expect": [1]}, ANSWER, True),
    ({"type": "jsonpath", "path": "$.nothing"}, ANSWER, False),
    ({"type": "jsonpath", "path": "$.a", "expect": ["b"]}, '{"a": "b"}', True),
    ({"type": "jsonpath", "path": "$.a"}, "no json", False),
    ({"type": "int", "criteria": ">=", "value": "3"}, 3, True),
    ({"type": "int", "criteria": "<", "value": 3}, 3, False),
    ({"type": "int", "criteria": "oneOf", "value": "[1,2,3]"}, "2", True),
    ({"type": "float", "criteria": "between", "value": "0.5,1.5"}, "1.0", True),
    ({"type": "float", "criteria": "!=", "value": 1}, "x", False),
    ({"type": "string", "criteria": "contains", "value": "read", "target": "stdout"}, PROCESS, True),
    ({"type": "string", "criteria": "notMatches", "value": "^bad"}, "good", True),
    ({"type": "string", "criteria": "notEqual", "value": "good"}, "good", False),
])
def test_what_is_tolerated(raw: Any, value: Any, tolerated: bool):
    tolerance = tolerance_of(raw)
    assert within(tolerance, value) is tolerated
    assert said(tolerance)


@pytest.mark.parametrize(("raw", "why"), [
    (None, "not a tolerance"), ([], "not a tolerance"), ({"type": "regxe"}, 'did you mean "regex"'),
    ({"type": "regex"}, "needs a pattern"), ({"type": "regex", "pattern": "("}, "not a regular expression"),
    ({"type": "jsonpath", "path": ""}, "needs a path"), ({"type": "jsonpath", "path": "$.["}, "not a JSON path"),
    ({"type": "jsonpath", "path": "$.a", "count": "two"}, "count is two"),
    ({"type": "range", "range": [1]}, "range of two numbers"), ({"type": "range", "range": ["a", "b"]}, "two numbers"),
    ({"type": "int", "criteria": "about", "value": 3}, "cannot be compared"),
    ({"type": "int", "criteria": "<", "value": "x"}, "is no number"),
    ({"type": "float", "criteria": "between", "value": "1"}, "nothing to compare"),
    ({"type": "string", "criteria": "matches", "value": "("}, "not a regular expression"),
])
def test_what_is_no_tolerance_is_refused_with_a_reason(raw: Any, why: str):
    with pytest.raises(InvalidInput, match=why):
        tolerance_of(raw)


DOCUMENT = {"store": {"book": [{"title": "a", "price": 8}, {"title": "b", "price": 22}, {"title": "c"}], "x-y": 1}}


@pytest.mark.parametrize(("path", "found"), [
    ("$", [DOCUMENT]), ("$.store.book[0].title", ["a"]), ("$.store.book[-1].title", ["c"]),
    ("$.store.book[*].title", ["a", "b", "c"]), ("$..title", ["a", "b", "c"]), ("$['store']['x-y']", [1]),
    ("$.store.book[0,2].title", ["a", "c"]), ("$.store.book[0:2].title", ["a", "b"]), ("$.store.*.title", []),
    ("$.store.book[?(@.price<10)].title", ["a"]), ("$.store.book[?(@.price)].title", ["a", "b"]),
    ("$.store.book[?(@.title=='b')].price", [22]), ("$.store.book[?@.title==\"b\"].price", [22]),
    ("$.store.book[?(@.price>\"a\")].title", []), ("$.store.book[9].title", []), ("$.nothing.at.all", []),
    ("$.store[?(@[1].price>20)][1].title", ["b"]), ("$.store.book[?(@['title']=='b]')].price", []),
    ("$..book[1].title", ["b"]), ("$.store.x-y", [1]),
])
def test_json_paths_find_what_they_name(path: str, found: list[Any]):
    assert compiled(path)(DOCUMENT) == found


# What jsonpath2 0.4.5 finds, with which the Chaos Toolkit reads paths, in the form in which it reads them.
@pytest.mark.parametrize(("path", "found"), [
    ("$.store.book[*][?(@.price<10)].title", ["a"]), ("$.store.book[*][?(@.title=\"b\")].price", [22]),
    ("$.store.book[*][?(@.price)].title", ["a", "b"]), ("$.store.book[*].price[?(@>10)]", [22]),
    ("$.store.book[*][?(@[\"title\"]=\"a\")].price", [8]), ("$.store[?(@[\"x-y\"]=1)].book[2].title", ["c"]),
    ("$.store.book[*][?(@.price>5 and @.price<10)].title", ["a"]),
    ("$.store.book[*][?(@.title=\"a\" or @.title=\"c\")].title", ["a", "c"]),
    ("$.store.book[*][?(not @.price)].title", ["c"]),
    ("$.store.book[*][?(not (@.price>5 and @.price<10))].title", ["b", "c"])])
def test_filters_in_the_chaos_toolkits_way_ask_what_they_stand_behind(path: str, found: list[Any]):
    assert compiled(path)(DOCUMENT) == found


def test_a_filter_behind_two_points_finds_each_value_once():
    assert [one["title"] for one in compiled("$..[?(@.price)]")(DOCUMENT)] == ["a", "b"]


@pytest.mark.parametrize(("condition", "titles"), [
    ("@.price>5 && @.price<10", ["a"]), ("@.price<10||@.title=='c'", ["a", "c"]), ("!@.price", ["c"]),
    ("@.title!='a' && !(@.price)", ["c"]), ("@.title=='a or b' or @.title=='c'", ["c"])])
def test_conditions_of_a_filter_are_joined(condition: str, titles: list[str]):
    assert compiled(f"$.store.book[?({condition})].title")(DOCUMENT) == titles


@pytest.mark.parametrize("path", ["store", "$.", "$[", "$.a[?(@.b=)]", "$.a b", "$.a[::0]", "$.a[?(@.b==nope)]"])
def test_what_is_no_json_path_is_refused(path: str):
    with pytest.raises(InvalidInput):
        compiled(path)
