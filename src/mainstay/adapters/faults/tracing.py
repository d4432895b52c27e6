"""Holding processes by ptrace: to let them stand still, or to slow and fail their calls on files.

The kernel lets go of everything that is traced when the tracer ends, however it ends; so a fault that is held like this
cannot outlive its holder. `PTRACE_SEIZE` sends the process no signal and leaves its own signals alone.

Standard library only: holders load it. Linux; calls are changed on x86-64 alone.
Source: ptrace(2); the numbers are those of <linux/ptrace.h> and the kernel's table of calls.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import heapq
import os
import random
import signal
import struct
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from mainstay.adapters.faults.processes import Process, alive
from mainstay.kernel.dataclass import dataclass

_SEIZE, _INTERRUPT, _SYSCALL, _LISTEN, _POKEUSER, _INFO = 0x4206, 0x4207, 24, 0x4208, 6, 0x420E
_GETREGS = 12
_GOOD = 0x1
CLONES, CHILDREN, PROGRAMS = 0x8, 0x6, 0x10
"""What is traced further: threads that are started, processes that are, and those that become another program."""
_EVENT_STOP, _EVENT_EXEC = 128, 4
_WALL = 0x40000000
_RAX, _ORIG_RAX, _RSP, _REGISTERS = 10 * 8, 15 * 8, 19 * 8, 27 * 8
_X86_64 = 0xC000003E
_INFO_SIZE = 88

_READS = {0: 0, 17: 0, 19: 0, 295: 0, 217: 0, 40: 1}
"""Calls that read, and the place of their descriptor: read, pread64, readv, preadv, getdents64, sendfile."""
_WRITES = {1: 0, 18: 0, 20: 0, 296: 0, 74: 0, 75: 0, 77: 0, 285: 0}
"""Calls that write: write, pwrite64, writev, pwritev, fsync, fdatasync, ftruncate, fallocate."""
_PATHS = {2: 0, 85: 0, 4: 0, 21: 0, 87: 0, 83: 0, 82: 0, 257: 1, 262: 1, 263: 1, 258: 1, 264: 1, 316: 1, 332: 1}
"""Calls on names: open, creat, stat, access, unlink, mkdir, rename, and their …at forms; the place of the name."""
_CREATES = frozenset({85, 83, 258})
_OPENS = {2: 1, 257: 2}
"""Which argument says whether a file may be made."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)


def can_change_calls() -> bool:
    """Whether this processor's registers are known here."""
    return os.uname().machine == "x86_64"


def _ptrace(request: int, tid: int, address: int = 0, data: int = 0) -> None:
    if _libc.ptrace(request, tid, address, data) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _threads(process: Process) -> list[int]:
    try:
        return [int(name) for name in os.listdir(f"/proc/{process.pid}/task")] if alive(process) else []
    except FileNotFoundError:
        return []


def seize(process: Process, options: int, each: Callable[[int], None]) -> int:
    """Trace every thread of it, those too that it starts meanwhile; how many.

    Raises:
        OSError: it may not be traced, or another tracer has it.
    """
    held: set[int] = set()
    while True:
        fresh = [tid for tid in _threads(process) if tid not in held]
        if not fresh:
            return len(held)
        for tid in fresh:
            held.add(tid)
            try:
                _ptrace(_SEIZE, tid, 0, options)
                each(tid)
            except ProcessLookupError:
                continue
            except PermissionError:
                # With clones followed, a thread that was just started may be ours already.
                if not _is_ours(process.pid, tid):
                    raise


def _is_ours(pid: int, tid: int) -> bool:
    try:
        with open(f"/proc/{pid}/task/{tid}/status", encoding="utf-8") as status:
            return any(line.split() == ["TracerPid:", str(os.getpid())] for line in status)
    except OSError:
        return True  # it has ended


def stand_still(processes: list[Process]) -> int:
    """Stop every thread where it is, until this process ends; how many threads."""

    def stop(tid: int) -> None:
        _ptrace(_INTERRUPT, tid)
        try:
            os.waitpid(tid, _WALL)
        except ChildProcessError:
            return

    return sum(seize(process, 0, stop) for process in processes)


