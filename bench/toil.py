"""A million log lines to the toil report, as whole processes: `mainstay toil report --logs` beside pandas.

    python bench/toil.py                1,000,000 lines
    python bench/toil.py --lines 100000

Both read the same file from the start of Python to the printed answer, in turn, and their sums must agree. Both sum by
type, team, category and week, count the days that are logged, and find the hours of each wording with their spread over
the weeks. Mainstay also checks every line, counts and shows those it rejects, puts wordings together into tasks, tests
changes of level and decides about candidates. Prints medians, peak memory, the ratio by the clock and by processor
time, and the load of the machine. Goal: 5 times as fast. Without pandas in this Python there is no rival and no ratio,
and it says so.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import NamedTuple

from mainstay.toil.sample import sample_lines

LAST = date(2026, 11, 27)
GOAL = 5.0

RIVAL = '''
import json, sys
import pandas as pd
log = pd.read_json(sys.argv[1], lines=True, dtype=False)
log["date"] = pd.to_datetime(log.date, format="%Y-%m-%d")
log = log[(log.duration_hours > 0) & (log.duration_hours <= 24)]
toil = log[log.type == "toil"]
week = log.date.dt.to_period("W")
print(json.dumps({
    "lines": len(log), "hours": log.duration_hours.sum(), "toil": toil.duration_hours.sum(),
    "by_category": toil.groupby("category").duration_hours.sum().to_dict(),
    "by_team": log.groupby(["team", "type"]).duration_hours.sum().unstack(fill_value=0).to_dict(),
    "by_week": log.groupby([week.astype(str), "type"]).duration_hours.sum().unstack(fill_value=0).to_dict(),
    "logged": log[log.date.dt.day_of_week < 5].groupby("engineer").date.nunique().sum().item(),
    "began": log.groupby("engineer").date.min().astype(str).to_dict(),
    "tasks": toil[toil.automatable & ~toil.automated].groupby("description").duration_hours.agg(["count", "sum"])
        .to_dict(),
    "paces": toil[toil.automatable & ~toil.automated].groupby(["description", week[toil.index].astype(str)])
        .duration_hours.sum().unstack(fill_value=0).std(axis=1).to_dict(),
    "interrupts": int(toil.interrupt.sum()), "automatable": toil[toil.automatable].duration_hours.sum()}))
'''


class Run(NamedTuple):
    """A whole process: seconds by the clock, of processor time, peak memory in MiB, what it printed."""

    seconds: float
    processor: float
    memory: float
    out: str


def write_log(path: Path, lines: int) -> None:
    """Sample logs of many teams over a year, one after the other, until there are enough lines."""
    written, seed = 0, 0
    with path.open("w", encoding="utf-8") as out:
        while written < lines:
            for line in sample_lines(LAST, seed, 360):
                line |= {"engineer": f"{line['engineer']}{seed}", "team": f"{line['team']}{seed % 40}"}
                out.write(json.dumps(line) + "\n")
                written += 1
                if written == lines:
                    return
            seed += 1


def measure(command: list[str]) -> Run:
    started, before = time.perf_counter(), os.times()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - started
        out.seek(0)
        text = out.read().decode()
    assert process.returncode in (0, 1), command
    after = os.times()
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    return Run(seconds, processor, usage.ru_maxrss / 1024, text)


def agree(ours: str, theirs: str, lines: int) -> None:
    """Both counted every line and came to the same sums."""
    told, said = json.loads(ours), json.loads(theirs)
    summary = told["summary"]
    assert told["origin"]["log"]["parsed"] == said["lines"] == lines
    pairs = [(summary["total_hours"], said["hours"]), (summary["total_toil_hours"], said["toil"]),
             (summary["automatable_hours"], said["automatable"]), (summary["interrupts"], said["interrupts"]),
             *((summary["by_category"][name], hours) for name, hours in said["by_category"].items())]
    assert all(abs(one - other) <= 1e-6 * max(abs(one), 1) for one, other in pairs), pairs


def say(name: str, runs: list[Run]) -> tuple[float, float]:
    """One line of the answer; the medians by the clock and of processor time."""
    seconds, processor = (statistics.median(values) for values in zip(*((one.seconds, one.processor) for one in runs),
                                                                      strict=True))
    print(f"  {name:<22}{seconds:7.2f} s  processor {processor:6.2f} s  "
          f"memory {max(one.memory for one in runs):6.0f} MiB")
    return seconds, processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    rival = importlib.util.find_spec("pandas") is not None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "work.jsonl")
        write_log(path, options.lines)
        ours = [str(Path(sys.executable).parent / "mainstay"), "toil", "report", "--logs", str(path), "--days", "366",
                "--as-of", LAST.isoformat(), "--store", f"sqlite:///{folder}/s.db", "-c", folder, "--json"]
        theirs = [sys.executable, "-c", RIVAL, str(path)]
        print(f"toil report over {options.lines:,} lines, {path.stat().st_size / 2**20:,.0f} MiB, "
              f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
        mine, pandas = [], []
        for _ in range(options.runs):
            mine.append(measure(ours))
            if rival:
                pandas.append(measure(theirs))
        took = say("mainstay", mine)
        if not rival:
            print("  pandas is not installed in this Python: no rival, no ratio")
            return
        agree(mine[0].out, pandas[0].out, options.lines)
        theirs_took = say("pandas", pandas)
        ratio = theirs_took[0] / took[0]
        print(f"  ratio {ratio:.1f} (goal {GOAL:g}): {'kept' if ratio >= GOAL else 'MISSED'}; "
              f"by processor time {theirs_took[1] / took[1]:.1f}; the sums agree")


if __name__ == "__main__":
    main()
