"""An address at which nobody listens, and nobody will while a test runs."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator


@contextlib.contextmanager
def nobody_listens() -> Iterator[int]:
    """Its port, on loopback: taken and never listened on, so that whoever connects is refused at once.

    The port of a server that is gone is free for the next process that asks for any.
    """
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])
