"""The whole of it with real programs: a Prometheus that counts, Mainstay that judges, a Prometheus that scrapes it."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from command import mainstay
from e2e.live import Serving, on_files, on_prometheus, rewrite, serving, until
from mainstay.adapters.clock import SystemClock
from mainstay.adapters.store import open_store
from mainstay.kernel.journal import FactQuery
from programs import need
from servers.history import SLOT, History, counter_samples, exposition, failing_spike, late_errors, open_metrics
from servers.prometheus import Scrape, Server, prometheus, victoria_metrics

pytestmark = pytest.mark.server("prometheus")

# -- one history, three engines -----------------------------------------------------------------------------------

HISTORIES = (failing_spike(days=14, steady=5), late_errors(days=21, steady=8))


def _written(folder: Path, history: History) -> str:
    """Every request of the history as a line of JSON."""
    path = folder / f"{history.name}.jsonl"
    with path.open("w") as lines:
        for start, bad, total in history.slots:
            for nth in range(total):
                status = 500 if nth < bad else 200
                lines.write(f'{{"time": {start + nth * SLOT // total}, "status": {status}}}\n')
    return str(path)


def _report(folder: Path, catalog: Path, history: History) -> dict[str, object]:
    folder.mkdir(exist_ok=True)
    at = datetime.fromtimestamp(history.end, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    found = mainstay(folder, "slo", "report", "-c", str(catalog), "--as-of", at, "--json").json
    return found["objectives"][0]  # type: ignore[no-any-return]


@pytest.mark.server("victoria-metrics")
@pytest.mark.parametrize("history", HISTORIES, ids=lambda history: history.name)
def test_the_same_events_give_the_same_budget_wherever_they_are_counted(tmp_path: Path, history: History) -> None:
    need("victoria-metrics")
    samples = {history.name: counter_samples(history)}
    found = {"files": _report(tmp_path / "f", on_files(tmp_path / "files", _written(tmp_path, history)), history)}
    with prometheus(tmp_path / "prometheus", backfill=open_metrics(samples)) as server:
        catalog = on_prometheus(tmp_path / "prom", server.url, history.name)
        found["prometheus"] = _report(tmp_path / "p", catalog, history)
    with victoria_metrics(tmp_path / "victoria", backfill=exposition(samples)) as server:
        catalog = on_prometheus(tmp_path / "vm", server.url, history.name)
        found["victoria"] = _report(tmp_path / "v", catalog, history)

    since = history.end - 7 * 86_400
    bad = sum(row[1] for row in history.slots if row[0] >= since)
    total = sum(row[2] for row in history.slots if row[0] >= since)
    for engine, one in found.items():
        assert one["total"] == pytest.approx(total, rel=1e-6), engine
        assert one["consumption_percent"] == pytest.approx(bad / total / 0.01 * 100, rel=1e-6), engine


# -- serving ------------------------------------------------------------------------------------------------------


def recent(share: int = 50) -> History:
    """Two days up to the last whole slot; one request in `share` fails."""
    end = int(time.time()) // SLOT * SLOT
    return History("shop", tuple((start, 100 // share, 100) for start in range(end - 2 * 86_400, end, SLOT)))


@pytest.fixture
def counting(tmp_path: Path) -> Iterator[Server]:
    """A Prometheus that holds two days of the shop: twice the budget is spent."""
    with prometheus(tmp_path / "counting", backfill=open_metrics({"shop": counter_samples(recent())})) as server:
        yield server


def _ready(server: Serving) -> None:
    until(lambda: True if server.get("/readyz").status_code == 200 else None, 60, lambda: "".join(server.said),
          server.process)


def test_a_scraped_gauge_equals_the_report(tmp_path: Path, counting: Server) -> None:
    catalog = on_prometheus(tmp_path / "slos", counting.url, "shop")
    with serving(tmp_path, "-c", str(catalog), "--every", "2s") as server:
        _ready(server)
        target = server.url.removeprefix("http://")
        with prometheus(tmp_path / "scraping", scrapes=[Scrape("mainstay", target)]) as scraping:
            def equal() -> bool | None:
                scraped = httpx.get(f"{scraping.url}/api/v1/query", trust_env=False, params={
                    "query": "mainstay_slo_error_budget_remaining_ratio"}).json()["data"]["result"]
                told = server.report()["remaining_percent"]
                return True if scraped and float(scraped[0]["value"][1]) == pytest.approx(told / 100) else None

            until(equal, 60, lambda: "the gauge and the report differ", server.process)
            labels = httpx.get(f"{scraping.url}/api/v1/series", trust_env=False, params={
                "match[]": "mainstay_slo_error_budget_remaining_ratio"}).json()["data"][0]

        assert (labels["objective"], labels["exported_service" if "exported_service" in labels else "service"],
                labels["window"]) == ("web", "shop", "7d rolling")
        by_command = mainstay(tmp_path, "slo", "report", "-c", str(catalog), "--offline", "--json").json
        assert by_command["objectives"][0]["remaining_percent"] == pytest.approx(server.report()["remaining_percent"])
        assert by_command["objectives"][0]["consumption_percent"] == pytest.approx(200)


def test_it_ends_when_told_within_five_seconds(tmp_path: Path, counting: Server) -> None:
    catalog = on_prometheus(tmp_path / "slos", counting.url, "shop")
    with serving(tmp_path, "-c", str(catalog), "--every", "2s") as server:
        _ready(server)
        begun = time.monotonic()
        server.process.send_signal(signal.SIGTERM)

        code = server.process.wait(60)

    assert time.monotonic() - begun < 5
    assert code == 0, "".join(server.said)


def test_when_the_prometheus_dies_the_page_and_the_gauges_go_on_and_say_they_are_old(tmp_path: Path,
                                                                                    counting: Server) -> None:
    catalog = on_prometheus(tmp_path / "slos", counting.url, "shop")
    with serving(tmp_path, "-c", str(catalog), "--every", "1s") as server:
        _ready(server)
        counting.process.kill()
        counting.process.wait()

        until(lambda: True if "stale" in server.get("/").text.lower() else None, 60, lambda: "never stale",
              server.process)

        assert server.get("/").status_code == 200
        assert server.get("/slo/show?name=web").status_code == 200
        assert "mainstay_slo_error_budget_remaining_ratio{" in server.get("/metrics").text
        assert server.report()["consumption_percent"] == pytest.approx(200)
        assert (server.get("/healthz").status_code, server.get("/readyz").status_code) == (200, 200)


def test_policies_are_enforced_and_notices_sent_while_it_serves(tmp_path: Path, counting: Server) -> None:
    catalog = on_prometheus(tmp_path / "slos", counting.url, "shop")
    with serving(tmp_path, "-c", str(catalog), "--every", "1s") as server:
        until(lambda: True if any("notice for" in line for line in list(server.said)) else None, 60,
              lambda: "".join(server.said), server.process)
        gate = mainstay(tmp_path, "slo", "gate", "-c", str(catalog), "--offline", "--json")

    assert (gate.code, gate.json["verdict"]) == (1, "closed")
    assert "all-changes" in gate.json["objectives"][0]["frozen"]


def _facts(folder: Path) -> list[tuple[int, str, str]]:
    store = open_store(f"sqlite:///{folder}/mainstay.db", SystemClock())
    try:
        return [(one.seq, one.kind, one.subject) for one in store.journal.facts(FactQuery())]
    finally:
        store.close()


def test_a_server_that_is_killed_and_started_again_loses_no_fact_and_repeats_none(tmp_path: Path,
                                                                                  counting: Server) -> None:
    words = ("-c", str(on_prometheus(tmp_path / "slos", counting.url, "shop")), "--every", "1s")
    with serving(tmp_path, *words) as server:
        until(lambda: True if any("notice for" in line for line in list(server.said)) else None, 60,
              lambda: "".join(server.said), server.process)
        server.process.kill()
        server.process.wait()
    before = _facts(tmp_path)
    mainstay(tmp_path, "record", "incident", "shop", "--text", "killed", "--key", "once")

    with serving(tmp_path, *words) as server:
        _ready(server)
        until(lambda: True if len([one for one in _facts(tmp_path) if one[1] == "notice.sent"]) >= 3 else None, 60,
              lambda: str(_facts(tmp_path)), server.process)
    after = _facts(tmp_path)

    assert after[: len(before)] == before
    for kind in ("slo.zone-entered", "slo.incident-due", "incident.opened", "incident.recorded"):
        assert len([one for one in after if one[1] == kind]) == 1, kind


def test_health_needs_nothing_and_tokens_open_the_rest(tmp_path: Path, counting: Server) -> None:
    catalog = on_prometheus(tmp_path / "slos", counting.url, "shop")
    secret = mainstay(tmp_path, "token", "create", "grafana", "--json").json["secret"]
    with serving(tmp_path, "-c", str(catalog), "--every", "2s") as server:
        _ready(server)
        report = "/api/v1/slo/report?offline=true"

        assert server.get("/healthz").status_code == 200
        assert server.get(report).status_code == 401
        assert server.get("/metrics").status_code == 401
        assert server.get(report, authorization="Bearer wrong").status_code == 401
        assert server.get(report, authorization=f"Bearer {secret}").status_code == 200
        assert server.get("/metrics", authorization=f"Bearer {secret}").status_code == 200
        with server.client as client:
            refused = client.post("/api/v1/slo/enforce", json={}, headers={"authorization": f"Bearer {secret}"})
        assert refused.status_code == 403, "a token that reads does not write"

        assert mainstay(tmp_path, "token", "revoke", "grafana").code == 0
        assert server.get(report, authorization=f"Bearer {secret}").status_code == 401


def test_a_catalog_that_changes_is_read_again_and_a_mistake_in_it_keeps_the_old_one(tmp_path: Path,
                                                                                    counting: Server) -> None:
    catalog = on_prometheus(tmp_path / "slos", counting.url, "shop")
    file = catalog / "slos.yaml"
    with serving(tmp_path, "-c", str(catalog), "--every", "1s") as server:
        _ready(server)
        rewrite(file, file.read_text().replace("target: 99\n", "target: 95\n"))
        until(lambda: True if server.report()["target"] == 0.95 else None, 60, lambda: "the old target", server.process)
        rewrite(file, file.read_text().replace("target: 95\n", "target: 950\n"))
        until(lambda: True if any("mistakes" in line for line in list(server.said)) else None, 60,
              lambda: "".join(server.said), server.process)

        assert server.report()["target"] == 0.95


def test_a_history_that_is_asked_for_again_changes_nothing(tmp_path: Path, counting: Server) -> None:
    catalog = on_prometheus(tmp_path / "slos", counting.url, "shop")
    at = (datetime.now(UTC) - timedelta(minutes=6)).strftime("%Y-%m-%dT%H:%M:%SZ")
    first, second = (mainstay(tmp_path, "slo", "report", "-c", str(catalog), "--as-of", at, "--json").json
                     for _ in range(2))
    compared = json.loads(mainstay(tmp_path, "slo", "recompute", "-c", str(catalog), "--as-of", at, "--dry-run",
                                   "--json").out)

    assert first == second
    assert compared["objectives"][0]["changed"] == 0
