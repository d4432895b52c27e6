"""Numbers and spans as words, rounded here only. Pure, and light: every view of the word shares it."""

from __future__ import annotations

from datetime import datetime

from mainstay.kernel.quantity import Target, format_duration


def count(number: float) -> str:
    """A count with separators, and decimals only when it has a part."""
    return f"{number:,.0f}" if abs(number - round(number)) < 1e-6 else f"{number:,.1f}"


def many(number: int, noun: str) -> str:
    """`1 slot`, `1,200 slots`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def percent(value: float | None, digits: int = 1) -> str:
    """A percentage that is already one, or a dash."""
    return "–" if value is None else f"{value:,.{digits}f} %"


def span_words(first: datetime, last: datetime) -> str:
    """`17 May 10:05 – 20 May 21:05 UTC, 3 d 11 h`."""
    year = "" if first.year == last.year else " %Y"
    return (f"{first:%-d %b{year} %H:%M} – {last:%-d %b{year} %H:%M} UTC, {format_duration(last - first)}"
            if last > first else f"{first:%-d %b %Y %H:%M} UTC")


def burn_words(rate: float | None) -> str:
    """`1.4×`, a dash where nothing was counted."""
    if rate is None:
        return "–"
    return "∞" if rate == float("inf") else f"{rate:.1f}×" if rate < 100 else f"{rate:,.0f}×"


def target_digits(target: Target) -> int:
    """Digits behind the point of a share held against this target: one more than the target has, two at least."""
    return max(2, len(str(target).removesuffix(" %").partition(".")[2]) + 1)
