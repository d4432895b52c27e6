"""`chaos gameday`: a plan of experiments that several people play, each step decided by who holds its role."""

from __future__ import annotations

from typing import Any

from mainstay.chaos.gameday import (
    BEGUN,
    CLOSED,
    DECIDED,
    NOTED,
    RAN,
    GameDay,
    GameDayState,
    may_decide,
    state_of,
    summary,
)
from mainstay.chaos.operations.engine import execute
from mainstay.chaos.operations.planning import Options
from mainstay.chaos.practice_view import gameday_view
from mainstay.chaos.spec import Experiment
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import Conflict, InvalidInput
from mainstay.kernel.journal import Batch, FactQuery, NewFact
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World


@dataclass(frozen=True)
class GameDayRequest:
    """Which game day, and what to do; without anything it is only shown."""

    name: str = arg("a game day of the catalog", positional=True)
    begin: bool = arg("begin it, from the first step", False)
    step: int = arg("the step that is decided on, or that a note is about", 0)
    go: bool = arg("go: start the experiment of the step", False)
    no_go: str = arg("do not, and why not", "", value="WHY")
    note: str = arg("write something down", "", value="TEXT")
    close: bool = arg("it is over", False)
    by: str = arg("who decides or writes; whoever runs this when left out", "", value="NAME", local_only=True)
    summary: str = arg("write the summary, in Markdown, into this file", "", value="FILE", local_only=True)


@dataclass(frozen=True, slots=True)
class Played:
    """The game day as it stands; `written` is where the summary was put."""

    day: GameDayState
    text: str
    written: str = ""


def gameday(world: World, request: GameDayRequest) -> Played:
    """Play a game day: begin it, decide on its steps, write notes, close it with a summary."""
    day = world.catalog.get(GameDay, request.name)
    asked = [name for name, wanted in (("--begin", request.begin), ("--go", request.go), ("--no-go", request.no_go),
                                       ("--close", request.close)) if wanted]
    if len(asked) > 1:
        raise InvalidInput(" and ".join(asked) + " exclude each other", "give one of them")
    person = request.by or world.actor
    if request.begin:
        _begin(world, day, person)
    elif request.go or request.no_go:
        _decide(world, day, request, person)
    elif request.close:
        _close(world, day, person)
    if request.note:
        _record(world, day, NOTED, {"by": person, "text": request.note, "step": request.step})
    state = _state(world, day)
    text = summary(day, state)
    if request.summary:
        world.texts.write(request.summary, text)
    return Played(state, text, request.summary)


def _state(world: World, day: GameDay) -> GameDayState:
    return state_of(day, world.journal.facts(FactQuery(kinds=("gameday.",), subject=day.name)))


def _record(world: World, day: GameDay, kind: str, data: dict[str, Any]) -> None:
    world.journal.commit(Batch([NewFact(kind, day.name, world.clock.now(), data, actor=world.actor)]))


def _begin(world: World, day: GameDay, person: str) -> None:
    state = _state(world, day)
    if state.begun is not None and state.closed is None:
        raise Conflict(f"{day.name} goes on since {state.begun:%H:%M} UTC", "close it first: --close")
    _record(world, day, BEGUN, {"by": person})


def _close(world: World, day: GameDay, person: str) -> None:
    state = _state(world, day)
    if state.begun is None or state.closed is not None:
        raise Conflict(f"{day.name} does not go on", "begin it: --begin")
    _record(world, day, CLOSED, {"by": person})


def _decide(world: World, day: GameDay, request: GameDayRequest, person: str) -> None:
    if not request.step:
        raise InvalidInput("which step is not said", "write --step 1")
    may_decide(day, _state(world, day), request.step, person)
    decided = {"step": request.step, "go": request.go, "by": person, "why": request.no_go}
    if not request.go:
        _record(world, day, DECIDED, decided)
        return
    experiment = world.catalog.get(Experiment, day.steps[request.step - 1].experiment)
    _record(world, day, DECIDED, decided)
    # A run that is refused leaves the step where it was, so that it can be tried again or left out.
    run = execute(world, experiment, Options())
    _record(world, day, RAN, {"step": request.step, "run": run.id, "status": str(run.status)})


GAMEDAY = Operation(
    "chaos", "gameday", GameDayRequest, gameday, gameday_view, scope="approve", doors=("cli",),
    exit_codes=((0, "shown, or done"), (2, "it cannot be done now, or not by this person")),
    examples=("mainstay chaos gameday november", "mainstay chaos gameday november --begin",
              "mainstay chaos gameday november --step 1 --go --by ana",
              "mainstay chaos gameday november --close --summary november.md"))
