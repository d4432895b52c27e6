"""An experiment as manifests of Chaos Mesh, for those of its faults that a cluster can have."""

from __future__ import annotations

from mainstay.chaos.chaos_mesh import exported
from mainstay.chaos.manifests import LeftOut, Step
from mainstay.chaos.spec import Experiment
from mainstay.chaos.written import as_yaml
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.ports import World
from mainstay.kernel.workload import Workload, workload_named


def manifests(world: World, experiment: Experiment) -> tuple[str, tuple[str, ...]]:
    """YAML, a document for each fault, and what it cannot say.

    Raises:
        InvalidInput: a workload says not where it runs in Kubernetes, or nothing of it can be said.
    """
    documents, notes, start = [], [], 0.0
    for number, phase in enumerate(experiment.phases, 1):
        start += phase.pause
        for place, fault in enumerate(phase.faults, 1):
            workload = _hit(world, experiment, fault.dependency or fault.workload)
            if workload.cluster is None:
                raise InvalidInput(f"{workload.name} says not where it runs in Kubernetes",
                                   f"write kubernetes: in the Workload {workload.name}")
            step = Step(fault.kind, fault.settings, workload.name, fault.share, start, phase.seconds)
            made = exported(step, f"{experiment.name}-{number}-{place}", workload.cluster.namespace,
                            {"app": workload.cluster.name})
            if isinstance(made, LeftOut):
                notes.append(f"{made.what} is left out: {made.why}")
            else:
                documents.append(as_yaml(made, f"{start:g} s after the beginning" if start else ""))
        start += phase.seconds
    if not documents:
        raise InvalidInput(f"nothing of {experiment.name} can be said to Chaos Mesh", "; ".join(notes))
    if any("after the beginning" in one for one in documents):
        notes.append("applied together all of them begin together: apply those of later phases when their comments say")
    notes.append("the pods are selected by the label app; change that where yours have another")
    notes.append("its hypothesis, verdict and budgets are left out: Chaos Mesh has none")
    return "---\n".join(documents), tuple(notes)


def _hit(world: World, experiment: Experiment, name: str) -> Workload:
    """The workload whose pods are hit: of a fault on the way to a dependency, the dependency's."""
    return workload_named(world.catalog, name or experiment.target)
