"""A fake Kubernetes API server: no cluster is behind it, but it speaks the real REST protocol over HTTP.

It knows Deployments, StatefulSets and DaemonSets with their pods and revisions, deletes pods and makes new ones after a
while as a controller does, scales, takes strategic merge and JSON patches with their optimistic lock, wants a token,
and records what it was asked.
"""

from __future__ import annotations

import copy
import itertools
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "a-token-of-the-fake"
_OBJECTS = re.compile(r"/apis/apps/v1/namespaces/(?P<namespace>[^/]+)/(?P<plural>[a-z]+)/(?P<name>[^/]+)"
                      r"(?P<scale>/scale)?")
_KEPT = re.compile(r"/apis/apps/v1/namespaces/(?P<namespace>[^/]+)/(?P<plural>replicasets|controllerrevisions)")
_PODS = re.compile(r"/api/v1/namespaces/(?P<namespace>[^/]+)/pods(?:/(?P<name>[^/]+))?")
_KINDS = {"deployments": "Deployment", "statefulsets": "StatefulSet", "daemonsets": "DaemonSet"}


@dataclass
class Running:
    """A Deployment or its like, and its pods: name → uid, ready at that moment of the clock."""

    kind: str
    namespace: str
    name: str
    replicas: int
    pods: dict[str, tuple[str, float]] = field(default_factory=dict)
    template: dict[str, Any] = field(default_factory=dict)
    revisions: dict[int, dict[str, Any]] = field(default_factory=dict)
    generation: int = 1
    version: int = 1
    paused: bool = False
    gave_up: bool = False

    def changed(self, template: dict[str, Any] | None = None) -> None:
        """Somebody changed what is wanted; a template that was wanted before becomes the newest revision."""
        self.version, self.generation = self.version + 1, self.generation + 1
        if template is None or template == self.template:
            return
        self.template = template
        self.revisions = {number: one for number, one in self.revisions.items() if one != template} | {
            max(self.revisions, default=0) + 1: template}
        self.pods.clear()


class FakeKubernetes:
    """What the fake knows and what it was asked; `start_seconds` is how long a new pod takes to be ready."""

    def __init__(self) -> None:
        self.start_seconds = 0.2
        self.calls: list[tuple[str, str, Any]] = []
        self.forbidden = False
        self.broken = 0
        """So many of the next questions are answered with 500."""
        self.overtaken: list[Callable[[], None]] = []
        """What others change right before the next changes; each time one is left."""
        self.things: list[Running] = []
        self.url = ""
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def run(self, kind: str, namespace: str, name: str, replicas: int) -> Running:
        thing = Running(kind, namespace, name, replicas)
        container = {"name": "main", "image": "shop:1", "fieldOfTomorrow": {"kept": True}}
        thing.changed({"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}})
        self.things.append(thing)
        self.settle(thing, ready_at=0.0)
        return thing

    def settle(self, thing: Running, ready_at: float | None = None) -> None:
        """As a controller: as many pods as are wanted."""
        while len(thing.pods) < thing.replicas:
            number = next(self._numbers)
            when = time.monotonic() + self.start_seconds if ready_at is None else ready_at
            thing.pods[f"{thing.name}-{number}"] = (f"uid-{number}", when)
        while len(thing.pods) > thing.replicas:
            thing.pods.popitem()

    def deploy(self, thing: Running, image: str) -> None:
        """Somebody brings another version, by another way."""
        template = copy.deepcopy(thing.template)
        template["spec"]["containers"][0]["image"] = image
        thing.changed(template)
        self.settle(thing)

    def answer(self, method: str, target: str, body: Any) -> tuple[int, dict[str, Any]]:
        with self._lock:
            self.calls.append((method, target, body))
            if self.broken:
                self.broken -= 1
                return _status(500, "InternalError", "the fake is broken")
            if self.forbidden and method != "GET":
                return _status(403, "Forbidden", "the fake forbids it")
            split = urlsplit(target)
            if found := _OBJECTS.fullmatch(split.path):
                return self._object(method, found, body)
            if found := _KEPT.fullmatch(split.path):
                return self._revisions(found)
            if found := _PODS.fullmatch(split.path):
                return self._pods(method, found, parse_qs(split.query))
            return _status(404, "NotFound", f"the fake does not know {split.path}")

    def _object(self, method: str, found: re.Match[str], body: Any) -> tuple[int, dict[str, Any]]:
        thing = next((one for one in self.things if one.kind == _KINDS.get(found["plural"])
                      and (one.namespace, one.name) == (found["namespace"], found["name"])), None)
        if thing is None:
            return _status(404, "NotFound", f'{found["plural"]}.apps "{found["name"]}" not found')
        if method == "PATCH" and self.overtaken:
            self.overtaken.pop(0)()
        meta = {"name": thing.name, "namespace": thing.namespace, "uid": f"uid-{thing.name}"}
        if found["scale"]:
            if method == "PATCH":
                thing.replicas = body["spec"]["replicas"]
                thing.changed()
                self.settle(thing)
            return 200, {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": meta,
                         "spec": {"replicas": thing.replicas}, "status": {"replicas": len(thing.pods)}}
        if method == "PATCH":
            wanted = _patched({"metadata": {"resourceVersion": str(thing.version)},
                               "spec": {"template": thing.template, "replicas": thing.replicas}}, body)
            if wanted["metadata"]["resourceVersion"] != str(thing.version):
                return _status(409, "Conflict", "the object has been modified; please apply your changes to the latest")
            thing.replicas = wanted["spec"]["replicas"]
            thing.changed(wanted["spec"]["template"])
            self.settle(thing)
        return 200, _document(thing, meta)

    def _revisions(self, found: re.Match[str]) -> tuple[int, dict[str, Any]]:
        """What controllers keep of each revision. Of another's objects with the same labels there is one as well."""
        items = [_kept(thing, found["plural"], number, template, f"uid-{thing.name}") for thing in self.things
                 if thing.namespace == found["namespace"]
                 and (thing.kind == "Deployment") == (found["plural"] == "replicasets")
                 for number, template in thing.revisions.items()]
        strangers = [_kept(thing, found["plural"], 99, {"spec": {"containers": []}}, "uid-stranger")
                     for thing in self.things[:1]]
        return 200, {"apiVersion": "apps/v1", "kind": "List", "metadata": {"resourceVersion": "1"},
                     "items": items + strangers}

    def _pods(self, method: str, found: re.Match[str], query: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        here = [one for one in self.things if one.namespace == found["namespace"]]
        if method == "DELETE":
            for thing in here:
                if thing.pods.pop(found["name"], None) is not None:
                    self.settle(thing)
                    return _status(200, "", "")
            return _status(404, "NotFound", f'pods "{found["name"]}" not found')
        wanted = dict(one.split("=", 1) for one in query.get("labelSelector", [""])[0].split(",") if one)
        items = [_pod(thing, name, uid, time.monotonic() >= ready) for thing in here
                 if wanted in ({}, {"app": thing.name}) for name, (uid, ready) in thing.pods.items()]
        return 200, {"apiVersion": "v1", "kind": "PodList", "metadata": {"resourceVersion": "1"}, "items": items}

    def kubeconfig(self, folder: Path) -> Path:
        """A kubeconfig with the token in a file of its own."""
        (folder / "token").write_text(TOKEN)
        file = folder / "kubeconfig"
        file.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "somebody"}}],
            "users": [{"name": "somebody", "user": {"token": TOKEN}}]}))
        return file


