"""`mainstay/v1 Remediation`: when which runbook runs by itself, within what limits, and how one knows that it helped.

Frozen types only; `remedy_forms` reads them, `remedy_decision` decides by them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import Position
from mainstay.kernel.matcher import Matchers
from mainstay.kernel.wallclock import WeeklyHours

Mode = Literal["observe", "approve", "act"]
"""`observe` records what it would have done; `approve` asks a person each time; `act` does it."""

MODES: tuple[Mode, ...] = ("observe", "approve", "act")
WhenLocked = Literal["leave", "wait"]


# -- texts with labels in them -------------------------------------------------------------------------------------

_LABEL = re.compile(r"\{([A-Za-z_]\w*)\}")
"""`{service}`. PromQL's own braces always hold a comparison, so they are never taken for a label."""


def labels_in(text: str) -> tuple[str, ...]:
    """The labels that the text names, in order."""
    return tuple(dict.fromkeys(_LABEL.findall(text)))


def filled(text: str, labels: Mapping[str, str]) -> str:
    """The text with each `{label}` replaced by the label's value.

    Raises:
        InvalidInput: a label is absent or empty.
    """
    def value(found: re.Match[str]) -> str:
        if not labels.get(found[1]):
            raise InvalidInput(f'there is no label "{found[1]}"', f'labels: {", ".join(sorted(labels)) or "none"}')
        return labels[found[1]]

    return _LABEL.sub(value, text)


def filled_query(text: str, labels: Mapping[str, str]) -> str:
    """A query with each `{label}` replaced by the value as it may stand between PromQL's double quotes.

    Raises:
        InvalidInput: a label is absent or empty.
    """
    quoted = {name: value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
              for name, value in labels.items()}
    return filled(text, quoted)


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
    """Again and again: every so often since midnight UTC, or at a time of day of a zone on certain days."""

    every: timedelta | None = None
    at: int | None = None
    days: frozenset[int] = frozenset(range(7))
    zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class OnCall:
    """Somebody, or something, calls it by name: `mainstay runbook trigger NAME`, or the same over HTTP."""


Trigger = OnAlert | OnBudget | OnSchedule | OnCall

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
class MetricCheck:
    """A figure of a source compares so, at every sample of the stretch that is looked at.

    Args:
        source: a declared DataSource of type Prometheus.
        query: PromQL; `{label}` is replaced by the label's value.
        operator: one of `<`, `<=`, `>`, `>=`, `==`, `!=`.
        length: the stretch before now, where the check itself does not say since when.
    """

    source: str
    query: str
    operator: str
    threshold: float
    length: timedelta

    def __str__(self) -> str:
        return f"{self.query} {self.operator} {self.threshold:g}"


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """The declared workload answers at its health address with success; `{label}` in its name is replaced."""

    workload: str

    def __str__(self) -> str:
        return f"{self.workload} is healthy"


@dataclass(frozen=True, slots=True)
class BudgetCheck:
    """So much of an objective's error budget is left, as a share 0..1."""

    objective: str
    least: float

    def __str__(self) -> str:
        return f"{self.objective} has {self.least:.0%} of its budget left"


Check = MetricCheck | HealthCheck | BudgetCheck


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
    stop_after: int = 3
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
        saved: what a person would have spent on it each time.
        severity: of the alert that tells a person, where it escalates.
    """

    name: str
    origin: Position
    trigger: Trigger
    target: str
    runbook: str
    service: str = ""
    title: str = ""
    mode: Mode = "observe"
    labels: Matchers = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    throttle: Throttle | None = None
    condition: Circumstances = field(default_factory=Circumstances)
    limits: Limits = field(default_factory=Limits)
    verify: Verification = field(default_factory=Verification)
    locked: WhenLocked = "leave"
    severity: str = "SEV2"
    saved: timedelta = timedelta(minutes=15)

    @property
    def ends(self) -> bool:
        """Whether what triggers it is over some time, so that one can wait for that."""
        return isinstance(self.trigger, OnAlert | OnBudget)
