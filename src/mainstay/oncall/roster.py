"""Who is on call by a rotation: turns, restrictions and overrides, exact to the second in every zone.

Turns are numbered from the rotation's start. Days, weeks and months are counted on the wall clock of the zone, hours
and minutes as they pass. What is covered of a turn are the hours that the restrictions leave; a turn of which nothing
is covered counts for nobody, so that people who take turns on weekdays only take them equally often. Overrides are laid
over in the order they were made, the later one on top.

`kernel.wallclock` says which instant a skipped or repeated wall time is.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.quantity import Span, zone_named
from mainstay.kernel.wallclock import hours_in, instant_of, local_of
from mainstay.oncall.spec import ALWAYS, Override, Rotation

_MICROSECOND = timedelta(microseconds=1)
HORIZON = timedelta(days=732)
"""How far ahead a hand-off is looked for: two years hold two turns of any rotation in use."""
_DATE_LINE = timedelta(hours=20)
"""Clocks are set forward by hours in summer; only a move across the date line changes them by more."""


@dataclass(frozen=True, slots=True)
class Shift:
    """A stretch in which one person, or nobody, is on call.

    Args:
        who: None where nobody is.
        via: `rotation`, or what stands over it: `override`, `swap`; `gap` where nobody is.
    """

    start: datetime
    end: datetime
    who: str | None
    rotation: str
    via: str

    @property
    def length(self) -> timedelta:
        """How long it is in true hours: the night that clocks are set back has one more."""
        return self.end - self.start


class Roster:
    """One rotation, ready to be asked; what it works out about its turns it keeps."""

    def __init__(self, rotation: Rotation, overrides: Sequence[Override] = ()) -> None:
        """Args:
        overrides: made after those of the file, in the order they were made.
        """
        self.rotation = rotation
        self.overrides = (*rotation.overrides, *overrides)
        self._zone = zone_named(rotation.zone)
        self._first = instant_of(rotation.start, self._zone)
        self._starts: dict[int, datetime] = {}
        self._taken: list[int] = [0]
        """Turns with covered time before turn i."""
        self._calm = 0
        """A turn up to which no day is missing from the calendar."""
        self._end = instant_of(rotation.until, self._zone) if rotation.until is not None else None
        self._holders: list[int | None] = []
        """The place among the members of who has turn i, where members come and go; None for nobody."""
        self._last = -1
        """The place of who had the latest turn that was given."""

    # -- turns ---------------------------------------------------------------------------------------------------

    def turn_start(self, index: int) -> datetime:
        """When the turn of that number begins; turn 0 begins with the rotation."""
        found = self._starts.get(index)
        if found is None:
            found = self._starts[index] = self._start_of(index)
        return found

    def _start_of(self, index: int) -> datetime:
        count, unit = self.rotation.turn
        start = self.rotation.start
        match unit:
            case "minute":
                return self._first + timedelta(minutes=count * index)
            case "hour":
                return self._first + timedelta(hours=count * index)
            case "day" | "week":
                return instant_of(start + timedelta(days=count * index * (7 if unit == "week" else 1)), self._zone)
            case "month":
                return instant_of(_months_later(start, count * index), self._zone)

    def turn_at(self, moment: datetime) -> int:
        """The number of the turn that holds the moment, which is not before the rotation's start."""
        count, unit = self.rotation.turn
        local, start = local_of(moment, self._zone), self.rotation.start
        match unit:
            case "minute":
                return int((moment - self._first) // timedelta(minutes=count))
            case "hour":
                return int((moment - self._first) // timedelta(hours=count))
            case "day" | "week":
                near = (local - start).days // (count * (7 if unit == "week" else 1))
            case "month":
                near = ((local.year - start.year) * 12 + local.month - start.month) // count
        # A change of clocks, or the day of the month, may put the moment one turn off the estimate.
        index = max(near + 1, 0)
        while self.turn_start(index) > moment:
            index -= 1
        return index

    def member_of(self, index: int) -> str | None:
        """Who has the turn of that number before any override; None for nobody."""
        members = self.rotation.members
        if not self.rotation.stays:
            return members[self._rank(index) % len(members)]
        while len(self._holders) <= index:
            self._holders.append(self._following(len(self._holders)))
        place = self._holders[index]
        return members[place] if place is not None else None

    def taking_part(self, span: Span) -> tuple[str, ...]:
        """The members who take part at any time of the span."""
        stays = self.rotation.stays or (ALWAYS,) * len(self.rotation.members)
        return tuple(dict.fromkeys(
            who for who, stay in zip(self.rotation.members, stays, strict=True) if who is not None
            and (stay.start is None or stay.start < span.end) and (stay.end is None or stay.end > span.start)))

    def _following(self, index: int) -> int | None:
        """The next place in the order whose member takes part in the whole turn."""
        turn = Span(self.turn_start(index), self.turn_start(index + 1))
        if turn.start >= turn.end or not (self.rotation.counts_empty or self.covered(turn)):
            return None
        count = len(self.rotation.members)
        for step in range(1, count + 1):
            place = (self._last + step) % count
            stay = self.rotation.stays[place]
            if (stay.start is None or stay.start <= turn.start) and (stay.end is None or turn.end <= stay.end):
                self._last = place
                return place
        return None

    def _rank(self, index: int) -> int:
        """How many turns before this one had covered time."""
        if self.rotation.counts_empty:
            return index
        if not self.rotation.restrictions and not self._crosses_the_date_line(index):
            return index
        while len(self._taken) <= index:
            turn = len(self._taken) - 1
            covered = bool(self.covered(Span(self.turn_start(turn), self.turn_start(turn + 1))))
            self._taken.append(self._taken[turn] + covered)
        return self._taken[index]

    def _crosses_the_date_line(self, index: int) -> bool:
        """Whether a whole day is missing from the zone's calendar up to that turn, and with it perhaps a turn."""
        if index <= self._calm or self.rotation.turn.unit in ("minute", "hour"):
            return False
        moment, end = self._first, self.turn_start(index)
        before = local_of(moment, self._zone) - moment.replace(tzinfo=None)
        while moment < end:
            moment = min(moment + timedelta(days=60), end)
            after = local_of(moment, self._zone) - moment.replace(tzinfo=None)
            if abs(after - before) > _DATE_LINE:
                return True
            before = after
        self._calm = index
        return False

    def covered(self, span: Span) -> list[Span]:
        """What of the span the restrictions leave."""
        if span.start >= span.end:
            return []
        return hours_in(self.rotation.restrictions, self._zone, span) if self.rotation.restrictions else [span]

    # -- shifts --------------------------------------------------------------------------------------------------

    def shifts(self, span: Span) -> list[Shift]:
        """Who is on call over the span: every moment of it in exactly one shift, neighbours differing.

        Consecutive turns of one person are one shift.
        """
        return list(_merged(self._overlaid(span)))

    def who(self, moment: datetime) -> Shift:
        """The piece of a shift at that moment; its start and end lie no further than the moment's own microsecond."""
        return self.shifts(Span(moment, moment + _MICROSECOND))[0]

    def next_handoff(self, moment: datetime, horizon: timedelta = HORIZON) -> datetime | None:
        """When somebody else, or nobody, is on call next; None when not within the horizon."""
        reach = timedelta(days=8)
        while True:
            ahead = self.shifts(Span(moment, moment + min(reach, horizon)))
            later = next((one.start for one in ahead[1:] if one.who != ahead[0].who), None)
            if later is not None or reach >= horizon:
                return later
            reach *= 4

    def _turns(self, span: Span) -> Iterator[Shift]:
        """The covered stretches of every turn, before any override."""
        name = self.rotation.name
        start = max(span.start, self._first)
        finish = span.end if self._end is None else min(span.end, self._end)
        if start >= finish:
            return
        covered = self.covered(Span(start, finish))
        index = self.turn_at(start)
        for stretch in covered:
            at = stretch.start
            while at < stretch.end:
                while self.turn_start(index + 1) <= at:
                    index += 1
                end = min(self.turn_start(index + 1), stretch.end)
                who = self.member_of(index)
                yield Shift(at, end, who, name, "rotation" if who is not None else "gap")
                at = end

    def _filled(self, span: Span) -> Iterator[Shift]:
        """The turns with what lies between them."""
        at = span.start
        for shift in self._turns(span):
            if at < shift.start:
                yield Shift(at, shift.start, None, self.rotation.name, "gap")
            yield shift
            at = shift.end
        if at < span.end:
            yield Shift(at, span.end, None, self.rotation.name, "gap")

    def _overlaid(self, span: Span) -> Iterator[Shift]:
        touching = [(number, one) for number, one in enumerate(self.overrides)
                    if one.span.start < span.end and one.span.end > span.start]
        if not touching:
            yield from self._filled(span)
            return
        cuts = sorted({moment for _, one in touching for moment in one.span})
        begins = sorted(touching, key=lambda entry: entry[1].span.start)
        over: list[tuple[int, Override]] = []
        upcoming = 0
        for base in self._filled(span):
            at = base.start
            while at < base.end:
                while upcoming < len(begins) and begins[upcoming][1].span.start <= at:
                    insort(over, begins[upcoming], key=lambda entry: entry[0])
                    upcoming += 1
                over = [entry for entry in over if entry[1].span.end > at]
                following = bisect_right(cuts, at)
                end = min(cuts[following], base.end) if following < len(cuts) else base.end
                yield _under(replace(base, start=at, end=end), over)
                at = end


def _under(base: Shift, overrides: Sequence[tuple[int, Override]]) -> Shift:
    who, via = base.who, base.via
    for _, one in overrides:
        if one.replaces is None or one.replaces == who:
            who, via = one.who, one.via
    return replace(base, who=who, via=via if who is not None else "gap")


def _merged(pieces: Iterator[Shift]) -> Iterator[Shift]:
    current: Shift | None = None
    for piece in pieces:
        if current is not None and (current.who, current.via) == (piece.who, piece.via):
            current = replace(current, end=piece.end)
            continue
        if current is not None:
            yield current
        current = piece
    if current is not None:
        yield current


def _months_later(start: datetime, months: int) -> datetime:
    """The same day and time some months later; the 31st becomes the last day of a shorter month."""
    years, month = divmod(start.month - 1 + months, 12)
    year = start.year + years
    following = datetime(year + (month + 1) // 12, (month + 1) % 12 + 1, 1, tzinfo=UTC)
    last = (following - timedelta(days=1)).day
    return start.replace(year=year, month=month + 1, day=min(start.day, last))


def layered(rosters: Sequence[Roster], span: Span) -> list[Shift]:
    """Who is on call over the span by layers: the first roster in which somebody is, one after the other."""
    def pieces(layers: Sequence[Roster], within: Span) -> Iterator[Shift]:
        for shift in layers[0].shifts(within):
            if shift.who is not None or len(layers) == 1:
                yield shift
            else:
                yield from pieces(layers[1:], Span(shift.start, shift.end))

    out: list[Shift] = []
    for piece in pieces(rosters, span):
        last = out[-1] if out else None
        if last is not None and (last.who, last.via) == (piece.who, piece.via) and (
                last.rotation == piece.rotation or piece.who is None):
            out[-1] = replace(last, end=piece.end)
        else:
            out.append(piece)
    return out
