"""The record of one run: what was going to be done, written before it was, and what was done.

One folder per run, 0700, with `record.jsonl`: one JSON object a line, each carrying the hash of the one before, so that
a changed, missing or inserted line shows. An entry is on the disk when `append` returns. Whoever writes may be killed
at any byte: a last line without its end is torn, counts as not written, and is cut off by the next who writes. The
run's process and its guardians write the same file, one at a time, under a lock that the kernel drops with its holder.

Standard library only: guardians load it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field
from pathlib import Path
from typing import Any

from mainstay.adapters.faults.processes import Process, alive, boot, me, now, process_of
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import Conflict, InvalidInput, StoreUnavailable

LOCKS = ("undo", "guardians")
"""What only one process of a run does at a time."""

_FIRST = "0" * 64
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a record.

    Args:
        kind: `begin`, `guardian`, `order`, `intend`, `applied`, `undone`, `failed`, `note`, `torn`, `closed`, `end`.
        at: seconds since the host was started.
        by: who wrote it: `run`, `guardian-1`, `guardian-2`, `recover`.
    """

    number: int
    kind: str
    at: float
    by: str
    data: Mapping[str, Any]
    digest: str


@dataclass(frozen=True, slots=True)
class Step:
    """One undo that was intended. Its name is the fault's and its place: `f1.0`."""

    name: str
    act: str
    data: Mapping[str, Any]


@dataclass(slots=True)
class FaultState:
    """What a record says of one fault.

    Args:
        ends: seconds since the host was started when it has to be out, whatever happens.
        applied: whether putting it in came to its end; a fault that is not may be there in part.
        undone: by the step's name, who undid it.
    """

    name: str
    kind: str
    workload: str
    mechanism: str
    ends: float
    applied: bool = False
    steps: list[Step] = field(default_factory=list)
    undone: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def open(self) -> list[Step]:
        """What is still to be undone, the last first."""
        return [step for step in reversed(self.steps) if step.name not in self.undone]


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it can be read.

    Args:
        torn: bytes of a last line that was not finished.
        length: bytes of the file up to the last good line.
        broken: what is wrong with a line in the middle; empty when the chain holds.
    """

    entries: tuple[Entry, ...]
    torn: int = 0
    length: int = 0
    broken: str = ""

    @property
    def ended(self) -> bool:
        """Whether everything is out and said to be."""
        return any(entry.kind == "end" for entry in self.entries)

    @property
    def closed(self) -> bool:
        """Whether the run is over, with or without everything out."""
        return any(entry.kind in ("closed", "end") for entry in self.entries)

    @property
    def runner(self) -> Process | None:
        """The run's process."""
        return process_of(self.entries[0].data) if self.entries else None

    @property
    def of_this_boot(self) -> bool:
        """Whether the host was not started anew since."""
        return bool(self.entries) and self.entries[0].data["boot"] == boot()

    @property
    def guardians(self) -> dict[int, Process]:
        """The last guardian that was started for each place."""
        return {int(entry.data["slot"]): process_of(entry.data) for entry in self.entries if entry.kind == "guardian"}

    @property
    def running(self) -> bool:
        """Whether the run's process is there and not done."""
        runner = self.runner
        return not self.closed and self.of_this_boot and runner is not None and alive(runner)

    def faults(self) -> list[FaultState]:
        """Every fault in the order in which it was put in, and how far it got."""
        known: dict[str, FaultState] = {}
        for entry in self.entries:
            data = entry.data
            if entry.kind == "order":
                known[data["fault"]] = FaultState(data["fault"], data["kind"], data["workload"], data["mechanism"],
                                                  float(data["ends"]))
                continue
            fault = known.get(str(data.get("fault", "")))
            if fault is None:
                continue
            match entry.kind:
                case "intend":
                    fault.steps += [Step(f"{fault.name}.{len(fault.steps) + place}", one["act"], one["data"])
                                    for place, one in enumerate(data["undos"])]
                case "applied":
                    # Whoever undid it before it was in undid something else: the run stood still meanwhile.
                    fault.applied = True
                    fault.undone.clear()
                case "undone":
                    fault.undone[data["step"]] = entry.by
                    fault.problems.pop(data["step"], None)
                case "failed":
                    fault.problems[data["step"]] = data["problem"]
        return list(known.values())

    def unfinished(self) -> str:
        """The step that was being done when writing stopped, as a sentence; empty when none was."""
        if self.ended:
            return ""
        for fault in reversed(self.faults()):
            where = f"{fault.name}, {fault.kind} on {fault.workload} by {fault.mechanism}"
            if fault.applied and fault.open:
                return f"{where}, was in and is not taken out: {', '.join(step.act for step in fault.open)}"
            if not fault.applied and fault.open:
                return f"{where}, was being put in: {fault.open[0].act} stands ready"
            if not fault.applied and not fault.steps:
                return f"{where}, was ordered and not begun"
        return "the run had nothing in, and did not say that it ended"

    def note(self, name: str) -> Mapping[str, Any] | None:
        """What was last noted under that name."""
        found = [entry.data["value"] for entry in self.entries if entry.kind == "note" and entry.data["name"] == name]
        return found[-1] if found else None


