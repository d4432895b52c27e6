"""Deployments and their like with their pods, by the API of Kubernetes: for faults and for steps of runbooks."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import Conflict, InvalidInput, MissingExtra, NotAllowed, NotFound, SourceUnavailable
from mainstay.kernel.workload import ClusterObject

SECONDS = 10.0
"""How long one question to a cluster may take."""

Raw = dict[str, Any]
"""An object as the cluster wrote it, with fields that are newer than any library."""

_PLURALS = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets",
            "ReplicaSet": "replicasets", "ControllerRevision": "controllerrevisions"}
_SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod.

    Args:
        ready: it takes part.
        ending: it was told to end.
    """

    name: str
    uid: str
    ready: bool
    ending: bool


def lacking() -> str:
    """What is missing before a cluster can be asked; empty when nothing is. Nobody is asked."""
    if importlib.util.find_spec("lightkube") is None:
        return "lightkube is not installed"
    return "" if config_file() or os.environ.get("KUBERNETES_SERVICE_HOST") else "there is no kubeconfig"


def config_file(environ: Mapping[str, str] = os.environ) -> str:
    """The first kubeconfig of `KUBECONFIG`, or of the home folder; empty when there is none, as inside a cluster."""
    for path in [*environ.get("KUBECONFIG", "").split(os.pathsep), str(Path.home() / ".kube" / "config")]:
        if path and Path(path).is_file():
            return str(Path(path).absolute())
    return ""


class Cluster:
    """A cluster, asked as its kubeconfig says; credentials are read when this is made and written down nowhere."""

    def __init__(self, config: str, context: str, seconds: float = SECONDS) -> None:
        """
        Args:
            config: the kubeconfig's path; empty is the service account of the pod that this runs in.
            seconds: how long one question may take.

        Raises:
            MissingExtra: lightkube is not installed.
            InvalidInput: the kubeconfig cannot be used.
        """
        try:
            import lightkube  # noqa: PLC0415  (a lazy start: few need it, and it costs 200 ms)
            from lightkube.core.exceptions import ConfigError  # noqa: PLC0415  (a lazy start: few need it)
        except ImportError as problem:
            raise MissingExtra("acting on Kubernetes", "k8s") from problem
        from yaml import YAMLError  # noqa: PLC0415  (a lazy start: lightkube has it loaded)

        try:
            found = (lightkube.KubeConfig.from_file(config) if config
                     else lightkube.KubeConfig.from_service_account(_SERVICE_ACCOUNT))
            chosen = found.get(context or None)
            assert chosen is not None, "only a default may be None, and none is given"
            self.namespace = chosen.namespace or "default"
            # A number will do; the type that is declared belongs to whichever HTTP library this version is built on.
            limit: Any = seconds
            self._open = partial(lightkube.Client, config=chosen, timeout=limit, trust_env=False)
        except (ConfigError, YAMLError, KeyError, OSError) as problem:
            raise InvalidInput(f"the kubeconfig {config} cannot be used: {problem}",
                               "name a context that it has") from problem

    def object(self, which: ClusterObject) -> Any:
        """The Deployment, StatefulSet or DaemonSet.

        Raises:
            NotFound, NotAllowed, SourceUnavailable: as the cluster answered.
        """
        with self._asking(_shown(which)) as client:
            return client.get(_kind(which.kind), which.name, namespace=which.namespace)

    def pods(self, which: ClusterObject) -> tuple[Pod, ...]:
        """Its pods, by name; raises as `object`."""
        from lightkube.resources.core_v1 import Pod as Pods  # noqa: PLC0415  (a lazy start: few need it)

        selector = _selector(self.object(which).spec.selector)
        with self._asking(f"pods of {_shown(which)}") as client:
            found = [_pod(one) for one in client.list(Pods, namespace=which.namespace, labels=selector)]
        return tuple(sorted(found, key=lambda one: one.name))

    def delete(self, which: ClusterObject, pod: Pod, grace: float) -> None:
        """Delete a pod; raises as `object`."""
        from lightkube.resources.core_v1 import Pod as Pods  # noqa: PLC0415  (a lazy start: few need it)

        with self._asking(f"pod {which.namespace}/{pod.name}") as client:
            client.delete(Pods, pod.name, namespace=which.namespace, grace_period=int(grace))

    def replicas(self, which: ClusterObject) -> int:
        """How many replicas are wanted; raises as `object`."""
        with self._asking(f"scale of {_shown(which)}") as client:
            scale = client.get(_kind(which.kind).Scale, which.name, namespace=which.namespace)
        return int(scale.spec.replicas or 0)

    def scale(self, which: ClusterObject, replicas: int) -> None:
        """Want so many replicas; raises as `object`."""
        with self._asking(f"scale of {_shown(which)}") as client:
            client.patch(_kind(which.kind).Scale, which.name, {"spec": {"replicas": replicas}},
                         namespace=which.namespace)

    def read(self, which: ClusterObject) -> Raw:
        """The object as the cluster has it; raises as `object`."""
        with self._asking(_shown(which)) as client:
            return dict(client.get(_raw(which.kind), which.name, namespace=which.namespace))

    def owned(self, kind: str, by: Raw) -> list[Raw]:
        """The ReplicaSets or ControllerRevisions that belong to an object; raises as `object`."""
        meta = by["metadata"]
        with self._asking(f"{kind}s of {meta['namespace']}/{meta['name']}") as client:
            found = list(client.list(_raw(kind), namespace=meta["namespace"], labels=_selector(_selecting(by))))
        return [dict(one) for one in found if any(owner.get("uid") == meta["uid"] and owner.get("controller")
                                                  for owner in one["metadata"].get("ownerReferences") or ())]

    def change(self, which: ClusterObject, patch: Raw | list[Raw]) -> Raw:
        """Merge the patch into the object, or, given as a list, do its operations; what the object is now.

        Raises:
            Conflict: somebody else has changed it, and the patch says which version it is for.
            NotFound, NotAllowed, SourceUnavailable: as the cluster answered.
        """
        from lightkube.types import PatchType  # noqa: PLC0415  (a lazy start: few need it)

        how = PatchType.JSON if isinstance(patch, list) else PatchType.STRATEGIC
        with self._asking(_shown(which)) as client:
            return dict(client.patch(_raw(which.kind), which.name, patch, namespace=which.namespace, patch_type=how))

    @contextmanager
    def _asking(self, what: str) -> Iterator[Any]:
        """A connection for one question, so that none is left open, and errors as ours."""
        with _translated(what), closing(self._open()) as client:
            yield client


