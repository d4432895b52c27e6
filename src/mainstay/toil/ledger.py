"""The ledger as facts: how work is recorded, and what the facts come to. Pure: state is a fold over facts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from datetime import UTC, datetime, time
from typing import Any

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.journal import Fact, NewFact
from mainstay.toil.automated import ProgramRun, Recovery
from mainstay.toil.entry import LONGEST, Entry, Rejected, read_entry

LOGGED, STARTED, STOPPED, GROUPED, IMPORTED, WITHDRAWN, SAVED, RECOVERED = (
    "toil.logged", "toil.started", "toil.stopped", "toil.grouped", "toil.imported", "toil.withdrawn", "toil.saved",
    "toil.recovered")
KINDS = (LOGGED, STARTED, STOPPED, GROUPED, WITHDRAWN, SAVED, RECOVERED)
"""What the ledger is folded from."""

PAGE_HOURS = 0.25
"""Of a page that nobody timed: a quarter of an hour to look, act and find back into other work. An assumption, and
marked as estimated."""
LONGEST_INCIDENT = 8.0
"""Hours booked for an incident, at most: it may be open for days, and nobody works through them."""


def logged_fact(entry: Entry, *, key: str, actor: str, ticket: str = "", part: int = 1, via: str = "") -> NewFact:
    """A piece of work as a fact.

    Args:
        key: recorded once per key; empty for every time.
        ticket: the ticket it stands for; a later fact of the same ticket takes its place.
        part: which part of a ticket that is several entries; the first takes the place of all parts there were.
        via: how it came in where no person wrote it: `timer`, `import`, `page`, `incident`.
    """
    data: dict[str, Any] = {
        "date": entry.day.isoformat(), "duration_hours": entry.hours, "type": entry.type, "category": entry.category,
        "team": entry.team, "description": entry.description, "automatable": entry.automatable,
        "automated": entry.automated, "interrupt": entry.interrupt, "estimated": entry.estimated}
    if ticket:
        data["ticket"] = ticket
        if part > 1:
            data["part"] = part
    if via:
        data["via"] = via
    return NewFact(LOGGED, entry.engineer, datetime.combine(entry.day, time(), UTC), data, key=key, actor=actor)


def entry_of(fact: Fact) -> Entry:
    """The work of a fact; the reading is that of any log line."""
    fields = {name: value for name, value in fact.data.items() if name not in ("ticket", "part", "via")}
    return read_entry({**fields, "engineer": fact.subject})


@dataclass(frozen=True, slots=True)
class Running:
    """A timer that somebody started: what it will be logged as, without its hours."""

    seq: int
    engineer: str
    since: datetime
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kept:
    """A row of the ledger: the work, and how it came in: `by hand`, or as `logged_fact` says."""

    entry: Entry
    via: str


@dataclass(slots=True)
class Book:
    """What the facts come to.

    Args:
        rows: the work that counts, by the number of its fact.
        gone: work that was withdrawn, or whose ticket was written anew.
        running: the timer of each engineer who has one.
        task_of: wordings that people put into a task.
        saved: work that programs did, or tried to, by the run that did it.
        recovered: incidents that are over, by their name.
        unreadable: facts that are no work, such as from a newer version; they are counted and said.
    """

    rows: dict[int, Kept] = field(default_factory=dict)
    gone: list[Entry] = field(default_factory=list)
    running: dict[str, Running] = field(default_factory=dict)
    task_of: dict[str, str] = field(default_factory=dict)
    saved: dict[str, ProgramRun] = field(default_factory=dict)
    recovered: dict[str, Recovery] = field(default_factory=dict)
    unreadable: int = 0

    def take_out(self, number: int) -> None:
        """The row of that number no longer counts; nothing where it did not."""
        if (row := self.rows.pop(number, None)) is not None:
            self.gone.append(row.entry)

    @property
    def entries(self) -> list[Entry]:
        """The work that counts."""
        return [row.entry for row in self.rows.values()]


def fold(facts: Iterable[Fact], team_of: Mapping[str, str] | None = None) -> Book:
    """The ledger that the facts come to.

    Args:
        team_of: the team of an engineer whose work was logged without one.
    """
    book, teams = Book(), team_of or {}
    tickets: dict[str, list[int]] = {}
    for fact in facts:
        match fact.kind:
            case "toil.logged":
                try:
                    entry = entry_of(fact)
                except Rejected:
                    book.unreadable += 1
                    continue
                if not entry.team and entry.engineer in teams:
                    entry = _in_team(entry, teams[entry.engineer])
                if ticket := fact.data.get("ticket"):
                    _take_place(book, tickets.setdefault(str(ticket), []), fact)
                book.rows[fact.seq] = Kept(entry, str(fact.data.get("via", "by hand")))
            case "toil.withdrawn":
                book.take_out(int(fact.data["entry"]))
            case "toil.started":
                book.running[fact.subject] = Running(fact.seq, fact.subject, fact.at, fact.data)
            case "toil.stopped":
                running = book.running.get(fact.subject)
                if running is not None and running.seq == fact.data.get("started"):
                    del book.running[fact.subject]
            case "toil.grouped":
                for wording in fact.data.get("wordings", ()):
                    task = str(fact.data.get("task", ""))
                    book.task_of[wording] = task or wording
            case "toil.saved" | "toil.recovered":
                _take_outcome(book, fact)
    return book


def _take_outcome(book: Book, fact: Fact) -> None:
    """How a run or an incident ended; what is said later of the same one takes its place."""
    if fact.kind == SAVED:
        book.saved[fact.subject] = _program_run(fact)
    else:
        book.recovered[fact.subject] = Recovery(fact.at.date(), fact.subject, str(fact.data.get("service", "")),
                                                float(fact.data["seconds"]))


def _program_run(fact: Fact) -> ProgramRun:
    """A run as it was kept; facts of before the outcome was kept are of runs that succeeded."""
    data = fact.data
    hours, seconds, minutes = float(data.get("hours", 0.0)), data.get("seconds"), data.get("manual_minutes")
    return ProgramRun(
        fact.at.date(), hours, str(data.get("task", "")), fact.subject, bool(data.get("success", hours > 0)),
        None if seconds is None else float(seconds), None if minutes is None else float(minutes),
        str(data.get("incident", "")))


def _take_place(book: Book, parts: list[int], fact: Fact) -> None:
    """The first part of a ticket takes out all parts that there were; the others join it."""
    if fact.data.get("part", 1) == 1:
        for number in parts:
            book.take_out(number)
        parts.clear()
    parts.append(fact.seq)


def _in_team(one: Entry, team: str) -> Entry:
    return Entry(one.day, one.hours, one.type, one.category, one.engineer, team, one.description, one.automatable,
                 one.automated, one.interrupt, one.estimated)


# -- what follows from facts of other words ------------------------------------------------------------------------


def of_page(fact: Fact) -> NewFact | None:
    """A page that reached a person, as work of its on-call; None for what is no page to somebody.

    One incident pages one person once here, however many channels and repeats it took.
    """
    to, key = str(fact.data.get("to", "")), str(fact.data.get("key", ""))
    if not to or key.startswith("remind:") or fact.data.keys() & {"what", "is"}:
        return None
    entry = Entry(fact.at.date(), PAGE_HOURS, "oncall", "page", to, "", f"Page about {fact.subject}", interrupt=True,
                  estimated=True)
    return logged_fact(entry, key=f"{LOGGED}:page:{fact.subject}:{to}", actor="system", via="page")


def of_incident(fact: Fact) -> NewFact | None:
    """An incident that a person resolved, as work of its own kind; None where no person or no time is known."""
    by, seconds = str(fact.data.get("by", "")), fact.data.get("seconds")
    if by.partition(":")[0] in ("", "system", "automation") or not isinstance(seconds, int | float) or seconds <= 0:
        return None
    entry = Entry(fact.at.date(), min(seconds / 3600, LONGEST_INCIDENT), "incident", "incident", by, "",
                  f"Incident {fact.subject}", interrupt=True, estimated=True)
    return logged_fact(entry, key=f"{LOGGED}:incident:{fact.subject}", actor="system", via="incident")


def of_run(fact: Fact) -> NewFact | None:
    """The end of a run of a runbook: what it saved, or the work of whoever did it by hand; None where there is none.

    One that failed saved nothing and counts as tried. A run that is taken back later saved nothing either: its later
    end takes the place of the first.
    """
    data = fact.data
    task, by = str(data.get("title") or data.get("runbook", "")), str(data.get("by", ""))
    saved, seconds = data.get("saved_minutes"), data.get("seconds")
    if data.get("by_hand"):
        if not data.get("success") or not by or not isinstance(seconds, int | float) or seconds <= 0:
            return None
        entry = Entry(fact.at.date(), min(seconds / 3600, LONGEST), "toil", "runbook", by, "", task, automatable=True)
        return logged_fact(entry, key=f"{LOGGED}:run:{fact.subject}", actor="system", via="runbook")
    undone = data.get("state") == "undone"
    success = bool(data.get("success")) and not undone
    if not (success or undone or data.get("steps")):
        return None  # it was never begun
    hours = saved / 60 if success and isinstance(saved, int | float) and saved > 0 else 0.0
    return NewFact(SAVED, fact.subject, fact.at, {
        "hours": hours, "task": task, "runbook": data.get("runbook", ""), "service": data.get("service", ""),
        "measured": bool(data.get("manual_measured")), "success": success, "seconds": seconds,
        "manual_minutes": data.get("manual_minutes"), "incident": data.get("incident", "")},
        key=f"{SAVED}:{fact.subject}:{data.get('state', '')}")


def of_recovery(fact: Fact, service: str) -> NewFact | None:
    """How long an incident was open, whoever or whatever resolved it; None where no time is known.

    One that is opened again and resolved later was open for longer: the later fact takes the place of the first.
    """
    seconds = fact.data.get("seconds")
    if not isinstance(seconds, int | float) or seconds <= 0:
        return None
    return NewFact(RECOVERED, fact.subject, fact.at, {"seconds": float(seconds), "service": service},
                   key=f"{RECOVERED}:{fact.subject}:{fact.seq}")
