"""examples/07-toil: its log can be made again, its policy has no finding, its commands answer what its README says."""

from __future__ import annotations

import json
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
from mainstay.toil.spec import policy_of

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "07-toil"


def test_the_log_can_be_made_again():
    made = runpy.run_path(str(EXAMPLE / "make_log.py"))["lines"]()
    assert (EXAMPLE / "work.jsonl").read_text(encoding="utf-8") == "\n".join(made) + "\n"


def test_the_policy_has_no_finding():
    catalog, findings = load([EXAMPLE / "catalog"], grammar())
    assert [one.render() for one in findings] == []
    policy = policy_of(catalog)
    assert (policy.line, policy.team_of["dina"], policy.leads) == (0.5, "orders", ("mia",))


def test_every_command_of_the_readme_answers(tmp_path: Path):
    shutil.copytree(EXAMPLE, tmp_path, dirs_exist_ok=True)
    first, second = blocks((EXAMPLE / "README.md").read_text(encoding="utf-8"), "bash")
    for line in first.text.splitlines()[1:]:
        words = re.split(r"\s+[#>]", line)[0]
        done = subprocess.run(["bash", "-c", f"{sys.executable} -m {words}"], cwd=tmp_path, text=True,
                              capture_output=True, env=command.environment(tmp_path), check=False)
        assert done.returncode in (0, 1), done.stderr
    for line in second.text.splitlines():
        words = line.replace("python ../../", f"{ROOT}/")
        done = subprocess.run(["bash", "-c", words], cwd=tmp_path, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


def test_the_script_and_the_command_say_the_same(tmp_path: Path):
    told = command.mainstay(EXAMPLE, "toil", "report", "--logs", "work.jsonl", "--days", "28", "--as-of", "2026-11-20",
                            "--store", f"sqlite:///{tmp_path}/s.db", "--json").json["summary"]
    script = subprocess.run([sys.executable, "-I", "-S", str(ROOT / "scripts" / "analyze_toil.py"), "--work-logs",
                             str(EXAMPLE / "work.jsonl"), "--analyze", "--days", "28", "--json"], text=True,
                            capture_output=True, check=True)
    said = json.loads(script.stdout)
    for figure in ("total_toil_hours", "toil_share", "automatable_hours", "interrupts", "by_category", "coverage"):
        assert told[figure] == said[figure], figure
