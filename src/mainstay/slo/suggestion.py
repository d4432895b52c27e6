"""Which target a history supports: the strictest one that almost every past window would have kept with room to spare.

A target is a promise about windows, so it is judged on windows: every window of the objective's length that lies
inside the history, one a day. A candidate is supported when at least 95 % of them would have kept it with a fifth of
the budget left. What a dependency promises is a ceiling, and a budget of too few events cannot be measured; both are
said.

Source: Google SRE Workbook, ch. 2 "Implementing SLOs" (start from measured performance, then refine).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from decimal import Decimal

import numpy as np

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.quantity import Target, format_duration, format_share, plain
from mainstay.kernel.series import FloatArray, Series
from mainstay.stats.budget import dependency_ceiling, requests_so_one_failure_costs_at_most
from mainstay.stats.compliance import Running

CANDIDATES = tuple(Target.percent(text) for text in (
    "90", "95", "97", "98", "99", "99.25", "99.5", "99.75", "99.9", "99.925", "99.95", "99.975", "99.99", "99.995",
    "99.999"))

KEPT_IN = 0.95
"""Share of the past windows that must have kept a target."""
MARGIN = 0.8
"""Share of the budget that they may have spent: a fifth stays as room."""
FEWEST_FAILURES = 10
"""Failures a window must allow for its budget to be more than chance: at 10 the Poisson spread is already ±32 %."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One target tried on the past windows.

    Args:
        kept: share of the windows that met it, 0..1.
        kept_with_margin: share that spent at most `MARGIN` of its budget.
        failures_allowed: bad events that the median window would have allowed.
    """

    target: Target
    kept: float
    kept_with_margin: float
    failures_allowed: float


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What the history supports.

    Args:
        recommended: None when it supports no candidate, or nothing was measured.
        windows: how many past windows were looked at.
        best, worst: the best and worst SLI among them, 0..1; None when nothing was measured.
        reasons, warnings: sentences.
    """

    recommended: Target | None
    candidates: tuple[Candidate, ...]
    windows: int
    best: float | None
    worst: float | None
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _History:
    """The past windows in one look, and the ceiling that the dependencies set."""

    windows: int
    length: timedelta
    measured: timedelta
    sli: FloatArray
    ceiling: Decimal | None


def suggest(series: Series, length: timedelta = timedelta(days=30), *, dependencies: Sequence[Target] = (),
            wanted: Target | None = None) -> Suggestion:
    """The target that the history supports for windows of `length`, with every candidate's record.

    Args:
        series: the history, ideally 90 days or more.
        dependencies: what the services that every answer needs promise.
        wanted: a target somebody has in mind; it is tried too, and warned of.
    """
    bad, total, measured = _windows(series, length)
    if not len(total):
        return Suggestion(None, (), 0, None, None, (), ("nothing was measured, so there is nothing to start from",))
    tried = sorted({*CANDIDATES, *([wanted] if wanted else [])}, key=lambda target: target.ratio)
    candidates = tuple(_try(target, bad, total) for target in tried)
    ceiling = dependency_ceiling(dependencies) if dependencies else None
    history = _History(len(total), length, measured, (total - bad) / total, ceiling)
    found = _strictest(candidates, ceiling)
    doubted = [one for one in candidates if one is found or one.target == wanted]
    return Suggestion(
        found.target if found else None, candidates, len(total), float(history.sli.max()), float(history.sli.min()),
        tuple(_reasons(found, candidates, history)),
        (*_doubts_of_history(history), *(text for one in doubted for text in _doubts_of(one, history))))


def _windows(series: Series, length: timedelta) -> tuple[FloatArray, FloatArray, timedelta]:
    """Bad and total of each past window that counted anything, and how long the measured history is.

    One window ends each day. A history shorter than the window is one window.
    """
    known = np.flatnonzero(series.known)
    if not len(known):
        return np.zeros(0), np.zeros(0), timedelta(0)
    history = series.cut(series.start + int(known[0]) * series.step, series.start + (int(known[-1]) + 1) * series.step)
    running = Running.of(history)
    seconds = min(int(length.total_seconds()), history.end - history.start)
    ends = np.arange(history.end, history.start + seconds - 1, -86_400, dtype=np.int64)
    bad, total = running.between(ends - seconds, ends)
    return bad[total > 0], total[total > 0], history.span.length


