"""How the shop starts, restarts and ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from running_shop import EXAMPLES, Answer, RunningShop, eventually, is_running, run_shop, running_shop

SERVICES = ("web", "api", "auth", "cache", "orders")


def test_the_whole_shop_is_ready_within_five_seconds(tmp_path: Path) -> None:
    began = time.monotonic()
    with running_shop(tmp_path / "run") as shop:
        assert time.monotonic() - began < 5
        rows = json.loads(shop.run("status", "--json").stdout)
    assert {row["service"]: row["state"] for row in rows} == dict.fromkeys(SERVICES, "ready")


def test_each_service_is_a_process_of_its_own(shop: RunningShop) -> None:
    assert len({shop.record(name)["pid"] for name in SERVICES} | {shop.supervisor.pid}) == 6


def test_a_killed_supervisor_leaves_no_process(shop: RunningShop) -> None:
    pids = [shop.record(name)["pid"] for name in SERVICES]
    os.kill(shop.supervisor.pid, signal.SIGKILL)
    eventually(lambda: not any(map(is_running, pids)))


def test_a_shop_can_be_tied_to_the_process_that_started_it(tmp_path: Path) -> None:
    start = "import os, subprocess, sys; subprocess.run([*sys.argv[1:], '--die-with', str(os.getpid())])"
    command = [sys.executable, str(EXAMPLES / "shop"), "up", "--run", str(tmp_path), "--services", "cache"]
    with subprocess.Popen([sys.executable, "-c", start, *command], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()  # `ready  cache …`
        pids = [json.loads((tmp_path / f"{name}.json").read_text())["pid"] for name in ("supervisor", "cache")]
        parent.kill()
    eventually(lambda: not any(map(is_running, pids)))


def test_down_stops_everything_without_a_complaint(shop: RunningShop) -> None:
    pids = [shop.record(name)["pid"] for name in SERVICES]
    shop.run("traffic", "--rate", "100/s", "--for", "500ms")
    assert shop.run("down").returncode == 0
    assert shop.supervisor.wait(timeout=60) == 0
    assert not any(map(is_running, pids))
    assert [(shop.folder / "logs" / f"{name}.out").read_text() for name in SERVICES] == [""] * 5


def test_a_service_told_to_stop_finishes_the_request_in_hand(shop: RunningShop) -> None:
    shop.run("knob", "web", "latency_ms=1000")
    answers: list[Answer] = []
    customer = threading.Thread(target=lambda: answers.append(shop.ask("GET", "/")))
    customer.start()
    eventually(lambda: shop.total("web", "http_requests_in_flight") == 1)
    shop.kill("web", signal.SIGTERM)
    customer.join()
    assert answers[0].status == 200
    eventually(lambda: not is_running(shop.record("web")["pid"]))


def test_a_killed_service_stays_down_until_somebody_restarts_it(shop: RunningShop) -> None:
    before = shop.record("cache")
    shop.kill("cache")
    assert shop.run("status").returncode == 1
    assert shop.run("restart", "cache").returncode == 0
    after = shop.record("cache")
    assert (after["port"], shop.run("status").returncode) == (before["port"], 0)
    assert after["pid"] != before["pid"]


def test_a_service_can_be_restarted_while_what_it_needs_is_down(shop: RunningShop) -> None:
    shop.kill("auth")
    shop.kill("api")
    assert shop.run("restart", "api").returncode == 0
    assert shop.ask("GET", "/").status == 200


def test_restarts_at_the_same_time_leave_one_process(shop: RunningShop) -> None:
    restarts = [threading.Thread(target=shop.run, args=("restart", "cache")) for _ in range(3)]
    for restart in restarts:
        restart.start()
    for restart in restarts:
        restart.join()
    assert "x-degraded" not in shop.ask("GET", "/").headers
    assert shop.run("status").returncode == 0


def test_a_service_whose_port_was_taken_meanwhile_comes_back_at_another(shop: RunningShop) -> None:
    port = shop.record("cache")["port"]
    shop.kill("cache")
    with socket.create_server(("127.0.0.1", port)):
        assert shop.run("restart", "cache").returncode == 0
        assert shop.record("cache")["port"] != port
        assert "x-degraded" not in shop.ask("GET", "/").headers


def test_a_paused_service_can_be_restarted(shop: RunningShop) -> None:
    before = shop.record("auth")["pid"]
    shop.kill("auth", signal.SIGSTOP)
    assert shop.run("restart", "auth").returncode == 0
    assert not is_running(before)


def test_a_restart_can_change_the_version(shop: RunningShop) -> None:
    shop.run("restart", "api", "--version-label", "v2")
    assert shop.total("api", "build_info", version="v2") == 1
    shop.ask("GET", "/")
    assert shop.log("api")[-1]["version"] == "v2"


def test_with_restart_the_supervisor_brings_a_dead_service_back(tmp_path: Path) -> None:
    with running_shop(tmp_path / "run", "--restart") as shop:
        before = shop.record("orders")
        shop.kill("orders")
        eventually(lambda: shop.record("orders")["pid"] != before["pid"])
        assert shop.record("orders")["port"] == before["port"]


def test_only_some_services_can_be_started(tmp_path: Path) -> None:
    with running_shop(tmp_path / "run", "--services", "cache,orders") as shop:
        rows = json.loads(shop.run("status", "--json").stdout)
    assert {row["service"] for row in rows} == {"cache", "orders"}


def test_a_canary_runs_beside_the_service_it_may_replace(shop: RunningShop) -> None:
    command = [sys.executable, "-m", "shop", "serve", "api", "--run", str(shop.folder)]
    command += ["--instance", "api-canary", "--version-label", "v2"]
    canary = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(EXAMPLES)})
    try:
        eventually((shop.folder / "api-canary.json").exists)
        shop.run("route", "web", f"api=127.0.0.1:{shop.record('api-canary')['port']}")
        assert shop.ask("GET", "/").status == 200
        assert [(line["service"], line["version"]) for line in shop.log("api-canary")] == [("api", "v2")]
        assert shop.log("api") == []
    finally:
        canary.terminate()
        assert canary.wait(timeout=60) == 0


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_what_somebody_started_in_the_place_of_a_dead_service_ends_with_the_shop(
        shop: RunningShop, end: signal.Signals) -> None:
    shop.kill("cache")
    command = [sys.executable, str(EXAMPLES / "shop"), "serve", "cache", "--run", str(shop.folder)]
    dead = shop.record("cache")["pid"]
    with subprocess.Popen(command, start_new_session=True) as successor:
        eventually(lambda: shop.record("cache")["pid"] != dead)
        shop.kill("supervisor", end)
        assert successor.wait(timeout=60) == 0


def test_a_second_shop_in_the_same_folder_is_refused(shop: RunningShop) -> None:
    answer = shop.run("up")
    assert answer.returncode == 1
    assert "already" in answer.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--knob", "api.lateness=3"), "there is no knob `lateness`"),
        (("--knob", "latency_ms=3"), "does not begin with a service"),
        (("--dependency", "api.billing=127.0.0.1:80"), "there is no dependency `billing`"),
        (("--dependency", "api.auth=127.0.0.1:99999"), "has to be HOST:PORT"),
        (("--services", "web,billing"), "there is no service `billing`"),
    ],
)
def test_a_mistaken_option_is_told_before_anything_starts(tmp_path: Path, words: tuple[str, str], told: str) -> None:
    answer = run_shop("up", "--run", str(tmp_path / "run"), *words)
    assert (answer.returncode, list((tmp_path / "run").glob("*.json"))) == (2, [])
    assert told in answer.stderr


def test_down_without_a_shop_says_that_nothing_runs(tmp_path: Path) -> None:
    answer = run_shop("down", "--run", str(tmp_path / "run"))
    assert answer.returncode == 1
    assert "nothing runs" in answer.stderr


def test_prometheus_is_told_where_to_scrape(calm_shop: RunningShop) -> None:
    targets = json.loads((calm_shop.folder / "targets.json").read_text())
    assert {address for entry in targets for address in entry["targets"]} == {
        f"127.0.0.1:{calm_shop.record(name)['port']}" for name in SERVICES
    }


def test_the_secret_is_the_owners_alone(calm_shop: RunningShop) -> None:
    assert stat.S_IMODE((calm_shop.folder / "secret").stat().st_mode) == 0o600


def test_the_run_folder_holds_the_commands_of_its_own_run(calm_shop: RunningShop, tmp_path: Path) -> None:
    done = subprocess.run([calm_shop.folder / "shop", "status"], cwd=tmp_path, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in SERVICES)


def test_a_service_that_is_killed_is_gone_at_once(shop: RunningShop) -> None:
    pid = shop.record("cache")["pid"]
    assert shop.run("kill", "cache").returncode == 0
    eventually(lambda: not is_running(pid))
    again = shop.run("kill", "cache")
    assert (again.returncode, "does not run" in again.stderr) == (1, True)
