"""Every store, each fresh and empty, behind the same ports."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mainstay.adapters.clock import FakeClock
from mainstay.adapters.memory import MemoryJournal, MemoryLedger
from mainstay.adapters.store import open_store
from mainstay.kernel.journal import Journal
from mainstay.kernel.ports import Ledger
from servers.postgres import Postgres, postgres

__all__ = ["Opened", "clock", "opened", "postgres", "store_url"]

DURABLE = ("sqlite", pytest.param("postgres", marks=pytest.mark.server("postgresql")))


@dataclass(frozen=True)
class Opened:
    """A store and a way to open it once more, as another process would; in memory there is only the one."""

    journal: Journal
    ledger: Ledger
    again: Callable[[], Opened]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def _url(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    if kind == "sqlite":
        return f"sqlite:///{tmp_path / 'store' / 'mainstay.db'}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.fresh_url()


@pytest.fixture(params=DURABLE)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty durable store."""
    return _url(request.param, tmp_path, request)


@pytest.fixture(params=("memory", *DURABLE))
def opened(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[Opened]:
    """A store, closed behind the test with every other opening of it."""
    if request.param == "memory":
        only = Opened(MemoryJournal(clock), MemoryLedger(), lambda: only)
        yield only
        return
    url = _url(request.param, tmp_path, request)
    stores = []

    def again() -> Opened:
        store = open_store(url, clock)
        stores.append(store)
        return Opened(store.journal, store.ledger, again)

    yield again()
    for store in stores:
        store.close()
