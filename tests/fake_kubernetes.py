"""A fake Kubernetes API server: no cluster is behind it, but it speaks the real REST protocol over HTTP.

It knows Deployments, StatefulSets and DaemonSets with their pods, deletes pods and makes new ones after a while as a
controller does, scales, wants a token, and records what it was asked.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "a-token-of-the-fake"
_OBJECTS = re.compile(r"/apis/apps/v1/namespaces/(?P<namespace>[^/]+)/(?P<plural>[a-z]+)/(?P<name>[^/]+)"
                      r"(?P<scale>/scale)?")
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


class FakeKubernetes:
    """What the fake knows and what it was asked; `start_seconds` is how long a new pod takes to be ready."""

    def __init__(self) -> None:
        self.start_seconds = 0.2
        self.calls: list[tuple[str, str, Any]] = []
        self.forbidden = False
        self.things: list[Running] = []
        self.url = ""
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def run(self, kind: str, namespace: str, name: str, replicas: int) -> Running:
        thing = Running(kind, namespace, name, replicas)
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

    def answer(self, method: str, target: str, body: Any) -> tuple[int, dict[str, Any]]:
        with self._lock:
            self.calls.append((method, target, body))
            if self.forbidden and method != "GET":
                return _status(403, "Forbidden", "the fake forbids it")
            split = urlsplit(target)
            if found := _OBJECTS.fullmatch(split.path):
                return self._object(method, found, body)
            if found := _PODS.fullmatch(split.path):
                return self._pods(method, found, parse_qs(split.query))
            return _status(404, "NotFound", f"the fake does not know {split.path}")

    def _object(self, method: str, found: re.Match[str], body: Any) -> tuple[int, dict[str, Any]]:
        thing = next((one for one in self.things if one.kind == _KINDS.get(found["plural"])
                      and (one.namespace, one.name) == (found["namespace"], found["name"])), None)
        if thing is None:
            return _status(404, "NotFound", f'{found["plural"]}.apps "{found["name"]}" not found')
        meta = {"name": thing.name, "namespace": thing.namespace, "uid": f"uid-{thing.name}"}
        if found["scale"]:
            if method == "PATCH":
                thing.replicas = body["spec"]["replicas"]
                self.settle(thing)
            return 200, {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": meta,
                         "spec": {"replicas": thing.replicas}, "status": {"replicas": len(thing.pods)}}
        return 200, {"apiVersion": "apps/v1", "kind": thing.kind, "metadata": meta,
                     "spec": {"replicas": thing.replicas, "selector": {"matchLabels": {"app": thing.name}},
                              "template": {"metadata": {"labels": {"app": thing.name}},
                                           "spec": {"containers": [{"name": "main", "image": "none"}]}}},
                     "status": {"replicas": len(thing.pods)}}

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
