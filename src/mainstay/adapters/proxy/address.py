"""Addresses as people write them: `host:port`, `[::1]:port`, `:port`."""

from __future__ import annotations

import ipaddress
import re

from mainstay.kernel.errors import InvalidInput

_FORM = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^\s\[\]:/@]*)):(?P<port>[0-9]{1,5})")
_MOST = 65535


def parse(written: str, what: str) -> tuple[str, int]:
    """Host and port; no host is 127.0.0.1.

    Args:
        what: whose address it is, for the message.
    Raises:
        InvalidInput: it is not an address.
    """
    found = _FORM.fullmatch(written)
    if found is None or int(found["port"]) > _MOST:
        raise InvalidInput(f"{what} {written!r:.80} is not an address", "write host:port, such as 127.0.0.1:8080")
    return found["six"] or found["host"] or "127.0.0.1", int(found["port"])


def shown(host: str, port: int) -> str:
    """As people write it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether the name or number always means this machine alone."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def is_number(host: str) -> bool:
    """Whether it is an IP address and no name."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
