"""The chaos monkey: experiments at times that nobody planned, within bounds that somebody set.

At each look every experiment on its list has a draw of its own, worked out from the seed, the moment of the look and
the experiment's name: who runs the simulation sees exactly what will happen, as far as budgets and incidents allow. At
most one experiment is begun per look. Pure: what was begun before, and how budgets stand, is given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from mainstay.chaos.spec import Experiment, Hours
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.finding import Position
from mainstay.kernel.quantity import Span, zone_named
from mainstay.kernel.wallclock import hours_in, local_of

STRIKES, DRAWN, NOT_DRAWN, CLOSED, HOLIDAY, TOO_SOON, EXCEPTED, BUDGET_LOW, BUDGET_UNKNOWN, INCIDENT = (
    "strikes", "drawn", "not drawn", "outside its hours", "holiday", "too soon", "excepted", "budget low",
    "budget unknown", "incident open")
"""What becomes of an experiment at a look; `drawn` is one whose draw succeeded when another's did too and won."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An experiment on the list.

    Args:
        probability: that it is drawn at a look, 0..1.
        between: not again sooner than so long after it began.
    """

    experiment: str
    probability: float
    where: Position
    between: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class ChaosMonkey:
    """A monkey as declared.

    Args:
        every: looks are so far apart, counted from midnight UTC of the first day of the calendar.
        hours: when it may begin anything; by default Monday to Friday from nine to three, so that those who can mend
            it are at work until the evening.
        holidays: days of that zone on which it rests.
        between: no two experiments of it begin closer together.
        keep: share of every objective's budget that must be left, 0..1; None does not look.
        excepted: workloads, services or experiments that it leaves alone.
        dry_run: whether `mainstay serve` only writes down what it would begin.
    """

    name: str
    origin: Position
    candidates: tuple[Candidate, ...]
    owner: str = ""
    every: timedelta = timedelta(hours=1)
    hours: Hours = field(default_factory=Hours)
    holidays: tuple[date, ...] = ()
    between: timedelta = timedelta(days=1)
    keep: float | None = 0.5
    excepted: tuple[str, ...] = ()
    seed: int = 0
    dry_run: bool = True


class Strike(NamedTuple):
    """An experiment that the monkey began."""

    at: datetime
    experiment: str


@dataclass(frozen=True, slots=True)
class Circumstances:
    """How things stand when the monkey looks.

    Args:
        left: the smallest share of budget left among the objectives an experiment spends, by experiment; None where
            nothing was measured. An experiment that is not in it has no objectives.
        incidents: open ones, by experiment.
        targets: what each experiment touches: workload, service.
    """

    left: Mapping[str, float | None] = field(default_factory=dict)
    incidents: Mapping[str, str] = field(default_factory=dict)
    targets: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Choice:
    """What became of one experiment at one look; the field names are stable JSON.

    Args:
        drawn: the number drawn, 0..1; the experiment is drawn when it is below the probability.
    """

    at: datetime
    experiment: str
    outcome: str
    drawn: float
    probability: float
    why: str = ""


def look_of(monkey: ChaosMonkey, now: datetime) -> datetime:
    """The look that this moment belongs to: each happens once, however often it is asked for."""
    step = int(monkey.every.total_seconds())
    return datetime.fromtimestamp(int(now.timestamp()) // step * step, UTC)


def next_look(monkey: ChaosMonkey, now: datetime) -> datetime:
    """The first look after this moment."""
    return look_of(monkey, now) + monkey.every


def draw(monkey: ChaosMonkey, look: datetime, experiment: str) -> float:
    """The number drawn, 0 to below 1: the same on every machine for the same seed, look and experiment."""
    text = f"{monkey.seed}\n{monkey.name}\n{look:%Y-%m-%dT%H:%M:%S}\n{experiment}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest()) / 2**56


def choose(monkey: ChaosMonkey, look: datetime, history: Sequence[Strike],
           circumstances: Circumstances = Circumstances()) -> tuple[Choice, ...]:  # noqa: B008  (it is frozen)
    """What becomes of each experiment at the look; at most one strikes: of those drawn, the one drawn most clearly."""
    closed, why_closed = _closed(monkey, look)
    latest = max((one.at for one in history), default=None)
    choices = []
    for one in monkey.candidates:
        number = draw(monkey, look, one.experiment)
        if closed:
            outcome, why = closed, why_closed
        elif number >= one.probability:
            outcome, why = NOT_DRAWN, ""
        else:
            outcome, why = _barred(monkey, one, (look, history, latest), circumstances)
        choices.append(Choice(look, one.experiment, outcome, number, one.probability, why))
    drawn = sorted((one for one in choices if one.outcome == STRIKES), key=lambda one: one.drawn / one.probability)
    losers = {one.experiment for one in drawn[1:]}
    return tuple(Choice(one.at, one.experiment, DRAWN, one.drawn, one.probability, f"{drawn[0].experiment} goes first")
                 if one.experiment in losers and one.outcome == STRIKES else one for one in choices)


def _closed(monkey: ChaosMonkey, look: datetime) -> tuple[str, str]:
    zone = zone_named(monkey.hours.zone)
    day = local_of(look, zone).date()
    if day in monkey.holidays:
        return HOLIDAY, f"{day} is a holiday"
    if monkey.hours.weekly and not hours_in(monkey.hours.weekly, zone, Span(look, look + timedelta(seconds=1))):
        return CLOSED, ", ".join(map(str, monkey.hours.weekly)) + f" {monkey.hours.zone}"
    return "", ""


def _barred(monkey: ChaosMonkey, one: Candidate, past: tuple[datetime, Sequence[Strike], datetime | None],
            circumstances: Circumstances) -> tuple[str, str]:
    look, history, latest = past
    touched = circumstances.targets.get(one.experiment, frozenset()) | {one.experiment}
    if named := sorted(touched & set(monkey.excepted)):
        return EXCEPTED, f"{named[0]} is left alone"
    if latest is not None and look - latest < monkey.between:
        return TOO_SOON, f"the last one began {latest:%a %-d %b %H:%M} UTC"
    own = max((each.at for each in history if each.experiment == one.experiment), default=None)
    if own is not None and look - own < one.between:
        return TOO_SOON, f"it began {own:%a %-d %b %H:%M} UTC"
    if incident := circumstances.incidents.get(one.experiment):
        return INCIDENT, f"{incident} is open"
    if monkey.keep is not None and one.experiment in circumstances.left:
        left = circumstances.left[one.experiment]
        if left is None:
            return BUDGET_UNKNOWN, "nothing was measured"
        if left < monkey.keep:
            return BUDGET_LOW, f"{left * 100:.0f} % of the budget is left, {monkey.keep * 100:.0f} % must be"
    return STRIKES, ""


def simulate(monkey: ChaosMonkey, span: Span, history: Sequence[Strike],
             circumstances: Circumstances = Circumstances()) -> Iterator[Choice]:  # noqa: B008  (it is frozen)
    """Everything that would happen in the span if things stayed as they are: every look at which something was drawn.

    Looks at which nothing was drawn, or at which it rests, are left out.
    """
    # Of what it began, the last of each experiment decides: years of history must not make every look longer.
    past: dict[str, Strike] = {}
    for strike in sorted(history):
        past[strike.experiment] = strike
    look = look_of(monkey, span.start)
    if look < span.start:
        look += monkey.every
    while look < span.end:
        for one in choose(monkey, look, tuple(past.values()), circumstances):
            if one.outcome == STRIKES:
                past[one.experiment] = Strike(look, one.experiment)
            if one.outcome not in (NOT_DRAWN, CLOSED, HOLIDAY):
                yield one
        look += monkey.every


def touched_by(experiment: Experiment, services: Mapping[str, str]) -> frozenset[str]:
    """Everything by whose name an experiment can be excepted: its workloads, dependencies and their services.

    Args:
        services: by workload.
    """
    names = {experiment.target, experiment.service,
             *(name for phase in experiment.phases for fault in phase.faults
               for name in (fault.workload, fault.dependency))}
    return frozenset(names | {services.get(name, "") for name in names}) - {""}
