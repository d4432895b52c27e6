"""The guide's tables are the checks themselves: every wrong example is found, every right one is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mainstay.monitoring.lint.checks import CHECKS
from mainstay.monitoring.lint.exposition import read_page
from mainstay.monitoring.lint.pages import judge_page
from mainstay.monitoring.lint.written import Source
from monitoring.linting import codes, of_alert, of_rules

_GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "monitoring.md"


def _rows() -> dict[str, list[str]]:
    section = _GUIDE.read_text(encoding="utf-8").partition("## Lint\n")[2].partition("\n## ")[0]
    cells = (re.split(r"(?<!\\)\|", line.strip().strip("|")) for line in section.splitlines() if line.startswith("| `"))
    return {row[0].strip().strip("`"): [cell.strip() for cell in row] for row in cells}


ROWS = _rows()


def test_every_check_stands_in_the_guide_as_it_is():
    told = {code: (row[1], row[2], row[5] == "yes", row[6]) for code, row in ROWS.items()}
    assert told == {one.code: (str(one.severity), one.why, one.fixes, one.pint) for one in CHECKS.values()}


def _found(code: str, example: str) -> set[str]:
    text = example.strip("`").replace("\\|", "|")
    if code.startswith(("metric-", "exposition-", "label-", "histogram-")) and code != "label-not-there":
        page = read_page(Source("page", text.replace(" ⏎ ", "\n") + "\n", yaml=False))
        return {flaw.code for flaw in judge_page(page, (), 100)}
    if text.startswith("["):
        return codes(f"groups:\n- name: tested\n  rules: {text}\n")
    if text.startswith("{a"):
        return codes(of_rules(text))
    if text.startswith("{record"):
        return codes(of_rules(text))
    if text.startswith(("groups:", "{[")):
        return codes(text)
    return codes(of_alert(text))


@pytest.mark.parametrize("code", [code for code, row in ROWS.items() if row[3].startswith("`")])
def test_the_wrong_example_is_found(code):
    assert code in _found(code, ROWS[code][3])


@pytest.mark.parametrize("code", [code for code, row in ROWS.items() if row[4].startswith("`")])
def test_the_right_example_is_not(code):
    assert code not in _found(code, ROWS[code][4])
