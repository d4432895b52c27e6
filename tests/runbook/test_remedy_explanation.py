"""The explanation of remediation shows the tables as they are; `--update` draws them anew."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from mainstay.runbook import remedy_state
from mainstay.runbook.remedy_decision import GUARDS
from mainstay.runbook.remedy_state import TRANSITIONS

DOCUMENT = Path(__file__).parents[2] / "docs" / "explain" / "remediation.md"
_FACT = re.compile(r"^    (remedy\.[a-z-]+) +(.*?) {2,}(case|rule)$", re.MULTILINE)

LIMITS = {
    "stop_after": "failures in a row, on any targets: the rule does nothing until a person resumes it",
    "flaps": "times that a target may be healed within `flap_within`",
    "attempts": "runs on a target within `within`, until one was verified",
    "share": "of the fleet that may be touched within `within`; rounded down, but one target may be",
    "hours": "in which it may begin; outside of them it is left alone",
    "lock": "something else acts on the target: it is left alone, or waited for (`locked: wait`)",
    "cool_down": "rest of a target between two runs",
    "target": "one run on a target at a time, of all rules together",
    "concurrent": "targets at once, from the beginning of the run to the end of the verification",
    "condition": "`if: checks`, asked last; what cannot be told is left to people",
}


def phases() -> str:
    lines = [f"    {before} --> {after or '[*]'}: {event}" for (before, event), after in TRANSITIONS.items()]
    return "\n".join(["```mermaid", "stateDiagram-v2", "    [*] --> waiting: triggered", *lines, "```"])


def facts() -> str:
    rows = [f"| `{kind}` | {means} | {subject} |" for kind, means, subject in _FACT.findall(remedy_state.__doc__ or "")]
    return "\n".join(["| fact | means | subject |", "|---|---|---|", *rows])


def limits() -> str:
    return "\n".join(["| limit | forbids |", "|---|---|", *(f"| `{name}` | {LIMITS[name]} |" for name in GUARDS)])


DRAWN: Mapping[str, str] = {"phases": phases(), "facts": facts(), "limits": limits()}


@pytest.mark.parametrize("name", DRAWN)
def test_what_is_drawn_is_what_the_code_says(name: str, request: pytest.FixtureRequest) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    pattern = re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", re.DOTALL)
    drawn = f"{DRAWN[name]}\n"
    if request.config.getoption("--update"):
        DOCUMENT.write_text(pattern.sub(lambda _: drawn, text), encoding="utf-8")
        return
    assert pattern.findall(text) == [drawn], "pytest tests/runbook/test_remedy_explanation.py --update draws it anew"


def test_every_kind_of_fact_is_explained_and_no_other() -> None:
    explained = {kind.partition(".")[2] for kind, _, _ in _FACT.findall(remedy_state.__doc__ or "")}
    moved = {event for _, event in TRANSITIONS}
    assert explained == moved | {"triggered", "joined", "cleared", "passed", "stopped", "resumed"}
