"""`mainstay oncall propose`: a fair rota for the weeks to come, to be looked at and pasted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import Span, parse_duration, parse_moment
from mainstay.kernel.view import Cell, Code, Next, Text, View, table
from mainstay.kernel.wording import many, span_words
from mainstay.oncall.burden import KINDS, Calendars, pages_of, stretches_of
from mainstay.oncall.exchange.writing import override_yaml, rotation_yaml
from mainstay.oncall.health_view import hours
from mainstay.oncall.operations.asking import duty_of
from mainstay.oncall.operations.duty import Duty
from mainstay.oncall.proposal import Given, Past, Plan, Total, as_overrides, as_rotation, propose, slots_of
from mainstay.oncall.roster import Roster
from mainstay.oncall.spec import Holidays, Override, Person, Rotation
from mainstay.oncall.view import moment_cell, person

_MOST_WEEKS = 104


@dataclass(frozen=True)
class ProposeRequest:
    """For which rotation, and how far."""

    rotation: str = arg("the rotation; the only one there is when left out", "")
    weeks: int = arg("how many weeks", 12)
    start: str = arg("from this moment; the next hand-off when left out", "", flag="from")
    past: str = arg("how far back what people carried counts", "90d")
    form: str = arg("how it is written to be pasted", "overrides", choices=("overrides", "rotation"))


@dataclass(frozen=True, slots=True)
class Proposed:
    """A rota, why it is so, and how to paste it.

    Args:
        most: the most turns that anybody has; nobody could do with less than `least_most`.
        changed: turns that somebody else has by the rotation as it stands.
    """

    rotation: str
    span: Span
    given: tuple[Given, ...]
    totals: tuple[Total, ...]
    most: int
    least_most: int
    changed: int
    text: str


def propose_rota(world: World, request: ProposeRequest) -> Proposed:
    """Propose a fair rota: hours, nights, weekends, holidays and time off, with a reason a turn."""
    if not 1 <= request.weeks <= _MOST_WEEKS:
        raise InvalidInput(f"--weeks {request.weeks} cannot be planned", f"write 1 to {_MOST_WEEKS}")
    duty = duty_of(world)
    name = request.rotation or _only(world)
    roster = duty.roster(name)
    now = world.clock.now()
    begin = parse_moment(request.start) if request.start else _next_turn(roster, now)
    span = Span(begin, begin + timedelta(weeks=request.weeks))
    slots = slots_of(roster, span)
    if not slots:
        raise InvalidInput(f"{name} has no turn that begins in these weeks", "plan more weeks, or from another moment")
    calendars = Calendars({one.name: one for one in world.catalog.of(Person)},
                          {one.name: one for one in world.catalog.of(Holidays)})
    before = Span(now - parse_duration(request.past), now)
    plan = propose(roster, slots, calendars, _past(world, duty, roster, (before, calendars)),
                   _busy(world, duty, name, span))
    return Proposed(name, Span(slots[0].start, slots[-1].end), plan.given, plan.totals, plan.most, plan.least_most,
                    sum(one.who != one.was for one in plan.given),
                    _text(roster.rotation, plan, as_overrides(plan, slots), request.form))


def _only(world: World) -> str:
    names = [one.name for one in world.catalog.of(Rotation)]
    if len(names) != 1:
        raise InvalidInput("which rotation is not said", "name one: --rotation " + (names[0] if names else "NAME"))
    return names[0]


def _next_turn(roster: Roster, now: datetime) -> datetime:
    first = roster.turn_start(0)
    return first if now <= first else roster.turn_start(roster.turn_at(now) + 1)


def _past(world: World, duty: Duty, roster: Roster, known: tuple[Span, Calendars]) -> dict[str, Past]:
    """What each member carried; whoever joined in between has an even part for the time before."""
    before, calendars = known
    rotation = roster.rotation
    shifts = {rotation.name: duty.shifts(rotation.name, before)}
    nights: dict[str, set[object]] = {}
    for one in pages_of(world.journal.facts(FactQuery(kinds=KINDS, since=before.start, until=before.end)), calendars):
        if one.night is not None:
            nights.setdefault(one.who, set()).add(one.night)
    started = max(before.start, roster.turn_start(0))
    found = {}
    for place, who in enumerate(rotation.members):
        if who is None:
            continue
        joined = rotation.stays[place].start if rotation.stays else None
        there = before.end - max(joined or started, started)
        held = sum((span.length for span in stretches_of(who, shifts, before)), timedelta(0))
        missed = 1 - there / (before.end - started) if before.end > started else 0.0
        even = max(before.end - started, timedelta(0)) / len(rotation.members)
        found[who] = Past(held + even * min(max(missed, 0.0), 1.0), len(nights.get(who, ())))
    return found


def _busy(world: World, duty: Duty, name: str, span: Span) -> dict[str, list[Span]]:
    """When people have another pager."""
    found: dict[str, list[Span]] = {}
    ahead = Span(span.start, span.end + timedelta(days=62))
    for other in world.catalog.of(Rotation):
        if other.name != name:
            for shift in duty.shifts(other.name, ahead):
                if shift.who is not None:
                    found.setdefault(shift.who, []).append(Span(shift.start, shift.end))
    return found


def _text(rotation: Rotation, plan: Plan, changed: Sequence[Override], form: str) -> str:
    if form == "rotation":
        return rotation_yaml(as_rotation(rotation, plan))
    lines = [f"    - {override_yaml(one, rotation.zone)}" for one in changed]
    return "  overrides:\n" + "\n".join(lines) + "\n" if lines else ""


def propose_view(found: Proposed) -> View:
    """How fair it is, who has which turn and why, and the text to paste."""
    head = Text(f"{found.rotation} · {many(len(found.given), 'turn')} · {span_words(*found.span)}", "quiet")
    missing = sum(one.who is None for one in found.given)
    least = min((one.turns for one in found.totals), default=0)
    each = f"{least} to {many(found.most, 'turn')}" if least < found.most else many(least, "turn")
    fair = f"Everybody has {each}; the most could not be less than {found.least_most}."
    if missing:
        verdict = Text(f"{many(missing, 'turn')} nobody can have. {fair}", "bad")
    else:
        verdict = Text(f"{fair} {found.changed} of {len(found.given)} turns change hands.", "good")
    turns = table("", ("from", "to", "who", "was", "why"), [
        (moment_cell(one.start), moment_cell(one.end), person(one.who),
         "–" if one.was == one.who else person(one.was), one.why) for one in found.given])
    totals = table("In all", ("person", "turns>", "nights>", "weekends>", "holidays>", "hours>", "carried before>"), [
        (Cell(one.who, tone="strong"), str(one.turns), str(one.nights), str(one.weekends), str(one.holidays),
         hours(one.hours), f"{one.before:g}") for one in found.totals])
    paste = Code(found.text, "yaml", f"To paste into {found.rotation}") if found.text else \
        Text("The rotation as it stands is this rota already.", "good")
    return View("Proposal", (head, verdict, turns, totals, paste, Next(("mainstay oncall gaps",
                                                                        "mainstay oncall health"))))


PROPOSE = Operation(
    "oncall", "propose", ProposeRequest, propose_rota, propose_view,
    exit_code=lambda found: 1 if any(one.who is None for one in found.given) else 0,
    exit_codes=((0, "every turn has somebody"), (1, "nobody can have some turn"),
                (2, "the catalog, a name or a time is wrong")),
    examples=("mainstay oncall propose --rotation web-primary --weeks 12",
              "mainstay oncall propose --rotation web-primary --weeks 26 --form rotation",
              "mainstay oncall propose --rotation web-primary --weeks 4 --json"))
