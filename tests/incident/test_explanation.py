"""The explanation of the engine shows the tables as they are; `--update` draws them anew."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from mainstay.incident.engine import _RINGS
from mainstay.incident.lifecycle import PHASES, STATUSES, Status
from mainstay.incident.state import _CHANGES

DOCUMENT = Path(__file__).parents[2] / "docs" / "explain" / "incident-engine.md"


def statuses() -> str:
    lines = [f"    {before} --> {after}" for before, those in STATUSES.items() for after in Status if after in those]
    lines = [f"{line}: reopened by an alert" if line.endswith("--> open") else line for line in lines]
    return "\n".join(["```mermaid", "stateDiagram-v2", "    [*] --> open", *lines, "    resolved --> [*]", "```"])


def phases() -> str:
    lines = [f"    {before} --> {after}: {event}" for (before, event), after in PHASES.items()]
    return "\n".join(["```mermaid", "stateDiagram-v2", "    [*] --> triggered: opened with a policy",
                      "    [*] --> quiet: opened without", *lines, "    done --> [*]", "```"])


def timers() -> str:
    lines = [f"| `{kind}` | {_first_line(ring.__doc__) or _WITHOUT_DOCSTRING[kind]} |" for kind, ring in _RINGS.items()]
    return "\n".join(["| timer | when it rings |", "|---|---|", *lines])


_WITHOUT_DOCSTRING = {
    "silence": "A silence is over: what it muted and still fires goes its way as if it had just opened.",
    "heartbeat": "A sender was not heard of for too long: that is an alert."}
"""For what the engine's own small functions do."""


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


DRAWN: Mapping[str, str] = {"statuses": statuses(), "phases": phases(), "timers": timers()}


@pytest.mark.parametrize("name", DRAWN)
def test_what_is_drawn_is_what_the_table_says(name: str, request: pytest.FixtureRequest):
    text = DOCUMENT.read_text(encoding="utf-8")
    pattern = re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", re.DOTALL)
    drawn = f"{DRAWN[name]}\n"
    if request.config.getoption("--update"):
        DOCUMENT.write_text(pattern.sub(lambda _: drawn, text), encoding="utf-8")
        return
    assert pattern.findall(text) == [drawn], "pytest tests/incident/test_explanation.py --update draws it anew"


def test_every_kind_of_fact_is_explained_and_no_other():
    table = DOCUMENT.read_text(encoding="utf-8").partition("## Facts")[2].partition("## Fences")[0]
    explained = set(re.findall(r"`([a-z]+\.[a-z-]+)`", "\n".join(
        line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))))
    assert explained == {*_CHANGES, "page.sent", "page.dropped", "page.failed"}
