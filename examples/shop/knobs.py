"""Knobs: how slow and how faulty a service is asked to be."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass, fields, replace


class BadKnob(ValueError):
    """A knob that does not exist, or a value it cannot take."""


@dataclass(frozen=True, slots=True)
class Knobs:
    """Each request waits `latency_ms` plus an even draw from 0 to `jitter_ms`; then a share of them fails.

    `error_rate` is that share, 0..1, and `error_status` what the failing ones answer.
    """

    latency_ms: float = 0.0
    jitter_ms: float = 0.0
    error_rate: float = 0.0
    error_status: int = 500

    def turned(self, changes: dict[str, object]) -> Knobs:
        """These knobs with some of them turned.

        Raises:
            BadKnob: a name or a value that is not possible; nothing is turned then.
        """
        for name, value in changes.items():
            if name not in _RANGES:
                raise BadKnob(f"there is no knob `{name}`; there are {', '.join(_RANGES)}")
            low, high = _RANGES[name]
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise BadKnob(f"{name} has to be a number from {low} to {high}")
            if name == "error_status" and not isinstance(value, int):
                raise BadKnob("error_status has to be a whole number")
        return replace(self, **changes)  # type: ignore[arg-type]

    def as_dict(self) -> dict[str, float]:
        """The knobs by name."""
        return asdict(self)

    def delay(self) -> float:
        """How long the next request has to wait, in seconds."""
        if not self.latency_ms and not self.jitter_ms:
            return 0.0
        return (self.latency_ms + random.uniform(0.0, self.jitter_ms)) / 1000.0

    def fails(self) -> bool:
        """Whether the next request has to fail."""
        return random.random() < self.error_rate


_RANGES = dict(zip((knob.name for knob in fields(Knobs)), ((0, 60_000), (0, 60_000), (0, 1), (400, 599)), strict=True))


def knob_settings(words: list[str]) -> dict[str, object]:
    """`["latency_ms=200", "error_rate=0.05"]` as names and numbers.

    Raises:
        BadKnob: a word is not NAME=NUMBER.
    """
    settings: dict[str, object] = {}
    for word in words:
        name, _, value = word.partition("=")
        try:
            settings[name] = int(value) if value.isdecimal() else float(value)
        except ValueError as error:
            raise BadKnob(f"`{word}` is not of the form NAME=NUMBER, such as latency_ms=200") from error
    return settings
