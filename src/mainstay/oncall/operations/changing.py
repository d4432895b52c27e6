"""`mainstay oncall override | swap | handoff`: what people change, each recorded once or refused."""

from __future__ import annotations

from datetime import datetime, timedelta

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import Conflict, InvalidInput, NotFound
from mainstay.kernel.finding import did_you_mean
from mainstay.kernel.journal import AlreadyRecorded, Batch, FactQuery, NewFact
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import Span, parse_moment, zone_named
from mainstay.kernel.view import Entry, Next, Text, Timeline, Tone, View, table
from mainstay.kernel.wallclock import instant_of, parse_wall_time
from mainstay.oncall.changes import MADE, REMOVED, SWAP, Changes, MadeOverride, Swap, next_swap
from mainstay.oncall.forms import NOBODY
from mainstay.oncall.operations.asking import duty_of, next_change
from mainstay.oncall.operations.duty import Duty
from mainstay.oncall.roster import Shift
from mainstay.oncall.spec import Person, Rotation
from mainstay.oncall.view import moment, moment_cell, shifts_table, swap_text

_TRIES = 20
"""How often a number is taken anew when somebody else was quicker."""


def time_in(text: str, rotation: Rotation) -> datetime:
    """A time with a zone, or the wall clock of the rotation's zone: `2026-03-04T10:00`."""
    try:
        wall = parse_wall_time(text)
    except InvalidInput:
        return parse_moment(text)
    return instant_of(wall, zone_named(rotation.zone))


def _span(start: str, end: str, rotation: Rotation) -> Span:
    if not start or not end:
        raise InvalidInput("the time is missing", "write --from 2026-03-04T10:00 --to 2026-03-04T14:00")
    span = Span(time_in(start, rotation), time_in(end, rotation))
    if span.start >= span.end:
        raise InvalidInput("it ends before it begins", "write --to after --from")
    return span


def _known_person(world: World, name: str) -> None:
    people = [one.name for one in world.catalog.of(Person)]
    if people and name not in people:
        raise NotFound(f'no person is named "{name}"{did_you_mean(name, people)}',
                       "known: " + ", ".join(sorted(people)))


def _of_known(world: World, rotation: str) -> Duty:
    """Who is on call, once the rotation that was named, if any, is known to exist."""
    duty = duty_of(world)
    if rotation:
        duty.roster(rotation)
    return duty


def _texts(span: Span) -> dict[str, str]:
    return {"from": span.start.isoformat(), "to": span.end.isoformat()}


# -- override -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OverrideRequest:
    """Who takes over where and when; or which override ends."""

    rotation: str = arg("the rotation", "", positional=True)
    who: str = arg(f"who is on call instead; {NOBODY} takes whoever it is away", "")
    since: str = arg("from this time: by the rotation's wall clock, or with a zone", "", flag="from")
    until: str = arg("to this time", "", flag="to")
    replaces: str = arg("only where this person would be on call", "")
    note: str = arg("why", "")
    remove: str = arg("take the override of this id back, such as O-3", "")


@dataclass(frozen=True, slots=True)
class Overridden:
    """The override, and who is on call around it now.

    Args:
        id: empty where nothing was changed, and those that were made were asked for.
        overrides: those that were made by command, page or API and are not over; only where they were asked for.
    """

    id: str
    rotation: str
    removed: bool
    shifts: tuple[Shift, ...]
    overrides: tuple[MadeOverride, ...] = ()


def override(world: World, request: OverrideRequest) -> Overridden:
    """Put somebody else on call for a while, take that back, or list those."""
    if request.remove:
        return _take_back(world, request.remove)
    if not (request.who or request.since or request.until):
        duty = _of_known(world, request.rotation)
        return Overridden("", request.rotation, False, (), duty.changes.ahead(world.clock.now(), request.rotation))
    if not request.rotation or not request.who:
        raise InvalidInput("an override needs a rotation and who is on call instead",
                           "mainstay oncall override ROTATION --who ben --from 2026-03-04T10:00 --to 2026-03-04T14:00")
    duty = duty_of(world)
    rotation = duty.roster(request.rotation).rotation
    span = _span(request.since, request.until, rotation)
    if request.who != NOBODY:
        _known_person(world, request.who)
    if request.replaces == NOBODY:
        raise InvalidInput(f"it replaces {NOBODY}, who is never on call",
                           "leave --replaces out: the override covers the time, gaps included")
    # Somebody who only stands in there can be replaced as well.
    held = {one.who for one in duty.shifts(rotation.name, span)}
    if request.replaces and request.replaces not in held | set(rotation.members):
        raise InvalidInput(f'"{request.replaces}" takes no turns in "{rotation.name}"',
                           "members: " + ", ".join(name for name in rotation.members if name is not None))
    data = {"rotation": rotation.name, **_texts(span), "who": None if request.who == NOBODY else request.who,
            "replaces": request.replaces or None, "via": "override", "note": request.note}
    name = _numbered(world, duty, data)
    return Overridden(name, rotation.name, False, tuple(duty.shifts(rotation.name, _around(span))))


