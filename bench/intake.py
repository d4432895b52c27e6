"""Alerts a second that `mainstay serve` takes in durably, beside a real Alertmanager, which keeps them in memory only.

    python bench/intake.py [seconds of the storm, 60]

Both run as processes of their own in the same run; the client keeps its connections. Ours answers after the fsync.
Figures: a storm of 10,000 distinct alerts spread over the storm's seconds over 200 services, everybody saying theirs
alone; the same alerts said again 333 times a second; single POSTs from 500 connections, so many a second; as many
single POSTs as 500 and 250 connections manage, each waiting for its answer (then the answer takes as long as the
connections divided by the rate, whoever serves); batches of 64; a page of 100 of 100,000 alerts; a restart with them
and 10,000 timers. The ratios are the figures: absolute ones drift with what else the machine does, which is why its
load stands beside them.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvloop

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from servers.alertmanager import alertmanager

STORM, LINES, BATCH, MANY = 10_000, 500, 64, 100_000
OFFERED = (1_000, 2_000)
"""Single POSTs a second."""

CATALOG = """\
apiVersion: mainstay/v1
kind: EscalationPolicy
metadata: {name: web}
spec: {steps: [{page: [person:ana], wait: 30m}]}
---
apiVersion: mainstay/v1
kind: Routing
metadata: {name: all}
spec:
  route:
    policy: web
    group_by: [service]
    routes: [{match: [single=yes]}, {match: [single=own], group_by: [instance]}]
"""
_URL = re.compile(r"http://[\d.]+:\d+")


def alert(number: int, **more: str) -> dict[str, Any]:
    return {"labels": {"alertname": "HighLatency", "service": f"service-{number % 200}", "severity": "critical",
                       "instance": f"10.0.{number // 256}.{number % 256}:9090", "job": "node", **more},
            "annotations": {"summary": "the 99th percentile is above 500 ms", "runbook_url": "https://wiki/latency"},
            "generatorURL": "http://prometheus:9090/graph?g0.expr=latency"}


def request(url: str, alerts: Sequence[dict[str, Any]]) -> bytes:
    body = json.dumps(alerts).encode()
    host = url.removeprefix("http://")
    return (f"POST /api/v2/alerts HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


class Line(asyncio.Protocol):
    """A connection that posts one request at a time and notes how long each answer took."""

    def __init__(self) -> None:
        self.took: list[float] = []
        self._got = b""
        self._answer: asyncio.Future[None] | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    async def post(self, request: bytes) -> None:
        self._answer, self._got = asyncio.get_running_loop().create_future(), b""
        begun = time.perf_counter()
        self._transport.write(request)
        await self._answer
        self.took.append(time.perf_counter() - begun)

    def data_received(self, data: bytes) -> None:
        self._got += data
        if b"\r\n\r\n" not in self._got or self._answer is None or self._answer.done():
            return
        if self._got.startswith(b"HTTP/1.1 200"):
            self._answer.set_result(None)
        else:
            self._answer.set_exception(AssertionError(f"refused: {self._got[:300]!r}"))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(AssertionError("the connection was closed"))

    def close(self) -> None:
        self._answer = None
        self._transport.close()


async def lines_to(url: str, count: int) -> list[Line]:
    host, _, port = url.removeprefix("http://").partition(":")
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(Line, host, int(port)))[1] for _ in range(count)]


async def flood(url: str, requests: Sequence[bytes], count: int, seconds: float = 0.0) -> tuple[float, list[float]]:
    """Every request once over that many connections, evenly over the seconds; how long it took, and each answer."""
    lines = await lines_to(url, count)
    begun = time.perf_counter()
    waiting = iter(enumerate(requests))

    async def drive(line: Line) -> None:
        for number, one in waiting:
            if seconds:
                await asyncio.sleep(max(begun + seconds * number / len(requests) - time.perf_counter(), 0))
            await line.post(one)

    await asyncio.gather(*map(drive, lines))
    took = time.perf_counter() - begun
    for line in lines:
        line.close()
    return took, [one for line in lines for one in line.took]


@dataclass
class Ours:
    url: str
    process: subprocess.Popen[str]
    ready: float
    spent: float

    def memory(self) -> float:
        return memory_of(self.process.pid)


@contextmanager
def ours(folder: Path, wait_for: int = 0) -> Any:
    """`mainstay serve` on a store in the folder; `ready` and `spent` until it listed its first alert."""
    environ = {**os.environ, "MAINSTAY_STORE": f"sqlite:///{folder}/mainstay.db", "HOME": str(folder),
               "MAINSTAY_TOKENS": str(folder / "tokens.json"), "XDG_STATE_HOME": str(folder / "state")}
    begun = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "mainstay", "serve", "--port", "0", "-c", str(folder)],
                               stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environ, cwd=folder)
    assert process.stderr is not None
    try:
        url = ""
        while not url:
            said = process.stderr.readline()
            assert said or process.poll() is None, "mainstay serve ended"
            found = _URL.search(said)
            url = found[0] if found else ""
        threading.Thread(target=process.stderr.read, daemon=True).start()  # pages: read, or it would stand still
        listed = httpx.get(f"{url}/api/v2/alerts?limit=1", timeout=60, trust_env=False).raise_for_status().json()
        assert bool(listed) == bool(wait_for)
        yield Ours(url, process, time.perf_counter() - begun, spent_by(process.pid))
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(40)
        process.kill()
        process.wait()


def spent_by(process: int) -> float:
    """Processor time it has used, in seconds."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of(process: int) -> float:
    """Megabytes that are resident."""
    return next(int(line.split()[1]) / 1024 for line in Path(f"/proc/{process}/status").read_text().splitlines()
                if line.startswith("VmRSS"))


