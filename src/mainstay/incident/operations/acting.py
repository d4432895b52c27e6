"""`mainstay incident open | ack | note | role | status | update | resolve | merge`: what people do."""

from __future__ import annotations

from dataclasses import replace

from mainstay.incident.engine import (
    ROLES,
    Acknowledge,
    GiveRole,
    Happening,
    Merge,
    Note,
    Open,
    PostUpdate,
    Resolve,
    SetSeverity,
    SetStatus,
    Split,
)
from mainstay.incident.intake import Opening
from mainstay.incident.lifecycle import Status
from mainstay.incident.operations.desk import desk_of
from mainstay.incident.operations.looking import Reading, find, read
from mainstay.incident.severity import severity_named
from mainstay.incident.timeline import Line, timeline
from mainstay.incident.view import timeline_of
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import did_you_mean
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.view import Next, Text, View

_CODES = ((0, "recorded"), (2, "there is no such incident, or it cannot go there"))


@dataclass(frozen=True, slots=True)
class Done:
    """The incident after what was done, and what that added to its timeline.

    Args:
        note: what is odd about it, such as that nothing says how to reach whoever was named.
    """

    incident: Reading
    added: tuple[Line, ...]
    note: str = ""


def _do(world: World, happening: Happening, name: str = "") -> Done:
    before = world.journal.head()
    taken = desk_of(world).do(happening)
    one = find(world, name or taken.incident)
    facts = world.journal.facts(FactQuery(kinds=("incident.",), subject=one.id, after=before))
    return Done(read(one, world.clock.now()), tuple(timeline(facts)))


def done_view(found: Done) -> View:
    """What was added to the timeline."""
    one = found.incident
    odd = (Text(found.note, "warn"),) if found.note else ()
    return View(one.id, (Text(f"{one.id} is {one.status}, {one.severity}: {one.title}", "strong"),
                         timeline_of(found.added, "What this did"), *odd, Next((f"mainstay incident show {one.id}",))))


# -- open ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OpenRequest:
    """What is broken."""

    title: str = arg("what is broken, in a few words", positional=True)
    severity: str = arg("how bad it is", "SEV2")
    service: tuple[str, ...] = arg("a service it concerns", ())
    policy: str = arg("whom to page; the routing's root when left out", "")
    quiet: bool = arg("record it without paging anybody", False)


def open_one(world: World, request: OpenRequest) -> Done:
    """Open an incident by hand, and page whoever is on call."""
    if not request.title.strip():
        raise InvalidInput("the title is empty", "say what is broken: mainstay incident open 'checkout answers 500'")
    plan = desk_of(world).plan
    root = plan.routing.route
    if request.policy and plan.policy(request.policy) is None:
        # Whoever mistypes it at night believes that somebody is paged.
        meant = did_you_mean(request.policy, plan.policies)
        raise InvalidInput(f'no escalation policy is named "{request.policy}"{meant}',
                           "known: " + (", ".join(sorted(plan.policies)) or "none; declare kind: EscalationPolicy"))
    return _do(world, Open(Opening(
        request.title.strip(), severity_named(request.severity), request.service, "",
        request.policy or root.policy, not request.quiet, (), world.actor, root.interval, root.repeat)))


OPEN = Operation(
    "incident", "open", OpenRequest, open_one, done_view, scope="write",
    exit_codes=((0, "opened"), (2, "a flag is wrong")),
    examples=("mainstay incident open 'checkout answers 500' --severity SEV1 --service web",
              "mainstay incident open 'disk of db-3 fills up' --severity SEV4 --quiet"))


# -- the others ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AckRequest:
    """Which one."""

    name: str = arg("the incident, an alert of it, or its sender's key", positional=True)
    by: str = arg("who takes it; you when left out", "")


def ack(world: World, request: AckRequest) -> Done:
    """Take an incident: nobody else is paged until the acknowledgement lapses."""
    return _do(world, Acknowledge(request.name, request.by or world.actor))


ACK = Operation("incident", "ack", AckRequest, ack, done_view, scope="write", exit_codes=_CODES,
                examples=("mainstay incident ack INC-12", "mainstay incident ack INC-12 --by ana"))


def resolve(world: World, request: AckRequest) -> Done:
    """Say that an incident is over; its alerts are closed with it."""
    return _do(world, Resolve(request.name, request.by or world.actor))


RESOLVE = Operation("incident", "resolve", AckRequest, resolve, done_view, scope="write", exit_codes=_CODES,
                    examples=("mainstay incident resolve INC-12",))


