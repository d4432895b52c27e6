"""`mainstay chaos abort` and `recover`: out of every experiment, from anywhere, also after a crash."""

from __future__ import annotations

from mainstay.chaos.lifecycle import Status
from mainstay.chaos.operations.finding import lost, run_named, runs_of
from mainstay.chaos.state import ALL, ASKED, HALTED, LIFTED, Run, guard_name, halted
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import Conflict, InvalidInput
from mainstay.kernel.faults import Leftover
from mainstay.kernel.journal import Batch, FactQuery, NewFact
from mainstay.kernel.locks import all_held, free
from mainstay.kernel.operation import Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import parse_duration
from mainstay.kernel.view import Cell, Next, Text, View, table
from mainstay.kernel.wording import many


@dataclass(frozen=True)
class AbortRequest:
    """What to stop."""

    run: str = arg("a run, or last", "", positional=True)
    all: bool = arg("every run, and let none begin until that is lifted: the kill switch", False)
    lift: bool = arg("experiments may begin again", False)
    why: str = arg("the reason, for whoever looks later", "", value="TEXT")
    wait: str = arg("how long to wait until they have ended", "30s", value="DURATION")


@dataclass(frozen=True, slots=True)
class Stopped:
    """What was stopped.

    Args:
        ended: of those, which had ended when the wait was over.
        halted: whether experiments are kept from beginning.
    """

    runs: tuple[str, ...]
    ended: tuple[str, ...]
    halted: bool
    lifted: bool = False


_LOOK = 0.05


def abort(world: World, request: AbortRequest) -> Stopped:
    """Stop a run, or all of them, so that their faults are out within a quarter of a second."""
    if sum((bool(request.run), request.all, request.lift)) != 1:
        raise InvalidInput("say what to stop", "mainstay chaos abort EXP-3, or --all, or --lift")
    now, wait = world.clock.now(), parse_duration(request.wait).total_seconds()
    switch = halted(world.journal.facts(FactQuery(kinds=(HALTED, LIFTED)))) is not None
    data = {"why": request.why}
    if request.lift:
        if switch:
            world.journal.commit(Batch([NewFact(LIFTED, ALL, now, data, actor=world.actor)]))
        return Stopped((), (), False, lifted=True)
    if request.all:
        names = tuple(run.id for run in runs_of(world).values() if run.ended is None and not lost(world, run))
        if not switch:
            world.journal.commit(Batch([NewFact(HALTED, ALL, now, data, actor=world.actor)]))
        return Stopped(names, _ended(world, names, wait), True)
    run = run_named(world, request.run)
    if run.ended is not None:
        raise Conflict(f"{run.id} has ended already: {run.status}", "mainstay chaos status lists what goes on")
    if lost(world, run):
        raise Conflict(f"the process of {run.id} is gone", "mainstay chaos recover takes out what it left")
    world.journal.commit(Batch([NewFact(ASKED, run.id, now, data, actor=world.actor)]))
    return Stopped((run.id,), _ended(world, (run.id,), wait), switch)


def _ended(world: World, names: tuple[str, ...], wait: float) -> tuple[str, ...]:
    give_up = world.clock.monotonic() + wait
    query = FactQuery(kinds=("chaos.ended",))
    while True:
        ended = {fact.subject for fact in world.journal.facts(query)}
        if set(names) <= ended or world.clock.monotonic() >= give_up:
            return tuple(name for name in names if name in ended)
        world.clock.sleep(_LOOK)


def abort_view(found: Stopped) -> View:
    """What was stopped, and what goes on all the same."""
    if found.lifted:
        return View("Abort", (Text("Experiments may begin again.", "good"),))
    on = [name for name in found.runs if name not in found.ended]
    words = [Text(f"{many(len(found.ended), 'run')} ended: {', '.join(found.ended)}." if found.ended
                  else "No run went on." if not found.runs else "None has ended yet.", "good" if not on else "warn")]
    if on:
        words.append(Text(f"Not yet ended: {', '.join(on)}.", "bad"))
    if found.halted:
        words.append(Text("No experiment begins until mainstay chaos abort --lift.", "strong"))
    return View("Abort", (*words, Next(("mainstay chaos status",))))


ABORT = Operation(
    "chaos", "abort", AbortRequest, abort, abort_view, scope="write", catalog="unused",
    numbers=False, exit_code=lambda found: 0 if set(found.runs) <= set(found.ended) else 1,
    exit_codes=((0, "stopped"), (1, "told to stop, and not ended within the wait"), (2, "there is nothing to stop")),
    examples=("mainstay chaos abort EXP-3", "mainstay chaos abort --all --why outage", "mainstay chaos abort --lift"))


# -- recover -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RecoverRequest:
    """How."""

    dry_run: bool = arg("say what was left behind, and touch nothing", False)


@dataclass(frozen=True, slots=True)
class Recovered:
    """What runs left behind whose process is gone.

    Args:
        runs: that were closed: they had not ended, and hold no lock any more.
    """

    leftovers: tuple[Leftover, ...]
    runs: tuple[str, ...]
    dry: bool


def recover(world: World, request: RecoverRequest) -> Recovered:
    """Take out what runs left behind whose process is gone, and close them."""
    leftovers = world.injector().recover(dry=request.dry_run)
    gone = [run for run in runs_of(world).values() if lost(world, run)]
    if not request.dry_run:
        stuck = {one.run for one in leftovers if not one.healed}
        for run in gone:
            _close(world, run, guard_name(run) in stuck)
    return Recovered(leftovers, tuple(run.id for run in gone), request.dry_run)


def _close(world: World, run: Run, stuck: bool) -> None:
    reason = f"its process was gone at {run.stage}; what it left was " + (
        "not all taken out" if stuck else "taken out by mainstay chaos recover, or had gone with it")
    world.journal.commit(Batch([NewFact("chaos.ended", run.id, world.clock.now(), {
        "status": str(Status.FAILED if stuck else Status.ABORTED), "reasons": [reason], "reaction": None},
        key=f"chaos:{run.id}:recovered", actor=world.actor)]))
    held = [lock for lock in all_held(world.journal, world.clock.now()) if lock.holder == f"experiment {run.id}"]
    free(world.journal, held, world.clock.now())


def recover_view(found: Recovered) -> View:
    """What was left, and what became of it."""
    rows = [(one.run, one.undo.act, Cell("taken out" if one.healed else one.problem or "still there",
                                         tone="good" if one.healed else "bad")) for one in found.leftovers]
    words = Text(f"{many(len(found.runs), 'run')} whose process is gone: {', '.join(found.runs)}." if found.runs else
                 "No run is without its process; of one that was killed just now that shows within a minute.", "strong")
    return View("Recover", (words, table("Left behind", ("run", "what takes it out", "now"), rows,
                                         empty="nothing was left behind"), Next(("mainstay chaos status",))))


RECOVER = Operation(
    "chaos", "recover", RecoverRequest, recover, recover_view, scope="write", catalog="unused", doors=("cli",),
    numbers=False, exit_code=lambda found: 1 if not found.dry and any(not one.healed for one in found.leftovers) else 0,
    exit_codes=((0, "nothing is left behind; for a dry run: said"), (1, "something could not be taken out"),
                (2, "it cannot be done")),
    examples=("mainstay chaos recover", "mainstay chaos recover --dry-run --json"))
