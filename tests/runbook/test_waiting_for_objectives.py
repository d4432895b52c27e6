"""Steps that wait for an objective: a real ledger, a source that goes on counting, a clock of ours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from mainstay.adapters.clock import FakeClock
from mainstay.adapters.memory import MemoryActuator
from mainstay.adapters.store import open_store
from mainstay.app import _standing
from mainstay.kernel.actuation import Wait
from mainstay.kernel.errors import SourceUnavailable
from mainstay.kernel.ports import World
from mainstay.runbook.reading import said
from mainstay.runbook.run import Run
from runbook.books import HEAD, book, catalog, findings, run, world
from slo.worlds import DAY, HOURS, MINUTES, NOW, Events, Watched

OBJECTIVE = """\
apiVersion: openslo/v1
kind: DataSource
metadata: {name: counts}
spec: {type: Prometheus, connectionDetails: {url: "http://127.0.0.1:9"}}
---
apiVersion: mainstay/v1
kind: Objective
metadata: {name: web, service: shop}
spec:
  indicator: {type: availability, source: counts, bad: errors, total: requests}
  target: 99
  window: 1d
---
"""


class Shop:
    """A service that fails half of its requests for the hour up to now, and none from then on."""

    every = "1m"

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock(NOW)
        self.store = open_store(f"sqlite:///{folder}/m.db", self.clock)
        self.events = Events(NOW - 3 * HOURS * 24, NOW + 3 * HOURS * 24).steady("requests", 100)
        self.events.steady("errors", 0).add("errors", NOW - HOURS, 50, slots=12)
        self.source = Watched(self.events)

    def world(self, condition: str, within: str = "2h") -> World:
        """With a runbook that waits for it."""
        wait = f"{{objective: web, {condition}, every: {self.every}, until-met-within: {within}}}"
        spec = f"  steps: [{{name: calm, wait-until: {wait}}}]\n"
        made = world(catalog(spec, OBJECTIVE + HEAD), MemoryActuator(), journal=self.store.journal, clock=self.clock)
        return replace(made, ledger=self.store.ledger, source=lambda _: self.source, standing=_standing)

    def waits(self, condition: str, within: str = "2h") -> tuple[Run, timedelta]:
        """How the run ended, and how long it waited."""
        one = run(self.world(condition, within))
        return one, self.clock.now() - NOW


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path)
    yield made
    made.store.close()


def test_a_step_waits_until_the_budget_no_longer_burns_too_fast(shop: Shop) -> None:
    one, waited = shop.waits('burn: "< 1"')
    assert one.state == "succeeded"
    # Below 1 are at most 12 of the last hour's 1,200 requests: when no slot of the bad hour is within it any more.
    assert timedelta(minutes=55) <= waited <= timedelta(minutes=70)
    told = one.steps["calm"].log.splitlines()
    assert told[0] == "web burns 50 times as fast as it may"
    assert told[-1] == "web burns 0 times as fast as it may: it holds"
    assert len(shop.source.asked) > 5, "the source is asked again; no server does it meanwhile"


def test_a_step_waits_until_enough_of_the_budget_is_left(shop: Shop) -> None:
    # 600 of the day's 28,800 requests failed and 288 may; all of it is given back when that hour is a day ago.
    shop.every = "20m"
    one, waited = shop.waits('left: "> 50%"', "25h")
    assert one.state == "succeeded"
    assert timedelta(hours=23) <= waited <= timedelta(hours=24, minutes=20)
    assert one.steps["calm"].log.splitlines()[0] == "web has -108.3% of its budget left"


def test_a_step_waits_until_an_objective_is_healthy_and_better_than_asked_will_do(shop: Shop) -> None:
    shop.every = "20m"
    one, waited = shop.waits("state: at_risk", "25h")
    assert one.state == "succeeded"
    assert waited > timedelta(hours=22)
    assert one.steps["calm"].log.splitlines()[0] == "web is violated"
    again, until = shop.waits("state: at_risk")
    assert (again.state, until) == ("succeeded", waited), "what is healthy need not be waited for"


def test_what_does_not_come_in_time_is_timed_out_and_says_how_it_stands(shop: Shop) -> None:
    one, waited = shop.waits('burn: "< 1"', "10m")
    assert (one.state, one.steps["calm"].state) == ("failed", "timed_out")
    assert one.steps["calm"].error.startswith("it did not hold in time: web burns ")
    assert timedelta(minutes=10) <= waited <= timedelta(minutes=11)


def test_a_source_that_is_down_is_no_sign_of_health_and_is_asked_again(shop: Shop) -> None:
    class Recovering(Watched):
        def _memory(self):  # type: ignore[no-untyped-def]
            self.down = SourceUnavailable("the source is down") if shop.clock.now() < NOW + 30 * MINUTES else None
            return super()._memory()

    shop.events.steady("errors", 0)
    shop.source = Recovering(shop.events)
    one, waited = shop.waits('burn: "< 1"')
    assert one.state == "succeeded"
    assert 30 * MINUTES <= waited <= 31 * MINUTES
    assert "the source is down" in one.steps["calm"].log


def test_no_data_is_not_health(shop: Shop) -> None:
    shop.events.forget(NOW - timedelta(seconds=3 * DAY), NOW + timedelta(seconds=3 * DAY))
    for condition in ("state: at_risk", 'burn: "< 1"', 'left: "> 0%"'):
        one, _ = shop.waits(condition, "5m")
        assert one.steps["calm"].state == "timed_out", condition
        assert "no data" in one.steps["calm"].error


@pytest.mark.parametrize(("written", "waits", "shown"), [
    ("objective: web", Wait(None, "web"), "wait until web is healthy"),
    ("objective: web, state: at_risk, every: 30s", Wait(None, "web", "at_risk", 30.0), "wait until web is at risk"),
    ('objective: web, burn: "<= 2"', Wait(None, "web", measure="burn", operator="<=", threshold=2.0),
     "wait until web burns <= 2"),
    ('objective: web, left: "> 25%"', Wait(None, "web", measure="left", operator=">", threshold=0.25),
     "wait until web has > 0.25 of its budget left")])
def test_how_a_wait_for_an_objective_is_written(written: str, waits: Wait, shown: str) -> None:
    (step,) = book(f"  steps: [{{name: a, wait-until: {{{written}}}}}]\n", OBJECTIVE + HEAD).steps
    assert step.act == waits
    assert said(step.act) == shown


@pytest.mark.parametrize("written", ['objective: web, burn: "< 1", left: "> 1%"', 'objective: web, burn: "1"',
                                     "objective: web, state: fine", 'objective: web, burn: "< 1", state: healthy'])
def test_what_cannot_be_waited_for_is_a_finding(written: str) -> None:
    (found,) = findings(f"  steps: [{{name: a, wait-until: {{{written}}}}}]\n", OBJECTIVE + HEAD)
    assert found.where.line == len(OBJECTIVE.splitlines()) + 5


