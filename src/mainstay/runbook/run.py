"""A run is what its facts come to: whoever folds them knows as much as anybody. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import datetime
from typing import Any

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.journal import Fact
from mainstay.runbook.chain import START
from mainstay.runbook.lifecycle import (
    ENDS,
    State,
    StepState,
    UndoState,
    next_state,
    next_step_state,
)
from mainstay.runbook.plan import Plan, plan_of

KEPT_OUTPUT = 65_536
"""Characters of a step's output that are kept; the rest is counted."""


@dataclass(slots=True)
class StepRun:
    """How a step stands.

    Args:
        attempts: how often it was begun; reruns: how often of these because nobody saw it end.
        output: what later steps see; log: what was written, as people saw it.
        agreed: a person said that it may be done.
        probed: its verification was asked how it ended, without an answer.
        taken_back: the act that takes it back as found out when it began, as JSON values.
    """

    name: str
    state: StepState = StepState.PENDING
    attempts: int = 0
    reruns: int = 0
    started: datetime | None = None
    ended: datetime | None = None
    output: str = ""
    log: str = ""
    left_out: int = 0
    code: int | None = None
    error: str = ""
    agreed: bool = False
    probed: bool = False
    note: str = ""
    taken_back: Mapping[str, Any] | None = None
    undo: UndoState = UndoState.NONE
    undo_error: str = ""
    undo_log: str = ""


@dataclass(frozen=True, slots=True)
class Agreed:
    """Somebody approved the plan of that hash."""

    by: str
    at: datetime
    hash: str


@dataclass(frozen=True, slots=True)
class Question:
    """What a person is asked before the run goes on.

    Args:
        about: `step` (the step itself is a question), `confirm` (may it be done), `unknown` (how did it end).
    """

    step: str
    about: str
    text: str
    choices: tuple[str, ...]
    link: str = ""


@dataclass(slots=True)
class Run:
    """How a run stands.

    Args:
        by: who asked for it.
        home: the folder of the runbook's file on the host that planned it.
        seen: number of its facts; seal: of the last one; changed: that one's place in the journal.
        ending: what the run will be once all is undone.
        worker: who drove it last.
    """

    id: str
    runbook: str
    plan: Plan
    hash: str
    by: str
    planned: datetime
    state: State
    steps: dict[str, StepRun]
    expires: datetime | None = None
    home: str = ""
    incident: str = ""
    reason: str = ""
    via: str = ""
    approvals: list[Agreed] = field(default_factory=list)
    question: Question | None = None
    cancelled_by: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    why: str = ""
    ending: str = ""
    worker: str = ""
    saved_minutes: float = 0.0
    escalated: set[str] = field(default_factory=set)
    seen: int = 0
    seal: str = START
    changed: int = 0
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reversible(self) -> bool:
        """Whether anything that it did can be taken back."""
        return any(step.changes and step.reversible and self.steps[step.name].state == "succeeded"
                   for step in self.plan.steps)

    @property
    def over(self) -> bool:
        """Whether nothing goes on any more."""
        return self.state in ENDS

    @property
    def outputs(self) -> dict[str, str]:
        """What later steps see of those that have ended."""
        return {name: step.output for name, step in self.steps.items()
                if step.state in (StepState.SUCCEEDED, StepState.SKIPPED)
                or (step.state in (StepState.FAILED, StepState.TIMED_OUT) and step.ended is not None)}

    @property
    def seconds(self) -> float | None:
        """From its start to its end; None before."""
        return None if self.started is None or self.ended is None else (self.ended - self.started).total_seconds()

    @property
    def missing(self) -> int:
        """Approvals that are still missing."""
        return max(0, self.plan.approval.needed - len(self.approvals))

    @property
    def taken_back_whole(self) -> bool:
        """Whether every step that was taken back is."""
        return all(step.undo in (UndoState.NONE, UndoState.DONE) for step in self.steps.values())


PLANNED = "runbook.planned"


def begun(fact: Fact) -> Run:
    """The run that a plan begins."""
    data = fact.data
    plan = plan_of(data["plan"])
    run = Run(
        fact.subject, plan.runbook, plan, data["hash"], fact.actor, fact.at,
        State.AWAITING if plan.approval.needed else State.READY, {one.name: StepRun(one.name) for one in plan.steps},
        fact.at + plan.approval.expires if plan.approval.needed else None, data.get("home", ""),
        data.get("incident", ""), data.get("reason", ""), data.get("via", ""), data=data)
    run.seen, run.seal, run.changed = 1, data["seal"], fact.seq
    return run


def apply(run: Run, fact: Fact) -> None:
    """The run after one more of its facts.

    Raises:
        IllegalMove: the fact cannot follow; whoever wrote it decided on something else.
    """
    _HAPPENED[fact.kind.partition(".")[2]](run, fact)
    run.seen += 1
    run.seal, run.changed = str(fact.data["seal"]), fact.seq


def _approved(run: Run, fact: Fact) -> None:
    run.approvals.append(Agreed(fact.actor, fact.at, fact.data["hash"]))
    if run.missing == 0:
        run.state = next_state(run.state, "approved")


def _to(event: str) -> Callable[[Run, Fact], None]:
    def move(run: Run, fact: Fact) -> None:
        run.state = next_state(run.state, event)
        run.ended, run.why = fact.at, str(fact.data.get("why", ""))

    return move


