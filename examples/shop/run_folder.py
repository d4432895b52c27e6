"""The run folder: everything that one running shop writes, and where the others find it.

    RUN/secret               opens the admin pages; readable by the owner alone
    RUN/NAME.json            pid, port, version and start of each process (also `supervisor.json`)
    RUN/shop                 the commands of the shop, for this run
    RUN/targets.json         where to scrape, as Prometheus reads it (file_sd)
    RUN/logs/NAME.jsonl      one line per request
    RUN/logs/NAME.out        what the process said on its standard output and error
    RUN/orders.db            the products, carts and orders
    RUN/history/             simulated history
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

LOOPBACK = "127.0.0.1"


def rfc3339(moment: datetime) -> str:
    """An aware time in UTC with milliseconds, such as 2026-11-21T08:00:00.000Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Record:
    """One process of the shop, as it describes itself in `NAME.json`."""

    service: str
    instance: str
    pid: int
    ticks: int  # when the kernel started it, in clock ticks since boot: tells it from a later process with its number
    port: int
    version: str
    started: str

    @property
    def address(self) -> str:
        """Where it listens, as `host:port`."""
        return f"{LOOPBACK}:{self.port}"

    def alive(self) -> bool:
        """Whether this very process still runs (a process that is paused does; a zombie does not)."""
        return _start_ticks(self.pid) == self.ticks


def describe_me(service: str, instance: str, port: int, version: str) -> Record:
    """The record of the calling process."""
    ticks = _start_ticks(os.getpid())
    assert ticks is not None, "a running process has a start time"
    return Record(service, instance, os.getpid(), ticks, port, version, rfc3339(datetime.now(UTC)))


class RunFolder:
    """The folder of one run; made when it is not there."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.logs.mkdir(parents=True, exist_ok=True)

    @property
    def logs(self) -> Path:
        """Where access logs and outputs go."""
        return self.path / "logs"

    @property
    def history(self) -> Path:
        """Where simulated history goes."""
        return self.path / "history"

    @property
    def database(self) -> Path:
        """The database of the orders service."""
        return self.path / "orders.db"

    def access_log(self, instance: str) -> Path:
        """The access log of one process."""
        return self.logs / f"{instance}.jsonl"

    def output(self, instance: str) -> Path:
        """What one process says on standard output and error."""
        return self.logs / f"{instance}.out"

    def secret(self) -> str:
        """The secret of this run; the first caller makes it."""
        file = self.path / "secret"
        # Written aside and linked into place: of several services that start at once, one wins and nobody reads half.
        draft = self.path / f"secret.{os.getpid()}"
        if not file.exists():
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
                out.write(secrets.token_urlsafe(32))
            try:
                os.link(draft, file)
            except FileExistsError:
                pass  # another process was first, and its secret counts
            finally:
                draft.unlink()
        return file.read_text()

    def record(self, instance: str) -> Record | None:
        """What a process wrote about itself, or None when no such process was ever started here."""
        try:
            return Record(**json.loads((self.path / f"{instance}.json").read_text()))
        except FileNotFoundError:
            return None

    def write_record(self, record: Record) -> None:
        """Tell the others where this process listens."""
        self.write_json(f"{record.instance}.json", asdict(record))

    def write_launcher(self) -> None:
        """`RUN/shop`: the shop's commands for this run, wherever the shop lies and whichever Python runs it."""
        words = (sys.executable, "-S", str(Path(__file__).parent))
        draft = self.path / f"shop.{os.getpid()}"
        draft.write_text("#!/bin/sh\n# The shop's commands for this run.\n"
                         f"SHOP_RUN={shlex.quote(str(self.path))} exec {shlex.join(words)} \"$@\"\n")
        draft.chmod(0o755)
        draft.replace(self.path / "shop")

    def write_json(self, name: str, data: object) -> None:
        """Replace a file in one step, so that a reader sees the old text or the new, never half."""
        draft = self.path / f"{name}.{os.getpid()}"
        draft.write_text(json.dumps(data) + "\n")
        draft.replace(self.path / name)


def _start_ticks(pid: int) -> int | None:
    """When the kernel started the process, in clock ticks since boot; None when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])
