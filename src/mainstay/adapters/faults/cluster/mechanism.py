"""Pods that are deleted, and replicas that are more or fewer for a while."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence

from mainstay.adapters import kubernetes
from mainstay.adapters.kubernetes import Cluster, Pod
from mainstay.kernel.errors import InvalidInput, MainstayError, NotAllowed
from mainstay.kernel.faults import Ability, Healing, Means, Measured, Order, Undo
from mainstay.kernel.workload import ClusterObject

_NAME = "kubernetes"
_HEALING = {"pod-failure": Healing.EXPIRING, "scale": Healing.GUARDIAN}


class Kubernetes:
    """The mechanism."""

    def abilities(self) -> tuple[Ability, ...]:
        """By what is installed and configured; no cluster is asked."""
        why = kubernetes.lacking()
        enable = 'pip install "mainstay[k8s]"' if "lightkube" in why else "KUBECONFIG, or ~/.kube/config" if why else ""
        return tuple(Ability(kind, _NAME, "unavailable" if why else "real", healing, why, enable)
                     for kind, healing in _HEALING.items())

    def means(self, order: Order) -> Means | None:
        """How; None when the workload is not in a cluster, or none can be asked.

        Raises:
            InvalidInput: a DaemonSet has no replicas to change.
        """
        which = order.workload.cluster
        if order.kind not in _HEALING or which is None or kubernetes.lacking():
            return None
        if order.kind == "scale":
            if which.kind == "DaemonSet":
                raise InvalidInput(f"{which.name} is a DaemonSet: a pod on each node, and no number of replicas", "")
            return Means(_NAME, Healing.GUARDIAN, (
                f"{_shown(which)} is scaled to {order.settings.get('replicas', 0):g}, and back to what it was",
                "an autoscaler may work against it; then the fault counts as not in effect"))
        return Means(_NAME, Healing.EXPIRING, (
            f"{order.share:.3g} of the pods of {_shown(which)} are deleted, at least one, drawn by the seed",
            f"the {which.kind} makes new ones"))

    def inject(self, order: Order, intend: Callable[[Sequence[Undo]], None]) -> DeletedPods | Scaled:
        """Put it in.

        Raises:
            MainstayError: it could not be.
        """
        means, which = self.means(order), order.workload.cluster
        if means is None or which is None:
            raise NotAllowed(f"{order.kind} needs a workload in Kubernetes",
                             "`mainstay chaos doctor` says what is missing")
        config = kubernetes.config_file()
        cluster = Cluster(config, which.context)
        if order.kind == "scale":
            return _scaled(order, which, cluster, means, intend)
        return _deleted(order, which, cluster, means)


class DeletedPods:
    """Pods that were deleted. They come back by themselves; it is over when as many are ready as are wanted."""

    def __init__(self, means: Means, which: ClusterObject, cluster: Cluster, victims: Sequence[Pod],
                 before: int) -> None:
        self._means, self._which, self._cluster, self._victims, self._before = means, which, cluster, victims, before
        self._out = False

    @property
    def means(self) -> Means:
        """How."""
        return self._means

    def proof(self) -> Measured:
        """Whether those pods have gone; after `remove`, whether as many as before are ready again."""
        what = f"pods of {_shown(self._which)}"
        try:
            now = self._cluster.pods(self._which)
        except MainstayError as problem:
            return Measured(what, False, note=problem.message)
        ready = sum(one.ready and not one.ending for one in now)
        if self._out:
            return Measured(what, ready < self._before, float(ready), float(self._before), "pods ready")
        there = {one.uid for one in now if not one.ending}
        went = sum(one.uid not in there for one in self._victims)
        return Measured(what, went == len(self._victims), float(went), float(len(self._victims)), "pods gone",
                        f"{ready} of {self._before} are ready")

    def victims(self) -> Mapping[str, float]:
        """Pods, and those that were deleted."""
        return {"pods": self._before, "pods_hit": len(self._victims)}

    def remove(self) -> None:
        """Nothing is to be done: the cluster makes new ones."""
        self._out = True


class Scaled:
    """A number of replicas that was changed."""

    def __init__(self, means: Means, which: ClusterObject, cluster: Cluster, asked: int, before: int) -> None:
        self._means, self._which, self._cluster, self._asked, self._before = means, which, cluster, asked, before

    @property
    def means(self) -> Means:
        """How."""
        return self._means

    def proof(self) -> Measured:
        """By the pods that are there, not by the number that is wanted."""
        what = f"pods of {_shown(self._which)}"
        try:
            there = sum(not one.ending for one in self._cluster.pods(self._which))
            wanted = self._cluster.replicas(self._which)
        except MainstayError as problem:
            return Measured(what, False, note=problem.message)
        changed = there == self._asked if self._asked != self._before else False
        return Measured(what, changed, float(there), float(self._asked), "pods", f"{wanted} are wanted")

    def victims(self) -> Mapping[str, float]:
        """Pods before, and by how many they differ."""
        return {"pods": self._before, "pods_hit": abs(self._before - self._asked)}

    def remove(self) -> None:
        """Want as many as before.

        Raises:
            MainstayError: the cluster did not take it.
        """
        self._cluster.scale(self._which, self._before)


def _deleted(order: Order, which: ClusterObject, cluster: Cluster, means: Means) -> DeletedPods:
    pods = [one for one in cluster.pods(which) if not one.ending]
    if not pods:
        raise InvalidInput(f"{_shown(which)} has no pods", "see whether the name and the namespace are right")
    count = max(1, math.floor(order.share * len(pods) + 1e-9))
    chosen = random.Random(order.seed).sample(pods, count)  # noqa: S311  (chance, not secrecy)
    before = sum(one.ready for one in pods)
    for one in chosen:
        cluster.delete(which, one, float(order.settings.get("grace", 0.0)))
    return DeletedPods(means, which, cluster, chosen, before)


def _scaled(order: Order, which: ClusterObject, cluster: Cluster, means: Means,
            intend: Callable[[Sequence[Undo]], None]) -> Scaled:
    asked, before = int(float(order.settings["replicas"])), cluster.replicas(which)
    intend([Undo("scale-back", {"config": kubernetes.config_file(), "context": which.context,
                                "namespace": which.namespace, "kind": which.kind, "name": which.name,
                                "replicas": before})])
    cluster.scale(which, asked)
    return Scaled(means, which, cluster, asked, before)


def _shown(which: ClusterObject) -> str:
    return f"{which.kind} {which.namespace}/{which.name}"
