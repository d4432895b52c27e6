"""What the guide and the example say of on-call is so: the table of conventions, and who is on call in the example."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mainstay.app import grammar
from mainstay.kernel.catalog import load
from mainstay.oncall.roster import Roster
from mainstay.oncall.spec import Rotation
from oncall.rotations import rotation, utc

_REPO = Path(__file__).parents[2]
_GUIDE = (_REPO / "docs" / "guides" / "oncall.md").read_text(encoding="utf-8")
_ROW = re.compile(r"^\| *(A\d+)? *\| ([\w/]+) \| (\S+) \| (\w+) \| ((?:\S+Z ?)+) \| (.+) \|$", re.MULTILINE)
_CASES = [found.groups() for found in _ROW.finditer(_GUIDE)]


def test_the_table_of_conventions_has_the_frozen_cases():
    assert {case[0] for case in _CASES} >= {"A1", "A2", "A3", "A4"}
    assert len(_CASES) == 6


@pytest.mark.parametrize(("_name", "zone", "start", "turn", "instants", "_says"), _CASES)
def test_a_row_of_the_table_is_what_is_computed(_name, zone, start, turn, instants, _says):
    roster = Roster(rotation(zone, start, turn, "ABC"))
    wanted = [utc(one) for one in instants.split()]
    assert [roster.turn_start(number) for number in range(len(wanted))] == wanted


def test_the_example_has_no_finding_and_its_dates_hold():
    catalog, findings = load([_REPO / "examples" / "05-on-call" / "rota.yaml"], grammar())
    assert [one.render() for one in findings] == []
    roster = Roster(catalog.get(Rotation, "web-primary"))
    assert roster.who(utc("2026-03-04T16:00Z")).who == "dora", "10:00 to 14:00 in New York"
    assert roster.who(utc("2026-03-04T20:00Z")).who == "ana"
    everybody = {roster.member_of(index) for index in range(13)}
    assert "emil" not in everybody, "he joins in June"
    assert {roster.member_of(index) for index in range(30, 40)} == {"ana", "ben", "chloe", "emil"}, "fay has left"
