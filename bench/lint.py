"""Linting 17,000 rules as whole processes: `mainstay monitoring lint` beside `promtool check rules`.

    python bench/lint.py                  1,000 objectives, 17 rules each, in the shape that Sloth writes
    python bench/lint.py --objectives 100

Prints medians over alternating runs, peak memory, the ratio, and the load of the machine. promtool parses the rules and
looks for duplicates; Mainstay runs every check of its table as well. Goal: 17,000 rules in 10 s.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

JOINED = "/ on(sloth_id, sloth_slo, sloth_service) group_left\n"
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")


def _labels(number: int, window: str = "") -> str:
    text = f"""      owner: team-{number % 20}
      sloth_id: svc{number}-requests-availability
      sloth_service: svc{number}
      sloth_slo: requests-availability
"""
    return text + (f"      sloth_window: {window}\n" if window else "")


def _record(name: str, expr: str, labels: str) -> str:
    return f"  - record: {name}\n    expr: |\n" + "".join(f"      {line}\n" for line in expr.splitlines()) \
        + f"    labels:\n{labels}"


def objective(number: int) -> str:
    """The three groups of one objective: eight indicators, seven facts, two alerts."""
    mine = (f'{{sloth_id="svc{number}-requests-availability", sloth_service="svc{number}", '
            f'sloth_slo="requests-availability"}}')
    rules = [_record(f"slo:sli_error:ratio_rate{window}",
                     f'(sum(rate(http_requests_total{{job="svc{number}",code=~"(5..|429)"}}[{window}])))\n/\n'
                     f'(sum(rate(http_requests_total{{job="svc{number}"}}[{window}])))', _labels(number, window))
             for window in WINDOWS]
    rules.append(_record("slo:sli_error:ratio_rate30d", f"sum_over_time(slo:sli_error:ratio_rate5m{mine}[30d])\n"
                         f"/ ignoring (sloth_window)\ncount_over_time(slo:sli_error:ratio_rate5m{mine}[30d])",
                         _labels(number, "30d")))
    facts = [_record("slo:objective:ratio", "vector(0.999)", _labels(number)),
             _record("slo:error_budget:ratio", "vector(1-0.999)", _labels(number)),
             _record("slo:time_period:days", "vector(30)", _labels(number)),
             _record("slo:current_burn_rate:ratio", f"slo:sli_error:ratio_rate5m{mine}\n"
                     f"{JOINED}slo:error_budget:ratio{mine}", _labels(number)),
             _record("slo:period_burn_rate:ratio", f"slo:sli_error:ratio_rate30d{mine}\n"
                     f"{JOINED}slo:error_budget:ratio{mine}", _labels(number)),
             _record("slo:period_error_budget_remaining:ratio", f"1 - slo:period_burn_rate:ratio{mine}",
                     _labels(number)),
             _record("sloth_slo_info", "vector(1)", _labels(number))]
    alerts = [_alert(mine, number, "critical", (("5m", "1h", 14.4), ("30m", "6h", 6))),
              _alert(mine, number, "warning", (("2h", "1d", 3), ("6h", "3d", 1)))]
    groups = (("sli-recordings", rules), ("meta-recordings", facts), ("alerts", alerts))
    return "".join(f"- name: sloth-slo-{kind}-svc{number}-requests-availability\n  rules:\n{''.join(parts)}"
                   for kind, parts in groups)


def _alert(mine: str, number: int, severity: str, tiers: tuple[tuple[str, str, float], ...]) -> str:
    sides = "\nor\n".join("(\n" + "\nand ignoring (sloth_window)\n".join(
        f"    max(slo:sli_error:ratio_rate{window}{mine} > ({factor:g} * 0.001)) without (sloth_window)"
        for window in (short, long)) + "\n)" for short, long, factor in tiers)
    return f"""  - alert: HighErrorRate
    expr: |
{"".join(f"      {line}{chr(10)}" for line in sides.splitlines())}    labels:
      severity: {severity}
      sloth_severity: {severity}
      sloth_service: svc{number}
    annotations:
      runbook_url: https://example.org/runbooks/{number}
      summary: '{{{{$labels.sloth_service}}}} {{{{$labels.sloth_slo}}}} error budget burn rate is over expected.'
      title: '({severity}) {{{{$labels.sloth_service}}}} error budget burn rate is too fast.'
"""


class Ran(NamedTuple):
    """Seconds by the clock and of the processor, peak resident megabytes, and the exit code."""

    seconds: float
    processor: float
    peak: float
    code: int


def run(command: list[str]) -> Ran:
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Ran(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024,
               process.returncode)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--objectives", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rules.yaml"
        file.write_text("groups:\n" + "".join(objective(number) for number in range(asked.objectives)))
        print(f"{asked.objectives * 17:,} rules, {file.stat().st_size / 1e6:.1f} MB, load {os.getloadavg()[0]:.1f}")
        ours, theirs = [], []
        for _ in range(asked.runs):
            ours.append(run([str(Path(sys.executable).parent / "mainstay"), "monitoring", "lint", str(file)]))
            theirs.append(run(["promtool", "check", "rules", str(file)]))
        for name, ran in (("mainstay", ours), ("promtool", theirs)):
            clock = statistics.median(one.seconds for one in ran)
            processor = statistics.median(one.processor for one in ran)
            print(f"{name}  {clock:6.2f} s   processor {processor:6.2f} s   "
                  f"peak {max(one.peak for one in ran):5.0f} MB   exit {ran[0].code}")
        ratio = statistics.median(one.processor for one in ours) / statistics.median(one.processor for one in theirs)
        print(f"processor: {ratio:.1f} × promtool")


if __name__ == "__main__":
    main()