def _try(target: Target, bad: FloatArray, total: FloatArray) -> Candidate:
    allowed = total * float(target.budget)
    return Candidate(target, float(np.mean(bad <= allowed)), float(np.mean(bad <= MARGIN * allowed)),
                     float(np.median(allowed)))


def _strictest(candidates: Iterable[Candidate], ceiling: Decimal | None) -> Candidate | None:
    supported = [one for one in candidates if one.kept_with_margin >= KEPT_IN and one.target.ratio < 1
                 and (ceiling is None or one.target.ratio <= ceiling)]
    return max(supported, key=lambda one: one.target.ratio, default=None)


def _reasons(found: Candidate | None, candidates: Sequence[Candidate], history: _History) -> Iterator[str]:
    worst, best = (format_share(float(edge), digits=4) for edge in (history.sli.min(), history.sli.max()))
    many = f"{history.windows} windows of {format_duration(history.length)}, one a day," if history.windows > 1 else \
        f"one window of {format_duration(history.length)}"
    seen = f"{worst} of its" if history.windows == 1 else f"between {worst} and {best} of their"
    yield f"{many} in {format_duration(history.measured)} of history: {seen} events were good"
    if found is None:
        yield "no candidate would have been kept in 95 % of them with a fifth of its budget left"
        return
    if history.windows == 1:
        yield f"{found.target} would have been kept in it with a fifth of the budget left"
    else:
        yield (f"{found.target} would have been kept in {_share(found.kept)} of them, and in "
               f"{_share(found.kept_with_margin)} with a fifth of the budget left")
    stricter = next((one for one in candidates if one.target.ratio > found.target.ratio), None)
    if stricter is None:
        return
    if history.ceiling is not None and stricter.target.ratio > history.ceiling:
        yield _above_ceiling(stricter.target, history.ceiling)
    elif history.windows == 1:
        yield f"{stricter.target} would not have been kept with that room"
    else:
        yield f"{stricter.target} would have been kept with that room in only {_share(stricter.kept_with_margin)}"


def _doubts_of_history(history: _History) -> Iterator[str]:
    measured, length = format_duration(history.measured), format_duration(history.length)
    if history.measured < history.length:
        yield f"the history is {measured} long, shorter than one window of {length}: look again when it is longer"
    elif history.measured < 3 * history.length:
        yield f"the windows of {length} overlap: {measured} of history hold fewer than three separate ones"


def _doubts_of(one: Candidate, history: _History) -> Iterator[str]:
    target = one.target
    if target.budget == 0:
        yield "100 % leaves no error budget: the first failure breaks it, and no change is ever safe"
        return
    if one.failures_allowed < FEWEST_FAILURES:
        needed = requests_so_one_failure_costs_at_most(target, 1 / Decimal(FEWEST_FAILURES))
        yield (f"{target} allows {one.failures_allowed:.1f} failures in {format_duration(history.length)}, too few to "
               f"tell luck from trouble: {needed:,} events are needed for {FEWEST_FAILURES} to be allowed")
    if history.ceiling is not None and target.ratio > history.ceiling:
        yield _above_ceiling(target, history.ceiling)
    if float(target.ratio) > history.sli.max():
        best = format_share(float(history.sli.max()), digits=4)
        yield f"{target} is better than the best window of the history, {best}"


def _share(ratio: float) -> str:
    return f"{ratio * 100:.1f} %".replace(".0 %", " %")


def _above_ceiling(target: Target, ceiling: Decimal) -> str:
    return f"{target} is more than the dependencies allow, which promise {plain(round(ceiling * 100, 6))} % together"
