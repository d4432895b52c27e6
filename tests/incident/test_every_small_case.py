"""Every sequence of up to five happenings, on every branch: the tables, the engine, and the fold agree.

A small desk of its own, without a journal: a decision on a draft of a copied state, its timers in a mapping. That is
some hundred thousand decisions in a few seconds, where a desk on a journal would take minutes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from incident.plans import T0, People
from mainstay.incident.act import Act, Plan
from mainstay.incident.engine import Acknowledge, Happening, Merge, Open, Resolve, SetSeverity, SetStatus, decide
from mainstay.incident.intake import AlertEvent, Opening
from mainstay.incident.layers import Table
from mainstay.incident.lifecycle import PHASES, STATUSES, IllegalStep, Phase, Status
from mainstay.incident.ongoing import Incident
from mainstay.incident.severity import Severity
from mainstay.incident.spec import Addressee, EscalationPolicy, Route, Routing, Step
from mainstay.incident.state import Draft, State
from mainstay.kernel.errors import InvalidInput, NotFound
from mainstay.kernel.finding import Position
from mainstay.kernel.journal import NewFact, NewTimer, Timer

HERE = Position("plan.yaml")
PLAN = Plan(Routing("all", HERE, Route(policy="web", group_by=("team",), reopen=timedelta(minutes=2))), {
    "web": EscalationPolicy("web", HERE, (Step((Addressee("rotation", "first"),), timedelta(minutes=5)),), loops=1,
                            ack_timeout=timedelta(minutes=30))})
PEOPLE = People({"first": ["ana"]})
RING = "the next timer rings"
HAPPENINGS: Mapping[str, Any] = {
    "a fires": lambda now: AlertEvent(now, True, "a", severity="page"),
    "a stops": lambda now: AlertEvent(now, False, "a"),
    "b fires": lambda now: AlertEvent(now, True, "b", severity="page"),
    "ack": lambda _: Acknowledge("INC-1", "ana"),
    "resolve": lambda _: Resolve("INC-1", "ana"),
    "investigating": lambda _: SetStatus("INC-1", Status.INVESTIGATING, "ana"),
    "monitoring": lambda _: SetStatus("INC-1", Status.MONITORING, "ana"),
    "worse": lambda _: SetSeverity("INC-1", Severity.SEV1, "ana"),
    "opened by hand": lambda _: Open(Opening("by hand", Severity.SEV3, policy="web", by="ana")),
    "merge": lambda _: Merge("INC-1", "INC-2", "ana"),
}
DEPTH = 5


@dataclass(frozen=True)
class Desk:
    """A moment of a small desk; what follows from it is another one."""

    state: State
    timers: Mapping[str, NewTimer]
    facts: tuple[NewFact, ...]
    now: datetime

    def after(self, name: str) -> Desk | None:
        """The desk after that; None when it was refused, in one of the ways the engine may refuse."""
        now = self.now + timedelta(minutes=1)
        happening: Happening
        if name == RING:
            if not self.timers:
                return None
            first = min(self.timers.values(), key=lambda timer: (timer.due, timer.key))
            now = max(first.due, now)
            happening = Timer(first.key, first.due, first.kind, first.subject, first.data, 1)
        else:
            happening = HAPPENINGS[name](now)
        state = _copied(self.state)
        draft = Draft(state)
        act = Act(PLAN, PEOPLE, draft, now)
        try:
            decide(act, happening)
        except (IllegalStep, NotFound, InvalidInput):
            return None
        draft.keep()
        batch = act.batch()
        timers = {key: timer for key, timer in self.timers.items() if key not in
                  (*batch.clear_timers, *(claim.key for claim in batch.timers_done))}
        return Desk(state, {**timers, **{timer.key: timer for timer in batch.set_timers}},
                    (*self.facts, *batch.facts), now)


def _tables(state: State) -> dict[str, Any]:
    return {name: table for name, table in vars(state).items() if isinstance(table, Table)}


def _copied(state: State) -> State:
    """A state of its own with the same content; what is in the tables is never changed, so it is shared."""
    copy = State()
    for name, table in _tables(state).items():
        getattr(copy, name).update(table.rows())
    copy.counts = dict(state.counts)
    return copy


def _content(state: State) -> dict[str, Any]:
    return {name: dict(table.rows()) for name, table in _tables(state).items()}


def _walk(desk: Desk, depth: int, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Desk, Desk]]:
    for name in (*HAPPENINGS, RING):
        after = desk.after(name)
        if after is None:
            continue
        yield (*path, name), desk, after
        if depth > 1:
            yield from _walk(after, depth - 1, (*path, name))


def _check(one: Incident, desk: Desk) -> str:
    """What does not hold for an incident, or the empty text."""
    timers = desk.timers
    if (one.status is Status.RESOLVED) != (one.phase is Phase.DONE):
        return f"{one.status} but {one.phase}"
    if (one.status is Status.RESOLVED) != (one.resolved is not None):
        return "resolved without a moment"
    if one.firing != len(desk.state.alerts_of(one.id)):
        return f"{one.firing} counted, {len(desk.state.alerts_of(one.id))} fire"
    if (one.phase is Phase.TRIGGERED) != (f"escalate:{one.id}" in timers):
        return f"{one.phase}, and a next step is {'' if one.phase is not Phase.TRIGGERED else 'not '}planned"
    if (one.phase is Phase.ACKNOWLEDGED) != (f"lapse:{one.id}" in timers):
        return f"{one.phase}, and the acknowledgement's end is {'' if f'lapse:{one.id}' in timers else 'not '}planned"
    if one.status is Status.RESOLVED and any(
            timer.subject == one.id and not timer.key.startswith("postmortem:") for timer in timers.values()):
        return "over, and something is still planned"
    if one.status is not Status.MONITORING and f"stable:{one.id}" in timers:
        return f"{one.status}, and watched"
    if one.phase is Phase.TRIGGERED and one.acknowledged_by:
        return "nobody has it, and somebody does"
    return ""


@pytest.mark.parametrize("first", HAPPENINGS)
def test_tables_engine_and_fold_agree_on_every_sequence(first: str):
    begin = Desk(State(), {}, (), T0).after(first)
    if begin is None:
        assert first not in ("a fires", "b fires", "a stops", "opened by hand"), "an incident is needed"
        return
    events_of = {before: {PHASES[key] for key in PHASES if key[0] is before} for before in Phase}
    walked = 0
    for path, before, after in _walk(begin, DEPTH - 1, (first,)):
        walked += 1
        for one in after.state.incidents.values():
            wrong = _check(one, after)
            assert not wrong, f"{one.id} {wrong}: {' → '.join(path)}"
            was = before.state.incidents.get(one.id)
            if was is not None and was.phase is not one.phase:
                assert one.phase in events_of[was.phase] or _through(was.phase, one.phase), path
            if was is not None and was.status is not one.status:
                assert one.status in STATUSES[was.status], path
        if len(path) == DEPTH:
            folded = State()
            for fact in after.facts:
                folded.apply(fact)
            kept = _content(after.state)
            kept["repeats"], kept["until"], kept["passed"] = {}, {}, {}
            assert _content(folded) == kept, path
    assert walked > 50


def _through(before: Phase, after: Phase) -> bool:
    """Whether two events lead there: an acknowledgement that lapses is paged anew in the same batch."""
    return any(PHASES.get((middle, event)) is after for (start, _), middle in PHASES.items() if start is before
               for event in ("lapsed", "reopened", "resolved"))
