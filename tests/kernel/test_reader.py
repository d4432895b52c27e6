"""Reading a mapping field by field: each wrong field is one finding at its place, and reading goes on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mainstay.kernel.document import read_documents
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import Finding
from mainstay.kernel.quantity import Target, parse_moment
from mainstay.kernel.reader import Reader


def reading(text: str) -> tuple[Reader, list[Finding]]:
    (document,), _ = read_documents(text, "a.yaml")
    findings: list[Finding] = []
    return Reader(document, document.root, "spec", findings), findings


ASK = {
    "text": lambda reader: reader.text("x", required=True),
    "texts": lambda reader: reader.texts("x", required=True),
    "number": lambda reader: reader.number("x", required=True),
    "whole": lambda reader: reader.whole("x", required=True),
    "duration": lambda reader: reader.duration("x", required=True),
    "target": lambda reader: reader.target("x", required=True),
    "moment": lambda reader: reader.moment("x", required=True),
    "child": lambda reader: reader.child("x", required=True),
    "children": lambda reader: reader.children("x", required=True),
}


@pytest.mark.parametrize("method", ASK)
@pytest.mark.parametrize("text", ["y: 1", "x:\ny: 1", "x: ~\ny: 1"])
def test_a_required_field_that_is_absent_or_null_is_missing(method: str, text: str) -> None:
    reader, findings = reading(text)
    ASK[method](reader)
    assert [(one.code, one.message) for one in findings] == [("missing-field", "spec.x is missing")]


@pytest.mark.parametrize(("method", "value"), [
    ("text", "[1]"), ("text", "{a: 1}"), ("text", "true"), ("texts", "{a: 1}"), ("texts", "[[a]]"), ("texts", "[~]"),
    ("number", "abc"), ("number", '"5"'), ("number", "true"), ("number", "[1]"), ("number", "1e999"),
    ("number", ".nan"), ("whole", "1.5"), ("duration", "[5m]"), ("duration", "true"), ("target", "{a: 1}"),
    ("moment", "[1]"), ("child", "5"), ("child", "[1]"), ("children", "5"), ("children", "{a: 1}"),
    ("children", "[5]"),
])
def test_a_value_of_the_wrong_type_is_found_at_the_value(method: str, value: str) -> None:
    reader, findings = reading(f"y: 1\nx: {value}\n")
    ASK[method](reader)
    assert [one.code for one in findings] == ["wrong-type"]
    assert findings[0].where.line == 2


@pytest.mark.parametrize(("method", "value"), [
    ("duration", "5x"), ("duration", "0s"), ("duration", "1M"), ("duration", "9" * 400 + "d"), ("target", "0"),
    ("target", "120"), ("target", "abc"), ("target", ".nan"), ("target", "1e-999999"), ("moment", "soon"),
    ("moment", "2026-03-02T09:00:00"), ("moment", '"0001-01-01T00:00:00+14:00"'), ("moment", "9999-12-31"),
])
def test_a_value_its_parser_refuses_is_found_with_a_mend(method: str, value: str) -> None:
    reader, findings = reading(f"x: {value}\n")
    assert ASK[method](reader) is None
    assert [one.code for one in findings] == ["invalid-value"]
    assert findings[0].mend


@pytest.mark.parametrize(("text", "method", "read"), [
    ("x: web", "text", "web"), ("x: 1.10", "text", "1.10"), ("x: 007", "text", "007"), ("x: 1e3", "text", "1e3"),
    ("x: web", "texts", ("web",)), ("x: [a, 1.0, true]", "texts", ("a", "1.0", "true")), ("x: []", "texts", ()),
    ("x: 1.5", "number", 1.5), ("x: 0x10", "whole", 16), ("x: 2.0", "whole", 2),
    ("x: 1h30m", "duration", timedelta(minutes=90)), ("x: 99.90", "target", Target.percent("99.9")),
    ("x: 2026-03-02", "moment", datetime(2026, 3, 2, tzinfo=UTC)),
    ("x: 2026-03-02T10:00:00+01:00", "moment", datetime(2026, 3, 2, 9, tzinfo=UTC)),
])
def test_a_right_value_is_read_as_it_was_written(text: str, method: str, read: object) -> None:
    reader, findings = reading(text)
    assert ASK[method](reader) == read
    assert not findings


def test_an_unknown_word_is_found_with_the_one_that_was_meant() -> None:
    reader, findings = reading("x: availabilty\n")
    assert reader.text("x", one_of=("availability", "latency")) is None
    assert findings[0].code == "unknown-value"
    assert 'did you mean "availability"?' in findings[0].message
    assert findings[0].mend == "write one of: availability, latency"


@pytest.mark.parametrize(("value", "fits"), [("-1", False), ("0", True), ("100", True), ("100.1", False)])
def test_bounds_belong_to_what_is_allowed(value: str, fits: bool) -> None:
    reader, findings = reading(f"x: {value}\n")
    assert (reader.number("x", minimum=0, maximum=100) is not None) is fits
    assert [one.code for one in findings] == ([] if fits else ["out-of-range"])


def test_a_flag_is_true_or_false_and_nothing_else() -> None:
    reader, findings = reading("a: true\nb: yes\n")
    assert reader.flag("a") is True
    assert reader.flag("b", default=True) is True
    assert reader.flag("c", default=True) is True
    assert [(one.code, one.where.line) for one in findings] == [("wrong-type", 2)]


def test_labels_are_text_as_written() -> None:
    reader, findings = reading("x: {a: 1.10, b: true, c: ~, d: [1]}\n")
    assert reader.labels("x") == {"a": "1.10", "b": "true", "c": ""}
    assert [one.message for one in findings] == ["spec.x.d must be text, not a list"]


def test_a_field_nobody_asked_for_is_found_at_its_key_with_the_one_that_was_meant() -> None:
    reader, findings = reading("target: 99\n  \nwindw: 30d\n")
    reader.target("target")
    reader.text("window")
    reader.done()
    (finding,) = findings
    assert (finding.code, finding.where.line, finding.where.column) == ("unknown-field", 3, 1)
    assert 'did you mean "window"?' in finding.message


def test_a_field_that_is_ignored_is_not_unknown() -> None:
    reader, findings = reading("x: 1\n")
    reader.ignore("x")
    reader.done()
    assert not findings


def test_the_fields_of_a_child_are_named_by_their_path() -> None:
    reader, findings = reading("list:\n- {a: 1}\n- {b: 2}\n")
    for child in reader.children("list"):
        child.text("a")
        child.done()
    assert [one.message for one in findings] == ["spec.list[1].b is not a field here"]


def test_entries_are_every_name_the_user_chose() -> None:
    reader, findings = reading("x: {one: 1, two: 2}\n")
    assert [name for name, _ in reader.entries("x")] == ["one", "two"]
    reader.done()
    assert not findings


def test_every_mistake_of_a_mapping_is_found_in_one_reading() -> None:
    reader, findings = reading("a: [1]\nb: x\nc: 5x\nd: 120\n")
    reader.text("a")
    reader.number("b")
    reader.duration("c")
    reader.target("d")
    reader.text("e", required=True)
    reader.done()
    assert [(one.code, one.where.line) for one in findings] == [
        ("wrong-type", 1), ("wrong-type", 2), ("invalid-value", 3), ("invalid-value", 4), ("missing-field", 1)]


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no time zone"):
        parse_moment("2026-03-02 09:00")
