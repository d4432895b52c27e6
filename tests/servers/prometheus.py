"""Real Prometheus and VictoriaMetrics for tests: own data, own port, gone afterwards."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from programs import need

READY_WITHIN = 30.0
"""Seconds a server may take to become ready; 0.2 s on a quiet machine."""

ATTEMPTS = 3
"""How many ports are tried when somebody else is always faster."""


@dataclass(frozen=True)
class Server:
    """A running server: where it answers, where it keeps its data and log."""

    url: str
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> str:
        """All it has written to its log so far."""
        return (self.folder / "log.txt").read_text(errors="replace")


def free_port() -> int:
    """A port that was free a moment ago; `running` tries again with another when somebody was faster."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def held_port() -> Iterator[int]:
    """A port at which nobody answers, and which until the block ends only those get who ask for it by number.

    Go's servers set SO_REUSEADDR, too, and may listen there meanwhile.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])


@contextlib.contextmanager
def running(command: Sequence[str], folder: Path, ready: str, client: httpx.Client | None = None) -> Iterator[Server]:
    """The command as a child process, `{port}` in it filled in, ready by the time the block starts.

    Args:
        ready: the path that answers 200 once the server serves.
        client: knocks at https with what the server wants to be shown; by default plain http.
    Raises:
        RuntimeError: it ended or was not ready in time; the message holds the end of its log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, ATTEMPTS + 1):
        port = free_port()
        url = f"{'https' if client else 'http'}://127.0.0.1:{port}"
        with (folder / "log.txt").open("wb") as log:
            process = subprocess.Popen([word.format(port=port) for word in command], stdout=log,
                                       stderr=subprocess.STDOUT, cwd=folder, start_new_session=True)
        try:
            if _ready(process, url + ready, client):
                yield Server(url, folder, process)
                return
            log_end = (folder / "log.txt").read_text(errors="replace")[-2000:]
            if "address already in use" not in log_end or attempt == ATTEMPTS:
                raise RuntimeError(f"{command[0]} did not become ready:\n{log_end}")
        finally:
            _end(process)


def _ready(process: subprocess.Popen[bytes], url: str, client: httpx.Client | None) -> bool:
    until = time.monotonic() + READY_WITHIN
    with httpx.Client(trust_env=False) if client is None else contextlib.nullcontext(client) as knocking:
        while time.monotonic() < until and process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                if knocking.get(url, timeout=2).status_code == 200:
                    return True
            time.sleep(0.05)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass(frozen=True)
class Scrape:
    """A target that Prometheus scrapes: `host:port` under a job name."""

    job: str
    target: str
    interval: str = "1s"
    path: str = "/metrics"


@contextlib.contextmanager
def prometheus(folder: Path, *, backfill: str = "", scrapes: Sequence[Scrape] = (),
               rules: Sequence[Path] = (), flags: Sequence[str] = (),
               client: httpx.Client | None = None) -> Iterator[Server]:
    """A ready Prometheus; skips the test when the program is absent.

    Args:
        backfill: OpenMetrics text that is in its database from the start (`history.open_metrics`).
        scrapes: what it scrapes; nothing by default.
        rules: rule files it evaluates every second.
        flags: more command-line flags. Remote write is received (`/api/v1/write`), the lifecycle API is open.
        client: as in `running`, for a server whose flags make it want TLS or a password.
    """
    program = need("prometheus")
    data = folder / "data"
    data.mkdir(parents=True)
    if backfill:
        fill_blocks(backfill, data)
    config = folder / "prometheus.yml"
    config.write_text(_configuration(scrapes, rules))
    command = [program, f"--config.file={config}", f"--storage.tsdb.path={data}",
               "--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=100y",
               "--web.enable-remote-write-receiver", "--web.enable-lifecycle",
               "--log.level=warn", *flags]
    with running(command, folder, "/-/ready", client) as server:
        yield server


def fill_blocks(text: str, data: Path) -> None:
    """Write OpenMetrics text into a Prometheus data directory as finished blocks.

    Blocks of up to 31 days: with promtool's default of two hours, 30 days take a hundred times as long.
    """
    source = data.with_name("backfill.om")
    source.write_text(text)
    subprocess.run([need("promtool"), "tsdb", "create-blocks-from", "--quiet", "openmetrics",
                    "--max-block-duration=744h", str(source), str(data)], check=True, capture_output=True)
    source.unlink()


def _configuration(scrapes: Sequence[Scrape], rules: Sequence[Path]) -> str:
    lines = ["global: {scrape_interval: 15s, evaluation_interval: 1s}"]
    if rules:
        lines += ["rule_files:", *(f"  - {rule}" for rule in rules)]
    if scrapes:
        lines.append("scrape_configs:")
    for scrape in scrapes:
        lines += [f"  - job_name: {scrape.job}", f"    scrape_interval: {scrape.interval}",
                  f"    scrape_timeout: {scrape.interval}", f"    metrics_path: {scrape.path}",
                  f"    static_configs: [{{targets: ['{scrape.target}']}}]"]
    return "\n".join(lines) + "\n"


@contextlib.contextmanager
def victoria_metrics(folder: Path, *, backfill: str = "", flags: Sequence[str] = ()) -> Iterator[Server]:
    """A ready VictoriaMetrics; skips the test when the program is absent.

    Args:
        backfill: Prometheus text with times in milliseconds, imported and visible (`history.exposition`).
    """
    program = need("victoria-metrics")
    command = [program, f"-storageDataPath={folder / 'data'}", "-httpListenAddr=127.0.0.1:{port}",
               "-retentionPeriod=100y", "-loggerLevel=ERROR", "-memory.allowedPercent=10", *flags]
    with running(command, folder, "/health") as server:
        if backfill:
            with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
                client.post("/api/v1/import/prometheus", content=backfill.encode()).raise_for_status()
                client.get("/internal/force_flush").raise_for_status()
        yield server
