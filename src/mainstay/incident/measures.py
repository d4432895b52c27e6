"""How long incidents take: to be acknowledged, to be resolved, from one to the next. Pure.

What has not ended yet is censored: it says "at least so long", and is neither a zero nor left out. Medians are
Kaplan–Meier's, means are all the time waited over how many ended, intervals are bootstrapped with a given seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from mainstay.incident.severity import Severity
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.journal import Fact

SECOND = timedelta(seconds=1)
RESAMPLES = 1000
_CELLS = 2_000_000
"""Of a table of resamples that is worked on at once: sixteen megabytes."""

KINDS = ("incident.opened", "incident.paged", "incident.acknowledged", "incident.severity-changed",
         "incident.resolved", "incident.reopened", "incident.merged", "page.sent")
"""The facts that cases are made of."""

MACHINES = ("system", "automation")
"""Who acknowledges and resolves without being a person; also what begins with one of these and a colon."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is measured of one incident.

    Args:
        paged: when the first page went out: when its channel took it, or was made where that is not recorded.
        acknowledged: when a person took it first; what a machine acknowledged does not count.
        by_machine: whether a machine acknowledged it.
        resolved: when it was over; None while it is not.
        healed: whether it was resolved because its alerts were over.
        merged: whether it turned out to be part of another.
    """

    id: str
    services: tuple[str, ...]
    severity: Severity
    opened: datetime
    paged: datetime | None = None
    sent: datetime | None = None
    acknowledged: datetime | None = None
    by_machine: bool = False
    resolved: datetime | None = None
    healed: bool = False
    merged: bool = False


def is_machine(who: str) -> bool:
    """Whether that is no person."""
    return who.partition(":")[0] in MACHINES


def cases_of(facts: Iterable[Fact]) -> list[Case]:
    """The incidents that the facts tell of, in the order in which they opened; merged ones are part of others."""
    found: dict[str, Case] = {}
    for fact in facts:
        if fact.kind == "incident.opened":
            # Without a number it was only recorded by hand, to explain lost budget; a test page is no incident.
            if "number" in fact.data and not fact.data.get("test", False):
                found[fact.subject] = Case(fact.subject, tuple(fact.data["services"]),
                                           Severity(fact.data["severity"]), fact.at)
        elif (known := found.get(fact.subject)) is not None:
            found[fact.subject] = _after(known, fact)
    return sorted((one for one in found.values() if not one.merged), key=lambda one: one.opened)


def _after(one: Case, fact: Fact) -> Case:
    match fact.kind:
        case "incident.paged":
            return one if one.paged is not None else replace(one, paged=fact.at)
        case "page.sent":
            first = one.sent is None and str(fact.data["key"]).startswith("page:")
            return replace(one, sent=fact.at) if first else one
        case "incident.acknowledged" if is_machine(fact.data["by"]):
            return replace(one, by_machine=True)
        case "incident.acknowledged":
            return one if one.acknowledged is not None else replace(one, acknowledged=fact.at)
        case "incident.severity-changed":
            to = Severity(fact.data["to"])
            return replace(one, severity=to) if to.worse_than(one.severity) else one
        case "incident.resolved":
            return replace(one, resolved=fact.at, healed=fact.data.get("by") == "system")
        case "incident.reopened":
            return replace(one, resolved=None, healed=False)
        case "incident.merged":
            return replace(one, merged=True)
        case _:
            return one


# -- waits --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wait:
    """Seconds until something ended; or, when it did not end yet (`ended` False), at least so many."""

    seconds: float
    ended: bool = True


def to_acknowledge(cases: Iterable[Case], now: datetime) -> list[Wait]:
    """From the first page to a person's acknowledgement; incidents that paged nobody are no waits."""
    out = []
    for one in cases:
        end = one.acknowledged or one.resolved or now
        # Who answers while the page is on its way has seen the incident elsewhere: counted from when it was made.
        begun = one.sent if one.sent is not None and one.sent <= end else one.paged
        if begun is not None:
            out.append(Wait(max((end - begun) / SECOND, 0.0), one.acknowledged is not None))
    return out


def to_resolve(cases: Iterable[Case], now: datetime) -> list[Wait]:
    """From opening to the end."""
    return [Wait(((one.resolved or now) - one.opened) / SECOND, one.resolved is not None) for one in cases]


def between(cases: Sequence[Case], now: datetime) -> list[Wait]:
    """From one incident's opening to the next one's; the last of these waits goes on."""
    opened = sorted(one.opened for one in cases)
    return [*(Wait((later - earlier) / SECOND) for earlier, later in pairwise(opened)),
            *(Wait((now - last) / SECOND, ended=False) for last in opened[-1:])]


@dataclass(frozen=True, slots=True)
class Measure:
    """How long something takes, in seconds.

    Args:
        count: waits, those that did not end among them.
        censored: of these, how many did not end yet.
        median: None when not even half of them ended (Kaplan–Meier), or there are none.
        low, high: the 95 % bootstrap interval of the median; `high` is None where it is beyond what was seen.
        p90: None when too few ended to tell.
        mean: all the time waited over how many ended (the estimate for exponential times with right censoring);
            None when none ended.
    """

    count: int
    censored: int
    median: float | None
    low: float | None
    high: float | None
    p90: float | None
    mean: float | None


