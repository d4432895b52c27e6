"""A post-mortem as a fold over facts: the same facts give the same text, and each line names the fact it tells of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

from mainstay.incident.action_items import Item, Progress
from mainstay.incident.engine import ROLES
from mainstay.incident.following import people_paged
from mainstay.incident.measures import is_machine
from mainstay.incident.ongoing import Incident
from mainstay.incident.review import OPTIONAL, SECTIONS, Review, Stage, missing
from mainstay.incident.severity import Severity
from mainstay.incident.timeline import Line, line
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.journal import Fact
from mainstay.kernel.ports import Spending
from mainstay.kernel.quantity import format_duration, parse_moment

SHORTLY_BEFORE = timedelta(hours=6)
"""Changes in this time before the first impact are named, and those that came until it was over."""

CHANGE_KINDS = ("deployment.", "flag.", "experiment.")


@dataclass(frozen=True, slots=True)
class Sources:
    """All that a post-mortem is made of, as plain data.

    Args:
        facts: those about the incident, in the order of the journal.
        alerts: `alert.opened` and `alert.closed` of its alerts.
        sends: what channels did with its pages.
        changes: deployments, flags, experiments around that time, of all services.
        written: those about its post-mortem.
        spending: what the objectives of its services lost between first impact and end.
    """

    incident: Incident
    review: Review
    facts: Sequence[Fact]
    alerts: Sequence[Fact]
    sends: Sequence[Fact]
    changes: Sequence[Fact]
    written: Sequence[Fact]
    items: Sequence[Item]
    spending: Sequence[Spending]


@dataclass(frozen=True, slots=True)
class Section:
    """A section that people write. `version` counts how often it was written."""

    key: str
    heading: str
    asks: str
    text: str
    version: int
    by: str
    optional: bool


@dataclass(frozen=True, slots=True)
class Part:
    """Somebody's part in it; the role is empty for whoever had none."""

    role: str
    who: str


@dataclass(frozen=True, slots=True)
class Happened:
    """A change shortly before or during it. `near` says that it was to one of the incident's own services."""

    event: int
    at: datetime
    kind: str
    service: str
    text: str
    near: bool


@dataclass(frozen=True, slots=True)
class Pages:
    """What went out. `sent` and `failed` count what channels answered."""

    made: int
    people: int
    sent: int
    failed: int


@dataclass(frozen=True, slots=True)
class Action:
    """An action item of it."""

    id: str
    text: str
    kind: str
    priority: str
    owner: str
    due: date | None
    link: str
    state: Progress


@dataclass(frozen=True, slots=True)
class PostMortem:
    """A post-mortem; the field names are its stable JSON. Times are UTC, lengths in seconds.

    Args:
        detected: when the incident was opened.
        acknowledged: when a person took it first; None when nobody did.
        mitigated: when it was last said to be under watch before it ended; None when nobody said so.
        seconds: from first impact to end.
        missing: what stands between a draft and its review.
    """

    incident: str
    title: str
    severity: Severity
    services: tuple[str, ...]
    state: Stage
    due: datetime
    first_impact: datetime
    detected: datetime
    acknowledged: datetime | None
    mitigated: datetime | None
    resolved: datetime | None
    seconds: float
    how_resolved: str
    people: tuple[Part, ...]
    sections: tuple[Section, ...]
    timeline: tuple[Line, ...]
    changes: tuple[Happened, ...]
    pages: Pages
    spending: tuple[Spending, ...]
    actions: tuple[Action, ...]
    like: tuple[str, ...]
    missing: tuple[str, ...]

    def section(self, key: str) -> Section:
        """The section of that key."""
        return next(one for one in self.sections if one.key == key)

    def text(self, key: str) -> str:
        """What was written in that section."""
        return self.section(key).text


