"""What it costs to do a step under a runbook: facts, locks, the keeper; beside the bare program in the same run.

    python bench/runbook.py [STEPS]

Prints milliseconds a step, by the clock and of the processor (which a busy machine stretches less), for: the bare
program (subprocess.run), below the keeper, a run whose acts do nothing (facts and locks alone) on SQLite, and a whole
run on SQLite; then how long it takes to fold a run of that length.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1] / "tests")  # this folder's runbook.py would hide the tests' folder

from mainstay.adapters.actuators import HostActuator  # noqa: E402
from mainstay.adapters.clock import SystemClock  # noqa: E402
from mainstay.adapters.memory import MemoryActuator  # noqa: E402
from mainstay.adapters.store import open_store  # noqa: E402
from mainstay.kernel.actuation import Actuator, Command  # noqa: E402
from mainstay.kernel.catalog import Catalog  # noqa: E402
from mainstay.runbook.operations.desk import Runs  # noqa: E402
from mainstay.runbook.operations.watching import Watching  # noqa: E402
from runbook.books import catalog, ordered, run, world  # noqa: E402

STEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 20
ROUNDS = 5


def each(work: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds a step, by the clock and of the processor: medians of the rounds."""
    took, used = [], []
    for _ in range(ROUNDS):
        began, before = time.perf_counter(), sum(os.times()[:4])
        work()
        took.append((time.perf_counter() - began) / STEPS * 1000)
        used.append((sum(os.times()[:4]) - before) / STEPS * 1000)
    return statistics.median(took), statistics.median(used)


def bare() -> None:
    for _ in range(STEPS):
        subprocess.run(["true"], check=True, stdin=subprocess.DEVNULL, capture_output=True)


def kept() -> None:
    host = HostActuator(Catalog(), SystemClock(), {"PATH": "/usr/bin:/bin"})
    for _ in range(STEPS):
        host.carry_out(Command(("true",)), Watching(10, SystemClock()))


def whole(folder: Path, actuator: Actuator) -> Callable[[], None]:
    spec = "  targets: [x]\n  steps:\n" + "".join(
        f"    - {{name: s{at}, command: ['true'], changes: false}}\n" for at in range(STEPS))
    declares = catalog(spec, folder=folder)

    def go() -> None:
        store = open_store(f"sqlite:///{folder}/{time.monotonic_ns()}.db", SystemClock())
        made = world(declares, actuator, journal=store.journal, clock=SystemClock())  # type: ignore[arg-type]
        assert run(made).state == "succeeded"
        store.close()

    return go


def folding(folder: Path) -> float:
    """Milliseconds to fold one run from its facts."""
    store = open_store(f"sqlite:///{folder}/fold.db", SystemClock())
    spec = "  steps:\n" + "".join(f"    - {{name: s{at}, command: ['true'], changes: false}}\n" for at in range(STEPS))
    made = world(catalog(spec, folder=folder), MemoryActuator(), journal=store.journal,
                 clock=SystemClock())  # type: ignore[arg-type]
    ordered(made)
    run(made)
    began = time.perf_counter()
    Runs(store.journal).caught_up()
    took = (time.perf_counter() - began) * 1000
    store.close()
    return took


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        rows = [("the bare program", each(bare)), ("below the keeper", each(kept)),
                ("facts and locks alone, SQLite", each(whole(folder, MemoryActuator()))),
                ("a whole run, SQLite", each(whole(
                    folder, HostActuator(Catalog(), SystemClock(), {"PATH": "/usr/bin:/bin"}))))]
        print(f"{STEPS} steps, median of {ROUNDS} rounds, load {os.getloadavg()[0]:.1f}")
        for name, (milliseconds, processor) in rows:
            print(f"  {name:32} {milliseconds:7.1f} ms a step, {processor:6.1f} ms of the processor")
        print(f"  overhead of a step: {rows[3][1][0] - rows[0][1][0]:.1f} ms, "
              f"{rows[3][1][1] - rows[0][1][1]:.1f} ms of the processor")
        print(f"  folding a run of {STEPS} steps: {folding(folder):.1f} ms")


if __name__ == "__main__":
    main()
