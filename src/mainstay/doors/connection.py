"""A connection: uvicorn's, and more patient and quicker."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from mainstay.doors.guard import Answer, Guard
from mainstay.doors.head import whole

HEAD_TIME_OUT = 10.0
"""Seconds for a request's head to arrive; whoever sends it drop by drop is cut off."""

MAX_HEAD = 64 * 1024
"""Bytes of a request's head before the connection is closed; up to it, the guard answers with a reason."""


class Connection(HttpToolsProtocol):
    """Closes where a request's head is too slow or too long; uvicorn alone would wait and gather for ever.

    And a request that arrived whole in one piece goes the short way where the guard knows one: uvicorn never hears of
    it. That is only done where uvicorn waits for the first byte of a request, and owes no answer.
    """

    _head_open = True
    _head_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _between = True
    """Whether uvicorn's parser has come to the end of a request, and of nothing more."""

    _asked = False
    """Whether a request that went the short way waits for its answer."""
    _held = b""
    """What came behind it meanwhile."""
    _last, _gone = False, False
    _rested = 0.0
    """Since when the connection rests, by the loop's clock."""

    def __init__(self, *settings: Any) -> None:
        super().__init__(*settings)
        self._guard = self.app if isinstance(self.app, Guard) else None

    def data_received(self, data: bytes) -> None:
        """Take in what came."""
        if self._asked:
            # Whoever does not wait for an answer gets one after the other all the same.
            self._held += data
            self.flow.pause_reading()
        elif not self._goes_short(data):
            self._goes_long(data)

    def _goes_long(self, data: bytes) -> None:
        self._between = False
        super().data_received(data)
        if self._head_open:  # nearly every head comes in one piece, and needs no timer
            if self._head_timer is None:
                self._head_timer = self.loop.call_later(HEAD_TIME_OUT, self.transport.close)
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD:
                self.transport.close()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_TIME_OUT, self.transport.close)

    def on_message_begin(self) -> None:
        """The parser saw the first byte of a request."""
        super().on_message_begin()
        self._head_open, self._head_bytes, self._between = True, 0, False

    def on_headers_complete(self) -> None:
        """The parser saw the end of a head."""
        self._head_came()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The parser saw the end of a request."""
        super().on_message_complete()
        self._between = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there any more."""
        self._gone = True
        self._head_came()
        super().connection_lost(exc)

    def _head_came(self) -> None:
        self._head_open = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    # -- the short way ---------------------------------------------------------------------------------------------

    def _goes_short(self, data: bytes) -> bool:
        if self._guard is None or not self._between or self._crowded() or self.flow.write_paused \
                or not (self.cycle is None or self.cycle.response_complete):
            return False
        request = whole(data)
        errand = self._guard.errand(request.head) if request is not None else None
        if request is None or errand is None:
            return False
        self._head_came()
        self._asked = True
        refused = self._guard.refusal(errand, self.client)
        if refused is None:
            errand.way(errand.head.scope(request.length, self.client), request.body, self._answer)
        else:
            self._answer(refused)
        return True

    def _crowded(self) -> bool:
        most = self.limit_concurrency
        return most is not None and (len(self.connections) >= most or len(self.tasks) >= most)

    def _answer(self, answer: Answer) -> None:
        assert self._guard is not None, "it was asked"
        self._asked = False
        if self._gone or self.transport.is_closing():
            return
        if self._last:
            answer = answer.ending()
        dated = [b"%s: %s\r\n" % header for header in self.server_state.default_headers]
        self.transport.write(b"".join([STATUS_LINE[answer.status], *dated, self._guard.written(answer)]))
        self.server_state.total_requests += 1
        if answer.ends:
            self.transport.close()
            return
        self._rest()
        if self._held:
            held, self._held = self._held, b""
            self.flow.resume_reading()
            self.data_received(held)

    def shutdown(self) -> None:
        """The server stops: what was asked is answered first."""
        if self._asked:
            self._last = True
        else:
            super().shutdown()

    # A timer for each request of a storm would cost more than its answer, so the one that was set goes on, and looks
    # when it rings whether anything was asked meanwhile.

    def _rest(self) -> None:
        self._rested = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._ring_after(self.timeout_keep_alive)

    def _ring_after(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        """Close what has rested for long enough."""
        self.timeout_keep_alive_task = None
        remaining = self._rested + self.timeout_keep_alive - self.loop.time()
        if self._asked or remaining > 0:
            self._ring_after(self.timeout_keep_alive if self._asked else remaining)
        else:
            super().timeout_keep_alive_handler()
