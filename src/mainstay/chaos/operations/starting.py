"""`mainstay chaos start`: an experiment begun in a process of its own, for whoever cannot wait for its end.

A server must not run experiments itself: what takes faults out in time is the process that put them in, and a server is
restarted, killed and busy. The command that is begun has a session of its own and everything that a run at a terminal
has: its guard, its locks, its signals.
"""

from __future__ import annotations

from mainstay.chaos.operations.finding import experiment_named
from mainstay.chaos.operations.formats import is_file
from mainstay.chaos.operations.planning import Options, prepare
from mainstay.chaos.spec import Experiment
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import Conflict, InvalidInput, NotAllowed
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import Begun, World
from mainstay.kernel.quantity import parse_duration
from mainstay.kernel.view import Next, Text, View

_WITHIN = 20.0
"""Seconds for the command to be accepted as a run; on an idle host it takes half a second."""

_LOOK = 0.05


@dataclass(frozen=True)
class StartRequest:
    """Which experiment."""

    experiment: str = arg("an experiment of the catalog", positional=True)
    seed: int = arg("of every draw", 0)
    duration: str = arg("how long the faults stay, all phases together; as declared when left out", "",
                        value="DURATION")
    reference: str = arg("what asked for it, such as a pipeline's address; kept with the run", "", value="TEXT")


@dataclass(frozen=True, slots=True)
class Started:
    """A run that was begun and goes on; the field names are stable JSON."""

    run: str
    experiment: str
    by: str
    reference: str


def start(world: World, request: StartRequest) -> Started:
    """Begin an experiment of the catalog in a process of its own, and do not wait for its end."""
    if is_file(request.experiment):
        raise InvalidInput(f"{request.experiment} is a file, and only experiments of the catalog are started apart",
                           "run it at a terminal, where --allow-python can be decided: mainstay chaos run "
                           + request.experiment)
    _, experiment = experiment_named(world, request.experiment)
    seconds = parse_duration(request.duration).total_seconds() if request.duration else None
    return start_apart(world, experiment, Options(request.seed, seconds, reference=request.reference))


def start_apart(world: World, experiment: Experiment, options: Options) -> Started:
    """Begin it in a process of its own; returns once the run has an id.

    Everything that forbids it is looked at here, so that it can be said, and again by the run itself.

    Raises:
        NotAllowed: something forbids it, each reason said.
        Conflict: the command ended before it became a run, with what it said.
    """
    prepared = prepare(world, experiment, options)
    if prepared.plan.refusals:
        raise NotAllowed(f"{experiment.name} is not started: " + "; ".join(prepared.plan.refusals),
                         f"mainstay chaos plan {experiment.name} shows what it would do")
    words = ["chaos", "run", experiment.name, "--by", world.actor, "--seed", str(options.seed)]
    if options.reference:
        words += ["--reference", options.reference]
    if options.seconds is not None:
        words += ["--duration", f"{options.seconds * 1000:.0f}ms"]
    head = world.journal.head()
    return Started(_accepted(world, world.command(words), head), experiment.name, world.actor, options.reference)


def _accepted(world: World, begun: Begun, head: int) -> str:
    """The id of the run that the command became."""
    give_up = world.clock.monotonic() + _WITHIN
    while True:
        # Asked first: what was recorded before its end is seen after it.
        code = begun.code()
        for fact in world.journal.facts(FactQuery(kinds=("chaos.accepted",), after=head)):
            if fact.data.get("process") == begun.process:
                return fact.subject
        if code is not None:
            raise Conflict("it ended before it began: " + (begun.said() or f"exit code {code}"),
                           "mainstay chaos status lists what goes on")
        if world.clock.monotonic() > give_up:
            begun.end()
            raise Conflict(f"it has not begun within {_WITHIN:g} s, and was told to end", "try again when this host "
                           "is less busy; mainstay chaos status lists what goes on")
        world.clock.sleep(_LOOK)


def start_view(found: Started) -> View:
    """The run, and how to watch it."""
    return View("Start", (Text(f"{found.run} has begun: {found.experiment}, for {found.by}.", "good"),
                          Next((f"mainstay chaos status {found.run}", f"mainstay chaos abort {found.run}"))))


START = Operation(
    "chaos", "start", StartRequest, start, start_view, scope="approve", numbers=False,
    follow=lambda found: f"chaos/report?run={found.run}",
    exit_codes=((0, "begun; how it ends, mainstay chaos report says"),
                (2, "it cannot be used, or something forbids it")),
    examples=("mainstay chaos start auth-slow -c shop", "mainstay chaos start auth-slow --duration 10s --json"))
