"""Self-healing with real processes: a service of the shop is killed, Prometheus sees it, Alertmanager tells Mainstay,
a rule has it restarted, health is proven, the incident is over with its review begun and the saved work booked."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from command import mainstay
from e2e.live import Serving, serving, until
from programs import need
from running_shop import EXAMPLES, RunningShop, running_shop
from servers.alertmanager import alertmanager
from servers.prometheus import Scrape, Server, prometheus

EXAMPLE = EXAMPLES / "10-remediation"
PATIENCE = 50.0


def _catalog(folder: Path, shop: RunningShop, mode: str) -> tuple[str, ...]:
    """The example's own catalog, for this run of the shop and this interpreter, with shorter times."""
    text = (EXAMPLE / "catalog" / "remediation.yaml").read_text()
    for before, after in (("[python3, shop,", f"[{sys.executable}, {EXAMPLES / 'shop'},"), (", folder: ../..", ""),
                          ("/tmp/shop", str(shop.folder)), ("verify: {within: 2m, for: 30s}",
                                                            "verify: {within: 40s, for: 2s}"),
                          ("mode: act", f"mode: {mode}")):
        assert before in text, f"the example says {before}"
        text = text.replace(before, after)
    people = (EXAMPLE / "catalog" / "people.yaml").read_text().replace(", wait: 1m}", "}")
    (folder / "catalog").mkdir(parents=True)
    (folder / "catalog" / "remediation.yaml").write_text(text)
    (folder / "catalog" / "people.yaml").write_text(people)
    return ("-c", "catalog", "--every", "1s")


@contextmanager
def _all_running(folder: Path, mode: str) -> Iterator[tuple[RunningShop, Serving, Server]]:
    need("prometheus")
    with running_shop(folder / "shop") as shop, serving(folder, *_catalog(folder, shop, mode)) as server, \
            alertmanager(folder / "am", f"{server.url}/api/v1/intake/alertmanager") as am:
        rules = folder / "alerts.yaml"
        rules.write_text((EXAMPLE / "alerts.yaml").read_text())
        config = folder / "prometheus"
        port = shop.record("cache")["port"]
        with prometheus(config, rules=[rules], scrapes=[Scrape("cache", f"127.0.0.1:{port}")],
                        flags=("--rules.alert.resend-delay=1s",)) as prom:
            file = config / "prometheus.yml"
            labelled = f"targets: ['127.0.0.1:{port}'], labels: {{service: cache}}"
            file.write_text(file.read_text().replace(f"targets: ['127.0.0.1:{port}']", labelled)
                            + "alerting: {alertmanagers: [{static_configs: [{targets: "
                              f"['{am.url.removeprefix('http://')}']}}]}}]}}\n")
            httpx.post(f"{prom.url}/-/reload", trust_env=False).raise_for_status()
            until(lambda: _up(prom) == "1" or None, 20, lambda: prom.log)
            yield shop, server, prom


def _up(prom: Server) -> str:
    answer = httpx.get(f"{prom.url}/api/v1/query", params={"query": 'up{service="cache"}'}, trust_env=False).json()
    return next((one["value"][1] for one in answer["data"]["result"]), "")


def _remedies(server: Serving) -> dict[str, Any]:
    found: dict[str, Any] = server.get("/api/v1/runbook/remedies?name=restart-when-down").json()
    return found


def _kinds(server: Serving) -> list[str]:
    return [one["kind"] for one in _remedies(server)["decisions"]]


def _is_over(server: Serving) -> dict[str, Any] | None:
    found = server.get("/api/v1/incident/list?last=1h").json()["incidents"]
    over = found and found[0]["status"] == "resolved" and "verified" in _kinds(server)
    return found[0] if over else None


def _what_is_left(folder: Path, incident: str) -> None:
    """A review that was begun, with the whole story in it, and the work that nobody had to do."""
    shown = mainstay(folder, "incident", "show", incident, "-c", "catalog", "--json")
    told = shown.out
    for line in ("restart-when-down on cache: runs restart-service, attempt 1",
                 "restart-when-down on cache: verified: healthy again"):
        assert line in told, told
    review = mainstay(folder, "incident", "postmortem", incident, "-c", "catalog")
    assert review.code == 0, review.err
    assert "restart-when-down" in review.out


@pytest.mark.server("prometheus", "prometheus-alertmanager")
def test_a_service_that_is_killed_is_restarted_verified_reviewed_and_booked(tmp_path: Path) -> None:
    with _all_running(tmp_path, "act") as (shop, server, prom):
        before = shop.record("cache")["pid"]
        shop.kill("cache")
        one = until(lambda: _is_over(server), PATIENCE, lambda: "".join(server.said) + prom.log + str(_remedies(server)))
        assert shop.record("cache")["pid"] != before
        assert shop.ask("GET", "/healthz", to="cache").status == 200
        kinds = _kinds(server)
        assert [kind for kind in kinds if kind in ("triggered", "started", "ran", "verified")] == [
            "triggered", "started", "ran", "verified"]
        metrics = server.get("/metrics").text
        assert 'mainstay_remediation_decisions_total{remediation="restart-when-down",kind="verified"} 1' in metrics
        _what_is_left(tmp_path, one["id"])


@pytest.mark.server("prometheus", "prometheus-alertmanager")
def test_nothing_is_done_before_somebody_approves_and_then_it_is(tmp_path: Path) -> None:
    with _all_running(tmp_path, "approve") as (shop, server, prom):
        before = shop.record("cache")["pid"]
        shop.kill("cache")
        run = until(lambda: _awaiting(tmp_path), PATIENCE, lambda: "".join(server.said) + prom.log)
        assert shop.record("cache")["pid"] == before, "it waits"
        agreed = mainstay(tmp_path, "runbook", "approve", run["id"], "--plan", run["plan"][:12], "-c", "catalog")
        assert agreed.code == 0, agreed.err
        one = until(lambda: _is_over(server), PATIENCE, lambda: "".join(server.said) + str(_remedies(server)))
        assert shop.record("cache")["pid"] != before
        _what_is_left(tmp_path, one["id"])


def _awaiting(folder: Path) -> dict[str, Any] | None:
    found = mainstay(folder, "runbook", "status", "-c", "catalog", "--json").json
    return next((run for run in found["runs"] if run["state"] == "awaiting_approval"), None)
