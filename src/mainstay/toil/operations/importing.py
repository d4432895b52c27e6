"""`toil import`: work logs and ticket exports into the ledger, each line once, however often it is imported."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, NoData
from mainstay.kernel.journal import Batch, FactQuery, NewFact
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import TextFile, World
from mainstay.toil.answers import Imported
from mainstay.toil.entry import LONGEST, Entry, Read, Rejected, Sorting, read_entry, read_json_lines
from mainstay.toil.ledger import IMPORTED, LOGGED, logged_fact
from mainstay.toil.operations.book import ENDINGS
from mainstay.toil.tickets import (
    DATE_ORDERS,
    MINUTES_A_TOUCH,
    DateOrder,
    TicketReading,
    entries_of,
    read_export,
    reading_of,
    system_of,
)
from mainstay.toil.view import imported_view

_BATCH = 2_000


@dataclass(frozen=True)
class ImportRequest:
    """Which file, and how to read it."""

    files: tuple[str, ...] = arg("work logs (JSON lines or CSV) or ticket exports (CSV of ServiceNow, Jira, "
                                 "GitHub); - is standard input", (), positional=True, local_only=True)
    text: str = arg("the log or export itself, for programs that have no file here", "")
    dates: str = arg("how an export writes 03/04/2026; found out from all its dates", "auto", choices=DATE_ORDERS)
    minutes_a_touch: float = arg("what a touch of a ticket counts as, where no time was logged on it", MINUTES_A_TOUCH)
    automatable: bool = arg("a program could do what these tickets ask for", False)
    dry_run: bool = arg("say what is in it, and record nothing", False)


def import_(world: World, request: ImportRequest) -> Imported:
    """Put a work log or a ticket export into the ledger, each line once."""
    texts = _texts(world, request)
    if not 0 < request.minutes_a_touch <= LONGEST * 60:
        raise InvalidInput(f"a touch of {request.minutes_a_touch:g} minutes cannot be counted",
                           "write a number such as 10")
    found = [_read(one, request) for one in texts]
    facts = [replace(fact, actor=world.actor) for one in found for fact in one.facts]
    if not facts:
        reads = [one.read for one in found if one.read.samples]
        why = f"; line {reads[0].samples[0].line}: {reads[0].samples[0].why}" if reads else ""
        raise NoData(f"nothing in {', '.join(one.name for one in texts)} can be read{why}",
                     "mainstay toil import --help shows what can")
    known = _known(world, facts)
    # A key that stands twice in one file counts once as well.
    once = list({fact.key: fact for fact in reversed(facts)}.values())[::-1]
    fresh = [fact for fact in once if fact.key not in known]
    if not request.dry_run:
        _commit(world, fresh, found)
    days = sorted(fact.at.date() for fact in facts)
    return Imported(
        " and ".join(sorted({one.kind for one in found})), _together([one.read for one in found]), len(fresh),
        len(facts) - len(fresh), sum(float(fact.data["duration_hours"]) for fact in once), not request.dry_run,
        days[0], days[-1], next((one.tickets for one in found if one.tickets is not None), None))


def _texts(world: World, request: ImportRequest) -> list[TextFile]:
    if bool(request.files) == bool(request.text):
        raise InvalidInput("nothing to import" if not request.files else "files and text are both given",
                           "mainstay toil import work.jsonl")
    if request.text:
        return [TextFile("the text", request.text)]
    return [text for path in request.files for text in world.texts.read(path, ENDINGS)]


@dataclass(frozen=True, slots=True)
class _Content:
    """What one text holds, as facts that can be recorded."""

    kind: str
    read: Read
    facts: list[NewFact]
    tickets: TicketReading | None = None


def _read(text: TextFile, request: ImportRequest) -> _Content:
    first = text.text.lstrip("\ufeff \r\n\t")[:1]
    if not first:
        return _Content("work log", Read(0, 0, 0, (), text.name), [])
    if first == "{":
        sorting = read_json_lines(text.text.split("\n"), text.name)
        return _Content("work log", sorting.result(), list(_keyed(sorting.entries, _keys_of(text.text))))
    headings = next(csv.reader(text.text.splitlines()[:1]), [])
    if system_of(headings) is None and {"duration_hours", "duration_minutes"} & {one.strip() for one in headings}:
        sorting, keys = _table(text)
        return _Content("work log", sorting.result(), list(_keyed(sorting.entries, keys)))
    order: DateOrder = "day-first" if request.dates == "day-first" else \
        "month-first" if request.dates == "month-first" else "auto"
    export = read_export(text.text, text.name, order)
    part: Counter[str] = Counter()
    facts = []
    for one, entry in entries_of(export, request.minutes_a_touch, automatable=request.automatable):
        part[one.number] += 1
        place = part[one.number]
        facts.append(logged_fact(entry, key=_ticket_key(export.system, one.number, place, entry), actor="system",
                                 ticket=f"{export.system}:{one.number}", part=place, via="import"))
    return _Content(f"{export.system} export", export.read, facts, reading_of(export, request.minutes_a_touch))


def _table(text: TextFile) -> tuple[Sorting, list[str]]:
    """A work log as CSV, and the key of each entry."""
    rows, sorting = csv.DictReader(text.text.splitlines(keepends=True)), Sorting(text.name)
    keys = []
    for row in rows:
        shown = ",".join(str(value) for value in row.values())
        try:
            if None in row or None in row.values():
                raise Rejected("it has not as many cells as there are headings")
            sorting.take(read_entry({name.strip(): value for name, value in row.items()}))
            keys.append(row.get("key") or "")
        except Rejected as error:
            sorting.reject(rows.line_num, str(error), shown)
    return sorting, keys


def _keys_of(text: str) -> list[str]:
    """The key of each readable line; most lines have none, and are then not decoded a second time."""
    if '"key"' not in text:
        return []
    keys = []
    for line in text.split("\n"):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
            read_entry(fields)
        except (ValueError, Rejected, AttributeError, RecursionError):
            continue
        keys.append(str(fields.get("key") or ""))
    return keys


def _keyed(entries: Sequence[Entry], keys: Sequence[str]) -> Iterator[NewFact]:
    """Each entry under its own key, else under what it says and how many before it in the file say the same.

    So the same file twice, or the same file grown longer, adds nothing twice; and two equal half hours of one file are
    two.
    """
    seen: Counter[str] = Counter()
    for place, entry in enumerate(entries):
        own = keys[place] if keys else ""
        if own:
            yield logged_fact(entry, key=f"{LOGGED}:by-key:{own}", actor="system", via="import")
            continue
        said = hashlib.sha256(repr(entry).encode()).hexdigest()[:32]
        seen[said] += 1
        yield logged_fact(entry, key=f"{LOGGED}:line:{said}:{seen[said]}", actor="system", via="import")


def _ticket_key(system: str, number: str, part: int, entry: Entry) -> str:
    """A ticket whose work has grown is recorded again, and takes its own place in the ledger."""
    said = hashlib.sha256(repr(entry).encode()).hexdigest()[:16]
    return f"{LOGGED}:ticket:{system}:{number}:{said}{f':{part}' if part > 1 else ''}"


def _known(world: World, facts: Sequence[NewFact]) -> set[str]:
    """The keys that are recorded already."""
    days = [fact.at for fact in facts]
    wanted = {fact.key for fact in facts}
    return {fact.key for fact in world.journal.facts(FactQuery(kinds=(LOGGED,), since=min(days)))
            if fact.key in wanted}


def _commit(world: World, facts: Sequence[NewFact], found: Sequence[_Content]) -> None:
    """In parts, so that a long log is no single transaction; what an interrupted import left out, the next one adds."""
    rest, done = iter(facts), 0
    while part := list(islice(rest, _BATCH)):
        world.journal.commit(Batch(part))
        done += len(part)
        world.progress(f"{done:,} of {len(facts):,} entries recorded")
    for one in found:
        world.journal.commit(Batch([NewFact(IMPORTED, one.read.source, world.clock.now(), {
            "kind": one.kind, "lines": one.read.lines, "parsed": one.read.parsed, "rejected": one.read.rejected},
            actor=world.actor)]))


def _together(reads: Sequence[Read]) -> Read:
    samples = tuple(sample for one in reads for sample in one.samples)
    return Read(sum(one.lines for one in reads), sum(one.parsed for one in reads), sum(one.rejected for one in reads),
                samples[:20], ", ".join(one.source for one in reads))


IMPORT = Operation(
    "toil", "import", ImportRequest, import_, imported_view, scope="write", catalog="named",
    exit_codes=((0, "imported; rejected lines are counted and shown"), (2, "the file cannot be used"),
                (3, "nothing in it can be read")),
    examples=("mainstay toil import work.jsonl", "mainstay toil import hours.csv --dry-run",
              "mainstay toil import incidents.csv --dates day-first --minutes-a-touch 15 --json"))
