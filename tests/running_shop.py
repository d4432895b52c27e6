"""The example shop, really running: several processes in a run folder of the test."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

EXAMPLES = Path(__file__).parents[1] / "examples"
_LINE = re.compile(r"(?P<name>[a-z_]+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    @property
    def data(self) -> Any:
        return json.loads(self.body)


class RunningShop:
    """One run of the shop; `supervisor` is its process."""

    def __init__(self, folder: Path, supervisor: subprocess.Popen[str]) -> None:
        self.folder, self.supervisor = folder, supervisor

    def record(self, name: str) -> dict[str, Any]:
        return json.loads((self.folder / f"{name}.json").read_text())

    def ask(self, method: str, path: str, data: object = None, *, to: str = "web", **headers: str) -> Answer:
        """One request on a connection of its own; a keyword `x_deadline_ms="50"` is the header `x-deadline-ms`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.record(to)["port"], timeout=10)
        began = time.perf_counter()
        try:
            body = b"" if data is None else json.dumps(data).encode()
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        named = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, named, text, time.perf_counter() - began)

    def log_in(self, user: str = "ada") -> dict[str, str]:
        """The header that proves who the user is."""
        answer = self.ask("POST", "/login", {"user": user, "password": "let-me-in"})
        return {"authorization": f"Bearer {answer.data['token']}"}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return run_shop(words[0], "--run", str(self.folder), *words[1:])

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        pid = self.record(name)["pid"]
        os.kill(pid, number)
        if number is signal.SIGKILL:
            eventually(lambda: not is_running(pid))

    def log(self, name: str) -> list[dict[str, Any]]:
        file = self.folder / "logs" / f"{name}.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()]

    def samples(self, name: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """The metrics page of a service: value by name and labels."""
        found = {}
        for line in self.ask("GET", "/metrics", to=name).body.decode().splitlines():
            if not line.startswith("#"):
                match = _LINE.fullmatch(line)
                assert match, line
                labels = frozenset(re.findall(r'([a-z_]+)="([^"]*)"', match["labels"] or ""))
                found[match["name"], labels] = float(match["value"])
        return found

    def total(self, service: str, metric: str, **labels: str) -> float:
        """The sum of all series of a metric that have these labels."""
        wanted = set(labels.items())
        return sum(value for (name, has), value in self.samples(service).items() if name == metric and wanted <= has)


def run_shop(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """One command of the shop, to its end."""
    return subprocess.run([sys.executable, str(EXAMPLES / "shop"), *words], capture_output=True, text=True, timeout=60,
                          check=False, env={**os.environ, **environment})


@contextmanager
def running_shop(folder: Path, *options: str, **environment: str) -> Iterator[RunningShop]:
    """The whole shop, ready; taken down at the end."""
    command = [sys.executable, str(EXAMPLES / "shop"), "up", "--run", str(folder), *options]
    with (folder.parent / f"{folder.name}.out").open("w+") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, text=True,
                                   env={**os.environ, **environment})
        try:
            output = Path(said.name)
            eventually(lambda: "ready in" in output.read_text() or process.poll() is not None, seconds=120)
            assert process.poll() is None, output.read_text()
            yield RunningShop(folder, process)
        finally:
            process.terminate()
            process.wait(timeout=60)


def eventually(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait until it is so."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "it did not come about in time"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