def compose(given: Sources) -> PostMortem:
    """The post-mortem that the facts give."""
    one, review = given.incident, given.review
    people = _people(given)
    sections = _sections(given.written, review)
    impact = first_impact(one, given.alerts, sections)
    told = _Naming({part.who: part.role for part in people})
    resolved = one.resolved
    lines = sorted([*(line(told.of(fact)) for fact in given.facts), *(_alert_line(fact) for fact in given.alerts)],
                   key=lambda each: (each.at, each.event))
    recurred = [fact for fact in given.facts if fact.kind == "incident.recurred"]
    ends = [fact for fact in given.facts if fact.kind == "incident.resolved"]
    return PostMortem(
        one.id, one.title, one.severity, one.services, review.stage, review.due, impact, one.opened,
        next((fact.at for fact in given.facts if fact.kind == "incident.acknowledged"
              and not is_machine(fact.data["by"])), None),
        next((fact.at for fact in reversed(given.facts) if fact.kind == "incident.status-changed"
              and fact.data["to"] == "monitoring"), None),
        resolved, ((resolved or one.opened) - impact) / timedelta(seconds=1),
        str(ends[-1].data.get("how", "")) if ends else "", people, sections, tuple(lines), _changes(given, impact),
        _pages(given), tuple(given.spending), tuple(_action(item) for item in given.items),
        tuple(dict.fromkeys(name for fact in recurred for name in fact.data["like"])),
        missing(review, list(given.items)))


def _action(item: Item) -> Action:
    return Action(item.id, item.text, item.kind, item.priority, item.owner, item.due, item.link, item.state)


def _sections(written: Sequence[Fact], review: Review) -> tuple[Section, ...]:
    latest = {fact.data["section"]: fact for fact in written if fact.kind == "postmortem.written"}
    out = []
    for key, (heading, asks) in {**SECTIONS, **OPTIONAL}.items():
        fact = latest.get(key)
        out.append(Section(key, heading, asks, fact.data["text"] if fact is not None else "",
                           review.written.get(key, 0), fact.actor if fact is not None else "", key in OPTIONAL))
    return tuple(out)


def impact_time(text: str) -> datetime:
    """The first impact as somebody wrote it.

    Raises:
        InvalidInput: it is no moment.
    """
    try:
        return parse_moment(text.strip())
    except InvalidInput as error:
        raise InvalidInput(f"first-impact: {error.message}", error.way_out) from None


def first_impact(one: Incident, alerts: Iterable[Fact], sections: Iterable[Section] = ()) -> datetime:
    """When it began for users: as somebody wrote it, else when its first alert opened, by the sender's clock."""
    said = next((each.text for each in sections if each.key == "first-impact" and each.text), "")
    if said:
        return impact_time(said)
    return min([one.opened, *(fact.at for fact in alerts if fact.kind == "alert.opened")])


# -- people, roles first ------------------------------------------------------------------------------------------

_CALLED = {"commander": "the commander", "operations": "operations", "communications": "communications",
           "scribe": "the scribe"}
_PERSONAL = ("by", "to", "before")


class _Naming:
    """Roles before names: `the commander (ana)`."""

    def __init__(self, roles: Mapping[str, str]) -> None:
        self._roles = roles

    def named(self, who: str) -> str:
        role = self._roles.get(who)
        return who if role is None else f"{_CALLED.get(role, 'a responder')} ({who})"

    def of(self, fact: Fact) -> Fact:
        """The fact, with people called by their roles; who was given a role is called by name."""
        if fact.kind == "incident.role-given":
            return fact
        data = {key: self.named(value) if key in _PERSONAL and isinstance(value, str) else value
                for key, value in fact.data.items()}
        return replace(fact, actor=self.named(fact.actor), data=data)


