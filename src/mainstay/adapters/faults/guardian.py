"""The guardians of a run: two processes of their own that take its faults out when it cannot.

Each watches the run's process and the other guardian by descriptors that the kernel makes readable when they end, and
the ends of the faults by the clock since the host was started. When the run is gone, or stands still beyond a fault's
end, what its record says is in comes out. When one guardian is gone, the run, or after a moment the other one, starts
another in its place.

Standard library only, started without site packages, so that it is there within some 30 ms and small.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from mainstay.adapters.faults.healing import heal, heal_what_was_left
from mainstay.adapters.faults.processes import Process, alive, found, handle, me, now
from mainstay.adapters.faults.restarting import bury
from mainstay.adapters.faults.wal import Record, Wal
from mainstay.kernel.errors import MainstayError, StoreUnavailable

SLOTS = (1, 2)
OVERDUE = 0.5
"""Seconds a fault may be in beyond its end before a guardian acts: until then the run does it itself."""

_LOOK = 0.25
"""Seconds between looks at the record, for what was ordered meanwhile."""

_START = ("import sys; sys.path.insert(0, sys.argv[1]); sys.argv[:] = sys.argv[1:]; "
          "from mainstay.adapters.faults.guardian import main; main()")
_SOURCES = str(Path(__file__).parents[3])
_AGAIN = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds between the attempts at what could not be undone, before it is left to `recover`."""


def ensure(wal: Wal, wait: float = 0.0) -> list[subprocess.Popen[bytes]]:
    """See to it that both guardians of the run are there; those that were started.

    Args:
        wait: seconds in which a started one has to say that it watches; 0 does not wait for that.
    Raises:
        StoreUnavailable: one does not come up.
    """
    started: list[subprocess.Popen[bytes]] = []
    with wal.alone("guardians"):
        record = wal.read()
        known = record.guardians
        for slot in SLOTS:
            if record.closed:
                break
            if slot not in known or not alive(known[slot]):
                child = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-c", _START, _SOURCES, str(wal.folder), str(slot)],
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/",
                    start_new_session=True)
                started.append(child)
                process = found(child.pid)
                if process is not None:
                    wal.append("guardian", {"slot": slot, **process.data})
    for child in started:
        assert child.stdout is not None
        if wait:
            ready, _, _ = select.select([child.stdout], [], [], wait)
            if not ready or child.stdout.read(1) != b"w":
                raise StoreUnavailable("a guardian of the run does not come up", "look at the load of this host")
        child.stdout.close()
    return started


def wake(record: Record) -> None:
    """Tell the guardians of a run that is over; they would see it by themselves a moment later."""
    for one in record.guardians.values():
        with contextlib.suppress(OSError), handle(one) as fd:
            if fd is not None:
                signal.pidfd_send_signal(fd, signal.SIGUSR1)


class Guardian:
    """One of the two."""

    def __init__(self, wal: Wal, slot: int) -> None:
        self._wal, self._slot = wal, slot
        self._size, self._record = -1, wal.read()
        self._alone_since = 0.0

    def watch(self) -> None:
        """Until the run is over and everything is out."""
        while True:
            record = self._look()
            if record.ended or record.broken:
                return
            if not record.running:
                self._heal()
                return
            due = self._overdue(record)
            if due:
                heal(self._wal, due)
                continue
            self._other(record)
            self._sleep(record)

    def _look(self) -> Record:
        size = self._wal.size
        if size != self._size:
            self._size, self._record = size, self._wal.read()
        return self._record

    def _overdue(self, record: Record) -> list[str]:
        return [fault.name for fault in record.faults()
                if fault.open and not fault.problems and now() > fault.ends + OVERDUE]

    def _heal(self) -> None:
        for pause in (*_AGAIN, 0.0):
            heal_what_was_left(self._wal)
            if self._look().ended or not pause:
                return
            time.sleep(pause)

    def _other(self, record: Record) -> None:
        other = record.guardians.get(3 - self._slot)
        if other is None or alive(other):
            self._alone_since = 0.0
        elif not self._alone_since:
            # The run sees to it first: what it starts, it buries.
            self._alone_since = time.monotonic()
        elif time.monotonic() - self._alone_since > _LOOK:
            ensure(self._wal)
            self._alone_since = 0.0

    def _sleep(self, record: Record) -> None:
        ends = [fault.ends + OVERDUE - now() for fault in record.faults() if fault.open and not fault.problems]
        seconds = max(0.0, min([_LOOK, *ends]))
        other = record.guardians.get(3 - self._slot)
        watched = [one for one in (record.runner, other) if one is not None]
        with contextlib.ExitStack() as stack:
            poll = select.poll()
            poll.register(_WOKEN[0], select.POLLIN)
            for one in watched:
                fd = stack.enter_context(handle(one))
                if fd is not None:
                    poll.register(fd, select.POLLIN)
                elif one == record.runner:
                    return
            for fd, _ in poll.poll(seconds * 1000 + 1):
                if fd == _WOKEN[0]:
                    with contextlib.suppress(BlockingIOError):
                        os.read(fd, 512)
        bury()


_WOKEN = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)


def main() -> None:
    """Guard the run whose folder is the first argument, in the place that is the second."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, lambda *_: None)
    signal.set_wakeup_fd(_WOKEN[1], warn_on_full_buffer=False)
    _hold_on()
    folder, slot = Path(sys.argv[1]), int(sys.argv[2])
    wal = Wal(folder, f"guardian-{slot}")
    record = wal.read()
    mine = record.guardians.get(slot)
    if mine is None or (mine != me() and not alive(mine)):
        # Whoever started this one was killed before it could say so.
        wal.append("guardian", {"slot": slot, **me().data})
    with contextlib.suppress(BrokenPipeError):
        os.write(1, b"w")
    silent = os.open(os.devnull, os.O_RDWR)
    os.dup2(silent, 1)
    with contextlib.suppress(MainstayError):  # the record cannot be read or written any more; nobody to tell it to
        Guardian(wal, slot).watch()


def _hold_on() -> None:
    """Be the last that a short host takes its memory or processor from; as far as we may."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("-900", encoding="ascii")


__all__ = ["Guardian", "Process", "ensure", "main", "wake"]
