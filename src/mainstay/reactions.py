"""The plot: "when this fact, then that". All wiring between words, as one table.

A reaction makes facts and messages with keys that name the fact they follow from, or tells a word's engine something
that it takes once, so reacting twice does nothing twice. How far the facts have been followed is itself a fact
(`house.reacted`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from mainstay.incident.engine import MakeSilence
from mainstay.incident.intake import AlertEvent
from mainstay.incident.operations.desk import desk_of
from mainstay.incident.operations.postmortem import keep_measured
from mainstay.incident.spec import Matcher
from mainstay.kernel.journal import Batch, Fact, FactQuery, NewFact, NewMessage
from mainstay.kernel.objective import Objective
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import Span
from mainstay.toil.ledger import of_incident, of_page, of_run


@dataclass(frozen=True, slots=True)
class Reaction:
    """When a fact of this kind is recorded, then this follows."""

    when: str
    then: Callable[[World, Fact], object]


def _notice(world: World, fact: Fact) -> None:
    subject = f"{fact.subject}: {fact.data['message']}"
    world.journal.commit(Batch(messages=[NewMessage(
        f"notice:{fact.seq}", "notice",
        {"target": fact.data["whom"], "subject": subject, "body": f"{subject} (zone {fact.data.get('zone', '')})"},
        fact.recorded_at)]))


def _incident(world: World, fact: Fact) -> None:
    """A budget is an alert like any other: routed, grouped, silenced; said twice it is one alert all the same."""
    objective = world.catalog.find(Objective, fact.subject)
    service = objective.service if objective is not None else ""
    desk_of(world).do(AlertEvent(
        fact.at, True, f"budget:{fact.subject}", service, fact.data["priority"],
        {"alertname": "ErrorBudget", "slo": fact.subject, "service": service, "zone": fact.data.get("zone", "")},
        f"{fact.subject}: {fact.data['title']}", "slo"))


def _silence(world: World, fact: Fact) -> None:
    """Planned work: what it concerns is not heard of meanwhile. Its own name makes each silence once."""
    span = Span(fact.at, datetime.fromisoformat(fact.data["until"]))
    if span.end <= world.clock.now():
        return
    services, objectives = fact.data["services"], fact.data["objectives"]
    concerned = {"service": services, "slo": objectives} if services or objectives else {"service": None}
    for label, names in concerned.items():
        if names == []:
            continue
        value = ".*" if names is None else "|".join(map(re.escape, names))
        desk_of(world).do(MakeSilence((Matcher(label, "=~", value),), span, "planned work",
                                      f"{fact.subject}: {fact.data['reason']}", f"{fact.key}:{label}"))


def _escalation(world: World, fact: Fact) -> None:
    """A run still goes on after the time that its runbook gives it: whoever it names hears of it."""
    text = f"{fact.subject} {fact.data['title']}: {fact.data['why']}"
    world.journal.commit(Batch(messages=[NewMessage(
        f"notice:{fact.seq}", "notice", {"target": fact.data["to"], "subject": text, "body": text},
        fact.recorded_at)]))


def _measured(world: World, fact: Fact) -> None:
    """A post-mortem was drafted: what the incident cost the budgets is put beside it, and its timeline is sealed."""
    keep_measured(world, fact.subject, f"postmortem.measured:{fact.seq}")


def _booked(booked: Callable[[Fact], NewFact | None]) -> Callable[[World, Fact], None]:
    """What somebody worked, into the ledger of toil."""
    def book(world: World, fact: Fact) -> None:
        if (work := booked(fact)) is not None:
            world.journal.commit(Batch([work]))

    return book


REACTIONS = (
    Reaction("slo.notice-due", _notice),
    Reaction("slo.incident-due", _incident),
    Reaction("slo.maintenance-planned", _silence),
    Reaction("postmortem.drafted", _measured),
    Reaction("page.sent", _booked(of_page)),
    Reaction("incident.resolved", _booked(of_incident)),
    Reaction("runbook.ended", _booked(of_run)),
    Reaction("runbook.escalated", _escalation),
)


def react(world: World) -> int:
    """Follow every fact that was not followed yet; how many were."""
    last = next(iter(world.journal.facts(FactQuery(kinds=("house.reacted",), newest_first=True, limit=1))), None)
    after = int(last.data["through"]) if last is not None else 0
    by_kind = {reaction.when: reaction for reaction in REACTIONS}
    followed = 0
    through = after
    for fact in world.journal.facts(FactQuery(kinds=tuple(by_kind), after=after)):
        by_kind[fact.kind].then(world, fact)
        followed, through = followed + 1, fact.seq
    if through > after:
        world.journal.commit(Batch([NewFact("house.reacted", "reactions", world.clock.now(), {"through": through},
                                            key=f"house.reacted:{through}")]))
    return followed
