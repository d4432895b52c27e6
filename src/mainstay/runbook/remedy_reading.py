"""What the operations of remediation answer; the field names are their stable JSON. Pure."""

from __future__ import annotations

from datetime import datetime

from mainstay.kernel.dataclass import dataclass
from mainstay.runbook.remedy_search import Proof
from mainstay.runbook.remedy_simulation import Replay


@dataclass(frozen=True, slots=True)
class CaseReading:
    """Trouble that a rule has in hand; the field names are stable JSON.

    Args:
        run: that goes on for it; empty while none does.
    """

    id: str
    rule: str
    target: str
    phase: str
    attempts: int
    since: datetime
    why: str
    run: str = ""


@dataclass(frozen=True, slots=True)
class DecisionReading:
    """A decision as it is told; the field names are stable JSON."""

    at: datetime
    kind: str
    case: str
    rule: str
    said: str


@dataclass(frozen=True, slots=True)
class RemedyReading:
    """A rule and what it did; the field names are stable JSON.

    Args:
        counts: of its decisions in the last 30 days, by kind.
        failures: in a row, up to now; `stopped`: there were too many, and it does nothing until it is resumed.
    """

    name: str
    title: str
    service: str
    mode: str
    when: str
    runbook: str
    target: str
    stopped: bool
    failures: int
    counts: dict[str, int]
    last: DecisionReading | None


@dataclass(frozen=True, slots=True)
class Remedied:
    """Rules, what they have in hand, what they decided last."""

    remedies: tuple[RemedyReading, ...]
    cases: tuple[CaseReading, ...]
    decisions: tuple[DecisionReading, ...]


@dataclass(frozen=True, slots=True)
class Acted:
    """What was decided at once."""

    decisions: tuple[DecisionReading, ...]


@dataclass(frozen=True, slots=True)
class Simulated:
    """What a rule would have done; the field names are stable JSON.

    Args:
        said: where the alerts were read.
        takes_seconds: how long a run was taken to take; `takes_measured`: on how many runs; 0 where it is assumed.
        person_minutes_each: what a person was taken to spend each time.
        assumed: what else was taken for so, in sentences.
        if_it_helps, if_it_does_not: the replays.
        shown: of the decisions, how many the view shows.
    """

    rule: str
    mode: str
    runbook: str
    start: datetime
    end: datetime
    said: str
    takes_seconds: float
    takes_measured: int
    person_minutes_each: float
    assumed: tuple[str, ...]
    if_it_helps: Replay
    if_it_does_not: Replay
    shown: int = 20


@dataclass(frozen=True, slots=True)
class Proven:
    """What a search through every order of events came to; the field names are stable JSON.

    Args:
        rules: that were looked at together.
        proof: with what broke, if anything did, and the shortest way there.
    """

    rules: tuple[str, ...]
    proof: Proof
