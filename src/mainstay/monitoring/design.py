"""From what is wanted to alerts that give it, with the proof; or why nothing can give it.

The ladder starts from the SRE Workbook's tiers. A factor is lowered until its threshold can be reached by half of all
events failing, until a full outage is found in the time that is allowed, and until no tier spends more than half of the
budget before it speaks. Where too few events come, the gate for little traffic is set, just as sure of itself as the
bound on false pages asks. What is left over is tried with shorter and longer windows; the first that holds is taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from functools import lru_cache
from itertools import product
from typing import Literal, NamedTuple

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.quantity import Target
from mainstay.monitoring.alerts import short_window
from mainstay.monitoring.backtest import reset_after, spent_at
from mainstay.monitoring.chance import FalseAlarms, false_alarms, trips_at
from mainstay.monitoring.evaluation import Rule
from mainstay.monitoring.policies import rule_for
from mainstay.monitoring.spec import LowTraffic
from mainstay.stats.budget import NoBudget, Tier, burn_alerts

_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LONGS = tuple(timedelta(minutes=m) for m in (60, 30, 15, 10, 120, 180, 360, 720, 1440, 4320))
"""Long windows of the fastest tier, in the order they are tried: the workbook's hour, then shorter, then longer. All
are made of whole five minutes, as the rules record them."""
_SLOWS = tuple(timedelta(hours=h) for h in (6, 12, 24, 72))
_HOLDS = (timedelta(minutes=2), _MINUTE, timedelta(0))
_SLOW_HOLD = timedelta(minutes=15)
_REACHES = (Decimal("0.5"), Decimal("0.75"), Decimal("0.9"))
"""Share of events that must fail for the fastest tier to speak; a higher one only where nothing lower holds."""
_CRUMB = Decimal("1e-20")
MOST_SPENT = Decimal("0.5")
"""A tier that lets more of the budget go before it speaks comes too late to save the rest."""
FEWEST_INSIDE = 5
"""Events that the short window holds on average: with fewer it is empty too often, and empty windows end alerts."""
CONFIDENCES = tuple(Decimal(text) for text in (
    "0.95", "0.98", "0.99", "0.995", "0.998", "0.999", "0.9995", "0.9998", "0.9999", "0.99995", "0.99998", "0.99999",
    "0.999995", "0.999999"))


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted.

    Args:
        target, window: of the objective.
        traffic: events a second in the hours when fewest come: what holds then holds all day.
        detect: a full outage pages within this, all told.
        false_pages: pages in 30 days at a service that just keeps its promise, at most.
        interval, scrape: how often rules are evaluated and counters scraped.
    """

    target: Target
    window: timedelta
    traffic: float
    detect: timedelta
    false_pages: float
    interval: timedelta = timedelta(seconds=30)
    scrape: timedelta = timedelta(seconds=30)


Change = Literal["traffic", "detect", "false pages", "target"]
"""What of a wish may be changed to make it possible."""


class Sight(NamedTuple):
    """What a tier makes of errors that begin at one share and go on.

    Args:
        after: from the first error until somebody is told, on average: hold, a scrape and an evaluation included.
        surely: the same for 95 of 100 such troubles: where few events come, their failures come by chance.
        reset: from the last error until it is quiet again, after errors that filled the short window.
        spent: share of the budget that is gone by then.
    """

    after: timedelta
    surely: timedelta
    reset: timedelta
    spent: float


@dataclass(frozen=True, slots=True)
class Rung:
    """One tier of a plan. `alarms` is known for pages only; a sight is None where that share never trips it."""

    tier: Tier
    rule: Rule
    factor: Decimal
    least: int
    full: Sight | None
    tenth: Sight | None
    double: Sight | None
    alarms: FalseAlarms | None

    @property
    def label(self) -> str:
        """`page-1h`."""
        return self.rule.tier


@dataclass(frozen=True, slots=True)
class Plan:
    """Alerts that give what is wanted.

    Args:
        low_traffic: the gate, where chance alone would page too often without one.
        false_pages: in 30 days, of all page tiers together, at most (a hold only makes it less).
        left_out: tiers that were not of use here, and why.
    """

    wish: Wish
    rungs: tuple[Rung, ...]
    low_traffic: LowTraffic | None
    false_pages: float
    left_out: tuple[str, ...]

    @property
    def quickest(self) -> timedelta:
        """How soon a full outage pages, in 95 of 100."""
        return min(rung.full.surely for rung in self.rungs if rung.full is not None and rung.tier.severity == "page")


