"""A real Alertmanager takes the routes, delivers, and lets a fast burn silence the slow ones of the same objective."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from mainstay.monitoring.alertmanager import configuration, inhibitions
from mainstay.monitoring.rulefile import AlertRule
from monitoring.objectives import alerting, objective, planned
from programs import need
from servers.prometheus import Server, running

pytestmark = pytest.mark.server("prometheus-alertmanager")

PLANS = [planned(objective(name), alerting(group_by=("cluster",))) for name in ("checkout", "search")]


@contextmanager
def receiver() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A webhook: its address, and the labels of every alert that arrived."""
    arrived: list[dict[str, str]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            arrived.extend(alert["labels"] | {"receiver": body["receiver"]} for alert in body["alerts"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", arrived
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def alertmanager(folder: Path, text: str) -> Iterator[Server]:
    program = need("prometheus-alertmanager")
    folder.mkdir(exist_ok=True)
    (folder / "alertmanager.yml").write_text(text)
    with running([program, f"--config.file={folder / 'alertmanager.yml'}", f"--storage.path={folder / 'data'}",
                  "--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="], folder, "/-/ready") as server:
        yield server


def fired(slo: str, tier: str, cluster: str = "a") -> dict[str, object]:
    """The alert as Prometheus would send it."""
    (rule,) = [rule for plan in PLANS if plan.objective.name == slo for rule in plan.rules
               if isinstance(rule, AlertRule) and rule.labels["tier"] == tier]
    return {"labels": {"alertname": rule.alert, "cluster": cluster, **rule.labels},
            "startsAt": datetime.now(UTC).isoformat(), "endsAt": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}


Told = set[tuple[str, str, str, str]]


def told(alerts: Sequence[dict[str, object]], tmp_path: Path, awaited: Told) -> Told:
    """Who was told of what: receiver, objective, tier, cluster; once all that is awaited has come, and then some."""
    with receiver() as (url, arrived):
        def heard() -> Told:
            return {(one["receiver"], one["slo"], one["tier"], one["cluster"]) for one in list(arrived)}

        text = configuration(PLANS).replace("group_wait: 30s", "group_wait: 1s")
        for name in ("page", "ticket"):
            text = text.replace(f"  - name: {name}\n", f"  - name: {name}\n    webhook_configs: [{{url: '{url}'}}]\n")
        with alertmanager(tmp_path / "am", text) as server:
            httpx.post(f"{server.url}/api/v2/alerts", json=list(alerts), trust_env=False).raise_for_status()
            until = time.monotonic() + 60
            while time.monotonic() < until and not awaited <= heard():
                time.sleep(0.1)
            time.sleep(2)  # what is silenced would have come with the others
        return heard()


def test_a_fast_burn_silences_the_slow_ones_of_its_objective_and_cluster_only(tmp_path):
    awaited = {("page", "checkout", "page-1h", "a"), ("ticket", "checkout", "ticket-1d", "b"),
               ("ticket", "search", "ticket-3d", "a"), ("ticket", "checkout", "budget-100", "a")}
    heard = told([fired("checkout", "page-1h"), fired("checkout", "page-6h"), fired("checkout", "ticket-3d"),
                  fired("checkout", "ticket-1d", cluster="b"), fired("search", "ticket-3d"),
                  fired("checkout", "budget-100"), fired("checkout", "budget-75")], tmp_path, awaited)
    assert heard == awaited


def test_amtool_finds_no_fault_and_routes_by_severity(tmp_path):
    file = tmp_path / "alertmanager.yml"
    file.write_text(configuration(PLANS))
    checked = subprocess.run([need("amtool"), "check-config", str(file)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    for severity in ("page", "ticket"):
        routed = subprocess.run([need("amtool"), "config", "routes", "test", f"--config.file={file}",
                                 f"severity={severity}"], capture_output=True, text=True, check=True)
        assert routed.stdout.strip() == severity


def test_each_tier_silences_every_slower_one():
    assert dict(inhibitions(PLANS)) == {
        "page-1h": ("page-6h", "ticket-1d", "ticket-3d"), "page-6h": ("ticket-1d", "ticket-3d"),
        "ticket-1d": ("ticket-3d",), "budget-100": ("budget-75",)}
