"""Faults that are in: the ways in which mechanisms of this host hold, measure and let go of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field

from mainstay.adapters.faults.held import Holder, end_all
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.faults import Means, Measured, Order

Undone = Callable[[], None]


def _nothing() -> None:
    """Everything that takes it out stands in the record."""


@dataclass(frozen=True, slots=True)
class Injected:
    """A fault that is in.

    Args:
        measure: whether it is there, by something else than what put it in.
        hit: who was hit.
        release: what a run that is there does before the steps of the record are done.
    """

    means: Means
    measure: Callable[[], Measured]
    hit: Callable[[], Mapping[str, float]] = field(default=dict)
    release: Undone = _nothing

    def proof(self) -> Measured:
        """Whether it is there, measured now."""
        return self.measure()

    def victims(self) -> Mapping[str, float]:
        """Who was hit."""
        return self.hit()

    def remove(self) -> None:
        """Let go; the steps of the record do the rest."""
        self.release()


def held(means: Means, holders: Sequence[Holder], measure: Callable[[], Measured],
         hit: Callable[[], Mapping[str, float]] = dict) -> Injected:
    """A fault that ends with its holders."""
    return Injected(means, measure, hit, lambda: end_all(holders))


def number(order: Order, name: str) -> float:
    """The order's setting of that name, in its unit.

    Raises:
        InvalidInput: it is not there or is a word.
    """
    value = order.settings.get(name)
    if value is None or isinstance(value, str):
        raise InvalidInput(f"{order.kind} needs the number {name}", f"write {name}")
    return float(value)


def word(order: Order, name: str) -> str:
    """The order's setting of that name.

    Raises:
        InvalidInput: it is not there.
    """
    if name not in order.settings:
        raise InvalidInput(f"{order.kind} needs {name}", f"write {name}")
    return str(order.settings[name])
