"""Acts on what Kubernetes runs: replicas changed, pods replaced, an earlier revision brought back, by its API.

Such an act has succeeded when the cluster has done it: as many pods as are wanted are new and take part. One whose time
is over leaves the cluster at it, and says so; a cluster does not take back what it was told.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from mainstay.adapters.kubernetes import SECONDS, Cluster, Raw, config_file
from mainstay.kernel.actuation import Ending, Kubernetes, Outcome, Prepared, Watch
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import Conflict, InvalidInput, NotFound, SourceUnavailable
from mainstay.kernel.workload import ClusterObject

_KINDS = {"deployment": "Deployment", "statefulset": "StatefulSet", "daemonset": "DaemonSet",
          "replicaset": "ReplicaSet"}
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_POLL = 0.5
_TRIES = 5
"""How often a change is tried that somebody else was quicker than."""

_RESTARTED = "kubectl.kubernetes.io/restartedAt"
"""As kubectl writes it, so that whoever looks knows what it means."""

_REVISION = "deployment.kubernetes.io/revision"


@dataclass(frozen=True, slots=True)
class _Rollout:
    """How far a cluster is.

    Args:
        failed: why it will not get there; empty while it may.
    """

    done: bool
    said: str
    failed: str = ""


def prepare(act: Kubernetes, environ: Mapping[str, str]) -> Prepared:
    """What is there: how many replicas, with the act that brings them back, or which revision would follow which.

    Raises:
        InvalidInput: it names no object, or one that this cannot be done with.
        NotFound, NotAllowed, SourceUnavailable: as the cluster answered.
    """
    cluster, which = _of(act, environ)
    if act.verb in ("scale", "count"):
        before = cluster.replicas(which)
        undo = Kubernetes("scale", act.object, act.namespace, str(before), act.context) if act.verb == "scale" else None
        return Prepared(undo, f"{before} replicas")
    one = cluster.read(which)
    _not_paused(one, act)
    return Prepared(note=_earlier(cluster, one)[0] if act.verb == "rollout-undo" else "")


def carry_out(act: Kubernetes, watch: Watch, environ: Mapping[str, str], now: datetime) -> Outcome:
    """Do it, and wait until the cluster has.

    Args:
        now: is written beside a restart.
    Raises:
        MainstayError: the cluster refused it, or was not reached.
    """
    cluster, which = _of(act, environ, watch.left())
    match act.verb:
        case "count":
            return Outcome(Ending.SUCCEEDED, str(cluster.replicas(which)))
        case "scale":
            if not act.replicas.isascii() or not act.replicas.isdigit():
                return Outcome(Ending.FAILED, error=f'"{act.replicas}" is no number of replicas')
            _tried(lambda: cluster.scale(which, int(act.replicas)), watch)
        case "restart":
            _tried(lambda: _restart(cluster, which, act, now), watch)
        case "rollout-undo":
            _tried(lambda: _undo(cluster, which, act, watch), watch)
        case verb:
            return Outcome(Ending.FAILED, error=f"nothing that Kubernetes runs can be told to {verb}")
    return _awaited(cluster, which, watch)


def _of(act: Kubernetes, environ: Mapping[str, str], left: float = SECONDS) -> tuple[Cluster, ClusterObject]:
    kind, _, name = act.object.partition("/")
    # Both become parts of an address: what is no name could lead to another object.
    if kind not in _KINDS or not _NAME.fullmatch(name):
        raise InvalidInput(f'"{act.object}" is no object of Kubernetes', "write deployment/checkout")
    if act.namespace and not _NAMESPACE.fullmatch(act.namespace):
        raise InvalidInput(f'"{act.namespace}" is no namespace', "write its name: small letters, digits and dashes")
    cluster = Cluster(config_file(environ), act.context, min(SECONDS, max(left, 1.0)))
    return cluster, ClusterObject(act.namespace or cluster.namespace, _KINDS[kind], name, act.context)


def _tried(change: Callable[[], object], watch: Watch) -> None:
    """Make the change; once more from what is there by then, where somebody else was quicker.

    Raises:
        Conflict: somebody was, every time.
    """
    for left in range(_TRIES - 1, -1, -1):
        try:
            change()
            return
        except Conflict:
            if not left or watch.over() is not None:
                raise
            time.sleep(_POLL / 2)


# -- changes -------------------------------------------------------------------------------------------------------


def _not_paused(one: Raw, act: Kubernetes) -> None:
    if one["spec"].get("paused"):
        raise InvalidInput(f"the rollout of {act.object} is paused, so that nothing would happen",
                           f"kubectl rollout resume {act.object}")


def _restart(cluster: Cluster, which: ClusterObject, act: Kubernetes, now: datetime) -> None:
    _not_paused(cluster.read(which), act)
    annotations = {_RESTARTED: now.isoformat(timespec="milliseconds")}
    cluster.change(which, {"spec": {"template": {"metadata": {"annotations": annotations}}}})


def _undo(cluster: Cluster, which: ClusterObject, act: Kubernetes, watch: Watch) -> None:
    one = cluster.read(which)
    _not_paused(one, act)
    note, patch = _earlier(cluster, one)
    cluster.change(which, patch)
    watch.output(f"{note}\n")


def _earlier(cluster: Cluster, one: Raw) -> tuple[str, Raw | list[Raw]]:
    """Which revision follows which, and the change that does it: of that very version of the object and no other.

    Raises:
        NotFound: the cluster keeps no earlier revision.
    """
    if one["kind"] == "Deployment":
        kept = {int(each["metadata"].get("annotations", {}).get(_REVISION, 0)): each
                for each in cluster.owned("ReplicaSet", one)}
        current = int(one["metadata"].get("annotations", {}).get(_REVISION, 0))
    else:
        kept = {int(each["revision"]): each for each in cluster.owned("ControllerRevision", one)}
        current = max(kept, default=0)
    earlier = max((number for number in kept if 0 < number < current), default=0)
    if not earlier:
        meta = one["metadata"]
        raise NotFound(f"the cluster keeps no revision of {one['kind']} {meta['namespace']}/{meta['name']} before "
                       f"{current or 'this one'}", "see its revisionHistoryLimit")
    return f"revision {current} → {earlier}", _patch(one, kept[earlier])


def _patch(one: Raw, revision: Raw) -> Raw | list[Raw]:
    version = one["metadata"]["resourceVersion"]
    if one["kind"] != "Deployment":
        return {**revision["data"], "metadata": {"resourceVersion": version}}
    template = {**revision["spec"]["template"]}
    meta = {**template.get("metadata", {})}
    # The controller's own mark on pods of one revision; it makes a new one.
    meta["labels"] = {name: value for name, value in meta.get("labels", {}).items() if name != "pod-template-hash"}
    return [{"op": "replace", "path": "/metadata/resourceVersion", "value": version},
            {"op": "replace", "path": "/spec/template", "value": {**template, "metadata": meta}}]


# -- waiting -------------------------------------------------------------------------------------------------------


def _awaited(cluster: Cluster, which: ClusterObject, watch: Watch) -> Outcome:
    """How the rollout ended. A cluster that does not answer for a while is asked again until the time is over."""
    said = ""
    while True:
        try:
            now = _rollout(cluster.read(which))
        except SourceUnavailable as problem:
            now = _Rollout(False, problem.message)
        if now.said != said:
            watch.output(f"{now.said}\n")
            said = now.said
        if now.failed:
            return Outcome(Ending.FAILED, said, error=now.failed)
        if now.done:
            return Outcome(Ending.SUCCEEDED, said)
        if (over := watch.over()) is not None:
            why = "its time was over" if over is Ending.TIMED_OUT else "it was cancelled"
            return Outcome(over, said, error=f"{why} ({said}); the cluster goes on with it")
        time.sleep(min(_POLL, max(watch.left(), 0.01)))


def _rollout(one: Raw) -> _Rollout:
    """How far the object is: the same signs as `kubectl rollout status` looks at."""
    spec, status = one["spec"], one.get("status", {})
    if status.get("observedGeneration", 0) < one["metadata"].get("generation", 0):
        return _Rollout(False, "the cluster has not taken note yet")
    late = next((each for each in status.get("conditions") or () if each["type"] == "Progressing"
                 and each.get("reason") == "ProgressDeadlineExceeded"), None)
    if late is not None:
        return _Rollout(False, "it does not go on", f"the cluster gave up: {late.get('message') or late['reason']}")
    wanted, there, updated, ready = _counts(one["kind"], spec, status)
    if there > wanted:
        return _Rollout(False, f"{there - wanted} more than the {wanted} wanted still run")
    if updated < wanted:
        return _Rollout(False, f"{updated} of {wanted} are new")
    if ready < wanted:
        return _Rollout(False, f"{ready} of {wanted} take part")
    return _Rollout(True, f"{ready} of {wanted} take part")


def _counts(kind: str, spec: Raw, status: Raw) -> tuple[int, int, int, int]:
    """Pods that are wanted, that are there, of the newest template, and that take part."""
    def of(name: str) -> int:
        return int(status.get(name) or 0)

    if kind == "DaemonSet":
        wanted = of("desiredNumberScheduled")
        return wanted, wanted, _new(spec, of("updatedNumberScheduled"), wanted), of("numberAvailable")
    wanted = int(spec.get("replicas", 1))
    match kind:
        case "ReplicaSet":
            return wanted, of("replicas"), wanted, of("availableReplicas")
        case "StatefulSet":
            # Pods below the partition keep the old template on purpose.
            kept = (spec.get("updateStrategy", {}).get("rollingUpdate") or {}).get("partition") or 0
            return wanted, of("replicas"), _new(spec, of("updatedReplicas") + min(kept, wanted), wanted), \
                of("readyReplicas")
    return wanted, of("replicas"), wanted if spec.get("paused") else of("updatedReplicas"), of("availableReplicas")


def _new(spec: Raw, updated: int, wanted: int) -> int:
    """As many as there are to be, where somebody deletes the old pods by hand."""
    by_hand: Any = spec.get("updateStrategy", {}).get("type") == "OnDelete"
    return wanted if by_hand else updated
