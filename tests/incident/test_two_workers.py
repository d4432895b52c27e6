"""Frozen case C12: two workers on one store; one is stopped with something in its hands and goes on a minute later."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from crash.pager import PLAN, T0, Boundaries, People, Provider
from mainstay.adapters.clock import FakeClock
from mainstay.adapters.store import open_store
from mainstay.incident.engine import Acknowledge
from mainstay.incident.intake import AlertEvent
from mainstay.incident.operations.desk import Desk
from mainstay.incident.operations.outbox import Outbox
from mainstay.kernel.journal import FactQuery
from servers.postgres import Postgres, postgres

__all__ = ["postgres"]

_AFTER = timedelta(seconds=61)
"""How much later the other worker comes: longer than a lease."""
_PATIENCE = 120
"""Seconds after which the stopped worker will not come any more, on a busy machine too."""


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.server("postgresql"))])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/m.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.fresh_url()


def _show(folder: Path, moment: datetime) -> None:
    (folder / "clock").write_text(moment.isoformat())


def _state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.fixture
def stopped(url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """A worker that has stopped with a timer or a message in its hands."""
    where = request.param
    clock = FakeClock(T0)
    store = open_store(url, clock)
    Desk(store.journal, clock, PLAN, People()).do(AlertEvent(T0, True, "a", "web", "page"))
    store.close()
    _show(tmp_path, T0 + timedelta(minutes=5) if where == "timer" else T0)
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    program = [sys.executable, str(Path(__file__).parent / "stopped_worker.py"), url, str(tmp_path), where]
    with subprocess.Popen(program, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            until = time.monotonic() + _PATIENCE
            while _state_of(process.pid) != "T":
                assert process.poll() is None, process.stderr.read() if process.stderr else ""
                assert time.monotonic() < until, "it never took anything"
                time.sleep(0.01)
            yield process
        finally:
            process.kill()


def _sent(folder: Path) -> list[str]:
    return (folder / "sent").read_text().splitlines() if (folder / "sent").exists() else []


def _goes_on(process: subprocess.Popen[str], folder: Path, moment: datetime) -> None:
    _show(folder, moment)
    process.send_signal(signal.SIGCONT)
    assert process.wait(timeout=_PATIENCE) == 0, process.stderr.read() if process.stderr else ""
    assert (folder / "over").exists()


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs Linux: whether a process is stopped is read from /proc")
@pytest.mark.parametrize("stopped", ["timer", "message"], indirect=True)
def test_a_worker_that_was_stopped_and_goes_on_sends_nothing_that_another_took(
        url: str, tmp_path: Path, stopped: subprocess.Popen[str]):
    clock = FakeClock(datetime.fromisoformat((tmp_path / "clock").read_text()) + _AFTER)
    store = open_store(url, clock)
    desk = Desk(store.journal, clock, PLAN, People())
    provider = Provider(tmp_path / "sent", Boundaries(0))
    outbox = Outbox(store.journal, clock, desk, People(), {"chat": provider, "mail": provider})
    desk.ring("second")
    for channel in outbox.channels:
        outbox.send(channel, "second")
    before = _sent(tmp_path)
    assert before
    _goes_on(stopped, tmp_path, clock.now())
    assert _sent(tmp_path) == before
    steps = [(fact.data["loop"], fact.data["step"]) for fact in store.journal.facts(
        FactQuery(kinds=("incident.stepped",)))]
    assert max(Counter(steps).values()) == 1, "each timer once"
    store.close()


def test_two_workers_ring_each_timer_once_and_send_each_page_once(url: str, tmp_path: Path):
    clock = FakeClock(T0)
    stores = [open_store(url, clock) for _ in range(2)]
    desks = [Desk(store.journal, clock, PLAN, People()) for store in stores]
    provider = Provider(tmp_path / "sent", Boundaries(0))
    outboxes = [Outbox(store.journal, clock, desk, People(), {"chat": provider, "mail": provider})
                for store, desk in zip(stores, desks, strict=True)]
    for number in range(6):
        desks[0].do(AlertEvent(T0, True, f"k{number}", "web", "page"))
    desks[1].do(Acknowledge("k0", "ana"))
    for minutes in (0, 5, 15, 20, 31):
        clock.set(T0 + timedelta(minutes=minutes))

        def work(place: int) -> None:
            while desks[place].ring(f"worker-{place}", limit=2):
                pass
            for channel in outboxes[place].channels:
                outboxes[place].send(channel, f"worker-{place}")

        threads = [threading.Thread(target=work, args=(place,)) for place in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    stepped = Counter((fact.subject, fact.data["loop"], fact.data["step"]) for fact in stores[0].journal.facts(
        FactQuery(kinds=("incident.stepped",))))
    assert len(stepped) == 1 + 5 * 4
    assert max(stepped.values()) == 1
    assert max(Counter(_sent(tmp_path)).values()) == 1
    for store in stores:
        store.close()
