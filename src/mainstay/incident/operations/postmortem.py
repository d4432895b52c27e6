"""`mainstay incident postmortem | postmortems`: drafted from facts, written by people, never left half."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from itertools import takewhile
from pathlib import Path

import msgspec

from mainstay.incident import blameless
from mainstay.incident.aftermath import DraftPostmortem, MovePostmortem, WriteSection
from mainstay.incident.document import Block, markdown, page
from mainstay.incident.layouts import LAYOUTS, Layout, lay_out, read_template, spending_text, title_of
from mainstay.incident.ongoing import Incident
from mainstay.incident.operations.desk import desk_of
from mainstay.incident.operations.looking import find
from mainstay.incident.postmortem import (
    CHANGE_KINDS,
    SHORTLY_BEFORE,
    Broken,
    PostMortem,
    Seal,
    Sources,
    broken,
    compose,
    first_impact,
    impact_time,
    seals,
)
from mainstay.incident.review import Review, Stage, missing, section_named, stage_named
from mainstay.incident.severity import Severity
from mainstay.incident.view import severity_cell
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, NotFound
from mainstay.kernel.finding import Finding
from mainstay.kernel.journal import Batch, Fact, FactQuery, NewFact
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import Spending, World
from mainstay.kernel.quantity import Span, format_duration
from mainstay.kernel.view import Cell, Code, Next, Pairs, Text, View, cells, table
from mainstay.kernel.wording import many

_FEW = 50
"""Alerts that are quicker asked for one by one than looked for among all."""

_MEASURED = "postmortem.measured"


# -- from the journal ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Recorded:
    """What the journal has of an incident: the facts that its timeline tells of, and those beside it."""

    facts: tuple[Fact, ...]
    alerts: tuple[Fact, ...]
    sends: tuple[Fact, ...]
    written: tuple[Fact, ...]

    @property
    def sealed(self) -> tuple[Fact, ...]:
        """The facts that are sealed."""
        return (*self.facts, *self.alerts, *self.sends)


def _recorded(world: World, name: str) -> _Recorded:
    of_it = list(world.journal.facts(FactQuery(kinds=("incident.", "page.", "postmortem."), subject=name)))
    facts = tuple(fact for fact in of_it if fact.kind.startswith("incident."))
    return _Recorded(facts, tuple(alert_facts(world, facts)),
                     tuple(fact for fact in of_it if fact.kind.startswith("page.")),
                     tuple(fact for fact in of_it if fact.kind.startswith("postmortem.")))


def alert_facts(world: World, facts: Sequence[Fact]) -> list[Fact]:
    """When the alerts that joined the incident opened and closed."""
    names = dict.fromkeys(name for fact in facts if fact.kind in ("incident.opened", "incident.joined")
                          for name in fact.data.get("alerts", ()))
    kinds = ("alert.opened", "alert.closed")
    if len(names) <= _FEW:
        return [fact for name in names for fact in world.journal.facts(FactQuery(kinds=kinds, subject=name))]
    return [fact for fact in world.journal.facts(FactQuery(kinds=kinds)) if fact.subject in names]


def _spending(world: World, one: Incident, review: Review, recorded: _Recorded, *,
              offline: bool = False) -> tuple[Spending, ...]:
    """What was measured when it left draft; while it is a draft, what the ledger says now."""
    kept = next((fact for fact in reversed(recorded.written) if fact.kind == _MEASURED), None)
    if kept is not None and review.stage is not Stage.DRAFT:
        return tuple(msgspec.convert(kept.data["spending"], tuple[Spending, ...]))
    said = next((fact.data["text"] for fact in reversed(recorded.written) if fact.kind == "postmortem.written"
                 and fact.data["section"] == "first-impact"), "")
    start = impact_time(said) if said else first_impact(one, recorded.alerts)
    end = one.resolved or world.clock.now()
    return world.spent(world, one.services, Span(start, end), offline) if start < end else ()


def _composed(world: World, one: Incident, review: Review, *, offline: bool) -> PostMortem:
    recorded = _recorded(world, one.id)
    spending = _spending(world, one, review, recorded, offline=offline)
    start = first_impact(one, recorded.alerts)
    changes = tuple(world.journal.facts(FactQuery(kinds=CHANGE_KINDS, since=start - SHORTLY_BEFORE - timedelta(days=1),
                                                  until=one.resolved)))
    items = [item for item in desk_of(world).state.actions.values() if item.incident == one.id]
    return compose(Sources(one, review, recorded.facts, recorded.alerts, recorded.sends, changes, recorded.written,
                           items, spending))


def post_mortem_of(world: World, name: str, *, offline: bool = False) -> PostMortem:
    """The post-mortem as it stands.

    Args:
        offline: take the budget from the ledger as it is; a server asks the sources by itself.
    Raises:
        NotFound: there is no such incident, or nobody drafted one.
    """
    one = find(world, name)
    review = desk_of(world).state.reviews.get(name)
    if review is None:
        raise NotFound(f"{name} has no post-mortem", f"mainstay incident postmortem {name} drafts it")
    return _composed(world, one, review, offline=offline)


def keep_measured(world: World, name: str, key: str) -> None:
    """Record what the budget says now, and seal the facts of the timeline; once for each key."""
    one, review = find(world, name), desk_of(world).state.reviews.get(name)
    assert review is not None, "only what was drafted is measured"
    recorded = _recorded(world, name)
    spending = _spending(world, one, review, recorded)
    world.journal.commit(Batch([NewFact(_MEASURED, name, world.clock.now(), {
        "spending": msgspec.to_builtins([asdict(each) for each in spending]),
        "seals": [[seal.event, seal.hash] for seal in seals(recorded.sealed)]}, key=key)]))


def _broken(world: World, name: str) -> tuple[int, tuple[Broken, ...]]:
    """How many facts are sealed, and those that do not hold."""
    recorded = _recorded(world, name)
    kept = next((fact for fact in reversed(recorded.written) if fact.kind == _MEASURED), None)
    if kept is None:
        raise NotFound(f"nothing of {name} is sealed yet", "it is sealed when it is drafted and when it leaves draft")
    sealed = tuple(Seal(event, digest) for event, digest in kept.data["seals"])
    numbers = {seal.event for seal in sealed}
    # Looked for by number, for a fact that was changed may no longer lead to others.
    between = FactQuery(kinds=("incident.", "alert.", "page."), after=min(numbers, default=1) - 1)
    there = takewhile(lambda fact: fact.seq <= max(numbers, default=0), world.journal.facts(between))
    found = {fact.seq: fact for fact in there if fact.seq in numbers}
    return len(sealed), broken(sealed, {**found, **{fact.seq: fact for fact in recorded.facts}}.values())


# -- mainstay incident postmortem ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class PostmortemRequest:
    """Which post-mortem, and what is done with it."""

    name: str = arg("the incident", "", positional=True)
    set: tuple[str, ...] = arg("write a section: summary='what happened'", ())
    seen: int | None = arg("refuse to write when the section was written more often than this", None)
    state: str = arg("take it there: draft, in-review, published", "")
    format: str = arg("print the document itself", "", choices=("markdown", "html"))
    layout: str = arg("whose headings", "mainstay", choices=tuple(LAYOUTS))
    template: str = arg("a Markdown file of your own headings, instead of a layout", "", local_only=True, value="FILE")
    verify: bool = arg("check that every line's event still says what it said", False)
    out: str = arg("write the document to this file", "", short="o", local_only=True)
    lint: tuple[str, ...] = arg("only look for language that blames, in these files", (), local_only=True)


@dataclass(frozen=True, slots=True)
class Answered:
    """A post-mortem, and what was asked of it.

    Args:
        text: the document, in the format and layout asked for.
        findings: language that blames, in its sections or in the files.
        sealed, broken: for `--verify`: how many events are sealed, and those that do not say what they said.
        read: the files that were looked through.
    """

    at: datetime
    document: PostMortem | None
    text: str
    format: str
    layout: str
    findings: tuple[Finding, ...] = ()
    sealed: int | None = None
    broken: tuple[Broken, ...] = ()
    out: str = ""
    read: tuple[str, ...] = ()


def postmortem(world: World, request: PostmortemRequest) -> Answered:
    """Draft a post-mortem, write it, take it to review and print it."""
    if request.lint:
        found = [each for path in request.lint for each in blameless.findings(_text_of(path), path)]
        return Answered(world.clock.now(), None, "", "", "", tuple(found), read=request.lint)
    if not request.name:
        raise InvalidInput("no incident is named", "mainstay incident postmortem INC-12, or --lint FILE")
    template = read_template(_text_of(request.template), request.template) if request.template else None
    desk = desk_of(world)
    find(world, request.name)
    writes = [_said(one) for one in request.set]
    if desk.state.reviews.get(request.name) is None:
        desk.do(DraftPostmortem(request.name, world.actor))
    for section, text in writes:
        desk.do(WriteSection(request.name, section, text, world.actor, request.seen))
    if request.state:
        move(world, request.name, stage_named(request.state))
    return _answered(world, request, template)


def move(world: World, name: str, to: Stage) -> None:
    """Take it to another stage; what leaves draft is measured and sealed as it is then."""
    review = desk_of(world).caught_up().reviews.get(name)
    if review is not None and review.stage is Stage.DRAFT and to is Stage.IN_REVIEW \
            and not missing(review, [one for one in desk_of(world).state.actions.values() if one.incident == name]):
        keep_measured(world, name, f"{_MEASURED}:{name}:{review.version}")
    desk_of(world).do(MovePostmortem(name, to, world.actor))


def _said(written: str) -> tuple[str, str]:
    key, equals, text = written.partition("=")
    if not equals:
        raise InvalidInput(f'--set "{written[:40]}" has no =', "write --set summary='what happened'")
    section = section_named(key.strip())
    if section == "first-impact" and text.strip():
        impact_time(text)
    return section, text


def _answered(world: World, request: PostmortemRequest, template: Layout | None) -> Answered:
    document = post_mortem_of(world, request.name)
    blocks = lay_out(document, template or request.layout)
    text = rendered(blocks, request.format or _format_of(request.out), title_of(document))
    if request.out:
        write_file(request.out, text)
    sealed, wrong = _broken(world, request.name) if request.verify else (None, ())
    return Answered(world.clock.now(), document, text, request.format, request.template or request.layout,
                    lint(document), sealed, wrong, request.out)


def _format_of(out: str) -> str:
    return "html" if out.endswith((".html", ".htm")) else "markdown"


def rendered(blocks: list[Block], format: str, title: str) -> str:
    """The document in that format: markdown or html."""
    return page(blocks, title) if format == "html" else markdown(blocks)


def lint(document: PostMortem) -> tuple[Finding, ...]:
    """Language that blames in what people wrote; the file of a finding is `INC-12 summary`."""
    people = [part.who for part in document.people]
    return tuple(found for one in document.sections
                 for found in blameless.findings(one.text, f"{document.incident} {one.key}", people))


def _text_of(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}", "name a text file") from None
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8 text (byte {error.start})", "save it as UTF-8") from None


def write_file(path: str, text: str) -> None:
    """The text is in the file, whole, or the file is as it was.

    Raises:
        InvalidInput: it cannot be written there.
    """
    beside = f"{path}.{os.getpid()}.new"
    try:
        Path(beside).write_text(text, encoding="utf-8")
        os.replace(beside, path)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}", "name a file in a folder that is there") \
            from None


def answered_view(found: Answered) -> View:
    """How it stands and what it lacks; or the document; or what the files say."""
    document = found.document
    if document is None:
        return _lint_view(found)
    if found.format and not found.out:
        return View(title_of(document), (Code(found.text.removesuffix("\n")),))
    name = document.incident
    head = Text(f"{name} · {document.severity} · {document.title}", "quiet")
    late = found.at - document.due
    due = f"was due {document.due:%-d %b %H:%M} UTC, {format_duration(late)} ago" if late > timedelta(0) else \
        f"due {document.due:%-d %b %H:%M} UTC, in {format_duration(-late)}"
    over = document.state is Stage.PUBLISHED
    verdict = Text(f"The post-mortem is {document.state}" + ("." if over else f", {due}."),
                   "good" if over else "bad" if late > timedelta(0) else "strong")
    lacks = table("Before it can be reviewed", ("what is missing",), [(one,) for one in document.missing]) \
        if document.missing else Text("Nothing is missing.", "good")
    blocks = [head, verdict, _summary(document), *(() if over else (lacks,)), *_blames(found.findings), *_seals(found)]
    if found.out:
        blocks.append(Text(f"Written to {found.out}.", "good"))
    first = document.missing[0] if document.missing else ""
    key = first.split('"')[1] if first.startswith("section") else ""
    commands = [f"mainstay incident postmortem {name} --format markdown"]
    if key:
        commands.insert(0, f"mainstay incident postmortem {name} --set {key}='…'")
    elif not document.actions and document.missing:
        commands.insert(0, f"mainstay incident action add {name} 'what is to be done' --owner WHO --due 14d")
    elif not over and not document.missing:
        onwards = "published" if document.state is Stage.IN_REVIEW else "in-review"
        commands.insert(0, f"mainstay incident postmortem {name} --state {onwards}")
    return View(title_of(document), (*blocks, Next(tuple(commands))))


def _summary(document: PostMortem) -> Pairs:
    end = f"{document.resolved:%-d %b %H:%M} UTC" if document.resolved else "now"
    rows = [("duration", cells(Cell(format_duration(document.seconds), tone="strong"),
                               f"{document.first_impact:%-d %b %H:%M} – {end}")),
            ("services", cells(", ".join(document.services) or "none was named"))]
    rows += [("budget", cells(spending_text(one))) for one in document.spending]
    rows += [("timeline", cells(many(len(document.timeline), "line"))),
             ("actions", cells(many(len(document.actions), "action item")))]
    if document.like:
        rows.append(("before", cells(Cell("like " + ", ".join(document.like), tone="warn"))))
    return Pairs(tuple(rows))


def _blames(findings: Sequence[Finding]) -> list[Text | Code]:
    if not findings:
        return []
    return [Text(f"{many(len(findings), 'place')} where a person is named or blamed:", "warn"),
            Code("\n\n".join(one.render() for one in findings))]


def _seals(found: Answered) -> list[Text]:
    if found.sealed is None:
        return []
    if not found.broken:
        return [Text(f"All {many(found.sealed, 'event')} say what they said when they were sealed.", "good")]
    return [Text(f"{len(found.broken)} of {many(found.sealed, 'event')} do not hold:", "bad"),
            *(Text(f"event {one.event}: {one.what}", "bad") for one in found.broken)]


def _lint_view(found: Answered) -> View:
    head = Text(f"{many(len(found.read), 'file')} read", "quiet")
    if not found.findings:
        return View("Language", (head, Text("Nothing in it blames anybody.", "good")))
    return View("Language", (head, *_blames(found.findings)))


def answered_exit(found: Answered) -> int:
    """1 when something blames in a file that was to be looked at, or a sealed event does not hold."""
    return 1 if found.broken or (found.document is None and found.findings) else 0


def answered_json(found: Answered) -> object:
    """The stable JSON."""
    return {"postmortem": found.document, "layout": found.layout, "format": found.format or "markdown",
            "text": found.text, "findings": [one.as_dict() for one in found.findings], "sealed": found.sealed,
            "broken": found.broken}


POSTMORTEM = Operation(
    "incident", "postmortem", PostmortemRequest, postmortem, answered_view, scope="write", exit_code=answered_exit,
    as_json=answered_json,
    exit_codes=((0, "done"), (1, "a file blames somebody, or an event was changed"),
                (2, "there is no such incident, or it lacks something")),
    examples=("mainstay incident postmortem INC-12",
              "mainstay incident postmortem INC-12 --set summary='Checkout answered 500 for 40 minutes.'",
              "mainstay incident postmortem INC-12 --state in-review",
              "mainstay incident postmortem INC-12 --layout google -o inc-12.html",
              "mainstay incident postmortem INC-12 --template ours.md -o inc-12.md",
              "mainstay incident postmortem --lint inc-12.md"))


# -- mainstay incident postmortems --------------------------------------------------------------------------------


@dataclass(frozen=True)
class PostmortemsRequest:
    """Which post-mortems."""

    name: str = arg("only this incident's, whole", "", positional=True)
    state: str = arg("only those in this state: draft, in-review, published", "")
    layout: str = arg("whose headings, for one", "mainstay", choices=tuple(LAYOUTS))


@dataclass(frozen=True, slots=True)
class Row:
    """A post-mortem in the list."""

    incident: str
    title: str
    severity: Severity
    state: Stage
    due: datetime
    overdue: bool
    missing: int
    actions: int


@dataclass(frozen=True, slots=True)
class Listed:
    """The post-mortems; those that are due soonest first, published ones last. `one` is the one that was named."""

    at: datetime
    postmortems: tuple[Row, ...]
    one: Answered | None = None


def postmortems(world: World, request: PostmortemsRequest) -> Listed:
    """List post-mortems with their due dates, or read one."""
    state, now = desk_of(world).caught_up(), world.clock.now()
    if request.name:
        document = post_mortem_of(world, request.name, offline=True)
        text = markdown(lay_out(document, request.layout))
        return Listed(now, (), Answered(now, document, text, "", request.layout, lint(document)))
    wanted = stage_named(request.state) if request.state else None
    items: dict[str, list[str]] = {}
    for item in state.actions.values():
        items.setdefault(item.incident, []).append(item.id)
    rows = []
    for review in state.reviews.values():
        one = state.incidents.get(review.incident)
        if one is not None and not one.merged_into and wanted in (None, review.stage):
            own = [state.actions[name] for name in items.get(one.id, ())]
            open_ = review.stage is not Stage.PUBLISHED
            rows.append(Row(one.id, one.title, one.severity, review.stage, review.due, open_ and now > review.due,
                            len(missing(review, own)) if open_ else 0, len(own)))
    rows.sort(key=lambda row: (row.state is Stage.PUBLISHED, row.due, row.incident))
    return Listed(now, tuple(rows))


def listed_view(found: Listed) -> View:
    """A row a post-mortem."""
    if found.one is not None:
        return answered_view(found.one)
    late = sum(row.overdue for row in found.postmortems)
    waiting = sum(row.state is not Stage.PUBLISHED for row in found.postmortems)
    head = Text(f"{many(waiting, 'post-mortem')} not published, {late} overdue." if waiting
                else "Every post-mortem is published." if found.postmortems else "There is no post-mortem yet.",
                "bad" if late else "strong" if waiting else "good")
    rows = [(Cell(row.incident, link=f"incident/postmortem?name={row.incident}"), severity_cell(row.severity),
             str(row.state), _due_cell(row, found.at), f"{row.missing:,}" if row.missing else "–", f"{row.actions:,}",
             row.title) for row in found.postmortems]
    open_ones = [row for row in found.postmortems if row.state is not Stage.PUBLISHED]
    return View("Post-mortems", (head, table(
        "", ("incident", "severity", "state", "due", "missing>", "actions>", "what"), rows,
        empty="A SEV1 or SEV2 that is resolved has one at once; for others: mainstay incident postmortem INC-12"),
        Next((f"mainstay incident postmortem {open_ones[0].incident}",) if open_ones
             else ("mainstay incident actions",))))


def _due_cell(row: Row, now: datetime) -> Cell:
    if row.state is Stage.PUBLISHED:
        return Cell("–", tone="quiet")
    if row.overdue:
        return Cell(f"overdue {format_duration(now - row.due)}", tone="bad")
    return Cell(f"in {format_duration(row.due - now)}")


POSTMORTEMS = Operation(
    "incident", "postmortems", PostmortemsRequest, postmortems, listed_view,
    as_json=lambda found: answered_json(found.one) if found.one is not None
    else {"generated_at": found.at, "postmortems": found.postmortems},
    exit_codes=((0, "listed"), (2, "there is no such post-mortem")),
    examples=("mainstay incident postmortems", "mainstay incident postmortems --state draft --json"))
