"""`mainstay incident statuspage`: what the public may see, as a page, as JSON, or as files for any web server."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

import msgspec

from mainstay.incident.operations.desk import desk_of
from mainstay.incident.statuspage import StatusPage, compose, document, public, unpublished
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.objective import Objective, Service
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.view import Block, Next, Text, View, state_cell, table
from mainstay.kernel.wording import many

STYLE = "status.css"


@dataclass(frozen=True)
class StatuspageRequest:
    """Where to write it."""

    title: str = arg("what the page is called", "Status")
    out: str = arg("a folder to write index.html, status.css and status.json into", "", short="o", local_only=True)


_NAMED = 10
"""Incidents that are named; the list has the others."""


@dataclass(frozen=True, slots=True)
class Published:
    """The page, the files that were written, and open incidents that it says nothing of (not for the public)."""

    page: StatusPage
    written: tuple[str, ...]
    unpublished: tuple[str, ...]


def statuspage(world: World, request: StatuspageRequest) -> Published:
    """Show or write the public status page: components, posted updates, the last 90 days."""
    page = made(world, request.title)
    silent = tuple(one.id for one in desk_of(world).state.open_incidents() if unpublished(one))
    if not request.out:
        return Published(page, (), silent)
    folder = Path(request.out)
    texts = {"index.html": document(page, STYLE), STYLE: style(),
             "status.json": msgspec.json.format(msgspec.json.encode(page), indent=2).decode() + "\n"}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return Published(page, tuple(_written(folder / name, text) for name, text in texts.items()), silent)
    except OSError as error:
        raise InvalidInput(f"{request.out} cannot be written: {error.strerror}", "name a folder") from None


def made(world: World, title: str) -> StatusPage:
    """The page as it is now. Components are the declared services, else those that objectives are of."""
    state, now = desk_of(world).caught_up(), world.clock.now()
    declared = {one.name: one.title or one.name for one in world.catalog.of(Service)} or {
        one.service: one.service for one in world.catalog.of(Objective) if one.service}
    told = dict.fromkeys(fact.subject for fact in world.journal.facts(FactQuery(kinds=("incident.update-posted",))))
    troubles = [found for name in told if (one := state.incidents.get(name)) is not None and not one.merged_into
                and (found := public(one, world.journal.facts(FactQuery(
                    kinds=("incident.update-posted",), subject=name)))) is not None]
    concerned = {service: service for one in troubles for service in one.services if service not in declared}
    first = next(iter(world.journal.facts(FactQuery(limit=1))), None)
    return compose({**declared, **concerned}, troubles, now, title=title,
                   since=first.recorded_at if first is not None else None)


def style() -> str:
    """The text of the page's style."""
    return files("mainstay.incident").joinpath(STYLE).read_text(encoding="utf-8")


def _written(file: Path, text: str) -> str:
    """The file, replaced in one step: whoever reads it meanwhile sees the old page or the new one, never half of it."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(file)
    return str(file)


def statuspage_view(found: Published) -> View:
    """The components and what is public of incidents."""
    page = found.page
    head = Text(f"{many(len(page.components), 'component')}, {many(len(page.open), 'public incident')} open, "
                f"{many(len(page.past), 'incident')} over in the last 90 days", "quiet")
    rows = [(one.title, state_cell(one.state), str(sum(day in ("at_risk", "violated") for day in one.days)))
            for one in page.components]
    blocks: list[Block] = [head, Text(page.verdict, "good" if page.state == "healthy" else "bad"), table(
        "Components", ("component", "now", "days with trouble>"), rows, empty="declare them: kind: Service")]
    if page.open:
        blocks.append(table("Open", ("incident", "status", "last update"), [
            (one.id, str(one.status), one.updates[-1].text) for one in page.open]))
    if found.written:
        blocks.append(Text("Written: " + ", ".join(found.written), "good"))
    if found.unpublished:
        rest = len(found.unpublished) - _NAMED
        named = ", ".join(found.unpublished[:_NAMED]) + (f" and {rest:,} more" if rest > 0 else "")
        blocks.append(Text(f"Not on it: {named}. An incident is public from its first update on.", "warn"))
        update = f"mainstay incident update {found.unpublished[0]} 'what users should know'"
        return View(page.title, (*blocks, Next((update,))))
    commands = ("mainstay incident statuspage -o public",) if not found.written else ("mainstay incident list",)
    return View(page.title, (*blocks, Next(commands)))


STATUSPAGE = Operation(
    "incident", "statuspage", StatuspageRequest, statuspage, statuspage_view,
    # Without what is not public: this JSON is read by those who publish it.
    as_json=lambda found: {"page": found.page, "written": found.written},
    exit_codes=((0, "made"), (2, "the folder cannot be written")),
    examples=("mainstay incident statuspage -o public --title 'Shop status'", "mainstay incident statuspage --json"))
