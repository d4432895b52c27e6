"""`mainstay chaos plan` and `run`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mainstay.chaos.lifecycle import Status
from mainstay.chaos.operations.finding import experiment_named
from mainstay.chaos.operations.formats import is_file
from mainstay.chaos.operations.planning import Options, Plan, prepare
from mainstay.chaos.state import Run
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.operation import CatalogUse, Operation, arg
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import parse_duration
from mainstay.kernel.view import View


@dataclass(frozen=True)
class PlanRequest:
    """Which experiment."""

    experiment: str = arg("an experiment of the catalog, or a file that declares one with its workloads",
                          positional=True, local_only=True)
    seed: int = arg("of every draw", 0)
    duration: str = arg("how long the faults stay, all phases together; as declared when left out", "",
                        value="DURATION")
    manual: bool = arg("accept faults that nobody takes out when this process is killed", False)
    allow_python: bool = arg("probes may call functions of Python modules", False)

    @property
    def options(self) -> Options:
        """How the run is to be made."""
        seconds = parse_duration(self.duration).total_seconds() if self.duration else None
        return Options(self.seed, seconds, self.manual, self.allow_python)


def plan(world: World, request: PlanRequest) -> Plan:
    """Say what a run would do, what it may cost, and what forbids it; nothing is touched."""
    world, experiment = experiment_named(world, request.experiment)
    return prepare(world, experiment, request.options).plan


def plan_view(found: Plan) -> View:
    """What would be done, and why it would not."""
    from mainstay.chaos.operations import telling  # noqa: PLC0415  (a lazy start: others' runs need none of it)

    return telling.plan_view(found)


PLAN = Operation(
    "chaos", "plan", PlanRequest, plan, plan_view, catalog="any", doors=("cli",),
    numbers=False, exit_code=lambda found: 1 if found.refusals else 0,
    exit_codes=((0, "it would be started"), (1, "something forbids it"), (2, "the experiment cannot be used")),
    examples=("mainstay chaos plan auth-slow -c shop", "mainstay chaos plan auth-slow --duration 10s --json"))


@dataclass(frozen=True)
class RunRequest(PlanRequest):
    """Which experiment, and how."""

    dry_run: bool = arg("say what would be done, and do nothing", False)
    hypothesis: str = arg("of an experiment of the Chaos Toolkit: when its steady state is looked at, where it does "
                          "not say itself", "", choices=("default", "before-method-only", "after-method-only",
                                                         "during-method-only", "continuously", "skip"))
    rollbacks: str = arg("of an experiment of the Chaos Toolkit: when they are played; as it says itself, or safe: "
                         "whatever happened", "", choices=("safe", "default", "always", "never", "deviated"))
    by: str = arg("who runs it; whoever types this when left out", "", value="NAME", local_only=True)
    reference: str = arg("what asked for it, such as a pipeline's address; kept with the run", "", value="TEXT")


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of it.

    Args:
        plan: of a dry run, which has nothing else.
        journal: of an experiment of the Chaos Toolkit, in its own shape.
        rollback: what people do by hand where a fault did not come out.
    """

    plan: Plan | None = None
    run: Run | None = None
    journal: dict[str, Any] | None = None
    rollback: tuple[str, ...] = ()


def run(world: World, request: RunRequest) -> Ran:
    """Run an experiment: prove the steady state, put faults in, watch, take them out, prove."""
    if request.by:
        world = replace(world, actor=request.by)
    if is_file(request.experiment):
        from mainstay.chaos.operations import toolkit_run  # noqa: PLC0415  (a lazy start: native runs need none of it)
        from mainstay.chaos.operations.toolkit_check import taken  # noqa: PLC0415  (a lazy start)

        found = taken(request.experiment)
        if found is not None:
            return Ran(journal=toolkit_run.run(world, found, toolkit_run.Options(
                request.allow_python, request.dry_run, request.hypothesis, request.rollbacks,
                reference=request.reference)))
    world, experiment = experiment_named(world, request.experiment)
    if request.dry_run:
        return Ran(plan=prepare(world, experiment, request.options).plan)
    from mainstay.chaos.operations.engine import execute  # noqa: PLC0415  (a lazy start: others' need none of it)

    options = replace(request.options, reference=request.reference)
    return Ran(run=execute(world, experiment, options), rollback=experiment.rollback)


CODES = {Status.PASSED: 0, Status.FAILED: 1, Status.ABORTED: 1, Status.INVALID: 3}
"""What a run's status is as an exit code."""


def exit_code(found: Ran) -> int:
    """0 passed, 1 failed or aborted, 3 proves nothing."""
    if found.run is not None:
        return CODES.get(found.run.status, 1)
    if found.plan is not None:
        return 1 if found.plan.refusals else 0
    journal = found.journal
    assert journal is not None, "it is one of the three"
    states = journal["steady_states"]
    if states["before"] is not None and not states["before"]["steady_state_met"]:
        return CODES[Status.INVALID]
    held = not journal["deviated"] and all(state["steady_state_met"] for state in states["during"])
    return 0 if journal["status"] == "completed" and held else 1


def run_view(found: Ran) -> View:
    """The verdict first."""
    if found.plan is not None:
        return plan_view(found.plan)
    if found.journal is not None:
        from mainstay.chaos.toolkit_view import journal_view  # noqa: PLC0415  (a lazy start: native runs need none)

        return journal_view(found.journal)
    assert found.run is not None, "it ran"
    from mainstay.chaos.operations import telling  # noqa: PLC0415  (a lazy start, as above)

    return telling.run_view(found.run, found.rollback)


def run_json(found: Ran) -> object:
    """The run itself; of an experiment of the Chaos Toolkit, its journal."""
    if found.journal is not None or found.plan is not None:
        return found.journal if found.journal is not None else found.plan
    assert found.run is not None, "it ran"
    from mainstay.chaos.operations import telling  # noqa: PLC0415  (a lazy start, as above)

    return telling.run_json(found.run)


def _catalog(request: PlanRequest) -> CatalogUse:
    """A file stands for itself: the catalog is read only when it was named too."""
    return "named" if is_file(request.experiment) else "any"


RUN = Operation(
    "chaos", "run", RunRequest, run, run_view, scope="write", catalog=_catalog, doors=("cli",), as_json=run_json,
    numbers=False, exit_code=exit_code,
    exit_codes=((0, "passed; for a dry run: it would be started"),
                (1, "failed, or aborted; for a dry run: something forbids it"),
                (2, "it cannot be used, or something forbids it"),
                (3, "invalid: it proves nothing, because a fault or the steady state was not proven to be there")),
    examples=("mainstay chaos run auth-slow -c shop", "mainstay chaos run auth-slow --dry-run --json",
              "mainstay chaos run experiment.json --allow-python"))
