"""Mainstay as people start it: a process of its own, its answer read from the outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE = 120.0
"""Seconds after which a command is a hang, on a busy machine too."""


@dataclass(frozen=True)
class Answer:
    """What a command printed, and its exit code."""

    out: str
    err: str
    code: int

    @property
    def json(self) -> Any:
        """The result of a command that was asked with --json."""
        assert self.code in (0, 1, 3), self.err
        return json.loads(self.out)


def environment(folder: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a command that keeps its store and its state in this folder, and no proxy."""
    kept = {key: value for key, value in os.environ.items()
            if not key.startswith("MAINSTAY_") and not key.lower().endswith("_proxy")}
    return {**kept, "MAINSTAY_STORE": f"sqlite:///{folder}/mainstay.db", "MAINSTAY_TOKENS": str(folder / "tokens.json"),
            "HOME": str(folder), "XDG_STATE_HOME": str(folder / "state"), "NO_COLOR": "1", "TZ": "UTC", **(more or {})}


def command_line(*words: str) -> Sequence[str]:
    """`mainstay …` in the interpreter that runs the tests."""
    return [sys.executable, "-m", "mainstay", *words]


def mainstay(folder: Path, *words: str, stdin: bytes | None = None, **more: str) -> Answer:
    """Run it to its end in the folder."""
    done = subprocess.run(command_line(*words), input=stdin, capture_output=True, cwd=folder, timeout=PATIENCE,
                          env=environment(folder, more), check=False)
    return Answer(done.stdout.decode(), done.stderr.decode(), done.returncode)
