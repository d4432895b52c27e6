"""What the pager costs people: pages, nights and weekends by each person's own clock, hours on call, how evenly shared.

A page is one call for one person about one step of an incident; that it went over three channels, or rang again on the
second, makes it no second page. Everything else is counted over pages, and each keeps its row.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta, tzinfo

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.journal import Fact
from mainstay.kernel.quantity import Span, zone_named
from mainstay.kernel.wallclock import EVERY_DAY, WeeklyHours, hours_in, instant_of, local_of
from mainstay.oncall.roster import Shift
from mainstay.oncall.spec import Holidays, Person
from mainstay.stats.drift import Drift, drift
from mainstay.stats.spread import Estimate

KINDS = ("incident.opened", "incident.severity-changed", "incident.paged", "pager.told")
"""The facts that pages are counted from."""

WORK_FROM, WORK_TO = 9, 17
"""After hours is an hour before 9 or from 17 on, or a weekend (the guide's preset)."""
NIGHT = WeeklyHours(EVERY_DAY, 22 * 60, 7 * 60)
"""When people sleep: from ten in the evening to seven."""
PAGES_A_NIGHT, PAGES_A_DAY = 2, 5
"""More than these are too many (the reference: "max 2 pages per night", more than five alerts a day is fatigue)."""
LEAST_PEOPLE, MOST_PEOPLE = 5, 8
"""People in a rotation that can be kept up (the reference)."""
PER_TWELVE_HOURS = 2
"""Incidents in a shift of twelve hours beyond which there is no time to do them well (Google SRE, ch. 11)."""
_TWELVE = timedelta(hours=12)
_INCIDENT, _AFTER_HOURS, _WORST, _CAP = 5, 10, 15, 100
"""Points of the guide's burden score."""
_WORST_NAMES = ("SEV1", "P1", "critical")


@dataclass(frozen=True, slots=True)
class Page:
    """One page of one person.

    Args:
        local: what the clock on the person's wall showed.
        night: the evening of the night that it fell into; None by day.
        weekend: Saturday, Sunday or a holiday of the person's.
        pager: whose shift it fell into; empty when the person was not on call.
        shift: when that shift began.
    """

    at: datetime
    who: str
    incident: str
    severity: str
    local: str
    night: date | None
    weekend: bool
    after_hours: bool
    pager: str = ""
    shift: datetime | None = None
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Calendars:
    """How each person's time reads: zone, and days that count as weekend."""

    people: Mapping[str, Person]
    holidays: Mapping[str, Holidays]

    def zone(self, who: str) -> str:
        """The person's zone; UTC for somebody undeclared."""
        person = self.people.get(who)
        return person.zone if person is not None else "UTC"

    def days_off(self, who: str) -> frozenset[date]:
        """The person's holidays, those of their calendars included."""
        person = self.people.get(who)
        if person is None:
            return frozenset()
        shared = (day for name in person.calendars if name in self.holidays for day in self.holidays[name].days)
        return frozenset((*person.holidays, *shared))


def pages_of(facts: Iterable[Fact], calendars: Calendars) -> list[Page]:
    """The pages that the facts tell of, in order; one a person, incident, step and reason.

    Args:
        facts: of KINDS, in the order of the journal, from before the first page asked for.
    """
    severity: dict[str, str] = {}
    found: dict[tuple[object, ...], Page] = {}
    for fact in facts:
        data = fact.data
        if fact.kind == "incident.opened":
            severity[fact.subject] = str(data.get("severity", ""))
        elif fact.kind == "incident.severity-changed":
            severity[fact.subject] = str(data["to"])
        elif fact.kind == "incident.paged" and data.get("is") != "channel":
            # A channel such as a chat room has no nights.
            key = fact.subject, data["to"], data["loop"], data["step"], data.get("reason", "")
            channel = str(data.get("channel", ""))
            if key in found:
                found[key] = replace(found[key], channels=(*found[key].channels, channel))
            else:
                found[key] = page(fact.at, str(data["to"]), fact.subject, severity.get(fact.subject, ""), calendars,
                                  channel)
        elif fact.kind == "pager.told" and data["incidents"]:
            worst = min(data["incidents"], key=lambda one: severity.get(one, "SEV9"))
            found[fact.seq,] = page(fact.at, fact.subject, str(worst), severity.get(worst, ""), calendars)
    return sorted(found.values(), key=lambda one: (one.at, one.who, one.incident))


def page(at: datetime, who: str, incident: str, severity: str, calendars: Calendars, channel: str = "") -> Page:
    """A page with what the person's own clock and calendar make of it."""
    local = local_of(at, zone_named(calendars.zone(who)))
    minute = local.hour * 60 + local.minute
    night = local.date() if minute >= NIGHT.start else local.date() - timedelta(days=1) if minute < NIGHT.end else None
    weekend = local.weekday() >= 5 or local.date() in calendars.days_off(who)
    after = weekend or not WORK_FROM <= local.hour < WORK_TO
    return Page(at, who, incident, severity, local.isoformat(timespec="minutes"), night, weekend, after,
                channels=(channel,) if channel else ())


def in_shifts(pages: Sequence[Page], shifts: Mapping[str, Sequence[Shift]]) -> list[Page]:
    """The pages with the shift that each fell into; at a hand-off it is the incoming person's."""
    by_person: dict[str, list[tuple[datetime, datetime, str]]] = defaultdict(list)
    for name, held in shifts.items():
        for shift in held:
            if shift.who is not None:
                by_person[shift.who].append((shift.start, shift.end, name))
    for listed in by_person.values():
        listed.sort()
    found = []
    for one in pages:
        at = next((known for known in by_person[one.who] if known[0] <= one.at < known[1]), None)
        found.append(replace(one, pager=at[2], shift=at[0]) if at is not None else one)
    return found


# -- one person -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Load:
    """What one person carried.

    Args:
        hours, night_hours, weekend_hours: on call, as they passed; two pagers at once count once.
        interruptions: pages closer together than the pause asked for count once.
        sleep: nights in which somebody was woken.
        worst_night, busiest_day: the most pages in one.
        burden: the guide's score, 0 to 100.
    """

    who: str
    zone: str
    hours: timedelta
    night_hours: timedelta
    weekend_hours: timedelta
    pages: int
    incidents: int
    after_hours: int
    nights: int
    weekends: int
    sleep: int
    interruptions: int
    worst_night: int
    busiest_day: int
    by_severity: Mapping[str, int]
    burden: int


def burden_score(incidents: Iterable[tuple[str, bool]]) -> int:
    """The guide's score of one person: 5 an incident, 10 more after hours, 15 more for a P1; at most 100.

    Args:
        incidents: severity, and whether the person was paged for it after hours.
    Source: the guide's `_calculate_burden_score`, with after-hours judged by the time of the page in the person's zone.
    """
    score = sum(_INCIDENT + _AFTER_HOURS * after + _WORST * (severity in _WORST_NAMES)
                for severity, after in incidents)
    return min(score, _CAP)


def load_of(who: str, pages: Sequence[Page], stretches: Sequence[Span], calendars: Calendars,
            pause: timedelta) -> Load:
    """What the person carried.

    Args:
        pages: the person's own, in order.
        stretches: when the person was on call, in order, none touching another.
        pause: pages closer together than this are one interruption.
    """
    zone = zone_named(calendars.zone(who))
    first: dict[str, Page] = {}
    for one in pages:
        first.setdefault(one.incident, one)
    interruptions, last = 0, None
    for one in pages:
        if last is None or one.at - last >= pause:
            interruptions += 1
        last = one.at
    nights = Counter(one.night for one in pages if one.night is not None)
    days = Counter(one.local[:10] for one in pages)
    off = calendars.days_off(who)
    return Load(
        who, calendars.zone(who), _total(stretches),
        _total(part for span in stretches for part in hours_in((NIGHT,), zone, span)),
        _total(part for span in stretches for part in weekend_parts(span, zone, off)),
        len(pages), len(first), sum(one.after_hours for one in pages), sum(one.night is not None for one in pages),
        sum(one.weekend for one in pages), len(nights), interruptions, max(nights.values(), default=0),
        max(days.values(), default=0), dict(sorted(Counter(one.severity or "unknown" for one in pages).items())),
        burden_score((one.severity, one.after_hours) for one in first.values()))


def _total(spans: Iterable[Span]) -> timedelta:
    return sum((span.length for span in spans), timedelta(0))


def weekend_parts(span: Span, zone: tzinfo, off: frozenset[date]) -> Iterator[Span]:
    """What of the span lies on Saturdays, Sundays and the days off, by the zone's clock."""
    day = local_of(span.start, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    while (begin := instant_of(day, zone)) < span.end:
        following = day + timedelta(days=1)
        end = instant_of(following, zone)
        if day.weekday() >= 5 or day.date() in off:
            part = Span(max(begin, span.start), min(end, span.end))
            if part.start < part.end:
                yield part
        day = following


def stretches_of(who: str, shifts: Mapping[str, Sequence[Shift]], within: Span) -> list[Span]:
    """When the person had any pager, each moment once."""
    held = sorted(Span(max(one.start, within.start), min(one.end, within.end)) for listed in shifts.values()
                  for one in listed if one.who == who)
    found: list[Span] = []
    for span in held:
        if span.start >= span.end:
            continue
        if found and span.start <= found[-1].end:
            found[-1] = Span(found[-1].start, max(found[-1].end, span.end))
        else:
            found.append(span)
    return found


# -- warnings -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Excess:
    """A limit that was passed.

    Args:
        kind: `night`, `day`, `shift` or `size`.
        who: the person, or the rotation for `size`.
    """

    kind: str
    who: str
    says: str


def warnings_of(pages: Sequence[Page], shifts: Mapping[str, Sequence[Shift]],
                members: Mapping[str, Sequence[str]]) -> list[Excess]:
    """The limits that were passed, each once."""
    found: list[Excess] = []
    nights = Counter((one.who, one.night) for one in pages if one.night is not None)
    found += [Excess("night", who, f"{count} pages in the night of {night:%-d %b}, more than {PAGES_A_NIGHT}")
              for (who, night), count in sorted(nights.items()) if count > PAGES_A_NIGHT]
    days = Counter((one.who, one.local[:10]) for one in pages)
    found += [Excess("day", who, f"{count} pages on {date.fromisoformat(day):%-d %b}, more than {PAGES_A_DAY}")
              for (who, day), count in sorted(days.items()) if count > PAGES_A_DAY]
    found += _full_shifts(pages, shifts)
    for name, people in sorted(members.items()):
        if len(people) < LEAST_PEOPLE:
            found.append(Excess("size", name, f"{len(people)} take turns; with fewer than {LEAST_PEOPLE} nobody "
                                  "recovers between turns"))
        elif len(people) > MOST_PEOPLE:
            found.append(Excess("size", name, f"{len(people)} take turns; with more than {MOST_PEOPLE} nobody stays "
                                  "in practice"))
    return found


def _full_shifts(pages: Sequence[Page], shifts: Mapping[str, Sequence[Shift]]) -> Iterator[Excess]:
    """Twelve hours of a shift with more incidents than can be done well."""
    for name, held in sorted(shifts.items()):
        for shift in held:
            in_it = [one for one in pages if one.pager == name and one.shift == shift.start and one.who == shift.who]
            pieces: dict[int, set[str]] = defaultdict(set)
            for one in in_it:
                pieces[(one.at - shift.start) // _TWELVE].add(one.incident)
            for piece, incidents in sorted(pieces.items()):
                if len(incidents) > PER_TWELVE_HOURS:
                    begin = shift.start + piece * _TWELVE
                    yield Excess("shift", str(shift.who), f"{len(incidents)} incidents in twelve hours of {name} "
                                   f"from {begin:%-d %b %H:%M} UTC, more than {PER_TWELVE_HOURS}")


# -- over weeks -----------------------------------------------------------------------------------------------------


def weeks_of(span: Span) -> list[Span]:
    """The whole weeks of the span, counted back from its end."""
    found = []
    end = span.end
    while end - timedelta(days=7) >= span.start:
        found.append(Span(end - timedelta(days=7), end))
        end -= timedelta(days=7)
    return found[::-1]


def trend_of(pages: Sequence[Page], weeks: Sequence[Span]) -> tuple[list[int], Drift]:
    """Pages a week, and whether they rise or fall."""
    counts = [sum(week.holds(one.at) for one in pages) for week in weeks]
    return counts, drift([float(count) for count in counts])


# -- all of it ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fairness:
    """How evenly the members of a rotation share one kind of load.

    Args:
        what: `hours`, `nights`, `weekends` (hours on call then) or `pages`.
        least, most: of the members.
        gini: 0 is even; with an interval from leaving each week out; null when nobody carried any.
    """

    rotation: str
    what: str
    least: float
    most: float
    gini: Estimate | None


@dataclass(frozen=True, slots=True)
class Health:
    """What the pager cost, and the pages that every number is counted from.

    Args:
        weekly: pages in each whole week, the last one ending now.
    """

    span: Span
    pause: timedelta
    people: tuple[Load, ...]
    warnings: tuple[Excess, ...]
    fairness: tuple[Fairness, ...]
    weeks: tuple[datetime, ...]
    weekly: tuple[int, ...]
    trend: Drift
    pages: tuple[Page, ...]
    rows: bool = False
