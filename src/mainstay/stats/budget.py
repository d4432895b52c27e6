"""The arithmetic of error budgets. Standard library only, so that it runs on a bare Python.

One formula carries the room: with a target, b = 1 - target is the share of events that may fail, and

    burn = share that failed / b

Over the objective's whole window the same number is the share of the budget that is spent. It is never clamped:
1.04 says that 4 % more was lost than was allowed. A target of 100 % leaves no budget: its burn is 0 while nothing
failed and infinite afterwards, and questions that need a budget to divide by raise `NoBudget`.

Sources: Google SRE Workbook, ch. 2 "Implementing SLOs" and ch. 5 "Alerting on SLOs".
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import timedelta
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from functools import lru_cache
from typing import Literal, NamedTuple

from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.quantity import State, Target


class NoBudget(InvalidInput):
    """The target is 100 %: there is no budget that the question could be about."""

    code = "no-budget"

    def __init__(self, question: str) -> None:
        super().__init__(f"a target of 100 % leaves no error budget, so there is no {question}",
                         "promise less than 100 %, such as 99.9")


class Tally(NamedTuple):
    """Counted events: requests, seconds, slices; a failure, a slow answer or a second of downtime is `bad`.

    Args:
        bad: 0 <= bad <= total.
        total: > 0; where nothing was counted there is no tally, which is written `None`.
    """

    bad: float
    total: float

    @property
    def bad_share(self) -> float:
        """Share of bad events, 0..1."""
        return self.bad / self.total

    @property
    def sli(self) -> float:
        """Share of good events, 0..1."""
        return (self.total - self.bad) / self.total


def sum_of(parts: Iterable[Tally | None]) -> Tally | None:
    """One tally of several stretches, Σbad and Σtotal; None when none of them counted anything."""
    counted = [part for part in parts if part is not None]
    if not counted:
        return None
    return Tally(math.fsum(part.bad for part in counted), math.fsum(part.total for part in counted))


# -- spent and left -----------------------------------------------------------------------------------------------


def burn_rate(bad_share: float | Decimal, target: Target) -> float:
    """How many times faster than allowed the budget is being spent.

    Args:
        bad_share: share of bad events, 0..1, not rounded; a Decimal keeps the answer exact.
    Returns:
        bad_share / (1 - target), >= 0; 1.0 spends the budget in exactly one window. Infinite when the target is 100 %
        and anything failed.
    Source: SRE Workbook, ch. 5.
    """
    if target.budget == 0:
        return math.inf if bad_share > 0 else 0.0
    if isinstance(bad_share, Decimal):
        return float(bad_share / target.budget)
    return bad_share / float(target.budget)


def consumption(tally: Tally, target: Target) -> float:
    """Share of the budget spent by what was counted over the objective's window: 1.0 is all, more is overspent."""
    return burn_rate(tally.bad_share, target)


def remaining(spent: float) -> float:
    """Share of the budget that is left; negative when overspent."""
    return 1 - spent


def status_of(spent: float | None, *, fast_burn: bool = False) -> State:
    """The state of an objective, one of the four that every face shows.

    `violated` when more than the budget is spent, which is the same as an SLI below the target; `at_risk` when more
    than 75 % of it is spent or the fast-burn alert is on; `no_data` when nothing was counted; else `healthy`. A budget
    spent to the last event is at risk and not violated: the promise is still kept.
    """
    if spent is None:
        return "no_data"
    if round(spent, 9) > 1:
        return "violated"
    return "at_risk" if round(spent, 9) > 0.75 or fast_burn else "healthy"


def allowed(target: Target, total: float) -> float:
    """How much of `total` may be bad: failures or slow answers among so many requests, slices among so many."""
    return float(target.budget * Decimal(total))


def burn_of(spent: float, elapsed: float, window: float) -> float:
    """Burn rate from a share of the window's budget spent in a part of the window: 0.15 in half of it is 0.3.

    Args:
        spent: share of the whole window's budget, >= 0.
        elapsed, window: in one unit, 0 <= elapsed <= window.
    Returns:
        Infinite when something was spent in no time.
    Raises:
        InvalidInput: a negative number, no window, or more elapsed than the window holds.
    """
    if not (math.isfinite(spent) and spent >= 0):
        raise InvalidInput(f"consumption {spent:g} is not a share of a budget", "write 0.35 for 35 %")
    if not (math.isfinite(window) and window > 0):
        raise InvalidInput(f"a window of {window:g} hours has no length", "write the window's hours, such as 720")
    if not 0 <= elapsed <= window:
        raise InvalidInput(f"{elapsed:g} elapsed hours do not lie inside a window of {window:g} hours",
                           "write how much of the window is over, from 0 to its length")
    if elapsed == 0:
        return math.inf if spent > 0 else 0.0
    return spent / (elapsed / window)


