"""Alert policies held against what happened: the four attributes of the SRE Workbook, for each tier and each policy.

    precision        of the alerts, the share that an episode stood behind
    recall           of the episodes, the share that an alert told of
    detection time   from the start of an episode to the first alert that told of it
    reset time       from the end of an episode to the end of the last alert that told of it

An alert tells of an episode when it fired at any time from the episode's start until its short window is over after
the episode's end (its long one where it has no other): what fires later cannot have seen it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Literal

import numpy as np

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.series import BoolArray, FloatArray, Series
from mainstay.monitoring.evaluation import Firings, History, IntArray, Policy, Rule, firings, together
from mainstay.monitoring.truth import Episode, measured
from mainstay.stats.compliance import Running

MONTH = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Score:
    """How a tier, or a whole policy, did. Shares 0..1, times in seconds; None where nothing was there to measure.

    Args:
        alerts: how often it fired.
        right: how many of them told of an episode.
        found: how many episodes it told of.
        detection, reset: median and 95th percentile (nearest rank) over the episodes it told of; episodes whose alert
            still fired when the history ended have no reset time.
        spent: median and 95th percentile of the share of the budget that was spent when it told.
    """

    alerts: int
    right: int
    found: int
    episodes: int
    per_month: float
    detection: tuple[float, float] | None
    reset: tuple[float, float] | None
    spent: tuple[float, float] | None

    @property
    def precision(self) -> float | None:
        """Of the alerts, the share that was right."""
        return self.right / self.alerts if self.alerts else None

    @property
    def recall(self) -> float | None:
        """Of the episodes, the share that was told of."""
        return self.found / self.episodes if self.episodes else None


@dataclass(frozen=True, slots=True)
class Judgement:
    """One policy over one history: each rule's score, and those of all its pages and all its tickets together."""

    policy: Policy
    tiers: tuple[tuple[Rule, Score], ...]
    pages: Score
    tickets: Score
    paged: Firings


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Episodes in arrays, with what is needed to score against them.

    Args:
        start, end: epoch seconds, disjoint, ascending.
        allowed: bad events that make up the whole budget.
        months: length of the history in months of 30 days that were measured.
    """

    start: IntArray
    end: IntArray
    bad: Running
    allowed: float
    months: float

    @classmethod
    def of(cls, series: Series, episodes: Sequence[Episode], allowed: float) -> Truth:
        """The episodes of a series."""
        return cls(np.array([int(one.start.timestamp()) for one in episodes], dtype=np.int64),
                   np.array([math.ceil(one.end.timestamp()) for one in episodes], dtype=np.int64),
                   Running.of(series), allowed, measured(series) / MONTH)


def judge(series: Series, policies: Sequence[Policy], truth: Truth) -> list[Judgement]:
    """Every policy evaluated over the whole series and scored."""
    histories: dict[timedelta, History] = {}
    out = []
    for policy in policies:
        if policy.interval not in histories:
            histories[policy.interval] = History(series, policy.interval)
        fired = [(rule, firings(histories[policy.interval], rule)) for rule in policy.rules]
        pages = [one for rule, one in fired if rule.severity == "page"]
        tickets = [one for rule, one in fired if rule.severity == "ticket"]
        paged = together(pages)
        out.append(Judgement(policy, tuple((rule, score(one, _tail(rule), truth)) for rule, one in fired),
                             score(paged, longest_tail(policy), truth),
                             score(together(tickets), longest_tail(policy, "ticket"), truth),
                             paged))
    return out


def _tail(rule: Rule) -> int:
    return int((rule.short or rule.long).total_seconds())


def longest_tail(policy: Policy, severity: Literal["page", "ticket"] = "page") -> int:
    """Seconds after an episode's end in which one of the policy's pages may still begin because of it."""
    return max((_tail(rule) for rule in policy.rules if rule.severity == severity), default=0)


def explained(fired: Firings, tail: int, truth: Truth) -> BoolArray:
    """Which firings told of an episode."""
    first = np.searchsorted(truth.end + tail, fired.began, side="right")
    behind: BoolArray = first < np.searchsorted(truth.start, fired.ended, side="left")
    return behind


def score(fired: Firings, tail: int, truth: Truth) -> Score:
    """What the firings are worth.

    Args:
        tail: seconds after an episode's end in which an alert may still begin because of it.
    """
    right = int(explained(fired, tail, truth).sum())
    first = np.searchsorted(fired.ended, truth.start, side="right")
    behind = np.searchsorted(fired.began, truth.end + tail, side="left")
    found = np.flatnonzero(first < behind)
    detection = reset = spent = None
    if len(found):
        began = fired.began[first[found]]
        detection = _two(np.maximum(began - truth.start[found], 0).astype(np.float64))
        if truth.allowed > 0:
            lost, _ = truth.bad.between(truth.start[found], np.maximum(began, truth.start[found]))
            spent = _two(lost / truth.allowed)
        last = behind[found] - 1
        over = found[~((last == len(fired) - 1) & fired.open)]
        if len(over):
            reset = _two(np.maximum(fired.ended[behind[over] - 1] - truth.end[over], 0).astype(np.float64))
    return Score(len(fired), right, len(found), len(truth.start), len(fired) / truth.months if truth.months else 0.0,
                 detection, reset, spent)


def _two(values: FloatArray) -> tuple[float, float]:
    """Median and 95th percentile by nearest rank: an element of the values, the ceil(p·n)-th smallest."""
    ordered = np.sort(values)
    return float(ordered[math.ceil(len(ordered) / 2) - 1]), float(ordered[math.ceil(0.95 * len(ordered)) - 1])


# -- what it should be, in closed form ----------------------------------------------------------------------------


def detected_after(rule: Rule, bad_share: float) -> timedelta | None:
    """From the first error to the moment the rule's condition holds, errors going on at `bad_share` after a clean time.

    Returns:
        long × threshold / bad_share, or None when that share never trips it. The hold, a scrape and an evaluation come
        on top.
    Source: SRE Workbook, ch. 5, "detection time".
    """
    return rule.long * (float(rule.threshold) / bad_share) if bad_share > rule.threshold else None


def reset_after(rule: Rule, bad_share: float) -> timedelta | None:
    """From the last error to the moment the condition no longer holds, after errors that filled the last window."""
    last = rule.short or rule.long
    return last * (1 - float(rule.threshold) / bad_share) if bad_share > rule.threshold else None


def spent_at(after: timedelta, bad_share: float, budget: Decimal, window: timedelta) -> float:
    """Share of the budget that errors at `bad_share` spend in that time, at even traffic."""
    return bad_share * (after / window) / float(budget)
