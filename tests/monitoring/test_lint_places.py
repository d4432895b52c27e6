"""A finding points at the letter in the file, and an edit changes that letter, however YAML wraps the text."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mainstay.kernel.document import Node, read_documents
from mainstay.monitoring.lint.written import Source, Written

WRAPPED = {
    "plain": "expr: sum(x) > 5",
    "single": "expr: 'sum(x) > 5'",
    "double": 'expr: "sum(x) > 5"',
    "literal": "expr: |\n  sum(x) > 5\n",
    "literal, stripped": "expr: |-\n\n  sum(x) > 5\n",
    "literal, own indent": "expr: |4-\n      sum(x) > 5\n",
    "folded": "expr: >\n  sum(x)\n  > 5\n",
    "folded plain": "expr: sum(x)\n  > 5",
    "folded double": 'expr: "sum(x)\n  > 5"',
    "windows lines": "expr: |\r\n  sum(x) > 5\r\n",
}


def _written(text: str) -> Written:
    (document,), wrong = read_documents(text, "x.yaml")
    assert wrong == []
    assert isinstance(document.root.value, dict)
    node: Node = document.root.value["expr"]
    assert isinstance(node.value, str)
    return Written(Source("x.yaml", text), node, node.value)


@pytest.mark.parametrize("text", WRAPPED.values(), ids=WRAPPED)
def test_the_place_of_a_letter_is_where_it_stands_in_the_file(text):
    written = _written(text)
    at = written.text.index("5")
    line, column = written.place(at)
    assert text.splitlines()[line - 1][column - 1] == "5"


@pytest.mark.parametrize("text", WRAPPED.values(), ids=WRAPPED)
def test_an_edit_changes_what_yaml_reads_and_nothing_else(text):
    written = _written(text)
    at = written.text.index("5")
    start, end, new = written.edit(at, at + 1, "50")
    changed = text[:start] + new + text[end:]
    assert yaml.safe_load(changed)["expr"].strip() == written.text.strip().replace("5", "50")
    assert len(changed) == len(text) + 1


@pytest.mark.parametrize(("text", "find", "put"), [
    ("expr: 'it''s 5'", "5", "'"), ('expr: "a\\"b\\\\c 5"', "5", '"\\'), ('expr: "\\u00e9 5"', "5", "6"),
    ("expr: |\n  a\n\n  b 5\n", "5", "7"), ("expr: >\n  a\n\n  b\n  5\n", "5", "7")])
def test_quotes_and_escapes_around_an_edit_are_kept(text, find, put):
    written = _written(text)
    at = written.text.index(find)
    start, end, new = written.edit(at, at + 1, put)
    assert yaml.safe_load(text[:start] + new + text[end:])["expr"] == written.text.replace(find, put)


@given(st.text(alphabet="ab'\"\\ \n{}:#é5", max_size=30))
def test_a_text_dumped_by_yaml_is_found_letter_by_letter_or_not_at_all(value):
    for style in (None, "'", '"', "|", ">"):
        text = yaml.dump({"expr": value}, default_style=style, allow_unicode=True)
        documents, wrong = read_documents(text, "x.yaml")
        if wrong or not isinstance(documents[0].root.value, dict):
            continue
        node = next(iter(documents[0].root.value.values()))
        if node.value != value:
            continue
        written = Written(Source("x.yaml", text), node, value)
        if not written.mendable:
            continue
        for at, letter in enumerate(value):
            line, column = written.place(at)
            shown = text.splitlines()[line - 1][column - 1:column]
            assert shown in (letter, "\\", "") or letter in " \n", (text, at)
