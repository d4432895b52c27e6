"""Time: the machine's own, and one that stands still until it is told to move."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The wall clock, aware UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never jump."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Return after that many seconds."""
        time.sleep(seconds)


class FakeClock:
    """A clock for tests and simulations: it moves only when told, and sleeping is being told.

    Args:
        start: where the wall clock stands at first, aware.
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._lock = threading.Lock()
        self._wall = start.astimezone(UTC)
        self._elapsed = 0.0

    def now(self) -> datetime:
        """The wall clock, aware UTC."""
        with self._lock:
            return self._wall

    def monotonic(self) -> float:
        """Seconds advanced so far; setting the wall clock leaves them alone, as it does on a real machine."""
        with self._lock:
            return self._elapsed

    def sleep(self, seconds: float) -> None:
        """Advance by that many seconds and return at once."""
        self.advance(timedelta(seconds=seconds))

    def advance(self, by: timedelta) -> None:
        """Let time pass: both the wall clock and the monotonic one move on."""
        assert by >= timedelta(0), "time passes forwards; `set` makes the wall clock jump"
        with self._lock:
            self._wall += by
            self._elapsed += by.total_seconds()

    def set(self, moment: datetime) -> None:
        """Make the wall clock jump to an aware moment, forwards or backwards, while no time passes."""
        with self._lock:
            self._wall = moment.astimezone(UTC)


class FixedClock(SystemClock):
    """A wall clock that shows one moment for ever, for reports in the past; waiting still takes real time.

    Args:
        moment: what it shows, aware.
    """

    def __init__(self, moment: datetime) -> None:
        self._moment = moment.astimezone(UTC)

    def now(self) -> datetime:
        """The moment."""
        return self._moment
