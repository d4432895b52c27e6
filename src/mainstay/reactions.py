"""The plot: "when this fact, then that". All wiring between words, as one table.

A reaction makes facts and messages with keys that name the fact they follow from, so reacting twice does nothing
twice. How far the facts have been followed is itself a fact (`house.reacted`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mainstay.kernel.journal import Batch, Fact, FactQuery, NewFact, NewMessage
from mainstay.kernel.ports import World
from mainstay.toil.ledger import of_incident, of_page


@dataclass(frozen=True, slots=True)
class Reaction:
    """When a fact of this kind is recorded, then this follows."""

    when: str
    then: Callable[[Fact], Batch]


def _notice(fact: Fact) -> Batch:
    subject = f"{fact.subject}: {fact.data['message']}"
    return Batch(messages=[NewMessage(
        f"notice:{fact.seq}", "notice",
        {"target": fact.data["whom"], "subject": subject, "body": f"{subject} (zone {fact.data.get('zone', '')})"},
        fact.recorded_at)])


def _incident(fact: Fact) -> Batch:
    name = f"INC-{fact.at:%Y%m%d}-{fact.seq}"
    return Batch(facts=[NewFact("incident.opened", name, fact.at, {
        "title": fact.data["title"], "text": fact.data["title"], "priority": fact.data["priority"],
        "objective": fact.subject}, key=f"incident.opened:{fact.seq}")])


def _booked(booked: Callable[[Fact], NewFact | None]) -> Callable[[Fact], Batch]:
    """What somebody worked, into the ledger of toil."""
    def book(fact: Fact) -> Batch:
        work = booked(fact)
        return Batch(facts=[] if work is None else [work])

    return book


REACTIONS = (
    Reaction("slo.notice-due", _notice),
    Reaction("slo.incident-due", _incident),
    Reaction("page.sent", _booked(of_page)),
    Reaction("incident.resolved", _booked(of_incident)),
)


def react(world: World) -> int:
    """Follow every fact that was not followed yet; how many were."""
    last = next(iter(world.journal.facts(FactQuery(kinds=("house.reacted",), newest_first=True, limit=1))), None)
    after = int(last.data["through"]) if last is not None else 0
    by_kind = {reaction.when: reaction for reaction in REACTIONS}
    followed = 0
    through = after
    for fact in world.journal.facts(FactQuery(kinds=tuple(by_kind), after=after)):
        made = by_kind[fact.kind].then(fact)
        world.journal.commit(made)
        followed, through = followed + 1, fact.seq
    if through > after:
        world.journal.commit(Batch([NewFact("house.reacted", "reactions", world.clock.now(), {"through": through},
                                            key=f"house.reacted:{through}")]))
    return followed
