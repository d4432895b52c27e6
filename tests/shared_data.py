"""Real data that lies beside a founder's clone; a stranger's clone has none, and the tests that read it skip."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_ROOT = Path(os.environ.get("MAINSTAY_SHARED", Path(__file__).parents[2] / "shared"))


def shared(name: str) -> Path:
    """The file of that name under the shared data folder; skips the test when there is none."""
    path = _ROOT / "data" / name
    if not path.exists():
        pytest.skip(f"shared data is absent: {name}")
    return path
