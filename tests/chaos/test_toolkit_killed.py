"""A run of the Chaos Toolkit's experiment is killed: its rollbacks are played all the same."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from command import command_line, environment


def _experiment(folder: Path, secret: str = "") -> Path:
    fault = str(folder / "fault")
    program = [sys.executable, "-c"]
    rollback = ["-c", f"import os; os.unlink({fault!r})", secret]
    file = folder / "experiment.json"
    file.write_text(json.dumps({
        "title": "a file that must go", "description": "x", "secrets": {"all": {"token": "s3cret"}},
        "method": [{"type": "action", "name": "put it there", "pauses": {"after": 60}, "provider": {
            "type": "process", "path": program[0],
            "arguments": ["-c", f"open({fault!r}, 'w').close()"]}}],
        "rollbacks": [{"type": "action", "name": "take it away", "provider": {
            "type": "process", "path": program[0], "arguments": rollback}}]}))
    return file


def _killed(folder: Path, experiment: Path) -> None:
    process = subprocess.Popen(command_line("chaos", "run", str(experiment), "--json"), cwd=folder,
                               env=environment(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _until((folder / "fault").exists)
    finally:
        process.kill()
        process.wait()


def _until(true, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to that in time"
        time.sleep(0.02)


def test_a_rollback_that_is_a_program_is_played_by_a_guardian_when_the_run_is_killed(tmp_path: Path):
    _killed(tmp_path, _experiment(tmp_path))
    _until(lambda: not (tmp_path / "fault").exists())


def test_a_rollback_with_a_secret_is_not_written_down(tmp_path: Path):
    _killed(tmp_path, _experiment(tmp_path, "${token}"))
    kept = [file for file in tmp_path.rglob("*") if file.is_file() and file.name != "experiment.json"]
    assert [file for file in kept if b"s3cret" in file.read_bytes()] == []
