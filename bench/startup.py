"""How long Mainstay takes to start, beside an empty program of the same Python.

Whole processes, taken in turns so that a busy moment hits all alike; byte code is written first, as set-up does.
Goal: `mainstay --version` and the budget script within 3 × of `python -c pass`.
"""

from __future__ import annotations

import compileall
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
ROUNDS = 21
GOAL = 3.0
BARE = "python -c pass"


def commands() -> dict[str, tuple[list[str], float | None]]:
    """Name → (command, goal as a ratio to the empty program; None has no goal)."""
    mainstay = str(Path(sys.executable).parent / "mainstay")
    script = ROOT / "scripts" / "calculate_slo_budget.py"
    known: dict[str, tuple[list[str], float | None]] = {
        BARE: ([sys.executable, "-c", "pass"], None),
        "mainstay --version": ([mainstay, "--version"], GOAL),
        "mainstay --help": ([mainstay, "--help"], None),
        "mainstay slo report --help": ([mainstay, "slo", "report", "--help"], None),
    }
    if script.exists():
        known["calculate_slo_budget.py"] = ([sys.executable, str(script), "--slo", "99.9", "--window", "30"], GOAL)
    return known


def seconds(command: list[str]) -> float:
    """Wall-clock seconds of the whole process."""
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return time.perf_counter() - started


def main() -> int:
    """Print medians and ratios; 1 when a goal is missed."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    compileall.compile_dir(ROOT / "src", quiet=1)
    taken: dict[str, list[float]] = {name: [] for name in commands()}
    for _ in range(ROUNDS):
        for name, (command, _) in commands().items():
            taken[name].append(seconds(command))
    bare = median(taken[BARE])
    missed = False
    print(f"{'':30}{'median':>10}{'least':>10}{'ratio':>8}  goal")
    for name, (_, goal) in commands().items():
        ratio = median(taken[name]) / bare
        missed |= goal is not None and ratio > goal
        said = "" if goal is None else f"≤ {goal:g} {'met' if ratio <= goal else 'MISSED'}"
        print(f"{name:30}{median(taken[name]) * 1000:>7.1f} ms{min(taken[name]) * 1000:>7.1f} ms{ratio:>8.2f}  {said}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
