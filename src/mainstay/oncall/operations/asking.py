"""`mainstay oncall who | shifts | gaps`: who is on call now, over a span, and where nobody will be."""

from __future__ import annotations

from datetime import datetime, timedelta

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, NotFound
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import Span, format_duration, parse_duration, parse_moment
from mainstay.kernel.view import Next, Text, View, table
from mainstay.kernel.wording import many, span_words
from mainstay.oncall.coverage import Problem, hours_without, problems
from mainstay.oncall.operations.duty import Duty
from mainstay.oncall.roster import HORIZON, Roster, Shift
from mainstay.oncall.spec import Person, Rotation, Schedule
from mainstay.oncall.view import moment, moment_cell, person, problems_table, shifts_table

LONGEST = timedelta(days=5 * 366)
"""A span that is asked for at once: five years are more than anybody plans."""


def duty_of(world: World) -> Duty:
    """The rotations and people of the world, with what was changed since."""
    return Duty(world.catalog, world.journal)


def pagers_of(world: World) -> list[str]:
    """What can be on one's belt: the schedules, and the rotations that are no layer of one.

    Raises:
        NotFound: the catalog declares none at all.
    """
    schedules = world.catalog.of(Schedule)
    layers = {layer for one in schedules for layer in one.layers}
    found = [one.name for one in schedules] + [one.name for one in world.catalog.of(Rotation) if one.name not in layers]
    if not found:
        raise NotFound("the catalog declares no rotation", "docs/guides/oncall.md shows how to write one")
    return found


def span_of(start: str, end: str, now: datetime, default: timedelta) -> Span:
    """A span from two texts; it begins now, and lasts as long as said, where a text is empty.

    Raises:
        InvalidInput: not times, the wrong way round, or longer than five years.
    """
    first = parse_moment(start) if start else now
    last = parse_moment(end) if end else first + default
    if first >= last:
        raise InvalidInput("the span ends before it begins", "write --to after --from")
    if last - first > LONGEST:
        raise InvalidInput("the span is longer than five years", "ask for less at once")
    return Span(first, last)


# -- who ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WhoRequest:
    """Which pagers, and when."""

    names: tuple[str, ...] = arg("rotations or schedules; every pager when none is named", (), positional=True)
    at: str = arg("at this moment, such as 2026-03-02T09:00:00Z; now when left out", "")


@dataclass(frozen=True, slots=True)
class OnCall:
    """Who has a pager; `who` is null when nobody has.

    Args:
        until: when somebody else, or nobody, has it; null when not within two years.
        then: who has it then.
    """

    name: str
    who: str | None
    via: str
    until: datetime | None
    then: str | None


@dataclass(frozen=True, slots=True)
class Who:
    """Every pager asked for.

    Args:
        swaps: how many swaps wait for an answer.
    """

    at: datetime
    on_call: tuple[OnCall, ...]
    swaps: int = 0


def who(world: World, request: WhoRequest) -> Who:
    """Say who is on call, until when, and who is next."""
    at = parse_moment(request.at) if request.at else world.clock.now()
    duty = duty_of(world)
    return Who(at, tuple(_on_call(duty, name, at) for name in request.names or pagers_of(world)),
               len(duty.changes.waiting(world.clock.now())))


def _on_call(duty: Duty, name: str, at: datetime) -> OnCall:
    rosters = duty.rosters(name)
    now = duty.shifts(name, Span(at, at + timedelta(seconds=1)))[0]
    until = next_change(duty, name, rosters, at)
    then = duty.shifts(name, Span(until, until + timedelta(seconds=1)))[0].who if until is not None else None
    return OnCall(name, now.who, now.via, until, then)


def next_change(duty: Duty, name: str, rosters: tuple[Roster, ...], at: datetime) -> datetime | None:
    """When somebody else, or nobody, has the pager next; None when not within two years."""
    if len(rosters) == 1:
        return rosters[0].next_handoff(at)
    reach = timedelta(days=8)
    while reach < HORIZON * 4:
        ahead = duty.shifts(name, Span(at, at + min(reach, HORIZON)))
        later = next((one.start for one in ahead[1:] if one.who != ahead[0].who), None)
        if later is not None:
            return later
        reach *= 4
    return None


def who_view(found: Who) -> View:
    """A row a pager."""
    missing = [one.name for one in found.on_call if one.who is None]
    head = Text("Nobody is on call in " + ", ".join(missing) + ".", "bad") if missing else \
        Text(f"{many(len(found.on_call), 'pager')} at {moment(found.at)}, each with somebody.", "good")
    rows = [(one.name, person(one.who, via=one.via), moment_cell(one.until) if one.until is not None else "–",
             person(one.then) if one.until is not None else "–") for one in found.on_call]
    asked = (Text(f"{many(found.swaps, 'swap')} {'waits' if found.swaps == 1 else 'wait'} for an answer.", "warn"),) \
        if found.swaps else ()
    commands = ("mainstay oncall shifts", "mainstay oncall gaps", *(("mainstay oncall swap",) if found.swaps else ()))
    return View("On call", (head, table("", ("pager", "now", "until", "then"), rows), *asked, Next(commands)))


