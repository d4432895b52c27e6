"""Who is there to be paged, from what is declared and what was changed since: the port `Responders`."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime, timedelta

from mainstay.kernel.catalog import Catalog
from mainstay.kernel.errors import NotFound
from mainstay.kernel.finding import did_you_mean
from mainstay.kernel.journal import FactQuery, Journal
from mainstay.kernel.people import Reach
from mainstay.kernel.quantity import Span
from mainstay.oncall.changes import KINDS, Changes, fold
from mainstay.oncall.roster import Roster, Shift, layered
from mainstay.oncall.spec import Person, Rotation, Schedule


class Duty:
    """Rotations, schedules and people of a catalog, with the overrides of a journal; asked from any thread."""

    def __init__(self, catalog: Catalog, journal: Journal) -> None:
        self._catalog, self._journal = catalog, journal
        self._lock = threading.Lock()
        self._changes = Changes()
        self._seq = 0
        self._rosters: dict[str, Roster] = {}

    @property
    def changes(self) -> Changes:
        """Overrides and swaps, as they are now."""
        self._catch_up()
        return self._changes

    def _catch_up(self) -> None:
        with self._lock:
            head = self._journal.head()
            if head == self._seq:
                return
            facts = list(self._journal.facts(FactQuery(kinds=KINDS, after=self._seq)))
            if facts:
                self._changes = fold(facts, self._changes)
                self._rosters.clear()
            self._seq = max(head, facts[-1].seq if facts else 0)

    def rosters(self, name: str) -> tuple[Roster, ...]:
        """The layers behind a rotation's or schedule's name, the first that answers first.

        Raises:
            NotFound: there is no rotation or schedule of that name.
        """
        schedule = self._catalog.find(Schedule, name)
        if schedule is not None:
            return tuple(self.roster(layer) for layer in schedule.layers)
        return (self.roster(name),)

    def roster(self, name: str) -> Roster:
        """The rotation of that name, ready to be asked.

        Raises:
            NotFound: there is no rotation of that name.
        """
        self._catch_up()
        found = self._rosters.get(name)
        if found is None:
            declared = self._catalog.find(Rotation, name)
            if declared is None:
                known = sorted([one.name for one in self._catalog.of(Rotation)]
                               + [one.name for one in self._catalog.of(Schedule)])
                raise NotFound(f'no rotation or schedule is named "{name}"{did_you_mean(name, known)}',
                               "known: " + ", ".join(known) if known else "declare a Rotation in the catalog")
            found = self._rosters[name] = Roster(declared, self._changes.of(name))
        return found

    def shifts(self, name: str, span: Span) -> list[Shift]:
        """Who is on call over the span by a rotation, or by the layers of a schedule."""
        return layered(self.rosters(name), span)

    # -- the port ------------------------------------------------------------------------------------------------

    def on_call(self, name: str, at: datetime) -> tuple[str, ...]:
        """Who is on call by the rotation or schedule of that name; nobody when it is empty."""
        for roster in self.rosters(name):
            who = roster.who(at).who
            if who is not None:
                return (who,)
        return ()

    def members(self, name: str) -> tuple[str, ...]:
        """Everybody who takes turns there."""
        return tuple(dict.fromkeys(who for roster in self.rosters(name) for who in roster.rotation.members
                                   if who is not None))

    def reach(self, person: str) -> tuple[Reach, ...]:
        """The person's own rules, else each of their contacts at once; empty when nobody said."""
        declared = self._catalog.find(Person, person)
        if declared is None:
            return ()
        rules = declared.rules or tuple(Reach(_AT_ONCE, one) for one in declared.contacts)
        return tuple(replace(rule, zone=declared.zone) for rule in rules)


_AT_ONCE = timedelta(0)