def _people(given: Sources) -> tuple[Part, ...]:
    """Whoever took part, those with a role first, each by the last role they held."""
    roles: dict[str, str] = {}
    others: dict[str, None] = {}
    for fact in given.facts:
        if fact.kind == "incident.role-given" and fact.data["who"]:
            roles[fact.data["who"]] = fact.data["role"]
        elif fact.kind == "incident.paged" and fact.data.get("is") != "channel":
            others[fact.data["to"]] = None
        if not is_machine(fact.actor):
            others[fact.actor] = None
    ordered = sorted(roles, key=lambda who: ROLES.index(roles[who]))
    return (*(Part(roles[who], who) for who in ordered), *(Part("", who) for who in others if who not in roles))


def _alert_line(fact: Fact) -> Line:
    data = fact.data
    if fact.kind == "alert.opened":
        where = f" in {data['service']}" if data["service"] else ""
        return Line(fact.seq, fact.at, "alert", fact.actor, f"alert {fact.subject}{where}: {data['summary']}", "bad")
    return Line(fact.seq, fact.at, "alert", fact.actor,
                f"alert {fact.subject} over after {format_duration(data['seconds'])}: {data['why']}", "quiet")


# -- what surrounds it --------------------------------------------------------------------------------------------


def _changes(given: Sources, impact: datetime) -> tuple[Happened, ...]:
    end = given.incident.resolved or given.incident.opened
    out = []
    for fact in given.changes:
        if impact - SHORTLY_BEFORE <= fact.at <= end:
            service = str(fact.data.get("service", ""))
            text = str(fact.data.get("text", ""))
            named = fact.subject if fact.subject != service else ""
            out.append(Happened(fact.seq, fact.at, fact.kind.partition(".")[0], service,
                                ", ".join(filter(None, (named, text))), service in given.incident.services))
    return tuple(sorted(out, key=lambda one: (one.at, one.event)))


def _pages(given: Sources) -> Pages:
    paged = [fact for fact in given.facts if fact.kind == "incident.paged"]
    # What was sent beside pages, such as reminders, says what it is.
    sent = sum(fact.kind == "page.sent" and "what" not in fact.data for fact in given.sends)
    return Pages(len(paged), len(people_paged(paged)), sent,
                 sum(fact.kind == "page.failed" for fact in given.sends))


# -- evidence -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seal:
    """The hash of a fact, chained to those before it: who changes one fact changes every seal from there on."""

    event: int
    hash: str


@dataclass(frozen=True, slots=True)
class Broken:
    """A line whose fact no longer says what it said; `what` says how."""

    event: int
    what: str


def seals(facts: Iterable[Fact]) -> tuple[Seal, ...]:
    """The chain over these facts, in the order of their numbers."""
    out: list[Seal] = []
    before = ""
    for fact in sorted(facts, key=lambda one: one.seq):
        before = hashlib.sha256(f"{before}\n{_canonical(fact)}".encode()).hexdigest()[:24]
        out.append(Seal(fact.seq, before))
    return tuple(out)


def broken(sealed: Sequence[Seal], facts: Iterable[Fact]) -> tuple[Broken, ...]:
    """The sealed facts that were changed or taken away since, and those put between; empty when every one holds.

    Each fact is compared after the sealed hash before it, so that one changed fact is one finding.
    """
    by_number = {fact.seq: fact for fact in facts}
    out: list[Broken] = []
    before = ""
    for seal in sealed:
        fact = by_number.pop(seal.event, None)
        if fact is None:
            out.append(Broken(seal.event, "it is no longer in the journal"))
        elif hashlib.sha256(f"{before}\n{_canonical(fact)}".encode()).hexdigest()[:24] != seal.hash:
            out.append(Broken(seal.event, "it does not say what it said when it was sealed"))
        before = seal.hash
    last = sealed[-1].event if sealed else 0
    out += [Broken(number, "it was put between facts that were sealed") for number in by_number if number < last]
    return tuple(sorted(out, key=lambda one: one.event))


def _canonical(fact: Fact) -> str:
    return json.dumps([fact.seq, fact.kind, fact.subject, fact.at.isoformat(), fact.actor, fact.data], sort_keys=True,
                      separators=(",", ":"), ensure_ascii=False)
