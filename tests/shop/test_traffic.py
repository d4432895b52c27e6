"""Customers keep coming, however slow the shop is."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

from running_shop import EXAMPLES, RunningShop, eventually, run_shop

pytestmark = pytest.mark.alone


def test_all_customers_of_a_healthy_shop_are_served(calm_shop: RunningShop) -> None:
    summary = json.loads(calm_shop.run("traffic", "--rate", "40/s", "--for", "1s").stdout)
    assert summary["sent"] == summary["ok"] == summary["outcomes"]["200"] > 0
    assert summary["p50_ms"] <= summary["p95_ms"] <= summary["p99_ms"]


def test_customers_go_all_the_way_to_their_order(shop: RunningShop) -> None:
    shop.run("traffic", "--rate", "60/s", "--for", "3s")
    routes = {line["route"] for line in shop.log("web")}
    assert routes == {"/", "/products/{id}", "/login", "/cart", "/checkout", "/orders/{id}"}


def test_the_rate_is_kept_while_the_api_is_slow(shop: RunningShop) -> None:
    words = ("traffic", "--rate", "40/s", "--for", "3s", "--seed", "3")
    before = json.loads(shop.run(*words).stdout)
    shop.run("knob", "api", "latency_ms=900")
    slow = json.loads(shop.run(*words).stdout)
    assert slow["sent"] == pytest.approx(before["sent"], rel=0.05)
    assert slow["p50_ms"] >= 900


def test_the_rate_is_kept_while_nobody_can_log_in(shop: RunningShop) -> None:
    words = ("traffic", "--rate", "50/s", "--for", "2s")
    before = json.loads(shop.run(*words).stdout)
    shop.kill("auth")
    without = json.loads(shop.run(*words).stdout)
    assert without["sent"] == before["sent"]
    assert without["outcomes"]["503"] == without["errors"] == without["gave_up"] > 0


def test_a_shop_that_is_gone_is_an_error_per_customer() -> None:
    summary = json.loads(run_shop("traffic", "--to", "127.0.0.1:1", "--rate", "20/s", "--for", "1s").stdout)
    assert summary["errors"] == summary["outcomes"]["unreachable"] == summary["sent"] > 0


def test_stopped_early_it_still_sums_up(calm_shop: RunningShop) -> None:
    command = [sys.executable, str(EXAMPLES / "shop"), "traffic", "--run", str(calm_shop.folder), "--for", "1h"]
    before = calm_shop.total("web", "http_requests_total")
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as customers:
        eventually(lambda: calm_shop.total("web", "http_requests_total") > before)
        asked = time.monotonic() - began
        customers.send_signal(signal.SIGINT)
        output, _ = customers.communicate(timeout=60)
    assert json.loads(output)["seconds"] < asked + 4


@pytest.mark.parametrize("rate", ["0/s", "-1", "many", "5/y"])
def test_an_impossible_rate_is_refused(rate: str) -> None:
    assert run_shop("traffic", f"--rate={rate}").returncode == 2
