"""Mistakes in a rotation, a schedule or a person: what is said, at which line and column, and what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from mainstay.kernel.catalog import load
from mainstay.kernel.finding import Finding
from mainstay.oncall.grammar import GRAMMAR

_ROTATION = """
apiVersion: mainstay/v1
kind: Rotation
metadata: {name: web}
spec:
  timezone: America/New_York
  start: "2026-03-02T09:00"
  turn: 1w
  members: [ana, ben, nobody]
"""
_PERSON = """
---
apiVersion: mainstay/v1
kind: Person
metadata: {name: ana}
spec: {contacts: {email: ana@example.com}}
"""
_SCHEDULE = """
---
apiVersion: mainstay/v1
kind: Schedule
metadata: {name: all-day}
spec:
  layers:
    - web
"""


def _findings(folder: Path, text: str) -> list[Finding]:
    (folder / "rota.yaml").write_text(text)
    return load([folder], GRAMMAR)[1]


def _only(folder: Path, text: str) -> Finding:
    found, = _findings(folder, text)
    return found


def _column_of(text: str, mark: str) -> tuple[int, int]:
    """The line and the column of a piece of text, both counted from one."""
    before = text[:text.rindex(mark)]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


@pytest.mark.parametrize(("more", "mark", "says", "mend"), [
    ('  overrides: [{from: "2026-03-08T02:10", to: "2026-03-08T02:50", who: ana}]', '"2026-03-08T02:50"',
     "covers no time", "a time that clocks skip is the first instant after the gap"),
    ('  overrides: [{from: "2026-03-08T05:00", to: "2026-03-08T04:00", who: ana}]', '"2026-03-08T04:00"',
     "ends before it begins", "write a `to` after `from`"),
    ('  overrides: [{from: "2026-03-03T05:00", to: "2026-03-08T04:00", who: ana, replaces: nobody}]', "nobody",
     "replaces nobody", "leave `replaces` out"),
    ('  restrictions: [{days: [], from: "09:00", to: "17:00"}]', "[]", "days is empty", "leave it out for every day"),
])
def test_what_could_never_cover_any_time_is_refused_where_it_stands(
        tmp_path: Path, more: str, mark: str, says: str, mend: str):
    text = _ROTATION + more + "\n"
    found = _only(tmp_path, text)
    assert says in found.message
    assert mend in found.mend
    assert (found.where.line, found.where.column) == _column_of(text, mark)


@pytest.mark.parametrize(("text", "mark", "says"), [
    (_ROTATION + _PERSON, "ben", '"ben" takes turns in "web"'),
    (_ROTATION.replace("ana, ben, nobody", "{who: ana}, {who: bne}") + _PERSON, "bne", '"bne" takes turns in "web"'),
    (_ROTATION.replace("ana, ben, nobody", "ana")
     + '  overrides: [{from: "2026-03-08", to: "2026-03-09", who: anna}]\n' + _PERSON, "anna", '"anna" takes turns'),
    (_ROTATION + _SCHEDULE.replace("- web", "- web\n    - wbe"), "wbe", 'no rotation is named "wbe"'),
    (_ROTATION.replace("ana, ben, nobody", "ana") + _PERSON.replace("}}", "}, holidays: ['2026-12-31', mars]}"),
     "mars", 'no holidays is named "mars"'),
])
def test_a_name_that_leads_nowhere_is_pointed_at_where_it_is_written(
        tmp_path: Path, text: str, mark: str, says: str):
    found = _only(tmp_path, text)
    assert says in found.message
    assert (found.where.line, found.where.column) == _column_of(text, mark)


def test_a_schedule_cannot_have_the_name_of_a_rotation_which_commands_and_policies_name_as_well(tmp_path: Path):
    text = _ROTATION + _SCHEDULE.replace("all-day", "web")
    found = _only(tmp_path, text)
    assert found.code == "duplicate-name"
    assert 'a rotation is named "web" as well' in found.message
    assert (found.where.line, found.where.column) == _column_of(text, "web}")


def test_nobody_cannot_be_a_persons_name(tmp_path: Path):
    text = _ROTATION + _PERSON + _PERSON.replace("ana}", "nobody}") + _PERSON.replace("ana}", "ben}")
    found = _only(tmp_path, text)
    assert found.code == "invalid-name"
    assert (found.where.line, found.where.column) == _column_of(text, "nobody}")


@pytest.mark.parametrize(("spec", "message"), [
    ("{notify: [{channel: email}]}", "spec.notify[0].channel is email, and no contact is declared"),
    ("{notify: [{channel: pigeon}]}", 'spec.notify[0].channel is "pigeon"'),
    ("{contacts: {email: a@x.org}, notify: [{channel: slack}]}", 'spec.notify[0].channel is "slack"'),
    ("{contacts: {email: a@x.org}, notify: [{after: 3m}]}", "spec.notify[0].channel is missing")])
def test_a_rule_that_names_no_contact_of_the_person_is_a_finding(tmp_path: Path, spec: str, message: str):
    text = f"apiVersion: mainstay/v1\nkind: Person\nmetadata: {{name: ana}}\nspec: {spec}\n"
    assert [one.message for one in _findings(tmp_path, text) if one.code != "unreachable"][:1] == [message]
