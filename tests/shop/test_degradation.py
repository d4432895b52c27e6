"""What still works when a dependency does not."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from running_shop import RunningShop, eventually


def test_without_the_cache_answers_are_right_and_marked(shop: RunningShop) -> None:
    whole = shop.ask("GET", "/products/5")
    shop.kill("cache")
    degraded = shop.ask("GET", "/products/5")
    assert (degraded.status, degraded.data) == (200, whole.data)
    assert degraded.headers["x-degraded"] == "cache"
    assert "x-degraded" not in whole.headers
    assert [line.get("degraded") for line in shop.log("web")] == [None, "cache"]


def test_a_slow_cache_is_waited_for_briefly_and_then_gone_round(shop: RunningShop) -> None:
    shop.run("knob", "cache", "latency_ms=3000")
    answers = [shop.ask("GET", "/") for _ in range(8)]
    assert {(answer.status, answer.headers["x-degraded"]) for answer in answers} == {(200, "cache")}
    assert max(answer.seconds for answer in answers) < 2.9, "not the three seconds of the cache"
    assert shop.total("api", "dependency_requests_total", dependency="cache", outcome="timeout") >= 5
    assert shop.total("api", "dependency_requests_total", dependency="cache", outcome="rejected") > 0


def test_without_auth_a_login_fails_fast_and_says_why(shop: RunningShop) -> None:
    shop.kill("auth")

    def fast() -> bool:
        answer = shop.ask("POST", "/login", {"user": "ada", "password": "let-me-in"})
        assert (answer.status, answer.data["error"]) == (503, "auth_unavailable")
        return answer.seconds < 0.3

    eventually(fast)
    assert shop.ask("GET", "/").status == 200


def test_calls_to_a_hanging_auth_stop_after_five_and_start_again_when_it_recovers(shop: RunningShop) -> None:
    proof = shop.log_in()
    shop.kill("auth", signal.SIGSTOP)
    statuses = [shop.ask("POST", "/checkout", **proof).status for _ in range(5)]
    held_back = shop.ask("POST", "/checkout", **proof)
    assert {*statuses, held_back.status} == {503}
    assert held_back.seconds < 0.2
    assert shop.total("api", "dependency_breaker_open", dependency="auth") == 1
    assert shop.total("api", "resilience_breaker_state", strategy="auth", state="open") == 1
    assert shop.total("api", "dependency_requests_total", dependency="auth", outcome="timeout") == 5
    shop.kill("auth", signal.SIGCONT)
    eventually(lambda: shop.ask("POST", "/checkout", **proof).status == 409)  # an empty cart: auth was asked again
    assert shop.total("api", "dependency_breaker_open", dependency="auth") == 0


def test_without_orders_products_are_read_from_the_cache_and_nothing_is_written(shop: RunningShop) -> None:
    proof = shop.log_in()
    whole = shop.ask("GET", "/products/7")
    shop.kill("orders")
    assert shop.ask("GET", "/products/7").data == whole.data
    assert shop.ask("GET", "/products/8").status == 503
    write = shop.ask("POST", "/cart", {"product": "7", "count": 1}, **proof)
    assert (write.status, write.data["error"]) == (503, "orders_unavailable")


def test_without_the_api_web_says_so(shop: RunningShop) -> None:
    shop.kill("api")
    answer = shop.ask("GET", "/")
    assert (answer.status, answer.data["error"]) == (503, "api_unavailable")
    assert shop.ask("GET", "/readyz", to="web").status == 503
    assert shop.ask("GET", "/healthz", to="web").status == 200


def test_failures_behind_the_api_do_not_close_the_way_to_the_api(shop: RunningShop) -> None:
    shop.kill("auth")
    for _ in range(7):
        assert shop.ask("POST", "/login", {"user": "ada", "password": "let-me-in"}).status == 503
    assert shop.ask("GET", "/").status == 200


def test_nobody_works_longer_than_the_caller_waits(calm_shop: RunningShop, turn: Callable[..., None]) -> None:
    turn("api", "latency_ms=1500")
    answer = calm_shop.ask("GET", "/", x_deadline_ms="150")
    assert (answer.status, answer.data["error"]) == (504, "deadline_exceeded")
    assert answer.seconds < 1.4


def test_hurried_customers_do_not_close_the_way_for_the_others(shop: RunningShop) -> None:
    for _ in range(8):
        shop.ask("GET", "/", x_deadline_ms="12")
    assert shop.ask("GET", "/").status == 200
    assert shop.total("web", "dependency_requests_total", outcome="rejected") == 0


def test_something_can_be_put_between_two_services_and_taken_away(calm_shop: RunningShop) -> None:
    calm_shop.run("route", "api", "auth=127.0.0.1:1")
    assert calm_shop.ask("POST", "/login", {"user": "ada", "password": "let-me-in"}).status == 503
    calm_shop.run("route", "api", "auth=")
    assert calm_shop.ask("POST", "/login", {"user": "ada", "password": "let-me-in"}).status == 200


@pytest.mark.parametrize("word", ["auth=nowhere", "billing=127.0.0.1:1"])
def test_a_dependency_or_address_that_cannot_be_is_refused(calm_shop: RunningShop, word: str) -> None:
    assert calm_shop.run("route", "api", word).returncode == 1


def test_a_restarted_service_is_found_over_kept_connections_without_an_error(shop: RunningShop) -> None:
    for _ in range(3):
        shop.ask("GET", "/")
    for service in ("api", "cache", "orders"):
        assert shop.run("restart", service).returncode == 0
        assert shop.ask("GET", "/").status == 200
    time.sleep(0.01)
    assert {line["status"] for line in shop.log("web")} == {200}
