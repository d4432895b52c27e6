"""`mainstay/v1 Workload`: reading what a catalog says of the running parts of a system."""

from __future__ import annotations

from collections.abc import Iterator

from mainstay.kernel.catalog import Catalog, Form, Grammar, Reference, Resource
from mainstay.kernel.finding import Finding
from mainstay.kernel.metadata import read_metadata
from mainstay.kernel.objective import Service
from mainstay.kernel.reader import Reader
from mainstay.kernel.workload import (
    MODES,
    VERDICTS,
    At,
    Call,
    ClusterObject,
    Contract,
    Dependency,
    Request,
    Workload,
)


def read_workload(reader: Reader) -> Iterator[Workload]:
    """mainstay/v1 Workload."""
    meta = read_metadata(reader)
    spec = reader.child("spec", required=True)
    reader.done()
    if spec is None:
        return
    before = len(spec.findings)
    process = spec.child("process")
    pid, unit, match = At(), "", process.texts("match") if process is not None else ()
    if process is not None:
        pid = _at(process, "pid", "pid")
        unit = process.text("unit", default="")
        if sum((pid.said, bool(match), bool(unit))) != 1:
            process.report("one-of", f"{process.path} needs pid, match or unit, and only one",
                           "write pid: {file: run/api.pid}")
        process.done()
    workload = Workload(
        meta.name, meta.origin, meta.service or meta.name, pid, match, unit, _at(spec, "address", "address"),
        spec.text("health", default=""), spec.texts("start"), spec.texts("restart"), spec.text("folder", default=""),
        _cluster(spec), spec.flag("experiments"), tuple(_dependencies(spec)), spec.texts("replicas"),
        tuple(_requests(spec)))
    spec.done()
    if meta.name and len(spec.findings) == before:
        yield workload


def _at(reader: Reader, key: str, in_file: str) -> At:
    """`4711`, `127.0.0.1:80`, or `{file: run/api.json, key: port}`."""
    found = reader.texts_or_children(key)
    if not found:
        return At()
    if len(found) > 1:
        reader.report("wrong-type", f"{reader.field(key)} must be one value, not a list", f"write one {key}", key)
    match found[0]:
        case str(value):
            return At(value)
        case child:
            at = At(file=child.text("file", required=True, default=""), key=child.text("key", default=in_file))
            child.done()
            return at


def _cluster(spec: Reader) -> ClusterObject | None:
    child = spec.child("kubernetes")
    if child is None:
        return None
    found = ClusterObject(child.text("namespace", default="default"),
                          child.text("kind", one_of=("Deployment", "StatefulSet", "DaemonSet"), default="Deployment"),
                          child.text("name", required=True, default=""), child.text("context", default=""))
    child.done()
    return found


def _requests(spec: Reader) -> Iterator[Request]:
    names: list[str] = []
    for one in spec.children("requests"):
        name = one.text("name", required=True, default="")
        if name and name in names:
            one.report("duplicate-name", f'two requests are called "{name}"', "give each a name of its own", "name")
        names.append(name)
        path = one.text("path", required=True, default="/")
        if not path.startswith("/"):
            one.report("invalid-value", f'{one.path}.path is "{path}", which is no path', "write /products/1", "path")
        yield Request(name, path, one.text("method", default="GET").upper(), one.text("body", default=""),
                      one.labels("headers"), one.text("marked_by", default="").lower())
        one.done()


def _dependencies(spec: Reader) -> Iterator[Dependency]:
    for one in spec.children("dependencies"):
        name = one.text("name", required=True, default="")
        yield Dependency(name, one.where_of("name"), one.text("listen", default=""), _route(one), _contracts(one),
                         one.flag("required", default=True))
        one.done()


def _route(one: Reader) -> Call | None:
    child = one.child("route")
    if child is None:
        return None
    secrets = child.child("secret_headers")
    found = Call(child.text("method", default="POST"), child.text("url", required=True, default=""),
                 child.text("body", default=""), child.text("undo_body", default=""), child.labels("headers"),
                 {} if secrets is None else {name: _at(secrets, name, "") for name, _ in secrets.entries()})
    child.done()
    return found


def _contracts(one: Reader) -> dict[str, Contract]:
    child = one.child("when")
    if child is None:
        return {}
    out = {}
    for mode in MODES:
        promise = child.child(mode)
        if promise is None:
            continue
        verdict = promise.text("verdict", required=True, one_of=VERDICTS, default="unaffected")
        errors = promise.number("errors", minimum=0, maximum=1)
        out[mode] = Contract(verdict, errors if errors is not None else 0.0 if verdict != "fails-fast" else 1.0,
                             promise.number("slowdown", minimum=1))
        promise.done()
    child.done()
    return out


def _links(resource: Resource) -> Iterator[Reference]:
    if isinstance(resource, Workload):
        for one in resource.dependencies:
            yield Reference(Workload, one.name, one.where)
        if resource.service != resource.name:
            yield Reference(Service, resource.service, resource.origin, optional=True)


def _check(catalog: Catalog) -> Iterator[Finding]:
    """A replica that is not declared would be left out silently."""
    for one in catalog.of(Workload):
        for name in one.replicas:
            if catalog.find(Workload, name) is None and name not in catalog.doubtful:
                yield Finding("unknown-reference", one.origin, f'replica "{name}" of {one.name} is not declared',
                              f"declare a Workload {name}, or take it out of replicas")


GRAMMAR = Grammar((Form("mainstay/v1 Workload", read_workload, "mainstay/v1", "Workload"),), (_links,), (_check,))
"""The form of workloads, which other words act on too."""
