"""Who is told when a service of the shop does not answer."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from running_shop import EXAMPLES, RunningShop, eventually
from servers.alertmanager import alertmanager
from servers.fake_receiver import listening


@contextmanager
def _watching(shop: RunningShop, url: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, str(EXAMPLES / "shop"), "watch", "--run", str(shop.folder),
                           "--alertmanager", url], stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()
    assert process.returncode == 0


def test_an_alertmanager_hears_of_what_is_down_and_when_it_is_back(shop: RunningShop, tmp_path: Path) -> None:
    with alertmanager(tmp_path / "am") as am, _watching(shop, am.url):
        def firing() -> list[dict[str, str]]:
            found = httpx.get(f"{am.url}/api/v2/alerts", trust_env=False).json()
            return [one["labels"] for one in found]

        shop.kill("cache")
        eventually(lambda: firing() == [{"alertname": "ServiceDown", "service": "cache", "severity": "high"}])
        assert shop.run("restart", "cache").returncode == 0
        eventually(lambda: firing() == [])


def test_one_that_is_paused_is_down_and_one_that_customers_need_is_critical(shop: RunningShop) -> None:
    with listening(good=200) as told, _watching(shop, told.url):
        shop.kill("orders", signal.SIGSTOP)
        def of_orders() -> list[dict[str, Any]]:
            return [one for body in list(told.bodies) for one in body if one["labels"]["service"] == "orders"]

        eventually(of_orders)
        shop.kill("orders", signal.SIGCONT)
        alert = of_orders()[0]
        assert alert["labels"]["severity"] == "critical"
        assert datetime.fromisoformat(alert["endsAt"]) > datetime.fromisoformat(alert["startsAt"])


def test_what_could_not_be_told_is_told_later_and_said(shop: RunningShop) -> None:
    with listening(good=200) as told, _watching(shop, told.url) as process:
        told.answers = [(500, {})]
        shop.kill("auth")
        eventually(lambda: len(told.bodies) >= 2)
        assert shop.run("restart", "auth").returncode == 0
        eventually(lambda: told.got and told.bodies[-1][0]["endsAt"] < _now())
        process.terminate()
        assert process.stderr is not None
        assert "was not told, tried again: 500" in process.stderr.read()


def test_an_address_that_is_none_is_refused(calm_shop: RunningShop) -> None:
    done = calm_shop.run("watch", "--alertmanager", "localhost:9093")
    assert (done.returncode, "is not an address" in done.stderr) == (2, True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
