"""Commands of Mainstay in processes of their own, for what must not end with a server: an experiment takes out what it
put in, and only the process that runs it can be relied on to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from typing import IO

from mainstay.kernel.errors import MainstayError

_MOST = 4000
"""Characters of what it said that are kept: the end of it, where errors stand."""


class Apart:
    """A command that was begun in a session of its own: what ends this process, or its terminal, does not end it."""

    def __init__(self, process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
        self._process, self._said = process, said
        # Somebody has to wait for it, or it stays behind as a zombie for as long as the server lives.
        threading.Thread(target=process.wait, daemon=True, name=f"mainstay-apart-{process.pid}").start()

    @property
    def process(self) -> str:
        """Which process: `host:number`."""
        return f"{os.uname().nodename}:{self._process.pid}"

    def code(self) -> int | None:
        """Its exit code; None while it goes on."""
        return self._process.poll()

    def said(self) -> str:
        """What it said on standard error, the end of it."""
        size = os.fstat(self._said.fileno()).st_size
        text = os.pread(self._said.fileno(), _MOST, max(0, size - _MOST))
        return text.decode(errors="replace").strip()

    def end(self) -> None:
        """Tell it to stop."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)


def begin(words: Sequence[str], environment: Mapping[str, str]) -> Apart:
    """`mainstay` with these words, in a process and a session of its own.

    Args:
        environment: what it has beside this process's own. Where facts are kept belongs here: it may hold a password,
            and everybody on a host can read its command lines.
    Raises:
        MainstayError: no process could be started.
    """
    # A file, not a pipe: a pipe to a server that was killed would break the command at its next word.
    said = tempfile.TemporaryFile()  # noqa: SIM115  (it is read while the command goes on)
    try:
        process = subprocess.Popen([sys.executable, "-m", "mainstay", *words], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=said, start_new_session=True,
                                   env={**os.environ, **environment})
    except OSError as error:
        said.close()
        raise MainstayError(f"no process could be started: {error.strerror}") from error
    return Apart(process, said)
