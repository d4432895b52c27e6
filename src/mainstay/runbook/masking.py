"""Secrets out of what is shown, also when one comes in two pieces or on two lines. Pure."""

from __future__ import annotations

import json
import re
from base64 import b64encode, urlsafe_b64encode
from bisect import bisect_right
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = "•••"
SHORTEST = 4
"""Characters; a shorter secret would blacken half of every line, and is no secret."""
_SHORTEST_PART = 8
"""The same for a line of a secret, and for what a secret is in the midst of something else's base64."""
_LINES = re.compile(r"[\r\n]+")


class Mask:
    """Takes text piece by piece and gives it back without the secrets.

    What could be the beginning of a secret is held back until it is known, so a piece may come out later than it
    went in; `rest` gives what was held back at the end.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
        # The longest first: one secret may be the beginning of another.
        ordered = sorted(forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if forms else None
        self._longest = len(ordered[0]) if forms else 0
        self._by_first: dict[str, list[str]] = {}
        for form in ordered:
            self._by_first.setdefault(form[0], []).append(form)
        self._held = ""

    def take(self, text: str) -> str:
        """What can be shown now."""
        if self._pattern is None:
            return text
        shown, self._held = self._masked(self._held + text, self._pattern, more=True)
        return shown

    def rest(self) -> str:
        """What was held back; nothing more will come."""
        held, self._held = self._held, ""
        return self.whole(held)

    def whole(self, text: str) -> str:
        """A text that comes in one piece."""
        return text if self._pattern is None else self._masked(text, self._pattern, more=False)[0]

    def _masked(self, raw: str, pattern: re.Pattern[str], *, more: bool) -> tuple[str, str]:
        """What can be shown of the text, and what must wait for more of it.

        Secrets are looked for in the text without its line ends: programs break long values over lines, base64 at 76
        characters, openssl at 64.
        """
        joined = _LINES.sub("", raw)
        ends = [found.start() - before for before, found in enumerate(re.finditer(r"[\r\n]", raw))]

        def place(index: int) -> int:
            """Where the character is in the text with its line ends."""
            return index + bisect_right(ends, index)

        out, at, shown = "", 0, 0
        while True:
            found, held = pattern.search(joined, at), self._beginning(joined, at) if more else len(joined)
            if found is None or found.start() >= held:
                waits = place(held) if held < len(joined) else len(raw)
                return out + raw[shown:waits], raw[waits:]
            out += raw[shown:place(found.start())] + MASK
            at = found.end()
            shown = place(at - 1) + 1

    def _beginning(self, joined: str, at: int) -> int:
        """The first place from which all that follows may be the beginning of a secret; the end where there is none."""
        for place in range(max(at, len(joined) - self._longest + 1), len(joined)):
            for secret in self._by_first.get(joined[place], ()):
                if len(secret) > len(joined) - place and secret.startswith(joined[place:]):
                    return place
        return len(joined)


def _forms(secret: str) -> set[str]:
    """The secret as programs write it, without line ends: plain, in a URL, in JSON, in base64; each of its lines."""
    said = {secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1],
            json.dumps(secret, ensure_ascii=False)[1:-1], b64encode(secret.encode()).decode()}
    parts = {*_LINES.split(secret), *_within_base64(secret.encode())}
    return {form for form in (_LINES.sub("", one) for one in said) if len(form) >= SHORTEST} \
        | {form for form in (one.strip() for one in parts) if len(form) >= _SHORTEST_PART}


def _within_base64(secret: bytes) -> Iterable[str]:
    """What a secret is in the base64 of something longer, such as `user:secret`: as far as it alone decides it."""
    for before in range(3):
        for encode in (b64encode, urlsafe_b64encode):
            text = encode(bytes(before) + secret).decode()
            # The first and the last sign hold bits of the neighbours as well.
            yield text[(0, 2, 3)[before]:len(text) - (0, 3, 2)[(before + len(secret)) % 3]]
