"""How long a catalog takes to become rules, what promtool says of them, and what they cost a Prometheus.

Whole commands, in seconds of processor time: `mainstay monitoring rules -o`, then `promtool check rules`. Goals: 1,000
objectives with rules, dashboards and promtool within 6 s (dashboards are in their own script), at most 12 rule
evaluations an objective and interval.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

MAINSTAY = str(Path(sys.executable).parent / "mainstay")
GOAL_SECONDS = 6.0
GOAL_EVALUATIONS = 12.0

OBJECTIVE = """---
apiVersion: mainstay/v1
kind: Objective
metadata: {{name: service-{0}-availability, service: service-{1}}}
spec:
  indicator:
    type: availability
    source: prometheus
    total: 'http_requests_total{{{{job="service-{0}"}}}}'
    bad: 'http_requests_total{{{{job="service-{0}",code=~"5.."}}}}'
  target: 99.9
"""
SOURCE = """apiVersion: openslo/v1
kind: DataSource
metadata: {name: prometheus}
spec: {type: Prometheus, connectionDetails: {url: "http://127.0.0.1:9090"}}
"""


def catalog(folder: Path, objectives: int) -> None:
    """A catalog of so many objectives, ten a service, a hundred a file."""
    folder.mkdir()
    (folder / "source.yaml").write_text(SOURCE)
    for first in range(0, objectives, 100):
        text = "".join(OBJECTIVE.format(nth, nth // 10).replace("{{", "{").replace("}}", "}")
                       for nth in range(first, min(first + 100, objectives)))
        (folder / f"objectives-{first}.yaml").write_text(text.removeprefix("---\n"))


def run(command: list[str]) -> tuple[float, float]:
    """Seconds of one processor, and the process's peak memory in MiB; others on the machine cost no processor time."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[0]} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> int:
    """Print times, memory and evaluations; 1 when a goal is missed."""
    missed = False
    promtool = shutil.which("promtool")
    for objectives in (1_000, 10_000):
        with tempfile.TemporaryDirectory() as place:
            folder, out = Path(place, "catalog"), Path(place, "rules")
            catalog(folder, objectives)
            written, memory = run([MAINSTAY, "monitoring", "rules", "-c", str(folder), "-o", str(out)])
            size = sum(path.stat().st_size for path in out.iterdir()) / 2**20
            print(f"{objectives:>6,} objectives: rules in {written:.2f} s, peak {memory:.0f} MiB, "
                  f"{len(list(out.iterdir()))} files, {size:.1f} MiB")
            checked = 0.0
            if promtool:
                checked, _ = run([promtool, "check", "rules", *map(str, sorted(out.iterdir()))])
                print(f"        promtool finds no fault in {checked:.2f} s")
            if objectives == 1_000:
                missed |= written + checked > GOAL_SECONDS
                missed |= evaluations(folder) > GOAL_EVALUATIONS
    return int(missed)


def evaluations(folder: Path) -> float:
    """Rule evaluations an objective and interval, printed."""
    done = subprocess.run([MAINSTAY, "monitoring", "rules", "service-0-availability", "-c", str(folder), "--json"],
                          capture_output=True, text=True, check=True)
    (one,) = json.loads(done.stdout)["objectives"]
    print(f"        {one['rules']} rules an objective, {one['evaluations']:.1f} evaluations an interval "
          f"(goal {GOAL_EVALUATIONS:g}; Sloth 0.16: 17)")
    return float(one["evaluations"])


if __name__ == "__main__":
    raise SystemExit(main())
