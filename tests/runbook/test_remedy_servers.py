"""Two servers on one store, really at once: no limit is passed, and every run is begun and done once."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mainstay import reactions
from mainstay.adapters.clock import FakeClock, SystemClock
from mainstay.adapters.memory import MemoryActuator
from mainstay.adapters.store import open_store
from mainstay.incident.intake import AlertEvent
from mainstay.incident.operations.desk import desk_of
from mainstay.kernel.actuation import Act, Command, Outcome
from mainstay.kernel.journal import FactQuery
from mainstay.kernel.ports import World
from mainstay.reactions import react
from mainstay.runbook.operations.desk import Order, begin, runs_of
from mainstay.runbook.operations.driving import Driver
from mainstay.runbook.operations.remedy_desk import desk_of as remedies_of
from mainstay.runbook.operations.remedying import Remediator
from memory_world import memory_world
from overtaking import Between
from runbook.worlds import CATALOG, Place, declared

TARGETS = [f"web-{number}" for number in range(8)]
MOST = 2
RULE = CATALOG.replace("mode: act", f"mode: act\n  limits: {{concurrent: {MOST}, cool_down: 0}}") \
    .replace("verify: {within: 5m, for: 2m}", "verify: {within: 2m, for: 0}")


def _server(file: Path, answers: Callable[[Act], Outcome | None]) -> World:
    clock = SystemClock()
    store = open_store(f"sqlite:///{file}", clock)
    actuator = MemoryActuator(answers)
    return memory_world(clock, declared(RULE), store.journal, actuator=lambda: actuator)


def _says(world: World, target: str, firing: bool) -> None:
    desk_of(world).do(AlertEvent(world.clock.now(), firing, f"Down/{target}", target, "critical",
                                 {"alertname": "Down", "service": target}, "down", "test"))


def test_two_servers_pass_no_limit_together_and_do_nothing_twice(tmp_path: Path) -> None:
    done: Counter[str] = Counter()
    at_work, most, guard = set[str](), [0], threading.Lock()

    def restart(act: Act) -> Outcome | None:
        assert isinstance(act, Command)
        target = act.argv[1]
        with guard:
            done[target] += 1
            at_work.add(target)
            most[0] = max(most[0], len(at_work))
        time.sleep(0.05)
        with guard:
            at_work.discard(target)
        _says(servers[0], target, False)
        return None

    servers = [_server(tmp_path / "facts.db", restart) for _ in range(2)]
    for target in TARGETS:
        _says(servers[0], target, True)
    ending = threading.Event()
    troubles: list[BaseException] = []

    def serve(number: int) -> None:
        world, remediator = servers[number], Remediator()
        try:
            while not ending.is_set():
                react(world)
                remediator.round(world)
                for run in list(runs_of(world).caught_up().values()):
                    if not run.over:
                        Driver(world, run.id, f"driver-{number}").drive()
        except BaseException as error:  # it is the test that must hear of it, not the thread
            troubles.append(error)

    threads = [threading.Thread(target=serve, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 120
    while time.monotonic() < end and not troubles:
        verified = list(servers[0].journal.facts(FactQuery(kinds=("remedy.verified",))))
        if len(verified) == len(TARGETS):
            break
        time.sleep(0.1)
    ending.set()
    for thread in threads:
        thread.join()
    for world in servers:
        world.journal.close()
    assert not troubles
    assert done == dict.fromkeys(TARGETS, 1)
    assert 1 <= most[0] <= MOST
    assert len(verified) == len(TARGETS)


class _Meddled:
    """A journal on which another server does something when this one looks at it for the nth time."""

    def __init__(self, journal: Any, nth: int, meddle: Callable[[], object]) -> None:
        self._journal, self._left, self._meddle = journal, nth, meddle

    def head(self) -> int:
        self._left -= 1
        if self._left == 0:
            self._meddle()
        return int(self._journal.head())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)


@pytest.mark.parametrize("nth", range(1, 6))
def test_a_run_is_begun_once_under_its_key_whenever_another_server_begins_it_too(nth: int) -> None:
    clock = FakeClock()
    catalog = declared(RULE)
    other = memory_world(clock, catalog)
    order = Order("restart-service", {"service": "web"}, {}, key="REM-1.1")
    meddled = _Meddled(other.journal, nth, lambda: begin(other, order))
    one = begin(memory_world(clock, catalog, meddled), order)  # type: ignore[arg-type]
    begin(other, order)
    assert (list(runs_of(other).caught_up()), one.id) == (["RB-1"], "RB-1")


def test_a_server_that_follows_an_alert_as_it_ends_leaves_no_case_of_it_open(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two processes: each has its own lock for its own threads.
    monkeypatch.setattr(reactions, "_following", contextlib.nullcontext())
    quick = Place()
    between = Between(quick.world.journal)
    slow = Place(journal=between, clock=quick.clock)
    _says(quick.world, "web", True)

    def meanwhile() -> None:
        _says(quick.world, "web", False)
        react(quick.world)

    # It has seen the alert fire, and the other one is through with all of it before the case stands.
    between.before_commit = meanwhile
    react(slow.world)
    quick.passes(timedelta(minutes=1))
    assert not [case for case in remedies_of(quick.world).state.cases.values() if case.firing]
