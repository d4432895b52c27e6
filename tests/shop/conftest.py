"""A shop of its own for tests that break it, and a shared one for those that do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from running_shop import RunningShop, running_shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[RunningShop]:
    with running_shop(tmp_path / "run") as running:
        yield running


@pytest.fixture(scope="session")
def calm_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    with running_shop(tmp_path_factory.mktemp("shop") / "run") as running:
        yield running


@pytest.fixture
def turn(calm_shop: RunningShop) -> Iterator[Callable[..., None]]:
    """Turns knobs of the shared shop, and back again at the end of the test."""
    turned: set[str] = set()

    def _turn(service: str, *settings: str) -> None:
        turned.add(service)
        assert calm_shop.run("knob", service, *settings).returncode == 0

    yield _turn
    for service in turned:
        _turn(service, "latency_ms=0", "jitter_ms=0", "error_rate=0", "error_status=500")
