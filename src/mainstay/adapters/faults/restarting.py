"""Starting a workload's process again, once, whoever does it and however often they are killed meanwhile.

The new process is first only a shell of itself that waits for a word: its pid is noted on the disk, then it gets the
word and becomes the program. Killed before the word, it ends; killed after it, the note says who it is.

Standard library only: guardians load it.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from mainstay.adapters.faults.processes import (
    Process,
    alive,
    every,
    found,
    process_of,
    stat_of,
)
from mainstay.kernel.errors import MainstayError

WAITING = """
import os, signal, sys
for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT, signal.SIGPIPE):
    signal.signal(number, signal.SIG_DFL)
try:
    os.setpriority(os.PRIO_PROCESS, 0, int(sys.argv[1]))
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write(sys.argv[2])
except OSError:
    pass
del sys.argv[1:3]
if os.read(0, 1) == b"g":
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        os.execvp(sys.argv[1], sys.argv[1:])
    except OSError as problem:
        sys.exit(f"{sys.argv[1]}: {problem.strerror}")
"""
MARK = "mainstay.adapters.faults"
"""Stands in the command line of every guardian and holder."""

_PATIENCE = 5.0
"""Seconds in which a supervisor, or the program itself, has to say who runs now."""


class NotStarted(MainstayError):
    """Nothing runs again."""

    code = "not-started"


class Notes(Protocol):
    """As in `undo.Notes`."""

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


def who_runs(where: Mapping[str, Any]) -> list[Process]:
    """The living processes that a workload names.

    Args:
        where: `{pid}` or `{file, key}` of a record, or `{match}`, words of a command line in order, or `{unit}`.
    """
    if where.get("match"):
        return _matching(where["match"])
    if where.get("unit"):
        return _of_unit(where["unit"])
    if where.get("file"):
        return _recorded(where["file"], where.get("key", ""))
    one = found(int(where["pid"]))
    return [] if one is None else [one]


def start_again(data: Mapping[str, Any], notes: Notes, step: str) -> None:
    """See to it that as many processes run as before.

    Args:
        data: `where`: see `who_runs`; `count`: how many ran; `argv`, `cwd`, `uid`, `gid`, `nice`, `oom`: how one is
            started, and without `argv` a supervisor is waited for; `started`: who was started for this already.
    Raises:
        NotStarted: fewer run.
    """
    if _enough(data, notes, step):
        return
    if not data.get("argv"):
        _await(data)
        return
    log = notes.folder / f"{step}.log"
    process = start(data, log, lambda process: notes.note(step, process.data))
    if not alive(process):
        raise NotStarted(f"{' '.join(data['argv'])} ended at once", f"see {log}")


def _enough(data: Mapping[str, Any], notes: Notes, step: str) -> bool:
    for noted in (notes.noted(step), data.get("started")):
        if noted and alive(process_of(noted)):
            _known(data["where"], process_of(noted))
            return True
    return len(who_runs(data["where"])) >= int(data["count"])


def _await(data: Mapping[str, Any]) -> None:
    until = time.monotonic() + float(data.get("patience", _PATIENCE))
    while len(who_runs(data["where"])) < data["count"]:
        if time.monotonic() > until:
            raise NotStarted("nobody started the process again", "start it by hand, and give the Workload a start")
        time.sleep(0.02)


def start(data: Mapping[str, Any], log_file: Path, before: Callable[[Process], None]) -> Process:
    """A new process of a workload, in a session of its own.

    Args:
        data: as for `start_again`.
        before: is told who it will be before it is more than a waiting shell of itself.
    Raises:
        NotStarted: nothing can be started.
    """
    rights: dict[str, Any] = {}
    if os.geteuid() == 0 and data.get("uid") is not None:
        rights = {"user": data["uid"], "group": data["gid"], "extra_groups": []} if data["uid"] else {}
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        child = subprocess.Popen([sys.executable, "-I", "-S", "-c", WAITING, str(data.get("nice", 0)),
                                  str(data.get("oom", 0)), *data["argv"]], cwd=data["cwd"],
                                 stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
                                 **rights)
    finally:
        os.close(log)
    keep(child)
    process = found(child.pid)
    assert child.stdin is not None
    if process is None:
        raise NotStarted("nothing can be started on this host")
    before(process)
    with contextlib.suppress(BrokenPipeError):
        child.stdin.write(b"g")
        child.stdin.close()
    _known(data["where"], process)
    return process


_CHILDREN: list[subprocess.Popen[bytes]] = []
"""Ours until they end: kept, so that they are buried by whoever started them, and outlive it otherwise."""


def keep(child: subprocess.Popen[bytes]) -> None:
    """It goes on without us; should it end before us, `bury` takes note."""
    _CHILDREN.append(child)


def bury() -> None:
    """Take note of started processes that have ended, so that no dead ones stand around."""
    _CHILDREN[:] = [child for child in _CHILDREN if child.poll() is None]


def _known(where: Mapping[str, Any], process: Process) -> None:
    """Bring the record of its pid up to date where the program does not do that itself."""
    if not where.get("file"):
        return
    path, until = Path(where["file"]), time.monotonic() + 0.5
    while time.monotonic() < until and alive(process):
        if who_runs(where):
            return
        time.sleep(0.02)
    if who_runs(where) or not alive(process):
        return
    text = str(process.pid)
    if where.get("key"):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            record = {}
        record[where["key"]] = process.pid
        if "ticks" in record:
            record["ticks"] = process.ticks
        text = json.dumps(record)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text + "\n", encoding="utf-8")
    if path.exists():
        os.chmod(beside, path.stat().st_mode & 0o7777)
    os.replace(beside, path)


def _recorded(file: str, key: str) -> list[Process]:
    try:
        text = Path(file).read_text(encoding="utf-8").strip()
        record: Any = json.loads(text) if key or text.startswith("{") else {"pid": text}
        one = found(int(record[key or "pid"]))
    except (OSError, ValueError, KeyError, TypeError):
        return []
    ticks = record.get("ticks")
    return [one] if one is not None and ticks in (None, one.ticks) else []


def _matching(words: list[str]) -> list[Process]:
    """Processes whose command line holds the words in order; not those that only look for it."""
    out, not_meant = [], ourselves()
    for pid in every():
        if pid in not_meant:
            continue
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        text, place = b" ".join(line).decode(errors="replace"), 0
        for word in words:
            place = text.find(word, place)
            if place < 0:
                break
            place += len(word)
        one = found(pid) if place >= 0 and line[0] and MARK not in text else None
        if one is not None:
            out.append(one)
    return sorted(out, key=lambda one: (one.ticks, one.pid))


def ourselves() -> set[int]:
    """This process, all it descends from, and the first of the host: never meant, whatever their command lines hold."""
    out, pid = {1}, os.getpid()
    while pid > 0 and pid not in out:
        out.add(pid)
        stat = stat_of(pid)
        pid = stat.parent if stat is not None else 0
    return out


def _of_unit(unit: str) -> list[Process]:
    """The processes of a unit, by the group that systemd made for it; its main process when there is none."""
    try:
        said = subprocess.run(["systemctl", "show", "--property=MainPID,ControlGroup", "--", unit], check=False,
                              capture_output=True, text=True, timeout=_PATIENCE).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    values = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    path = values.get("ControlGroup", "")
    for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"):
        with contextlib.suppress(OSError):
            if path:
                pids = Path(f"{root}{path}/cgroup.procs").read_text(encoding="ascii").split()
                return [one for pid in pids if (one := found(int(pid))) is not None]
    main = found(int(values.get("MainPID", "0") or 0)) if values.get("MainPID", "0") != "0" else None
    return [] if main is None else [main]
