"""A circuit breaker seen from outside: whether calls stop reaching a dependency that fails, how many it took, whether
callers are answered meanwhile, and whether calls come back when the dependency does.

Nothing of the caller is asked: what reaches the dependency is counted on the way there, what callers get is seen at the
caller's door. Pure.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from mainstay.chaos.matrix import Answer
from mainstay.kernel.dataclass import dataclass
from mainstay.stats.order import quantile
from mainstay.stats.shares import Interval, wilson

CLOSED_ENOUGH = 0.5
"""A breaker counts as open while at most this share of the requests reaches the dependency, beyond doubt."""

IN_A_ROW = 10
"""So many requests one after the other that do not reach the dependency are not chance but a breaker."""

_LEAST = 20


class Reached(NamedTuple):
    """So many calls had reached the dependency at that time, in seconds since the fault was proven to be there."""

    at: float
    calls: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What was counted and what callers got.

    Args:
        reached: ascending in time.
        during, after: answers of the requests that need the dependency; `at` counts from when the fault was proven, and
            from when it was gone.
        before: the same while all was well.
    """

    reached: Sequence[Reached]
    before: Sequence[Answer]
    during: Sequence[Answer]
    after: Sequence[Answer]


@dataclass(frozen=True, slots=True)
class BreakerSeen:
    """What that proves; the field names are stable JSON.

    Args:
        verdict: `works`, `does not open`, `does not close again`, `leaves callers waiting`, `not known`.
        calls_until_open: that reached the dependency before they stopped, at most (calls that prove the fault are
            among them); None when they did not stop.
        seconds_until_open: likewise.
        share_through: of the requests of the second half, that reached the dependency, with its interval.
        answered: share of requests that got an answer without an error while it was open: the fallback.
        refused_within: half of the failing answers came within so many seconds; None without any.
        closed_after: seconds from the fault's end until every answer was well again; None when they did not become so.
    """

    verdict: str
    why: str
    sent: int
    reached: int
    opened: bool
    calls_until_open: int | None
    seconds_until_open: float | None
    share_through: Interval | None
    answered: float | None
    refused_within: float | None
    closed_after: float | None


def judge(seen: Seen, length: float, patience: float) -> BreakerSeen:
    """What the calls and answers prove.

    Args:
        length: seconds that the fault was there.
        patience: seconds after which a caller has gone.
    """
    late = [one for one in seen.during if one.at >= length / 2]
    if min(len(seen.before), len(late)) < _LEAST:
        few = f"{len(late)} requests in the second half, {_LEAST} are needed"
        return BreakerSeen("not known", few, len(seen.during), round(_at(seen.reached, length)), False, None, None,
                           None, None, None, None)
    through = max(0.0, _at(seen.reached, length) - _at(seen.reached, length / 2))
    share = wilson(min(through, len(late)), len(late))
    opened = share.high < CLOSED_ENOUGH
    calls, seconds = _until_open(seen, length) if opened else (None, None)
    answered = sum(not one.failed for one in late) / len(late)
    refusals = sorted(one.seconds for one in late if one.failed)
    refused = quantile(refusals, 0.5) if refusals else None
    closed = _closed(seen)
    verdict, why = _verdict((opened, share), (refused, patience), closed, len(late))
    return BreakerSeen(verdict, why, len(seen.during), round(_at(seen.reached, length)), opened, calls, seconds, share,
                       answered, refused, closed)


def _verdict(open_: tuple[bool, Interval], refused: tuple[float | None, float], closed: float | None,
             late: int) -> tuple[str, str]:
    opened, share = open_
    if not opened:
        through = f"{share.value * 100:.0f} % of {late} requests"
        return "does not open", f"{through} still reached the dependency in the second half"
    if refused[0] is not None and refused[0] > refused[1] / 2:
        return "leaves callers waiting", f"calls stop, but half of the refusals take {refused[0]:.2f} s or more"
    if closed is None:
        return "does not close again", "requests go on failing after the dependency is back"
    return "works", "calls stop, callers are told at once, and calls come back"


def _at(reached: Sequence[Reached], at: float) -> float:
    """How many had reached it by then."""
    return max((one.calls for one in reached if one.at <= at), default=0.0)


def _until_open(seen: Seen, length: float) -> tuple[int, float]:
    """The calls, and the seconds, after which for the first time so many requests in a row did not reach it."""
    sent = sorted(one.at for one in seen.during)
    came = [now for before, now in pairwise([Reached(0.0, 0.0), *seen.reached]) if now.calls > before.calls]
    for one, following in pairwise([*came, Reached(length, math.inf)]):
        if bisect_left(sent, following.at) - bisect_right(sent, one.at) >= IN_A_ROW:
            return round(one.calls), one.at
    return round(_at(seen.reached, length)), length


def _closed(seen: Seen) -> float | None:
    """From when on every answer was well again."""
    ordered = sorted(seen.after)
    if not ordered or ordered[-1].failed:
        return None
    failed = [one.at for one in ordered if one.failed]
    return failed[-1] if failed else 0.0
