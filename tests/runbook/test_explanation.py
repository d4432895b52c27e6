"""The diagrams of docs/explain/runbook.md are those of the tables, and every state can be left or is an end."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mainstay.runbook.lifecycle import ENDS, RUN, STEP, IllegalMove, State, diagram, next_state, next_step_state

PAGE = Path(__file__).parents[2] / "docs" / "explain" / "runbook.md"


def test_the_diagrams_are_drawn_from_the_tables():
    drawn = re.findall(r"```mermaid\n(.*?)\n```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert drawn == [diagram(RUN), diagram(STEP)]


def test_every_state_of_a_run_is_an_end_or_leads_to_one():
    for start in State:
        seen, waiting = {start}, [start]
        while waiting:
            for to in RUN[waiting.pop()].values():
                if to not in seen:
                    seen.add(to)
                    waiting.append(to)
        assert seen & ENDS
    assert {state for state, moves in RUN.items() if not moves} <= ENDS


@pytest.mark.parametrize("state", list(State))
def test_what_cannot_happen_is_refused(state: State):
    events = {event for moves in RUN.values() for event in moves}
    for event in events - set(RUN[state]):
        with pytest.raises(IllegalMove):
            next_state(state, event)


def test_what_cannot_happen_to_a_step_is_refused():
    events = {event for moves in STEP.values() for event in moves}
    for state, moves in STEP.items():
        for event in events - set(moves):
            with pytest.raises(IllegalMove):
                next_step_state(state, event)
