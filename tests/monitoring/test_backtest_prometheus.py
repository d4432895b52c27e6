"""A backtest over a real Prometheus, asked for slots of 30 s: it pages when the counters say, to one evaluation."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mainstay.app import Settings, build_world
from mainstay.monitoring.operations.backtest import BACKTEST, BacktestRequest
from servers.prometheus import prometheus

START = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp())
STEP, SCRAPES, EACH = 30, 1440, 60
OUTAGE = range(600, 660)
"""Twelve hours of scrapes; half an hour in which half of all requests fail."""

CATALOG = """apiVersion: openslo/v1
kind: DataSource
metadata: {{name: prometheus}}
spec: {{type: Prometheus, connectionDetails: {{url: "{url}"}}}}
---
apiVersion: mainstay/v1
kind: Objective
metadata: {{name: web, service: web}}
spec:
  indicator:
    type: availability
    source: prometheus
    bad: requests_total{{code="500"}}
    total: requests_total
  target: 99
  window: 30d
"""


def counters() -> str:
    lines, good, bad = ["# TYPE requests counter"], 0, 0
    by_code: dict[str, list[str]] = {"200": [], "500": []}
    for scrape in range(SCRAPES):
        failed = EACH // 2 if scrape in OUTAGE else 0
        good, bad = good + EACH - failed, bad + failed
        at = START + scrape * STEP
        by_code["200"].append(f'requests_total{{code="200"}} {good} {at}')
        by_code["500"].append(f'requests_total{{code="500"}} {bad} {at}')
    return "\n".join([*lines, *by_code["200"], *by_code["500"], "# EOF", ""])


@pytest.mark.server("prometheus")
def test_a_prometheus_is_asked_for_slots_of_half_a_minute(tmp_path: Path) -> None:
    (tmp_path / "catalog").mkdir()
    with prometheus(tmp_path / "server", backfill=counters()) as server:
        (tmp_path / "catalog" / "slo.yaml").write_text(CATALOG.format(url=server.url))
        now = datetime.fromtimestamp(START + SCRAPES * STEP, UTC)
        world = build_world(Settings(str(tmp_path / "catalog"), f"sqlite:///{tmp_path}/store.db", "any", now))
        with contextlib.closing(world.source("prometheus")):
            found = BACKTEST.run(world, BacktestRequest(
                "web", policy=("workbook", "threshold"), step="30s", since=(now - timedelta(hours=12)).isoformat()))
    assert found.step_seconds == STEP
    assert found.bad == pytest.approx(len(OUTAGE) * EACH / 2, rel=1e-6)
    (burst,) = found.episodes
    began = START + (OUTAGE[0] - 1) * STEP  # what a scrape sees happened in the half minute before it
    assert burst.start.timestamp() == pytest.approx(began, abs=STEP)
    # 14.4 % of an hour at half of the requests: 17 min 17 s; 1 % of five minutes is passed in the first half minute.
    assert burst.paged_after_seconds["workbook"] == pytest.approx(3600 * 0.144 / 0.5, abs=STEP)
    assert burst.paged_after_seconds["threshold"] == pytest.approx(300 + STEP, abs=STEP)
