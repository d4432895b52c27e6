"""What a catalog says of chaos monkeys, game days and the requests of a workload."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from mainstay.chaos.gameday import GameDay
from mainstay.chaos.grammar import GRAMMAR
from mainstay.chaos.monkey import ChaosMonkey
from mainstay.kernel.catalog import Catalog, load
from mainstay.kernel.finding import Finding, errors_of
from mainstay.kernel.workload import Request, Workload

SYSTEM = """apiVersion: mainstay/v1
kind: Workload
metadata: {name: api}
spec:
  address: 127.0.0.1:8080
  experiments: true
  requests:
    - {name: browse, path: /products/1, marked_by: X-Degraded}
    - {name: login, method: post, path: /login, body: "{}", headers: {content-type: application/json}}
---
apiVersion: mainstay/v1
kind: Experiment
metadata: {name: api-stops}
spec:
  target: api
  hypothesis: {probes: [{type: health, workload: api}]}
  faults: [{kind: process-pause}]
---
"""
MONKEY = """apiVersion: mainstay/v1
kind: ChaosMonkey
metadata: {name: weekdays, owner: sre}
spec:
  every: 30m
  hours: {zone: Europe/Berlin, days: [mon, tue], from: "10:00", to: "12:00"}
  holidays: [2026-12-25]
  between: 2d
  keep: 60%
  except: [orders]
  seed: 7
  experiments: [{name: api-stops, probability: 5%, between: 7d}]
"""
DAY = """apiVersion: mainstay/v1
kind: GameDay
metadata: {name: november, displayName: The api stops}
spec:
  on: 2026-11-25T09:00:00Z
  purpose: Find out who notices.
  roles: {commander: [ana], network: [ben, cem]}
  steps: [{experiment: api-stops, starts: commander, expect: an alert within 5 m, go_if: [no incident is open]}]
"""


def read(folder: Path, text: str) -> tuple[Catalog, list[Finding]]:
    (folder / "chaos.yaml").write_text(SYSTEM + text)
    return load([folder / "chaos.yaml"], GRAMMAR)


def test_a_monkey_is_read_whole(tmp_path: Path) -> None:
    catalog, findings = read(tmp_path, MONKEY)
    assert not errors_of(findings), findings
    (one,) = catalog.of(ChaosMonkey)
    assert (one.every, one.between, one.keep, one.seed, one.excepted) == (
        timedelta(minutes=30), timedelta(days=2), 0.6, 7, ("orders",))
    assert one.holidays == (date(2026, 12, 25),)
    assert str(one.hours.weekly[0]) == "mon tue 10:00–12:00"
    assert (one.candidates[0].probability, one.candidates[0].between) == (0.05, timedelta(days=7))


def test_a_monkey_that_says_little_keeps_to_working_hours_and_half_the_budget(tmp_path: Path) -> None:
    catalog, _ = read(tmp_path, """apiVersion: mainstay/v1
kind: ChaosMonkey
metadata: {name: weekdays}
spec: {experiments: [{name: api-stops, probability: 0.1}]}
""")
    (one,) = catalog.of(ChaosMonkey)
    assert (str(one.hours.weekly[0]), one.keep, one.between) == (
        "mon tue wed thu fri 09:00–15:00", 0.5, timedelta(days=1))


def test_a_game_day_and_the_requests_of_a_workload_are_read_whole(tmp_path: Path) -> None:
    catalog, findings = read(tmp_path, DAY)
    assert not errors_of(findings), findings
    (day,), (api,) = catalog.of(GameDay), catalog.of(Workload)
    assert (day.title, dict(day.roles)) == ("The api stops", {"commander": ("ana",), "network": ("ben", "cem")})
    assert (day.steps[0].expect, day.steps[0].go_if) == ("an alert within 5 m", ("no incident is open",))
    assert api.requests == (Request("browse", "/products/1", marked_by="x-degraded"), Request(
        "login", "/login", "POST", "{}", {"content-type": "application/json"}))


@pytest.mark.parametrize(("text", "old", "new", "code"), [
    (MONKEY, "api-stops", "api-stop", "unknown-reference"), (MONKEY, "5%", "0%", "out-of-range"),
    (MONKEY, "5%", "500%", "invalid-value"), (MONKEY, "30m", "2s", "out-of-range"),
    (MONKEY, "2026-12-25", "christmas", "invalid-value"), (MONKEY, "[mon, tue]", "[mon, moon]", "invalid-value"),
    (MONKEY, "seed:", "sead:", "unknown-field"), (DAY, "starts: commander", "starts: captain", "unknown-reference"),
    (DAY, "experiment: api-stops", "experiment: nothing", "unknown-reference"),
    (DAY, "expect:", "expects:", "unknown-field"),
    (SYSTEM, "path: /login", "path: login", "invalid-value"),
    (SYSTEM, "name: login", "name: browse", "duplicate-name")])
def test_a_mistake_is_found_where_it_stands(tmp_path: Path, text: str, old: str, new: str, code: str) -> None:
    (tmp_path / "chaos.yaml").write_text((SYSTEM if text is not SYSTEM else "") + text.replace(old, new))
    _, findings = load([tmp_path / "chaos.yaml"], GRAMMAR)
    assert code in [one.code for one in errors_of(findings)], findings
