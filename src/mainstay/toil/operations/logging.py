"""`toil log`, `start`, `stop` and `group`: work into the ledger, by hand or by a timer; which wordings are one task."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import Conflict, InvalidInput, NotFound
from mainstay.kernel.journal import AlreadyRecorded, Batch, FactQuery, NewFact
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import format_duration, parse_duration
from mainstay.toil.answers import Grouped, Logged, Timed
from mainstay.toil.candidates import grouped
from mainstay.toil.entry import LONGEST, TOIL, TYPES, Entry, Rejected, checked_hours, parse_day, read_entry
from mainstay.toil.ledger import GROUPED, STARTED, STOPPED, entry_of, logged_fact
from mainstay.toil.operations.book import WHOLE, book_of
from mainstay.toil.spec import policy_of
from mainstay.toil.tally import tally
from mainstay.toil.view import grouped_view, logged_view, timed_view

_CODES = ((0, "recorded"), (2, "the input cannot be used"))


# -- log -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LogRequest:
    """What was done, and how long it took."""

    duration: str = arg("how long it took: 30m, 1h30m", positional=True)
    description: str = arg("what was done, in a few words", positional=True)
    type: str = arg("the kind of work", TOIL, choices=TYPES)
    category: str = arg("such as deployment, remediation, access, tickets", "")
    engineer: str = arg("who did it; whoever asks", "", value="NAME")
    team: str = arg("their team; the toil policy's", "", value="NAME")
    date: str = arg("the day it was done; today", "", value="DAY")
    automatable: bool = arg("a program could do it", False)
    automated: bool = arg("a program does it by now", False)
    interrupt: bool = arg("it broke into other work", False)
    key: str = arg("recorded once for this key, so that a program may repeat itself", "", value="KEY")


def log(world: World, request: LogRequest) -> Logged:
    """Put a piece of work into the ledger."""
    length = parse_duration(request.duration)
    return _log(world, _entry(world, request, length, _day(world, request.date)),
                f"toil.logged:by-key:{request.key}" if request.key else "")


def _day(world: World, text: str) -> date:
    today = world.clock.now().date()
    if not text:
        return today
    try:
        day = parse_day(text)
    except Rejected as error:
        raise InvalidInput(str(error).partition(";")[0], "write --date 2026-03-02") from None
    if day > today + timedelta(days=1):  # tomorrow, for whoever is ahead of UTC
        raise InvalidInput(f"{day} is still to come", "log what was done")
    return day


def _entry(world: World, request: LogRequest | StartRequest, length: timedelta, day: date) -> Entry:
    engineer = request.engineer.strip() or world.actor
    team = request.team.strip() or policy_of(world.catalog).team_of.get(engineer, "")
    if not request.description.strip():
        raise InvalidInput("the description is empty", "say in a few words what was done")
    try:
        hours = checked_hours(length.total_seconds() / 3600, "duration", format_duration(length))
        return read_entry({
            "date": day.isoformat(), "duration_hours": hours, "type": request.type, "category": request.category,
            "engineer": engineer, "team": team, "description": request.description,
            "automatable": request.automatable, "interrupt": request.interrupt,
            "automated": isinstance(request, LogRequest) and request.automated})
    except Rejected as error:
        raise InvalidInput(str(error), f"write a length up to {LONGEST:g}h; longer work is several entries") from None


def _log(world: World, entry: Entry, key: str, *more: NewFact, via: str = "") -> Logged:
    before = world.journal.head()
    fact = world.journal.commit(Batch([logged_fact(entry, key=key, actor=world.actor, via=via), *more]))[0]
    # Under a key that was used before, what is there is what was written then, whatever is said now.
    kept = entry_of(fact)
    return Logged(fact.seq, kept.day, kept.hours, kept.type, kept.category, kept.engineer, kept.team,
                  kept.description, fact.seq > before)


LOG = Operation(
    "toil", "log", LogRequest, log, logged_view, scope="write", catalog="named", exit_codes=_CODES,
    examples=("mainstay toil log 30m 'Deploy checkout by hand' --category deployment --automatable",
              "mainstay toil log 2h 'Build the deploy pipeline' --type engineering --date 2026-11-27",
              "mainstay toil log 15m 'Grant database access' --category access --interrupt --json"))


# -- start and stop ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StartRequest:
    """What is being done."""

    description: str = arg("what is being done, in a few words", positional=True)
    type: str = arg("the kind of work", TOIL, choices=TYPES)
    category: str = arg("such as deployment, remediation, access, tickets", "")
    engineer: str = arg("who does it; whoever asks", "", value="NAME")
    team: str = arg("their team; the toil policy's", "", value="NAME")
    automatable: bool = arg("a program could do it", False)
    interrupt: bool = arg("it breaks into other work", False)


def start(world: World, request: StartRequest) -> Timed:
    """Start a timer; `toil stop` logs what it measured."""
    now = world.clock.now()
    entry = _entry(world, request, timedelta(minutes=1), now.date())
    # Looked at before the ledger: the key names the timer before, so that of two doors that are pressed at the same
    # moment one is refused, and finds the other's timer running.
    before = next(iter(world.journal.facts(FactQuery(
        kinds=(STARTED,), subject=entry.engineer, newest_first=True, limit=1))), None)
    _check_none_runs(world, entry.engineer)
    started = NewFact(STARTED, entry.engineer, now, {
        "description": entry.description, "type": entry.type, "category": entry.category, "team": entry.team,
        "automatable": entry.automatable, "interrupt": entry.interrupt},
        key=f"{STARTED}:{entry.engineer}:after:{before.seq if before is not None else 0}", actor=world.actor)
    try:
        world.journal.commit(Batch([started], fresh=True))
    except AlreadyRecorded:
        _check_none_runs(world, entry.engineer)
        raise Conflict(f"a timer of {entry.engineer} was started and stopped a moment ago", "start it again") from None
    return Timed(entry.engineer, entry.description, now)


def _check_none_runs(world: World, engineer: str) -> None:
    running = book_of(world).running.get(engineer)
    if running is not None:
        raise Conflict(f"a timer of {engineer} runs since {running.since:%-d %b %H:%M} UTC: "
                       f"{running.fields.get('description', '')}",
                       "mainstay toil stop logs it, mainstay toil stop --discard drops it")


START = Operation(
    "toil", "start", StartRequest, start, timed_view, scope="write", catalog="named", exit_codes=_CODES,
    examples=("mainstay toil start 'Rotate certificates' --category certificates --automatable",
              "mainstay toil start 'Answer questions' --category tickets --interrupt"))


@dataclass(frozen=True)
class StopRequest:
    """Whose timer, and what becomes of it."""

    engineer: str = arg("whose timer; that of whoever asks", "", value="NAME")
    duration: str = arg("how long it really took, where the timer ran on: 45m", "")
    discard: bool = arg("log nothing", False)


def stop(world: World, request: StopRequest) -> Logged:
    """Stop the timer and log what it measured."""
    now, engineer = world.clock.now(), request.engineer.strip() or world.actor
    running = book_of(world).running.get(engineer)
    if running is None:
        raise NotFound(f"no timer of {engineer} runs", "mainstay toil start 'WHAT' starts one")
    length = parse_duration(request.duration) if request.duration else now - running.since
    hours = length.total_seconds() / 3600
    # Stopped once, however many doors are pressed at once: the key names the timer.
    stopped = NewFact(STOPPED, engineer, now, {"started": running.seq, "logged": not request.discard},
                      key=f"{STOPPED}:{running.seq}", actor=world.actor)
    if request.discard:
        world.journal.commit(Batch([stopped]))
        return Logged(0, now.date(), 0.0, str(running.fields["type"]), str(running.fields["category"]), engineer,
                      str(running.fields["team"]), str(running.fields["description"]), new=False)
    try:
        entry = read_entry({**running.fields, "date": running.since.date().isoformat(), "engineer": engineer,
                            "duration_hours": checked_hours(hours, "the timer's", format_duration(length))})
    except Rejected as error:
        raise InvalidInput(str(error), "say how long it really took: mainstay toil stop --duration 45m") from None
    return _log(world, entry, f"toil.logged:timer:{running.seq}", stopped, via="timer")


STOP = Operation(
    "toil", "stop", StopRequest, stop, logged_view, scope="write", catalog="named",
    exit_codes=((0, "logged or discarded"), (2, "no timer runs, or it ran for more than a day")),
    examples=("mainstay toil stop", "mainstay toil stop --duration 45m", "mainstay toil stop --discard"))


# -- group ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GroupRequest:
    """Which wordings, and where they belong."""

    wordings: tuple[str, ...] = arg("wordings as they were logged", positional=True)
    into: str = arg("the task they are", "", value="TASK")
    apart: bool = arg("each is a task of its own", False)


def group(world: World, request: GroupRequest) -> Grouped:
    """Say which wordings are one task, where Mainstay put them together or apart wrongly."""
    if bool(request.into.strip()) == request.apart:
        raise InvalidInput("say where the wordings belong" if not request.apart else "--into and --apart contradict",
                           "mainstay toil group 'A' 'B' --into 'A', or --apart")
    book = book_of(world)
    everything = tally(book.entries, WHOLE)
    known = grouped(everything, book.task_of)
    for wording in request.wordings:
        if wording not in known.task_of:
            raise NotFound(f'no toil is logged as "{wording}"', "mainstay toil candidates --wordings lists them")
    task = request.into.strip()
    data: dict[str, Any] = {"wordings": list(request.wordings), "task": task}
    world.journal.commit(Batch([NewFact(GROUPED, task or request.wordings[0], world.clock.now(), data,
                                        actor=world.actor)]))
    now = grouped(everything, book.task_of | {wording: task or wording for wording in request.wordings})
    named = task or request.wordings[0]
    return Grouped(named, now.wordings().get(named, request.wordings))


GROUP = Operation(
    "toil", "group", GroupRequest, group, grouped_view, scope="write", catalog="named",
    exit_codes=((0, "recorded"), (2, "a wording that nobody logged, or neither --into nor --apart")),
    examples=("mainstay toil group 'bounce api' 'kick the api' --into 'Restart api workers'",
              "mainstay toil group 'restart api gateway' --apart"))