def _numbered(world: World, duty: Duty, data: dict[str, str | None]) -> str:
    """Record the override under the next number.

    Two that say the same at the same moment want the same number: the journal takes one, and the other finds it.
    """
    for _ in range(_TRIES):
        changes: Changes = duty.changes
        twin = next((one for one in changes.overrides.values() if _alike(one, data)), None)
        if twin is not None:
            raise Conflict(f"{twin.id} says the same already",
                           f"take it back with --remove {twin.id}, or change the time")
        name = f"O-{changes.made + 1}"
        try:
            world.journal.commit(Batch([NewFact(MADE, name, world.clock.now(), data, f"override:{name}", world.actor)],
                                       fresh=True))
        except AlreadyRecorded:
            continue
        return name
    raise Conflict("others kept changing the rota at the same time", "try again")


def _alike(one: MadeOverride, data: dict[str, str | None]) -> bool:
    over = one.override
    return (one.rotation, over.span.start.isoformat(), over.span.end.isoformat(), over.who, over.replaces) == (
        data["rotation"], data["from"], data["to"], data["who"], data["replaces"])


def _take_back(world: World, name: str) -> Overridden:
    duty = duty_of(world)
    one = duty.changes.overrides.get(name)
    if one is None:
        known = ", ".join(duty.changes.overrides) or "none that was made by command; those of the file end there"
        raise NotFound(f'no override "{name}" is in force', f"in force: {known}")
    world.journal.commit(Batch([NewFact(REMOVED, name, world.clock.now(), {"rotation": one.rotation},
                                        f"override-removed:{name}", world.actor)]))
    return Overridden(name, one.rotation, True, tuple(duty.shifts(one.rotation, _around(one.override.span))))


def _around(span: Span) -> Span:
    return Span(span.start - timedelta(hours=12), span.end + timedelta(hours=12))


def override_view(found: Overridden) -> View:
    """What was done, and who is on call around it; or what was made by command."""
    if not found.id:
        rows = [(one.id, one.rotation, moment_cell(one.override.span.start), moment_cell(one.override.span.end),
                 one.override.who or NOBODY, one.override.replaces or "whoever it is", one.override.via, one.by,
                 one.override.note) for one in found.overrides]
        return View("Overrides", (
            table("", ("override", "rotation", "from", "to", "who", "replaces", "via", "by", "why"), rows,
                  empty="none was made by command; those of the catalog stand in its files"),
            Next(("mainstay oncall override --remove ID",) if rows else ("mainstay oncall shifts",))))
    done = f"{found.id} was taken back." if found.removed else f"{found.id} is in force."
    back = () if found.removed else (f"mainstay oncall override --remove {found.id}",)
    return View("Override", (Text(done, "good"), shifts_table(found.shifts),
                             Next((f"mainstay oncall shifts --rotation {found.rotation}", *back))))


OVERRIDE = Operation(
    "oncall", "override", OverrideRequest, override, override_view, scope="write",
    exit_codes=((0, "recorded, or listed"), (2, "a name or a time is wrong, or another says the same already")),
    examples=("mainstay oncall override",
              "mainstay oncall override web-primary --who ben --from 2026-03-04T10:00 --to 2026-03-04T14:00",
              "mainstay oncall override web-primary --who ben --replaces ana --from 2026-03-04 --to 2026-03-06",
              "mainstay oncall override --remove O-3"))


# -- swap ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SwapRequest:
    """Ask somebody to take a stretch of yours; or answer such a question."""

    rotation: str = arg("the rotation", "", positional=True)
    who: str = arg("whose stretch it is; you when left out", "")
    ask: str = arg("who is asked to take it", "")
    since: str = arg("from this time", "", flag="from")
    until: str = arg("to this time", "", flag="to")
    back_since: str = arg("what is taken in return, from this time", "", flag="back-from")
    back_until: str = arg("to this time", "", flag="back-to")
    accept: str = arg("accept the swap of this id", "")
    decline: str = arg("decline it", "")
    withdraw: str = arg("withdraw it", "")


