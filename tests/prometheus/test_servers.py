"""The servers that other tests stand on."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest

from servers.prometheus import Scrape, prometheus, victoria_metrics

pytestmark = pytest.mark.server("prometheus")


def value_of(url: str, query: str) -> float | None:
    answer = httpx.get(f"{url}/api/v1/query", params={"query": query}, trust_env=False).json()
    result = answer["data"]["result"]
    return float(result[0]["value"][1]) if result else None


def test_a_prometheus_scrapes_the_target_it_is_given_and_evaluates_rules(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text("groups: [{name: g, rules: [{record: seen, expr: 'up == 1'}]}]\n")

    with prometheus(tmp_path / "target") as target, prometheus(
            tmp_path / "scraper", scrapes=[Scrape("shop", target.url.removeprefix("http://"))],
            rules=[rules]) as scraper:
        until = time.monotonic() + 60
        while value_of(scraper.url, 'seen{job="shop"}') != 1 and time.monotonic() < until:
            time.sleep(0.2)

        assert value_of(scraper.url, 'seen{job="shop"}') == 1


def test_a_server_is_gone_after_its_block(tmp_path: Path) -> None:
    with prometheus(tmp_path) as server:
        pass

    assert server.process.returncode is not None
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url, trust_env=False)


def test_a_server_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="unknown long flag"), prometheus(tmp_path, flags=["--no-such-flag"]):
        pass


def test_two_servers_at_once_do_not_meet(tmp_path: Path) -> None:
    with prometheus(tmp_path / "one") as one, prometheus(tmp_path / "two") as two:
        assert one.url != two.url


@pytest.mark.server("victoria-metrics")
def test_back_filled_samples_of_victoria_metrics_are_there_at_once(tmp_path: Path) -> None:
    with victoria_metrics(tmp_path, backfill="x 7 1740787200000\n") as server:
        answer = httpx.get(f"{server.url}/api/v1/query", params={"query": "x", "time": 1740787201}, trust_env=False)

    assert answer.json()["data"]["result"][0]["value"][1] == "7"