def measure(waits: Sequence[Wait], seed: int = 1, resamples: int = RESAMPLES) -> Measure:
    """The measure of these waits; the same seed gives the same interval."""
    if not waits:
        return Measure(0, 0, None, None, None, None, None)
    # Of equal times, those that ended come first: who was seen that long was at risk until then.
    ordered = sorted(waits, key=lambda one: (one.seconds, not one.ended))
    seconds = np.array([one.seconds for one in ordered])
    ended = np.array([one.ended for one in ordered], dtype=np.float64)
    once = np.ones((1, len(ordered)))
    low, high = _interval(seconds, ended, seed, resamples)
    total = int(ended.sum())
    return Measure(
        len(ordered), len(ordered) - total, _finite(_quantiles(seconds, ended, once, 0.5)[0]), low, high,
        _finite(_quantiles(seconds, ended, once, 0.9)[0]), float(seconds.sum()) / total if total else None)


def _quantiles(seconds: Any, ended: Any, weights: Any, share: float) -> Any:
    """For each row of weights (how often each wait counts), when that share has ended; infinite where it has not.

    Source: Kaplan and Meier, "Nonparametric Estimation from Incomplete Observations", JASA 53 (1958).
    """
    at_risk = np.cumsum(weights[:, ::-1], axis=1)[:, ::-1]
    stays = 1 - np.divide(weights * ended, at_risk, out=np.zeros_like(at_risk), where=at_risk > 0)
    reached = np.cumprod(stays, axis=1) <= 1 - share + 1e-12
    first = reached.argmax(axis=1)
    return np.where(reached.any(axis=1), seconds[first], np.inf)


def _interval(seconds: Any, ended: Any, seed: int, resamples: int) -> tuple[float | None, float | None]:
    """The middle 95 % of the medians of resamples (Efron's percentile interval)."""
    count = len(seconds)
    if count < 2:
        return None, None
    random = np.random.default_rng(seed)
    medians, rows = [], max(1, min(resamples, _CELLS // count))
    for start in range(0, resamples, rows):
        weights = random.multinomial(count, np.full(count, 1 / count), size=min(rows, resamples - start))
        medians.append(_quantiles(seconds, ended, weights.astype(np.float64), 0.5))
    ranked = np.sort(np.concatenate(medians))
    # By rank, not interpolated: between something and infinity there is nothing to interpolate.
    return _finite(ranked[int(0.025 * resamples)]), _finite(ranked[min(int(0.975 * resamples), resamples - 1)])


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


# -- where it is heading ------------------------------------------------------------------------------------------

Direction = Literal["improving", "degrading", "stable", "insufficient_data"]
_RECENT = 5
_NOTICED = 0.1


def trend(values: Sequence[float], *, better: Literal["lower", "higher"], ceiling: float | None = None) -> Direction:
    """Which way a row of figures is heading: the mean of the last five beside the mean of up to five before them.

    A tenth more or less is a change. Five or fewer figures say nothing. Lower is better for times and shares of
    failures; where higher is better and there is a ceiling (100 for an availability in percent), what is missing to
    it is compared, for 99.9 and 99.5 differ by less than a hundredth and by five times the failures.
    """
    recent, older = list(values[-_RECENT:]), list(values[-2 * _RECENT:-_RECENT])
    if not older:
        return "insufficient_data"
    if ceiling is not None:
        recent, older, better = [ceiling - one for one in recent], [ceiling - one for one in older], "lower"
    now, before = sum(recent) / len(recent), sum(older) / len(older)
    if abs(now - before) <= _NOTICED * abs(before):
        return "stable"
    return "improving" if (now < before) == (better == "lower") else "degrading"


# -- everything together ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Measures:
    """Incidents of one service, one severity, or all of them; the field names are stable JSON.

    Args:
        group: what they have in common; empty for all.
        acknowledged_by_machine, healed: counted apart from what people did.
        incidents: the rows behind the figures.
        direction: where the time to resolve is heading, by the medians of the weeks.
    """

    group: str
    count: int
    acknowledge: Measure
    resolve: Measure
    between: Measure
    acknowledged_by_machine: int
    healed: int
    direction: Direction
    incidents: tuple[str, ...] = field(default=())


def measures(cases: Sequence[Case], now: datetime, group: str = "", seed: int = 1) -> Measures:
    """What these cases say together."""
    return Measures(
        group, len(cases), measure(to_acknowledge(cases, now), seed), measure(to_resolve(cases, now), seed),
        measure(between(cases, now), seed), sum(one.by_machine for one in cases), sum(one.healed for one in cases),
        trend(weekly(cases, now), better="lower"), tuple(one.id for one in cases))


def weekly(cases: Iterable[Case], now: datetime) -> list[float]:
    """The median time to resolve of each week (ISO, Monday to Sunday, UTC) in which incidents opened that ended."""
    weeks: dict[tuple[int, int], list[Case]] = {}
    for one in cases:
        year, week, _ = one.opened.isocalendar()
        weeks.setdefault((year, week), []).append(one)
    medians = (measure(to_resolve(those, now), resamples=1).median for _, those in sorted(weeks.items()))
    return [one for one in medians if one is not None]


def grouped(cases: Sequence[Case], by: Literal["service", "severity"]) -> Mapping[str, list[Case]]:
    """The cases by what they have in common; one of several services is in each of them."""
    out: dict[str, list[Case]] = {}
    for one in cases:
        for name in (one.services or ("–",)) if by == "service" else (str(one.severity),):
            out.setdefault(name, []).append(one)
    return dict(sorted(out.items()))
