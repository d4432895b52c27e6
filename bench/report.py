"""`slo report` over 1,000 objectives × 90 days from the ledger, a whole process, beside a bare SELECT of its day sums.

    python bench/report.py [objectives] [days]

The ledger is SQLite with five-minute slots; half of the objectives have a calendar window, as teams do. The SELECT is
what nobody can do without: one connection, the same rows, summed by the database.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from mainstay.adapters.clock import SystemClock
from mainstay.adapters.store import open_store
from mainstay.app import grammar
from mainstay.kernel.catalog import load
from mainstay.kernel.objective import Objective, ledger_key, resolved
from mainstay.kernel.series import Series, floor_slot

BOUND = 2.0
"""Seconds a report may take (issue: figures)."""
ROUNDS = 3

_SOURCE = """apiVersion: openslo/v1
kind: DataSource
metadata: {name: prom}
spec: {type: Prometheus, connectionDetails: {url: "http://127.0.0.1:9"}}
"""
_OBJECTIVE = """---
apiVersion: mainstay/v1
kind: Objective
metadata: {{name: service-{number:04}, service: service-{number:04}}}
spec:
  indicator: {{type: availability, source: prom, bad: 'errors{{s="{number}"}}', total: 'requests{{s="{number}"}}'}}
  target: 99.9
  window: {window}
"""


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    days = int(sys.argv[2]) if len(sys.argv) > 2 else 90
    with tempfile.TemporaryDirectory(prefix="mainstay-bench-") as name:
        folder = Path(name)
        (folder / "slos.yaml").write_text(_SOURCE + "".join(
            _OBJECTIVE.format(number=number, window=("30d", "month")[number % 2]) for number in range(count)))
        written = fill(folder, days)
        print(f"{count:,} objectives × {days} days = {written:,} slots in {size(folder):,.0f} MB")
        bare = min(seconds_of(lambda: bare_select(folder)) for _ in range(ROUNDS))
        whole = min(seconds_of(lambda: report(folder, count)) for _ in range(ROUNDS))
        print(f"bare SELECT of the day sums   {bare:7.3f} s")
        print(f"mainstay slo report --json    {whole:7.3f} s   {whole / bare:,.0f} × the SELECT, "
              f"{whole / count * 1000:.2f} ms an objective")
        if count == 1000 and whole > BOUND:
            raise SystemExit(f"slower than {BOUND:g} s")


def fill(folder: Path, days: int) -> int:
    """A ledger that holds those days of every objective; how many slots."""
    catalog, findings = load([folder], grammar())
    assert not findings, findings[0].render()
    end = floor_slot(datetime.now(UTC))
    slots = days * 288
    random = np.random.default_rng(1)
    store = open_store(f"sqlite:///{folder}/mainstay.db", SystemClock())
    total = random.poisson(300, slots).astype(float)
    entries = {}
    for objective in catalog.of(Objective):
        bad = np.minimum(random.poisson(0.15, slots), total)
        key = ledger_key(resolved(objective, catalog), objective.method)
        entries[key] = Series(end - slots * 300, 300, bad, total, np.ones(slots, dtype=np.bool_))
    store.ledger.write(entries, datetime.now(UTC))
    store.close()
    return slots * len(entries)


def size(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.glob("mainstay.db*")) / 1e6


def bare_select(folder: Path) -> None:
    database = sqlite3.connect(folder / "mainstay.db")
    rows = database.execute("SELECT key, day, bad, total FROM ledger_days JOIN ledger_series USING (series)").fetchall()
    assert rows
    database.close()


def report(folder: Path, count: int) -> None:
    done = subprocess.run([sys.executable, "-m", "mainstay", "slo", "report", "--offline", "--json", "-c", str(folder),
                           "--store", f"sqlite:///{folder}/mainstay.db"], check=True, capture_output=True,
                          env={**os.environ, "NO_COLOR": "1"})
    found = json.loads(done.stdout)
    assert len(found["objectives"]) == count
    assert all(one["sli"] is not None for one in found["objectives"])


def seconds_of(run: object) -> float:
    begun = time.perf_counter()
    run()  # type: ignore[operator]
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
