"""Processes by their pid and the tick they were started at, so that a pid used again is never taken for them.

Standard library only: guardians load it.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mainstay.kernel.dataclass import dataclass

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Process:
    """One process of this boot.

    Args:
        ticks: of the kernel's clock, when it was started (field 22 of /proc/PID/stat).
    """

    pid: int
    ticks: int

    @property
    def data(self) -> dict[str, int]:
        """As it stands in a journal."""
        return {"pid": self.pid, "ticks": self.ticks}


@dataclass(frozen=True, slots=True)
class Stat:
    """What the kernel says of a process or thread.

    Args:
        state: R running, S and D waiting, T stopped, t held by a tracer, Z ended and not yet buried.
        busy: seconds of processor time it used, in user and system.
    """

    state: str
    parent: int
    session: int
    busy: float
    ticks: int


def process_of(data: Any) -> Process:
    """What `Process.data` wrote."""
    return Process(int(data["pid"]), int(data["ticks"]))


def stat_of(pid: int, thread: int | None = None) -> Stat | None:
    """What the kernel says of the process, or of one of its threads; None when there is none."""
    path = f"/proc/{pid}/stat" if thread is None else f"/proc/{pid}/task/{thread}/stat"
    try:
        text = Path(path).read_bytes()
    except OSError:
        return None
    # The name in brackets may hold anything, brackets too; the last one closes it.
    rest = text[text.rindex(b")") + 2:].split()
    return Stat(rest[0].decode(), int(rest[1]), int(rest[3]), (int(rest[11]) + int(rest[12])) / TICKS_A_SECOND,
                int(rest[19]))


def found(pid: int) -> Process | None:
    """The process that has this pid now; None when nobody has, or it has ended."""
    stat = stat_of(pid)
    return None if stat is None or stat.state in "ZX" else Process(pid, stat.ticks)


def me() -> Process:
    """This process."""
    own = found(os.getpid())
    assert own is not None
    return own


def alive(process: Process) -> bool:
    """Whether it is still this process, and has not ended."""
    return found(process.pid) == process


def every() -> Iterator[int]:
    """The pids of this host."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            yield int(name)


@contextmanager
def handle(process: Process) -> Iterator[int | None]:
    """A descriptor that stays this process's whatever becomes of its pid; None when it has ended."""
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        yield None
        return
    except OSError as problem:
        if problem.errno in (errno.EINVAL, errno.ENOENT):  # a thread's, so not that of the process that we mean
            yield None
            return
        raise
    try:
        # Looked at after it was opened: from here on the pid cannot be another's without the descriptor saying so.
        yield fd if alive(process) else None
    finally:
        os.close(fd)


def send(process: Process, number: int) -> bool:
    """Send it a signal; False when it has ended. Never reaches another process.

    Raises:
        PermissionError: it is not ours.
    """
    with handle(process) as fd:
        if fd is None:
            return False
        try:
            signal.pidfd_send_signal(fd, number)
        except ProcessLookupError:
            return False
        return True


def gone(process: Process, seconds: float) -> bool:
    """Whether it has ended, after waiting for that at most so long."""
    with handle(process) as fd:
        if fd is None:
            return True
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(seconds * 1000)) or not alive(process)


def session_members(leader: Process) -> list[Process]:
    """The living processes of the session that it opened, itself among them."""
    now_there = stat_of(leader.pid)
    if now_there is not None and now_there.ticks != leader.ticks:
        return []  # a pid is free again only when the session of that name has no member any more
    members = []
    for pid in every():
        stat = stat_of(pid)
        if stat is not None and stat.session == leader.pid and stat.ticks >= leader.ticks and stat.state not in "ZX":
            members.append(Process(pid, stat.ticks))
    return members


def now() -> float:
    """Seconds since this host was started, suspended ones too: no jump of the wall clock moves it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot() -> str:
    """The name of this boot: processes, groups and mounts of another are gone."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
