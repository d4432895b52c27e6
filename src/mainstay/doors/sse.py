"""Server-sent events: pages hear that something changed and fetch it again; the event itself carries no data."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable

from mainstay.kernel.errors import StoreUnavailable

HEARTBEAT = 15.0
"""Seconds: shorter than the idle time-outs of common proxies (nginx: 60 s)."""

MAX_LISTENERS = 256
MAX_WAITING = 64
"""Topics kept for one slow listener; beyond it they become one `*`: something changed, look at everything."""


class Listener:
    """One open page. Topics wait here until they are sent; the same topic twice waits once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._wake = asyncio.Event()
        self._waiting: dict[str, None] = {}
        self.closed = False

    def tell(self, topic: str) -> None:
        """Something under the topic changed. From any thread."""
        # The loop may be gone when a worker publishes during shutdown; then nobody listens any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._add, topic)

    def close(self) -> None:
        """The stream ends. From any thread."""
        self.closed = True
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._wake.set)

    def _add(self, topic: str) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._waiting = {"*": None}
        elif "*" not in self._waiting:
            self._waiting[topic] = None
        self._wake.set()

    async def topics(self, heartbeat: float) -> list[str]:
        """What changed since the last call, or nothing after `heartbeat` seconds."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), heartbeat)
        self._wake.clear()
        changed, self._waiting = list(self._waiting), {}
        return changed


class Feed:
    """Where the rest of the program says that something changed."""

    def __init__(self, heartbeat: float = HEARTBEAT) -> None:
        self._heartbeat = heartbeat
        self._lock = threading.Lock()
        self._listeners: set[Listener] = set()

    def publish(self, topic: str) -> None:
        """Tell every open page that `topic` (a word such as `slo`) changed. From any thread; never blocks."""
        line = " ".join(topic.split())
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener.tell(line)

    def close(self) -> None:
        """End every stream, so that a stopping server need not wait for its open pages."""
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener.close()

    @property
    def listeners(self) -> int:
        """How many pages listen."""
        return len(self._listeners)

    def stream(self, allowed: Callable[[], bool]) -> AsyncIterator[bytes]:
        """The body of one event stream; it ends when the server stops or the caller is no longer allowed.

        Raises:
            StoreUnavailable: too many pages listen already.
        """
        if self.listeners >= MAX_LISTENERS:
            raise StoreUnavailable(f"{MAX_LISTENERS} pages already listen", "close some, or reload later")
        return self._stream(allowed)

    async def _stream(self, allowed: Callable[[], bool]) -> AsyncIterator[bytes]:
        listener = Listener(asyncio.get_running_loop())
        with self._lock:
            self._listeners.add(listener)
        try:
            yield b"retry: 3000\n\n"
            while True:
                changed = await listener.topics(self._heartbeat)
                if listener.closed or not allowed():
                    return
                for topic in changed:
                    yield f"event: change\ndata: {topic}\n\n".encode()
                if not changed:
                    yield b": still here\n\n"
        finally:
            with self._lock:
                self._listeners.discard(listener)
