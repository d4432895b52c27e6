"""Runbooks, plans and runs as people see them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from mainstay.kernel.quantity import format_duration
from mainstay.kernel.view import Block, Cell, Code, Next, Pairs, Table, Text, Tone, View, cells, table
from mainstay.kernel.wording import many
from mainstay.runbook.measures import Measures
from mainstay.runbook.reading import PlanReading, RunReading, StepReading

SIGNS: Mapping[str, tuple[str, Tone]] = {
    "succeeded": ("✓", "good"), "failed": ("○", "bad"), "timed_out": ("○", "bad"), "cancelled": ("○", "warn"),
    "skipped": ("–", "quiet"), "unknown": ("?", "bad"), "running": ("●", "warn"), "pending": ("·", "quiet"),
    "awaiting_approval": ("◐", "warn"), "ready": ("·", "plain"), "waiting": ("◐", "warn"), "undoing": ("↶", "warn"),
    "undone": ("↶", "warn"), "rejected": ("○", "bad"), "expired": ("○", "bad"), "voided": ("○", "bad")}
"""The sign and tone of every state of a run or a step."""


def state_cell(state: str) -> Cell:
    """A state as sign and word."""
    sign, tone = SIGNS[state]
    return Cell(f"{sign} {state.replace('_', ' ')}", tone)


def lasted(seconds: float | None) -> str:
    """How long something took; – where nobody knows."""
    return "–" if seconds is None else format_duration(timedelta(seconds=seconds)) if seconds >= 1 else \
        f"{seconds * 1000:.0f} ms"


def minutes(value: float | None) -> str:
    """Minutes as a length of time."""
    return "–" if value is None else lasted(value * 60)


# -- a run ---------------------------------------------------------------------------------------------------------


def run_view(run: RunReading) -> View:
    """A run: where it stands, what is to be decided, each step."""
    head: list[Block] = [Text(headline(run), SIGNS[run.state][1])]
    facts = [("run", (Cell(run.id, link=f"runbook/status?name={run.id}"),)), ("plan", cells(run.plan[:12])),
             ("asked for by", cells(run.by + (f", {run.via}" if run.via else "")))]
    if run.incident:
        facts.append(("incident", (Cell(run.incident, link=f"incident/show?name={run.incident}"),)))
    if run.targets:
        facts.append(("acts on", cells(", ".join(run.targets))))
    facts += [(name, cells(str(value))) for name, value in {**run.labels, **run.inputs}.items()]
    if run.approvals or run.missing:
        said = ", ".join(one.by for one in run.approvals) or "nobody yet"
        facts.append(("approved by", cells(said + (f"; {run.missing} more needed" if run.missing else ""))))
    if run.seconds is not None:
        facts.append(("took", cells(lasted(run.seconds))))
    blocks: list[Block] = [*head, Pairs(tuple(facts)), steps_table(run.steps)]
    blocks += [Code(_tail(step.log), title=f"{step.name} wrote") for step in run.steps
               if step.log and step.state in ("failed", "timed_out", "running", "unknown")]
    return View(run.id, (*blocks, Next(next_commands(run))))


def headline(run: RunReading) -> str:
    """Where a run stands in one sentence."""
    name = f"{run.id} {run.runbook}"
    match run.state:
        case "awaiting_approval":
            return f"{name} awaits {many(run.missing, 'approval')}."
        case "ready":
            return f"{name} is ready to begin."
        case "waiting" if run.question is not None:
            return f"{name} waits for a person: {run.question.text}"
        case "running" | "undoing":
            return f"{name} is {run.state}."
    kept = [step.name for step in run.steps if step.undo in ("failed", "unknown")]
    left = f" Not taken back: {', '.join(kept)}." if kept else ""
    return f"{name} {run.state.replace('_', ' ')}" + (f": {run.why}" if run.why else "") + f".{left}"


def next_commands(run: RunReading) -> tuple[str, ...]:
    """What can be typed now."""
    match run.state:
        case "awaiting_approval":
            return (f"mainstay runbook approve {run.id} --plan {run.plan[:12]}", f"mainstay runbook reject {run.id}")
        case "waiting" if run.question is not None:
            return tuple(f"mainstay runbook answer {run.id} {choice}" for choice in run.question.choices)
        case "ready" | "running" | "undoing":
            return (f"mainstay runbook run --resume {run.id}", f"mainstay runbook undo {run.id}")
        case "succeeded":
            return (f"mainstay runbook audit verify {run.id}",
                    *((f"mainstay runbook undo {run.id}",) if run.reversible else ()))
    return (f"mainstay runbook audit verify {run.id}",)


def steps_table(steps: Sequence[StepReading]) -> Table:
    """A row a step."""
    rows = []
    for step in steps:
        said = step.error or step.note
        if step.undo:
            said = f"{said}; " if said else ""
            said += {"not_reversible": "not reversible", "undone": "taken back"}.get(step.undo, f"undo {step.undo}")
            said += f": {step.undo_error}" if step.undo_error else ""
        rows.append((step.name, state_cell(step.state), lasted(step.seconds), _cut(step.does), said))
    return table("Steps", ("step", "state", "took>", "does", "and"), rows)


def _cut(text: str, most: int = 120) -> str:
    return text if len(text) <= most else text[:most - 1] + "…"


_LINES = 20


def _tail(log: str) -> str:
    lines = log.rstrip("\n").split("\n")
    return "\n".join(lines if len(lines) <= _LINES else [f"… {len(lines) - _LINES} lines before", *lines[-_LINES:]])


def runs_table(runs: Sequence[RunReading], title: str, empty: str) -> Table:
    """A row a run."""
    return table(title, ("run", "runbook", "state", "by", "planned", "took>", "why"), [
        (Cell(run.id, link=f"runbook/status?name={run.id}"), run.runbook, state_cell(run.state), run.by,
         Cell(f"{run.planned:%-d %b %H:%M} UTC", at=run.planned), lasted(run.seconds), run.why or run.reason)
        for run in runs], empty=empty)


# -- a plan --------------------------------------------------------------------------------------------------------


def plan_view(plan: PlanReading) -> View:
    """What a run would do, before anything is done."""
    facts = [("plan", cells(plan.plan[:12])), ("runbook", cells(f"{plan.runbook} {plan.version}"))]
    if plan.targets:
        facts.append(("acts on", cells(", ".join(plan.targets))))
    facts += [(name, cells(str(value))) for name, value in {**plan.labels, **plan.inputs}.items()]
    if plan.approvals_needed:
        who = f" of {', '.join(plan.approvers)}" if plan.approvers else ""
        facts.append(("needs", cells(f"{many(plan.approvals_needed, 'approval')}{who}")))
    rows = [(step.name, Cell(("ask, then " if step.confirm else "") + step.does), step.undo, step.verify or "–",
             lasted(step.timeout_seconds), "" if step.required else "optional") for step in plan.steps]
    return View(f"Plan of {plan.runbook}", (
        Text("Nothing was done. A run would do this, and no other plan under this hash:", "strong"),
        Pairs(tuple(facts)),
        table("Steps", ("step", "does", "taken back by", "verified by", "at most>", ""), rows)))


# -- runbooks ------------------------------------------------------------------------------------------------------


def measures_rows(found: Measures) -> tuple[tuple[str, tuple[Cell, ...]], ...]:
    """How a runbook did, as pairs."""
    share = "–" if found.success is None else f"{found.success * 100:.0f} % ({found.succeeded} of {found.runs})"
    by_hand = minutes(found.manual_minutes) + (
        f", measured on {many(found.manual_measured, 'run')} by hand" if found.manual_measured else
        ", as declared" if found.manual_minutes is not None else "")
    return (("succeeded", cells(share)), ("takes", cells(lasted(found.seconds))), ("by hand", cells(by_hand)),
            ("saved", cells(f"{found.saved_hours:.1f} h")))
