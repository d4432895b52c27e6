"""`mainstay incident actions | action`: what was promised after incidents, how old it is, and doing it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import assert_never

from mainstay.incident.action_items import KINDS, PRIORITIES, Ageing, Item, Progress, Sign, ageing, overdue_first
from mainstay.incident.aftermath import AddItem, ChangeItem, Details, MoveItem
from mainstay.incident.operations.desk import desk_of
from mainstay.incident.operations.looking import find
from mainstay.incident.operations.postmortem import alert_facts
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import format_duration, parse_duration
from mainstay.kernel.view import Cell, Next, Pairs, Text, Tone, View, cells, table
from mainstay.kernel.wording import many


@dataclass(frozen=True, slots=True)
class Reading:
    """An action item as it is read; the field names are its stable JSON."""

    id: str
    incident: str
    text: str
    kind: str
    priority: str
    owner: str
    due: date | None
    link: str
    state: Progress
    done_by: str
    verified_by: str
    added: datetime
    age_days: float
    overdue_seconds: float


def read(one: Item, now: datetime) -> Reading:
    """The action item as it is read; its age ends when it is closed."""
    end = one.closed_at if one.closed and one.closed_at is not None else now
    return Reading(one.id, one.incident, one.text, one.kind, one.priority, one.owner, one.due, one.link, one.state,
                   one.done_by, one.verified_by, one.added, (end - one.added) / timedelta(days=1),
                   one.overdue(now).total_seconds())


# -- mainstay incident actions ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ActionsRequest:
    """Which action items."""

    owner: str = arg("only those of this person", "")
    incident: str = arg("only those of this incident", "")
    all: bool = arg("also those that are verified or dropped", False)


@dataclass(frozen=True, slots=True)
class Reported:
    """The ageing report."""

    at: datetime
    ageing: Ageing
    actions: tuple[Reading, ...]


def actions(world: World, request: ActionsRequest) -> Reported:
    """Report how old action items are: the longest overdue first, by owner, median age."""
    state, now = desk_of(world).caught_up(), world.clock.now()
    if request.incident:
        find(world, request.incident)
    chosen = [one for one in state.actions.values() if (not request.owner or one.owner == request.owner)
              and (not request.incident or one.incident == request.incident)]
    shown = [one for one in overdue_first(chosen, now) if request.all or not one.closed]
    return Reported(now, ageing(chosen, now), tuple(read(one, now) for one in shown))


def actions_view(found: Reported) -> View:
    """Overdue first, then by owner."""
    report = found.ageing
    age = "" if report.median_age_days is None else f", median age {format_duration(report.median_age_days * 86400)}"
    head = Text(f"{many(report.open, 'action item')} open, {report.overdue} overdue, {report.unverified} done and not "
                f"verified{age}.", "bad" if report.overdue else "strong" if report.open else "good")
    if not report.open and not report.unverified:
        head = Text("No action item is open.", "good")
    rows = [(one.id, one.priority, _due_cell(one), Cell(one.owner or "nobody", tone="plain" if one.owner else "warn"),
             str(one.state), Cell(one.incident, link=f"incident/postmortem?name={one.incident}"), one.kind, one.text)
            for one in found.actions]
    owners = [(Cell(one.owner or "nobody", tone="plain" if one.owner else "warn"), f"{one.open:,}",
               Cell(f"{one.overdue:,}", tone="bad" if one.overdue else "plain"),
               format_duration(one.median_age_days * 86400), format_duration(one.oldest_days * 86400))
              for one in report.owners]
    blocks = [table("", ("action", "priority", "due", "owner", "state", "incident", "for", "what"), rows,
                    empty="Nothing is left to do. After an incident: mainstay incident action add INC-12 'what'")]
    if owners:
        blocks.append(table("By owner", ("owner", "open>", "overdue>", "median age>", "oldest>"), owners))
    first = found.actions[0].id if found.actions else ""
    return View("Action items", (head, *blocks, Next((f"mainstay incident action done {first}",) if first
                                                     else ("mainstay incident postmortems",))))


def _due_cell(one: Reading) -> Cell:
    if one.overdue_seconds:
        return Cell(f"overdue {format_duration(one.overdue_seconds)}", tone="bad")
    return Cell(f"{one.due:%-d %b %Y}") if one.due is not None else Cell("no date", tone="warn")


ACTIONS = Operation(
    "incident", "actions", ActionsRequest, actions, actions_view,
    as_json=lambda found: {"generated_at": found.at, "ageing": found.ageing, "actions": found.actions},
    exit_codes=((0, "reported"), (2, "there is no such incident")),
    examples=("mainstay incident actions", "mainstay incident actions --owner ana --json"))


# -- mainstay incident action -------------------------------------------------------------------------------------

DOES = ("add", "assign", "done", "verify", "reopen", "drop")
_EVENTS = {"done": "done", "verify": "verified", "reopen": "reopened", "drop": "dropped"}


@dataclass(frozen=True)
class ActionRequest:
    """What is done with an action item."""

    do: str = arg("what", positional=True, choices=DOES)
    name: str = arg("the action item, such as AI-3; to add one, the incident", positional=True)
    text: str = arg("what is to be done", "", positional=True)
    kind: str = arg("what it is for", "", choices=("", *KINDS))
    priority: str = arg("how soon it matters", "", choices=("", *PRIORITIES))
    owner: str = arg("who does it", "")
    due: str = arg("until when: 2026-03-15, or 14d from now", "")
    link: str = arg("where the tracker has it", "")
    why: str = arg("why it is dropped or opened again", "")
    by: str = arg("who says so; you when left out", "")


@dataclass(frozen=True, slots=True)
class Changed:
    """The action item after what was done."""

    at: datetime
    action: Reading


def action(world: World, request: ActionRequest) -> Changed:
    """Add an action item, give it an owner and a date, say it is done, verify it."""
    by, now = request.by or world.actor, world.clock.now()
    details = Details(request.text or None, request.kind or None, request.priority or None, request.owner or None,
                      day_of(request.due, now) if request.due else None, request.link or None)
    match request.do:
        case "add":
            name = add(world, request.name, details, by)
        case "assign":
            if details == Details():
                raise InvalidInput("nothing is said that would change", "give --owner, --due, --link, --kind or text")
            name = desk_of(world).do(ChangeItem(request.name, details, by)).incident
        case _:
            event = _EVENTS.get(request.do)
            assert event is not None, "the doors let only the choices through"
            name = desk_of(world).do(MoveItem(request.name, event, by, request.why)).incident
    return Changed(now, read(desk_of(world).caught_up().actions[name], now))


def add(world: World, incident: str, details: Details, by: str) -> str:
    """Add an action item to an incident; its name. A later incident with such an alert is linked to it."""
    find(world, incident)
    facts = tuple(world.journal.facts(FactQuery(kinds=("incident.opened", "incident.joined"), subject=incident)))
    signs = tuple(Sign(fact.data["service"], fact.data["key"], fact.data["labels"])
                  for fact in alert_facts(world, facts) if fact.kind == "alert.opened")
    return desk_of(world).do(AddItem(incident, details, by, signs)).incident


def day_of(text: str, now: datetime) -> date:
    """A due date as written: a day, or a length of time from today.

    Raises:
        InvalidInput: it is neither.
    """
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        pass  # not a day; a length of time is the other way to say it
    try:
        return (now.astimezone(UTC) + parse_duration(text)).date()
    except InvalidInput:
        raise InvalidInput(f'"{text}" is no due date', "write a day such as 2026-03-15, or 14d") from None


def changed_view(found: Changed) -> View:
    """The action item and what follows."""
    one = found.action
    tone: Tone = "good" if one.state in (Progress.DONE, Progress.VERIFIED) else "strong"
    rows = [("for", cells(f"{one.incident}, {one.kind}, {one.priority}")),
            ("owner", cells(Cell(one.owner or "nobody yet", tone="plain" if one.owner else "warn"))),
            ("due", (_due_cell(one),))]
    if one.link:
        rows.append(("tracker", cells(one.link)))
    match one.state:
        case Progress.OPEN:
            onwards = f"mainstay incident action done {one.id}" if one.owner and one.due else \
                f"mainstay incident action assign {one.id} --owner WHO --due 14d"
        case Progress.DONE:
            onwards = f"mainstay incident action verify {one.id}"
        case Progress.VERIFIED | Progress.DROPPED:
            onwards = "mainstay incident actions"
        case other:
            assert_never(other)
    return View(one.id, (Text(f"{one.id} is {one.state}: {one.text}", tone), Pairs(tuple(rows)), Next((onwards,))))


ACTION = Operation(
    "incident", "action", ActionRequest, action, changed_view, scope="write",
    as_json=lambda found: {"action": found.action},
    exit_codes=((0, "recorded"), (2, "there is no such item, or it cannot go there")),
    examples=("mainstay incident action add INC-12 'alert on pool use' --kind detect --owner ana --due 14d",
              "mainstay incident action assign AI-3 --owner ben --due 2026-03-15",
              "mainstay incident action done AI-3", "mainstay incident action verify AI-3 --by ben"))
