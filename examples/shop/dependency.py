"""Calls to another service: bounded in time, given up early when it is known to be down, counted by outcome."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mainstay.resilience import Breaker, BreakerOpen, BreakerRule, LastCalls, raised, raised_where
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
    """A dependency did not give a usable answer; `outcome` says how it failed.

    `telling`: it says something about the dependency, and not only about a caller who had no time left.
    """

    def __init__(self, dependency: str, outcome: str, *, telling: bool = True) -> None:
        super().__init__(f"{dependency}: {outcome}")
        self.dependency, self.outcome, self.telling = dependency, outcome, telling


_TELLS_NOTHING = raised_where(lambda error: isinstance(error, Unavailable) and not error.telling)


class Dependency:
    """One service as seen by another that needs it.

    After five failures in a row it is not called for a second; then one call tries whether it is back.
    """

    def __init__(self, name: str, need: Need, pool: Pool, count: Callable[[str, str], None]) -> None:
        self.name, self.need = name, need
        self._pool, self._count = pool, count
        self.breaker = Breaker(name, BreakerRule(
            window=LastCalls(5), minimum_calls=5, failure_rate=1.0, pause=1.0, trials=1, trial_seconds=2 * need.seconds,
            failed=raised(Unavailable), ignored=_TELLS_NOTHING))
        self._ask = self.breaker(self._ask_unprotected)

    @property
    def held_back(self) -> bool:
        """Whether calls are held back, all or all but a trial."""
        return self.breaker.state != "closed"

    async def call(self, call: Call, request: Request) -> Response:
        """The answer, which is not a 5xx unless the dependency relays.

        The request carries on the caller's request id and what is left of its deadline.

        Raises:
            Unavailable: there was no such answer in time.
        """
        try:
            response = await self._ask(call, request)
        except BreakerOpen as refusal:
            self._count(self.name, "rejected")
            raise Unavailable(self.name, "rejected", telling=False) from refusal
        except Unavailable as lack:
            self._count(self.name, lack.outcome)
            raise
        self._count(self.name, "error" if response.status >= 500 else "ok")
        return response

    async def _ask_unprotected(self, call: Call, request: Request) -> Response:
        seconds = min(self.need.seconds, call.seconds_left() - MARGIN_SECONDS)
        if seconds <= 0:
            raise Unavailable(self.name, "timeout", telling=False)
        # A failure after less than half of the usual time says more about a hurried caller than about the dependency.
        fair = seconds >= self.need.seconds / 2
        # A remaining time, not a time of day: clocks of different machines differ, and chaos experiments shift them.
        headers = {"x-request-id": call.request_id, "x-deadline-ms": f"{seconds * 1000:.0f}"}
        try:
            response = await self._pool.send(
                Request(request.method, request.path, {**request.headers, **headers}, request.body), seconds
            )
        except TimeoutError as error:
            raise Unavailable(self.name, "timeout", telling=fair) from error
        except (ConnectionError, BadMessage) as error:
            raise Unavailable(self.name, "unreachable" if isinstance(error, Unreachable) else "error") from error
        if response.status >= 500 and not self.need.relays:
            raise Unavailable(self.name, "error", telling=fair)
        return response

    async def alive(self) -> bool:
        """Whether it answers `/healthz` within half a second."""
        try:
            response = await self._pool.send(Request("GET", "/healthz"), 0.5)
        except (TimeoutError, ConnectionError, BadMessage):
            return False
        return response.status == 200
