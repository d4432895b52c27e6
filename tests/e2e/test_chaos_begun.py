"""Experiments that a real server begins on the real shop: by its monkey and by a click, in processes of their own."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from command import mainstay
from e2e.browsing import PATIENCE, follow
from e2e.live import Serving, serving, until
from running_shop import EXAMPLES, RunningShop, running_shop

MONKEY = """
apiVersion: mainstay/v1
kind: ChaosMonkey
metadata: {name: always}
spec:
  every: 1m
  experiments: [{name: auth-paused, probability: 100%}]
  hours: {zone: UTC, days: [mon, tue, wed, thu, fri, sat, sun], from: "00:00", to: "24:00"}
  seed: 3
  dry_run: false
"""


@dataclass
class Room:
    """A server whose catalog is the running shop's."""

    server: Serving
    folder: Path
    shop: RunningShop

    def runs(self) -> list[dict[str, Any]]:
        found = self.server.get("/api/v1/chaos/status").json()["runs"]
        assert isinstance(found, list)
        return found

    def ended(self, run: str) -> dict[str, Any]:
        return until(lambda: next((one for one in self.runs() if one["id"] == run and one["ended"]), None), 120,
                     lambda: f"{run} has not ended: {self.runs()} {''.join(self.server.said)}")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    with running_shop(tmp_path_factory.mktemp("begun") / "shop") as shop:
        yield shop


def catalog_of(shop: RunningShop, folder: Path, more: str = "") -> None:
    shutil.copytree(EXAMPLES / "08-chaos" / "catalog", folder / "plan")
    for file in (folder / "plan").glob("*.yaml"):
        file.write_text(file.read_text().replace("../../../var/shop", str(shop.folder)).replace("duration: 5s",
                                                                                             "duration: 2s"))
    (folder / "plan" / "more.yaml").write_text(more)


@pytest.fixture
def room(tmp_path: Path, shop: RunningShop) -> Iterator[Room]:
    catalog_of(shop, tmp_path)
    if "cannot be put in here" in mainstay(tmp_path, "chaos", "plan", "auth-paused", "-c", "plan").out:
        pytest.skip("this host cannot let another process stand still")
    with serving(tmp_path, "-c", "plan", "--every", "1h") as server:
        yield Room(server, tmp_path, shop)


def _all_runs(folder: Path) -> list[dict[str, Any]]:
    """Asked without a server."""
    found = mainstay(folder, "chaos", "status", "-c", "plan", "--json").json["runs"]
    assert isinstance(found, list)
    return found


def test_the_monkey_of_a_server_begins_what_it_draws_and_says_so(tmp_path: Path, shop: RunningShop) -> None:
    catalog_of(shop, tmp_path, MONKEY)
    if "cannot be put in here" in mainstay(tmp_path, "chaos", "plan", "auth-paused", "-c", "plan").out:
        pytest.skip("this host cannot let another process stand still")
    with serving(tmp_path, "-c", "plan", "--every", "1h") as server:
        room = Room(server, tmp_path, shop)
        # A look that is no minute old is due: a server that begins need not wait for the next.
        until(lambda: room.runs() or None, 90, lambda: "".join(server.said))
        run = room.ended("EXP-1")
        assert (run["status"], run["by"], run["experiment"]) == ("passed", "system", "auth-paused"), run
    # If the minute ended meanwhile, it has begun one more, which the next test must not find in its way.
    until(lambda: all(one["ended"] for one in _all_runs(tmp_path)) or None, 120, lambda: str(_all_runs(tmp_path)))
    past = mainstay(tmp_path, "chaos", "monkey", "always", "-c", "plan", "--json").json["past"]
    assert [(one["what"], one["run"], one["status"], one["seed"]) for one in past][:1] == [
        ("begun", "EXP-1", "passed", 3)]


def test_a_run_goes_on_to_its_end_when_the_server_that_began_it_is_killed(room: Room) -> None:
    with room.server.client as client:
        csrf = client.get("/chaos/start?name=auth-paused").text.partition('name="csrf" value="')[2].partition('"')[0]
        answer = client.post("/api/v1/chaos/start", json={"experiment": "auth-paused", "duration": "6s"},
                             headers={"X-CSRF-Token": csrf})
        assert (answer.status_code, answer.headers["location"]) == (202, "/api/v1/chaos/report?run=EXP-1"), answer.text
        again = client.post("/api/v1/chaos/start", json={"experiment": "auth-paused"}, headers={"X-CSRF-Token": csrf})
        assert (again.status_code, "experiment EXP-1 acts on auth" in again.text) == (403, True), again.text
    os.kill(room.server.process.pid, signal.SIGKILL)
    told: list[dict[str, Any]] = []

    def over() -> dict[str, Any] | None:
        told[:] = _all_runs(room.folder)
        return told[0] if told[0]["ended"] else None

    run = until(over, 120, lambda: f"it goes on: {told}")
    assert (run["status"], run["by"]) == ("passed", "local"), run


@pytest.mark.server("chromium")
@pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_an_experiment_is_begun_by_clicking_after_its_radius_and_price_were_shown(
        room: Room, open_page: Any, script: bool) -> None:
    page = open_page("/chaos", java_script_enabled=script)
    follow(page, page.get_by_role("link", name="Begin auth-paused"))
    assert page.locator("h1").inner_text() == "Begin auth-paused?"
    facts = page.locator("dl.facts").inner_text()
    assert "100 %" in facts
    assert "not measured" in facts
    follow(page, page.get_by_role("button", name="Begin it now"))
    assert page.locator("h1").inner_text() == "Run EXP-1"
    assert room.ended("EXP-1")["status"] == "passed"
    if not script:
        page.reload()
    page.locator("p.verdict", has_text="passed").wait_for(timeout=PATIENCE)
