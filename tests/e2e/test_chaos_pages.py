"""The pages of experiments in a real browser, on a real server: the list, a live run that is aborted, failure modes.

What runs is a system in memory: the engine, its facts and the pages are the real ones, and nothing of this host is
touched.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from e2e.browsing import PATIENCE, follow
from e2e.live import Serving, serving
from mainstay.adapters.clock import FakeClock, SystemClock
from mainstay.adapters.memory_faults import MemoryInjector, MemoryProber, MemorySystem
from mainstay.adapters.store import open_store
from mainstay.chaos.catalogue import MEASURED, Measurement, as_data, row, worse
from mainstay.chaos.grammar import GRAMMAR
from mainstay.chaos.matrix import Answer, Asked, Case, Seen, Trouble, cases, contract_of, interactions, judge
from mainstay.chaos.operations.engine import execute
from mainstay.chaos.operations.hands import PlayedHands
from mainstay.chaos.spec import Experiment
from mainstay.chaos.state import Run
from mainstay.chaos.thresholds import time_out
from mainstay.kernel.catalog import Catalog, load
from mainstay.kernel.errors import NotFound
from mainstay.kernel.journal import Batch, NewFact
from mainstay.kernel.ports import Clock, Source, World
from mainstay.kernel.workload import Workload
from mainstay.slo.grammar import GRAMMAR as SLO
from mainstay.stats.dice import Dice

pytestmark = pytest.mark.server("chromium")

CATALOG = """
apiVersion: mainstay/v1
kind: Workload
metadata: {name: web}
spec: {address: "127.0.0.1:8080", health: /healthz, experiments: true, dependencies: [{name: api}]}
---
apiVersion: mainstay/v1
kind: Workload
metadata: {name: api}
spec:
  address: 127.0.0.1:8081
  health: /healthz
  experiments: true
  dependencies:
    - {name: auth, when: {down: {verdict: fails-fast}, slow: {verdict: degraded}}}
    - {name: cache, when: {down: {verdict: degraded}}}
---
apiVersion: mainstay/v1
kind: Workload
metadata: {name: auth}
spec: {address: "127.0.0.1:8082", health: /healthz, experiments: true}
---
apiVersion: mainstay/v1
kind: Workload
metadata: {name: cache}
spec: {address: "127.0.0.1:8083", health: /healthz, experiments: true}
---
apiVersion: mainstay/v1
kind: Experiment
metadata: {name: auth-slow, displayName: Logging in bears a slow auth}
spec:
  target: api
  hypothesis: {probes: [{name: api answers, type: health}, {name: port is open, type: tcp}]}
  faults: [{kind: dependency-slow, dependency: auth, settings: {latency: 200ms}}]
  duration: 2m
  stabilise: 10s
---
apiVersion: mainstay/v1
kind: Experiment
metadata: {name: cache-down, displayName: The shop goes on without its cache}
spec:
  target: api
  hypothesis: {probes: [{name: api answers, type: health}], misses: 1}
  faults: [{kind: dependency-failure, dependency: cache}]
  duration: 60s
  stabilise: 10s
---
apiVersion: mainstay/v1
kind: Experiment
metadata: {name: api-pauses, displayName: Somebody notices when the api stands still}
spec:
  target: api
  hypothesis: {probes: [{name: api answers, type: health}]}
  faults: [{kind: process-pause}]
