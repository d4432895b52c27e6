"""A result as JSON bytes: stable keys in the order of the fields, full precision, never NaN.

Aware UTC times are `…Z`, decimals are numbers, NaN and infinities are null, lengths of time are ISO 8601 (`PT90S`).
"""

from __future__ import annotations

from typing import Any

import msgspec


def encode(value: object) -> bytes:
    """The value (dataclasses, structs, mappings, sequences) as one indented JSON document that ends in a newline."""
    return msgspec.json.format(_ENCODER.encode(value), indent=2) + b"\n"


def _plain(value: Any) -> Any:
    """Numpy's numbers and arrays as Python's; both know `tolist`, so numpy need not be loaded to ask."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")


_ENCODER = msgspec.json.Encoder(decimal_format="number", enc_hook=_plain)
