"""Secrets out of what is shown, also when one comes in two pieces. Pure."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = "•••"
SHORTEST = 4
"""Characters; a shorter secret would blacken half of every line, and is no secret."""


class Mask:
    """Takes text piece by piece and gives it back without the secrets.

    What could be the beginning of a secret is held back until it is known, so a piece may come out later than it
    went in; `rest` gives what was held back at the end.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
        # The longest first: one secret may be the beginning of another.
        self._secrets = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, self._secrets))) if forms else None
        self._held = ""

    def take(self, text: str) -> str:
        """What can be shown now."""
        if self._pattern is None:
            return text
        raw, out, at = self._held + text, "", 0
        while True:
            found, held = self._pattern.search(raw, at), self._beginning(raw, at)
            if found is None or found.start() >= held:
                self._held = raw[held:]
                return out + raw[at:held]
            out += raw[at:found.start()] + MASK
            at = found.end()

    def rest(self) -> str:
        """What was held back; nothing more will come."""
        held, self._held = self._held, ""
        return self.whole(held)

    def whole(self, text: str) -> str:
        """A text that comes in one piece."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)

    def _beginning(self, raw: str, at: int) -> int:
        """The first place from which all that follows may be the beginning of a secret; the end where there is none."""
        for place in range(max(at, len(raw) - len(self._secrets[0]) + 1), len(raw)):
            tail = raw[place:]
            if any(len(secret) > len(tail) and secret.startswith(tail) for secret in self._secrets):
                return place
        return len(raw)


def _forms(secret: str) -> set[str]:
    """The secret as programs write it: plain, in a URL, in JSON, in base64."""
    forms = {secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1],
             base64.b64encode(secret.encode()).decode()}
    return {form for form in forms if len(form) >= SHORTEST}
