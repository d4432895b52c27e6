"""Names for what is made on this host, so that whoever finds it knows whose it is."""

from __future__ import annotations

import secrets


def token() -> str:
    """A name that nothing else on this host has."""
    return "mainstay-" + secrets.token_hex(5)
