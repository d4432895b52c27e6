"""200 indicators × 30 days from a real Prometheus: our reading beside the bare HTTP calls of the same queries.

The rival is httpx alone: the same query texts over the same number of connections, answers received and thrown away.
What we take longer is the price of decoding, checking and building the series. Run: python bench/prometheus_source.py
"""

from __future__ import annotations

import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from mainstay.adapters.prometheus import PrometheusSettings, PrometheusSource
from mainstay.kernel.ports import CountRequest, PromQuery
from mainstay.kernel.quantity import Span
from servers.history import METRIC, SLOT, START, counter_samples, day_and_night, open_metrics
from servers.prometheus import prometheus

INDICATORS, JOBS, DAYS, ROUNDS, AT_ONCE = 200, 20, 30, 3, 8


def bare(url: str, texts: list[str], end: int) -> int:
    """Bytes of all answers, after decompression."""
    with httpx.Client(timeout=60, limits=httpx.Limits(max_connections=AT_ONCE)) as client, ThreadPoolExecutor(
            AT_ONCE) as pool:
        def ask(text: str) -> int:
            answer = client.post(f"{url}/api/v1/query_range", data={
                "query": text, "start": START + SLOT, "end": end, "step": SLOT})
            return len(answer.raise_for_status().content)
        return sum(pool.map(ask, texts))


def main() -> None:
    history = day_and_night(DAYS)
    samples = counter_samples(history)
    span = Span(datetime.fromtimestamp(START, UTC), datetime.fromtimestamp(history.end, UTC))
    # A matcher that everything passes keeps the queries apart: back-filling 200 jobs would take most of the time.
    apart = [f'job="j{nth % JOBS}",copy!="{nth}"' for nth in range(INDICATORS)]
    requests = [CountRequest(PromQuery(f"{METRIC}{{{matchers}}}", counter=True), span,
                             bad=PromQuery(f'{METRIC}{{{matchers},code="500"}}', counter=True)) for matchers in apart]
    with tempfile.TemporaryDirectory() as folder, prometheus(
            Path(folder), backfill=open_metrics({f"j{nth}": samples for nth in range(JOBS)})) as server:
        ours, rival = [], []
        for _ in range(ROUNDS):
            began, spent = time.perf_counter(), time.process_time()
            with PrometheusSource(PrometheusSettings(server.url, at_once=AT_ONCE)) as source:
                readings = source.count(requests)
            ours.append((time.perf_counter() - began, time.process_time() - spent))
            began, spent = time.perf_counter(), time.process_time()
            size = bare(server.url, [text for reading in readings for text in reading.asked], history.end)
            rival.append((time.perf_counter() - began, time.process_time() - spent))
        assert all(reading.series.bad_sum == history.bad for reading in readings), "the benchmark reads the truth"
        print(f"{INDICATORS} indicators × {DAYS} days of slots, {2 * INDICATORS} queries, {size / 1e6:.0f} MB of JSON")
        print("               wall (best)   own CPU (best)")
        for name, runs in (("mainstay", ours), ("httpx alone", rival)):
            print(f"  {name:<12} {min(wall for wall, _ in runs):7.2f} s     {min(cpu for _, cpu in runs):7.2f} s")
        print(f"  ratio        {min(ours)[0] / min(rival)[0]:7.2f}")


if __name__ == "__main__":
    main()