def _taken(run: Run, fact: Fact) -> None:
    run.worker = str(fact.data["worker"])


def _started(run: Run, fact: Fact) -> None:
    run.state = next_state(run.state, "started")
    run.started, run.worker = fact.at, str(fact.data["worker"])


def _step_started(run: Run, fact: Fact) -> None:
    step = run.steps[fact.data["step"]]
    step.state = next_step_state(step.state, "started")
    step.attempts += 1
    step.reruns += bool(fact.data.get("rerun"))
    step.started, step.ended, step.error, step.code = fact.at, None, "", None
    step.note = str(fact.data.get("note", ""))
    if fact.data.get("undo") is not None and step.taken_back is None:
        # Of a step that is done again, what was there before it was done first takes it back.
        step.taken_back = fact.data["undo"]
    run.worker = str(fact.data["worker"])


def _output(run: Run, fact: Fact) -> None:
    step = run.steps[fact.data["step"]]
    if fact.data.get("undoing"):
        step.undo_log += fact.data["text"]
    else:
        step.log += fact.data["text"]


def _step_ended(run: Run, fact: Fact) -> None:
    step, data = run.steps[fact.data["step"]], fact.data
    step.state = next_step_state(step.state, data["state"])
    step.ended, step.output, step.error = fact.at, data.get("output", ""), data.get("error", "")
    step.code, step.left_out = data.get("code"), int(data.get("left_out", 0))


def _step_skipped(run: Run, fact: Fact) -> None:
    step = run.steps[fact.data["step"]]
    step.state = next_step_state(step.state, "skipped")
    step.ended, step.note = fact.at, str(fact.data.get("why", ""))


def _step_lost(run: Run, fact: Fact) -> None:
    step = run.steps[fact.data["step"]]
    step.state = next_step_state(step.state, "lost")
    step.error, step.probed = str(fact.data.get("why", "")), False


def _probed(run: Run, fact: Fact) -> None:
    run.steps[fact.data["step"]].probed = True


def _asked(run: Run, fact: Fact) -> None:
    run.state = next_state(run.state, "asked")
    data = fact.data
    run.question = Question(data["step"], data["about"], data["text"], tuple(data["choices"]), data.get("link", ""))


def _answered(run: Run, fact: Fact) -> None:
    run.state = next_state(run.state, "answered")
    step, choice, asked = run.steps[fact.data["step"]], str(fact.data["choice"]), run.question
    run.question = None
    step.note = f"{fact.actor} said {choice}"
    match asked.about if asked is not None else "":
        case "confirm" if choice == "run":
            step.agreed = True
        case "confirm" | "step" if choice == "skip":
            step.state, step.ended = next_step_state(step.state, "skipped"), fact.at
        case "unknown" if choice == "again":
            # Somebody looked and decided: it is done once more, and not because nobody knows.
            step.agreed, step.reruns, step.state = True, 0, next_step_state(step.state, "again")
        case "unknown":
            step.state, step.ended = next_step_state(step.state, choice), fact.at
        case _:
            stops = fact.data.get("stops", False)
            step.state = next_step_state(step.state, "stopped" if stops else "answered")
            step.ended, step.output = fact.at, choice
            step.error = step.note if stops else ""


def _cancel_asked(run: Run, fact: Fact) -> None:
    if run.state in (State.AWAITING, State.READY):
        run.state, run.ended = next_state(run.state, "cancelled"), fact.at
        run.why = f"cancelled by {fact.actor}"
    run.cancelled_by = fact.actor


def _undo_begun(run: Run, fact: Fact) -> None:
    run.state = next_state(run.state, "undo-begun")
    run.question = None
    run.ended, run.why, run.ending = None, str(fact.data.get("why", "")), str(fact.data["ending"])


def _undo_started(run: Run, fact: Fact) -> None:
    run.steps[fact.data["step"]].undo = UndoState.RUNNING
    run.worker = str(fact.data["worker"])


def _undo_ended(run: Run, fact: Fact) -> None:
    step = run.steps[fact.data["step"]]
    step.undo, step.undo_error = UndoState(fact.data["state"]), str(fact.data.get("error", ""))


def _escalated(run: Run, fact: Fact) -> None:
    run.escalated.add(str(fact.data["to"]))


def _ended(run: Run, fact: Fact) -> None:
    run.state = next_state(run.state, fact.data["state"])
    run.ended, run.why = fact.at, str(fact.data.get("why", run.why))
    run.saved_minutes = float(fact.data.get("saved_minutes") or 0.0)


_HAPPENED: Mapping[str, Callable[[Run, Fact], None]] = {
    "approved": _approved, "rejected": _to("rejected"), "expired": _to("expired"), "voided": _to("voided"),
    "taken": _taken, "started": _started, "step-started": _step_started, "output": _output, "step-ended": _step_ended,
    "step-skipped": _step_skipped, "step-lost": _step_lost, "probed": _probed, "asked": _asked, "answered": _answered,
    "cancel-asked": _cancel_asked, "undo-begun": _undo_begun, "undo-started": _undo_started,
    "undo-ended": _undo_ended, "escalated": _escalated, "ended": _ended}
"""What a fact of a run is, behind `runbook.` → what it does to the run."""

KINDS = (PLANNED, *(f"runbook.{kind}" for kind in _HAPPENED))
"""Every kind of fact of a run."""
