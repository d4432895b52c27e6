"""The program that holds a fault which the kernel takes out when its holder ends.

Started by `held.Holder`. It is harmless until it is told to go, asks the kernel to be killed when the run ends, and
ends by itself when its standard input does. Standard library only, without site packages.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import mmap
import os
import select
import signal
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mainstay.adapters.faults.processes import process_of

_PDEATHSIG = 1
_PERIOD = 0.05
"""Seconds of one round of being busy and idle: short enough that no request notices the rounds."""
_CHUNK = 4 << 20


class Told:
    """Numbers that the run reads while the fault is in: four doubles in memory of both."""

    def __init__(self, fd: int) -> None:
        self._memory = mmap.mmap(fd, 32)

    def __call__(self, *values: float) -> None:
        """Say them."""
        self._memory[:8 * len(values)] = struct.pack(f"={len(values)}d", *values)


def _over(wait: float = 0.0) -> bool:
    """Whether the run let go."""
    return bool(select.select([0], [], [], wait)[0])


def _say(word: str, value: Any = None) -> None:
    os.write(1, (word + " " + json.dumps(value) + "\n").encode())


def burn(data: dict[str, Any], _told: Told) -> None:
    """Keep one processor busy for a share of each round."""
    os.sched_setaffinity(0, {data["cpu"]})
    share = float(data["load"])
    _say("on")
    begin = time.monotonic()
    while True:
        while time.monotonic() < begin + share * _PERIOD:
            pass
        begin += _PERIOD
        if begin < time.monotonic() - _PERIOD:
            begin = time.monotonic()  # others had the processor: what was missed is not made up for
        if _over(max(0.0, begin - time.monotonic())):
            return


def hog(data: dict[str, Any], told: Told) -> None:
    """Take memory, at once or slowly, and leave the host its reserve."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")  # when somebody has to go, this does
    size, over = int(data["size"]), float(data["over"])
    memory = mmap.mmap(-1, size)
    filled, begin = 0, time.monotonic()
    if over:
        _say("on")
    while filled < size:
        due = size if not over else min(size, int(size * (time.monotonic() - begin) / over))
        if filled < due and _available() - _CHUNK > data["reserve"]:
            end = min(due, filled + _CHUNK)
            memory[filled:end] = b"\1" * (end - filled)
            filled = end
            told(filled)
        elif filled < due and not over:
            raise OSError(errno.ENOMEM, "others took the memory meanwhile")
        if _over(0.0 if filled < due else 0.01):
            return
    if not over:
        _say("on")
    _over(1e9)


def _available() -> int:
    with open("/proc/meminfo", encoding="ascii") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


def fill(data: dict[str, Any], told: Told) -> None:
    """Take the room of a filesystem in a file without a name: it is gone with this process."""
    fd = os.open(data["folder"], os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    taken, step = 0, 1 << 30
    while step >= 4096:
        status = os.statvfs(fd)
        # For root the blocks that are reserved for it are room too.
        free = (status.f_bfree if os.geteuid() == 0 else status.f_bavail) * status.f_frsize - int(data["left"])
        if free < step:
            step //= 2
            continue
        try:
            os.posix_fallocate(fd, taken, step)
        except OSError as problem:
            if problem.errno != errno.ENOSPC:
                raise
            step //= 2
            continue
        taken += step
        told(taken)
    _say("on", {"taken": taken})
    _over(1e9)


def pause(data: dict[str, Any], told: Told) -> None:
    """Hold processes where they are."""
    from mainstay.adapters.faults import tracing  # noqa: PLC0415  (a lazy start: only this one traces)

    threads = tracing.stand_still([process_of(one) for one in data["processes"]])
    told(threads)
    _say("on", {"threads": threads})
    _over(1e9)


def files(data: dict[str, Any], told: Told) -> None:
    """Slow or fail the calls of processes on files below a folder."""
    from mainstay.adapters.faults import tracing  # noqa: PLC0415  (a lazy start: only this one traces)

    trouble = tracing.Trouble(data["folder"], data["delay"], data["error"], data["rate"], data["seed"])
    tracer = tracing.Tracer(tracing.Calls(trouble, told))
    _say("on", {"threads": tracer.take([process_of(one) for one in data["processes"]])})
    tracer.serve(_over)


def clock(data: dict[str, Any], told: Told) -> None:
    """Give processes, which are about to become a program, another time of day."""
    from mainstay.adapters.faults import timing, tracing  # noqa: PLC0415  (a lazy start: only this one traces)

    tracer = tracing.Tracer(timing.Clocks(data["offset"], data["speed"], told))
    options = tracing.CLONES | tracing.CHILDREN | tracing.PROGRAMS
    _say("on", {"threads": tracer.take([process_of(one) for one in data["processes"]], options)})
    tracer.serve(_over)


MODES: dict[str, Callable[[dict[str, Any], Told], None]] = {
    "burn": burn, "hog": hog, "fill": fill, "pause": pause, "files": files, "clock": clock}


def main() -> None:
    """Hold the fault that the arguments say: the way, its data as JSON, the descriptor to tell on, the run's pid."""
    mode, text, fd, parent = sys.argv[1:5]
    ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(parent):
        return  # it ended before it could be watched
    _say("ready")
    if os.read(0, 1) != b"g":
        return
    try:
        MODES[mode](json.loads(text), Told(int(fd)))
    except OSError as problem:
        _say("failed", f"{problem.strerror}" + (f": {problem.filename}" if problem.filename else ""))
        sys.exit(1)