def read(path: Path) -> Record:
    """What stands in the file, up to the first line that does not fit; never raises for what stands in it.

    Raises:
        StoreUnavailable: the file cannot be read.
    """
    try:
        text = path.read_bytes()
    except OSError as problem:
        raise StoreUnavailable(f"the record {path} cannot be read: {problem.strerror}") from problem
    return parse(text)


def parse(text: bytes) -> Record:
    """The record in these bytes."""
    entries: list[Entry] = []
    before, length = _FIRST, 0
    for line in text.splitlines(keepends=True):
        if not line.endswith(b"\n"):
            return Record(tuple(entries), torn=len(line), length=length)
        entry = _entry(line, before, len(entries))
        if isinstance(entry, str):
            return Record(tuple(entries), length=length, broken=f"line {len(entries) + 1} {entry}")
        entries.append(entry)
        before, length = entry.digest, length + len(line)
    return Record(tuple(entries), length=length)


def _entry(line: bytes, before: str, number: int) -> Entry | str:
    try:
        raw = json.loads(line)
        digest = raw.pop("hash")
        entry = Entry(raw["n"], raw["kind"], raw["at"], raw["by"], raw["data"], digest)
    except (ValueError, KeyError, AttributeError, TypeError):
        return "is no entry"
    if raw.get("prev") != before or entry.number != number:
        return "does not follow the one before it"
    if digest != _digest(raw):
        return "was changed after it was written"
    return entry


