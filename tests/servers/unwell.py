"""A service that is well, unwell, silent or endlessly slow, by the path it is asked on: real sockets on loopback."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

_ANSWERS = {b"/well": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            b"/unwell": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\ndown"}
_DRIP = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"


@contextlib.contextmanager
def unwell_service() -> Iterator[str]:
    """Its URL. `/well` answers 200, `/unwell` 503, `/hangs` never, `/drips` a byte now and then."""
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            asked = connection.recv(4096).split(b" ")
            path = asked[1] if len(asked) > 1 else b""  # who gave up before it asked has asked for nothing
            if path in _ANSWERS:
                connection.sendall(_ANSWERS[path])
            elif path == b"/drips":
                connection.sendall(_DRIP)
                while not over.wait(0.2):
                    connection.sendall(b".")
            elif path:
                over.wait()

    def accept() -> None:
        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