@dataclass(frozen=True, slots=True)
class Swapped:
    """The swap as it stands.

    Args:
        swap: null where nothing was asked or answered.
        waiting: those that wait for an answer; only where they were asked for.
    """

    swap: Swap | None
    waiting: tuple[Swap, ...] = ()


def swap(world: World, request: SwapRequest) -> Swapped:
    """Ask somebody to take a stretch, which they accept or not; or list what waits."""
    for name, event in ((request.accept, "accepted"), (request.decline, "declined"), (request.withdraw, "withdrawn")):
        if name:
            return _answer(world, name, event)
    if not (request.ask or request.since or request.until):
        duty = _of_known(world, request.rotation)
        return Swapped(None, duty.changes.waiting(world.clock.now(), request.rotation))
    if not request.rotation or not request.ask:
        raise InvalidInput("a swap needs a rotation and whom to ask",
                           "mainstay oncall swap web-primary --ask ben --from 2026-03-04T10:00 --to 2026-03-05T10:00")
    duty = duty_of(world)
    rotation = duty.roster(request.rotation).rotation
    span = _span(request.since, request.until, rotation)
    back = _span(request.back_since, request.back_until, rotation) if request.back_since or request.back_until else None
    who = request.who or world.actor
    for person in (who, request.ask):
        _known_person(world, person)
    for stretch, holder in ((span, who), *(((back, request.ask),) if back is not None else ())):
        held = [one for one in duty.roster(rotation.name).shifts(stretch) if one.who == holder]
        if not held:
            raise InvalidInput(f"{holder} is not on call in {rotation.name} between {moment(stretch.start)} and "
                               f"{moment(stretch.end)}", f"mainstay oncall shifts --rotation {rotation.name}")
    data = {"rotation": rotation.name, **_texts(span), "who": who, "asked": request.ask,
            "back": _texts(back) if back is not None else None}
    for _ in range(_TRIES):
        name = f"W-{duty.changes.swapped + 1}"
        try:
            world.journal.commit(Batch([NewFact(f"{SWAP}requested", name, world.clock.now(), data, f"swap:{name}:1",
                                                world.actor)], fresh=True))
        except AlreadyRecorded:
            continue
        return Swapped(duty.changes.swaps[name])
    raise Conflict("others kept asking at the same time", "try again")


def _answer(world: World, name: str, event: str) -> Swapped:
    duty = duty_of(world)
    for _ in range(_TRIES):
        one = duty.changes.swaps.get(name)
        if one is None:
            raise NotFound(f'no swap is named "{name}"', "known: " + (", ".join(duty.changes.swaps) or "none"))
        try:
            world.journal.commit(Batch(_answered(world, duty, one, event), fresh=True))
        except AlreadyRecorded:
            continue  # somebody else answered it, which the next look says, or made an override of the same number
        return Swapped(duty.changes.swaps[name])
    raise Conflict("others kept changing the rota at the same time", "try again")


def _answered(world: World, duty: Duty, one: Swap, event: str) -> list[NewFact]:
    next_swap(one, event)
    now = world.clock.now()
    if event == "withdrawn" and one.state == "accepted" and one.span.start <= now:
        raise Conflict(f"{one.id} has begun", "make an override instead")
    facts = [NewFact(f"{SWAP}{event}", one.id, now, {"rotation": one.rotation}, f"swap:{one.id}:{one.version + 1}",
                     world.actor)]
    if event == "accepted":
        facts += _overrides_of(world, duty, one)
    elif event == "withdrawn":
        facts += [NewFact(REMOVED, held.id, now, {"rotation": one.rotation}, f"override-removed:{held.id}",
                          world.actor) for held in duty.changes.overrides.values()
                  if held.override.via == "swap" and held.override.note == f"swap {one.id}"]
    return facts


def _overrides_of(world: World, duty: Duty, one: Swap) -> list[NewFact]:
    """The overrides that an accepted swap is: each takes the other's stretch, and only where the other holds it."""
    number, now = duty.changes.made, world.clock.now()
    stretches = [(one.span, one.asked, one.who)] + ([(one.back, one.who, one.asked)] if one.back is not None else [])
    return [NewFact(MADE, f"O-{number + index}", now, {
        "rotation": one.rotation, **_texts(span), "who": who, "replaces": replaces, "via": "swap",
        "note": f"swap {one.id}"}, f"override:O-{number + index}", world.actor)
        for index, (span, who, replaces) in enumerate(stretches, 1)]


