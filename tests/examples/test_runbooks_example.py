"""examples/09-runbooks: its runbooks have no mistake, and the one that acts does and takes back what it says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from command import mainstay
from mainstay.app import grammar
from mainstay.kernel.catalog import load
from mainstay.runbook.spec import Runbook

EXAMPLE = Path(__file__).parents[2] / "examples" / "09-runbooks"


def test_the_runbooks_have_no_finding():
    catalog, findings = load([EXAMPLE / "mainstay"], grammar())
    assert [one.render() for one in findings] == []
    assert {one.form for one in catalog.of(Runbook)} == {"mainstay/v1 Runbook", "runbook/v1 IncidentRunbook"}


def test_a_short_queue_is_not_noted_and_everything_is_taken_back(tmp_path: Path):
    shutil.copytree(EXAMPLE, tmp_path, dirs_exist_ok=True)
    found = mainstay(tmp_path, "runbook", "run", "calm-recommendations", "--input", "queue=mails", "--json").json
    assert {step["name"]: step["state"] for step in found["steps"]} == {
        "backlog": "succeeded", "turn-down": "succeeded", "note": "skipped"}
    assert json.loads((tmp_path / "flags.json").read_text())["flags"]["recommendations"]["defaultVariant"] == "off"
    assert (tmp_path / "changes.log").read_text() == "shop started\n"
    assert mainstay(tmp_path, "runbook", "undo", "RB-1").code == 0
    assert (tmp_path / "flags.json").read_text() == (EXAMPLE / "flags.json").read_text()
