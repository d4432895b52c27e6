"""The post-mortem editor and the page of action items: forms that work without a script and keep what was typed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from markupsafe import Markup

from mainstay.doors.web.pages import Page, PageQuery
from mainstay.incident.action_items import KINDS, PRIORITIES, Progress
from mainstay.incident.aftermath import DraftPostmortem, WriteSection
from mainstay.incident.document import written_html
from mainstay.incident.layouts import spending_text
from mainstay.incident.lifecycle import Status
from mainstay.incident.operations.actions import ACTION, ActionsRequest, Reading, actions, actions_view
from mainstay.incident.operations.desk import desk_of
from mainstay.incident.operations.looking import find
from mainstay.incident.operations.postmortem import lint, move, post_mortem_of
from mainstay.incident.postmortem import PostMortem, impact_time
from mainstay.incident.review import STAGES, Stage, section_named, stage_named
from mainstay.incident.view import timeline_of
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import NotFound
from mainstay.kernel.finding import Finding
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import format_duration
from mainstay.kernel.view import Cell, Pairs, Table, Text, Timeline, Tone, View, cells, table

# -- what the forms do --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WriteRequest:
    """A section as somebody wrote it; `seen` is how often it had been written when it was read."""

    name: str = arg("the incident")
    section: str = arg("which section")
    seen: int = arg("how often it had been written")
    text: str = arg("what it says", "")


def write(world: World, request: WriteRequest) -> str:
    """Write a section of a post-mortem."""
    text = request.text.replace("\r\n", "\n")
    if section_named(request.section) == "first-impact" and text.strip():
        impact_time(text)
    desk_of(world).do(WriteSection(request.name, request.section, text, world.actor, request.seen))
    return request.section


@dataclass(frozen=True)
class MoveRequest:
    """Where a post-mortem goes; an empty `to` drafts it."""

    name: str = arg("the incident")
    to: str = arg("the state", "")


def go(world: World, request: MoveRequest) -> str:
    """Take a post-mortem to another state, or draft it."""
    if request.to:
        move(world, request.name, stage_named(request.to))
    else:
        desk_of(world).do(DraftPostmortem(request.name, world.actor))
    return request.name


def _done(said: str) -> View:
    return View("Done", (Text(said),))


_WRITE = Operation("incident", "postmortem", WriteRequest, write, _done, scope="write", doors=("page",))
_MOVE = Operation("incident", "postmortem", MoveRequest, go, _done, scope="write", doors=("page",))


@dataclass(frozen=True, slots=True)
class ItemRow:
    """An action item, and where it stands in a few words."""

    reading: Reading
    text: str
    tone: Tone


# -- the editor ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SectionForm:
    """A section to be written, or to be read once it is published."""

    key: str
    heading: str
    asks: str
    text: str
    shown: Markup
    version: int
    by: str
    optional: bool
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Onward:
    """A state it can be taken to."""

    to: str
    text: str
    main: bool


@dataclass(frozen=True, slots=True)
class EditorPage:
    """The editor, top to bottom: how it stands, what it lacks, the sections, action items, what facts say.

    Args:
        drafted: whether there is a post-mortem; without one the page offers to draft it.
        resolved: whether it can be drafted.
    """

    incident: str
    title: str
    drafted: bool
    resolved: bool
    verdict: str = ""
    tone: Tone = "plain"
    missing: tuple[str, ...] = ()
    facts: Pairs | None = None
    sections: tuple[SectionForm, ...] = ()
    editable: bool = False
    items: tuple[ItemRow, ...] = ()
    timeline: Timeline | None = None
    changes: Table | None = None
    onward: tuple[Onward, ...] = ()
    kinds: tuple[str, ...] = KINDS
    priorities: tuple[str, ...] = PRIORITIES


_ONWARD = {Stage.IN_REVIEW: "Take it to review", Stage.PUBLISHED: "Publish it", Stage.DRAFT: "Back to draft"}


def editor(world: World, query: PageQuery) -> EditorPage:
    """The editor of one incident's post-mortem."""
    name = query.get("name")
    if not name:
        raise NotFound("no incident was named", "choose one in the list of post-mortems")
    one = find(world, name)
    if desk_of(world).state.reviews.get(name) is None:
        return EditorPage(one.id, one.title, drafted=False, resolved=one.status is Status.RESOLVED)
    document, now = post_mortem_of(world, name, offline=True), world.clock.now()
    verdict, tone = _verdict(document, now)
    found = lint(document)
    return EditorPage(
        one.id, one.title, True, True, verdict, tone, document.missing, _facts(document),
        tuple(SectionForm(each.key, each.heading, each.asks, each.text, Markup(written_html(each.text)),  # noqa: S704
                          each.version, each.by, each.optional,
                          tuple(one_ for one_ in found if one_.where.file.endswith(f" {each.key}")))
              for each in document.sections),
        document.state is not Stage.PUBLISHED,
        _rows(actions(world, ActionsRequest(incident=name, all=True)).actions), timeline_of(document.timeline),
        _changes(document), tuple(Onward(str(to), _ONWARD[to], to is not Stage.DRAFT)
                                  for to in sorted(STAGES[document.state], reverse=True)))


