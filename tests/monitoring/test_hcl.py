"""Terraform's own language as the tree of its JSON form, with places."""

from __future__ import annotations

import pytest

from mainstay.monitoring.exchange.hcl import read_hcl


def plain(text: str) -> object:
    documents, findings = read_hcl(text, "main.tf")
    assert findings == [], findings
    return documents[0].root.plain()


def test_blocks_nest_and_repeat() -> None:
    assert plain('resource "a" "b" {\n  x = 1\n  y {\n    z = true\n  }\n  y { z = false }\n}\n') == {
        "resource": {"a": {"b": [{"x": 1, "y": [{"z": True}, {"z": False}]}]}}}


def test_two_resources_of_one_kind_stand_beside_each_other() -> None:
    assert plain('resource "a" "b" {}\nresource "a" "c" {}\nlocals {}\n') == {
        "resource": {"a": {"b": [{}], "c": [{}]}}, "locals": [{}]}


@pytest.mark.parametrize(("written", "value"), [
    (r'"a\"b\\c\né"', 'a"b\\c\né'), ("1.50", 1.5), ("[1, 2,\n 3,]", [1, 2, 3]), ("{a = 1, b : 2\n c = 3}",
                                                                                       {"a": 1, "b": 2, "c": 3}),
    ("null", None), ('"${var.x}"', "${var.x}"), ("var.x", "${var.x}"), ('f("a", 1)', '${f("a", 1)}'),
    ("1 + 2", "${1 + 2}"), ('jsonencode([{a : "b"}])', '[{"a": "b"}]'), ("[for x in y : x]", "${[for x in y : x]}"),
    ('"$${x}"', "$${x}"), ('"a ${f("}")} b"', 'a ${f("}")} b'), ("<<EOT\n  one\n two\nEOT", "  one\n two\n"),
    ("<<-EOT\n    one\n      two\n    EOT", "one\n  two\n"), ("x ? 1 : 2", "${x ? 1 : 2}"),
])
def test_values_are_those_of_the_json_form(written: str, value: object) -> None:
    assert plain(f"v = {written}\nw = 1\n") == {"v": value, "w": 1}


def test_comments_are_no_values() -> None:
    assert plain("# one\n// two\n/* three\n four */ a = 1 # five\n") == {"a": 1}


def test_every_value_has_its_place() -> None:
    documents, _ = read_hcl('a {\n  b = "x"\n}\n', "main.tf")
    root = documents[0].root.value
    assert isinstance(root, dict)
    inner = root["a"].value
    assert isinstance(inner, list)
    body = inner[0].value
    assert isinstance(body, dict)
    assert (body["b"].line, body["b"].column) == (2, 7)
    assert inner[0].keys["b"] == (2, 3)


@pytest.mark.parametrize(("text", "line"), [
    ('a = "x\n', 1), ("a {\n  b = 1\n", 3), ("= 1\n", 1), ("a = <<X\nno end\n", 2), ("a = 1\na = 2", 2),
    ("a = {b 1}", 1), ("a = ;", 1), ("x " * 3 + "{" + "a {" * 100, 1), ("a = \n", 1),
])
def test_what_is_no_terraform_is_one_finding_with_its_line(text: str, line: int) -> None:
    documents, (found,) = read_hcl(text, "main.tf")
    assert documents == []
    assert (found.code, found.where.line) == ("not-hcl", line)
