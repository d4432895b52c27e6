"""When a rule's schedule comes round. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from mainstay.kernel.quantity import Span, zone_named
from mainstay.kernel.wallclock import instant_of, local_of
from mainstay.runbook.remedy import OnSchedule, Remediation

_DAY = timedelta(days=1)


def last_moment(when: OnSchedule, now: datetime) -> datetime:
    """The last moment of the schedule up to now, now included.

    Every so often counts from midnight UTC, so that it comes at the same moments whoever counts. A time of day that
    the zone's clocks skip is the first instant after the gap; one that comes twice is the first of the two.
    """
    if when.every is not None:
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight + (now - midnight) // when.every * when.every
    assert when.at is not None, "a schedule is every so often or at a time"
    zone = zone_named(when.zone)
    day = local_of(now, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    for back in range(9):
        earlier = day - back * _DAY
        moment = instant_of(earlier + timedelta(minutes=when.at), zone)
        if earlier.weekday() in when.days and moment <= now:
            return moment
    raise AssertionError("some day of the week is in every schedule")


def moments(when: OnSchedule, span: Span) -> Iterator[datetime]:
    """Every moment of the schedule within the span, in order: those that `last_moment` would have found."""
    if when.every is not None:
        midnight = span.start.replace(hour=0, minute=0, second=0, microsecond=0)
        while midnight < span.end:
            moment = midnight + max(0, -((midnight - span.start) // when.every)) * when.every
            while moment < min(midnight + _DAY, span.end):
                yield moment
                moment += when.every
            midnight += _DAY
        return
    assert when.at is not None, "a schedule is every so often or at a time"
    zone = zone_named(when.zone)
    day = local_of(span.start, zone).replace(hour=0, minute=0, second=0, microsecond=0) - _DAY
    while (moment := instant_of(day + timedelta(minutes=when.at), zone)) < span.end:
        if day.weekday() in when.days and moment >= span.start:
            yield moment
        day += _DAY


def round_key(rule: Remediation, moment: datetime) -> str:
    """What is on from that moment: the rule's condition, which is one thing, or else the moment itself."""
    return f"held:{rule.name}" if rule.held else f"{rule.name}@{moment:%Y-%m-%dT%H:%M:%SZ}"
