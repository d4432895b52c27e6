"""A fair rota for the weeks to come, with the reason for every turn.

Turns are given out so that, first, nobody has more of them than need be, what people carried lately counted in; then
that nights, weekends and holidays, each by the person's own clock and calendar, are shared as evenly (`stats.sharing`
says why nothing fairer exists). Without changing any of these sums, turns are then exchanged until nobody has two in a
row where that can be helped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal, get_args

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.quantity import Span, zone_named
from mainstay.kernel.wallclock import hours_in, instant_of, local_of
from mainstay.oncall.burden import NIGHT, Calendars, weekend_parts
from mainstay.oncall.roster import Roster
from mainstay.oncall.spec import ALWAYS, Override, Rotation, Stay
from mainstay.stats.sharing import NOBODY, QUARTERS, Sharing, share

Kind = Literal["day", "night", "weekend", "holiday"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_WEIGHTS = (1000, 0, 2, 4, 8)
"""Of the total, then of days, nights, weekends and holidays: a fair total comes first. Days cost nothing of their own,
so that a turn that is night for one and day for another goes to whom it is day for."""
_MOST_PAST = 2 * QUARTERS
"""Nobody makes up for more than two turns at once, however little they carried before."""
_HOLIDAY = timedelta(hours=4)
"""So much of a holiday on call makes the turn a holiday's."""
_PASSES = 8
_GONE = (" has not joined yet", " has left")


@dataclass(frozen=True, slots=True)
class Slot:
    """A turn to be given out.

    Args:
        pieces: its covered time, in order.
    """

    start: datetime
    end: datetime
    pieces: tuple[Span, ...]

    @property
    def length(self) -> timedelta:
        """The covered time."""
        return sum((piece.length for piece in self.pieces), timedelta(0))


@dataclass(frozen=True, slots=True)
class Past:
    """What a member carried lately.

    Args:
        hours: on call, with an even part for the time before the person joined.
        woken: nights in which the person was paged.
    """

    hours: timedelta = timedelta(0)
    woken: int = 0


@dataclass(frozen=True, slots=True)
class Given:
    """A turn and who has it.

    Args:
        who: None when nobody can.
        was: who has it by the rotation as it stands.
        why: the reason, in words.
    """

    start: datetime
    end: datetime
    who: str | None
    was: str | None
    kind: Kind | None
    why: str


@dataclass(frozen=True, slots=True)
class Total:
    """What a member has of the plan.

    Args:
        before: what the past counts for, in turns.
    """

    who: str
    turns: int
    nights: int
    weekends: int
    holidays: int
    hours: timedelta
    before: float


@dataclass(frozen=True, slots=True)
class Plan:
    """A rota.

    Args:
        most: the most turns that anybody has; `least_most` is the least that could be, past and classes left out.
    """

    given: tuple[Given, ...]
    totals: tuple[Total, ...]
    most: int
    least_most: int


def slots_of(roster: Roster, span: Span) -> list[Slot]:
    """The turns with covered time that begin in the span."""
    found: list[Slot] = []
    index = roster.turn_at(max(span.start, roster.turn_start(0)))
    while (start := roster.turn_start(index)) < span.end:
        end = roster.turn_start(index + 1)
        pieces = tuple(roster.covered(Span(start, end))) if start >= span.start and start < end else ()
        if pieces:
            found.append(Slot(start, end, pieces))
        index += 1
    return found


def propose(roster: Roster, slots: Sequence[Slot], calendars: Calendars, past: Mapping[str, Past],
            busy: Mapping[str, Sequence[Span]]) -> Plan:
    """The fairest rota over the slots.

    Args:
        past: by member; a missing one carried nothing.
        busy: when a member has another pager.
    """
    rotation = roster.rotation
    people = list(dict.fromkeys(who for who in rotation.members if who is not None))
    stays = dict(zip(rotation.members, rotation.stays or (ALWAYS,) * len(rotation.members), strict=True))
    away = [[_away(slot, who, (stays.get(who, ALWAYS), calendars, busy.get(who, ()))) for who in people]
            for slot in slots]
    kinds = [[_kind(slot, who, calendars) for who in people] for slot in slots]
    classes = [_classes(reasons, row) for reasons, row in zip(away, kinds, strict=True)]
    already = _already(slots, people, past)
    now = [people.index(who) if (who := roster.who(slot.pieces[0].start).who) in people else NOBODY for slot in slots]
    before = roster.who(slots[0].start - timedelta(microseconds=1)).who if slots else None
    holder = spaced(share(Sharing(classes, already, _WEIGHTS, now)), classes,
                    (people.index(before) if before in people else NOBODY, now))
    plain = share(Sharing(classes, [0] * len(people), (1, *[0] * len(KINDS))))
    told = _Told(people, away, kinds, holder)
    given = tuple(Given(slot.start, slot.end, people[who] if who != NOBODY else None,
                        roster.who(slot.pieces[0].start).who, kinds[place][who] if who != NOBODY else None,
                        told.why(place)) for place, (slot, who) in enumerate(zip(slots, holder, strict=True)))
    totals = tuple(_total(who, given, slots, already[place] / QUARTERS) for place, who in enumerate(people)
                   if any(row[place] is not None for row in classes))
    return Plan(given, totals, max((one.turns for one in totals), default=0),
                max((plain.count(person) for person in range(len(people))), default=0))


