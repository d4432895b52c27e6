"""Processes that hold faults of the kernel's, from the side of the run."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import select
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mainstay.adapters.faults.processes import Process, alive, found
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.faults import Undo

_START = ("import sys; sys.path.insert(0, sys.argv[1]); sys.argv[:] = sys.argv[1:]; "
          "from mainstay.adapters.faults.holder import main; main()")
_SOURCES = str(Path(__file__).parents[3])
_PATIENCE = 15.0
"""Seconds in which a holder has to be there on a busy host; nothing was touched before."""


class Holder:
    """One process that holds a fault. Its end, however it comes, is the fault's end."""

    def __init__(self, mode: str, data: Mapping[str, Any]) -> None:
        """Start it; it does nothing yet.

        Raises:
            InvalidInput: no process can be started.
        """
        fd = os.memfd_create("mainstay-told", os.MFD_CLOEXEC)
        try:
            os.ftruncate(fd, 32)
            self._told = mmap.mmap(fd, 32)
            self._child = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _START, _SOURCES, mode, json.dumps(data), str(fd), str(os.getpid())],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/", pass_fds=(fd,),
                start_new_session=True)
        finally:
            os.close(fd)
        self.mode = mode
        self.result: Any = None
        process = found(self._child.pid)
        if process is None:
            self.end()
            raise InvalidInput("the process that holds the fault ended at once", "look at the limits of this host")
        self.process: Process = process

    @property
    def undo(self) -> Undo:
        """What ends it."""
        return Undo("end-holder", self.process.data)

    def ready(self) -> None:
        """Wait until it can go."""
        self._heard("ready")

    def go(self) -> None:
        """Tell it to, and wait until the fault is in.

        Raises:
            InvalidInput: it could not put it in; says why.
        """
        assert self._child.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin.write(b"g")
            self._child.stdin.flush()
        self.result = self._heard("on")

    def told(self) -> tuple[float, ...]:
        """What it says of itself: four numbers."""
        return struct.unpack("=4d", self._told[:])

    @property
    def alive(self) -> bool:
        """Whether it holds."""
        return alive(self.process)

    def end(self) -> None:
        """Kill it; again is fine. It holds nothing that needs a farewell, and an abort has no time for one."""
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _heard(self, word: str) -> Any:
        assert self._child.stdout is not None
        until, said = time.monotonic() + _PATIENCE, b""
        while not said.endswith(b"\n"):
            ready, _, _ = select.select([self._child.stdout], [], [], max(0.0, until - time.monotonic()))
            part = os.read(self._child.stdout.fileno(), 4096) if ready else b""
            if not part:
                self.end()
                raise InvalidInput(f"the process that holds the fault said nothing ({self.mode})",
                                   "look at the load of this host")
            said += part
        heard, _, value = said.decode().strip().partition(" ")
        if heard != word:
            self.end()
            raise InvalidInput(f"it could not be put in: {json.loads(value)}")
        return json.loads(value)


def hold(holders: Sequence[Holder], intend: Callable[[Sequence[Undo]], None]) -> None:
    """Let them all go, with what ends them on the disk before, and not before the kernel ends them with us.

    Raises:
        InvalidInput: one could not; all are ended.
    """
    try:
        for one in holders:
            one.ready()
        intend([one.undo for one in holders])
        for one in holders:
            one.go()
    except BaseException:
        end_all(holders)
        raise


def end_all(holders: Sequence[Holder]) -> None:
    """Let go of all; again is fine."""
    for one in holders:
        one.end()
