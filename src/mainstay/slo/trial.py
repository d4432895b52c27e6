"""A first budget from files alone: what a survey of events says against a target, without any catalog."""

from __future__ import annotations

from datetime import datetime

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import NoData
from mainstay.kernel.ports import Survey, Surveyed
from mainstay.kernel.quantity import State, Target
from mainstay.stats.budget import NoBudget, Tally, consumption, status_of

ABSENT = "(none)"
"""What a survey says of a field that an event does not have."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line that could not be read: where, why, and its beginning."""

    line: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Day:
    """One UTC day."""

    day: str
    total: float
    bad: float
    sli: float


@dataclass(frozen=True, slots=True)
class LatencyTrial:
    """Durations against a threshold. Percentiles are nearest-rank and exact."""

    threshold_ms: float | None
    good: float | None
    total: float
    sli: float | None
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Spent:
    """Who spent: the group, its bad events, and its share of all bad events, 0..1."""

    key: str
    bad: float
    share: float


@dataclass(frozen=True, slots=True)
class Trial:
    """What `slo try` found; the field names are its stable JSON. `target`, `sli` and `share` are ratios 0..1."""

    lines: int
    parsed: int
    rejected: int
    rejected_samples: tuple[Rejected, ...]
    first: datetime
    last: datetime
    total: float
    bad: float
    sli: float
    target: float
    consumption_percent: float
    remaining_percent: float
    status: State
    by_day: tuple[Day, ...]
    latency: LatencyTrial | None
    top_spenders: tuple[Spent, ...]
    format: str
    files: tuple[str, ...]
    repeated: int
    left_out: int


def trial_of(survey: Survey, found: Surveyed, target: Target) -> Trial:
    """The survey's counts as a budget.

    Raises:
        NoBudget: the target is 100 %.
        NoData: no event was counted.
    """
    if target.budget == 0:
        raise NoBudget("consumption to compute")
    if found.total <= 0 or found.first is None or found.last is None:
        left = f", {found.left_out:,} were left out by --where" if found.left_out else ""
        raise NoData(f"no event to count: {found.lines:,} lines, {found.parsed:,} read, "
                     f"{found.rejected:,} rejected{left}", "check --where, --format and the files")
    tally = Tally(found.bad, found.total)
    spent = consumption(tally, target)
    return Trial(
        lines=found.lines, parsed=found.parsed, rejected=found.rejected,
        rejected_samples=tuple(Rejected(*sample) for sample in found.rejected_samples),
        first=found.first, last=found.last, total=whole(found.total), bad=whole(found.bad), sli=tally.sli,
        target=float(target.ratio), consumption_percent=spent * 100, remaining_percent=(1 - spent) * 100,
        status=status_of(spent), by_day=tuple(Day(day, whole(total), whole(bad), (total - bad) / total)
                                              for day, total, bad in found.by_day if total > 0),
        latency=_latency(survey, found),
        top_spenders=tuple(Spent(spender_key(values), whole(bad), bad / found.bad) for values, bad in found.spenders
                           if bad),
        format=found.format, files=survey.files.paths, repeated=found.repeated, left_out=found.left_out)


def whole(number: float) -> float:
    """The number as an int when it is whole, so that JSON shows a count as a count."""
    return int(number) if number == int(number) else number


def spender_key(values: tuple[str, ...]) -> str:
    """`GET /checkout → 500`: what was asked, and how it ended."""
    *asked, ended = values
    known = [part for part in asked if part and part != ABSENT]
    return f"{' '.join(known)} → {ended}" if known else ended


def _latency(survey: Survey, found: Surveyed) -> LatencyTrial | None:
    if found.latency is None:
        return None
    one = found.latency
    return LatencyTrial(
        threshold_ms=survey.latency * 1000 if survey.latency is not None else None, good=one.good, total=one.total,
        sli=one.good / one.total if one.good is not None and one.total else None,
        p50_ms=one.p50 * 1000, p95_ms=one.p95 * 1000, p99_ms=one.p99 * 1000)
