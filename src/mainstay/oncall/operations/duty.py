"""Who is there to be paged, from what is declared and what was changed since: the port `Responders`."""

from __future__ import annotations

import threading
from dataclasses import field, replace
from datetime import datetime, timedelta

from mainstay.kernel.catalog import Catalog
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, NotFound
from mainstay.kernel.finding import did_you_mean
from mainstay.kernel.journal import FactQuery, Journal
from mainstay.kernel.people import Reach
from mainstay.kernel.quantity import Span
from mainstay.oncall.changes import KINDS, Changes, fold
from mainstay.oncall.roster import Roster, Shift, layered
from mainstay.oncall.spec import Person, Rotation, Schedule


@dataclass(frozen=True, slots=True)
class _Known:
    """What was worked out under one set of changes; another set begins anew, so that nothing old is ever mixed in.

    Args:
        holders: of a name that was asked, whoever is on call there, and for how long that holds.
    """

    changes: Changes = Changes()
    rosters: dict[str, Roster] = field(default_factory=dict)
    holders: dict[str, tuple[Span, tuple[str, ...]]] = field(default_factory=dict)


class Duty:
    """Rotations, schedules and people of a catalog, with the overrides of a journal; asked from any thread."""

    def __init__(self, catalog: Catalog, journal: Journal) -> None:
        self._catalog, self._journal = catalog, journal
        self._lock = threading.Lock()
        self._known = _Known()
        self._seq = 0
        self._reaches: dict[str, tuple[Reach, ...]] = {}

    @property
    def changes(self) -> Changes:
        """Overrides and swaps, as they are now."""
        return self._caught_up().changes

    def _caught_up(self) -> _Known:
        with self._lock:
            head = self._journal.head()
            if head != self._seq:
                facts = list(self._journal.facts(FactQuery(kinds=KINDS, after=self._seq)))
                if facts:
                    self._known = _Known(fold(facts, self._known.changes))
                self._seq = max(head, facts[-1].seq if facts else 0)
            return self._known

    def rosters(self, name: str) -> tuple[Roster, ...]:
        """The layers behind a rotation's or schedule's name, the first that answers first.

        Raises:
            NotFound: there is no rotation or schedule of that name.
        """
        return self._rosters(self._caught_up(), name)

    def _rosters(self, known: _Known, name: str) -> tuple[Roster, ...]:
        schedule = self._catalog.find(Schedule, name)
        return tuple(self._roster(known, layer) for layer in (schedule.layers if schedule is not None else (name,)))

    def roster(self, name: str) -> Roster:
        """The rotation of that name, ready to be asked.

        Raises:
            NotFound: there is no rotation of that name.
            InvalidInput: it is the name of a schedule.
        """
        schedule = self._catalog.find(Schedule, name)
        if schedule is not None:
            raise InvalidInput(f'"{name}" is a schedule, and has no turns of its own',
                               "write one of its layers: " + ", ".join(schedule.layers))
        return self._roster(self._caught_up(), name)

    def _roster(self, known: _Known, name: str) -> Roster:
        found = known.rosters.get(name)
        if found is None:
            declared = self._catalog.find(Rotation, name)
            if declared is None:
                names = sorted([one.name for one in self._catalog.of(Rotation)]
                               + [one.name for one in self._catalog.of(Schedule)])
                raise NotFound(f'no rotation or schedule is named "{name}"{did_you_mean(name, names)}',
                               "known: " + ", ".join(names) if names else "declare a Rotation in the catalog")
            found = known.rosters[name] = Roster(declared, known.changes.of(name))
        return found

    def shifts(self, name: str, span: Span) -> list[Shift]:
        """Who is on call over the span by a rotation, or by the layers of a schedule."""
        return layered(self.rosters(name), span)

    # -- the port ------------------------------------------------------------------------------------------------

    def on_call(self, name: str, at: datetime) -> tuple[str, ...]:
        """Who is on call by the rotation or schedule of that name; nobody when it is empty."""
        known = self._caught_up()
        held = known.holders.get(name)
        if held is None or not held[0].holds(at):
            shift = layered(self._rosters(known, name), Span(at, at + _AHEAD))[0]
            who = (shift.who,) if shift.who is not None else ()
            held = known.holders[name] = (Span(shift.start, shift.end), who)
        return held[1]

    def members(self, name: str) -> tuple[str, ...]:
        """Everybody who takes turns there."""
        return tuple(dict.fromkeys(who for roster in self.rosters(name) for who in roster.rotation.members
                                   if who is not None))

    def reach(self, person: str) -> tuple[Reach, ...]:
        """The person's own rules, else each of their contacts at once; empty when nobody said."""
        found = self._reaches.get(person)
        if found is None:
            declared = self._catalog.find(Person, person)
            if declared is None:
                return ()
            rules = declared.rules or tuple(Reach(_AT_ONCE, one) for one in declared.contacts)
            found = self._reaches[person] = tuple(replace(rule, zone=declared.zone) for rule in rules)
        return found


_AT_ONCE = timedelta(0)
_AHEAD = timedelta(hours=8)
"""How far ahead a look at who is on call goes: of thousands of alerts in that time only the first one has to look."""
