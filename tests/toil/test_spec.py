"""The toil policy as people write it: every mistake at once, with its line."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from mainstay.app import grammar
from mainstay.kernel.catalog import load
from mainstay.toil.spec import DEFAULT, policy_of

HEAD = "apiVersion: mainstay/v1\nkind: ToilPolicy\nmetadata: {name: team}\nspec:\n"


def loaded(folder: Path, spec: str, *more: str):
    (folder / "toil.yaml").write_text(HEAD + spec + "".join("---\n" + each for each in more), encoding="utf-8")
    catalog, findings = load([folder], grammar())
    return policy_of(catalog), [(one.code, one.where.line) for one in findings]


def test_a_whole_policy_is_read(tmp_path):
    policy, findings = loaded(tmp_path, "  line: 40\n  hourly_cost: 120\n  working_day: 7h30m\n"
                              "  teams: [{name: a, members: [ana, ben]}]\n  leads: [mia]\n  efforts: {Deploy: 24}\n"
                              "  services: [{from: 2026-01-01, count: 40}]\n  name_engineers: true\n"
                              "  holidays: [2026-12-25]\n")
    assert findings == []
    assert policy.rules.holidays == {date(2026, 12, 25)}
    assert (policy.line, policy.hourly_cost, policy.working_day, policy.name_engineers) == (0.4, 120, 7.5, True)
    assert (policy.team_of, policy.leads) == ({"ana": "a", "ben": "a"}, ("mia",))
    assert (policy.efforts, policy.services) == ({"Deploy": 24}, {date(2026, 1, 1): 40})


def test_without_a_policy_the_line_is_half(tmp_path):
    catalog, _ = load([tmp_path], grammar())
    assert policy_of(catalog) is DEFAULT
    assert (DEFAULT.line, DEFAULT.hourly_cost) == (0.5, 150)


@pytest.mark.parametrize(("spec", "found"), [
    ("  line: 0\n", [("invalid-value", 5)]), ("  holidays: [christmas]\n", [("invalid-value", 5)]),
    ("  line: 140\n", [("invalid-value", 5)]),
    ("  working_day: 30h\n", [("out-of-range", 5)]),
    ("  teams: [{name: a, members: [ana]}, {name: b, members: [ana]}]\n", [("two-teams", 5)]),
    ("  services: [{from: soon, count: 0}]\n", [("invalid-value", 5), ("out-of-range", 5)]),
    ("  hourly_cost: -1\n  lime: 3\n", [("out-of-range", 5), ("unknown-field", 6)]),
])
def test_mistakes_are_found_with_their_lines(tmp_path, spec, found):
    policy, findings = loaded(tmp_path, spec)
    assert sorted(findings) == sorted(found)
    assert policy is DEFAULT


def test_there_is_one_policy(tmp_path):
    _, findings = loaded(tmp_path, "  line: 40\n", HEAD.replace("team}", "other}") + "  line: 30\n")
    assert [code for code, _ in findings] == ["policy-twice"]
