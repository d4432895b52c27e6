"""What protecting a call costs, beside the rivals, in one interleaved loop.

The rivals are no dependency of Mainstay; each that is absent is left out and named:

    uv pip install --python .venv/bin/python circuitbreaker interlock-cb tenacity backoff pybreaker

A round measures every contestant once, for a few milliseconds, so that a busy moment hits all alike; of each the least
over all rounds counts, less the call of the bare function. Goals:

- a breaker with a window and slow-call timing ≥ 1.5 × faster than `circuitbreaker`, which has neither, and ≥ 10 × than
  `interlock-cb`, which has both;
- a retry whose first try succeeds ≥ 10 × faster than `backoff` and ≥ 100 × than `tenacity`;
- four policies around a call ≥ 5 × faster than interlock's.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

from mainstay.resilience import (
    Breaker,
    BreakerOpen,
    BreakerRule,
    Bulkhead,
    Fallback,
    LastSeconds,
    Policy,
    RateLimit,
    Retry,
    Timeout,
)

ROUNDS = int(os.environ.get("ROUNDS", "60"))
SECONDS = 0.004  # of one measurement: short against the busy moments of a machine, long against its clock
Plain = Callable[[], Any]
Coroutine = Callable[[], Awaitable[Any]]
BARE, OURS = "bare", "mainstay"
GOALS = {
    ("breaker", "circuitbreaker"): 1.5, ("breaker", "interlock-cb"): 10.0, ("retry", "backoff"): 10.0,
    ("retry", "tenacity"): 100.0, ("four policies", "interlock-cb"): 5.0,
}
"""By subject and rival; they are about plain functions. Coroutines are shown beside them."""


def nothing() -> int:
    return 1


async def nothing_async() -> int:
    return 1


def failing() -> int:
    raise ConnectionError


# -- contestants, by subject and name ---------------------------------------------------------------------------------

Entry = tuple[Plain | None, Coroutine | None]  # None where a library has no such thing


def ours() -> dict[str, dict[str, Entry]]:
    breaker, by_time, retry = Breaker("b"), Breaker("t", BreakerRule(window=LastSeconds(10))), Retry("r")
    three = Policy("three", Fallback.value("f", 0), Breaker("b"), Bulkhead("k", 10))
    four = Policy("four", Fallback.value("f", 0), Retry("r"), Breaker("b"), Bulkhead("k", 10))
    forced = Breaker("o")
    forced.force_open()
    timeout = Timeout("t", 5.0)
    return {
        "breaker": {OURS: (breaker(nothing), breaker(nothing_async)),
                    f"{OURS}, window of time": (by_time(nothing), by_time(nothing_async))},
        "retry": {OURS: (retry(nothing), retry(nothing_async))},
        "three policies": {OURS: (three(nothing), three(nothing_async))},
        "four policies": {OURS: (four(nothing), four(nothing_async))},
        "open breaker": {OURS: (swallowing(forced(nothing), BreakerOpen), None)},
        "time-out": {OURS: (None, timeout(nothing_async)), "asyncio.timeout": (None, stdlib_timeout)},
        "bulkhead": {OURS: (Bulkhead("k", 10)(nothing), Bulkhead("k", 10)(nothing_async))},
        "rate limit": {OURS: (RateLimit("l", 1e9, burst=1000)(nothing), None)},
    }


def circuitbreaker(library: Any) -> dict[str, Entry]:
    opened = library.CircuitBreaker(failure_threshold=1, recovery_timeout=3600)
    swallowing(opened(failing), ConnectionError)()
    return {"breaker": (library.circuit(nothing), library.circuit(nothing_async)),
            "open breaker": (swallowing(opened(nothing), library.CircuitBreakerError), None)}


def pybreaker(library: Any) -> dict[str, Entry]:
    return {"breaker": (library.CircuitBreaker()(nothing), None)}


def interlock(_library: Any) -> dict[str, Entry]:
    from interlock.breaker import CircuitBreaker  # noqa: PLC0415  (a rival may be absent)
    from interlock.errors import CircuitOpenError  # noqa: PLC0415  (a rival may be absent)
    from interlock.pipeline import PipelineBuilder  # noqa: PLC0415  (a rival may be absent)

    breaker, opened = CircuitBreaker(name="b"), CircuitBreaker(name="o")
    opened.force_open()

    def pipeline(*, retry: bool) -> Any:
        built = PipelineBuilder().fallback(lambda _error: 0)
        built = built.retry(attempts=3) if retry else built
        return built.circuit_breaker(CircuitBreaker(name="p")).bulkhead(10).build()

    three = pipeline(retry=False)
    found: dict[str, Entry] = {"breaker": (breaker(nothing), breaker(nothing_async)),
                               "three policies": (three(nothing), three(nothing_async)),
                               "open breaker": (swallowing(opened(nothing), CircuitOpenError), None)}
    try:  # its retry is tenacity's
        four = pipeline(retry=True)
    except ImportError:
        return found
    return {**found, "four policies": (four(nothing), four(nothing_async))}


def tenacity(library: Any) -> dict[str, Entry]:
    retry = library.retry(retry=library.retry_if_exception_type((ConnectionError, TimeoutError)),
                          stop=library.stop_after_attempt(3), wait=library.wait_random_exponential(0.1, 10))
    return {"retry": (retry(nothing), retry(nothing_async))}


def backoff(library: Any) -> dict[str, Entry]:
    retry = library.on_exception(library.expo, (ConnectionError, TimeoutError), max_tries=3)
    return {"retry": (retry(nothing), retry(nothing_async))}


RIVALS: dict[str, tuple[str, Callable[[Any], dict[str, Entry]]]] = {
    "circuitbreaker": ("circuitbreaker", circuitbreaker), "pybreaker": ("pybreaker", pybreaker),
    "interlock-cb": ("interlock", interlock), "tenacity": ("tenacity", tenacity), "backoff": ("backoff", backoff),
}


async def stdlib_timeout() -> int:
    async with asyncio.timeout(5.0):
        return await nothing_async()


def swallowing(call: Plain, error: type[Exception]) -> Plain:
    """The call, whose refusal is what is measured."""
    def run() -> None:
        with contextlib.suppress(error):
            call()

    return run


# -- measuring --------------------------------------------------------------------------------------------------------


def once(call: Plain, number: int) -> float:
    """Nanoseconds per call."""
    repeat = range(number)
    began = time.perf_counter()
    for _ in repeat:
        call()
    return (time.perf_counter() - began) / number * 1e9


async def once_async(call: Coroutine, number: int) -> float:
    repeat = range(number)
    began = time.perf_counter()
    for _ in repeat:
        await call()
    return (time.perf_counter() - began) / number * 1e9


def contestants() -> tuple[dict[tuple[str, str], Entry], list[str]]:
    """By subject and name, the bare function first; and the rivals that are absent."""
    subjects, absent = ours(), []
    for name, (module, entries) in RIVALS.items():
        try:
            found = entries(importlib.import_module(module))
        except ImportError:
            absent.append(name)
            continue
        for subject, entry in found.items():
            subjects[subject][name] = entry
    flat: dict[tuple[str, str], Entry] = {(BARE, BARE): (nothing, nothing_async)}
    flat |= {(subject, name): entry for subject, entries in subjects.items() for name, entry in entries.items()}
    return flat, absent


Key = tuple[str, str, str]  # subject, name, colour


async def rounds(flat: dict[tuple[str, str], Entry]) -> dict[Key, list[float]]:
    """Nanoseconds per call of every contestant in every round."""
    numbers: dict[Key, int] = {}
    taken: dict[Key, list[float]] = {}
    for number in range(ROUNDS + 1):
        for (subject, name), (plain, coroutine) in flat.items():
            for colour, call in (("plain", plain), ("coroutine", coroutine)):
                if call is None:
                    continue
                key = (subject, name, colour)
                calls = numbers.get(key, 200)
                spent = await once_async(call, calls) if colour == "coroutine" else once(call, calls)
                if number == 0:  # finds out how many calls fill a measurement, and warms up
                    numbers[key] = max(50, int(SECONDS / (spent / 1e9)))
                else:
                    taken.setdefault(key, []).append(spent)
    return taken


def show(taken: dict[Key, list[float]]) -> bool:
    """Print costs and ratios; whether a goal was missed."""
    bare = {colour: min(taken[BARE, BARE, colour]) for colour in ("plain", "coroutine")}
    cost = {key: max(0.1, min(values) - bare[key[2]]) for key, values in taken.items()}
    print(f"bare call: {bare['plain']:.0f} ns, bare await: {bare['coroutine']:.0f} ns; below: nanoseconds over that\n")
    print(f"{'':16}{'':24}{'plain':>10}{'ratio':>8}{'coroutine':>12}{'ratio':>8}  goal (plain)")
    missed = False
    for subject, name in dict.fromkeys(key[:2] for key in taken if key[0] != BARE):
        shown = ""
        for colour, width in (("plain", 10), ("coroutine", 12)):
            key = (subject, name, colour)
            reference = cost.get((subject, OURS, colour))
            figure = f"{cost[key]:.0f}" if key in cost else "–"
            ratio = f"{cost[key] / reference:.1f}" if key in cost and reference and name != OURS else ""
            shown += f"{figure:>{width}}{ratio:>8}"
        goal = GOALS.get((subject, name))
        if goal is not None:
            met = cost[subject, name, "plain"] / cost[subject, OURS, "plain"] >= goal
            missed |= not met
            shown += f"  ≥ {goal:g} {'met' if met else 'MISSED'}"
        print(f"{subject:16}{name:24}{shown}")
    return missed


def main() -> int:
    """Print costs, ratios and the load; 1 when a goal is missed."""
    flat, absent = contestants()
    before = os.getloadavg()[0]
    taken = asyncio.run(rounds(flat))
    there = ", ".join(f"{name} {version(name)}" for name in RIVALS if name not in absent)
    print(f"Python {sys.version.split()[0]}; {there or 'no rival is installed'}"
          + (f"; absent: {', '.join(absent)}" if absent else ""))
    spread = statistics.median(taken[BARE, BARE, "plain"]) / min(taken[BARE, BARE, "plain"])
    print(f"{ROUNDS} interleaved rounds, least of each; load {before:.1f} before, {os.getloadavg()[0]:.1f} after; "
          f"the bare call's median is {spread:.2f} × its least")
    return 1 if show(taken) else 0


if __name__ == "__main__":
    sys.exit(main())
