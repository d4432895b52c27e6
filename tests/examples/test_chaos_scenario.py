"""examples/chaos-scenario.py on a shop of its own, and the nightly workflow: what its steps run can be run."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from mainstay.doors import resilience_tester

EXAMPLES = Path(__file__).parents[2] / "examples"
NIGHTLY = EXAMPLES / "github" / "chaos-nightly.yml"


def test_the_scenario_proves_that_the_shop_bears_the_loss_of_its_auth() -> None:
    done = subprocess.run([sys.executable, str(EXAMPLES / "chaos-scenario.py"), "--json", "--seconds", "3"],
                          capture_output=True, text=True, timeout=180, check=False)
    if done.returncode == 2 and "cannot be put in here" in done.stderr:
        pytest.skip("this host cannot put the faults in")
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["browsing"]["status"] == "passed", done.stderr
    assert (found["breaker"]["verdict"], found["breaker"]["works"]) == ("works", True), found
    assert done.returncode == 0


def _runs() -> list[str]:
    workflow = yaml.safe_load(NIGHTLY.read_text(encoding="utf-8"))
    steps = workflow["jobs"]["chaos"]["steps"]
    return [line for step in steps for line in step.get("run", "").replace("\\\n", " ").splitlines() if line.strip()]


def test_the_nightly_workflow_runs_at_two_and_never_two_at_once() -> None:
    workflow = yaml.safe_load(NIGHTLY.read_text(encoding="utf-8"))
    # PyYAML reads the bare word `on` as a flag.
    assert workflow[True]["schedule"] == [{"cron": "0 2 * * *"}]
    assert workflow["concurrency"] == "chaos"


def test_what_was_left_behind_is_taken_out_before_and_after_whatever_happened() -> None:
    recovers = [number for number, line in enumerate(_runs()) if line == "mainstay chaos recover"]
    assert len(recovers) == 2
    assert recovers[-1] == len(_runs()) - 1
    assert NIGHTLY.read_text().count("if: always()") == 2


@pytest.mark.parametrize("line", [line for line in _runs() if "test_resilience.py" in line])
def test_every_line_of_the_script_is_one_that_it_takes(line: str) -> None:
    words = shlex.split(re.sub(r">.*", "", line))
    arguments = words[words.index(".mainstay-source/scripts/test_resilience.py") + 1:]
    # On a folder without a catalog: what is refused is the catalog, and not the line.
    with_folder = ["/nonexistent" if word == "mainstay" else word for word in arguments]
    assert resilience_tester.main([*with_folder, "--dry-run"]) in (0, 2)
    options = resilience_tester._parser().parse_args(arguments)
    assert options.json
