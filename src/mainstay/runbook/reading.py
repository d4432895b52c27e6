"""A run and a plan as they are read; the field names are their stable JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mainstay.kernel.actuation import (
    Act,
    Ask,
    Command,
    Flag,
    Http,
    Kubernetes,
    Metric,
    Python,
    Sql,
    Systemd,
    Wait,
    act_data,
)
from mainstay.kernel.dataclass import dataclass
from mainstay.runbook.lifecycle import State
from mainstay.runbook.plan import Plan, resolved
from mainstay.runbook.run import Run
from mainstay.runbook.spec import Given, Step, takes_itself_back
from mainstay.runbook.variables import Lookup, Misplaced


@dataclass(frozen=True, slots=True)
class StepReading:
    """A step of a run."""

    name: str
    title: str
    does: str
    state: str
    required: bool
    attempts: int
    started: datetime | None
    ended: datetime | None
    seconds: float | None
    code: int | None
    error: str
    note: str
    output: str
    log: str
    left_out: int
    undo: str
    undo_error: str


@dataclass(frozen=True, slots=True)
class QuestionReading:
    """What a person must decide."""

    step: str
    about: str
    text: str
    choices: tuple[str, ...]
    link: str


@dataclass(frozen=True, slots=True)
class ApprovalReading:
    """Who agreed, and when."""

    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class RunReading:
    """A run.

    Args:
        plan: the plan's hash: what was approved is what is done.
        missing: approvals that are still missing.
        reversible: whether anything that it did can be taken back.
    """

    id: str
    runbook: str
    state: str
    why: str
    plan: str
    by: str
    via: str
    incident: str
    reason: str
    planned: datetime
    started: datetime | None
    ended: datetime | None
    seconds: float | None
    expires: datetime | None
    approvals: tuple[ApprovalReading, ...]
    missing: int
    question: QuestionReading | None
    inputs: Mapping[str, Given]
    labels: Mapping[str, str]
    targets: tuple[str, ...]
    by_hand: bool
    reversible: bool
    steps: tuple[StepReading, ...]

    @property
    def over(self) -> bool:
        """Whether nothing goes on any more."""
        return self.ended is not None


def read_run(run: Run) -> RunReading:
    """The run as it is read."""
    lookup = run.plan.lookup(run.outputs)
    steps = []
    for step in run.plan.steps:
        known = run.steps[step.name]
        lasted = (known.ended - known.started).total_seconds() if known.started and known.ended else None
        steps.append(StepReading(
            step.name, step.title, _shown(step.act, lookup), str(known.state), step.required, known.attempts,
            known.started, known.ended, lasted, known.code, known.error, known.note, known.output,
            known.log + known.undo_log, known.left_out, str(known.undo), known.undo_error))
    question = None if run.question is None else QuestionReading(
        run.question.step, run.question.about, run.question.text, run.question.choices, run.question.link)
    over = run.over and run.state is not State.AWAITING
    return RunReading(
        run.id, run.runbook, str(run.state), run.why, run.hash, run.by, run.via, run.incident, run.reason, run.planned,
        run.started, run.ended if over else None, run.seconds, run.expires,
        tuple(ApprovalReading(one.by, one.at) for one in run.approvals), run.missing, question, run.plan.inputs,
        run.plan.labels, run.plan.targets, run.plan.by_hand, run.reversible, tuple(steps))


def _shown(act: Act, lookup: Lookup) -> str:
    try:
        return said(resolved(act, lookup))
    except Misplaced:
        return said(act)


# -- acts in words -------------------------------------------------------------------------------------------------


def said(act: Act) -> str:
    """The act in one line, as people would write it down."""
    match act:
        case Command():
            return " ".join(_quoted(one) for one in act.argv)
        case Http():
            return f"{act.method} {act.url}"
        case Metric():
            return f"ask {act.query}" + (f" {act.operator} {act.threshold:g}" if act.operator else "")
        case Sql():
            return "ask " + " ".join(act.statement.split())
        case Kubernetes():
            what = {"scale": f"scale to {act.replicas}", "count": "count the replicas of"}.get(
                act.verb, act.verb.replace("-", " "))
            return f"{what} {act.object}" + (f" in {act.namespace}" if act.namespace else "")
        case Systemd():
            return f"systemctl {act.verb} {act.unit}"
        case Flag():
            return f"flag {act.flag} → {' '.join(one for one in (act.variant, act.state) if one)} in {act.file}"
        case Python():
            return f"{act.function}({', '.join(f'{name}={value!r}' for name, value in act.arguments.items())})"
        case Wait():
            if act.metric is not None:
                return f"wait until {act.metric.query} {act.metric.operator} {act.metric.threshold:g}"
            what = {"": f"is {act.state.replace('_', ' ')}", "burn": f"burns {act.operator} {act.threshold:g}",
                    "left": f"has {act.operator} {act.threshold:.4g} of its budget left"}[act.measure]
            return f"wait until {act.objective} {what}"
        case Ask():
            return f"ask: {act.question}"


def _quoted(text: str) -> str:
    """An argument as it could be typed: where one element ends is seen."""
    safe = text and all(sign.isalnum() or sign in "@%+=:,./_-" for sign in text)
    return text if safe else "'" + text.replace("'", "'\\''").replace("\n", "⏎") + "'"


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step as it would be done; what another step answers stands as its variable."""

    name: str
    title: str
    act: Mapping[str, Any]
    does: str
    timeout_seconds: float
    required: bool
    idempotent: bool
    undo: str
    verify: str
    confirm: bool


@dataclass(frozen=True, slots=True)
class PlanReading:
    """What a run would do."""

    runbook: str
    version: str
    plan: str
    inputs: Mapping[str, Given]
    labels: Mapping[str, str]
    targets: tuple[str, ...]
    approvals_needed: int
    approvers: tuple[str, ...]
    manual_minutes: float | None
    by_hand: bool
    steps: tuple[PlannedStep, ...]


def read_plan(plan: Plan, manual_minutes: float | None) -> PlanReading:
    """The plan as it is read."""
    from_now = plan.lookup({})
    return PlanReading(
        plan.runbook, plan.version, plan.hash, plan.inputs, plan.labels, plan.targets, plan.approval.needed,
        plan.approval.by, manual_minutes, plan.by_hand, tuple(PlannedStep(
            step.name, step.title, act_data(resolved(step.act, from_now)), said(resolved(step.act, from_now)),
            step.timeout.total_seconds(), step.required, step.idempotent, undo_of(plan, step),
            said(resolved(step.verify, from_now)) if step.verify is not None else "", step.confirm)
            for step in plan.steps))


def undo_of(plan: Plan, step: Step) -> str:
    """How the step is taken back, in words."""
    if step.undo is not None:
        return said(resolved(step.undo, plan.lookup({})))
    if takes_itself_back(step.act):
        return "what was there before"
    if not step.changes:
        return "nothing to take back"
    return f"irreversible: {step.irreversible}" if step.irreversible else "not reversible"
