"""What a runbook saved and how well it went, from its runs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from statistics import median
from typing import Any

from mainstay.kernel.dataclass import dataclass
from mainstay.runbook.lifecycle import State, StepState
from mainstay.runbook.run import Run

_LATEST = 20
"""Runs by hand that tell how long it takes by hand: the newest, for people and systems change."""


@dataclass(frozen=True, slots=True)
class Measures:
    """How a runbook does.

    Args:
        runs: that were begun and are over, those by hand aside; succeeded: of these.
        seconds: the median of those that succeeded; None without any.
        manual_minutes: how long a person needs; None where nobody said and nobody was measured.
        manual_measured: runs by hand that it was measured on; 0 where it was only declared.
        saved_hours: what all successful runs saved, as booked.
    """

    runs: int
    succeeded: int
    seconds: float | None
    manual_minutes: float | None
    manual_measured: int
    saved_hours: float

    @property
    def success(self) -> float | None:
        """Share of runs that succeeded, 0..1; None without any."""
        return self.succeeded / self.runs if self.runs else None


def measured(runs: Iterable[Run], declared_minutes: float | None) -> Measures:
    """How a runbook did in these runs of it."""
    begun = [run for run in runs if run.started is not None and run.over]
    by_program = [run for run in begun if not run.plan.by_hand]
    good = [run for run in by_program if _good(run)]
    minutes, count = manual_minutes(begun, declared_minutes)
    saved = sum(run.saved_minutes for run in good)
    return Measures(len(by_program), len(good), median(run.seconds or 0.0 for run in good) if good else None, minutes,
                    count, saved / 60)


def manual_minutes(runs: Sequence[Run], declared: float | None) -> tuple[float | None, int]:
    """Minutes that a person needs, and how many runs by hand say so: the median of the newest, else as declared."""
    by_hand = [run.seconds / 60 for run in runs if run.plan.by_hand and _good(run) and run.seconds is not None]
    newest = by_hand[-_LATEST:]
    return (median(newest), len(newest)) if newest else (declared, 0)


def _good(run: Run) -> bool:
    return run.state is State.SUCCEEDED


def people_needed(run: Run) -> bool:
    """Whether a person had to decide within the run, so that its time was theirs too."""
    return any(step.only_people or step.confirm or step.act.kind == "ask" for step in run.plan.steps
               if run.steps[step.name].state is not StepState.PENDING)


def ended_data(run: Run, past: Sequence[Run], state: str, why: str, now: datetime) -> dict[str, Any]:
    """What the fact of a run's end carries.

    Args:
        past: earlier runs of the runbook.
    """
    seconds = (now - run.started).total_seconds() if run.started is not None else 0.0
    declared = run.data.get("manual_minutes")
    minutes, count = manual_minutes(past, float(declared) if declared is not None else None)
    success = state == "succeeded"
    own = seconds / 60 if people_needed(run) else 0.0
    saved = max(0.0, minutes - own) if success and minutes is not None and not run.plan.by_hand else 0.0
    steps = [one for one in run.steps.values() if one.attempts]
    return {
        "state": state, "why": why, "success": success, "seconds": round(seconds, 3), "runbook": run.runbook,
        "title": str(run.data.get("title", "")), "service": str(run.data.get("service", "")), "by": run.by,
        "via": run.via, "incident": run.incident, "hash": run.hash, "by_hand": run.plan.by_hand,
        "manual_minutes": minutes, "manual_measured": count, "saved_minutes": round(saved, 3), "steps": len(steps),
        "undone": sum(one.undo == "undone" for one in run.steps.values()),
        "not_undone": [name for name, one in run.steps.items() if one.undo in ("failed", "unknown", "not_reversible")]}