---
apiVersion: mainstay/v1
kind: ChaosMonkey
metadata: {name: weekdays}
spec: {experiments: [{name: auth-slow, probability: 20%}, {name: cache-down, probability: 10%}]}
"""


def _no_source(name: str) -> Source:
    raise NotFound(name)


def _no_survey(asked: object) -> object:
    raise AssertionError(asked)


@dataclass
class Room:
    """A server, and the same journal in the hands of the test."""

    server: Serving
    folder: Path
    catalog: Catalog
    store: Any

    def world(self, clock: Clock, *, unbearable: dict[str, float] | None = None) -> World:
        system = MemorySystem(clock, unbearable or {})
        injector = MemoryInjector(system)
        return World(clock=clock, catalog=self.catalog, journal=self.store.journal, ledger=self.store.ledger,
                     source=_no_source, survey=_no_survey, injector=lambda: injector,
                     prober=lambda: MemoryProber(system), actor="ana")

    def played(self, name: str, **unbearable: float) -> Run:
        """A run in the past, on a clock that is moved."""
        clock = FakeClock(datetime.now(UTC) - timedelta(hours=2))
        world = self.world(clock, unbearable={kind.replace("_", "-"): after for kind, after in unbearable.items()})
        return execute(world, self.catalog.get(Experiment, name), hands=PlayedHands(clock))


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    (tmp_path / "plan").mkdir()
    (tmp_path / "plan" / "plan.yaml").write_text(CATALOG)
    catalog, _ = load([tmp_path / "plan"], GRAMMAR + SLO)
    store = open_store(f"sqlite:///{tmp_path}/var/mainstay.db", SystemClock())
    with serving(tmp_path, "-c", "plan", "--every", "1h", MAINSTAY_STORE=f"sqlite:///{tmp_path}/var/mainstay.db") as up:
        yield Room(up, tmp_path, catalog, store)
    store.journal.close()
    store.ledger.close()


def picture(page: Any, name: str) -> None:
    """The page as it looks, where somebody wants to look at it."""
    if folder := os.environ.get("MAINSTAY_PICTURES"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def overflows(page: Any) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


def test_the_list_shows_each_experiment_with_its_last_verdict_the_failed_first(room: Room, open_page: Any) -> None:
    room.played("auth-slow")
    room.played("cache-down", dependency_failure=5.0)
    page = open_page("/chaos")
    names = page.locator("table.experiments td.name").all_inner_texts()
    assert [name.split("\n")[0] for name in names] == ["cache-down", "api-pauses", "auth-slow"]
    assert page.locator("p.verdict").first.inner_text() == "3 experiments: 1 failed, 1 never run, 1 passed."
    assert "○ failed" in page.locator("table.experiments tr", has_text="cache-down").inner_text()
    assert "● passed" in page.locator("table.experiments tr", has_text="auth-slow").inner_text()
    assert "weekdays" in page.inner_text("main")
    assert not overflows(page)
    picture(page, "chaos")
    narrow = open_page("/chaos", width=360)
    assert not overflows(narrow)
    picture(narrow, "chaos-360")


def test_a_run_shows_the_hypothesis_over_time_with_the_fault_as_a_band(room: Room, open_page: Any) -> None:
    run = room.played("cache-down", dependency_failure=5.0)
    page = open_page(f"/chaos/show?name={run.id}")
    assert run.id in page.locator("h1").inner_text()
    assert page.locator("svg.chart rect.band.warn").count() == 1
    assert "not as they must be" in page.locator("figcaption").first.inner_text()
    assert page.locator("ol.way [aria-current=step]").inner_text() == "ended"
    assert "proven to be gone" in page.locator(".timeline").inner_text()
    assert not overflows(page)
    picture(page, "chaos-run")
    narrow = open_page(f"/chaos/show?name={run.id}", width=360, color_scheme="dark")
    assert not overflows(narrow)
    picture(narrow, "chaos-run-360-dark")


def test_a_live_run_is_seen_without_reloading_and_aborted_by_a_button(room: Room, open_page: Any) -> None:
    ended: list[Run] = []
    world = room.world(SystemClock())
    page = open_page("/chaos")
    thread = threading.Thread(
        target=lambda: ended.append(execute(world, room.catalog.get(Experiment, "auth-slow"))), daemon=True)
    thread.start()
    page.locator("ul.running a").wait_for(timeout=PATIENCE)
    follow(page, page.locator("ul.running a"))
    page.locator("ol.way li[aria-current=step]", has_text="during").wait_for(timeout=PATIENCE)
    picture(page, "chaos-live")
    follow(page, page.get_by_role("button", name="Abort and take everything out"))
    page.locator("p.verdict", has_text="aborted").wait_for(timeout=PATIENCE)
    thread.join(60)
    assert str(ended[0].status) == "aborted"
    assert ended[0].reaction is not None
    assert page.get_by_role("button", name="Abort and take everything out").count() == 0
    picture(page, "chaos-aborted")


def _matrix(catalog: Catalog) -> Measurement:
    """A matrix judged from answers that are drawn: what becomes of whom is known, so that every state is there."""
    dice, workloads = Dice(3), {one.name: one for one in catalog.of(Workload)}
    ends = {("api", "auth", "down"): "refused", ("web", "auth", "down"): "refused", ("api", "auth", "slow"): "late",
            ("api", "cache", "down"): "marked", ("api", "cache", "slow"): "slower", ("web", "api", "down"): "refused",
            ("web", "api", "slow"): "late"}

    def answers(count: int, end: str = "") -> list[Answer]:
        seconds = {"refused": 0.004, "late": 1.9, "slower": 0.09}.get(end, 0.02)
        return [Answer(one / 10, seconds * (0.8 + 0.4 * dice.share()), end in ("refused", "late"), end == "marked")
                for one in range(count)]

    cells = []
    for case in _cases(catalog):
        for name in ("web", "api"):
            one = workloads[name]
            direct = any(need.name in {trouble.dependency for trouble in case} for need in one.dependencies)
            if name == "api" and case[0].dependency == "api":
                continue
            worst = next((ends[name, *trouble] for trouble in case if (name, *trouble) in ends), "")
            cells.append(judge(Asked(name, "health", case, direct, contract_of(one, case)),
                               Seen(answers(800), answers(60, worst), answers(60))))
    advice = time_out("api", "auth", answers(3000))
    assert advice is not None
    return Measurement(datetime.now(UTC), 5.0, 10.0, 2.0, tuple(row(one) for one in cells),
                       worse(interactions(cells)), (advice,))


def _cases(catalog: Catalog) -> tuple[Case, ...]:
    found = cases(catalog.of(Workload), ("down", "slow"), pairs=True)
    pair = Trouble("auth", "down"), Trouble("cache", "slow")
    return tuple(case for case in found if len(case) == 1 or case == pair)


def test_failure_modes_are_a_table_in_word_sign_and_colour_with_what_helps(room: Room, open_page: Any) -> None:
    found = _matrix(room.catalog)
    room.store.journal.commit(Batch([NewFact(MEASURED, "matrix", found.at, as_data(found))]))
    room.played("cache-down")
    page = open_page("/chaos/matrix")
    cell = page.locator("section", has=page.locator("#grid-auth")).locator("tr", has_text="api").locator("td").first
    assert "◐ fails fast" in cell.inner_text() or "● fails fast" in cell.inner_text()
    assert "as promised" in cell.inner_text()
    assert page.locator("td.cell.violated").count() >= 2
    colour = page.locator("td.cell.violated a").first.evaluate("it => getComputedStyle(it).color")
    assert colour != page.locator("td.cell.healthy a").first.evaluate("it => getComputedStyle(it).color")
    page.locator("td.cell a", has_text="hangs").first.click()
    assert "#mode-" in page.url
    text = page.locator("#mode-auth-slow").inner_text()
    assert "a time-out from the healthy calls" in text
    assert "Rehearsed by auth-slow" in text
    assert "time-out of api for auth" in page.inner_text("main")
    assert not overflows(page)
    picture(page, "chaos-matrix")
    narrow = open_page("/chaos/matrix", width=360, color_scheme="dark")
    assert not overflows(narrow)
    picture(narrow, "chaos-matrix-360-dark")


def test_without_anything_the_pages_say_what_would_fill_them(room: Room, open_page: Any) -> None:
    assert "mainstay chaos matrix" in open_page("/chaos/matrix").locator("p.empty").inner_text()
    page = open_page("/chaos")
    assert page.locator("p.verdict").inner_text() == "3 experiments: 3 never run."
    assert page.locator("ul.running").count() == 0
