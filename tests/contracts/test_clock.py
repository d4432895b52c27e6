"""The two clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from mainstay.adapters.clock import FakeClock, SystemClock
from mainstay.kernel.ports import Clock

START = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize("clock", [SystemClock(), FakeClock()], ids=["system", "fake"])
def test_sleeping_moves_both_clocks_on_and_now_is_utc(clock: Clock) -> None:
    wall, elapsed = clock.now(), clock.monotonic()
    clock.sleep(0.01)
    assert clock.now().tzinfo is UTC
    assert clock.now() - wall >= timedelta(seconds=0.009)
    assert clock.monotonic() - elapsed >= 0.009


def test_a_fake_clock_stands_still_until_it_is_told_to_move() -> None:
    clock = FakeClock(START.astimezone(timezone(timedelta(hours=2))))
    assert clock.now() == clock.now() == START
    clock.advance(timedelta(days=365))
    assert (clock.now() - START, clock.monotonic()) == (timedelta(days=365), 365 * 86_400.0)


def test_a_jump_of_the_wall_clock_takes_no_time() -> None:
    clock = FakeClock(START)
    clock.set(START - timedelta(hours=1))
    assert (clock.now(), clock.monotonic()) == (START - timedelta(hours=1), 0.0)
