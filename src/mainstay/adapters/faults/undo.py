"""What can be taken back: one table of acts, each of which any process can do, any number of times.

An act gets its arguments from a record and from nothing else. Done again, or on what is not there any more, it is
done; it never touches a process, folder or mount that is not the one that was meant. Secrets never stand in a record:
an act reads them from their file when it needs them.

Standard library only: guardians load it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from mainstay.adapters.faults import cgroups, restarting
from mainstay.adapters.faults.cluster.scaling_back import scale_back
from mainstay.adapters.faults.edges.taking_back import remove_toxic
from mainstay.adapters.faults.processes import alive, gone, process_of, send, session_members
from mainstay.kernel.errors import MainstayError

Data = Mapping[str, Any]

PROGRAMS = ("tc", "nft", "ip", "iptables", "ip6tables", "systemctl", "kubectl")
"""What `argv` may call, and nothing else."""

_WHERE = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SECONDS = 5.0
"""How long an act may take before it counts as not done: a guardian has others to do."""


class NotUndone(MainstayError):
    """An act did not work; the message says what is still there."""

    code = "not-undone"


class Notes(Protocol):
    """What an act may remember between its attempts, whoever makes them. Durable when `note` returns."""

    @property
    def folder(self) -> Path:
        """The run's own folder."""
        ...

    def noted(self, name: str) -> Mapping[str, Any] | None:
        """What was last noted under that name."""
        ...

    def note(self, name: str, value: Mapping[str, Any]) -> None:
        """Note it."""
        ...


Act = Callable[[Data, Notes, str], None]
"""Arguments, notes, and the name of the step, under which it may note."""


def perform(act: str, data: Data, notes: Notes, step: str) -> None:
    """Do the act.

    Raises:
        NotUndone: it did not work, or there is no such act.
    """
    known = ACTS.get(act)
    if known is None:
        raise NotUndone(f'no act is called "{act}"', "the record is of a newer Mainstay; use that one")
    try:
        known(data, notes, step)
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as problem:
        raise NotUndone(f"{act}: {problem}") from problem


def _signal(data: Data, _notes: Notes, _step: str) -> None:
    """Send a signal: pid, ticks, signal (`CONT`)."""
    send(process_of(data), signal.Signals["SIG" + data["signal"]])


def _kill(data: Data, _notes: Notes, _step: str) -> None:
    """End a process that was started for the fault: pid, ticks, and `session` when all that it started ends too."""
    process = process_of(data)
    every = session_members(process) if data.get("session") else [process]
    for one in every:
        send(one, signal.SIGKILL)
    left = [one.pid for one in every if not gone(one, _SECONDS)]
    if left:
        raise NotUndone(f"kill: {left} did not end")


def _remove_file(data: Data, _notes: Notes, _step: str) -> None:
    """Remove a file: path, and `inode` when only that one is meant."""
    path = Path(data["path"])
    with contextlib.suppress(FileNotFoundError):
        if "inode" not in data or path.lstat().st_ino == data["inode"]:
            path.unlink()


def _remove_folder(data: Data, _notes: Notes, _step: str) -> None:
    """Remove an empty folder: path."""
    with contextlib.suppress(FileNotFoundError):
        Path(data["path"]).rmdir()


def _write_file(data: Data, _notes: Notes, _step: str) -> None:
    """Give a file its text again: path, text, mode, uid, gid. In one step, so that nobody reads half of it."""
    path = Path(data["path"])
    fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(fd, "w", encoding="utf-8") as file:
            file.write(data["text"])
            os.fchmod(fd, data["mode"])
            if (data["uid"], data["gid"]) != (os.geteuid(), os.getegid()):
                os.fchown(fd, data["uid"], data["gid"])
            os.fsync(fd)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _write_value(data: Data, _notes: Notes, _step: str) -> None:
    """Write a value into a file of the kernel: path, value. A file that is gone took its value along."""
    with contextlib.suppress(FileNotFoundError):
        fd = os.open(data["path"], os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, str(data["value"]).encode())
        finally:
            os.close(fd)


