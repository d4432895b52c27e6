"""Bodies that are as long as before and wrong: JSON that no longer parses, or has a field of another type."""

from __future__ import annotations

import json
import re
from random import Random

_STRUCTURE = re.compile(rb'[{}\[\]:,"]')
_VALUE = re.compile(rb'(?<=[:\[,])(\s*)("(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|true|false|null)(?=\s*[,}\]])')
_TRIES = 8


def garble(body: bytes, mode: str, chance: Random, *, json_text: bool) -> bytes:
    """The body, wrong and just as long; an empty one stays.

    Args:
        mode: `invalid`, `type` or `bytes`. What is no JSON has bytes flipped in every mode; JSON with no value that can
            change its type within its length is made invalid.
        json_text: whether the body says it is JSON, and is not compressed.
    """
    if not body:
        return body
    if mode == "bytes" or not json_text:
        return _flipped(body, chance)
    return (_retyped(body, chance) if mode == "type" else None) or _broken(body, chance)


def _flipped(body: bytes, chance: Random) -> bytes:
    out = bytearray(body)
    for _ in range(1 + len(out) // 64):
        out[chance.randrange(len(out))] ^= chance.randint(1, 255)
    # Two flips at one place may have made it what it was.
    if out == body:
        out[0] ^= 1
    return bytes(out)


def _broken(body: bytes, chance: Random) -> bytes:
    places = [found.start() for found in _STRUCTURE.finditer(body)]
    for _ in range(_TRIES if places else 0):
        at = chance.choice(places)
        out = body[:at] + (b"}" if body[at:at + 1] != b"}" else b"]") + body[at + 1:]
        if not _parses(out):
            return out
    at = len(body) - len(body.lstrip())
    at = 0 if at == len(body) else at
    return body[:at] + b"}" + body[at + 1:]  # nothing begins so


def _retyped(body: bytes, chance: Random) -> bytes | None:
    found = [one for one in _VALUE.finditer(body) if _other(one[2], len(one[0])) is not None]
    while found:
        one = found.pop(chance.randrange(len(found)))
        other = _other(one[2], len(one[0]))
        assert other is not None
        out = body[:one.start()] + other.rjust(len(one[0])) + body[one.end():]
        if _parses(out) or not _parses(body):  # what was looked at may be text inside a text
            return out
    return None


def _other(value: bytes, room: int) -> bytes | None:
    """A value of another type that fits; None when there is none."""
    if value[:1] == b'"':
        return b"1" * min(len(value), 9)
    if value == b"null":
        return b"true"
    if value in (b"true", b"false"):
        return b"null"
    return b'"' + value[:room - 2] + b'"' if room >= 2 else None


def _parses(body: bytes) -> bool:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True
