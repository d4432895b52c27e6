"""`mainstay runbook plan | run | status | answer | undo`: from what would be done to what was."""

from __future__ import annotations

import itertools
import os
import secrets
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import Conflict, InvalidInput
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.view import Next, Text, View
from mainstay.kernel.wording import many
from mainstay.runbook.lifecycle import State
from mainstay.runbook.measures import manual_minutes
from mainstay.runbook.operations.desk import Order, answer, begin, plan_for, runs_of, take_back
from mainstay.runbook.operations.driving import Driver
from mainstay.runbook.reading import PlanReading, RunReading, read_plan, read_run
from mainstay.runbook.run import Run
from mainstay.runbook.view import plan_view, run_view, runs_table

_POLL = 0.3
"""Seconds between two looks at a run that another drives, or that waits for a person."""

_counter = itertools.count(1)


def new_worker() -> str:
    """A name that no other driver has, in this process or elsewhere."""
    return f"{os.uname().nodename}-{os.getpid()}-{next(_counter)}-{secrets.token_hex(4)}"


# -- what is asked for ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PlanRequest:
    """Which runbook, and what it is told."""

    name: str = arg("the runbook", positional=True)
    input: tuple[str, ...] = arg("an input: NAME=VALUE", (), value="NAME=VALUE")
    label: tuple[str, ...] = arg("what is broken, as alerts say it: service=checkout", (), value="NAME=VALUE")
    incident: str = arg("the incident it is for; its alerts' labels count", "")
    by_hand: bool = arg("people do every step and say so, which is timed", False)


def _order(world: World, request: PlanRequest | RunRequest) -> Order:
    labels = _labels(world, request.incident) | dict(_pairs(request.label, "label"))
    return Order(request.name, dict(_pairs(request.input, "input")), labels, request.incident,
                 getattr(request, "reason", ""), by_hand=request.by_hand)


def _pairs(texts: tuple[str, ...], what: str) -> Iterator[tuple[str, str]]:
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InvalidInput(f'"{text[:60]}" is no {what}', f"write --{what} NAME=VALUE")
        yield name, value


def _labels(world: World, incident: str) -> dict[str, str]:
    """What the incident says about what is broken: its service, and the labels on which its alerts agree."""
    if not incident:
        return {}
    out: dict[str, str] = {}
    differ: set[str] = set()
    alerts: set[str] = set()
    for fact in world.journal.facts(FactQuery(kinds=("incident.opened", "incident.joined"), subject=incident)):
        services = fact.data.get("services") or ()
        if services:
            out.setdefault("service", str(services[0]))
        alerts |= set(map(str, fact.data.get("alerts") or ()))
    for fact in (one for alert in sorted(alerts) for one in world.journal.facts(
            FactQuery(kinds=("alert.opened",), subject=alert))):
        for name, value in (fact.data.get("labels") or {}).items():
            if out.setdefault(str(name), str(value)) != str(value) and name != "service":
                differ.add(str(name))
    return {name: value for name, value in out.items() if name not in differ}


# -- plan ----------------------------------------------------------------------------------------------------------


def plan(world: World, request: PlanRequest) -> PlanReading:
    """Show all that a run would do, with the hash that is approved; nothing is done."""
    book, made = plan_for(world, _order(world, request))
    past = [run for run in runs_of(world).caught_up().values() if run.runbook == book.name]
    return read_plan(made, manual_minutes(past, book.manual_minutes)[0])


PLAN = Operation(
    "runbook", "plan", PlanRequest, plan, plan_view,
    exit_codes=((0, "planned"), (2, "an input or label is missing or cannot be used")),
    examples=("mainstay runbook plan drain-zone --input zone=a",
              "mainstay runbook plan restart-checkout --incident INC-12 --json"))


