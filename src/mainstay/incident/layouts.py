"""How a post-mortem is laid out: our own structure, and those of seven public templates, as tables. Pure.

A heading has parts; a part is drawn from the post-mortem, and one that has nothing says what is missing, so that no
heading is ever bare.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime

from mainstay.incident.document import Block, Grid, Heading, Listing, Missing, Prose
from mainstay.incident.postmortem import PostMortem
from mainstay.incident.review import OPTIONAL, SECTIONS, Stage
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.finding import did_you_mean
from mainstay.kernel.ports import Spending
from mainstay.kernel.quantity import format_duration
from mainstay.kernel.wording import count, many


@dataclass(frozen=True, slots=True)
class Head:
    """A heading of a layout and the parts below it, each the key of a section or of a drawing, or `=` and a text."""

    level: int
    text: str
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """A layout. `origin` says whose headings these are."""

    origin: str
    heads: tuple[Head, ...]
    first: tuple[str, ...] = ()


def _moment(at: datetime | None) -> str:
    return "–" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _length(document: PostMortem) -> str:
    return format_duration(document.seconds)


def _since(document: PostMortem, at: datetime | None) -> str:
    if at is None:
        return "–"
    took = at - document.first_impact
    return format_duration(took) if took else "at once"


def _who(document: PostMortem, role: str) -> str:
    return ", then ".join(part.who for part in document.people if part.role == role) or "nobody"


# -- drawings -----------------------------------------------------------------------------------------------------


def _facts(document: PostMortem) -> list[Block]:
    end = f"{document.resolved:%Y-%m-%d %H:%M:%S} UTC" if document.resolved else "it goes on"
    return [Listing((
        f"Incident: {document.incident}, {document.severity}", f"Status: {document.state}, due {_moment(document.due)}",
        f"Date: {document.first_impact:%Y-%m-%d}",
        f"Duration: {_length(document)} ({_moment(document.first_impact)} to {end})",
        f"Services: {', '.join(document.services) or 'none was named'}",
        f"Commander: {_who(document, 'commander')}"))]


def _status(document: PostMortem) -> list[Block]:
    return [Prose(f"{str(document.state).capitalize()}, due {_moment(document.due)}.")]


def _date(document: PostMortem) -> list[Block]:
    return [Prose(f"{_moment(document.first_impact)} to {_moment(document.resolved)}.")]


def _authors(document: PostMortem) -> list[Block]:
    wrote = dict.fromkeys(one.by for one in document.sections if one.by)
    return [Prose(", ".join(wrote) or "Nobody has written anything yet.")]


def _start(document: PostMortem) -> list[Block]:
    return [Prose(_moment(document.first_impact))]


def _end(document: PostMortem) -> list[Block]:
    return [Prose(_moment(document.resolved))]


def _duration(document: PostMortem) -> list[Block]:
    return [Prose(f"{_length(document)}, from the first impact to the end.")]


def _times(document: PostMortem) -> list[Block]:
    rows = [("first impact", document.first_impact), ("detected", document.detected),
            ("acknowledged", document.acknowledged), ("mitigated", document.mitigated),
            ("resolved", document.resolved)]
    return [Grid(("what", "when", "after"), tuple((name, _moment(at), _since(document, at)) for name, at in rows))]


def _detected(document: PostMortem) -> list[Block]:
    taken = f"acknowledged {_after(document, document.acknowledged)}" if document.acknowledged \
        else "acknowledged by nobody"
    return [Prose(f"Detected {_after(document, document.detected)}; {taken}.")]


def _after(document: PostMortem, at: datetime) -> str:
    took = _since(document, at)
    return took if took == "at once" else f"{took} after the first impact"


def _ended(document: PostMortem) -> list[Block]:
    return [Prose(f"Resolved at {_moment(document.resolved)}: {document.how_resolved or 'by hand'}.")]


def _timeline(document: PostMortem) -> list[Block]:
    return [Listing(tuple(f"{one.at:%H:%M:%S} {one.text} (event {one.event})" if one.at.date()
                          == document.first_impact.date() else f"{one.at:%-d %b %H:%M:%S} {one.text} "
                          f"(event {one.event})" for one in document.timeline))]


def _people(document: PostMortem) -> list[Block]:
    return [Grid(("role", "who"), tuple((one.role or "responder", one.who) for one in document.people))] \
        if document.people else [Prose("Nobody took part: it ended by itself.")]


def spending_text(one: Spending) -> str:
    """What an objective lost, in a sentence."""
    promise = f"{one.target * 100:g} % over {one.window}"
    if one.until is None:
        return f"{one.objective} ({promise}): no data was measured in this time"
    lost = f"{count(one.bad)} of {count(one.total)} {one.unit} were bad"
    if one.share is None:
        return f"{one.objective} ({promise}): {lost}, and the target leaves no budget"
    return (f"{one.objective} ({promise}): {one.share * 100:.1f} % of the budget spent; {lost}, "
            f"the window allows {count(round(one.allowed, 1))}; measured until {one.until:%H:%M} UTC")


def _budget(document: PostMortem) -> list[Block]:
    if document.spending:
        return [Listing(tuple(spending_text(one) for one in document.spending))]
    named = ", ".join(document.services)
    return [Prose(f"Error budget: no objective is declared for {named}." if named
                  else "Error budget: the incident names no service, so no objective is concerned.")]


def _changes(document: PostMortem) -> list[Block]:
    if not document.changes:
        return [Prose("No deployment, flag or experiment was recorded in the six hours before, or during it.")]
    return [Listing(tuple(
        f"{one.at:%-d %b %H:%M:%S} {one.kind} of {one.service or 'an unnamed service'}"
        f"{': ' + one.text if one.text else ''}{'' if one.near else ', another service'} (event {one.event})"
        for one in document.changes))]


def _pages(document: PostMortem) -> list[Block]:
    pages = document.pages
    if not pages.made:
        return [Prose("Nobody was paged.")]
    people = many(pages.people, "recipient")
    failed = f"; {pages.failed} were not delivered" if pages.failed else ""
    return [Prose(f"{many(pages.made, 'page')} to {people}{failed}.")]


_KIND_HEADS = {"prevent": "Prevention", "detect": "Detection", "mitigate": "Response"}


def _actions(document: PostMortem) -> list[Block]:
    if not document.actions:
        said = document.text("no-actions")
        return [Prose(said, written=True)] if said else [Missing(
            "what is to be done, by whom, until when",
            f"mainstay incident action add {document.incident} 'what is to be done' --owner WHO --due DATE")]
    rows = [(one.id, one.priority, _KIND_HEADS[one.kind].lower(), one.text, one.owner or "nobody yet",
             one.due.isoformat() if one.due else "no date yet", one.link or "–", str(one.state))
            for kind in _KIND_HEADS for one in document.actions if one.kind == kind]
    return [Grid(("action", "priority", "for", "what", "owner", "due", "tracker", "state"), tuple(rows))]


def _before(document: PostMortem) -> list[Block]:
    return [Prose(f"It happened before: {', '.join(document.like)}, of which action items were not finished.")] \
        if document.like else []


_DRAWN: Mapping[str, Callable[[PostMortem], list[Block]]] = {
    "facts": _facts, "status": _status, "date": _date, "authors": _authors,
    "start": _start, "end": _end, "duration": _duration,
    "times": _times, "detected": _detected, "ended": _ended, "timeline": _timeline,
    "people": _people,
    "budget": _budget, "changes": _changes, "pages": _pages, "actions": _actions, "before": _before,
}
"""What is drawn from facts, by its key."""

PARTS = (*_DRAWN, *SECTIONS, *OPTIONAL)
"""All that a layout can have below a heading."""


# -- the layouts --------------------------------------------------------------------------------------------------

LAYOUTS: Mapping[str, Layout] = {
    "mainstay": Layout("the structure of the reference: summary to supporting information", (
        Head(2, "Summary", ("summary",)),
        Head(2, "Timeline (all times UTC)", ("timeline",)),
        Head(2, "Root cause", ("cause", "trigger")),
        Head(3, "Five whys", ("whys",)),
        Head(2, "Contributing factors", ("factors",)),
        Head(2, "Impact", ("times", "users", "budget", "impact?")),
        Head(2, "Detection", ("detected", "detection")),
        Head(2, "Resolution", ("ended", "resolution")),
        Head(2, "Action items", ("before", "actions")),
        Head(2, "Lessons learned"),
        Head(3, "What went well", ("went-well",)),
        Head(3, "What went poorly", ("went-poorly",)),
        Head(3, "Where we got lucky", ("lucky",)),
        Head(2, "Supporting information"),
        Head(3, "What changed shortly before", ("changes",)),
        Head(3, "Pages", ("pages",)),
        Head(3, "People", ("people",)),
        Head(3, "Links", ("links",))), ("facts",)),
    "google": Layout("Google, Site Reliability Engineering, appendix D", (
        Head(2, "Date", ("date",)), Head(2, "Authors", ("authors",)), Head(2, "Status", ("status",)),
        Head(2, "Summary", ("summary",)), Head(2, "Impact", ("users", "budget", "impact?")),
        Head(2, "Root causes", ("cause", "whys", "factors")), Head(2, "Trigger", ("trigger", "changes")),
        Head(2, "Resolution", ("ended", "resolution")), Head(2, "Detection", ("detected", "detection")),
        Head(2, "Action items", ("before", "actions")), Head(2, "Lessons learned"),
        Head(3, "What went well", ("went-well",)), Head(3, "What went wrong", ("went-poorly",)),
        Head(3, "Where we got lucky", ("lucky",)), Head(2, "Timeline", ("timeline",)),
        Head(2, "Supporting information", ("pages", "people", "links")))),
    "azure": Layout("Microsoft Azure's status history", (
        Head(2, "Date", ("date",)), Head(2, "Summary of impact", ("summary", "budget")),
        Head(2, "Customer impact", ("users", "impact?")),
        Head(2, "Root cause and mitigation", ("cause", "trigger", "factors", "ended", "resolution")),
        Head(2, "Next steps", ("before", "actions")), Head(2, "Provide feedback", ("links",)))),
    "elastic": Layout("Elastic Cloud's incident reports", (
        Head(2, "Background", ("background",)), Head(2, "What happened", ("summary", "changes")),
        Head(3, "Chain of events", ("timeline",)), Head(2, "Root cause", ("cause", "trigger", "factors")),
        Head(2, "Resolution", ("ended", "resolution")), Head(2, "Impact", ("users", "budget", "impact?")),
        Head(2, "Action items", ("before", "actions"))), ("facts",)),
    "kehoe": Layout("Michael Kehoe's template", (
        Head(2, "Summary", ("facts", "summary")), Head(2, "Attendees", ("people",)),
        Head(2, "Incident timing", ("times", "detected", "detection")), Head(2, "Incident timeline", ("timeline",)),
        Head(2, "Impact"), Head(3, "End users", ("users",)), Head(3, "Infrastructure", ("budget",)),
        Head(3, "Productivity", ("pages", "impact")), Head(2, "What caused the incident"),
        Head(3, "Triggers", ("trigger", "changes")), Head(3, "Where the process broke down", ("factors",)),
        Head(3, "Root causes", ("cause", "whys")), Head(2, "Mitigation and resolution", ("ended", "resolution")),
        Head(2, "Open questions", ("questions",)), Head(2, "Lessons learnt"),
        Head(3, "What went well", ("went-well",)), Head(3, "What went badly", ("went-poorly",)),
        Head(3, "Where we got lucky", ("lucky",)), Head(2, "Action items and follow-ups", ("before", "actions")),
        Head(2, "Supporting documents", ("links",)))),
    "google-api": Layout("Google's API infrastructure incident report", (
        Head(2, "Issue summary", ("summary", "users", "budget")), Head(2, "Timeline (all times UTC)", ("timeline",)),
        Head(2, "Root cause", ("cause", "trigger", "changes", "factors")),
        Head(2, "Resolution and recovery", ("ended", "resolution")),
        Head(2, "Corrective and preventative measures", ("before", "actions"))), ("facts",)),
    "cloud-book": Layout("Limoncelli and others, The Practice of Cloud System Administration", (
        Head(2, "Report status", ("status",)), Head(2, "Executive summary", ("summary",)),
        Head(2, "Outage description", ("cause", "trigger", "ended", "resolution")),
        Head(2, "Affected users", ("users", "budget")), Head(2, "Start", ("start",)), Head(2, "End", ("end",)),
        Head(2, "Duration", ("duration",)), Head(2, "Timeline", ("timeline",)),
        Head(2, "Contributing conditions", ("factors", "whys", "changes")),
        Head(3, "What went well", ("went-well", "lucky")), Head(3, "What could have gone better", ("went-poorly",)),
        Head(2, "Recommendations", ("before", "actions")), Head(2, "People involved", ("people",)))),
    "real-world": Layout("Welch, Real-World SRE", (
        Head(2, "Summary", ("summary",)), Head(2, "Impact", ("times", "users", "budget", "impact?")),
        Head(2, "Timeline", ("timeline",)), Head(2, "Root causes", ("cause", "trigger", "whys", "factors")),
        Head(2, "Action items", ("before", "actions")),
        Head(2, "Appendix", ("changes", "pages", "people", "links"))), ("facts",)),
}
"""Layouts by name. A part that ends in `?` is left out where nobody wrote it."""


def layout_named(name: str) -> Layout:
    """The layout of that name.

    Raises:
        InvalidInput: there is none.
    """
    found = LAYOUTS.get(name)
    if found is None:
        raise InvalidInput(f'no layout is called "{name}"{did_you_mean(name, LAYOUTS)}', "known: " + ", ".join(LAYOUTS))
    return found


_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*")
_PART = re.compile(r"\{\{\s*([a-z-]+\??)\s*\}\}")


def read_template(text: str, name: str) -> Layout:
    """A layout written as Markdown: its headings, its texts as they are, and `{{timeline}}` on a line of its own.

    Args:
        name: of the file, for what is wrong with it.
    Raises:
        InvalidInput: it has no heading, or names a part that there is not; the message says in which line.
    """
    first: list[str] = []
    heads: list[tuple[int, str, list[str]]] = []
    for number, line in enumerate(text.splitlines(), 1):
        parts = heads[-1][2] if heads else first
        if heading := _HEADING.fullmatch(line.strip()):
            heads.append((len(heading[1]), heading[2], []))
        elif part := _PART.fullmatch(line.strip()):
            if part[1].removesuffix("?") not in PARTS:
                raise InvalidInput(f'{name}:{number}: there is no part "{part[1]}"{did_you_mean(part[1], PARTS)}',
                                   "known: " + ", ".join(PARTS))
            parts.append(part[1])
        elif parts and parts[-1].startswith("="):
            parts[-1] += f"\n{line.rstrip()}"
        elif line.strip():
            parts.append(f"={line.rstrip()}")
    if not heads:
        raise InvalidInput(f"{name} has no heading", "write ## Summary, and {{summary}} on a line of its own below it")
    return Layout(name, tuple(Head(level, text, tuple(below)) for level, text, below in heads), tuple(first))


def title_of(document: PostMortem) -> str:
    """What it is called."""
    return f"Post-mortem: {document.title} ({document.incident})"


def lay_out(document: PostMortem, layout: str | Layout = "mainstay") -> list[Block]:
    """The post-mortem as that layout's blocks.

    Raises:
        InvalidInput: there is no such layout.
    """
    found = layout if isinstance(layout, Layout) else layout_named(layout)
    blocks: list[Block] = [Heading(1, title_of(document))]
    for part in found.first:
        blocks += _part(document, part)
    for head in found.heads:
        blocks.append(Heading(head.level, head.text))
        for part in head.parts:
            blocks += _part(document, part)
    return blocks


def _part(document: PostMortem, part: str) -> list[Block]:
    if part.startswith("="):
        return [Prose(part[1:].strip(), written=True)]
    if part in _DRAWN:
        return _DRAWN[part](document)
    section = document.section(part.removesuffix("?"))
    if section.text:
        return [Prose(section.text, written=True)]
    if part.endswith("?"):
        return []
    if document.state is Stage.PUBLISHED or section.optional:
        return [Prose(f"Nothing was written here ({section.asks}).")]
    return [Missing(section.asks, f"mainstay incident postmortem {document.incident} --set {section.key}='…'")]
