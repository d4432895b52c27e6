"""A disk that is full, slow or broken, for the folder that a workload writes to."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mainstay.adapters.faults.held import Holder, hold
from mainstay.adapters.faults.injected import held, number, word
from mainstay.adapters.faults.memory_faults import available, reserve
from mainstay.adapters.faults.processes import alive
from mainstay.adapters.faults.targets import Target, chosen, named, population
from mainstay.adapters.faults.tracing import can_change_calls
from mainstay.kernel.errors import InvalidInput, NotAllowed
from mainstay.kernel.faults import Ability, Healing, Injection, Means, Measured, Order, Undo

_MIB = 2**20
_SHARED = ("/", "/usr", "/etc", "/var", "/var/log", "/var/lib", "/home", "/root", "/tmp", "/run", "/dev/shm",  # noqa: S108
           "/boot")
"""Folders that everything on a host needs: a filesystem that holds one of them is never filled."""
_CAP_SYS_PTRACE = 19
_HELD = 0.8
"""The share of an ordered delay that has to be seen: looks are some milliseconds apart on a crowded host."""
_PROVEN_BY = _MIB
"""Bytes beyond what is left free that must not be there any more."""


def folder_of(order: Order) -> str:
    """The folder that the workload writes to, without links.

    Raises:
        InvalidInput: it declares none, or there is none.
    """
    workload = order.workload
    if not workload.folder:
        raise InvalidInput(f"{order.kind}: the Workload {workload.name} does not say where it writes",
                           "add folder: to it")
    path = os.path.realpath(Path(workload.home, workload.folder))
    if not os.path.isdir(path):
        raise InvalidInput(f"{order.kind}: {path} is no folder", "see folder: of the Workload")
    return path


def shared_with(folder: str) -> str:
    """The first of the folders that everything needs, or our own records, that is on the same filesystem; or empty."""
    device = os.stat(folder).st_dev
    for other in _SHARED:
        try:
            if os.stat(other).st_dev == device:
                return other
        except OSError:
            continue
    return ""


class DiskFull:
    """A file without a name that takes the room: gone with the process that has it open."""

    def abilities(self) -> Sequence[Ability]:
        """Always, on filesystems that nobody else needs."""
        return (Ability("disk-full", "file without a name", "real", Healing.KERNEL,
                        "on a filesystem of the workload's own; one that holds /, /var, /tmp … is never filled"),)

    def means(self, order: Order) -> Means | None:
        """How."""
        if order.kind != "disk-full":
            return None
        folder, left = folder_of(order), number(order, "left")
        other = shared_with(folder)
        if other:
            raise NotAllowed(f"disk-full: {folder} is on the filesystem of {other}, which others need too",
                             "give the workload a folder on a filesystem of its own, such as a tmpfs with a size")
        status = os.statvfs(folder)
        size = max(0.0, status.f_bfree * status.f_frsize - left)
        if _kind_of(folder) in ("tmpfs", "ramfs") and size > available() - reserve():
            raise NotAllowed(f"disk-full: filling {folder} takes {size / _MIB:.0f} MiB of memory, more than this host "
                             "can spare", "mount it with a smaller size")
        try:
            os.close(os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600))
        except OSError as problem:
            raise InvalidInput(f"disk-full: {folder} takes no file without a name: {problem.strerror}",
                               "use a folder on tmpfs, ext4, xfs or btrfs that can be written") from problem
        return Means("file without a name", Healing.KERNEL,
                     (f"take {size / _MIB:.0f} MiB of the filesystem of {folder}, and leave {left / _MIB:.0f} MiB",))

    def inject(self, order: Order, intend: Callable[[Sequence[Undo]], None]) -> Injection:
        """Fill it."""
        means = self.means(order)
        assert means is not None
        folder, left = folder_of(order), number(order, "left")
        filler = Holder("fill", {"folder": folder, "left": int(left)})
        hold([filler], intend)
        return held(means, [filler], lambda: _full(folder, left))


def _kind_of(folder: str) -> str:
    """The filesystem's kind, by the longest mount above the folder; the latest of those at one place counts."""
    best, kind = "", ""
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        where, name = line.split(" ")[1:3]
        if (folder + "/").startswith(where.rstrip("/") + "/") and len(where) >= len(best):
            best, kind = where, name
    return kind


def _full(folder: str, left: float) -> Measured:
    """Whether a file a little greater than what is left can still be written there."""
    status = os.statvfs(folder)
    free = status.f_bavail * status.f_frsize
    fd = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(fd, 0, int(left) + _PROVEN_BY)
    except OSError as problem:
        if problem.errno != errno.ENOSPC:
            return Measured(f"room in {folder}", False, free, left, "bytes", problem.strerror or "")
        return Measured(f"room in {folder}", free <= left + _PROVEN_BY, free, left, "bytes")
    finally:
        os.close(fd)
    return Measured(f"room in {folder}", False, free, left, "bytes", "a file beyond what should be left finds room")


def may_trace() -> str:
    """Why processes may not be traced here; empty when they may."""
    caps = next((line.split()[1] for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines()
                 if line.startswith("CapEff")), "0")
    if int(caps, 16) >> _CAP_SYS_PTRACE & 1:
        return ""
    try:
        scope = int(Path("/proc/sys/kernel/yama/ptrace_scope").read_text(encoding="ascii"))
    except OSError:
        scope = 0
    return "" if scope == 0 else f"ptrace_scope is {scope} and this process lacks CAP_SYS_PTRACE"


