"""Real senders on a real server: Prometheus, Alertmanager, amtool; and a server that is killed after it said yes."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from command import mainstay
from e2e.live import Serving, serving, until
from programs import need
from servers.alertmanager import alertmanager
from servers.prometheus import prometheus

CATALOG = """\
apiVersion: mainstay/v1
kind: EscalationPolicy
metadata: {name: web}
spec: {steps: [{page: [person:ana], wait: 5m}, {page: [person:ben], wait: 5m}]}
---
apiVersion: mainstay/v1
kind: Routing
metadata: {name: all}
spec: {route: {policy: web, group_by: [alertname, service]}}
---
apiVersion: mainstay/v1
kind: Heartbeat
metadata: {name: backup, service: db}
spec: {every: 1s, grace: 1s}
"""
RULE = """\
groups:
  - name: e2e
    rules:
      - alert: Slow
        expr: vector(1) == %s
        labels: {severity: page, service: web}
        annotations: {summary: web is slow}
"""


def _catalog(folder: Path, text: str = CATALOG) -> tuple[str, ...]:
    (folder / "catalog").mkdir(exist_ok=True)
    (folder / "catalog" / "plan.yaml").write_text(text)
    return ("-c", "catalog")


def _incidents(server: Serving) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.get("/api/v1/incident/list?last=1h").json()["incidents"]
    return found


def _alerts(server: Serving) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.get("/api/v1/incident/alerts").json()["alerts"]
    return found


def _times_said(server: Serving, least: int) -> bool | None:
    alerts = _alerts(server)
    return True if alerts and alerts[0]["count"] >= least else None


def _alert(**labels: str) -> list[dict[str, Any]]:
    return [{"labels": {"alertname": "Slow", "severity": "page", "service": "web", **labels}}]


def test_a_real_prometheus_sends_an_alert_says_it_again_and_resolves_it(tmp_path: Path) -> None:
    need("prometheus")
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULE % 1)
    with serving(tmp_path, *_catalog(tmp_path)) as server:
        config = tmp_path / "prometheus"
        flags = ("--rules.alert.resend-delay=1s",)
        with prometheus(config, rules=[rules], flags=flags) as prom:
            (config / "prometheus.yml").write_text(
                (config / "prometheus.yml").read_text() + "alerting: {alertmanagers: [{static_configs: [{targets: "
                f"['{server.url.removeprefix('http://')}']}}]}}]}}\n")
            httpx.post(f"{prom.url}/-/reload", trust_env=False).raise_for_status()
            until(lambda: _times_said(server, 3), 60, lambda: prom.log + "".join(server.said))
            [one] = _incidents(server)
            assert (one["title"], one["severity"], one["service"], one["status"]) == (
                "web is slow", "SEV2", "web", "open")
            [alert] = _alerts(server)
            assert alert["url"].startswith("http"), "the sender's own page of it"
            until(lambda: any("INC-" in line for line in list(server.said)) or None, 60, lambda: "".join(server.said))
            rules.write_text(RULE % 0)
            httpx.post(f"{prom.url}/-/reload", trust_env=False).raise_for_status()
            until(lambda: _incidents(server)[0]["status"] == "resolved" or None, 60, lambda: prom.log)
        assert len(_incidents(server)) == 1
        assert sum("INC-" in line for line in list(server.said)) == 1, "one page, however often it was said"


def test_a_real_alertmanager_delivers_repeats_and_resolves_through_its_webhook(tmp_path: Path) -> None:
    with serving(tmp_path, *_catalog(tmp_path)) as server, \
            alertmanager(tmp_path / "am", f"{server.url}/api/v1/intake/alertmanager") as am, \
            httpx.Client(base_url=am.url, trust_env=False) as client:
        client.post("/api/v2/alerts", json=_alert()).raise_for_status()
        until(lambda: _times_said(server, 3), 60, lambda: am.log + "".join(server.said))
        [one] = _incidents(server)
        assert (one["status"], one["firing"]) == ("open", 1)
        ended = [{**_alert()[0], "endsAt": datetime.now(UTC).isoformat()}]
        client.post("/api/v2/alerts", json=ended).raise_for_status()
        until(lambda: _incidents(server)[0]["status"] == "resolved" or None, 60, lambda: am.log)
        assert len(_incidents(server)) == 1


def test_amtool_reads_alerts_and_adds_queries_and_expires_a_silence(tmp_path: Path) -> None:
    amtool = need("amtool")
    with serving(tmp_path, *_catalog(tmp_path)) as server:
        def run(*words: str, code: int = 0) -> str:
            done = subprocess.run([amtool, f"--alertmanager.url={server.url}", *words], capture_output=True, text=True,
                                  check=False, env={"HOME": str(tmp_path)})
            assert done.returncode == code, done.stderr
            return done.stdout

        with server.client as client:
            client.post("/api/v2/alerts", json=[*_alert(), *_alert(service="db", alertname="Full")]).raise_for_status()
        names = {one["labels"]["alertname"] for one in json.loads(run("alert", "query", "-o", "json"))}
        assert names == {"Slow", "Full"}
        measured = server.get("/metrics").text
        assert 'mainstay_intake_events_total{outcome="opened"} 2' in measured
        assert "mainstay_alerts_firing 2" in measured
        [one] = json.loads(run("alert", "query", "-o", "json", "service=db"))
        assert one["status"]["state"] == "active"
        silence = run("silence", "add", "service=db", "--comment=planned", "--duration=1h", "--author=ana").strip()
        [made] = json.loads(run("silence", "query", "-o", "json"))
        assert (made["id"], made["createdBy"], made["status"]["state"]) == (silence, "ana", "active")
        [one] = json.loads(run("alert", "query", "-o", "json", "--silenced"))
        assert (one["labels"]["alertname"], one["status"]["silencedBy"]) == ("Full", [silence])
        assert "planned" in mainstay(tmp_path, "incident", "silence", "-c", "catalog").out
        run("silence", "expire", silence)
        assert json.loads(run("silence", "query", "-o", "json")) == []
        [over] = json.loads(run("silence", "query", "-o", "json", "--expired", "--within=1h"))
        assert over["status"]["state"] == "expired"
        run("silence", "expire", "S-99", code=1)
        assert "Mainstay routes" in run("config", "show")


def test_what_was_answered_is_there_after_a_kill_and_pages_by_itself(tmp_path: Path) -> None:
    words = _catalog(tmp_path)
    now = datetime.now(UTC)
    with serving(tmp_path, *words) as server:
        with server.client as client:
            silence = client.post("/api/v2/silences", json={
                "matchers": [{"name": "service", "value": "db", "isRegex": False}], "startsAt": now.isoformat(),
                "endsAt": (now + timedelta(hours=1)).isoformat(), "createdBy": "ana", "comment": "x"}).json()
            with ThreadPoolExecutor(20) as pool:
                answers = list(pool.map(lambda number: client.post(
                    "/api/v2/alerts", json=_alert(alertname=f"a{number % 20}")).status_code, range(200)))
        assert answers == [200] * 200
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
    with serving(tmp_path, *words) as server:
        assert {one["labels"]["alertname"] for one in _alerts(server)} == {f"a{number}" for number in range(20)}
        assert len(_incidents(server)) == 20
        [kept] = server.get("/api/v2/silences").json()
        assert (kept["id"], kept["status"]["state"]) == (silence["silenceID"], "active")
        with server.client as client:
            client.post("/api/v2/alerts", json=_alert(alertname="b", service="db")).raise_for_status()
        assert len(_incidents(server)) == 20, "silenced"


def test_timers_ring_within_a_second_and_whatever_another_process_did_is_followed(tmp_path: Path) -> None:
    with serving(tmp_path, *_catalog(tmp_path)) as server:
        before = time.monotonic()
        server.get("/api/v1/heartbeat/backup").raise_for_status()
        until(lambda: next((line for line in list(server.said) if "backup was not heard of" in line), None), 60,
              lambda: "".join(server.said))
        # Due after two seconds. A busy machine makes it later, but the sources are looked at only once a minute.
        assert 1.9 < time.monotonic() - before < 30
        opened = mainstay(tmp_path, "incident", "open", "checkout answers 500", "--policy", "web", "-c", "catalog",
                          "--json")
        name = opened.json["incident"]["id"]
        until(lambda: next((line for line in list(server.said) if f"{name}: checkout" in line), None), 60,
              lambda: "".join(server.said))
        mainstay(tmp_path, "incident", "ack", name, "--by", "ana", "-c", "catalog")
        assert next(one for one in _incidents(server) if one["id"] == name)["acknowledged_by"] == "ana"
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0


def test_pagerdutys_own_client_works_with_only_the_url_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pagerduty = pytest.importorskip("pagerduty", reason="the client is absent: pagerduty")
    # It speaks https alone.
    subprocess.run([need("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out",
                    "cert.pem", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
                   cwd=tmp_path, check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    intake = """\
---
apiVersion: mainstay/v1
kind: Intake
metadata: {name: checkout, service: checkout}
spec: {format: pagerduty, key_env: CHECKOUT_KEY}
"""
    with serving(tmp_path, *_catalog(tmp_path, CATALOG + intake), "--certificate", "cert.pem", "--private-key",
                 "key.pem", CHECKOUT_KEY="c" * 32) as server, \
            contextlib.closing(pagerduty.EventsApiV2Client("c" * 32)) as client:
        client.url = server.url
        key = client.trigger("disk is full", "db-1", severity="critical", custom_details={"free": "1 %"})
        assert client.acknowledge(key) == key
        assert client.resolve(key) == key
        assert client.trigger("disk is full", "db-1") != key
        with pytest.raises(pagerduty.HttpError, match="dedup_key"):
            client.trigger("disk is full", "db-1", dedup_key="k" * 256)
        listed = mainstay(tmp_path, "incident", "list", "--last", "1h", "-c", "catalog", "--json").json["incidents"]
    assert [(one["service"], one["status"], one["acknowledged_by"]) for one in listed] == [
        ("checkout", "resolved", "checkout"), ("checkout", "open", "")]
