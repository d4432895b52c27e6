"""YAML as written: YAML 1.2's scalars, places, and texts that are made to hurt."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from command import PATIENCE
from mainstay.kernel.document import Node, read_documents, resolve


def value_of(text: str) -> object:
    (document,), findings = read_documents(text, "a.yaml")
    assert not findings
    return document.root.plain()


@pytest.mark.parametrize(("written", "meant"), [
    # YAML 1.2.2, 10.3.2 "Tag Resolution"; the first column is where YAML 1.1 says something else.
    ("on", "on"), ("no", "no"), ("yes", "yes"), ("off", "off"), ("012", 12), ("0o17", 15), ("0x1f", 31),
    ("1e3", 1000.0), (".5", 0.5), ("1.", 1.0), ("-7", -7), ("+7", 7), ("~", None), ("null", None), ("", None),
    ("NULL", None), ("true", True), ("True", True), ("FALSE", False), ("tRUE", "tRUE"), ("1_000", "1_000"),
    ("12:30:45", "12:30:45"), ("2026-03-02", "2026-03-02"), ("0b11", "0b11"), ("99.9%", "99.9%"),
])
def test_a_plain_scalar_means_what_yaml_1_2_says(written: str, meant: object) -> None:
    assert value_of(f"key: {written}\n") == {"key": meant}


@pytest.mark.parametrize("word", [".inf", "-.inf", ".nan", "1e999", "-1e999", "9" * 5000, "0x" + "f" * 5000])
def test_a_number_no_field_can_take_stays_a_word(word: str) -> None:
    assert resolve(word) == word


@pytest.mark.parametrize("quoted", ['"on"', "'012'", '"null"', "'1e3'", '""'])
def test_what_is_quoted_stays_text(quoted: str) -> None:
    assert value_of(f"key: {quoted}\n") == {"key": quoted[1:-1]}


@given(st.integers(-10**200, 10**200))
def test_every_whole_number_reads_back(number: int) -> None:
    assert resolve(str(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_number_reads_back(number: float) -> None:
    assert resolve(repr(number)) == number


def test_a_number_keeps_the_text_it_was_written_as() -> None:
    (document,), _ = read_documents("version: 1.10\n", "a.yaml")
    assert isinstance(document.root.value, dict)
    assert document.root.value["version"].written == "1.10"


def test_a_key_that_stands_twice_is_found_at_the_second_place() -> None:
    (document,), (finding,) = read_documents("a: 1\nb: 2\na: 3\n", "a.yaml")
    assert (finding.code, finding.where.line, finding.where.column) == ("duplicate-key", 3, 1)
    assert document.root.plain() == {"a": 1, "b": 2}


def test_an_anchor_means_what_it_names() -> None:
    assert value_of("a: &x {k: [1]}\nb: *x\n") == {"a": {"k": [1]}, "b": {"k": [1]}}


def test_an_anchor_that_holds_itself_is_refused() -> None:
    _, (finding,) = read_documents("a: &x [*x]\n", "a.yaml")
    assert finding.code == "too-deep"


def test_a_billion_laughs_are_refused_quickly() -> None:
    rows = ["a0: &a0 [" + ",".join("x" * 10) + "]"]
    rows += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    before = time.thread_time()  # what others do meanwhile takes none of it
    _, (finding,) = read_documents("\n".join(rows), "a.yaml")
    assert finding.code == "too-deep"
    assert time.thread_time() - before < 2


@pytest.mark.parametrize("text", ['"[" * 300_000', '"- " * 300_000', '"{a: " * 300_000', '"? " * 300_000'])
def test_deep_nesting_does_not_take_the_process_with_it(text: str) -> None:
    # In a process of its own: where this breaks, it breaks as a segmentation fault.
    code = f"from mainstay.kernel.document import read_documents as r; print(r({text}, 'a')[1][0].code)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0
    assert done.stdout.strip() in ("too-deep", "not-yaml")


def test_more_levels_than_a_person_writes_are_refused_at_the_level() -> None:
    _, (finding,) = read_documents("[" * 100 + "]" * 100, "a.yaml")
    assert (finding.code, finding.where.column) == ("too-deep", 62)


def test_broken_yaml_says_where() -> None:
    _, (finding,) = read_documents("a: 1\nb: [1, 2\nc: 3\n", "a.yaml")
    assert (finding.code, finding.where.line) == ("not-yaml", 3)


def test_the_documents_before_a_broken_one_are_kept() -> None:
    documents, findings = read_documents("a: 1\n---\nb: {\n", "a.yaml")
    assert [one.root.plain() for one in documents] == [{"a": 1}]
    assert [one.code for one in findings] == ["not-yaml"]


def test_several_documents_are_read_each_with_its_lines() -> None:
    documents, _ = read_documents("a: 1\n---\n---\nb: 2\n", "a.yaml")
    assert [(one.root.line, one.root.plain()) for one in documents][-1] == (4, {"b": 2})


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing but words\n"])
def test_an_empty_text_holds_no_document(text: str) -> None:
    assert read_documents(text, "a.yaml") == ([], [])


def test_json_is_yaml_even_with_tabs() -> None:
    assert value_of('{\n\t"a": [1, 2.5, true, null],\n\t"b": "x\\/y\\u00e9"\n}\n') == {
        "a": [1, 2.5, True, None], "b": "x/yé"}


_TEXTS = st.text(st.characters(exclude_characters="\x7f", exclude_categories=["Cs"]))  # DEL is no text, which is said


@given(st.recursive(_TEXTS, lambda inner: st.lists(inner) | st.dictionaries(_TEXTS, inner)))
def test_what_a_program_writes_as_json_is_read_as_it_was(value: object) -> None:
    assert value_of(json.dumps([value])) == [value]


def test_signs_beyond_the_first_plane_may_stand_in_halves_as_json_writes_them() -> None:
    assert value_of('{"title": "\\ud83d\\udd25 \\\\ud83d"}') == {"title": "🔥 \\ud83d"}


def test_carriage_returns_are_line_ends() -> None:
    (document,), _ = read_documents("a: 1\r\nb: 2\r\n", "a.yaml")
    assert document.root.keys["b"] == (2, 1)
    assert document.lines == ("a: 1", "b: 2")


def test_a_tab_as_indentation_is_not_yaml() -> None:
    _, (finding,) = read_documents("a:\n\tb: 1\n", "a.yaml")
    assert (finding.code, finding.where.line) == ("not-yaml", 2)


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert value_of("\ufeffa: 1\n") == {"a": 1}


@pytest.mark.parametrize("character", ["\x00", "\x01", "\x1b", "\x7f", "\x0b", "\ufeff", "\uffff"])
def test_a_control_character_is_found_where_it_stands(character: str) -> None:
    # After letters of two bytes: a place counted in bytes would be off.
    documents, (finding,) = read_documents(f"é: éé\nb: éé{character}\n", "a.yaml")
    assert not documents
    assert (finding.code, finding.where.line, finding.where.column) == ("not-text", 2, 6)
    assert not finding.source  # it may steer the terminal


def test_a_key_that_is_no_word_is_found() -> None:
    _, findings = read_documents("? [a, b]\n: 1\n", "a.yaml")
    assert [one.code for one in findings] == ["key-not-text"]


def _places(node: yaml.Node) -> list[tuple[int, int]]:
    here = [(node.start_mark.line + 1, node.start_mark.column + 1)]
    if isinstance(node, yaml.SequenceNode):
        return here + [place for item in node.value for place in _places(item)]
    if isinstance(node, yaml.MappingNode):
        return here + [place for key, item in node.value for place in
                       ((key.start_mark.line + 1, key.start_mark.column + 1), *_places(item))]
    return here


def _ours(node: Node) -> list[tuple[int, int]]:
    here = [(node.line, node.column)]
    if isinstance(node.value, list):
        return here + [place for item in node.value for place in _ours(item)]
    if isinstance(node.value, dict):
        return here + [place for key, item in node.value.items() for place in (node.keys[key], *_ours(item))]
    return here


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text("abc é:#\n-'\"", max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcé", min_size=1, max_size=4), inner,
                                                                max_size=4), max_leaves=15)


@given(_VALUES, st.sampled_from([True, False, None]))
def test_keys_and_values_stand_where_pyyaml_s_own_python_reader_says(value: object, flow: bool | None) -> None:
    # The outside answer: PyYAML's pure Python composer, of which nothing is used in the product.
    text = yaml.safe_dump({"top": value}, default_flow_style=flow, allow_unicode=True)
    (document,), findings = read_documents(text, "a.yaml")
    expected = yaml.compose(text, Loader=yaml.SafeLoader)
    assert not findings
    assert _ours(document.root) == _places(expected)


@given(st.text(max_size=60))
def test_any_text_gives_documents_or_findings_and_never_an_exception(text: str) -> None:
    documents, findings = read_documents(text, "a.yaml")
    assert all(one.where.line >= 1 and one.where.column >= 1 for one in findings)
    assert all(one.lines for one in documents)