def _away(slot: Slot, who: str, known: tuple[Stay, Calendars, Sequence[Span]]) -> str:
    """Why the person cannot have the slot; empty when they can."""
    stay, calendars, busy = known
    if stay.start is not None and stay.start > slot.start:
        return f"{who}{_GONE[0]}"
    if stay.end is not None and stay.end < slot.end:
        return f"{who}{_GONE[1]}"
    person = calendars.people.get(who)
    for absence in person.time_off if person is not None else ():
        if any(piece.start < absence.span.end and absence.span.start < piece.end for piece in slot.pieces):
            return f"{who} is away" + (f" ({absence.reason})" if absence.reason else "")
    if any(piece.start < other.end and other.start < piece.end for piece in slot.pieces for other in busy):
        return f"{who} has another pager"
    return ""


def _classes(reasons: Sequence[str], kinds: Sequence[Kind]) -> tuple[int | None, ...]:
    """The class for everybody who can have the slot; whoever only has another pager can where nobody else can."""
    free = [not reason for reason in reasons]
    if not any(free):
        free = [reason.endswith("another pager") for reason in reasons]
    return tuple(KINDS.index(kind) if can else None for kind, can in zip(kinds, free, strict=True))


def _kind(slot: Slot, who: str, calendars: Calendars) -> Kind:
    """What the slot is for the person: a holiday, mostly a weekend, mostly night, or neither."""
    zone, off = zone_named(calendars.zone(who)), calendars.days_off(who)
    days = {local_of(piece.start, zone).date() + timedelta(days=number) for piece in slot.pieces
            for number in range((piece.length // timedelta(days=1)) + 2)} & off
    held = timedelta(0)
    for day in days:
        start = datetime(day.year, day.month, day.day)  # noqa: DTZ001  (wall clock)
        whole = Span(instant_of(start, zone), instant_of(start + timedelta(days=1), zone))
        held += sum((max(min(piece.end, whole.end) - max(piece.start, whole.start), timedelta(0))
                     for piece in slot.pieces), timedelta(0))
    if held >= min(_HOLIDAY, slot.length):
        return "holiday"
    weekend = sum((part.length for piece in slot.pieces for part in weekend_parts(piece, zone, frozenset())),
                  timedelta(0))
    if weekend * 2 > slot.length:
        return "weekend"
    night = sum((part.length for piece in slot.pieces for part in hours_in((NIGHT,), zone, piece)), timedelta(0))
    return "night" if night * 2 > slot.length else "day"


def _already(slots: Sequence[Slot], people: Sequence[str], past: Mapping[str, Past]) -> list[int]:
    """What each member carried more than whoever carried least, in quarters of a turn; two turns at most."""
    if not slots:
        return [0] * len(people)
    mean = sum((slot.length for slot in slots), timedelta(0)) / len(slots)
    carried = [round(past.get(who, Past()).hours / mean * QUARTERS) + past.get(who, Past()).woken for who in people]
    return [min(one - min(carried), _MOST_PAST) for one in carried]


def spaced(holder: Sequence[int], classes: Sequence[Sequence[int | None]],
           now: tuple[int, Sequence[int]] = (NOBODY, ())) -> list[int]:
    """The same sums with turns exchanged so that those of one person lie apart, and few change hands.

    Args:
        now: who has the turn before the first one, and who has each turn by the rota as it stands.
    """
    held, (before_all, current) = list(holder), now
    people = len(classes[0]) if classes else 0
    reach = min(max(people // 2, 1), 8)

    def crowding(place: int) -> int:
        who = held[place]
        near = sum((reach + 1 - abs(other - place)) ** 2 * (10 if abs(other - place) == 1 else 1)
                   for other in range(max(place - reach, 0), min(place + reach + 1, len(held)))
                   if other != place and held[other] == who and who != NOBODY)
        if place < reach and who == before_all and who != NOBODY:
            near += (reach - place) ** 2 * (10 if place == 0 else 1)
        return near * 2 + (bool(current) and current[place] != who)

    for _ in range(_PASSES):
        better = False
        for one in range(len(held)):
            if not crowding(one):
                continue
            for other in range(len(held)):
                first, second = held[one], held[other]
                if first == second or NOBODY in (first, second) or not _alike(classes, (one, other), (first, second)):
                    continue
                before = crowding(one) + crowding(other)
                held[one], held[other] = second, first
                if crowding(one) + crowding(other) < before:
                    better = True
                    break
                held[one], held[other] = first, second
        if not better:
            break
    return held


def _alike(classes: Sequence[Sequence[int | None]], slots: tuple[int, int], people: tuple[int, int]) -> bool:
    """Whether both may exchange the two slots and keep as many of each class."""
    return all(classes[slots[0]][who] is not None and classes[slots[0]][who] == classes[slots[1]][who]
               for who in people)


class _Told:
    """The reason for each turn, from the plan as a whole."""

    def __init__(self, people: Sequence[str], away: Sequence[Sequence[str]], kinds: Sequence[Sequence[Kind]],
                 holder: Sequence[int]) -> None:
        self._people, self._away, self._kinds, self._holder = people, away, kinds, holder

    def why(self, place: int) -> str:
        """Why that person has that turn."""
        who, reasons = self._holder[place], self._away[place]
        missing = [reason for reason in reasons if reason]
        # That somebody left last year explains no turn; it does where nobody is left.
        said = "; ".join(reason for reason in missing if who == NOBODY or not reason.endswith(_GONE))
        if who == NOBODY:
            return f"nobody can: {said}" if said else "nobody takes turns"
        mine = [number for number, holder in enumerate(self._holder) if holder == who]
        nth = mine.index(place) + 1
        if len(missing) == len(reasons) - 1 and not reasons[who]:
            first = f"the only one who can; turn {nth} of {len(mine)}"
        else:
            first = f"turn {nth} of {len(mine)}"
        kind = self._kinds[place][who]
        if kind != "day":
            same = [number for number in mine if self._kinds[number][who] == kind]
            first += f", {kind} {same.index(place) + 1} of {len(same)}"
        if nth > 1:
            apart = place - mine[nth - 2]
            first += ", right after the last" if apart == 1 else f", {apart} turns after the last"
        spared = [person for number, person in enumerate(self._people) if number != who and not reasons[number]
                  and self._kinds[place][number] in ("night", "holiday") and self._kinds[place][number] != kind]
        if spared:
            first += f"; a {self._kinds[place][self._people.index(spared[0])]} for " + ", ".join(spared)
        return f"{first}; {said}" if said else first


def _total(who: str, given: Sequence[Given], slots: Sequence[Slot], before: float) -> Total:
    own = [(one, slot) for one, slot in zip(given, slots, strict=True) if one.who == who]
    counts = {kind: sum(one.kind == kind for one, _ in own) for kind in KINDS}
    return Total(who, len(own), counts["night"], counts["weekend"], counts["holiday"],
                 sum((slot.length for _, slot in own), timedelta(0)), before)


# -- as something to paste ------------------------------------------------------------------------------------------


def as_overrides(plan: Plan, slots: Sequence[Slot]) -> list[Override]:
    """What of the plan is not so by the rotation already; only covered time, so that gaps stay gaps."""
    return [Override(piece, one.who, note="proposed") for one, slot in zip(plan.given, slots, strict=True)
            if one.who is not None and one.who != one.was for piece in slot.pieces]


def as_rotation(rotation: Rotation, plan: Plan) -> Rotation:
    """A rotation whose turns are the plan, and begin anew behind it."""
    start = local_of(plan.given[0].start, zone_named(rotation.zone))
    return replace(rotation, start=start, members=tuple(one.who for one in plan.given), stays=(), overrides=(),
                   counts_empty=False)
