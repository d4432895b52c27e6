"""The documents Mainstay started from; they lie beside a founder's clone only, and what reads them skips elsewhere."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

_ROOT = Path(os.environ.get("MAINSTAY_SHARED", Path(__file__).parents[2] / "shared"))


def fenced(start: str) -> str:
    """The first fenced block of the documents with a line that begins so, from that line on."""
    folder = _ROOT / "seeds"
    if not folder.is_dir():
        pytest.skip("the seed documents are absent")
    for file in sorted(folder.glob("*.txt")):
        for block in re.findall(r"```\w*\n(.*?)```", file.read_text(encoding="utf-8"), re.DOTALL):
            lines = block.splitlines()
            for index, line in enumerate(lines):
                if line.strip() == start:
                    indent = len(line) - len(line.lstrip())
                    return "\n".join(one[indent:] for one in _until_outdented(lines[index:], indent)) + "\n"
    pytest.skip(f"no seed document says {start}")


def _until_outdented(lines: list[str], indent: int) -> list[str]:
    for index, line in enumerate(lines[1:], 1):
        if line.strip().startswith('"""') or (line.strip() and len(line) - len(line.lstrip()) < indent):
            return lines[:index]
    return lines
