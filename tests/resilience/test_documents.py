"""What the guide, the explanation and the example say is what is there."""

from __future__ import annotations

import ast
import asyncio
import re
import subprocess
import sys
from pathlib import Path

from docs.markdown import REPO, blocks
from mainstay import resilience
from mainstay.resilience import breaker
from mainstay.resilience.lifecycle import diagram
from mainstay.resilience.strategy import Strategy

GUIDE = (REPO / "docs/guides/resilience.md").read_text(encoding="utf-8")
EXPLANATION = (REPO / "docs/explain/resilience.md").read_text(encoding="utf-8")
PACKAGE = Path(resilience.__file__).parent


def test_every_block_of_python_in_the_guide_runs(capsys):
    names: dict = {}
    for block in blocks(GUIDE, "python"):
        exec(compile(block.text, f"guide:{block.line}", "exec"), names)
    asyncio.run(names["main"]())
    assert capsys.readouterr().out.splitlines() == \
        ["orders: fallback > retry > breaker > bulkhead", "session of ada", "session of ada"]


def test_everything_offered_is_in_the_guide():
    told = GUIDE + EXPLANATION
    # What callers get in their hands, rather than ask for, is in docstrings.
    handed = {"Condition", "Gate", "Stop", "Strategy", "Wait", "Tally", "NEVER", "TRANSIENT", "USUAL_ORDER", "Refused",
              "BulkheadFull", "LimitReached", "RateLimited"}
    assert [name for name in resilience.__all__ if name not in handed and not re.search(rf"\b{name}\b", told)] == []


def test_the_table_of_events_holds_every_event_and_no_other():
    told = {event for row in re.findall(r"^\| \w+ \| (`\w+`(?:, `\w+`)*) \|$", GUIDE, re.MULTILINE)
            for event in re.findall(r"\w+", row)}
    said = set(breaker._SAID.values())
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(attr="_note" | "_announce"), args=[ast.Constant(value=str(event))]) \
                        | ast.Call(func=ast.Attribute(attr="give_up"), args=[_, ast.Constant(value=str(event))]):
                    said.add(event)
                case ast.FunctionDef(name="_reason_to_stop"):
                    said |= {end.value.value for end in ast.walk(node) if isinstance(end, ast.Return)
                             and isinstance(end.value, ast.Constant) and end.value.value is not None}
                case _:
                    pass
    assert told == said


def test_every_strategy_is_named_in_the_table():
    kinds = {part.kind for part in resilience.USUAL_ORDER}
    assert issubclass(resilience.Policy, Strategy)
    assert [kind for kind in kinds if f"\n| {kind} | " not in GUIDE] == []


def test_the_diagram_is_drawn_from_the_table():
    (drawn,) = blocks(EXPLANATION, "mermaid")
    assert drawn.text == diagram() + "\n"


def test_the_example_shows_an_outage_in_which_every_customer_is_answered():
    ran = subprocess.run([sys.executable, REPO / "examples/06-resilience/outage.py"], capture_output=True, text=True,
                         check=True)
    lines = ran.stdout.splitlines()
    assert lines[0] == "prices: last_good > retry > breaker"
    assert "the breaker opened" in lines[2]
    assert " 29.0 s  kettle: 509 cents" in lines  # the last price before the outage
    assert " 59.0 s  kettle: 559 cents" in lines
    assert "60 customers were answered; the dependency was asked 35 times" in lines
