"""A process for faults to be put into. Arguments: where its pid goes, what it does, a folder.

It writes `{"pid": …, "ticks": …}` where told. `idle` sleeps, `busy` computes, `echo` sends back what comes to the
`port` that it writes there too, and `writer` writes a file in the folder every few milliseconds. All but `busy` note
the time in `.log` beside it, and a writer how long each call took, or with which error it failed.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
import time
from pathlib import Path


def main() -> None:
    record, what, folder = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    said = {"pid": os.getpid(), "ticks": ticks}
    if what == "echo":
        server = socket.create_server(("127.0.0.1", 0))
        said["port"] = server.getsockname()[1]
        threading.Thread(target=_echo, args=(server,), daemon=True).start()
    beside = record.with_suffix(".new")
    beside.write_text(json.dumps(said))
    until = time.monotonic() + 300  # whatever becomes of the test, it ends
    with open(record.with_suffix(".log"), "a", buffering=1) as log:
        os.replace(beside, record)  # who reads it can read the log too
        while time.monotonic() < until:
            if what in ("idle", "echo"):
                time.sleep(0.005)
            elif what == "busy":
                sum(range(1000))
            else:
                _write(folder, log)
                time.sleep(0.005)
            if what != "busy":
                log.write(f"{time.monotonic():.4f} {time.time():.3f}\n")


def _echo(server: socket.socket) -> None:
    while True:
        connection, _ = server.accept()
        threading.Thread(target=_answer, args=(connection,), daemon=True).start()


def _answer(connection: socket.socket) -> None:
    with connection, contextlib.suppress(ConnectionError):
        while part := connection.recv(4096):
            connection.sendall(part)


def _write(folder: Path, log) -> None:
    began = time.monotonic()
    try:
        fd = os.open(folder / "data", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            os.write(fd, b"x" * 100)
        finally:
            os.close(fd)
        log.write(f"took {time.monotonic() - began:.4f}\n")
    except OSError as problem:
        log.write(f"failed {problem.errno}\n")


main()