class StraightLine(NamedTuple):
    """Where a budget ends if it goes on being spent as it was so far.

    Args:
        verdict: `exhausted` already, `exhausts` before the window ends, or `not_before_end`.
        burn: multiple of the allowed speed that the line goes on with.
        left: until the budget is spent, in the caller's unit; 0 when exhausted, None when not before the window ends.
        spent_at_end: share of the budget spent when the window ends.
    """

    verdict: Literal["exhausted", "exhausts", "not_before_end"]
    burn: float
    left: float | None
    spent_at_end: float


def straight_line(spent: float, elapsed: float, window: float) -> StraightLine:
    """The straight line through (0, 0) and (elapsed, spent), compared with what is left of the window.

    For windows with an end: calendar periods and the hours of a calculation. A rolling window forgets old errors; see
    `mainstay.slo.exhaustion`. A line that reaches the budget exactly at the end does not reach it before the end.

    Args:
        spent: share of the whole window's budget.
        elapsed, window: in one unit, 0 <= elapsed <= window.
    """
    return line_at(burn_of(spent, elapsed, window), spent, elapsed, window)


def line_at(burn: float, spent: float, elapsed: float, window: float) -> StraightLine:
    """The same from here on at another burn than the one so far, such as that of the last hour.

    Args:
        burn: multiple of the allowed speed from now on.
        spent: share of the whole window's budget spent by now.
    """
    rest = (window - elapsed) / window
    spent_at_end = spent + burn * rest if rest else spent
    if spent >= 1:
        return StraightLine("exhausted", burn, 0.0, spent_at_end)
    if round(spent_at_end, 12) <= 1:
        return StraightLine("not_before_end", burn, None, spent_at_end)
    left = 0.0 if math.isinf(burn) else (1 - spent) * window / burn
    return StraightLine("exhausts", burn, left, spent_at_end)


def spent_of_period(burn_so_far: float, elapsed: float, period: float) -> float:
    """Share of a whole period's budget spent by its first part, when the rest brings as many events a day as the first.

    A calendar month that is 10 days old and burned at 1.5 so far has spent half of the month's budget.
    """
    return burn_so_far * elapsed / period


# -- alerts on burn -----------------------------------------------------------------------------------------------


class Tier(NamedTuple):
    """One rung of multi-window, multi-burn-rate alerting.

    Args:
        spends: share of the budget that may go in the long window before somebody is told.
        hold: how long the condition must last (`for`), as the kubernetes-mixin and slo-libsonnet have it.
    """

    severity: Literal["page", "ticket"]
    long: timedelta
    spends: Decimal
    hold: timedelta


TIERS = (
    Tier("page", timedelta(hours=1), Decimal("0.02"), timedelta(minutes=2)),
    Tier("page", timedelta(hours=6), Decimal("0.05"), timedelta(minutes=15)),
    Tier("ticket", timedelta(days=1), Decimal("0.10"), timedelta(hours=1)),
    Tier("ticket", timedelta(days=3), Decimal("0.10"), timedelta(hours=3)),
)
"""2 % in 1 h, 5 % in 6 h, 10 % in 1 d, 10 % in 3 d: SRE Workbook, ch. 5, the 1 d row as in Sloth and the mixins."""


class BurnAlert(NamedTuple):
    """A tier worked out for one target and one window. Both windows must burn above `factor` for the alert to trip.

    Args:
        factor: burn rate above which it trips, spends × window / long; exact.
        threshold: the same as a share of bad events, factor × (1 - target); exact.
        short: long / 12, the window that makes the alert stop soon after the trouble does.
        exhausts_in: how long a full budget lasts at this burn, window / factor.
        faults: why the alert is of no use for this target and window; empty when it is.
    """

    tier: Tier
    factor: Decimal
    threshold: Decimal
    short: timedelta
    exhausts_in: timedelta
    faults: tuple[str, ...]

    def trips(self, long_burn: float | None, short_burn: float | None) -> bool:
        """Whether both windows burn above the factor; a window without data trips nothing."""
        if long_burn is None or short_burn is None:
            return False
        factor = float(self.factor)
        return long_burn > factor and short_burn > factor