def _document(thing: Running, meta: dict[str, Any]) -> dict[str, Any]:
    """The object with its status, as its controller last wrote it."""
    ready = sum(time.monotonic() >= when for _, when in thing.pods.values())
    there = len(thing.pods)
    status: dict[str, Any] = {"observedGeneration": thing.generation, "replicas": there, "updatedReplicas": there,
                              "readyReplicas": ready, "availableReplicas": ready, "conditions": []}
    if thing.kind == "DaemonSet":
        status = {"observedGeneration": thing.generation, "desiredNumberScheduled": thing.replicas,
                  "updatedNumberScheduled": there, "numberAvailable": ready}
    if thing.gave_up:
        status["conditions"] = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
                                 "message": f'ReplicaSet "{thing.name}-2" has timed out progressing.'}]
    return {"apiVersion": "apps/v1", "kind": thing.kind,
            "metadata": {**meta, "generation": thing.generation, "resourceVersion": str(thing.version),
                         "annotations": {"deployment.kubernetes.io/revision": str(max(thing.revisions))}},
            "spec": {"replicas": thing.replicas, "selector": {"matchLabels": {"app": thing.name}},
                     "paused": thing.paused, "template": thing.template},
            "status": status}


def _kept(thing: Running, plural: str, number: int, template: dict[str, Any], owner: str) -> dict[str, Any]:
    meta = {"name": f"{thing.name}-{number}", "namespace": thing.namespace, "labels": {"app": thing.name},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": thing.kind, "name": thing.name, "uid": owner,
                                 "controller": True}]}
    if plural == "controllerrevisions":
        return {"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": meta, "revision": number,
                "data": {"spec": {"template": {**template, "$patch": "replace"}}}}
    marked = copy.deepcopy(template)
    marked.setdefault("metadata", {}).setdefault("labels", {})["pod-template-hash"] = f"hash{number}"
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {**meta, "annotations": {"deployment.kubernetes.io/revision": str(number)}},
            "spec": {"selector": {"matchLabels": {"app": thing.name}}, "template": marked}}


def _patched(one: dict[str, Any], patch: Any) -> dict[str, Any]:
    """The object with a JSON patch (a list of replacements) or a strategic merge patch of mappings in it."""
    out = copy.deepcopy(one)
    if isinstance(patch, list):
        for each in patch:
            assert each["op"] == "replace", each
            *way, last = each["path"].strip("/").split("/")
            place = out
            for part in way:
                place = place[part]
            assert last in place, each
            place[last] = each["value"]
        return out
    for name, value in patch.items():
        if isinstance(value, dict) and value.get("$patch") == "replace":
            out[name] = {key: each for key, each in value.items() if key != "$patch"}
        else:
            out[name] = _patched(out.get(name, {}), value) if isinstance(value, dict) else value
    return out


def _pod(thing: Running, name: str, uid: str, ready: bool) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": thing.namespace, "uid": uid, "labels": {"app": thing.name}},
            "spec": {"containers": [{"name": "main", "image": "none"}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}}


def _status(code: int, reason: str, message: str) -> tuple[int, dict[str, Any]]:
    return code, {"apiVersion": "v1", "kind": "Status", "status": "Success" if code < 300 else "Failure",
                  "reason": reason, "message": message, "code": code, "metadata": {}}


@contextmanager
def fake_kubernetes() -> Iterator[FakeKubernetes]:
    fake = FakeKubernetes()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(length) or b"null")
            if self.headers.get("authorization") != f"Bearer {TOKEN}":
                code, content = _status(401, "Unauthorized", "Unauthorized")
            else:
                code, content = fake.answer(self.command, self.path, body)
            data = json.dumps(content).encode()
            self.send_response(code)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PATCH = do_DELETE = do_POST = handle_any  # noqa: N815  (names that the standard library calls)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
