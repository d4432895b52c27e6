"""Looking on while an act is done: its output, its time, whether it must end; and waiting until something holds."""

from __future__ import annotations

import threading
from dataclasses import replace

from mainstay.kernel.actuation import COMPARE, Actuator, Ending, Outcome, Wait
from mainstay.kernel.errors import SourceUnavailable
from mainstay.kernel.objective import Objective
from mainstay.kernel.ports import Clock, ServiceStanding, World

MOST_WAITING = 1_000_000
"""Characters of output that wait to be taken; a program that writes faster than anybody reads loses the middle."""


class Watching:
    """A watch with an end: `seconds` from when it was made."""

    def __init__(self, seconds: float, clock: Clock) -> None:
        self._clock = clock
        self._end = clock.monotonic() + seconds
        self._lock = threading.Lock()
        self._waiting: list[str] = []
        self._size = 0
        self._cancelled = threading.Event()

    @property
    def time(self) -> float:
        """Seconds of the clock; only differences mean anything."""
        return self._clock.monotonic()

    def output(self, text: str) -> None:
        """Some more output."""
        with self._lock:
            if self._size < MOST_WAITING:
                self._waiting.append(text)
                self._size += len(text)

    def taken(self) -> str:
        """The output since it was last taken."""
        with self._lock:
            text, self._waiting, self._size = "".join(self._waiting), [], 0
            return text

    def cancel(self) -> None:
        """The act must end. From any thread."""
        self._cancelled.set()

    def over(self) -> Ending | None:
        """Whether it must end now, and why."""
        if self._cancelled.is_set():
            return Ending.CANCELLED
        return Ending.TIMED_OUT if self._clock.monotonic() >= self._end else None

    def left(self) -> float:
        """Seconds until it must end."""
        return max(0.0, self._end - self._clock.monotonic())


class _Quiet:
    """The watch of a look within a wait: what it says is not shown each time."""

    def __init__(self, watch: Watching) -> None:
        self._watch = watch

    def output(self, text: str) -> None:
        """Nothing."""

    def over(self) -> Ending | None:
        """As the whole wait."""
        return self._watch.over()

    def left(self) -> float:
        """As the whole wait."""
        return self._watch.left()


_SLICE = 0.2
_BETTER = {"healthy": ("healthy",), "at_risk": ("healthy", "at_risk")}


def wait_until(world: World, actuator: Actuator, act: Wait, watch: Watching) -> Outcome:
    """Succeeded once it holds; timed out or cancelled when that did not come in time."""
    said = ""
    while True:
        seen = _look(world, actuator, act, watch)
        if seen.ending is Ending.SUCCEEDED:
            watch.output(f"{seen.output}: it holds\n")
            return seen
        now = seen.error or seen.output
        if now != said:
            watch.output(f"{now}\n")
            said = now
        waited = 0.0
        while waited < act.every:
            if (over := watch.over()) is not None:
                return Outcome(over, seen.output, error=f"it did not hold in time: {now}"
                               if over is Ending.TIMED_OUT else "")
            world.clock.sleep(min(_SLICE, act.every - waited))
            waited += _SLICE


def _look(world: World, actuator: Actuator, act: Wait, watch: Watching) -> Outcome:
    if act.metric is not None:
        seen = actuator.carry_out(act.metric, _Quiet(watch))
        # One look that got no answer is not the end of the waiting.
        return replace(seen, ending=Ending.FAILED) if seen.ending is not Ending.SUCCEEDED else seen
    return _stands(world, act)


def _stands(world: World, act: Wait) -> Outcome:
    """How the objective stands by now. Its source is asked: without a server nobody else does meanwhile."""
    service = world.catalog.get(Objective, act.objective).service
    try:
        known = world.standing(world, (service,), fresh=True)
    except SourceUnavailable as problem:
        return Outcome(Ending.FAILED, error=problem.message)
    one = next((each for each in known if each.objective == act.objective), None)
    holds, said = _holds(one, act) if one is not None else (False, "has no data")
    return Outcome(Ending.SUCCEEDED if holds else Ending.FAILED, f"{act.objective} {said}")


def _holds(one: ServiceStanding, act: Wait) -> tuple[bool, str]:
    if not act.measure:
        return one.state in _BETTER[act.state], f"is {one.state.replace('_', ' ')}"
    burn = act.measure == "burn"
    value = one.burn if burn else None if one.spent is None else 1 - one.spent
    if value is None:
        return False, "has no data"
    said = f"burns {value:.3g} times as fast as it may" if burn else f"has {value:.1%} of its budget left"
    return COMPARE[act.operator](value, act.threshold), said