def swap_view(found: Swapped) -> View:
    """What was asked, and what comes next; or what waits for an answer."""
    one = found.swap
    if one is None:
        rows = [(each.id, each.rotation, each.asked, each.who, moment_cell(each.span.start), moment_cell(each.span.end),
                 f"{moment(each.back.start)} to {moment(each.back.end)}" if each.back is not None else "nothing")
                for each in found.waiting]
        return View("Swaps", (
            table("", ("swap", "rotation", "who is asked", "to take over from", "from", "to", "in return"), rows,
                  empty="no swap waits for an answer"),
            Next(("mainstay oncall swap --accept ID", "mainstay oncall swap --decline ID") if rows
                 else ("mainstay oncall swap ROTATION --ask WHO --from … --to …",))))
    commands = (f"mainstay oncall swap --accept {one.id}", f"mainstay oncall swap --decline {one.id}") \
        if one.state == "requested" else (f"mainstay oncall shifts --rotation {one.rotation}",)
    tone: Tone = "good" if one.state == "accepted" else "plain"
    return View("Swap", (Text(f"{one.id} is {one.state}: {swap_text(one)}.", tone), Next(commands)))


SWAP_VERB = Operation(
    "oncall", "swap", SwapRequest, swap, swap_view, scope="write",
    exit_codes=((0, "recorded, or listed"), (2, "a name or a time is wrong, or it was answered already")),
    examples=("mainstay oncall swap",
              "mainstay oncall swap web-primary --who ana --ask ben --from 2026-03-04 --to 2026-03-06",
              "mainstay oncall swap --accept W-1"))


# -- handoff ------------------------------------------------------------------------------------------------------

_NOTED = "oncall.handoff-noted"


@dataclass(frozen=True)
class HandoffRequest:
    """What the next person should know; without a text, what was said."""

    rotation: str = arg("the rotation or schedule", positional=True)
    text: str = arg("what the next person should know", "")
    last: int = arg("how many notes to show", 10)


@dataclass(frozen=True, slots=True)
class HandoffNote:
    """A note."""

    at: datetime
    by: str
    text: str


@dataclass(frozen=True, slots=True)
class Handoff:
    """Who hands over to whom and when, and the latest notes, the newest first."""

    name: str
    who: str | None
    at: datetime | None
    then: str | None
    notes: tuple[HandoffNote, ...]


def handoff(world: World, request: HandoffRequest) -> Handoff:
    """Write or read what the next person on call should know."""
    duty = duty_of(world)
    now = world.clock.now()
    layers = duty.rosters(request.rotation)  # the name is known before anything is written down
    if request.text.strip():
        world.journal.commit(Batch([NewFact(_NOTED, request.rotation, now, {"text": request.text.strip()},
                                            actor=world.actor)]))
    at = next_change(duty, request.rotation, layers, now)
    then = duty.on_call(request.rotation, at) if at is not None else ()
    held = duty.on_call(request.rotation, now)
    notes = tuple(HandoffNote(fact.at, fact.actor, str(fact.data["text"])) for fact in world.journal.facts(
        FactQuery(kinds=(_NOTED,), subject=request.rotation, newest_first=True, limit=max(request.last, 0))))
    return Handoff(request.rotation, held[0] if held else None, at, then[0] if then else None, notes)


def handoff_view(found: Handoff) -> View:
    """The hand-off, and the notes."""
    when = f"{found.who or 'nobody'} → {found.then or 'nobody'}, {moment(found.at)}" if found.at is not None else \
        f"{found.who or 'nobody'}, for good"
    notes = Timeline(tuple(Entry(note.at, f"{note.by}: {note.text}") for note in found.notes), "Notes",
                     f'No note yet: mainstay oncall handoff {found.name} --text "what to watch"')
    return View("Hand-off", (Text(f"{found.name}: {when}", "strong"), notes, Next(("mainstay oncall who",))))


HANDOFF = Operation(
    "oncall", "handoff", HandoffRequest, handoff, handoff_view, scope="write",
    exit_codes=((0, "shown"), (2, "a name is wrong")),
    examples=("mainstay oncall handoff web-primary", "mainstay oncall handoff web-primary --text 'queue is slow'"))