@dataclass(frozen=True)
class NoteRequest:
    """What was seen or done."""

    name: str = arg("the incident", positional=True)
    text: str = arg("the note", positional=True)


def note(world: World, request: NoteRequest) -> Done:
    """Write a line on an incident's timeline."""
    return _do(world, Note(request.name, request.text, world.actor), request.name)


NOTE = Operation("incident", "note", NoteRequest, note, done_view, scope="write", exit_codes=_CODES,
                 examples=("mainstay incident note INC-12 'restarted the cache, errors go on'",))


@dataclass(frozen=True)
class UpdateRequest:
    """What stakeholders hear."""

    name: str = arg("the incident", positional=True)
    text: str = arg("what stakeholders are told; the status page shows it", positional=True)


def update(world: World, request: UpdateRequest) -> Done:
    """Tell stakeholders how it stands; the next update is due by the severity's cadence."""
    return _do(world, PostUpdate(request.name, request.text, world.actor), request.name)


UPDATE = Operation("incident", "update", UpdateRequest, update, done_view, scope="write", exit_codes=_CODES,
                   examples=("mainstay incident update INC-12 'a fix is being rolled out'",))


@dataclass(frozen=True)
class RoleRequest:
    """Who does what."""

    name: str = arg("the incident", positional=True)
    role: str = arg("the role", positional=True, choices=ROLES)
    who: str = arg("who has it from now on; nobody when left out", "", positional=True)


def role(world: World, request: RoleRequest) -> Done:
    """Give somebody a role, or hand it over."""
    done = _do(world, GiveRole(request.name, request.role, request.who, world.actor), request.name)
    return replace(done, note=_unreachable(world, request.who))


def _unreachable(world: World, who: str) -> str:
    if not who or world.responders.reach(who):
        return ""
    return (f'Nothing says how to reach "{who}", so reminders for them show on the server\'s terminal only. '
            "Look at the spelling, or declare kind: Person with contacts.")


ROLE = Operation("incident", "role", RoleRequest, role, done_view, scope="write", exit_codes=_CODES,
                 examples=("mainstay incident role INC-12 commander ana", "mainstay incident role INC-12 scribe"))


@dataclass(frozen=True)
class StatusRequest:
    """How far people are, or how bad it is."""

    name: str = arg("the incident", positional=True)
    to: str = arg("the status", "", positional=True,
                  choices=tuple(str(one) for one in Status if one is not Status.OPEN))
    severity: str = arg("change the severity instead", "")
    why: str = arg("why the severity changes", "")


def status(world: World, request: StatusRequest) -> Done:
    """Say how far people are, or that it is worse or less bad than was thought."""
    if bool(request.to) == bool(request.severity):
        raise InvalidInput("say a status or a severity",
                           "mainstay incident status INC-12 identified, or --severity SEV1")
    if request.severity:
        return _do(world, SetSeverity(request.name, severity_named(request.severity), world.actor, request.why),
                   request.name)
    return _do(world, SetStatus(request.name, Status(request.to), world.actor), request.name)


STATUS = Operation("incident", "status", StatusRequest, status, done_view, scope="write", exit_codes=_CODES,
                   examples=("mainstay incident status INC-12 identified",
                             "mainstay incident status INC-12 --severity SEV1 --why 'all customers'"))


@dataclass(frozen=True)
class MergeRequest:
    """Which two are one; or which alerts are another."""

    name: str = arg("the incident that ends", positional=True)
    into: str = arg("the incident that goes on", "", positional=True)
    split: tuple[str, ...] = arg("an alert that is another incident; it is taken out into one of its own", ())
    title: str = arg("what the new incident is called", "")


def merge(world: World, request: MergeRequest) -> Done:
    """Make two incidents one, or take alerts out into one of their own."""
    if bool(request.into) == bool(request.split):
        raise InvalidInput("say into which incident, or which alerts to split off",
                           "mainstay incident merge INC-13 INC-12, or mainstay incident merge INC-12 --split A-7")
    if request.split:
        return _do(world, Split(request.name, request.split, request.title, world.actor))
    return _do(world, Merge(request.name, request.into, world.actor), request.into)


MERGE = Operation("incident", "merge", MergeRequest, merge, done_view, scope="write", exit_codes=_CODES,
                  examples=("mainstay incident merge INC-13 INC-12", "mainstay incident merge INC-12 --split A-7"))