def burn_alerts(target: Target, window: timedelta, tiers: Iterable[Tier] = TIERS) -> tuple[BurnAlert, ...]:
    """Every tier worked out for the target and the objective's window, with its faults if it has any.

    Raises:
        NoBudget: the target is 100 %.
    """
    if target.budget == 0:
        raise NoBudget("burn rate to alert on")
    return tuple(_alert(tier, target, window) for tier in tiers)


@lru_cache(maxsize=512)
def _alert(tier: Tier, target: Target, window: timedelta) -> BurnAlert:
    factor = tier.spends * _seconds(window) / _seconds(tier.long)
    threshold = factor * target.budget
    faults = []
    if tier.long >= window:
        faults.append("its long window is not shorter than the objective's window")
    if factor < 1:
        faults.append("it trips while the budget is kept (factor below 1)")
    if threshold >= 1:
        faults.append("it can never trip: more than every event would have to fail")
    return BurnAlert(tier, factor, threshold, tier.long / 12, window / float(factor), tuple(faults))


def _seconds(length: timedelta) -> Decimal:
    return Decimal(length // timedelta(microseconds=1)).scaleb(-6)


def detection_time(alert: BurnAlert, bad_share: float) -> timedelta | None:
    """From the first error to the moment the long window trips, errors going on at `bad_share` after a clean time.

    Returns:
        long × threshold / bad_share, or None when that share never trips it. The alert's `hold`, a scrape and an
        evaluation come on top.
    Source: SRE Workbook, ch. 5, "detection time".
    """
    if bad_share <= alert.threshold:
        return None
    return alert.tier.long * (float(alert.threshold) / bad_share)


def reset_time(alert: BurnAlert, bad_share: float) -> timedelta | None:
    """From the last error to the moment the short window lets the alert go; None when that share never trips it."""
    if bad_share <= alert.threshold:
        return None
    return alert.short * (1 - float(alert.threshold) / bad_share)


# -- little traffic -----------------------------------------------------------------------------------------------


def requests_so_one_failure_does_not_page(alert: BurnAlert) -> int:
    """Fewest requests in the long window among which a single failure does not trip it: 1 / (factor × budget)."""
    return int((1 / alert.threshold).to_integral_value(ROUND_CEILING))


def requests_so_one_failure_costs_at_most(target: Target, share: Decimal) -> int:
    """Fewest requests in the objective's window among which one failure spends at most `share` of the budget.

    Raises:
        NoBudget: the target is 100 %.
    """
    if target.budget == 0:
        raise NoBudget("share of it that one failure may cost")
    return int((1 / (share * target.budget)).to_integral_value(ROUND_CEILING))


def chance_of_false_page(requests: int, bad_share: float, alert: BurnAlert) -> float:
    """Chance that a long window of so many requests trips although the true share of failures is `bad_share`.

    The upper tail of a binomial distribution, P(failures / requests > threshold), failures independent of each other.
    100 requests an hour that fail once in 1,000 trip the first tier of 99.9 % in 0.464 % of the hours.
    """
    return binomial_tail(requests, int((alert.threshold * requests).to_integral_value("ROUND_FLOOR")) + 1, bad_share)


def binomial_tail(trials: int, least: int, share: float) -> float:
    """Chance of at least `least` successes in independent trials that each succeed with chance `share`; exact."""
    if least <= 0:
        return 1.0
    if least > trials or share <= 0:
        return 0.0
    if share >= 1:
        return 1.0
    log_term = (math.lgamma(trials + 1) - math.lgamma(least + 1) - math.lgamma(trials - least + 1)
                + least * math.log(share) + (trials - least) * math.log1p(-share))
    odds, term, tail = share / (1 - share), math.exp(log_term), 0.0
    for successes in range(least, trials + 1):
        tail += term
        if successes > trials * share and term < tail * 1e-17:
            break
        term *= odds * (trials - successes) / (successes + 1)
    return min(tail, 1.0)


# -- acceptable downtime ------------------------------------------------------------------------------------------


class Downtime(NamedTuple):
    """How long a service may be wholly down within one named window; calendar windows have a shortest and a longest.

    Args:
        window: the window's name, never left out: a year's twelfth and 30 days are different promises.
    """

    window: str
    least: timedelta
    most: timedelta


_DOWNTIME_WINDOWS = (("1 day", 1, 1), ("1 week", 7, 7), ("30 days", 30, 30), ("calendar month, 28–31 days", 28, 31),
                     ("calendar quarter, 90–92 days", 90, 92), ("year, 365–366 days", 365, 366))


def acceptable_downtime(target: Target) -> tuple[Downtime, ...]:
    """Downtime allowed per day, week, 30 days, month, quarter and year. Zero everywhere for 100 %."""
    return tuple(Downtime(name, allowed_time(target, timedelta(days=shortest)),
                          allowed_time(target, timedelta(days=longest)))
                 for name, shortest, longest in _DOWNTIME_WINDOWS)


def allowed_time(target: Target, window: timedelta) -> timedelta:
    """How long a service may be wholly down within the window: 43 m 12 s in 30 days at 99.9 %."""
    return timedelta(seconds=float(target.budget * _seconds(window)))


# -- several promises together ------------------------------------------------------------------------------------


def in_series(ratios: Iterable[Decimal]) -> Decimal:
    """What a chain delivers when every link must work: the product. Four steps of 99.9 % give 99.6 %.

    Holds for links that fail independently; links that fail together do better.
    """
    return math.prod(ratios, start=Decimal(1))


def in_parallel(ratios: Iterable[Decimal]) -> Decimal:
    """What redundant parts deliver when one that works is enough: 1 - Π(1 - ratio). Holds for independent failures."""
    return 1 - math.prod((1 - ratio for ratio in ratios), start=Decimal(1))


def weighted(parts: Iterable[tuple[float, float]]) -> float:
    """The mean of (value, weight) pairs: of SLIs a weighted SLI, of consumptions a weighted budget.

    An availability at 99.95 of 99.9 % (weight 0.6) and a latency at 99.8 of 99.5 % (weight 0.4) spent 0.46 together.

    Raises:
        InvalidInput: a weight is negative, or all are zero.
    """
    pairs = list(parts)
    total = math.fsum(weight for _, weight in pairs)
    if total <= 0 or any(weight < 0 for _, weight in pairs):
        raise InvalidInput("weights must be above zero together and none below", "give every part a weight such as 1")
    # A part without weight has no say, even when it is infinite (a broken target of 100 %).
    return math.fsum(value * weight for value, weight in pairs if weight > 0) / total


class SlaBuffer(NamedTuple):
    """The room between what is aimed at (SLO) and what is owed (SLA).

    Args:
        share: share of the SLA's budget that is still there when the SLO's is spent, 0..1.
        sla_breaks_at: consumption of the SLO's budget at which the SLA is broken; 2.0 between 99.95 and 99.9.
        nines: the distance in nines, log10 of the ratio of both budgets.
    """

    share: float
    sla_breaks_at: float
    nines: float


def sla_buffer(slo: Target, sla: Target) -> SlaBuffer:
    """The buffer between an objective and the agreement behind it; infinite for an objective of 100 %.

    Raises:
        InvalidInput: the objective is laxer than the agreement, so the SLA would break first.
        NoBudget: the agreement promises 100 %.
    """
    if sla.budget == 0:
        raise NoBudget("buffer before an agreement of 100 %")
    if slo.ratio < sla.ratio:
        raise InvalidInput(f"the objective {slo} is laxer than the agreement {sla}, which would break first",
                           f"aim above {sla}")
    if slo.budget == 0:
        return SlaBuffer(1.0, math.inf, math.inf)
    ratio = float(sla.budget / slo.budget)
    return SlaBuffer(float(1 - slo.budget / sla.budget), ratio, math.log10(ratio))


def dependency_ceiling(promises: Iterable[Target]) -> Decimal:
    """The most a service can promise whose every answer needs all these dependencies: the product of their promises."""
    return in_series(promise.ratio for promise in promises)


def share_of_percent(text: str | float | Decimal, what: str) -> Decimal:
    """A percentage from 0 to 100 as an exact share, for measured numbers (a `Target` must lie above 0).

    Raises:
        InvalidInput: not a number from 0 to 100; the message names `what`.
    """
    raw = str(text).strip()
    try:
        value = Decimal(raw.removesuffix("%").strip())
    except InvalidOperation:
        raise InvalidInput(f'{what} "{raw}" is not a number', "write a percentage such as 99.85") from None
    if not value.is_finite() or not 0 <= value <= 100:
        raise InvalidInput(f"{what} {raw} is not a percentage", "write a number from 0 to 100, such as 99.85")
    return value.scaleb(-2)