class FileCalls:
    """The calls of the running processes on files below the folder, each held up or failed by a tracer."""

    _KINDS = ("disk-slow", "io-error", "disk-full")

    def abilities(self) -> Sequence[Ability]:
        """Where processes may be traced and the processor's registers are known."""
        problem = may_trace() or ("" if can_change_calls() else f"not on {os.uname().machine}")
        if problem:
            return tuple(Ability(kind, "ptrace", "unavailable", Healing.KERNEL, problem, "CAP_SYS_PTRACE on x86-64")
                         for kind in self._KINDS)
        return tuple(Ability(kind, "ptrace", "emulated", Healing.KERNEL,
                             "calls of the running processes on files below the folder; not memory maps, io_uring, or "
                             "processes that they start meanwhile") for kind in self._KINDS)

    def means(self, order: Order) -> Means | None:
        """How."""
        if order.kind not in self._KINDS or may_trace() or not can_change_calls():
            return None
        if order.kind == "disk-full" and (number(order, "left") or not shared_with(folder_of(order))):
            return None  # a filesystem of its own is filled, which is the real thing
        folder, targets = folder_of(order), chosen(order)
        untraced(targets)
        return Means("ptrace", Healing.KERNEL,
                     (f"let the calls of process {named(targets)} on files below {folder} {_does(order)}",
                      "every other call of theirs takes some 0.1 ms longer meanwhile"))

    def inject(self, order: Order, intend: Callable[[Sequence[Undo]], None]) -> Injection:
        """Trace them."""
        means = self.means(order)
        assert means is not None
        targets = chosen(order)
        delay = number(order, "latency") if order.kind == "disk-slow" else 0.0
        error = {"disk-slow": 0, "disk-full": errno.ENOSPC}.get(order.kind)
        tracer = Holder("files", {
            "processes": [one.process.data for one in targets], "folder": folder_of(order), "delay": delay,
            "error": getattr(errno, word(order, "error")) if error is None else error, "seed": order.seed,
            "rate": number(order, "rate") if order.kind == "io-error" else 1.0})
        hold([tracer], intend)

        def hit() -> dict[str, float]:
            calls, calls_hit, *_ = tracer.told()
            return {"processes": len(population(order)), "processes_hit": len(targets), "calls": calls,
                    "calls_hit": calls_hit}

        return held(means, [tracer], lambda: _traced(tracer, targets, delay), hit)


def _does(order: Order) -> str:
    match order.kind:
        case "disk-slow":
            return f"take {number(order, 'latency') * 1000:g} ms longer"
        case "io-error":
            return f"fail with {word(order, 'error')}, {number(order, 'rate'):.0%} of them"
        case _:
            return "that write fail with ENOSPC"


def _traced(tracer: Holder, targets: list[Target], delay: float) -> Measured:
    """Whether the kernel says that they are traced, and calls were hit: waits a moment for the first.

    How long a call is held up is seen from here, by the kernel's word on their threads, not asked of the tracer.
    """
    what, unit = (f"time of a call of {named(targets)}", "s") if delay else \
        (f"failed calls of {named(targets)}", "calls")
    until = time.monotonic() + 0.5
    while not tracer.told()[1] and tracer.alive and time.monotonic() < until:
        time.sleep(0.01)
    hit = tracer.told()[1]
    if not all(traced_by(one.process.pid) == tracer.process.pid for one in targets if alive(one.process)):
        return Measured(what, False, None, delay or None, unit, "they are not traced")
    if not hit:
        return Measured(what, False, None, delay or None, unit, "they made no call on the folder yet")
    if not delay:
        return Measured(what, True, hit, None, unit, "counted by the tracer")
    seen = _standing_for([one.process.pid for one in targets], delay)
    return Measured(what, seen >= _HELD * delay, round(seen, 4), delay, unit)


def _standing_for(pids: list[int], enough: float) -> float:
    """The longest time that one of their threads was seen to stand in one and the same stop of the tracer."""
    longest, began, until = 0.0, dict[tuple[int, str, str], float](), time.monotonic() + 0.5 + 3 * enough
    while longest < enough and time.monotonic() < until:
        seen = {(pid, thread, turns) for pid in pids for thread, turns in _in_a_stop(pid)}
        now = time.monotonic()
        began = {one: began.get(one, now) for one in seen}
        longest = max([longest, *(now - since for since in began.values())])
        time.sleep(0.001)
    return longest


def _in_a_stop(pid: int) -> list[tuple[str, str]]:
    """Threads that a tracer holds, and how often each was switched out before: another stop is another number."""
    out = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            lines = Path(f"/proc/{pid}/task/{thread}/status").read_text(encoding="utf-8").splitlines()
            if any(line.startswith("State:\tt") for line in lines):
                out.append((thread, " ".join(line for line in lines if "ctxt_switches" in line)))
    except OSError:
        return []
    return out


def untraced(targets: list[Target]) -> None:
    """A process has one tracer.

    Raises:
        InvalidInput: one of them is traced already.
    """
    for one in targets:
        tracer = traced_by(one.process.pid)
        if tracer:
            raise InvalidInput(f"process {one.process.pid} of {one.workload.name} is traced by process {tracer}",
                               "wait until that is over: pauses, and faults by ptrace, cannot be on it meanwhile")


def traced_by(pid: int) -> int:
    """The process that traces it; 0 when none does."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in lines if line.startswith("TracerPid"))
