"""`mainstay oncall export`: shifts for calendars, programs and spreadsheets."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, NotFound
from mainstay.kernel.finding import did_you_mean
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import Span
from mainstay.kernel.view import Code, Next, Text, View
from mainstay.kernel.wording import many, span_words
from mainstay.oncall.calendar import Feed, as_csv, as_ical, whole_shifts
from mainstay.oncall.operations.asking import duty_of, pagers_of, span_of
from mainstay.oncall.operations.duty import Duty
from mainstay.oncall.roster import Shift
from mainstay.oncall.spec import Person, Rotation

FORMATS = ("ical", "json", "csv")
AHEAD = timedelta(days=182)
"""What calendars are given when nobody says how far: half a year, and four weeks back for a subscription."""
BEHIND = timedelta(days=28)


@dataclass(frozen=True)
class ExportRequest:
    """Which pagers, over what, and how written."""

    names: tuple[str, ...] = arg("rotations or schedules; every pager when none is named", (),
                                 positional=True)
    format: str = arg("how it is written", "ical", choices=FORMATS)
    person: str = arg("only this person's shifts, of every pager", "")
    since: str = arg("from this moment; now when left out", "", flag="from")
    until: str = arg("to this moment; half a year later when left out", "", flag="to")
    output: str = arg("write it to this file", "", short="o", local_only=True)


@dataclass(frozen=True, slots=True)
class PagerShift:
    """A shift, and the pager it is of."""

    pager: str
    start: str
    end: str
    who: str | None
    rotation: str
    via: str


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Args:
        text: the file's content.
        file: where it was written; empty when it was not.
    """

    format: str
    names: tuple[str, ...]
    span: Span
    shifts: tuple[PagerShift, ...]
    text: str
    file: str = ""


def export(world: World, request: ExportRequest) -> Exported:
    """Write shifts as a calendar, JSON or CSV, each with the begin and end it really has."""
    now = world.clock.now()
    span = span_of(request.since, request.until, now, AHEAD)
    feed = feed_of(world, request.names, span, person=request.person)
    listed = tuple(PagerShift(pager, _zulu(one), _zulu(one, end=True), one.who, one.rotation, one.via)
                   for pager, one in feed.shifts)
    match request.format:
        case "ical":
            text = as_ical(feed)
        case "csv":
            text = as_csv(feed)
        case _:
            text = json.dumps([{"pager": one.pager, "start": one.start, "end": one.end, "who": one.who,
                                "rotation": one.rotation, "via": one.via} for one in listed], indent=1) + "\n"
    if request.output:
        try:
            Path(request.output).write_text(text, encoding="utf-8", newline="")
        except OSError as error:
            raise InvalidInput(f"{request.output} cannot be written: {error.strerror}", "name another file") from None
    names = tuple(dict.fromkeys(pager for pager, _ in feed.shifts)) or (feed.name,)
    return Exported(request.format, names, span, listed, text, request.output)


def _zulu(one: Shift, *, end: bool = False) -> str:
    return (one.end if end else one.start).isoformat().replace("+00:00", "Z")


def feed_of(world: World, wanted: tuple[str, ...], span: Span, *, person: str = "") -> Feed:
    """The shifts of the pagers over the span, as they are told to calendars.

    Raises:
        NotFound: no pager or person of that name.
    """
    duty = duty_of(world)
    names = list(wanted) or pagers_of(world)
    shifts = sorted(((name, one) for name in names for one in whole_shifts(lambda part, name=name: duty.shifts(  # type: ignore[misc]
        name, part), span)), key=lambda entry: (entry[1].start, entry[0]))
    if person:
        _known(world, duty, person)
        shifts = [entry for entry in shifts if entry[1].who == person]
    zones = {roster.rotation.zone for name in names for roster in duty.rosters(name)}
    return Feed(person or ", ".join(names), world.clock.now(), shifts, zones.pop() if len(zones) == 1 else "UTC",
                {one.name: one.zone for one in world.catalog.of(Rotation)})


def _known(world: World, duty: Duty, person: str) -> None:
    """Raises NotFound when nobody of that name is declared or takes turns."""
    known = {one.name for one in world.catalog.of(Person)} | {
        who for one in world.catalog.of(Rotation) for who in (
            *one.members, *(override.who for override in duty.roster(one.name).overrides)) if who is not None}
    if person not in known:
        raise NotFound(f'no person is named "{person}"{did_you_mean(person, known)}',
                       "known: " + ", ".join(sorted(known)))


def export_view(found: Exported) -> View:
    """The file itself, or where it went."""
    if not found.file:
        return View("Export", (Code(found.text, found.format),))
    held = [one for one in found.shifts if one.who is not None]
    gaps = len(found.shifts) - len(held)
    said = f"{found.file} has {many(len(held), 'shift')}" + (f" and {many(gaps, 'gap')}" if gaps else "") + "."
    return View("Export", (Text(f"{', '.join(found.names)} · {span_words(*found.span)}", "quiet"), Text(said, "good"),
                           Next(("mainstay oncall gaps",))))


EXPORT = Operation(
    "oncall", "export", ExportRequest, export, export_view,
    exit_codes=((0, "written"), (2, "the catalog, a name, a time or the file is wrong")),
    examples=("mainstay oncall export web-primary -o web.ics", "mainstay oncall export --person ana > ana.ics",
              "mainstay oncall export --format csv --from 2026-03-01 --to 2026-04-01"))
