"""A server of Mainstay as a process of its own, on a free port, and catalogs for real sources."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx

from command import command_line, environment

STARTS_WITHIN = 60.0
Found = TypeVar("Found")
# Other lines, which may come first, name other servers.
_URL = re.compile(r"^serving .* at (https?://[\d.]+:\d+) · ")


@dataclass
class Serving:
    """A running `mainstay serve`: where it answers, what it said."""

    url: str
    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)

    @property
    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=20, trust_env=False)

    def get(self, path: str, **headers: str) -> httpx.Response:
        with self.client as client:
            return client.get(path, headers=headers)

    def report(self) -> dict[str, Any]:
        answer = self.get("/api/v1/slo/report?offline=true")
        answer.raise_for_status()
        return answer.json()["objectives"][0]  # type: ignore[no-any-return]


@contextlib.contextmanager
def serving(folder: Path, *words: str, **more: str) -> Iterator[Serving]:
    """`mainstay serve` on a free port until the block ends."""
    process = subprocess.Popen(command_line("serve", "--port", "0", *words), cwd=folder, text=True,
                               env=environment(folder, more), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(process.stderr or ()), daemon=True)
    reader.start()
    try:
        url = until(lambda: next((found[1] for line in list(said) if (found := _URL.search(line))), None),
                    STARTS_WITHIN, lambda: f"it does not say where it serves: {''.join(said)}", process)
        yield Serving(url, process, said)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()
        process.wait()
        reader.join()
        assert process.stderr is not None
        process.stderr.close()


def until(ask: Callable[[], Found | None], seconds: float, says: Callable[[], str],
          process: subprocess.Popen[str] | None = None) -> Found:
    """What `ask` finds once it finds something; fails with what `says` says when it takes longer."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and (process is None or process.poll() is None):
        found = ask()
        if found is not None:
            return found
        time.sleep(0.1)
    raise AssertionError(says())


def rewrite(file: Path, text: str) -> None:
    """Change a file that a server may be reading: it sees the old text or the new one, and never half of it."""
    fresh = file.with_name(f"{file.name}.new")
    fresh.write_text(text)
    fresh.replace(file)


def on_prometheus(folder: Path, url: str, job: str, window: str = "7d") -> Path:
    """A catalog of one objective that a Prometheus counts."""
    return _catalog(folder, f"""apiVersion: openslo/v1
kind: DataSource
metadata: {{name: counts}}
spec: {{type: Prometheus, connectionDetails: {{url: "{url}", timeout: 5s, retries: 0}}}}
""", json.dumps({"type": "availability", "source": "counts", "bad": f'http_requests_total{{job="{job}",code=~"5.."}}',
                 "total": f'http_requests_total{{job="{job}"}}'}), window)


def on_files(folder: Path, pattern: str, window: str = "7d") -> Path:
    """The same objective, counted in files of events."""
    return _catalog(folder, f"""apiVersion: openslo/v1
kind: DataSource
metadata: {{name: counts}}
spec: {{type: events, connectionDetails: {{paths: ["{pattern}"], format: json}}}}
""", json.dumps({"type": "availability", "source": "counts"}), window)


def _catalog(folder: Path, source: str, indicator: str, window: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "slos.yaml").write_text(f"""{source}---
apiVersion: mainstay/v1
kind: Objective
metadata: {{name: web, service: shop}}
spec:
  indicator: {indicator}
  target: 99
  window: {window}
  policy: template
""")
    return folder
