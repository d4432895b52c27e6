"""`examples/github/alert-review.yml`: what its steps run does what they expect, with a stand-in for `gh` alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

_EXAMPLE = Path(__file__).parents[2] / "examples" / "github" / "alert-review.yml"


def _steps() -> dict[str, str]:
    job = yaml.safe_load(_EXAMPLE.read_text(encoding="utf-8"))["jobs"]["review"]
    return {step["name"]: step["run"] for step in job["steps"] if "run" in step}


def _run(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    """The step in a folder of its own; `mainstay` is ours, with a store there and a log instead of a Prometheus."""
    bin_ = folder / "bin"
    bin_.mkdir(exist_ok=True)
    for program, line in (("mainstay", f'exec {sys.executable} -m mainstay "$@" --from {folder}/sent.jsonl'),
                          ("gh", f'printf "%s\\n" "$@" > {folder}/asked.txt')):
        (bin_ / program).write_text(f"#!/bin/sh\n{line}\n")
        (bin_ / program).chmod(0o755)
    environment = {**os.environ, "PATH": f"{bin_}:{os.environ['PATH']}", "MAINSTAY_STORE": f"sqlite:///{folder}/m.db",
                   "GITHUB_STEP_SUMMARY": f"{folder}/summary.md", "GITHUB_REPOSITORY": "team/shop",
                   "MAINSTAY_STORE_SECRET": ""}
    return subprocess.run(["bash", "-e", "-c", _steps()[name]], cwd=folder, env=environment, text=True,
                          capture_output=True, check=False)


def _log(folder: Path, at: datetime) -> None:
    (folder / "sent.jsonl").write_text("".join(json.dumps({"alerts": [{
        "status": "resolved", "labels": {"alertname": "HighCpu", "severity": "page"},
        "startsAt": (at + timedelta(minutes=10 * n)).isoformat(),
        "endsAt": (at + timedelta(minutes=10 * n + 3)).isoformat()}]}) + "\n" for n in range(6)))


def test_an_issue_is_opened_with_the_report(tmp_path: Path) -> None:
    _log(tmp_path, datetime.now(UTC) - timedelta(days=3))
    audited = _run(tmp_path, "Audit the alerts")
    assert audited.returncode == 0, audited.stdout + audited.stderr
    assert "wait longer" in (tmp_path / "summary.md").read_text()
    opened = _run(tmp_path, "Open the issue")
    assert opened.returncode == 0, opened.stderr
    asked = (tmp_path / "asked.txt").read_text().splitlines()
    assert asked[asked.index("--title") + 1].startswith("Alert review, ")


def test_a_month_without_alerts_is_a_notice_and_opens_nothing(tmp_path: Path) -> None:
    _log(tmp_path, datetime.now(UTC) - timedelta(days=300))
    audited = _run(tmp_path, "Audit the alerts")
    assert (audited.returncode, "::notice" in audited.stdout) == (0, True), audited.stdout + audited.stderr
    _run(tmp_path, "Open the issue")
    assert not (tmp_path / "asked.txt").exists()


def test_a_source_that_is_wrong_fails_the_job(tmp_path: Path) -> None:
    audited = _run(tmp_path, "Audit the alerts")
    assert audited.returncode == 2, "there is no log"
    assert "::error" in audited.stdout
