"""`mainstay oncall health`: what the pager cost whom, how evenly, and whether it gets worse."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, NotFound
from mainstay.kernel.finding import did_you_mean
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import Span, parse_duration
from mainstay.oncall.burden import (
    KINDS,
    Calendars,
    Fairness,
    Health,
    Page,
    in_shifts,
    load_of,
    pages_of,
    stretches_of,
    trend_of,
    warnings_of,
    weeks_of,
)
from mainstay.oncall.health_view import health_view
from mainstay.oncall.operations.asking import duty_of, pagers_of
from mainstay.oncall.roster import Roster, Shift
from mainstay.oncall.spec import Holidays, Person, Rotation
from mainstay.stats.spread import gini, jackknife

_BEFORE = timedelta(days=90)
"""How much further back facts are read, so that the severity of an incident that was open already is known."""


@dataclass(frozen=True)
class HealthRequest:
    """Over what, and for whom."""

    last: str = arg("how far to look back", "90d")
    person: str = arg("only this person, with every page", "")
    pause: str = arg("pages closer together than this are one interruption", "15m")
    rows: bool = arg("list every page behind the numbers", False)


def health(world: World, request: HealthRequest) -> Health:
    """Say what the pager cost whom: pages, nights, weekends, hours, and how evenly it is shared."""
    pause, now = parse_duration(request.pause), world.clock.now()
    span = Span(now - parse_duration(request.last), now)
    if span.length > timedelta(days=3 * 366):
        raise InvalidInput("that is longer than three years", "look back less, such as --last 90d")
    calendars = Calendars({one.name: one for one in world.catalog.of(Person)},
                          {one.name: one for one in world.catalog.of(Holidays)})
    duty = duty_of(world)
    pagers = pagers_of(world)
    # Somebody's shift may have begun before the span: pages are laid into whole shifts.
    shifts = {name: duty.shifts(name, Span(span.start - timedelta(days=62), span.end)) for name in pagers}
    facts = world.journal.facts(FactQuery(kinds=KINDS, since=span.start - _BEFORE, until=span.end))
    pages = in_shifts([one for one in pages_of(facts, calendars) if span.holds(one.at)], shifts)
    today = Span(now, now + timedelta(seconds=1))
    members = {one.name: duty.roster(one.name).taking_part(today) for one in world.catalog.of(Rotation)}
    names = sorted({one.who for one in pages} | {who for people in members.values() for who in people}
                   | {one.who for held in shifts.values() for one in held if one.who is not None})
    if request.person and request.person not in names:
        raise NotFound(f'nobody named "{request.person}" is on call{did_you_mean(request.person, names)}',
                       "known: " + ", ".join(names))
    wanted = [request.person] if request.person else names
    people = tuple(load_of(who, [one for one in pages if one.who == who], stretches_of(who, shifts, span), calendars,
                           pause) for who in wanted)
    weeks = weeks_of(span)
    counts, trend = trend_of(pages, weeks)
    kept = tuple(one for one in pages if not request.person or one.who == request.person)
    warned = tuple(one for one in warnings_of(pages, shifts, members)
                   if not request.person or one.who == request.person)
    fair = tuple(fairness for name in pagers for roster in duty.rosters(name)
                 for fairness in _fairness(roster, (shifts[name], [one for one in pages if one.pager == name]),
                                           (weeks, calendars)))
    return Health(span, pause, people, warned, () if request.person else fair, tuple(week.start for week in weeks),
                  tuple(counts), trend, kept, request.rows or bool(request.person))


def _fairness(roster: Roster, carried: tuple[Sequence[Shift], Sequence[Page]],
              over: tuple[Sequence[Span], Calendars]) -> list[Fairness]:
    """How evenly the members of a rotation share what of it was not covered by a layer above, week by week.

    Args:
        carried: the shifts of its pager, and the pages that fell into them.
    """
    (shifts, pages), (weeks, calendars) = carried, over
    name = roster.rotation.name
    people = roster.taking_part(Span(weeks[0].start, weeks[-1].end)) if weeks else ()
    if len(people) < 2:
        return []
    own = {name: [one for one in shifts if one.rotation == name]}
    begins = {one.start for one in own[name]}
    pages = [one for one in pages if one.shift in begins]
    rows: dict[str, list[list[float]]] = {"hours": [], "nights": [], "weekends": [], "pages": []}
    for week in weeks:
        loads = [load_of(who, [one for one in pages if one.who == who and week.holds(one.at)],
                         stretches_of(who, own, week), calendars, timedelta(minutes=1)) for who in people]
        for what, amounts in (("hours", [one.hours for one in loads]), ("nights", [one.night_hours for one in loads]),
                              ("weekends", [one.weekend_hours for one in loads])):
            rows[what].append([amount / timedelta(hours=1) for amount in amounts])
        rows["pages"].append([float(one.pages) for one in loads])
    found = []
    for what, table in rows.items():
        sums = [sum(column) for column in zip(*table, strict=True)]
        found.append(Fairness(name, what, min(sums), max(sums), jackknife(table, gini, (0.0, 1.0))))
    return found


HEALTH = Operation(
    "oncall", "health", HealthRequest, health, health_view,
    exit_code=lambda found: 1 if any(one.kind != "size" for one in found.warnings) else 0,
    exit_codes=((0, "within the limits"), (1, "a limit was passed"), (2, "the catalog, a name or a time is wrong")),
    examples=("mainstay oncall health", "mainstay oncall health --last 30d --person ana",
              "mainstay oncall health --json"))
