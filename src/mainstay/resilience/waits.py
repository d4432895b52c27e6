"""How long to wait before the next try, and when to stop trying: two small algebras.

    exponential(0.1, most=10)                     0.1, 0.2, 0.4 … 10 s, each drawn evenly from 0 to that
    fixed(1) + uniform(0, 0.5)                    the sum
    fixed(1) & exponential(0.1, most=10)          the longer of both
    fixed(1) | exponential(0.1, most=10)          the shorter of both
    fixed(0.1).then(fixed(0.1), fixed(5))         the first, the second, then always the last
    after_tries(5) | after_seconds(30)            stop when either says so; `&`: when both do

Jitter is drawn inside the cap: no wait is ever longer than its `most`, and every draw is handed in.

Source for jitter: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

Draw = Callable[[], float]
Jitter = Literal["none", "equal", "full"]
_SPREAD: dict[str, float] = {"none": 0.0, "equal": 0.5, "full": 1.0}


class Wait:
    """How long to wait before a further try.

    Args:
        seconds_of: of the number of tries so far (1 or more), the last wait in seconds (0 before the first), and a
            draw from [0, 1).
        most: what no wait exceeds, in seconds.
    """

    __slots__ = ("_seconds_of", "most")

    def __init__(self, seconds_of: Callable[[int, float, Draw], float], most: float) -> None:
        if not 0 <= most < math.inf:
            raise ValueError("the longest wait is a number of seconds, 0 or more")
        self._seconds_of, self.most = seconds_of, most

    def seconds(self, tries: int, last: float, draw: Draw) -> float:
        """The wait after so many tries, 0..most."""
        return min(self.most, max(0.0, self._seconds_of(tries, last, draw)))

    def __add__(self, other: Wait) -> Wait:
        return Wait(lambda *at: self.seconds(*at) + other.seconds(*at), self.most + other.most)

    def __and__(self, other: Wait) -> Wait:
        return Wait(lambda *at: max(self.seconds(*at), other.seconds(*at)), max(self.most, other.most))

    def __or__(self, other: Wait) -> Wait:
        return Wait(lambda *at: min(self.seconds(*at), other.seconds(*at)), min(self.most, other.most))

    def then(self, *others: Wait) -> Wait:
        """This after the first try, the next after the second …, and the last one from there on."""
        chain = (self, *others)
        return Wait(lambda tries, *at: chain[min(tries, len(chain)) - 1].seconds(tries, *at),
                    max(wait.most for wait in chain))


def fixed(seconds: float) -> Wait:
    """Always the same."""
    return Wait(lambda *_: seconds, seconds)


def uniform(low: float, high: float) -> Wait:
    """An even draw from low to high.

    Raises:
        ValueError: low is below 0, or above high.
    """
    if not 0 <= low <= high:
        raise ValueError("a uniform wait has 0 <= low <= high")
    return Wait(lambda _tries, _last, draw: low + (high - low) * draw(), high)


def linear(step: float, most: float) -> Wait:
    """step, 2·step, 3·step … up to the most.

    Raises:
        ValueError: step is below 0.
    """
    if not step >= 0:
        raise ValueError("a linear wait has a step of 0 s or more")
    return Wait(lambda tries, *_: step * tries, most)


def exponential(first: float, *, most: float, factor: float = 2.0, jitter: Jitter = "full") -> Wait:
    """first · factor^(tries − 1), up to the most, and then jitter: an even draw from 0 to that ("full"), from its half
    to that ("equal"), or that itself ("none").

    Raises:
        ValueError: first is not above 0, factor is below 1, or the jitter is none of the three.
    """
    if not first > 0 or not factor >= 1:
        raise ValueError("an exponential wait begins above 0 s and does not shrink")
    if jitter not in _SPREAD:
        raise ValueError(f"{jitter!r} is no jitter: write one of {', '.join(_SPREAD)}")
    # From this try on the cap holds; asked for, because factor ** tries overflows long before tries does.
    if most <= first:
        capped = 0.0
    else:
        capped = math.inf if factor == 1 else (math.log(most) - math.log(first)) / math.log(factor)
    spread = _SPREAD[jitter]

    def seconds_of(tries: int, _last: float, draw: Draw) -> float:
        whole = most if tries - 1 >= capped else min(most, first * factor ** (tries - 1))
        return whole * (1 - spread * draw()) if spread else whole

    return Wait(seconds_of, most)


def decorrelated(first: float, *, most: float) -> Wait:
    """An even draw from first to three times the last wait, up to the most; spreads better than it sounds.

    Raises:
        ValueError: first is not above 0, so that no wait would ever grow.
    """
    if not first > 0:
        raise ValueError("a decorrelated wait begins above 0 s")
    return Wait(lambda _tries, last, draw: first + (max(first, 3 * last) - first) * draw(), most)


class Stop:
    """When to give up.

    Args:
        says: of the number of tries so far, and the seconds that will have passed when the next one begins.
        timed: whether it looks at the seconds, which have to be measured from the start then.
    """

    __slots__ = ("says", "timed")

    def __init__(self, says: Callable[[int, float], bool], *, timed: bool) -> None:
        self.says, self.timed = says, timed

    def __or__(self, other: Stop) -> Stop:
        return Stop(lambda *at: self.says(*at) or other.says(*at), timed=self.timed or other.timed)

    def __and__(self, other: Stop) -> Stop:
        return Stop(lambda *at: self.says(*at) and other.says(*at), timed=self.timed or other.timed)


def after_tries(tries: int) -> Stop:
    """So many tries, the first included.

    Raises:
        ValueError: fewer than 1.
    """
    if tries < 1:
        raise ValueError("there is at least one try")
    return Stop(lambda made, _seconds: made >= tries, timed=False)


def after_seconds(seconds: float) -> Stop:
    """No try begins later than so long after the first. (It does not end one that is under way: `deadline` does.)

    Raises:
        ValueError: below 0.
    """
    if not seconds >= 0:
        raise ValueError("tries stop after 0 s or more")
    return Stop(lambda _made, at: at > seconds, timed=True)


def never() -> Stop:
    """Goes on for ever; to be used with a deadline or a budget."""
    return Stop(lambda _made, _seconds: False, timed=False)
