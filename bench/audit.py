"""`monitoring audit` of 30 days of alerts on a real Prometheus, a whole process, beside fetching the same samples bare.

    python bench/audit.py [alerts]

Every alert is on a tenth of the time, a sample a minute, in stretches of ten to fifty minutes. The bare fetch asks for
the same raw samples day by day over one connection and decodes the JSON; what is above it is ours: Python's start,
telling the stretches apart, and the audit.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from servers.alerts import Stretch, series
from servers.prometheus import prometheus

DAYS = 30
BOUND = 6.0
"""How many times the bare fetch the whole audit may take."""


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    end = int(time.time()) // 60 * 60
    stretches = history(count, end)
    samples = sum(one.ended - one.began for one in stretches) // 60
    with tempfile.TemporaryDirectory(prefix="mainstay-bench-") as name, \
            prometheus(Path(name) / "p", backfill=series(stretches)) as server:
        print(f"{count:,} alerts × {DAYS} days = {len(stretches):,} firings in {2 * samples:,} samples")
        bare = min(seconds_of(lambda: fetch(server.url, end)) for _ in range(3))
        whole = min(seconds_of(lambda: audit(server.url, name, len(stretches))) for _ in range(3))
        print(f"bare fetch of the samples        {bare:7.3f} s")
        print(f"mainstay monitoring audit --json {whole:7.3f} s   {whole / bare:.1f} × the fetch")
        if whole > BOUND * bare:
            raise SystemExit(f"slower than {BOUND:g} × the fetch")


def history(count: int, end: int) -> list[Stretch]:
    """Stretches of each alert, minute by minute, none of them at the edges of the span."""
    draw, out = random.Random(1), []
    for number in range(count):
        at = end - DAYS * 86_400 + 3600
        while at < end - 7200:
            length = draw.randrange(10, 50) * 60
            labels = {"severity": "page", "service": f"s{number % 9}"}
            out.append(Stretch(f"Alert{number:04}", at, at + length, 0, labels))
            at += length + draw.randrange(100, 500) * 60
    return [one for one in out if one.ended < end - 600]


def fetch(url: str, end: int) -> None:
    with httpx.Client(trust_env=False, timeout=60) as client:
        for metric in ("ALERTS", "ALERTS_FOR_STATE"):
            for day in range(DAYS):
                answer = client.post(f"{url}/api/v1/query", data={"query": f"{metric}[1d]",
                                                                  "time": str(end - day * 86_400)})
                assert json.loads(answer.content)["status"] == "success"


def audit(url: str, folder: str, firings: int) -> None:
    done = subprocess.run([sys.executable, "-m", "mainstay", "monitoring", "audit", "--prometheus", url, "--json",
                           "--store", f"sqlite:///{folder}/m.db"], check=True, capture_output=True, cwd=folder)
    found = json.loads(done.stdout)
    assert found["firings"] == firings, (found["firings"], firings)


def seconds_of(run: Callable[[], None]) -> float:
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
