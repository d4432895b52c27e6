"""The life of a circuit breaker, as a table.

    state          calls            their ends
    closed         pass             counted in the window
    open           are refused      –
    half_open      N trials pass    decide between closed and open
    forced_open    are refused      –
    metrics_only   pass             counted, never acted on
    disabled       pass             not looked at

The last three are entered and left by an operator alone. Whatever is not in the table cannot happen; above all a closed
breaker never asks for trials: it has to be open first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

BreakerState = Literal["closed", "open", "half_open", "forced_open", "metrics_only", "disabled"]
Change = Literal["trips", "waited", "recovers", "relapses", "open", "close", "force_open", "observe", "disable"]

STATES: tuple[BreakerState, ...] = ("closed", "open", "half_open", "forced_open", "metrics_only", "disabled")
BY_ITSELF: Mapping[tuple[BreakerState, Change], BreakerState] = {
    ("closed", "trips"): "open",
    ("open", "waited"): "half_open",
    ("half_open", "recovers"): "closed",
    ("half_open", "relapses"): "open",
}
"""What a breaker does of its own accord: a rate reached its limit, the pause is over, the trials went well or badly."""

BY_OPERATOR: Mapping[Change, BreakerState] = {
    "open": "open", "close": "closed", "force_open": "forced_open", "observe": "metrics_only", "disable": "disabled",
}
"""What an operator may do, in every state."""

TRANSITIONS: Mapping[tuple[BreakerState, Change], BreakerState] = {
    **BY_ITSELF, **{(state, change): to for state in STATES for change, to in BY_OPERATOR.items()},
}


def diagram() -> str:
    """The table as a Mermaid state diagram; arrows that every state has are drawn once, from `any`."""
    lines = ["stateDiagram-v2", "    [*] --> closed"]
    lines += [f"    {state} --> {to}: {change}" for (state, change), to in BY_ITSELF.items()]
    lines += ["    state \"any state\" as any"]
    lines += [f"    any --> {to}: {change}()" for change, to in BY_OPERATOR.items()]
    return "\n".join(lines)
