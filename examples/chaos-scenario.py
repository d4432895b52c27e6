#!/usr/bin/env python3
"""A whole chaos scenario on the example shop, for real: its auth service fails, and everything around it is watched.

    python examples/chaos-scenario.py                      # starts a shop of its own, and takes it down
    python examples/chaos-scenario.py --run var/shop       # uses a shop that runs
    python examples/chaos-scenario.py --json               # for a pipeline

1. The steady state: customers can look at products. If they cannot, nothing is begun.
2. auth cannot be reached for a while. Browsing must go on; the hypothesis is asked before, during and after.
3. auth answers with errors, and it is counted from outside how many calls still reach it: a circuit breaker must stop
   them, callers must be told at once, and calls must come back when auth does.

Everything is put in by Mainstay, proven, and taken out again, also when this script is killed. It ends with 0 when the
shop bears all of it, with 1 when it does not, with 2 when the host cannot put the faults in.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent
sys.path.insert(0, str(EXAMPLES.parent / "src"))

from mainstay.app import Settings, build_world  # noqa: E402  (the path above comes first)
from mainstay.chaos.operations.engine import execute  # noqa: E402
from mainstay.chaos.operations.outside import BreakerResult, BreakerTest, breaker_from_outside  # noqa: E402
from mainstay.chaos.spec import Experiment  # noqa: E402
from mainstay.chaos.state import Run  # noqa: E402
from mainstay.kernel.errors import MainstayError  # noqa: E402
from mainstay.kernel.ports import World  # noqa: E402

SCENARIO = """
apiVersion: mainstay/v1
kind: Experiment
metadata: {name: auth-is-gone, displayName: Looking needs no login, owner: team-api}
spec:
  target: api
  hypothesis:
    title: customers can look at products, quickly
    every: 250ms
    misses: 2
    probes:
      - {name: list of products, type: http, workload: web, url: /, tolerance: 200, timeout: 2s, faster_than: 1500ms}
      - {name: one product, type: http, workload: web, url: /products/1, tolerance: 200, timeout: 2s}
  faults: [{kind: dependency-failure, dependency: auth}]
  duration: 5s
  stabilise: 20s
  abort_when: {burn_rate: 14.4}
"""


def main() -> int:
    """Play the scenario; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run", type=Path, help="the run folder of a shop that runs; else one is started")
    parser.add_argument("--seconds", type=float, default=6.0, help="how long auth answers with errors")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chaos-scenario-") as folder:
        try:
            with shop(options.run, Path(folder)) as run, world_of(run, Path(folder)) as world:
                return told(*played(world, options.seconds), as_json=options.json)
        except MainstayError as error:
            print(f"error: {error.message}\n  {error.way_out}", file=sys.stderr)
            return 2


def played(world: World, seconds: float) -> tuple[Run, BreakerResult]:
    """Both parts, one after the other."""
    gone = execute(world, world.catalog.get(Experiment, "auth-is-gone"))
    return gone, breaker_from_outside(world, BreakerTest("api", "auth", seconds))


def told(gone: Run, breaker: BreakerResult, *, as_json: bool) -> int:
    """Say what came of it; 0 when the shop bore it."""
    held, seen = gone.status == "passed", breaker.seen
    if as_json:
        print(json.dumps({
            "browsing": {"run": gone.id, "status": gone.status, "reasons": gone.reasons},
            "breaker": {"run": breaker.run, "works": breaker.works, "verdict": seen.verdict if seen else "not known",
                        "calls_until_open": seen.calls_until_open if seen else None}}, indent=2))
    else:
        print(f"without auth    {gone.status}: " + ("; ".join(gone.reasons) or "customers went on looking at products"))
        if seen is None:
            print("breaker         not known: " + "; ".join(breaker.reasons))
        else:
            print(f"breaker         {seen.verdict}: {seen.why}")
            print(f"                {seen.sent} requests, {seen.reached} reached auth"
                  + ("" if seen.calls_until_open is None else f", {seen.calls_until_open} before it opened"))
    return 0 if held and breaker.works else 1


@contextmanager
def shop(run: Path | None, folder: Path) -> Iterator[Path]:
    """The run folder of the shop that was named, or of one that runs as long as this block."""
    if run is not None:
        yield run.resolve()
        return
    run = folder / "shop"
    started = subprocess.Popen(
        [sys.executable, str(EXAMPLES / "shop"), "up", "--run", str(run), "--die-with", str(os.getpid())],
        stdout=subprocess.DEVNULL)
    try:
        give_up = time.monotonic() + 30
        while len(list(run.glob("*.json"))) < 7 and started.poll() is None and time.monotonic() < give_up:
            time.sleep(0.1)
        time.sleep(1)
        yield run
    finally:
        started.terminate()
        started.wait(20)


@contextmanager
def world_of(run: Path, folder: Path) -> Iterator[World]:
    """Mainstay around the shop: its workloads, the scenario, and a journal that is thrown away afterwards."""
    catalog = folder / "catalog"
    catalog.mkdir()
    workloads = (EXAMPLES / "08-chaos" / "catalog" / "workloads.yaml").read_text()
    (catalog / "workloads.yaml").write_text(workloads.replace("../../../var/shop", str(run)))
    (catalog / "scenario.yaml").write_text(SCENARIO)
    os.environ.setdefault("MAINSTAY_STATE", str(folder / "state"))
    world = build_world(Settings(str(catalog), f"sqlite:///{folder}/mainstay.db", actor="scenario",
                                 progress=lambda sentence: print(sentence, file=sys.stderr)))
    try:
        yield world
    finally:
        world.journal.close()
        world.ledger.close()


if __name__ == "__main__":
    sys.exit(main())
