"""The states of a run and of its steps, as tables; docs/explain/runbook.md draws its diagrams from them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from mainstay.kernel.errors import Conflict


class State(StrEnum):
    """How far a run is."""

    AWAITING = "awaiting_approval"
    READY = "ready"
    RUNNING = "running"
    WAITING = "waiting"
    UNDOING = "undoing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNDONE = "undone"
    REJECTED = "rejected"
    EXPIRED = "expired"
    VOIDED = "voided"


class StepState(StrEnum):
    """How far a step is."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"


class UndoState(StrEnum):
    """What became of taking a step back."""

    NONE = ""
    RUNNING = "running"
    DONE = "undone"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_REVERSIBLE = "not_reversible"


class IllegalMove(Conflict):
    """A run or step cannot go from where it is to there."""

    code = "illegal-move"


RUN: Mapping[State, Mapping[str, State]] = {
    State.AWAITING: {"approved": State.READY, "rejected": State.REJECTED, "expired": State.EXPIRED,
                     "cancelled": State.CANCELLED},
    State.READY: {"started": State.RUNNING, "voided": State.VOIDED, "expired": State.EXPIRED,
                  "cancelled": State.CANCELLED, "rejected": State.REJECTED},
    State.RUNNING: {"asked": State.WAITING, "undo-begun": State.UNDOING, "succeeded": State.SUCCEEDED,
                    "failed": State.FAILED},
    State.WAITING: {"answered": State.RUNNING, "undo-begun": State.UNDOING},
    State.UNDOING: {"failed": State.FAILED, "cancelled": State.CANCELLED, "undone": State.UNDONE},
    State.SUCCEEDED: {"undo-begun": State.UNDOING},
    State.FAILED: {},
    State.CANCELLED: {},
    State.UNDONE: {},
    State.REJECTED: {},
    State.EXPIRED: {},
    State.VOIDED: {},
}
"""State × what happens → state, of a run. It begins awaiting approval, or ready where none is needed."""

STEP: Mapping[StepState, Mapping[str, StepState]] = {
    StepState.PENDING: {"started": StepState.RUNNING, "skipped": StepState.SKIPPED, "answered": StepState.SUCCEEDED,
                        "stopped": StepState.FAILED},
    StepState.RUNNING: {"succeeded": StepState.SUCCEEDED, "failed": StepState.FAILED,
                        "timed_out": StepState.TIMED_OUT, "cancelled": StepState.CANCELLED,
                        "lost": StepState.UNKNOWN},
    StepState.UNKNOWN: {"started": StepState.RUNNING, "succeeded": StepState.SUCCEEDED, "failed": StepState.FAILED,
                        "again": StepState.PENDING},
    StepState.FAILED: {"started": StepState.RUNNING},
    StepState.TIMED_OUT: {"started": StepState.RUNNING},
    StepState.SUCCEEDED: {},
    StepState.CANCELLED: {},
    StepState.SKIPPED: {},
}
"""State × what happens → state, of a step."""

ENDS = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED, State.UNDONE, State.REJECTED, State.EXPIRED,
                  State.VOIDED})
"""States in which nothing goes on; from `succeeded` alone a run can still be taken back."""

ACTIVE = frozenset({State.READY, State.RUNNING, State.WAITING, State.UNDOING})
"""States in which somebody drives the run."""


def next_state(state: State, event: str) -> State:
    """Where a run is after the event.

    Raises:
        IllegalMove: the event cannot happen there.
    """
    found = RUN[state].get(event)
    if found is None:
        raise IllegalMove(f"a run that is {state} cannot be {event}",
                          "mainstay runbook status RUN shows what can be done")
    return found


def next_step_state(state: StepState, event: str) -> StepState:
    """Where a step is after the event.

    Raises:
        IllegalMove: the event cannot happen there.
    """
    found = STEP[state].get(event)
    if found is None:
        raise IllegalMove(f"a step that is {state} cannot be {event}",
                          "mainstay runbook status RUN shows what can be done")
    return found


def diagram(table: Mapping[StrEnum, Mapping[str, StrEnum]] | Mapping[State, Mapping[str, State]]
            | Mapping[StepState, Mapping[str, StepState]]) -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2"]
    for state, moves in table.items():
        lines += [f"    {state} --> {to}: {event}" for event, to in moves.items()]
        if not moves:
            lines.append(f"    {state} --> [*]")
    return "\n".join(lines)
