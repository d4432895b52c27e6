"""The figures of toil as words, rounded here only; what the views, the digest and the page share. Pure."""

from __future__ import annotations

from datetime import timedelta

from mainstay.kernel.quantity import format_duration
from mainstay.kernel.wording import many
from mainstay.toil.automated import Recovered
from mainstay.toil.automation import Return
from mainstay.toil.share import Coverage, Summary
from mainstay.toil.trend import RECENT, Direction, LevelChange, Trend

_A_FAIR_SAMPLE = 28
"""Days: four weeks, as long as the month that they are stretched to."""


def share_words(ratio: float | None) -> str:
    """`46.2 %`; a dash where no work is logged."""
    return "–" if ratio is None else f"{ratio * 100:.1f} %"


def hours_words(hours: float) -> str:
    """`12.5 h`; a quarter of an hour is `0.25 h`."""
    return f"{hours:.2f} h" if 0 < abs(hours) < 1 else f"{hours:,.1f} h" if abs(hours) < 100 else f"{hours:,.0f} h"


def stretched_words(days: int) -> str:
    """That a month and years are stretched from a few days, where they are; else empty."""
    return "" if days >= _A_FAIR_SAMPLE else \
        f"The log covers {many(days, 'day')}: what is said of a month and of years is stretched from that."


def months_words(months: float | None) -> str:
    """`1.6 months`, or `never`."""
    return "never" if months is None else "at once" if months == 0 else f"{months:,.1f} months"


def net_words(value: Return) -> str:
    """`860 h, 840 to 873`."""
    return f"{value.three_year_net:,.0f} h, {value.net_low:,.0f} to {value.net_high:,.0f}"


def lasted_words(seconds: float | None) -> str:
    """`1 m 30 s`; a dash where nobody knows."""
    return "–" if seconds is None else format_duration(timedelta(seconds=seconds))


def recovered_words(one: Recovered | None) -> str:
    """`4 m 10 s of 3`: the median time that so many incidents were open."""
    return "–" if one is None else f"{lasted_words(one.seconds)} of {one.incidents:,}"


def many_entries(number: int) -> str:
    """`1 entry`, `1,200 entries`."""
    return f"{number:,} {'entry' if number == 1 else 'entries'}"


def interrupts_words(figures: Summary) -> str:
    """`32, 46.0 h; besides toil 12, 3.5 h`."""
    return f"{figures.interrupts:,}, {interrupted_words(figures)}"


def interrupted_words(figures: Summary) -> str:
    """How long the interrupts took, and those that are no toil: `46.0 h; besides toil 12, 3.5 h`."""
    besides = f"; besides toil {figures.other_interrupts:,}, {hours_words(figures.other_interrupt_hours)}"
    return hours_words(figures.interrupt_hours) + (besides if figures.other_interrupts else "")


def coverage_words(coverage: Coverage) -> str:
    """How completely work is logged, and what that leaves open."""
    if coverage.ratio is None:
        return "no working day is logged"
    text = f"{coverage.ratio * 100:.0f} % of working days, {coverage.logged_days:,} of {coverage.working_days:,}"
    if coverage.low is None or coverage.high is None:
        return text
    between = f"between {share_words(coverage.low)} and {share_words(coverage.high)}"
    return f"{text}; patchy: the true share lies {between}" if coverage.patchy else text


def verdict_words(figures: Summary) -> str:
    """Is it bad, in one sentence."""
    share, line = share_words(figures.toil_share), f"{figures.line * 100:g} %"
    match figures.state:
        case "violated":
            return f"{share} of the work is toil: at the line of {line} or above."
        case "at_risk":
            return f"{share} of the work is toil: near the line of {line}."
        case "healthy":
            return f"{share} of the work is toil: below the line of {line}."
        case _:
            return "No work is logged."


def direction_words(direction: Direction) -> str:
    """Where it is heading."""
    return {"improving": "falling", "degrading": "rising", "stable": "steady",
            "insufficient_data": f"not enough weeks to say; {RECENT + 1} at least"}[direction]


def change_words(change: LevelChange) -> str:
    """`from 41.0 % to 52.3 % in the week of 5 Oct (p = 0.005)`."""
    return (f"from {share_words(change.before)} to {share_words(change.after)} in the week of {change.start:%-d %b %Y} "
            f"(p = {change.p:.3f})")


def trend_words(trend: Trend) -> str:
    """The chart's title: the finding."""
    known = [one.share for one in trend.periods if one.share is not None]
    now = f", {share_words(known[-1])} in the last whole week" if known else ""
    return f"Share of toil by week: {direction_words(trend.direction)}{now}"