# -- run -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RunRequest:
    """Which runbook, what it is told, and how it is followed."""

    name: str = arg("the runbook; none with --resume", "", positional=True)
    input: tuple[str, ...] = arg("an input: NAME=VALUE", (), value="NAME=VALUE")
    label: tuple[str, ...] = arg("what is broken, as alerts say it: service=checkout", (), value="NAME=VALUE")
    incident: str = arg("the incident it is for; its alerts' labels count", "")
    reason: str = arg("why, in a few words", "")
    by_hand: bool = arg("people do every step and say so, which is timed", False)
    plan: str = arg("run only this plan: its hash, or the first 8 digits or more", "", value="HASH")
    key: str = arg("one run is made for this key, so that a program may repeat itself", "", value="KEY")
    detach: bool = arg("leave it to mainstay serve", False)
    yes: bool = arg("agree to every step that asks before it is done", False)
    resume: str = arg("go on with a run that waits or whose driver is gone", "", value="RUN")


def run(world: World, request: RunRequest) -> RunReading:
    """Run a runbook: wait for approval, show what it does, take that back when it fails.

    Ctrl-C cancels it and takes back what was done; a second one only stops looking on.
    """
    if bool(request.name) == bool(request.resume):
        raise InvalidInput("name a runbook, or a run with --resume", "mainstay runbook run NAME")
    name = request.resume or _begun(world, request)
    if world.tell is None or request.detach:
        return read_run(runs_of(world).run(name))
    with _interrupts() as interrupted:
        return read_run(_Follower(world, name, world.tell, interrupted, agrees=request.yes).follow())


def _begun(world: World, request: RunRequest) -> str:
    order = _order(world, request)
    _, made = plan_for(world, order)
    if request.plan and (len(request.plan) < 8 or not made.hash.startswith(request.plan)):
        raise Conflict(f"the plan is {made.hash[:12]} and not {request.plan[:12]}",
                       f"look at it: mainstay runbook plan {request.name}")
    return begin(world, Order(order.runbook, order.inputs, order.labels, order.incident, order.reason,
                              key=request.key, by_hand=order.by_hand)).id


class _Follower:
    """Drives a run where nobody else does, and tells how it goes until it is over."""

    def __init__(self, world: World, name: str, tell: Callable[[str], None], interrupted: Callable[[], bool], *,
                 agrees: bool) -> None:
        self._world, self._name, self._tell, self._agrees = world, name, tell, agrees
        self._interrupted = interrupted
        self._told = ""
        self._driver = Driver(world, name, new_worker(), tell=tell, interrupted=interrupted)

    def follow(self) -> Run:
        runs = runs_of(self._world)
        while True:
            driven = self._driver.drive()
            now = runs.run(self._name)
            if now.over:
                return now
            if self._interrupted() and not now.cancelled_by:
                take_back(self._world, self._name)
                continue
            if self._agrees and now.question is not None and now.question.about == "confirm":
                answer(self._world, self._name, "run")
                continue
            self._say(_waits(now, driven.held_by))
            self._world.clock.sleep(_POLL)

    def _say(self, text: str) -> None:
        if text and text != self._told:
            self._tell(text)
        self._told = text


def _waits(now: Run, held_by: str) -> str:
    if now.state is State.AWAITING:
        command = f"mainstay runbook approve {now.id} --plan {now.hash[:12]}"
        return f"◐ {now.id} awaits {many(now.missing, 'approval')} of its plan; somebody else types: {command}"
    if now.question is not None:
        how = f" ({now.question.link})" if now.question.link else ""
        command = f"mainstay runbook answer {now.id} {'|'.join(now.question.choices)}"
        return f"◐ {now.question.text}{how}; type elsewhere: {command}"
    return f"◐ waiting: {held_by}" if held_by else ""


@contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed; a second one interrupts for good."""
    pressed = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        if pressed.is_set():
            signal.default_int_handler(number, frame)
        pressed.set()

    ours = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, note) if ours else None
    try:
        yield pressed.is_set
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)


_ENDS: Mapping[str, int] = {"succeeded": 0, "ready": 0, "running": 0, "undoing": 0, "awaiting_approval": 4,
                            "waiting": 4}
"""Exit codes by the state of the run; every other is 1."""

RUN_CODES = ((0, "succeeded, or handed over to mainstay serve"), (1, "failed, cancelled, rejected, expired or void"),
             (2, "an input, a label or a flag cannot be used"), (4, "waits for a person"))


def run_exit(found: RunReading) -> int:
    """0 when it went well or goes on, 4 when a person must act."""
    return _ENDS.get(found.state, 1)


RUN = Operation(
    "runbook", "run", RunRequest, run, run_view, scope="write", exit_code=run_exit, exit_codes=RUN_CODES,
    examples=("mainstay runbook run drain-zone --input zone=a",
              "mainstay runbook run restart-checkout --incident INC-12",
              "mainstay runbook run drain-zone --input zone=a --plan 5f2d8c1a9e03 --detach",
              "mainstay runbook run --resume RB-7"))


# -- status --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StatusRequest:
    """Which run; all that go on when left out."""

    name: str = arg("a run, such as RB-7", "", positional=True)
    runbook: str = arg("only runs of this runbook", "", value="NAME")
    all: bool = arg("also runs that are over", False)


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs, the newest first."""

    runs: tuple[RunReading, ...]
    one: bool


_MOST = 50


def status(world: World, request: StatusRequest) -> Runs:
    """Show how a run stands and what can be decided, or every run that goes on."""
    if request.name:
        return Runs((read_run(runs_of(world).run(request.name)),), True)
    chosen = [one for one in runs_of(world).caught_up().values()
              if (request.all or not one.over) and (not request.runbook or one.runbook == request.runbook)]
    return Runs(tuple(read_run(one) for one in reversed(chosen[-_MOST:])), False)


def status_view(found: Runs) -> View:
    """One run whole, or a row a run."""
    if found.one:
        return run_view(found.runs[0])
    head = Text(f"{many(len(found.runs), 'run')}." if found.runs else "No run goes on.",
                "plain" if found.runs else "good")
    commands = (f"mainstay runbook status {found.runs[0].id}",) if found.runs else \
        ("mainstay runbook status --all", "mainstay runbook list")
    return View("Runs", (head, runs_table(found.runs, "", "Nothing goes on: mainstay runbook run NAME"),
                         Next(commands)))


STATUS = Operation(
    "runbook", "status", StatusRequest, status, status_view,
    as_json=lambda found: found.runs[0] if found.one else {"runs": found.runs},
    exit_codes=((0, "shown"), (2, "there is no such run")),
    examples=("mainstay runbook status", "mainstay runbook status RB-7 --json",
              "mainstay runbook status --runbook drain-zone --all"))


# -- answer, undo --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AnswerRequest:
    """What a person decided."""

    name: str = arg("the run", positional=True)
    choice: str = arg("one of the answers that status shows, such as run, skip, stop, succeeded, failed, again",
                      positional=True)


def decide(world: World, request: AnswerRequest) -> RunReading:
    """Answer what a run waits for: a question, a step to agree to, or how a step ended."""
    return read_run(answer(world, request.name, request.choice))


ANSWER = Operation(
    "runbook", "answer", AnswerRequest, decide, run_view, scope="write",
    exit_codes=((0, "recorded; whoever drives the run goes on"), (2, "the run waits for nothing, or not for that")),
    examples=("mainstay runbook answer RB-7 run", "mainstay runbook answer RB-7 again"))


@dataclass(frozen=True)
class UndoRequest:
    """Which run."""

    name: str = arg("the run", positional=True)
    detach: bool = arg("leave it to mainstay serve", False)


def undo(world: World, request: UndoRequest) -> RunReading:
    """Take back what a run did: cancel one that goes on, undo one that succeeded."""
    found = take_back(world, request.name)
    if found.over or world.tell is None or request.detach:
        return read_run(found)
    with _interrupts() as interrupted:
        return read_run(_Follower(world, request.name, world.tell, interrupted, agrees=False).follow())


UNDO = Operation(
    "runbook", "undo", UndoRequest, undo, run_view, scope="write",
    exit_code=lambda found: 0 if found.state in ("undone", "cancelled", "undoing", "running", "ready") else 1,
    exit_codes=((0, "taken back, or handed over to mainstay serve"), (1, "not all could be taken back"),
                (2, "nothing is left to take back")),
    examples=("mainstay runbook undo RB-7", "mainstay runbook undo RB-7 --detach"))
