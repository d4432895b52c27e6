"""`toil candidates`, `roi` and `decide`: what to automate, what it gives back, whether to."""

from __future__ import annotations

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import NotFound
from mainstay.kernel.finding import did_you_mean
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.toil.answers import Candidates, Wordings, Worth
from mainstay.toil.automation import (
    COMPLEXITIES,
    DAYS_A_MONTH,
    EFFORT,
    Complexity,
    Task,
    return_of,
    should_automate,
)
from mainstay.toil.candidates import Asked, Candidate, candidates, grouped
from mainstay.toil.operations.book import Found, Question, work_of
from mainstay.toil.spec import policy_of
from mainstay.toil.tally import wording_of
from mainstay.toil.tasks import Grouping
from mainstay.toil.view import candidates_view, decided_view, worth_view

_CODES = ((0, "answered"), (2, "the input cannot be used"), (3, "no work is logged in these days"))


def _complexity(text: str) -> Complexity:
    return next(one for one in COMPLEXITIES if one == text)


# -- candidates ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CandidatesRequest:
    """Which work, and how it is weighed."""

    days: int = arg("of the last so many days, today included", 90)
    top: int = arg("the first so many", 10)
    effort: float = arg("hours to automate a task, where the toil policy has no estimate", EFFORT)
    complexity: str = arg("how far such estimates may be off", "medium", choices=COMPLEXITIES)
    team: str = arg("the work of one team", "", value="NAME")
    unmarked: bool = arg("tasks too that nobody called automatable", False)
    wordings: bool = arg("list every task with its wordings", False)
    logs: str = arg("a work log of JSON lines instead of the ledger", "", value="FILE", local_only=True)


def candidates_(world: World, request: CandidatesRequest) -> Candidates:
    """List the tasks that are worth automating most, with what each gives back."""
    found = work_of(world, Question(request.days, request.logs, request.team))
    grouping = grouped(found.tally, found.task_of)
    asked = Asked(request.top, request.effort, found.policy.efforts, _complexity(request.complexity),
                  found.policy.hourly_cost, request.unmarked)
    return Candidates(found.origin, found.tally.covered().days, request.effort, found.policy.hourly_cost,
                      tuple(candidates(found.tally, grouping, asked)),
                      _wordings(found, grouping) if request.wordings else ())


def _wordings(found: Found, grouping: Grouping) -> tuple[Wordings, ...]:
    hours: dict[str, float] = {}
    for cell, amount in found.tally.toil():
        task = grouping.task_of[wording_of(cell.category, cell.description)]
        hours[task] = hours.get(task, 0.0) + amount.hours
    listed = [Wordings(task, wordings, hours[task], bool(grouping.corrected & set(wordings)))
              for task, wordings in grouping.wordings().items()]
    return tuple(sorted(listed, key=lambda one: (-one.hours, one.task)))


CANDIDATES = Operation(
    "toil", "candidates", CandidatesRequest, candidates_, candidates_view, numbers=False, exit_codes=_CODES,
    examples=("mainstay toil candidates", "mainstay toil candidates --top 3 --effort 24 --complexity simple",
              "mainstay toil candidates --wordings --days 365", "mainstay toil candidates --logs work.jsonl --json"))


# -- roi and decide ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RoiRequest:
    """The task, and how often it comes; what is left out is read from the ledger."""

    task: str = arg("its name", positional=True)
    frequency: float | None = arg("times a month; the ledger's", None, value="TIMES")
    duration: float | None = arg("hours each time; the ledger's", None, value="HOURS")
    effort: float | None = arg("hours to automate it; the toil policy's, else 40", None, value="HOURS")
    complexity: str = arg("how far the estimate may be off", "medium", choices=COMPLEXITIES)
    upkeep: float = arg("hours a month that the automation itself asks for", 0.0, value="HOURS")
    days: int = arg("of the ledger: the last so many days", 90)


def roi(world: World, request: RoiRequest) -> Worth:
    """Say what automating a task gives back: hours, payback, value of three years and its range."""
    return _worth(world, request, error_prone=False, blocks=False)


@dataclass(frozen=True)
class DecideRequest(RoiRequest):
    """The task, how often it comes, and what else speaks for automating it."""

    error_prone: bool = arg("it goes wrong when done by hand", False)
    blocks_other_work: bool = arg("others wait for it", False)


def decide(world: World, request: DecideRequest) -> Worth:
    """Say whether to automate a task, when, and why."""
    return _worth(world, request, error_prone=request.error_prone, blocks=request.blocks_other_work)


def _worth(world: World, request: RoiRequest, *, error_prone: bool, blocks: bool) -> Worth:
    policy, complexity = policy_of(world.catalog), _complexity(request.complexity)
    measured = _measured(world, request) if request.frequency is None or request.duration is None else None
    frequency, hours = request.frequency, request.duration
    monthly_range: tuple[float, float] | None = None
    name = request.task
    if measured is not None:
        one, days = measured
        name = one.task
        said = frequency is not None or hours is not None
        frequency = one.occurrences / days * DAYS_A_MONTH if frequency is None else frequency
        hours = one.hours / one.occurrences if hours is None else hours
        # What was said by hand is taken as sure; the ledger's own pace has the spread of its weeks.
        monthly_range = None if said else (one.value.monthly_low, one.value.monthly_high)
    assert frequency is not None, "given, or read from the ledger"
    assert hours is not None, "given, or read from the ledger"
    effort = request.effort if request.effort is not None else policy.efforts.get(name, EFFORT)
    decided = should_automate(Task(frequency, hours, effort, complexity, error_prone, blocks))
    value = return_of(frequency * hours, effort, monthly_range=monthly_range, upkeep=request.upkeep,
                      complexity=complexity)
    return Worth(name, frequency, hours, measured is not None, value, value.three_year_net * policy.hourly_cost,
                 policy.hourly_cost, decided)


def _measured(world: World, request: RoiRequest) -> tuple[Candidate, int]:
    """The task as the ledger has it.

    Raises:
        NotFound: no such task; both numbers can be given instead.
    """
    found = work_of(world, Question(request.days))
    grouping = grouped(found.tally, found.task_of)
    every = candidates(found.tally, grouping, Asked(top=1_000_000, every=True))
    wanted = grouping.like(request.task)
    one = next((each for each in every if each.task == wanted), None)
    if one is None:
        raise NotFound(f'no toil is logged as "{request.task}" in {request.days} days'
                       f"{did_you_mean(request.task, [each.task for each in every])}",
                       "say how often and how long: --frequency 50 --duration 0.5")
    return one, found.tally.covered().days


ROI = Operation(
    "toil", "roi", RoiRequest, roi, worth_view, numbers=False, exit_codes=_CODES,
    examples=("mainstay toil roi 'Manual deployments' --frequency 50 --duration 0.5 --effort 40",
              "mainstay toil roi 'Deploy checkout by hand'",
              "mainstay toil roi 'Deploy checkout by hand' --effort 24 --upkeep 1 --complexity simple --json"))

DECIDE = Operation(
    "toil", "decide", DecideRequest, decide, decided_view, numbers=False, exit_codes=_CODES,
    examples=("mainstay toil decide 'Fail over the database' --frequency 2 --duration 1 --effort 60 --error-prone",
              "mainstay toil decide 'Deploy checkout by hand' --blocks-other-work",
              "mainstay toil decide 'Rotate certificates' --frequency 4 --duration 0.75 --effort 40 --json"))
