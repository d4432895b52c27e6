"""Customers: an open model of load. They come when they come, however slow the shop is.

Every request has a time at which it is meant to be sent, drawn beforehand from a Poisson process, and its latency is
measured from that time. A generator that waits for slow answers before it asks again would send less exactly when
the shop is slow, and so hide what customers feel.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
from array import array
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from shop.client import Pool, Unreachable
from shop.process import STOPPING
from shop.wire import BadMessage, Request, Response

_PATIENCE_SECONDS = 10.0  # how long a customer waits for a page
_LOOKING_SECONDS = 0.2  # the least time a customer looks at a page before asking for the next
_NIGHT = 0.6  # the load swings by this share around its mean in the course of a day
_PRODUCTS = 48

# What customers do, and how many of a hundred do it.
_JOURNEYS = {
    ("browse", "product"): 45,
    ("browse", "product", "product"): 25,
    ("browse", "product", "login", "cart"): 15,
    ("browse", "product", "login", "cart", "checkout", "order"): 15,
}


@dataclass(slots=True)
class Journey:
    """One customer on the way through the shop."""

    user: str
    product: int
    steps: deque[str]
    token: str = ""
    order: int = 0

    def request(self, step: str) -> Request:
        """What the customer asks at this step."""
        proof = {"authorization": f"Bearer {self.token}"}
        match step:
            case "browse":
                return Request("GET", "/")
            case "product":
                return Request("GET", f"/products/{self.product}")
            case "login":
                return Request("POST", "/login", {}, _body(user=self.user, password="let-me-in"))
            case "cart":
                return Request("POST", "/cart", proof, _body(product=str(self.product), count=1))
            case "checkout":
                return Request("POST", "/checkout", {**proof, "idempotency-key": self.user})
            case _:
                return Request("GET", f"/orders/{self.order}", proof)

    def learn(self, step: str, answer: Response) -> None:
        """Keep what the next steps need."""
        match step:
            case "login":
                self.token = answer.json()["token"]
            case "checkout":
                self.order = answer.json()["id"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How many requests per second on average, for how long; with `day_seconds`, more by day than by night."""

    rate: float
    seconds: float
    seed: int = 0
    day_seconds: float | None = None

    def times(self) -> Iterator[float]:
        """When requests are meant to be sent, in seconds after the start: a Poisson process, the same for a seed."""
        chance = random.Random(f"times {self.seed}")
        highest = self.rate * (1 + _NIGHT if self.day_seconds else 1)
        at = 0.0
        while (at := at + chance.expovariate(highest)) < self.seconds:
            if chance.random() * highest < self._rate_at(at):
                yield at

    def _rate_at(self, at: float) -> float:
        if not self.day_seconds:
            return self.rate
        return self.rate * (1 - _NIGHT * math.cos(2 * math.pi * at / self.day_seconds))  # begins at midnight


class Crowd:
    """The customers in the shop. Who has got a page and looked at it asks for the next; else somebody new comes in.

    So a customer never asks for a page before the one that leads to it is there, and the rate is kept all the same.
    """

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(f"customers {seed}")
        # Each run has users of its own, so that a second run in the same shop places orders of its own.
        self._run = f"{random.SystemRandom().getrandbits(32):08x}"
        self._looking: deque[tuple[float, Journey]] = deque()  # by the time at which they got their page
        self._seen = 0

    def next_customer(self, now: float) -> Journey:
        """Who asks for a page now."""
        if self._looking and self._looking[0][0] + _LOOKING_SECONDS <= now:
            return self._looking.popleft()[1]
        self._seen += 1
        steps = self._chance.choices(list(_JOURNEYS), list(_JOURNEYS.values()))[0]
        return Journey(f"customer-{self._run}-{self._seen}", self._chance.randint(1, _PRODUCTS), deque(steps))

    def got_page(self, journey: Journey, now: float) -> None:
        """The customer looks at the page, and comes back if the journey has more steps."""
        if journey.steps:
            self._looking.append((now, journey))


@dataclass(slots=True)
class Tally:
    """What has been seen so far."""

    outcomes: Counter[str] = field(default_factory=Counter)
    milliseconds: array[float] = field(default_factory=lambda: array("d"))
    degraded: int = 0
    gave_up: int = 0  # customers who left over an error
    latest: float = 0.0  # the longest that the generator itself was behind, in seconds

    def summary(self, seconds: float) -> dict[str, object]:
        """The figures of the run. Latencies are of all requests, failed ones too; null when there were none."""
        sent = len(self.milliseconds)
        good = sum(count for outcome, count in self.outcomes.items() if outcome.startswith("2"))
        ordered = sorted(self.milliseconds)
        return {
            "sent": sent, "ok": good, "errors": sent - good, "degraded": self.degraded, "gave_up": self.gave_up,
            "seconds": round(seconds, 3), "rate": round(sent / seconds, 3) if seconds else None,
            "p50_ms": _percentile(ordered, 50), "p95_ms": _percentile(ordered, 95), "p99_ms": _percentile(ordered, 99),
            "outcomes": dict(sorted(self.outcomes.items())), "generator_late_ms": round(self.latest * 1000, 3),
        }


async def drive(address: str, plan: Plan) -> dict[str, object]:
    """Send the plan's requests; the summary, also when stopped early by a signal."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in STOPPING:
        loop.add_signal_handler(number, stop.set)
    pool, crowd, tally, running = Pool(lambda: address), Crowd(plan.seed), Tally(), set[asyncio.Task[None]]()
    start = loop.time()
    for at in plan.times():
        if await _waited(stop, start + at - loop.time()):
            break
        tally.latest = max(tally.latest, loop.time() - start - at)
        task = asyncio.ensure_future(_send(crowd, pool, tally, start + at))
        running.add(task)
        task.add_done_callback(running.discard)
    else:
        await _waited(stop, start + plan.seconds - loop.time())
    seconds = min(loop.time() - start, plan.seconds)
    await asyncio.gather(*running)
    pool.close()
    return tally.summary(seconds)


async def _send(crowd: Crowd, pool: Pool, tally: Tally, meant: float) -> None:
    """Send one request that was meant to be sent at that time, and note how it went."""
    loop = asyncio.get_running_loop()
    journey = crowd.next_customer(loop.time())
    step = journey.steps.popleft()
    try:
        answer = await pool.send(journey.request(step), _PATIENCE_SECONDS)
    except TimeoutError:
        outcome = "timeout"
    except (ConnectionError, BadMessage) as error:
        outcome = "unreachable" if isinstance(error, Unreachable) else "broken"
    else:
        outcome = str(answer.status)
        tally.degraded += "x-degraded" in answer.headers
        if answer.status == 200:
            journey.learn(step, answer)
    tally.outcomes[outcome] += 1
    tally.milliseconds.append((loop.time() - meant) * 1000)
    if outcome == "200":
        crowd.got_page(journey, loop.time())
    else:
        tally.gave_up += 1  # shown an error, this customer leaves


async def _waited(stop: asyncio.Event, seconds: float) -> bool:
    """Wait; whether the run was stopped meanwhile."""
    if seconds <= 0:
        await asyncio.sleep(0)  # late already: still let the answers that have come be read
        return stop.is_set()
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True


def _percentile(ordered: list[float], percent: int) -> float | None:
    """The nearest-rank percentile of sorted numbers."""
    if not ordered:
        return None
    return round(ordered[math.ceil(percent / 100 * len(ordered)) - 1], 3)


def _body(**fields: object) -> bytes:
    return json.dumps(fields).encode()