WHO = Operation(
    "oncall", "who", WhoRequest, who, who_view, numbers=False,
    exit_code=lambda found: 1 if any(one.who is None for one in found.on_call) else 0,
    exit_codes=((0, "somebody is on call everywhere"), (1, "somewhere nobody is"),
                (2, "the catalog or a name is wrong")),
    examples=("mainstay oncall who", "mainstay oncall who web-primary --at 2026-03-02T09:00:00Z",
              "mainstay oncall who --json"))


# -- shifts -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ShiftsRequest:
    """Which pager, and over what."""

    rotation: str = arg("the rotation or schedule; the only one there is when left out", "")
    since: str = arg("from this moment; now when left out", "", flag="from")
    until: str = arg("to this moment; four weeks later when left out", "", flag="to")
    layers: bool = arg("of a schedule, also what each of its layers says alone", False)


@dataclass(frozen=True, slots=True)
class Layer:
    """What one layer of a schedule says alone."""

    name: str
    shifts: tuple[Shift, ...]


@dataclass(frozen=True, slots=True)
class Shifts:
    """Every moment of the span in exactly one shift; the layers only when they were asked for."""

    name: str
    span: Span
    shifts: tuple[Shift, ...]
    layers: tuple[Layer, ...] = ()


def shifts(world: World, request: ShiftsRequest) -> Shifts:
    """List who is on call over a span, gaps included."""
    names = [request.rotation] if request.rotation else pagers_of(world)
    if len(names) > 1:
        raise InvalidInput("the catalog declares several rotations", "name one: --rotation " + names[0])
    span = span_of(request.since, request.until, world.clock.now(), timedelta(days=28))
    duty = duty_of(world)
    layers = tuple(Layer(roster.rotation.name, tuple(roster.shifts(span))) for roster in duty.rosters(names[0])) \
        if request.layers else ()
    return Shifts(names[0], span, tuple(duty.shifts(names[0], span)), layers)


def shifts_view(found: Shifts) -> View:
    """A row a shift."""
    gaps = [one for one in found.shifts if one.who is None]
    head = Text(f"{found.name} · {span_words(*found.span)}", "quiet")
    verdict = Text(f"Nobody is on call for {format_duration(sum((one.length for one in gaps), timedelta(0)))} in "
                   f"{many(len(gaps), 'gap')}.", "warn") if gaps else Text("Somebody is on call all the time.", "good")
    layers = tuple(shifts_table(one.shifts, f"Layer {number}: {one.name}")
                   for number, one in enumerate(found.layers, 1))
    return View("Shifts", (head, verdict, shifts_table(found.shifts, found.name if layers else ""), *layers,
                           Next(("mainstay oncall gaps", "mainstay oncall export"))))


SHIFTS = Operation(
    "oncall", "shifts", ShiftsRequest, shifts, shifts_view,
    as_json=lambda found: found if found.layers else found.shifts,
    exit_codes=((0, "listed"), (2, "the catalog, a name or a time is wrong")),
    examples=("mainstay oncall shifts --rotation web-primary",
              "mainstay oncall shifts --rotation web-primary --from 2026-03-01 --to 2026-04-01 --json",
              "mainstay oncall shifts --rotation web --layers"))


# -- gaps ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GapsRequest:
    """Which pagers, and how far ahead."""

    names: tuple[str, ...] = arg("rotations or schedules; every pager when none is named", (), positional=True)
    ahead: str = arg("how far to look", "28d")


@dataclass(frozen=True, slots=True)
class Gaps:
    """What will go wrong."""

    names: tuple[str, ...]
    span: Span
    problems: tuple[Problem, ...]


def gaps(world: World, request: GapsRequest) -> Gaps:
    """Find where nobody will be on call, or somebody who cannot, before it happens."""
    names = request.names or tuple(pagers_of(world))
    now = world.clock.now()
    span = span_of("", "", now, parse_duration(request.ahead))
    duty = duty_of(world)
    rosters = {name: duty.shifts(name, span) for name in names}
    people = {one.name: one for one in world.catalog.of(Person)}
    return Gaps(tuple(names), span, tuple(problems(rosters, people)))


def gaps_view(found: Gaps) -> View:
    """A row a problem."""
    head = Text(f"{', '.join(found.names)} · {span_words(*found.span)}", "quiet")
    if not found.problems:
        return View("Gaps", (head, Text("Somebody who can be reached is on call all the time.", "good"),
                             Next(("mainstay oncall shifts",))))
    nobody = hours_without(found.problems)
    verdict = many(len(found.problems), "problem") + (f"; nobody for {format_duration(nobody)}" if nobody else "") + "."
    return View("Gaps", (head, Text(verdict, "bad" if nobody else "warn"), problems_table(found.problems),
                         Next(("mainstay oncall override ROTATION --who NAME --from … --to …",))))


GAPS = Operation(
    "oncall", "gaps", GapsRequest, gaps, gaps_view, exit_code=lambda found: 1 if found.problems else 0,
    exit_codes=((0, "nothing is wrong"), (1, "there are problems"), (2, "the catalog, a name or a time is wrong")),
    examples=("mainstay oncall gaps", "mainstay oncall gaps web --ahead 90d --json"))
