"""Self-healing with real processes: a service of the shop is killed, Prometheus sees it, Alertmanager tells Mainstay,
a rule has it restarted, health is proven, the incident is over with its review begun and the saved work booked."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from command import mainstay
from e2e.live import Serving, serving, until
from programs import need
from running_shop import EXAMPLES, RunningShop, running_shop
from servers.alertmanager import alertmanager
from servers.prometheus import Scrape, Server, prometheus

EXAMPLE = EXAMPLES / "10-remediation"
PATIENCE = 120.0


def _catalog(folder: Path, shop: RunningShop) -> tuple[str, ...]:
    """The example's own catalog for this run of the shop and this interpreter: shorter times, and a rule a service."""
    text = (EXAMPLE / "catalog" / "remediation.yaml").read_text()
    changes = {
        "[python3, shop,": f"[{sys.executable}, {EXAMPLES / 'shop'},", ", folder: ../..": "",
        "/tmp/shop": str(shop.folder), "verify: {within: 2m, for: 30s}": "verify: {within: 40s, for: 2s}",
        "verify: {within: 5m, for: 2m}": "verify: {within: 40s, for: 2s}",
        '[alertname="ServiceDown"]': '[alertname="ServiceDown", service="cache"]',
        '[alertname="ServiceSlow"]': '[alertname="ServiceDown", service="auth"]',
        'from: "09:00", to: "17:00"': 'from: "00:00", to: "24:00"', "fri]": "fri, sat, sun]"}
    for before, after in changes.items():
        assert before in text, f"the example says {before}"
        text = text.replace(before, after)
    people = (EXAMPLE / "catalog" / "people.yaml").read_text().replace(", wait: 1m}", "}")
    (folder / "catalog").mkdir(parents=True)
    (folder / "catalog" / "remediation.yaml").write_text(text)
    (folder / "catalog" / "people.yaml").write_text(people)
    return ("-c", "catalog", "--every", "1s")


@contextmanager
def _all_running(folder: Path) -> Iterator[tuple[RunningShop, Serving, Server]]:
    need("prometheus")
    with running_shop(folder / "shop") as shop, serving(folder, *_catalog(folder, shop)) as server, \
            alertmanager(folder / "am", f"{server.url}/api/v1/intake/alertmanager") as am:
        rules = folder / "alerts.yaml"
        rules.write_text((EXAMPLE / "alerts.yaml").read_text())
        config = folder / "prometheus"
        ports = {name: shop.record(name)["port"] for name in ("cache", "auth")}
        with prometheus(config, rules=[rules], flags=("--rules.alert.resend-delay=1s",), scrapes=[
                Scrape(name, f"127.0.0.1:{port}") for name, port in ports.items()]) as prom:
            text = (config / "prometheus.yml").read_text()
            for name, port in ports.items():
                targets = f"targets: ['127.0.0.1:{port}']"
                text = text.replace(targets, f"{targets}, labels: {{service: {name}}}")
            (config / "prometheus.yml").write_text(
                text + "alerting: {alertmanagers: [{static_configs: [{targets: "
                f"['{am.url.removeprefix('http://')}']}}]}}]}}\n")
            httpx.post(f"{prom.url}/-/reload", trust_env=False).raise_for_status()
            until(lambda: _up(prom) == {"cache": "1", "auth": "1"} or None, 60, lambda: prom.log)
            yield shop, server, prom


def _up(prom: Server) -> dict[str, str]:
    answer = httpx.get(f"{prom.url}/api/v1/query", params={"query": 'up{service!=""}'}, trust_env=False).json()
    return {one["metric"]["service"]: one["value"][1] for one in answer["data"]["result"]}


def _kinds(server: Serving, rule: str) -> list[str]:
    found = server.get(f"/api/v1/runbook/remedies?name={rule}").json()
    return [one["kind"] for one in found["decisions"]]


def _over(server: Serving, rule: str, service: str) -> str | None:
    """The incident of the service, once it is over and the rule has proven it."""
    listed = server.get("/api/v1/incident/list?last=1h").json()["incidents"]
    over = [one["id"] for one in listed if one["status"] == "resolved" and one["title"].startswith(service)]
    return over[0] if over and "verified" in _kinds(server, rule) else None


def _what_is_left(folder: Path, incident: str, rule: str) -> None:
    """A review that was begun, with the whole story in it."""
    review = mainstay(folder, "incident", "postmortem", incident, "--format", "markdown", "-c", "catalog")
    assert review.code == 0, review.err
    for line in (f"{rule} on", "attempt 1", "verified: healthy again"):
        assert line in review.out, review.out


def _awaiting(server: Serving) -> dict[str, Any] | None:
    found = server.get("/api/v1/runbook/status").json()
    return next((run for run in found["runs"] if run["state"] == "awaiting_approval"), None)


def test_what_is_killed_is_restarted_verified_reviewed_and_booked_and_where_it_must_be_somebody_approves_it_first(
        tmp_path: Path) -> None:
    with _all_running(tmp_path) as (shop, server, prom):
        before = {name: shop.record(name)["pid"] for name in ("cache", "auth")}

        def said() -> str:
            return "".join(server.said) + prom.log + str(_kinds(server, "restart-when-down"))

        shop.kill("cache")
        shop.kill("auth")
        run = until(lambda: _awaiting(server), PATIENCE, said)
        cache = until(lambda: _over(server, "restart-when-down", "cache"), PATIENCE, said)
        assert shop.record("cache")["pid"] != before["cache"]
        assert shop.ask("GET", "/healthz", to="cache").status == 200
        assert [kind for kind in _kinds(server, "restart-when-down")
                if kind in ("triggered", "started", "ran", "verified")] == ["triggered", "started", "ran", "verified"]

        assert shop.record("auth")["pid"] == before["auth"], "nobody has approved it"
        agreed = mainstay(tmp_path, "runbook", "approve", run["id"], "--plan", run["plan"][:12], "-c", "catalog")
        assert agreed.code == 0, agreed.err
        auth = until(lambda: _over(server, "restart-when-slow", "auth"), PATIENCE, said)
        assert shop.record("auth")["pid"] != before["auth"]

        metrics = server.get("/metrics").text
        for rule in ("restart-when-down", "restart-when-slow"):
            assert f'mainstay_remediation_decisions_total{{remediation="{rule}",kind="verified"}} 1' in metrics
        _what_is_left(tmp_path, cache, "restart-when-down")
        _what_is_left(tmp_path, auth, "restart-when-slow")
        saved = mainstay(tmp_path, "toil", "report", "--everyone", "-c", "catalog", "--json").json["saved"]
        assert sum(one["hours"] for one in saved) == 0.4, "twelve minutes of somebody's time, twice"
