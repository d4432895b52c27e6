"""What the services tell about themselves, and the knobs that make it worse."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Callable
from datetime import datetime

import pytest

from programs import need
from running_shop import RunningShop, eventually, running_shop

SERVICES = ("web", "api", "auth", "cache", "orders")


@pytest.mark.server("promtool")
@pytest.mark.parametrize("service", SERVICES)
def test_promtool_finds_no_fault_with_the_metrics(calm_shop: RunningShop, service: str) -> None:
    page = calm_shop.ask("GET", "/metrics", to=service).body
    verdict = subprocess.run([need("promtool"), "check", "metrics"], input=page, capture_output=True, check=False)
    assert (verdict.returncode, verdict.stdout + verdict.stderr) == (0, b"")


def test_metrics_and_access_log_count_the_same(shop: RunningShop) -> None:
    shop.kill("cache")
    shop.run("knob", "orders", "error_rate=0.3")
    shop.run("traffic", "--rate", "60/s", "--for", "2s")
    asked = ("web", "api", "auth", "orders")
    shop.at_rest(*asked)
    for service in asked:
        logged = Counter((line["method"], line["route"], str(line["status"])) for line in shop.log(service))
        counted: Counter[tuple[str, str, str]] = Counter()
        for (name, labels), value in shop.samples(service).items():
            if name == "http_requests_total" and value:
                found = dict(labels)
                counted[found["method"], found["route"], found["code"]] += int(value)
        assert counted == logged
        assert shop.total(service, "http_request_duration_seconds_count") == sum(logged.values())
    assert {line["status"] for line in shop.log("orders")} == {200, 500}


def test_every_known_series_begins_at_zero(shop: RunningShop) -> None:
    samples = shop.samples("web")
    for code in ("200", "500", "503", "504"):
        labels = {("service", "web"), ("method", "POST"), ("route", "/checkout"), ("code", code)}
        assert samples["http_requests_total", frozenset(labels)] == 0
    calls = {("service", "web"), ("dependency", "api"), ("outcome", "timeout")}
    assert samples["dependency_requests_total", frozenset(calls)] == 0


def test_latency_has_a_bucket_at_every_threshold(calm_shop: RunningShop) -> None:
    edges = {dict(labels).get("le") for _, labels in calm_shop.samples("web")}
    assert {"0.1", "0.25", "0.3", "0.5", "1", "2.5", "+Inf"} <= edges


def test_probes_and_scrapes_are_not_counted_as_customers(calm_shop: RunningShop) -> None:
    calm_shop.at_rest("web")
    before = calm_shop.total("web", "http_requests_total"), len(calm_shop.log("web"))
    for path in ("/healthz", "/readyz", "/metrics"):
        calm_shop.ask("GET", path)
    assert (calm_shop.total("web", "http_requests_total"), len(calm_shop.log("web"))) == before


def test_pages_that_do_not_exist_share_one_series(calm_shop: RunningShop) -> None:
    before = calm_shop.total("web", "http_requests_total", route="other", code="404")
    for number in range(3):
        calm_shop.ask("GET", f"/nothing/{number}")
    assert calm_shop.total("web", "http_requests_total", route="other", code="404") == before + 3


def test_a_log_line_says_when_what_how_long_and_which_version(calm_shop: RunningShop) -> None:
    calm_shop.ask("GET", "/products/9")
    line = calm_shop.log("web")[-1]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert (line["path"], line["route"], line["status"]) == ("/products/9", "/products/{id}", 200)
    assert set(line) == {"time", "service", "method", "path", "route", "status", "duration_ms", "request_id", "version"}


def test_the_process_tells_its_cpu_memory_and_start(calm_shop: RunningShop) -> None:
    started = datetime.fromisoformat(calm_shop.record("api")["started"]).timestamp()
    assert calm_shop.total("api", "process_start_time_seconds") == pytest.approx(started, abs=3)
    assert calm_shop.total("api", "process_resident_memory_bytes") > 5e6
    assert calm_shop.total("api", "process_cpu_seconds_total") > 0


def test_the_latency_knob_slows_every_answer(calm_shop: RunningShop, turn: Callable[..., None]) -> None:
    turn("web", "latency_ms=300", "jitter_ms=50")
    assert all(calm_shop.ask("GET", "/").seconds >= 0.3 for _ in range(3))
    eventually(lambda: calm_shop.ask("GET", "/").seconds < 0.5)
    turn("web", "latency_ms=0", "jitter_ms=0")
    eventually(lambda: calm_shop.ask("GET", "/").seconds < 0.3)


def test_the_error_knob_fails_the_share_asked_for(calm_shop: RunningShop, turn: Callable[..., None]) -> None:
    turn("web", "error_rate=1", "error_status=502")
    assert {calm_shop.ask("GET", "/").status for _ in range(5)} == {502}
    turn("web", "error_rate=0.5")
    failed = sum(calm_shop.ask("GET", "/").status == 502 for _ in range(100))
    assert 25 <= failed <= 75  # five standard deviations around 50


def test_knobs_leave_the_pages_for_operators_alone(calm_shop: RunningShop, turn: Callable[..., None]) -> None:
    turn("web", "error_rate=1", "latency_ms=5000")
    answer = calm_shop.ask("GET", "/metrics")
    assert answer.status == 200
    assert answer.seconds < 4.5


def test_knobs_can_be_set_from_the_start(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("shop") / "run"
    with running_shop(folder, "--knob", "web.error_status=418", SHOP_KNOBS="web.error_rate=1") as shop:
        assert shop.ask("GET", "/").status == 418


def test_knobs_need_the_secret(calm_shop: RunningShop) -> None:
    assert calm_shop.ask("POST", "/admin/knobs", {"latency_ms": 1}, x_shop_secret="guess").status == 403


@pytest.mark.parametrize("setting", ["error_rate=1.5", "latency_ms=-1", "error_status=200", "lateness=1", "latency_ms"])
def test_an_impossible_knob_turns_nothing(calm_shop: RunningShop, setting: str) -> None:
    before = calm_shop.run("knob", "api").stdout
    answer = calm_shop.run("knob", "api", "jitter_ms=7", setting)
    assert answer.returncode in (1, 2)
    assert answer.stderr.startswith("shop: ")
    assert calm_shop.run("knob", "api").stdout == before
