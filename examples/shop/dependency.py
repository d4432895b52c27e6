"""Calls to another service: bounded in time, given up early when it is known to be down, counted by outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from shop.client import Pool, Unreachable
from shop.routing import Call
from shop.wire import BadMessage, Request, Response

OUTCOMES = ("ok", "error", "timeout", "unreachable", "rejected")

# Left over when a call is given all the time there is, so that there is time to say that it did not answer.
MARGIN_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Need:
    """What a service needs of another.

    `required`: it cannot do its main work without. `relays`: the other mostly passes on what others say, so that its
    5xx answers are passed on in turn and say nothing against the other itself.
    """

    seconds: float  # the longest a call may take
    required: bool = True
    relays: bool = False


class Unavailable(Exception):
    """A dependency did not give a usable answer; `outcome` says how it failed."""

    def __init__(self, dependency: str, outcome: str) -> None:
        super().__init__(f"{dependency}: {outcome}")
        self.dependency, self.outcome = dependency, outcome


class Breaker:
    """Stops calling after five failures in a row; lets one call try again each second until one succeeds."""

    _FAILURES = 5
    _PAUSE_SECONDS = 1.0

    def __init__(self) -> None:
        self._failures = 0
        self._next_try = 0.0

    @property
    def open(self) -> bool:
        """Whether calls are being held back."""
        return self._failures >= self._FAILURES

    def lets_through(self) -> bool:
        """Whether a call may be made now; while open, a yes is the one trial of this second."""
        if not self.open:
            return True
        now = asyncio.get_running_loop().time()
        if now < self._next_try:
            return False
        self._next_try = now + self._PAUSE_SECONDS
        return True

    def note(self, *, failed: bool) -> None:
        """Learn how a call ended."""
        self._failures = self._failures + 1 if failed else 0
        if self._failures == self._FAILURES:
            self._next_try = asyncio.get_running_loop().time() + self._PAUSE_SECONDS


class Dependency:
    """One service as seen by another that needs it."""

    def __init__(self, name: str, need: Need, pool: Pool, count: Callable[[str, str], None]) -> None:
        self.name, self.need = name, need
        self._pool, self._count, self._breaker = pool, count, Breaker()

    @property
    def held_back(self) -> bool:
        """Whether the breaker is open."""
        return self._breaker.open

    async def call(self, call: Call, request: Request) -> Response:
        """The answer, which is not a 5xx unless the dependency relays.

        The request carries on the caller's request id and what is left of its deadline.

        Raises:
            Unavailable: there was no such answer in time.
        """
        if not self._breaker.lets_through():
            raise self._failed("rejected")
        seconds = min(self.need.seconds, call.seconds_left() - MARGIN_SECONDS)
        if seconds <= 0:
            raise self._failed("timeout")
        # A failure after less than half of the usual time says more about a hurried caller than about the dependency.
        fair = seconds >= self.need.seconds / 2
        # A remaining time, not a time of day: clocks of different machines differ, and chaos experiments shift them.
        headers = {"x-request-id": call.request_id, "x-deadline-ms": f"{seconds * 1000:.0f}"}
        try:
            response = await self._pool.send(
                Request(request.method, request.path, {**request.headers, **headers}, request.body), seconds
            )
        except TimeoutError as error:
            if fair:
                self._breaker.note(failed=True)
            raise self._failed("timeout") from error
        except (ConnectionError, BadMessage) as error:
            self._breaker.note(failed=True)
            raise self._failed("unreachable" if isinstance(error, Unreachable) else "error") from error
        failed = response.status >= 500
        if fair or not failed:
            self._breaker.note(failed=failed and not self.need.relays)
        if failed and not self.need.relays:
            raise self._failed("error")
        self._count(self.name, "error" if failed else "ok")
        return response

    async def alive(self) -> bool:
        """Whether it answers `/healthz` within half a second."""
        try:
            response = await self._pool.send(Request("GET", "/healthz"), 0.5)
        except (TimeoutError, ConnectionError, BadMessage):
            return False
        return response.status == 200

    def _failed(self, outcome: str) -> Unavailable:
        self._count(self.name, outcome)
        return Unavailable(self.name, outcome)
