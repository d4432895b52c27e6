"""Makes the work log beside this file: four weeks of two engineers, always the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from mainstay.toil.sample import sample_lines

LAST = date(2026, 11, 20)


def lines() -> Iterator[str]:
    """The lines of the log."""
    for line in sample_lines(LAST, seed=7, days=28):
        if line["engineer"] in ("ana", "dina"):
            yield json.dumps(line)
    # A slip of the pen, as every real log has one: Mainstay counts and shows it.
    yield json.dumps({"date": "20/11/2026", "engineer": "ana", "type": "toil", "duration_hours": 0.5})


if __name__ == "__main__":
    Path(__file__).with_name("work.jsonl").write_text("\n".join(lines()) + "\n", encoding="utf-8")