def _digest(raw: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(raw, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class Wal:
    """The record of one run, to write."""

    def __init__(self, folder: Path, by: str) -> None:
        """Open the record that is in the folder.

        Raises:
            StoreUnavailable: it cannot be opened, or others could have written it.
        """
        self.folder, self.by, self.path = folder, by, folder / "record.jsonl"
        _own(folder)
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as problem:
            raise StoreUnavailable(f"the record {self.path} cannot be opened: {problem.strerror}") from problem
        self._thread = threading.Lock()

    def close(self) -> None:
        """Let go of it; what is written stays."""
        os.close(self._fd)

    def read(self) -> Record:
        """What stands in it now."""
        return parse(self._bytes())

    @property
    def size(self) -> int:
        """Bytes written so far; changes with every entry."""
        return os.fstat(self._fd).st_size

    def append(self, kind: str, data: Mapping[str, Any]) -> Entry:
        """Write one entry; it is on the disk when this returns.

        Raises:
            StoreUnavailable: it is not; or the record was changed by somebody else.
        """
        with self._locked():
            return self._append(kind, data)

    def _append(self, kind: str, data: Mapping[str, Any]) -> Entry:
        record = self.read()
        if record.broken:
            raise StoreUnavailable(f"the record {self.path} was changed: {record.broken}",
                                   "nobody but Mainstay may write it; keep it as evidence")
        entries = list(record.entries)
        try:
            if record.torn:
                os.ftruncate(self._fd, record.length)
                entries.append(self._write(entries, "torn", {"bytes": record.torn}))
            return self._write(entries, kind, data)
        except OSError as problem:
            raise StoreUnavailable(f"the record {self.path} cannot be written: {problem.strerror}") from problem

    def _write(self, entries: Sequence[Entry], kind: str, data: Mapping[str, Any]) -> Entry:
        raw: dict[str, Any] = {"n": len(entries), "kind": kind, "at": round(now(), 6), "by": self.by,
                               "data": dict(data), "prev": entries[-1].digest if entries else _FIRST}
        digest = _digest(raw)
        line = json.dumps({**raw, "hash": digest}, separators=(",", ":")).encode() + b"\n"
        os.lseek(self._fd, 0, os.SEEK_END)
        while line:
            line = line[os.write(self._fd, line):]
        os.fsync(self._fd)
        return Entry(len(entries), kind, raw["at"], self.by, raw["data"], digest)

    def _bytes(self) -> bytes:
        parts, place = [], 0
        while part := os.pread(self._fd, 1 << 20, place):
            parts.append(part)
            place += len(part)
        return b"".join(parts)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._thread:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._fd, fcntl.LOCK_UN)

    @contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """Only one process, and one thread of it, is in here for this run and this word at a time."""
        fd = os.open(self.folder / f"{what}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    # What acts may remember, so that they can be done again (`undo.Notes`).

    def noted(self, name: str) -> Mapping[str, Any] | None:
        """What was last noted under that name, by anybody."""
        return self.read().note(name)

    def note(self, name: str, value: Mapping[str, Any]) -> None:
        """Note it; it is on the disk when this returns."""
        self.append("note", {"name": name, "value": dict(value)})


def begin(state: Path, run: str) -> Wal:
    """A new record for the run of that name, by this process.

    Raises:
        InvalidInput: the name cannot be that of a folder.
        Conflict: there is a record of that name.
        StoreUnavailable: the folder cannot be made, or is open to others.
    """
    if not _NAME.fullmatch(run):
        raise InvalidInput(f'a run cannot be called "{run}"', "use letters, digits, dots and dashes")
    try:
        state.mkdir(0o700, parents=True, exist_ok=True)
        _own(state)
        (state / run).mkdir(0o700)
    except FileExistsError:
        raise Conflict(f"there is a run {run} already", "give the new one another name") from None
    except OSError as problem:
        raise StoreUnavailable(f"the state folder {state} cannot be made: {problem.strerror}",
                               "set MAINSTAY_STATE to a folder that can be written") from problem
    wal = Wal(state / run, "run")
    for word in LOCKS:  # made now: on a full disk they could not be
        with wal.alone(word):
            pass
    wal.append("begin", {"run": run, "boot": boot(), **me().data})
    for path in (state / run, state):
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    return wal


def prune(state: Path, keep: int = 200) -> None:
    """Forget the oldest runs that are over, but for the newest so many; what is left behind is never forgotten."""
    over = [folder for folder in records(state) if read(folder / "record.jsonl").ended]
    for folder in over[:max(0, len(over) - keep)]:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


def records(state: Path) -> list[Path]:
    """The folders of the runs whose records are kept, the oldest first.

    Raises:
        StoreUnavailable: the folder is open to others, so what stands in it may not be ours.
    """
    if not state.exists():
        return []
    _own(state)
    return sorted((path.parent for path in state.glob("*/record.jsonl")), key=lambda one: one.stat().st_mtime)


def _own(folder: Path) -> None:
    """What is undone is read from here, with our rights: nobody else may be able to write it."""
    try:
        status = folder.lstat()
    except OSError as problem:
        raise StoreUnavailable(f"the folder {folder} cannot be read: {problem.strerror}") from problem
    if status.st_uid != os.geteuid() or status.st_mode & 0o077 or not folder.is_dir() or folder.is_symlink():
        raise StoreUnavailable(f"the folder {folder} is open to others than the one who runs this",
                               f"chown it to uid {os.geteuid()} and chmod 0700 it, or set MAINSTAY_STATE")