def _kind(name: str) -> Any:
    from lightkube.resources import apps_v1  # noqa: PLC0415  (a lazy start: few need it)

    return getattr(apps_v1, name)


def _raw(kind: str) -> Any:
    """The kind as plain mappings: typed objects drop fields that the library does not know, and would write so."""
    from lightkube import generic_resource  # noqa: PLC0415  (a lazy start: few need it)

    info = generic_resource.create_api_info("apps", "v1", kind, _PLURALS[kind])
    return type(kind, (generic_resource.GenericNamespacedResource,), {"_api_info": info})


def _selecting(one: Raw) -> Any:
    from lightkube.models.meta_v1 import LabelSelector  # noqa: PLC0415  (a lazy start: few need it)

    return LabelSelector.from_dict(one["spec"]["selector"])


def _shown(which: ClusterObject) -> str:
    return f"{which.kind} {which.namespace}/{which.name}"


def _selector(selector: Any) -> dict[str, Any]:
    from lightkube import operators  # noqa: PLC0415  (a lazy start: few need it)

    by = {"In": operators.in_, "NotIn": operators.not_in}
    found: dict[str, Any] = dict(selector.matchLabels or {})
    for one in selector.matchExpressions or []:
        found[one.key] = (by[one.operator](one.values) if one.operator in by
                          else operators.exists() if one.operator == "Exists" else operators.not_exists())
    return found


def _pod(one: Any) -> Pod:
    conditions = (one.status.conditions if one.status is not None else None) or []
    ready = any(each.type == "Ready" and each.status == "True" for each in conditions)
    return Pod(one.metadata.name, one.metadata.uid or "", ready, one.metadata.deletionTimestamp is not None)


@contextmanager
def _translated(what: str) -> Iterator[None]:
    from lightkube import ApiError  # noqa: PLC0415  (a lazy start: few need it)
    from lightkube.core.exceptions import ConfigError  # noqa: PLC0415  (a lazy start: few need it)

    try:
        yield
    except ApiError as problem:
        code, said = problem.status.code, problem.status.message
        error: type[Conflict | NotFound | NotAllowed | SourceUnavailable] = _ERRORS.get(code or 0, SourceUnavailable)
        raise error(f"{what}: the cluster answered {code}: {said}",
                    "kubectl auth can-i says what is allowed" if code in (401, 403) else "") from problem
    except (ConfigError, OSError) as problem:
        raise SourceUnavailable(f"{what}: the cluster does not answer: {problem}",
                                "see its address in the kubeconfig, and the context") from problem
    except Exception as problem:
        if not any(kind.__name__ == "HTTPError" for kind in type(problem).__mro__):  # of lightkube's own HTTP library
            raise
        raise SourceUnavailable(f"{what}: the cluster does not answer: {problem}",
                                "see its address in the kubeconfig, and the context") from problem


_ERRORS: Mapping[int, type[Conflict | NotFound | NotAllowed]] = {
    401: NotAllowed, 403: NotAllowed, 404: NotFound, 409: Conflict}