@dataclass(frozen=True, slots=True)
class Attempt:
    """The quickest that one long window could give: the arithmetic behind an impossible wish.

    Args:
        inside: events that its short window holds on average.
        least: failures that must lie in it, so that chance stays within the bound; None where no gate is sure enough.
        a_month: false pages with that many.
        after: how soon a full outage pages; None where it never does.
        fault: in a few words what is wrong with it.
    """

    long: timedelta
    inside: float
    least: int | None
    a_month: float | None
    after: timedelta | None
    fault: str


@dataclass(frozen=True, slots=True)
class Impossible:
    """Why no alerts give what is wanted, and what one change would make them."""

    wish: Wish
    attempts: tuple[Attempt, ...]
    ways: tuple[tuple[Change, Wish], ...]


# -- the search ---------------------------------------------------------------------------------------------------


def design(wish: Wish) -> Plan | Impossible:
    """Alerts that give what is wanted, or why there are none.

    Raises:
        NoBudget: the target is 100 %.
    """
    if wish.target.budget == 0:
        raise NoBudget("burn rate to alert on")
    found = plan_of(wish)
    return found if found is not None else Impossible(wish, tuple(_attempts(wish)), tuple(_ways(wish)))


@lru_cache(maxsize=1024)
def plan_of(wish: Wish) -> Plan | None:
    """The first ladder that holds; None when none does."""
    for cut, reach, long, hold in product((False, True), _REACHES, LONGS, _HOLDS):
        fast = _fast(wish, long, hold, reach, cut=cut)
        if fast is not None and _inside(wish, fast.long) >= FEWEST_INSIDE:
            found = _proven(wish, fast)
            if found is not None:
                return found
    return None


def _fast(wish: Wish, long: timedelta, hold: timedelta, reach: Decimal, *, cut: bool) -> Tier | None:
    """The fastest tier over that long window; None when no factor above 1 finds a full outage in time.

    Args:
        cut: whether its factor may be lowered for the sake of time; a shorter window is better than that.
    """
    if long >= wish.window:
        return None
    factor = min(max(Decimal("14.4"), Decimal("0.02") * _ratio(wish.window, _HOUR)), reach / wish.target.budget,
                 MOST_SPENT * _ratio(wish.window, long))
    in_time = _factor_in_time(wish, long, hold)
    return _tier("page", long, hold, min(factor, in_time), wish) if cut or in_time >= factor else None


def _factor_in_time(wish: Wish, long: timedelta, hold: timedelta) -> Decimal:
    """The greatest factor whose threshold a full outage lies above in time."""
    left = min(wish.detect - _told_in(wish, hold), long).total_seconds()
    # Failures are whole: the threshold must lie below as many as come by then.
    failures = _failures_within(left * wish.traffic)
    events = wish.traffic * long.total_seconds()
    return max(Decimal(0), Decimal(failures - 0.5) / Decimal(events)) / wish.target.budget


def _tier(severity: Literal["page", "ticket"], long: timedelta, hold: timedelta, factor: Decimal, wish: Wish,
          ) -> Tier | None:
    """The tier with that factor, its share of the budget written with three digits; None below a factor of 1."""
    share = factor * _ratio(long, wish.window)
    digits = -(share.adjusted() - 2)
    # A tenth that thirds were made of is a tenth again.
    near, away = (-_CRUMB, ROUND_CEILING) if factor == 1 else (_CRUMB, ROUND_FLOOR)
    rounded = (share + near).quantize(Decimal(1).scaleb(-digits), away)
    exact = rounded * _ratio(wish.window, long)
    least = 1 if severity == "ticket" else Decimal("1.2")
    return Tier(severity, long, rounded.normalize(), hold) if exact >= least else None


