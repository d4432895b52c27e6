"""An address at which nobody listens while a test runs, unless the test itself does."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator


@contextlib.contextmanager
def nobody_listens() -> Iterator[int]:
    """Its port, on loopback: taken and never listened on, so that whoever connects is refused at once.

    The port of a server that is gone is free for the next process that asks for any; this one only those get who ask
    for it by number, as a server that comes back does (Go's set SO_REUSEADDR, too).
    """
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])
