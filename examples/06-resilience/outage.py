"""An outage of a dependency, seen through a policy: what callers get each second, and what reaches the dependency.

    python examples/06-resilience/outage.py

The minute takes no time: the clock is one that the program moves. With a real one, leave `runtime` out.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "src"))  # for a Python that does not have Mainstay installed

from mainstay.resilience import (
    Breaker,
    BreakerRule,
    Event,
    LastCalls,
    LastGood,
    ManualTime,
    Policy,
    Retry,
    RetryRule,
    exposition,
    fixed,
)

DOWN = range(10, 40)  # seconds of the outage


class Prices:
    """The dependency: it has a new price every second, and is down for half a minute."""

    def __init__(self, time: ManualTime) -> None:
        self._time, self.asked = time, 0

    async def price(self, product: str) -> str:
        """The price as of now."""
        self.asked += 1
        await asyncio.sleep(0)
        second = int(self._time.seconds)
        if second in DOWN:
            raise ConnectionError("nobody listens")
        return f"{product}: {500 + second} cents"


async def minute() -> None:
    """Ask once a second, and tell what came of it."""
    time = ManualTime()
    prices = Prices(time)
    policy = Policy(
        "prices",
        LastGood("prices", seconds=60, runtime=time.runtime),  # outermost: an old price is better than none
        Retry("prices", RetryRule(wait=fixed(0.1)), runtime=time.runtime),
        Breaker("prices", BreakerRule(window=LastCalls(10), minimum_calls=5, pause=10.0, trials=2), time.runtime),
    )
    print(policy)

    @policy.listen
    def tell(event: Event) -> None:
        if event.kind == "breaker" and event.what != "refused":
            print(f"{event.at:5.1f} s  the breaker {event.what.replace('_', ' ')}")

    price = policy(prices.price)
    for second in range(60):
        time.seconds = max(time.seconds, float(second))
        answer = await price("kettle")
        if second % 10 == 9:
            print(f"{time.seconds:5.1f} s  {answer}")
    print(f"60 customers were answered; the dependency was asked {prices.asked} times")
    print(*[line for line in exposition([policy]).splitlines() if "events_total{" in line], sep="\n")


if __name__ == "__main__":
    asyncio.run(minute())
