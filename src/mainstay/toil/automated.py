"""What programs did in place of people: how often, how well, and how fast trouble was over with and without. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from statistics import median

from mainstay.kernel.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class ProgramRun:
    """A run of a runbook that is over, as the ledger keeps it.

    Args:
        hours: that people would have needed, less what they needed all the same; 0 where it failed or was taken back.
        task: what was automated.
        run: its name.
        success: whether it did what it was for, and that was not taken back.
        seconds: how long it took; None where the fact does not say.
        manual_minutes: how long people need without it; None where nobody knows.
        incident: the incident it was for; empty for none.
    """

    day: date
    hours: float
    task: str
    run: str
    success: bool = True
    seconds: float | None = None
    manual_minutes: float | None = None
    incident: str = ""


@dataclass(frozen=True, slots=True)
class Recovery:
    """An incident that is over, and how long it was open."""

    day: date
    incident: str
    service: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Recovered:
    """How long incidents were open: the median, and of how many."""

    incidents: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Automated:
    """A task that programs did.

    Args:
        runs: that saved people something.
        hours: that people did not need for it.
        tried: all runs that were begun and are over; succeeded: of these.
        seconds: the median of those that succeeded.
        manual_minutes: how long people need without it, as last known.
        with_it: incidents that a run of it succeeded in; None where there was none.
        without: incidents of the same services that no program acted in; None where there was none.
    """

    task: str
    runs: int
    hours: float
    tried: int
    succeeded: int
    seconds: float | None
    manual_minutes: float | None
    with_it: Recovered | None
    without: Recovered | None


def automated(runs: Sequence[ProgramRun], recoveries: Iterable[Recovery]) -> list[Automated]:
    """What programs did, by task, what saved most first; tasks whose runs saved nothing are left out."""
    over = {one.incident: one for one in recoveries}
    touched = {one.incident for one in runs if one.incident}
    by_task: dict[str, list[ProgramRun]] = {}
    for one in runs:
        by_task.setdefault(one.task, []).append(one)
    made = [_of_task(task, those, over, touched) for task, those in by_task.items()]
    return sorted((one for one in made if one.runs), key=lambda one: (-one.hours, one.task))


def _of_task(task: str, runs: Sequence[ProgramRun], over: dict[str, Recovery], touched: set[str]) -> Automated:
    good = [one for one in runs if one.success]
    took = [one.seconds for one in good if one.seconds is not None]
    by_hand = [one.manual_minutes for one in runs if one.manual_minutes is not None]
    mended = [over[incident] for incident in sorted({one.incident for one in good}) if incident in over]
    services = {one.service for one in mended}
    others = [one for one in over.values() if one.service in services and one.incident not in touched]
    return Automated(task, sum(one.hours > 0 for one in runs), sum(one.hours for one in runs), len(runs), len(good),
                     median(took) if took else None, by_hand[-1] if by_hand else None, _recovered(mended),
                     _recovered(others))


def _recovered(those: Sequence[Recovery]) -> Recovered | None:
    return Recovered(len(those), median(one.seconds for one in those)) if those else None
