"""Being told to stop: signals as an event, for work that goes on until then."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def told_to_stop() -> Iterator[threading.Event]:
    """An event that is set by SIGINT, SIGTERM or SIGHUP, from the main thread; what these did before is restored."""
    told = threading.Event()
    before = {number: signal.signal(number, lambda *_: told.set()) for number in _SIGNALS}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
