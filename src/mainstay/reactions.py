"""The plot: "when this fact, then that". All wiring between words, as one table.

A reaction makes facts and messages with keys that name the fact they follow from, or tells a word's engine something
that it takes once, so reacting twice does nothing twice. How far the facts have been followed is itself a fact
(`house.reacted`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime

from mainstay.chaos.state import WEAKNESS, WEAKNESS_FOUND
from mainstay.followed import REACTED, followed_through
from mainstay.incident.engine import Note, Open
from mainstay.incident.intake import AlertEvent, Opening
from mainstay.incident.operations.desk import desk_of
from mainstay.incident.operations.postmortem import keep_measured
from mainstay.incident.planned import silences_of
from mainstay.incident.severity import Severity
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.journal import Batch, Fact, FactQuery, NewFact, NewMessage
from mainstay.kernel.objective import Objective
from mainstay.kernel.ports import PlannedWork, World
from mainstay.kernel.quantity import Span
from mainstay.oncall.changes import SWAP
from mainstay.oncall.operations.telling import say_swap
from mainstay.runbook.operations.remedy_desk import rules_of
from mainstay.runbook.operations.remedying import ESCALATED, alert_began, incident_of, is_over, zone_entered
from mainstay.runbook.remedy import Remediation
from mainstay.runbook.remedy_wording import told_of
from mainstay.toil.ledger import of_incident, of_page, of_recovery, of_run


@dataclass(frozen=True, slots=True)
class Reaction:
    """When a fact of this kind is recorded, then this follows.

    Args:
        wanted: whether there is anybody in the world for whom it can follow; where not, such facts are passed over.
    """

    when: str
    then: Callable[[World, Fact], object]
    wanted: Callable[[World], object] = lambda _: True


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
    data = fact.data
    work = PlannedWork(fact.subject, data["reason"], span, tuple(data["services"]), tuple(data["objectives"]))
    for silence in silences_of(work, str(fact.key)):
        desk_of(world).do(silence)


def _escalation(world: World, fact: Fact) -> None:
    """A run still goes on after the time that its runbook gives it: whoever it names hears of it."""
    text = f"{fact.subject} {fact.data['title']}: {fact.data['why']}"
    world.journal.commit(Batch(messages=[NewMessage(
        f"notice:{fact.seq}", "notice", {"target": fact.data["to"], "subject": text, "body": text},
        fact.recorded_at)]))


def _measured(world: World, fact: Fact) -> None:
    """A post-mortem was drafted: what the incident cost the budgets is put beside it, and its timeline is sealed."""
    one = desk_of(world).caught_up().incidents.get(fact.subject)
    if one is not None and one.merged_into:
        return  # reopened after it was drafted, then found to be part of another, which is reviewed
    keep_measured(world, fact.subject, f"postmortem.measured:{fact.seq}")


def _page_booked(world: World, fact: Fact) -> None:
    """A page reached somebody: their work, unless they only tried whether pages arrive."""
    one = desk_of(world).caught_up().incidents.get(fact.subject)
    if one is None or not one.test:
        _book(world, of_page(fact))


def _incident_booked(world: World, fact: Fact) -> None:
    """Somebody resolved an incident: their work. One that was merged is part of another, and counted with that."""
    one = desk_of(world).caught_up().incidents.get(fact.subject)
    if one is None or not (one.test or one.merged_into):
        _book(world, of_incident(fact), of_recovery(fact, one.service if one is not None else ""))


def _run_booked(world: World, fact: Fact) -> None:
    """A run of a runbook ended: work that nobody had to do."""
    _book(world, of_run(fact))


def _book(world: World, *work: NewFact | None) -> None:
    if facts := [one for one in work if one is not None]:
        world.journal.commit(Batch(facts))


# -- remediation --------------------------------------------------------------------------------------------------


def _alert_began(world: World, fact: Fact) -> None:
    """An alert triggers rules while it fires: one that nobody followed until it was over is nothing to act on.

    One that is silenced or inhibited does when it is heard: planned work mends itself.
    """
    known = desk_of(world).caught_up(fact.seq).alerts.get(fact.subject)
    if known is not None and not known.muted:
        alert_began(world, fact.subject, known.labels, fact.seq)
        if desk_of(world).caught_up().alerts.get(fact.subject) is None:
            # It ended meanwhile, and another server may have followed that already, when there was nothing to end.
            is_over(world, fact.subject)


def _alert_over(world: World, fact: Fact) -> None:
    is_over(world, fact.subject)


def _zone_entered(world: World, fact: Fact) -> None:
    zone_entered(world, fact.subject, str(fact.data["zone"]), fact.seq)


def _remedy_key(fact: Fact) -> str:
    return f"remediation:{fact.data['rule']}:{fact.data['target']}"


def _escalated(world: World, fact: Fact) -> None:
    """A rule leaves trouble to people: that is an alert of its own, and a line where the trouble is shown."""
    rule, target = str(fact.data["rule"]), str(fact.data["target"])
    declared = world.catalog.find(Remediation, rule)
    service = declared.service if declared is not None else ""
    tried = "; ".join(fact.data.get("tried", ())) or "nothing"
    desk_of(world).do(AlertEvent(
        fact.at, True, _remedy_key(fact), service, declared.severity if declared is not None else "SEV2",
        {"alertname": ESCALATED, "remediation": rule, "target": target, "service": service},
        f"{target}: {rule} leaves it to you, for {fact.data['why']}", "runbook", {"tried": tried}))
    _noted(world, fact)


def _remedied(world: World, fact: Fact) -> None:
    """It is over, so nobody need see to it."""
    if fact.kind == "remedy.verified" or fact.data.get("over"):
        desk_of(world).do(AlertEvent(fact.at, False, _remedy_key(fact), _service_of(world, fact)))
    if fact.kind == "remedy.verified":
        _noted(world, fact)


def _service_of(world: World, fact: Fact) -> str:
    declared = world.catalog.find(Remediation, str(fact.data["rule"]))
    return declared.service if declared is not None else ""


def _noted(world: World, fact: Fact) -> None:
    """A line in the incident that the trouble belongs to, once."""
    _note_once(world, incident_of(world, fact.data["keys"]), told_of(fact), fact.actor)


def _note_once(world: World, incident: str, text: str, by: str) -> None:
    desk, notes = desk_of(world), FactQuery(kinds=("incident.noted",), subject=incident)
    while incident:
        # By the version, so that of two servers that look at the same moment one looks again, and finds it said.
        seen = desk.caught_up().incidents[incident].version
        if any(one.data["text"] == text for one in world.journal.facts(notes)) \
                or desk.do(Note(incident, text, by, seen)).outcome == "recorded":
            return


# -- weaknesses ---------------------------------------------------------------------------------------------------


def _weakness(world: World, fact: Fact) -> None:
    """An experiment broke, and what it takes is known: an incident that wakes nobody keeps it until it is mended.

    Found again while it is open, it is a line in the same one.
    """
    data = fact.data
    opening = Opening(f"does not hold: {data['title']}", Severity.SEV4, tuple(data["services"]),
                      f"{WEAKNESS}{fact.subject}", page=False, by=fact.actor)
    incident = desk_of(world).do(Open(opening, once=True)).incident
    kept = f"; it is kept as {data['regression']}" if data["regression"] else ""
    text = (f"mainstay chaos find {fact.subject}: {'; '.join(data['faults'])} is enough. Last tried in "
            f"{data['runs'][-1]}, sure with {data['confidence'] * 100:.0f} %{kept}.")
    _note_once(world, incident, text, fact.actor)


REACTIONS = (
    Reaction("slo.notice-due", _notice),
    Reaction("slo.incident-due", _incident),
    Reaction("slo.maintenance-planned", _silence),
    Reaction("postmortem.drafted", _measured),
    Reaction("page.sent", _page_booked),
    Reaction("incident.resolved", _incident_booked),
    Reaction("runbook.ended", _run_booked),
    Reaction("runbook.escalated", _escalation),
    *(Reaction(f"{SWAP}{event}", say_swap) for event in ("requested", "accepted", "declined", "withdrawn")),
    Reaction("alert.opened", _alert_began, rules_of),
    Reaction("alert.heard", _alert_began, rules_of),
    Reaction("alert.closed", _alert_over),
    Reaction("slo.zone-entered", _zone_entered),
    *(Reaction(f"remedy.{kind}", _noted) for kind in ("observed", "started", "failed", "skipped")),
    Reaction("remedy.escalated", _escalated),
    Reaction("remedy.overdue", _escalated),
    Reaction("remedy.verified", _remedied),
    Reaction("remedy.ended", _remedied),
    Reaction(WEAKNESS_FOUND, _weakness),
)


_following = threading.Lock()
"""Of the threads of a server, one follows at a time: what each does once, two at once would do twice."""


def react(world: World) -> int:
    """Follow every fact that was not followed yet, and what follows from those in turn; how many were."""
    followed = 0
    with _following:
        while more := _follow(world):
            followed += more
    return followed


def _follow(world: World) -> int:
    after = followed_through(world.journal)
    by_kind = {reaction.when: reaction for reaction in REACTIONS if reaction.wanted(world)}
    followed = 0
    through = _passed_over(world, after, [one.when for one in REACTIONS if one.when not in by_kind])
    for fact in world.journal.facts(FactQuery(kinds=tuple(by_kind), after=after)):
        by_kind[fact.kind].then(world, fact)
        followed, through = followed + 1, max(through, fact.seq)
    if through > after:
        # Once from each place on: of two servers that follow at the same moment, one that came less far than the other
        # must not say so after it, or what lies between would be followed for ever.
        world.journal.commit(Batch([NewFact(REACTED, "reactions", world.clock.now(), {"through": through},
                                            key=f"{REACTED}:after:{after}")]))
    return followed


def _passed_over(world: World, after: int, kinds: Sequence[str]) -> int:
    """The number of the last fact of those kinds; looked for before the others are read, so that none is missed."""
    some = world.journal.facts(FactQuery(kinds=kinds, after=after, newest_first=True, limit=1)) if kinds else ()
    return max((fact.seq for fact in some), default=after)
