"""Who is on call, and a year of it, beside the same rota as recurring calendar events; and a fair rota for a year.

    python bench/oncall.py

20 people take weekly turns in New York, with 200 overrides. The rival is how calendars do it: one recurring event a
person, expanded by dateutil's rrule (what readers of iCalendar stand on), the overrides cut out of them by hand. Both
must name the same person at a thousand moments. Bounds are those of the issue.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import median
from zoneinfo import ZoneInfo

from dateutil.rrule import WEEKLY, rrule

from mainstay.kernel.finding import Position
from mainstay.kernel.quantity import Span
from mainstay.oncall.burden import Calendars
from mainstay.oncall.proposal import propose, slots_of
from mainstay.oncall.roster import Roster
from mainstay.oncall.spec import Absence, Override, Person, Rotation, Turn

PEOPLE, OVERRIDES, ROUNDS = 20, 200, 5
WHO_BOUND, YEAR_BOUND, PROPOSE_BOUND = 0.001, 0.050, 30.0
ZONE = "America/New_York"
START = datetime(2026, 1, 5, 9)  # noqa: DTZ001  (wall clock)
FIRST = datetime(2026, 1, 5, 14, tzinfo=UTC)
YEAR = Span(FIRST, FIRST + timedelta(days=365))
NAMES = tuple(f"p{number:02}" for number in range(PEOPLE))
MADE = tuple(Override(Span(FIRST + timedelta(hours=41 * number), FIRST + timedelta(hours=41 * number + 9)),
                      NAMES[(number * 7) % PEOPLE]) for number in range(OVERRIDES))
ROTATION = Rotation("web", Position(""), ZONE, START, Turn(1, "week"), NAMES, overrides=MADE)


def main() -> None:
    ours = timed(lambda: Roster(ROTATION).shifts(YEAR))
    theirs = timed(calendar_year)
    shifts, events = Roster(ROTATION).shifts(YEAR), calendar_year()
    moments = [YEAR.start + timedelta(minutes=521 * number) for number in range(1000)]
    roster = Roster(ROTATION)
    assert all(roster.who(at).who == holder(events, at) for at in moments), "both name the same people"
    warm = timed(lambda: [roster.who(at) for at in moments]) / len(moments)
    cold = timed(lambda: Roster(ROTATION).who(moments[700]))
    print(f"a year, {PEOPLE} people, {OVERRIDES} overrides: {len(shifts)} shifts")
    print(f"  mainstay            {ours * 1000:8.2f} ms   bound {YEAR_BOUND * 1000:g} ms")
    print(f"  rrule, cut by hand  {theirs * 1000:8.2f} ms   {theirs / ours:,.1f} × as long")
    print(f"who is on call        {warm * 1e6:8.1f} µs, {cold * 1e6:,.0f} µs from nothing   "
          f"bound {WHO_BOUND * 1e6:g} µs")
    planning = fair_year()
    print(f"a fair rota, 30 people × 365 turns: {planning:.2f} s   bound {PROPOSE_BOUND:g} s")
    if ours > YEAR_BOUND or max(warm, cold) > WHO_BOUND or planning > PROPOSE_BOUND:
        raise SystemExit("slower than the bound")


def calendar_year() -> list[tuple[datetime, datetime, str]]:
    """The year as a calendar has it: every person's recurring event expanded, then every override cut out."""
    zone = ZoneInfo(ZONE)
    found: list[tuple[datetime, datetime, str]] = []
    for number, name in enumerate(NAMES):
        rule = rrule(WEEKLY, interval=PEOPLE, dtstart=START + timedelta(weeks=number),
                     until=START + timedelta(days=366))
        for wall in rule:
            end = (wall + timedelta(weeks=1)).replace(tzinfo=zone)
            found.append((wall.replace(tzinfo=zone).astimezone(UTC), end.astimezone(UTC), name))
    for one in MADE:
        kept = []
        for start, end, name in found:
            if end <= one.span.start or start >= one.span.end:
                kept.append((start, end, name))
                continue
            if start < one.span.start:
                kept.append((start, one.span.start, name))
            if end > one.span.end:
                kept.append((one.span.end, end, name))
        assert one.who is not None
        found = [*kept, (one.span.start, one.span.end, one.who)]
    return sorted(found)


def holder(events: list[tuple[datetime, datetime, str]], at: datetime) -> str | None:
    return next((name for start, end, name in events if start <= at < end), None)


def fair_year() -> float:
    names = tuple(f"p{number:02}" for number in range(30))
    people = {name: Person(name, Position(""), zone=("Europe/Berlin", ZONE, "Asia/Tokyo")[place % 3], time_off=tuple(
        Absence(Span(FIRST + timedelta(days=day), FIRST + timedelta(days=day + 14)))
        for day in (place * 7, place * 7 + 150))) for place, name in enumerate(names)}
    roster = Roster(Rotation("web", Position(""), ZONE, START, Turn(1, "day"), names))
    begun = time.perf_counter()
    plan = propose(roster, slots_of(roster, YEAR), Calendars(people, {}), {}, {})
    took = time.perf_counter() - begun
    assert plan.most <= plan.least_most + 1
    return took


def timed(run: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        run()
        times.append(time.perf_counter() - begun)
    return median(times)


if __name__ == "__main__":
    main()