def _ratio(one: timedelta, other: timedelta) -> Decimal:
    return Decimal(one // timedelta(seconds=1)) / Decimal(other // timedelta(seconds=1))


def _factor(tier: Tier, wish: Wish) -> Decimal:
    return tier.spends * _ratio(wish.window, tier.long)


def _told_in(wish: Wish, hold: timedelta) -> timedelta:
    """From the moment a condition holds until somebody is told, at most: the hold, a scrape and an evaluation."""
    return -(-hold // wish.interval) * wish.interval + wish.interval + wish.scrape


def _inside(wish: Wish, long: timedelta) -> float:
    """Events in the short window of that long one, on average."""
    return wish.traffic * short_window(long).total_seconds()


def _slower(wish: Wish, fast: Tier) -> Iterator[Tier]:
    """The slower tiers beside the fastest, their factors in the workbook's proportion to it, each below the last."""
    top, budget = _factor(fast, wish), wish.target.budget
    last = top
    slow = next((long for long in _SLOWS if long > fast.long and long < wish.window), None)
    if slow is not None:
        wanted = max(Decimal(6), Decimal("0.05") * _ratio(wish.window, slow))
        tier = _tier("page", slow, _SLOW_HOLD,
                     min(wanted, top * 6 / Decimal("14.4"), MOST_SPENT * _ratio(wish.window, slow)), wish)
        if tier is not None:
            last = _factor(tier, wish)
            yield tier
    for part, factor, hold in ((30, Decimal(3), _HOUR), (10, Decimal(1), 3 * _HOUR)):
        long = _rounded(wish.window / part)
        tier = _tier("ticket", long, hold, min(factor, last / 2) if factor > 1 else factor, wish)
        if tier is not None and _factor(tier, wish) < last and _factor(tier, wish) * budget < 1:
            last = _factor(tier, wish)
            yield tier


def _rounded(length: timedelta) -> timedelta:
    """To whole days, below two days to whole hours."""
    unit = _DAY if length >= 2 * _DAY else _HOUR
    return max(1, round(length / unit)) * unit


def _proven(wish: Wish, fast: Tier) -> Plan | None:
    """The whole ladder with the least strict gate that keeps false pages within the bound and outages in time."""
    tiers, left_out = [fast], []
    for tier in _slower(wish, fast):
        if _inside(wish, tier.long) >= FEWEST_INSIDE:
            tiers.append(tier)
        else:
            left_out.append(f"{rule_of(wish, tier, None).tier}: its short window would hold "
                            f"{_inside(wish, tier.long):.1f} events")
    pages = [tier for tier in tiers if tier.severity == "page"]
    confidence = _confidence(wish, pages)
    if confidence is False:
        return None
    gate = LowTraffic("beta-binomial", confidence) if confidence is not None else None
    rungs = tuple(_rung(wish, tier, gate) for tier in tiers)
    full = rungs[0].full
    if full is None or full.surely > wish.detect:
        return None
    false = sum(rung.alarms.a_month for rung in rungs if rung.alarms is not None)
    return Plan(wish, rungs, gate, false, tuple(left_out))


def _confidence(wish: Wish, pages: list[Tier]) -> Decimal | Literal[False] | None:
    """How sure the gate must be; None when none is needed, False when no gate is sure enough."""
    def false(confidence: Decimal | None) -> float:
        gate = LowTraffic("beta-binomial", confidence) if confidence is not None else None
        return sum(_alarms(wish, rule_of(wish, tier, gate)).a_month for tier in pages)

    if false(None) <= wish.false_pages:
        return None
    if false(CONFIDENCES[-1]) > wish.false_pages:
        return False
    low, high = 0, len(CONFIDENCES) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if false(CONFIDENCES[middle]) <= wish.false_pages else (middle + 1, high)
    return CONFIDENCES[low]


def rule_of(wish: Wish, tier: Tier, low_traffic: LowTraffic | None) -> Rule:
    """The tier as the rule that is evaluated."""
    return rule_for(burn_alerts(wish.target, wish.window, (tier,))[0], low_traffic)


def _alarms(wish: Wish, rule: Rule) -> FalseAlarms:
    return false_alarms(rule, wish.traffic, float(wish.target.budget))


def _rung(wish: Wish, tier: Tier, low_traffic: LowTraffic | None) -> Rung:
    rule, budget = rule_of(wish, tier, low_traffic), float(wish.target.budget)
    return Rung(tier, rule, _factor(tier, wish), trips_at(rule, round(wish.traffic * tier.long.total_seconds())),
                sight(wish, rule, 1.0), sight(wish, rule, 0.1), sight(wish, rule, min(2 * budget, 1.0)),
                _alarms(wish, rule) if tier.severity == "page" else None)


def sight(wish: Wish, rule: Rule, bad_share: float) -> Sight | None:
    """When the rule tells of errors at that share, and when it is quiet again; None when it never tells.

    The long window must gather its threshold's worth of errors, and as many whole failures as its threshold and gate
    ask for, which at little traffic takes longer.
    """
    if bad_share <= rule.threshold:
        return None
    long = rule.long.total_seconds()
    least = trips_at(rule, round(wish.traffic * long))
    after = max(long * float(rule.threshold) / bad_share, least / (wish.traffic * bad_share))
    quiet = reset_after(rule, bad_share)
    if after > long or quiet is None:
        return None
    told = timedelta(seconds=after) + _told_in(wish, rule.hold)
    surely = timedelta(seconds=max(after, _events_until(least) / (wish.traffic * bad_share)))
    return Sight(told, surely + _told_in(wish, rule.hold), quiet + wish.interval + wish.scrape,
                 spent_at(told, bad_share, wish.target.budget, wish.window))


_Z95 = 1.6448536269514722
"""The normal quantile of 95 %."""


def _events_until(failures: int) -> float:
    """How many events must be expected for so many to have come in 95 of 100 cases, coming by chance.

    A quantile of the gamma distribution. Source: E. B. Wilson and M. M. Hilferty 1931, the cube root of chi-square.
    """
    return failures * (1 - 1 / (9 * failures) + _Z95 / (3 * math.sqrt(failures))) ** 3 if failures else 0.0


def _failures_within(expected: float) -> int:
    """The most failures that have come in 95 of 100 cases where so many are expected."""
    if expected <= 0:
        return 0
    count = max(0, math.floor(expected - _Z95 * math.sqrt(expected) + 2))
    while count and _events_until(count) > expected:
        count -= 1
    return count


# -- when it cannot be --------------------------------------------------------------------------------------------


def _attempts(wish: Wish) -> Iterator[Attempt]:
    """Each long window on its own at the least factor a page may have: nothing over that window is quicker."""
    for long in sorted(LONGS):
        if long >= wish.window:
            continue
        inside = _inside(wish, long)
        tier = _tier("page", long, timedelta(0), Decimal("1.25"), wish)
        if tier is None or _factor(tier, wish) * wish.target.budget >= 1:
            yield Attempt(long, inside, None, None, None, "no factor above 1 can be reached")
            continue
        confidence = _confidence(wish, [tier])
        if confidence is False:
            yield Attempt(long, inside, None, None, None, "chance alone pages too often")
            continue
        rule = rule_of(wish, tier, LowTraffic("beta-binomial", confidence) if confidence is not None else None)
        full = sight(wish, rule, 1.0)
        least = trips_at(rule, round(wish.traffic * long.total_seconds()))
        fault = "its short window is mostly empty" if inside < FEWEST_INSIDE else "too late"
        yield Attempt(long, inside, least, _alarms(wish, rule).a_month, full.surely if full else None, fault)


_OTHER_TARGETS = tuple(Target.percent(text) for text in (
    "99.999", "99.99", "99.95", "99.9", "99.5", "99", "98", "95", "90", "80", "70", "50"))


def _ways(wish: Wish) -> Iterator[tuple[Change, Wish]]:
    """One change each that makes it possible: the smallest on a scale of steps."""
    for step in range(1, 61):
        more = replace(wish, traffic=wish.traffic * 1.25 ** step)
        if plan_of(more) is not None:
            yield "traffic", more
            break
    for length in _longer(wish):
        later = replace(wish, detect=length)
        if plan_of(later) is not None:
            yield "detect", later
            break
    for factor in (2, 5, 10, 20, 50, 100):
        noisier = replace(wish, false_pages=wish.false_pages * factor)
        if plan_of(noisier) is not None:
            yield "false pages", noisier
            break
    lower = [one for one in _OTHER_TARGETS if one.ratio < wish.target.ratio]
    higher = [one for one in reversed(_OTHER_TARGETS) if one.ratio > wish.target.ratio]
    for targets in (lower, higher):
        for target in targets:
            other = replace(wish, target=target)
            if plan_of(other) is not None:
                yield "target", other
                break


def _longer(wish: Wish) -> Iterator[timedelta]:
    """Times to detect, each about a tenth longer than the last, in whole minutes, from two hours on in whole hours."""
    length = wish.detect
    while length < wish.window / 4:
        unit = _HOUR if length >= 2 * _HOUR else _MINUTE
        length = unit * max(-(-(length * 1.1) // unit), length // unit + 1)
        yield length