def _unmount(data: Data, _notes: Notes, _step: str) -> None:
    """Take out a mount that we made: path, source. What else is mounted there stays."""
    import ctypes  # noqa: PLC0415  (a lazy start: guardians rarely need it)

    escaped = data["path"].replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011").replace("\n", "\\012")
    for _ in range(16):
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
        at = [line.split(" ")[0] for line in lines if line.split(" ")[1] == escaped]
        if not at or at[-1] != data["source"]:
            if data["source"] in at:
                raise NotUndone(f"unmount: something was mounted over {data['path']} meanwhile")
            return
        if ctypes.CDLL(None, use_errno=True).umount2(os.fsencode(data["path"]), 2):  # 2 is MNT_DETACH: never waits
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), data["path"])
    raise NotUndone(f"unmount: {data['path']} is mounted again and again")


def _argv(data: Data, _notes: Notes, _step: str) -> None:
    """Call one of `PROGRAMS`: argv, perhaps `input`, and `gone`: what it says when there is nothing left to do.

    Raises:
        NotUndone: the program is not one of them, is not there, or says something else.
    """
    import shutil  # noqa: PLC0415  (a lazy start: guardians rarely need it)

    name, *rest = data["argv"]
    program = shutil.which(name, path=_WHERE) if name in PROGRAMS else None
    if program is None:
        raise NotUndone(f"argv: {name} is not there or is not among {', '.join(PROGRAMS)}")
    done = subprocess.run([program, *rest], input=data.get("input", ""), capture_output=True, text=True, check=False,
                          timeout=_SECONDS, env={**os.environ, "LC_ALL": "C"})
    said = (done.stderr or done.stdout).strip()
    if done.returncode and not any(sign in said for sign in data.get("gone", ())):
        raise NotUndone(f"{' '.join(data['argv'])}: {said or f'ended with {done.returncode}'}")


def _http(data: Data, _notes: Notes, _step: str) -> None:
    """Send a request: method, url, body, headers, and `secret_headers`: name → {file, key}, read now."""
    import urllib.error  # noqa: PLC0415  (a lazy start: it costs more than all the rest of a guardian)
    import urllib.request  # noqa: PLC0415  (a lazy start: it costs more than all the rest of a guardian)

    headers = dict(data.get("headers", {}))
    for name, where in data.get("secret_headers", {}).items():
        text = Path(where["file"]).read_text(encoding="utf-8").strip()
        headers[name] = str(json.loads(text)[where["key"]]) if where.get("key") else text
    if not data["url"].startswith(("http://", "https://")):
        raise NotUndone(f"http: {data['url']} is no address of the web")
    body = data.get("body", "")
    request = urllib.request.Request(data["url"], body.encode() if body else None, headers,  # noqa: S310  (checked)
                                     method=data["method"])
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    last = ""
    for _ in range(3):
        try:
            with opener.open(request, timeout=_SECONDS / 3):
                return
        except (urllib.error.URLError, OSError) as problem:
            last = str(problem)
            time.sleep(0.1)
    raise NotUndone(f"http: {data['method']} {data['url']}: {last}")


def _end_holder(data: Data, _notes: Notes, _step: str) -> None:
    """End the process that holds a fault of the kernel's; the fault ends with it: pid, ticks."""
    process = process_of(data)
    send(process, signal.SIGKILL)
    if not gone(process, _SECONDS) and alive(process):
        raise NotUndone(f"hold: process {process.pid} did not end")


ACTS: dict[str, Act] = {
    "signal": _signal,
    "kill": _kill,
    "end-holder": _end_holder,
    "remove-file": _remove_file,
    "remove-folder": _remove_folder,
    "write-file": _write_file,
    "write-value": _write_value,
    "unmount": _unmount,
    "argv": _argv,
    "http": _http,
    "remove-toxic": remove_toxic,
    "scale-back": scale_back,
    "leave-group": cgroups.leave_group,
    "start-again": restarting.start_again,
}
"""Every act. A further one is one more line; each stands in `docs/reference` with its arguments."""

SURVIVES_THE_BOOT = frozenset({"scale-back", "remove-file", "remove-folder", "write-file", "http", "start-again"})
"""Acts on what is still there after the host was started anew; everything else the boot itself took out."""
