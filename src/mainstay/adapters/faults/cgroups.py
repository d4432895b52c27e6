"""Control groups of both versions: where a process is, a group of our own for it, and the way back.

Standard library only: guardians load it.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mainstay.adapters.faults.processes import Process, alive
from mainstay.kernel.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Group:
    """A group of one controller.

    Args:
        root: where the hierarchy is mounted.
        path: of the group in it, `/` for the root.
    """

    version: int
    root: str
    path: str

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return Path(self.root + self.path)

    def processes(self) -> list[int]:
        """The pids in it, not in groups below it."""
        return [int(line) for line in (self.folder / "cgroup.procs").read_text(encoding="ascii").split()]

    def value(self, name: str) -> str:
        """What its file of that name holds."""
        return (self.folder / name).read_text(encoding="ascii").strip()


def group_of(pid: int, controller: str) -> Group | None:
    """The group of the process for that controller (`cpu`, `memory`); None when this host has not got it."""
    mounts = _mounts()
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    unified: Group | None = None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(",") and controller in mounts:
            return Group(1, mounts[controller], path)
        if not controllers and "" in mounts:
            unified = Group(2, mounts[""], path)
    if unified is not None and controller in _listed(Path(unified.root) / "cgroup.controllers"):
        return unified
    return None


def own_group(beside: Group, controller: str, name: str) -> Group | str:
    """Where a group of our own for a process of that group would be; or why there can be none.

    Version 1 nests it, so that the limits above still count. In version 2 a group with processes cannot have groups
    with controllers below it, so it stands beside it, under the same parent.
    """
    if beside.version == 1:
        return Group(1, beside.root, beside.path.rstrip("/") + "/" + name)
    parent = beside.path.rstrip("/").rpartition("/")[0]
    if controller not in _listed(Path(beside.root + parent) / "cgroup.subtree_control"):
        return f"the group {parent or '/'} does not hand the controller {controller} on"
    return Group(2, beside.root, f"{parent}/{name}")


def move(process: Process, group: Group) -> bool:
    """Put it into the group, with all its threads; False when it has ended."""
    if not alive(process):
        return False
    try:
        _write(group.folder / "cgroup.procs", str(process.pid))
    except ProcessLookupError:
        return False
    return True


def enter(group: Group, values: Mapping[str, str]) -> None:
    """Make the group with these values."""
    os.mkdir(group.folder, 0o755)
    for name, value in values.items():
        _write(group.folder / name, value)


def leave_group(data: Mapping[str, Any], _notes: object, _step: str) -> None:
    """Take a group of ours out: root, path, and `back`, the path of the group its processes came from.

    Whatever runs in it, later children of the victims too, goes back; when `back` is gone, to the nearest above it.
    """
    group, back = Path(data["root"] + data["path"]), Path(data["root"] + data["back"])
    while not back.is_dir():
        back = back.parent
    for _ in range(200):
        try:
            for pid in (group / "cgroup.procs").read_text(encoding="ascii").split():
                _back(pid, back)
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError as problem:
            # A process that forks or ends just now keeps it busy for a moment.
            if problem.errno not in (errno.EBUSY, errno.ENOTEMPTY):
                raise
            time.sleep(0.01)
        else:
            return
    raise OSError(errno.EBUSY, f"the group {group} does not get empty")


def _back(pid: str, group: Path) -> None:
    try:
        _write(group / "cgroup.procs", pid)
    except (ProcessLookupError, FileNotFoundError):
        return
    except OSError as problem:
        if problem.errno != errno.EINVAL:  # it is just ending
            raise


def _write(path: Path, text: str) -> None:
    # One write, and no O_CREAT: files of the kernel take a value whole or refuse it.
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _listed(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except OSError:
        return []


def _mounts() -> dict[str, str]:
    """Where each controller's hierarchy is mounted; version 2 under the empty name."""
    found: dict[str, str] = {}
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, where, kind, options, *_ = line.split(" ")
        if kind == "cgroup2":
            found.setdefault("", where)
        elif kind == "cgroup":
            for option in options.split(","):
                found.setdefault(option, where)
    return found
