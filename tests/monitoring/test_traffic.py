"""Noise judged by measured traffic: what the ledger holds, and what the source says."""

from __future__ import annotations

import pytest

from command import mainstay
from servers.history import DAY, SLOT, START, History, counter_samples, open_metrics
from servers.prometheus import prometheus

CATALOG = """
apiVersion: openslo/v1
kind: DataSource
metadata: {name: prom}
spec: {type: Prometheus, connectionDetails: {url: "%s"}}
---
apiVersion: mainstay/v1
kind: Objective
metadata: {name: quiet, service: shop}
spec:
  indicator: {type: availability, source: prom, total: 'http_requests_total{job="quiet"}',
              bad: 'http_requests_total{job="quiet",code=~"5.."}'}
  target: 99.9
"""


@pytest.mark.server("prometheus")
def test_few_events_are_told_from_the_ledger_and_from_the_source(tmp_path):
    now = START + DAY
    history = History("quiet", tuple((start, 0, 2) for start in range(START, now, SLOT)))
    with prometheus(tmp_path / "prom", backfill=open_metrics({"quiet": counter_samples(history)})) as server:
        (tmp_path / "a.yaml").write_text(CATALOG % server.url)
        at = ("-c", str(tmp_path / "a.yaml"), "--as-of", "2025-03-02")
        asked = mainstay(tmp_path, "monitoring", "rules", *at, "--check-source", "--json").json
        assert mainstay(tmp_path, "slo", "report", *at).code == 0
    told = mainstay(tmp_path, "monitoring", "rules", *at, "--traffic", "--json").json
    for answer in (asked, told):
        assert "since 24 events come in 1h" in answer["warnings"][0]
    assert mainstay(tmp_path, "monitoring", "rules", *at, "--json").json["warnings"] == []


def test_an_empty_ledger_says_nothing_of_traffic(tmp_path):
    (tmp_path / "a.yaml").write_text(CATALOG % "http://127.0.0.1:9")
    answer = mainstay(tmp_path, "monitoring", "rules", "-c", str(tmp_path / "a.yaml"), "--traffic", "--json")
    assert answer.json["warnings"] == []
