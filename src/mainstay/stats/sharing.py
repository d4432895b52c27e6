"""Giving out indivisible things so that nobody has more than need be: an exact flow, not a search.

Each slot goes to one person who may have it. A person's slots fall into classes (a night, a weekend …), by the person.
What is made least is Σ w·(already + given)² over every person's total and every person's class. That is a flow with
convex costs: a giving-out is the best one exactly when no chain of hand-overs lowers the sum, so those chains are
looked for until there is none (negative cycles; Klein 1967, and for convex costs Rockafellar 1984, ch. 9). Flows of
whole numbers are as good as fractional ones here, so no relaxed solution has a lower greatest total by a whole slot.
"""

from __future__ import annotations

from collections.abc import Sequence

from mainstay.kernel.dataclass import dataclass

NOBODY = -1


@dataclass(frozen=True, slots=True)
class Sharing:
    """What is to be given out.

    Args:
        classes: for each slot and each person the class that the slot is for that person, or None when the person may
            not have it.
        already: what each person carries before, in quarters of a slot, as a whole number.
        weights: of the total, then of each class.
        prefer: for each slot who has it now, so that nothing changes hands that need not; NOBODY where nobody has.
    """

    classes: Sequence[Sequence[int | None]]
    already: Sequence[int]
    weights: Sequence[int]
    prefer: Sequence[int] = ()


QUARTERS = 4
"""Of a slot: the grain in which past load is counted."""


def share(task: Sharing) -> list[int]:
    """For each slot who has it; NOBODY where nobody may. The same task always gives the same answer."""
    work = _Work(task)
    for slot, kinds in enumerate(task.classes):
        able = [person for person, kind in enumerate(kinds) if kind is not None]
        if able:
            wanted = task.prefer[slot] if task.prefer else NOBODY
            work.give(slot, min(able, key=lambda person, kinds=kinds, wanted=wanted: (  # type: ignore[misc]
                work.cost_of_one_more(person, kinds[person]), person != wanted, person)))
    while work.improve():
        pass
    return work.holder


def total_cost(task: Sharing, holder: Sequence[int]) -> int:
    """The sum that is made least, of any giving-out."""
    work = _Work(task)
    for slot, person in enumerate(holder):
        if person != NOBODY:
            work.give(slot, person)
    return sum(task.weights[0] * (QUARTERS * held + before) ** 2
               for held, before in zip(work.totals, task.already, strict=True)) + sum(
        task.weights[kind + 1] * (QUARTERS * held) ** 2 for row in work.by_class for kind, held in enumerate(row))


class _Work:
    """A giving-out under way: who has what, and what each move would change."""

    def __init__(self, task: Sharing) -> None:
        self._task = task
        people, kinds = len(task.already), len(task.weights) - 1
        self.holder = [NOBODY] * len(task.classes)
        self.totals = [0] * people
        self.by_class = [[0] * kinds for _ in range(people)]
        self._kinds = kinds

    def give(self, slot: int, person: int) -> None:
        """Hand the slot to the person, from whoever has it."""
        before = self.holder[slot]
        for who, sign in ((before, -1), (person, 1)):
            kind = self._task.classes[slot][who] if who != NOBODY else None
            if kind is not None:
                self.totals[who] += sign
                self.by_class[who][kind] += sign
        self.holder[slot] = person

    def cost_of_one_more(self, person: int, kind: int | None) -> int:
        """What one more slot of that class adds to the sum."""
        assert kind is not None, "only who may have it is asked"
        return self._total(person, +1) + self._class(person, kind, +1)

    def _total(self, person: int, by: int) -> int:
        """What that many slots more change of the person's total."""
        held = QUARTERS * self.totals[person] + self._task.already[person]
        return self._task.weights[0] * ((held + QUARTERS * by) ** 2 - held ** 2)

    def _class(self, person: int, kind: int, by: int) -> int:
        held = QUARTERS * self.by_class[person][kind]
        return self._task.weights[kind + 1] * ((held + QUARTERS * by) ** 2 - held ** 2)

    def improve(self) -> bool:
        """Do the hand-overs of one chain that lowers the sum; whether there was one.

        The chain is a cycle of negative cost among: everybody's classes, everybody, and one node for all. A slot
        handed over is an arc between two classes; class to person and person to the one node add what one more costs
        there, and the ways back what one less saves.
        """
        people, kinds = len(self.totals), self._kinds
        first, every = people * kinds, people * (kinds + 1)
        arcs: list[tuple[int, int, int, int]] = []
        for person in range(people):
            for kind in range(kinds):
                node = person * kinds + kind
                arcs.append((node, first + person, self._class(person, kind, +1), NOBODY))
                if self.by_class[person][kind]:
                    arcs.append((first + person, node, self._class(person, kind, -1), NOBODY))
            arcs.append((first + person, every, self._total(person, +1), NOBODY))
            if self.totals[person]:
                arcs.append((every, first + person, self._total(person, -1), NOBODY))
        arcs += [(giver, taker, 0, slot) for (giver, taker), slot in self._moves().items()]
        cycle = _negative_cycle(arcs, every + 1)
        for _, taker, _, slot in cycle:
            if slot != NOBODY:
                self.give(slot, taker // kinds)
        return bool(cycle)

    def _moves(self) -> dict[tuple[int, int], int]:
        """For every two class nodes the first slot that can go from one to the other."""
        found: dict[tuple[int, int], int] = {}
        for slot, giver in enumerate(self.holder):
            kinds = self._task.classes[slot]
            gives = kinds[giver] if giver != NOBODY else None
            if gives is None:
                continue
            node = giver * self._kinds + gives
            for taker, takes in enumerate(kinds):
                if takes is not None and taker != giver:
                    found.setdefault((node, taker * self._kinds + takes), slot)
        return found


_Arc = tuple[int, int, int, int]


def _negative_cycle(arcs: Sequence[_Arc], nodes: int) -> list[_Arc]:
    """The arcs of a cycle whose costs sum below zero; nothing when there is none (Bellman 1958, Ford 1956)."""
    distance, into = [0] * nodes, [-1] * nodes
    for _ in range(nodes):
        changed = False
        for number, (start, end, cost, _) in enumerate(arcs):
            if distance[start] + cost < distance[end]:
                distance[end], into[end], changed = distance[start] + cost, number, True
        if not changed:
            return []
        cycle = _closed(arcs, into, nodes)
        if cycle:
            return cycle
    raise AssertionError("a graph that still improves after as many rounds as nodes holds a cycle")


def _closed(arcs: Sequence[_Arc], into: Sequence[int], nodes: int) -> list[_Arc]:
    """A cycle among the arcs by which nodes were reached last; such a cycle is negative."""
    seen = [0] * nodes
    for start in range(nodes):
        node = start
        while seen[node] == 0 and into[node] != -1:
            seen[node] = start + 1
            node = arcs[into[node]][0]
        if seen[node] == start + 1 and into[node] != -1:
            found, at = [], node
            while True:
                arc = arcs[into[at]]
                found.append(arc)
                at = arc[0]
                if at == node:
                    return found
    return []
