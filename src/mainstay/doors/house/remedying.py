"""Remediation in `mainstay serve`: a thread that follows facts within half a second and does what rules decide.

The clockwork follows facts too, once a round of its own; a rule that waits for a minute would be slower than a person.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from mainstay.doors.house.engine import Worker
from mainstay.doors.sse import Feed
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.ports import World
from mainstay.reactions import react
from mainstay.runbook.operations.remedy_desk import desk_of, rules_of
from mainstay.runbook.operations.remedying import POLL, Remediator
from mainstay.runbook.remedy_state import Phase


class Remedying(Worker):
    """The thread. `world` is asked anew each round, for the catalog may have changed."""

    def __init__(self, world: Callable[[], World], feed: Feed) -> None:
        super().__init__("mainstay-remediation", self._once)
        self._world, self._feed = world, feed
        self._shown = 0
        self._remediator = Remediator()
        self._head = -1
        self._counted: int | None = None
        self._decisions: Counter[tuple[str, str]] = Counter()
        self._counting = threading.Lock()

    def _once(self) -> float:
        world = self._world()
        if self._counted is None:
            self._count(world)
        head = world.journal.head()
        if head != self._head:
            react(world)
            self._head = head
        pause = min(self._remediator.round(world), POLL)
        decided = desk_of(world).state.facts
        if decided != self._shown:
            self._shown = decided
            self._feed.publish("runbook")
        return pause

    def _count(self, world: World) -> None:
        """Decisions since the server began."""
        with self._counting:
            head = world.journal.head()
            if self._counted is not None:
                for fact in world.journal.facts(FactQuery(kinds=("remedy.",), after=self._counted)):
                    self._decisions[str(fact.data["rule"]), fact.kind.partition(".")[2]] += 1
                    head = max(head, fact.seq)
            self._counted = head

    def metrics(self) -> str:
        """What remediation does, in Prometheus' exposition format; answered from memory."""
        world = self._world()
        if not (rules := rules_of(world)):
            return ""
        self._count(world)
        cases = desk_of(world).state.cases.values()
        lines = ["# HELP mainstay_remediation_decisions_total Decisions of remediations since the start, by kind.",
                 "# TYPE mainstay_remediation_decisions_total counter",
                 *(f'mainstay_remediation_decisions_total{{remediation="{rule}",kind="{kind}"}} {count}'
                   for (rule, kind), count in sorted(self._decisions.items())),
                 "# HELP mainstay_remediation_cases Trouble that remediations have in hand.",
                 "# TYPE mainstay_remediation_cases gauge",
                 *(f'mainstay_remediation_cases{{phase="{phase}"}} {sum(one.phase is phase for one in cases)}'
                   for phase in Phase),
                 "# HELP mainstay_remediation_stopped Whether it stopped after failures in a row.",
                 "# TYPE mainstay_remediation_stopped gauge",
                 *(f'mainstay_remediation_stopped{{remediation="{name}"}} '
                   f"{int(desk_of(world).state.conduct(name).stopped)}" for name in sorted(rules))]
        return "\n".join(lines) + "\n"
