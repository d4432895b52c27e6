"""A small driver of requests: an open loop at a low rate, measured from when each request was meant to be sent."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import field
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self

from mainstay.chaos.matrix import Answer
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.ports import World
from mainstay.kernel.probing import Heard, HttpAsk
from mainstay.kernel.workload import Request, Workload
from mainstay.stats.dice import Dice

MOST_THREADS = 256
"""Requests under way at once; beyond it they are sent late, which counts as waiting."""

_GIVE_UP = 5.0


@dataclass(frozen=True, slots=True)
class Driven:
    """A request that is sent again and again.

    Args:
        marked_by: a header that says that something is missing from the answer.
    """

    workload: Workload
    name: str
    ask: HttpAsk
    marked_by: str = ""


def driven(workload: Workload, patience: float) -> tuple[Driven, ...]:
    """What callers ask of the workload; its health where they are not known; nothing where it has no address."""
    if not workload.address.said:
        return ()
    asked = workload.requests or ((Request("health", workload.health),) if workload.health.startswith("/") else ())
    return tuple(Driven(workload, one.name, HttpAsk(one.path, one.method, one.headers, one.body, workload, patience),
                        one.marked_by) for one in asked)


@dataclass(slots=True)
class _Noted:
    """Answers of one request, with the wall clock at which each was meant to be sent."""

    answers: list[tuple[datetime, Answer]] = field(default_factory=list)


class Driver:
    """Sends every request at the rate, from when the block is entered until it is left.

    Args:
        rate: of each request, a second; the times are drawn (Poisson), so that nothing beats in step with them.
    """

    def __init__(self, world: World, requests: Sequence[Driven], rate: float, *, seed: int = 0) -> None:
        self._clock, self._prober = world.clock, world.prober()
        self._requests, self._rate, self._seed = tuple(requests), rate, seed
        self._noted = [_Noted() for _ in self._requests]
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._senders: list[threading.Thread] = []
        self._pool = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="mainstay-request")

    def __enter__(self) -> Self:
        self._began, self._began_at = self._clock.monotonic(), self._clock.now()
        self._senders = [
            threading.Thread(target=self._send, args=(index,), name=f"mainstay-driver-{index}", daemon=True)
            for index in range(len(self._requests))]
        for one in self._senders:
            one.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._stop.set()
        for one in self._senders:
            one.join(_GIVE_UP)
        self._pool.shutdown(wait=True)

    def answers(self, index: int, since: datetime | None = None, until: datetime | None = None) -> list[Answer]:
        """The answers of the request of that place which were meant to be sent from `since` to before `until`."""
        with self._lock:
            return [answer for at, answer in self._noted[index].answers
                    if (since is None or at >= since) and (until is None or at < until)]

    def wait(self, seconds: float) -> None:
        """Go on for so long."""
        self._clock.sleep(seconds)

    def _send(self, index: int) -> None:
        dice, due = Dice(self._seed * 1_000_003 + index), self._clock.monotonic()
        while not self._stop.is_set():
            due += -math.log(1 - dice.share()) / self._rate
            if self._stop.wait(max(0.0, due - self._clock.monotonic())):
                return
            self._pool.submit(self._one, index, due)

    def _one(self, index: int, due: float) -> None:
        request = self._requests[index]
        heard = self._prober.ask(request.ask)
        taken = self._clock.monotonic() - due
        answer = judged(heard, request, due - self._began, taken)
        with self._lock:
            self._noted[index].answers.append((self._began_at + timedelta(seconds=due - self._began), answer))


def judged(heard: Heard, request: Driven, at: float, seconds: float) -> Answer:
    """What the request got: no answer, an error of the server, or nonsense that says it is JSON, is a failure."""
    value: Any = heard.value if isinstance(heard.value, dict) else {}
    status, headers = value.get("status"), value.get("headers") or {}
    named = {str(name).lower(): str(text) for name, text in headers.items()}
    if not isinstance(status, int):
        late = seconds >= request.ask.seconds
        return Answer(at, math.inf if late else seconds, failed=True)
    nonsense = "json" in named.get("content-type", "") and isinstance(value.get("body"), str) and value["body"] != ""
    marked = bool(request.marked_by) and request.marked_by.lower() in named
    return Answer(at, seconds, failed=status >= 500 or nonsense, marked=marked)
