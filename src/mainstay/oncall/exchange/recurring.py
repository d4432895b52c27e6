"""Recurring wall-clock times, expanded: rules as RFC 5545 writes them, each time made an instant by our conventions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from itertools import islice

from mainstay.kernel.errors import InvalidInput, MissingExtra
from mainstay.kernel.quantity import Span
from mainstay.kernel.wallclock import instant_of, local_of

_MOST = 400_000
"""Times of one rule that are looked at: every hour of forty years."""


def walls(rule: str, first: datetime, zone: tzinfo, span: Span) -> Iterator[datetime]:
    """The wall-clock times of the rule whose instants lie in the span, in order.

    Args:
        rule: the value of an RRULE, such as `FREQ=WEEKLY;INTERVAL=3`.
        first: DTSTART as the clock on the wall shows it, naive.
    Raises:
        InvalidInput: not a rule, or one that repeats every minute.
        MissingExtra: the extra `ical` is not installed.
    """
    try:
        from dateutil.rrule import (  # type: ignore[import-untyped]  # noqa: PLC0415  (a lazy start: only here)
            rrulestr,
        )
    except ImportError:
        raise MissingExtra("reading recurring events", "ical") from None
    parts = dict(part.split("=", 1) for part in rule.upper().split(";") if "=" in part)
    if parts.get("FREQ") in ("SECONDLY", "MINUTELY"):
        raise InvalidInput(f"a shift that repeats by {parts['FREQ']} is none", "write FREQ=HOURLY or longer")
    until = parts.pop("UNTIL", "")
    last = _until(until, zone) if until else None
    text = ";".join(f"{name}={value}" for name, value in parts.items())
    try:
        times = rrulestr(text, dtstart=first)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidInput(f'"{rule}" is not a recurrence rule: {error}', "write FREQ=WEEKLY or the like") from None
    end = local_of(span.end, zone) + timedelta(days=1)
    for wall in islice(times, _MOST):
        if wall > end or (last is not None and wall > last):
            return
        if span.holds(instant_of(wall, zone)):
            yield wall


def _until(text: str, zone: tzinfo) -> datetime:
    """The last moment of a rule on the wall of the zone; it may be a date, a wall time, or UTC."""
    try:
        moment = datetime.fromisoformat(text if "T" in text else f"{text}T235959")
    except ValueError:
        raise InvalidInput(f'UNTIL is "{text}", which is not a time', "write UNTIL=20261231T000000Z") from None
    return local_of(moment, zone) if moment.tzinfo is not None else moment