def _verdict(document: PostMortem, now: datetime) -> tuple[str, Tone]:
    if document.state is Stage.PUBLISHED:
        return "Published.", "good"
    left = document.due - now
    if left.total_seconds() < 0:
        return f"{str(document.state).capitalize()}, overdue since {format_duration(-left)}.", "bad"
    return f"{str(document.state).capitalize()}, due in {format_duration(left)}.", "strong"


def _facts(document: PostMortem) -> Pairs:
    rows: list[tuple[str, tuple[Cell, ...]]] = [
        ("severity", cells(str(document.severity))), ("services", cells(", ".join(document.services) or "–")),
        ("duration", cells(Cell(format_duration(document.seconds), tone="strong"),
                           f"{document.first_impact:%-d %b %Y %H:%M:%S} to "
                           + (f"{document.resolved:%-d %b %H:%M:%S} UTC" if document.resolved else "now"))),
        ("detected", cells(_after(document, document.detected))),
        ("acknowledged", cells(_after(document, document.acknowledged)))]
    budgets = [spending_text(one) for one in document.spending] or [_no_budget(document)]
    rows += [("budget", cells(one)) for one in budgets]
    rows += [(part.role or "responder", cells(part.who)) for part in document.people]
    if document.like:
        rows.append(("before", cells(Cell("like " + ", ".join(document.like), tone="warn"))))
    return Pairs(tuple(rows))


def _no_budget(document: PostMortem) -> str:
    return "no objective is declared for its services" if document.services else "it names no service"


def _after(document: PostMortem, at: datetime | None) -> str:
    if at is None:
        return "by nobody"
    took = at - document.first_impact
    return f"{format_duration(took)} after the first impact" if took else "at once"


def _changes(document: PostMortem) -> Table:
    return table("What changed shortly before", ("when", "what", "service", "change"), [
        (f"{one.at:%-d %b %H:%M} UTC", one.kind, one.service or "–", one.text) for one in document.changes],
        empty="No deployment, flag or experiment was recorded. mainstay record deployment SERVICE --name VERSION")


# -- action items -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ActionsPage:
    """Every action item that is not finished, the longest overdue first."""

    verdict: str
    tone: Tone
    items: tuple[ItemRow, ...]
    owners: Table | None
    all: bool
    kinds: tuple[str, ...] = KINDS
    priorities: tuple[str, ...] = PRIORITIES


def action_items(world: World, query: PageQuery) -> ActionsPage:
    """The page of action items."""
    every = query.get("all") in ("true", "1")
    found = actions(world, ActionsRequest(query.get("owner"), query.get("incident"), every))
    head, *blocks = actions_view(found).blocks
    assert isinstance(head, Text), "the report begins with its verdict"
    owners = next((block for block in blocks if isinstance(block, Table) and block.title == "By owner"), None)
    return ActionsPage(head.text, head.tone, _rows(found.actions), owners, every)


def _rows(found: Sequence[Reading]) -> tuple[ItemRow, ...]:
    return tuple(ItemRow(one, *_standing(one)) for one in found)


def _standing(one: Reading) -> tuple[str, Tone]:
    if one.overdue_seconds:
        return f"overdue {format_duration(one.overdue_seconds)}", "bad"
    match one.state:
        case Progress.OPEN if one.due is None:
            return "open, no date yet", "warn"
        case Progress.OPEN:
            return f"open, due {one.due:%-d %b %Y}", "plain"
        case Progress.DONE:
            return f"done by {one.done_by}, not verified", "warn"
        case Progress.VERIFIED:
            return f"verified by {one.verified_by}", "good"
        case _:
            return "dropped", "quiet"


POSTMORTEM_PAGES = (
    Page("/incident/postmortem", "Post-mortem", "postmortem.html", editor, word="incident", listed=False,
         forms={"write": _WRITE, "move": _MOVE, "action": ACTION}),
    Page("/incident/actions", "actions", "actions.html", action_items, word="incident", forms={"action": ACTION}),
)
