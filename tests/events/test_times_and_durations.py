"""Times and durations of events: read in full, whichever way the rows come."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pytest

from mainstay.adapters.event_rows import duckdb
from mainstay.adapters.events import survey
from mainstay.kernel.ports import Condition, FileSet, Survey

_COPIES = {"parquet": "(FORMAT parquet)", "jsonl": "(FORMAT json)", "csv": "(FORMAT csv, HEADER)"}


@pytest.mark.parametrize("kind", _COPIES)
@pytest.mark.parametrize("duration", ["(i * 7919 % 30011) / 10007.0", "i * 7919 % 30011", "i / 1e9", "(i % 3) - 1e9",
                                      "1e7 + i * 7919 % 30011"])
def test_percentiles_of_any_size_are_the_nearest_rank(tmp_path: Path, kind: str, duration: str) -> None:
    path = tmp_path / f"x.{kind}"
    duckdb.execute(f"COPY (SELECT 1772452800 AS time, 200 AS status, CAST({duration} AS DOUBLE) AS duration "
                   f"FROM range(0, 5000) t(i)) TO '{path}' {_COPIES[kind]}")
    expected = sorted(value for (value,) in duckdb.execute(
        f"SELECT CAST({duration} AS DOUBLE) FROM range(0, 5000) t(i)").fetchall())
    found = survey(Survey(FileSet((str(path),)), latency=1.0)).latency
    assert found is not None
    assert [found.p50, found.p95, found.p99] \
        == [expected[math.ceil(Fraction(p) * 5000) - 1] for p in ("0.5", "0.95", "0.99")]
    assert (found.good, found.total) == (sum(value <= 1 for value in expected), 5000)


@pytest.mark.parametrize("unique_by", [(), ("id",)])
def test_only_durations_of_events_that_count_are_in_percentiles(tmp_path: Path, unique_by: tuple[str, ...]) -> None:
    path = tmp_path / "x.parquet"
    rows = ["(1772452800, 200, 1.0, 'a')", "(1772452800, 500, 2e7, 'b')", "(NULL, 500, 3.0, 'c')",
            "(1772452801, 500, 4.0, 'left')", "(1772452802, 500, CAST('inf' AS DOUBLE), 'd')",
            "(1772452803, 200, NULL, 'e')"]
    duckdb.execute(f"COPY (SELECT * FROM (VALUES {', '.join(rows)}) AS t(time, status, duration, id)) TO '{path}'")
    found = survey(Survey(FileSet((str(path),), where=(Condition("id", "!=", ("left",)),), unique_by=unique_by)))
    assert (found.lines, found.rejected, found.left_out, found.total, found.bad) == (6, 1, 1, 4, 2)
    assert found.spenders == ((("(none)", "(none)", "500"), 2.0),)
    assert found.latency is not None
    assert (found.latency.total, found.latency.p50, found.latency.p99) == (2, 1.0, 2e7)


@pytest.mark.parametrize(("text", "moment"), [
    ("2026-03-02 12:00:00", 1772452800), ("2026-03-02T12:00:00", 1772452800), ("2026-03-02T12:00:00Z", 1772452800),
    ("2026-03-02 12:00:00.5", 1772452800.5), ("2026-03-02 12:00+02:00", 1772445600),
    ("2026-03-02 14:00:00+02", 1772452800), ("2026-3-2 14:00:00+02", 1772452800)])
def test_a_zone_in_a_time_is_never_passed_over(write: Callable[..., str], text: str, moment: float) -> None:
    found = survey(Survey(FileSet((write(f'{{"time": "{text}", "status": 200}}\n'),))))
    assert found.first is not None
    assert found.first.timestamp() == moment


def test_a_time_without_a_zone_is_in_the_zone_of_the_files(write: Callable[..., str]) -> None:
    path = write('{"time": "2026-03-02 12:00:00", "status": 200}\n')
    assert survey(Survey(FileSet((path,), zone="Europe/Berlin"))).first == datetime(2026, 3, 2, 11, tzinfo=UTC)