def p99(took: Sequence[float]) -> float:
    return statistics.quantiles(took, n=100)[98] * 1000


def compare(title: str, requests: dict[str, Sequence[bytes]], alerts: int, urls: dict[str, str], count: int) -> None:
    rates = {}
    for name, url in urls.items():
        took, answers = uvloop.run(flood(url, requests[name], count))
        rates[name] = alerts * len(requests[name]) / took
        print(f"  {title:38} {name:14} {rates[name]:9,.0f} alerts/s   p99 {p99(answers):7.1f} ms")
    print(f"  {'':38} ratio          {rates['ours'] / rates['alertmanager']:9.2f}")


def storms(url: str, seconds: float) -> None:
    singles = [request(url, [alert(number)]) for number in range(STORM)]
    took, answers = uvloop.run(flood(url, singles, 100, seconds))
    print(f"  storm: {STORM:,} distinct in {took:.0f} s            p99 of the answer {p99(answers):7.1f} ms  (<= 100)")
    again = singles[:max(int(333 * seconds / 3), 1)]
    took, answers = uvloop.run(flood(url, again, 20, len(again) / 333))
    print(f"  resends: {len(again) / took:,.0f} a second for {took:.0f} s             "
          f"p99 of the answer {p99(answers):7.1f} ms  (<= 100)")


def steady(urls: dict[str, str]) -> None:
    for rate in OFFERED:
        for who, url in urls.items():
            singles = [request(url, [alert(number, run=f"steady-{rate}")]) for number in range(STORM)]
            took, answers = uvloop.run(flood(url, singles, LINES, STORM / rate))
            print(f"  single POSTs, {LINES} connections, {rate:,}/s      {who:14} {STORM / took:9,.0f} alerts/s   "
                  f"p99 {p99(answers):7.1f} ms" + ("  (<= 100)" if who == "ours" else ""))


def many_alerts(url: str) -> None:
    """100,000 alerts in 200 groups and 10,000 of them incidents of their own, with a timer each."""
    batches = [request(url, [alert(number, many="yes", **({"single": "own"} if number % 10 == 0 else {}))
                             for number in range(start, start + 200)]) for start in range(0, MANY, 200)]
    took, _ = uvloop.run(flood(url, batches, 4))
    print(f"  {MANY:,} alerts, 10,000 with an incident and a timer of their own: {MANY / took:,.0f} alerts/s")
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        for title, query in (("100 of them", "limit=100"), ("100 of one service", "limit=100&filter=service=service-7"),
                             ("10 by an exact label", "limit=10&filter=instance=10.0.9.9:9090")):
            times = []
            for _ in range(20):
                begun = time.perf_counter()
                assert client.get(f"/api/v2/alerts?{query}").raise_for_status().json()
                times.append(time.perf_counter() - begun)
            print(f"  list {title:33} median {statistics.median(times) * 1000:6.1f} ms, worst "
                  f"{max(times) * 1000:6.1f} ms" + ("  (<= 50)" if query == "limit=100" else ""))


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before")
    with tempfile.TemporaryDirectory(prefix="mainstay-bench-") as name:
        folder = Path(name)
        (folder / "plan.yaml").write_text(CATALOG)
        with ours(folder) as mine, alertmanager(folder / "am") as theirs:
            urls = {"ours": mine.url, "alertmanager": theirs.url}
            storms(mine.url, seconds)
            steady(urls)
            compare("single POSTs, 500 connections, new", {
                who: [request(url, [alert(number, run="single")]) for number in range(STORM)]
                for who, url in urls.items()}, 1, urls, LINES)
            compare("the same again", {
                who: [request(url, [alert(number, run="single")]) for number in range(STORM)]
                for who, url in urls.items()}, 1, urls, LINES)
            compare("single POSTs, 250 connections, new", {
                who: [request(url, [alert(number, run="fewer")]) for number in range(STORM)]
                for who, url in urls.items()}, 1, urls, LINES // 2)
            compare(f"batches of {BATCH}, 8 connections, new", {
                who: [request(url, [alert(number, run="batch") for number in range(start, start + BATCH)])
                      for start in range(0, 32_000, BATCH)] for who, url in urls.items()}, BATCH, urls, 8)
            print(f"  memory: ours {mine.memory():,.0f} MB, Alertmanager {memory_of(theirs.process.pid):,.0f} MB")
            many_alerts(mine.url)
            print(f"  memory with them: {mine.memory():,.0f} MB")
            # At once, as a storm would be cut off: most of it came after the last checkpoint.
            mine.process.kill()
            mine.process.wait()
        for after in ("a kill in the storm", "a clean stop"):
            with ours(folder, MANY) as mine:
                print(f"  restart after {after}: lists alerts {mine.ready:.2f} s after the command, "
                      f"{mine.spent:.2f} s of processor  (<= 2); memory {mine.memory():,.0f} MB")
    print(f"load {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()
