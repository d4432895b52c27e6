"""Alerts while a real Prometheus comes and goes, and their page in a real browser."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from command import mainstay
from e2e.live import Serving, on_prometheus, serving, until
from programs import need
from servers.history import SLOT, History, counter_samples, open_metrics
from servers.nowhere import nobody_listens
from servers.prometheus import Scrape, fill_blocks, prometheus

pytestmark = pytest.mark.server("prometheus")
DAY = 86_400
AHEAD = 3600
"""Seconds of what is still to come, in a history from which a test reads while time goes on."""


def _end() -> int:
    return int(time.time()) // SLOT * SLOT


def troubled(end: int, *, until_: int | None = None) -> History:
    """Two days up to `end`: half of the requests failed for half an hour, three hours ago, and fail since an hour.

    With an `until_` after it they go on to fail: it is asked for only as far as it is past, and a slot that ends while
    a test runs must not seem to be one in which nobody asked for anything.
    """
    def bad(start: int) -> int:
        ago = end - start
        return 50 if ago <= 3600 or 3 * 3600 < ago <= 3 * 3600 + 1800 else 0

    return History("shop", tuple((start, bad(start), 100) for start in range(end - 2 * DAY, until_ or end, SLOT)))


def _ready(server: Serving) -> None:
    until(lambda: True if server.get("/readyz").status_code == 200 else None, 60, lambda: "".join(server.said),
          server.process)


def _alerts(folder: Path, catalog: Path) -> dict[str, dict[str, Any]]:
    found = mainstay(folder, "monitoring", "alerts", "-c", str(catalog), "--json").json
    return {one["tier"]: one for one in found["alerts"]}


def test_over_an_outage_the_figures_go_stale_and_afterwards_nothing_is_missing(tmp_path: Path) -> None:
    """A Prometheus that knows nothing of the last two hours is killed, and comes back on its port knowing all."""
    with nobody_listens() as port:
        _over_an_outage(tmp_path, _end(), port)


def _over_an_outage(tmp_path: Path, end: int, port: int) -> None:
    flags = [f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=100y", "--log.level=warn"]
    url = f"http://127.0.0.1:{port}"

    def started(name: str, history: History) -> Any:
        data = tmp_path / name / "data"
        data.mkdir(parents=True)
        fill_blocks(open_metrics({"shop": counter_samples(history)}), data)
        (tmp_path / name / "p.yml").write_text("global: {}\n")
        command = [need("prometheus"), f"--config.file={tmp_path / name / 'p.yml'}", f"--storage.tsdb.path={data}"]
        return OnPort([*command, *flags], tmp_path / name, url)

    catalog = on_prometheus(tmp_path / "slos", url, "shop")
    before = troubled(end, until_=end - 2 * 3600)
    with serving(tmp_path, "-c", str(catalog), "--every", "1s") as server:
        with started("first", before) as first:
            _ready(server)
            stale = until(lambda: one if (one := server.report())["stale"] else None, 60, lambda: "not stale")
            first.kill()
            first.wait()
        until(lambda: True if "stale since" in server.get("/").text else None, 60,
              lambda: "the overview does not say since when it is stale", server.process)
        assert server.report()["consumption_percent"] == pytest.approx(stale["consumption_percent"]), "no false budget"
        assert "stale since" in server.get("/monitoring").text
        alerts = _alerts(tmp_path, catalog)
        assert alerts["page-1h"]["stale"]
        assert alerts["page-1h"]["state"] == "inactive"

        whole = troubled(end)
        with started("second", troubled(end, until_=end + AHEAD)):
            until(lambda: True if server.report()["total"] >= whole.total else None, 60,
                  lambda: str(server.report()), server.process)
            found = server.report()
            until(lambda: True if _alerts(tmp_path, catalog)["page-1h"]["state"] == "firing" else None, 60,
                  lambda: str(_alerts(tmp_path, catalog)), server.process)
    later = troubled(end, until_=end + SLOT * round((found["total"] - whole.total) / 100))
    assert later.end <= time.time(), "no slot is counted before it is over"
    assert (found["total"], found["stale"]) == (pytest.approx(later.total), False)
    assert found["good"] == pytest.approx(later.total - later.bad)
    audited = mainstay(tmp_path, "monitoring", "audit", "-c", str(catalog), "--recorded-only", "--json").json
    pages = next(one for one in audited["alerts"] if one["name"] == "web page-1h")
    assert pages["firings"] == 2, "the one before the outage and the one that began during it, each once"


class OnPort:
    """A process on a port that was chosen before, ready when the block begins."""

    def __init__(self, command: list[str], folder: Path, url: str) -> None:
        self._command, self._folder, self._url = command, folder, url

    def __enter__(self) -> Any:
        self._log = (self._folder / "log.txt").open("wb")
        self.process = subprocess.Popen(self._command, stdout=self._log, stderr=self._log, cwd=self._folder)

        def ready() -> bool | None:
            try:
                return httpx.get(self._url + "/-/ready", trust_env=False).status_code == 200 or None
            except httpx.TransportError:
                return None

        until(ready, 60, (self._folder / "log.txt").read_text, self.process)
        return self.process

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._log.close()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[tuple[Serving, Path]]:
    """A server over a Prometheus in trouble, whose own rules see nothing of it."""
    rules = tmp_path / "rules.yml"
    rules.write_text("""groups:
