"""`monitoring dashboards` over 1,000 objectives of 100 services, a whole process: processor time, bytes, peak memory.

    python bench/dashboards.py [objectives] [services]

Beside it the least that any program could do with the same dashboards: write their JSON again from what was read back
(the standard library's encoder), and read the same catalog (`mainstay check`). Two more figures say why a dashboard
holds a whole service: how many files one an objective would make, and how large the largest dashboard is.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BOUND = 6.0
"""Seconds in which rules and dashboards of 1,000 objectives are to be made together (issue: figures)."""
ROUNDS = 3
_SOURCE = """apiVersion: openslo/v1
kind: DataSource
metadata: {name: prom}
spec: {type: prometheus, connectionDetails: {url: "http://127.0.0.1:9"}}
"""
_OBJECTIVE = """---
apiVersion: mainstay/v1
kind: Objective
metadata: {{name: objective-{number}, service: service-{service}, owner: team-{team}}}
spec:
  indicator:
    type: availability
    source: prom
    bad: 'http_requests_total{{job="service-{service}",route="/{number}",code=~"5.."}}'
    total: 'http_requests_total{{job="service-{service}",route="/{number}"}}'
  target: {target}
  window: {window}
"""
_TARGETS, _WINDOWS = ("99", "99.5", "99.9", "99.95", "99.99"), ("30d", "30d", "28d", "7d", "month")


def write_catalog(folder: Path, objectives: int, services: int) -> None:
    text = _SOURCE + "".join(
        _OBJECTIVE.format(number=number, service=number % services, team=number % 7,
                          target=_TARGETS[number // services % 5], window=_WINDOWS[number // services % 5])
        for number in range(objectives))
    (folder / "objectives.yaml").write_text(text, encoding="utf-8")


def run(*arguments: str) -> tuple[float, float]:
    """Seconds of processor time of a whole process, which neighbours on the machine do not change, and MiB at most."""
    process = subprocess.Popen([sys.executable, "-m", "mainstay", *arguments], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        raise SystemExit(f"mainstay {' '.join(arguments)} ended with {process.returncode}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def best(*arguments: str) -> tuple[float, float]:
    return min(run(*arguments) for _ in range(ROUNDS))


def main() -> None:
    objectives, services = (int(sys.argv[1]) if len(sys.argv) > 1 else 1000,
                            int(sys.argv[2]) if len(sys.argv) > 2 else 100)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        catalog, out = folder / "catalog", folder / "out"
        catalog.mkdir()
        write_catalog(catalog, objectives, services)
        reading, _ = best("check", "-c", str(catalog))
        for kinds in (("--kind", "slo,operations"), ()):
            target = out / str(len(kinds))
            seconds, memory = best("monitoring", "dashboards", "-c", str(catalog), *kinds, "-o", str(target))
            files = sorted(target.rglob("*.json"))
            size = sum(path.stat().st_size for path in files)
            models = [json.loads(path.read_text(encoding="utf-8")) for path in files]
            began = time.process_time()
            for model in models:
                json.dumps(model, indent=2, ensure_ascii=False)
            floor = time.process_time() - began
            what = " ".join(kinds) or "all kinds but toil"
            print(f"{objectives:,} objectives of {services} services, {what}: {seconds:.2f} s, "
                  f"{len(files)} dashboards, {size / 1e6:.1f} MB "
                  f"(largest {max(path.stat().st_size for path in files) / 1e3:.0f} kB), "
                  f"{memory:.0f} MiB at most")
            print(f"  reading the catalog alone {reading:.2f} s, encoding the same JSON {floor:.2f} s: "
                  f"{seconds / (reading + floor):.1f}× the two together")
        rules, memory = best("monitoring", "rules", "-c", str(catalog), "-o", str(folder / "rules"))
        print(f"rules of the same catalog: {rules:.2f} s, {memory:.0f} MiB; with all dashboards "
              f"{rules + seconds:.2f} s (bound {BOUND:.0f} s)")


if __name__ == "__main__":
    main()
