"""Where a workload is: what its catalog says, read now and resolved on this host."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from mainstay.adapters.faults.processes import Process
from mainstay.adapters.faults.restarting import who_runs
from mainstay.adapters.faults.targets import in_words, where
from mainstay.kernel.dataclass import dataclass
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
        raise InvalidInput(f"{what} stands in {path}, which is half written, or no JSON: {problem}",
                           "ask again; a file that stays so is to be corrected") from problem
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
    return address(said_address(workload))


def said_address(workload: Workload) -> str:
    """Where it listens, as it stands there now.

    Raises:
        InvalidInput: nothing says.
    """
    if not workload.address.said:
        raise InvalidInput(f"nothing says where {workload.name} listens",
                           f"write address: in the Workload {workload.name}")
    at = workload.address
    if at.value:
        return at.value
    fields = _fields(at, workload.home, "address")
    if isinstance(fields, str):
        return fields
    key = at.key or "address"
    return str(fields[key]) if key in fields else f"{_LOCAL}:{fields['port']}"


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


def processes_of(*workloads: Workload) -> tuple[Process, ...]:
    """Their processes, as they declare them; none when they declare none.

    Raises:
        InvalidInput: one declares processes of which none runs.
    """
    out: list[Process] = []
    for workload in workloads:
        how = where(workload)
        if not how:
            continue
        running = who_runs(how)
        if not running:
            raise InvalidInput(f"no process of {workload.name} runs", f"looked for {in_words(workload)}")
        out += running
    return tuple(dict.fromkeys(out))
