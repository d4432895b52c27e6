"""examples/10-remediation: its month can be made again, its catalog has no finding, its commands answer."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import command
from docs.markdown import blocks
from mainstay.app import grammar
from mainstay.kernel.catalog import load

EXAMPLE = Path(__file__).parents[2] / "examples" / "10-remediation"


def test_the_month_can_be_made_again() -> None:
    made = runpy.run_path(str(EXAMPLE / "make_payloads.py"))["lines"]()
    assert (EXAMPLE / "payloads.jsonl").read_text(encoding="utf-8") == "\n".join(made) + "\n"


def test_the_catalog_has_no_finding() -> None:
    _, findings = load([EXAMPLE / "catalog"], grammar())
    assert [one.render() for one in findings if one.severity != "hint"] == []


def test_every_command_of_the_readme_answers(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE, tmp_path, dirs_exist_ok=True)
    first = blocks((EXAMPLE / "README.md").read_text(encoding="utf-8"), "bash")[0]
    for line in first.text.splitlines()[1:]:
        words = re.split(r"\s+#", line)[0]
        done = subprocess.run(["bash", "-c", f"{sys.executable} -m {words}"], cwd=tmp_path, text=True,
                              capture_output=True, env=command.environment(tmp_path), check=False)
        assert done.returncode == 0, done.stderr


def test_the_replay_says_what_the_readme_says(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE, tmp_path, dirs_exist_ok=True)
    found = command.mainstay(tmp_path, "runbook", "simulate", "restart-when-down", "-c", "catalog", "--events",
                             "payloads.jsonl", "--takes", "20s", "--json").json
    helps = found["if_it_helps"]
    assert (helps["troubles"], helps["counts"]["verified"], helps["counts"]["escalated"]) == (13, 11, 2)
    assert helps["limits"] == {"flaps": 1, "share": 1}
    escalated = [(one["at"][:10], one["target"]) for one in helps["decisions"] if one["kind"] == "escalated"]
    assert [day for day, _ in escalated] == ["2026-10-07", "2026-10-25"]
