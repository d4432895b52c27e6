"""What this host lacks to run an experiment of ours, whatever runs on it at the moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mainstay.chaos.operations.planning import questions, unaskable
from mainstay.chaos.operations.toolkit_check import sourced
from mainstay.chaos.spec import Experiment, check, probes_of
from mainstay.kernel.finding import Finding, Severity
from mainstay.kernel.ports import World
from mainstay.kernel.probing import CallAsk


def missing_here(world: World, lines: Sequence[str], *, allowed: bool) -> tuple[list[str], tuple[Finding, ...]]:
    """The titles of the catalog's experiments; and what a run of them would lack: faults that nothing here can put in,
    probes that cannot be asked, targets that are not open.

    Args:
        lines: of the catalog's only file, for the carets.
        allowed: probes may call functions of Python modules.
    """
    experiments = world.catalog.of(Experiment)
    found = [*check(world.catalog)]
    for one in experiments:
        found += [*_unreal(world, one), *_unasked(world, one, allowed)]
    return [one.title or one.name for one in experiments], tuple(sourced(found, lines))


def _unreal(world: World, experiment: Experiment) -> Iterator[Finding]:
    abilities = world.injector().abilities()
    for fault in (fault for phase in experiment.phases for fault in phase.faults):
        means = [one for one in abilities if one.kind == fault.kind]
        if all(one.state == "unavailable" for one in means):
            yield Finding("cannot-be-put-in", fault.where, f"{fault.kind} is not possible on this host: "
                          + "; ".join(dict.fromkeys(f"{one.mechanism}: {one.why}" for one in means)),
                          " or ".join(dict.fromkeys(one.enable for one in means if one.enable)))


def _unasked(world: World, experiment: Experiment, allowed: bool) -> Iterator[Finding]:
    for probe, why, mend in unaskable(world, experiment):
        yield Finding("cannot-be-asked", probe.where or experiment.origin, f"{probe.name}: {why}", mend)
    called = [probe for probe in probes_of(experiment) if any(isinstance(one, CallAsk) for one in questions(probe))]
    if called and not allowed:
        yield Finding("calls-python", called[0].where or experiment.origin,
                      f"{called[0].name} calls a function of a Python module, which may do anything",
                      "allow that with --allow-python", severity=Severity.WARNING)
