"""Real programs that tests run against; where one cannot be had, the test skips and the run's last lines count it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

_ELSEWHERE = {"initdb": "/usr/lib/postgresql/*/bin/initdb"}


def need(program: str) -> str:
    """The path of the program; skips the test when it is not installed."""
    found = shutil.which(program)
    if found is None and program in _ELSEWHERE:
        matches = sorted(Path("/").glob(_ELSEWHERE[program].lstrip("/")))
        found = str(matches[-1]) if matches else None
    if found is None:
        pytest.skip(f"program is absent: {program}")
    return found
