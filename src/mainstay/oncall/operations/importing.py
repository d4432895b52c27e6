"""`mainstay oncall import`: schedules of other tools as YAML of ours, with every difference listed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import ModuleType

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import Conflict, InvalidInput
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import Span, format_duration, parse_duration, parse_moment, zone_named
from mainstay.kernel.view import Cell, Code, Next, Text, View, table
from mainstay.kernel.wording import many
from mainstay.oncall.exchange import goalert, grafana, icalendars, linkedin, pagerduty
from mainstay.oncall.exchange.taken import Asked, Difference, Taken, differences
from mainstay.oncall.exchange.writing import as_yaml
from mainstay.oncall.view import moment_cell, person

_JSON: dict[str, ModuleType] = {"pagerduty": pagerduty, "goalert": goalert, "linkedin": linkedin,
                                "grafana-oncall": grafana}
SOURCES = ("auto", "ical", *_JSON)
_TITLES = {"ical": "iCalendar", "pagerduty": "PagerDuty", "goalert": "GoAlert", "linkedin": "LinkedIn oncall",
           "grafana-oncall": "Grafana OnCall"}
_LARGEST = 64 * 1024 * 1024
_SHOWN = 20


@dataclass(frozen=True)
class ImportRequest:
    """What another tool exported."""

    file: str = arg("what the other tool exported", positional=True, local_only=True)
    source: str = arg("the tool it is from; auto looks at the file", "auto", choices=SOURCES, flag="from")
    output: str = arg("write the YAML into this folder; it is printed when left out", "", short="o", local_only=True)
    at: str = arg("the moment of the export, which says whose turn it is; now when left out", "")
    ahead: str = arg("how far what has no end is written out and compared", "365d")
    zone: str = arg("of times that say none", "UTC")
    force: bool = arg("replace a file that is there already", False)


@dataclass(frozen=True, slots=True)
class Imported:
    """What was taken.

    Args:
        turns: rotations in which people take turns.
        fixed: rotations that could not be said as turns; each shift is an override.
        notes: what could not be said as the tool has it, and what was made of it.
        compared: how much of the tool's own answers ours were held against.
        differences: where the answers are not the same.
        text: the YAML.
        file: where it was written; empty when it was not.
    """

    source: str
    turns: tuple[str, ...]
    fixed: tuple[str, ...]
    schedules: tuple[str, ...]
    people: tuple[str, ...]
    notes: tuple[str, ...]
    compared: timedelta
    differences: tuple[Difference, ...]
    text: str
    file: str = ""


def import_schedules(world: World, request: ImportRequest) -> Imported:
    """Turn what another tool exported into rotations, and list where the answers differ."""
    asked = Asked(parse_moment(request.at) if request.at else world.clock.now(), parse_duration(request.ahead),
                  str(zone_named(request.zone)))
    text = _read(Path(request.file))
    source, take = _reader(text, request)
    taken, found = _taken(take, asked)
    written = as_yaml(taken.rotations, taken.schedules, taken.people.values())
    target = ""
    if request.output:
        target = _write(Path(request.output), f"{source}-{Path(request.file).stem}.yaml".lower(), written,
                        force=request.force)
    turns = tuple(one.name for one in taken.rotations if one.members != (None,))
    return Imported(source, turns, tuple(one.name for one in taken.rotations if one.members == (None,)),
                    tuple(one.name for one in taken.schedules), tuple(taken.people), tuple(taken.notes),
                    _compared(taken, asked), tuple(found), written, target)


def _taken(take: Callable[[Asked], Taken], asked: Asked) -> tuple[Taken, list[Difference]]:
    """What the export holds, and where its own answers are not ours.

    Another tool's document is a foreign thing: where it has a list for a name, or a date behind the end of time, what
    stumbles over that is translated here, once.
    """
    try:
        taken = take(asked)
        return taken, differences(taken, asked)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise InvalidInput(f"the export is not of the form that its tool writes: {error}",
                           "export it again, whole, or say what it is with --from") from error


def _read(file: Path) -> str:
    try:
        if file.stat().st_size > _LARGEST:
            raise InvalidInput(f"{file} is larger than 64 MiB", "export less at once")
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput(f"{file} is not UTF-8", "export it as JSON or as an iCalendar file") from None
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}", "name a file") from None


def _reader(text: str, request: ImportRequest) -> tuple[str, Callable[[Asked], Taken]]:
    """Which tool it is from, and how it is read."""
    stem = Path(request.file).stem
    if request.source == "ical" or (request.source == "auto" and icalendars.recognised(text)):
        return "ical", lambda asked: icalendars.take(text, asked, stem)
    try:
        document = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InvalidInput(f"{request.file} is neither a calendar nor JSON: {error}",
                           "export it again, or say what it is with --from") from None
    source = request.source
    if source == "auto":
        source = next((name for name, room in _JSON.items() if room.recognised(document)), "")
        if not source:
            raise InvalidInput(f"{request.file} is JSON of no tool that is known",
                               "say what it is with --from; docs/guides/oncall.md shows what each tool exports")
    return source, lambda asked: _JSON[source].take(document, asked)


def _write(folder: Path, name: str, text: str, *, force: bool) -> str:
    target = folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if target.exists() and not force and target.read_text(encoding="utf-8") != text:
            raise Conflict(f"{target} is there already and says something else", "use another folder, or --force")
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{target} cannot be written: {error.strerror}", "name another folder") from None
    return str(target)


def _compared(taken: Taken, asked: Asked) -> timedelta:
    total = timedelta(0)
    for truth in taken.truth.values():
        held = [one for one in truth if one.end > asked.span.start and one.start < asked.span.end]
        if held:
            span = Span(max(held[0].start, asked.span.start), min(max(one.end for one in held), asked.span.end))
            total += span.length
    return total


def import_view(found: Imported) -> View:
    """What was taken, what differs, and the YAML where it was not written."""
    head = Text(f"{_TITLES[found.source]} · {many(len(found.turns), 'rotation')}, {len(found.fixed)} of fixed shifts, "
                f"{many(len(found.schedules), 'schedule')}, {many(len(found.people), 'person')}".replace(
                    "persons", "people"), "quiet")
    if not found.compared:
        verdict = Text("The export holds no answers of its own to compare ours with.", "warn")
    elif not found.differences:
        verdict = Text(f"Over {format_duration(found.compared)} of its own answers, ours are the same.", "good")
    else:
        apart = sum((one.end - one.start for one in found.differences), timedelta(0))
        verdict = Text(f"Over {format_duration(found.compared)} of its own answers, ours differ "
                       f"{many(len(found.differences), 'time')}, {format_duration(apart)} together.", "warn")
    notes = table("What could not be said as it was", ("",), [(one,) for one in found.notes],
                  empty="everything was said as it was")
    rows = [(one.name, moment_cell(one.start), moment_cell(one.end), person(one.theirs), person(one.ours),
             Cell(one.why or "–", tone="plain" if one.why else "warn")) for one in found.differences[:_SHOWN]]
    more = len(found.differences) - _SHOWN
    differing = table("Where the answers differ" + (f"; {more} more are in --json" if more > 0 else ""),
                      ("pager", "from", "to", "theirs", "ours", "why"), rows, empty="nowhere")
    written = Text(f"Written to {found.file}.", "good") if found.file else Code(found.text, "yaml", "The catalog")
    following = (f"mainstay check -c {found.file}", f"mainstay oncall gaps -c {found.file}") if found.file else \
        ("mainstay oncall import FILE -o DIR",)
    return View("Import", (head, verdict, notes, differing, written, Next(following)))


IMPORT = Operation(
    "oncall", "import", ImportRequest, import_schedules, import_view, doors=("cli",), catalog="unused",
    exit_code=lambda found: 1 if any(not one.why for one in found.differences) else 0,
    exit_codes=((0, "taken; what differs is explained"), (1, "taken, and an answer differs without a reason known"),
                (2, "the file cannot be used")),
    examples=("mainstay oncall import schedule.json -o oncall", "mainstay oncall import team.ics --from ical -o oncall",
              "mainstay oncall import goalert.json --from goalert --at 2026-03-02T09:00:00Z --json"))