@dataclass(frozen=True, slots=True)
class Trouble:
    """What happens to calls on files.

    Args:
        folder: without a link in it and without a slash at its end; everything below it is meant.
        delay: seconds that each takes longer; 0 does not slow them.
        error: a number of errno that they fail with; 0 lets them work.
        rate: share of the calls that are hit.
    """

    folder: str
    delay: float = 0.0
    error: int = 0
    rate: float = 1.0
    seed: int = 0


class Watcher(Protocol):
    """Who is asked about each call of traced threads."""

    def entered(self, tid: int, number: int, args: tuple[int, ...]) -> float:
        """The thread is about to make a call; how many seconds it is to wait before."""
        ...

    def left(self, tid: int, result: int) -> None:
        """It comes back from one."""
        ...

    def became(self, tid: int) -> None:
        """It is another program now, of which nothing has run yet."""
        ...

    def waited(self, tid: int, seconds: float, /) -> None:
        """It has waited so long, and makes the call now."""
        ...


class Tracer:
    """Stops traced threads at each of their calls, until this process ends."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._waiting: list[tuple[float, int, float]] = []

    def take(self, processes: list[Process], options: int = CLONES) -> int:
        """Begin with them; how many threads."""
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        return sum(seize(process, _GOOD | options, lambda tid: _ptrace(_INTERRUPT, tid)) for process in processes)

    def serve(self, over: Callable[[], bool]) -> None:
        """Until `over`, or all have ended. Returns with nobody held back; ending then lets go of them."""
        while not over():
            try:
                while self._next():
                    pass
            except ChildProcessError:
                return
            while self._waiting and self._waiting[0][0] <= time.monotonic():
                self._release()
            until = min(0.05, self._waiting[0][0] - time.monotonic()) if self._waiting else 0.05
            signal.sigtimedwait([signal.SIGCHLD], max(0.0, until))
        while self._waiting:
            self._release()

    def _release(self) -> None:
        _, tid, since = heapq.heappop(self._waiting)
        self._watcher.waited(tid, time.monotonic() - since)
        _on(tid)

    def _next(self) -> bool:
        tid, status = os.waitpid(-1, _WALL | os.WNOHANG)
        if not tid:
            return False
        if not os.WIFSTOPPED(status):
            return True
        number, event = os.WSTOPSIG(status), status >> 16
        if number == signal.SIGTRAP | 0x80:
            if not self._held_back(tid):
                _on(tid)
        elif event == _EVENT_STOP and number in (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
            _on(tid, request=_LISTEN)  # somebody stopped it: it stays stopped
        else:
            if event == _EVENT_EXEC:
                self._watcher.became(tid)
            _on(tid, 0 if event else number)
        return True

    def _held_back(self, tid: int) -> bool:
        """Look at a call; whether it is to wait."""
        call = _call(tid)
        if call is None:
            return False
        if isinstance(call, int):
            self._watcher.left(tid, call)
            return False
        seconds = self._watcher.entered(tid, *call)
        if seconds:
            now = time.monotonic()
            heapq.heappush(self._waiting, (now + seconds, tid, now))
        return seconds > 0


def _on(tid: int, number: int = 0, request: int = _SYSCALL) -> None:
    with contextlib.suppress(ProcessLookupError):
        _ptrace(request, tid, 0, number)


class Calls:
    """Makes trouble for the calls of processes on files below a folder."""

    def __init__(self, trouble: Trouble, tell: Callable[[int, int, float], None]) -> None:
        """`tell` is told after each call on the folder: how many there were, how many were hit, their added seconds."""
        self._trouble, self._tell = trouble, tell
        self._draw = random.Random(trouble.seed)  # noqa: S311  (a draw that can be had again, no secret)
        self._seen = self._hit = 0
        self._slowed = 0.0

    def entered(self, tid: int, number: int, args: tuple[int, ...]) -> float:
        """Hit the calls on the folder."""
        if not self._concerns(tid, number, args):
            return 0.0
        self._seen += 1
        hit = self._draw.random() < self._trouble.rate
        self._hit += hit
        self._tell(self._seen, self._hit, self._slowed)
        if not hit:
            return 0.0
        if self._trouble.error:
            # The answer first: killed between the two, the call is made as ever. A call of number -1 is not made.
            answer(tid, -self._trouble.error)
            _ptrace(_POKEUSER, tid, _ORIG_RAX, -1)
        return self._trouble.delay

    def left(self, tid: int, result: int) -> None:
        """Nothing more to do."""

    def became(self, tid: int) -> None:
        """Another program may be hit as well."""

    def waited(self, _tid: int, seconds: float) -> None:
        """Counted when it was."""
        self._slowed += seconds
        self._tell(self._seen, self._hit, self._slowed)

    def _concerns(self, tid: int, number: int, args: tuple[int, ...]) -> bool:
        writes_only = self._trouble.error in (errno.ENOSPC, errno.EROFS)
        names_only = self._trouble.error == errno.EACCES
        place = _WRITES.get(number) if writes_only else (_READS | _WRITES).get(number)
        if place is not None and not names_only:
            return self._below(_link(f"/proc/{tid}/fd/{args[place]}"))
        place = _PATHS.get(number)
        if place is None or (writes_only and not _makes(number, args)):
            return False
        return self._below(_named(tid, args[place], args[place - 1] if place else None))

    def _below(self, path: str) -> bool:
        return path == self._trouble.folder or path.startswith(self._trouble.folder + "/")


def _makes(number: int, args: tuple[int, ...]) -> bool:
    return number in _CREATES or (number in _OPENS and bool(args[_OPENS[number]] & os.O_CREAT))


def _call(tid: int) -> tuple[int, tuple[int, ...]] | int | None:
    """Number and arguments of the call that the thread is to make, or the result of the one it comes back from."""
    buffer = ctypes.create_string_buffer(_INFO_SIZE)
    if _libc.ptrace(_INFO, tid, _INFO_SIZE, ctypes.addressof(buffer)) <= 0:
        return None
    kind, arch = struct.unpack_from("=B3xI", buffer)
    if arch != _X86_64 or kind not in (1, 2):
        return None
    if kind == 2:  # PTRACE_SYSCALL_INFO_EXIT
        result: int = struct.unpack_from("=q", buffer, 24)[0]
        return result
    number, *args = struct.unpack_from("=7Q", buffer, 24)
    return number, tuple(args)


def answer(tid: int, result: int) -> None:
    """What the call that the thread is in will have returned."""
    _ptrace(_POKEUSER, tid, _RAX, result)


def stack_of(tid: int) -> int:
    """Where its stack is."""
    buffer = ctypes.create_string_buffer(_REGISTERS)
    if _libc.ptrace(_GETREGS, tid, 0, ctypes.addressof(buffer)) == -1:
        raise OSError(ctypes.get_errno(), "no registers")
    return int(struct.unpack_from("=Q", buffer, _RSP)[0])


def _named(tid: int, address: int, folder: int | None) -> str:
    try:
        fd = os.open(f"/proc/{tid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        text = b"".join(_pages(fd, address))
    finally:
        os.close(fd)
    name = os.fsdecode(text.partition(b"\0")[0])
    if not name.startswith("/"):
        at = None if folder is None else ctypes.c_int(folder & 0xFFFFFFFF).value
        name = _link(f"/proc/{tid}/cwd" if at in (None, -100) else f"/proc/{tid}/fd/{at}") + "/" + name
    parent, _, last = name.rpartition("/")
    return os.path.realpath(parent or "/").rstrip("/") + "/" + last


def _pages(fd: int, address: int) -> Iterator[bytes]:
    """Up to a whole path, page by page: the next page may not be there."""
    for _ in range(2):
        size = 4096 - address % 4096
        try:
            part = os.pread(fd, size, address)
        except OSError:
            return
        yield part
        if b"\0" in part:
            return
        address += size


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
