"""Chance that can be had again: every draw follows from the seed and from what it is drawn for, not from the order."""

from __future__ import annotations

from hashlib import blake2b
from random import Random


def share(*key: object) -> float:
    """A number from [0, 1) that these key parts always give."""
    return int.from_bytes(_digest(key), "big") / 2**64


def generator(*key: object) -> Random:
    """A generator of numbers that these key parts always give."""
    return Random(int.from_bytes(_digest(key), "big"))  # noqa: S311  (chance of a fault, not of a secret)


def _digest(key: tuple[object, ...]) -> bytes:
    return blake2b("\0".join(map(str, key)).encode(), digest_size=8).digest()
