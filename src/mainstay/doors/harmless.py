"""Text of others on its way to a terminal: alerts, tickets and programs must not move its cursor, nor hide anything."""

from __future__ import annotations

import re

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_PICTURES = {code: 0x2400 + code for code in range(0x20) if code not in (0x09, 0x0a)}
_OTHERS = (0x200e, 0x200f, *range(0x80, 0xa0), *range(0x202a, 0x202f), *range(0x2066, 0x206a))
"""The second set of controls, and marks that turn the direction of writing."""
_SIGNS = str.maketrans({**_PICTURES, 0x7f: 0x2421, **dict.fromkeys(_OTHERS, 0xfffd)})


def harmless(text: str) -> str:
    """The text without colours, every other control character as a sign that can be seen; lines and tabs stay."""
    if text.isprintable():
        return text
    return _COLOURS.sub("", text.replace("\r\n", "\n")).translate(_SIGNS)


def on_one_line(text: str) -> str:
    """The same, its lines with a sign between them."""
    return text if text.isprintable() else harmless(text).strip("\n").replace("\n", "⏎")
