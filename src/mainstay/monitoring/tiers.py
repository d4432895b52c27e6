"""Tiers for a window: which speeds of burning wake whom, when the window is not the workbook's 30 days. Pure.

With p the share of the budget that goes in the long window w, T the objective's window and b the budget, an alert trips
above f = p·T/w times the allowed speed, which is the share f·b of bad events. Two things must hold: f >= 1, or it trips
while the promise is kept, and f·b < 1, or it never trips. Multiplying the workbook's 2, 5, 10, 10 % out for other
windows breaks the first (7 days: 3.4, 1.4, 0.7, 0.2) and for lax targets the second.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Literal, NamedTuple

from mainstay.kernel.quantity import CalendarWindow, Period, RequestWindow, RollingWindow, Target, Window
from mainstay.stats.budget import TIERS, Tier

_HOUR = timedelta(hours=1)
_WORKBOOK_WINDOW = timedelta(days=28)
"""From here on the workbook's shares of the budget give factors of at least 1."""

_MOST_SPENT = Fraction(1, 2)
"""Nobody is told later than when half of the budget is gone."""

_MOST_THRESHOLD = Fraction(9, 10)
"""Share of bad events at which an alert for a lax target trips: below 1, so that a full outage is above it."""

NOMINAL = {Period.DAY: 1, Period.WEEK: 7, Period.MONTH: 30, Period.QUARTER: 90, Period.YEAR: 365}
"""Days of a calendar period, for burn rates: rules have one threshold, months have 28 to 31 days."""


def length_for_burn(window: Window) -> timedelta:
    """The T of f = p·T/w: a rolling window's length, a calendar period's usual length, 30 days for a window of so many
    events, whose length in time nobody knows beforehand.
    """
    match window:
        case RollingWindow(length):
            return length
        case CalendarWindow():
            return timedelta(days=NOMINAL[window.period] * window.periods)
        case RequestWindow():
            return timedelta(days=30)


class _Wish(NamedTuple):
    severity: Literal["page", "ticket"]
    long: timedelta
    spends: Fraction
    hold: timedelta


@lru_cache(maxsize=512)
def chosen(window: timedelta, target: Target) -> tuple[Tier, ...]:
    """Tiers for an objective's window, each with a factor of at least 1 that can be passed; none for windows so short
    that there is no time to warn in.

    From 28 days on they spend the workbook's shares. A shorter window keeps the workbook's speeds (14.4, 6, 3 times the
    allowed one) and spends more before it tells; the last tier always tells at 10 % in a tenth of the window, which is
    burn 1. For a target so lax that a factor could not be passed, the factor is lowered to 90 % of all events failing.
    """
    if target.budget == 0:
        return ()
    tiers: list[Tier] = []
    for wish in _wishes(window):
        tier = _possible(wish, window, target)
        if tier is None:
            continue
        # A shorter long window with no higher factor would make the one before it pointless.
        while tiers and _factor(tiers[-1], window) <= _factor(tier, window) and tiers[-1].severity == tier.severity:
            tiers.pop()
        if not tiers or _factor(tiers[-1], window) > _factor(tier, window):
            tiers.append(tier)
    return tuple(tiers)


def _wishes(window: timedelta) -> Iterator[_Wish]:
    tenth = _round_hours(window / 10, window)
    if window >= _WORKBOOK_WINDOW:
        for tier, long in zip(TIERS, [*(tier.long for tier in TIERS[:3]), tenth], strict=True):
            yield _Wish(tier.severity, long, Fraction(tier.spends), tier.hold)
        return
    if tenth < _HOUR:
        return
    middle = _round_hours(min(timedelta(days=1), tenth * 3 // 4), window)
    for tier, long, factor in ((TIERS[0], _HOUR, "14.4"), (TIERS[1], TIERS[1].long, "6"), (TIERS[2], middle, "3")):
        if tier is TIERS[0] or (_HOUR < long < tenth and (tier is TIERS[2] or long < middle)):
            yield _Wish(tier.severity, long, Fraction(factor) * _part(long, window), min(tier.hold, long / 12))
    if tenth > _HOUR:
        yield _Wish("ticket", tenth, Fraction(1, 10), min(TIERS[3].hold, tenth / 12))


def _round_hours(length: timedelta, window: timedelta) -> timedelta:
    """The most whole hours of that length in which the window goes a number of times that ends as a decimal, so that
    the factor can be written out: 28 d in 64 h, not in 67 h.
    """
    for hours in range(int(length / _HOUR), 0, -1):
        rest = Fraction(int(window.total_seconds()), hours * 3600).denominator
        for prime in (2, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return hours * _HOUR
    return timedelta(0)


def _possible(wish: _Wish, window: timedelta, target: Target) -> Tier | None:
    """The wish as a tier whose share of the budget is short to write and whose factor lies in its bounds."""
    part, budget = _part(wish.long, window), Fraction(target.budget)
    spends = min(wish.spends, _MOST_SPENT)
    # A whole percent, or a tenth of one where a percent is too coarse.
    parts = 100 if spends >= Fraction(1, 50) else 1000
    percent = Fraction(-(-spends * parts // 1), parts)
    if percent / part * budget > _MOST_THRESHOLD:
        percent = Fraction(_MOST_THRESHOLD / budget * part * 1000 // 1, 1000)
    if percent < part:
        return None
    return Tier(wish.severity, wish.long, Decimal(percent.numerator) / Decimal(percent.denominator), wish.hold)


def _part(long: timedelta, window: timedelta) -> Fraction:
    return Fraction(int(long.total_seconds()), int(window.total_seconds()))


def _factor(tier: Tier, window: timedelta) -> Fraction:
    return Fraction(tier.spends) / _part(tier.long, window)
