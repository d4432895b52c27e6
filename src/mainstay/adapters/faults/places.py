"""Where a workload is: what its catalog says, read now and resolved on this host."""

from __future__ import annotations

import json
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from mainstay.adapters.faults.processes import Process, every, found
from mainstay.kernel.errors import InvalidInput
from mainstay.kernel.workload import At, Workload

_LOCAL = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Address:
    """A host as a number, and a port."""

    host: str
    port: int

    @property
    def family(self) -> int:
        """Of the host's number: 2 or 10."""
        return int(socket.AF_INET6 if ":" in self.host else socket.AF_INET)

    @property
    def shown(self) -> str:
        """As people write it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def text_at(at: At, home: str, what: str) -> str:
    """What stands there now.

    Raises:
        InvalidInput: the file cannot be read, or lacks the field.
    """
    if at.value:
        return at.value
    fields = _fields(at, home, what)
    return fields if isinstance(fields, str) else str(fields[at.key or what])


def _fields(at: At, home: str, what: str) -> str | dict[str, object]:
    path = Path(home, at.file)
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError as problem:
        raise InvalidInput(f"{what} stands in {path}, which cannot be read: {problem.strerror}",
                           "start the workload, or correct the file's name in the catalog") from problem
    if not text.startswith("{"):
        return text
    try:
        fields = json.loads(text)
    except ValueError as problem:
        raise InvalidInput(f"{what} stands in {path}, which is not JSON: {problem}", "") from problem
    key = at.key or what
    if key not in fields and not (what == "address" and "port" in fields):
        raise InvalidInput(f"{path} has no field {key}", "it has: " + ", ".join(sorted(fields)))
    assert isinstance(fields, dict)
    return fields


def address_of(workload: Workload) -> Address:
    """Where it listens.

    Raises:
        InvalidInput: nothing says, or what is said is no address.
    """
    if not workload.address.said:
        raise InvalidInput(f"nothing says where {workload.name} listens",
                           f"write address: in the Workload {workload.name}")
    at = workload.address
    if at.value:
        return address(at.value)
    fields = _fields(at, workload.home, "address")
    if isinstance(fields, str):
        return address(fields)
    said = str(fields.get(at.key or "address", fields.get("port", "")))
    return address(said)


def address(text: str) -> Address:
    """`host:port`, `[::1]:80`, `:80`, `80` or a URL as a number and a port; names are looked up.

    Raises:
        InvalidInput: it is none.
    """
    bare = text.partition("://")[2].partition("/")[0] if "://" in text else text
    host, _, port = bare.rpartition(":")
    host = host.strip("[]") or _LOCAL
    if not port.isdigit() or not 0 < int(port) < 65_536:
        raise InvalidInput(f'"{text}" is not an address', "write host:port, such as 127.0.0.1:8080")
    try:
        number = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0][4][0]
    except OSError as problem:
        raise InvalidInput(f"{host} is not known: {problem}", "write the number of the host") from problem
    return Address(str(number), int(port))


def processes_of(workload: Workload) -> tuple[Process, ...]:
    """The processes that it is, as it declares them; none when it declares none.

    Raises:
        InvalidInput: it declares one that does not run, or words that no process carries.
    """
    if workload.pid.said:
        return (_by_pid(workload),)
    if workload.unit:
        return (_by_unit(workload),)
    if workload.match:
        return _by_words(workload)
    return ()


def _by_pid(workload: Workload) -> Process:
    at = workload.pid
    ticks: object = None
    if at.value:
        text = at.value
    else:
        fields = _fields(at, workload.home, "pid")
        text = fields if isinstance(fields, str) else str(fields[at.key or "pid"])
        ticks = None if isinstance(fields, str) else fields.get("ticks")
    process = found(int(text)) if text.isdigit() else None
    if process is None or (ticks is not None and int(str(ticks)) != process.ticks):
        raise InvalidInput(f"{workload.name} does not run: process {text} has ended", "start it first")
    return process


def _by_unit(workload: Workload) -> Process:
    try:
        said = subprocess.run(["systemctl", "show", "--property=MainPID", "--value", workload.unit],
                              capture_output=True, text=True, check=False, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise InvalidInput(f"systemd does not say which process {workload.unit} is: {problem}", "") from problem
    process = found(int(said)) if said.isdigit() and said != "0" else None
    if process is None:
        raise InvalidInput(f"the unit {workload.unit} of {workload.name} does not run",
                           f"systemctl start {workload.unit}")
    return process


def _by_words(workload: Workload) -> tuple[Process, ...]:
    hits = []
    for pid in every():
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:  # it ended meanwhile
            continue
        ahead = iter(line)
        if all(any(word in given for given in ahead) for word in workload.match):
            process = found(pid)
            if process is not None:
                hits.append(process)
    if not hits:
        raise InvalidInput(f"no process of {workload.name} runs",
                           "none's command line holds " + " ".join(workload.match))
    return tuple(hits)