- name: g
  rules:
  - {alert: Burn, expr: 'vector(0) > 1', labels: {slo: web, tier: page-1h, severity: page}}
""")
    end = _end()
    history = open_metrics({"shop": counter_samples(troubled(end, until_=end + AHEAD))})
    with prometheus(tmp_path / "p", backfill=history, rules=[rules]) as counting:
        catalog = on_prometheus(tmp_path / "slos", counting.url, "shop")
        with serving(tmp_path, "-c", str(catalog), "--every", "1s") as server:
            _ready(server)
            yield server, catalog


def test_another_prometheus_scrapes_how_the_alerts_stand(tmp_path: Path, watched: tuple[Serving, Path]) -> None:
    server, _ = watched
    with prometheus(tmp_path / "s", scrapes=[Scrape("mainstay", server.url.removeprefix("http://"))]) as scraping:
        def firing() -> list[str] | None:
            found = httpx.get(f"{scraping.url}/api/v1/query", trust_env=False, params={
                "query": 'mainstay_alert_state{state="firing"} == 1'}).json()["data"]["result"]
            return sorted(one["metric"]["tier"] for one in found) or None

        assert until(firing, 60, lambda: server.get("/metrics").text)[0] == "page-1h"


def test_what_the_rules_of_the_prometheus_say_otherwise_is_on_the_page(watched: tuple[Serving, Path]) -> None:
    server, _ = watched
    # Its first look at the rules may be sooner than their first evaluation.
    until(lambda: True if "the rules of counts say quiet" in server.get("/monitoring").text else None, 60,
          lambda: server.get("/monitoring").text, server.process)
    page = server.get("/slo/show?name=web").text
    assert "▲ firing since" in page
    assert "alert page-1h fired" in page


@pytest.mark.server("chromium")
@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_alerts_in_a_browser(watched: tuple[Serving, Path], width: int, scheme: str) -> None:
    server, _ = watched
    chromium = need("chromium")
    from playwright.sync_api import sync_playwright

    asked: list[str] = []
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--headless", "--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text)
                if message.type in ("error", "warning") else None)
        page.goto(server.url + "/")
        page.keyboard.press("g")
        page.keyboard.press("m")
        page.wait_for_url("**/monitoring")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("table.alerts tbody tr").count() == 2, "the tickets are of no use"
        assert "firing" in page.locator("table.alerts tbody tr").first.inner_text()
        alternative = page.locator("svg.lane").first.get_attribute("aria-label")
        assert alternative is not None
        assert "web page-1h: " in alternative
        assert page.locator("svg.lane rect").count() >= 2
        page.get_by_text("Show the rows").focus()
        page.keyboard.press("Enter")
        assert page.get_by_text("still on", exact=True).first.is_visible()
        page.locator("a", has_text="firing").first.click()
        page.wait_for_url("**/monitoring?state=firing")
        browser.close()
    assert complaints == []
    assert [url for url in asked if not url.startswith(server.url)] == []
