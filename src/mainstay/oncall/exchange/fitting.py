"""The rotation behind a list of shifts: who takes turns in which order, found by trying and proven by comparing.

A candidate is a length of turns, a first hand-off and hours of the week. Whoever has most of a turn is its holder; the
shortest cycle that explains nine of ten turns gives the members. What the rotation then says differently becomes an
override, except around a change of clocks: there the rules of the calendar differ, not the people.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from itertools import pairwise

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.quantity import Span, zone_named
from mainstay.kernel.wallclock import WeeklyHours, local_of
from mainstay.oncall.exchange.taken import NOWHERE, by_clocks, compared, with_overrides
from mainstay.oncall.roster import Roster, Shift
from mainstay.oncall.spec import Override, Rotation, Turn

_TURNS = (Turn(1, "week"), Turn(2, "week"), Turn(1, "day"), Turn(12, "hour"), Turn(8, "hour"), Turn(1, "month"),
          Turn(4, "week"), Turn(2, "day"), Turn(3, "day"), Turn(6, "hour"))
_EXPLAINED = 0.9
"""The share of turns that a cycle must explain, and of the time that the rotation must say right."""
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Fit:
    """A rotation that says what the shifts say.

    Args:
        exceptions: stretches that became overrides.
    """

    rotation: Rotation
    exceptions: int


def fit(name: str, zone: str, shifts: Sequence[Shift], *, hours: Sequence[WeeklyHours] = ()) -> Fit | None:
    """The rotation behind the shifts, or None when they follow none.

    Args:
        shifts: in order, none overlapping another.
        hours: the hours that are covered, when that is known.
    """
    held = [one for one in shifts if one.who is not None]
    if len({(one.start, one.who) for one in held}) < 3:
        return None
    clock = zone_named(zone)
    best: tuple[tuple[float, int, int], Fit] | None = None
    for turn, start, restrictions in _candidates(held, clock, hours):
        found = _tried(Rotation(name, NOWHERE, zone, start, turn, (None,), restrictions), held)
        if found is not None and (best is None or found[0] < best[0]):
            best = found
            if found[0][0] == 0:
                break
    return best[1] if best is not None else None


def _candidates(held: Sequence[Shift], clock: tzinfo,
                hours: Sequence[WeeklyHours]) -> Iterator[tuple[Turn, datetime, tuple[WeeklyHours, ...]]]:
    changes = [after for before, after in pairwise(held) if before.who != after.who]
    anchors = list(dict.fromkeys(local_of(one.start, clock) for one in (held[0], *changes[:2])))
    first_turns = _first_turns(held, changes, clock)
    covered = _hours_of(held, clock) if not hours else tuple(hours)
    gaps = any(after.start > before.end for before, after in pairwise(held))
    for restrictions in ([covered] if hours else [covered, ()] if gaps and covered else [()]):
        for anchor in anchors:
            for turn in dict.fromkeys((*first_turns, *_TURNS)):
                yield turn, _first_start(anchor, turn, local_of(held[0].start, clock)), tuple(restrictions)


def _first_start(anchor: datetime, turn: Turn, first: datetime) -> datetime:
    """The anchor moved back by whole turns to where the shifts begin."""
    if turn.unit not in ("day", "week"):
        return anchor if turn.unit == "month" or anchor == first else first
    length = timedelta(days=turn.every * (7 if turn.unit == "week" else 1))
    return anchor - length * -(-(anchor - first) // length)


def _first_turns(held: Sequence[Shift], changes: Sequence[Shift], clock: tzinfo) -> list[Turn]:
    """Lengths that the shifts themselves suggest: from one hand-off to the next."""
    starts = [local_of(one.start, clock) for one in (held[0], *changes)]
    lengths = Counter(after - before for before, after in pairwise(starts))
    found = []
    for length, _ in lengths.most_common(3):
        hours = length // timedelta(hours=1)
        if length % timedelta(days=7) == timedelta(0) and length:
            found.append(Turn(length // timedelta(days=7), "week"))
        elif length % _DAY == timedelta(0) and length:
            found.append(Turn(length // _DAY, "day"))
        elif hours and length == timedelta(hours=hours):
            found.append(Turn(hours, "hour"))
    return found


def _hours_of(held: Sequence[Shift], clock: tzinfo) -> tuple[WeeklyHours, ...]:
    """The hours of the week that the shifts cover, when each of them lasts a day at most.

    A shift during which clocks change ends at another hour than its like, and says nothing about those.
    """
    days: dict[tuple[int, int], set[int]] = defaultdict(set)
    usual = [one for one in held if local_of(one.end, clock) - local_of(one.start, clock) == one.length]
    for one in usual or held:
        start, end = local_of(one.start, clock), local_of(one.end, clock)
        if end - start > _DAY or start.second or end.second:
            return ()
        days[start.hour * 60 + start.minute, end.hour * 60 + end.minute].add(start.weekday())
    return tuple(WeeklyHours(frozenset(on), *times) for times, on in sorted(days.items()))


def _tried(bare: Rotation, held: Sequence[Shift]) -> tuple[tuple[float, int, int], Fit] | None:
    """How far the best rotation of this shape is from the shifts (share of the time, exceptions, members), and it."""
    span = Span(held[0].start, max(one.end for one in held))
    holders = list(_holders(Roster(bare), held, span))
    cycle = _cycle(holders)
    if cycle is None:
        return None
    rotation = replace(bare, members=cycle)
    said = Roster(rotation).shifts(span)
    wrong = list(compared(held, said, span))
    people = [one for one in wrong if not by_clocks(one, said, bare.zone)]
    apart = sum(((end - start) for start, end, _, _ in wrong), timedelta()) / (span.end - span.start)
    if apart > 1 - _EXPLAINED or len(people) > max(len(holders) // 3, 1):
        return None
    changed = with_overrides(rotation, (Override(Span(start, end), theirs) for start, end, theirs, _ in people))
    return (apart, len(people), len(cycle)), Fit(changed, len(people))


def _holders(roster: Roster, held: Sequence[Shift], span: Span) -> Iterator[str | None]:
    """Who has most of each turn that has covered time."""
    index, at = 0, 0
    while (start := roster.turn_start(index)) < span.end:
        end = roster.turn_start(index + 1)
        index += 1
        turn = Span(max(start, span.start), min(end, span.end))
        if turn.start >= turn.end or not roster.covered(turn):
            continue
        while at < len(held) and held[at].end <= turn.start:
            at += 1
        time: Counter[str | None] = Counter()
        place = at
        while place < len(held) and held[place].start < turn.end:
            one = held[place]
            time[one.who] += (min(one.end, turn.end) - max(one.start, turn.start)) // timedelta(seconds=1)
            place += 1
        yield max(time, key=lambda who: (time[who], str(who))) if time else None


def _cycle(holders: Sequence[str | None]) -> tuple[str | None, ...] | None:
    """The shortest order that, repeated, explains the turns; it must have come round twice."""
    for length in range(1, len(holders) // 2 + 1):
        places = [Counter(holders[place::length]).most_common(1)[0] for place in range(length)]
        if sum(count for _, count in places) >= _EXPLAINED * len(holders):
            return tuple(who for who, _ in places)
    return None
