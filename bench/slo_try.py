"""A log to a budget, as whole processes: `mainstay slo try` beside GoAccess, other formats beside DuckDB's bare scan.

    python bench/slo_try.py                1,000,000 lines
    python bench/slo_try.py --lines 10     10,000,000 lines: memory must not grow with the file
    python bench/slo_try.py --formats      JSON lines and Parquet as well

Prints medians over alternating runs, the ratio by the clock and by processor time, peak memory, and the load of the
machine, without which a figure by the clock says little. Goals: 25 × GoAccess and 1.5 s for a million lines. The log is
the real one of the shared data, its days moved so that no two copies are alike; without the shared data, a made one.
"""

from __future__ import annotations

import argparse
import compileall
import gzip
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import duckdb

OURS = (str(Path(sys.executable).parent / "mainstay"), "slo", "try", "--json")
"""The command that is measured; the file is its last argument."""
RIVAL = ("goaccess", "--log-format=COMBINED", "--no-progress", "-o")

ROOT = Path(__file__).parents[1]
REAL = Path(os.environ.get("MAINSTAY_SHARED", ROOT.parent / "shared")) \
    / "data/access_logs/semicomplete_apache_combined_2015-05.log.gz"


def real_lines() -> list[bytes]:
    if REAL.exists():
        return gzip.decompress(REAL.read_bytes()).splitlines(keepends=True)
    made = random.Random(1)
    agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36"
    return [f'10.0.{made.randrange(256)}.{made.randrange(256)} - - [{17 + index // 2500}/May/2015:'
            f'{made.randrange(24):02}:{made.randrange(60):02}:{made.randrange(60):02} +0000] "GET /page/'
            f'{made.randrange(500)} HTTP/1.1" {500 if made.random() < 0.0003 else 200} {made.randrange(100_000)} '
            f'"http://example.org/" "{agent}"\n'.encode() for index in range(10_000)]


def write_log(path: Path, lines: int) -> None:
    """The ten thousand lines over and over, four days later each time."""
    block = b"".join(real_lines())
    with path.open("wb") as out:
        for copy in range(lines // 10_000):
            moved = block
            for day in range(17, 21):
                later = datetime(2015, 1, 1, tzinfo=UTC) + timedelta(days=(4 * copy + day - 17) % 240)
                moved = moved.replace(f"[{day}/May/2015".encode(), later.strftime("[%d/%b/%Y").encode())
            out.write(moved)


class Ran(NamedTuple):
    """What one process took: seconds by the clock and of processor time, peak resident kilobytes; and what it said."""

    seconds: float
    processor: float
    peak: int
    output: bytes


def run(command: list[str]) -> Ran:
    with tempfile.TemporaryFile() as out:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        taken = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{command[0]} ended with {process.returncode}")
        out.seek(0)
        return Ran(taken, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, out.read())


def said(name: str, runs: list[Ran], lines: int) -> str:
    seconds, processor = (statistics.median(getattr(one, kind) for one in runs) for kind in ("seconds", "processor"))
    return (f"  {name:<9}{seconds:7.2f} s  {lines / seconds:12,.0f} lines/s   {processor:6.2f} s of processor   "
            f"peak {max(one.peak for one in runs) / 1024:.0f} MB")


def beside_goaccess(folder: Path, lines: int, rounds: int) -> None:
    log = folder / "access.log"
    write_log(log, lines)
    rival = shutil.which(RIVAL[0])
    ours: list[Ran] = []
    theirs: list[Ran] = []
    for _ in range(rounds):
        ours.append(run([*OURS, str(log)]))
        if rival:
            theirs.append(run([*RIVAL, str(folder / "goaccess.json"), str(log)]))
    found = json.loads(ours[-1].output)
    assert found["parsed"] + found["rejected"] == found["lines"] == lines
    print(f"combined log, {lines:,} lines, {log.stat().st_size / 1e6:.0f} MB, median of {rounds} whole processes; "
          f"parsed {found['parsed']:,}, rejected {found['rejected']:,}, bad {found['bad']:,.0f}")
    print(said("ours", ours, lines))
    if not theirs:
        print("  goaccess is not installed: no ratio")
        return
    print(said("goaccess", theirs, lines))
    clock, processor = (statistics.median(getattr(one, kind) for one in theirs)
                        / statistics.median(getattr(one, kind) for one in ours) for kind in ("seconds", "processor"))
    print(f"  load     {os.getloadavg()[0]:7.1f} processes in the last minute, on {os.cpu_count()} processors")
    print(f"  ratio    {clock:7.1f} × by the clock, {processor:.1f} × by processor time")


def other_formats(folder: Path, rounds: int) -> None:
    events = ("SELECT TIMESTAMP '2026-01-01' + INTERVAL (i % 2500000) SECOND AS time, 'GET' AS method, "
              "'/cart/' || (i % 977) AS path, CASE WHEN i % 997 = 0 THEN 500 ELSE 200 END AS status, "
              "(i * 7919 % 100003) / 1000.0 AS duration_ms FROM range({}) t(i)")
    for name, count, wanted, scan in (("jsonl", 2_000_000, 2_000_000, "read_json"),
                                      ("parquet", 20_000_000, 20_000_000, "read_parquet")):
        file = folder / f"events.{name}"
        kind = "JSON" if name == "jsonl" else "PARQUET"
        duckdb.execute(f"COPY ({events.format(count)}) TO '{file}' (FORMAT {kind})")
        query = f"SELECT count(*) FILTER (status >= 500), min(time), sum(duration_ms) FROM {scan}('{file}')"
        ours: list[Ran] = []
        bare: list[Ran] = []
        for _ in range(rounds):
            ours.append(run([*OURS, str(file)]))
            bare.append(run([sys.executable, "-c", f'import duckdb; print(duckdb.sql("{query}"))']))
        print(f"{name}, {count:,} events, {file.stat().st_size / 1e6:.0f} MB (wanted: {wanted:,} a second)")
        print(said("ours", ours, count))
        print(said("bare scan", bare, count))
        file.unlink()


def main() -> None:
    # Set-up writes byte code; a check-out that was edited since has none.
    compileall.compile_dir(ROOT / "src", quiet=1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=1, help="millions of lines")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--formats", action="store_true", help="JSON lines and Parquet as well")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mainstay-bench-") as folder:
        beside_goaccess(Path(folder), wanted.lines * 1_000_000, wanted.rounds)
        if wanted.formats:
            other_formats(Path(folder), wanted.rounds)


if __name__ == "__main__":
    main()
