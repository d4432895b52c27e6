"""How busy this host or a process is, read from /proc in a few lines, so that nothing need be installed for it.

The figures are those that `free`, `top` and psutil give: memory in use is what is not available (available as the
kernel estimates it); a process's memory is its resident set; processor time is measured over a short while and counts
all cores as one.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from mainstay.kernel.errors import InvalidInput, NotFound, SourceUnavailable
from mainstay.kernel.workload import At, Workload

_WHILE = 0.2
"""Seconds over which processor time is measured: twenty of the kernel's ticks."""

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
PROC = Path("/proc")


def usage(measure: str, workload: Workload | None, *, proc: Path = PROC,
          sleep: Callable[[float], object] = time.sleep) -> float:
    """The share of all memory, or of all processors' time, that is in use, by all or by the workload's process, 0..1.

    Raises:
        SourceUnavailable: this system has no /proc, or the process went away meanwhile.
        NotFound: the workload has no process now.
        InvalidInput: the workload does not say where its process is.
    """
    pid = process_of(workload, proc=proc) if workload is not None else None
    try:
        if measure == "memory":
            return _memory(proc, pid)
        return _processor(proc, pid, sleep)
    except (OSError, ValueError, IndexError) as error:
        what = f"process {pid}" if pid is not None else "this host"
        raise SourceUnavailable(f"{what} cannot be measured: {error}", "it takes a Linux with /proc") from error


def _memory(proc: Path, pid: int | None) -> float:
    sizes = {}
    for line in (proc / "meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        sizes[name] = int(rest.split()[0]) * 1024 if rest.split() else 0
    total = sizes.get("MemTotal", 0)
    if not total:
        raise ValueError("meminfo names no total")
    if pid is None:
        return 1 - sizes["MemAvailable"] / total if "MemAvailable" in sizes else 1 - sizes["MemFree"] / total
    return int((proc / str(pid) / "statm").read_text().split()[1]) * _PAGE / total


def _processor(proc: Path, pid: int | None, sleep: Callable[[float], object]) -> float:
    busy, total = _ticks(proc, pid)
    sleep(_WHILE)
    busy_then, total_then = _ticks(proc, pid)
    return min(max((busy_then - busy) / (total_then - total), 0.0), 1.0) if total_then > total else 0.0


def _ticks(proc: Path, pid: int | None) -> tuple[int, int]:
    """Ticks that were worked, and all ticks there were, of all processors together."""
    fields = [int(one) for one in (proc / "stat").read_text().splitlines()[0].split()[1:9]]
    total, idle = sum(fields), fields[3] + fields[4]
    if pid is None:
        return total - idle, total
    # The name of a process may hold spaces and brackets: what counts stands behind the last bracket.
    own = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return int(own[11]) + int(own[12]), total


# -- whose process ------------------------------------------------------------------------------------------------


def process_of(workload: Workload, *, proc: Path = PROC) -> int:
    """The id of the workload's process.

    Raises:
        NotFound: it has none now.
        InvalidInput: it does not say where its process is, or what stands there is none.
    """
    if workload.pid.said:
        return _written(workload, workload.pid, proc)
    if workload.match:
        return _matching(workload, proc)
    if workload.unit:
        return _unit(workload)
    raise InvalidInput(f"{workload.name} does not say where its process is", "add pid, match or unit to the Workload")


def _written(workload: Workload, at: At, proc: Path) -> int:
    text = at.value
    if at.file:
        try:
            text = Path(workload.home, at.file).read_text()
            if text.lstrip().startswith("{"):
                text = str(json.loads(text)[at.key or "pid"])
        except (OSError, ValueError, KeyError) as error:
            raise NotFound(f"{workload.name} has no process: {at.file} says none ({error})", "start it") from error
    if not text.strip().isdigit():
        raise InvalidInput(f'{workload.name}: "{text.strip()[:40]}" is no process id', "write a number")
    if not (proc / text.strip()).exists():
        raise NotFound(f"{workload.name} has no process: {text.strip()} is gone", "start it")
    return int(text)


def _matching(workload: Workload, proc: Path) -> int:
    found = []
    for folder in proc.iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            # Gone since it was listed, or another user's.
            continue
        rest = iter(words)
        if all(any(word in one for one in rest) for word in workload.match):
            found.append(int(folder.name))
    if len(found) != 1:
        raise NotFound(f"{workload.name} has {len(found)} processes that match {' '.join(workload.match)}",
                       "match words that one process alone has" if found else "start it")
    return found[0]


def _unit(workload: Workload) -> int:
    try:
        done = subprocess.run(["systemctl", "show", "--property", "MainPID", "--value", workload.unit],
                              capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SourceUnavailable(f"systemd does not say where {workload.unit} is: {error}", "is this systemd's host?") \
            from error
    text = done.stdout.strip()
    if not text.isdigit() or text == "0":
        raise NotFound(f"{workload.unit} has no process", "start it")
    return int(text)
