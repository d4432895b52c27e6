"""Which tasks to automate first: toil by task, with what each would give back. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import date

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.toil.automation import (
    COST,
    EFFORT,
    Complexity,
    Decision,
    Return,
    Task,
    return_of,
    rhythm,
    should_automate,
    weeks_between,
)
from mainstay.toil.tally import Amount, Cell, Tally, wording_of
from mainstay.toil.tasks import Grouping, group


@dataclass(frozen=True, slots=True)
class Candidate:
    """A task that could be automated.

    Args:
        wordings: as people wrote it.
        occurrences: in the stretch.
        hours: in the stretch; `people` is how many did it.
        value: what automating it gives back; its range comes from how much the weeks differ and how far estimates of
            effort are off.
        net_value: three_year_net in money.
    """

    task: str
    category: str
    occurrences: int
    hours: float
    people: int
    interrupts: int
    decision: Decision
    reason: str
    value: Return
    net_value: float
    wordings: tuple[str, ...]
    corrected: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """How to look for candidates.

    Args:
        efforts: hours to automate by task, where it is known; EFFORT for the rest.
        every: tasks that nobody called automatable too.
    """

    top: int = 10
    effort: float = EFFORT
    efforts: Mapping[str, float] = field(default_factory=dict)
    complexity: Complexity = "medium"
    hourly_cost: float = COST
    every: bool = False


def grouped(tally: Tally, corrections: Mapping[str, str]) -> Grouping:
    """The wordings of all toil of the tally, put together into tasks."""
    weights: dict[str, float] = {}
    for cell, amount in tally.toil():
        wording = wording_of(cell.category, cell.description)
        weights[wording] = weights.get(wording, 0.0) + amount.hours
    return group(weights, corrections)


def candidates(tally: Tally, grouping: Grouping, asked: Asked) -> list[Candidate]:
    """The tasks worth the most first."""
    if asked.top < 1:
        raise InvalidInput(f"the first {asked.top} cannot be shown", "write a number from 1 on")
    parts: dict[str, list[tuple[Cell, Amount]]] = {}
    for cell, amount in tally.toil():
        if (cell.automatable or asked.every) and not cell.automated:
            parts.setdefault(grouping.task_of[wording_of(cell.category, cell.description)], []).append((cell, amount))
    mondays = [monday.toordinal() for monday in weeks_between(tally.covered().first, tally.covered().last)]
    paces: dict[str, dict[int, float]] = {}
    for key, hours in tally.tasks.items():
        if (key.automatable or asked.every) and not key.automated:
            pace = paces.setdefault(grouping.task_of[key.wording], {})
            pace[key.week] = pace.get(key.week, 0.0) + hours
    found = [_candidate(task, cells, [paces[task].get(monday, 0.0) for monday in mondays], tally.covered().days, asked)
             for task, cells in parts.items()]
    found = [_with_corrections(one, grouping) for one in found]
    return sorted(found, key=lambda one: (-one.value.three_year_net, one.task))[:asked.top]


def _candidate(task: str, cells: list[tuple[Cell, Amount]], by_week: list[float], days: int, asked: Asked) -> Candidate:
    by_category: dict[str, float] = {}
    for cell, amount in cells:
        by_category[cell.category] = by_category.get(cell.category, 0.0) + amount.hours
    hours, count = sum(by_category.values()), sum(amount.entries for _, amount in cells)
    pace = rhythm(hours, count, by_week, days)
    effort = asked.efforts.get(task, asked.effort)
    value = return_of(pace.monthly, effort, monthly_range=(pace.low, pace.high), complexity=asked.complexity)
    decided = should_automate(Task(count / days * 30, hours / count, effort, asked.complexity))
    return Candidate(
        task, min(by_category, key=lambda name: (-by_category[name], name)), count, hours,
        len({cell.engineer for cell, _ in cells}), sum(amount.entries for cell, amount in cells if cell.interrupt),
        decided.decision, decided.reason, value, value.three_year_net * asked.hourly_cost,
        tuple(sorted({wording_of(cell.category, cell.description) for cell, _ in cells})), False)


def _with_corrections(one: Candidate, grouping: Grouping) -> Candidate:
    if not grouping.corrected & set(one.wordings):
        return one
    return Candidate(one.task, one.category, one.occurrences, one.hours, one.people, one.interrupts, one.decision,
                     one.reason, one.value, one.net_value, one.wordings, corrected=True)


def week_name(monday: date) -> str:
    """`2026-W48`."""
    year, week, _ = monday.isocalendar()
    return f"{year}-W{week:02}"
