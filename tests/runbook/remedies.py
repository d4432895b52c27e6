"""Rules of remediation for tests, and a desk that a test tells what happens, minute by minute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from mainstay.kernel.finding import Position
from mainstay.kernel.journal import NewFact
from mainstay.kernel.matcher import parse_matcher
from mainstay.runbook.remedy import Limits, OnAlert, Remediation, Verification
from mainstay.runbook.remedy_decision import (
    Cleared,
    Desk,
    Event,
    Ran,
    RunEnd,
    Surroundings,
    Tick,
    Triggered,
    decide,
    due,
)
from mainstay.runbook.remedy_state import Case, Remedies

T0 = datetime(2026, 3, 2, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def rule(name: str = "restart", **changes: Any) -> Remediation:
    """A rule that acts on alerts named Down, by the label `service`; limits are keywords like the other fields."""
    limits = {key: changes.pop(key) for key in list(changes) if key in Limits.__dataclass_fields__}
    service = "${labels.service}"
    base = Remediation(name, Position("rules.yaml", 1, 1), OnAlert((parse_matcher("alertname=Down"),)), service,
                       "restart-service", mode="act", inputs={"service": service}, limits=Limits(concurrent=10),
                       verify=Verification(hold=2 * MINUTE))
    return replace(base, limits=replace(base.limits, **limits), **changes)


class Trouble:
    """Rules, where everything stands, and a clock; `facts` is all that was decided."""

    def __init__(self, *rules: Remediation) -> None:
        self.rules = {one.name: one for one in rules}
        self.state, self.now = Remedies(), T0
        self.facts: list[NewFact] = []
        self.around = Surroundings()
        self._alerts = 0

    def tell(self, *events: Event) -> list[str]:
        """Decide on the events at this moment; the kinds of the facts that came of it."""
        desk = Desk(self.rules, self.state, self.now, self.around)
        for event in events:
            decide(desk, event)
        self.facts += desk.facts
        return [fact.kind.partition(".")[2] for fact in desk.facts]

    def fires(self, target: str = "web", *, rule: str = "", **labels: str) -> str:
        """An alert of the target begins; its key."""
        self._alerts += 1
        key = f"A-{self._alerts}"
        for name in [rule] if rule else self.rules:
            self.tell(Triggered(name, key, {"alertname": "Down", "service": target, **labels}, self._alerts))
        return key

    def resolves(self, key: str) -> list[str]:
        """The alert is over."""
        return self.tell(Cleared(key))

    def runs(self, target: str = "web", outcome: RunEnd = "succeeded", said: str = "") -> list[str]:
        """The run on the target ends so."""
        return self.tell(Ran(self.case(target).run, outcome, said))

    def passes(self, length: timedelta) -> list[str]:
        """So long a time goes by, and whatever comes due in it happens when it is due."""
        end, said = self.now + length, []
        while (moment := due(self.rules, self.state)) is not None and moment <= end:
            before = len(self.facts)
            self.now = max(moment, self.now)
            said += self.tell(Tick())
            if len(self.facts) == before:
                break
        self.now = end
        return said + self.tell(Tick())

    def case(self, target: str = "web") -> Case:
        """The open case of the target."""
        return next(one for one in self.state.cases.values() if one.target == target)

    def kinds(self, *wanted: str) -> Sequence[str]:
        """The facts so far, by kind; only those that are asked for."""
        kinds = [fact.kind.partition(".")[2] for fact in self.facts]
        return [one for one in kinds if not wanted or one in wanted]

    def last(self, kind: str) -> NewFact:
        """The last fact of the kind."""
        return next(fact for fact in reversed(self.facts) if fact.kind == f"remedy.{kind}")
