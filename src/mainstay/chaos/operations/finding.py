"""From what people name, an experiment of the catalog, a file or a run, to the thing itself."""

from __future__ import annotations

import os

from mainstay.chaos.operations.formats import is_file
from mainstay.chaos.spec import Experiment
from mainstay.chaos.state import KINDS, Run, fold
from mainstay.kernel.errors import InvalidInput, NotFound
from mainstay.kernel.finding import InvalidFiles, did_you_mean, errors_of
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.locks import all_held
from mainstay.kernel.ports import World
from mainstay.kernel.workload import workload_named


def experiment_named(world: World, name: str) -> tuple[World, Experiment]:
    """The experiment of the catalog, or the only one of a file that stands for itself, and the world it lives in.

    Raises:
        NotFound: there is none of that name, or none in the file.
        InvalidFiles: the catalog, or the file, holds mistakes.
        InvalidInput: the file declares several.
    """
    if is_file(name):
        catalog = world.catalog_at(name)
        found = catalog.of(Experiment)
        if len(found) != 1:
            raise InvalidInput(f"{name} declares {len(found)} experiments",
                               "name the folder with -c, and the experiment by its name")
        return world.under(world, catalog), found[0]
    if wrong := errors_of(world.findings):
        raise InvalidFiles(wrong)
    return world, world.catalog.get(Experiment, name)


def runs_of(world: World) -> dict[str, Run]:
    """Every run, by id, in the order in which they were asked for."""
    return fold(world.journal.facts(FactQuery(kinds=KINDS)))


def run_named(world: World, name: str) -> Run:
    """The run of that id; `last` is the last one; the name of an experiment is its last one.

    Raises:
        NotFound: there is none.
    """
    runs = runs_of(world)
    if name in runs:
        return runs[name]
    fitting = [run for run in runs.values() if name in ("last", run.experiment)]
    if not runs:
        raise NotFound("no experiment was run yet" if name == "last" else f'there is no run "{name}": none was run yet',
                       "mainstay chaos run NAME runs one; mainstay chaos list names them")
    if not fitting:
        raise NotFound(f'there is no run "{name}"{did_you_mean(name, runs)}',
                       "mainstay chaos status lists the runs")
    return fitting[-1]


def services_of(world: World, one: Experiment) -> tuple[str, ...]:
    """The service that the experiment is of, and those of every workload that a fault of it names."""
    names = [one.target, *(fault.workload for phase in one.phases for fault in phase.faults if fault.workload)]
    found = [workload_named(world.catalog, name).service for name in names]
    return tuple(dict.fromkeys([one.service] * bool(one.service) + found))


def lost(world: World, run: Run) -> bool:
    """Whether its process is gone although it has not ended: seen on this host at once, else when its lock lapses."""
    if run.ended is not None:
        return False
    holders = {lock.holder for lock in all_held(world.journal, world.clock.now())}
    return f"experiment {run.id}" not in holders or _gone(run.process)


def _gone(process: str) -> bool:
    host, _, number = process.rpartition(":")
    if host != os.uname().nodename:
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # somebody else's, so it is there
    return False
