"""The minimal failure finder: from faults that together break a promise to the fewest and weakest that still do.

Delta debugging over the set, then bisection over the strength of each that is left. What a system answers may differ
from one try to the next, so each question is tried until a sequential test is sure. Pure: trying is the caller's.

The strength of a fault is a number on a ladder of steps; breaking is taken to be monotone: more or stronger faults do
not mend what fewer or weaker ones break. Where that does not hold, what is found is still true (it was tried), and
`checked` says whether leaving out or weakening any one of it was seen not to break.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import field

from mainstay.kernel.dataclass import dataclass

Trial = Callable[[dict[str, float]], bool]
"""Puts in the faults with these strengths, once, and says whether the promise was broken."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A fault that may be part of the cause.

    Args:
        name: unique among the suspects.
        ladder: strengths from the weakest to the strongest, the one it was seen with last; one value where there is no
            weaker form.
    """

    name: str
    ladder: tuple[float, ...] = (1.0,)

    @property
    def strongest(self) -> float:
        """As it was when the promise was broken."""
        return self.ladder[-1]


@dataclass(frozen=True, slots=True)
class Belief:
    """When an answer is believed: Wald's sequential test between two chances that a try breaks the promise.

    Args:
        seldom: a set of faults that is not the cause breaks it at most this often.
        often: one that is breaks it at least this often.
        error: chance that one question is answered wrongly, either way.
        most: tries for one question; then the likelier answer is taken, and the result says that it is not sure.
    Source: Wald, "Sequential Tests of Statistical Hypotheses", 1945.
    """

    seldom: float = 0.2
    often: float = 0.8
    error: float = 0.01
    most: int = 25


@dataclass(slots=True)
class _Asked:
    """What was asked so far, and what it cost."""

    trial: Trial
    belief: Belief
    known: dict[tuple[tuple[str, float], ...], bool] = field(default_factory=dict)
    tries: int = 0
    unsure: int = 0

    def breaks(self, strengths: dict[str, float]) -> bool:
        """Whether these faults break the promise; each question is put once."""
        if not strengths:
            return False
        key = tuple(sorted(strengths.items()))
        if key not in self.known:
            self.known[key] = self._ask(strengths)
        return self.known[key]

    def _ask(self, strengths: dict[str, float]) -> bool:
        belief = self.belief
        bound = math.log((1 - belief.error) / belief.error)
        up, down = math.log(belief.often / belief.seldom), math.log((1 - belief.often) / (1 - belief.seldom))
        weight = 0.0
        for _ in range(belief.most):
            self.tries += 1
            weight += up if self.trial(dict(strengths)) else down
            if abs(weight) >= bound:
                return weight > 0
        self.unsure += 1
        return weight > 0


@dataclass(frozen=True, slots=True)
class Found:
    """The smallest set of faults that breaks the promise.

    Args:
        strengths: by suspect; empty when not even all of them broke it.
        questions, tries: what it cost: sets that were asked about, and how often faults were put in.
        steps: questions of the bisection, by suspect.
        confidence: at least this sure that every answer was right (1 − questions × error; Boole's inequality).
        checked: leaving out or weakening by a step any one of them was seen not to break it.
        unsure: questions that ended without the test being sure.
    """

    strengths: dict[str, float]
    questions: int
    tries: int
    steps: dict[str, int]
    confidence: float
    checked: bool
    unsure: int = 0


def find(suspects: Sequence[Suspect], trial: Trial, belief: Belief = Belief()) -> Found:  # noqa: B008  (it is frozen)
    """The fewest and weakest of the suspects that still break the promise.

    Source: delta debugging is ddmin of Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input",
        2002.
    """
    asked = _Asked(trial, belief)
    every = {one.name: one.strongest for one in suspects}
    if not asked.breaks(every):
        return _found(asked, {}, {}, checked=False)
    left = _fewest([one.name for one in suspects], every, asked)
    strengths = {name: every[name] for name in left}
    steps = {}
    for one in suspects:
        if one.name in strengths:
            strengths[one.name], steps[one.name] = _weakest(one, strengths, asked)
    checked = all(not asked.breaks(weaker) for weaker in _weaker(strengths, suspects))
    return _found(asked, strengths, steps, checked=checked)


def _found(asked: _Asked, strengths: dict[str, float], steps: dict[str, int], *, checked: bool) -> Found:
    questions = len(asked.known)
    return Found(strengths, questions, asked.tries, steps, max(0.0, 1 - questions * asked.belief.error), checked,
                 asked.unsure)


def _fewest(names: list[str], every: dict[str, float], asked: _Asked) -> list[str]:
    """ddmin: try each part alone, then all without each part, then finer parts."""
    parts = 2
    while len(names) > 1:
        size = math.ceil(len(names) / parts)
        chunks = [names[start:start + size] for start in range(0, len(names), size)]
        alone = next((chunk for chunk in chunks if asked.breaks(_only(every, chunk))), None)
        if alone is not None:
            names, parts = alone, 2
            continue
        rest = next((rest for chunk in chunks if len(chunks) > 2
                     and asked.breaks(_only(every, rest := [name for name in names if name not in chunk]))), None)
        if rest is not None:
            names, parts = rest, max(parts - 1, 2)
            continue
        if parts >= len(names):
            return names
        parts = min(len(names), parts * 2)
    return names


def _only(every: dict[str, float], names: Sequence[str]) -> dict[str, float]:
    return {name: every[name] for name in names}


def _weakest(suspect: Suspect, strengths: dict[str, float], asked: _Asked) -> tuple[float, int]:
    """The lowest step of the ladder that still breaks the promise, the others staying as they are."""
    low, high, steps = 0, len(suspect.ladder) - 1, 0
    while low < high:
        middle = (low + high) // 2
        steps += 1
        if asked.breaks({**strengths, suspect.name: suspect.ladder[middle]}):
            high = middle
        else:
            low = middle + 1
    return suspect.ladder[high], steps


def _weaker(strengths: dict[str, float], suspects: Sequence[Suspect]) -> list[dict[str, float]]:
    """Every set that is smaller by one fault, or weaker by one step."""
    out = []
    ladders = {one.name: one.ladder for one in suspects}
    for name, strength in strengths.items():
        place = ladders[name].index(strength)
        if place:
            out.append({**strengths, name: ladders[name][place - 1]})
        out.append({other: value for other, value in strengths.items() if other != name})
    return out


def ladder(low: float, high: float, steps: int = 16) -> tuple[float, ...]:
    """Strengths from low to high, each the same factor above the one before, rounded to three figures.

    Raises:
        ValueError: they are not in that order, or not above zero.
    """
    if not 0 < low <= high or steps < 1:
        raise ValueError(f"no ladder leads from {low:g} to {high:g} in {steps} steps")
    if low == high or steps == 1:
        return (high,)
    factor = (high / low) ** (1 / (steps - 1))
    inner = [float(f"{low * factor**step:.3g}") for step in range(steps - 1)]
    return tuple(dict.fromkeys([*(one for one in inner if one < high), high]))
