"""Programs of this package, started and spoken to: the holder of packets, and the probe beside it.

They are processes of their own because they enter other networks, and because what they hold is to end with them.
"""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mainstay.adapters.faults.packets.task import Task, written
from mainstay.adapters.faults.processes import found
from mainstay.kernel.errors import NotAllowed, SourceUnavailable
from mainstay.kernel.faults import Undo

_START = ("import sys; sys.path.insert(0, sys.argv[1]); sys.argv[:] = sys.argv[1:]; "
          "from mainstay.adapters.faults.{} import main; sys.exit(main())")
_SOURCES = str(Path(__file__).parents[4])
_READY = 15.0
_ANSWER = 5.0
_END = 5.0


def start(program: str) -> subprocess.Popen[bytes]:
    """A program of mechanisms, `packets.holder` or `edges.probe`, that waits for a line; in a session of its own."""
    return subprocess.Popen([sys.executable, "-I", "-S", "-c", _START.format(program), _SOURCES],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/", start_new_session=True)


def line(child: subprocess.Popen[bytes], seconds: float) -> Any:
    """What it says next.

    Raises:
        SourceUnavailable: it says nothing in time, or ended.
    """
    assert child.stdout is not None
    ready, _, _ = select.select([child.stdout], [], [], seconds)
    said = child.stdout.readline() if ready else b""
    try:
        return json.loads(said)
    except ValueError:
        raise SourceUnavailable("the process that holds the packets ended" if ready else
                                "the process that holds the packets does not answer",
                                "it may have been killed; what it held is out then") from None


def tell(child: subprocess.Popen[bytes], text: str) -> None:
    """Say a line to it.

    Raises:
        SourceUnavailable: it has ended.
    """
    assert child.stdin is not None
    try:
        child.stdin.write(text.encode())
        child.stdin.flush()
    except OSError as problem:
        raise SourceUnavailable(f"the process that holds the packets has ended: {problem}", "") from problem


def finish(child: subprocess.Popen[bytes], seconds: float = _END) -> None:
    """Let it end in order, or kill it after so long."""
    assert child.stdin is not None
    assert child.stdout is not None
    with contextlib.suppress(OSError):  # it has ended and reads no more
        child.stdin.close()
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    child.stdout.close()


class Held:
    """A task that a holder carries out."""

    def __init__(self, task: Task, intend: Callable[[Sequence[Undo]], None]) -> None:
        """Start it.

        Raises:
            NotAllowed: the kernel does not let us, or cannot.
            SourceUnavailable: the process does not start.
        """
        self._lock = threading.Lock()
        self._last: Mapping[str, float] = {}
        self._child = start("packets.holder")
        self._over = False
        try:
            process = found(self._child.pid)
            assert process is not None
            intend([Undo("end-holder", process.data)])
            tell(self._child, written(task))
            said = line(self._child, _READY)
        except BaseException:
            finish(self._child, 0.0)
            raise
        if "error" in said:
            finish(self._child)
            raise NotAllowed(f"packets cannot be held here: {said['error']}",
                             "`mainstay chaos doctor` says what is needed")
        self.aborted = int(said["aborted"])

    def counts(self) -> Mapping[str, float]:
        """How many packets there were and what became of them; after the end, what was known last."""
        with self._lock:
            if not self._over and self._child.poll() is None:
                tell(self._child, "?\n")
                self._last = line(self._child, _ANSWER)
            return self._last

    def end(self) -> None:
        """Take it out: rules first, then what waits goes on at once. Again is fine."""
        with contextlib.suppress(SourceUnavailable):  # it was killed; the kernel has taken everything out
            self.counts()
        with self._lock:
            if not self._over:
                self._over = True
                finish(self._child)


def one_line(what: object) -> str:
    """JSON on one line."""
    return json.dumps(what) + "\n"
