"""`mainstay/v1 Remediation`: when which runbook runs by itself, within what limits, and how one knows that it helped.

Frozen types only; `remedy_forms` reads them, `remedy_decision` decides by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import timedelta
from typing import Literal

from mainstay.kernel.actuation import Act, Command, Http, Metric
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import Position
from mainstay.kernel.matcher import Matchers
from mainstay.kernel.wallclock import WeeklyHours
from mainstay.runbook.variables import Lookup, Value, Variable, one_line

Mode = Literal["observe", "approve", "act"]
"""`observe` records what it would have done; `approve` asks a person each time; `act` does it."""

MODES: tuple[Mode, ...] = ("observe", "approve", "act")
WhenLocked = Literal["leave", "wait"]


# -- texts with labels in them -------------------------------------------------------------------------------------


def lookup(labels: Mapping[str, str]) -> Lookup:
    """Where the values of variables come from: labels alone.

    Raises:
        InvalidInput: when a variable is asked for that is no label, or one that is absent or empty.
    """
    def find(variable: Variable) -> Value:
        if variable.space != "labels" or not labels.get(variable.name):
            raise InvalidInput(f"there is no {variable}", "labels: " + (", ".join(sorted(labels)) or "none"))
        return Value(labels[variable.name])

    return find


def filled(text: str, labels: Mapping[str, str]) -> str:
    """The text, one line, with each `${labels.NAME}` replaced by the label's value; values are never read again.

    Raises:
        InvalidInput: a label is absent or empty, or its value has several lines.
    """
    return one_line(text, lookup(labels))


# -- when ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OnAlert:
    """An alert that fits opens; it is over when the alert is."""

    matchers: Matchers


@dataclass(frozen=True, slots=True)
class OnBudget:
    """The error budget of an objective passes into one of the zones; it is over when it leaves them."""

    objective: str
    zones: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OnSchedule:
    """Again and again: every so often since midnight UTC, or at a time of day of a zone on certain days.

    With a condition, the condition is asked then, and it is the trigger: it begins when it holds and is over when it
    does not.
    """

    every: timedelta | None = None
    at: int | None = None
    days: frozenset[int] = frozenset(range(7))
    zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Called:
    """Somebody, or something, calls it by name: `mainstay runbook trigger NAME`, or the same over HTTP."""


When = OnAlert | OnBudget | OnSchedule | Called

Throttling = Literal["once_within", "once_after", "accumulate_within"]
"""ansible-rulebook's three, with its names."""


@dataclass(frozen=True, slots=True)
class Throttle:
    """Which of many triggers count.

    Args:
        kind: `once_within`: the first, then none of its group for `length`. `once_after`: what came of a group within
            `length` together, when that time is over. `accumulate_within`: when `count` of a group came in `length`.
        group_by: labels; triggers that agree in them are a group. None of them: the target.
    """

    kind: Throttling
    length: timedelta
    count: int = 1
    group_by: tuple[str, ...] = ()


# -- if, and whether it helped ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ActCheck:
    """An act that only looks succeeds: a query compares, an address answers, a command exits well.

    Args:
        act: with variables, of labels alone.
    """

    act: Act

    def __str__(self) -> str:
        match self.act:
            case Metric() as metric:
                return f"{metric.query} {metric.operator} {metric.threshold:g}"
            case Http() as http:
                return f"{http.url} answers"
            case Command() as command:
                return " ".join(command.argv)
            case other:
                return other.kind


@dataclass(frozen=True, slots=True)
class HostCheck:
    """How busy this host is, or a workload's process on it.

    Args:
        measure: `memory` (of all memory there is) or `cpu` (of all cores), as a share 0..1.
        workload: whose process; empty for the whole host.
    """

    measure: Literal["memory", "cpu"]
    operator: str
    threshold: float
    workload: str = ""

    def __str__(self) -> str:
        return f"{self.measure} of {self.workload or 'this host'} {self.operator} {self.threshold:.0%}"


@dataclass(frozen=True, slots=True)
class BudgetCheck:
    """So much of an objective's error budget is left, as a share 0..1."""

    objective: str
    least: float

    def __str__(self) -> str:
        return f"{self.objective} has {self.least:.0%} of its budget left"


Check = ActCheck | HostCheck | BudgetCheck


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours of the week in a zone in which it may begin; with `outside`, in which it may not."""

    zone: str
    weekly: tuple[WeeklyHours, ...]
    outside: bool = False


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What must be so besides, when the runbook is about to begin; asked once."""

    hours: Hours | None = None
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class Verification:
    """How one knows that it helped.

    Args:
        over: what triggered it must be over.
        checks: what must hold besides.
        within: by when the first moment of health must have come, from the end of the run.
        hold: how long health must last without a break.
        every: how often the checks are asked.
    """

    over: bool = True
    checks: tuple[Check, ...] = ()
    within: timedelta = timedelta(minutes=5)
    hold: timedelta = timedelta(minutes=2)
    every: timedelta = timedelta(seconds=10)


# -- limits --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Limits:
    """What it never does.

    Args:
        attempts: runs on one target within `within`, until one was verified; one that crashed counts.
        concurrent: targets it works on at once, from the beginning of the run to the end of the verification. On one
            target there is never more than one, of any remediation.
        share: of the fleet, how much it may have touched within `within`, 0..1; rounded down, but one may be.
        fleet: how many targets there are; 0 where nobody said, then no share holds.
        stop_after: failures in a row, on any targets, after which it does nothing until a person resumes it.
        cool_down: rest of a target between two runs on it.
        flaps: how often within `flap_within` a target may be healed before it is a person's business.
        run: how long a run may take before a person is told.
        wait: how long it may wait for a lock, a slot, or a rest before a person is told.
    """

    attempts: int = 3
    within: timedelta = timedelta(hours=1)
    concurrent: int = 1
    share: float = 1.0
    fleet: int = 0
    stop_after: int = 5
    cool_down: timedelta = timedelta(minutes=5)
    flaps: int = 3
    flap_within: timedelta = timedelta(hours=6)
    run: timedelta = timedelta(minutes=30)
    wait: timedelta = timedelta(minutes=30)

    @property
    def reach(self) -> int:
        """How many targets it may touch within `within`; 0 where that is not limited."""
        return max(1, int(self.share * self.fleet + 1e-9)) if self.fleet and self.share < 1 else 0


@dataclass(frozen=True, slots=True)
class Remediation:
    """A rule.

    Args:
        target: what it acts on, with labels; attempts are counted and locks are held by it.
        inputs: of the runbook, with labels.
        saved: what a person would have spent on it each time; None: as long as the runbook takes people by hand.
        severity: of the alert that tells a person, where it escalates.
    """

    name: str
    origin: Position
    when: When
    target: str
    runbook: str
    service: str = ""
    title: str = ""
    mode: Mode = "observe"
    inputs: Mapping[str, str] = field(default_factory=dict)
    throttle: Throttle | None = None
    condition: Circumstances = field(default_factory=Circumstances)
    limits: Limits = field(default_factory=Limits)
    verify: Verification = field(default_factory=Verification)
    locked: WhenLocked = "leave"
    severity: str = "SEV2"
    saved: timedelta | None = None

    @property
    def ends(self) -> bool:
        """Whether what triggers it is over some time, so that one can wait for that."""
        return isinstance(self.when, OnAlert | OnBudget) or self.held

    @property
    def held(self) -> bool:
        """Whether its condition is what triggers it: asked on a schedule, it begins and ends as an alert does."""
        return isinstance(self.when, OnSchedule) and bool(self.condition.checks)
